// What else lies on disk, and what readers of either side rely on: names, small files, the checkpoint's fields, times of
// the index, and the files in config/ as Apache RocketMQ 5.5.0 wrote them.
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { diskFiles } from '../../../src/base/files.js';
import { silentLogger } from '../../../src/base/logger.js';
import { PersistedTable, writePrettyJson } from '../../../src/broker/persistedTable.js';
import { readTopicConfigTable } from '../../../src/protocol/bodies.js';
import { parseLooseJson } from '../../../src/protocol/looseJson.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { dumpCheckpoint } from '../../../src/store/index.js';
import { sizesOf } from '../../support/goldenStore.js';
import { ManualClock } from '../../support/manualClock.js';
import { message } from '../../support/storeMessages.js';
import { bodiesOf, heartbeat, pull, send, startTestBroker, temporaryDirectory } from '../../support/testBroker.js';
import { copyOf, emptyDirectory, FOREVER, found, killed, open, ownCopyOf, SMALL, segment, stored } from './fixStore.js';
import { OWN_SIZES, ownStore } from './ownStore.js';
import { javaHash, rawIndexes, rawRecords } from './rawStore.js';

const namesIn = (directory: string) => fs.readdirSync(directory).sort();

describe('the directory', () => {
  it('holds what RocketMQ knows, and one directory that it does not', async () => {
    const { directory, store } = await ownStore();
    const known = ['abort', 'commitlog', 'consumequeue', 'foldlog', 'index', 'lock'];
    expect(namesIn(directory).filter((name) => name !== 'checkpoint')).toEqual(known);
    const starts = namesIn(path.join(directory, 'commitlog'));
    expect(starts).toEqual(starts.map((_, at) => String(at * 4096).padStart(20, '0')));
    const queue = namesIn(path.join(directory, 'consumequeue/Mixed/0'));
    expect(queue).toEqual(queue.map((_, at) => String(at * 400).padStart(20, '0')));
    await store.close();
    const stopped = known.filter((name) => name !== 'abort');
    expect(namesIn(directory)).toEqual([...stopped, 'checkpoint'].sort());
  });

  it('names index files after the local time of their creation', async () => {
    const directory = emptyDirectory();
    const clock = new ManualClock(new Date(2026, 1, 3, 4, 5, 6, 78).getTime());
    const store = await open(directory, 'default', { ...OWN_SIZES, clock });
    await stored(store, message({ properties: { KEYS: 'k' } }));
    expect(namesIn(path.join(directory, 'index'))).toEqual(['20260203040506078']);
  });

  it('`lock` says lock, and one that is there is left alone', async () => {
    const directory = emptyDirectory();
    await (await open(directory, 'default', OWN_SIZES)).close();
    expect(fs.readFileSync(path.join(directory, 'lock'), 'utf8')).toBe('lock');
    fs.writeFileSync(path.join(directory, 'lock'), 'other');
    await (await open(directory, 'default', OWN_SIZES)).close();
    expect(fs.readFileSync(path.join(directory, 'lock'), 'utf8')).toBe('other');
  });

  it('`abort` begins with the process id, lies there while the store runs, and counts whatever it holds', async () => {
    const directory = emptyDirectory();
    const abort = path.join(directory, 'abort');
    const store = await open(directory, 'default', OWN_SIZES);
    expect(fs.readFileSync(abort, 'utf8').split(' ')[0]).toBe(String(process.pid));
    await stored(store, message({}));
    const { generation } = store.visibleEnd();
    await store.close();
    expect(fs.existsSync(abort)).toBe(false);
    fs.writeFileSync(abort, '');
    const again = await open(directory, 'default', OWN_SIZES);
    expect(again.visibleEnd().generation).toBe(generation + 1);
  });

  it('`abort.bak` means nothing', async () => {
    const directory = await ownCopyOf('small-recovered');
    fs.writeFileSync(path.join(directory, 'abort.bak'), '123');
    expect((await open(directory)).visibleEnd().generation).toBe(1);
    expect(fs.readFileSync(path.join(directory, 'abort.bak'), 'utf8')).toBe('123');
  });

  it('a clean stop leaves no file behind the end: neither of the log nor of the index', async () => {
    const directory = copyOf('small-crash');
    expect(fs.existsSync(segment(directory, 65536))).toBe(true);
    await (await open(directory)).close();
    expect(namesIn(path.join(directory, 'commitlog')).at(-1)).toBe('49152'.padStart(20, '0'));
    const { directory: own, store } = await ownStore();
    await store.close();
    const records = rawRecords(own);
    expect(Number(namesIn(path.join(own, 'commitlog')).at(-1))).toBeLessThanOrEqual(records.at(-1)!.position);
    for (const { indexCount } of rawIndexes(own, 101)) expect(indexCount).toBeGreaterThan(1);
  });
});

describe('the checkpoint', () => {
  const raw = (directory: string) => {
    const bytes = fs.readFileSync(path.join(directory, 'checkpoint'));
    expect(bytes.subarray(48).every((byte) => byte === 0)).toBe(true);
    return Array.from({ length: 6 }, (_, field) => Number(bytes.readBigInt64BE(field * 8)));
  };

  it('after a clean stop names the last record, synced and dispatched, and the last full index file', async () => {
    const { directory, store } = await ownStore();
    await store.close();
    const records = rawRecords(directory);
    const last = records.at(-1)!;
    const full = rawIndexes(directory, 101).filter(({ indexCount }) => indexCount === 60);
    expect(raw(directory)).toEqual([
      last.storeTimestamp,
      last.storeTimestamp,
      full.at(-1)!.endTimestamp,
      0,
      0,
      last.position,
    ]);
  });

  it('after kill -9 never claims more than what is synced, and no index file that is not full', async () => {
    const directory = emptyDirectory();
    const clock = new ManualClock();
    const store = await open(directory, 'default', { ...OWN_SIZES, clock });
    for (let n = 0; n < 20; n += 1) {
      await stored(store, message({ properties: { KEYS: 'k' } }));
      clock.advance(900);
      await store.syncLog();
    }
    const crashed = killed(directory);
    const { logicsPhysicalOffset, indexMsgTimestamp, logicsMsgTimestamp, physicMsgTimestamp } = dumpCheckpoint(crashed);
    const records = rawRecords(crashed);
    if (logicsPhysicalOffset > 0) {
      const record = records.find(({ position }) => position === logicsPhysicalOffset);
      expect(record?.storeTimestamp).toBe(logicsMsgTimestamp);
    }
    expect(physicMsgTimestamp).toBeLessThanOrEqual(records.at(-1)!.storeTimestamp);
    expect(indexMsgTimestamp).toBe(0);
  });

  /** The first index file that a broker of Apache RocketMQ throws away at an unclean start. */
  const firstThrownAway = (directory: string) => {
    const { indexMsgTimestamp } = dumpCheckpoint(directory);
    const at = rawIndexes(directory, 101).findIndex(({ endTimestamp }) => endTimestamp > indexMsgTimestamp);
    return { at, file: rawIndexes(directory, 101)[at]! };
  };

  it('while the store runs names no record behind the first index file that RocketMQ would build anew', async () => {
    const directory = emptyDirectory();
    const clock = new ManualClock();
    const store = await open(directory, 'default', { ...OWN_SIZES, clock });
    let looks = 0;
    for (let n = 0; n < 100; n += 1) {
      await stored(store, message({ properties: { KEYS: `k${n} l${n}` } }));
      clock.advance(300);
      await store.syncLog();
      if (n % 10 !== 9) continue;
      const crashed = killed(directory);
      const { logicsPhysicalOffset, logicsMsgTimestamp } = dumpCheckpoint(crashed);
      if (logicsPhysicalOffset === 0) continue;
      const { at, file } = firstThrownAway(crashed);
      expect(logicsPhysicalOffset).toBeLessThanOrEqual(file.beginPhyOffset);
      const record = rawRecords(crashed).find(({ position }) => position === logicsPhysicalOffset);
      expect(record?.storeTimestamp).toBe(logicsMsgTimestamp);
      if (at > 0) looks += 1;
    }
    // Among them some with full index files, which RocketMQ keeps.
    expect(looks).toBeGreaterThan(2);
  });

  it('is lowered to that record before the store takes the first message after a clean stop', async () => {
    const { directory, store } = await ownStore();
    await store.close();
    const stopped = dumpCheckpoint(directory).logicsPhysicalOffset;
    await open(directory, 'default', { ...OWN_SIZES, clock: new ManualClock() });
    const crashed = killed(directory);
    const { file } = firstThrownAway(crashed);
    expect(file.beginPhyOffset).toBeLessThan(stopped);
    expect(dumpCheckpoint(crashed)).toMatchObject({
      logicsPhysicalOffset: file.beginPhyOffset,
      logicsMsgTimestamp: file.beginTimestamp,
    });
  });

  it('keeps the fields that are RocketMQ alone knows', async () => {
    const directory = await ownCopyOf('small-recovered');
    expect(dumpCheckpoint(directory)).toMatchObject({
      masterFlushedOffset: 0,
      confirmPhyOffset: SMALL.last,
      logicsPhysicalOffset: SMALL.last,
      indexMsgTimestamp: 0,
    });
  });
});

describe('times in the index', () => {
  it('are whole seconds since the first entry, rounded down; a query from within such a second misses', async () => {
    const clock = new ManualClock();
    const directory = emptyDirectory();
    const store = await open(directory, 'default', { ...OWN_SIZES, clock });
    const begin = clock.now();
    for (const at of [0, 1999, 2000, 2001]) {
      clock.advance(begin + at - clock.now());
      await stored(store, message({ properties: { KEYS: `at${at}` } }));
    }
    const from = (key: string, time: number, until = FOREVER) => store.queryByKey('Plain', key, 64, time, until).length;
    // Stored at 1999: counts as 1000.
    expect([from('at1999', begin + 1000), from('at1999', begin + 1001), from('at1999', begin + 1999)]).toEqual([
      1, 0, 0,
    ]);
    expect([from('at2000', begin + 2000), from('at2001', begin + 2000), from('at2001', begin + 2001)]).toEqual([
      1, 1, 0,
    ]);
    expect([from('at2001', begin, begin + 1999), from('at2001', begin, begin + 2000)]).toEqual([0, 1]);
    await store.close();
    expect(
      rawIndexes(directory, 101)[0]
        ?.entries.slice(1)
        .map(({ seconds }) => seconds),
    ).toEqual([0, 1, 2, 2]);
  });

  it('are 0 when the clock went back behind the first entry', async () => {
    const directory = emptyDirectory();
    const first = await open(directory, 'default', { ...OWN_SIZES, clock: new ManualClock(2_000_000_000_000) });
    await stored(first, message({ properties: { KEYS: 'k' } }));
    await first.close();
    const store = await open(directory, 'default', { ...OWN_SIZES, clock: new ManualClock(1_900_000_000_000) });
    await stored(store, message({ properties: { KEYS: 'k' } }));
    expect(found(store, 'Plain', 'k')).toBe(2);
    await store.close();
    const [index] = rawIndexes(directory, 101);
    expect(index?.entries.slice(1).map(({ seconds }) => seconds)).toEqual([0, 0]);
    expect(index).toMatchObject({ beginTimestamp: 2_000_000_000_000, endTimestamp: 1_900_000_000_000 });
  });

  it('a query gives the newest 64 at most, in the order of the log', async () => {
    const { store, clock } = await ownStore();
    for (let n = 0; n < 100; n += 1) {
      clock.advance(50);
      await stored(store, message({ body: `${n}`, properties: { KEYS: 'often' } }));
    }
    const found64 = store.queryByKey('Plain', 'often', 1000, 0, FOREVER);
    const offsets = found64.map((bytes) => Number(bytes.readBigInt64BE(20)));
    expect(offsets).toEqual(Array.from({ length: 64 }, (_, n) => n + 36));
    expect(store.queryByKey('Plain', 'often', 3, 0, FOREVER).map((bytes) => bytes.readInt32BE(24))).toEqual([
      97, 98, 99,
    ]);
  });

  it('a key whose hash is the smallest integer is filed under 0', async () => {
    const directory = emptyDirectory();
    const store = await open(directory, 'default', OWN_SIZES);
    const key = completing('Plain#');
    expect(javaHash(`Plain#${key}`)).toBe(-2147483648);
    await stored(store, message({ properties: { KEYS: key } }));
    expect(found(store, 'Plain', key)).toBe(1);
    await store.close();
    expect(rawIndexes(directory, 101)[0]?.entries[1]?.keyHash).toBe(0);
  });

  /** Seven characters from `0` on that make the hash of the whole text -2^31: its digits to the base of 31. */
  function completing(prefix: string): string {
    const zeros = `${prefix}0000000`;
    let missing = (2 ** 31 - javaHash(zeros) + 2 ** 33) % 2 ** 32;
    const digits: string[] = [];
    for (let place = 0; place < 7; place += 1) {
      digits.unshift(String.fromCharCode(48 + (missing % 31)));
      missing = Math.floor(missing / 31);
    }
    return digits.join('');
  }
});

describe('sizes', () => {
  it('with maxMessageSize 8192 a body of 8100 is stored, one of 9000 is refused', async () => {
    const store = await open(emptyDirectory(), 'default', { mappedFileSizeCommitLog: 16_384, maxMessageSize: 8192 });
    const properties = { a: 'x'.repeat(150) };
    const [place] = await stored(store, message({ body: Buffer.alloc(8100), properties }));
    expect(place!.sizeBytes).toBeGreaterThan(8192);
    expect(store.append([message({ body: Buffer.alloc(9000) })]).status).toBe('MESSAGE_ILLEGAL');
  });
});

describe('config/ of a real broker', () => {
  const configOf = (directory: string, name: string) =>
    parseLooseJson(fs.readFileSync(path.join(directory, 'config', name), 'utf8')) as Record<string, never>;
  const REAL = ['consumerOffset.json', 'delayOffset.json', 'subscriptionGroup.json', 'topics.json'];

  it.each(REAL)('%s is read, and its text is what ours would be but for the order in maps', (name) => {
    const text = fs.readFileSync(path.join(copyOf('default'), 'config', name), 'utf8');
    const file = path.join(temporaryDirectory(), name);
    fs.writeFileSync(file, text);
    const table = new PersistedTable({ file, files: diskFiles, logger: silentLogger });
    const value = table.load((loaded) => loaded);
    expect(value).toMatchObject({ dataVersion: { stateVersion: 0 } });
    // Lines, because maps are sorted here and in hash order there; integer keys are unquoted in both.
    const lines = (content: string) =>
      content
        .split('\n')
        .map((line) => line.replace(/,$/, ''))
        .sort();
    expect(lines(writePrettyJson(withNumberKeys(value)))).toEqual(lines(text));
  });

  /** Plain objects with integer names become maps with number keys, which are written without quotes. */
  function withNumberKeys(value: unknown): unknown {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const members = Object.entries(value).map(([key, member]) => [key, withNumberKeys(member)] as const);
    if (members.length === 0 || !members.every(([key]) => /^\d+$/.test(key))) return Object.fromEntries(members);
    return new Map(members.map(([key, member]) => [Number(key), member]));
  }

  it('what our broker does not change it leaves as it is, and what it saves keeps what RocketMQ wrote', async () => {
    const directory = copyOf('small-recovered');
    const donor = copyOf('default');
    for (const name of REAL) fs.copyFileSync(path.join(donor, 'config', name), path.join(directory, 'config', name));
    const before = Object.fromEntries(REAL.map((name) => [name, configOf(directory, name)]));
    const broker = await startTestBroker({ directory, config: sizesOf('small-recovered') });
    const client = broker.client();
    // A new topic, a new group and a new offset: every file is saved.
    await send(client, { topic: 'Fresh' });
    await heartbeat(client, { group: 'FreshGroup', topics: { Fresh: '*' } });
    await client.callRaw(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, {
      consumerGroup: 'FreshGroup',
      topic: 'Fresh',
      queueId: '0',
      commitOffset: '1',
    });
    await broker.stop();
    for (const [name, table] of [
      ['topics.json', 'topicConfigTable'],
      ['subscriptionGroup.json', 'subscriptionGroupTable'],
    ] as const) {
      expect(configOf(directory, name)[table]).toMatchObject(before[name]![table]!);
      expect(fs.existsSync(path.join(directory, 'config', `${name}.bak`))).toBe(true);
    }
    const offsets = configOf(directory, 'consumerOffset.json')['offsetTable'];
    expect(offsets).toMatchObject({
      'FixTopic@FixConsumer': { 0: 8, 1: 8 },
      'FixTopic@FixOrderly': { 0: 8, 1: 8 },
      'Fresh@FreshGroup': { 0: 1 },
    });
  });

  it('a topic of which only the name is known has 16 queues, may be read and written, and is not ordered', () => {
    const { topicConfigTable } = readTopicConfigTable({ topicConfigTable: { T: { topicName: 'T' } } }, 'topics.json');
    expect(Object.fromEntries(topicConfigTable as never)).toMatchObject({
      T: {
        readQueueNums: 16,
        writeQueueNums: 16,
        perm: 6,
        topicFilterType: 'SINGLE_TAG',
        topicSysFlag: 0,
        order: false,
        attributes: {},
      },
    });
  });

  it('consumerOffset.json needs no more than its offsets, with keys in either form', async () => {
    const directory = copyOf('small-recovered');
    const file = path.join(directory, 'config/consumerOffset.json');
    fs.writeFileSync(file, '{"offsetTable":{"FixTopic@G":{0:7,"1":9}}}');
    const broker = await startTestBroker({ directory, config: sizesOf('small-recovered') });
    const ask = async (queueId: string) => {
      const fields = { consumerGroup: 'G', topic: 'FixTopic', queueId };
      return (await broker.client().callRaw(REQUEST_CODE.QUERY_CONSUMER_OFFSET, fields)).extFields['offset'];
    };
    expect([await ask('0'), await ask('1')]).toEqual(['7', '9']);
    expect(bodiesOf(await pull(broker.client(), { topic: 'FixTopic', queueOffset: 79 }))).toHaveLength(1);
  });
});
