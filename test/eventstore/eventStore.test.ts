import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type EventStore,
  type ExpectedVersion,
  ExpectedVersionError,
  event,
  OptionsError,
  type RecordedEvent,
} from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { OrderNoted, OrderPlaced } from '../support/orders.js';

let app: TestApp;
let store: EventStore;
let streams = 0;

beforeAll(async () => {
  app = await TestApp.start({ handlers: [], events: [OrderPlaced, OrderNoted] });
  store = app.eventStore;
});
afterAll(() => app.stop());

/** A stream that no other test uses. */
const fresh = () => ({ topic: 'orders', stream: `order:${++streams}` });
const note = (text: string) => event(OrderNoted, { note: text });
const notes = (...texts: string[]) => texts.map(note);

async function textsOf(events: AsyncIterable<RecordedEvent>): Promise<string[]> {
  const texts: string[] = [];
  for await (const { event: read } of events) texts.push((read as OrderNoted).note);
  return texts;
}

describe('append to a stream', () => {
  it('numbers events from 1 and reads them back in order', async () => {
    const stream = fresh();
    const first = await store.append(stream, notes('a', 'b'));
    const second = await store.append(stream, notes('c'));
    expect([first.version, second.version]).toEqual([2, 3]);
    expect(second.alreadyAppended).toBe(false);
    expect(second.position.commitLogOffset).toBeGreaterThan(first.position.commitLogOffset);
    const read: RecordedEvent[] = [];
    for await (const recorded of store.readStream(stream)) read.push(recorded);
    expect(read.map(({ version }) => version)).toEqual([1, 2, 3]);
    expect(read.map(({ eventId }) => eventId)).toEqual([...first.eventIds, ...second.eventIds]);
    expect(read[2]).toMatchObject({ ...stream, position: second.position, event: note('c') });
  });

  it('keeps metadata and further keys', async () => {
    const stream = fresh();
    const occurredAt = new Date('2016-04-01T00:00:00Z');
    const given = {
      event: note('a'),
      keys: ['customer:c 1'],
      occurredAt,
      actor: 'ada',
      correlationId: 'r',
      causationId: 'q',
    };
    await store.append(stream, [given]);
    const { value } = await store.readStream(stream).next();
    expect(value).toMatchObject({
      occurredAt,
      actor: 'ada',
      correlationId: 'r',
      causationId: 'q',
      keys: [stream.stream, 'customer:c 1'],
    });
  });

  const EXPECTATIONS: [stored: number, expected: ExpectedVersion, passes: boolean][] = [
    [0, 'ANY', true],
    [0, 'NO_STREAM', true],
    [0, 'STREAM_EXISTS', false],
    [0, 0, true],
    [0, 1, false],
    [2, 'ANY', true],
    [2, 'NO_STREAM', false],
    [2, 'STREAM_EXISTS', true],
    [2, 2, true],
    [2, 1, false],
    [2, 3, false],
  ];
  it.each(EXPECTATIONS)('with %i events stored, expecting %s: passes %s', async (stored, expectedVersion, passes) => {
    const stream = fresh();
    if (stored > 0) await store.append(stream, notes(...Array.from({ length: stored }, String)));
    const append = store.append(stream, notes('next'), { expectedVersion });
    if (passes) expect((await append).version).toBe(stored + 1);
    else {
      const error = await append.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ExpectedVersionError);
      expect(error).toMatchObject({
        stream: stream.stream,
        expected: expectedVersion,
        actual: stored,
        retriable: true,
      });
      expect(await textsOf(store.readStream(stream))).toHaveLength(stored);
    }
  });

  it('lets exactly one of many concurrent appends with one expected version pass', async () => {
    const stream = fresh();
    const appends = Array.from({ length: 20 }, (_, index) =>
      store.append(stream, notes(String(index)), { expectedVersion: 'NO_STREAM' }),
    );
    const results = await Promise.allSettled(appends);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await textsOf(store.readStream(stream))).toHaveLength(1);
  });

  it('stores an append id once, and answers a repeat with the first places', async () => {
    const stream = fresh();
    const appendId = `import-${stream.stream}`;
    const first = await store.append(stream, notes('a', 'b'), { appendId, expectedVersion: 'NO_STREAM' });
    const again = await store.append(stream, notes('a', 'b'), { appendId, expectedVersion: 'NO_STREAM' });
    expect(again).toEqual({ ...first, alreadyAppended: true });
    expect(await textsOf(store.readStream(stream))).toEqual(['a', 'b']);
  });

  it('finds an append by its id, and stores nothing by asking', async () => {
    const stream = fresh();
    expect(await store.findAppend(stream, 'nobody')).toBeUndefined();
    const { position } = await store.append(stream, notes('a'), { appendId: `find-${stream.stream}` });
    expect(await store.findAppend(stream, `find-${stream.stream}`)).toMatchObject({ position, versions: [1] });
    expect(await textsOf(store.readStream(stream))).toEqual(['a']);
  });

  it('takes stream names with blanks, percent signs and separators', async () => {
    for (const stream of ['a b', 'a%20b', 'a%', ' ', 'x#y', 'ä€😀']) {
      await store.append({ topic: 'orders', stream }, notes(stream));
    }
    for (const stream of ['a b', 'a%20b', 'a%', ' ', 'x#y', 'ä€😀']) {
      expect(await textsOf(store.readStream({ topic: 'orders', stream }))).toEqual([stream]);
    }
  });

  it('refuses what makes no sense', async () => {
    const stream = fresh();
    await expect(store.append(stream, [])).rejects.toThrow(/1 to 1000 events, not 0/);
    await expect(store.append(stream, [{ note: 'x' }])).rejects.toThrow(OptionsError);
    await expect(store.append(stream, notes('a'), { appendId: 'a b' })).rejects.toThrow(/append id/);
    await expect(store.append(stream, undefined as never)).rejects.toThrow(OptionsError);
    await expect(store.append({ topic: 'no topic', stream: 's' }, notes('a'))).rejects.toThrow(OptionsError);
    await expect(store.append({ topic: 'orders', stream: '' }, notes('a'))).rejects.toThrow(OptionsError);
  });
});

describe('readStream', () => {
  const stream = { topic: 'orders', stream: 'order:read' };
  beforeAll(async () => {
    for (let at = 1; at <= 5; at += 1) await store.append(stream, notes(String(at)));
  });

  it.each([
    [{}, '1 2 3 4 5'],
    [{ fromVersion: 3 }, '3 4 5'],
    [{ toVersion: 2 }, '1 2'],
    [{ fromVersion: 2, toVersion: 4, direction: 'backwards' }, '4 3 2'],
    [{ direction: 'backwards' }, '5 4 3 2 1'],
    [{ fromVersion: 6 }, ''],
    [{ until: new Date(0) }, ''],
  ] as const)('%j gives %s', async (options, expected) => {
    expect((await textsOf(store.readStream(stream, options))).join(' ')).toBe(expected);
  });

  it('reads up to a moment', async () => {
    const other = fresh();
    const { storedAt } = await store.append(other, notes('before'));
    while (Date.now() <= storedAt) await new Promise((resolve) => setImmediate(resolve));
    await store.append(other, notes('after'));
    expect(await textsOf(store.readStream(other, { until: new Date(storedAt) }))).toEqual(['before']);
  });

  it('of nothing gives nothing, and makes no topic', async () => {
    expect(await textsOf(store.readStream(fresh()))).toEqual([]);
    expect(await textsOf(store.readStream({ topic: 'nowhere', stream: 's' }))).toEqual([]);
    expect(await textsOf(store.readStream({ topic: 'nowhere', stream: 's' }))).toEqual([]);
  });

  it('leaves out events that carry the stream as a further key only', async () => {
    const [mine, other] = [fresh(), fresh()];
    await store.append(mine, notes('mine'));
    await store.append(other, [{ event: note('other'), keys: [mine.stream] }]);
    expect(await textsOf(store.readStream(mine))).toEqual(['mine']);
    expect((await store.append(mine, notes('second'), { expectedVersion: 1 })).version).toBe(2);
  });

  it('reads more than a page', async () => {
    const long = fresh();
    for (let at = 0; at < 3; at += 1) {
      await store.append(long, notes(...Array.from({ length: 400 }, (_, index) => String(at * 400 + index))));
    }
    const forwards = await textsOf(store.readStream(long));
    expect(forwards).toEqual(Array.from({ length: 1200 }, (_, index) => String(index)));
    expect(await textsOf(store.readStream(long, { direction: 'backwards' }))).toEqual(forwards.reverse());
  });
});

describe('append under a condition', () => {
  const key = (name: string) => ({ topic: 'orders', key: name });

  it('reads by any key, in the order of the log, and passes while nothing is new', async () => {
    const [one, two] = [fresh(), fresh()];
    await store.append(one, [{ event: note('a'), keys: ['seat:1'] }]);
    await store.append(two, [{ event: note('b'), keys: ['seat:1', 'seat:2'] }]);
    const { events, condition } = await store.readKeys([key('seat:1'), key('seat:2')]);
    expect(events.map(({ event: read }) => (read as OrderNoted).note)).toEqual(['a', 'b']);
    const result = await store.append(
      [
        { ...one, event: note('c'), keys: ['seat:2'] },
        { ...two, event: note('d') },
        { ...one, event: note('e') },
      ],
      { condition },
    );
    expect(result.versions).toEqual([2, 2, 3]);
    expect(result.eventIds).toHaveLength(3);
    await expect(store.append([{ ...one, event: note('f') }], { condition })).rejects.toMatchObject({
      code: 'CONDITION_FAILED',
      retriable: true,
    });
  });

  it('lets exactly one of many with the same condition pass', async () => {
    const { condition } = await store.readKeys([key('seat:last')]);
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, () =>
        store.append([{ ...fresh(), event: note('mine'), keys: ['seat:last'] }], { condition }),
      ),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await store.readKeys([key('seat:last')])).events).toHaveLength(1);
  });

  it('stores all or nothing over several streams', async () => {
    const [one, two] = [fresh(), fresh()];
    await store.append(two, notes('there'));
    const append = store.append(
      [
        { ...one, event: note('a') },
        { ...two, event: note('b') },
      ],
      { expectedVersions: [{ ...two, expected: 'NO_STREAM' }] },
    );
    await expect(append).rejects.toMatchObject({ stream: two.stream, actual: 1 });
    expect(await textsOf(store.readStream(one))).toEqual([]);
  });

  it('refuses what makes no sense', async () => {
    await expect(store.readKeys([])).rejects.toThrow(OptionsError);
    await expect(store.append([{ event: note('a') } as never])).rejects.toThrow(/topic, stream, event/);
  });
});

describe('event topics', () => {
  it('refuse plain messages', async () => {
    await store.append(fresh(), notes('a'));
    await expect(app.producer.send({ topic: 'orders', body: 'x' })).rejects.toMatchObject({ responseCode: 16 });
  });

  it('cannot be made of a topic that holds plain messages', async () => {
    await app.producer.send({ topic: 'plain', body: 'x' });
    await expect(store.append({ topic: 'plain', stream: 's' }, notes('a'))).rejects.toThrow(
      /topic plain cannot become an event topic: .*messages/,
    );
  });
});
