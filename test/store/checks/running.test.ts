// Checks 56 to 69: what a store promises while it runs. Disk limits and retention (57, 58, 67) have tests of their own,
// so have arbitrary delivery times (70), transactions (71) and a real broker on our directory (73).
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import { MessageStore, type MessageStoreOptions } from '../../../src/store/index.js';
import { FaultyFiles, randomFrom } from '../../support/faultyFiles.js';
import { fingerprint, sizesOf } from '../../support/goldenStore.js';
import { ManualClock } from '../../support/manualClock.js';
import { message } from '../../support/storeMessages.js';
import { bodiesOf, messagesOf, pull, send, startTestBroker } from '../../support/testBroker.js';
import { troubledFiles } from '../../support/troubledFiles.js';
import {
  copyOf,
  emptyDirectory,
  expectEveryEntryRight,
  open,
  remove,
  seen,
  segment,
  stored,
  WHOLE,
} from './fixStore.js';

const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('a second process', () => {
  it('check 56, differs from RocketMQ: is refused before it reads or changes anything', async () => {
    const directory = copyOf('small-crash');
    const store = await open(directory, 'small-crash', { clock: new ManualClock() });
    const before = fingerprint(directory);
    await expect(open(directory)).rejects.toMatchObject({ code: 'STORE_LOCKED', details: { pid: process.pid } });
    const child = path.join(import.meta.dirname, '../storeChild.ts');
    const sizes = JSON.stringify(sizesOf('small-crash'));
    const other = spawnSync(process.execPath, ['--import', 'tsx', child, directory, sizes], { encoding: 'utf8' });
    expect(other.status).toBe(1);
    expect(other.stderr).toMatch(new RegExp(`STORE_LOCKED|in use by process ${process.pid}`));
    expect(fingerprint(directory)).toEqual(before);
    expect(seen(store)).toEqual(WHOLE);
  });
});

describe('what an answer means', () => {
  const openOn = async (files: FaultyFiles, more: Partial<MessageStoreOptions>) => {
    const store = await MessageStore.open({
      directory: '/data/store',
      files,
      clock: new ManualClock(),
      lockDirectory: async () => ({ release: async () => {} }),
      mappedFileSizeCommitLog: 4096,
      mappedFileSizeConsumeQueue: 400,
      maxHashSlotNum: 11,
      maxIndexNum: 50,
      ...more,
    });
    onTestFinished(() => store.close().catch(() => {}));
    return store;
  };
  const bodiesIn = (store: MessageStore) => {
    const bodies: string[] = [];
    for (let offset = 0; offset < store.queueRange('Plain', 0).maxOffset; offset += 1) {
      bodies.push(decodeRecord(store.readQueue('Plain', 0, offset, 1, 1).records[0]!).body.toString());
    }
    return bodies;
  };
  const answered = Array.from({ length: 40 }, (_, n) => `answered ${n}`);

  it('check 59: SYNC_FLUSH: what was answered survives the loss of power, new files included', async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const files = new FaultyFiles();
      const store = await openOn(files, { flushDiskType: 'SYNC_FLUSH' });
      for (const body of answered) await stored(store, message({ body: body.padEnd(200) }));
      const lost = store.append([message({ body: 'unknown' })]);
      if (lost.status === 'PUT_OK') lost.turn.visible.catch(() => {});
      const random = randomFrom(seed);
      // The first time nothing is left of what was not synced, then some of it.
      const again = await openOn(files.crash(seed === 0 ? () => 0 : random), {});
      expect(
        bodiesIn(again)
          .slice(0, 40)
          .map((body) => body.trim()),
      ).toEqual(answered);
      expect(bodiesIn(again).length).toBeLessThanOrEqual(41);
    }
  });

  it('check 59: SYNC_FLUSH: nothing is readable before its sync', async () => {
    const files = new FaultyFiles();
    const store = await openOn(files, { flushDiskType: 'SYNC_FLUSH' });
    await stored(store, message({ body: 'first', properties: { KEYS: 'k' } }));
    const held: (() => void)[] = [];
    files.beforeSync = (file) =>
      file.includes('/commitlog/') ? new Promise<void>((resolve) => void held.push(resolve)) : undefined;
    const second = store.append([message({ body: 'second', properties: { KEYS: 'k' } })]);
    await settle();
    expect(bodiesIn(store)).toEqual(['first']);
    expect(store.queryByKey('Plain', 'k', 64, 0, Number.MAX_SAFE_INTEGER)).toHaveLength(1);
    files.beforeSync = () => {};
    for (const release of held) release();
    if (second.status === 'PUT_OK') expect(await second.turn.visible).toBe('VISIBLE');
    expect(bodiesIn(store)).toEqual(['first', 'second']);
  });

  it('check 60: ASYNC_FLUSH: what was answered survives kill -9, though nothing was synced', async () => {
    const files = new FaultyFiles();
    const store = await openOn(files, {});
    const before = files.syncCount;
    for (const body of answered) await stored(store, message({ body }));
    expect(files.syncCount).toBe(before);
    const again = await openOn(files.kill(), {});
    expect(bodiesIn(again)).toEqual(answered);
  });

  it('check 61: a stuck disk is FLUSH_DISK_TIMEOUT after 5 s; the record is in the log and readable when it is synced', async () => {
    const files = troubledFiles();
    const { client, clock } = await startTestBroker({ files, config: { flushDiskType: 'SYNC_FLUSH' } });
    const one = client();
    await send(one, { topic: 'T', body: 'before' });
    files.isSlow = true;
    let code: number | undefined;
    const sent = send(one, { topic: 'T', body: 'slow' }).then((response) => {
      code = response.code;
      return response;
    });
    await settle();
    clock.advance(4999);
    await settle();
    expect(code).toBeUndefined();
    clock.advance(1);
    expect(await sent).toMatchObject({ code: RESPONSE_CODE.FLUSH_DISK_TIMEOUT, extFields: { queueOffset: '1' } });
    expect(bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['before']);
    files.release();
    await expect.poll(async () => bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['before', 'slow']);
  });

  it('check 62: WAIT=false is answered at once under SYNC_FLUSH, and readable after the sync', async () => {
    const files = troubledFiles();
    const { client } = await startTestBroker({ files, config: { flushDiskType: 'SYNC_FLUSH' } });
    const one = client();
    await send(one, { topic: 'T', body: 'before' });
    files.isSlow = true;
    const response = await send(one, { topic: 'T', body: 'hasty', props: { WAIT: 'false' } });
    expect(response).toMatchObject({ code: RESPONSE_CODE.SUCCESS, extFields: { queueOffset: '1' } });
    expect(bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['before']);
    files.release();
    await expect.poll(async () => bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['before', 'hasty']);
  });
});

describe('a pull', () => {
  const fixBroker = () => startTestBroker({ directory: copyOf('small-recovered'), config: sizesOf('small-recovered') });

  it('check 63: asked for 32 gives 32 messages, 11498 bytes, next 32', async () => {
    const { client } = await fixBroker();
    const response = await pull(client(), { topic: 'FixTopic', maxMsgNums: 32 });
    expect(response.extFields).toMatchObject({ nextBeginOffset: '32', minOffset: '0', maxOffset: '80' });
    expect([messagesOf(response).length, response.body.length]).toEqual([32, 11498]);
    expect(messagesOf(await pull(client(), { topic: 'FixTopic', maxMsgNums: 80 }))).toHaveLength(32);
  });

  it('check 63: stops at 256 KiB, but always gives the first message', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const size of [100, 100, 100, 400, 1]) await send(one, { topic: 'T', body: Buffer.alloc(size * 1024, 'x') });
    const sizes = async (queueOffset: number) =>
      messagesOf(await pull(one, { topic: 'T', queueOffset })).map(({ body }) => body.length / 1024);
    expect(await sizes(0)).toEqual([100, 100]);
    expect(await sizes(2)).toEqual([100]);
    expect(await sizes(3)).toEqual([400]);
    expect(await sizes(4)).toEqual([1]);
  });

  it('check 64: at the end, behind it, and of nothing', async () => {
    const { client } = await fixBroker();
    const one = client();
    for (const [queueOffset, code, remark] of [
      [80, RESPONSE_CODE.PULL_NOT_FOUND, 'OFFSET_OVERFLOW_ONE'],
      [81, RESPONSE_CODE.PULL_OFFSET_MOVED, 'OFFSET_OVERFLOW_BADLY'],
    ] as const) {
      const response = await pull(one, { topic: 'FixTopic', queueOffset });
      expect(response).toMatchObject({ code, remark, extFields: { nextBeginOffset: '80' } });
    }
    const store = await open(copyOf('small-recovered'));
    expect(store.readQueue('Nowhere', 0, 7, 32, 1 << 20)).toMatchObject({
      status: 'NO_MESSAGE_IN_QUEUE',
      nextBeginOffset: 0,
    });
    expect(store.readQueue('FixTopic', 2, 0, 32, 1 << 20).status).toBe('NO_MESSAGE_IN_QUEUE');
  });

  it('check 66: with a filter that matches nothing moves on by 800 at most', async () => {
    const directory = emptyDirectory();
    const store = await open(directory, 'default', { mappedFileSizeCommitLog: 1 << 20, maxHashSlotNum: 11 });
    const messages = Array.from({ length: 1000 }, () => message({ properties: { TAGS: 'other' } }));
    await stored(store, ...messages);
    for (const filter of [{ matchesTagsCode: () => false }, { matchesProperties: () => false }]) {
      const first = store.readQueue('Plain', 0, 0, 32, 1 << 20, filter);
      expect(first).toMatchObject({ status: 'NO_MATCHED_MESSAGE', nextBeginOffset: 800, records: [] });
      const rest = store.readQueue('Plain', 0, 800, 32, 1 << 20, filter);
      expect(rest).toMatchObject({ status: 'NO_MATCHED_MESSAGE', nextBeginOffset: 1000 });
    }
  });
});

describe('offsets by time', () => {
  it('check 65: before, between, at and after the messages of a queue', async () => {
    const store = await open(copyOf('small-recovered'));
    const at = (time: number) =>
      (['LOWER', 'UPPER'] as const).map((boundary) => store.offsetByTime('FixTopic', 0, time, boundary));
    const [first, last] = [store.storeTimeAt('FixTopic', 0, 0), store.storeTimeAt('FixTopic', 0, 79)];
    expect(at(first - 1)).toEqual([0, 0]);
    expect(at(first + 1)).toEqual([1, 0]);
    expect(at(last)).toEqual([79, 79]);
    expect(at(last + 1)).toEqual([80, 79]);
    expect(at(0)).toEqual([0, 0]);
    expect(store.offsetByTime('FixTopic', 5, first, 'LOWER')).toBe(0);
  });

  it('check 65: without the first file they begin at 23', async () => {
    const directory = copyOf('small-recovered');
    fs.rmSync(segment(directory, 0));
    const store = await open(directory);
    for (const boundary of ['LOWER', 'UPPER'] as const) expect(store.offsetByTime('FixTopic', 0, 0, boundary)).toBe(23);
  });
});

describe('a deleted topic', () => {
  it.each<[how: string, between: (directory: string) => void]>([
    ['after a clean stop', () => {}],
    ['when the queues are rebuilt', (directory) => remove(directory, 'consumequeue')],
    ['differs from RocketMQ: after kill -9', (directory) => fs.writeFileSync(path.join(directory, 'abort'), 'killed')],
  ])('check 68: starts again at 0, and old records do not come back, %s', async (_, between) => {
    const directory = copyOf('small-recovered');
    const store = await open(directory);
    store.deleteTopic('FixTopic');
    expect(fs.existsSync(path.join(directory, 'consumequeue/FixTopic'))).toBe(false);
    expect(seen(store)).toMatchObject({ q0: [0, 0], q1: [0, 0] });
    const [place] = await stored(store, message({ topic: 'FixTopic' }));
    expect(place?.queueOffset).toBe(0);
    await store.close();
    between(directory);
    const again = await open(directory);
    expect(seen(again)).toMatchObject({ q0: [0, 1], q1: [0, 0] });
    expectEveryEntryRight(again);
  });
});

describe('a message with a delay level', () => {
  it.each([
    [1, 1000],
    [3, 10_000],
  ])('check 69: of level %i comes after %i ms: not before, at most 0.2 s later', async (level, delayMillis) => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', body: 'later', props: { DELAY: String(level) } });
    const from = clock.now();
    clock.advance(delayMillis - 1);
    await settle();
    expect(bodiesOf(await pull(one, { topic: 'T' }))).toEqual([]);
    await clock.advanceInSteps(201, 50);
    await settle();
    const [delivered] = messagesOf(await pull(one, { topic: 'T' }));
    expect(delivered!.storeTimestamp - from).toBeGreaterThanOrEqual(delayMillis);
    expect(delivered!.storeTimestamp - from).toBeLessThanOrEqual(delayMillis + 200);
  });

  it('check 69: after kill -9 none is lost, and only messages of the last ten seconds come twice', async () => {
    // In memory, so that a save takes no time that the clock does not know of.
    const files = new FaultyFiles();
    const directory = '/data/store';
    const first = await startTestBroker({ directory, files });
    const one = first.client();
    const sent: { body: string; at: number }[] = [];
    for (let n = 0; n < 35; n += 1) {
      sent.push({ body: `message ${n}`, at: first.clock.now() });
      await send(one, { topic: 'T', body: `message ${n}`, props: { DELAY: '1' } });
      await first.clock.advanceInSteps(1000, 250);
      await settle();
    }
    const killedAt = first.clock.now();
    const left = new FaultyFiles();
    for (const [file, bytes] of files.contents()) {
      left.makeDirectory(path.dirname(file));
      // Whose id it holds is gone with the process.
      if (!file.endsWith('/pid')) left.writeFile(file, bytes);
    }
    await first.stop();
    const second = await startTestBroker({ directory, files: left, clock: first.clock });
    await second.clock.advanceInSteps(3000, 250);
    await settle();
    const bodies: string[] = [];
    for (let queueOffset = 0; ; queueOffset += 32) {
      const response = await pull(second.client(), { topic: 'T', queueOffset });
      if (response.code !== RESPONSE_CODE.SUCCESS) break;
      bodies.push(...bodiesOf(response));
    }
    const counts = sent.map(({ body }) => bodies.filter((other) => other === body).length);
    expect(Math.min(...counts)).toBe(1);
    expect(Math.max(...counts)).toBeLessThanOrEqual(2);
    const twice = sent.filter((_, n) => (counts[n] ?? 0) > 1);
    // Delivered in the last ten seconds, so sent one second earlier at the most.
    for (const { at } of twice) expect(at).toBeGreaterThanOrEqual(killedAt - 11_000);
    expect(twice.length).toBeLessThanOrEqual(11);
  });
});
