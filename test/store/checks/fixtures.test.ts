// Check 74: the store opens every directory that Apache RocketMQ 5.5.0 left, stopped or killed, and serves what another
// decoder read there (expected.json); so does the next store after it.
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { queryConsumerOffsetHeader } from '../../../src/protocol/headers/messaging.js';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import type { MessageStore } from '../../../src/store/index.js';
import type { ExpectedRecord, ExpectedStore } from '../../support/goldenStore.js';
import { expectedOf, goldenStores } from '../../support/goldenStore.js';
import { message } from '../../support/storeMessages.js';
import { startTestBroker } from '../../support/testBroker.js';
import { copyOf, FOREVER, open, stored } from './fixStore.js';

const BLANK = 0x7fffffff;

/** Everything that the other decoder read is served. */
function expectServed(store: MessageStore, name: string) {
  const expected = expectedOf(name);
  const records = expected.records.filter((record) => record.type === 'message');
  expectRecords(store, records);
  for (const [queue, entries] of simpleQueues(expected)) expectQueue(store, queue, entries, records);
  for (const record of records) expectKeys(store, record);
}

function simpleQueues({ consumeQueues }: ExpectedStore) {
  return Object.entries(consumeQueues).flatMap(([file, entries]) => {
    const [kind, topic = '', queueId = ''] = file.split('/');
    return kind === 'consumequeue' ? [[{ topic, queueId: Number(queueId) }, entries] as const] : [];
  });
}

function expectRecords(store: MessageStore, records: ExpectedRecord[]) {
  for (const wanted of records) {
    const record = decodeRecord(store.readRecord(wanted.physicalOffset)!);
    expect(record).toMatchObject({
      topic: wanted.topic,
      queueId: wanted.queueId,
      queueOffset: wanted.queueOffset,
      commitLogOffset: wanted.physicalOffset,
      sizeBytes: wanted.totalSize,
      flag: wanted.flag,
      sysFlag: wanted.sysFlag,
      bornTimestamp: wanted.bornTimestamp,
      storeTimestamp: wanted.storeTimestamp,
      reconsumeTimes: wanted.reconsumeTimes,
      preparedTransactionOffset: wanted.preparedTransactionOffset,
      bodyCrc: wanted.bodyCrc,
      properties: wanted.properties,
    });
    expect(record.body.length).toBe(wanted.bodyLength);
    if (wanted.bodyText) expect(record.body.toString()).toBe(wanted.bodyText);
  }
}

/** The queue from end to end, and for each message the offset that belongs to its time. */
function expectQueue(
  store: MessageStore,
  { topic, queueId }: { topic: string; queueId: number },
  entries: Record<string, number>[],
  records: ExpectedRecord[],
) {
  const minOffset = entries.findIndex((entry) => entry.size !== BLANK);
  expect([topic, store.queueRange(topic, queueId)]).toEqual([topic, { minOffset, maxOffset: entries.length }]);
  const positions: number[] = [];
  for (let offset = minOffset; offset < entries.length; ) {
    const read = store.readQueue(topic, queueId, offset, 32, 1 << 20);
    expect(read.status).toBe('FOUND');
    positions.push(...read.records.map((bytes) => decodeRecord(bytes).commitLogOffset));
    offset = read.nextBeginOffset;
  }
  expect(positions).toEqual(entries.slice(minOffset).map((entry) => entry.phyOffset));
  const stampOf = new Map(records.map((record) => [record.physicalOffset, record.storeTimestamp]));
  const times = positions.map((position) => stampOf.get(position)!);
  for (const [at, time] of times.entries()) {
    expect(store.storeTimeAt(topic, queueId, minOffset + at)).toBe(time);
    expect(store.offsetByTime(topic, queueId, time, 'LOWER')).toBe(minOffset + times.indexOf(time));
    expect(store.offsetByTime(topic, queueId, time, 'UPPER')).toBe(minOffset + times.lastIndexOf(time));
  }
}

function expectKeys(store: MessageStore, { topic, properties, sysFlag, physicalOffset }: ExpectedRecord) {
  if ((sysFlag & 0xc) === 0xc) return;
  const { UNIQ_KEY, KEYS, TAGS } = properties;
  for (const key of [UNIQ_KEY, ...(KEYS ?? '').split(' ')]) {
    if (key) expect(positionsOf(store.queryByKey(topic, key, 64, 0, FOREVER))).toContain(physicalOffset);
  }
  const tagged = TAGS ? positionsOf(store.queryByKey(topic, TAGS, 64, 0, FOREVER, 'T')) : [];
  if (TAGS && tagged.length < 64) expect(tagged).toContain(physicalOffset);
}

const positionsOf = (records: Buffer[]) => records.map((bytes) => decodeRecord(bytes).commitLogOffset);

describe.each(Object.keys(goldenStores()))('%s', (name) => {
  it.each([
    ['as it is', () => {}],
    ['with `abort`', (directory: string) => fs.writeFileSync(path.join(directory, 'abort'), '12345')],
  ])('check 74: %s every record, queue, key and time is served, and again by the next store', async (_, prepare) => {
    const directory = copyOf(name);
    prepare(directory);
    for (const _round of ['after RocketMQ', 'after foldlog']) {
      const store = await open(directory, name);
      expect(store.visibleEnd().commitLogOffset).toBe(goldenStores()[name]!.logicalEnd);
      expectServed(store, name);
      await store.close();
      expect(fs.existsSync(path.join(directory, 'abort'))).toBe(false);
    }
    const store = await open(directory, name);
    const [first, second] = await stored(store, message({ topic: 'New' }), message({ topic: 'New' }));
    expect([first?.queueOffset, second?.queueOffset]).toEqual([0, 1]);
    await store.close();
    expectServed(await open(directory, name), name);
  });
});

describe('the broker', () => {
  it.each([
    ['default', 6],
    ['default-running', 5],
  ])('check 74: %s: consumer offsets are as they were recorded', async (name, halfOffset) => {
    const directory = copyOf(name);
    const sizes = { mappedFileSizeCommitLog: 1 << 30, mappedFileSizeConsumeQueue: 6_000_000 };
    const files = { ...sizes, maxHashSlotNum: 5_000_000, maxIndexNum: 20_000_000 };
    for (const _round of ['after RocketMQ', 'after foldlog']) {
      const broker = await startTestBroker({ directory, config: files });
      const client = broker.client();
      const offsetOf = async (consumerGroup: string, topic: string, queueId: number) => {
        const wanted = { consumerGroup, topic, queueId };
        const response = await client.call(REQUEST_CODE.QUERY_CONSUMER_OFFSET, queryConsumerOffsetHeader, wanted);
        return Number(response.extFields['offset']);
      };
      for (const group of ['FixConsumer', 'FixOrderly']) {
        expect([await offsetOf(group, 'FixTopic', 0), await offsetOf(group, 'FixTopic', 1)]).toEqual([8, 8]);
      }
      const half = await offsetOf('CID_RMQ_SYS_TRANS', 'RMQ_SYS_TRANS_HALF_TOPIC', 0);
      expect(half).toBeGreaterThanOrEqual(halfOffset);
      await broker.stop();
    }
  });
});
