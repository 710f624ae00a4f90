/**
 * A broker that never knows the group, however often it is told: the consumer keeps asking, but at a measured pace.
 * The broker is a table of answers, since the real one cannot be made to behave like that; time is moved by hand.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { Session } from '../../src/client/session.js';
import { encodeConsumerList, encodeTopicRouteData } from '../../src/protocol/bodies.js';
import { emptyHeader, offsetResponseHeader } from '../../src/protocol/headers/messaging.js';
import type { ResponseFields } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import { ManualClock } from '../support/manualClock.js';

const ROUTE = encodeTopicRouteData(
  {
    queueDatas: [{ brokerName: 'b', readQueueNums: 4, writeQueueNums: 4, perm: 6, topicSysFlag: 0 }],
    brokerDatas: [{ cluster: 'C', brokerName: 'b', brokerAddrs: new Map([[0, 'b:1']]), enableActingMaster: false }],
    filterServerTable: new Map(),
  },
  'standard',
);
const OK: ResponseFields = { code: RESPONSE_CODE.SUCCESS };

let session: Session | undefined;
afterEach(() => session?.close());

/** Opens a session to servers that answer each code like this, and counts the requests. */
async function consumerOf(answers: Record<number, () => ResponseFields>) {
  const clock = new ManualClock();
  const counts = new Map<number, number>();
  const rows = Object.entries(answers).map(([code, answer]) =>
    processor({
      code: Number(code),
      header: emptyHeader,
      lane: 'all',
      handle() {
        counts.set(Number(code), (counts.get(Number(code)) ?? 0) + 1);
        return answer();
      },
    }),
  );
  const table = new ProcessorTable({ rows, lanes: { all: { maxInFlight: 100 } } });
  const endpoints = new Map([
    ['ns:1', table],
    ['b:1', table],
  ]);
  session = await Session.open({
    namesrvAddr: 'ns:1',
    clock,
    transport: (own) => new LocalTransport({ endpoints, table: own, clock }),
  });
  const consumer = new PushConsumer(session, {
    group: 'G',
    subscriptions: [{ topic: 'T' }],
    listener: async () => ({ status: 'SUCCESS' }),
  });
  await consumer.start();
  return { clock, counts, consumer, clientId: session.clientId };
}

describe('a broker that does not know the group', () => {
  it('not in the list of members: asked again about once a second, nothing is taken', async () => {
    const { clock, counts, consumer } = await consumerOf({
      [REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC]: () => ({ ...OK, body: ROUTE }),
      [REQUEST_CODE.HEART_BEAT]: () => OK,
      [REQUEST_CODE.UNREGISTER_CLIENT]: () => OK,
      [REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP]: () => ({ ...OK, body: encodeConsumerList({ consumerIdList: ['x'] }) }),
    });
    await clock.advanceInSteps(10_000, 50);
    expect(consumer.assignedQueues()).toEqual([]);
    // Two topics, the group's retry topic being the second.
    expect(counts.get(REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP)).toBeGreaterThan(10);
    expect(counts.get(REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP)).toBeLessThan(40);
    expect(counts.get(REQUEST_CODE.HEART_BEAT)).toBeLessThan(60);
  });

  it('pulls refused for want of a subscription are repeated at a measured pace, with heartbeats between', async () => {
    let clientId = '';
    const subject = await consumerOf({
      [REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC]: () => ({ ...OK, body: ROUTE }),
      [REQUEST_CODE.HEART_BEAT]: () => OK,
      [REQUEST_CODE.UNREGISTER_CLIENT]: () => OK,
      [REQUEST_CODE.UPDATE_CONSUMER_OFFSET]: () => OK,
      [REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP]: () => ({
        ...OK,
        body: encodeConsumerList({ consumerIdList: [clientId] }),
      }),
      [REQUEST_CODE.QUERY_CONSUMER_OFFSET]: () => ({ ...OK, extFields: offsetResponseHeader.encode({ offset: 5 }) }),
      [REQUEST_CODE.PULL_MESSAGE]: () => ({ code: RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST, remark: 'who?' }),
    });
    clientId = subject.clientId;
    await subject.clock.advanceInSteps(10_000, 50);
    expect(subject.consumer.assignedQueues()).toHaveLength(8);
    const pulls = subject.counts.get(REQUEST_CODE.PULL_MESSAGE) ?? 0;
    // 8 loops: a few sooner ones each, then one a second.
    expect(pulls).toBeGreaterThan(8 * 8);
    expect(pulls).toBeLessThan(8 * 17);
    expect(subject.counts.get(REQUEST_CODE.HEART_BEAT)).toBeLessThan(pulls);
  });
});
