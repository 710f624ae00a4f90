/** Progress of groups, counts, connected producers, queue entries, timer files and the state of the broker. */
import { describe, expect, it } from 'vitest';
import { decodeConsumeStatsBody, decodeKVTable, decodeTopicStatsBody } from '../../../src/protocol/bodies.js';
import { emptyHeader, pullMessageHeader } from '../../../src/protocol/headers/messaging.js';
import { parseLooseJson } from '../../../src/protocol/looseJson.js';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import type { RemotingCommand } from '../../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { RawClient } from '../../support/rawClient.js';
import { heartbeat, pull, send, startTestBroker } from '../../support/testBroker.js';

const bodyOf = (response: RemotingCommand) => parseLooseJson(response.body.toString()) as Record<string, unknown>;

const commit = (client: RawClient, consumerGroup: string, commitOffset: number, queueId = 0) =>
  client.callRaw(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, {
    consumerGroup,
    topic: 'T',
    queueId: String(queueId),
    commitOffset: String(commitOffset),
  });

const view = async (client: RawClient, statsName: string, statsKey: string) => {
  const response = await client.callRaw(REQUEST_CODE.VIEW_BROKER_STATS_DATA, { statsName, statsKey });
  return response.code === 0 ? bodyOf(response) : response;
};

describe('counts (315)', () => {
  it('are of what was put, got and sent back', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const places: RemotingCommand[] = [];
    for (const body of ['1', '2', '3', '4']) places.push(await send(one, { topic: 'T', body }));
    await pull(one, { topic: 'T', maxMsgNums: 3 });
    await pull(one, { topic: 'T', queueOffset: 4 });
    const offset = String(Number.parseInt(places[0]?.extFields['msgId']?.slice(16) ?? '', 16));
    await one.callRaw(REQUEST_CODE.CONSUMER_SEND_MSG_BACK, { offset, group: 'CG', delayLevel: '0' });
    clock.advance(4000);
    const puts = await view(one, 'TOPIC_PUT_NUMS', 'T');
    expect(puts).toMatchObject({
      statsMinute: { sum: 4, tps: 1, avgpt: 1 },
      statsHour: { sum: 4 },
      statsDay: { sum: 4 },
    });
    expect(await view(one, 'GROUP_GET_NUMS', 'T@CG')).toMatchObject({ statsMinute: { sum: 3, tps: 0.75, avgpt: 3 } });
    expect(await view(one, 'SNDBCK_PUT_NUMS', 'T@CG')).toMatchObject({ statsMinute: { sum: 1 } });
    expect(await view(one, 'BROKER_GET_NUMS', 'DefaultCluster')).toMatchObject({ statsDay: { sum: 3 } });
    const record = (await pull(one, { topic: 'T', queueOffset: 3 })).body;
    expect(await view(one, 'GROUP_GET_FALL_SIZE', 'T@CG')).toMatchObject({
      statsMinute: { sum: expect.any(Number) },
    });
    expect(await view(one, 'TOPIC_PUT_SIZE', 'T')).toMatchObject({ statsDay: { sum: 4 * record.length } });
    expect(await view(one, 'TOPIC_PUT_NUMS', 'U')).toMatchObject({
      code: RESPONSE_CODE.SYSTEM_ERROR,
      remark: 'The stats <TOPIC_PUT_NUMS> <U> not exist',
    });
    const stats = decodeTopicStatsBody((await one.callRaw(REQUEST_CODE.GET_TOPIC_STATS_INFO, { topic: 'T' })).body);
    expect(stats.topicPutTps).toBe(1);
    await commit(one, 'CG', 3);
    const progress = await one.callRaw(REQUEST_CODE.GET_CONSUME_STATS, { consumerGroup: 'CG' });
    expect(decodeConsumeStatsBody(progress.body).consumeTps).toBeCloseTo(1);
  });
});

describe('progress', () => {
  it('of all groups (317), with what is left', async () => {
    const { client, broker } = await startTestBroker();
    const one = client();
    for (const body of ['1', '2', '3']) await send(one, { topic: 'T', body });
    await pull(one, { topic: 'T', maxMsgNums: 2 });
    await commit(one, 'CG', 1);
    const body = bodyOf(await one.callRaw(REQUEST_CODE.GET_BROKER_CONSUME_STATS, { isOrder: 'false' }));
    expect(body).toMatchObject({
      brokerAddr: `${broker.address.host}:${broker.address.port}`,
      totalDiff: 2,
      totalInflightDiff: 1,
    });
    const list = body['consumeStatsList'] as Record<string, { offsetTable: Map<unknown, unknown> }[]>[];
    const [stats] = list.find((entry) => 'CG' in entry)?.['CG'] ?? [];
    expect([...(stats?.offsetTable ?? [])][0]).toMatchObject([
      { topic: 'T', queueId: 0, brokerName: 'broker-a' },
      { brokerOffset: 3, consumerOffset: 1, pullOffset: 2 },
    ]);
    expect(list.map((entry) => Object.keys(entry)[0])).toContain('TOOLS_CONSUMER');
    const ordered = bodyOf(await one.callRaw(REQUEST_CODE.GET_BROKER_CONSUME_STATS, { isOrder: 'true' }));
    expect(ordered).toMatchObject({ totalDiff: 0 });
  });

  it('in time (303)', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const start = clock.now();
    for (const body of ['1', '2', '3']) {
      await send(one, { topic: 'T', body });
      clock.advance(1000);
    }
    await commit(one, 'CG', 2);
    const ask = (topic: string) => one.callRaw(REQUEST_CODE.QUERY_CONSUME_TIME_SPAN, { topic, group: 'CG' });
    const spans = bodyOf(await ask('T'))['consumeTimeSpanSet'] as Record<string, unknown>[];
    expect(spans).toHaveLength(4);
    expect(spans[0]).toMatchObject({
      messageQueue: { topic: 'T', queueId: 0, brokerName: 'broker-a' },
      minTimeStamp: start,
      maxTimeStamp: start + 2000,
      consumeTimeStamp: start + 1000,
      consumeTimeStampStr: expect.stringMatching(/^\d{4}-\d\d-\d\d#\d\d:\d\d:01:000$/),
      delayTime: 1000,
    });
    expect(spans[1]).toMatchObject({ minTimeStamp: -1, maxTimeStamp: -1, consumeTimeStamp: -1, delayTime: 0 });
    expect((await ask('U')).code).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
  });

  it('of topics and groups by name (300, 343, 345)', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    await commit(one, 'OFF', 1);
    await heartbeat(one, { group: 'ON', topics: { T: 'A' } });
    const groups = bodyOf(await one.callRaw(REQUEST_CODE.QUERY_TOPIC_CONSUME_BY_WHO, { topic: 'T' }));
    expect(groups).toEqual({ groupList: ['OFF', 'ON'] });
    const topics = bodyOf(await one.callRaw(REQUEST_CODE.QUERY_TOPICS_BY_CONSUMER, { group: 'OFF' }));
    expect(topics).toMatchObject({ topicList: ['T'], brokerAddr: expect.stringContaining(':') });
    const ask = async (group: string) =>
      bodyOf(await one.callRaw(REQUEST_CODE.QUERY_SUBSCRIPTION_BY_CONSUMER, { group, topic: 'T' }));
    expect(await ask('ON')).toMatchObject({ group: 'ON', topic: 'T', subscriptionData: { subString: 'A' } });
    expect(await ask('OFF')).toEqual({ group: 'OFF', topic: 'T' });
  });

  it('of the slowest group (308), and copied to another (314)', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['1', '2', '3']) await send(one, { topic: 'T', body });
    await commit(one, 'SLOW', 1);
    await commit(one, 'FAST', 3);
    const corrections = async (fields: Record<string, string>) => {
      const response = await one.callRaw(REQUEST_CODE.QUERY_CORRECTION_OFFSET, { topic: 'T', ...fields });
      return response.body.toString();
    };
    expect(await corrections({ compareGroup: 'FAST' })).toBe('{"correctionOffsets":{0:1}}');
    // The group that is compared is behind all others: nothing to correct.
    const filtered = await corrections({ compareGroup: 'SLOW', filterGroups: 'SLOW,X' });
    expect(filtered).toBe('{"correctionOffsets":{0:9223372036854775807}}');
    expect(await corrections({ compareGroup: 'FAST' })).toBe('{"correctionOffsets":{0:1}}');
    const clone = { srcGroup: 'SLOW', destGroup: 'COPY', offline: 'false' };
    expect((await one.callRaw(REQUEST_CODE.CLONE_GROUP_OFFSET, clone)).code).toBe(0);
    const copied = await one.callRaw(REQUEST_CODE.QUERY_CONSUMER_OFFSET, {
      consumerGroup: 'COPY',
      topic: 'T',
      queueId: '0',
    });
    expect(copied.extFields['offset']).toBe('1');
    // What an online group does not subscribe is left out.
    await heartbeat(one, { group: 'SLOW', topics: { Other: '*' } });
    await one.callRaw(REQUEST_CODE.CLONE_GROUP_OFFSET, { ...clone, destGroup: 'COPY2', topic: 'T' });
    expect(bodyOf(await one.callRaw(REQUEST_CODE.QUERY_TOPICS_BY_CONSUMER, { group: 'COPY2' }))).toMatchObject({
      topicList: [],
    });
  });
});

describe('entries of a queue (321)', () => {
  const ask = (client: RawClient, fields: Record<string, string>) =>
    client.callRaw(REQUEST_CODE.QUERY_CONSUME_QUEUE, { topic: 'T', queueId: '0', index: '0', count: '10', ...fields });

  it('come from an index on, judged by a group that is there', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const TAGS of ['A', 'B', 'A']) await send(one, { topic: 'T', props: { TAGS } });
    const stored = decodeRecord((await pull(one, { topic: 'T', queueOffset: 1, maxMsgNums: 1 })).body);
    const all = bodyOf(await ask(one, { index: '1', count: '1' }));
    expect(all).toEqual({
      minQueueIndex: 0,
      maxQueueIndex: 3,
      queueData: [{ physicOffset: stored.commitLogOffset, physicSize: stored.sizeBytes, tagsCode: 66, eval: true }],
    });
    const away = bodyOf(await ask(one, { consumerGroup: 'CG' }));
    expect(away).toMatchObject({ filterData: 'CG@T is not online!' });
    await heartbeat(one, { group: 'CG', topics: { T: 'A' } });
    const judged = bodyOf(await ask(one, { consumerGroup: 'CG' }));
    expect((judged['queueData'] as { eval: boolean }[]).map((entry) => entry.eval)).toEqual([true, false, true]);
    expect(judged['subscriptionData']).toMatchObject({ subString: 'A' });
    expect(await ask(one, { topic: 'U' })).toMatchObject({ code: 1, remark: '0@U is not exist!' });
    expect(bodyOf(await ask(one, { index: '99' }))['queueData']).toEqual([]);
  });
});

describe('producers (328) and the timer (60, 61)', () => {
  it('are listed and told', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await heartbeat(one, { clientId: 'p1', group: 'ignored', producers: ['PG'] });
    const { data } = bodyOf(await one.call(REQUEST_CODE.GET_ALL_PRODUCER_INFO, emptyHeader, {})) as {
      data: Record<string, unknown[]>;
    };
    expect(data['PG']).toMatchObject([{ clientId: 'p1', remoteIP: '127.0.0.1', lastUpdateTimestamp: clock.now() }]);
    expect(await one.callRaw(REQUEST_CODE.GET_TIMER_CHECK_POINT)).toMatchObject({
      code: 1,
      remark: 'The checkpoint is null',
    });
    await send(one, { topic: 'T', props: { TIMER_DELAY_SEC: '100' } });
    const metrics = async () =>
      bodyOf(await one.callRaw(REQUEST_CODE.GET_TIMER_METRICS)) as { timingCount: Record<string, { count: number }> };
    await expect.poll(async () => (await metrics()).timingCount['T']?.count).toBe(1);
    await expect
      .poll(async () => {
        await clock.advanceInSteps(2000, 500);
        return (await one.callRaw(REQUEST_CODE.GET_TIMER_CHECK_POINT)).body.length;
      })
      .toBe(56);
    const info = decodeKVTable((await one.callRaw(REQUEST_CODE.GET_BROKER_RUNTIME_INFO)).body).table;
    expect(info.get('timerCongestNum')).toBe('1');
    expect(info.get('timerOffsetBehind')).toBe('0');
  });

  it('without a timer are refused', async () => {
    const { client } = await startTestBroker({ config: { timerWheelEnable: false } });
    const one = client();
    for (const code of [REQUEST_CODE.GET_TIMER_CHECK_POINT, REQUEST_CODE.GET_TIMER_METRICS]) {
      expect((await one.callRaw(code)).code).toBe(1);
    }
  });
});

describe('the state of the broker (28)', () => {
  /** What mqadmin's clusterList and the dashboard read. */
  const READ = [
    'brokerVersionDesc putTps getTransferredTps sendThreadPoolQueueSize pullThreadPoolQueueSize ackThreadPoolQueueSize',
    'sendThreadPoolQueueHeadWaitTimeMills pullThreadPoolQueueHeadWaitTimeMills ackThreadPoolQueueHeadWaitTimeMills',
    'pageCacheLockTimeMills earliestMessageTimeStamp commitLogDiskRatio timerReadBehind timerOffsetBehind',
    'timerCongestNum timerEnqueueTps timerDequeueTps brokerActive msgPutTotalTodayNow msgPutTotalTodayMorning',
    'msgPutTotalYesterdayMorning msgGetTotalTodayNow msgGetTotalTodayMorning msgGetTotalYesterdayMorning',
  ].flatMap((line) => line.split(' '));

  it('has every key that tools read', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const info = async () => decodeKVTable((await one.callRaw(REQUEST_CODE.GET_BROKER_RUNTIME_INFO)).body).table;
    expect((await info()).get('earliestMessageTimeStamp')).toBe('-1');
    const start = clock.now();
    for (const body of ['1', '2']) await send(one, { topic: 'T', body });
    await one.call(REQUEST_CODE.PULL_MESSAGE, pullMessageHeader, {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: 0,
      queueOffset: 0,
      maxMsgNums: 32,
      sysFlag: 4,
      commitOffset: 0,
      suspendTimeoutMillis: 0,
      subscription: '*',
      subVersion: 0,
    });
    await pull(one, { topic: 'T', queueOffset: 2 });
    clock.advance(10_000);
    const table = await info();
    expect(READ.filter((key) => !table.has(key))).toEqual([]);
    expect(Object.fromEntries(table)).toMatchObject({
      putTps: '0.20 0.03 0.00',
      getTransferredTps: '0.20 0.03 0.00',
      getFoundTps: '0.10 0.02 0.00',
      getMissTps: '0.10 0.02 0.00',
      getTotalTps: '0.20 0.04 0.00',
      msgPutTotalTodayNow: '2',
      msgGetTotalTodayNow: '2',
      earliestMessageTimeStamp: String(start),
      commitLogDirCapacity: expect.stringMatching(/^Total : [\d.]+ GiB, Free : [\d.]+ GiB\.$/),
    });
    expect(Number(table.get('commitLogDiskRatio'))).toBeGreaterThan(0);
    // Named as DefaultMessageStore and AdminBrokerProcessor do, and nothing that they do not have.
    const ofLog = [...table.keys()].filter((key) => key.startsWith('commitLogDiskRatio_'));
    expect(ofLog).toEqual([expect.stringMatching(/^commitLogDiskRatio_.*commitlog$/)]);
    expect(table.get(ofLog[0] ?? '')).toBe(table.get('commitLogDiskRatio'));
    expect(table.get('EndTransactionQueueSize')).toBe('0');
    expect(table.has('brokerVersion')).toBe(false);
    expect(Number(table.get('putMessageAverageSize'))).toBeGreaterThan(100);
    clock.advance(86_400_000);
    await send(one, { topic: 'T' });
    const next = await info();
    expect([next.get('msgPutTotalTodayMorning'), next.get('msgPutTotalTodayNow')]).toEqual(['2', '3']);
  });
});
