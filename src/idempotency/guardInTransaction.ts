/**
 * The done mark for a transaction that the application began itself, in a database that is its own: the first caller
 * does the work, all later ones are told that it is done. The mark is committed or rolled back with the work; the table
 * (`transactionMarks.ts`) is made in the same transaction when it is not there.
 *
 * Outside of a transaction a mark would stand before its work was done: that is refused.
 */
import { type Clock, systemClock } from '../base/clock.js';
import { isFoldlogError, OptionsError } from '../base/errors.js';
import type { AppDatabase } from '../database/appDatabase.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import { assertEffect } from './effectKey.js';
import { DEFAULT_TTL_MILLIS } from './idempotencyGuard.js';
import { decodeResult, encodeResult } from './storedResult.js';
import {
  type AskPostgres,
  keepOnPostgres,
  keepOnSqlite,
  type Mark,
  markOnPostgres,
  markOnSqlite,
  POSTGRES_MARK_TABLE,
  SQLITE_MARK_TABLE,
} from './transactionMarks.js';

/** A client of `pg` (not a pool) between BEGIN and COMMIT; anything with this method. */
export interface PgTransactionClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

export interface GuardInTransactionOptions {
  /** Whose effect it is: the consumer group, or any name of letters, digits, _ and -. */
  group: string;
  /** What counts as the same effect, for instance `context.eventId`. */
  key: string;
  /** How long it is remembered, in milliseconds; longer than anything may be delivered again. Default 24 hours. */
  ttl?: number;
  clock?: Clock;
}

/**
 * - first: do the work in this transaction. `keepResult` stores what duplicates are to be told, as JSON.
 * - duplicate: it was done before; `result` is what was kept, if anything was.
 */
export type GuardInTransactionOutcome =
  | { status: 'first'; keepResult(result: unknown): Promise<void> }
  | { status: 'duplicate'; result: unknown };

/** Tells other transactions to wait while one makes the table: `foldmark` in ASCII. */
const TABLE_LOCK = 7_381_237_492_871_164_523n;

/**
 * Marks the effect as done in the transaction that is under way on the client. When another transaction has just marked
 * it, PostgreSQL waits for that one's end.
 *
 * @throws OptionsError for a wrong option and outside of a transaction; what the client throws
 * @example
 * await client.query('BEGIN');
 * const { status } = await guardInTransaction(client, { group: 'billing', key: context.eventId });
 * if (status === 'first') await client.query('INSERT INTO bills VALUES ($1, $2)', [context.stream, cents]);
 * await client.query('COMMIT');
 */
export async function guardInTransaction(
  client: PgTransactionClient | AppDatabase,
  options: GuardInTransactionOptions,
): Promise<GuardInTransactionOutcome> {
  const { group, key, ttl: ttlMillis = DEFAULT_TTL_MILLIS, clock = systemClock } = options;
  assertEffect(group, key);
  if (!Number.isSafeInteger(ttlMillis) || ttlMillis <= 0) {
    throw new OptionsError(`ttl of guardInTransaction: ${ttlMillis} must be whole milliseconds above 0`, {
      ttl: ttlMillis,
    });
  }
  const mark: Mark = { group, key, ttlMillis };
  if (!isAppDatabase(client)) return onPostgres(askClient(client), mark);
  if (!client.isInTransaction) throw outside();
  if (client.kind === 'sqlite') return onSqlite(client, mark, clock.now());
  return onPostgres((sql, values) => client.all(sql, ...values), mark);
}

function onSqlite(db: SqliteDatabase, mark: Mark, now: number): GuardInTransactionOutcome {
  if (!db.get("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'foldlog_marks'")) {
    db.exec(SQLITE_MARK_TABLE);
  }
  const marked = markOnSqlite(db, mark, now);
  if (marked.status === 'duplicate') return { ...marked, result: decodeResult(marked.result) };
  return {
    status: 'first',
    async keepResult(result) {
      const text = encodeResult(result, mark);
      if (text !== undefined) keepOnSqlite(db, mark, text);
    },
  };
}

async function onPostgres(ask: AskPostgres, mark: Mark): Promise<GuardInTransactionOutcome> {
  const [found] = await ask("SELECT to_regclass('foldlog_marks') IS NOT NULL AS made", []);
  if (!(found as { made: boolean }).made) {
    await ask(`SELECT pg_advisory_xact_lock(${TABLE_LOCK})`, []);
    for (const sql of POSTGRES_MARK_TABLE.split(';')) if (sql.trim() !== '') await ask(sql, []);
  }
  await assertInTransaction(ask);
  const marked = await markOnPostgres(ask, mark, { waits: true });
  if (marked.status === 'duplicate') return { ...marked, result: decodeResult(marked.result) };
  return {
    status: 'first',
    async keepResult(result) {
      const text = encodeResult(result, mark);
      if (text !== undefined) await keepOnPostgres(ask, mark, text);
    },
  };
}

/** PostgreSQL refuses LOCK TABLE outside of a transaction; inside it is the lock that the mark takes anyway. */
async function assertInTransaction(ask: AskPostgres): Promise<void> {
  try {
    await ask('LOCK TABLE foldlog_marks IN ROW EXCLUSIVE MODE', []);
  } catch (thrown) {
    if (sqlStateOf(thrown) === '25P01') throw outside();
    throw thrown;
  }
}

function isAppDatabase(client: PgTransactionClient | AppDatabase): client is AppDatabase {
  return typeof client === 'object' && client !== null && 'kind' in client;
}

function askClient(client: PgTransactionClient): AskPostgres {
  // A pool would run every statement on another connection.
  if (typeof client?.query !== 'function' || 'totalCount' in client) {
    throw new OptionsError(
      'guardInTransaction needs the client of a transaction: a connected pg client, or the database that transaction() hands to its work',
    );
  }
  return async (sql, values) => (await client.query(sql, values)).rows;
}

function sqlStateOf(thrown: unknown): unknown {
  return isFoldlogError(thrown) ? thrown.details['sqlState'] : (thrown as { code?: unknown } | null)?.code;
}

function outside(): OptionsError {
  return new OptionsError(
    'guardInTransaction was called outside of a transaction: its mark would stand before the work is done; begin one first',
  );
}
