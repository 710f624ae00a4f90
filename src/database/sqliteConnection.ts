/**
 * One libsql connection: opens the file, keeps the prepared statements, and turns SQLite's errors into foldlog's.
 * The only file that imports libsql, and only when a database is opened (its binary is loaded then).
 *
 * Two habits of libsql 0.5 are kept away from callers here: `run` of a statement that returns rows leaves it
 * unfinished, after which the transaction cannot commit, so its rows are read to the end instead; and a single object
 * given to a statement is taken for named parameters, so values always go in as one list.
 */
import { createRequire } from 'node:module';
import type Libsql from 'libsql';
import { FoldlogError, LifecycleError, messageOf, OptionsError } from '../base/errors.js';
import { bindParameters, convertRow, type SqlParameter } from './sqliteValues.js';
import { excerptOf, inspectSql } from './sqlText.js';

/** Statements kept prepared per connection; preparing one costs ten times as much as running it. */
const STATEMENTS_MAX = 256;
/** How long one statement waits for another process's write, blocking. Longer waits are {@link SqliteDatabase}'s. */
const BUSY_TIMEOUT_MILLIS = 250;

interface Statement {
  prepared: Libsql.Statement;
  parameterCount: number;
  isReader: boolean;
  isReturning: boolean;
}

export interface SqliteConnectionOptions {
  /** Sync at every commit: survives power loss, not only the death of the process. */
  durable: boolean;
  /** Refuse to write. */
  isReadOnly: boolean;
}

export class SqliteConnection {
  readonly #file: string;
  readonly #handle: Libsql.Database;
  readonly #statements = new Map<string, Statement>();

  constructor(file: string, options: SqliteConnectionOptions) {
    this.#file = file;
    const Database = createRequire(import.meta.url)('libsql') as typeof Libsql;
    try {
      this.#handle = new Database(file, { timeout: BUSY_TIMEOUT_MILLIS });
    } catch (thrown) {
      throw new FoldlogError('DATABASE_FAILED', `cannot open database ${file}: is the path a writable file?`, {
        cause: thrown,
        file,
      });
    }
    try {
      this.all('PRAGMA journal_mode = WAL', []);
      this.all(`PRAGMA synchronous = ${options.durable ? 'FULL' : 'NORMAL'}`, []);
      this.all('PRAGMA foreign_keys = ON', []);
      if (options.isReadOnly) this.all('PRAGMA query_only = ON', []);
    } catch (thrown) {
      this.#handle.close();
      throw thrown;
    }
  }

  get isInTransaction(): boolean {
    return this.#handle.inTransaction;
  }

  run(sql: string, parameters: readonly SqlParameter[]): { changes: number } {
    const statement = this.#statement(sql, parameters);
    const bound = bindParameters(sql, parameters);
    try {
      if (!statement.isReader) return { changes: statement.prepared.run(bound).changes };
      const rows = statement.prepared.all(bound);
      return { changes: statement.isReturning ? rows.length : 0 };
    } catch (thrown) {
      throw this.#translate(thrown, sql);
    }
  }

  all<T>(sql: string, parameters: readonly SqlParameter[]): T[] {
    const statement = this.#statement(sql, parameters);
    const bound = bindParameters(sql, parameters);
    try {
      const rows = statement.prepared.all(bound) as T[];
      for (const row of rows) convertRow(row);
      return rows;
    } catch (thrown) {
      throw this.#translate(thrown, sql);
    }
  }

  exec(sql: string): void {
    try {
      this.#handle.exec(sql);
    } catch (thrown) {
      throw this.#translate(thrown, sql);
    }
  }

  /** Does this statement change rows and return them? */
  isReturning(sql: string): boolean {
    return this.#prepare(sql).isReturning;
  }

  close(): void {
    this.#statements.clear();
    this.#handle.close();
  }

  #statement(sql: string, parameters: readonly SqlParameter[]): Statement {
    const statement = this.#prepare(sql);
    if (statement.parameterCount !== parameters.length) {
      throw new OptionsError(
        `${parameters.length} values for the ${statement.parameterCount} parameters of ${excerptOf(sql)}`,
      );
    }
    return statement;
  }

  #prepare(sql: string): Statement {
    if (!this.#handle.open) throw new LifecycleError(`database ${this.#file} is closed`);
    const cached = this.#statements.get(sql);
    if (cached) {
      // Moved to the end: the first of the map is the one that was used longest ago.
      this.#statements.delete(sql);
      this.#statements.set(sql, cached);
      return cached;
    }
    const { parameterCount, isReturning } = inspectSql(sql);
    let prepared: Libsql.Statement;
    try {
      prepared = this.#handle.prepare(sql);
    } catch (thrown) {
      throw this.#translate(thrown, sql);
    }
    const statement = { prepared, parameterCount, isReturning, isReader: prepared.reader };
    for (const oldest of this.#statements.keys()) {
      if (this.#statements.size < STATEMENTS_MAX) break;
      this.#statements.delete(oldest);
    }
    this.#statements.set(sql, statement);
    return statement;
  }

  #translate(thrown: unknown, sql: string): FoldlogError {
    const sqlite = sqliteCodeOf(thrown);
    const details = { cause: thrown, file: this.#file, sql: excerptOf(sql), sqlite };
    const what = `${messageOf(thrown)}: ${excerptOf(sql)} (database ${this.#file})`;
    if (sqlite?.startsWith('SQLITE_FULL')) return new FoldlogError('DISK_FULL', what, details);
    if (sqlite?.startsWith('SQLITE_CORRUPT') || sqlite === 'SQLITE_NOTADB') {
      return new FoldlogError('CORRUPTION', what, details);
    }
    return new FoldlogError('DATABASE_FAILED', what, { ...details, retriable: isBusyCode(sqlite) });
  }
}

/** True when another connection or process held the database for too long: the same call may succeed later. */
export function isDatabaseBusy(thrown: unknown): boolean {
  return thrown instanceof FoldlogError && isBusyCode(thrown.details['sqlite']);
}

function isBusyCode(code: unknown): boolean {
  return typeof code === 'string' && (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'));
}

function sqliteCodeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}
