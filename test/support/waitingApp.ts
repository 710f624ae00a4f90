/**
 * An application that only waits: nothing but itself keeps its process alive, and what it waits for comes by a timer that
 * does not count. Run by `test/runtime/processLife.test.ts`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { event, Foldlog } from '../../src/index.js';
import { Order, OrderPlaced } from './orders.js';

const store = mkdtempSync(path.join(tmpdir(), 'foldlog-waiting-'));
const app = await Foldlog.start({ store, handlers: [Order] });
const { eventStore } = app;
setTimeout(() => {
  void eventStore.append({ topic: 'orders', stream: 'order:1' }, [event(OrderPlaced, { customer: 'ann', cents: 5 })]);
}, 100).unref();
for await (const { type } of eventStore.subscribe({ topic: 'orders' })) {
  process.stdout.write(`${type}\n`);
  break;
}
await app.stop();
rmSync(store, { recursive: true });
process.stdout.write('stopped\n');
