// Opens copies of directories that Apache RocketMQ 5.5.0 wrote, whole and damaged, and compares with what that release
// makes of them where it is right, and with what must come out where it is not ("Differs from RocketMQ").
// small-*: 160 messages, q0 and q1 with 80 each, log end 58117, segments of 16384 bytes, last record at 57770 (347 bytes, q1).
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { dumpConsumeQueue, MessageStore, type MessageStoreOptions, verifyStore } from '../../src/store/index.js';
import { expandStore, expectedOf, fingerprint, goldenStores, sizesOf } from '../support/goldenStore.js';
import { message } from '../support/storeMessages.js';

const FOREVER = 9_999_999_999_999;
const directories: string[] = [];
const opened: MessageStore[] = [];

function copyOf(name: string): string {
  const directory = expandStore(name);
  directories.push(directory);
  return directory;
}

async function open(directory: string, name = 'small-recovered', more: Partial<MessageStoreOptions> = {}) {
  const store = await MessageStore.open({ directory, ...sizesOf(name), ...more });
  opened.push(store);
  return store;
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const directory of directories.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
});

/** What the checks look at: log end, both queues, and how many records one key finds. */
function seen(store: MessageStore) {
  const range = (queueId: number) => {
    const { minOffset, maxOffset } = store.queueRange('FixTopic', queueId);
    return [minOffset, maxOffset];
  };
  return {
    end: store.visibleEnd().commitLogOffset,
    q0: range(0),
    q1: range(1),
    key3: store.queryByKey('FixTopic', 'key3', 64, 0, FOREVER).length,
  };
}

const WHOLE = { end: 58117, q0: [0, 80], q1: [0, 80], key3: 8 };

/** Invariant I3: entry n of a queue is the record that says n of itself, and it is the right one. */
function expectEveryEntryRight(store: MessageStore) {
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

const segment = (directory: string, start: number) =>
  path.join(directory, 'commitlog', String(start).padStart(20, '0'));
const queueFile = (directory: string, queueId: number) =>
  path.join(directory, 'consumequeue/FixTopic', String(queueId), '0'.repeat(20));

function patch(file: string, at: number, bytes: Buffer | number[]) {
  const descriptor = fs.openSync(file, 'r+');
  const content = Buffer.from(bytes as number[]);
  fs.writeSync(descriptor, content, 0, content.length, at);
  fs.closeSync(descriptor);
}

const remove = (directory: string, name: string) =>
  fs.rmSync(path.join(directory, name), { recursive: true, force: true });

describe.each(Object.keys(goldenStores()))('opening %s', (name) => {
  it('serves every message and key, and opens cleanly again', async () => {
    const directory = copyOf(name);
    const expected = expectedOf(name);
    const { logicalEnd } = goldenStores()[name]!;
    for (const round of [1, 2]) {
      const store = await open(directory, name);
      expect([round, store.visibleEnd().commitLogOffset]).toEqual([round, logicalEnd]);
      const records = expected.records.filter((record) => record.type === 'message');
      for (const record of records) {
        const bytes = store.readRecord(record.physicalOffset)!;
        expect(decodeRecord(bytes).queueOffset).toBe(record.queueOffset);
      }
      for (const [file, entries] of Object.entries(expected.consumeQueues)) {
        const [kind, topic = '', queueId = ''] = file.split('/');
        if (kind !== 'consumequeue') continue;
        const { minOffset, maxOffset } = store.queueRange(topic, Number(queueId));
        expect([file, maxOffset]).toEqual([file, entries.length]);
        expect([file, minOffset]).toEqual([file, entries.findIndex((entry) => entry.size !== 0x7fffffff)]);
      }
      const keyed = records.filter((record) => record.properties.UNIQ_KEY);
      for (const { topic, properties, physicalOffset } of keyed) {
        const found = store.queryByKey(topic, properties.UNIQ_KEY!, 64, 0, FOREVER);
        expect(found.map((bytes) => decodeRecord(bytes).commitLogOffset)).toContain(physicalOffset);
      }
      await store.close();
      expect(fs.existsSync(path.join(directory, 'abort'))).toBe(false);
    }
  });
});

describe('after a clean stop of RocketMQ', () => {
  it('check 20: everything is as it was, and the index files keep their names', async () => {
    const directory = copyOf('small-recovered');
    const index = fs.readdirSync(path.join(directory, 'index'));
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expectEveryEntryRight(store);
    expect(fs.existsSync(path.join(directory, 'abort'))).toBe(true);
    await store.close();
    expect(fs.readdirSync(path.join(directory, 'index'))).toEqual(index);
    expect(fs.existsSync(path.join(directory, 'abort'))).toBe(false);
  });

  it.each([
    ['check 21: without checkpoint', (directory: string) => remove(directory, 'checkpoint')],
    ['check 21: with an empty checkpoint', (directory: string) => fs.truncateSync(path.join(directory, 'checkpoint'))],
    ['check 22: with an empty last segment', (directory: string) => fs.writeFileSync(segment(directory, 65536), '')],
    [
      'check 26: with a queue directory that is no number',
      (directory: string) => fs.mkdirSync(path.join(directory, 'consumequeue/FixTopic/odd'), { recursive: true }),
    ],
    ['check 27: without consumequeue/', (directory: string) => remove(directory, 'consumequeue')],
    [
      'check 28, differs from RocketMQ: without one queue',
      (directory: string) => remove(directory, 'consumequeue/FixTopic/0'),
    ],
    [
      'check 29, differs from RocketMQ: with the last ten entries of both queues zeroed',
      (directory: string) => {
        for (const queueId of [0, 1]) patch(queueFile(directory, queueId), 70 * 20, Buffer.alloc(200));
      },
    ],
    [
      'check 30, differs from RocketMQ: with the last ten entries of one queue zeroed',
      (directory: string) => patch(queueFile(directory, 0), 70 * 20, Buffer.alloc(200)),
    ],
    ['check 31, differs from RocketMQ: without index/', (directory: string) => remove(directory, 'index')],
    [
      'check 32, differs from RocketMQ: with an index file cut to 5000 bytes',
      (directory: string) => {
        const [name = ''] = fs.readdirSync(path.join(directory, 'index'));
        fs.truncateSync(path.join(directory, 'index', name), 5000);
      },
    ],
    [
      'with a file in index/ whose name is no number',
      (directory: string) => fs.writeFileSync(path.join(directory, 'index/notes'), 'x'),
    ],
  ])('%s all is there', async (_, damage) => {
    const directory = copyOf('small-recovered');
    damage(directory);
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expectEveryEntryRight(store);
    await store.close();
    // And once more, now that our own end mark is there.
    damage(directory);
    const again = await open(directory);
    expect(seen(again)).toEqual(WHOLE);
    expectEveryEntryRight(again);
    await again.close();
    expect(verifyStore(directory, sizesOf('small-recovered')).problems).toEqual([]);
  });

  it.each([
    [
      'with an index entry that is wrong',
      (directory: string) => {
        const [name = ''] = fs.readdirSync(path.join(directory, 'index'));
        patch(path.join(directory, 'index', name), 40 + 101 * 4 + 100 * 20, [9, 9, 9, 9]);
      },
    ],
    [
      'with an index slot that is wrong',
      (directory: string) => {
        const [name = ''] = fs.readdirSync(path.join(directory, 'index'));
        patch(path.join(directory, 'index', name), 40, Buffer.alloc(101 * 4));
      },
    ],
  ])('%s, the index is set right', async (_, damage) => {
    const directory = copyOf('small-recovered');
    damage(directory);
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    await store.close();
    expect(verifyStore(directory, sizesOf('small-recovered')).problems).toEqual([]);
  });

  it.each([
    ['check 23: a segment of wrong length', (directory: string) => fs.truncateSync(segment(directory, 49152), 9000)],
    ['check 24: a queue file of wrong length', (directory: string) => fs.truncateSync(queueFile(directory, 0), 1000)],
    [
      'check 25: a segment whose name is no number',
      (directory: string) => fs.copyFileSync(segment(directory, 0), path.join(directory, 'commitlog/copy')),
    ],
    [
      'check 34, differs from RocketMQ: a segment missing in the middle',
      (directory: string) => fs.rmSync(segment(directory, 16384)),
    ],
  ])('%s is refused, and every file stays untouched', async (_, damage) => {
    const directory = copyOf('small-recovered');
    damage(directory);
    const before = fingerprint(directory);
    await expect(open(directory)).rejects.toThrow(/commitlog|consumequeue/);
    expect(fingerprint(directory)).toEqual(before);
  });

  it('a store opened with other sizes than it was written with names the option', async () => {
    const directory = copyOf('small-recovered');
    const before = fingerprint(directory);
    await expect(open(directory, 'default')).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('mappedFileSizeCommitLog'),
    });
    expect(fingerprint(directory)).toEqual(before);
  });

  it('check 33: without the first segment the rest is served', async () => {
    const directory = copyOf('small-recovered');
    fs.rmSync(segment(directory, 0));
    const store = await open(directory);
    expect(store.minCommitLogOffset()).toBe(16384);
    expect(seen(store)).toEqual({ end: 58117, q0: [23, 80], q1: [22, 80], key3: 5 });
    const read = store.readQueue('FixTopic', 0, 0, 32, 1 << 20);
    expect([read.status, read.nextBeginOffset]).toEqual(['OFFSET_TOO_SMALL', 23]);
    expect(store.offsetByTime('FixTopic', 0, 0, 'LOWER')).toBe(23);
    expect(store.offsetByTime('FixTopic', 0, 0, 'UPPER')).toBe(23);
    expectEveryEntryRight(store);
  });

  it('check 35: without the last segment the next append overwrites the blank record', async () => {
    const directory = copyOf('small-recovered');
    fs.rmSync(segment(directory, 49152));
    const store = await open(directory);
    expect(seen(store)).toMatchObject({ end: 49098, q0: [0, 68], q1: [0, 67] });
    const outcome = store.append([message({ topic: 'T', body: '' })]);
    expect(outcome).toMatchObject({ status: 'PUT_OK', places: [{ commitLogOffset: 49152 }] });
    expectEveryEntryRight(store);
    await store.close();
    expect(verifyStore(directory, sizesOf('small-recovered')).problems).toEqual([]);
  });

  it('check 36: without any segment the queues start again', async () => {
    const directory = copyOf('small-recovered');
    fs.rmSync(path.join(directory, 'commitlog'), { recursive: true });
    const store = await open(directory);
    expect(seen(store)).toEqual({ end: 0, q0: [0, 0], q1: [0, 0], key3: 0 });
    expect(store.queues().size).toBe(0);
  });

  it.each([
    ['check 37: torn', (directory: string) => patch(segment(directory, 49152), 57770 - 49152 + 173, Buffer.alloc(174))],
    [
      'check 38: with one body byte flipped',
      (directory: string) => patch(segment(directory, 49152), 57770 - 49152 + 95, [0xff]),
    ],
  ])('%s, the last record is cut and kept aside', async (_, damage) => {
    const directory = copyOf('small-recovered');
    damage(directory);
    const lines: string[] = [];
    const log = (_fields: object, line: string) => void lines.push(line);
    const store = await open(directory, 'small-recovered', {
      logger: { debug: log, info: log, warn: log, error: log },
    });
    expect(seen(store)).toMatchObject({ end: 57770, q0: [0, 80], q1: [0, 79] });
    expect(lines.filter((line) => line.includes('cut off'))).toHaveLength(1);
    const kept = fs.readdirSync(path.join(directory, 'foldlog')).filter((name) => name.startsWith('cut-'));
    expect(kept).toEqual(['cut-generation-1-57770']);
    const first = store.append([message({ topic: 'FixTopic', queueId: 1 })]);
    const second = store.append([message({ topic: 'FixTopic', queueId: 1 })]);
    expect(first).toMatchObject({ places: [{ commitLogOffset: 57770, queueOffset: 79 }] });
    expect(second).toMatchObject({ places: [{ queueOffset: 80 }] });
    if (second.status === 'PUT_OK') await second.turn.visible;
    expectEveryEntryRight(store);
  });

  it('check 40: an all-zero last segment ends the log before it', async () => {
    const directory = copyOf('small-recovered');
    patch(segment(directory, 49152), 0, Buffer.alloc(16384));
    expect(seen(await open(directory))).toMatchObject({ end: 49152, q0: [0, 68], q1: [0, 67] });
  });

  it('check 68: a deleted topic starts again at 0, also after a start that rebuilds the queues', async () => {
    const directory = copyOf('small-recovered');
    const store = await open(directory);
    store.deleteTopic('FixTopic');
    expect(seen(store)).toMatchObject({ q0: [0, 0], q1: [0, 0] });
    const outcome = store.append([message({ topic: 'FixTopic' })]);
    expect(outcome).toMatchObject({ places: [{ queueOffset: 0 }] });
    await store.close();
    remove(directory, 'consumequeue');
    expect(seen(await open(directory))).toMatchObject({ q0: [0, 1], q1: [0, 0] });
  });
});

describe('after kill -9 of RocketMQ', () => {
  it('check 41: small-crash', async () => {
    const directory = copyOf('small-crash');
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expectEveryEntryRight(store);
    expect(fs.existsSync(segment(directory, 65536))).toBe(false);
  });

  it('the queues are those that a real broker recovered, byte for byte', async () => {
    const directory = copyOf('small-crash');
    remove(directory, 'consumequeue');
    await (await open(directory)).close();
    const recovered = copyOf('small-recovered');
    for (const queueId of [0, 1]) {
      expect(fs.readFileSync(queueFile(directory, queueId))).toEqual(fs.readFileSync(queueFile(recovered, queueId)));
    }
  });

  it.each([
    [
      'check 42: queues without their last entries',
      (directory: string) => patch(queueFile(directory, 1), 40 * 20, Buffer.alloc(40 * 20)),
    ],
    ['check 47: without checkpoint', (directory: string) => remove(directory, 'checkpoint')],
    [
      'check 48, differs from RocketMQ: without one queue',
      (directory: string) => remove(directory, 'consumequeue/FixTopic/0'),
    ],
  ])('%s: all is dispatched, nothing twice', async (_, damage) => {
    const directory = copyOf('small-crash');
    damage(directory);
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expectEveryEntryRight(store);
  });

  it('check 44: queue entries beyond the end of the log are removed', async () => {
    const directory = copyOf('small-crash');
    fs.rmSync(segment(directory, 49152));
    fs.rmSync(segment(directory, 65536));
    fs.writeFileSync(segment(directory, 49152), Buffer.alloc(16384));
    expect(seen(await open(directory))).toMatchObject({ end: 49152, q0: [0, 68], q1: [0, 67] });
    expect([...dumpConsumeQueue(directory, 'FixTopic', 0)]).toHaveLength(68);
  });

  it('check 45: damage in the second segment ends the log there, and later segments are kept aside', async () => {
    const directory = copyOf('small-crash');
    patch(segment(directory, 16384), 20124 - 16384 + 4, [0, 0, 0, 0]);
    expect(seen(await open(directory))).toEqual({ end: 20124, q0: [0, 28], q1: [0, 27], key3: 3 });
    const kept = fs.readdirSync(path.join(directory, 'foldlog')).filter((name) => name.startsWith('cut-'));
    expect(kept).toHaveLength(3);
  });

  it('checks 46 and 53, differ from RocketMQ: the index is whole whatever the checkpoint says', async () => {
    const directory = copyOf('small-recovered');
    fs.writeFileSync(path.join(directory, 'abort'), '123');
    expect(seen(await open(directory))).toEqual(WHOLE);
    const future = copyOf('small-recovered');
    fs.writeFileSync(path.join(future, 'abort'), '123');
    patch(path.join(future, 'checkpoint'), 40, [0, 0, 0, 0, 0, 0x98, 0x96, 0x7f]);
    expect(seen(await open(future))).toEqual(WHOLE);
  });

  it('check 49: without first segment, queues, index and checkpoint, blank entries fill the front', async () => {
    const directory = copyOf('small-crash');
    fs.rmSync(segment(directory, 0));
    for (const name of ['consumequeue', 'index', 'checkpoint']) remove(directory, name);
    const store = await open(directory);
    expect(seen(store)).toMatchObject({ end: 58117, q0: [23, 80], q1: [22, 80] });
    await store.close();
    const real = copyOf('small-missing-first-out');
    for (const queueId of [0, 1]) {
      expect(fs.readFileSync(queueFile(directory, queueId))).toEqual(fs.readFileSync(queueFile(real, queueId)));
    }
  });

  it('check 55, differs from RocketMQ: two crashes in a row lose no key', async () => {
    const directory = copyOf('small-crash');
    await (await open(directory)).close();
    // What the directory of a store that was killed looks like.
    fs.writeFileSync(path.join(directory, 'abort'), fs.readFileSync(path.join(directory, 'foldlog/running')));
    remove(directory, 'foldlog/end.json');
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expectEveryEntryRight(store);
  });

  it('check 52, differs from RocketMQ: any number of segments that were not dispatched', async () => {
    const directory = copyOf('small-crash');
    const store = await open(directory);
    for (let count = 0; count < 200; count += 1) store.append([message({ body: Buffer.alloc(1500, count) })]);
    await store.close();
    expect(fs.readdirSync(path.join(directory, 'commitlog')).length).toBeGreaterThan(20);
    remove(directory, 'consumequeue');
    fs.writeFileSync(path.join(directory, 'abort'), 'killed');
    const again = await open(directory);
    expect(again.queueRange('Plain', 0)).toEqual({ minOffset: 0, maxOffset: 200 });
    expectEveryEntryRight(again);
  });
});
