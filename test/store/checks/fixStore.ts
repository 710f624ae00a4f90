/**
 * What the checks share: copies of directories that Apache RocketMQ 5.5.0 wrote, opened and damaged, and what is seen
 * of them. small-*: topic FixTopic, 160 messages, queues 0 and 1 with 80 each, log end 58117, segments of 16384 bytes,
 * queue files of 100 entries, last record at 57770 (347 bytes, queue 1).
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Logger } from '../../../src/base/logger.js';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import { MessageStore, type MessageStoreOptions, type MessageToStore, verifyStore } from '../../../src/store/index.js';
import { expandStore, sizesOf } from '../../support/goldenStore.js';
import { ManualClock } from '../../support/manualClock.js';

export const FOREVER = 9_999_999_999_999;
/** Where the small stores end, and where their last record lies. */
export const SMALL = { end: 58117, last: 57770, lastBytes: 347, segment: 16384 } as const;
/** What {@link seen} says of a small store that lacks nothing. */
export const WHOLE = { end: 58117, q0: [0, 80], q1: [0, 80], key3: 8 };

function removed(directory: string): string {
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** An empty directory that goes with the test. */
export const emptyDirectory = () => removed(fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-checks-')));

/** The directory as Apache RocketMQ left it. */
export const copyOf = (name: string) => removed(expandStore(name));

/** What kill -9 leaves of a store that is open: everything that was handed to the operating system. */
export function killed(directory: string): string {
  const copy = emptyDirectory();
  fs.cpSync(directory, copy, { recursive: true });
  return copy;
}

export async function open(
  directory: string,
  name = 'small-recovered',
  more: Partial<MessageStoreOptions> = {},
): Promise<MessageStore> {
  const store = await MessageStore.open({ directory, ...sizesOf(name), ...more });
  onTestFinished(() => store.close());
  return store;
}

/** The directory after foldlog opened it and stopped cleanly: all marks are there. */
export async function ownCopyOf(name: string): Promise<string> {
  const directory = copyOf(name);
  await (await open(directory, name)).close();
  return directory;
}

/** The directory as a foldlog that was killed leaves it, everything synced. */
export async function ownCrashOf(name: string): Promise<string> {
  const directory = copyOf(name);
  // The clock stands still: no durable mark moves meanwhile.
  const store = await open(directory, name, { clock: new ManualClock() });
  await store.syncLog();
  return killed(directory);
}

/** A directory written by RocketMQ, and the same one after foldlog ran on it; both were stopped cleanly. */
export const CLEAN_STOPS: readonly [who: string, make: () => string | Promise<string>][] = [
  ['RocketMQ', () => copyOf('small-recovered')],
  ['foldlog', () => ownCopyOf('small-recovered')],
];

/** The same after kill -9. */
export const CRASHES: readonly [who: string, make: () => string | Promise<string>][] = [
  ['RocketMQ', () => copyOf('small-crash')],
  ['foldlog', () => ownCrashOf('small-crash')],
];

/** What the checks look at: log end, both queues, and how many records one key finds. */
export function seen(store: MessageStore) {
  const range = (queueId: number) => {
    const { minOffset, maxOffset } = store.queueRange('FixTopic', queueId);
    return [minOffset, maxOffset];
  };
  return {
    end: store.visibleEnd().commitLogOffset,
    q0: range(0),
    q1: range(1),
    key3: found(store, 'FixTopic', 'key3'),
  };
}

/** How many records a key query finds. */
export const found = (store: MessageStore, topic: string, key: string, type?: string) =>
  store.queryByKey(topic, key, 64, 0, FOREVER, type).length;

/** Entry n of a queue is the record that says n of itself, and none is passed over. */
export function expectEveryEntryRight(store: MessageStore) {
  for (const [topic, queueIds] of store.queues()) {
    for (const queueId of queueIds) {
      const { minOffset, maxOffset } = store.queueRange(topic, queueId);
      for (let offset = minOffset; offset < maxOffset; ) {
        const read = store.readQueue(topic, queueId, offset, 1000, 1 << 30);
        expect(read.status).toBe('FOUND');
        for (const bytes of read.records) {
          const record = decodeRecord(bytes);
          expect([record.topic, record.queueId, record.queueOffset]).toEqual([topic, queueId, offset]);
          offset += 1;
        }
      }
    }
  }
}

/** Closes the store and demands that nothing is left to find fault with. */
export async function closeSound(store: MessageStore, directory: string, name = 'small-recovered') {
  await store.close();
  expect(fs.existsSync(path.join(directory, 'abort'))).toBe(false);
  expect(verifyStore(directory, sizesOf(name)).problems).toEqual([]);
}

export async function stored(store: MessageStore, ...messages: MessageToStore[]) {
  const outcome = store.append(messages);
  if (outcome.status !== 'PUT_OK') throw new Error(`${outcome.status}: ${outcome.reason}`);
  expect(await outcome.turn.visible).toBe('VISIBLE');
  return outcome.places;
}

/** Warnings, one line each. */
export function warnings(): { lines: string[]; logger: Logger } {
  const lines: string[] = [];
  const warn = (_fields: object, line: string) => void lines.push(line);
  return { lines, logger: { debug: () => {}, info: () => {}, warn, error: warn } };
}

/** Where the last segment begins. */
export const LAST_SEGMENT = 49152;
/** What starts have cut off and kept. */
export const cutFiles = (directory: string) =>
  fs.readdirSync(path.join(directory, 'foldlog')).filter((name) => name.startsWith('cut-'));
export const segment = (directory: string, start: number) =>
  path.join(directory, 'commitlog', String(start).padStart(20, '0'));
export const queueFile = (directory: string, queueId: number) =>
  path.join(directory, 'consumequeue/FixTopic', String(queueId), '0'.repeat(20));
export const indexFile = (directory: string) =>
  path.join(directory, 'index', fs.readdirSync(path.join(directory, 'index'))[0] ?? '');

/** Overwrites bytes of the log of a small store. */
export function patchLog(directory: string, position: number, bytes: Buffer | number[]) {
  const start = position - (position % SMALL.segment);
  patch(segment(directory, start), position - start, bytes);
}

export function patch(file: string, at: number, bytes: Buffer | number[]) {
  const descriptor = fs.openSync(file, 'r+');
  const content = Buffer.from(bytes as number[]);
  fs.writeSync(descriptor, content, 0, content.length, at);
  fs.closeSync(descriptor);
}

export const remove = (directory: string, name: string) =>
  fs.rmSync(path.join(directory, name), { recursive: true, force: true });
