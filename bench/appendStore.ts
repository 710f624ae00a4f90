/**
 * How fast does the store append? 128 B and 1 KiB, ASYNC_FLUSH and SYNC_FLUSH, 1 and 64 in flight, beside the machine's
 * own limits. Messages are built before the time begins: what is measured is the store alone, up to the answer.
 */
import { type FlushDiskType, MessageStore } from '../src/store/index.js';
import { type Bench, type Figure, number, question, type Work } from './support/frame.js';
import { bareGroupCommit, bareSyncLoop, CountedFiles, sequentialWrite } from './support/machine.js';
import { appendAll, messagesOf } from './support/messages.js';

/** What a record has beyond its body here: fixed part, topic, properties. */
const OVERHEAD_BYTES = 160;

interface Case {
  bodyBytes: number;
  flushDiskType: FlushDiskType;
  inFlight: number;
  count: number;
}

const CASES: readonly Case[] = [
  { bodyBytes: 128, flushDiskType: 'ASYNC_FLUSH', inFlight: 64, count: 200_000 },
  { bodyBytes: 1024, flushDiskType: 'ASYNC_FLUSH', inFlight: 64, count: 100_000 },
  { bodyBytes: 128, flushDiskType: 'ASYNC_FLUSH', inFlight: 1, count: 50_000 },
  { bodyBytes: 1024, flushDiskType: 'ASYNC_FLUSH', inFlight: 1, count: 50_000 },
  { bodyBytes: 128, flushDiskType: 'SYNC_FLUSH', inFlight: 64, count: 50_000 },
  { bodyBytes: 1024, flushDiskType: 'SYNC_FLUSH', inFlight: 64, count: 50_000 },
  { bodyBytes: 128, flushDiskType: 'SYNC_FLUSH', inFlight: 1, count: 2_000 },
  { bodyBytes: 1024, flushDiskType: 'SYNC_FLUSH', inFlight: 1, count: 2_000 },
];

async function appending(bench: Bench, one: Case): Promise<Work<unknown> & { perSync: () => number }> {
  const { bodyBytes, flushDiskType, inFlight } = one;
  const directory = bench.directories.make();
  const counted = new CountedFiles();
  const store = await MessageStore.open({ directory, flushDiskType, files: counted.files });
  const body = Buffer.alloc(bodyBytes, 'x');
  let appended = 0;
  let syncs = 0;
  const perSync = () => appended / Math.max(1, syncs);
  return {
    name: `${flushDiskType} ${bodyBytes} B, ${inFlight} in flight`,
    count: bench.scaled(one.count),
    bytesPerOperation: bodyBytes + OVERHEAD_BYTES,
    prepare: (count) => messagesOf(count, body),
    async run(messages) {
      const before = counted.syncCount;
      const all = messages as ReturnType<typeof messagesOf>;
      await appendAll(store, all, inFlight);
      appended += all.length;
      syncs += counted.syncCount - before;
    },
    async end() {
      await store.close();
      bench.directories.remove(directory);
    },
    perSync,
    ...(flushDiskType === 'SYNC_FLUSH' && { remark: () => `${number(perSync())} appends per fdatasync` }),
  };
}

await question('append to the store', async (bench) => {
  const directory = bench.directories.make();
  for (const bodyBytes of [128, 1024]) {
    const recordBytes = bodyBytes + OVERHEAD_BYTES;
    const cases = CASES.filter((one) => one.bodyBytes === bodyBytes);
    const works = await Promise.all(cases.map((one) => appending(bench, one)));
    const figures = await bench.compare([
      sequentialWrite(directory, recordBytes, bench.scaled(bodyBytes === 128 ? 200_000 : 100_000)),
      bareGroupCommit(directory, recordBytes, 64, bench.scaled(50_000)),
      bareSyncLoop(directory, recordBytes, bench.scaled(2_000)),
      ...works,
    ]);
    if (bodyBytes === 1024) judge(bench, figures, works.find((work) => work.name.startsWith('SYNC'))?.perSync() ?? 0);
  }
});

function judge(bench: Bench, figures: readonly Figure[], perSync: number): void {
  const [write] = figures;
  const store = figures.find((figure) => figure.name.startsWith('ASYNC') && figure.name.endsWith('64 in flight'));
  const wanted = Math.min(200_000, (write?.perSecond ?? 0) / 2);
  const reached = store?.perSecond ?? 0;
  bench.target(`1 KiB, ASYNC_FLUSH, 64 in flight: ${number(wanted)}/s`, `${number(reached)}/s`, reached >= wanted);
  bench.target('SYNC_FLUSH, 64 in flight: 20 appends per fdatasync', number(perSync), perSync >= 20);
}
