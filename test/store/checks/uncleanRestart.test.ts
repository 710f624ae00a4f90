// Checks 41 to 55: what a start makes of a store that was killed. On directories that Apache RocketMQ 5.5.0 left, where
// the result is that release's or better, and on what foldlog leaves.
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { diskFiles, type Files } from '../../../src/base/files.js';
import { silentLogger } from '../../../src/base/logger.js';
import { PersistedTable } from '../../../src/broker/persistedTable.js';
import type { MessageStore } from '../../../src/store/index.js';
import { FaultyFiles, randomFrom } from '../../support/faultyFiles.js';
import { fingerprint } from '../../support/goldenStore.js';
import { ManualClock } from '../../support/manualClock.js';
import { message } from '../../support/storeMessages.js';
import { bodiesOf, pull, send, startTestBroker, temporaryDirectory } from '../../support/testBroker.js';
import {
  CRASHES,
  closeSound,
  copyOf,
  cutFiles,
  expectEveryEntryRight,
  found,
  killed,
  LAST_SEGMENT,
  open,
  ownCopyOf,
  ownCrashOf,
  patch,
  patchLog,
  queueFile,
  remove,
  SMALL,
  seen,
  segment,
  stored,
  WHOLE,
} from './fixStore.js';
import { rawLog, rawQueues } from './rawStore.js';

const SECOND_DAMAGE = 20124;
const writeAbort = (directory: string, text = '123') => fs.writeFileSync(path.join(directory, 'abort'), text);

/** A queue entry as it lies on disk. */
function entry(position: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeBigInt64BE(BigInt(position), 0);
  bytes.writeInt32BE(sizeBytes, 8);
  return bytes;
}

describe.each(CRASHES)('after kill -9 of %s', (_who, make) => {
  it('check 41: all is there, the all-zero file behind the log is gone, the index is whole', async () => {
    const directory = await make();
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expectEveryEntryRight(store);
    expect(fs.existsSync(segment(directory, 65536))).toBe(false);
    await closeSound(store, directory);
  });

  it.each<[title: string, damage: (directory: string) => void]>([
    [
      'check 42: with queues that lack their last entries',
      (directory) => {
        patch(queueFile(directory, 0), 71 * 20, Buffer.alloc(9 * 20));
        patch(queueFile(directory, 1), 40 * 20, Buffer.alloc(40 * 20));
      },
    ],
    ['check 47: without checkpoint', (directory) => remove(directory, 'checkpoint')],
    ['check 48, differs from RocketMQ: without one queue', (directory) => remove(directory, 'consumequeue/FixTopic/0')],
    [
      'check 53, differs from RocketMQ: with a checkpoint from the future',
      (directory) => patch(path.join(directory, 'checkpoint'), 40, [0, 0, 0, 0, 0, 0x98, 0x96, 0x7f]),
    ],
  ])('%s all is dispatched, nothing twice', async (_, damage) => {
    const directory = await make();
    damage(directory);
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expectEveryEntryRight(store);
    await closeSound(store, directory);
    for (const entries of rawQueues(directory).values()) expect(entries).toHaveLength(80);
  });

  it('check 44: queue entries beyond the end of the log are removed', async () => {
    const directory = await make();
    patch(queueFile(directory, 0), 80 * 20, Buffer.concat([entry(58117, 300), entry(58417, 300), entry(60000, 300)]));
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    const [place] = await stored(store, message({ topic: 'FixTopic' }));
    expect(place?.queueOffset).toBe(80);
    expectEveryEntryRight(store);
    await closeSound(store, directory);
  });

  it('check 55, differs from RocketMQ: two crashes in a row lose no key', async () => {
    const first = await make();
    expect(seen(await open(first))).toEqual(WHOLE);
    const second = killed(first);
    const store = await open(second);
    expect(seen(store)).toEqual(WHOLE);
    expect(found(store, 'FixTopic', 'Tag1', 'T')).toBe(53);
    expectEveryEntryRight(store);
  });
});

describe('after kill -9 of RocketMQ', () => {
  it('check 41: the queues are those that a real broker recovered, byte for byte', async () => {
    const directory = copyOf('small-crash');
    remove(directory, 'consumequeue');
    await (await open(directory)).close();
    const recovered = copyOf('small-recovered');
    for (const queueId of [0, 1]) {
      expect(fs.readFileSync(queueFile(directory, queueId))).toEqual(fs.readFileSync(queueFile(recovered, queueId)));
    }
  });

  it('check 43: a half-written last record is cut', async () => {
    const directory = copyOf('small-crash');
    patchLog(directory, SMALL.last + 173, Buffer.alloc(174));
    const store = await open(directory);
    expect(seen(store)).toMatchObject({ end: 57770, q0: [0, 80], q1: [0, 79] });
    expectEveryEntryRight(store);
    await closeSound(store, directory);
  });

  it('check 44: … also when a whole file of the log is lost', async () => {
    const directory = copyOf('small-crash');
    fs.rmSync(segment(directory, 65536));
    patchLog(directory, LAST_SEGMENT, Buffer.alloc(SMALL.segment));
    expect(seen(await open(directory))).toMatchObject({ end: LAST_SEGMENT, q0: [0, 68], q1: [0, 67] });
    expect(rawQueues(directory).get('FixTopic/0')).toHaveLength(68);
  });

  it.each<[what: string, at: number, bytes: number[]]>([
    ['the magic', 4, [0, 0, 0, 0]],
    ['a body byte', 95, [0xff]],
  ])(
    'check 45: %s damaged in the second file ends the log there; what followed is kept aside',
    async (_, at, bytes) => {
      const directory = copyOf('small-crash');
      patchLog(directory, SECOND_DAMAGE + at, bytes);
      expect(seen(await open(directory))).toEqual({ end: SECOND_DAMAGE, q0: [0, 28], q1: [0, 27], key3: 3 });
      expect(cutFiles(directory)).toEqual([
        `cut-generation-1-${SECOND_DAMAGE}`,
        `cut-generation-1-segment-${'32768'.padStart(20, '0')}`,
        `cut-generation-1-segment-${'49152'.padStart(20, '0')}`,
      ]);
      expect(fs.existsSync(segment(directory, 32768))).toBe(false);
    },
  );

  it('check 49: without first file, queues, index and checkpoint, blank entries fill the front', async () => {
    const directory = copyOf('small-crash');
    fs.rmSync(segment(directory, 0));
    for (const name of ['consumequeue', 'index', 'checkpoint']) remove(directory, name);
    const store = await open(directory);
    expect(seen(store)).toEqual({ end: 58117, q0: [23, 80], q1: [22, 80], key3: 5 });
    await closeSound(store, directory);
    const real = copyOf('small-missing-first-out');
    for (const queueId of [0, 1]) {
      expect(fs.readFileSync(queueFile(directory, queueId))).toEqual(fs.readFileSync(queueFile(real, queueId)));
    }
  });
});

describe('after kill -9 of foldlog', () => {
  it('check 42: records whose entries were only in memory are dispatched', async () => {
    const directory = copyOf('small-recovered');
    // The clock stands still: nothing is written or synced by time.
    const store = await open(directory, 'small-recovered', { clock: new ManualClock() });
    for (let n = 0; n < 9; n += 1) {
      await stored(store, message({ topic: 'FixTopic', queueId: n % 2, properties: { KEYS: 'late' } }));
    }
    const crashed = killed(directory);
    expect(rawQueues(crashed).get('FixTopic/0')).toHaveLength(80);
    const again = await open(crashed);
    expect(seen(again)).toMatchObject({ q0: [0, 85], q1: [0, 84], key3: 8 });
    expect(found(again, 'FixTopic', 'late')).toBe(9);
    expectEveryEntryRight(again);
    await closeSound(again, crashed);
  });

  it('check 43: a half-written last record that was never synced is cut, and its queue offset given again', async () => {
    const directory = copyOf('small-recovered');
    const store = await open(directory, 'small-recovered', { clock: new ManualClock() });
    const [place] = await stored(store, message({ topic: 'FixTopic', queueId: 1, body: 'x'.repeat(300) }));
    const crashed = killed(directory);
    patchLog(crashed, place!.commitLogOffset + 150, Buffer.alloc(place!.sizeBytes - 150));
    const again = await open(crashed);
    expect(seen(again)).toEqual(WHOLE);
    const [next] = await stored(again, message({ topic: 'FixTopic', queueId: 1 }));
    expect(next).toMatchObject({ commitLogOffset: SMALL.end, queueOffset: 80 });
  });

  it.each<[title: string, damage: (directory: string) => void]>([
    [
      'check 43, differs from RocketMQ: a half-written last record that was synced',
      (directory) => patchLog(directory, SMALL.last + 173, Buffer.alloc(174)),
    ],
    [
      'check 44, differs from RocketMQ: a lost last file that was synced',
      (directory) => patchLog(directory, LAST_SEGMENT, Buffer.alloc(SMALL.segment)),
    ],
  ])('%s is damage: refused, and every file stays untouched', async (_, damage) => {
    const directory = await ownCrashOf('small-crash');
    damage(directory);
    const before = fingerprint(directory);
    await expect(open(directory)).rejects.toMatchObject({ code: 'CORRUPTION' });
    // The start took the lock anew.
    const isOther = (line: string) => !line.startsWith('foldlog/pid');
    expect(fingerprint(directory).filter(isOther)).toEqual(before.filter(isOther));
  });

  it('check 45, differs from RocketMQ: a body byte flipped in the second file is refused with its place', async () => {
    const directory = await ownCrashOf('small-crash');
    patchLog(directory, SECOND_DAMAGE + 95, [0xff]);
    const before = cutFiles(directory);
    await expect(open(directory)).rejects.toMatchObject({
      code: 'CORRUPTION',
      details: { file: segment(directory, 16384), offset: SECOND_DAMAGE - 16384 },
    });
    expect(cutFiles(directory)).toEqual(before);
  });
});

describe('with `abort` in a store that was stopped cleanly', () => {
  it.each<[title: string, make: () => string | Promise<string>, damage: (directory: string) => void]>([
    ['check 46, differs from RocketMQ', () => copyOf('small-recovered'), () => {}],
    ['check 46', () => ownCopyOf('small-recovered'), () => {}],
    ['check 47: without checkpoint', () => copyOf('small-recovered'), (directory) => remove(directory, 'checkpoint')],
    [
      'check 48, differs from RocketMQ: without one queue',
      () => copyOf('small-recovered'),
      (directory) => remove(directory, 'consumequeue/FixTopic/0'),
    ],
    [
      'check 53, differs from RocketMQ: with a checkpoint from the future',
      () => copyOf('small-recovered'),
      (directory) => patch(path.join(directory, 'checkpoint'), 40, [0, 0, 0, 0, 0, 0x98, 0x96, 0x7f]),
    ],
  ])('%s: queues and index are whole', async (_, make, damage) => {
    const directory = await make();
    writeAbort(directory);
    damage(directory);
    const store = await open(directory);
    expect(seen(store)).toEqual(WHOLE);
    expect(found(store, 'FixTopic', 'Tag1', 'T')).toBe(53);
    expectEveryEntryRight(store);
    await closeSound(store, directory);
  });
});

describe('blank queue entries', () => {
  it('check 50: are never delivered', async () => {
    const directory = copyOf('small-missing-first-out');
    for (const _round of ['as RocketMQ left it', 'as foldlog left it']) {
      const store = await open(directory);
      const read = store.readQueue('FixTopic', 0, 0, 32, 1 << 20);
      expect(read).toMatchObject({ status: 'OFFSET_TOO_SMALL', nextBeginOffset: 23, records: [] });
      expectEveryEntryRight(store);
      await store.close();
    }
  });

  it('check 50: … also in a log that starts at 0, clean and after a crash', async () => {
    const directory = await logThatBeginsWithQueueOffset(5);
    for (const isClean of [true, false]) {
      const store = await open(directory);
      expect(store.minCommitLogOffset()).toBe(0);
      expect(store.queueRange('Late', 0)).toEqual({ minOffset: 5, maxOffset: 8 });
      const reads = [0, 4].map((offset) => store.readQueue('Late', 0, offset, 32, 1 << 20));
      expect(reads).toMatchObject([
        { status: 'OFFSET_TOO_SMALL', nextBeginOffset: 5, records: [] },
        { status: 'OFFSET_TOO_SMALL', nextBeginOffset: 5, records: [] },
      ]);
      expect(store.offsetByTime('Late', 0, 0, 'LOWER')).toBe(5);
      await store.close();
      if (isClean) writeAbort(directory);
    }
    expect(
      rawQueues(directory)
        .get('Late/0')
        ?.slice(0, 6)
        .map(({ sizeBytes }) => sizeBytes > 1000),
    ).toEqual([true, true, true, true, true, false]);
  });

  /** Three messages of a queue whose first ones are in no log any more. */
  async function logThatBeginsWithQueueOffset(first: number): Promise<string> {
    const directory = copyOf('v2-ipv6');
    for (const name of ['commitlog', 'consumequeue', 'index', 'checkpoint']) remove(directory, name);
    const store = await open(directory);
    for (let n = 0; n < 3; n += 1) await stored(store, message({ topic: 'Late', body: `${n}` }));
    await store.close();
    for (const record of rawLog(directory)) {
      const offset = Buffer.alloc(8);
      if (record.kind === 'message') offset.writeBigInt64BE(BigInt(record.queueOffset + first));
      patch(segment(directory, 0), record.position + 20, offset);
    }
    for (const name of ['consumequeue', 'foldlog', 'checkpoint']) remove(directory, name);
    return directory;
  }
});

describe('behind the end of the log', () => {
  it('check 51, differs from RocketMQ: dead records do not come back where a new one ends at the start of one', async () => {
    const directory = copyOf('small-crash');
    const dead = rawLog(directory).at(-3)!;
    patchLog(directory, dead.position + 95, [0xff]);
    const store = await open(directory);
    expect(store.visibleEnd().commitLogOffset).toBe(dead.position);
    const size = (await stored(store, message({ topic: 'FixTopic' })))[0]!.sizeBytes;
    expect(size).toBeLessThan(dead.sizeBytes);
    const again = await open(killed(directory));
    expect(again.visibleEnd().commitLogOffset).toBe(dead.position + size);
    // One of exactly the dead one's size: behind it, the next dead record would say of itself that it lies right.
    const other = copyOf('small-crash');
    patchLog(other, dead.position + 95, [0xff]);
    const fitting = await open(other);
    await stored(fitting, message({ topic: 'FixTopic', body: 'x'.repeat(dead.sizeBytes - 91 - 8) }));
    expect(fitting.visibleEnd().commitLogOffset).toBe(dead.position + dead.sizeBytes);
    const last = await open(killed(other));
    expect(last.visibleEnd().commitLogOffset).toBe(dead.position + dead.sizeBytes);
    expectEveryEntryRight(last);
  });

  it('a start that is interrupted after it cut the log is followed by one that goes on', async () => {
    const directory = await ownCrashOf('small-crash');
    const dead = rawLog(directory).at(-3)!;
    // Another program cut the log here, and wrote what is no record over the last one that we synced.
    patchLog(directory, dead.position + 95, [0xff]);
    patchLog(directory, SMALL.last, Buffer.alloc(40, 7));
    writeAbort(directory);
    const files: Files = {
      ...diskFiles,
      writeFile: (file, content) => diskFiles.writeFile(file, content),
      open(file, mode) {
        if (mode !== 'r' && file.endsWith('foldlog/synced')) throw new Error('the process ends here');
        return diskFiles.open(file, mode);
      },
    };
    await expect(open(directory, 'small-crash', { files })).rejects.toThrow('the process ends here');
    expect(rawLog(directory).at(-1)).toMatchObject({ position: rawLog(copyOf('small-crash')).at(-4)!.position });
    const store = await open(directory);
    expect(store.visibleEnd().commitLogOffset).toBe(dead.position);
    expectEveryEntryRight(store);
    await closeSound(store, directory);
  });

  it('check 52, differs from RocketMQ: any number of segments that were not dispatched', async () => {
    const directory = copyOf('small-crash');
    const store = await open(directory);
    for (let count = 0; count < 200; count += 1) {
      store.append([message({ body: Buffer.alloc(1500, count), properties: { KEYS: 'many' } })]);
    }
    await store.close();
    expect(fs.readdirSync(path.join(directory, 'commitlog')).length).toBeGreaterThan(20);
    for (const name of ['consumequeue', 'index', 'foldlog']) remove(directory, name);
    writeAbort(directory, 'killed');
    const again = await open(directory);
    expect(again.queueRange('Plain', 0)).toEqual({ minOffset: 0, maxOffset: 200 });
    expect(countOf(again, 'many')).toBe(200);
    expectEveryEntryRight(again);
    await closeSound(again, directory);
  });

  const countOf = (store: MessageStore, key: string) =>
    store.readByKeys({ keys: [{ topic: 'Plain', key }], direction: 'forwards', maxCount: 999, maxBytes: 1e9 }).records
      .length;
});

describe('a crash in the middle of writing topics.json', () => {
  const topicsOf = (directory: string) => path.join(directory, 'config/topics.json');

  /** Directory of a broker that knows the topic and stopped. */
  async function withTopic(): Promise<string> {
    const directory = temporaryDirectory();
    const broker = await startTestBroker({ directory });
    await send(broker.client(), { topic: 'Kept', body: 'kept' });
    await send(broker.client(), { topic: 'Later', body: 'later' });
    await broker.stop();
    return directory;
  }

  const keptIn = async (directory: string) => {
    const { client } = await startTestBroker({ directory, config: { autoCreateTopicEnable: false } });
    return bodiesOf(await pull(client(), { topic: 'Kept' }));
  };

  it('check 54: of RocketMQ, which leaves only .bak: it is used', async () => {
    const directory = await withTopic();
    fs.renameSync(topicsOf(directory), `${topicsOf(directory)}.bak`);
    expect(await keptIn(directory)).toEqual(['kept']);
  });

  it.each(['', '{"dataVersion":{"counter":4,'])('check 54: a file that holds %j: .bak is used', async (text) => {
    const directory = await withTopic();
    fs.copyFileSync(topicsOf(directory), `${topicsOf(directory)}.bak`);
    fs.writeFileSync(topicsOf(directory), text);
    expect(await keptIn(directory)).toEqual(['kept']);
  });

  it('check 54: both bad: the broker refuses to start and says which file', async () => {
    const directory = await withTopic();
    for (const file of [topicsOf(directory), `${topicsOf(directory)}.bak`])
      fs.writeFileSync(file, '{"topicConfigTable');
    await expect(startTestBroker({ directory })).rejects.toMatchObject({
      code: 'CORRUPTION',
      message: expect.stringMatching(/topics\.json/),
    });
  });

  it('check 54, differs from RocketMQ: wherever ours is interrupted, one of both versions is whole', () => {
    const outcomes = new Set<unknown>();
    for (let seed = 0; seed < 40; seed += 1) {
      for (let before = 0; before < 8; before += 1) {
        const disk = new FaultyFiles();
        const file = '/store/config/topics.json';
        tableOn(disk, file).save({ n: 1 });
        let isSaved = false;
        let after: FaultyFiles | undefined;
        try {
          tableOn(
            failingAfter(disk, before, () => (after = disk.crash(randomFrom(seed)))),
            file,
          ).save({ n: 2 });
          isSaved = true;
        } catch {
          // The process is gone.
        }
        after ??= disk.crash(randomFrom(seed));
        const loaded = tableOn(after, file).load((value) => value);
        expect([{ n: 1 }, { n: 2 }]).toContainEqual(loaded);
        if (isSaved) expect(loaded).toEqual({ n: 2 });
        outcomes.add(JSON.stringify([isSaved, loaded]));
      }
    }
    // Lost, kept though not answered, and answered.
    expect(outcomes.size).toBe(3);
  });

  const tableOn = (files: Files, file: string) => new PersistedTable({ file, files, logger: silentLogger });

  /** The files up to a number of changes; with the next one the machine loses power. */
  function failingAfter(files: FaultyFiles, count: number, crash: () => void): Files {
    let left = count;
    return new Proxy(files, {
      get(target, name: keyof FaultyFiles) {
        const member = target[name];
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => {
          if (['open', 'writeFile', 'rename', 'syncDirectory', 'makeDirectory'].includes(name)) {
            if (left === 0) crash();
            left -= 1;
          }
          return (member as (...all: unknown[]) => unknown).apply(target, args);
        };
      },
    });
  }
});
