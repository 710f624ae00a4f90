/**
 * Events in a directory that foldlog and a real broker share: foldlog appends them under guard, the real broker keeps
 * them as messages and may be made to write one of its own between them, which foldlog must not mistake for an event.
 */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { silentLogger } from '../../src/base/logger.js';
import { joinProperties } from '../../src/broker/propertiesText.js';
import { Producer } from '../../src/client/producer.js';
import { Foldlog } from '../../src/index.js';
import type { AppendEventsRequest, EventLogPosition } from '../../src/protocol/headers/events.js';
import { Order } from '../support/orders.js';
import { queueOf } from './served.js';
import type { Running } from './site.js';

const TOPIC = 'orders';
const APPLICATION_STREAM = '1';
/** Streams that are appended to by hand: one that a foreign message meets, one that nothing meets. */
const TOUCHED = 'touched:1';
const ALONE = 'alone:1';

/** What must still be known after the next broker has run on the directory. */
export interface EventsSeen {
  notes: string[];
  end: EventLogPosition;
  versions: Record<string, number>;
  appendId: string;
}

async function append(running: Running, stream: string, more: Partial<AppendEventsRequest> = {}) {
  const event = { topic: TOPIC, keys: [stream] as const, body: Buffer.from('{"note":"by hand"}') };
  return running.session.brokerCalls.appendEvents(running.brokerAddr, {
    appendId: randomUUID(),
    bornTimestamp: running.session.clock.now(),
    expectedVersions: [],
    events: [{ ...event, propertiesText: joinProperties({ KEYS: stream, TAGS: 'Noted' }) }],
    ...more,
  });
}

const endOf = async ({ session, brokerAddr }: Running): Promise<EventLogPosition> => {
  const keys = [{ topic: TOPIC, key: ALONE }];
  const request = { keys, direction: 'forwards', maxCount: 1, maxBytes: 1 } as const;
  return (await session.brokerCalls.readByKey(brokerAddr, request)).end;
};

/** Loads what is there, appends to it, and holds on to what the next round checks. */
export async function workOnEvents(running: Running, name: string, before?: EventsSeen): Promise<EventsSeen> {
  if (before) await checkTokens(running, before);
  const notes = [...(before?.notes ?? [])];
  const app = await Foldlog.start({
    namesrv: running.session.namesrvAddr,
    handlers: [Order],
    database: ':memory:',
    logger: silentLogger,
  });
  try {
    const orders = app.aggregate(Order);
    if (before) expect((await orders.load(APPLICATION_STREAM)).notes).toEqual(notes);
    for (const note of [`${name} one`, `${name} two`]) {
      notes.push(note);
      const { version } = await orders.execute(APPLICATION_STREAM, (order) => order.note(note));
      expect(version).toBe(notes.length);
    }
  } finally {
    await app.stop();
  }
  const appendId = `by-hand-${name}`;
  const versions: Record<string, number> = {};
  for (const stream of [TOUCHED, ALONE]) {
    const outcome = await append(running, stream, stream === ALONE ? { appendId } : {});
    if (outcome.status !== 'APPENDED') throw new Error(JSON.stringify(outcome));
    versions[stream] = outcome.places[0]?.version ?? 0;
  }
  return { notes, end: await endOf(running), versions, appendId };
}

async function checkTokens(running: Running, { end, versions, appendId }: EventsSeen): Promise<void> {
  // Another program wrote here: what was promised about positions beyond the old end holds no more.
  expect((await endOf(running)).generation).toBeGreaterThan(end.generation);
  const condition = (key: string) => ({ condition: { keys: [{ topic: TOPIC, key }], end } });
  expect(await append(running, ALONE, { appendId })).toMatchObject({ status: 'ALREADY_APPENDED' });
  expect(await append(running, TOUCHED, condition(TOUCHED))).toEqual({
    status: 'CONDITION_CONFLICT',
    topic: TOPIC,
    key: TOUCHED,
  });
  const beyond = { ...end, commitLogOffset: end.commitLogOffset + 10_000_000 };
  expect(await append(running, ALONE, { condition: { ...condition(ALONE).condition, end: beyond } })).toMatchObject({
    status: 'CONDITION_CONFLICT',
  });
  const version = versions[ALONE] ?? 0;
  const expected = (of: number) => ({ expectedVersions: [{ topic: TOPIC, stream: ALONE, expected: of }] });
  expect(await append(running, ALONE, expected(version - 1))).toMatchObject({
    status: 'VERSION_CONFLICT',
    actual: version,
  });
  expect(await append(running, ALONE, { ...expected(version), ...condition(ALONE) })).toMatchObject({
    status: 'APPENDED',
    places: [{ version: version + 1 }],
  });
}

/** As some other program would: a message with the key of a stream, and no version. */
export async function sendBetweenEvents({ session }: Running): Promise<void> {
  const producer = new Producer({ session, group: 'Strangers', sendMsgTimeoutMillis: 15_000 });
  for (const keys of [[TOUCHED], ['order:1']]) {
    await producer.send({ topic: TOPIC, body: 'not an event', keys }, { queue: queueOf(TOPIC, 0) });
  }
  await producer.close();
}
