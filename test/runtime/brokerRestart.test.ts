/**
 * The broker goes away in the middle of appends and comes back on its directory and ports: each command is stored
 * exactly once, none is decided on a lost state, and consumers go on.
 */
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import os from 'node:os';
import { afterEach, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/logger.js';
import { type Embedded, startEmbedded } from '../../src/embedded/embedded.js';
import { ConsumeFromWhere, Consumer, Foldlog, type MessageContext, On } from '../../src/index.js';
import { Order, OrderNoted } from '../support/orders.js';

const directory = `${os.tmpdir()}/foldlog-restart-${randomUUID()}`;
const config = { maxHashSlotNum: 10_000, maxIndexNum: 40_000, mappedFileSizeCommitLog: 16 * 1024 * 1024 };
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const portOf = (address: string) => Number(address.split(':').at(-1));

it('every command is stored once over restarts of the broker', async () => {
  const heard: string[] = [];
  @Consumer('orders', { group: 'listener', from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET })
  class Listener {
    @On(OrderNoted) noted(_noted: OrderNoted, { eventId }: MessageContext): void {
      heard.push(eventId);
    }
  }
  const start = (ports: { namesrvPort: number; brokerPort: number }) =>
    startEmbedded({ store: directory, listen: true, config, ...ports });
  let embedded: Embedded = await start({ namesrvPort: 0, brokerPort: 0 });
  const { namesrvAddr, brokerAddr } = embedded;
  const ports = { namesrvPort: portOf(namesrvAddr), brokerPort: portOf(brokerAddr) };
  const app = await Foldlog.start({
    namesrv: namesrvAddr,
    handlers: [Order, Listener],
    database: ':memory:',
    logger: silentLogger,
  });
  try {
    const orders = app.aggregate(Order);
    let stored = 0;
    const write = async (stream: number) => {
      for (let at = 0; at < 40; at += 1) {
        const note = (order: Order) => order.note(String(order.notes.length));
        await orders.execute(String(stream), note, { commandId: `c${at}` });
        stored += 1;
      }
    };
    const writers = Promise.all(Array.from({ length: 8 }, (_, stream) => write(stream)));
    for (const mark of [60, 180]) {
      while (stored < mark) await new Promise((resolve) => setTimeout(resolve, 1));
      await embedded.stop();
      embedded = await start(ports);
    }
    await writers;
    for (let stream = 0; stream < 8; stream += 1) {
      const { notes } = await orders.load(String(stream));
      expect(notes).toEqual(Array.from({ length: 40 }, (_, index) => String(index)));
    }
    const giveUpAt = performance.now() + 15_000;
    while (heard.length < 320 && performance.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(new Set(heard).size).toBe(320);
    expect(heard).toHaveLength(320);
  } finally {
    await app.stop();
    await embedded.stop();
  }
});

it('an append whose broker stays away is of unknown outcome or was never sent, and says which', async () => {
  const embedded = await startEmbedded({ store: directory, listen: true, config, namesrvPort: 0, brokerPort: 0 });
  const app = await Foldlog.start({
    namesrv: embedded.namesrvAddr,
    handlers: [Order],
    repeatForMillis: 300,
    logger: silentLogger,
  });
  try {
    const orders = app.aggregate(Order);
    await orders.execute('1', (order) => order.place('c', 1));
    await embedded.stop();
    const failure = await orders.execute('1', (order) => order.note('x')).catch((thrown: unknown) => thrown);
    expect(['CONNECT_FAILED', 'OUTCOME_UNKNOWN', 'CONNECTION_CLOSED']).toContain((failure as { code: string }).code);
  } finally {
    await app.stop();
    await embedded.stop();
  }
});
