/**
 * Subscriptions: catch-up and live, each event once and in order, from every place, and how they end. In one process with
 * its broker; over restarts in `test/runtime/subscriptionRestart.test.ts`.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  Event,
  type EventSelection,
  type EventStore,
  type EventSubscription,
  event,
  OptionsError,
  RawEvent,
  type RecordedEvent,
  type SubscribeOptions,
} from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { OrderNoted } from '../support/orders.js';

@Event({ type: 'OnlyTheWriterKnowsToo' })
class Foreign {
  text = '';
}

let app: TestApp;
let store: EventStore;
let topics = 0;

beforeAll(async () => {
  app = await TestApp.start({ handlers: [], events: [OrderNoted] });
  store = app.eventStore;
});
afterAll(() => app.stop());

const fresh = () => `sub${++topics}`;
const note = (text: string) => event(OrderNoted, { note: text });
const textOf = ({ event: read }: RecordedEvent) => (read as OrderNoted).note;

async function take(subscription: EventSubscription, count: number): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) {
    const { done, value } = await subscription.next();
    if (done) break;
    texts.push(textOf(value));
  }
  return texts;
}

describe('a subscription', () => {
  it('catches up and goes on live, without a gap or a repeat, while others append', async () => {
    const topic = fresh();
    const written: string[] = [];
    const write = async (from: number, until: number) => {
      for (let index = from; index < until; index += 1) {
        const texts = [`${index}.0`, `${index}.1`];
        await store.append({ topic, stream: `s-${index % 5}` }, texts.map(note));
        written.push(...texts);
        if (index % 3 === 0) await app.producer.send({ topic: 'plainBetween', body: Buffer.from('x') });
      }
    };
    await write(0, 300);
    const all = store.subscribe({ topic });
    const stream = store.subscribe({ topic, stream: 's-2' });
    const keys = store.subscribe({ keys: [3, 4].map((at) => ({ topic, key: `s-${at}` })) });
    const writing = write(300, 900);
    const seen = await Promise.all([take(all, 1800), take(stream, 360), take(keys, 720)]);
    await writing;
    const of = (...streams: number[]) => written.filter((text) => streams.includes(Number.parseInt(text, 10) % 5));
    expect(seen).toEqual([written, of(2), of(3, 4)]);
    await store.append({ topic, stream: 's-2' }, [note('last')]);
    expect(await Promise.all([take(all, 1), take(stream, 1)])).toEqual([['last'], ['last']]);
    for (const one of [all, stream, keys]) await one.return();
  });

  it('begins where it is told to', async () => {
    const topic = fresh();
    const stream = { topic, stream: 'a' };
    const positions = [];
    const moments: Date[] = [];
    for (let index = 0; index < 6; index += 1) {
      const { position, storedAt } = await store.append(stream, [note(String(index))]);
      positions.push(position);
      moments.push(new Date(storedAt));
      while (Date.now() <= storedAt) await new Promise((resolve) => setImmediate(resolve));
    }
    const first = async (selection: EventSelection, options: SubscribeOptions) => {
      const subscription = store.subscribe(selection, options);
      await subscription.started;
      await store.append(stream, [note('live')]);
      const [text] = await take(subscription, 1);
      await subscription.return();
      return text;
    };
    for (const selection of [{ topic }, stream, { keys: [{ topic, key: 'a' }] }] satisfies EventSelection[]) {
      expect(await first(selection, {})).toBe('0');
      expect(await first(selection, { from: 'start' })).toBe('0');
      expect(await first(selection, { from: 'end' })).toBe('live');
      expect(await first(selection, { from: positions[3]! })).toBe('3');
      expect(await first(selection, { after: positions[3]! })).toBe('4');
      expect(await first(selection, { from: moments[2]! })).toBe('2');
      expect(await first(selection, { from: new Date(moments[2]!.getTime() + 1) })).toBe('3');
    }
    expect(await first('all', { from: positions[3]! })).toBe('3');
    expect(await first('all', { from: 'end' })).toBe('live');
    expect(await first(stream, { from: 3 })).toBe('2');
  }, 60_000);

  it('waits for a topic that has nothing yet, and sees topics that are made later', async () => {
    const topic = fresh();
    const one = store.subscribe({ topic });
    const all = store.subscribe('all', { from: 'end' });
    const [next, nextOfAll] = [one.next(), all.next()];
    await Promise.all([one.started, all.started]);
    await store.append({ topic, stream: 'a' }, [note('first')]);
    expect(textOf((await next).value as RecordedEvent)).toBe('first');
    expect(textOf((await nextOfAll).value as RecordedEvent)).toBe('first');
    await store.append({ topic: fresh(), stream: 'a' }, [note('second')]);
    expect(await take(all, 1)).toEqual(['second']);
    await one.return();
    await all.return();
  });

  it('ends with return, with the loop, with its signal and with the application', async () => {
    const topic = fresh();
    await store.append({ topic, stream: 'a' }, [note('1')]);
    const returned = store.subscribe({ topic }, { from: 'end' });
    const waiting = returned.next();
    expect(await returned.return()).toEqual({ done: true, value: undefined });
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await returned.next()).toEqual({ done: true, value: undefined });

    const looped = store.subscribe({ topic });
    for await (const recorded of looped) {
      expect(textOf(recorded)).toBe('1');
      break;
    }
    expect((await looped.next()).done).toBe(true);

    const controller = new AbortController();
    const signalled = store.subscribe({ topic }, { from: 'end', signal: controller.signal });
    const next = signalled.next();
    controller.abort();
    expect((await next).done).toBe(true);
    expect((await store.subscribe({ topic }, { signal: controller.signal }).next()).done).toBe(true);

    const other = await TestApp.start({ handlers: [], events: [OrderNoted] });
    const stopped = other.eventStore.subscribe({ topic });
    await stopped.started;
    const last = stopped.next();
    await other.stop();
    expect((await last).done).toBe(true);
    expect(() => other.eventStore.subscribe({ topic })).toThrow(/stopped/);
  });

  it('ends with the error that it meets', async () => {
    const writer = await TestApp.start({ handlers: [], events: [OrderNoted, Foreign] });
    try {
      const stream = { topic: 'mixedLive', stream: 'a' };
      await writer.eventStore.append(stream, [note('1'), event(Foreign, { text: 'kept' }), note('2')]);
      await writer.restart({ events: [OrderNoted] });
      const failing = writer.eventStore.subscribe(stream);
      expect(await take(failing, 1)).toEqual(['1']);
      await expect(failing.next()).rejects.toMatchObject({ code: 'EVENT_INVALID' });
      expect((await failing.next()).done).toBe(true);
      expect(await take(writer.eventStore.subscribe(stream, { unknownTypes: 'skip' }), 2)).toEqual(['1', '2']);
      const raw = writer.eventStore.subscribe(stream, { unknownTypes: 'raw' });
      await raw.next();
      expect(((await raw.next()).value as RecordedEvent).event).toBeInstanceOf(RawEvent);
    } finally {
      await writer.stop();
    }
  });

  it('holds the log back for a slow reader: one page is in hand, one is fetched', async () => {
    const topic = fresh();
    const large = 'x'.repeat(100_000);
    for (let index = 0; index < 60; index += 1) await store.append({ topic, stream: 's' }, [note(`${index} ${large}`)]);
    const asked = vi.spyOn(app.foldlog.session.brokerCalls, 'readEvents');
    try {
      const subscription = store.subscribe({ topic });
      expect((await take(subscription, 1))[0]).toMatch(/^0 /);
      for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      expect(asked).toHaveBeenCalledTimes(2);
      const rest = await take(subscription, 59);
      expect(rest.map((text) => Number.parseInt(text, 10))).toEqual(Array.from({ length: 59 }, (_, at) => at + 1));
      await subscription.return();
    } finally {
      asked.mockRestore();
    }
  });

  it('refuses what makes no sense', async () => {
    const { position } = await store.append({ topic: 'sense', stream: 'a' }, [note('1')]);
    expect(() => store.subscribe({ topic: 'sense' }, { from: 3 })).toThrow(OptionsError);
    expect(() => store.subscribe({ topic: 'sense', stream: 'a' }, { from: 0 })).toThrow(OptionsError);
    expect(() => store.subscribe({ topic: 'sense' }, { from: position, after: position })).toThrow(OptionsError);
    expect(() => store.subscribe({ topic: 'sense' }, { from: 'end', after: position })).toThrow(OptionsError);
    expect(() => store.subscribe({ topic: 'sense' }, { from: new Date('never') })).toThrow(OptionsError);
    expect(() => store.subscribe({ keys: [] })).toThrow(OptionsError);
    await expect(store.subscribe({ topic: 'a b' }).next()).rejects.toThrow(/a b/);
  });
});
