// Removal of old commit log files, on files in memory whose age and disk the test says, and a clock that it moves: what goes
// and when, what follows, and what a crash at every change of the disk leaves behind.
import { describe, expect, it } from 'vitest';
import type { DiskSpace, FileStat } from '../../src/base/files.js';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import type { FlushDiskType, GuardedOutcome, LogPosition, MessageStoreOptions } from '../../src/store/index.js';
import { MessageStore, verifyStore } from '../../src/store/index.js';
import { FaultyFiles, randomFrom } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';
import { event, message } from '../support/storeMessages.js';
import { recordingLogger } from '../support/testBroker.js';

const DIRECTORY = '/data/store';
const SIZES = {
  mappedFileSizeCommitLog: 2048,
  mappedFileSizeConsumeQueue: 100,
  maxHashSlotNum: 7,
  maxIndexNum: 6,
};
const HOUR = 3_600_000;
/** Noon, wherever the test runs. */
const NOON = new Date(2026, 0, 10, 12).getTime();
const FIRST_LOOK = 60_000;
const NEXT_LOOK = 10_000;

/** Files with an age, on a disk with a usage. */
class AgedFiles extends FaultyFiles {
  /** When the file was last written to. Default long ago. */
  modifiedMillis: (file: string) => number = () => NOON - 1000 * HOUR;
  /** In percent; the count is that of the commit log files. */
  usage: (segmentCount: number) => number = () => 10;

  override stat(file: string): FileStat | undefined {
    const stat = super.stat(file);
    return stat && { ...stat, modifiedMillis: this.modifiedMillis(file) };
  }

  override space(): DiskSpace {
    const used = this.usage(this.list(`${DIRECTORY}/commitlog`).length);
    return { totalBytes: 1_000_000, availableBytes: Math.floor(1_000_000 - used * 10_000) };
  }
}

interface Opened {
  store: MessageStore;
  files: FaultyFiles;
  clock: ManualClock;
  logger: ReturnType<typeof recordingLogger>;
}

async function open(
  files: FaultyFiles,
  more: Partial<MessageStoreOptions> = {},
  clock = new ManualClock(NOON),
): Promise<Opened> {
  const logger = recordingLogger();
  const store = await MessageStore.open({
    directory: DIRECTORY,
    files,
    clock,
    logger,
    lockDirectory: async () => ({ release: async () => {} }),
    ...SIZES,
    ...more,
  });
  return { store, files, clock, logger };
}

const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** Lets the clock reach a look, and the removals that it begins. */
async function look({ clock }: Opened, millis: number): Promise<void> {
  clock.advance(millis);
  await settle();
  for (let pause = 0; pause < 25; pause += 1) await clock.advanceInSteps(100, 100);
  await settle();
}

const segments = ({ files }: Opened) => files.list(`${DIRECTORY}/commitlog`).map(Number);
const queueFiles = ({ files }: Opened, topic: string) => files.list(`${DIRECTORY}/consumequeue/${topic}/0`).map(Number);
const indexFiles = ({ files }: Opened) => files.list(`${DIRECTORY}/index`);

/** Three messages fill a segment; every second one goes to topic B. */
async function fill(store: MessageStore, segmentCount: number, topics: readonly string[] = ['A', 'B']): Promise<void> {
  for (let number = 0; number < segmentCount * 3; number += 1) {
    const topic = topics[number % topics.length] ?? 'A';
    const outcome = store.append([
      message({ topic, body: 'x'.repeat(540), properties: { KEYS: `${topic}-${number}` } }),
    ]);
    if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
  }
  await store.syncLog();
}

/** What the store must serve: everything from the log's start on, and nothing else. */
function check(
  store: MessageStore,
  segmentCount: number,
  topics: readonly string[] = ['A', 'B'],
  firstSegment = 0,
): void {
  const min = store.minCommitLogOffset() - firstSegment * SIZES.mappedFileSizeCommitLog;
  for (const [at, topic] of topics.entries()) {
    const numbers = Array.from({ length: segmentCount * 3 }, (_, number) => number).filter(
      (number) => number % topics.length === at,
    );
    const left = numbers.filter((number) => Math.floor(number / 3) * SIZES.mappedFileSizeCommitLog >= min);
    const minOffset = numbers.length - left.length;
    expect(store.queueRange(topic, 0)).toEqual({ minOffset, maxOffset: numbers.length });
    const read: number[] = [];
    for (let offset = minOffset; offset < numbers.length; ) {
      const { records, nextBeginOffset } = store.readQueue(topic, 0, offset, 100, 1_000_000);
      for (const record of records) {
        const { queueOffset, properties } = decodeRecord(record);
        expect(queueOffset).toBe(minOffset + read.length);
        read.push(Number(properties.KEYS?.split('-')[1]));
      }
      expect(nextBeginOffset).toBeGreaterThan(offset);
      offset = nextBeginOffset;
    }
    expect(read).toEqual(left);
    if (minOffset > 0) {
      expect(store.readQueue(topic, 0, 0, 1, 1000)).toMatchObject({
        status: 'OFFSET_TOO_SMALL',
        nextBeginOffset: minOffset,
      });
    }
    for (const number of numbers) {
      const key = `${topic}-${number}`;
      const found = left.includes(number) ? 1 : 0;
      expect(store.queryByKey(topic, key, 32, 0, Number.MAX_SAFE_INTEGER)).toHaveLength(found);
      const request = { keys: [{ topic, key }], direction: 'forwards', maxCount: 9, maxBytes: 99_999 } as const;
      expect(store.readByKeys(request).records).toHaveLength(found);
    }
  }
}

function verified(files: FaultyFiles): void {
  const { problems } = verifyStore(DIRECTORY, { files, maxHashSlotNum: SIZES.maxHashSlotNum });
  expect(problems).toEqual([]);
}

describe('check 67: expired files', () => {
  it('go from the front at the hour of deleteWhen, ten a look, never the last one; queues and index follow', async () => {
    const files = new AgedFiles();
    const opened = await open(files, {}, new ManualClock(NOON + 16 * HOUR - 5 * 60_000));
    const { store, logger } = opened;
    await fill(store, 15);
    const bounds = [...store.queues().keys()].map((topic) => store.queueRange(topic, 0).maxOffset);
    await look(opened, FIRST_LOOK);
    expect(segments(opened)).toHaveLength(15);
    await look(opened, 4 * 60_000);
    expect(segments(opened)[0]).toBe(10 * 2048);
    check(store, 15);
    await look(opened, NEXT_LOOK);
    expect(segments(opened)).toEqual([14 * 2048]);
    check(store, 15);
    expect([...store.queues().keys()].map((topic) => store.queueRange(topic, 0).maxOffset)).toEqual(bounds);
    // Queue files hold 5 entries, index files the keys of 5 records.
    expect(queueFiles(opened, 'A')).toEqual([400]);
    expect(indexFiles(opened)).toHaveLength(1);
    const removals = logger.lines.filter((line) => line.includes('a commit log file was removed: it has expired'));
    expect(removals).toHaveLength(14);
    expect(removals[0]).toContain('00000000000000000000');
    await look(opened, NEXT_LOOK);
    expect(segments(opened)).toEqual([14 * 2048]);
    await store.close();
    expect(opened.clock.pendingCount).toBe(0);
    verified(files);
    const again = await open(files);
    check(again.store, 15);
    expect(again.store.startKind).toBe('CLEAN');
    await again.store.close();
  });

  it('stay outside the hours of deleteWhen, and for the first minute', async () => {
    const opened = await open(new AgedFiles(), { retention: { deleteWhen: '12;14' } });
    await fill(opened.store, 3);
    opened.clock.advance(FIRST_LOOK - 1);
    await settle();
    expect(segments(opened)).toHaveLength(3);
    await look(opened, 1);
    expect(segments(opened)).toHaveLength(1);
    await opened.store.close();
    const later = await open(opened.files, { retention: { deleteWhen: '12;14' } }, new ManualClock(NOON + HOUR));
    for (let number = 0; number < 9; number += 1) later.store.append([message({ body: 'x'.repeat(540) })]);
    await look(later, 30 * 60_000);
    expect(segments(later)).toHaveLength(4);
    await look(later, 30 * 60_000);
    expect(segments(later)).toHaveLength(1);
    await later.store.close();
  });

  it('never by the hour when deleteWhen names none, which is said at the start', async () => {
    const opened = await open(new AgedFiles(), { retention: { deleteWhen: '' } });
    await fill(opened.store, 3);
    expect(opened.logger.lines.join('\n')).toContain('deleteWhen names no hour');
    for (let hour = 0; hour < 25; hour += 1) await look(opened, HOUR);
    expect(segments(opened)).toHaveLength(3);
    await opened.store.close();
  });

  it('are those whose last write is fileReservedTime ago, up to the first that is younger', async () => {
    const files = new AgedFiles();
    const ages = [49, 48, 47, 100];
    files.modifiedMillis = (file) =>
      file.includes('commitlog') ? NOON + FIRST_LOOK - (ages[Number(file.slice(-20)) / 2048] ?? 0) * HOUR : NOON;
    const opened = await open(files, { retention: { deleteWhen: '12', fileReservedTimeHours: 48 } });
    await fill(opened.store, 5);
    await look(opened, FIRST_LOOK);
    expect(segments(opened)[0]).toBe(2 * 2048);
    await look(opened, NEXT_LOOK);
    expect(segments(opened)[0]).toBe(2 * 2048);
    check(opened.store, 5);
    await opened.store.close();
  });

  it('go no faster than deleteFileBatchMax a look, with a pause in between', async () => {
    const opened = await open(new AgedFiles(), {
      retention: { deleteWhen: '12', deleteFileBatchMax: 2, deleteCommitLogFilesIntervalMillis: 3000 },
    });
    await fill(opened.store, 8);
    opened.clock.advance(FIRST_LOOK);
    await settle();
    expect(segments(opened)).toHaveLength(7);
    await opened.clock.advanceInSteps(2900, 100);
    expect(segments(opened)).toHaveLength(7);
    await opened.clock.advanceInSteps(200, 100);
    expect(segments(opened)).toHaveLength(6);
    await opened.clock.advanceInSteps(5000, 100);
    expect(segments(opened)).toHaveLength(6);
    check(opened.store, 8);
    // Between two files a close ends it.
    await opened.clock.advanceInSteps(2000, 100);
    expect(segments(opened)).toHaveLength(5);
    await opened.store.close();
    expect(opened.clock.pendingCount).toBe(0);
    expect(segments(opened)).toHaveLength(5);
    verified(opened.files);
    const again = await open(opened.files);
    check(again.store, 8);
    await again.store.close();
  });

  it('go at any hour when asked for, for twenty looks', async () => {
    const opened = await open(new AgedFiles(), { retention: { deleteFileBatchMax: 1 } });
    await fill(opened.store, 25);
    await opened.store.deleteExpiredFiles();
    expect(segments(opened)).toHaveLength(24);
    await look(opened, FIRST_LOOK);
    for (let count = 0; count < 22; count += 1) await look(opened, NEXT_LOOK);
    expect(segments(opened)).toHaveLength(5);
    check(opened.store, 25);
    await opened.store.close();
  });

  it('stay when the system refuses to remove them, and go later', async () => {
    const files = new AgedFiles();
    const opened = await open(files, { retention: { deleteWhen: '12' } });
    await fill(opened.store, 3);
    files.onChange = (operation) => (operation === 'remove' ? { kind: 'FAIL', code: 'EIO' } : undefined);
    await look(opened, FIRST_LOOK);
    expect(segments(opened)).toHaveLength(3);
    expect(opened.logger.lines.join('\n')).toContain('removing a commit log file failed, it is tried again');
    check(opened.store, 3);
    files.onChange = (operation, file) =>
      operation === 'remove' && !file.includes('commitlog') ? { kind: 'FAIL', code: 'EIO' } : undefined;
    await look(opened, NEXT_LOOK);
    expect(segments(opened)).toHaveLength(1);
    expect(opened.logger.lines.join('\n')).toContain('removing index files failed, it is tried again');
    check(opened.store, 3);
    expect(indexFiles(opened)).toHaveLength(2);
    // The checks beside an index file that is gone do no harm.
    files.onChange = (operation, file) =>
      operation === 'remove' && file.endsWith('.crc') ? { kind: 'FAIL', code: 'EIO' } : undefined;
    await look(opened, NEXT_LOOK);
    expect(indexFiles(opened)).toHaveLength(1);
    check(opened.store, 3);
    files.onChange = () => undefined;
    await look(opened, NEXT_LOOK);
    expect(indexFiles(opened)).toHaveLength(1);
    check(opened.store, 3);
    await opened.store.close();
    verified(files);
  });

  it('take the notes of topics deleted before with them', async () => {
    const files = new AgedFiles();
    const opened = await open(files, { retention: { deleteWhen: '12' } });
    await fill(opened.store, 3);
    opened.store.deleteTopic('A');
    await fill(opened.store, 3, ['B']);
    await look(opened, FIRST_LOOK);
    expect(files.readFile(`${DIRECTORY}/foldlog/deleted.json`).toString()).toBe('{}\n');
    expect(opened.store.queueRange('A', 0)).toEqual({ minOffset: 0, maxOffset: 0 });
    await opened.store.close();
    verified(files);
  });
});

describe('check 57: a disk that fills up', () => {
  it('loses expired files at any hour above diskMaxUsedSpaceRatio, and no others', async () => {
    const files = new AgedFiles();
    files.modifiedMillis = (file) => (Number(file.slice(-20)) >= 2 * 2048 ? NOON : NOON - 72 * HOUR);
    const opened = await open(files);
    await fill(opened.store, 5);
    files.usage = () => 75;
    await look(opened, FIRST_LOOK);
    expect(segments(opened)).toHaveLength(5);
    files.usage = () => 75.1;
    await look(opened, NEXT_LOOK);
    expect(segments(opened)).toHaveLength(3);
    for (let count = 0; count < 3; count += 1) await look(opened, NEXT_LOOK);
    expect(segments(opened)).toHaveLength(3);
    const said = opened.logger.lines.filter((line) => line.includes('no commit log file can be removed'));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('the oldest commit log file has not expired');
    check(opened.store, 5);
    await opened.store.close();
  });

  it('loses files before they expire above diskSpaceCleanForciblyRatio, as many as needed', async () => {
    const files = new AgedFiles();
    files.modifiedMillis = () => NOON;
    const opened = await open(files);
    await fill(opened.store, 8);
    // Above 85 with seven files or more.
    files.usage = (segmentCount) => 79 + segmentCount;
    await look(opened, FIRST_LOOK);
    expect(segments(opened)).toHaveLength(6);
    expect(opened.logger.lines.filter((line) => line.includes('removed: the disk is nearly full'))).toHaveLength(2);
    files.usage = () => 88;
    for (let count = 0; count < 3; count += 1) await look(opened, NEXT_LOOK);
    expect(segments(opened)).toHaveLength(1);
    expect(opened.logger.lines.join('\n')).toContain('only the last commit log file is left');
    check(opened.store, 8);
    await opened.store.close();
    verified(files);
  });

  it('loses none of them without cleanFileForciblyEnable', async () => {
    const files = new AgedFiles();
    files.modifiedMillis = (file) => (Number(file.slice(-20)) >= 2048 ? NOON : NOON - 72 * HOUR);
    files.usage = () => 95;
    const opened = await open(files, { retention: { cleanFileForciblyEnable: false } });
    await fill(opened.store, 4);
    await look(opened, FIRST_LOOK);
    expect(segments(opened)).toHaveLength(3);
    await opened.store.close();
  });

  it('refuses writes above 90 %, reads on, and takes writes again at 85 %', async () => {
    const files = new AgedFiles();
    files.modifiedMillis = () => NOON;
    const opened = await open(files, { retention: { cleanFileForciblyEnable: false } });
    const { store, logger } = opened;
    await fill(store, 2);
    const append = () => store.append([message({ topic: 'Other' })]);
    files.usage = () => 90;
    await look(opened, FIRST_LOOK);
    expect(append().status).toBe('PUT_OK');
    // Rounded up to a whole percent.
    files.usage = () => 90.0001;
    expect(append().status).toBe('PUT_OK');
    await look(opened, NEXT_LOOK);
    expect(store.isWritable).toBe(false);
    expect(append()).toMatchObject({
      status: 'SERVICE_NOT_AVAILABLE',
      reason: expect.stringMatching(/disk is 91 % full: writes are refused above 90 % and taken again at 85 %/),
    });
    expect(store.appendGuarded({ appendId: 'a', events: [event(['s'])], expectedVersions: [] }).status).toBe(
      'SERVICE_NOT_AVAILABLE',
    );
    check(store, 2);
    for (const usage of [85.5, 86, 90]) {
      files.usage = () => usage;
      await look(opened, NEXT_LOOK);
      expect(append()).toMatchObject({
        status: 'SERVICE_NOT_AVAILABLE',
        reason: expect.stringContaining(`${Math.ceil(usage)} % full`),
      });
    }
    files.usage = () => 85;
    await look(opened, NEXT_LOOK);
    expect(store.isWritable).toBe(true);
    expect(append().status).toBe('PUT_OK');
    files.usage = () => 90;
    await look(opened, NEXT_LOOK);
    expect(append().status).toBe('PUT_OK');
    expect(logger.lines.filter((line) => line.startsWith('error'))).toHaveLength(1);
    expect(logger.lines.filter((line) => line.includes('the disk has room again'))).toHaveLength(1);
    await store.close();
    expect(files.stat(`${DIRECTORY}/abort`)).toBeUndefined();
  });

  it('stopped while full: abort stays, and the next start looks closely and serves all', async () => {
    const files = new AgedFiles();
    files.modifiedMillis = () => NOON;
    files.usage = () => 95;
    const opened = await open(files, { retention: { cleanFileForciblyEnable: false } });
    await fill(opened.store, 3);
    await look(opened, FIRST_LOOK);
    await opened.store.close();
    expect(files.stat(`${DIRECTORY}/abort`)).toBeDefined();
    const again = await open(files);
    expect(again.store.startKind).toBe('OWN_CRASH');
    check(again.store, 3);
    await again.store.close();
    expect(files.stat(`${DIRECTORY}/abort`)).toBeUndefined();
    verified(files);
  });

  it('is taken as it is when the file system does not tell', async () => {
    const files = new AgedFiles();
    const opened = await open(files);
    await fill(opened.store, 3);
    files.usage = () => {
      throw new Error('not known here');
    };
    for (let count = 0; count < 7; count += 1) await look(opened, NEXT_LOOK);
    expect(segments(opened)).toHaveLength(3);
    expect(opened.store.isWritable).toBe(true);
    expect(opened.logger.lines.filter((line) => line.includes('does not tell how full'))).toHaveLength(1);
    await opened.store.close();
  });

  it('loses files even when there is no room left for a mark', async () => {
    const files = new AgedFiles();
    const opened = await open(files);
    await fill(opened.store, 6);
    // The marks are made by the upkeep's own rounds.
    await opened.clock.advanceInSteps(15_000, 1000);
    await settle();
    files.roomBytes = 0;
    files.usage = () => 100;
    await look(opened, 50_000);
    expect(segments(opened).length).toBeLessThan(6);
    check(opened.store, 6);
    files.roomBytes = Number.POSITIVE_INFINITY;
    await opened.store.close();
    verified(files);
  });

  it('loses files even when there is no room from the start on: the marks of a clean stop hold', async () => {
    const files = new AgedFiles();
    const opened = await open(files);
    await fill(opened.store, 6);
    await opened.store.close();
    const again = await open(files);
    files.roomBytes = 0;
    files.usage = () => 100;
    await look(again, FIRST_LOOK);
    expect(segments(again)).toEqual([5 * 2048]);
    check(again.store, 6);
    files.roomBytes = Number.POSITIVE_INFINITY;
    await again.store.close();
    verified(files);
  });
});

describe('check 58: a disk that is really full', () => {
  it('is an error to the appender: no half record is visible, and no queue offset is used up', async () => {
    const files = new AgedFiles();
    const opened = await open(files);
    const { store } = opened;
    await fill(store, 1);
    files.roomBytes = 0;
    let refused = 0;
    for (let count = 0; count < 8 && refused === 0; count += 1) {
      const before = store.queueRange('A', 0).maxOffset;
      const outcome = store.append([message({ topic: 'A', body: 'y'.repeat(1200) })]);
      if (outcome.status === 'PUT_OK') {
        await outcome.turn.visible.catch((error: { code: string }) => {
          expect(error.code).toBe('DISK_FULL');
          refused += 1;
        });
      } else {
        expect(outcome).toMatchObject({ status: 'SERVICE_NOT_AVAILABLE', reason: expect.stringContaining('no room') });
        refused += 1;
      }
      if (refused > 0) expect(store.queueRange('A', 0).maxOffset).toBe(before);
    }
    expect(refused).toBe(1);
    const { maxOffset } = store.queueRange('A', 0);
    files.roomBytes = Number.POSITIVE_INFINITY;
    const outcome = store.append([message({ topic: 'A' })]);
    expect(outcome).toMatchObject({ status: 'PUT_OK', places: [{ queueOffset: maxOffset }] });
    await store.close();
    verified(files);
  });
});

const guarded = (store: MessageStore, appendId: string, stream: string, more: object = {}): GuardedOutcome =>
  store.appendGuarded({ appendId, events: [event([stream], 'e'.repeat(400))], expectedVersions: [], ...more });

describe('topics that are kept', () => {
  const isEvents = (topic: string) => topic === 'Events';

  it('hold back retention, the forced one too, at the first file with one of their records', async () => {
    const files = new AgedFiles();
    const opened = await open(files, { keepsTopic: isEvents, retention: { deleteWhen: '12' } });
    const { store } = opened;
    expect(store.keptFrom()).toBeUndefined();
    await fill(store, 3);
    const first = guarded(store, 'first', 's');
    if (first.status !== 'APPENDED') throw new Error(first.status);
    await first.turn.visible;
    await fill(store, 4, ['B']);
    const keptFrom = first.places[0]!.commitLogOffset;
    expect(store.keptFrom()).toBe(keptFrom);
    const holding = keptFrom - (keptFrom % 2048);
    expect(holding).toBe(3 * 2048);
    files.usage = () => 99;
    for (let count = 0; count < 8; count += 1) await look(opened, NEXT_LOOK);
    expect(segments(opened)[0]).toBe(holding);
    expect(opened.logger.lines.join('\n')).toContain('the oldest commit log file holds events, which are kept');
    files.usage = () => 10;
    await look(opened, NEXT_LOOK);
    expect(guarded(store, 'first', 's')).toMatchObject({ status: 'ALREADY_APPENDED', places: [{ version: 1 }] });
    expect(guarded(store, 'second', 's')).toMatchObject({ status: 'APPENDED', places: [{ version: 2 }] });
    await store.close();
    verified(files);
    const again = await open(files, { keepsTopic: isEvents });
    expect(guarded(again.store, 'first', 's')).toMatchObject({ status: 'ALREADY_APPENDED' });
    const expectedVersions = [{ topic: 'Events', stream: 's', expected: 2 }];
    expect(guarded(again.store, 'third', 's', { expectedVersions })).toMatchObject({ places: [{ version: 3 }] });
    await again.store.close();
  });

  it('are judged when it comes to removal, so that they may be named late', async () => {
    const kept = new Set<string>();
    const opened = await open(new AgedFiles(), {
      keepsTopic: (topic) => kept.has(topic),
      retention: { deleteWhen: '12', deleteFileBatchMax: 1 },
    });
    await fill(opened.store, 4);
    await look(opened, FIRST_LOOK);
    expect(segments(opened)).toHaveLength(3);
    kept.add('B');
    await look(opened, NEXT_LOOK);
    expect(segments(opened)).toHaveLength(3);
    await opened.store.close();
  });

  it('leave the numbers of other streams going on when their older records go', async () => {
    const files = new AgedFiles();
    const opened = await open(files, { retention: { deleteWhen: '12' } });
    for (let number = 1; number <= 12; number += 1) {
      expect(guarded(opened.store, `a-${number}`, 's')).toMatchObject({ places: [{ version: number }] });
    }
    await opened.store.syncLog();
    await look(opened, FIRST_LOOK);
    expect(segments(opened)).toHaveLength(1);
    expect(guarded(opened.store, 'a-13', 's')).toMatchObject({ places: [{ version: 13 }] });
    await opened.store.close();
    const again = await open(files, {});
    const conflict = { expectedVersions: [{ topic: 'Events', stream: 's', expected: 'NO_STREAM' }] };
    expect(guarded(again.store, 'b', 's', conflict)).toMatchObject({ status: 'VERSION_CONFLICT', actual: 13 });
    expect(guarded(again.store, 'a-14', 's')).toMatchObject({ places: [{ version: 14 }] });
    await again.store.close();
  });

  it('let a read that is older than the log stand; of other topics it proves nothing', async () => {
    const files = new AgedFiles();
    const opened = await open(files, { keepsTopic: isEvents, retention: { deleteWhen: '12' } });
    const { store } = opened;
    const end: LogPosition = store.visibleEnd();
    await fill(store, 4);
    const on = (topic: string, token: LogPosition) => ({ condition: { keys: [{ topic, key: 'k' }], end: token } });
    expect(guarded(store, 'before', 's', on('A', end)).status).toBe('APPENDED');
    await store.syncLog();
    // The file that holds the event is the last.
    await look(opened, FIRST_LOOK);
    expect(store.minCommitLogOffset()).toBeGreaterThan(0);
    expect(guarded(store, 'kept', 's', on('Events', end)).status).toBe('APPENDED');
    expect(guarded(store, 'not kept', 's', on('A', end)).status).toBe('MESSAGE_ILLEGAL');
    expect(guarded(store, 'not-kept', 's', on('A', end)).status).toBe('CONDITION_CONFLICT');
    await store.syncLog();
    expect(guarded(store, 'read-anew', 's', on('A', store.visibleEnd())).status).toBe('APPENDED');
    await store.close();
  });
});

describe('a crash in the middle of a removal', () => {
  const SEGMENTS = 7;
  const QUEUE_FILE_BYTES = 40;
  const options = {
    retention: { deleteWhen: '12', deleteFileBatchMax: 5 },
    mappedFileSizeConsumeQueue: QUEUE_FILE_BYTES,
  };

  /** Runs one removal that dies at the n-th change of the disk; undefined when there are not so many. */
  async function dieAt(change: number, flushDiskType: FlushDiskType): Promise<AgedFiles | undefined> {
    const files = new AgedFiles();
    const opened = await open(files, { ...options, flushDiskType });
    await fill(opened.store, 1, ['Early']);
    await opened.clock.advanceInSteps(FIRST_LOOK - 1, 15_000);
    await settle();
    // What goes is so new that no round has made it durable in queues and index; of topic Late nothing is left.
    await fill(opened.store, 1, ['Late']);
    await fill(opened.store, SEGMENTS);
    let left = change;
    files.onChange = () => {
      left -= 1;
      return left < 0 ? { kind: 'DIE' } : undefined;
    };
    await look(opened, 1);
    return files.isDead ? files : undefined;
  }

  async function reopened(files: FaultyFiles): Promise<void> {
    const opened = await open(files, options);
    const { store } = opened;
    expect(store.startKind).toBe('OWN_CRASH');
    check(store, 1, ['Early']);
    check(store, 1, ['Late'], 1);
    check(store, SEGMENTS, ['A', 'B'], 2);
    for (const [topic, queueOffset] of [
      ['Early', 3],
      ['Late', 3],
      ['A', 11],
      ['B', 10],
    ] as const) {
      expect(store.append([message({ topic })])).toMatchObject({ places: [{ queueOffset }] });
    }
    await store.close();
    verified(files);
    // What was left undone is done by the next looks.
    const again = await open(files, { ...options, retention: { deleteWhen: '' } });
    await look(again, FIRST_LOOK);
    expect(segments(again)[0]).toBe(again.store.minCommitLogOffset());
    for (const topic of ['Early', 'Late', 'A', 'B']) {
      const [first = 0, ...more] = queueFiles(again, topic);
      if (more.length > 0)
        expect(first + QUEUE_FILE_BYTES).toBeGreaterThan(again.store.queueRange(topic, 0).minOffset * 20);
    }
    await again.store.close();
    verified(files);
  }

  it.each([
    ['power is lost', 'ASYNC_FLUSH', (dead: FaultyFiles, change: number) => dead.crash(randomFrom(change))],
    ['the process is killed', 'SYNC_FLUSH', (dead: FaultyFiles) => dead.kill()],
  ] as const)(
    'leaves a store that is right, whatever was the last change when %s (%s)',
    async (_what, flushDiskType, die) => {
      let crashes = 0;
      for (let change = 0; ; change += 1) {
        const dead = await dieAt(change, flushDiskType);
        if (!dead) break;
        crashes += 1;
        await reopened(die(dead, change));
      }
      // Marks, five segments with their directory, queue and index files.
      expect(crashes).toBeGreaterThan(30);
    },
    60_000,
  );
});

describe('options of retention', () => {
  it.each([
    [{ fileReservedTimeHours: -1 }, 'fileReservedTimeHours is -1: it must be a whole number from 0 to 2147483647'],
    [{ deleteWhen: '4;24' }, 'deleteWhen is "4;24": it must be hours from 00 to 23, separated by ;'],
    [{ deleteWhen: 'noon' }, 'deleteWhen is "noon": it must be hours from 00 to 23, separated by ;'],
    [{ diskSpaceWarningLevelRatio: 91 }, 'diskSpaceWarningLevelRatio is 91: it must be a whole number from 35 to 90'],
    [{ deleteFileBatchMax: 0 }, 'deleteFileBatchMax is 0: it must be a whole number from 1 to 2147483647'],
  ])('%j is refused', async (retention, text) => {
    await expect(open(new AgedFiles(), { retention })).rejects.toThrow(text);
  });
});
