// Reads of topics in the order of the log against a model: the list of what was appended, filtered. Plain messages lie in
// between, files are small enough to roll many times, pages have any size, and entries on disk are damaged while the store
// is closed.
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeRecords } from '../../src/protocol/messageRecord.js';
import { MessageStore, type ReadTopicsRequest } from '../../src/store/index.js';
import { FaultyFiles } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';
import { message } from '../support/storeMessages.js';

const SIZES = {
  mappedFileSizeCommitLog: 16_384,
  mappedFileSizeConsumeQueue: 400,
  maxHashSlotNum: 101,
  maxIndexNum: 400,
};
const DIRECTORY = '/store';
const opened: MessageStore[] = [];

async function open(files: FaultyFiles, clock = new ManualClock()): Promise<MessageStore> {
  const store = await MessageStore.open({
    directory: DIRECTORY,
    files,
    lockDirectory: async () => ({ release: async () => {} }),
    ...SIZES,
    clock,
    atEndOfTurn: queueMicrotask,
  });
  opened.push(store);
  return store;
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

interface Written {
  topic: string;
  body: string;
  commitLogOffset: number;
  storeTimestamp: number;
}

interface Appended {
  topic: string;
  queueId: number;
  padding: number;
  afterMillis: number;
}

const appended: fc.Arbitrary<Appended> = fc.record({
  topic: fc.constantFrom('A', 'B', 'C', 'Plain', 'Plain'),
  queueId: fc.nat(2),
  padding: fc.constantFrom(0, 0, 0, 300, 2000),
  afterMillis: fc.constantFrom(0, 0, 1, 50),
});

async function write(store: MessageStore, clock: ManualClock, all: readonly Appended[]): Promise<Written[]> {
  const model: Written[] = [];
  for (const [index, { topic, queueId, padding, afterMillis }] of all.entries()) {
    clock.advance(afterMillis);
    const body = `${index}-${'x'.repeat(padding)}`;
    const outcome = store.append([message({ topic, queueId, body })]);
    if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
    const [place] = outcome.places;
    model.push({ topic, body, commitLogOffset: place!.commitLogOffset, storeTimestamp: place!.storeTimestamp });
    if (index % 7 === 0) await outcome.turn.visible;
  }
  await store.syncLog();
  return model;
}

/** Page after page, as a client reads. */
function readAll(store: MessageStore, request: ReadTopicsRequest): string[] {
  const bodies: string[] = [];
  let { from, until, fromTime, untilTime, ...rest } = request;
  for (let pages = 0; ; pages += 1) {
    if (pages > 5000) throw new Error('the pages do not end');
    const bounds = {
      ...(from !== undefined && { from }),
      ...(until !== undefined && { until }),
      ...(fromTime !== undefined && { fromTime }),
      ...(untilTime !== undefined && { untilTime }),
    };
    const page = store.readTopics({ ...rest, ...bounds });
    if (!page) continue;
    const records = page.records.flatMap((piece) => decodeRecords(piece));
    expect(records).toHaveLength(page.count);
    expect(page.count).toBeLessThanOrEqual(Math.max(1, rest.maxCount));
    bodies.push(...records.map(({ body }) => body.toString()));
    if (page.next === undefined) return bodies;
    if (rest.direction === 'forwards') {
      from = page.next;
      until ??= page.end.commitLogOffset;
      until = Math.min(until, page.end.commitLogOffset);
      fromTime = undefined;
    } else until = page.next;
  }
}

function expected(model: readonly Written[], request: ReadTopicsRequest): string[] {
  const { from = 0, until = Infinity, fromTime = -Infinity, untilTime = Infinity } = request;
  const found = model.filter(
    ({ topic, commitLogOffset: at, storeTimestamp: time }) =>
      request.topics.includes(topic) && at >= from && at < until && time >= fromTime && time <= untilTime,
  );
  const bodies = found.map(({ body }) => body);
  return request.direction === 'forwards' ? bodies : bodies.reverse();
}

/** A request whose bounds lie at, next to and between the records of the model. */
function requestFor(model: readonly Written[]): fc.Arbitrary<ReadTopicsRequest> {
  const end = model.at(-1)?.commitLogOffset ?? 0;
  const positions = [0, end, end + 1, 2 ** 40, ...model.flatMap(({ commitLogOffset: at }) => [at, at + 1])];
  const times = model.flatMap(({ storeTimestamp: time }) => [time - 1, time, time + 1]);
  const optional = (values: readonly number[]) => fc.option(fc.constantFrom(...values), { nil: undefined, freq: 2 });
  return fc
    .record({
      topics: fc.subarray(['A', 'B', 'C', 'Absent'], { minLength: 1 }),
      from: optional(positions),
      until: optional(positions),
      fromTime: optional([0, ...times]),
      untilTime: optional([0, ...times]),
      direction: fc.constantFrom('forwards' as const, 'backwards' as const),
      maxCount: fc.constantFrom(1, 2, 3, 10, 1000),
      maxBytes: fc.constantFrom(1, 500, 5000, 1 << 20),
    })
    .map((request) => Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)) as never);
}

describe('a read of topics', () => {
  it('gives what the model has, in the order of the log, whatever the bounds and the page', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(appended, { minLength: 1, maxLength: 160 }), fc.nat(2 ** 31), async (all, seed) => {
        const clock = new ManualClock();
        const files = new FaultyFiles();
        const store = await open(files, clock);
        const model = await write(store, clock, all);
        const requests = fc.sample(requestFor(model), { seed, numRuns: 30 });
        for (const request of requests) expect(readAll(store, request)).toEqual(expected(model, request));
        await store.close();
        const again = await open(files, clock);
        for (const request of requests.slice(0, 5)) expect(readAll(again, request)).toEqual(expected(model, request));
        await again.close();
      }),
      { numRuns: 25, endOnFailure: true },
    );
  });

  it('gives the same where entries on disk are damaged, and sets them right', async () => {
    const damage = fc.record({
      entry: fc.nat(10_000),
      queue: fc.nat(10_000),
      bytes: fc.oneof(
        fc.constant(Buffer.alloc(20)),
        fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
        // The entry of another place of the same queue: it can be true by itself.
        fc.nat(10_000),
      ),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(appended, { minLength: 60, maxLength: 160 }),
        fc.array(damage, { minLength: 1, maxLength: 4 }),
        fc.nat(2 ** 31),
        async (all, damages, seed) => {
          const clock = new ManualClock();
          const files = new FaultyFiles();
          const store = await open(files, clock);
          const model = await write(store, clock, all);
          await store.close();
          for (const { entry, queue, bytes } of damages) damageEntry(files, queue, entry, bytes);
          const [request] = fc.sample(requestFor(model), { seed, numRuns: 1 });
          const again = await open(files, clock);
          expect(readAll(again, request!)).toEqual(expected(model, request!));
          await again.close();
        },
      ),
      { numRuns: 150, endOnFailure: true },
    );
  });

  it('leaves nothing to a page that comes too late, where an entry points too far ahead', async () => {
    const all = Array.from({ length: 24 }, (_, at) => ({ topic: 'A', queueId: at % 2, padding: 0, afterMillis: 0 }));
    for (const maxCount of [1, 2, 3, 5]) {
      const files = new FaultyFiles();
      const clock = new ManualClock();
      const store = await open(files, clock);
      const model = await write(store, clock, all);
      await store.close();
      // The second entry of the first queue says what the sixth one says: true by itself, and in order up to there.
      damageEntry(files, 0, 1, 5);
      const again = await open(files, clock);
      const request = { topics: ['A'], direction: 'forwards', maxCount, maxBytes: 1 << 20 } as const;
      expect(readAll(again, request)).toEqual(expected(model, request));
      await again.close();
    }
  });

  it('stops at the visible end, and goes on from there without a gap or a repeat', async () => {
    const store = await open(new FaultyFiles());
    let from = 0;
    const seen: string[] = [];
    for (let turn = 0; turn < 50; turn += 1) {
      let visible: Promise<unknown> = Promise.resolve();
      for (let index = 0; index <= turn % 4; index += 1) {
        const topic = index % 2 === 0 ? 'A' : 'Plain';
        const outcome = store.append([message({ topic, queueId: turn % 3, body: `${turn}-${index}` })]);
        if (outcome.status === 'PUT_OK') visible = outcome.turn.visible;
      }
      for (const moment of ['before', 'after']) {
        const page = store.readTopics({ topics: ['A'], from, direction: 'forwards', maxCount: 100, maxBytes: 1 << 20 });
        if (moment === 'before') expect(page).toMatchObject({ count: 0, next: undefined });
        seen.push(...page!.records.flatMap((piece) => decodeRecords(piece)).map(({ body }) => body.toString()));
        from = page!.end.commitLogOffset;
        await visible;
      }
    }
    const wanted = Array.from({ length: 50 }, (_, turn) =>
      turn % 4 >= 2 ? [`${turn}-0`, `${turn}-2`] : [`${turn}-0`],
    );
    expect(seen).toEqual(wanted.flat());
  });

  it('forgets a deleted topic, and begins anew with one of the same name', async () => {
    const store = await open(new FaultyFiles());
    const append = async (body: string) => {
      const outcome = store.append([message({ topic: 'A', body })]);
      if (outcome.status === 'PUT_OK') await outcome.turn.visible;
    };
    const request = { topics: ['A'], direction: 'forwards', maxCount: 10, maxBytes: 1 << 20 } as const;
    await append('one');
    expect(readAll(store, request)).toEqual(['one']);
    store.deleteTopic('A');
    expect(readAll(store, request)).toEqual([]);
    await append('two');
    expect(readAll(store, request)).toEqual(['two']);
    expect(readAll(store, { ...request, direction: 'backwards' })).toEqual(['two']);
  });
});

/** Overwrites an entry of one of the queues; a number takes the bytes of that other entry of the file. */
function damageEntry(disk: FaultyFiles, queue: number, entry: number, bytes: Buffer | number): void {
  const names = [...disk.contents().keys()].filter((name) => /consumequeue\/[ABC]\//.test(name)).sort();
  const name = names[queue % Math.max(1, names.length)];
  if (name === undefined) return;
  const all = Buffer.from(disk.readFile(name));
  let count = 0;
  while (count < all.length / 20 && all.readInt32BE(count * 20 + 8) > 0) count += 1;
  if (count === 0) return;
  const other = typeof bytes === 'number' ? (bytes % count) * 20 : 0;
  const put = typeof bytes === 'number' ? Buffer.from(all.subarray(other, other + 20)) : bytes;
  put.copy(all, (entry % count) * 20);
  disk.writeFile(name, all);
}
