/**
 * Very many clients of one broker at once, each on a connection of its own: members of few groups, senders to and
 * readers of many topics. Every answer is checked, so that whoever counts the clients knows that all were served.
 */
import { readFileSync } from 'node:fs';
import { encodeHeartbeatData } from '../../src/protocol/bodies.js';
import { getConsumerListByGroupHeader } from '../../src/protocol/headers/group.js';
import { emptyHeader, encodeSendMessageV2, pullMessageHeader } from '../../src/protocol/headers/messaging.js';
import { decodeRecords } from '../../src/protocol/messageRecord.js';
import type { RemotingCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { buildSubscription } from '../../src/protocol/subscription.js';
import { RemotingClient } from '../../src/remoting/remotingClient.js';
import { RawClient } from './rawClient.js';

export interface ManyClientsOptions {
  /** `host:port` of the broker. */
  address: string;
  connections: number;
  topics: number;
  groups: number;
}

interface OneClient {
  index: number;
  raw: RawClient;
  topic: string;
  group: string;
}

function mustBe(condition: boolean, what: string, response?: RemotingCommand): void {
  if (condition) return;
  throw new Error(response ? `${what}: answered ${response.code} ${response.remark ?? ''}` : what);
}

export class ManyClients {
  readonly #clients: readonly OneClient[];
  readonly #groups: number;

  constructor({ address, connections, topics, groups }: ManyClientsOptions) {
    this.#groups = groups;
    this.#clients = Array.from({ length: connections }, (_, index) => ({
      index,
      raw: new RawClient(address, (table) => new RemotingClient({ table, connectTimeoutMillis: 30_000 })),
      topic: `Many${index % topics}`,
      group: `ManyGroup${index % groups}`,
    }));
  }

  /** All connect and say who they are. */
  async join(): Promise<void> {
    await this.#all(async ({ index, raw, topic, group }) => {
      const response = await raw.call(
        REQUEST_CODE.HEART_BEAT,
        emptyHeader,
        {},
        encodeHeartbeatData({
          clientID: `10.0.0.1@${index}`,
          producerDataSet: [{ groupName: 'ManyProducers' }],
          consumerDataSet: [
            {
              groupName: group,
              consumeType: 'CONSUME_PASSIVELY',
              messageModel: 'CLUSTERING',
              consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
              subscriptionDataSet: [buildSubscription(topic, '*', 'TAG', 1)],
              unitMode: false,
            },
          ],
          heartbeatFingerprint: 0,
          withoutSub: false,
        }),
      );
      mustBe(response.code === 0, `heartbeat of client ${index}`, response);
    });
  }

  /** Each asks for the members of its group: all of them are there. */
  async checkGroups(): Promise<void> {
    await this.#all(async ({ index, raw, group }) => {
      const header = { consumerGroup: group };
      const response = await raw.call(REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP, getConsumerListByGroupHeader, header);
      mustBe(response.code === 0, `members of ${group} for client ${index}`, response);
      const { consumerIdList } = JSON.parse(response.body.toString()) as { consumerIdList: string[] };
      const expected = this.#clients.filter((client) => client.index % this.#groups === index % this.#groups).length;
      mustBe(consumerIdList.length === expected, `${group} has ${consumerIdList.length} members of ${expected}`);
    });
  }

  /** Each sends a message to its topic and pulls it. */
  async sendAndPull(bodyBytes: number): Promise<void> {
    await this.#all(async (client) => {
      const body = Buffer.alloc(bodyBytes, `body of ${client.index} `);
      const sent = await this.#send(client, body);
      const pulled = await this.#pull(client, Number(sent.extFields['queueOffset']), 4);
      mustBe(pulled.code === 0, `pull of client ${client.index}`, pulled);
      mustBe(
        decodeRecords(pulled.body)[0]?.body.equals(body) === true,
        `client ${client.index} pulled another message`,
      );
    });
  }

  /** Each waits for a message of its topic with a long poll, then one is sent to each topic: all get it. */
  async sendToWaiting(): Promise<void> {
    const ends = new Map<string, number>();
    await this.#all(async (client) => {
      const sent = await this.#send(client, Buffer.from('before'));
      ends.set(client.topic, Math.max(ends.get(client.topic) ?? 0, Number(sent.extFields['queueOffset']) + 1));
    });
    const waiting = this.#all(async (client) => {
      const pulled = await this.#pull(client, ends.get(client.topic) ?? 0, 6);
      mustBe(pulled.code === 0, `long poll of client ${client.index}`, pulled);
      const [message] = decodeRecords(pulled.body);
      mustBe(message?.body.toString() === `news of ${client.topic}`, `client ${client.index} got other news`);
    });
    // An answered request behind it on the same connection: the pull is held by then.
    await this.checkGroups();
    const firsts = new Map(this.#clients.map((client) => [client.topic, client]));
    await Promise.all([...firsts.values()].map((client) => this.#send(client, Buffer.from(`news of ${client.topic}`))));
    await waiting;
  }

  async close(): Promise<void> {
    await this.#all(({ raw }) => raw.close());
  }

  async #send({ raw, topic, index }: OneClient, body: Buffer): Promise<RemotingCommand> {
    const header = encodeSendMessageV2({
      producerGroup: 'ManyProducers',
      topic,
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: 4,
      queueId: 0,
      sysFlag: 0,
      bornTimestamp: 1_700_000_000_000,
      flag: 0,
      properties: '',
    });
    const response = await raw.callRaw(REQUEST_CODE.SEND_MESSAGE_V2, header, body);
    mustBe(response.code === 0, `send of client ${index}`, response);
    return response;
  }

  #pull({ raw, topic, group }: OneClient, queueOffset: number, sysFlag: number): Promise<RemotingCommand> {
    return raw.call(REQUEST_CODE.PULL_MESSAGE, pullMessageHeader, {
      consumerGroup: group,
      topic,
      queueId: 0,
      queueOffset,
      maxMsgNums: 1,
      sysFlag,
      commitOffset: 0,
      suspendTimeoutMillis: 60_000,
      subscription: '*',
      subVersion: 0,
    });
  }

  async #all(run: (client: OneClient) => Promise<void>): Promise<void> {
    await Promise.all(this.#clients.map(run));
  }
}

/** What Linux says of a process; undefined elsewhere. */
export function processUse(
  pid: number,
): { residentBytes: number; peakResidentBytes: number; cpuMillis: number } | undefined {
  if (process.platform !== 'linux') return undefined;
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  // Behind the name in parentheses, which may hold blanks: user and system time are the 12th and 13th, in 1/100 s.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    residentBytes: kibibytes('VmRSS') * 1024,
    peakResidentBytes: kibibytes('VmHWM') * 1024,
    cpuMillis: (Number(fields[11]) + Number(fields[12])) * 10,
  };
}
