// Damages consume queue files of a store while it is closed, in places that no start looks at, and reads: every message is
// served at its own offset, the entry is set right on disk, and the log says it in one line.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { MessageStore, type MessageStoreOptions, verifyStore } from '../../src/store/index.js';
import { message } from '../support/storeMessages.js';

const SIZES = {
  mappedFileSizeCommitLog: 16_384,
  mappedFileSizeConsumeQueue: 400,
  maxHashSlotNum: 101,
  maxIndexNum: 400,
};
const ENTRIES_PER_FILE = SIZES.mappedFileSizeConsumeQueue / 20;
const COUNT = 100;
const directories: string[] = [];
const opened: MessageStore[] = [];
let lines: { fields: Record<string, unknown>; line: string }[] = [];

function newDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-healing-'));
  directories.push(directory);
  return directory;
}

async function open(directory: string, more: Partial<MessageStoreOptions> = {}): Promise<MessageStore> {
  const log = (fields: object, line: string) => void lines.push({ fields: fields as Record<string, unknown>, line });
  const logger = { debug: log, info: log, warn: log, error: log };
  const store = await MessageStore.open({ directory, ...SIZES, logger, ...more });
  opened.push(store);
  return store;
}

/** Two queues of one topic and one of another, a hundred messages each, in turn. */
async function written(): Promise<string> {
  const directory = newDirectory();
  const store = await open(directory);
  for (let number = 0; number < COUNT; number += 1) {
    for (const [topic, queueId] of QUEUES) {
      const tag = number % 3 === 0 ? 'three' : 'other';
      store.append([message({ topic, queueId, body: bodyOf(topic, queueId, number), properties: { TAGS: tag } })]);
    }
  }
  await store.close();
  lines = [];
  return directory;
}

const QUEUES = [
  ['Orders', 0],
  ['Orders', 1],
  ['Other', 0],
] as const;
const bodyOf = (topic: string, queueId: number, number: number) => `${topic}-${queueId}-${number}`;

function place(directory: string, topic: string, queueId: number, offset: number): [string, number] {
  const file = offset - (offset % ENTRIES_PER_FILE);
  const name = String(file * 20).padStart(20, '0');
  return [path.join(directory, 'consumequeue', topic, String(queueId), name), (offset - file) * 20];
}

function entry(directory: string, topic: string, queueId: number, offset: number): Buffer {
  const [file, at] = place(directory, topic, queueId, offset);
  return fs.readFileSync(file).subarray(at, at + 20);
}

function patchEntry(directory: string, topic: string, queueId: number, offset: number, bytes: Buffer, from = 0): void {
  const [file, at] = place(directory, topic, queueId, offset);
  const descriptor = fs.openSync(file, 'r+');
  fs.writeSync(descriptor, bytes, 0, bytes.length, at + from);
  fs.closeSync(descriptor);
}

/** Reads a queue to its end and returns the bodies; each record says that it lies where it was asked for. */
function bodies(store: MessageStore, topic: string, queueId: number, maxCount = 7): string[] {
  const { minOffset, maxOffset } = store.queueRange(topic, queueId);
  const found: string[] = [];
  for (let offset = minOffset, reads = 0; offset < maxOffset; reads += 1) {
    if (reads > 1000) throw new Error('the reads do not go on');
    const read = store.readQueue(topic, queueId, offset, maxCount, 1 << 20);
    for (const bytes of read.records) {
      const record = decodeRecord(bytes);
      expect([record.topic, record.queueId]).toEqual([topic, queueId]);
      found.push(record.body.toString());
    }
    offset = read.nextBeginOffset;
  }
  return found;
}

const expected = (topic: string, queueId: number) =>
  Array.from({ length: COUNT }, (_, number) => bodyOf(topic, queueId, number));

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const directory of directories.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
  lines = [];
});

describe('an entry that does not fit its record', () => {
  it.each([
    ['is zero', (directory: string) => patchEntry(directory, 'Orders', 0, 50, Buffer.alloc(20))],
    ['has another size', (directory: string) => patchEntry(directory, 'Orders', 0, 50, Buffer.from([0, 1, 0, 0]), 8)],
    ['has a huge size', (directory: string) => patchEntry(directory, 'Orders', 0, 50, Buffer.from([0x70]), 8)],
    ['has a negative size', (directory: string) => patchEntry(directory, 'Orders', 0, 50, Buffer.from([0xf0]), 8)],
    ['points into a record', (directory: string) => patchEntry(directory, 'Orders', 0, 50, Buffer.from([0x01]), 7)],
    ['points beyond the log', (directory: string) => patchEntry(directory, 'Orders', 0, 50, Buffer.from([0x01]), 3)],
    ['points before the log', (directory: string) => patchEntry(directory, 'Orders', 0, 50, Buffer.from([0xff]), 0)],
    [
      'points at an earlier message of the queue',
      (directory: string) => patchEntry(directory, 'Orders', 0, 50, entry(directory, 'Orders', 0, 31)),
    ],
    [
      'points at a later message of the queue',
      (directory: string) => patchEntry(directory, 'Orders', 0, 50, entry(directory, 'Orders', 0, 51)),
    ],
    [
      'points at a message of another queue',
      (directory: string) => patchEntry(directory, 'Orders', 0, 50, entry(directory, 'Orders', 1, 50)),
    ],
    [
      'points at a message of another topic',
      (directory: string) => patchEntry(directory, 'Orders', 0, 50, entry(directory, 'Other', 0, 50)),
    ],
  ])('%s: the message is served, the entry set right on disk', async (_, damage) => {
    const directory = await written();
    const right = Buffer.from(entry(directory, 'Orders', 0, 50));
    damage(directory);
    expect(entry(directory, 'Orders', 0, 50).equals(right)).toBe(false);
    const store = await open(directory);
    expect(store.startKind).toBe('CLEAN');
    const read = store.readQueue('Orders', 0, 50, 1, 1 << 20);
    expect(read).toMatchObject({ status: 'FOUND', nextBeginOffset: 51 });
    expect(decodeRecord(read.records[0]!).body.toString()).toBe(bodyOf('Orders', 0, 50));
    expect(entry(directory, 'Orders', 0, 50).equals(right)).toBe(true);
    expect(lines.filter(({ line }) => line.includes('set right'))).toHaveLength(1);
    for (const [topic, queueId] of QUEUES) expect(bodies(store, topic, queueId)).toEqual(expected(topic, queueId));
    await store.close();
    expect(verifyStore(directory, SIZES).problems).toEqual([]);
  });

  it('is set right whatever the filter asks, and the filter then judges the message', async () => {
    const directory = await written();
    for (const offset of [50, 51]) patchEntry(directory, 'Orders', 0, offset, Buffer.alloc(20));
    const store = await open(directory);
    const three = decodeRecord(store.readQueue('Orders', 0, 0, 1, 1 << 20).records[0]!).properties.TAGS;
    expect(three).toBe('three');
    const code = Buffer.from(entry(directory, 'Orders', 0, 0)).readInt32BE(16);
    const found: string[] = [];
    for (let offset = 0; offset < COUNT; ) {
      const read = store.readQueue('Orders', 0, offset, 10, 1 << 20, { matchesTagsCode: (other) => other === code });
      for (const bytes of read.records) found.push(decodeRecord(bytes).body.toString());
      offset = read.nextBeginOffset;
    }
    expect(found).toEqual(expected('Orders', 0).filter((_, number) => number % 3 === 0));
  });

  it('is found by time as well', async () => {
    const directory = await written();
    patchEntry(directory, 'Orders', 0, 50, Buffer.alloc(20));
    const store = await open(directory);
    const time = decodeRecord(store.readQueue('Orders', 0, 49, 1, 1 << 20).records[0]!).storeTimestamp;
    expect(store.storeTimeAt('Orders', 0, 50)).toBeGreaterThanOrEqual(time);
    expect(lines.filter(({ line }) => line.includes('set right'))).toHaveLength(1);
  });

  it('a stretch over two files is set right at once, in one line', async () => {
    const directory = await written();
    for (let offset = 30; offset < 75; offset += 1) patchEntry(directory, 'Orders', 0, offset, Buffer.alloc(20));
    const store = await open(directory);
    expect(bodies(store, 'Orders', 0)).toEqual(expected('Orders', 0));
    expect(lines.filter(({ line }) => line.includes('set right'))).toMatchObject([{ fields: { entries: 45 } }]);
  });

  it('whose record is really gone is told once, and the reads go on behind it', async () => {
    const directory = await written();
    const [file] = place(directory, 'Orders', 0, 50);
    const right = entry(directory, 'Orders', 0, 50);
    // The record says from now on that it belongs to another queue: the log has none for the place.
    const commitLogOffset = Number(right.readBigInt64BE(0));
    const start = commitLogOffset - (commitLogOffset % SIZES.mappedFileSizeCommitLog);
    const segment = path.join(directory, 'commitlog', String(start).padStart(20, '0'));
    const descriptor = fs.openSync(segment, 'r+');
    fs.writeSync(descriptor, Buffer.from([0, 0, 0, 7]), 0, 4, commitLogOffset - start + 12);
    fs.closeSync(descriptor);
    expect(fs.existsSync(file)).toBe(true);
    const store = await open(directory);
    for (const _ of [1, 2]) {
      const read = store.readQueue('Orders', 0, 50, 1, 1 << 20);
      expect(read).toMatchObject({ status: 'MESSAGE_WAS_REMOVING', nextBeginOffset: 51 });
    }
    expect(lines.filter(({ line }) => line.includes('it is skipped'))).toHaveLength(1);
    expect(bodies(store, 'Orders', 0)).toHaveLength(COUNT - 1);
  });

  it('a search over more of the log than one read may walk goes on with the next read', async () => {
    const directory = newDirectory();
    const sizes = { ...SIZES, mappedFileSizeCommitLog: 32 * 1024 * 1024, mappedFileSizeConsumeQueue: 400 };
    const store = await open(directory, sizes);
    const orders = () => store.append([message({ topic: 'Orders', body: 'one' })]);
    for (let number = 0; number < 3; number += 1) orders();
    for (let mebibytes = 0; mebibytes < 36; mebibytes += 1) {
      store.append([message({ topic: 'Other', body: Buffer.alloc(1024 * 1024, 7) })]);
    }
    for (let number = 0; number < 3; number += 1) orders();
    await store.close();
    patchEntry(directory, 'Orders', 0, 3, Buffer.alloc(20));
    const again = await open(directory, sizes);
    let reads = 0;
    for (let offset = 3; offset === 3; reads += 1) {
      const read = again.readQueue('Orders', 0, offset, 10, 1 << 20);
      if (read.status !== 'FOUND') expect(read).toMatchObject({ status: 'NO_MATCHED_MESSAGE', nextBeginOffset: 3 });
      else expect(read.records).toHaveLength(3);
      offset = read.nextBeginOffset;
    }
    expect(reads).toBe(3);
  });
});

describe('what must stay as it is', () => {
  it('a sound store logs nothing and writes nothing when it is read', async () => {
    const directory = await written();
    const store = await open(directory);
    for (const [topic, queueId] of QUEUES) expect(bodies(store, topic, queueId)).toEqual(expected(topic, queueId));
    expect(lines.filter(({ line }) => line.includes('entr'))).toEqual([]);
  });

  it('a deleted topic does not come back through an old record', async () => {
    const directory = newDirectory();
    const store = await open(directory);
    for (let number = 0; number < 5; number += 1) store.append([message({ topic: 'Orders', body: `old-${number}` })]);
    store.deleteTopic('Orders');
    for (let number = 0; number < 5; number += 1) store.append([message({ topic: 'Orders', body: `new-${number}` })]);
    await store.close();
    patchEntry(directory, 'Orders', 0, 2, Buffer.alloc(20));
    patchEntry(directory, 'Orders', 0, 0, Buffer.alloc(20));
    expect(bodies(await open(directory), 'Orders', 0)).toEqual(['new-0', 'new-1', 'new-2', 'new-3', 'new-4']);
  });
});

describe('any damage', () => {
  it('of any bytes of a queue between its first and last entry is healed by reading', async () => {
    const source = await written();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 1, max: COUNT - 2 }), fc.uint8Array({ minLength: 1, maxLength: 60 })), {
          minLength: 1,
          maxLength: 4,
        }),
        async (patches) => {
          const directory = newDirectory();
          fs.cpSync(source, directory, { recursive: true });
          for (const [offset, random] of patches) {
            for (let at = 0; at < random.length; at += 20) {
              const target = offset + at / 20;
              // The tagsCode is no part of what fits a record: a filter judges by it alone.
              const bytes = Buffer.from(random.subarray(at, at + 12));
              if (target < COUNT - 1) patchEntry(directory, 'Orders', 0, target, bytes);
            }
          }
          const store = await open(directory);
          const found = bodies(store, 'Orders', 0, 16);
          await store.close();
          fs.rmSync(directory, { recursive: true });
          expect(found).toEqual(expected('Orders', 0));
        },
      ),
      { numRuns: 40 },
    );
  });
});
