/**
 * How fast does the store read a queue, 32 messages of 1 KiB a time? At the tail, out of memory; further back, out of
 * the page cache; and cold, from the device, beside a plain sequential read of the log in the same state.
 *
 * Cold: `dd oflag=nocache count=0` asks the system to drop a file's pages (posix_fadvise), which needs no rights. Where
 * there is no such dd the cold figures are left out and the table says so.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import path from 'node:path';
import { MessageStore } from '../src/store/index.js';
import { type Bench, question, type Work } from './support/frame.js';
import { appendAll, messagesOf } from './support/messages.js';

const BODY_BYTES = 1024;
const TOPIC = 'BenchRead';
const BATCH = 32;
const BATCH_BYTES = 1024 * 1024;
const READ_BYTES = 64 * 1024;
/** All in one queue: 600 MiB of log, forty times the tail cache. */
const MESSAGES = 500_000;
const TAIL_MESSAGES = 8_000;
const COLD_MESSAGES = 100_000;

async function fill(directory: string, count: number): Promise<void> {
  const store = await MessageStore.open({ directory });
  const body = Buffer.alloc(BODY_BYTES, 'x');
  for (let left = count; left > 0; left -= 20_000) {
    const messages = messagesOf(Math.min(left, 20_000), body, TOPIC);
    for (const message of messages) message.queueId = 0;
    await appendAll(store, messages, 64);
  }
  await store.close();
}

/** Reads `count` messages from `offset` on, 32 a time. */
function readFrom(store: MessageStore, offset: number, count: number): void {
  for (let done = 0; done < count; ) {
    const { records, status } = store.readQueue(TOPIC, 0, offset + done, BATCH, BATCH_BYTES);
    if (records.length === 0) throw new Error(`nothing at queue offset ${offset + done}: ${status}`);
    done += records.length;
  }
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** False when the system has no way. */
function dropFromPageCache(directory: string): boolean {
  return filesBelow(directory).every((file) => {
    const dropped = spawnSync('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], {
      stdio: 'ignore',
    });
    return dropped.status === 0;
  });
}

function coldRead(bench: Bench, directory: string): Work<unknown> {
  let store: MessageStore | undefined;
  return {
    name: `cold, ${BATCH} a time`,
    count: bench.scaled(COLD_MESSAGES),
    bytesPerOperation: BODY_BYTES,
    async prepare() {
      await store?.close();
      dropFromPageCache(directory);
      store = await MessageStore.open({ directory });
      return store;
    },
    run: (opened, count) => readFrom(opened as MessageStore, 0, count),
    end: () => store?.close(),
    remark: 'pages dropped before each round',
  };
}

function plainRead(bench: Bench, directory: string): Work<unknown> {
  const [file = ''] = filesBelow(path.join(directory, 'commitlog'));
  const count = bench.scaled(COLD_MESSAGES);
  const bytes = Buffer.allocUnsafeSlow(READ_BYTES);
  return {
    name: 'plain sequential read, cold',
    count,
    bytesPerOperation: BODY_BYTES,
    prepare: () => void dropFromPageCache(directory),
    run() {
      const descriptor = openSync(file, 'r');
      for (let position = 0; position < count * BODY_BYTES; position += READ_BYTES) {
        readSync(descriptor, bytes, 0, READ_BYTES, position);
      }
      closeSync(descriptor);
    },
    remark: '64 KiB a call: the limit of a cold read',
  };
}

await question('read a queue', async (bench) => {
  const count = bench.scaled(MESSAGES);
  const directory = bench.directories.make();
  await fill(directory, count);
  const store = await MessageStore.open({ directory });
  const tail = messagesOf(TAIL_MESSAGES, Buffer.alloc(BODY_BYTES, 'x'), TOPIC);
  for (const message of tail) message.queueId = 0;
  await appendAll(store, tail, 64);
  const reads = bench.scaled(COLD_MESSAGES);
  await bench.compare([
    {
      name: `tail, ${BATCH} a time`,
      count: TAIL_MESSAGES,
      bytesPerOperation: BODY_BYTES,
      run: (_, total) => readFrom(store, count, total),
      remark: 'out of the tail cache',
    },
    {
      name: `further back, ${BATCH} a time`,
      count: reads,
      bytesPerOperation: BODY_BYTES,
      run: (_, total) => readFrom(store, 0, total),
      remark: 'out of the page cache',
    },
  ]);
  await store.close();
  if (dropFromPageCache(directory)) await bench.compare([plainRead(bench, directory), coldRead(bench, directory)]);
  else bench.fact('cold reads', 0, 'measured', 'this system has no dd with oflag=nocache');
});
