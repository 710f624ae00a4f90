/**
 * Reads in the order of the log against a model: what was appended, filtered. Several topics and streams, plain messages
 * in between, each kind of bound, both directions.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Event,
  type EventPosition,
  type EventStore,
  event,
  OptionsError,
  RawEvent,
  type ReadOptions,
  type RecordedEvent,
} from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { ManualClock } from '../support/manualClock.js';
import { OrderNoted, OrderPlaced } from '../support/orders.js';

@Event({ type: 'OnlyTheWriterKnows' })
class Foreign {
  text = '';
}

let app: TestApp;
let store: EventStore;

beforeAll(async () => {
  app = await TestApp.start({ handlers: [], events: [OrderPlaced, OrderNoted] });
  store = app.eventStore;
});
afterAll(() => app.stop());

const note = (text: string) => event(OrderNoted, { note: text });
const textOf = ({ event: read }: RecordedEvent) => (read as OrderNoted).note;

async function listOf(events: AsyncIterable<RecordedEvent>): Promise<RecordedEvent[]> {
  const list: RecordedEvent[] = [];
  for await (const recorded of events) list.push(recorded);
  return list;
}
const textsOf = async (events: AsyncIterable<RecordedEvent>) => (await listOf(events)).map(textOf);

interface Written {
  topic: string;
  stream: string;
  keys: readonly string[];
  text: string;
  position: EventPosition;
  storedAt: number;
  version: number;
}

const TOPICS = ['readA', 'readB', 'readC'];

describe('reads in log order', () => {
  let model: Written[];
  let clockedApp: TestApp;

  beforeAll(async () => {
    const clock = new ManualClock();
    clockedApp = await TestApp.start({ handlers: [], events: [OrderNoted], config: { messageDelayLevel: '1s' } });
    store = clockedApp.eventStore;
    model = [];
    let random = 7;
    const next = (end: number) => {
      random = (random * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((random / 2 ** 31) * end);
    };
    for (const topic of TOPICS) await store.prepareTopic(topic);
    for (let index = 0; index < 300; index += 1) {
      const topic = TOPICS[next(3)]!;
      const stream = `s-${next(9)}`;
      const keys = next(3) === 0 ? [`k-${next(4)}`] : [];
      const count = 1 + next(3);
      const texts = Array.from({ length: count }, (_, at) => `${index}.${at}${'x'.repeat(next(5) === 0 ? 5000 : 0)}`);
      const result = await store.append(texts.map((text) => ({ topic, stream, keys, event: note(text) })));
      for (const [at, text] of texts.entries()) {
        model.push({
          ...{ topic, stream, keys: [stream, ...keys], text },
          position: result.positions[at]!,
          storedAt: result.storedAt,
          version: result.versions[at]!,
        });
      }
      if (next(2) === 0) await clockedApp.producer.send({ topic: 'plain', body: Buffer.alloc(next(3000)) });
      clock.advance(1);
    }
    await new Promise((resolve) => setImmediate(resolve));
  });
  afterAll(async () => {
    await clockedApp.stop();
    store = app.eventStore;
  });

  const bounds = (): fc.Arbitrary<{ options: ReadOptions; accepts: (one: Written) => boolean }> => {
    const some = fc.nat(model.length - 1).map((index) => model[index]!);
    const never = { from: fc.constant({ options: {}, accepts: () => true }) };
    const at = ({ position }: Written) => position.commitLogOffset;
    const from = fc.oneof(
      never.from,
      fc.constant({ options: { from: 'start' as const }, accepts: () => true }),
      some.map((one) => ({ options: { from: one.position }, accepts: (each: Written) => at(each) >= at(one) })),
      some.map((one) => ({ options: { after: one.position }, accepts: (each: Written) => at(each) > at(one) })),
      some.map((one) => ({
        options: { from: new Date(one.storedAt) },
        accepts: (each: Written) => each.storedAt >= one.storedAt,
      })),
    );
    const to = fc.oneof(
      never.from,
      some.map((one) => ({ options: { to: one.position }, accepts: (each: Written) => at(each) <= at(one) })),
      some.map((one) => ({
        options: { until: new Date(one.storedAt) },
        accepts: (each: Written) => each.storedAt <= one.storedAt,
      })),
    );
    return fc.tuple(from, to).map(([first, last]) => ({
      options: { ...first.options, ...last.options },
      accepts: (each) => first.accepts(each) && last.accepts(each),
    }));
  };
  const subject = fc.oneof(
    fc.constant({ read: (options: ReadOptions) => store.readAll(options), of: () => true }),
    fc.constantFrom(...TOPICS).map((topic) => ({
      read: (options: ReadOptions) => store.readTopic(topic, options),
      of: (each: Written) => each.topic === topic,
    })),
    fc.tuple(fc.constantFrom(...TOPICS), fc.nat(9)).map(([topic, stream]) => ({
      read: (options: ReadOptions) => store.readStream({ topic, stream: `s-${stream}` }, options),
      of: (each: Written) => each.topic === topic && each.stream === `s-${stream}`,
    })),
    fc
      .array(fc.record({ topic: fc.constantFrom(...TOPICS), key: fc.constantFrom('k-0', 'k-1', 's-2', 'none') }), {
        minLength: 1,
        maxLength: 3,
      })
      .map((keys) => ({
        read: (options: ReadOptions) => store.iterateKeys(keys, options),
        of: (each: Written) => keys.some(({ topic, key }) => each.topic === topic && each.keys.includes(key)),
      })),
  );

  it('give what the model has', async () => {
    await fc.assert(
      fc.asyncProperty(
        bounds(),
        subject,
        fc.constantFrom('forwards' as const, 'backwards' as const),
        async ({ options, accepts }, { read, of }, direction) => {
          const wanted = model.filter((one) => of(one) && accepts(one));
          if (direction === 'backwards') wanted.reverse();
          const found = await listOf(read({ ...options, direction }));
          expect(found.map(textOf)).toEqual(wanted.map(({ text }) => text));
          expect(found.map(({ position }) => position)).toEqual(wanted.map(({ position }) => position));
          expect(found.map(({ version }) => version)).toEqual(wanted.map(({ version }) => version));
        },
      ),
      { numRuns: 150, endOnFailure: true },
    );
  });

  it('give the condition to append under for what is new behind a position', async () => {
    const keys = [
      { topic: 'readA', key: 's-1' },
      { topic: 'readB', key: 'k-1' },
    ];
    const all = await store.readKeys(keys);
    const middle = all.events[Math.floor(all.events.length / 2)]!;
    const rest = await store.readKeys(keys, { after: middle.position });
    expect(rest.events).toEqual(all.events.slice(Math.floor(all.events.length / 2) + 1));
    expect(rest.condition).toEqual(all.condition);
    await store.append([{ topic: 'readA', stream: 's-1', event: note('new') }], { condition: rest.condition });
    await expect(
      store.append([{ topic: 'readA', stream: 's-1', event: note('late') }], { condition: rest.condition }),
    ).rejects.toMatchObject({ code: 'CONDITION_FAILED' });
  });
});

describe('a read in log order', () => {
  it('of a topic that does not exist has nothing, and does not make it', async () => {
    expect(await listOf(store.readTopic('nowhere'))).toEqual([]);
    expect(await listOf(store.iterateKeys([{ topic: 'nowhere', key: 'k' }]))).toEqual([]);
    expect(await app.foldlog.session.routes.refresh('nowhere')).toBeUndefined();
  });

  it('of a topic of plain messages is refused', async () => {
    await app.producer.send({ topic: 'letters', body: Buffer.from('x') });
    await expect(listOf(store.readTopic('letters'))).rejects.toThrow(/letters is not an event topic/);
  });

  it('sees what is stored before it begins and not what comes after', async () => {
    const stream = { topic: 'during', stream: 'a' };
    await store.append(stream, [note('1'), note('2')]);
    const texts: string[] = [];
    for await (const recorded of store.readTopic('during')) {
      texts.push(textOf(recorded));
      await store.append(stream, [note('later')]);
    }
    expect(texts).toEqual(['1', '2']);
  });

  it('reads pages of events that are larger than a page', async () => {
    const texts = Array.from({ length: 30 }, (_, index) => `${index}${'y'.repeat(150_000)}`);
    for (const text of texts) await store.append({ topic: 'large', stream: text.slice(0, 1) }, [note(text)]);
    expect(await textsOf(store.readTopic('large'))).toEqual(texts);
    expect(await textsOf(store.readTopic('large', { direction: 'backwards' }))).toEqual(texts.toReversed());
  });

  it('fails on a type that no class here has, leaves it out, or gives it as it is stored', async () => {
    const writer = await TestApp.start({ handlers: [], events: [OrderNoted, Foreign] });
    try {
      const stream = { topic: 'mixed', stream: 'a' };
      await writer.eventStore.append(stream, [note('1'), { event: event(Foreign, { text: 'kept' }), actor: 'ada' }]);
      await writer.eventStore.append(stream, [note('2')]);
      await writer.restart({ events: [OrderNoted] });
      const { eventStore } = writer;
      for (const read of [
        (options?: ReadOptions) => eventStore.readTopic('mixed', options),
        (options?: ReadOptions) => eventStore.readAll(options),
        (options?: ReadOptions) => eventStore.readStream(stream, options),
        (options?: ReadOptions) => eventStore.iterateKeys([{ topic: 'mixed', key: 'a' }], options),
      ]) {
        await expect(listOf(read())).rejects.toThrow(/OnlyTheWriterKnows, which no class here has/);
        expect(await textsOf(read({ unknownTypes: 'skip' }))).toEqual(['1', '2']);
        const [, raw] = await listOf(read({ unknownTypes: 'raw' }));
        expect(raw).toMatchObject({ type: 'OnlyTheWriterKnows', ...stream, version: 2, actor: 'ada' });
        expect((raw!.event as RawEvent).fields).toEqual({ text: 'kept' });
        expect(raw!.event).toBeInstanceOf(RawEvent);
      }
    } finally {
      await writer.stop();
    }
  });

  it('ends with its signal', async () => {
    const controller = new AbortController();
    await store.append({ topic: 'signal', stream: 'a' }, [note('1'), note('2')]);
    const events = store.readTopic('signal', { signal: controller.signal });
    expect(textOf((await events.next()).value as RecordedEvent)).toBe('1');
    controller.abort(new Error('enough'));
    await expect(events.next()).rejects.toThrow('enough');
  });

  it('refuses bounds that make no sense', async () => {
    const { position } = await store.append({ topic: 'bounds', stream: 'a' }, [note('1')]);
    const refused = (options: ReadOptions) =>
      expect(listOf(store.readTopic('bounds', options))).rejects.toThrow(OptionsError);
    await refused({ from: position, after: position });
    await refused({ from: new Date('never') });
    await refused({ until: new Date('never') });
    await refused({ from: { ...position, commitLogOffset: -1 } });
    await refused({ from: position, to: { ...position, brokerName: 'another' } });
    await refused({ from: { ...position, brokerName: 'another' } });
    await expect(listOf(store.iterateKeys([]))).rejects.toThrow(OptionsError);
    await expect(listOf(store.readAll({ brokerName: 'another' }))).rejects.toThrow(/another is not in the cluster/);
  });

  it('from a position that the log has never reached is refused', async () => {
    const { position } = await store.append({ topic: 'beyond', stream: 'a' }, [note('1')]);
    const beyond = { ...position, commitLogOffset: position.commitLogOffset + 1_000_000 };
    await expect(listOf(store.readTopic('beyond', { after: beyond }))).rejects.toMatchObject({ code: 'POSITION_LOST' });
    const later = { ...position, generation: position.generation + 1 };
    await expect(listOf(store.readTopic('beyond', { after: later }))).rejects.toMatchObject({ code: 'POSITION_LOST' });
  });
});
