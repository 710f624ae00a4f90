// Checks 20 to 40: what a start makes of a store that was stopped cleanly and then damaged. Each on a directory that
// Apache RocketMQ 5.5.0 left (where its release does right the result is the same) and on one that foldlog left.
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import { verifyStore } from '../../../src/store/index.js';
import { fingerprint, sizesOf } from '../../support/goldenStore.js';
import { message } from '../../support/storeMessages.js';
import {
  CLEAN_STOPS,
  closeSound,
  copyOf,
  cutFiles,
  expectEveryEntryRight,
  found,
  indexFile,
  LAST_SEGMENT,
  open,
  ownCopyOf,
  patch,
  patchLog,
  queueFile,
  remove,
  SMALL,
  seen,
  segment,
  stored,
  WHOLE,
  warnings,
} from './fixStore.js';
import { rawQueues } from './rawStore.js';

describe.each(CLEAN_STOPS)('after a clean stop of %s', (_who, make) => {
  it('check 20: everything is as it was, `abort` is gone after the stop, index files keep their names', async () => {
    const directory = await make();
    const index = fs.readdirSync(path.join(directory, 'index'));
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expect(store.minCommitLogOffset()).toBe(0);
    expectEveryEntryRight(store);
    expect(fs.existsSync(path.join(directory, 'abort'))).toBe(true);
    await closeSound(store, directory);
    expect(fs.readdirSync(path.join(directory, 'index'))).toEqual(index);
  });

  it.each<[title: string, damage: (directory: string) => void]>([
    ['check 21: without checkpoint', (directory) => remove(directory, 'checkpoint')],
    ['check 21: with an empty checkpoint', (directory) => fs.truncateSync(path.join(directory, 'checkpoint'))],
    ['check 22: with an empty last segment', (directory) => fs.writeFileSync(segment(directory, 65536), '')],
    [
      'check 25: with a file in index/ whose name is no number',
      (directory) => fs.writeFileSync(path.join(directory, 'index/notes'), 'x'),
    ],
    [
      'check 26: with a queue directory that is no number',
      (directory) => fs.mkdirSync(path.join(directory, 'consumequeue/FixTopic/odd'), { recursive: true }),
    ],
    ['check 27: without consumequeue/', (directory) => remove(directory, 'consumequeue')],
    ['check 28, differs from RocketMQ: without one queue', (directory) => remove(directory, 'consumequeue/FixTopic/0')],
    [
      'check 29, differs from RocketMQ: with the last ten entries of both queues zeroed',
      (directory) => {
        for (const queueId of [0, 1]) patch(queueFile(directory, queueId), 70 * 20, Buffer.alloc(200));
      },
    ],
    [
      'check 30, differs from RocketMQ: with the last ten entries of one queue zeroed',
      (directory) => patch(queueFile(directory, 0), 70 * 20, Buffer.alloc(200)),
    ],
    ['check 31, differs from RocketMQ: without index/', (directory) => remove(directory, 'index')],
    [
      'check 32, differs from RocketMQ: with an index file cut to 5000 bytes',
      (directory) => fs.truncateSync(indexFile(directory), 5000),
    ],
  ])('%s all is there', async (_, damage) => {
    const directory = await make();
    damage(directory);
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expectEveryEntryRight(store);
    await stored(store, message({ topic: 'FixTopic', properties: { KEYS: 'new' } }));
    expect(found(store, 'FixTopic', 'new')).toBe(1);
    await closeSound(store, directory);
    expect(rawQueues(directory).get('FixTopic/0')).toHaveLength(81);
  });

  it('check 22: … and the empty file is deleted', async () => {
    const directory = await make();
    fs.writeFileSync(segment(directory, 65536), '');
    await open(directory);
    expect(fs.existsSync(segment(directory, 65536))).toBe(false);
  });

  it.each<[title: string, damage: (directory: string) => void, names: RegExp]>([
    [
      'check 23: a segment of wrong length',
      (directory) => fs.truncateSync(segment(directory, LAST_SEGMENT), 9000),
      /49152/,
    ],
    [
      'check 24: a queue file of wrong length',
      (directory) => fs.truncateSync(queueFile(directory, 0), 1000),
      /FixTopic/,
    ],
    [
      'check 25: a segment whose name is no number',
      (directory) => fs.copyFileSync(segment(directory, 0), path.join(directory, 'commitlog/copy')),
      /commitlog.copy/,
    ],
    [
      'check 34, differs from RocketMQ: a segment missing in the middle',
      (directory) => fs.rmSync(segment(directory, 16384)),
      /commitlog.*16384/,
    ],
  ])('%s is refused, and every file stays untouched', async (_, damage, names) => {
    const directory = await make();
    damage(directory);
    const before = fingerprint(directory);
    await expect(open(directory)).rejects.toMatchObject({
      code: expect.stringMatching('CORRUPTION|OPTIONS_INVALID'),
      message: expect.stringMatching(names),
    });
    expect(fingerprint(directory)).toEqual(before);
  });

  it('check 33: without the first segment the rest is served', async () => {
    const directory = await make();
    fs.rmSync(segment(directory, 0));
    const store = await open(directory);
    expect(store.minCommitLogOffset()).toBe(16384);
    expect(seen(store)).toEqual({ end: 58117, q0: [23, 80], q1: [22, 80], key3: 5 });
    const read = store.readQueue('FixTopic', 0, 0, 32, 1 << 20);
    expect([read.status, read.nextBeginOffset]).toEqual(['OFFSET_TOO_SMALL', 23]);
    expectEveryEntryRight(store);
    await store.close();
    const again = await open(directory);
    expect(seen(again)).toEqual({ end: 58117, q0: [23, 80], q1: [22, 80], key3: 5 });
  });
});

describe('after a clean stop of RocketMQ', () => {
  it('check 35: without the last segment the blank record is where the log goes on', async () => {
    const directory = copyOf('small-recovered');
    fs.rmSync(segment(directory, LAST_SEGMENT));
    const store = await open(directory);
    expect(seen(store)).toMatchObject({ end: 49098, q0: [0, 68], q1: [0, 67] });
    // 54 bytes are left: room for no record, and so the blank record is written again.
    const [place] = await stored(store, message({ topic: 'T', body: '' }));
    expect(place).toMatchObject({ commitLogOffset: LAST_SEGMENT });
    expectEveryEntryRight(store);
    await closeSound(store, directory);
  });

  it('check 36: without any segment the queues start again', async () => {
    const directory = copyOf('small-recovered');
    remove(directory, 'commitlog');
    const store = await open(directory);
    expect(seen(store)).toEqual({ end: 0, q0: [0, 0], q1: [0, 0], key3: 0 });
    expect(store.queues().size).toBe(0);
    expect(fs.existsSync(path.join(directory, 'consumequeue/FixTopic/0'))).toBe(false);
  });

  it.each<[title: string, damage: (directory: string) => void]>([
    ['check 37: torn', (directory) => patchLog(directory, SMALL.last + 173, Buffer.alloc(174))],
    ['check 38: with one body byte flipped', (directory) => patchLog(directory, SMALL.last + 95, [0xff])],
  ])('%s, the last record is cut, and kept aside', async (_, damage) => {
    const directory = copyOf('small-recovered');
    damage(directory);
    const { lines, logger } = warnings();
    const store = await open(directory, 'small-recovered', { logger });
    expect(seen(store)).toMatchObject({ end: 57770, q0: [0, 80], q1: [0, 79] });
    expect(lines.filter((line) => line.includes('cut off'))).toHaveLength(1);
    expect(cutFiles(directory)).toEqual(['cut-generation-1-57770']);
    const next = message({ topic: 'FixTopic', queueId: 1, body: 'x'.repeat(10) });
    const [first] = await stored(store, next);
    const [second] = await stored(store, next);
    expect(first).toMatchObject({ commitLogOffset: 57770, queueOffset: 79 });
    expect(second).toMatchObject({ commitLogOffset: 57770 + first!.sizeBytes, queueOffset: 80 });
    expectEveryEntryRight(store);
    await closeSound(store, directory);
  });

  it('check 39, differs from RocketMQ: a body byte flipped in the second segment is refused with its place', async () => {
    const directory = copyOf('small-recovered');
    patchLog(directory, 20124 + 95, [0xff]);
    const before = fingerprint(directory);
    await expect(open(directory)).rejects.toMatchObject({
      code: 'CORRUPTION',
      details: { file: segment(directory, 16384), offset: 20124 - 16384 },
    });
    expect(fingerprint(directory)).toEqual(before);
  });

  it('check 39: a second segment that is zero is no end of the log either', async () => {
    const directory = copyOf('small-recovered');
    patchLog(directory, 16384, Buffer.alloc(16384));
    await expect(open(directory)).rejects.toMatchObject({ code: 'CORRUPTION', details: { offset: 0 } });
  });

  it('check 40: an all-zero last segment ends the log before it', async () => {
    const directory = copyOf('small-recovered');
    patchLog(directory, LAST_SEGMENT, Buffer.alloc(16384));
    const store = await open(directory);
    expect(seen(store)).toMatchObject({ end: LAST_SEGMENT, q0: [0, 68], q1: [0, 67] });
    expectEveryEntryRight(store);
    await closeSound(store, directory);
  });
});

// Our synced-up-to mark says that these bytes were on the device: their loss is damage, never a tail.
describe('after a clean stop of foldlog', () => {
  it.each<[title: string, damage: (directory: string) => void, offset: number]>([
    [
      'check 35, differs from RocketMQ: without the last segment',
      (directory) => fs.rmSync(segment(directory, LAST_SEGMENT)),
      0,
    ],
    ['check 36, differs from RocketMQ: without any segment', (directory) => remove(directory, 'commitlog'), 0],
    [
      'check 37, differs from RocketMQ: with its last record torn',
      (directory) => patchLog(directory, SMALL.last + 173, Buffer.alloc(174)),
      57770 - LAST_SEGMENT,
    ],
    [
      'check 38, differs from RocketMQ: with one body byte of its last record flipped',
      (directory) => patchLog(directory, SMALL.last + 95, [0xff]),
      57770 - LAST_SEGMENT,
    ],
    [
      'check 40, differs from RocketMQ: with an all-zero last segment',
      (directory) => patchLog(directory, LAST_SEGMENT, Buffer.alloc(16384)),
      0,
    ],
  ])('%s the store is refused, and every file stays untouched', async (_, damage) => {
    const directory = await ownCopyOf('small-recovered');
    damage(directory);
    const before = fingerprint(directory);
    await expect(open(directory)).rejects.toMatchObject({ code: 'CORRUPTION' });
    expect(fingerprint(directory)).toEqual(before);
  });

  it('check 39: a body byte flipped in the second segment is found by `verify`; a pull hands it out with its CRC', async () => {
    const directory = await ownCopyOf('small-recovered');
    patchLog(directory, 20124 + 95, [0xff]);
    expect(verifyStore(directory, sizesOf('small-recovered')).problems[0]).toMatchObject({
      file: `commitlog/${'16384'.padStart(20, '0')}`,
      offset: 20124 - 16384,
    });
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    const bytes = store.readRecord(20124)!;
    expect(() => decodeRecord(bytes)).toThrow(/CRC/);
  });
});
