/**
 * A subscription over restarts of its broker: each event once and in order, while others append. And a log that lost what
 * was read, because an older copy of its directory took its place: nobody goes on from there unawares.
 */
import { randomUUID } from 'node:crypto';
import { cpSync, rmSync } from 'node:fs';
import os from 'node:os';
import { afterEach, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/logger.js';
import { startEmbedded } from '../../src/embedded/embedded.js';
import { type EventSubscription, event, Foldlog, type RecordedEvent } from '../../src/index.js';
import { OrderNoted } from '../support/orders.js';

const directory = `${os.tmpdir()}/foldlog-subscription-${randomUUID()}`;
const config = { maxHashSlotNum: 10_000, maxIndexNum: 40_000, mappedFileSizeCommitLog: 16 * 1024 * 1024 };
afterEach(() => {
  for (const name of [directory, `${directory}-copy`]) rmSync(name, { recursive: true, force: true });
});

const portOf = (address: string) => Number(address.split(':').at(-1));
const start = (store: string, ports = { namesrvPort: 0, brokerPort: 0 }) =>
  startEmbedded({ store, listen: true, config, ...ports });
const note = (text: string) => event(OrderNoted, { note: text });
const textOf = ({ event: read }: RecordedEvent) => (read as OrderNoted).note;

/** Reads until the text. */
async function readUntil(subscription: EventSubscription, last: string): Promise<RecordedEvent[]> {
  const seen: RecordedEvent[] = [];
  for (;;) {
    const { done, value } = await subscription.next();
    if (done) throw new Error(`ended after ${seen.length} events`);
    seen.push(value);
    if (textOf(value) === last) return seen;
  }
}

it('sees each event once and in order over restarts of the broker', async () => {
  let embedded = await start(directory);
  const { namesrvAddr, brokerAddr } = embedded;
  const ports = { namesrvPort: portOf(namesrvAddr), brokerPort: portOf(brokerAddr) };
  const options = { namesrv: namesrvAddr, handlers: [], events: [OrderNoted], logger: silentLogger };
  const app = await Foldlog.start(options);
  try {
    const { eventStore } = app;
    let stored = 0;
    const write = async (writer: number) => {
      for (let index = 0; index < 60; index += 1) {
        const stream = { topic: `notes${writer % 2}`, stream: `s-${writer}` };
        await eventStore.append(stream, [note(`${writer}/${index}`)], { appendId: `w${writer}-${index}` });
        stored += 1;
      }
    };
    await eventStore.prepareTopic('notes0');
    const reading = [
      readUntil(eventStore.subscribe('all'), 'end'),
      readUntil(eventStore.subscribe({ topic: 'notes0' }), 'end'),
      readUntil(eventStore.subscribe({ topic: 'notes0', stream: 's-2' }), 'end'),
    ];
    const writers = Promise.all(Array.from({ length: 6 }, (_, writer) => write(writer)));
    for (const mark of [80, 160, 240]) {
      while (stored < mark) await new Promise((resolve) => setTimeout(resolve, 1));
      await embedded.stop();
      embedded = await start(directory, ports);
    }
    await writers;
    await eventStore.append({ topic: 'notes0', stream: 's-2' }, [note('end')]);
    const [all, topic, stream] = await Promise.all(reading);
    const wanted: string[] = [];
    for await (const recorded of eventStore.readAll()) wanted.push(recorded.eventId);
    expect(wanted).toHaveLength(361);
    expect(all!.map(({ eventId }) => eventId)).toEqual(wanted);
    const ofTopic = all!.filter((one) => one.topic === 'notes0');
    expect(topic!.map(({ eventId }) => eventId)).toEqual(ofTopic.map(({ eventId }) => eventId));
    expect(stream!.map(({ version }) => version)).toEqual(Array.from({ length: 61 }, (_, index) => index + 1));
  } finally {
    await app.stop();
    await embedded.stop();
  }
}, 120_000);

it('is told when the log has lost what it read', async () => {
  let embedded = await start(directory);
  const ports = { namesrvPort: portOf(embedded.namesrvAddr), brokerPort: portOf(embedded.brokerAddr) };
  const options = { namesrv: embedded.namesrvAddr, handlers: [], events: [OrderNoted], logger: silentLogger };
  const app = await Foldlog.start(options);
  try {
    const { eventStore } = app;
    const stream = { topic: 'notes', stream: 'a' };
    const kept = await eventStore.append(stream, [note('kept')]);
    // As the directory of a broker that was killed here.
    cpSync(directory, `${directory}-copy`, { recursive: true });
    const lost = await eventStore.append(stream, [note('lost')]);
    const behind = eventStore.subscribe({ topic: 'notes' });
    expect((await readUntil(behind, 'kept')).map(textOf)).toEqual(['kept']);
    const ahead = eventStore.subscribe({ topic: 'notes' });
    await readUntil(ahead, 'lost');
    const meeting = ahead.next().catch((thrown: unknown) => thrown);
    await embedded.stop();
    rmSync(directory, { recursive: true });
    cpSync(`${directory}-copy`, directory, { recursive: true });
    embedded = await start(directory, ports);
    expect(await meeting).toMatchObject({ code: 'POSITION_LOST', message: expect.stringMatching(/is lost/) });
    for (const options of [{ from: lost.position }, { after: lost.position }]) {
      await expect(eventStore.readTopic('notes', options).next()).rejects.toMatchObject({ code: 'POSITION_LOST' });
      await expect(eventStore.readStream(stream, options).next()).rejects.toMatchObject({ code: 'POSITION_LOST' });
      await expect(eventStore.subscribe(stream, options).next()).rejects.toMatchObject({ code: 'POSITION_LOST' });
      await expect(eventStore.subscribe('all', options).next()).rejects.toMatchObject({ code: 'POSITION_LOST' });
    }
    // What lies before the loss is there as before.
    await eventStore.append(stream, [note('another')]);
    const rest = eventStore.readTopic('notes', { after: kept.position });
    expect(textOf((await rest.next()).value as RecordedEvent)).toBe('another');
    expect((await rest.next()).done).toBe(true);
  } finally {
    await app.stop();
    await embedded.stop();
  }
}, 60_000);
