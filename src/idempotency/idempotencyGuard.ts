/**
 * Runs an effect at most once at a time, and never again once it was recorded done: claim, lease, done.
 *
 * Why not just INCR: a consumer that dies between counting a message and handling it would have used the message up;
 * the next delivery would find the count, take itself for a duplicate, and the effect would never happen. So the
 * count only numbers the begins. A begin holds a lease, which a running effect renews; when its process dies, the
 * lease runs out and the next delivery takes over. Only the done mark, written after the effect, makes later
 * deliveries duplicates.
 *
 * Between an effect's end and its done mark lies a window that no lease closes: a crash there runs the effect again.
 * An effect that lives in a transactional store belongs into one transaction with its own mark instead.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, delay, systemClock } from '../base/clock.js';
import { LifecycleError, messageOf, OptionsError } from '../base/errors.js';
import { type Logger, silentLogger } from '../base/logger.js';
import { type CopyPlace, DuplicatesMet } from './duplicatesMet.js';
import { assertEffect } from './effectKey.js';
import type { Claims, StepOutcome } from './idempotencyTypes.js';
import { isUnavailable, Lease } from './lease.js';
import { decodeResult, doneWithoutResult, encodeResult } from './storedResult.js';

export interface IdempotencyGuardOptions {
  claims: Claims;
  /** How long an effect may be silent before another delivery takes over. Default 30,000. */
  leaseMillis?: number;
  /** How long a done effect is remembered; more than two leases and than the retry horizon. Default 24 hours. */
  ttlMillis?: number;
  /** Guard unreachable: hold the message back, or run its effect unguarded. Default hold. */
  onUnavailable?: 'hold' | 'pass';
  /** Told of the duplicates; default: of this guard alone. */
  duplicates?: DuplicatesMet;
  clock?: Clock;
  logger?: Logger;
}

export interface GuardedRunOptions {
  /** Instead of the guard's, for this effect. */
  ttlMillis?: number;
  /** The consumer stops or lost the queue: handed on to the effect, and ends waiting for the guard. */
  signal?: AbortSignal;
  /** Of the delivery, for the report of duplicates. */
  place?: CopyPlace;
}

/**
 * - done: the effect ran and is recorded, with what it returned; `first` says that it had never been begun before.
 * - duplicate: it was done before; it did not run. With what it returned then, if that was kept.
 * - busy: another delivery runs it now. Deliver again later; not an attempt.
 * - lost: it ran, but another delivery had taken over in between. Deliver again later; not an attempt.
 * - unavailable: the guard cannot be reached. Deliver again later; not an attempt.
 */
export type GuardedOutcome<T = unknown> =
  | { status: 'done'; first: boolean; result: T }
  | { status: 'duplicate'; result: T | undefined }
  | { status: 'busy'; retryAfterMillis: number }
  | { status: 'lost'; retryAfterMillis: number }
  | { status: 'unavailable'; retryAfterMillis: number };

/** What the guard met, by group. */
export interface GuardCounters {
  done: number;
  duplicates: number;
  /** Effects that were begun before and not finished: run again after a take-over. */
  takeOvers: number;
  failures: number;
  busy: number;
  lost: number;
  unavailable: number;
}

/** Redelivery of a message ends after the delay levels 3 to 18: 4 hours 45 minutes 40 seconds. */
export const RETRY_HORIZON_MILLIS = (4 * 60 + 46) * 60_000;

/** How long a done effect is remembered by default. */
export const DEFAULT_TTL_MILLIS = 24 * 60 * 60_000;
const LEASE_MILLIS_MIN = 100;
/** Bounds of the pause before a message that had to wait is tried again. */
const RETRY_MILLIS_MIN = 50;
const RETRY_MILLIS_MAX = 1_000;
/** Groups beyond these are counted as one, named `…`. */
const GROUPS_MAX = 1_000;
const REST = '…';
/** How long {@link IdempotencyGuard.close} waits for the running effects; as long as a consumer that is stopped. */
const CLOSE_MILLIS = 5_000;

export class IdempotencyGuard {
  readonly #claims: Claims;
  readonly #leaseMillis: number;
  readonly #ttlMillis: number;
  readonly #onUnavailable: 'hold' | 'pass';
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #duplicates: DuplicatesMet;
  readonly #counters = new Map<string, GuardCounters>();
  /** Of the effects that run now. */
  readonly #leases = new Set<Lease>();
  /** Calls of `run` that have not answered. */
  #running = 0;
  #onIdle = () => {};
  #closing: Promise<void> | undefined;

  constructor(options: IdempotencyGuardOptions) {
    this.#claims = options.claims;
    this.#leaseMillis = options.leaseMillis ?? 30_000;
    this.#ttlMillis = options.ttlMillis ?? DEFAULT_TTL_MILLIS;
    this.#onUnavailable = options.onUnavailable ?? 'hold';
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#duplicates = options.duplicates ?? new DuplicatesMet({ clock: this.#clock, logger: this.#logger });
    if (!Number.isSafeInteger(this.#leaseMillis) || this.#leaseMillis < LEASE_MILLIS_MIN) {
      throw new OptionsError(
        `leaseMillis of the idempotency guard: ${this.#leaseMillis} is not a whole number from ${LEASE_MILLIS_MIN} on`,
      );
    }
    if (this.#onUnavailable !== 'hold' && this.#onUnavailable !== 'pass') {
      throw new OptionsError(`onUnavailable of the idempotency guard: 'hold' or 'pass', not ${this.#onUnavailable}`);
    }
    this.assertTtl(this.#ttlMillis);
  }

  /** Throws OPTIONS_INVALID when done effects would be forgotten while their messages may still be delivered again. */
  assertTtl(ttlMillis: number): void {
    const atLeast = Math.max(2 * this.#leaseMillis, RETRY_HORIZON_MILLIS);
    if (Number.isSafeInteger(ttlMillis) && ttlMillis > atLeast) return;
    throw new OptionsError(
      `ttlMillis of the idempotency guard: ${ttlMillis} must be a whole number above ${atLeast} (two leases, and the 4 h 46 min in which a message may be delivered again)`,
    );
  }

  /**
   * Runs the effect unless it was done before or runs elsewhere, and keeps what it returns (as JSON, see
   * `storedResult.ts`) for its duplicates. Rethrows what the effect throws. A result that cannot be kept is an
   * OptionsError after the effect was recorded done: it has happened, and does not happen again for that.
   */
  async run<T>(
    group: string,
    key: string,
    effect: (signal: AbortSignal) => T | Promise<T>,
    options: GuardedRunOptions = {},
  ): Promise<GuardedOutcome<T>> {
    assertEffect(group, key);
    if (options.ttlMillis !== undefined) this.assertTtl(options.ttlMillis);
    this.#assertOpen();
    this.#running += 1;
    try {
      return await this.#run(group, key, effect, options);
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#onIdle();
    }
  }

  async #run<T>(
    group: string,
    key: string,
    effect: (signal: AbortSignal) => T | Promise<T>,
    options: GuardedRunOptions,
  ): Promise<GuardedOutcome<T>> {
    const counters = this.#countersOf(group);
    const claimKey = `${group}:${key}`;
    const claimedAt = this.#clock.monotonic();
    let claimed: Awaited<ReturnType<Claims['claim']>>;
    try {
      claimed = await this.#claims.claim(claimKey, randomUUID(), this.#leaseMillis);
    } catch (thrown) {
      if (!isUnavailable(thrown)) throw thrown;
      counters.unavailable++;
      this.#logger.warn(
        { group, key, error: messageOf(thrown) },
        `idempotency guard unavailable: ${this.#onUnavailable}`,
      );
      if (this.#onUnavailable === 'hold') return { status: 'unavailable', retryAfterMillis: RETRY_MILLIS_MAX };
      this.#assertOpen();
      const result = await effect(options.signal ?? new AbortController().signal);
      return { status: 'done', first: false, result };
    }
    if (claimed.status === 'duplicate') {
      counters.duplicates++;
      this.#duplicates.met(group, key, options.place);
      return { status: 'duplicate', result: decodeResult(claimed.result) as T | undefined };
    }
    if (claimed.status === 'busy') {
      counters.busy++;
      return { status: 'busy', retryAfterMillis: pauseFor(claimed.leaseLeftMillis) };
    }
    const { token } = claimed;
    const lease = new Lease({
      claims: this.#claims,
      key: claimKey,
      token,
      leaseMillis: this.#leaseMillis,
      claimedAt,
      outer: options.signal,
      clock: this.#clock,
      logger: this.#logger,
    });
    if (this.#closing) {
      await lease.release();
      throw closed();
    }
    if (token.n > 1) counters.takeOvers++;
    this.#leases.add(lease);
    try {
      let result: T;
      try {
        result = await effect(lease.signal);
      } catch (thrown) {
        counters.failures++;
        await lease.release();
        throw thrown;
      }
      const ttlMillis = options.ttlMillis ?? this.#ttlMillis;
      const kept = keptOf(result, { group, key });
      const outcome = await lease.complete(ttlMillis, kept.text, this.#onUnavailable === 'hold');
      const settled = this.#settle(outcome, { first: token.n === 1, result }, counters);
      if (settled.status === 'done' && kept.refused !== undefined) throw doneWithoutResult(kept.refused);
      return settled;
    } finally {
      lease.stop();
      this.#leases.delete(lease);
    }
  }

  /** How many deliveries of the group were dropped because their effect had been done. */
  duplicatesMet(group: string): number {
    return this.#counters.get(group)?.duplicates ?? 0;
  }

  /** What was met since the guard was made, by group. */
  counters(): ReadonlyMap<string, Readonly<GuardCounters>> {
    return this.#counters;
  }

  /**
   * Begins nothing more, aborts the signals of the running effects, waits up to 5 seconds for them to end and to be
   * recorded, and closes the claims. An effect that ends later than that is not recorded, and happens again.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const lease of this.#leases) lease.end('the idempotency guard is being closed');
    if (this.#running > 0) {
      const idle = new AbortController();
      this.#onIdle = () => idle.abort();
      await delay(this.#clock, CLOSE_MILLIS, idle.signal);
    }
    if (this.#running > 0) {
      this.#logger.warn({ effects: this.#running }, 'effects still run while their guard is closed: not recorded');
    }
    await this.#claims.close();
  }

  #assertOpen(): void {
    if (this.#closing) throw closed();
  }

  #countersOf(named: string): GuardCounters {
    const group = this.#counters.has(named) || this.#counters.size < GROUPS_MAX ? named : REST;
    let counters = this.#counters.get(group);
    if (!counters) {
      counters = { done: 0, duplicates: 0, takeOvers: 0, failures: 0, busy: 0, lost: 0, unavailable: 0 };
      this.#counters.set(group, counters);
    }
    return counters;
  }

  #settle<T>(
    outcome: StepOutcome | 'unavailable',
    done: { first: boolean; result: T },
    counters: GuardCounters,
  ): GuardedOutcome<T> {
    if (outcome === 'lost') {
      counters.lost++;
      this.#logger.warn({}, 'an effect was taken over by another delivery before it was recorded done');
      return { status: 'lost', retryAfterMillis: RETRY_MILLIS_MAX };
    }
    if (outcome === 'unavailable') {
      counters.unavailable++;
      if (this.#onUnavailable === 'hold') return { status: 'unavailable', retryAfterMillis: RETRY_MILLIS_MAX };
    }
    counters.done++;
    return { status: 'done', ...done };
  }
}

function closed(): LifecycleError {
  return new LifecycleError('the idempotency guard is closed');
}

/** The result as text, or why there is none. */
function keptOf(result: unknown, of: { group: string; key: string }): { text: string | undefined; refused?: unknown } {
  try {
    return { text: encodeResult(result, of) };
  } catch (refused) {
    return { text: undefined, refused };
  }
}

function pauseFor(leaseLeftMillis: number): number {
  return Math.min(RETRY_MILLIS_MAX, Math.max(RETRY_MILLIS_MIN, leaseLeftMillis));
}
