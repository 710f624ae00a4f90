/** What an administrator asks a broker about a consumer, answered by a real push consumer: resets, 223, 307, 309. */
import { afterEach, describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../src/client/clientTypes.js';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import type { BrokerConfig } from '../../src/config/brokerConfig.js';
import { decodeConsumerStatusesBody } from '../../src/protocol/bodies.js';
import { parseLooseJson } from '../../src/protocol/looseJson.js';
import { type RemotingCommand, requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RemotingClient } from '../../src/remoting/remotingClient.js';
import { TestCluster } from './support/cluster.js';
import { Collector } from './support/collector.js';

const closes: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

async function consuming(config: Partial<BrokerConfig>) {
  const cluster = await TestCluster.start('tcp', config);
  closes.push(() => cluster.stop());
  const session = await cluster.session({ persistConsumerOffsetIntervalMillis: 50 });
  const producer = new Producer({ session });
  const { queue } = await producer.send({ topic: 'T', body: '0' });
  const sent = [await producer.send({ topic: 'T', body: '1' }, { queue })];
  const received = new Collector<ReceivedMessage>();
  const consumer = new PushConsumer(session, {
    group: 'G',
    subscriptions: [{ topic: 'T' }],
    from: 'CONSUME_FROM_FIRST_OFFSET',
    async listener(messages) {
      received.add(...messages);
      return { status: 'SUCCESS' };
    },
  });
  await consumer.start();
  await received.atLeast(2);
  const tool = new RemotingClient();
  closes.push(() => tool.close());
  const ask = (code: number, extFields: Record<string, string>): Promise<RemotingCommand> =>
    tool.invoke(cluster.brokerAddr, requestCommand(code, extFields), 15_000);
  return { session, received, ask, queue, sent, consumer };
}

const RESET = { topic: 'T', group: 'G', timestamp: '0', isForce: 'true' };
const bodiesOf = (messages: readonly ReceivedMessage[]) => messages.map(({ body }) => body.toString()).sort();

describe.each([true, false])('a reset with useServerSideResetOffset=%s', (useServerSideResetOffset) => {
  it('has a consumer that is there begin anew', async () => {
    const { received, ask } = await consuming({ useServerSideResetOffset });
    // The members' way needs a recorded offset of every queue: the consumer's next save brings them.
    const reset = async () => (await ask(REQUEST_CODE.INVOKE_BROKER_TO_RESET_OFFSET, RESET)).code;
    await expect.poll(reset, { interval: 100 }).toBe(0);
    await received.atLeast(4);
    expect(bodiesOf(received.items.slice(2, 4))).toEqual(['0', '1']);
  });
});

describe('questions about a consumer', () => {
  it('are answered by it through the broker', async () => {
    const { session, ask, queue, sent } = await consuming({});
    const status = await ask(REQUEST_CODE.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: 'T', group: 'G' });
    const table = decodeConsumerStatusesBody(status.body).consumerTable.get(session.clientId) ?? [];
    expect(table.find(([{ queueId }]) => queueId === queue.queueId)?.[1]).toBe(2);
    const fields = { consumerGroup: 'G', clientId: session.clientId };
    const info = await ask(REQUEST_CODE.GET_CONSUMER_RUNNING_INFO, fields);
    expect((parseLooseJson(info.body.toString()) as Record<string, unknown>)['properties']).toMatchObject({
      PROP_CONSUMEORDERLY: 'false',
    });
    const msgId = sent[0]?.offsetMsgId ?? '';
    const direct = await ask(REQUEST_CODE.CONSUME_MESSAGE_DIRECTLY, { ...fields, msgId, topic: 'T' });
    expect(JSON.parse(direct.body.toString())).toMatchObject({ consumeResult: 'CR_SUCCESS' });
  });
});
