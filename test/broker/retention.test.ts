// What senders, readers and tools meet when old files are removed or the disk fills up. Files lie on the disk; their age and
// the disk's usage are the test's.
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Files } from '../../src/base/files.js';
import { diskFiles } from '../../src/base/files.js';
import { getMaxOffsetHeader, getMinOffsetHeader } from '../../src/protocol/headers/messaging.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import { MessageStore } from '../../src/store/index.js';
import { ManualClock } from '../support/manualClock.js';
import type { RawClient } from '../support/rawClient.js';
import { message } from '../support/storeMessages.js';
import {
  appendEvents,
  bodiesOf,
  pull,
  recordingLogger,
  SMALL_FILES,
  send,
  startTestBroker,
  type TestBroker,
  temporaryDirectory,
} from '../support/testBroker.js';

/** Noon, wherever the test runs. */
const NOON = new Date(2026, 0, 10, 12).getTime();
const HOUR = 3_600_000;
/** Takes one message of 3,000 bytes. */
const ONE_EACH = { mappedFileSizeCommitLog: 4096 };
const BODY = 'x'.repeat(3000);

interface AgedFiles extends Files {
  ageHours: number;
  usedPercent: number;
}

function agedFiles(): AgedFiles {
  const files: AgedFiles = {
    ...diskFiles,
    ageHours: 0,
    usedPercent: 10,
    stat(file) {
      const stat = diskFiles.stat(file);
      return stat && { ...stat, modifiedMillis: NOON - files.ageHours * HOUR };
    },
    space: () => ({ totalBytes: 100_000, availableBytes: (100 - files.usedPercent) * 1000 }),
    writeFile: (file, content) => diskFiles.writeFile(file, content),
  };
  return files;
}

const noon = () => new ManualClock(NOON);

/** The clock reaches the next look. */
async function look({ clock }: TestBroker, millis = 10_000): Promise<void> {
  clock.advance(millis);
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const logFiles = ({ directory }: TestBroker) => readdirSync(path.join(directory, 'commitlog'));

/** Waits for a removal, whose syncs are the disk's: the pauses between two files are the clock's. */
async function removedTo(started: TestBroker, fileCount: number): Promise<void> {
  const count = () => {
    started.clock.advance(100);
    return logFiles(started).length;
  };
  await expect.poll(count, { timeout: 10_000, interval: 10 }).toBe(fileCount);
}

/** Waits until the queue begins where the log does. */
async function followed(one: RawClient, topic: string, minOffset: string): Promise<void> {
  const min = async () => (await pull(one, { topic })).extFields?.minOffset;
  await expect.poll(min, { timeout: 10_000, interval: 10 }).toBe(minOffset);
}

describe('check 57: a disk that fills up', () => {
  it('refuses sends and appends with SERVICE_NOT_AVAILABLE and the usage, and reads on', async () => {
    const files = agedFiles();
    const started = await startTestBroker({ files, clock: noon(), config: { cleanFileForciblyEnable: false } });
    const one = started.client();
    await send(one, { topic: 'T', body: 'before' });
    await appendEvents(one, { appendId: 'known', events: [{ keys: ['s-1'] }] });
    files.usedPercent = 93;
    await look(started, 60_000);
    const refused = await Promise.all([
      send(one, { topic: 'T' }),
      send(one, { topic: 'T', props: { DELAY: '1' } }),
      appendEvents(one, { events: [{ keys: ['s-1'] }] }),
    ]);
    for (const { code, remark } of refused) {
      expect(code).toBe(RESPONSE_CODE.SERVICE_NOT_AVAILABLE);
      expect(remark).toContain("the broker's disk is 93 % full: writes are refused above 90 % and taken again at 85 %");
    }
    // What is stored already is answered from the log.
    expect(await appendEvents(one, { appendId: 'known', events: [{ keys: ['s-1'] }] })).toMatchObject({
      code: 0,
      extFields: { status: 'ALREADY_APPENDED' },
    });
    expect(bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['before']);
    files.usedPercent = 86;
    await look(started);
    expect((await send(one, { topic: 'T' })).code).toBe(RESPONSE_CODE.SERVICE_NOT_AVAILABLE);
    files.usedPercent = 85;
    await look(started);
    expect(await send(one, { topic: 'T' })).toMatchObject({ code: 0, extFields: { queueOffset: '1' } });
  });

  it('keeps abort when the broker stops while full', async () => {
    const files = agedFiles();
    files.usedPercent = 95;
    const directory = temporaryDirectory();
    const first = await startTestBroker({ files, directory, clock: noon() });
    await send(first.client(), { topic: 'T', body: 'before' });
    await look(first, 60_000);
    await first.stop();
    expect(readdirSync(directory)).toContain('abort');
    const second = await startTestBroker({ directory });
    expect(bodiesOf(await pull(second.client(), { topic: 'T' }))).toEqual(['before']);
  });
});

describe('check 67: retention as broker.conf says it', () => {
  it('removes files that are fileReservedTime old at the hours of deleteWhen; consumers go on behind them', async () => {
    const files = agedFiles();
    const config = { ...ONE_EACH, fileReservedTime: 5, deleteWhen: '03;12', deleteFileBatchMax: 2 };
    const started = await startTestBroker({ files, clock: noon(), config });
    const one = started.client();
    for (let number = 0; number < 5; number += 1) await send(one, { topic: 'T', body: `${number}${BODY}` });
    files.ageHours = 4;
    await look(started, 60_000);
    expect(logFiles(started)).toHaveLength(5);
    files.ageHours = 5;
    await look(started);
    await removedTo(started, 3);
    await followed(one, 'T', '2');
    expect(await pull(one, { topic: 'T' })).toMatchObject({
      code: RESPONSE_CODE.PULL_OFFSET_MOVED,
      extFields: { nextBeginOffset: '2', minOffset: '2', maxOffset: '5' },
    });
    const rest = bodiesOf(await pull(one, { topic: 'T', queueOffset: 2 }));
    expect(rest.map((body) => body[0])).toEqual(['2', '3', '4']);
  });

  it('a queue that lost all its messages begins where its next one goes (ConsumeQueue#getMinOffsetInQueue)', async () => {
    const files = agedFiles();
    const config = { ...ONE_EACH, fileReservedTime: 5, deleteWhen: '12' };
    const started = await startTestBroker({ files, clock: noon(), config });
    const one = started.client();
    for (const topic of ['Emptied', 'Emptied', 'Kept']) await send(one, { topic, body: BODY });
    files.ageHours = 5;
    await look(started, 60_000);
    await removedTo(started, 1);
    const at = { topic: 'Emptied', queueId: 0 };
    const min = async () => (await one.call(REQUEST_CODE.GET_MIN_OFFSET, getMinOffsetHeader, at)).extFields;
    await expect.poll(min, { timeout: 10_000, interval: 10 }).toEqual({ offset: '2' });
    expect((await one.call(REQUEST_CODE.GET_MAX_OFFSET, getMaxOffsetHeader, at)).extFields).toEqual({ offset: '2' });
    expect(await pull(one, { topic: 'Emptied' })).toMatchObject({
      code: RESPONSE_CODE.PULL_OFFSET_MOVED,
      extFields: { nextBeginOffset: '2', minOffset: '2', maxOffset: '2' },
    });
    await send(one, { topic: 'Emptied', body: 'next' });
    expect(bodiesOf(await pull(one, { topic: 'Emptied', queueOffset: 2 }))).toEqual(['next']);
    expect(await min()).toEqual({ offset: '2' });
  });

  it('keeps event topics and what lies behind them, and says so at the start', async () => {
    const files = agedFiles();
    files.ageHours = 100;
    const directory = temporaryDirectory();
    const config = { ...ONE_EACH, deleteWhen: '12' };
    const first = await startTestBroker({ files, directory, clock: noon(), config });
    const one = first.client();
    for (let number = 0; number < 2; number += 1) await send(one, { topic: 'T', body: BODY });
    await appendEvents(one, { events: [{ keys: ['s-1'], body: BODY }] });
    for (let number = 0; number < 2; number += 1) await send(one, { topic: 'T', body: BODY });
    files.usedPercent = 88;
    await look(first, 60_000);
    await removedTo(first, 3);
    await look(first);
    expect(logFiles(first)[0]).toBe('00000000000000008192');
    expect(logFiles(first)).toHaveLength(3);
    await first.stop();
    const logger = recordingLogger();
    const second = await startTestBroker({ files, directory, clock: noon(), config, logger });
    const said = logger.lines.filter((line) => line.includes('event topics hold retention back'));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/plain topics in this store are kept as long .*"keptFrom":8192/);
    expect(await appendEvents(second.client(), { events: [{ keys: ['s-1'] }] })).toMatchObject({
      code: 0,
      extFields: { versions: '2' },
    });
  });
});

describe('cleaning that tools ask for', () => {
  it('DELETE_EXPIRED_COMMITLOG removes expired files at any hour; CLEAN_EXPIRED_CONSUMEQUEUE leaves nothing to do', async () => {
    const files = agedFiles();
    files.ageHours = 73;
    const started = await startTestBroker({ files, clock: noon(), config: ONE_EACH });
    const one = started.client();
    for (let number = 0; number < 4; number += 1) await send(one, { topic: number < 2 ? 'Old' : 'T', body: BODY });
    expect((await one.callRaw(REQUEST_CODE.DELETE_EXPIRED_COMMITLOG)).code).toBe(RESPONSE_CODE.SUCCESS);
    await removedTo(started, 1);
    await followed(one, 'Old', '2');
    expect((await one.callRaw(REQUEST_CODE.CLEAN_EXPIRED_CONSUMEQUEUE)).code).toBe(RESPONSE_CODE.SUCCESS);
    // A queue without records goes on counting.
    expect(await send(one, { topic: 'Old' })).toMatchObject({ code: 0, extFields: { queueOffset: '2' } });
  });

  it('CLEAN_UNUSED_TOPIC removes the queues of topics without configuration, but none that hold events', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    const one = first.client();
    await send(one, { topic: 'T' });
    await appendEvents(one, { events: [{ keys: ['s-1'] }] });
    await first.stop();
    for (const name of ['topics.json', 'topics.json.bak'])
      rmSync(path.join(directory, 'config', name), { force: true });
    const logger = recordingLogger();
    const second = await startTestBroker({ directory, logger });
    const two = second.client();
    await send(two, { topic: 'Used' });
    expect((await two.callRaw(REQUEST_CODE.CLEAN_UNUSED_TOPIC)).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(readdirSync(path.join(directory, 'consumequeue'))).toEqual(['Events']);
    await second.stop();
    expect(readdirSync(path.join(directory, 'consumequeue'))).toEqual(['Events', 'Used']);
    expect(logger.lines.join('\n')).toContain('holds events and is not cleaned');
    const third = await startTestBroker({ directory });
    expect(await send(third.client(), { topic: 'T' })).toMatchObject({ code: 0, extFields: { queueOffset: '0' } });
  });
});

describe('records of event topics without a version', () => {
  it('are counted after a start that found the work of another program, and reported in one line', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    await appendEvents(first.client(), { events: [{ keys: ['s-1'] }, { keys: ['s-2'] }] });
    await first.stop();
    const reported = (lines: string[]) => lines.filter((line) => line.includes('records without a version'));
    const own = recordingLogger();
    const second = await startTestBroker({ directory, logger: own });
    await second.stop();
    // As a broker does that knows nothing of events: it appends, and our mark of the end does not fit any more.
    const foreign = await MessageStore.open({ directory, ...SMALL_FILES });
    for (let queueId = 0; queueId < 3; queueId += 1) foreign.append([message({ topic: 'Events', queueId })]);
    await foreign.close();
    for (const name of ['end.json', 'synced']) rmSync(path.join(directory, 'foldlog', name));
    const logger = recordingLogger();
    const third = await startTestBroker({ directory, logger });
    await expect.poll(() => reported(logger.lines)).toHaveLength(1);
    expect(reported(logger.lines)[0]).toContain('"count":3,"topics":{"Events":3}');
    expect(reported(own.lines)).toEqual([]);
    expect(await appendEvents(third.client(), { events: [{ keys: ['s-1'] }] })).toMatchObject({
      extFields: { versions: '2' },
    });
  });

  it('are not looked for once the broker stops', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    await appendEvents(first.client(), { events: [{ keys: ['s-1'] }] });
    await first.stop();
    for (const name of ['end.json', 'synced']) rmSync(path.join(directory, 'foldlog', name));
    const logger = recordingLogger();
    const second = await startTestBroker({ directory, logger });
    await second.stop();
    expect(logger.lines.filter((line) => line.startsWith('warn'))).toEqual([]);
  });
});
