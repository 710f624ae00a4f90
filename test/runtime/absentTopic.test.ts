/** A consumer whose topic is not there at its start: it may be new, or an old one whose broker is away. */
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import os from 'node:os';
import { expect, it, onTestFinished } from 'vitest';
import { silentLogger } from '../../src/base/logger.js';
import { startEmbedded } from '../../src/embedded/embedded.js';
import { Consumer, event, Foldlog, On } from '../../src/index.js';
import { ManualClock } from '../support/manualClock.js';
import { OrderPlaced } from '../support/orders.js';

const SMALL = { mappedFileSizeCommitLog: 8 * 1024 * 1024, maxHashSlotNum: 1_000, maxIndexNum: 4_000 };
const logger = silentLogger;

function directory(): string {
  const made = `${os.tmpdir()}/foldlog-absent-${randomUUID()}`;
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const placed = (cents: number) => event(OrderPlaced, { customer: 'ann', cents });

it('a new group is not handed the history of a topic whose broker comes back after its start', async () => {
  const old = { store: directory(), config: { ...SMALL, brokerName: 'old' } };
  const clock = new ManualClock(Date.UTC(2026, 0, 1));
  const past = await Foldlog.start({ ...old, clock, handlers: [], events: [OrderPlaced], logger });
  await past.eventStore.append({ topic: 'orders', stream: 'order:1' }, [placed(1), placed(2)]);
  await past.stop();

  const handled: number[] = [];
  let resolve = () => {};
  const three = new Promise<void>((done) => {
    resolve = done;
  });
  @Consumer('orders', { group: 'mailer', idempotent: false })
  class Mailer {
    @On(OrderPlaced) placed({ cents }: OrderPlaced): void {
      handled.push(cents);
      if (cents === 3) resolve();
    }
  }
  const ports = { listen: true, namesrvPort: 0, brokerPort: 0 };
  const other = await startEmbedded({ ...ports, store: directory(), config: { ...SMALL, brokerName: 'other' } });
  const app = await Foldlog.start({ namesrv: other.namesrvAddr, handlers: [Mailer], logger });
  const back = await startEmbedded({ ...ports, ...old, config: { ...old.config, namesrvAddr: other.namesrvAddr } });
  try {
    await app.eventStore.append({ topic: 'orders', stream: 'order:1' }, [placed(3)]);
    await three;
    expect(handled).toEqual([3]);
  } finally {
    await app.stop();
    await back.stop();
    await other.stop();
  }
});
