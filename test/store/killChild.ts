/**
 * One life of the store in kill.test.ts: opens it, says how long that took, finds every message that earlier lives
 * acknowledged since the last check, and then appends until it is killed, printing each acknowledgement once it may.
 *
 *     loaded                      modules are there; waits for one line of JSON: what to do
 *     opening
 *     open <millis> <waited>      from the call to the store that serves, and how long other processes held the core
 *     checked <count>
 *     ack <life> <index> ...      see acknowledgement.ts
 */
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { FlushDiskType, GuardedOutcome } from '../../src/store/index.js';
import { MessageStore } from '../../src/store/index.js';
import { randomFrom } from '../support/faultyFiles.js';
import { event, message } from '../support/storeMessages.js';
import {
  type Acknowledgement,
  appendIdOf,
  bodyOf,
  checkAcknowledged,
  EVENTS,
  PLAIN,
  parseAcknowledgements,
  printed,
  QUEUES,
  SHARED_STREAM,
} from './acknowledgements.js';

export interface Life {
  directory: string;
  life: number;
  seed: number;
  flushDiskType: FlushDiskType;
  /** File with the acknowledgements to check. */
  acknowledged: string;
}

const CALLERS = 16;
const BATCH = 3;
/** Acknowledged guarded appends of the last life that are repeated: they must be known. */
const REPEATS = 20;

const say = (line: string) => void process.stdout.write(`${line}\n`);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
say('loaded');
const order = await lines.next();
const { directory, life, seed, flushDiskType, acknowledged } = JSON.parse(order.value ?? '{}') as Life;
say('opening');
const waitedBefore = waitedForCore();
const begun = performance.now();
const store = await MessageStore.open({ directory, flushDiskType });
say(`open ${Math.ceil(performance.now() - begun)} ${Math.floor(waitedForCore() - waitedBefore)}`);

const known = parseAcknowledgements(readFileSync(acknowledged, 'utf8'));
for (const one of known) checkAcknowledged(store, one);
for (const one of known.filter(({ kind }) => kind === 'guarded').slice(-REPEATS)) checkRepeat(one);
say(`checked ${known.length}`);

const random = randomFrom(seed);
const below = (end: number) => Math.floor(random() * end);
let nextIndex = 0;
const versions = new Map<string, number>();
await Promise.all(Array.from({ length: CALLERS }, (_, caller) => appendForever(caller)));

/** Milliseconds that this process was ready to run and another one ran: Linux's run queue delay of the main thread. */
function waitedForCore(): number {
  if (!existsSync('/proc/self/schedstat')) return 0;
  return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6;
}

async function appendForever(caller: number): Promise<void> {
  for (;;) {
    const what = below(10);
    if (what < 5) await appendPlain(1);
    else if (what < 6) await appendPlain(BATCH);
    else await appendGuarded(caller, 1 + below(2));
  }
}

async function appendPlain(count: number): Promise<void> {
  const queueId = below(QUEUES);
  const indexes = Array.from({ length: count }, () => nextIndex++);
  const messages = indexes.map((index) =>
    message({
      topic: PLAIN,
      queueId,
      body: bodyOf(life, index),
      properties: { KEYS: `${life}-${index}`, TAGS: 'tag' },
    }),
  );
  const outcome = store.append(messages);
  if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
  if ((await outcome.turn.visible) !== 'VISIBLE') return;
  for (const [at, place] of outcome.places.entries()) {
    say(printed({ ...place, kind: 'plain', life, index: indexes[at]!, version: 0 }));
  }
}

/** To a stream of the caller's own, by its version, and to the stream that all share, whatever its version. */
async function appendGuarded(caller: number, count: number): Promise<void> {
  const stream = `${life}-${caller}`;
  const expected = versions.get(stream) ?? 0;
  const indexes = Array.from({ length: count }, () => nextIndex++);
  const outcome = store.appendGuarded({
    appendId: appendIdOf(life, indexes[0]!),
    events: indexes.map((index, at) => event([at === 0 ? stream : SHARED_STREAM, 'all'], bodyOf(life, index), EVENTS)),
    expectedVersions: [{ topic: EVENTS, stream, expected }],
  });
  if (outcome.status !== 'APPENDED') throw new Error(refusalOf(outcome));
  versions.set(stream, expected + 1);
  if ((await outcome.turn.visible) !== 'VISIBLE') return;
  for (const [at, place] of outcome.places.entries()) {
    say(printed({ ...place, kind: at === 0 ? 'guarded' : 'shared', life, index: indexes[at]! }));
  }
}

/** The append id of an acknowledged append finds it again, wherever it lies. */
function checkRepeat({ life: before, index, commitLogOffset }: Acknowledgement): void {
  const outcome = store.appendGuarded({
    appendId: appendIdOf(before, index),
    events: [event(['repeated'], 'repeated', EVENTS)],
    expectedVersions: [],
  });
  if (outcome.status !== 'ALREADY_APPENDED' || outcome.places[0]?.commitLogOffset !== commitLogOffset) {
    throw new Error(
      `append ${appendIdOf(before, index)} was acknowledged at ${commitLogOffset}: ${refusalOf(outcome)}`,
    );
  }
}

function refusalOf(outcome: GuardedOutcome): string {
  return JSON.stringify({ ...outcome, turn: undefined });
}
