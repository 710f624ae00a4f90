/** Messages, events and senders for benchmarks of the store. */
import { encodeProperties } from '../../src/protocol/messageProperties.js';
import { packHost } from '../../src/protocol/messageRecord.js';
import type {
  EventToStore,
  GuardedAppend,
  GuardedOutcome,
  MessageStore,
  MessageToStore,
} from '../../src/store/index.js';

const BORN_HOST = packHost({ host: '127.0.0.1', port: 40_000 });
export const TOPIC = 'Bench';
export const EVENTS = 'BenchEvents';
const QUEUES = 8;

let serial = 0;

/** As a client sends them: a unique key of 32 characters and a tag; each has properties of its own. */
export function messagesOf(count: number, body: Buffer, topic = TOPIC): MessageToStore[] {
  return Array.from({ length: count }, () => {
    serial += 1;
    const properties = { UNIQ_KEY: String(serial).padStart(32, '0'), WAIT: 'true', TAGS: 'TagA' };
    return {
      topic,
      queueId: serial % QUEUES,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: 1_750_000_000_000,
      bornHost: BORN_HOST,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body,
      properties,
      propertiesText: encodeProperties(properties),
    };
  });
}

/** An event of a stream, as the broker hands it over. */
export function eventOf(stream: string, body: Buffer, more: readonly string[] = []): EventToStore {
  return {
    topic: EVENTS,
    queueId: 0,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1_750_000_000_000,
    bornHost: BORN_HOST,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body,
    properties: { TAGS: 'Happened', FL_SCHEMA: '1' },
    keys: [stream, ...more],
  };
}

/** A new append id, as long as those that clients make. */
export function nextAppendId(): string {
  serial += 1;
  return `01${String(serial).padStart(24, '0')}`;
}

/** Sends with `inFlight` callers that each wait for their answer, as clients do. */
export async function appendAll(
  store: MessageStore,
  messages: readonly MessageToStore[],
  inFlight: number,
): Promise<void> {
  let next = 0;
  const caller = async () => {
    for (let message = messages[next]; message; message = messages[next]) {
      next += 1;
      const outcome = store.append([message]);
      if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
      await outcome.turn.visible;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
}

/** The same for guarded appends, each made when it is its turn; each must be stored. */
export async function appendGuardedAll(
  store: MessageStore,
  streams: readonly number[],
  inFlight: number,
  appendTo: (stream: number) => GuardedAppend,
): Promise<void> {
  let next = 0;
  const caller = async () => {
    for (let stream = streams[next]; stream !== undefined; stream = streams[next]) {
      next += 1;
      const outcome = store.appendGuarded(appendTo(stream));
      if (outcome.status !== 'APPENDED') throw new Error(`not appended: ${JSON.stringify(describe(outcome))}`);
      await outcome.turn.visible;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
}

function describe(outcome: GuardedOutcome): object {
  if (!('turn' in outcome)) return outcome;
  const { turn: _, ...rest } = outcome;
  return rest;
}
