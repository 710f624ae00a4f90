/** An application on a store that lost an event and was repaired: its aggregate says so, everything else goes on. */
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { diskFiles } from '../../src/base/files.js';
import { silentLogger } from '../../src/base/logger.js';
import { startEmbedded } from '../../src/embedded/embedded.js';
import { ConsumeFromWhere, Consumer, Foldlog, On } from '../../src/index.js';
import { repairStore } from '../../src/store/offline/repair.js';
import { Order, OrderNoted } from '../support/orders.js';

const directory = `${os.tmpdir()}/foldlog-repaired-${randomUUID()}`;
const config = { maxHashSlotNum: 1000, maxIndexNum: 4000, mappedFileSizeCommitLog: 1024 * 1024 };
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function withApp<T>(handlers: (new () => object)[], act: (app: Foldlog) => Promise<T>): Promise<T> {
  const embedded = await startEmbedded({ store: directory, listen: true, config, namesrvPort: 0, brokerPort: 0 });
  try {
    const app = await Foldlog.start({
      namesrv: embedded.namesrvAddr,
      handlers: [Order, ...handlers],
      database: ':memory:',
      logger: silentLogger,
    });
    try {
      return await act(app);
    } finally {
      await app.stop();
    }
  } finally {
    await embedded.stop();
  }
}

const note = (text: string) => (order: Order) => order.note(text);

it.each([
  ['a byte of its body', 95, 1, /version 2 of stream order:1 in topic orders was lost/],
  ['all of it', 0, 200, /order:1 .*has a gap: version 2 is not|may have one of the keys/],
])('of which %s was damaged', async (_, at, length, message) => {
  const lost = await withApp([], async (app) => {
    const orders = app.aggregate(Order);
    await orders.execute('1', note('a'));
    const { position } = await orders.execute('1', note('b'));
    await orders.execute('1', note('c'));
    await orders.execute('2', note('d'));
    return position.commitLogOffset;
  });
  const file = diskFiles.open(path.join(directory, 'commitlog', '0'.repeat(20)), 'r+');
  file.write(Buffer.alloc(length), 0, length, lost + at);
  file.close();
  expect(await repairStore(directory)).toMatchObject({ status: 'REPAIRED', holes: [{ from: lost, mode: 'EXACT' }] });
  const heard: string[] = [];
  let isDone = () => {};
  const done = new Promise<void>((resolve) => {
    isDone = resolve;
  });
  @Consumer('orders', { group: 'listener', from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET })
  class Listener {
    @On(OrderNoted) noted({ note: text }: OrderNoted): void {
      heard.push(text);
      if (heard.length === 4) isDone();
    }
  }
  await withApp([Listener], async (app) => {
    const orders = app.aggregate(Order);
    await expect(orders.load('1')).rejects.toMatchObject({
      code: 'CORRUPTION',
      message: expect.stringMatching(message),
    });
    await expect(orders.execute('1', note('e'))).rejects.toMatchObject({ code: 'CORRUPTION' });
    expect(await orders.execute('2', note('f'))).toMatchObject({ version: 2 });
    await done;
    const { eventStore } = app;
    const readToItsEnd = async (events: AsyncIterable<unknown>) => {
      for await (const _ of events);
    };
    for (const events of [eventStore.readTopic('orders'), eventStore.readAll({ direction: 'backwards' })]) {
      await expect(readToItsEnd(events)).rejects.toMatchObject({ code: 'CORRUPTION' });
    }
    for (const selection of ['all', { topic: 'orders' }, { topic: 'orders', stream: 'order:1' }] as const) {
      await expect(readToItsEnd(eventStore.subscribe(selection))).rejects.toMatchObject({ code: 'CORRUPTION' });
    }
  });
  expect(heard.sort()).toEqual(['a', 'c', 'd', 'f']);
});
