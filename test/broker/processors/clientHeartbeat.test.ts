import { describe, expect, it } from 'vitest';
import {
  decodeConsumerList,
  decodeLockBatchResponseBody,
  decodeTopicConfig,
  encodeCheckClientBody,
  encodeLockBatchBody,
} from '../../../src/protocol/bodies.js';
import {
  getConsumerConnectionListHeader,
  getProducerConnectionListHeader,
} from '../../../src/protocol/headers/admin.js';
import { getConsumerListByGroupHeader, unregisterClientHeader } from '../../../src/protocol/headers/group.js';
import { emptyHeader } from '../../../src/protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import { buildSubscription } from '../../../src/protocol/subscription.js';
import type { RawClient } from '../../support/rawClient.js';
import { heartbeat, startTestBroker } from '../../support/testBroker.js';

const members = async (client: RawClient, consumerGroup: string) => {
  const response = await client.call(REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP, getConsumerListByGroupHeader, {
    consumerGroup,
  });
  return response.code === 0 ? decodeConsumerList(response.body).consumerIdList : response.remark;
};

/** Lets notifications on their way arrive. */
const settle = async () => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('HEART_BEAT', () => {
  it('makes the client a member, and tells every member of a change, before its own answer', async () => {
    const { client } = await startTestBroker();
    const [one, two] = [client(), client()];
    const first = await heartbeat(one, { group: 'CG', clientId: 'one', topics: { T: '*' } });
    expect(first).toMatchObject({ code: 0, extFields: { IS_SUPPORT_HEART_BEAT_V2: 'true' } });
    expect(one.notified).toEqual(['CG']);
    await heartbeat(two, { group: 'CG', clientId: 'two', topics: { T: '*' } });
    expect(two.notified).toEqual(['CG']);
    await settle();
    expect(one.notified).toEqual(['CG', 'CG']);
    expect(await members(one, 'CG')).toEqual(['one', 'two']);
    await heartbeat(one, { group: 'CG', clientId: 'one', topics: { T: '*' } });
    expect(one.notified).toHaveLength(2);
  });

  it('with other topics is a change, without subscriptions is none', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await heartbeat(one, { group: 'CG', topics: { T: '*' } });
    await heartbeat(one, { group: 'CG', topics: { T: '*', U: '*' }, subVersion: 2 });
    expect(one.notified).toHaveLength(2);
    await heartbeat(one, { group: 'CG', topics: {}, withoutSub: true });
    expect(one.notified).toHaveLength(2);
    await heartbeat(one, { group: 'CG', topics: { U: '*' }, subVersion: 3 });
    expect(one.notified).toHaveLength(3);
  });

  it('tells nobody in a broadcasting group', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await heartbeat(one, { group: 'BG', topics: { T: '*' }, messageModel: 'BROADCASTING' });
    await settle();
    expect(one.notified).toEqual([]);
    expect(await members(one, 'BG')).toHaveLength(1);
  });

  it('makes the retry topic of the group', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await heartbeat(one, { group: 'CG', topics: { T: '*' } });
    const response = await one.callRaw(REQUEST_CODE.GET_TOPIC_CONFIG, { topic: '%RETRY%CG' });
    expect(decodeTopicConfig(response.body)).toMatchObject({ readQueueNums: 1, writeQueueNums: 1, perm: 6 });
  });

  it('skips a group without a name and takes members that Go clients leave out', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const body = Buffer.from(
      '{"clientID":"go","consumerDataSet":[{"groupName":""},{"groupName":"GG","subscriptionDataSet":[{"topic":"T"}]}],' +
        '"producerDataSet":[{"groupName":"PG"}]}',
    );
    expect((await one.call(REQUEST_CODE.HEART_BEAT, emptyHeader, {}, body)).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(await members(one, 'GG')).toEqual(['go']);
  });

  it('with a body that is none is refused', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const text of ['', 'not json', '[]', '{"clientID":5,"consumerDataSet":{}}']) {
      const response = await one.call(REQUEST_CODE.HEART_BEAT, emptyHeader, {}, Buffer.from(text));
      expect(response.code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
    }
  });
});

describe('a member is gone', () => {
  it('when it unregisters', async () => {
    const { client } = await startTestBroker();
    const [one, two] = [client(), client()];
    await heartbeat(one, { group: 'CG', clientId: 'one', topics: { T: '*' } });
    await heartbeat(two, { group: 'CG', clientId: 'two', topics: { T: '*' } });
    await two.call(REQUEST_CODE.UNREGISTER_CLIENT, unregisterClientHeader, { clientID: 'two', consumerGroup: 'CG' });
    await settle();
    expect(await members(one, 'CG')).toEqual(['one']);
    expect(one.notified).toHaveLength(3);
  });

  it('when its connection closes', async () => {
    const { client } = await startTestBroker();
    const [one, two] = [client(), client()];
    await heartbeat(one, { group: 'CG', clientId: 'one', topics: { T: '*' } });
    await heartbeat(two, { group: 'CG', clientId: 'two', topics: { T: '*' }, producers: ['PG'] });
    await two.close();
    await settle();
    expect(await members(one, 'CG')).toEqual(['one']);
    expect(one.notified).toHaveLength(3);
    const producers = await one.call(REQUEST_CODE.GET_PRODUCER_CONNECTION_LIST, getProducerConnectionListHeader, {
      producerGroup: 'PG',
    });
    expect(producers.code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
  });

  it('when it is silent for two minutes', async () => {
    const { client, clock } = await startTestBroker();
    const [one, two] = [client(), client()];
    await heartbeat(one, { group: 'CG', clientId: 'one', topics: { T: '*' } });
    await heartbeat(two, { group: 'CG', clientId: 'two', topics: { T: '*' } });
    clock.advance(100_000);
    await heartbeat(one, { group: 'CG', clientId: 'one', topics: { T: '*' } });
    clock.advance(31_000);
    await settle();
    expect(await members(one, 'CG')).toEqual(['one']);
    clock.advance(100_000);
    await settle();
    expect(await members(one, 'CG')).toBe('no consumer for this group, CG');
  });
});

describe('CHECK_CLIENT_CONFIG', () => {
  const check = (client: RawClient, expression: string, type: string) =>
    client.call(
      REQUEST_CODE.CHECK_CLIENT_CONFIG,
      emptyHeader,
      {},
      encodeCheckClientBody({ clientId: 'c', group: 'G', subscriptionData: buildSubscription('T', expression, type) }),
    );

  it('accepts tags and SQL that compiles, and says what does not', async () => {
    const { client } = await startTestBroker();
    const one = client();
    expect((await check(one, 'A || B', 'TAG')).code).toBe(RESPONSE_CODE.SUCCESS);
    expect((await check(one, 'a = 1', 'SQL92')).code).toBe(RESPONSE_CODE.SUCCESS);
    const wrong = await check(one, 'a IN (1)', 'SQL92');
    expect(wrong.code).toBe(RESPONSE_CODE.SUBSCRIPTION_PARSE_FAILED);
    expect(wrong.remark).toBeTruthy();
  });

  it('refuses SQL when it is turned off', async () => {
    const { client } = await startTestBroker({ config: { enablePropertyFilter: false } });
    expect((await check(client(), 'a = 1', 'SQL92')).code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
  });
});

describe('connection lists', () => {
  it('name the members and what they subscribe', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await heartbeat(one, { group: 'CG', clientId: 'one', topics: { T: 'A' }, producers: ['PG'] });
    const consumers = await one.call(REQUEST_CODE.GET_CONSUMER_CONNECTION_LIST, getConsumerConnectionListHeader, {
      consumerGroup: 'CG',
    });
    expect(JSON.parse(consumers.body.toString())).toMatchObject({
      connectionSet: [{ clientId: 'one', language: 'OTHER', version: 513 }],
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      subscriptionTable: { T: { subString: 'A', tagsSet: ['A'] } },
    });
    const producers = await one.call(REQUEST_CODE.GET_PRODUCER_CONNECTION_LIST, getProducerConnectionListHeader, {
      producerGroup: 'PG',
    });
    expect(JSON.parse(producers.body.toString())).toMatchObject({ connectionSet: [{ clientId: 'one' }] });
    const offline = await one.call(REQUEST_CODE.GET_CONSUMER_CONNECTION_LIST, getConsumerConnectionListHeader, {
      consumerGroup: 'Nobody',
    });
    expect(offline.code).toBe(RESPONSE_CODE.CONSUMER_NOT_ONLINE);
  });
});

describe('LOCK_BATCH_MQ', () => {
  it('gives each queue to one client', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const mqSet = [0, 1].map((queueId) => ({ topic: 'T', brokerName: 'broker-a', queueId }));
    const request = (code: number, clientId: string) =>
      one.call(
        code,
        emptyHeader,
        {},
        encodeLockBatchBody({ consumerGroup: 'CG', clientId, mqSet, onlyThisBroker: false }),
      );
    const locked = async (clientId: string) =>
      decodeLockBatchResponseBody((await request(REQUEST_CODE.LOCK_BATCH_MQ, clientId)).body).lockOKMQSet;
    expect(await locked('a')).toEqual(mqSet);
    expect(await locked('b')).toEqual([]);
    expect((await request(REQUEST_CODE.UNLOCK_BATCH_MQ, 'b')).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(await locked('b')).toEqual([]);
    await request(REQUEST_CODE.UNLOCK_BATCH_MQ, 'a');
    expect(await locked('b')).toEqual(mqSet);
  });
});
