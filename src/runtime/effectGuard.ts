/**
 * `app.guard`: the application's idempotency guard for effects that no handler begins, for instance those of an HTTP
 * request that a client may repeat. The same claims as for handlers; opened when it is first used.
 */
import type { GuardedOutcome, IdempotencyGuard } from '../idempotency/idempotencyGuard.js';

export interface GuardRunOptions {
  /** How long the effect is remembered, in milliseconds. Default: the guard's. */
  ttl?: number;
  /** Handed on to the effect; it aborts also when the lease is lost. */
  signal?: AbortSignal;
}

/** Runs effects at most once at a time, and never again once they were recorded done. */
export class EffectGuard {
  readonly #open: () => Promise<IdempotencyGuard>;

  /** Made by the application; `app.guard` is one. */
  constructor(open: () => Promise<IdempotencyGuard>) {
    this.#open = open;
  }

  /**
   * Runs the effect unless an effect of this group and key was done before; what it returns is kept as JSON of at most
   * 64 KiB and answered to duplicates. What the effect throws is rethrown, and it may be tried again.
   *
   * - `done`: it ran and is recorded. `duplicate`: it was done before; `result` is what it returned then.
   * - `busy`: it runs elsewhere. `lost`: it ran, for longer than its lease, and another took over. `unavailable`: the
   *   guard cannot be reached. Ask again after `retryAfterMillis`.
   *
   * @param key of a handler's effect it is the event id, or `method/key` for those with a key of their own
   * @throws OptionsError for a group or key that names nothing, and for a result that cannot be kept
   * @example const outcome = await app.guard.run('payments', requestId, () => charge(card, cents));
   */
  async run<T>(
    group: string,
    key: string,
    effect: (signal: AbortSignal) => T | Promise<T>,
    { ttl, signal }: GuardRunOptions = {},
  ): Promise<GuardedOutcome<T>> {
    const guard = await this.#open();
    const ttlMillis = ttl === undefined ? {} : { ttlMillis: ttl };
    return guard.run(group, key, effect, { ...ttlMillis, ...(signal ? { signal } : {}) });
  }
}
