// Guarded appends against a model of thirty lines: random appends with expected versions, conditions and repeated ids,
// over keys whose Java hashes collide and index files that hold 19 entries, so that chains, roll-over and collisions are
// met all the time. FUZZ_RUNS.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { javaHash } from '../../src/protocol/javaHash.js';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import type { EventToStore, ExpectedVersion, GuardedAppend, LogPosition, TopicKey } from '../../src/store/index.js';
import { MessageStore, type MessageStoreOptions } from '../../src/store/index.js';
import { FaultyFiles } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';
import { event, message } from '../support/storeMessages.js';

const RUNS = Number(process.env.FUZZ_RUNS ?? 200);

async function memoryStore(files = new FaultyFiles(), more: Partial<MessageStoreOptions> = {}): Promise<MessageStore> {
  return await MessageStore.open({
    directory: '/data/store',
    files,
    clock: new ManualClock(),
    lockDirectory: async () => ({ release: async () => {} }),
    mappedFileSizeCommitLog: 8192,
    mappedFileSizeConsumeQueue: 400,
    maxHashSlotNum: 5,
    maxIndexNum: 20,
    ...more,
  });
}

const KEYS = ['Aa', 'BB', 'AaAa', 'BBBB', 'AaBB', 'lone'];
const TOPICS = ['Events', 'Other'];

interface ModelRecord {
  topic: string;
  keys: readonly string[];
  version: number;
  appendId: string;
  /** Number of the append, and of the event in it. */
  group: number;
  index: number;
  at: number;
}

/** What the store promises, by looking at everything. */
class Model {
  readonly log: ModelRecord[] = [];

  version(topic: string, stream: string): number {
    return this.log.filter((one) => one.topic === topic && one.keys[0] === stream).length;
  }

  /** An id is looked up in the topics of its events, under the first event's name. */
  original(append: GuardedAppend): ModelRecord[] {
    for (const topic of new Set(append.events.map((one) => one.topic))) {
      const first = this.log.findLast(
        (one) => one.appendId === append.appendId && one.index === 0 && one.topic === topic,
      );
      if (first) return this.log.filter((one) => one.group === first.group);
    }
    return [];
  }

  outcome(append: GuardedAppend): string {
    if (this.original(append).length > 0) return 'ALREADY_APPENDED';
    for (const { topic, stream, expected } of append.expectedVersions) {
      const actual = this.version(topic, stream);
      const isMet =
        expected === 'ANY' ||
        (expected === 'NO_STREAM' ? actual === 0 : expected === 'STREAM_EXISTS' ? actual > 0 : actual === expected);
      if (!isMet) return `VERSION_CONFLICT ${actual}`;
    }
    const { keys = [], end } = append.condition ?? {};
    const carries = (one: ModelRecord) =>
      keys.some(({ topic, key }) => topic === one.topic && one.keys.includes(key)) && one.at >= end!.commitLogOffset;
    return this.log.some(carries) ? 'CONDITION_CONFLICT' : 'APPENDED';
  }

  append(append: GuardedAppend, places: readonly { commitLogOffset: number }[]): number[] {
    return append.events.map(({ topic, keys }, index) => {
      const version = this.version(topic, keys[0]) + 1;
      const at = places[index]!.commitLogOffset;
      this.log.push({ topic, keys, version, appendId: append.appendId, group: places[0]!.commitLogOffset, index, at });
      return version;
    });
  }
}

const key = fc.constantFrom(...KEYS);
const topic = fc.constantFrom(...TOPICS);
const expected: fc.Arbitrary<ExpectedVersion | 'RIGHT'> = fc.oneof(
  { weight: 5, arbitrary: fc.constant('RIGHT' as const) },
  { weight: 1, arbitrary: fc.constantFrom<ExpectedVersion>('ANY', 'NO_STREAM', 'STREAM_EXISTS', 0, 1, 2) },
);

const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      appendId: fc.integer({ min: 0, max: 30 }),
      events: fc.array(fc.record({ topic, keys: fc.uniqueArray(key, { minLength: 1, maxLength: 3 }) }), {
        minLength: 1,
        maxLength: 4,
      }),
      expected: fc.option(expected),
      condition: fc.option(fc.record({ keys: fc.array(fc.record({ topic, key }), { maxLength: 3 }), back: fc.nat(6) })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('plain' as const),
      topic,
      keys: fc.array(key, { maxLength: 3 }),
      // So many of one hash that the store keeps what it has learnt about it.
      copies: fc.constantFrom(1, 40),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
);

describe('a guarded append', () => {
  it('does what the model says, whatever collides and wherever index files end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const files = new FaultyFiles();
        let store = await memoryStore(files);
        const model = new Model();
        const plain: { topic: string; keys: string[]; at: number }[] = [];
        const ends: LogPosition[] = [{ commitLogOffset: 0, generation: 1 }];
        const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
        for (const one of steps) {
          if (one.kind === 'turn') {
            await turn();
            ends.push(store.visibleEnd());
          } else if (one.kind === 'reopen') {
            await store.close();
            store = await memoryStore(files);
          } else if (one.kind === 'plain') {
            const keys = one.keys.join(' ');
            const copy = message({ topic: one.topic, properties: keys === '' ? {} : { KEYS: keys } });
            for (let n = 0; n < one.copies; n += 1) {
              const outcome = store.append([copy]);
              if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
              plain.push({ topic: one.topic, keys: one.keys, at: outcome.places[0]!.commitLogOffset });
            }
          } else {
            const end = ends.at(-1 - Math.min(one.condition?.back ?? 0, ends.length - 1))!;
            const events = one.events.map((fields) => event(fields.keys, 'body', fields.topic));
            const first = events[0]!;
            const right = model.version(first.topic, first.keys[0]);
            const append: GuardedAppend = {
              appendId: `id${one.appendId}`,
              events,
              expectedVersions:
                one.expected === null
                  ? []
                  : [
                      {
                        topic: first.topic,
                        stream: first.keys[0],
                        expected: one.expected === 'RIGHT' ? right : one.expected,
                      },
                    ],
              ...(one.condition && { condition: { keys: one.condition.keys, end } }),
            };
            let wanted = model.outcome(append);
            const hitsPlain = ({ topic: inTopic, key: wantedKey }: TopicKey) =>
              plain.some(
                (other) => other.topic === inTopic && other.keys.includes(wantedKey) && other.at >= end.commitLogOffset,
              );
            if (wanted === 'APPENDED' && one.condition?.keys.some(hitsPlain)) wanted = 'CONDITION_CONFLICT';
            const outcome = store.appendGuarded(append);
            const found = outcome.status === 'VERSION_CONFLICT' ? `VERSION_CONFLICT ${outcome.actual}` : outcome.status;
            expect(found).toBe(wanted);
            if (outcome.status === 'APPENDED') {
              expect(outcome.places.map((place) => place.version)).toEqual(model.append(append, outcome.places));
            } else if (outcome.status === 'ALREADY_APPENDED') {
              expect(outcome.places.map(({ commitLogOffset, version }) => [commitLogOffset, version])).toEqual(
                model.original(append).map(({ at, version }) => [at, version]),
              );
            }
          }
        }
        await turn();
        for (const wantedTopic of TOPICS) {
          for (const wantedKey of KEYS) {
            const wanted = [...model.log, ...plain]
              .filter((other) => other.topic === wantedTopic && other.keys.includes(wantedKey))
              .map((other) => other.at)
              .sort((a, b) => a - b);
            expect(positions(store, [{ topic: wantedTopic, key: wantedKey }], 'forwards', 3)).toEqual(wanted);
            expect(positions(store, [{ topic: wantedTopic, key: wantedKey }], 'backwards', 2)).toEqual(
              wanted.reverse(),
            );
          }
        }
        const all = [...model.log, ...plain].filter((other) => other.topic === 'Events' && other.keys.length > 0);
        const everyKey = KEYS.map((wantedKey) => ({ topic: 'Events', key: wantedKey }));
        expect(positions(store, everyKey, 'forwards', 5)).toEqual(all.map((other) => other.at).sort((a, b) => a - b));
        await store.close();
      }),
      { numRuns: RUNS },
    );
  });

  const stream = 'order:1';
  const once = (appendId: string, more: Partial<GuardedAppend> = {}): GuardedAppend => ({
    appendId,
    events: [event([stream])],
    expectedVersions: [],
    ...more,
  });

  it('gives events what they need to be found, versioned and told apart', async () => {
    const store = await memoryStore();
    const outcome = store.appendGuarded(once('a1', { events: [event([stream, 'customer:7']), event([stream])] }));
    if (outcome.status !== 'APPENDED') throw new Error(outcome.status);
    expect(await outcome.turn.visible).toBe('VISIBLE');
    const { records, end } = store.readByKeys({
      keys: [{ topic: 'Events', key: stream }],
      direction: 'forwards',
      maxCount: 10,
      maxBytes: 1e6,
    });
    expect(end).toEqual(store.visibleEnd());
    expect(records.map((bytes) => decodeRecord(bytes).properties)).toEqual([
      {
        TAGS: 'Happened',
        KEYS: 'order:1 customer:7',
        UNIQ_KEY: 'a1-0',
        FL_VERSION: '1',
        FL_APPEND: 'a1',
        FL_INDEX: '0/2',
      },
      { TAGS: 'Happened', KEYS: 'order:1', UNIQ_KEY: 'a1-1', FL_VERSION: '2', FL_APPEND: 'a1', FL_INDEX: '1/2' },
    ]);
    expect(store.queryByKey('Events', 'Happened', 64, 0, Number.MAX_SAFE_INTEGER, 'T')).toEqual([]);
    await store.close();
  });

  it('an answer that rests on a record is covered by the turn of that record', async () => {
    const ends: (() => void)[] = [];
    const store = await memoryStore(new FaultyFiles(), { atEndOfTurn: (action) => void ends.push(action) });
    const first = store.appendGuarded(once('a1'));
    if (first.status !== 'APPENDED') throw new Error(first.status);
    const repeated = store.appendGuarded(once('a1'));
    const conflict = store.appendGuarded(
      once('a2', { expectedVersions: [{ topic: 'Events', stream, expected: 'NO_STREAM' }] }),
    );
    const condition = { keys: [{ topic: 'Events', key: stream }], end: store.visibleEnd() };
    const changed = store.appendGuarded(once('a3', { condition }));
    for (const outcome of [repeated, conflict, changed]) {
      if (!('turn' in outcome)) throw new Error(outcome.status);
      expect(outcome.turn).toBe(first.turn);
    }
    expect([repeated.status, conflict.status, changed.status]).toEqual([
      'ALREADY_APPENDED',
      'VERSION_CONFLICT',
      'CONDITION_CONFLICT',
    ]);
    ends[0]!();
    expect(await first.turn.visible).toBe('VISIBLE');
    const later = store.appendGuarded(once('a1'));
    expect('turn' in later && (await later.turn.visible)).toBe('VISIBLE');
    await store.close();
  });

  it('a token of an older generation counts only up to where a later one began', async () => {
    const files = new FaultyFiles();
    const store = await memoryStore(files);
    const before = store.visibleEnd();
    const first = store.appendGuarded(once('a1'));
    if (first.status !== 'APPENDED') throw new Error(first.status);
    await first.turn.visible;
    const seen = store.visibleEnd();
    const again = await memoryStore(files.kill());
    expect(again.visibleEnd()).toEqual({ commitLogOffset: seen.commitLogOffset, generation: 2 });
    const keys = [{ topic: 'Events', key: 'other' }];
    const beyond = { commitLogOffset: seen.commitLogOffset + 1, generation: 1 };
    const conflict = again.appendGuarded(once('b1', { condition: { keys, end: beyond } }));
    expect(conflict).toMatchObject({ status: 'CONDITION_CONFLICT', key: 'other' });
    expect(again.appendGuarded(once('b2', { condition: { keys, end: seen } })).status).toBe('APPENDED');
    // An id whose `since` is void is looked up in the whole log.
    expect(again.appendGuarded(once('a1', { appendIdSince: beyond })).status).toBe('ALREADY_APPENDED');
    expect(again.appendGuarded(once('a1', { appendIdSince: before })).status).toBe('ALREADY_APPENDED');
    await again.close();
  });

  it.each<[string, Partial<GuardedAppend>]>([
    ['no event', { events: [] }],
    ['an event without a key', { events: [{ ...event(['k']), keys: [] as unknown as [string] }] }],
    ['a key with a blank', { events: [event(['a b'])] }],
    ['an empty key', { events: [event(['a', ''])] }],
    ['an append id with a blank', { appendId: 'a b' }],
    ['an empty append id', { appendId: '' }],
    ['a property with a separator', { events: [{ ...event(['a']), properties: { x: 'a\u0001b' } }] }],
    ['more than a segment holds', { events: Array.from({ length: 5 }, () => event(['a'], 'x'.repeat(2000))) }],
  ])('refuses %s, and nothing has happened', async (_, bad) => {
    const store = await memoryStore();
    expect(store.appendGuarded(once('a1', bad)).status).toBe('MESSAGE_ILLEGAL');
    const good = store.appendGuarded(
      once('a1', { expectedVersions: [{ topic: 'Events', stream, expected: 'NO_STREAM' }] }),
    );
    expect(good).toMatchObject({ status: 'APPENDED', places: [{ commitLogOffset: 0, version: 1 }] });
    await store.close();
  });

  it('passes when only another key of the same hash has something new, however much', async () => {
    const store = await memoryStore();
    const append = (text: string, appendId: string, end?: LogPosition) => {
      const condition = end && { keys: [{ topic: 'Events', key: text }], end };
      const outcome = store.appendGuarded({
        appendId,
        events: [event([text])],
        expectedVersions: [],
        ...(condition && { condition }),
      });
      if ('turn' in outcome) return outcome.turn.visible.then(() => outcome.status);
      return Promise.resolve(outcome.status);
    };
    await append('Aa', 'first');
    const old = store.visibleEnd();
    for (let n = 0; n < 40; n += 1) await append('BB', `crowd${n}`);
    expect(await append('Aa', 'second', old)).toBe('APPENDED');
    const end = store.visibleEnd();
    expect(await append('Aa', 'third', end)).toBe('APPENDED');
    expect(await append('Aa', 'fourth', end)).toBe('CONDITION_CONFLICT');
    expect(await append('BB', 'fifth', store.visibleEnd())).toBe('APPENDED');
    await store.close();
  });

  it('ten thousand keys of one hash cost less than a millisecond per append after the first', async () => {
    const store = await memoryStore(new FaultyFiles(), {
      mappedFileSizeCommitLog: 1 << 26,
      mappedFileSizeConsumeQueue: 20 * 20_000,
      maxHashSlotNum: 1000,
      maxIndexNum: 100_000,
    });
    const colliding: string[] = [];
    for (let index = 0; index < 10_000; index += 1) {
      let text = '';
      for (let bit = 0; bit < 14; bit += 1) text += index & (1 << bit) ? 'Aa' : 'BB';
      colliding.push(text);
    }
    expect(new Set(colliding.map(javaHash)).size).toBe(1);
    for (let index = 0; index < colliding.length; index += 50) {
      const events: EventToStore[] = colliding.slice(index, index + 50).map((text) => event([text], ''));
      expect(store.appendGuarded({ appendId: `fill${index}`, events, expectedVersions: [] }).status).toBe('APPENDED');
    }
    const end = store.visibleEnd();
    const times: number[] = [];
    for (const [index, text] of colliding.slice(0, 100).entries()) {
      const begun = performance.now();
      const outcome = store.appendGuarded({
        appendId: `one${index}`,
        events: [event([text], '')],
        expectedVersions: [{ topic: 'Events', stream: text, expected: 1 }],
        condition: { keys: [{ topic: 'Events', key: `${text}none` }], end },
      });
      times.push(performance.now() - begun);
      expect(outcome.status).toBe('APPENDED');
    }
    times.sort((a, b) => a - b);
    expect(times[50]).toBeLessThan(1);
    await store.close();
  });
});

/** All positions under the keys, read in pages of so many records. */
function positions(
  store: MessageStore,
  keys: readonly TopicKey[],
  direction: 'forwards' | 'backwards',
  maxCount: number,
): number[] {
  const found: number[] = [];
  let next: number | undefined;
  do {
    const page = store.readByKeys({
      keys,
      direction,
      maxCount,
      maxBytes: 1e6,
      ...(next !== undefined && (direction === 'forwards' ? { from: next } : { until: next })),
    });
    found.push(...page.records.map((bytes) => decodeRecord(bytes).commitLogOffset));
    next = page.next;
  } while (next !== undefined);
  return found;
}
