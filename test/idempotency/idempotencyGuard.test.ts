import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FoldlogError } from '../../src/base/errors.js';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import { EmbeddedClaims } from '../../src/idempotency/embeddedClaims.js';
import { IdempotencyGuard, RETRY_HORIZON_MILLIS } from '../../src/idempotency/idempotencyGuard.js';
import type { Claims } from '../../src/idempotency/idempotencyTypes.js';
import { MemoryClaims } from '../../src/idempotency/memoryClaims.js';
import { ManualClock } from '../support/manualClock.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);

/** Claims whose way to the store can be cut, and cut after the step was executed. */
class Line implements Claims {
  down: 'before' | 'after' | undefined;
  renewals = 0;

  constructor(private readonly inner: Claims) {}

  async #through<T>(step: () => Promise<T>): Promise<T> {
    if (this.down === 'before') throw new FoldlogError('GUARD_UNAVAILABLE', 'the line is cut', { retriable: true });
    const answer = await step();
    if (this.down) throw new FoldlogError('GUARD_UNAVAILABLE', 'the line was cut', { retriable: true });
    return answer;
  }

  claim: Claims['claim'] = (...given) => this.#through(() => this.inner.claim(...given));
  complete: Claims['complete'] = (...given) => this.#through(() => this.inner.complete(...given));
  release: Claims['release'] = (...given) => this.#through(() => this.inner.release(...given));
  renew: Claims['renew'] = (...given) => {
    this.renewals++;
    return this.#through(() => this.inner.renew(...given));
  };
  close = () => this.inner.close();
}

function setUp(options: { onUnavailable?: 'hold' | 'pass'; leaseMillis?: number } = {}) {
  const clock = new ManualClock();
  const claims = new Line(new MemoryClaims({ clock }));
  return { clock, claims, guard: new IdempotencyGuard({ claims, clock, ...options }) };
}

/** Lets everything that waits for nothing but promises run. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function gate<T = void>() {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

describe('a guarded effect', () => {
  it('runs once, and later deliveries are duplicates with its result', async () => {
    const { guard } = setUp();
    let effects = 0;
    const run = () =>
      guard.run('mail', 'event-1', async () => {
        effects++;
        return 'message 77';
      });
    expect(await run()).toEqual({ status: 'done', first: true, result: 'message 77' });
    expect(await run()).toEqual({ status: 'duplicate', result: 'message 77' });
    expect(effects).toBe(1);
    expect(guard.duplicatesMet('mail')).toBe(1);
    expect(guard.duplicatesMet('other')).toBe(0);
  });

  it('of another group or key is another one', async () => {
    const { guard } = setUp();
    const effects: string[] = [];
    for (const [group, key] of [
      ['mail', '1'],
      ['mail', '2'],
      ['bill', '1'],
    ] as const) {
      await guard.run(group, key, async () => void effects.push(`${group} ${key}`));
    }
    expect(effects).toEqual(['mail 1', 'mail 2', 'bill 1']);
  });

  it('that throws is released at once, and its retry is not the first', async () => {
    const { guard } = setUp();
    const failing = guard.run('mail', '1', async () => {
      throw new Error('smtp is down');
    });
    await expect(failing).rejects.toThrow('smtp is down');
    expect(await guard.run('mail', '1', async () => {})).toEqual({ status: 'done', first: false });
    expect(guard.counters().get('mail')).toMatchObject({ done: 1, failures: 1, takeOvers: 1, duplicates: 0 });
  });

  it('that throws before it returns a promise is released too', async () => {
    const { guard } = setUp();
    const failing = guard.run('mail', '1', () => {
      throw new Error('at once');
    });
    await expect(failing).rejects.toThrow('at once');
    expect(await guard.run('mail', '1', async () => {})).toEqual({ status: 'done', first: false });
  });

  it('keeps others out for as long as it runs, however long, by renewing', async () => {
    const { guard, clock, claims } = setUp();
    const effect = gate();
    const first = guard.run('mail', '1', () => effect.opened);
    await settled();
    for (let minutes = 0; minutes < 10; minutes++) {
      await clock.advanceInSteps(60_000, 5_000);
      expect(await guard.run('mail', '1', async () => {})).toEqual({ status: 'busy', retryAfterMillis: 1000 });
    }
    effect.open();
    expect(await first).toEqual({ status: 'done', first: true });
    expect(claims.renewals).toBe(60);
    expect(clock.pendingCount).toBe(0);
  });

  it('whose process died is taken over when its lease has run out', async () => {
    const clock = new ManualClock();
    const claims = new MemoryClaims({ clock });
    await claims.claim('mail:1', 'died with this', 30_000);
    const guard = new IdempotencyGuard({ claims, clock });
    clock.advance(29_990);
    expect(await guard.run('mail', '1', async () => {})).toEqual({ status: 'busy', retryAfterMillis: 50 });
    clock.advance(10);
    expect(await guard.run('mail', '1', async () => {})).toEqual({ status: 'done', first: false });
  });

  it('is told when its lease is taken over, and has lost', async () => {
    const { guard, clock, claims } = setUp();
    const effect = gate();
    let reason: unknown;
    const slow = guard.run('mail', '1', async (signal) => {
      signal.addEventListener('abort', () => {
        reason = (signal.reason as Error).message;
      });
      await effect.opened;
    });
    await settled();
    claims.down = 'before';
    await clock.advanceInSteps(30_000, 5_000);
    expect(reason).toBe('the lease of the effect ran out');
    claims.down = undefined;
    const other = guard.run('mail', '1', async () => 'by the other');
    expect(await other).toEqual({ status: 'done', first: false, result: 'by the other' });
    effect.open();
    expect(await slow).toEqual({ status: 'lost', retryAfterMillis: 1000 });
    expect(await guard.run('mail', '1', async () => {})).toEqual({ status: 'duplicate', result: 'by the other' });
  });

  it('hears when its consumer stops', async () => {
    const { guard, clock } = setUp();
    const consumer = new AbortController();
    const run = guard.run(
      'mail',
      '1',
      (signal) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
      { signal: consumer.signal },
    );
    await settled();
    consumer.abort(new Error('the consumer stops'));
    expect(await run).toEqual({ status: 'done', first: true });
    expect(clock.pendingCount).toBe(0);
  });
});

describe('a guard that cannot be reached', () => {
  it('holds the message back by default', async () => {
    const { guard, claims } = setUp();
    let effects = 0;
    claims.down = 'before';
    expect(await guard.run('mail', '1', async () => void effects++)).toEqual({
      status: 'unavailable',
      retryAfterMillis: 1000,
    });
    expect(effects).toBe(0);
    claims.down = undefined;
    expect(await guard.run('mail', '1', async () => void effects++)).toEqual({ status: 'done', first: true });
    expect(effects).toBe(1);
  });

  it('lets the effect run unguarded when it is told to pass', async () => {
    const { guard, claims } = setUp({ onUnavailable: 'pass' });
    let effects = 0;
    claims.down = 'before';
    expect(await guard.run('mail', '1', async () => void effects++)).toEqual({ status: 'done', first: false });
    expect(effects).toBe(1);
    await expect(
      guard.run('mail', '2', async () => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
  });

  it('when the effect is done is asked again until it is recorded', async () => {
    const { guard, clock, claims } = setUp();
    const run = guard.run('mail', '1', async () => {
      claims.down = 'before';
    });
    await settled();
    await clock.advanceInSteps(10_000, 250);
    claims.down = undefined;
    await clock.advanceInSteps(500, 250);
    expect(await run).toEqual({ status: 'done', first: true });
    expect(await guard.run('mail', '1', async () => {})).toMatchObject({ status: 'duplicate' });
  });

  it('when the effect is done, and for longer than a lease, makes the message wait', async () => {
    const { guard, clock, claims } = setUp();
    const run = guard.run('mail', '1', async () => {
      claims.down = 'before';
    });
    await settled();
    await clock.advanceInSteps(31_000, 250);
    expect(await run).toEqual({ status: 'unavailable', retryAfterMillis: 1000 });
    expect(clock.pendingCount).toBe(0);
  });

  it('of which only the answer was lost has recorded all the same', async () => {
    const { guard, clock, claims } = setUp();
    const run = guard.run('mail', '1', async () => {
      claims.down = 'after';
      return 'sent';
    });
    await settled();
    claims.down = undefined;
    await clock.advanceInSteps(500, 250);
    expect(await run).toEqual({ status: 'done', first: true, result: 'sent' });
    expect(await guard.run('mail', '1', async () => {})).toEqual({ status: 'duplicate', result: 'sent' });
  });

  it('at the release of a failed effect: the error of the effect is what is thrown', async () => {
    const { guard, clock, claims } = setUp();
    const failing = guard.run('mail', '1', async () => {
      claims.down = 'before';
      throw new Error('smtp is down');
    });
    await expect(failing).rejects.toThrow('smtp is down');
    claims.down = undefined;
    expect(await guard.run('mail', '1', async () => {})).toMatchObject({ status: 'busy' });
    clock.advance(30_000);
    expect(await guard.run('mail', '1', async () => {})).toEqual({ status: 'done', first: false });
  });

  it('does not hide other failures of its store', async () => {
    const { guard, claims } = setUp();
    await claims.close();
    await expect(guard.run('mail', '1', async () => {})).rejects.toMatchObject({ code: 'LIFECYCLE' });
  });
});

describe('options of the guard', () => {
  const guardWith = (options: object) => () => new IdempotencyGuard({ claims: new MemoryClaims(), ...options });

  it.each([
    [{ ttlMillis: RETRY_HORIZON_MILLIS }, /must be a whole number above 17160000/],
    [{ ttlMillis: 20_000_000, leaseMillis: 10_000_000 }, /above 20000000/],
    [{ ttlMillis: Number.NaN }, /must be a whole number/],
    [{ leaseMillis: 99 }, /leaseMillis.*99/],
    [{ onUnavailable: 'explode' }, /'hold' or 'pass', not explode/],
  ])('%j is refused', (options, message) => {
    expect(guardWith(options)).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringMatching(message) }),
    );
  });

  it('a time to live of one effect is checked as well', async () => {
    const { guard, clock } = setUp();
    await expect(guard.run('mail', '1', async () => {}, { ttlMillis: 1000 })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
    });
    await guard.run('mail', '1', async () => {}, { ttlMillis: RETRY_HORIZON_MILLIS + 1 });
    clock.advance(RETRY_HORIZON_MILLIS);
    expect(await guard.run('mail', '1', async () => {})).toMatchObject({ status: 'duplicate' });
    clock.advance(1);
    expect(await guard.run('mail', '1', async () => {})).toMatchObject({ status: 'done' });
  });
});

describe('crashes at any point', () => {
  it('never lose an effect, and never begin one again that was recorded done (I7)', async () => {
    // A process does some of: claim, effect, complete - and dies in between. Deliveries repeat until acknowledged.
    const deaths = fc.array(fc.constantFrom('after claim', 'after effect', 'after complete', 'never' as const), {
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(deaths, async (plan) => {
        const clock = new ManualClock();
        const claims = new MemoryClaims({ clock });
        let effects = 0;
        let begun = 0;
        let isRecorded = false;
        for (const [at, death] of plan.entries()) {
          const claimed = await claims.claim('mail:1', `process-${at}`, 30_000);
          if (claimed.status !== 'claimed') {
            expect(isRecorded).toBe(true);
            continue;
          }
          expect(isRecorded).toBe(false);
          if (death !== 'after claim') {
            effects++;
            begun++;
          }
          if (death === 'after complete' || death === 'never') {
            expect(await claims.complete('mail:1', claimed.token, RETRY_HORIZON_MILLIS + 1)).toBe('ok');
            isRecorded = true;
          }
          clock.advance(30_000);
        }
        const guard = new IdempotencyGuard({ claims, clock });
        const last = await guard.run('mail', '1', async () => void effects++);
        expect(last.status).toBe(isRecorded ? 'duplicate' : 'done');
        expect(effects).toBe(begun + (isRecorded ? 0 : 1));
      }),
      { numRuns: RUNS },
    );
  });
});

describe('the embedded guard', () => {
  it('drops duplicates of effects of a process that has ended', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-guard-'));
    const file = path.join(directory, 'app.db');
    const effects: string[] = [];
    for (let start = 0; start < 2; start++) {
      const database = SqliteDatabase.open(file);
      const guard = new IdempotencyGuard({ claims: new EmbeddedClaims({ database }) });
      const keys = Array.from({ length: 100 }, (_, at) => `event-${at}`);
      const outcomes = await Promise.all(keys.map((key) => guard.run('mail', key, async () => void effects.push(key))));
      expect(outcomes.every(({ status }) => status === (start === 0 ? 'done' : 'duplicate'))).toBe(true);
      expect(guard.duplicatesMet('mail')).toBe(start === 0 ? 0 : 100);
      await guard.close();
      await database.close();
    }
    expect(effects).toHaveLength(100);
    rmSync(directory, { recursive: true, force: true });
  });
});
