/**
 * How long does the store take to start? After a clean stop and after a crash, with 1 GiB and with 10 GiB of log; and
 * after a crash with all marks lost, when the whole log has to be read. Each start is that of a fresh process; the log
 * is in the page cache as far as it fits. `--rounds` counts starts.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { MessageStore } from '../src/store/index.js';
import { type Bench, median, number, question } from './support/frame.js';
import { appendAll, messagesOf } from './support/messages.js';
import { crashInProcess, openInProcess } from './support/processes.js';

const GIB = 1024 ** 3;
const BODY_BYTES = 4096;
const STEP = 4_000;
/** What the process had appended when it was killed: 12 MiB. */
const TAIL_MESSAGES = 10_000;
const STARTS = 5;

async function fill(directory: string, logBytes: number): Promise<void> {
  const store = await MessageStore.open({ directory });
  const body = Buffer.alloc(BODY_BYTES, 'x');
  while (store.visibleEnd().commitLogOffset < logBytes) await appendAll(store, messagesOf(STEP, body), 64);
  await store.close();
}

function starts(bench: Bench, name: string, directory: string, before: () => void): number {
  const opened = Array.from({ length: bench.isQuick ? 1 : STARTS }, () => {
    before();
    return openInProcess(directory);
  });
  const millis = median(opened.map((one) => one.openMillis));
  const cpu = median(opened.map((one) => one.openCpuMillis));
  bench.fact(name, millis, 'ms', `CPU ${number(cpu)} ms`);
  return millis;
}

await question('start', async (bench) => {
  for (const gibibytes of bench.isQuick ? [0.1, 1] : [1, 10]) {
    const directory = bench.directories.make();
    await fill(directory, gibibytes * GIB);
    const size = `${gibibytes} GiB`;
    const clean = starts(bench, `after a clean stop, ${size}`, directory, () => {});
    const crash = starts(bench, `after a crash, ${size}`, directory, () => crashInProcess(directory, TAIL_MESSAGES));
    const { residentMebibytes } = openInProcess(directory);
    bench.fact(`memory after the start, ${size}`, residentMebibytes, 'MiB');
    const marks = path.join(directory, 'foldlog');
    const whole = starts(bench, `with all marks lost, ${size}`, directory, () => rmSync(marks, { recursive: true }));
    bench.fact(`the same, per GiB, ${size}`, whole / gibibytes, 'ms');
    bench.target(`start after a clean stop, ${size}: less than 1,000 ms`, `${number(clean)} ms`, clean < 1000);
    bench.target(`start after a crash, ${size}: less than 2,000 ms`, `${number(crash)} ms`, crash < 2000);
    bench.directories.remove(directory);
  }
});
