// A replay meets an event whose effect runs elsewhere at that moment: it waits for the guard, and passes nothing over.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Consumer, Foldlog, type MessageContext, On } from '../../src/index.js';
import type { AppSeams } from '../../src/runtime/appSeams.js';
import { Order, OrderPlaced } from '../support/orders.js';

let store: string;
beforeEach(() => {
  store = mkdtempSync(path.join(tmpdir(), 'foldlog-busy-'));
});
afterEach(() => rmSync(store, { recursive: true, force: true }));

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Tells when a claim met another one under way. */
function tellingBusy(onBusy: () => void): AppSeams {
  return {
    claims: (claims) => ({
      claim: async (...asked) => {
        const outcome = await claims.claim(...asked);
        if (outcome.status === 'busy') onBusy();
        return outcome;
      },
      complete: (...asked) => claims.complete(...asked),
      renew: (...asked) => claims.renew(...asked),
      release: (...asked) => claims.release(...asked),
      close: () => claims.close(),
    }),
  };
}

it.each([
  ['fails there', true, ['ann', 'bob', 'eve']],
  ['is done there', false, ['ann', 'eve']],
])('an event whose effect %s', async (_how, fails, expected) => {
  const handled: string[] = [];
  @Consumer('orders', { group: 'ledger', replay: 'run' })
  class Ledger {
    @On(OrderPlaced) placed({ customer }: OrderPlaced, { isReplay }: MessageContext): void {
      if (isReplay) handled.push(customer);
    }
  }
  const busy = gate();
  await using app = await Foldlog.start({ store, handlers: [Order] }, tellingBusy(busy.open));
  const ids: string[] = [];
  for (const customer of ['ann', 'bob', 'eve']) {
    const { events, position } = await app.aggregate(Order).execute(customer, (order) => order.place(customer, 5));
    expect(events).toHaveLength(1);
    for await (const { eventId } of app.eventStore.readAll({ from: position })) ids.push(eventId);
  }
  const running = gate();
  const elsewhere = app.guard.run('ledger', `r1/${ids[1]}`, async () => {
    running.open();
    await busy.opened;
    if (fails) throw new Error('elsewhere it failed');
  });
  const ended = elsewhere.then(
    ({ status }) => status,
    (error: Error) => error.message,
  );
  await running.opened;
  await app.replay({ consumer: Ledger, replayId: 'r1' });
  expect(await ended).toBe(fails ? 'elsewhere it failed' : 'done');
  expect(handled.sort()).toEqual(expected);
});
