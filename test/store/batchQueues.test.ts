// Topics with queue.type=BatchCQ, written by a RocketMQ broker: served as they are, entries that are missing or wrong come
// from the log. Fixture: FixBatchCQ/0 with two batches of three messages and a single one.
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { dumpBatchConsumeQueue, MessageStore } from '../../src/store/index.js';
import { expandStore, expectedOf, sizesOf } from '../support/goldenStore.js';
import { message } from '../support/storeMessages.js';

const NAME = 'crc-ext-bcq';
const FILE = 'batchconsumequeue/FixBatchCQ/0/00000000000000000000';
const directories: string[] = [];
const opened: MessageStore[] = [];

function copy(): string {
  const directory = expandStore(NAME);
  directories.push(directory);
  return directory;
}

async function open(directory: string): Promise<MessageStore> {
  const store = await MessageStore.open({ directory, ...sizesOf(NAME) });
  opened.push(store);
  return store;
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const directory of directories.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
});

function expectServed(store: MessageStore): void {
  expect(store.queueRange('FixBatchCQ', 0)).toEqual({ minOffset: 0, maxOffset: 7 });
  const at = (offset: number, maxCount = 32) => {
    const read = store.readQueue('FixBatchCQ', 0, offset, maxCount, 1 << 20);
    const positions = read.records.map((bytes) => decodeRecord(bytes).commitLogOffset);
    return [read.status, read.nextBeginOffset, positions];
  };
  expect(at(0)).toEqual(['FOUND', 7, [11526, 12151, 12776]]);
  // Inside a batch: the record that holds the message.
  expect(at(1)).toEqual(['FOUND', 7, [11526, 12151, 12776]]);
  expect(at(3)).toEqual(['FOUND', 7, [12151, 12776]]);
  expect(at(5, 1)).toEqual(['FOUND', 6, [12151]]);
  expect(at(0, 6)).toEqual(['FOUND', 6, [11526, 12151]]);
  const cold = { before: 12_152, maxCount: 4, maxBytes: 1 << 20 };
  expect(store.readQueue('FixBatchCQ', 0, 0, 32, 1 << 20, undefined, cold).nextBeginOffset).toBe(3);
  expect(at(6)).toEqual(['FOUND', 7, [12776]]);
  expect(at(7)).toEqual(['OFFSET_OVERFLOW_ONE', 7, []]);
  expect(at(8)).toEqual(['OFFSET_OVERFLOW_BADLY', 7, []]);
}

describe('a BatchCQ topic', () => {
  it('is served by offset and by time', async () => {
    const store = await open(copy());
    expectServed(store);
    const [first, second, third] = Object.values(expectedOf(NAME).consumeQueues[FILE]!).map(
      (entry) => entry.storeTime!,
    ) as [number, number, number];
    const find = (time: number) => [
      store.offsetByTime('FixBatchCQ', 0, time, 'LOWER'),
      store.offsetByTime('FixBatchCQ', 0, time, 'UPPER'),
    ];
    expect(find(first - 1)).toEqual([0, 0]);
    expect(find(first)).toEqual([0, 0]);
    expect(find(second)).toEqual([3, 3]);
    expect(find(second + 1)).toEqual([6, 3]);
    expect(find(third + 1)).toEqual([7, 6]);
    expect(store.storeTimeAt('FixBatchCQ', 0, 4)).toBe(second);
    expect(store.storeTimeAt('FixBatchCQ', 0, 7)).toBe(-1);
    expect(store.queueRange('FixBatchCQ', 1)).toEqual({ minOffset: 0, maxOffset: 0 });
  });

  it('refuses sends: this store reads such queues and does not write them', async () => {
    const store = await open(copy());
    const outcome = store.append([message({ topic: 'FixBatchCQ' })]);
    expect(outcome).toMatchObject({ status: 'MESSAGE_ILLEGAL', reason: expect.stringContaining('BatchCQ') });
  });

  it('is not changed by being served', async () => {
    const directory = copy();
    const before = fs.readFileSync(path.join(directory, FILE));
    for (const _ of [1, 2]) {
      const store = await open(directory);
      expectServed(store);
      await store.close();
    }
    expect(fs.readFileSync(path.join(directory, FILE)).equals(before)).toBe(true);
  });

  const DAMAGE: [string, (directory: string) => void][] = [
    ['without its last entries, as after kill -9', (directory) => patch(directory, 46, Buffer.alloc(2 * 46))],
    ['without any entry', (directory) => patch(directory, 0, Buffer.alloc(3 * 46))],
    ['with an entry that is wrong', (directory) => patch(directory, 46 + 4, Buffer.from([1, 2, 3]))],
    ['with entries beyond the log', (directory) => patch(directory, 3 * 46, Buffer.alloc(46, 1))],
  ];

  function patch(directory: string, at: number, bytes: Buffer): void {
    const descriptor = fs.openSync(path.join(directory, FILE), 'r+');
    fs.writeSync(descriptor, bytes, 0, bytes.length, at);
    fs.closeSync(descriptor);
  }

  it.each(DAMAGE)('%s is made whole from the log, byte for byte', async (_, damage) => {
    const directory = copy();
    const before = fs.readFileSync(path.join(directory, FILE));
    damage(directory);
    const store = await open(directory);
    expectServed(store);
    await store.close();
    expect(fs.readFileSync(path.join(directory, FILE)).equals(before)).toBe(true);
    // And once more, with our own end mark there, where the number of entries tells.
    damage(directory);
    if (_.startsWith('with an entry')) return;
    const again = await open(directory);
    expectServed(again);
  });

  it('whose files are gone is known by its batches', async () => {
    const directory = copy();
    fs.rmSync(path.join(directory, 'batchconsumequeue'), { recursive: true });
    const store = await open(directory);
    expectServed(store);
    await store.close();
    const entries = [...dumpBatchConsumeQueue(directory, 'FixBatchCQ', 0)];
    expect(entries.map(({ baseOffset, batchSize }) => [baseOffset, batchSize])).toEqual([
      [0, 3],
      [3, 3],
      [6, 1],
    ]);
  });

  it('goes with its topic', async () => {
    const directory = copy();
    const store = await open(directory);
    store.deleteTopic('FixBatchCQ');
    expect(store.queueRange('FixBatchCQ', 0)).toEqual({ minOffset: 0, maxOffset: 0 });
    expect(fs.existsSync(path.join(directory, 'batchconsumequeue/FixBatchCQ'))).toBe(false);
  });
});
