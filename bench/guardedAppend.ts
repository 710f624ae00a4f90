/**
 * What does a conditional append cost when the store holds 1,000 streams, and when it holds 1,000,000? By expected
 * version and by condition token, one event of 128 B at a time, 64 in flight. Warm: to streams that were used before,
 * 1,000 of them in either store; and to streams drawn at random from all, where most have to be looked up in the index.
 */
import type { GuardedAppend } from '../src/store/index.js';
import { MessageStore } from '../src/store/index.js';
import { type Bench, type Figure, number, question, type Work } from './support/frame.js';
import { appendGuardedAll, EVENTS, eventOf, nextAppendId } from './support/messages.js';
import { fillStreams, Streams } from './support/streams.js';

const BODY = Buffer.alloc(128, 'x');
const IN_FLIGHT = 64;
const APPENDS = 20_000;
const USED_STREAMS = 1_000;

interface Filled {
  store: MessageStore;
  streams: Streams;
  /** Streams that every round uses again. */
  used: readonly number[];
  name: string;
}

async function filled(bench: Bench, streamCount: number): Promise<Filled> {
  const store = await MessageStore.open({ directory: bench.directories.make() });
  const streams = new Streams(streamCount);
  await fillStreams(store, streams, BODY);
  const used = streams.drawDifferent(USED_STREAMS);
  return { store, streams, used, name: `${streamCount.toLocaleString('en-US')} streams` };
}

type AppendTo = (filled: Filled, stream: number) => GuardedAppend;

const byVersion: AppendTo = ({ store, streams }, stream) => {
  const name = streams.nameOf(stream);
  return {
    appendId: nextAppendId(),
    appendIdSince: store.visibleEnd(),
    events: [eventOf(name, BODY)],
    expectedVersions: [{ topic: EVENTS, stream: name, expected: streams.takeVersion(stream) }],
  };
};

const byToken: AppendTo = ({ store, streams }, stream) => {
  streams.takeVersion(stream);
  const name = streams.nameOf(stream);
  const end = store.visibleEnd();
  return {
    appendId: nextAppendId(),
    appendIdSince: end,
    events: [eventOf(name, BODY)],
    expectedVersions: [],
    condition: { keys: [{ topic: EVENTS, key: name }], end },
  };
};

function work(bench: Bench, what: string, at: Filled, appendTo: AppendTo, isWarm: boolean): Work<unknown> {
  const { store, streams, used, name } = at;
  return {
    name: `${what}, ${name}${isWarm ? ', used before' : ', drawn from all'}`,
    count: bench.scaled(APPENDS),
    prepare: (count) =>
      isWarm
        ? Array.from({ length: count }, (_, index) => used[index % used.length] ?? 0)
        : streams.drawDifferent(count),
    run: (drawn) => appendGuardedAll(store, drawn as number[], IN_FLIGHT, (stream) => appendTo(at, stream)),
  };
}

await question('conditional append with 1,000 and 1,000,000 streams', async (bench) => {
  const few = await filled(bench, 1_000);
  const many = await filled(bench, bench.scaled(1_000_000));
  const figures = await bench.compare([
    work(bench, 'version', few, byVersion, true),
    work(bench, 'version', many, byVersion, true),
    work(bench, 'version', many, byVersion, false),
    work(bench, 'token', few, byToken, true),
    work(bench, 'token', many, byToken, true),
    work(bench, 'token', many, byToken, false),
  ]);
  await few.store.close();
  await many.store.close();
  judge(bench, 'by version, used before', figures[0], figures[1]);
  judge(bench, 'by version, drawn from all', figures[0], figures[2]);
  judge(bench, 'by token, used before', figures[3], figures[4]);
  judge(bench, 'by token, drawn from all', figures[3], figures[5]);
});

function judge(bench: Bench, what: string, few: Figure | undefined, many: Figure | undefined): void {
  if (!few || !many) return;
  const ratio = many.bestCpuMicrosPerOperation / few.bestCpuMicrosPerOperation;
  bench.target(`${what}: CPU of the best round, many streams : few, at most 1.3`, number(ratio), ratio <= 1.3);
}
