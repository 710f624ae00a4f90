/** A guard that is closed while effects run: what has happened is recorded first, or would happen again. */
import { describe, expect, it } from 'vitest';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import { EmbeddedClaims } from '../../src/idempotency/embeddedClaims.js';
import { IdempotencyGuard } from '../../src/idempotency/idempotencyGuard.js';
import { MemoryClaims } from '../../src/idempotency/memoryClaims.js';
import { ManualClock } from '../support/manualClock.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Effects under way in a guard on an embedded database, which outlives it. */
async function setUp() {
  const clock = new ManualClock();
  const database = SqliteDatabase.open(':memory:');
  const open = () => new IdempotencyGuard({ claims: new EmbeddedClaims({ database, clock }), clock });
  return { clock, guard: open(), open };
}

describe('closing a guard', () => {
  it('tells the running effects, and waits until they are recorded done', async () => {
    const { guard, open } = await setUp();
    const [begun, ready] = [gate(), gate()];
    const aborted: string[] = [];
    const charge = guard.run('payments', 'one', async (signal) => {
      signal.addEventListener('abort', () => aborted.push((signal.reason as Error).message));
      begun.open();
      await ready.opened;
      return 'charged';
    });
    await begun.opened;
    let isClosed = false;
    const closing = guard.close().then(() => {
      isClosed = true;
    });
    await turn();
    expect(isClosed).toBe(false);
    expect(aborted).toEqual(['the idempotency guard is being closed']);
    ready.open();
    expect(await charge).toEqual({ status: 'done', first: true, result: 'charged' });
    await closing;
    expect(await open().run('payments', 'one', () => 'charged twice')).toEqual({
      status: 'duplicate',
      result: 'charged',
    });
  });

  it('waits for the release of an effect that fails, so that it can be tried again at once', async () => {
    const { guard, open } = await setUp();
    const begun = gate();
    const charge = guard.run('payments', 'one', (signal) => {
      begun.open();
      return new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(new Error('interrupted'))),
      );
    });
    const failed = expect(charge).rejects.toThrow('interrupted');
    await begun.opened;
    await guard.close();
    await failed;
    expect(await open().run('payments', 'one', () => 'charged')).toMatchObject({ status: 'done', first: false });
  });

  it('begins nothing more, and does not wait for ever', async () => {
    const { guard, clock } = await setUp();
    const begun = gate();
    void guard.run('payments', 'one', () => {
      begun.open();
      return new Promise(() => {});
    });
    await begun.opened;
    const closing = guard.close();
    expect(guard.close()).toBe(closing);
    const refused = guard.run('payments', 'two', () => 'charged');
    await expect(refused).rejects.toMatchObject({ code: 'LIFECYCLE', message: 'the idempotency guard is closed' });
    let isClosed = false;
    void closing.then(() => {
      isClosed = true;
    });
    clock.advance(4_999);
    await turn();
    expect(isClosed).toBe(false);
    clock.advance(1);
    await closing;
  });

  it('an effect whose claim is answered meanwhile does not begin', async () => {
    const claims = new MemoryClaims();
    const asked = gate();
    const answer = gate();
    const claim = claims.claim.bind(claims);
    claims.claim = async (...given) => {
      const outcome = await claim(...given);
      asked.open();
      await answer.opened;
      return outcome;
    };
    const guard = new IdempotencyGuard({ claims });
    let effects = 0;
    const charge = guard.run('payments', 'one', () => void effects++);
    const refused = expect(charge).rejects.toMatchObject({ code: 'LIFECYCLE' });
    await asked.opened;
    const closing = guard.close();
    answer.open();
    await refused;
    await closing;
    expect(effects).toBe(0);
  });
});
