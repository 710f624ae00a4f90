/**
 * A store in a process of its own, for figures that belong to a process: time to open, memory. Prints one line of JSON.
 *
 *     tsx storeProcess.ts none                         the modules alone
 *     tsx storeProcess.ts open <directory>             opens, settles, closes
 *     tsx storeProcess.ts crash <directory> <count>    opens, appends, and is gone without a word
 */
import { setTimeout as wait } from 'node:timers/promises';
import { MessageStore } from '../../src/store/index.js';
import { appendAll, messagesOf } from './messages.js';

export interface Opened {
  openMillis: number;
  openCpuMillis: number;
  /** After the store was open for a while and garbage was collected. */
  residentMebibytes: number;
}

const SETTLE_MILLIS = 2_500;

const [mode = 'none', directory = '', count = '0'] = process.argv.slice(2);
const cpu = process.cpuUsage();
const start = performance.now();
const store = mode === 'none' ? undefined : await MessageStore.open({ directory });
const openMillis = performance.now() - start;
const { user, system } = process.cpuUsage(cpu);

if (mode === 'crash' && store) {
  await appendAll(store, messagesOf(Number(count), Buffer.alloc(1024, 'x')), 64);
  process.kill(process.pid, 'SIGKILL');
}
await wait(SETTLE_MILLIS);
globalThis.gc?.();
const residentMebibytes = process.memoryUsage.rss() / 1024 / 1024;
const opened: Opened = { openMillis, openCpuMillis: (user + system) / 1000, residentMebibytes };
process.stdout.write(`${JSON.stringify(opened)}\n`);
await store?.close();
