/**
 * A small store in memory with everything in it that a repair has to keep: two plain topics with two queues each, keys, tags,
 * guarded streams, over several segments. And what it is held against afterwards.
 */
import { expect } from 'vitest';
import type { Files } from '../../src/base/files.js';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { MessageStore, type MessageStoreOptions } from '../../src/store/index.js';
import { FaultyFiles, randomFrom } from './faultyFiles.js';
import { ManualClock } from './manualClock.js';
import { event, message } from './storeMessages.js';

export const DIRECTORY = '/data/store';
export const SIZES = {
  mappedFileSizeCommitLog: 4096,
  mappedFileSizeConsumeQueue: 400,
  maxHashSlotNum: 7,
  maxIndexNum: 40,
} as const;
export const noLock = async () => ({ release: async () => {} });

export interface Kept {
  commitLogOffset: number;
  bytes: Buffer;
  topic: string;
  queueId: number;
  queueOffset: number;
  keys: string[];
  version: number | undefined;
}

export function openStore(files: Files, more: Partial<MessageStoreOptions> = {}): Promise<MessageStore> {
  const options = { directory: DIRECTORY, files, lockDirectory: noLock, ...SIZES, clock: new ManualClock() };
  return MessageStore.open({ ...options, flushDiskType: 'SYNC_FLUSH', ...more });
}

/** Appends until the log has so many records; returns all of them, in order. */
export async function fillStore(files: Files, seed: number, count: number): Promise<Kept[]> {
  const random = randomFrom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const store = await openStore(files);
  const places: number[] = [];
  for (let serial = 0; serial < count; serial += 1) {
    const body = `${serial}:`.padEnd(below(8) === 0 ? 900 : below(200), 'x');
    if (below(2) === 0) {
      const properties = { KEYS: `k${below(4)}`, UNIQ_KEY: `u${serial}`, TAGS: 'tag' };
      const outcome = store.append([
        message({ topic: `Plain${below(2)}`, queueId: below(2), body, ...(below(5) === 0 ? {} : { properties }) }),
      ]);
      if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
      places.push(...outcome.places.map(({ commitLogOffset }) => commitLogOffset));
      await outcome.turn.visible;
      continue;
    }
    const stream = `Order:${below(4)}`;
    const outcome = store.appendGuarded({
      appendId: `a${serial}`,
      events: Array.from({ length: 1 + below(2) }, () => event([stream, `extra${below(3)}`], body)),
      expectedVersions: [],
    });
    if (outcome.status !== 'APPENDED') throw new Error(JSON.stringify(outcome));
    places.push(...outcome.places.map(({ commitLogOffset }) => commitLogOffset));
    await outcome.turn.visible;
  }
  const kept = places.map((commitLogOffset): Kept => {
    const bytes = Buffer.from(store.readRecord(commitLogOffset)!);
    const { topic, queueId, queueOffset, properties } = decodeRecord(bytes);
    const keys = (properties['KEYS'] ?? '').split(' ').filter((key) => key !== '');
    const version = properties['FL_VERSION'];
    return {
      commitLogOffset,
      bytes,
      topic,
      queueId,
      queueOffset,
      keys,
      version: version === undefined ? undefined : Number(version),
    };
  });
  await store.close();
  return kept;
}

export const segmentFile = (position: number) =>
  `${DIRECTORY}/commitlog/${String(position - (position % SIZES.mappedFileSizeCommitLog)).padStart(20, '0')}`;

/** Overwrites bytes of the log, over segments, as a bad disk would. */
export function overwrite(files: Files, position: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) {
    const at = (position + done) % SIZES.mappedFileSizeCommitLog;
    const count = Math.min(bytes.length - done, SIZES.mappedFileSizeCommitLog - at);
    const file = files.open(segmentFile(position + done), 'r+');
    file.write(bytes, done, count, at);
    file.syncNow();
    file.close();
    done += count;
  }
}

/** Vitest looks at each byte: only where it has a difference to show. */
export function expectBytes(found: Buffer | undefined, wanted: Buffer): void {
  if (!found?.equals(wanted)) expect(found).toEqual(wanted);
}

/** Every record that overlaps none of the ranges is where it was, in its queue at its offset, and under its keys. */
export function expectKept(
  store: MessageStore,
  records: readonly Kept[],
  isLost: (record: Kept) => boolean,
): { keptCount: number; lost: Kept[] } {
  const lost = records.filter(isLost);
  for (const record of records) {
    if (isLost(record)) continue;
    const { commitLogOffset, bytes, topic, queueId, queueOffset, keys } = record;
    expectBytes(store.readRecord(commitLogOffset), bytes);
    const read = store.readQueue(topic, queueId, queueOffset, 1, 1 << 20);
    if (read.status !== 'FOUND') expect([commitLogOffset, read.status]).toEqual([commitLogOffset, 'FOUND']);
    expectBytes(read.records[0], bytes);
    for (const key of keys) {
      const found = store.readByKeys({
        keys: [{ topic, key }],
        from: commitLogOffset,
        until: commitLogOffset + 1,
        direction: 'forwards',
        maxCount: 1,
        maxBytes: 1,
      });
      expectBytes(found.records[0], bytes);
    }
  }
  return { keptCount: records.length - lost.length, lost };
}

export function freshFiles(): FaultyFiles {
  return new FaultyFiles();
}
