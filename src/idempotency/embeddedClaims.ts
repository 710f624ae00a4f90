/**
 * Claims in the application's embedded SQLite database: they survive the death of the process, and power loss when
 * the database was opened `durable`. One row per key in table `foldlog_claims`.
 *
 * The steps that are asked for in one turn of the event loop share one transaction; an answer leaves after its
 * commit. Time is the machine's, from the clock that is handed in: leases must outlive restarts.
 */
import { type Clock, systemClock } from '../base/clock.js';
import { FoldlogError, LifecycleError, messageOf } from '../base/errors.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import { type ClaimRecord, claimStep, completeStep, releaseStep, renewStep, type Step } from './claimSteps.js';
import { hashedKeyOf, holdsHalfPair } from './effectKey.js';
import {
  type ClaimOutcome,
  type Claims,
  type ClaimToken,
  COUNTER_TTL_MILLIS,
  type StepOutcome,
} from './idempotencyTypes.js';

export interface EmbeddedClaimsOptions {
  database: SqliteDatabase;
  clock?: Clock;
  /** How long the count of begins is remembered. Default 24 hours. */
  counterTtlMillis?: number;
}

/** Steps that may wait for their transaction. */
const WAITING_MAX = 100_000;
/** Steps per transaction: bounds how long one keeps the event loop. */
const BATCH_MAX = 500;
/** Forgotten rows are removed at most this often, and so many at a time. */
const PRUNE_PERIOD_MILLIS = 10_000;
const PRUNE_ROWS = 1_000;

const MIGRATIONS = [
  {
    name: 'foldlog-claims-1',
    sql: `CREATE TABLE foldlog_claims (
            key TEXT PRIMARY KEY, n INTEGER NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL,
            lease_until INTEGER NOT NULL, expires_at INTEGER NOT NULL, result TEXT
          ) WITHOUT ROWID;
          CREATE INDEX foldlog_claims_by_expiry ON foldlog_claims (expires_at);`,
  },
];

const READ = `SELECT n, owner, state, lease_until AS leaseUntil, expires_at AS expiresAt, result
              FROM foldlog_claims WHERE key = ?`;
const WRITE = 'INSERT OR REPLACE INTO foldlog_claims VALUES (?, ?, ?, ?, ?, ?, ?)';
const PRUNE = 'DELETE FROM foldlog_claims WHERE key IN (SELECT key FROM foldlog_claims WHERE expires_at <= ? LIMIT ?)';

type StoredRecord = Omit<ClaimRecord, 'result'> & { result: string | null };

interface WaitingStep {
  /** Runs in the transaction; returns what to do after its commit. */
  run(database: SqliteDatabase, now: number): () => void;
  fail(error: unknown): void;
}

export class EmbeddedClaims implements Claims {
  readonly #database: SqliteDatabase;
  readonly #clock: Clock;
  readonly #counterTtlMillis: number;
  #waiting: WaitingStep[] = [];
  #flushing: Promise<void> | undefined;
  #migrated: Promise<void> | undefined;
  #prunedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: EmbeddedClaimsOptions) {
    this.#database = options.database;
    this.#clock = options.clock ?? systemClock;
    this.#counterTtlMillis = options.counterTtlMillis ?? COUNTER_TTL_MILLIS;
  }

  claim(key: string, owner: string, leaseMillis: number): Promise<ClaimOutcome> {
    const request = { owner, leaseMillis, counterTtlMillis: Math.max(this.#counterTtlMillis, 2 * leaseMillis) };
    return this.#step(key, (record, now) => claimStep(record, request, now));
  }

  renew(key: string, token: ClaimToken, leaseMillis: number): Promise<StepOutcome> {
    const request = { leaseMillis, counterTtlMillis: Math.max(this.#counterTtlMillis, 2 * leaseMillis) };
    return this.#step(key, (record, now) => renewStep(record, token, request, now));
  }

  complete(key: string, token: ClaimToken, ttlMillis: number, result?: string): Promise<StepOutcome> {
    return this.#step(key, (record, now) => completeStep(record, token, { ttlMillis, result }, now));
  }

  release(key: string, token: ClaimToken): Promise<StepOutcome> {
    return this.#step(key, (record, now) => releaseStep(record, token, now));
  }

  /** Waits for the steps under way. The database stays open: it is its owner's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#flushing;
  }

  #step<Answer>(key: string, step: (record: ClaimRecord | undefined, now: number) => Step<Answer>): Promise<Answer> {
    if (this.#isClosed) return Promise.reject(new LifecycleError('the claims are closed'));
    if (this.#waiting.length >= WAITING_MAX) {
      return Promise.reject(unavailable(`more than ${WAITING_MAX} steps wait for the embedded idempotency guard`));
    }
    const row = rowKeyOf(key);
    return new Promise<Answer>((resolve, reject) => {
      const run = (database: SqliteDatabase, now: number) => {
        const { record, answer } = step(read(database, row), now);
        if (record) write(database, row, record);
        return () => resolve(answer);
      };
      this.#waiting.push({ run, fail: reject });
      this.#flushing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      // At the end of the turn: everything that it asks for goes into the same transaction.
      await new Promise((resolve) => setImmediate(resolve));
      const batch = this.#waiting.splice(0, BATCH_MAX);
      try {
        this.#migrated ??= this.#database.migrate(MIGRATIONS);
        await this.#migrated;
        const answers = await this.#database.transaction((database) => this.#runBatch(database, batch));
        for (const answer of answers) answer();
      } catch (thrown) {
        this.#migrated = undefined;
        const error = unavailable(`the embedded idempotency guard failed: ${messageOf(thrown)}`, thrown);
        for (const step of batch) step.fail(error);
      }
    }
    this.#flushing = undefined;
  }

  #runBatch(database: SqliteDatabase, batch: readonly WaitingStep[]): (() => void)[] {
    const now = this.#clock.now();
    const answers = batch.map((step) => step.run(database, now));
    if (now - this.#prunedAt >= PRUNE_PERIOD_MILLIS || now < this.#prunedAt) {
      const { changes } = database.run(PRUNE, now, PRUNE_ROWS);
      // A full hand means that there is more: go on with the next batch.
      if (changes < PRUNE_ROWS) this.#prunedAt = now;
    }
    return answers;
  }
}

function read(database: SqliteDatabase, row: string): ClaimRecord | undefined {
  const stored = database.get<StoredRecord>(READ, row);
  return stored && { ...stored, result: stored.result === null ? undefined : (JSON.parse(stored.result) as string) };
}

function write(database: SqliteDatabase, row: string, record: ClaimRecord): void {
  const { n, owner, state, leaseUntil, expiresAt } = record;
  // As JSON, which has no NUL characters: SQLite would end the text there.
  const result = record.result === undefined ? null : JSON.stringify(record.result);
  database.run(WRITE, row, n, owner, state, leaseUntil, expiresAt, result);
}

/** The key without NUL characters and halves of surrogate pairs, and still different for different keys. */
function rowKeyOf(key: string): string {
  if (holdsHalfPair(key)) return hashedKeyOf(key);
  return key.includes('%') || key.includes('\0') ? key.replaceAll('%', '%25').replaceAll('\0', '%00') : key;
}

function unavailable(message: string, cause?: unknown): FoldlogError {
  return new FoldlogError('GUARD_UNAVAILABLE', message, { cause, retriable: true });
}
