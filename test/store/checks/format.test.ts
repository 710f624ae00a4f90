// Checks 1 to 19: what the bytes of a store are. Held against directories that Apache RocketMQ 5.5.0 wrote and against
// one that foldlog wrote, by a reader that shares no code with `src/` (rawStore.ts).
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeProperties } from '../../../src/protocol/messageProperties.js';
import { decodeRecord, packHost } from '../../../src/protocol/messageRecord.js';
import { dumpBatchConsumeQueue, dumpCheckpoint, dumpCommitLog, verifyStore } from '../../../src/store/index.js';
import { expandStore, goldenStores, sizesOf } from '../../support/goldenStore.js';
import { ManualClock } from '../../support/manualClock.js';
import { message } from '../../support/storeMessages.js';
import { copyOf, emptyDirectory, found, killed, open, SMALL, stored } from './fixStore.js';
import { OWN_SIZES, ownStore, writeOwnStore } from './ownStore.js';
import type { RawIndex, RawQueueEntry, RawRecord } from './rawStore.js';
import { javaHash, keyHash, keysOf, MAGIC, rawIndexes, rawLog, rawQueues, rawRecords } from './rawStore.js';

const OWN = 'one that foldlog wrote';
const DELAYS = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];
const BLANK_ENTRY = 0x7fffffff;

describe.each([...Object.keys(goldenStores()), OWN])('the store %s', (name) => {
  const isOwn = name === OWN;
  const sizes = isOwn ? OWN_SIZES : sizesOf(name);
  const segmentBytes = sizes.mappedFileSizeCommitLog ?? 1 << 30;
  const slotCount = sizes.maxHashSlotNum ?? 5_000_000;
  let directory = '';
  let records: RawRecord[] = [];
  let queues = new Map<string, RawQueueEntry[]>();
  let indexes: RawIndex[] = [];

  beforeAll(async () => {
    directory = isOwn ? fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-checks-own-')) : expandStore(name);
    if (isOwn) await (await writeOwnStore(directory)).store.close();
    records = rawRecords(directory);
    queues = rawQueues(directory);
    indexes = rawIndexes(directory, slotCount);
  });
  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

  it('check 1: every record lies where it says, its parts fill it, and the next one follows', () => {
    let next = rawLog(directory)[0]?.position;
    for (const record of rawLog(directory)) {
      expect(record.position).toBe(next);
      next = record.position + record.sizeBytes;
      if (record.kind === 'blank') expect(next % segmentBytes).toBe(0);
      else expect([record.physicalOffset, record.partsBytes]).toEqual([record.position, record.sizeBytes]);
    }
    expect(records.length).toBeGreaterThan(2);
  });

  it('check 2: BODYCRC is the CRC-32 of the body as it is stored, without its sign', () => {
    for (const { bodyCrc, body } of records) expect(bodyCrc).toBe(crc32(body) & 0x7fffffff);
  });

  it('check 7: entry n of a queue points at the record with that topic, queue and queue offset', () => {
    const byPosition = new Map(records.map((record) => [record.position, record]));
    for (const [queue, entries] of queues) {
      for (const { queueOffset, position, sizeBytes } of entries.filter((entry) => entry.sizeBytes !== BLANK_ENTRY)) {
        const record = byPosition.get(position);
        expect(record?.sizeBytes).toBe(sizeBytes);
        if (queue.startsWith('%LMQ%')) {
          const names = record?.properties.get('INNER_MULTI_DISPATCH')?.split(',') ?? [];
          const offsets = record?.properties.get('INNER_MULTI_QUEUE_OFFSET')?.split(',') ?? [];
          expect(offsets[names.indexOf(queue.split('/')[0] ?? '')]).toBe(String(queueOffset));
        } else {
          expect(`${record?.topic}/${record?.queueId} ${record?.queueOffset}`).toBe(`${queue} ${queueOffset}`);
        }
      }
    }
  });

  it('check 8: tagsCode is the hash of the tag, 0 without one, and the due time in SCHEDULE_TOPIC_XXXX', () => {
    const byPosition = new Map(records.map((record) => [record.position, record]));
    for (const [queue, entries] of queues) {
      for (const { position, sizeBytes, tagsCode } of entries) {
        if (sizeBytes === BLANK_ENTRY) expect([position, tagsCode]).toEqual([0, 0n]);
        // An address in consumequeue_ext.
        else if (tagsCode <= -2147483649n) expect(name).toBe('crc-ext-bcq');
        else {
          const { properties, storeTimestamp } = byPosition.get(position)!;
          const level = Math.min(Number(properties.get('DELAY')), DELAYS.length);
          const due = storeTimestamp + (DELAYS[level - 1] ?? 0) * 1000;
          const isDelayed = queue.startsWith('SCHEDULE_TOPIC_XXXX') && properties.has('DELAY');
          expect(tagsCode).toBe(BigInt(isDelayed ? due : javaHash(properties.get('TAGS') ?? '')));
        }
      }
    }
    expect([javaHash('TagA'), javaHash('标签')]).toEqual([2598919, 857175]);
  });

  it('check 9: queue offsets are dense: 0, 1, 2 …', () => {
    const next = new Map<string, number>();
    for (const { topic, queueId, queueOffset, sysFlag, properties } of records) {
      const transaction = sysFlag & 0xc;
      if (transaction === 4 || transaction === 0xc) {
        expect(queueOffset).toBe(0);
        continue;
      }
      const queue = `${topic}/${queueId}`;
      const isFirst = !next.has(queue);
      // Where the log's front was removed by hand a queue goes on in the middle.
      if (!isFirst || name !== 'small-missing-first-out')
        expect([queue, queueOffset]).toEqual([queue, next.get(queue) ?? 0]);
      next.set(queue, queueOffset + Number(properties.get('INNER_NUM') ?? 1));
    }
    for (const [queue, entries] of queues) {
      expect(entries.map((entry) => entry.queueOffset)).toEqual(entries.map((_, n) => n));
      if (!queue.startsWith('%LMQ%')) expect(entries).toHaveLength(next.get(queue)!);
    }
  });

  it('check 13: UNIQ_KEY, each part of KEYS and the tag of every record are indexed, in this order', () => {
    const entries = indexes.flatMap((index) => index.entries.slice(1));
    const wanted = records.flatMap((record) =>
      keysOf(record).map((key) => ({ keyHash: keyHash(key), position: record.position })),
    );
    expect(entries.map(({ keyHash: hash, position }) => ({ keyHash: hash, position }))).toEqual(wanted);
  });

  it('check 14: header, slots and chains of the index count what is there', () => {
    const stamps = new Map(records.map((record) => [record.position, record.storeTimestamp]));
    for (const index of indexes) {
      const { entries, slots, indexCount } = index;
      const heads = new Map<number, number>();
      for (const [number, entry] of entries.entries()) {
        if (number === 0) continue;
        const slot = entry.keyHash % slotCount;
        expect(entry.previous).toBe(heads.get(slot) ?? 0);
        heads.set(slot, number);
      }
      expect([...slots]).toEqual([...heads].sort(([a], [b]) => a - b));
      expect(index.hashSlotCount).toBe(heads.size);
      expect(entries).toHaveLength(indexCount);
      const [first, last] = [entries[1]!, entries.at(-1)!];
      expect([index.beginPhyOffset, index.endPhyOffset]).toEqual([first.position, last.position]);
      expect(index.beginPhyOffset).toBeLessThanOrEqual(index.endPhyOffset);
      expect([index.beginTimestamp, index.endTimestamp]).toEqual([
        stamps.get(first.position),
        stamps.get(last.position),
      ]);
      for (const { position, seconds } of entries.slice(1)) {
        expect(seconds).toBe(Math.trunc((stamps.get(position)! - index.beginTimestamp) / 1000));
      }
    }
  });

  it('check 17: every file has its full length', () => {
    const fullBytes = {
      commitlog: segmentBytes,
      consumequeue: sizes.mappedFileSizeConsumeQueue ?? 6_000_000,
      index: 40 + 4 * slotCount + 20 * (sizes.maxIndexNum ?? 20_000_000),
    };
    for (const [folder, sizeBytes] of Object.entries(fullBytes)) {
      const files = fs.readdirSync(path.join(directory, folder), { recursive: true, withFileTypes: true });
      for (const file of files.filter((entry) => entry.isFile())) {
        expect([file.name, fs.statSync(path.join(file.parentPath, file.name)).size]).toEqual([file.name, sizeBytes]);
      }
    }
    expect(fs.statSync(path.join(directory, 'checkpoint')).size).toBe(4096);
  });

  it('check 19: magic V2 means two bytes of topic length, and each host has its own IPv6 flag', () => {
    for (const { magic, topic, sysFlag, bornHost, storeHost } of records) {
      expect(magic).toBe(topic.length > 127 ? MAGIC.V2 : MAGIC.V1);
      expect([bornHost.length, storeHost.length]).toEqual([sysFlag & 0x10 ? 20 : 8, sysFlag & 0x20 ? 20 : 8]);
    }
    const flags = new Set(records.map((record) => record.sysFlag & 0x30));
    if (isOwn) expect([...flags].sort()).toEqual([0, 0x10, 0x20, 0x30]);
    if (isOwn || name === 'v2-ipv6') expect(records.some(({ magic }) => magic === MAGIC.V2)).toBe(true);
  });
});

describe('records', () => {
  it('checks 1, 2, 7, 8, 9, 13, 14 and 17: what RocketMQ was sent makes the same bytes here', async () => {
    const real = copyOf('small-recovered');
    const directory = emptyDirectory();
    const records = rawRecords(real);
    const clock = new ManualClock(records[0]!.storeTimestamp);
    const store = await open(directory, 'small-recovered', { clock });
    for (const { bytes, storeTimestamp, storeHost, bornHost, propertiesText } of records) {
      clock.advance(storeTimestamp - clock.now());
      const { topic, queueId, flag, sysFlag, bornTimestamp, body } = decodeRecord(bytes);
      const made = { ...message({ topic, queueId, body, sysFlag }), flag, bornTimestamp, bornHost, storeHost };
      await stored(store, { ...made, propertiesText, properties: decodeProperties(propertiesText) });
    }
    await store.close();
    const filesOf = (root: string, folder: string) =>
      fs
        .readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath, entry.name))
        .sort();
    for (const folder of ['commitlog', 'consumequeue', 'index']) {
      const [ours, theirs] = [filesOf(directory, folder), filesOf(real, folder)];
      expect(ours).toHaveLength(theirs.length);
      for (const [at, file] of ours.entries()) {
        const [mine, other] = [fs.readFileSync(file), fs.readFileSync(theirs[at]!)];
        expect([folder, at, mine.equals(other)]).toEqual([folder, at, true]);
      }
    }
  });

  it('check 3: a record that leaves eight bytes fits; one byte more goes to the next file behind a blank record', async () => {
    const crc = rawLog(copyOf('crc-ext-bcq'));
    const blankAt = crc.findIndex(({ kind }) => kind === 'blank');
    expect(crc[blankAt]).toMatchObject({ position: 13044, sizeBytes: 3340 });
    expect(crc[blankAt + 1]).toMatchObject({ position: SMALL.segment });
    for (const missing of [0, 1]) {
      const places = await afterFilling(missing);
      expect(places).toEqual(missing === 0 ? [0, 2000] : [0, 4096]);
    }
  });

  it('check 4: no file ends without a blank record, whatever is left', async () => {
    for (let missing = 2; missing <= 8; missing += 1) expect(await afterFilling(missing)).toEqual([0, 4096]);
  });

  /** Starts of two records in segments of 4096: 2000 bytes, and 8 - `missing` bytes less than the rest. */
  async function afterFilling(missing: number): Promise<number[]> {
    const directory = emptyDirectory();
    const store = await open(directory, 'default', OWN_SIZES);
    await stored(store, ofSize(2000));
    await stored(store, ofSize(4096 - 2000 - 8 + missing));
    await store.close();
    expect(verifyStore(directory, OWN_SIZES).problems).toEqual([]);
    const log = rawLog(directory);
    const blanks = log.filter(({ kind }) => kind === 'blank');
    expect(blanks).toEqual(missing === 0 ? [] : [{ kind: 'blank', position: 2000, sizeBytes: 2096 }]);
    return log.filter(({ kind }) => kind === 'message').map(({ position }) => position);
  }

  it('check 5, differs from RocketMQ: a record that no file holds is refused before the log is touched', async () => {
    const directory = copyOf('small-recovered');
    const store = await open(directory);
    const before = rawLog(directory);
    const refused = store.append([message({ topic: 'FixTopic', body: Buffer.alloc(20_000) })]);
    expect(refused).toMatchObject({ status: 'MESSAGE_ILLEGAL' });
    const [place] = await stored(store, message({ topic: 'FixTopic' }));
    expect(place).toMatchObject({ commitLogOffset: SMALL.end, queueOffset: 80 });
    expect(rawLog(directory).slice(0, -1)).toEqual(before);
    // To the byte: 8 are left for a blank record.
    const empty = await open(emptyDirectory(), 'default', OWN_SIZES);
    expect(empty.append([ofSize(4096 - 7)])).toMatchObject({ status: 'MESSAGE_ILLEGAL' });
    expect(await stored(empty, ofSize(4096 - 8))).toMatchObject([{ commitLogOffset: 0, queueOffset: 0 }]);
  });

  it('check 6: store times do not decrease; when the clock went back, reading and searching by time go on', async () => {
    const { directory, store } = await ownStore();
    const times = rawRecords(directory).map(({ storeTimestamp }) => storeTimestamp);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    await store.close();
    const clock = new ManualClock();
    const later = await open(directory, 'default', { ...OWN_SIZES, clock });
    const { maxOffset: from } = later.queueRange('Mixed', 0);
    for (let n = 0; n < 30; n += 1) {
      clock.advance(n === 15 ? 3000 : 1);
      await stored(later, message({ topic: 'Mixed', body: `back ${n}`, properties: { KEYS: 'back' } }));
    }
    expect(later.queueRange('Mixed', 0).maxOffset).toBe(from + 30);
    expect(decodeRecord(later.readQueue('Mixed', 0, from, 1, 1).records[0]!).body.toString()).toBe('back 0');
    const first = Math.min(...times);
    for (let time = first - 100; time < clock.now() + 100; time += 7) {
      for (const boundary of ['LOWER', 'UPPER'] as const) {
        const offset = later.offsetByTime('Mixed', 0, time, boundary);
        expect(offset).toBeGreaterThanOrEqual(0);
        expect(offset).toBeLessThanOrEqual(from + 30);
      }
    }
    const read = later.readByKeys({
      keys: [{ topic: 'Mixed', key: 'back' }],
      direction: 'forwards',
      maxCount: 99,
      maxBytes: 1e9,
    });
    expect(read.records).toHaveLength(30);
    await later.close();
    expect(verifyStore(directory, OWN_SIZES).problems).toEqual([]);
  });

  it('check 9: … also across restarts, clean and by kill -9', async () => {
    let directory = copyOf('small-recovered');
    let wanted = 80;
    for (const isClean of [true, false, false, true]) {
      const store = await open(directory);
      for (let count = 0; count < 5; count += 1) {
        const [place] = await stored(store, message({ topic: 'FixTopic', queueId: 1 }));
        expect(place?.queueOffset).toBe(wanted);
        wanted += 1;
      }
      if (!isClean) directory = killed(directory);
      await store.close();
    }
    const offsets = rawRecords(directory).filter(({ queueId }) => queueId === 1);
    expect(offsets.map(({ queueOffset }) => queueOffset)).toEqual(Array.from({ length: wanted }, (_, n) => n));
  });

  it('check 16: __CRC32# holds the CRC-32 of all before it, its digits in reverse', () => {
    const marked = rawRecords(copyOf('crc-ext-bcq'));
    expect(marked.length).toBe(45);
    for (const { bytes, properties, propertiesText } of marked) {
      const crc = crc32(bytes.subarray(0, bytes.length - 20)) & 0x7fffffff;
      const digits = String(crc).split('').reverse().join('').padEnd(10, '0');
      expect(properties.get('__CRC32#')).toBe(digits);
      expect(propertiesText.endsWith(`\u0002__CRC32#\u0001${digits}\u0002`)).toBe(true);
      expect(decodeRecord(bytes).properties['__CRC32#']).toBe(digits);
    }
  });

  it('check 18: items of the properties that are none are ignored, here and after recovery', async () => {
    const directory = emptyDirectory();
    const store = await open(directory, 'default', OWN_SIZES);
    const propertiesText = 'a\u0002b\u0001\u0002\u0001c\u0002\u0002dd\u0002KEYS\u0001good\u0002e\u00015\u0002f\u00016';
    const properties = decodeProperties(propertiesText);
    expect({ ...properties }).toEqual({ KEYS: 'good', e: '5', f: '6' });
    await stored(store, { ...message({}), propertiesText, properties });
    const again = await open(killed(directory), 'default', OWN_SIZES);
    const [bytes] = again.readQueue('Plain', 0, 0, 1, 1).records;
    expect({ ...decodeRecord(bytes!).properties }).toEqual({ KEYS: 'good', e: '5', f: '6' });
    expect(rawRecords(directory)[0]?.propertiesText).toBe(propertiesText);
    expect(found(again, 'Plain', 'good')).toBe(1);
  });

  it('check 18: no text of properties is fatal, and all readers agree on it', () => {
    const piece = fc.constantFrom('\u0001', '\u0002', 'a', 'bc', 'KEYS', '标', ' ');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const text = pieces.join('');
        const wanted = new Map<string, string>();
        for (const item of text.split('\u0002')) {
          const at = item.indexOf('\u0001');
          if (item.length >= 3 && at > 0 && at < item.length - 1) wanted.set(item.slice(0, at), item.slice(at + 1));
        }
        expect({ ...decodeProperties(text) }).toEqual(Object.fromEntries(wanted));
      }),
    );
  });
});

describe('batches', () => {
  it('check 10: three messages are three records, side by side, at one time', async () => {
    const { directory, store } = await ownStore();
    const batch = rawRecords(directory).filter(({ topic }) => topic === 'Batch');
    expect(batch).toHaveLength(45);
    for (let at = 0; at < batch.length; at += 3) {
      const [one, two, three] = batch.slice(at, at + 3);
      expect([one, two, three].map((record) => record?.queueOffset)).toEqual([at, at + 1, at + 2]);
      expect([two?.position, three?.position]).toEqual([
        one!.position + one!.sizeBytes,
        two!.position + two!.sizeBytes,
      ]);
      expect(new Set([one, two, three].map((record) => record?.storeTimestamp)).size).toBe(1);
    }
    await store.close();
    const real = rawRecords(copyOf('default')).filter(({ position }) => position >= 1812 && position <= 2222);
    expect(new Set(real.map(({ storeTimestamp }) => storeTimestamp)).size).toBe(1);
    expect(real).toHaveLength(3);
  });

  it('check 11: a batch that does not fit leaves nothing in the old file', async () => {
    const directory = emptyDirectory();
    const store = await open(directory, 'default', OWN_SIZES);
    await stored(store, ofSize(3000));
    const places = await stored(store, ofSize(500), ofSize(501), ofSize(502));
    expect(places.map((place) => [place.commitLogOffset, place.queueOffset])).toEqual([
      [4096, 1],
      [4596, 2],
      [5097, 3],
    ]);
    expect(rawLog(directory).map(({ kind, position }) => [kind, position])).toEqual([
      ['message', 0],
      ['blank', 3000],
      ['message', 4096],
      ['message', 4596],
      ['message', 5097],
    ]);
    const zeros = fs.readFileSync(path.join(directory, 'commitlog', '0'.repeat(20))).subarray(3008);
    expect(zeros.every((byte) => byte === 0)).toBe(true);
  });

  it('check 12: an inner batch of three is one record and one entry, base 0 size 3; the next has base 3', () => {
    const directory = copyOf('crc-ext-bcq');
    const entries = [...dumpBatchConsumeQueue(directory, 'FixBatchCQ', 0)];
    expect(entries.slice(0, 2)).toMatchObject([
      { baseOffset: 0, batchSize: 3, compactedOffset: -1 },
      { baseOffset: 3 },
    ]);
    const records = rawRecords(directory).filter(({ topic }) => topic === 'FixBatchCQ');
    expect(entries.map((entry) => [entry.commitLogOffset, entry.storeTimestamp])).toEqual(
      records.map((record) => [record.position, record.storeTimestamp]),
    );
    expect(records[0]?.properties.get('INNER_NUM')).toBe('3');
    expect(records[0]!.sysFlag & 0xc0).toBe(0xc0);
  });
});

describe('keys', () => {
  it.each(['small-recovered', 'small-crash'])(
    'check 13: %s finds key3 8 times, key19 8, nokey never, Tag1 53',
    async (name) => {
      const store = await open(copyOf(name), name);
      expect(found(store, 'FixTopic', 'key3')).toBe(8);
      expect(found(store, 'FixTopic', 'key19')).toBe(8);
      expect(found(store, 'FixTopic', 'nokey')).toBe(0);
      expect(found(store, 'FixTopic', 'Tag1', 'T')).toBe(53);
      expect(found(store, 'FixTopic', 'Tag1')).toBe(0);
    },
  );

  it('check 15: a file of 60 has 59 entries, keys of one record may lie in two, and the checkpoint has the end time', async () => {
    const { directory, store } = await ownStore();
    await store.close();
    for (const [who, root] of [
      ['foldlog', directory],
      ['RocketMQ', copyOf('crc-ext-bcq')],
    ] as const) {
      const indexes = rawIndexes(root, 101);
      const full = indexes.slice(0, -1);
      expect(full.length).toBeGreaterThan(1);
      expect(full.map(({ indexCount }) => indexCount)).toEqual(full.map(() => 60));
      expect(dumpCheckpoint(root).indexMsgTimestamp).toBe(full.at(-1)?.endTimestamp);
      const straddles = indexes.slice(1).map((index, at) => index.entries[1]?.position === full[at]?.endPhyOffset);
      if (who === 'foldlog') expect(straddles).toContain(true);
      for (const [at, index] of indexes.entries()) if (at > 0) expect(index.name > indexes[at - 1]!.name).toBe(true);
    }
  });

  it('check 15: all keys are found, in whichever file they lie', async () => {
    const { directory, store } = await ownStore();
    for (const record of dumpCommitLog(directory)) {
      if (record.kind !== 'message' || (record.message.sysFlag & 0xc) === 0xc) continue;
      const { topic, properties } = record.message;
      if (properties.UNIQ_KEY) expect(found(store, topic, properties.UNIQ_KEY)).toBe(1);
      for (const key of properties.KEYS?.split(' ').filter(Boolean) ?? []) {
        expect(found(store, topic, key)).toBeGreaterThan(0);
      }
    }
  });
});

describe('hosts', () => {
  it.each([
    ['10.1.2.3', '10.1.2.4'],
    ['fd00::1', '10.1.2.4'],
    ['10.1.2.3', 'fd00::2'],
    ['fd00::1', 'fd00::2'],
  ])('check 19: born at %s, stored at %s', async (born, at) => {
    const directory = emptyDirectory();
    const storeHost = packHost({ host: at, port: 2 });
    const store = await open(directory, 'default', { ...OWN_SIZES, storeHost });
    await stored(store, { ...message({}), bornHost: packHost({ host: born, port: 1 }) });
    const [record] = rawRecords(directory);
    expect(record?.bornHost).toEqual(packHost({ host: born, port: 1 }));
    expect(record?.storeHost).toEqual(storeHost);
    expect(record!.sysFlag & 0x30).toBe((born.includes(':') ? 0x10 : 0) | (at.includes(':') ? 0x20 : 0));
  });
});

/** A message whose record has exactly this size: 91 bytes and the topic's five are fixed. */
function ofSize(recordBytes: number) {
  return message({ topic: 'Sizes', body: Buffer.alloc(recordBytes - 91 - 5, 'x') });
}
