/**
 * Done marks that are rows of the effect's own transaction: committed with it or not at all, so the effect counts
 * exactly once, without a lease.
 *
 *   foldlog_marks  (consumer_group, key) -> marked_at, expires_at, result (JSON)
 *
 * To mark is to insert; an insert that meets a row which has not expired is a duplicate. On PostgreSQL an insert that
 * meets the row of a transaction under way waits for its end, or, with a lock of the key that is tried first, is busy.
 * On SQLite transactions follow each other. Every mark removes up to two that have expired, so the table does not grow
 * beyond what its times to live ask for; not under `repeatable read` and above, where that could make others fail.
 */
import { createHash } from 'node:crypto';
import { FoldlogError } from '../base/errors.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import { databaseKeyOf } from './effectKey.js';

export interface Mark {
  group: string;
  key: string;
  ttlMillis: number;
}

export type MarkOutcome =
  | { status: 'first' }
  | { status: 'duplicate'; result: string | undefined }
  /** Another transaction, still under way, has it. */
  | { status: 'busy' };

/** Runs one statement of PostgreSQL in the transaction; answers its rows. */
export type AskPostgres = (sql: string, values: (string | number)[]) => Promise<unknown[]>;

/** Longest key that a row holds as it is: an index entry of PostgreSQL has 2,704 bytes, a character up to 3. */
const KEY_LENGTH_MAX = 600;
/** Expired marks that go with a new one. */
const SWEEP_ROWS = 2;
/** Times that a mark is tried whose row expires between the insert and the look at it. */
const TRIES_MAX = 3;
/** First half of the lock of a key, so that it is no lock of somebody else: `fold` in ASCII. */
const LOCK_SPACE = 0x666f6c64;

const tableOf = (time: string) => `
  CREATE TABLE IF NOT EXISTS foldlog_marks (
    consumer_group TEXT NOT NULL, key TEXT NOT NULL, marked_at ${time} NOT NULL, expires_at ${time} NOT NULL,
    result TEXT, PRIMARY KEY (consumer_group, key)
  );
  CREATE INDEX IF NOT EXISTS foldlog_marks_by_expiry ON foldlog_marks (expires_at);`;

export const SQLITE_MARK_TABLE = tableOf('INTEGER');
export const POSTGRES_MARK_TABLE = tableOf('TIMESTAMPTZ');

const WHEN_EXPIRED = `ON CONFLICT (consumer_group, key) DO UPDATE
  SET marked_at = excluded.marked_at, expires_at = excluded.expires_at, result = NULL`;

const SQLITE_SWEEP = `DELETE FROM foldlog_marks WHERE rowid IN (
  SELECT rowid FROM foldlog_marks WHERE expires_at <= ? ORDER BY expires_at LIMIT ${SWEEP_ROWS})`;
const SQLITE_INSERT = `INSERT INTO foldlog_marks (consumer_group, key, marked_at, expires_at) VALUES (?, ?, ?, ?)
  ${WHEN_EXPIRED} WHERE foldlog_marks.expires_at <= excluded.marked_at`;
const SQLITE_RESULT = 'SELECT result FROM foldlog_marks WHERE consumer_group = ? AND key = ?';
const SQLITE_KEEP = 'UPDATE foldlog_marks SET result = ? WHERE consumer_group = ? AND key = ?';

const NOW = 'statement_timestamp()';

/** $1 group, $2 key, $3 time to live in milliseconds; one row: it is the first. */
const postgresInsert = (condition: string) => `
WITH swept AS (
  DELETE FROM foldlog_marks WHERE ctid = ANY (ARRAY(
    SELECT o.ctid FROM foldlog_marks AS o
    WHERE o.expires_at <= ${NOW} AND (o.consumer_group, o.key) <> ($1::text, $2::text)
      AND current_setting('transaction_isolation') = 'read committed'
    ORDER BY o.expires_at LIMIT ${SWEEP_ROWS} FOR UPDATE SKIP LOCKED))
)
INSERT INTO foldlog_marks AS m (consumer_group, key, marked_at, expires_at)
SELECT $1::text, $2::text, ${NOW}, ${NOW} + $3::float8 * interval '1 millisecond' ${condition}
${WHEN_EXPIRED} WHERE m.expires_at <= excluded.marked_at
RETURNING 1 AS first`;

const POSTGRES_INSERT = postgresInsert('');
/** $4, $5: the lock of the key. */
const POSTGRES_INSERT_IF_FREE = postgresInsert('WHERE pg_try_advisory_xact_lock($4::int, $5::int)');
const POSTGRES_RESULT = `SELECT result FROM foldlog_marks
  WHERE consumer_group = $1 AND key = $2 AND expires_at > ${NOW}`;
const POSTGRES_KEEP = 'UPDATE foldlog_marks SET result = $3 WHERE consumer_group = $1 AND key = $2';

export function markOnSqlite(db: SqliteDatabase, { group, key, ttlMillis }: Mark, now: number): MarkOutcome {
  const name = [group, databaseKeyOf(key, KEY_LENGTH_MAX)] as const;
  db.run(SQLITE_SWEEP, now);
  if (db.run(SQLITE_INSERT, ...name, now, now + ttlMillis).changes === 1) return { status: 'first' };
  return { status: 'duplicate', result: resultOf(db.get(SQLITE_RESULT, ...name)) };
}

export function keepOnSqlite(db: SqliteDatabase, { group, key }: Mark, result: string): void {
  db.run(SQLITE_KEEP, result, group, databaseKeyOf(key, KEY_LENGTH_MAX));
}

/** `waits`: for the end of another transaction that has the key, instead of answering that it is busy. */
export async function markOnPostgres(
  ask: AskPostgres,
  mark: Mark,
  { waits }: { waits: boolean },
): Promise<MarkOutcome> {
  const { group, key, ttlMillis } = mark;
  const name = [group, databaseKeyOf(key, KEY_LENGTH_MAX)];
  for (let attempt = 1; ; attempt++) {
    const inserted = waits
      ? await ask(POSTGRES_INSERT, [...name, ttlMillis])
      : await ask(POSTGRES_INSERT_IF_FREE, [...name, ttlMillis, LOCK_SPACE, lockOf(group, key)]);
    if (inserted.length > 0) return { status: 'first' };
    const [found] = await ask(POSTGRES_RESULT, name);
    if (found) return { status: 'duplicate', result: resultOf(found) };
    if (!waits) return { status: 'busy' };
    if (attempt < TRIES_MAX) continue;
    throw new FoldlogError('DATABASE_FAILED', `the mark of effect ${key} of group ${group} comes and goes: try again`, {
      retriable: true,
    });
  }
}

export async function keepOnPostgres(ask: AskPostgres, { group, key }: Mark, result: string): Promise<void> {
  await ask(POSTGRES_KEEP, [group, databaseKeyOf(key, KEY_LENGTH_MAX), result]);
}

/** Two keys with the same lock only wait for each other. */
function lockOf(group: string, key: string): number {
  return createHash('sha256').update(`${group}:`).update(Buffer.from(key, 'utf16le')).digest().readInt32BE(0);
}

function resultOf(row: unknown): string | undefined {
  return (row as { result: string | null } | undefined)?.result ?? undefined;
}
