/**
 * Speaks to a name server as brokers and clients do, one connection per object, over TCP or within the process. The
 * same tests run on both.
 */
import { crc32 } from 'node:zlib';
import type { NameServer } from '../../src/namesrv/nameServer.js';
import type { TopicConfig, TopicRouteData } from '../../src/protocol/bodies.js';
import { decodeTopicRouteData, encodeRegisterBrokerBody, topicConfigOf } from '../../src/protocol/bodies.js';
import { type RemotingCommand, requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import { RemotingClient } from '../../src/remoting/remotingClient.js';
import type { Transport } from '../../src/remoting/transport.js';

export interface RegistrationInput {
  brokerName?: string;
  brokerAddr?: string;
  clusterName?: string;
  brokerId?: number;
  haServerAddr?: string;
  topics?: (Partial<TopicConfig> & { topicName: string })[];
  version?: number;
  stateVersion?: number;
  fields?: Record<string, string>;
  body?: Buffer;
}

const LOCAL_ADDRESS = 'namesrv:1';

export class NamesrvClient {
  readonly #transport: Transport;
  readonly #address: string;

  private constructor(transport: Transport, address: string) {
    this.#transport = transport;
    this.#address = address;
  }

  /** Over TCP when the name server listens. `table` answers what the name server sends. */
  static connect(nameServer: NameServer, table = new ProcessorTable({ rows: [], lanes: {} })): NamesrvClient {
    const { address } = nameServer;
    if (address) return new NamesrvClient(new RemotingClient({ table }), `${address.host}:${address.port}`);
    const endpoints = new Map([[LOCAL_ADDRESS, nameServer.table]]);
    return new NamesrvClient(new LocalTransport({ endpoints, table }), LOCAL_ADDRESS);
  }

  request(
    code: number,
    fields: Record<string, string> = {},
    body: Buffer | string = '',
    head: Partial<RemotingCommand> = {},
  ): Promise<RemotingCommand> {
    const command = { ...requestCommand(code, fields, Buffer.from(body)), ...head };
    return this.#transport.invoke(this.#address, command, 5000);
  }

  register(input: RegistrationInput = {}): Promise<RemotingCommand> {
    const { brokerName = 'broker-a', brokerAddr = '127.0.0.1:10911', clusterName = 'C', brokerId = 0 } = input;
    const topics = input.topics ?? [{ topicName: 'T' }, { topicName: 'U' }];
    const body =
      input.body ??
      encodeRegisterBrokerBody({
        dataVersion: { stateVersion: input.stateVersion ?? 0, timestamp: 1, counter: input.version ?? 1 },
        topicConfigTable: new Map(topics.map((topic) => [topic.topicName, topicConfigOf(topic.topicName, topic)])),
        filterServerList: [],
      });
    const fields = {
      brokerName,
      brokerAddr,
      clusterName,
      brokerId: String(brokerId),
      haServerAddr: input.haServerAddr ?? '127.0.0.1:10912',
      enableActingMaster: 'false',
      compressed: 'false',
      bodyCrc32: String(crc32(body) & 0x7fffffff),
      ...input.fields,
    };
    return this.request(REQUEST_CODE.REGISTER_BROKER, fields, body);
  }

  /** Undefined when there is no route. */
  async route(topic: string, fields: Record<string, string> = {}): Promise<TopicRouteData | undefined> {
    const response = await this.request(REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC, { topic, ...fields });
    return response.code === 0 ? decodeTopicRouteData(response.body) : undefined;
  }

  /** The text of a response's body, or its code and remark. */
  async text(code: number, fields: Record<string, string> = {}, body = '', head: Partial<RemotingCommand> = {}) {
    const response = await this.request(code, fields, body, head);
    return response.code === 0 ? response.body.toString() : `${response.code} ${response.remark}`;
  }

  close(): Promise<void> {
    return this.#transport.close();
  }
}
