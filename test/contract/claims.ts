/**
 * What every kind of claims must keep, as one suite. A subject brings the claims, a way to let time pass, and, where
 * it has them, ways to lose its process and its server. Sequences of steps by several owners are compared with a
 * model of a few lines; what must hold whatever the model says is checked beside it: one owner at a time, and nothing
 * that was recorded done begins again.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ClaimOutcome,
  type Claims,
  type ClaimToken,
  COUNTER_TTL_MILLIS,
  type StepOutcome,
} from '../../src/idempotency/idempotencyTypes.js';

export interface ClaimsSubject {
  claims: Claims;
  /**
   * Lets at least so many milliseconds pass for the claims. Subjects whose time is real wait by asking, so sequences
   * with them are few and their times short.
   */
  pass(millis: number): Promise<void>;
  /** Loses the process: other claims on the same records. Absent where records die with the process. */
  reopen?(): Promise<Claims>;
  close(): Promise<void>;
}

export interface ClaimsContract {
  open(): Promise<ClaimsSubject>;
  /** One unit of time. Steps and leases are multiples of it. */
  unitMillis: number;
  /** Random sequences to run. */
  runs: number;
}

const OWNERS = ['ann', 'bob', 'cleo'] as const;
type Owner = (typeof OWNERS)[number];

const LEASE_UNITS = 3;
const TTL_UNITS = 10_000;

type Command =
  | { do: 'claim'; owner: Owner }
  | { do: 'complete' | 'renew' | 'release'; owner: Owner; repeat: boolean; isEarlier: boolean }
  | { do: 'pass'; units: number }
  | { do: 'crash' };

const commands = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('claim' as const), owner: fc.constantFrom(...OWNERS) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('complete' as const, 'renew' as const, 'renew' as const, 'release' as const),
        owner: fc.constantFrom(...OWNERS),
        repeat: fc.boolean(),
        isEarlier: fc.nat(3).map((one) => one === 0),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), units: fc.constantFrom(1, 2, 4) }) },
    { weight: 1, arbitrary: fc.constant({ do: 'crash' as const }) },
  ),
  { minLength: 1, maxLength: 25 },
);

/** The contract in a few lines; time in units. */
class Model {
  now = 0;
  n = 0;
  holder: { token: ClaimToken; until: number } | undefined;
  released: ClaimToken | undefined;
  done: { token: ClaimToken; result: string } | undefined;

  claim(owner: Owner): ClaimOutcome {
    if (this.done) return { status: 'duplicate', result: this.done.result };
    if (this.holder?.token.owner !== owner) {
      if (this.holder && this.holder.until > this.now) {
        return { status: 'busy', leaseLeftMillis: this.holder.until - this.now };
      }
      this.n++;
    }
    this.released = undefined;
    this.holder = { token: { n: this.n, owner }, until: this.now + LEASE_UNITS };
    return { status: 'claimed', token: this.holder.token };
  }

  #holds = (token: ClaimToken) => same(this.holder?.token, token);

  renew(token: ClaimToken): StepOutcome {
    if (same(this.done?.token, token)) return 'ok';
    if (!this.holder || !this.#holds(token)) return 'lost';
    this.holder.until = this.now + LEASE_UNITS;
    return 'ok';
  }

  complete(token: ClaimToken, result: string): StepOutcome {
    if (same(this.done?.token, token)) return 'ok';
    if (!this.#holds(token)) return 'lost';
    this.done = { token, result };
    this.holder = undefined;
    return 'ok';
  }

  release(token: ClaimToken): StepOutcome {
    if (same(this.released, token)) return 'ok';
    if (!this.#holds(token)) return 'lost';
    this.released = token;
    this.holder = undefined;
    return 'ok';
  }
}

const same = (a: ClaimToken | undefined, b: ClaimToken | undefined) =>
  a !== undefined && b !== undefined && a.n === b.n && a.owner === b.owner;

export function describeClaims(name: string, contract: ClaimsContract): void {
  const { unitMillis } = contract;
  const lease = LEASE_UNITS * unitMillis;
  const ttl = TTL_UNITS * unitMillis;

  describe(`claims: ${name}`, () => {
    let subject: ClaimsSubject;
    let keys = 0;
    const freshKey = () => `group:key ${++keys}{}%\0é`;

    beforeAll(async () => {
      subject = await contract.open();
    });
    afterAll(() => subject.close());

    const claimed = async (key: string, owner: string): Promise<ClaimToken> => {
      const outcome = await subject.claims.claim(key, owner, lease);
      if (outcome.status !== 'claimed') throw new Error(`expected a claim, got ${outcome.status}`);
      return outcome.token;
    };

    it('a first claim counts one, and its completion makes duplicates with the result', async () => {
      const key = freshKey();
      const token = await claimed(key, 'ann');
      expect(token).toEqual({ n: 1, owner: 'ann' });
      expect(await subject.claims.complete(key, token, ttl, 'sent as 77\0\n"é"')).toBe('ok');
      expect(await subject.claims.claim(key, 'bob', lease)).toEqual({
        status: 'duplicate',
        result: 'sent as 77\0\n"é"',
      });
      expect(await subject.claims.claim(key, 'ann', lease)).toMatchObject({ status: 'duplicate' });
    });

    it('no result and an empty result are different', async () => {
      const [without, empty] = [freshKey(), freshKey()];
      await subject.claims.complete(without, await claimed(without, 'ann'), ttl);
      await subject.claims.complete(empty, await claimed(empty, 'ann'), ttl, '');
      expect(await subject.claims.claim(without, 'bob', lease)).toEqual({ status: 'duplicate', result: undefined });
      expect(await subject.claims.claim(empty, 'bob', lease)).toEqual({ status: 'duplicate', result: '' });
    });

    it('a second owner is busy for at most the time left', async () => {
      const key = freshKey();
      await claimed(key, 'ann');
      const outcome = await subject.claims.claim(key, 'bob', lease);
      expect(outcome.status).toBe('busy');
      if (outcome.status !== 'busy') return;
      expect(outcome.leaseLeftMillis).toBeGreaterThan(0);
      expect(outcome.leaseLeftMillis).toBeLessThanOrEqual(lease);
    });

    it('repeated steps get the same answer', async () => {
      const key = freshKey();
      const token = await claimed(key, 'ann');
      expect(await claimed(key, 'ann')).toEqual(token);
      expect(await subject.claims.renew(key, token, lease)).toBe('ok');
      expect(await subject.claims.renew(key, token, lease)).toBe('ok');
      expect(await subject.claims.complete(key, token, ttl, 'one')).toBe('ok');
      expect(await subject.claims.complete(key, token, ttl, 'two')).toBe('ok');
      expect(await subject.claims.claim(key, 'bob', lease)).toEqual({ status: 'duplicate', result: 'one' });
    });

    it('a released effect is claimed at once, with the next number', async () => {
      const key = freshKey();
      const first = await claimed(key, 'ann');
      expect(await subject.claims.release(key, first)).toBe('ok');
      expect(await subject.claims.release(key, first)).toBe('ok');
      expect(await claimed(key, 'bob')).toEqual({ n: 2, owner: 'bob' });
      expect(await subject.claims.release(key, first)).toBe('lost');
      expect(await subject.claims.complete(key, first, ttl)).toBe('lost');
    });

    it('a lease that ran out is taken over, and its old owner has lost', async () => {
      const key = freshKey();
      const old = await claimed(key, 'ann');
      await subject.pass(lease);
      const next = await claimed(key, 'bob');
      expect(next).toEqual({ n: 2, owner: 'bob' });
      expect(await subject.claims.renew(key, old, lease)).toBe('lost');
      expect(await subject.claims.complete(key, old, ttl, 'old')).toBe('lost');
      expect(await subject.claims.release(key, old)).toBe('lost');
      expect(await subject.claims.complete(key, next, ttl, 'next')).toBe('ok');
      expect(await subject.claims.complete(key, old, ttl, 'old')).toBe('lost');
      expect(await subject.claims.claim(key, 'cleo', lease)).toEqual({ status: 'duplicate', result: 'next' });
    });

    it('a lease that ran out and was not taken over can still be completed', async () => {
      const key = freshKey();
      const token = await claimed(key, 'ann');
      await subject.pass(lease);
      expect(await subject.claims.complete(key, token, ttl)).toBe('ok');
      expect(await subject.claims.claim(key, 'bob', lease)).toMatchObject({ status: 'duplicate' });
    });

    it('an earlier token of the same owner has lost', async () => {
      const key = freshKey();
      const old = await claimed(key, 'ann');
      await subject.claims.release(key, old);
      const now = await claimed(key, 'ann');
      expect(now.n).toBe(2);
      expect(await subject.claims.renew(key, old, lease)).toBe('lost');
      expect(await subject.claims.release(key, old)).toBe('lost');
      expect(await subject.claims.complete(key, old, ttl)).toBe('lost');
      expect(await subject.claims.complete(key, now, ttl)).toBe('ok');
      expect(await subject.claims.complete(key, old, ttl)).toBe('lost');
    });

    it('the same number of another owner has lost, when the count was forgotten in between', async () => {
      const key = freshKey();
      const old = await claimed(key, 'ann');
      await subject.pass(Math.max(COUNTER_TTL_MILLIS, 2 * lease) + unitMillis);
      const now = await claimed(key, 'bob');
      expect([old.n, now.n]).toEqual([1, 1]);
      expect(await subject.claims.renew(key, old, lease)).toBe('lost');
      expect(await subject.claims.release(key, old)).toBe('lost');
      expect(await subject.claims.complete(key, old, ttl)).toBe('lost');
      expect(await subject.claims.complete(key, now, ttl)).toBe('ok');
    });

    it('a renewed lease lasts from the renewal on', async () => {
      const key = freshKey();
      const token = await claimed(key, 'ann');
      await subject.pass(unitMillis);
      expect(await subject.claims.renew(key, token, 1000 * lease)).toBe('ok');
      await subject.pass(lease);
      expect(await subject.claims.claim(key, 'bob', lease)).toMatchObject({ status: 'busy' });
    });

    it('a done effect is forgotten after its time to live, not before', async () => {
      const key = freshKey();
      await subject.claims.complete(key, await claimed(key, 'ann'), 4 * unitMillis);
      expect(await subject.claims.claim(key, 'bob', lease)).toMatchObject({ status: 'duplicate' });
      await subject.pass(5 * unitMillis);
      expect(await subject.claims.claim(key, 'bob', lease)).toMatchObject({ status: 'claimed' });
    });

    it('of many claims at once one wins, and keys do not touch each other', async () => {
      const key = freshKey();
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, (_, at) => subject.claims.claim(key, `owner-${at}`, lease)),
      );
      expect(outcomes.filter(({ status }) => status === 'claimed')).toHaveLength(1);
      expect(outcomes.filter(({ status }) => status === 'busy')).toHaveLength(49);
      // Keys that an escape might confuse.
      const alike = ['a', 'a\0', 'a%00', 'a%', 'a%25', 'a%2500', 'a}', '{a}'].map((one) => `${key}${one}`);
      const each = await Promise.all(alike.map((one, at) => subject.claims.claim(one, `owner-${at}`, lease)));
      expect(each.every(({ status }) => status === 'claimed')).toBe(true);
    });

    it('any sequence of steps, times and crashes answers as the model does', async () => {
      await fc.assert(
        fc.asyncProperty(commands, async (steps) => {
          const key = freshKey();
          const model = new Model();
          const tokens = new Map<Owner, ClaimToken[]>();
          for (const step of steps) await runStep(step, key, model, tokens);
        }),
        { numRuns: contract.runs },
      );
    });

    async function runStep(step: Command, key: string, model: Model, tokens: Map<Owner, ClaimToken[]>): Promise<void> {
      switch (step.do) {
        case 'crash':
          if (subject.reopen) subject.claims = await subject.reopen();
          return;
        case 'pass':
          model.now += step.units;
          return subject.pass(step.units * unitMillis);
        case 'claim': {
          const isDone = model.done !== undefined;
          const expected = model.claim(step.owner);
          const got = await subject.claims.claim(key, step.owner, lease);
          if (expected.status === 'busy') expect(got).toMatchObject({ status: 'busy' });
          else expect(got).toEqual(expected);
          if (isDone) expect(got.status).toBe('duplicate');
          if (got.status === 'claimed') tokens.set(step.owner, [...(tokens.get(step.owner) ?? []), got.token]);
          return;
        }
        default: {
          const token = tokens.get(step.owner)?.at(step.isEarlier ? 0 : -1);
          if (!token) return;
          for (let times = step.repeat ? 2 : 1; times > 0; times--) {
            if (step.do === 'complete') {
              const result = `by ${step.owner}`;
              expect(await subject.claims.complete(key, token, ttl, result)).toBe(model.complete(token, result));
            } else if (step.do === 'renew') {
              expect(await subject.claims.renew(key, token, lease)).toBe(model.renew(token));
            } else {
              expect(await subject.claims.release(key, token)).toBe(model.release(token));
            }
          }
        }
      }
    }
  });
}
