/**
 * What does it cost to load a short stream when the store holds 1,000 streams, and when it holds 1,000,000? Streams of
 * three events, written round by round, so that the events of one stream lie far apart. The files are in the page cache.
 * Warm: streams that were loaded before, 1,000 of them in either store; and streams drawn at random from all, with the
 * index cache as it is by default, which holds half of the index then, and with one that holds all of it.
 */
import { MessageStore } from '../src/store/index.js';
import { type Bench, number, question, type Work } from './support/frame.js';
import { EVENTS } from './support/messages.js';
import { fillStreams, Streams } from './support/streams.js';

const BODY = Buffer.alloc(128, 'x');
const EVENTS_EACH = 3;
const LOADS = 20_000;
const USED_STREAMS = 1_000;
/** The index of 1,000,000 streams has 140 MB: 20 for the slots, and two entries of 20 bytes an event. */
const LARGE_CACHE_BYTES = 192 * 1024 * 1024;

interface Filled {
  directory: string;
  store: MessageStore;
  streams: Streams;
  used: readonly number[];
  name: string;
}

async function filled(bench: Bench, streamCount: number): Promise<Filled> {
  const directory = bench.directories.make();
  const streams = new Streams(streamCount);
  const filling = await MessageStore.open({ directory });
  await fillStreams(filling, streams, BODY, EVENTS_EACH);
  await filling.close();
  const store = await MessageStore.open({ directory });
  const used = streams.drawDifferent(USED_STREAMS);
  return { directory, store, streams, used, name: `${streamCount.toLocaleString('en-US')} streams` };
}

function loading(bench: Bench, { store, streams, used, name }: Filled, isWarm: boolean): Work<unknown> {
  return {
    name: `${name}${isWarm ? ', used before' : ', drawn from all'}`,
    count: bench.scaled(LOADS),
    prepare: (count) => {
      const drawn = isWarm
        ? Array.from({ length: count }, (_, at) => used[at % used.length] ?? 0)
        : streams.drawDifferent(count);
      return drawn.map((stream) => streams.nameOf(stream));
    },
    run(names) {
      for (const key of names as string[]) {
        const keys = [{ topic: EVENTS, key }];
        const { records } = store.readByKeys({ keys, direction: 'forwards', maxCount: 100, maxBytes: 1 << 20 });
        if (records.length !== EVENTS_EACH) throw new Error(`stream ${key} has ${records.length} events`);
      }
    },
  };
}

await question('load a short stream', async (bench) => {
  const few = await filled(bench, 1_000);
  const many = await filled(bench, bench.scaled(1_000_000));
  const [fewUsed, manyUsed, manyDrawn] = await bench.compare([
    loading(bench, few, true),
    loading(bench, many, true),
    loading(bench, many, false),
  ]);
  await many.store.close();
  const { directory } = many;
  const store = await MessageStore.open({ directory, indexCacheBytes: LARGE_CACHE_BYTES });
  const cached = { ...many, store, name: `${many.name}, index in memory` };
  const [fewAgain, cachedDrawn] = await bench.compare([
    { ...loading(bench, few, true), name: `${few.name}, used before, again` },
    loading(bench, cached, false),
  ]);
  await few.store.close();
  await store.close();
  for (const [what, figure, base] of [
    ['used before', manyUsed, fewUsed],
    ['drawn from all', manyDrawn, fewUsed],
    ['drawn from all, index in memory', cachedDrawn, fewAgain],
  ] as const) {
    const ratio = (figure?.bestCpuMicrosPerOperation ?? 0) / (base?.bestCpuMicrosPerOperation ?? 1);
    bench.target(`${what}: CPU of the best round, many streams : few, at most 1.3`, number(ratio), ratio <= 1.3);
  }
});
