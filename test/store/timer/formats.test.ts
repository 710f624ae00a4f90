// Bytes that a real broker wrote (test/golden/timer) against the same made by foldlog, both ways.
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diskFiles } from '../../../src/base/files.js';
import { silentLogger } from '../../../src/base/logger.js';
import { javaHash } from '../../../src/protocol/javaHash.js';
import { FileHandles } from '../../../src/store/log/fileHandles.js';
import { DueTimes } from '../../../src/store/timer/dueTimes.js';
import { encodeTimerCheckpoint, readTimerCheckpoint } from '../../../src/store/timer/timerCheckpoint.js';
import { TimerFiles } from '../../../src/store/timer/timerFiles.js';
import { TimerLog } from '../../../src/store/timer/timerLog.js';
import { TimerMetrics } from '../../../src/store/timer/timerMetrics.js';
import type { TimerRecord } from '../../../src/store/timer/timerRecord.js';
import { TimerWheel, WHEEL_SLOT_BYTES, WHEEL_SLOTS } from '../../../src/store/timer/timerWheel.js';
import { ManualClock } from '../../support/manualClock.js';
import { temporaryDirectory } from '../../support/testBroker.js';

const GOLDEN = path.join(import.meta.dirname, '../../golden/timer');
const golden = (name: string) => path.join(GOLDEN, name);

interface Sparse {
  fullSize: number;
  segments: { offset: number; hex: string }[];
}

/** The bytes of a sparse file up to the last that is not zero. */
function sparseBytes(name: string): { fullSize: number; bytes: Buffer } {
  const { fullSize, segments } = JSON.parse(fs.readFileSync(golden(name), 'utf8')) as Sparse;
  const last = segments.at(-1);
  const bytes = Buffer.alloc(last ? last.offset + last.hex.length / 2 : 0);
  for (const { offset, hex } of segments) Buffer.from(hex, 'hex').copy(bytes, offset);
  return { fullSize, bytes };
}

function expand(name: string, to: string): void {
  const { fullSize, bytes } = sparseBytes(name);
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.writeFileSync(to, bytes);
  fs.truncateSync(to, fullSize);
}

const SEGMENT_BYTES = 104_857_600;
const SLOTS = [
  { time: 1_795_424_708_000, firstPos: 0, lastPos: 0, num: 1, magic: 0 },
  { time: 1_795_425_305_000, firstPos: 52, lastPos: 52, num: 1, magic: 0 },
  { time: 1_795_425_405_000, firstPos: 104, lastPos: 104, num: 1, magic: 0 },
];
const record = (delayMillis: number, commitLogOffset: number, messageBytes: number): TimerRecord => ({
  previous: -1,
  magic: 1,
  writtenAt: 1_795_424_705_000,
  delayMillis,
  commitLogOffset,
  messageBytes,
  topicHash: javaHash('FixTopic'),
});
const RECORDS = [record(3000, 3355, 348), record(600_000, 3703, 342), record(700_000, 4045, 356)];
/** What the golden store's commit log says of them. */
const messageAt = (commitLogOffset: number) => {
  const index = RECORDS.findIndex((one) => one.commitLogOffset === commitLogOffset);
  const found = RECORDS[index];
  return found && { sizeBytes: found.messageBytes, queueOffset: index };
};

const wheelAt = (directory: string, handles = new FileHandles(diskFiles)) =>
  new TimerWheel({ files: diskFiles, handles, path: path.join(directory, 'timerwheel'), precisionMillis: 1000 });

describe('the wheel', () => {
  it('is read as a real broker wrote it', () => {
    const directory = temporaryDirectory();
    expand('timerwheel.sparse.json', path.join(directory, 'timerwheel'));
    const wheel = wheelAt(directory);
    expect(wheel.exists).toBe(true);
    expect([...wheel.stored()]).toEqual(SLOTS);
    expect(wheel.get(1_795_424_708_999)).toEqual(SLOTS[0]);
    // The same slot fourteen days later is another time's.
    const later = 1_795_424_708_000 + WHEEL_SLOTS * 1000;
    expect(wheel.get(later)).toBeUndefined();
    expect(wheel.occupant(later)).toEqual(SLOTS[0]);
  });

  it('is written with the same bytes', async () => {
    const directory = temporaryDirectory();
    const wheel = wheelAt(directory);
    expect(wheel.get(SLOTS[0]?.time ?? 0)).toBeUndefined();
    for (const slot of SLOTS) wheel.put(slot);
    wheel.write(wheel.takeDirty());
    await wheel.sync();
    const { fullSize, bytes } = sparseBytes('timerwheel.sparse.json');
    const written = fs.readFileSync(path.join(directory, 'timerwheel'));
    expect(written.length).toBe(fullSize);
    expect(fullSize).toBe(WHEEL_SLOTS * WHEEL_SLOT_BYTES);
    expect(written.subarray(0, bytes.length).equals(bytes)).toBe(true);
    expect(written.subarray(bytes.length).some((byte) => byte !== 0)).toBe(false);
  });

  it('keeps few pages in memory and loses no change by it', () => {
    const directory = temporaryDirectory();
    const wheel = wheelAt(directory);
    // A slot in each of 5,000 pages.
    const slots = Array.from({ length: 5000 }, (_, n) => ({
      time: 1_800_000_000_000 + n * 128_000,
      firstPos: n,
      lastPos: n,
      num: 1,
      magic: 0,
    }));
    for (const slot of slots) {
      wheel.put(slot);
      if (wheel.isCrowded) wheel.write(wheel.takeDirty());
    }
    wheel.write(wheel.takeDirty());
    expect(wheel.pageCount).toBeLessThanOrEqual(600);
    for (const slot of slots) expect(wheel.get(slot.time)).toEqual(slot);
    expect(wheel.pageCount).toBeLessThanOrEqual(600);
  });

  it('keeps a page that changed while its copy was under way, and one that could not be written', () => {
    const wheel = wheelAt(temporaryDirectory());
    const time = 1_800_000_000_000;
    const slot = { time, firstPos: 1, lastPos: 1, num: 1, magic: 0 };
    wheel.put(slot);
    const taken = wheel.takeDirty();
    wheel.put({ ...slot, lastPos: 2, num: 2 });
    wheel.write(taken);
    const next = wheel.takeDirty();
    expect(next).toHaveLength(1);
    wheel.giveBack(next);
    wheel.write(wheel.takeDirty());
    expect([...wheel.stored()]).toEqual([{ ...slot, lastPos: 2, num: 2 }]);
  });
});

describe('the timer log', () => {
  const logAt = (directory: string, segmentBytes = SEGMENT_BYTES) =>
    new TimerLog({
      files: diskFiles,
      handles: new FileHandles(diskFiles),
      directory: path.join(directory, 'timerlog'),
      segmentBytes,
    });

  it('is read as a real broker wrote it', () => {
    const directory = temporaryDirectory();
    expand('timerlog.sparse.json', path.join(directory, 'timerlog', '00000000000000000000'));
    const log = logAt(directory);
    expect([...log.records(0)]).toEqual(RECORDS.map((one, index) => ({ position: index * 52, record: one })));
    expect(log.shapeAt(156)).toEqual({ kind: 'zero' });
  });

  it('is written with the same bytes', async () => {
    const directory = temporaryDirectory();
    const log = logAt(directory);
    log.append(RECORDS.slice(0, 1));
    log.append(RECORDS.slice(1));
    await log.sync();
    const written = fs.readFileSync(path.join(directory, 'timerlog', '00000000000000000000'));
    const { fullSize, bytes } = sparseBytes('timerlog.sparse.json');
    expect(written.length).toBe(fullSize);
    expect(written.subarray(0, 200).equals(Buffer.concat([bytes, Buffer.alloc(200 - bytes.length)]))).toBe(true);
  });

  it('ends each file with a blank, whatever its size, and reads over it in both directions', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 68, max: 400 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 }),
        (size, batches) => {
          const directory = temporaryDirectory();
          const log = logAt(directory, size);
          const written: { position: number; record: TimerRecord }[] = [];
          for (const count of batches) {
            const records = Array.from({ length: count }, (_, n) => record(1000, written.length + n, 100));
            const positions = log.positionsFor(count);
            log.append(records);
            written.push(...records.map((one, n) => ({ position: positions[n] ?? -1, record: one })));
          }
          expect([...log.records(0)]).toEqual(written);
          for (const one of [...written].reverse()) expect(log.record(one.position)).toEqual(one.record);
          const { end } = log;
          const again = logAt(directory, size);
          again.endsAt(end);
          expect([...again.records(0)]).toEqual(written);
          for (const file of diskFiles.list(path.join(directory, 'timerlog')).slice(0, -1)) {
            const bytes = fs.readFileSync(path.join(directory, 'timerlog', file));
            const at = Math.floor((size - 16) / 52) * 52;
            expect(bytes.readInt32BE(at)).toBe(size - at);
            expect(bytes.readUInt32BE(at + 12)).toBe(0xcbd43194);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('lets go of its oldest files and of nothing else', () => {
    const log = logAt(temporaryDirectory(), 68);
    log.append(Array.from({ length: 5 }, (_, n) => record(1000, n * 100, 100)));
    expect(log.removeLeading((last) => last.commitLogOffset < 250)).toHaveLength(3);
    expect([...log.records(log.start)].map(({ record: one }) => one.commitLogOffset)).toEqual([300, 400]);
    expect(log.removeLeading(() => true)).toHaveLength(1);
    expect([...log.records(log.start)]).toHaveLength(1);
  });
});

describe('timercheck and timermetrics', () => {
  it('are read as a real broker wrote them', () => {
    expect(readTimerCheckpoint(diskFiles, golden('timercheck'))).toEqual({
      lastReadTimeMs: 1_795_424_796_000,
      lastTimerLogFlushPos: 156,
      lastTimerQueueOffset: 3,
      masterTimerQueueOffset: 3,
      dataVersion: { stateVersion: 0, timestamp: 1_795_424_797_046, counter: 121 },
      precisionMillis: undefined,
    });
    expect(new TimerMetrics({ files: diskFiles, path: golden('timermetrics') }).countOf('FixTopic')).toBe(2);
  });

  it('are written with the same bytes', () => {
    const bytes = fs.readFileSync(golden('timercheck'));
    const checkpoint = readTimerCheckpoint(diskFiles, golden('timercheck'));
    if (!checkpoint) throw new Error('unreadable');
    expect(encodeTimerCheckpoint(checkpoint).subarray(0, 56).equals(bytes.subarray(0, 56))).toBe(true);
    const ours = encodeTimerCheckpoint({ ...checkpoint, precisionMillis: 1000 });
    expect(ours.subarray(0, 56).equals(bytes.subarray(0, 56))).toBe(true);
    const metrics = new TimerMetrics({ files: diskFiles, path: golden('timermetrics') });
    expect(metrics.text()).toBe(fs.readFileSync(golden('timermetrics'), 'utf8').trim());
  });

  it('tell a checkpoint of foldlog from one that another broker wrote over it', () => {
    const file = path.join(temporaryDirectory(), 'timercheck');
    const real = readTimerCheckpoint(diskFiles, golden('timercheck'));
    if (!real) throw new Error('unreadable');
    const ours = encodeTimerCheckpoint({ ...real, precisionMillis: 100 });
    fs.writeFileSync(file, Buffer.concat([ours, Buffer.alloc(4096 - ours.length)]));
    expect(readTimerCheckpoint(diskFiles, file)?.precisionMillis).toBe(100);
    ours.writeInt32BE(7, 52);
    fs.writeFileSync(file, ours);
    expect(readTimerCheckpoint(diskFiles, file)?.precisionMillis).toBeUndefined();
  });
});

describe('the timer of a directory that a real broker wrote', () => {
  const open = (directory: string) =>
    new TimerFiles({
      directory,
      files: diskFiles,
      clock: new ManualClock(1_795_424_800_000),
      logger: silentLogger,
      segmentBytes: SEGMENT_BYTES,
      precisionMillis: 1000,
      messageAt,
    });
  const make = (wheel: string) => {
    const directory = temporaryDirectory();
    expand('timerwheel.sparse.json', path.join(directory, wheel));
    expand('timerlog.sparse.json', path.join(directory, 'timerlog', '00000000000000000000'));
    fs.mkdirSync(path.join(directory, 'config'));
    fs.copyFileSync(golden('timercheck'), path.join(directory, 'config', 'timercheck'));
    return directory;
  };

  it.each(['timerwheel', 'timerwheel.156', 'timerwheel.52', 'gone'])('goes on where it stood, from %s', (wheel) => {
    const timers = open(make(wheel));
    expect(timers.queueOffset).toBe(3);
    expect(timers.next).toBe(1_795_425_305_000);
    expect(timers.positionsAt(1_795_425_305_000)).toEqual([52]);
    timers.passed(1_795_425_305_000);
    expect(timers.next).toBe(1_795_425_405_000);
    expect(timers.positionsAt(1_795_425_405_000)).toEqual([104]);
    expect(timers.isWaiting(javaHash('FixTopic'))).toBe(true);
    timers.passed(1_795_425_405_000);
    expect(timers.next).toBeUndefined();
    expect(timers.isWaiting(javaHash('FixTopic'))).toBe(false);
    timers.close();
  });

  it('makes the timer log anew from the messages when it is gone', () => {
    const directory = make('timerwheel');
    fs.rmSync(path.join(directory, 'timerlog'), { recursive: true });
    const timers = open(directory);
    expect(timers.queueOffset).toBe(0);
    expect(timers.knownBelow).toBe(3);
    expect(timers.next).toBeUndefined();
    timers.close();
  });

  it('finds what a slot points at behind the end of a timer log that was cut short', () => {
    const directory = make('timerwheel');
    const file = path.join(directory, 'timerlog', '00000000000000000000');
    const descriptor = fs.openSync(file, 'r+');
    // The third record is lost, and its slot still points at it; the second slot points at it, too.
    fs.writeSync(descriptor, Buffer.alloc(52), 0, 52, 104);
    fs.closeSync(descriptor);
    const wheel = wheelAt(directory);
    wheel.put({ time: 1_795_425_305_000, firstPos: 52, lastPos: 104, num: 2, magic: 0 });
    wheel.write(wheel.takeDirty());
    const timers = open(directory);
    expect(timers.queueOffset).toBe(2);
    expect(timers.positionsAt(1_795_425_305_000)).toEqual([52]);
    expect(timers.next).toBe(1_795_425_305_000);
    timers.passed(1_795_425_305_000);
    expect(timers.next).toBeUndefined();
    timers.close();
  });
});

describe('due times', () => {
  it('come in order, each once', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 1000 })),
        fc.uniqueArray(fc.integer({ min: 1001, max: 2000 })),
        (first, later) => {
          const due = new DueTimes();
          due.fill(first);
          for (const time of later) due.add(time);
          const sorted = [...first, ...later].sort((left, right) => left - right);
          expect(due.size).toBe(sorted.length);
          for (const time of sorted) {
            expect(due.first).toBe(time);
            expect(due.shift()).toBe(time);
          }
          expect(due.shift()).toBeUndefined();
        },
      ),
    );
  });
});
