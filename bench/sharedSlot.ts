/**
 * What does an append to a new stream cost when its key shares its index slot with 1,000,000 others, when 10,000 keys
 * have one hash, and when 1,000,000 keys were made for the 429 hashes of one slot? Java's string hash is easily collided;
 * none may stall the event loop.
 *
 * Keys of one slot: the store is opened with a single slot, so that all of them chain. Keys of one hash: texts made of
 * the pairs "Aa" and "BB", whose hashes are equal. Keys for given hashes: their last characters are solved for. Each
 * append is timed alone; the median and the slowest are told.
 */
import { javaHash } from '../src/protocol/javaHash.js';
import { encodeProperties } from '../src/protocol/messageProperties.js';
import { type ExpectedVersion, type LogPosition, MessageStore } from '../src/store/index.js';
import { type Bench, median, number, question } from './support/frame.js';
import { appendAll, EVENTS, eventOf, messagesOf, nextAppendId } from './support/messages.js';
import { fillStreams, Streams } from './support/streams.js';

const BODY = Buffer.alloc(128, 'x');
const APPENDS = 2_000;
const CROWDED_APPENDS = 50;
const STEP = 10_000;
const EQUAL_KEYS = 10_000;
/** 2^14 texts of 28 characters. */
const PAIRS = 14;

function equalKey(number: number): string {
  let key = '';
  for (let bit = 0; bit < PAIRS; bit += 1) key += (number >> bit) & 1 ? 'Aa' : 'BB';
  return key;
}

/** A hash that all crafted keys share a slot with, and how many there are in a table of the usual size. */
const CRAFTED_HASH = 1_234_567;
const SLOTS = 5_000_000;
const CRAFTED_HASHES = Math.ceil((2 ** 31 - CRAFTED_HASH) / SLOTS);
const SUFFIX_CHARACTERS = 7;
const FIRST_CHARACTER = '0'.charCodeAt(0);

/** The nth of the keys whose hashes share one slot: seven characters of 31 kinds reach any hash from any start. */
function craftedKey(number: number): string {
  const start = number.toString(36);
  let rest = CRAFTED_HASH + (number % CRAFTED_HASHES) * SLOTS;
  let power = 1;
  for (let at = 0; at < SUFFIX_CHARACTERS; at += 1) {
    rest -= Math.imul(FIRST_CHARACTER, power);
    power = Math.imul(power, 31);
  }
  rest = (rest - Math.imul(javaHash(`${EVENTS}#${start}`), power)) >>> 0;
  let suffix = '';
  for (let at = 0; at < SUFFIX_CHARACTERS; at += 1) {
    suffix = String.fromCharCode(FIRST_CHARACTER + (rest % 31)) + suffix;
    rest = Math.floor(rest / 31);
  }
  return start + suffix;
}

/** A plain message under each key: nothing is looked up while they are stored. */
async function fillKeys(store: MessageStore, count: number, nameOf: (index: number) => string): Promise<void> {
  for (let first = 0; first < count; first += STEP) {
    const messages = messagesOf(Math.min(STEP, count - first), BODY, EVENTS).map((message, index) => {
      const properties = { KEYS: nameOf(first + index) };
      return { ...message, properties, propertiesText: encodeProperties(properties) };
    });
    await appendAll(store, messages, 64);
  }
}

interface Condition {
  expected: ExpectedVersion;
  end?: LogPosition;
}

/** Microseconds that the synchronous section of one append takes. */
function microsOf(store: MessageStore, stream: string, { expected, end }: Condition): number {
  const append = {
    appendId: nextAppendId(),
    events: [eventOf(stream, BODY)] as const,
    expectedVersions: [{ topic: EVENTS, stream, expected }],
    ...(end && { appendIdSince: end, condition: { keys: [{ topic: EVENTS, key: stream }], end } }),
  };
  const start = performance.now();
  const outcome = store.appendGuarded(append);
  const micros = (performance.now() - start) * 1000;
  if (outcome.status !== 'APPENDED') throw new Error(`not appended: ${outcome.status}`);
  return micros;
}

function tell(bench: Bench, name: string, micros: readonly number[]): number {
  const middle = median(micros);
  bench.fact(`${name}, median`, middle, 'us');
  bench.fact(`${name}, slowest of ${micros.length}`, Math.max(...micros), 'us');
  return middle;
}

async function inTurns(count: number, one: (index: number) => number): Promise<number[]> {
  const micros: number[] = [];
  for (let index = 0; index < count; index += 1) {
    micros.push(one(index));
    // A turn of the event loop each: the turn's write is not part of the figure.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return micros;
}

await question('appends whose keys collide', async (bench) => {
  const spread = await MessageStore.open({ directory: bench.directories.make() });
  await fillStreams(spread, new Streams(bench.scaled(1_000_000)), BODY);
  const alone = await inTurns(bench.scaled(APPENDS), (index) =>
    microsOf(spread, `alone-${index}`, { expected: 'NO_STREAM', end: spread.visibleEnd() }),
  );
  tell(bench, 'a new key with a slot of its own', alone);
  await spread.close();

  const shared = await MessageStore.open({ directory: bench.directories.make(), maxHashSlotNum: 1 });
  const others = bench.scaled(1_000_000);
  const streams = new Streams(others);
  await fillKeys(shared, others, (index) => streams.nameOf(index));
  const name = `a new key in the slot of ${others.toLocaleString('en-US')} others`;
  const crowded = await inTurns(CROWDED_APPENDS, (index) =>
    microsOf(shared, `crowded-${index}`, { expected: 'NO_STREAM', end: shared.visibleEnd() }),
  );
  const slot = tell(bench, name, crowded);
  await shared.close();

  const equal = await MessageStore.open({ directory: bench.directories.make() });
  const keys = bench.scaled(EQUAL_KEYS);
  const first = await inTurns(keys, (index) => microsOf(equal, equalKey(index), { expected: 'NO_STREAM' }));
  tell(bench, `each of ${number(keys)} keys of one hash, first event`, first);
  const second = await inTurns(keys, (index) => microsOf(equal, equalKey(index), { expected: 1 }));
  const hash = tell(bench, `each of ${number(keys)} keys of one hash, second event`, second);
  await equal.close();

  const crafted = await MessageStore.open({ directory: bench.directories.make() });
  const craftedKeys = bench.scaled(1_000_000);
  await fillKeys(crafted, craftedKeys, craftedKey);
  const residentBefore = process.memoryUsage.rss();
  const craftedName = `a new key among ${number(craftedKeys)} made for the ${CRAFTED_HASHES} hashes of a slot`;
  const round = (first: number) =>
    inTurns(CRAFTED_HASHES, (index) =>
      microsOf(crafted, craftedKey(craftedKeys + first + index), { expected: 'NO_STREAM' }),
    );
  tell(bench, `${craftedName}, the first of its hash`, await round(0));
  const made = tell(bench, `${craftedName}, the second`, await round(CRAFTED_HASHES));
  bench.fact('memory that those took', (process.memoryUsage.rss() - residentBefore) / 1024 / 1024, 'MiB');
  await crafted.close();

  bench.target('1,000,000 keys made for one slot: less than 1,000 us', `${number(made)} us`, made < 1000);
  bench.target('a shared slot: less than 1,000 us', `${number(slot)} us`, slot < 1000);
  bench.target('10,000 keys of one hash: less than 1,000 us', `${number(hash)} us`, hash < 1000);
});
