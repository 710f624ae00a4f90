/**
 * Compares a store with the model: log, queues, keys, streams, append ids, times. Comparisons are plain; a difference
 * throws what was found and what had to be there.
 */
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import type { MessageStore } from '../../src/store/index.js';
import { event } from '../support/storeMessages.js';
import type { ModelRecord, StoreModel } from './storeModel.js';

const MANY = 1_000_000;
const FOREVER = 9_999_999_999_999;

/** Is this record of the model to be looked at? */
export type IsDue = (at: number) => boolean;

export function demand(isRight: boolean, what: string, found?: unknown, wanted?: unknown): void {
  if (isRight) return;
  throw new Error(`${what}: found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
}

export function same(what: string, found: readonly unknown[], wanted: readonly unknown[]): void {
  const isSame = found.length === wanted.length && found.every((value, at) => value === wanted[at]);
  demand(isSame, what, found, wanted);
}

/** The record in these bytes is this one, as it was when it was first read, to the byte. */
function compareRecord(bytes: Buffer, wanted: ModelRecord): void {
  if (wanted.bytes) {
    if (bytes.equals(wanted.bytes)) return;
    demand(false, 'a record changed', decodeRecord(bytes, 0, { verifyCrc: false }), { ...wanted, bytes: undefined });
  }
  const found = decodeRecord(bytes);
  const { properties } = found;
  same(
    'a record',
    [found.commitLogOffset, found.topic, found.queueId, found.queueOffset, found.body.toString(), properties['KEYS']],
    [wanted.commitLogOffset, wanted.topic, wanted.queueId, wanted.queueOffset, wanted.body, wanted.keys.join(' ')],
  );
  same('its time', [found.storeTimestamp, found.sizeBytes], [wanted.storeTimestamp, wanted.sizeBytes]);
  wanted.bytes = Buffer.from(bytes);
}

/** Every record, and no removed one. What is in a queue is read there: of that, and of the others, only some are due. */
export function checkLog(store: MessageStore, model: StoreModel, isDue: IsDue): void {
  for (const [at, record] of model.records.entries()) {
    if (!isDue(at)) continue;
    const bytes = store.readRecord(record.commitLogOffset);
    if (record.commitLogOffset < model.start) {
      demand(bytes === undefined, 'a removed record is gone', record.commitLogOffset, model.start);
      continue;
    }
    if (!bytes) throw new Error(`the record at ${record.commitLogOffset} is not there`);
    compareRecord(bytes, record);
  }
}

/**
 * Reads a queue from an offset on; all of it must be there up to the visible end. `isFollowing`: the queue may still
 * begin before the log does.
 */
export function checkQueue(
  store: MessageStore,
  model: StoreModel,
  [topic, queueId]: readonly [topic: string, queueId: number],
  from: number,
  isFollowing: boolean,
): void {
  const end = store.visibleEnd().commitLogOffset;
  const all = model.queue(topic, queueId);
  let count = all.length;
  while (count > 0 && (all[count - 1]?.commitLogOffset ?? 0) >= end) count -= 1;
  const { minOffset, maxOffset } = store.queueRange(topic, queueId);
  const min = Math.min(count, model.queueMin(topic, queueId));
  demand(maxOffset === count, `the end of ${topic}/${queueId}`, maxOffset, count);
  demand(minOffset === min || (isFollowing && minOffset < min), `the start of ${topic}/${queueId}`, minOffset, min);
  for (let offset = Math.max(from, min); offset < count; ) {
    const read = store.readQueue(topic, queueId, offset, 7, 4096);
    demand(read.status === 'FOUND' && read.records.length > 0, `reading ${topic}/${queueId} at ${offset}`, read.status);
    for (const bytes of read.records) {
      const wanted = all[offset];
      if (!wanted) throw new Error(`${topic}/${queueId} has a message at ${offset} too much`);
      compareRecord(bytes, wanted);
      offset += 1;
    }
    demand(read.nextBeginOffset === offset, 'the next offset', read.nextBeginOffset, offset);
  }
}

export function checkQueues(store: MessageStore, model: StoreModel): void {
  let count = 0;
  for (const [topic, queueIds] of store.queues()) {
    for (const queueId of queueIds) {
      checkQueue(store, model, [topic, queueId], 0, false);
      count += store.queueRange(topic, queueId).maxOffset;
    }
  }
  const wanted = model.records.reduce((sum, record) => sum + record.light.length + (record.isDeleted ? 0 : 1), 0);
  demand(count === wanted, 'the messages in all queues', count, wanted);
}

/** Exactly the records that carry the key, up to the visible end, whole or in pages, from either side. */
export function checkKey(store: MessageStore, model: StoreModel, name: string, random: () => number): void {
  const [topic = '', key = ''] = name.split('#');
  const end = store.visibleEnd().commitLogOffset;
  const wanted = model.withKey(topic, key).filter((record) => record.commitLogOffset < end);
  const direction = random() < 0.7 ? 'forwards' : 'backwards';
  const maxCount = random() < 0.7 ? MANY : 1 + Math.floor(random() * 9);
  if (direction === 'backwards') wanted.reverse();
  const found: Buffer[] = [];
  let next: number | undefined;
  do {
    const bound = next === undefined ? {} : direction === 'forwards' ? { from: next } : { until: next };
    const page = store.readByKeys({ keys: [{ topic, key }], direction, maxCount, maxBytes: MANY, ...bound });
    found.push(...page.records);
    next = page.next;
  } while (next !== undefined);
  const placeOf = (bytes: Buffer) => Number(bytes.readBigInt64BE(28));
  same(
    `records with key ${name}`,
    found.map(placeOf),
    wanted.map((record) => record.commitLogOffset),
  );
  for (const [at, bytes] of found.entries()) compareRecord(bytes, wanted[at] as ModelRecord);
}

/** RocketMQ's query knows hashes only: what must be found is among what is found. */
export function checkQuery(store: MessageStore, model: StoreModel, name: string): void {
  const [topic = '', key = ''] = name.split('#');
  const found = store.queryByKey(topic, key, 64, 0, FOREVER).map((bytes) => Number(bytes.readBigInt64BE(28)));
  if (found.length >= 64) return;
  for (const { commitLogOffset } of model.withKey(topic, key)) {
    if (commitLogOffset >= store.visibleEnd().commitLogOffset) continue;
    demand(found.includes(commitLogOffset), `query of ${name}`, found, commitLogOffset);
  }
}

/** Offsets by time, where the clock did not go back in this queue. */
export function checkTimes(store: MessageStore, model: StoreModel, topic: string, queueId: number, time: number): void {
  const end = store.visibleEnd().commitLogOffset;
  const times = model
    .queue(topic, queueId)
    .filter((record) => record.commitLogOffset < end)
    .map((record) => record.storeTimestamp);
  const min = Math.min(times.length, model.queueMin(topic, queueId));
  times.forEach((wanted, offset) => {
    if (offset < min) return;
    const found = store.storeTimeAt(topic, queueId, offset);
    demand(found === wanted, `the time at ${offset}`, found, wanted);
  });
  const isOrdered = times.every((value, at) => at === 0 || value >= (times[at - 1] ?? 0));
  const lower = store.offsetByTime(topic, queueId, time, 'LOWER');
  const upper = store.offsetByTime(topic, queueId, time, 'UPPER');
  demand(lower >= 0 && lower <= times.length && upper >= 0 && upper <= times.length, 'offsets by time', [lower, upper]);
  if (!isOrdered || min > 0) return;
  const firstAfter = times.findIndex((value) => value >= time);
  const lastBefore = times.findLastIndex((value) => value <= time);
  same('offsets by time', [lower, upper], [firstAfter < 0 ? times.length : firstAfter, Math.max(0, lastBefore)]);
}

/** The version of each stream, asked for by a condition that cannot hold. */
export function checkHeads(store: MessageStore, model: StoreModel, topic: string, streams: Iterable<string>): void {
  for (const stream of streams) {
    const wanted = model.head(topic, stream)?.version ?? 0;
    const outcome = store.appendGuarded({
      appendId: 'never-used',
      events: [event([stream], 'never stored', topic)],
      expectedVersions: [{ topic, stream, expected: -1 }],
    });
    const found = outcome.status === 'VERSION_CONFLICT' ? outcome.actual : outcome.status;
    demand(found === wanted, `the version of ${topic}#${stream}`, found, wanted);
  }
}

/** An append that is in the log is found by its id, at its places. */
export function checkAppendIds(store: MessageStore, model: StoreModel, isDue: IsDue): void {
  for (const [at, record] of model.records.entries()) {
    if (record.indexInAppend > 0 || !isDue(at) || record.appendId === undefined || record.isDeleted) continue;
    const outcome = store.appendGuarded({
      appendId: record.appendId,
      events: [event(['never'], 'never stored', record.topic)],
      expectedVersions: [{ topic: record.topic, stream: 'never', expected: 'STREAM_EXISTS' }],
    });
    if (outcome.status !== 'ALREADY_APPENDED') throw new Error(`${record.appendId}: ${JSON.stringify(outcome)}`);
    same(
      `the places of ${record.appendId}`,
      outcome.places.flatMap((place) => [place.commitLogOffset, place.version]),
      model.records.slice(at, at + record.appendCount).flatMap((one) => [one.commitLogOffset, one.version]),
    );
  }
}
