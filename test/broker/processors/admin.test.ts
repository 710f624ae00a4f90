/** Topics, groups, queries and statistics as tools ask for them. */
import { describe, expect, it } from 'vitest';
import type { TopicConfig } from '../../../src/protocol/bodies.js';
import {
  decodeConsumeStatsBody,
  decodeKVTable,
  decodeResetOffsetBody,
  decodeSubscriptionGroupConfig,
  decodeSubscriptionGroupTable,
  decodeTopicConfig,
  decodeTopicConfigTable,
  decodeTopicList,
  decodeTopicStatsBody,
  encodeSubscriptionGroupConfig,
  subscriptionGroupConfigOf,
} from '../../../src/protocol/bodies.js';
import {
  deleteSubscriptionGroupHeader,
  getConsumeStatsHeader,
  getTopicStatsInfoHeader,
  updateAndCreateTopicHeader,
} from '../../../src/protocol/headers/admin.js';
import { invokeBrokerToResetOffsetHeader } from '../../../src/protocol/headers/group.js';
import {
  emptyHeader,
  queryConsumerOffsetHeader,
  queryMessageHeader,
  updateConsumerOffsetHeader,
  viewMessageByIdHeader,
} from '../../../src/protocol/headers/messaging.js';
import { parseLooseJson } from '../../../src/protocol/looseJson.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { RawClient } from '../../support/rawClient.js';
import { heartbeat, messagesOf, pull, send, startTestBroker } from '../../support/testBroker.js';

const createTopic = (client: RawClient, topic: string, changes: Partial<TopicConfig> & { given?: string } = {}) =>
  client.call(REQUEST_CODE.UPDATE_AND_CREATE_TOPIC, updateAndCreateTopicHeader, {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: changes.readQueueNums ?? 2,
    writeQueueNums: changes.writeQueueNums ?? 2,
    perm: changes.perm ?? 6,
    topicFilterType: 'SINGLE_TAG',
    attributes: changes.given,
  });

describe('topics', () => {
  it('are made, changed, listed and deleted', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await createTopic(one, 'T', { given: '+message.type=FIFO' });
    await createTopic(one, 'T', { readQueueNums: 8 });
    const config = await one.callRaw(REQUEST_CODE.GET_TOPIC_CONFIG, { topic: 'T' });
    expect(decodeTopicConfig(config.body)).toMatchObject({
      readQueueNums: 8,
      writeQueueNums: 2,
      attributes: { 'message.type': 'FIFO' },
    });
    const all = await one.callRaw(REQUEST_CODE.GET_ALL_TOPIC_CONFIG);
    expect([...decodeTopicConfigTable(all.body).topicConfigTable.keys()]).toContain('T');
    await send(one, { topic: 'T', body: 'old' });
    await one.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: 0,
      commitOffset: 1,
    });
    expect((await one.callRaw(REQUEST_CODE.DELETE_TOPIC_IN_BROKER, { topic: 'T' })).code).toBe(RESPONSE_CODE.SUCCESS);
    expect((await one.callRaw(REQUEST_CODE.GET_TOPIC_CONFIG, { topic: 'T' })).code).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
    await createTopic(one, 'T');
    const offset = await one.call(REQUEST_CODE.QUERY_CONSUMER_OFFSET, queryConsumerOffsetHeader, {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: 0,
    });
    expect(offset.code).toBe(RESPONSE_CODE.QUERY_NOT_FOUND);
    expect((await send(one, { topic: 'T', body: 'new' })).extFields['queueOffset']).toBe('0');
  });

  it('come in pages sorted by name, from the start when they changed meanwhile', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const page = async (fields: Record<string, string>) => {
      const response = await one.callRaw(REQUEST_CODE.GET_ALL_TOPIC_CONFIG, fields);
      const { topicConfigTable, dataVersion } = decodeTopicConfigTable(response.body);
      return { names: [...topicConfigTable.keys()], dataVersion, total: Number(response.extFields['totalTopicNum']) };
    };
    const first = await page({ topicSeq: '0', maxTopicNum: '3' });
    expect(first.names).toHaveLength(3);
    const dataVersion = JSON.stringify(first.dataVersion);
    const second = await page({ topicSeq: '3', maxTopicNum: '2000', dataVersion });
    expect(second.names.length + 3).toBe(first.total);
    expect(second.names).not.toContain(first.names[0]);
    await createTopic(one, 'T');
    expect((await page({ topicSeq: '3', maxTopicNum: '3', dataVersion })).names).toEqual(first.names);
    expect((await page({ topicSeq: '3', maxTopicNum: '3', dataVersion: 'nonsense' })).names).toEqual(first.names);
  });

  const refusals: [Partial<TopicConfig> & { topic: string; given?: string }, number, string][] = [
    [{ topic: 'TBW102' }, RESPONSE_CODE.INVALID_PARAMETER, 'The topic[TBW102] is conflict with system topic.'],
    [{ topic: 'broker-a' }, RESPONSE_CODE.INVALID_PARAMETER, 'system topic'],
    [{ topic: 'a b' }, RESPONSE_CODE.INVALID_PARAMETER, 'illegal characters'],
    [{ topic: 'T', given: '+foo=1' }, RESPONSE_CODE.SYSTEM_ERROR, 'unsupported key: foo'],
    [{ topic: 'T', readQueueNums: 0 }, RESPONSE_CODE.INVALID_PARAMETER, '1 to 16384 queues'],
    [{ topic: 'T', writeQueueNums: -1 }, RESPONSE_CODE.INVALID_PARAMETER, '1 to 16384 queues'],
    [{ topic: 'T', perm: 99 }, RESPONSE_CODE.INVALID_PARAMETER, 'perm 99'],
  ];

  it('are refused with impossible names, queues, permissions and attributes', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const [{ topic, ...changes }, code, remark] of refusals) {
      const response = await createTopic(one, topic, changes);
      expect(response.code, remark).toBe(code);
      expect(response.remark).toContain(remark);
    }
  });

  it('of the system are listed apart and cannot be deleted', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const { topicList, brokerAddr } = decodeTopicList(
      (await one.callRaw(REQUEST_CODE.GET_SYSTEM_TOPIC_LIST_FROM_BROKER)).body,
    );
    expect(topicList).toEqual(expect.arrayContaining(['TBW102', 'SCHEDULE_TOPIC_XXXX', 'DefaultCluster', 'broker-a']));
    expect(brokerAddr).toBe('127.0.0.1:10911');
    const response = await one.callRaw(REQUEST_CODE.DELETE_TOPIC_IN_BROKER, { topic: 'SCHEDULE_TOPIC_XXXX' });
    expect(response.code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
  });
});

describe('groups', () => {
  it('are made, changed, listed and deleted', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const body = encodeSubscriptionGroupConfig(subscriptionGroupConfigOf('CG', { retryMaxTimes: 3 }));
    await one.call(REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, emptyHeader, {}, body);
    const config = await one.callRaw(REQUEST_CODE.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'CG' });
    expect(decodeSubscriptionGroupConfig(config.body)).toEqual(subscriptionGroupConfigOf('CG', { retryMaxTimes: 3 }));
    const names = async () => {
      const all = await one.callRaw(REQUEST_CODE.GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
      return [...decodeSubscriptionGroupTable(all.body).subscriptionGroupTable.keys()];
    };
    expect(await names()).toEqual(expect.arrayContaining(['CG', 'TOOLS_CONSUMER']));
    const gone = { groupName: 'CG', cleanOffset: true };
    await one.call(REQUEST_CODE.DELETE_SUBSCRIPTIONGROUP, deleteSubscriptionGroupHeader, gone);
    expect(await names()).not.toContain('CG');
  });

  it('are made when somebody asks, unless that is turned off', async () => {
    const { client } = await startTestBroker({ config: { autoCreateSubscriptionGroup: false } });
    const one = client();
    expect((await one.callRaw(REQUEST_CODE.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'CG' })).code).toBe(26);
    const { client: other } = await startTestBroker();
    expect((await other().callRaw(REQUEST_CODE.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'CG' })).code).toBe(0);
  });

  it('cannot have any name', async () => {
    const { client } = await startTestBroker();
    const body = encodeSubscriptionGroupConfig(subscriptionGroupConfigOf('a b'));
    const response = await client().call(REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, emptyHeader, {}, body);
    expect(response.code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
  });
});

describe('INVOKE_BROKER_TO_RESET_OFFSET', () => {
  const reset = (
    client: RawClient,
    changes: { timestamp?: number; queueId?: number; offset?: number; topic?: string; group?: string },
  ) =>
    client.call(REQUEST_CODE.INVOKE_BROKER_TO_RESET_OFFSET, invokeBrokerToResetOffsetHeader, {
      topic: 'T',
      group: 'CG',
      timestamp: -1,
      isForce: true,
      ...changes,
    });

  it('moves all queues to a time, or to the end, also of a group that is not there', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const start = clock.now();
    for (let n = 0; n < 4; n += 1) {
      await send(one, { topic: 'T', queueId: n % 2, defaultTopicQueueNums: 2 });
      clock.advance(1000);
    }
    await heartbeat(one, { group: 'CG', topics: { T: '*' } });
    const toTime = await reset(one, { timestamp: start + 1500, queueId: -1 });
    expect(toTime.body.toString()).toBe(
      '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:1,{"brokerName":"broker-a","queueId":1,"topic":"T"}:1}}',
    );
    const toEnd = decodeResetOffsetBody((await reset(one, {})).body).offsetTable;
    expect(toEnd.map(([, offset]) => offset)).toEqual([2, 2]);
    const stored = await one.call(REQUEST_CODE.QUERY_CONSUMER_OFFSET, queryConsumerOffsetHeader, {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: 0,
    });
    expect(stored.extFields['offset']).toBe('2');
    const ignored = await one.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: 0,
      commitOffset: 0,
    });
    expect(ignored).toMatchObject({ code: 0, remark: 'Offset has been previously reset' });
    expect(await pull(one, { topic: 'T', queueOffset: 0 })).toMatchObject({
      code: 21,
      extFields: { nextBeginOffset: '2' },
    });
    expect((await pull(one, { topic: 'T', queueOffset: 2 })).code).toBe(RESPONSE_CODE.PULL_NOT_FOUND);
  });

  const refusals: [Parameters<typeof reset>[1], number][] = [
    [{ topic: 'Nowhere' }, RESPONSE_CODE.TOPIC_NOT_EXIST],
    [{ group: 'Nobody' }, RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST],
    [{ queueId: 0, offset: 2 }, RESPONSE_CODE.SYSTEM_ERROR],
    [{ queueId: 9, offset: 0 }, RESPONSE_CODE.INVALID_PARAMETER],
  ];

  it('is refused for what is not there', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    await heartbeat(one, { group: 'CG', topics: { T: '*' } });
    for (const [changes, code] of refusals) expect((await reset(one, changes)).code).toBe(code);
  });
});

describe('queries', () => {
  const query = (
    client: RawClient,
    key: string,
    changes: { maxNum?: number; begin?: number; end?: number; unique?: string } = {},
  ) =>
    client.call(REQUEST_CODE.QUERY_MESSAGE, queryMessageHeader, {
      topic: 'T',
      key,
      maxNum: changes.maxNum ?? 32,
      beginTimestamp: changes.begin ?? 0,
      endTimestamp: changes.end ?? Number.MAX_SAFE_INTEGER,
      _UNIQUE_KEY_QUERY: changes.unique,
    });

  it('find messages by key, by unique key and by place', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b']) await send(one, { topic: 'T', body, props: { KEYS: `k ${body}` } });
    const sent = await send(one, { topic: 'T', body: 'c', props: { UNIQ_KEY: 'U-c' } });
    expect(
      messagesOf(await query(one, 'k'))
        .map(({ body }) => body.toString())
        .sort(),
    ).toEqual(['a', 'b']);
    expect(messagesOf(await query(one, 'k', { maxNum: 1 }))).toHaveLength(1);
    expect(
      messagesOf(await query(one, 'U-c', { maxNum: 0, unique: 'true' })).map(({ body }) => body.toString()),
    ).toEqual(['c']);
    const offset = Number.parseInt(sent.extFields['msgId']?.slice(16) ?? '', 16);
    const viewed = await one.call(REQUEST_CODE.VIEW_MESSAGE_BY_ID, viewMessageByIdHeader, { offset });
    expect(messagesOf(viewed)[0]?.body.toString()).toBe('c');
  });

  it('that find nothing say so', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', props: { KEYS: 'k' } });
    expect(await query(one, 'other')).toMatchObject({
      code: RESPONSE_CODE.QUERY_NOT_FOUND,
      remark: 'can not find message, maybe time range not correct',
      extFields: { indexLastUpdateTimestamp: '0', indexLastUpdatePhyoffset: '0' },
    });
    expect((await query(one, 'k', { end: 1 })).code).toBe(RESPONSE_CODE.QUERY_NOT_FOUND);
    for (const offset of [3, 1e9, -1]) {
      const response = await one.call(REQUEST_CODE.VIEW_MESSAGE_BY_ID, viewMessageByIdHeader, { offset });
      expect(response).toMatchObject({ code: 1, remark: `can not find message by the offset, ${offset}` });
    }
  });
});

describe('statistics', () => {
  it('of a topic are the ends of its queues', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const now = clock.now();
    await send(one, { topic: 'T', defaultTopicQueueNums: 2 });
    const response = await one.call(REQUEST_CODE.GET_TOPIC_STATS_INFO, getTopicStatsInfoHeader, { topic: 'T' });
    expect(response.body.toString()).toContain('{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:{');
    expect(decodeTopicStatsBody(response.body).offsetTable.map(([, offsets]) => offsets)).toEqual([
      { minOffset: 0, maxOffset: 1, lastUpdateTimestamp: now },
      { minOffset: 0, maxOffset: 0, lastUpdateTimestamp: 0 },
    ]);
    const unknown = await one.call(REQUEST_CODE.GET_TOPIC_STATS_INFO, getTopicStatsInfoHeader, { topic: 'U' });
    expect(unknown.code).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
  });

  it('of a group are its progress, empty for one that is unknown', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b', 'c']) await send(one, { topic: 'T', body, defaultTopicQueueNums: 1 });
    await pull(one, { topic: 'T', maxMsgNums: 2 });
    await one.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: 0,
      commitOffset: 1,
    });
    const stats = async (consumerGroup: string) =>
      decodeConsumeStatsBody(
        (await one.call(REQUEST_CODE.GET_CONSUME_STATS, getConsumeStatsHeader, { consumerGroup })).body,
      ).offsetTable;
    expect(
      (await stats('CG')).map(([queue, offsets]) => [
        queue.topic,
        offsets.brokerOffset,
        offsets.consumerOffset,
        offsets.pullOffset,
      ]),
    ).toEqual([['T', 3, 1, 2]]);
    expect(await stats('Nobody')).toEqual([]);
    await heartbeat(one, { group: 'Other', topics: { T: '*' } });
    const who = await one.callRaw(REQUEST_CODE.QUERY_TOPIC_CONSUME_BY_WHO, { topic: 'T' });
    expect(JSON.parse(who.body.toString()).groupList.sort()).toEqual(['CG', 'Other']);
  });

  it('of the broker are its configuration, its state and the offset files', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    await send(one, { topic: 'T', props: { DELAY: '3' } });
    await one.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: 0,
      commitOffset: 1,
    });
    const config = await one.callRaw(REQUEST_CODE.GET_BROKER_CONFIG);
    expect(config.body.toString()).toContain('\nflushDiskType=ASYNC_FLUSH\n');
    expect(JSON.parse(config.extFields['version'] ?? '')).toHaveProperty('counter');
    const { table } = decodeKVTable((await one.callRaw(REQUEST_CODE.GET_BROKER_RUNTIME_INFO)).body);
    expect(table.get('putTps')?.split(' ')).toHaveLength(3);
    expect(table.get('brokerVersionDesc')).toBe('V5_5_0');
    expect(table.get('scheduleMessageOffset_3')).toBe('0,1');
    const offsets = await one.callRaw(REQUEST_CODE.GET_ALL_CONSUMER_OFFSET);
    expect(offsets.body.toString()).toContain('"offsetTable":{"T@CG":{0:1}}');
    const delays = await one.callRaw(REQUEST_CODE.GET_ALL_DELAY_OFFSET);
    expect(parseLooseJson(delays.body.toString())).toMatchObject({ offsetTable: { 3: 0 } });
  });
});

describe('QUERY_ASSIGNMENT', () => {
  const assign = async (client: RawClient, clientId: string, changes: Record<string, string> = {}) => {
    const body = {
      topic: 'T',
      consumerGroup: 'CG',
      clientId,
      messageModel: 'CLUSTERING',
      strategyName: 'AVG',
      ...changes,
    };
    const response = await client.call(
      REQUEST_CODE.QUERY_ASSIGNMENT,
      emptyHeader,
      {},
      Buffer.from(JSON.stringify(body)),
    );
    if (response.code !== 0) return response.remark;
    const answer = JSON.parse(response.body.toString()) as {
      messageQueueAssignments?: { messageQueue: { queueId: number }; mode: string }[];
    };
    return answer.messageQueueAssignments?.map(({ messageQueue, mode }) => `${mode} ${messageQueue.queueId}`);
  };

  it('spreads the queues over the members', async () => {
    const { client } = await startTestBroker();
    const [one, two] = [client(), client()];
    await createTopic(one, 'T', { readQueueNums: 3 });
    expect(await assign(one, 'a')).toBeUndefined();
    await heartbeat(one, { group: 'CG', clientId: 'a', topics: { T: '*' } });
    await heartbeat(two, { group: 'CG', clientId: 'b', topics: { T: '*' } });
    expect(await assign(one, 'a')).toEqual(['PULL 0', 'PULL 1']);
    expect(await assign(one, 'b')).toEqual(['PULL 2']);
    expect(await assign(one, 'b', { strategyName: 'AVG_BY_CIRCLE' })).toEqual(['PULL 1']);
    expect(await assign(one, 'b', { messageModel: 'BROADCASTING' })).toHaveLength(3);
    expect(await assign(one, 'stranger')).toEqual([]);
    expect(await assign(one, 'a', { strategyName: 'BEST' })).toContain('unknown strategyName BEST');
  });
});

describe('what is not answered', () => {
  it('requests of features that are not there', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const code of [401, 200050, 9999]) {
      expect(await one.callRaw(code)).toMatchObject({ code: 3, remark: ` request type ${code} not supported` });
    }
  });
});
