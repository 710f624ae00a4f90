// The store through its face, on the real disk: appending, rolling, reading, restarting, locking.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileStat, Files } from '../../src/base/files.js';
import { diskFiles } from '../../src/base/files.js';
import { decodeRecord, packHost } from '../../src/protocol/messageRecord.js';
import type { AppendOutcome, Arrival, MessageStoreOptions, MessageToStore } from '../../src/store/index.js';
import { MessageStore, verifyStore } from '../../src/store/index.js';
import { fingerprint } from '../support/goldenStore.js';
import { ManualClock } from '../support/manualClock.js';
import { message } from '../support/storeMessages.js';

const SMALL = {
  mappedFileSizeCommitLog: 4096,
  mappedFileSizeConsumeQueue: 400,
  maxHashSlotNum: 101,
  maxIndexNum: 50,
} as const;

let directory: string;
const opened: MessageStore[] = [];

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-store-'));
});

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

async function open(more: Partial<MessageStoreOptions> = {}): Promise<MessageStore> {
  const store = await MessageStore.open({ directory, ...SMALL, ...more });
  opened.push(store);
  return store;
}

async function stored(store: MessageStore, ...messages: MessageToStore[]) {
  const outcome = store.append(messages);
  if (outcome.status !== 'PUT_OK') throw new Error(`${outcome.status}: ${outcome.reason}`);
  expect(await outcome.turn.visible).toBe('VISIBLE');
  return outcome.places;
}

const bodiesOf = (records: readonly Buffer[]) => records.map((record) => decodeRecord(record).body.toString());

describe('append', () => {
  it('gives each message its place, and reads it back whole', async () => {
    const store = await open();
    const arrivals: Arrival[] = [];
    store.onArrival((arrival) => void arrivals.push(arrival));
    const [first] = await stored(store, message({ body: 'one', properties: { TAGS: 'TagA', KEYS: 'k1 k2' } }));
    const [second] = await stored(store, message({ body: 'two' }));
    expect(first).toMatchObject({ commitLogOffset: 0, queueId: 0, queueOffset: 0 });
    expect(second).toMatchObject({ commitLogOffset: first!.sizeBytes, queueOffset: 1 });
    expect(arrivals.map(({ queueOffset, tagsCode }) => [queueOffset, tagsCode])).toEqual([
      [0, 2598919],
      [1, 0],
    ]);
    const read = store.readQueue('Plain', 0, 0, 32, 1 << 20);
    expect(read).toMatchObject({ status: 'FOUND', nextBeginOffset: 2, minOffset: 0, maxOffset: 2 });
    expect(bodiesOf(read.records)).toEqual(['one', 'two']);
    const record = decodeRecord(store.readRecord(0)!);
    expect(record).toMatchObject({ bornHost: { host: '10.1.2.3', port: 4321 }, properties: { KEYS: 'k1 k2' } });
    expect(store.readRecord(1)).toBeUndefined();
  });

  it('is not visible before its turn is written', async () => {
    const ends: (() => void)[] = [];
    const store = await open({ atEndOfTurn: (action) => void ends.push(action) });
    const outcome = store.append([message({})]);
    expect(outcome.status).toBe('PUT_OK');
    expect(store.readRecord(0)).toBeUndefined();
    expect(store.queueRange('Plain', 0)).toEqual({ minOffset: 0, maxOffset: 0 });
    expect(store.visibleEnd().commitLogOffset).toBe(0);
    const more = store.append([message({})]);
    expect(more.status === 'PUT_OK' && outcome.status === 'PUT_OK' && more.turn === outcome.turn).toBe(true);
    expect(ends).toHaveLength(1);
    ends[0]!();
    expect(store.queueRange('Plain', 0)).toEqual({ minOffset: 0, maxOffset: 2 });
  });

  it.each<[string, readonly MessageToStore[], AppendOutcome['status']]>([
    ['no message', [], 'MESSAGE_ILLEGAL'],
    ['a topic of 128 bytes', [message({ topic: 'x'.repeat(128) })], 'MESSAGE_ILLEGAL'],
    ['a retry topic of 256 bytes', [message({ topic: `%RETRY%${'x'.repeat(249)}` })], 'MESSAGE_ILLEGAL'],
    ['a topic that is a path', [message({ topic: '../up' })], 'MESSAGE_ILLEGAL'],
    ['an empty topic', [message({ topic: '' })], 'MESSAGE_ILLEGAL'],
    ['a body over maxMessageSize', [message({ body: Buffer.alloc(1001) })], 'MESSAGE_ILLEGAL'],
    ['properties over 32767 bytes', [message({ properties: { a: 'x'.repeat(32_766) } })], 'PROPERTIES_SIZE_EXCEEDED'],
    ['a batch over two queues', [message({}), message({ queueId: 1 })], 'MESSAGE_ILLEGAL'],
    ['a batch over two topics', [message({}), message({ topic: 'Other' })], 'MESSAGE_ILLEGAL'],
    ['a batch in a transaction', [message({ sysFlag: 4 }), message({})], 'MESSAGE_ILLEGAL'],
    ['a delayed batch', [message({ properties: { DELAY: '3' } }), message({})], 'MESSAGE_ILLEGAL'],
    ['a negative queue id', [message({ queueId: -1 })], 'MESSAGE_ILLEGAL'],
  ])('refuses %s and stores nothing', async (_, messages, status) => {
    const store = await open({ maxMessageSize: 1000 });
    expect(store.append(messages).status).toBe(status);
    expect(store.visibleEnd().commitLogOffset).toBe(0);
    expect(store.queues().size).toBe(0);
  });

  it('takes long retry topics (V2 records) and IPv6 hosts', async () => {
    const store = await open();
    const topic = `%RETRY%${'g'.repeat(140)}`;
    const bornHost = packHost({ host: 'fd00::1', port: 9 });
    await stored(store, { ...message({ topic }), bornHost });
    const record = decodeRecord(store.readQueue(topic, 0, 0, 1, 1).records[0]!);
    expect(record).toMatchObject({ topic, bornHost: { host: 'fd00:0:0:0:0:0:0:1', port: 9 } });
  });

  it('keeps prepared and rolled back messages out of the queues', async () => {
    const store = await open();
    for (const sysFlag of [4, 12]) {
      const outcome = store.append([message({ sysFlag, properties: { UNIQ_KEY: `u${sysFlag}` } })]);
      expect(outcome).toMatchObject({ places: [{ queueOffset: 0 }] });
    }
    await stored(store, message({ sysFlag: 8 }));
    expect(store.queueRange('Plain', 0)).toEqual({ minOffset: 0, maxOffset: 1 });
    expect(store.queryByKey('Plain', 'u4', 64, 0, Number.MAX_SAFE_INTEGER)).toHaveLength(1);
    expect(store.queryByKey('Plain', 'u12', 64, 0, Number.MAX_SAFE_INTEGER)).toHaveLength(0);
  });

  it('check 8: a delayed message has its due time as tagsCode', async () => {
    const store = await open({ delayLevels: [1000, 5000] });
    const tagsCodes: number[] = [];
    store.onArrival((arrival) => void tagsCodes.push(arrival.tagsCode - arrival.storeTimestamp));
    for (const level of ['1', '2', '9']) {
      await stored(store, message({ topic: 'SCHEDULE_TOPIC_XXXX', properties: { DELAY: level, TAGS: 't' } }));
    }
    expect(tagsCodes).toEqual([1000, 5000, 5000]);
  });
});

describe('reading a queue', () => {
  it('check 64: says where the queue is when there is nothing at the offset', async () => {
    const store = await open();
    expect(store.readQueue('None', 0, 0, 1, 1)).toMatchObject({ status: 'NO_MESSAGE_IN_QUEUE', nextBeginOffset: 0 });
    await stored(store, message({}));
    expect(store.readQueue('Plain', 0, 1, 1, 1)).toMatchObject({ status: 'OFFSET_OVERFLOW_ONE', nextBeginOffset: 1 });
    expect(store.readQueue('Plain', 0, 2, 1, 1)).toMatchObject({ status: 'OFFSET_OVERFLOW_BADLY', nextBeginOffset: 1 });
    expect(store.readQueue('Plain', 0, -1, 1, 1)).toMatchObject({ status: 'OFFSET_TOO_SMALL', nextBeginOffset: 0 });
  });

  it('stops at count, bytes and the end of a queue file; the first message always comes', async () => {
    const store = await open();
    for (let index = 0; index < 50; index += 1)
      await stored(store, message({ body: String(index).padStart(100, '0') }));
    const { sizeBytes } = store.readQueue('Plain', 0, 0, 1, 0);
    expect(sizeBytes).toBeGreaterThan(100);
    expect(store.readQueue('Plain', 0, 0, 7, 1 << 20).records).toHaveLength(7);
    expect(store.readQueue('Plain', 0, 0, 50, sizeBytes * 3).records).toHaveLength(3);
    expect(store.readQueue('Plain', 0, 15, 50, 1 << 20).records).toHaveLength(5);
    const all: string[] = [];
    for (let offset = 0; offset < 50; ) {
      const read = store.readQueue('Plain', 0, offset, 50, 1 << 20);
      all.push(...bodiesOf(read.records));
      offset = read.nextBeginOffset;
    }
    expect(all).toEqual(Array.from({ length: 50 }, (_, index) => String(index).padStart(100, '0')));
  });

  it('returns fewer of the records below a place, and goes on beyond it with what it has', async () => {
    const store = await open();
    const places = await stored(
      store,
      ...Array.from({ length: 20 }, (_, index) => message({ body: `b${index % 10}` })),
    );
    const below = (index: number) => places[index]?.commitLogOffset ?? 0;
    const { sizeBytes } = places[0]!;
    const count = (from: number, before: number, maxCount: number, maxBytes = 1 << 20) => {
      const cold = { before, maxCount, maxBytes };
      const read = store.readQueue('Plain', 0, from, 10, 8 * sizeBytes, undefined, cold);
      expect(read.nextBeginOffset).toBe(from + read.records.length);
      return read.records.length;
    };
    expect(count(0, 0, 3)).toBe(8);
    expect(count(0, below(19), 3)).toBe(3);
    expect(count(0, below(19), 9)).toBe(9);
    expect(count(0, below(19), 9, 2 * sizeBytes)).toBe(2);
    expect(count(0, below(19), 9, 1)).toBe(1);
    // Two of them are cold: not full yet where the others begin.
    expect(count(0, below(2), 3)).toBe(8);
    expect(count(0, below(3), 3)).toBe(8);
    expect(count(0, below(4), 3)).toBe(3);
    expect(count(5, below(4), 3)).toBe(8);
  });

  it('check 66: a filter that matches nothing still moves on', async () => {
    const store = await open({ mappedFileSizeConsumeQueue: 20_000 });
    for (let index = 0; index < 20; index += 1) {
      await stored(store, message({ properties: { TAGS: index % 2 ? 'odd' : 'even', n: String(index) } }));
    }
    const none = store.readQueue('Plain', 0, 0, 32, 1 << 20, { matchesTagsCode: () => false });
    expect(none).toMatchObject({ status: 'NO_MATCHED_MESSAGE', nextBeginOffset: 20 });
    const some = store.readQueue('Plain', 0, 0, 3, 1 << 20, {
      matchesTagsCode: (tagsCode) => tagsCode !== 0,
      matchesProperties: ({ n }) => Number(n) % 3 === 0,
    });
    expect(some.records.map((record) => decodeRecord(record).properties.n)).toEqual(['0', '3', '6']);
    expect(some.nextBeginOffset).toBe(7);
  });

  it('check 65: finds offsets by store time', async () => {
    const clock = new ManualClock();
    const store = await open({ clock });
    const times: number[] = [];
    for (let index = 0; index < 10; index += 1) {
      const [place] = await stored(store, message({}));
      times.push(place!.storeTimestamp);
      if (index !== 4) clock.advance(10);
    }
    const at = (time: number) => [
      store.offsetByTime('Plain', 0, time, 'LOWER'),
      store.offsetByTime('Plain', 0, time, 'UPPER'),
    ];
    expect(at(times[0]! - 1)).toEqual([0, 0]);
    expect(at(times[0]! + 1)).toEqual([1, 0]);
    expect(at(times[4]!)).toEqual([4, 5]);
    expect(at(times[9]!)).toEqual([9, 9]);
    expect(at(times[9]! + 1)).toEqual([10, 9]);
    expect(store.offsetByTime('None', 0, 5, 'LOWER')).toBe(0);
    expect(store.storeTimeAt('Plain', 0, 3)).toBe(times[3]);
    expect(store.storeTimeAt('Plain', 0, 10)).toBe(-1);
  });

  it('what was read near the end stays as it is, however much is appended after', async () => {
    const store = await open({ mappedFileSizeCommitLog: 1 << 24, tailCacheBytes: 1 << 21 });
    const record = message({ body: Buffer.alloc(60_000, 'a') });
    await stored(store, record);
    const kept = store.readRecord(0)!;
    const before = Buffer.from(kept);
    for (let index = 0; index < 100; index += 1) await stored(store, message({ body: Buffer.alloc(60_000, index) }));
    expect(kept.equals(before)).toBe(true);
    expect(store.readRecord(0)!.equals(before)).toBe(true);
    const bodies = store.readQueue('Plain', 0, 1, 100, 1 << 30).records.map((bytes) => decodeRecord(bytes).body[0]);
    expect(bodies.slice(0, 3)).toEqual([0, 1, 2]);
  });

  it('works with more queues than files may be open', async () => {
    const store = await open({ openFilesMax: 8 });
    for (let round = 0; round < 3; round += 1) {
      const messages = Array.from({ length: 60 }, (_, index) =>
        message({ topic: `Topic${index}`, queueId: index % 4 }),
      );
      await Promise.all(messages.map((one) => stored(store, one)));
    }
    await store.close();
    const again = await open({ openFilesMax: 8 });
    expect(again.queues().size).toBe(60);
    for (let index = 0; index < 60; index += 1) {
      expect(again.readQueue(`Topic${index}`, index % 4, 0, 10, 1 << 20).records).toHaveLength(3);
    }
  });
});

describe('closing and opening again', () => {
  it('keeps everything, and the generation, after a clean stop', async () => {
    const store = await open();
    for (let index = 0; index < 40; index += 1) {
      await stored(
        store,
        message({ queueId: index % 3, body: `${index}`, properties: { KEYS: `k${index % 5}`, UNIQ_KEY: `u${index}` } }),
      );
    }
    const end = store.visibleEnd();
    await store.close();
    await store.close();
    expect(() => store.append([message({})])).toThrow(/closed/);
    expect(fs.existsSync(path.join(directory, 'abort'))).toBe(false);
    expect(verifyStore(directory, SMALL)).toMatchObject({
      problemCount: 0,
      recordCount: 40,
      logEnd: end.commitLogOffset,
    });
    const again = await open();
    expect(again.visibleEnd()).toEqual(end);
    expect(again.lowestEndSince(end.generation)).toBeUndefined();
    const found = again.queryByKey('Plain', 'k3', 64, 0, Number.MAX_SAFE_INTEGER);
    expect(bodiesOf(found)).toEqual(['3', '8', '13', '18', '23', '28', '33', '38']);
    const [place] = await stored(again, message({ queueId: 1 }));
    expect(place!.queueOffset).toBe(13);
  });

  it('begins a generation when the last stop was not clean, and says from where on older tokens are void', async () => {
    const store = await open();
    await stored(store, message({}));
    const { commitLogOffset, generation } = store.visibleEnd();
    await store.close();
    fs.writeFileSync(path.join(directory, 'abort'), 'somebody else');
    const again = await open();
    expect(again.visibleEnd()).toEqual({ commitLogOffset, generation: generation + 1 });
    expect(again.lowestEndSince(generation)).toBe(commitLogOffset);
    expect(again.lowestEndSince(generation + 1)).toBeUndefined();
  });

  it('notices that another program appended, and serves what it wrote', async () => {
    const store = await open();
    const [first] = await stored(store, message({ body: 'ours' }));
    await store.close();
    // A broker appends a record of its own: here, the same one a second time, with its place set right.
    const file = path.join(directory, 'commitlog', '0'.repeat(20));
    const bytes = Buffer.from(fs.readFileSync(file).subarray(0, first!.sizeBytes));
    bytes.writeBigInt64BE(1n, 20);
    bytes.writeBigInt64BE(BigInt(first!.sizeBytes), 28);
    const descriptor = fs.openSync(file, 'r+');
    fs.writeSync(descriptor, bytes, 0, bytes.length, first!.sizeBytes);
    fs.closeSync(descriptor);
    const again = await open();
    expect(again.visibleEnd()).toEqual({ commitLogOffset: first!.sizeBytes * 2, generation: 2 });
    expect(bodiesOf(again.readQueue('Plain', 0, 0, 9, 1 << 20).records)).toEqual(['ours', 'ours']);
  });

  it('damage below the synced mark is refused with file and offset, and nothing is changed', async () => {
    const store = await open();
    const places = [];
    for (let index = 0; index < 5; index += 1) places.push(...(await stored(store, message({ body: 'body' }))));
    await store.syncLog();
    await store.close();
    const file = path.join(directory, 'commitlog', '0'.repeat(20));
    const descriptor = fs.openSync(file, 'r+');
    fs.writeSync(descriptor, 'X', places[2]!.commitLogOffset + 89);
    fs.closeSync(descriptor);
    fs.writeFileSync(path.join(directory, 'abort'), 'killed');
    const before = fingerprint(directory);
    const offset = places[2]!.commitLogOffset;
    await expect(open()).rejects.toMatchObject({ code: 'CORRUPTION', details: { file, offset } });
    expect(fingerprint(directory).filter((line) => !line.startsWith('foldlog/pid'))).toEqual(before);
    expect(verifyStore(directory, SMALL).problems[0]).toMatchObject({ offset });
  });

  it('a deleted topic starts at 0 again, also for records appended in the same turn', async () => {
    const store = await open();
    await stored(store, message({ properties: { KEYS: 'k' } }));
    const pending = store.append([message({ properties: { KEYS: 'k' } })]);
    store.deleteTopic('Plain');
    if (pending.status === 'PUT_OK') await pending.turn.visible;
    expect(store.queueRange('Plain', 0)).toEqual({ minOffset: 0, maxOffset: 0 });
    const [place] = await stored(store, message({ body: 'new', properties: { KEYS: 'k' } }));
    expect(place!.queueOffset).toBe(0);
    const found = store.readByKeys({
      keys: [{ topic: 'Plain', key: 'k' }],
      direction: 'forwards',
      maxCount: 9,
      maxBytes: 1e6,
    });
    expect(bodiesOf(found.records)).toEqual(['new']);
  });
});

describe('the lock', () => {
  it('refuses a second store on the directory, saying who holds it, and touches nothing', async () => {
    await open();
    const before = fingerprint(directory);
    await expect(open()).rejects.toMatchObject({ code: 'STORE_LOCKED', details: { pid: process.pid } });
    expect(fingerprint(directory)).toEqual(before);
  });

  it('is free after close, and after a failed open', async () => {
    const first = await open();
    await stored(first, message({}));
    await first.close();
    fs.writeFileSync(path.join(directory, 'commitlog/odd'), 'x');
    await expect(open()).rejects.toThrow(/odd/);
    fs.rmSync(path.join(directory, 'commitlog/odd'));
    await open();
  });

  it('stands on the pid file alone where there are no abstract sockets; one left behind does not count', async () => {
    // Without an identity there is no name for the socket.
    const files: Files = {
      ...diskFiles,
      writeFile: (file, content) => diskFiles.writeFile(file, content),
      stat(file) {
        const { identity: _, ...stat } = diskFiles.stat(file) ?? {};
        return 'sizeBytes' in stat ? (stat as FileStat) : undefined;
      },
    };
    fs.mkdirSync(path.join(directory, 'foldlog'));
    fs.writeFileSync(path.join(directory, 'foldlog/pid'), `${process.pid} 1\n`);
    const first = await open({ files });
    await expect(open({ files })).rejects.toMatchObject({ code: 'STORE_LOCKED', details: { pid: process.pid } });
    await first.close();
    fs.writeFileSync(path.join(directory, 'foldlog/pid'), '4194304000 7\n');
    await open({ files });
  });

  it('refuses a second process; kill -9 of the first frees it, and loses nothing that was answered', async () => {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', path.join(import.meta.dirname, 'storeChild.ts'), directory, JSON.stringify(SMALL)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const answered: number[] = [];
    await new Promise<void>((resolve) => {
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          answered.push(Number(text.slice(0, end)));
          text = text.slice(end + 1);
        }
        if (answered.length >= 200) resolve();
      });
    });
    await expect(open()).rejects.toMatchObject({ code: 'STORE_LOCKED', details: { pid: child.pid } });
    child.kill('SIGKILL');
    await exited;
    const store = await open();
    const { maxOffset } = store.queueRange('Plain', 0);
    expect(maxOffset).toBeGreaterThan(answered.at(-1)!);
    const last = store.readQueue('Plain', 0, answered.at(-1)!, 1, 1);
    expect(bodiesOf(last.records)).toEqual([`message ${answered.at(-1)}`]);
    expect(store.visibleEnd().generation).toBe(2);
  });
});
