// Every kind of damage to queues and index, after our clean stop and after our crash: what is derived comes back from the
// log, only what has to, and the log says so in one line. Directories of a RocketMQ broker are in recovery.test.ts.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { MessageStore, verifyStore } from '../../src/store/index.js';
import { ManualClock } from '../support/manualClock.js';
import { message } from '../support/storeMessages.js';

const SIZES = {
  mappedFileSizeCommitLog: 16_384,
  mappedFileSizeConsumeQueue: 400,
  maxHashSlotNum: 101,
  maxIndexNum: 200,
};
const COUNT = 90;
const directories: string[] = [];
const opened: MessageStore[] = [];
let lines: string[] = [];

function newDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-derived-'));
  directories.push(directory);
  return directory;
}

async function open(directory: string, clock?: ManualClock): Promise<MessageStore> {
  const log = (_: object, line: string) => void lines.push(line);
  const logger = { debug: log, info: log, warn: log, error: log };
  const lockDirectory = async () => ({ release: async () => {} });
  const store = await MessageStore.open({ directory, ...SIZES, logger, lockDirectory, ...(clock ? { clock } : {}) });
  opened.push(store);
  return store;
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close().catch(() => {});
  for (const directory of directories.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
  lines = [];
});

async function put(store: MessageStore, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number += 1) {
    for (const queueId of [0, 1]) {
      const properties = { KEYS: `key${number % 10}`, UNIQ_KEY: `u-${queueId}-${number}` };
      store.append([message({ topic: 'Orders', queueId, body: `${queueId}-${number}`, properties })]);
    }
  }
  await store.syncLog();
}

async function afterCleanStop(): Promise<string> {
  const directory = newDirectory();
  const store = await open(directory);
  await put(store, 0, COUNT);
  await store.close();
  lines = [];
  return directory;
}

/** Killed some time after a durable mark: 60 messages a queue lie below it. */
async function afterKill(): Promise<string> {
  const directory = newDirectory();
  const clock = new ManualClock();
  const store = await open(directory, clock);
  await put(store, 0, 60);
  clock.advance(11_000);
  const mark = path.join(directory, 'foldlog/derived.json');
  while (!fs.existsSync(mark)) await new Promise((resolve) => setImmediate(resolve));
  await put(store, 60, COUNT);
  const killed = newDirectory();
  fs.cpSync(directory, killed, { recursive: true });
  await store.close();
  lines = [];
  return killed;
}

const queue = (directory: string, queueId: number) => path.join(directory, 'consumequeue/Orders', String(queueId));
const file = (directory: string, queueId: number, number: number) =>
  path.join(queue(directory, queueId), String(number * 400).padStart(20, '0'));
const remove = (...parts: string[]) => fs.rmSync(path.join(...parts), { recursive: true, force: true });

function zero(target: string, at: number, length: number): void {
  const descriptor = fs.openSync(target, 'r+');
  fs.writeSync(descriptor, Buffer.alloc(length), 0, length, at);
  fs.closeSync(descriptor);
}

const indexFile = (directory: string, at: number) => {
  const names = fs.readdirSync(path.join(directory, 'index')).sort();
  return path.join(directory, 'index', names.at(at)!);
};

const DAMAGE: [string, (directory: string) => void][] = [
  ['checks 20 and 41: nothing', () => {}],
  ['check 27: all queues missing', (directory) => remove(directory, 'consumequeue')],
  ['checks 28 and 48: one queue missing', (directory) => remove(queue(directory, 0))],
  ['a queue without its first file', (directory) => remove(file(directory, 0, 0))],
  ['a queue without a file in the middle', (directory) => remove(file(directory, 0, 1))],
  ['a queue without its last files', (directory) => [2, 3, 4].map((number) => remove(file(directory, 0, number)))],
  ['check 30: a queue whose last stored entries are zero', (directory) => zero(file(directory, 0, 2), 200, 200)],
  [
    'check 29: queues whose last stored entries are zero',
    (directory) => [0, 1].map((queueId) => zero(file(directory, queueId, 2), 200, 200)),
  ],
  ['a queue with zeros in the middle', (directory) => zero(file(directory, 0, 1), 100, 200)],
  ['a queue whose first file is zero', (directory) => zero(file(directory, 0, 0), 0, 400)],
  [
    'a queue with the files of another',
    (directory) => {
      remove(queue(directory, 0));
      fs.cpSync(queue(directory, 1), queue(directory, 0), { recursive: true });
    },
  ],
  [
    'check 44: a queue that is ahead of the log',
    (directory) => {
      const last = file(directory, 0, 4);
      const bytes = Buffer.alloc(400);
      if (fs.existsSync(last)) fs.readFileSync(last).copy(bytes);
      for (let at = 200; at < 400; at += 20) {
        bytes.writeBigInt64BE(10_000_000n + BigInt(at), at);
        bytes.writeInt32BE(200, at + 8);
      }
      fs.writeFileSync(last, bytes);
    },
  ],
  [
    'a queue of a topic that the log does not know',
    (directory) => fs.cpSync(queue(directory, 1), path.join(directory, 'consumequeue/Stray/3'), { recursive: true }),
  ],
  ['check 31: the index missing', (directory) => remove(directory, 'index')],
  ['check 32: an index file cut', (directory) => fs.truncateSync(indexFile(directory, 0), 500)],
  ['an index file missing', (directory) => remove(indexFile(directory, 0))],
  ['the newest index file missing', (directory) => remove(indexFile(directory, -1))],
  ['an index file zeroed', (directory) => zero(indexFile(directory, 0), 0, fs.statSync(indexFile(directory, 0)).size)],
  [
    'queues and index missing',
    (directory) => {
      remove(directory, 'consumequeue');
      remove(directory, 'index');
    },
  ],
  ['checks 21 and 47: the checkpoint missing', (directory) => remove(directory, 'checkpoint')],
  ['the durable mark missing', (directory) => remove(directory, 'foldlog/derived.json')],
];

/** Reads both queues to their ends, by offset, and finds every key. */
function expectWhole(store: MessageStore): void {
  for (const queueId of [0, 1]) {
    expect(store.queueRange('Orders', queueId)).toEqual({ minOffset: 0, maxOffset: COUNT });
    const bodies: string[] = [];
    for (let offset = 0; offset < COUNT; ) {
      const read = store.readQueue('Orders', queueId, offset, 32, 1 << 20);
      expect(read.status).toBe('FOUND');
      for (const bytes of read.records) bodies.push(decodeRecord(bytes).body.toString());
      offset = read.nextBeginOffset;
    }
    expect(bodies).toEqual(Array.from({ length: COUNT }, (_, number) => `${queueId}-${number}`));
  }
  for (let key = 0; key < 10; key += 1) {
    expect(store.queryByKey('Orders', `key${key}`, 64, 0, 9_999_999_999_999)).toHaveLength(18);
  }
  expect([...store.queues().keys()]).toEqual(['Orders']);
}

describe.each([
  ['after our clean stop', afterCleanStop, 'CLEAN'],
  ['after our crash', afterKill, 'OWN_CRASH'],
] as const)('%s', (_, stopped, start) => {
  it.each(DAMAGE)('%s: all is there, the numbers go on, and it is so for good', async (_name, damage) => {
    const directory = await stopped();
    damage(directory);
    const store = await open(directory);
    expect(store.startKind).toBe(start);
    expectWhole(store);
    expect(lines.filter((line) => /rebuilt|set right|built anew/.test(line)).length).toBeLessThanOrEqual(3);
    expect(store.append([message({ topic: 'Orders' })])).toMatchObject({ places: [{ queueOffset: COUNT }] });
    await store.close();
    expect(verifyStore(directory, SIZES).problems).toEqual([]);
    lines = [];
    const again = await open(directory);
    expect(again.queueRange('Orders', 0)).toEqual({ minOffset: 0, maxOffset: COUNT + 1 });
    expect(lines.filter((line) => /rebuilt|set right|built anew/.test(line))).toEqual([]);
  });
});
