import { describe, expect, it } from 'vitest';
import { encodeSubscriptionGroupConfig, subscriptionGroupConfigOf } from '../../../src/protocol/bodies.js';
import { updateAndCreateTopicHeader } from '../../../src/protocol/headers/admin.js';
import { invokeBrokerToResetOffsetHeader } from '../../../src/protocol/headers/group.js';
import { emptyHeader, PULL_SYS_FLAG, queryConsumerOffsetHeader } from '../../../src/protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { RawClient } from '../../support/rawClient.js';
import type { Pulling } from '../../support/testBroker.js';
import { bodiesOf, heartbeat, pull, send, startTestBroker } from '../../support/testBroker.js';

const { COMMIT_OFFSET, SUSPEND, SUBSCRIPTION } = PULL_SYS_FLAG;

/** Lets everything that is under way in this process get as far as it can. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A pull under way: whether it was answered, and with what. */
function observed(client: RawClient, pulling: Pulling) {
  const state = { isAnswered: false };
  const response = pull(client, { sysFlag: SUBSCRIPTION | SUSPEND, ...pulling }).then((answer) => {
    state.isAnswered = true;
    return answer;
  });
  // One that is still held when the test ends is cut off.
  response.catch(() => {});
  return { state, response };
}

describe('PULL_MESSAGE', () => {
  it('answers messages from the offset on, up to the count and the bytes', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b', 'c']) await send(one, { topic: 'T', body });
    const all = await pull(one, { topic: 'T' });
    expect(all).toMatchObject({
      code: RESPONSE_CODE.SUCCESS,
      remark: 'FOUND',
      extFields: { suggestWhichBrokerId: '0', nextBeginOffset: '3', minOffset: '0', maxOffset: '3' },
    });
    expect(bodiesOf(all)).toEqual(['a', 'b', 'c']);
    expect(bodiesOf(await pull(one, { topic: 'T', queueOffset: 1, maxMsgNums: 1 }))).toEqual(['b']);
    expect(bodiesOf(await pull(one, { topic: 'T', maxMsgBytes: 1 }))).toEqual(['a']);
    expect(bodiesOf(await pull(one, { topic: 'T', maxMsgNums: 2_000_000_000 }))).toEqual(['a', 'b', 'c']);
    expect(bodiesOf(await pull(one, { topic: 'T', maxMsgNums: -1 }))).toEqual(['a']);
  });

  it.each([
    [0, 19, 'NO_MESSAGE_IN_QUEUE', '0'],
    [5, 21, 'NO_MESSAGE_IN_QUEUE', '0'],
  ])('of an empty queue from %i is %i', async (queueOffset, code, remark, nextBeginOffset) => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', queueId: 1 });
    expect(await pull(one, { topic: 'T', queueOffset })).toMatchObject({
      code,
      remark,
      extFields: { nextBeginOffset },
    });
  });

  it.each([
    [2, 19, 'OFFSET_OVERFLOW_ONE', '2'],
    [500, 21, 'OFFSET_OVERFLOW_BADLY', '2'],
    [-1, 21, 'OFFSET_TOO_SMALL', '0'],
  ])('of a queue 0..2 from %i is %i %s', async (queueOffset, code, remark, nextBeginOffset) => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b']) await send(one, { topic: 'T', body });
    expect(await pull(one, { topic: 'T', queueOffset })).toMatchObject({
      code,
      remark,
      extFields: { nextBeginOffset, minOffset: '0', maxOffset: '2' },
    });
  });

  it('filters by tag and by SQL from the request', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const [TAGS, price] of Object.entries({ A: '1', B: '2', C: '3' })) {
      await send(one, { topic: 'T', body: TAGS, props: { TAGS, price } });
    }
    expect(bodiesOf(await pull(one, { topic: 'T', subscription: 'A || C' }))).toEqual(['A', 'C']);
    const sql = { topic: 'T', subscription: "price >= 2 AND TAGS <> 'C'", expressionType: 'SQL92' };
    expect(bodiesOf(await pull(one, sql))).toEqual(['B']);
    expect(await pull(one, { topic: 'T', subscription: 'D' })).toMatchObject({
      code: RESPONSE_CODE.PULL_RETRY_IMMEDIATELY,
      remark: 'NO_MATCHED_MESSAGE',
      extFields: { nextBeginOffset: '3' },
    });
  });

  const refusals: [Partial<Pulling>, number][] = [
    [{ subscription: 'price >', expressionType: 'SQL92' }, RESPONSE_CODE.SUBSCRIPTION_PARSE_FAILED],
    [{ subscription: '', expressionType: 'SQL92' }, RESPONSE_CODE.SUBSCRIPTION_PARSE_FAILED],
    [{ subscription: 'x', expressionType: 'REGEX' }, RESPONSE_CODE.SUBSCRIPTION_PARSE_FAILED],
    [{ subscription: '||' }, RESPONSE_CODE.SUBSCRIPTION_PARSE_FAILED],
    [{ queueId: -1 }, RESPONSE_CODE.INVALID_PARAMETER],
    [{ queueId: 4 }, RESPONSE_CODE.INVALID_PARAMETER],
    [{ topic: 'Nowhere' }, RESPONSE_CODE.TOPIC_NOT_EXIST],
    [{ consumerGroup: 'no group' }, RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST],
    [{ sysFlag: 0 }, RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST],
  ];

  it('refuses what names nothing that is there, and says what', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    for (const [pulling, code] of refusals) {
      const response = await pull(one, { topic: 'T', ...pulling });
      expect(response.code, JSON.stringify(pulling)).toBe(code);
      expect(response.remark).toBeTruthy();
    }
  });

  it('refuses SQL when it is turned off', async () => {
    const { client } = await startTestBroker({ config: { enablePropertyFilter: false } });
    const one = client();
    await send(one, { topic: 'T' });
    expect(await pull(one, { topic: 'T', subscription: 'a = 1', expressionType: 'SQL92' })).toMatchObject({
      code: RESPONSE_CODE.SYSTEM_ERROR,
      remark: 'The broker does not support consumer to filter message by SQL92',
    });
  });

  it('says who forbids: the broker, the group or the topic', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const create = { defaultTopic: 'TBW102', readQueueNums: 1, writeQueueNums: 1, topicFilterType: 'SINGLE_TAG' };
    await one.call(REQUEST_CODE.UPDATE_AND_CREATE_TOPIC, updateAndCreateTopicHeader, {
      topic: 'W',
      perm: 2,
      ...create,
    });
    expect(await pull(one, { topic: 'W' })).toMatchObject({ code: 16, extFields: { forbiddenType: '3' } });
    const group = encodeSubscriptionGroupConfig(subscriptionGroupConfigOf('CG', { consumeEnable: false }));
    await one.call(REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, emptyHeader, {}, group);
    expect(await pull(one, { topic: 'W' })).toMatchObject({ code: 16, extFields: { forbiddenType: '2' } });
    const { client: other } = await startTestBroker({ config: { brokerPermission: 2 } });
    expect(await pull(other(), { topic: 'T' })).toMatchObject({ code: 16, extFields: { forbiddenType: '1' } });
  });

  it('without a subscription uses the one of the heartbeat', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const TAGS of ['A', 'B']) await send(one, { topic: 'T', body: TAGS, props: { TAGS } });
    await heartbeat(one, { group: 'CG', topics: { T: 'B' }, subVersion: 5 });
    expect(bodiesOf(await pull(one, { topic: 'T', sysFlag: 0, subVersion: 5 }))).toEqual(['B']);
    expect((await pull(one, { topic: 'T', sysFlag: 0, subVersion: 6 })).code).toBe(
      RESPONSE_CODE.SUBSCRIPTION_NOT_LATEST,
    );
    await send(one, { topic: 'Other' });
    const other = await pull(one, { topic: 'Other', sysFlag: 0 });
    expect(other).toMatchObject({
      code: RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST,
      remark: "the consumer's subscription not exist",
    });
    await heartbeat(one, { group: 'CG', topics: { T: { sql: "TAGS = 'A'" } }, subVersion: 7 });
    expect(bodiesOf(await pull(one, { topic: 'T', sysFlag: 0, subVersion: 7 }))).toEqual(['A']);
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'TAGS =' } }, subVersion: 8 });
    const broken = { topic: 'T', sysFlag: 0, subVersion: 8 };
    expect((await pull(one, broken)).code).toBe(RESPONSE_CODE.FILTER_DATA_NOT_LATEST);
  });

  it('records the offset that comes with it, unless it lies beyond the end', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b', 'c']) await send(one, { topic: 'T', body });
    const stored = () =>
      one
        .call(REQUEST_CODE.QUERY_CONSUMER_OFFSET, queryConsumerOffsetHeader, {
          consumerGroup: 'CG',
          topic: 'T',
          queueId: 0,
        })
        .then(({ extFields }) => extFields['offset']);
    await pull(one, { topic: 'T', sysFlag: SUBSCRIPTION | COMMIT_OFFSET, commitOffset: 2 });
    expect(await stored()).toBe('2');
    const beyond = await pull(one, { topic: 'T', sysFlag: SUBSCRIPTION | COMMIT_OFFSET, commitOffset: 99 });
    expect(beyond.code).toBe(RESPONSE_CODE.SUCCESS);
    expect(await stored()).toBe('2');
  });

  it('with a subscription of a Go client, whose versions are nanoseconds, is answered by it', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const tag of ['A', 'B']) await send(one, { topic: 'T', body: tag, props: { TAGS: tag } });
    const ofRequest = {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: '0',
      queueOffset: '0',
      maxMsgNums: '32',
      sysFlag: '4',
      commitOffset: '0',
      suspendTimeoutMillis: '0',
      subscription: "TAGS = 'B'",
      expressionType: 'SQL92',
      subVersion: '1795463845711556306',
    };
    expect(bodiesOf(await one.callRaw(REQUEST_CODE.PULL_MESSAGE, ofRequest))).toEqual(['B']);
    await heartbeat(one, {
      group: 'CG',
      topics: { T: { sql: "TAGS = 'A'" } },
      subVersion: Number(ofRequest.subVersion),
    });
    const ofGroup = { ...ofRequest, sysFlag: '0' };
    expect(bodiesOf(await one.callRaw(REQUEST_CODE.PULL_MESSAGE, ofGroup))).toEqual(['A']);
    const newer = { ...ofGroup, subVersion: '1795463846711556306' };
    expect((await one.callRaw(REQUEST_CODE.PULL_MESSAGE, newer)).code).toBe(RESPONSE_CODE.SUBSCRIPTION_NOT_LATEST);
  });

  it('a lite pull is the same, when it is allowed', async () => {
    const { client } = await startTestBroker({ config: { litePullMessageEnable: false } });
    const one = client();
    await send(one, { topic: 'T' });
    const extFields = {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: '0',
      queueOffset: '0',
      maxMsgNums: '10',
      sysFlag: '22',
      commitOffset: '0',
      suspendTimeoutMillis: '0',
      subscription: '*',
      subVersion: '0',
    };
    expect((await one.callRaw(REQUEST_CODE.LITE_PULL_MESSAGE, extFields)).code).toBe(RESPONSE_CODE.NO_PERMISSION);
    const { client: other } = await startTestBroker();
    const two = other();
    await send(two, { topic: 'T', body: 'lite' });
    expect(bodiesOf(await two.callRaw(REQUEST_CODE.LITE_PULL_MESSAGE, extFields))).toEqual(['lite']);
  });
});

describe('long polling', () => {
  it('holds a pull until a message arrives, and answers it once with all that came in the turn', async () => {
    const { client } = await startTestBroker();
    const [one, two] = [client(), client()];
    await send(one, { topic: 'T', body: 'old' });
    const waiting = observed(two, { topic: 'T', queueOffset: 1 });
    await settle();
    expect(waiting.state.isAnswered).toBe(false);
    await Promise.all(['a', 'b', 'c'].map((body) => send(one, { topic: 'T', body })));
    expect(bodiesOf(await waiting.response)).toEqual(['a', 'b', 'c']);
  });

  it('is not woken by other queues or tags, and passes what its filter refuses', async () => {
    const { client, clock } = await startTestBroker();
    const [one, two] = [client(), client()];
    await send(one, { topic: 'T', queueId: 1 });
    const tagged = observed(two, { topic: 'T', subscription: 'A' });
    const sql = observed(two, { topic: 'T', subscription: 'price = 3', expressionType: 'SQL92' });
    await settle();
    await send(one, { topic: 'T', queueId: 1 });
    await send(one, { topic: 'T', props: { TAGS: 'B', price: '2' } });
    await settle();
    expect([tagged.state.isAnswered, sql.state.isAnswered]).toEqual([false, false]);
    await send(one, { topic: 'T', body: 'mine', props: { TAGS: 'A', price: '3' } });
    expect(bodiesOf(await tagged.response)).toEqual(['mine']);
    expect(bodiesOf(await sql.response)).toEqual(['mine']);
    expect(clock.pendingCount).toBeGreaterThan(0);
  });

  it('moves the consumer on within two seconds when only other messages come', async () => {
    const { client, clock } = await startTestBroker();
    const [one, two] = [client(), client()];
    await send(one, { topic: 'T', queueId: 1 });
    const waiting = observed(two, { topic: 'T', subscription: 'price = 3', expressionType: 'SQL92' });
    await settle();
    await send(one, { topic: 'T', props: { price: '1' } });
    await send(one, { topic: 'T', props: { price: '2' } });
    await settle();
    expect(waiting.state.isAnswered).toBe(false);
    clock.advance(2000);
    const response = await waiting.response;
    expect(response.extFields).toMatchObject({ nextBeginOffset: '2', maxOffset: '2' });
    expect([RESPONSE_CODE.PULL_NOT_FOUND, RESPONSE_CODE.PULL_RETRY_IMMEDIATELY]).toContain(response.code);
  });

  it('ends at the deadline with nothing new', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', body: 'old' });
    const waiting = observed(one, { topic: 'T', queueOffset: 1, suspendTimeoutMillis: 15_000 });
    await settle();
    clock.advance(14_000);
    await settle();
    expect(waiting.state.isAnswered).toBe(false);
    clock.advance(2000);
    expect(await waiting.response).toMatchObject({
      code: RESPONSE_CODE.PULL_NOT_FOUND,
      extFields: { nextBeginOffset: '1', maxOffset: '1' },
    });
  });

  it('is short when it is turned off', async () => {
    const { client, clock } = await startTestBroker({ config: { longPollingEnable: false } });
    const one = client();
    await send(one, { topic: 'T' });
    const waiting = observed(one, { topic: 'T', queueOffset: 1 });
    await settle();
    expect(waiting.state.isAnswered).toBe(false);
    clock.advance(2000);
    expect((await waiting.response).code).toBe(RESPONSE_CODE.PULL_NOT_FOUND);
  });

  it('holds no more than its bounds: over them the answer comes at once', async () => {
    const { client } = await startTestBroker({ config: { maxHeldPulls: 1 } });
    const one = client();
    await send(one, { topic: 'T' });
    const first = observed(one, { topic: 'T', queueOffset: 1 });
    const second = observed(one, { topic: 'T', queueOffset: 1 });
    expect((await second.response).code).toBe(RESPONSE_CODE.PULL_NOT_FOUND);
    expect(first.state.isAnswered).toBe(false);
    const { client: other } = await startTestBroker({ config: { maxHeldPullBytes: 1 } });
    const two = other();
    await send(two, { topic: 'T' });
    expect((await observed(two, { topic: 'T', queueOffset: 1 }).response).code).toBe(RESPONSE_CODE.PULL_NOT_FOUND);
  });

  it('frees its place when the peer goes away', async () => {
    const { client, clock } = await startTestBroker({ config: { maxHeldPulls: 1 } });
    const [one, two] = [client(), client()];
    await send(one, { topic: 'T' });
    const before = clock.pendingCount;
    const gone = observed(two, { topic: 'T', queueOffset: 1 });
    expect(gone.state.isAnswered).toBe(false);
    await settle();
    await two.close();
    await settle();
    const waiting = observed(one, { topic: 'T', queueOffset: 1 });
    await settle();
    expect(waiting.state.isAnswered).toBe(false);
    await send(one, { topic: 'T', body: 'new' });
    expect(bodiesOf(await waiting.response)).toEqual(['new']);
    expect(clock.pendingCount).toBeLessThanOrEqual(before + 2);
  });

  it('is answered when its topic is deleted and when the broker stops', async () => {
    const { client, clock, broker } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    await send(one, { topic: 'U' });
    const deleted = observed(one, { topic: 'T', queueOffset: 1 });
    const stopped = observed(one, { topic: 'U', queueOffset: 1 });
    await settle();
    await one.callRaw(REQUEST_CODE.DELETE_TOPIC_IN_BROKER, { topic: 'T' });
    clock.advance(16_000);
    expect((await deleted.response).code).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
    const again = observed(one, { topic: 'U', queueOffset: 1 });
    await stopped.response;
    await settle();
    await broker.stop();
    expect((await again.response).code).toBe(RESPONSE_CODE.PULL_NOT_FOUND);
  });
});

describe('a reset of offsets', () => {
  it('is handed out by the next pull, once, and wakes a held one', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b', 'c']) await send(one, { topic: 'T', body });
    await heartbeat(one, { group: 'CG', topics: { T: '*' } });
    const waiting = observed(one, { topic: 'T', queueOffset: 3 });
    await settle();
    const reset = { topic: 'T', group: 'CG', timestamp: 0, isForce: true, queueId: 0, offset: 1 };
    await one.call(REQUEST_CODE.INVOKE_BROKER_TO_RESET_OFFSET, invokeBrokerToResetOffsetHeader, reset);
    expect(await waiting.response).toMatchObject({
      code: RESPONSE_CODE.PULL_OFFSET_MOVED,
      remark: 'OFFSET_RESET',
      extFields: { nextBeginOffset: '1' },
    });
    expect(bodiesOf(await pull(one, { topic: 'T', queueOffset: 1 }))).toEqual(['b', 'c']);
  });
});
