/** What servers ask of a client, put to the table that a session hands to its transport. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../src/client/clientTypes.js';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import type { Session } from '../../src/client/session.js';
import { decodeConsumerStatusBody, encodeResetOffsetBody } from '../../src/protocol/bodies.js';
import { parseLooseJson } from '../../src/protocol/looseJson.js';
import { encodeRecord, packHost, recordSize } from '../../src/protocol/messageRecord.js';
import { type RemotingCommand, requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import type { ProcessorTable } from '../../src/remoting/processorTable.js';
import { TestCluster } from './support/cluster.js';
import { Collector } from './support/collector.js';

let cluster: TestCluster;
let session: Session;
let consumer: PushConsumer;
let table: ProcessorTable | undefined;
const received = new Collector<ReceivedMessage>();

beforeAll(async () => {
  cluster = await TestCluster.start('tcp');
  const inner = await cluster.session();
  await new Producer({ session: inner }).send({ topic: 'T', body: 'first', keys: ['k'] });
  // The session's own table, reached the way a broker reaches it: over the client's link.
  session = await cluster.session({
    transport: (own) => {
      table = own;
      return cluster.tcp(own);
    },
  });
  consumer = new PushConsumer(session, {
    group: 'G',
    subscriptions: [{ topic: 'T' }],
    from: 'CONSUME_FROM_FIRST_OFFSET',
    async listener(messages) {
      if (messages[0]?.body.toString() === 'bad') throw new Error('listener says no');
      received.add(...messages);
      return { status: messages[0]?.body.toString() === 'later' ? 'RETRY_LATER' : 'SUCCESS' };
    },
  });
  await consumer.start();
  await received.atLeast(1);
});
afterAll(() => cluster.stop());

async function ask(code: number, extFields: Record<string, string>, body?: Buffer): Promise<RemotingCommand> {
  const transport = new LocalTransport({ endpoints: new Map([['client:1', table!]]) });
  try {
    return await transport.invoke('client:1', requestCommand(code, extFields, body), 5000);
  } finally {
    await transport.close();
  }
}

function record(body: string): Buffer {
  const host = packHost({ host: '127.0.0.1', port: 10911 });
  const fields = {
    topic: 'T',
    queueId: 0,
    queueOffset: 0,
    commitLogOffset: 0,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 0,
    bornHost: host,
    storeTimestamp: 0,
    storeHost: host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from(body),
    properties: '',
  };
  const bytes = Buffer.alloc(recordSize(fields));
  encodeRecord(bytes, 0, fields);
  return bytes;
}

describe('requests of servers', () => {
  it('221: the offsets of a topic', async () => {
    const response = await ask(REQUEST_CODE.GET_CONSUMER_STATUS_FROM_CLIENT, { topic: 'T', group: 'G' });
    const { messageQueueTable } = decodeConsumerStatusBody(response.body);
    const total = messageQueueTable.reduce((sum, [, offset]) => sum + offset, 0);
    expect([response.code, messageQueueTable.length, total]).toEqual([0, 4, 1]);
  });

  it('220: sets offsets, and the messages come again', async () => {
    const before = received.items.length;
    const { queueId, brokerName } = received.items[0]!;
    const body = encodeResetOffsetBody({ offsetTable: [[{ topic: 'T', brokerName, queueId }, 0]] });
    const fields = { topic: 'T', group: 'G', timestamp: '0', isForce: 'true' };
    expect((await ask(REQUEST_CODE.RESET_CONSUMER_CLIENT_OFFSET, fields, body)).code).toBe(0);
    // The loop's pull at the old offset is held by the broker; its answer is ignored, the next begins at 0.
    await new Producer({ session }).send({ topic: 'T', body: 'wake' }, { queue: { topic: 'T', brokerName, queueId } });
    await received.atLeast(before + 2);
    expect(received.items.slice(before).map(({ body: bytes }) => bytes.toString())).toEqual(['first', 'wake']);
  });

  it('307: tells what runs, in the spelling of the protocol', async () => {
    const response = await ask(REQUEST_CODE.GET_CONSUMER_RUNNING_INFO, {
      consumerGroup: 'G',
      clientId: session.clientId,
    });
    const info = parseLooseJson(response.body.toString()) as Record<string, unknown>;
    expect(response.code).toBe(0);
    expect(response.body.toString()).toContain('"droped":false');
    expect((info['mqTable'] as Map<unknown, unknown>).size).toBe(5);
    expect(info['properties']).toMatchObject({
      PROP_CONSUMEORDERLY: 'false',
      PROP_NAMESERVER_ADDR: cluster.namesrvAddr,
    });
  });

  it.each([
    ['good', 'CR_SUCCESS'],
    ['later', 'CR_LATER'],
    ['bad', 'CR_THROW_EXCEPTION'],
  ])('309: tries one message: %s', async (body, result) => {
    const fields = { consumerGroup: 'G', clientId: session.clientId, brokerName: 'broker-a' };
    const response = await ask(REQUEST_CODE.CONSUME_MESSAGE_DIRECTLY, fields, record(body));
    expect(response.code).toBe(0);
    expect(JSON.parse(response.body.toString())).toMatchObject({
      consumeResult: result,
      order: false,
      autoCommit: true,
    });
  });

  it('309 with a body that is no record, or for a group that is not here, is refused clearly', async () => {
    const fields = { consumerGroup: 'G', clientId: session.clientId };
    const torn = await ask(REQUEST_CODE.CONSUME_MESSAGE_DIRECTLY, fields, Buffer.from('torn'));
    expect([torn.code, torn.remark]).toEqual([1, expect.stringContaining('no message record')]);
    const other = await ask(REQUEST_CODE.GET_CONSUMER_RUNNING_INFO, { consumerGroup: 'Z', clientId: 'x' });
    expect([other.code, other.remark]).toEqual([1, expect.stringContaining('<Z>')]);
  });

  it('40 and 39 are taken, also for groups that are not here', async () => {
    expect((await ask(REQUEST_CODE.NOTIFY_CONSUMER_IDS_CHANGED, { consumerGroup: 'G' })).code).toBe(0);
    expect((await ask(REQUEST_CODE.NOTIFY_CONSUMER_IDS_CHANGED, { consumerGroup: 'Z' })).code).toBe(0);
    const check = { tranStateTableOffset: '0', commitLogOffset: '0', transactionId: 'x' };
    expect((await ask(REQUEST_CODE.CHECK_TRANSACTION_STATE, check)).code).toBe(0);
  });

  it('anything unknown is answered with 3', async () => {
    expect((await ask(9999, {})).code).toBe(3);
  });
});
