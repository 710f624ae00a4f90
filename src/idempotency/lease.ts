/**
 * The lease of one running effect: renews itself while the effect runs, tells the effect by a signal when it is gone,
 * and ends by being completed or released. Owned by one `IdempotencyGuard.run`, which stops it in any case.
 */
import { type Clock, delay, type Timer } from '../base/clock.js';
import { isFoldlogError, messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { Claims, ClaimToken, StepOutcome } from './idempotencyTypes.js';

/** A lease is renewed this often before it would run out. */
const RENEWALS_PER_LEASE = 3;
/** Pause between two tries to record a finished effect while the claims are away. */
const COMPLETE_PAUSE_MILLIS = 250;

export interface LeaseOptions {
  claims: Claims;
  key: string;
  token: ClaimToken;
  leaseMillis: number;
  /** When the claim was asked for, on the monotonic clock. */
  claimedAt: number;
  /** Aborts the effect's signal too, and ends waiting for the claims. */
  outer: AbortSignal | undefined;
  clock: Clock;
  logger: Logger;
}

export class Lease {
  readonly #options: LeaseOptions;
  readonly #gone = new AbortController();
  readonly #timer: Timer;
  readonly #renewEveryMillis: number;
  /** When the last step that held the lease was asked for: it lasts at least `leaseMillis` from then. */
  #heldFrom: number;
  #isRenewing = false;

  constructor(options: LeaseOptions) {
    const { clock, leaseMillis, outer } = options;
    this.#options = options;
    this.#heldFrom = options.claimedAt;
    this.#renewEveryMillis = Math.floor(leaseMillis / RENEWALS_PER_LEASE);
    this.#timer = clock.every(this.#renewEveryMillis, () => this.#tick());
    if (outer?.aborted) this.#gone.abort(outer.reason);
    else outer?.addEventListener('abort', this.#onOuterAbort, { once: true });
  }

  /** Aborts when the lease is taken over or runs out, by {@link end}, and with the outer signal. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Tells the effect that it had better end. The lease is renewed as long as it does not. */
  end(reason: string): void {
    if (!this.#gone.signal.aborted) this.#gone.abort(new Error(reason));
  }

  /**
   * Records the effect as done. While the claims are away it tries again for as long as a lease lasts, when asked to
   * be patient: the effect has happened, and every delivery spared is one that may run it again.
   */
  async complete(
    ttlMillis: number,
    result: string | undefined,
    isPatient: boolean,
  ): Promise<StepOutcome | 'unavailable'> {
    const { claims, clock, key, token, leaseMillis, outer, logger } = this.#options;
    const giveUpAt = clock.monotonic() + leaseMillis;
    for (;;) {
      try {
        return await claims.complete(key, token, ttlMillis, result);
      } catch (thrown) {
        if (!isUnavailable(thrown)) throw thrown;
        logger.warn({ key, error: messageOf(thrown) }, 'an effect is done but cannot be recorded now');
      }
      if (!isPatient || outer?.aborted || clock.monotonic() >= giveUpAt) return 'unavailable';
      await delay(clock, Math.min(COMPLETE_PAUSE_MILLIS, this.#renewEveryMillis), outer);
    }
  }

  /** Gives the lease back after a failure. When that fails nothing is lost: it runs out by itself. */
  async release(): Promise<void> {
    const { claims, key, token, logger } = this.#options;
    this.stop();
    try {
      await claims.release(key, token);
    } catch (thrown) {
      logger.warn({ key, error: messageOf(thrown) }, 'a failed effect could not be released, its retry waits longer');
    }
  }

  /** Ends the renewals. */
  stop(): void {
    this.#timer.cancel();
    this.#options.outer?.removeEventListener('abort', this.#onOuterAbort);
  }

  readonly #onOuterAbort = () => this.#gone.abort(this.#options.outer?.reason);

  #tick(): void {
    const { clock, leaseMillis } = this.#options;
    if (clock.monotonic() - this.#heldFrom >= leaseMillis) this.end('the lease of the effect ran out');
    if (!this.#isRenewing) void this.#renew();
  }

  async #renew(): Promise<void> {
    const { claims, clock, key, token, leaseMillis, logger } = this.#options;
    const asked = clock.monotonic();
    this.#isRenewing = true;
    try {
      if ((await claims.renew(key, token, leaseMillis)) === 'ok') this.#heldFrom = asked;
      else this.end('another delivery took the effect over');
    } catch (thrown) {
      logger.warn({ key, error: messageOf(thrown) }, 'the lease of a running effect could not be renewed');
    } finally {
      this.#isRenewing = false;
    }
  }
}

/** Did the claims say that they cannot be reached? */
export function isUnavailable(thrown: unknown): boolean {
  return isFoldlogError(thrown) && thrown.code === 'GUARD_UNAVAILABLE';
}
