/**
 * What does a look-up by key cost with 1,000,000 keys over several index files? Warm: the files are in the page cache.
 * Three ways: RocketMQ's key query (which knows hashes only), a complete read by key, and the head of a stream (the check of a conditional
 * append that conflicts). Keys are drawn at random, so the look-up meets old and new index files alike.
 */
import { MessageStore } from '../src/store/index.js';
import { number, question, type Work } from './support/frame.js';
import { EVENTS, eventOf, nextAppendId } from './support/messages.js';
import { fillStreams, Streams } from './support/streams.js';

const BODY = Buffer.alloc(128, 'x');
/** Two entries a message: 1,000,000 messages fill five files. */
const ENTRIES_PER_FILE = 400_001;
const LOOKUPS = 50_000;

await question('look-up by key, 1,000,000 keys', async (bench) => {
  const streams = new Streams(bench.scaled(1_000_000));
  const options = { directory: bench.directories.make(), maxIndexNum: bench.scaled(ENTRIES_PER_FILE) };
  const filling = await MessageStore.open(options);
  await fillStreams(filling, streams, BODY);
  await filling.close();
  // Opened anew: nothing that appends left in memory helps.
  const store = await MessageStore.open(options);
  const looking = (name: string, look: (key: string) => boolean): Work<unknown> => ({
    name,
    count: bench.scaled(LOOKUPS),
    prepare: (count) => streams.drawDifferent(count).map((stream) => streams.nameOf(stream)),
    run(names) {
      for (const key of names as string[]) if (!look(key)) throw new Error(`nothing found under ${key}`);
    },
  });
  const figures = await bench.compare([
    looking(
      'queryByKey, at most 32',
      (key) => store.queryByKey(EVENTS, key, 32, 0, Number.MAX_SAFE_INTEGER).length > 0,
    ),
    looking('readByKeys', (key) => {
      const request = {
        keys: [{ topic: EVENTS, key }],
        direction: 'forwards',
        maxCount: 32,
        maxBytes: 1 << 20,
      } as const;
      return store.readByKeys(request).records.length > 0;
    }),
    looking('head of a stream, by a version that conflicts', (key) => {
      const outcome = store.appendGuarded({
        appendId: nextAppendId(),
        appendIdSince: store.visibleEnd(),
        events: [eventOf(key, BODY)],
        expectedVersions: [{ topic: EVENTS, stream: key, expected: 'NO_STREAM' }],
      });
      return outcome.status === 'VERSION_CONFLICT';
    }),
  ]);
  await store.close();
  for (const { name, microsPerOperation } of figures) {
    bench.target(`${name}: less than 100 us`, `${number(microsPerOperation)} us`, microsPerOperation < 100);
  }
});
