import { describe, expect, it } from 'vitest';
import {
  getEarliestMsgStoretimeHeader,
  getMaxOffsetHeader,
  getMinOffsetHeader,
  queryConsumerOffsetHeader,
  searchOffsetByTimestampHeader,
  updateConsumerOffsetHeader,
} from '../../../src/protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { RawClient } from '../../support/rawClient.js';
import { recordingLogger, send, startTestBroker } from '../../support/testBroker.js';

const query = (client: RawClient, group: string, topic = 'T', setZeroIfNotFound?: boolean) =>
  client.call(REQUEST_CODE.QUERY_CONSUMER_OFFSET, queryConsumerOffsetHeader, {
    consumerGroup: group,
    topic,
    queueId: 0,
    setZeroIfNotFound,
  });

const commit = (
  client: RawClient,
  commitOffset: number,
  changes: { topic?: string; queueId?: number; group?: string } = {},
) =>
  client.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, {
    consumerGroup: changes.group ?? 'CG',
    topic: changes.topic ?? 'T',
    queueId: changes.queueId ?? 0,
    commitOffset,
  });

describe('QUERY_CONSUMER_OFFSET', () => {
  it('of a new group is 0 while the queue is young, so that nothing is missed', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    expect(await query(one, 'New')).toMatchObject({ code: 0, extFields: { offset: '0' } });
    expect((await query(one, 'New', 'T', false)).code).toBe(RESPONSE_CODE.QUERY_NOT_FOUND);
  });

  it('of a new group is not found for an empty queue and for an unknown topic', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', queueId: 1 });
    for (const topic of ['T', 'Nowhere']) {
      const response = await query(one, 'New', topic);
      expect(response.code).toBe(RESPONSE_CODE.QUERY_NOT_FOUND);
      expect(response.remark).toContain('maybe this group consumer boot first');
    }
  });
});

describe('UPDATE_CONSUMER_OFFSET', () => {
  it('is what the next query answers, backwards too', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b', 'c']) await send(one, { topic: 'T', body });
    for (const offset of [3, 1]) {
      expect((await commit(one, offset)).code).toBe(RESPONSE_CODE.SUCCESS);
      expect(await query(one, 'CG')).toMatchObject({ code: 0, extFields: { offset: String(offset) } });
    }
  });

  const refusals: [number, { topic?: string; queueId?: number; group?: string }, number, string][] = [
    [4, {}, RESPONSE_CODE.SYSTEM_ERROR, 'offset 4 lies beyond the end 3 of queue 0 of T'],
    [-1, {}, RESPONSE_CODE.INVALID_PARAMETER, 'illegal'],
    [0, { queueId: 99 }, RESPONSE_CODE.INVALID_PARAMETER, 'illegal'],
    [0, { queueId: -1 }, RESPONSE_CODE.INVALID_PARAMETER, 'illegal'],
    [0, { topic: 'Nowhere' }, RESPONSE_CODE.TOPIC_NOT_EXIST, 'Topic Nowhere not exist!'],
    [0, { group: 'no group' }, RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, 'Group no group not exist!'],
  ];

  it('is refused for what is not there or not yet', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b', 'c']) await send(one, { topic: 'T', body });
    for (const [offset, changes, code, remark] of refusals) {
      const response = await commit(one, offset, changes);
      expect(response.code, remark).toBe(code);
      expect(response.remark).toContain(remark);
    }
  });

  it('one-way and beyond the end is logged, not recorded', async () => {
    const logger = recordingLogger();
    const { client } = await startTestBroker({ logger });
    const one = client();
    await send(one, { topic: 'T' });
    const wrong = { consumerGroup: 'CG', topic: 'T', queueId: 0, commitOffset: 9 };
    for (let n = 0; n < 3; n += 1) {
      await one.oneway(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, wrong);
    }
    expect(await query(one, 'CG', 'T', false)).toMatchObject({ code: RESPONSE_CODE.QUERY_NOT_FOUND });
    expect(logger.lines.filter((line) => line.includes('commit refused'))).toHaveLength(1);
  });
});

describe('offsets of queues', () => {
  it('are the ends, the place of a time, and the time of the first message', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const start = clock.now();
    for (const body of ['a', 'b', 'c']) {
      await send(one, { topic: 'T', body });
      clock.advance(1000);
    }
    const at = { topic: 'T', queueId: 0 };
    expect((await one.call(REQUEST_CODE.GET_MAX_OFFSET, getMaxOffsetHeader, at)).extFields).toEqual({ offset: '3' });
    expect((await one.call(REQUEST_CODE.GET_MIN_OFFSET, getMinOffsetHeader, at)).extFields).toEqual({ offset: '0' });
    const earliest = await one.call(REQUEST_CODE.GET_EARLIEST_MSG_STORETIME, getEarliestMsgStoretimeHeader, at);
    expect(earliest.extFields).toEqual({ timestamp: String(start) });
    const search = async (timestamp: number, boundaryType?: string) =>
      (
        await one.call(REQUEST_CODE.SEARCH_OFFSET_BY_TIMESTAMP, searchOffsetByTimestampHeader, {
          ...at,
          timestamp,
          boundaryType,
        })
      ).extFields['offset'];
    expect(await search(start - 1)).toBe('0');
    expect(await search(start + 1000)).toBe('1');
    expect(await search(start + 1500)).toBe('2');
    expect(await search(start + 1500, 'upper')).toBe('1');
    expect(await search(start + 9000)).toBe('3');
  });

  it('of nothing are 0, and its earliest time -1', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const at = { topic: 'Nowhere', queueId: 3 };
    expect((await one.call(REQUEST_CODE.GET_MAX_OFFSET, getMaxOffsetHeader, at)).extFields).toEqual({ offset: '0' });
    expect((await one.call(REQUEST_CODE.GET_MIN_OFFSET, getMinOffsetHeader, at)).extFields).toEqual({ offset: '0' });
    const search = { ...at, timestamp: 1 };
    expect(
      (await one.call(REQUEST_CODE.SEARCH_OFFSET_BY_TIMESTAMP, searchOffsetByTimestampHeader, search)).extFields,
    ).toEqual({ offset: '0' });
    const earliest = await one.call(REQUEST_CODE.GET_EARLIEST_MSG_STORETIME, getEarliestMsgStoretimeHeader, at);
    expect(earliest.extFields).toEqual({ timestamp: '-1' });
  });
});
