/**
 * The contract of the idempotency guard: claim, renew, complete, release. Four kinds of claims keep it (Redis,
 * embedded SQLite, PostgreSQL, memory), and one suite runs on all of them.
 *
 * What holds: no effect that was recorded done is begun again while its record lives; two deliveries do not run at
 * once as long as the first renews its lease.
 */

/** Tells two runs of one effect apart: how often it was begun, and a random owner in case the counter was forgotten. */
export interface ClaimToken {
  /** Counts how often the effect was begun: 1 is a first delivery, more is a take-over. */
  n: number;
  owner: string;
}

export type ClaimOutcome =
  | { status: 'claimed'; token: ClaimToken }
  /** Done before: acknowledge without running. */
  | { status: 'duplicate'; result: string | undefined }
  /** Somebody else runs it now. Not an attempt: deliver again later. */
  | { status: 'busy'; leaseLeftMillis: number };

/** `lost`: somebody took over; handled like busy. */
export type StepOutcome = 'ok' | 'lost';

export interface Claims {
  /** A repeated claim by the same owner gets the same answer. Rejects with GUARD_UNAVAILABLE when the store cannot be reached. */
  claim(key: string, owner: string, leaseMillis: number): Promise<ClaimOutcome>;
  /** Records the effect as done, with an optional result, for `ttlMillis`. */
  complete(key: string, token: ClaimToken, ttlMillis: number, result?: string): Promise<StepOutcome>;
  renew(key: string, token: ClaimToken, leaseMillis: number): Promise<StepOutcome>;
  /** After a failure, so that a retry need not wait for the lease to run out. */
  release(key: string, token: ClaimToken): Promise<StepOutcome>;
  close(): Promise<void>;
}

/** How long claims remember by default how often an effect was begun: longer than any message is retried. */
export const COUNTER_TTL_MILLIS = 24 * 60 * 60 * 1000;
