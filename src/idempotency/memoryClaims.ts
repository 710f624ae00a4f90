/**
 * Claims in the memory of one process: for tests, and for effects that may be repeated after a restart. Keeps the
 * same contract as the durable ones while the process lives. At its bound it refuses (the message is held) rather
 * than forget a record that still counts.
 */
import { type Clock, systemClock } from '../base/clock.js';
import { FoldlogError, LifecycleError } from '../base/errors.js';
import { type ClaimRecord, claimStep, completeStep, releaseStep, renewStep, type Step } from './claimSteps.js';
import {
  type ClaimOutcome,
  type Claims,
  type ClaimToken,
  COUNTER_TTL_MILLIS,
  type StepOutcome,
} from './idempotencyTypes.js';

export interface MemoryClaimsOptions {
  clock?: Clock;
  /** Records kept at once. Default 1,000,000. */
  recordsMax?: number;
  /** How long the count of begins is remembered. Default 24 hours. */
  counterTtlMillis?: number;
}

export class MemoryClaims implements Claims {
  readonly #records = new Map<string, ClaimRecord>();
  readonly #clock: Clock;
  readonly #recordsMax: number;
  readonly #counterTtlMillis: number;
  #isClosed = false;

  constructor(options: MemoryClaimsOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#recordsMax = options.recordsMax ?? 1_000_000;
    this.#counterTtlMillis = options.counterTtlMillis ?? COUNTER_TTL_MILLIS;
  }

  async claim(key: string, owner: string, leaseMillis: number): Promise<ClaimOutcome> {
    const request = { owner, leaseMillis, counterTtlMillis: Math.max(this.#counterTtlMillis, 2 * leaseMillis) };
    return this.#step(key, (record, now) => claimStep(record, request, now));
  }

  async renew(key: string, token: ClaimToken, leaseMillis: number): Promise<StepOutcome> {
    const request = { leaseMillis, counterTtlMillis: Math.max(this.#counterTtlMillis, 2 * leaseMillis) };
    return this.#step(key, (record, now) => renewStep(record, token, request, now));
  }

  async complete(key: string, token: ClaimToken, ttlMillis: number, result?: string): Promise<StepOutcome> {
    return this.#step(key, (record, now) => completeStep(record, token, { ttlMillis, result }, now));
  }

  async release(key: string, token: ClaimToken): Promise<StepOutcome> {
    return this.#step(key, (record, now) => releaseStep(record, token, now));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#records.clear();
  }

  #step<Answer>(key: string, step: (record: ClaimRecord | undefined, now: number) => Step<Answer>): Answer {
    if (this.#isClosed) throw new LifecycleError('the claims are closed');
    const now = this.#clock.monotonic();
    const found = this.#records.get(key);
    const { record, answer } = step(found, now);
    if (record) {
      if (!found) this.#makeRoom(now);
      this.#records.set(key, record);
    }
    return answer;
  }

  /** Looks at a few of the oldest records with every new one, so that expired ones go without a pass over all. */
  #makeRoom(now: number): void {
    let looked = 0;
    for (const [key, record] of this.#records) {
      if (record.expiresAt <= now) this.#records.delete(key);
      else if (++looked === 2) break;
      else {
        // Still counts: to the end, so that the next look meets another one.
        this.#records.delete(key);
        this.#records.set(key, record);
      }
    }
    if (this.#records.size >= this.#recordsMax) {
      const message = `more than ${this.#recordsMax} idempotency records are kept in memory: use the embedded guard or Redis`;
      throw new FoldlogError('GUARD_UNAVAILABLE', message, { retriable: true });
    }
  }
}
