/**
 * What memory does a store take when nothing happens? With 1,000 topics of 8 queues each, and against the size of its
 * log. Resident memory of a fresh process, after a collection of garbage; the code alone stands beside it (with the
 * loader for TypeScript, which an installed foldlog does not have).
 */
import { MessageStore } from '../src/store/index.js';
import { number, question } from './support/frame.js';
import { appendAll, messagesOf } from './support/messages.js';
import { openInProcess } from './support/processes.js';

const TOPICS = 1_000;
const QUEUES = 8;
const MIB = 1024 * 1024;
const BODY_BYTES = 4096;

async function fillQueues(directory: string, topics: number): Promise<void> {
  const store = await MessageStore.open({ directory });
  const body = Buffer.alloc(100, 'x');
  for (let topic = 0; topic < topics; topic += 1) {
    await appendAll(store, messagesOf(QUEUES, body, `Topic${topic}`), QUEUES);
  }
  await store.close();
}

async function fillLog(directory: string, logBytes: number): Promise<void> {
  const store = await MessageStore.open({ directory });
  const body = Buffer.alloc(BODY_BYTES, 'x');
  while (store.visibleEnd().commitLogOffset < logBytes) await appendAll(store, messagesOf(2_000, body), 64);
  await store.close();
}

await question('memory when idle', async (bench) => {
  const code = openInProcess().residentMebibytes;
  bench.fact('the code alone', code, 'MiB');
  const topics = bench.scaled(TOPICS);
  const directory = bench.directories.make();
  await fillQueues(directory, topics);
  const many = openInProcess(directory);
  bench.fact(
    `${topics} topics x ${QUEUES} queues`,
    many.residentMebibytes,
    'MiB',
    `${number(many.openMillis)} ms to open`,
  );
  bench.directories.remove(directory);
  for (const mebibytes of bench.isQuick ? [16, 128] : [16, 256, 2048]) {
    const log = bench.directories.make();
    await fillLog(log, mebibytes * MIB);
    bench.fact(`a log of ${mebibytes} MiB`, openInProcess(log).residentMebibytes, 'MiB');
    bench.directories.remove(log);
  }
  const reached = many.residentMebibytes;
  bench.target('1,000 topics x 8 queues: less than 150 MiB', `${number(reached)} MiB`, reached < 150);
});
