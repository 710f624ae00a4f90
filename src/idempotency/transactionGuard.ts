/**
 * Runs an effect inside a transaction of the application's database, together with its done mark: exactly once, also
 * when the process dies at any point. What the effect writes through the database that it is handed counts if and only
 * if the mark does. Nothing is leased; who comes while the transaction is under way is busy.
 *
 * What is no failure of the effect is not its attempt either: a database that is away, full or locked makes the
 * message wait; a transaction that fell victim to another one is begun anew at once. A connection that goes while it
 * commits leaves open whether it did; the next delivery finds the mark, or not.
 */
import { type Clock, systemClock } from '../base/clock.js';
import { isFoldlogError, messageOf, OptionsError } from '../base/errors.js';
import { type Logger, silentLogger } from '../base/logger.js';
import { isThenable } from '../base/thenable.js';
import { type AppDatabase, transactionOn } from '../database/appDatabase.js';
import type { PostgresDatabase } from '../database/postgresDatabase.js';
import { isLostToAnother } from '../database/postgresErrors.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import { type CopyPlace, DuplicatesMet } from './duplicatesMet.js';
import { assertEffect } from './effectKey.js';
import { DEFAULT_TTL_MILLIS, type GuardedOutcome, RETRY_HORIZON_MILLIS } from './idempotencyGuard.js';
import { decodeResult, encodeResult } from './storedResult.js';
import {
  keepOnPostgres,
  keepOnSqlite,
  type Mark,
  markOnPostgres,
  markOnSqlite,
  POSTGRES_MARK_TABLE,
  SQLITE_MARK_TABLE,
} from './transactionMarks.js';

export interface TransactionGuardOptions {
  /** It stays its owner's. */
  database: AppDatabase;
  /** How long a done effect is remembered; more than the retry horizon. Default 24 hours. */
  ttlMillis?: number;
  duplicates?: DuplicatesMet;
  clock?: Clock;
  logger?: Logger;
}

export interface TransactionRunOptions {
  ttlMillis?: number;
  signal?: AbortSignal;
  /** Of the delivery, for the report of duplicates. */
  place?: CopyPlace;
}

/** Takes the transaction's database; what it returns is kept with the mark. */
export type TransactionEffect<T> = (db: AppDatabase, signal: AbortSignal) => T | Promise<T>;

/** Times that a transaction is begun before its conflict with others makes the message wait. */
const TRIES_MAX = 10;
const BUSY_MILLIS = 200;
const AWAY_MILLIS = 1_000;
/** Errors are wrapped in others so often at most. */
const CAUSES_MAX = 5;

/** How far a run came: what fails before the effect, or after it for a while, is not its failure. */
interface Run<T> {
  mark: Mark;
  effect: TransactionEffect<T>;
  signal: AbortSignal;
  isBegun: boolean;
}

export class TransactionGuard {
  readonly #database: AppDatabase;
  readonly #ttlMillis: number;
  readonly #duplicates: DuplicatesMet;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #prepared: Promise<void> | undefined;

  constructor(options: TransactionGuardOptions) {
    this.#database = options.database;
    this.#ttlMillis = options.ttlMillis ?? DEFAULT_TTL_MILLIS;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#duplicates = options.duplicates ?? new DuplicatesMet({ clock: this.#clock, logger: this.#logger });
    this.assertTtl(this.#ttlMillis);
  }

  /** Throws OPTIONS_INVALID when done effects would be forgotten while their messages may still be delivered again. */
  assertTtl(ttlMillis: number): void {
    if (Number.isSafeInteger(ttlMillis) && ttlMillis > RETRY_HORIZON_MILLIS) return;
    throw new OptionsError(
      `ttl of an effect in a transaction: ${ttlMillis} must be a whole number above ${RETRY_HORIZON_MILLIS} (the 4 h 46 min in which a message may be delivered again)`,
    );
  }

  /** Makes the table of marks. Rejects with the database's error. */
  prepare(): Promise<void> {
    const { kind } = this.#database;
    const sql = kind === 'sqlite' ? SQLITE_MARK_TABLE : POSTGRES_MARK_TABLE;
    this.#prepared ??= this.#database.migrate([{ name: 'foldlog-marks-1', sql }]).catch((thrown: unknown) => {
      this.#prepared = undefined;
      throw thrown;
    });
    return this.#prepared;
  }

  /** Runs the effect unless it was done before. Rethrows what the effect throws, after the rollback. */
  async run<T>(
    group: string,
    key: string,
    effect: TransactionEffect<T>,
    options: TransactionRunOptions = {},
  ): Promise<GuardedOutcome<T>> {
    assertEffect(group, key);
    const { ttlMillis = this.#ttlMillis, signal = new AbortController().signal } = options;
    if (options.ttlMillis !== undefined) this.assertTtl(ttlMillis);
    const run: Run<T> = { mark: { group, key, ttlMillis }, effect, signal, isBegun: false };
    for (let attempt = 1; ; attempt++) {
      run.isBegun = false;
      try {
        await this.prepare();
        const outcome = await transactionOn<GuardedOutcome<T>>(this.#database, (db) =>
          db.kind === 'sqlite' ? this.#onSqlite(db, run) : this.#onPostgres(db, run),
        );
        if (outcome.status === 'duplicate') this.#duplicates.met(group, key, options.place);
        return outcome;
      } catch (thrown) {
        if (isLostToAnother(thrown) && attempt < TRIES_MAX && !signal.aborted) continue;
        if (run.isBegun && !isDatabaseAway(thrown)) throw thrown;
        this.#logger.warn({ group, key, error: messageOf(thrown) }, 'database of a guarded effect unavailable: hold');
        return { status: 'unavailable', retryAfterMillis: AWAY_MILLIS };
      }
    }
  }

  /** With an effect that is done at once all of it happens in one turn of the event loop. */
  #onSqlite<T>(db: SqliteDatabase, run: Run<T>): GuardedOutcome<T> | Promise<GuardedOutcome<T>> {
    const { mark, effect, signal } = run;
    const marked = markOnSqlite(db, mark, this.#clock.now());
    if (marked.status === 'duplicate') return { ...marked, result: decodeResult(marked.result) as T };
    const keep = (result: T): GuardedOutcome<T> => {
      const text = encodeResult(result, mark);
      if (text !== undefined) keepOnSqlite(db, mark, text);
      return { status: 'done', first: true, result };
    };
    run.isBegun = true;
    const result = effect(db, signal);
    return isThenable(result) ? Promise.resolve(result).then(keep) : keep(result);
  }

  async #onPostgres<T>(db: PostgresDatabase, run: Run<T>): Promise<GuardedOutcome<T>> {
    const { mark, effect, signal } = run;
    const ask = (sql: string, values: (string | number)[]) => db.all(sql, ...values);
    const marked = await markOnPostgres(ask, mark, { waits: false });
    if (marked.status === 'busy') return { status: 'busy', retryAfterMillis: BUSY_MILLIS };
    if (marked.status === 'duplicate') return { ...marked, result: decodeResult(marked.result) as T };
    run.isBegun = true;
    const result = await effect(db, signal);
    const text = encodeResult(result, mark);
    if (text !== undefined) await keepOnPostgres(ask, mark, text);
    return { status: 'done', first: true, result };
  }
}

/** Also when the effect met it and threw an error of its own about it. */
function isDatabaseAway(thrown: unknown): boolean {
  let error = thrown;
  for (let depth = 0; depth < CAUSES_MAX && error instanceof Error; depth++) {
    if (isFoldlogError(error)) {
      if (error.code === 'DISK_FULL') return true;
      if (error.code === 'DATABASE_FAILED' && error.retriable) return true;
    }
    error = error.cause;
  }
  return false;
}
