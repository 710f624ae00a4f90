/**
 * The database of an application, whichever it is: the embedded SQLite or a PostgreSQL. The two have one face but for
 * time (SQLite answers at once, PostgreSQL with promises) and dialect (`?` or `$1`); `kind` tells them apart.
 */
import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/logger.js';
import type { PostgresDatabase } from './postgresDatabase.js';
import type { SqliteDatabase } from './sqliteDatabase.js';

export type AppDatabase = SqliteDatabase | PostgresDatabase;

/** Opens what the text names: `postgres://…` or `postgresql://…`, else the path of a SQLite file, or `:memory:`. */
export async function openDatabase(text: string, parts: { clock?: Clock; logger?: Logger } = {}): Promise<AppDatabase> {
  if (isPostgresUrl(text)) {
    const { PostgresDatabase: Database } = await import('./postgresDatabase.js');
    return Database.connect(text, parts);
  }
  const { SqliteDatabase: Database } = await import('./sqliteDatabase.js');
  return Database.open(text, parts.clock ? { clock: parts.clock } : {});
}

export function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:/i.test(text);
}

/** A transaction on either. Work that returns no promise runs on SQLite without a turn of the event loop. */
export function transactionOn<T>(database: AppDatabase, work: (database: AppDatabase) => T | Promise<T>): Promise<T> {
  return database.kind === 'sqlite' ? database.transaction(work) : database.transaction(work);
}
