/**
 * The embedded SQLite database of an application: projections, their checkpoints and the embedded idempotency guard
 * live in it. One connection, write-ahead log, every transaction serialised through a queue.
 *
 * Invariant: what two callers write never mixes. While a transaction waits for something (its work is asynchronous),
 * the statements of others do not fall into it: their reads see the last committed state (through a second, read-only
 * connection; only `:memory:` has none), their writes are refused with a LifecycleError, their transactions wait.
 * The work's own statements go through the database that it is handed.
 */
import { type Clock, delay, systemClock } from '../base/clock.js';
import { FoldlogError, LifecycleError, OptionsError } from '../base/errors.js';
import { diskFiles, type Files, parentOf } from '../base/files.js';
import { isThenable } from '../base/thenable.js';
import { isDatabaseBusy, SqliteConnection } from './sqliteConnection.js';
import type { SqlParameter } from './sqliteValues.js';

export interface SqliteDatabaseOptions {
  /** Survive power loss too (a sync per commit), not only the death of the process. Default false. */
  durable?: boolean;
  /** How long a transaction waits for another process's. Default 10,000. */
  busyTimeoutMillis?: number;
  files?: Files;
  clock?: Clock;
}

/** A change of the schema that is made once; the name says which. */
export interface Migration {
  name: string;
  /** One or more statements. */
  sql: string;
}

/** Transactions that may wait for their turn. */
const WAITING_MAX = 10_000;
/** Pause between two tries for the write lock that another process holds. */
const BUSY_PAUSE_MILLIS = 20;

interface WaitingTransaction {
  begin(): void | Promise<void>;
  fail(error: unknown): void;
}

/** What the database and the scopes of its transactions share. */
interface Shared {
  file: string;
  connection: SqliteConnection;
  /** Reads of others while a transaction is under way. */
  reader: SqliteConnection | undefined;
  durable: boolean;
  busyTimeoutMillis: number;
  clock: Clock;
  /** The database that the transaction under way was handed. */
  scope: SqliteDatabase | undefined;
  /** True during the synchronous part of its work, when nobody else can be calling. */
  isInWork: boolean;
  waiting: WaitingTransaction[];
  isDraining: boolean;
  draining: Promise<void> | undefined;
  closing: Promise<void> | undefined;
}

export class SqliteDatabase {
  /** Tells it from a PostgresDatabase. */
  readonly kind = 'sqlite';
  readonly #shared: Shared;
  readonly #isScope: boolean;

  private constructor(shared: Shared, isScope: boolean) {
    this.#shared = shared;
    this.#isScope = isScope;
  }

  /** Opens or creates the file, and its directory. Throws OPTIONS_INVALID, DATABASE_FAILED or CORRUPTION. */
  static open(file: string, options: SqliteDatabaseOptions = {}): SqliteDatabase {
    if (/^postgres(ql)?:/i.test(file)) {
      throw new OptionsError('database: postgres:// is not the path of a SQLite file; PostgresDatabase connects to it');
    }
    if (file === '' || (file !== ':memory:' && /^[a-z][a-z0-9+.-]+:/i.test(file))) {
      throw new OptionsError(`database: ${JSON.stringify(file)} is not the path of a SQLite file`);
    }
    if (file !== ':memory:') (options.files ?? diskFiles).makeDirectory(parentOf(file));
    const durable = options.durable ?? false;
    return new SqliteDatabase(
      {
        file,
        connection: new SqliteConnection(file, { durable, isReadOnly: false }),
        reader: undefined,
        durable,
        busyTimeoutMillis: options.busyTimeoutMillis ?? 10_000,
        clock: options.clock ?? systemClock,
        scope: undefined,
        isInWork: false,
        waiting: [],
        isDraining: false,
        draining: undefined,
        closing: undefined,
      },
      false,
    );
  }

  /** Path of the file, or `:memory:`. */
  get file(): string {
    return this.#shared.file;
  }

  /** Does what is asked of it now belong to a transaction? */
  get isInTransaction(): boolean {
    const { scope, isInWork } = this.#shared;
    return this.#isScope ? scope === this : isInWork;
  }

  /** Runs one statement; `changes` counts the rows that it inserted, updated or deleted. */
  run(sql: string, ...parameters: SqlParameter[]): { changes: number } {
    return this.#writer().run(sql, parameters);
  }

  /** The first row, or undefined. */
  get<T = Record<string, unknown>>(sql: string, ...parameters: SqlParameter[]): T | undefined {
    return this.#readerFor(sql).all<T>(sql, parameters)[0];
  }

  all<T = Record<string, unknown>>(sql: string, ...parameters: SqlParameter[]): T[] {
    return this.#readerFor(sql).all<T>(sql, parameters);
  }

  /** Runs one or more statements without parameters. */
  exec(sql: string): void {
    this.#writer().exec(sql);
  }

  /**
   * Runs the work in a transaction of its own, after those that wait already; commits when it returns or resolves,
   * rolls back when it throws or rejects. After its first `await` the work must use the database that it is handed.
   * Transactions do not nest.
   */
  transaction<T>(work: (database: SqliteDatabase) => T | Promise<T>): Promise<T> {
    const shared = this.#shared;
    if (this.#isScope || shared.isInWork) {
      return Promise.reject(new LifecycleError('transactions do not nest: use the database that was handed in'));
    }
    if (shared.closing) return Promise.reject(this.#closedError());
    if (shared.waiting.length >= WAITING_MAX) {
      const message = `more than ${WAITING_MAX} transactions wait for database ${shared.file}`;
      return Promise.reject(new FoldlogError('TOO_BUSY', message, { retriable: true }));
    }
    return new Promise<T>((resolve, reject) => {
      shared.waiting.push({ begin: () => this.#begin(work, resolve, reject), fail: reject });
      if (!shared.isDraining) shared.draining = this.#drain();
    });
  }

  /** Applies those of the migrations that were not applied yet, in the order given, in one transaction. */
  async migrate(migrations: readonly Migration[]): Promise<void> {
    await this.transaction((database) => {
      database.exec(
        'CREATE TABLE IF NOT EXISTS foldlog_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) WITHOUT ROWID',
      );
      for (const { name, sql } of migrations) {
        if (database.get('SELECT name FROM foldlog_migrations WHERE name = ?', name)) continue;
        database.exec(sql);
        database.run('INSERT INTO foldlog_migrations VALUES (?, ?)', name, this.#shared.clock.now());
      }
    });
  }

  /** Waits for the transactions that were asked for, then closes. What comes later is refused. */
  close(): Promise<void> {
    const shared = this.#shared;
    if (this.#isScope) return Promise.reject(new LifecycleError('only the owner of the database closes it'));
    shared.closing ??= (async () => {
      await shared.draining;
      shared.reader?.close();
      shared.connection.close();
    })();
    return shared.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The connection for a statement that writes. */
  #writer(): SqliteConnection {
    const shared = this.#shared;
    if (this.#isCurrent()) {
      // After some failures (disk full, OR ROLLBACK) SQLite has rolled back by itself; what came now would stand alone.
      if (shared.scope && !shared.connection.isInTransaction) {
        throw new LifecycleError('the transaction was rolled back by an earlier failure: let that error end its work');
      }
      return shared.connection;
    }
    throw new LifecycleError(
      `a transaction of another caller is under way on database ${shared.file}: write in transaction(), and through the database that its work is handed`,
    );
  }

  #readerFor(sql: string): SqliteConnection {
    const shared = this.#shared;
    if (this.#isCurrent()) return shared.connection;
    if (shared.connection.isReturning(sql)) return this.#writer();
    if (shared.file === ':memory:') return shared.connection;
    shared.reader ??= new SqliteConnection(shared.file, { durable: shared.durable, isReadOnly: true });
    return shared.reader;
  }

  /** May this database use the connection as it stands: nobody's transaction is under way, or its own? */
  #isCurrent(): boolean {
    const { scope, isInWork, closing } = this.#shared;
    if (this.#isScope) {
      if (scope !== this) throw new LifecycleError('the transaction that this database was handed to has ended');
      return true;
    }
    // Transactions that were waiting when it was closed still run; only they may use it.
    if (closing && !isInWork) throw this.#closedError();
    return scope === undefined || isInWork;
  }

  #closedError(): LifecycleError {
    return new LifecycleError(`database ${this.#shared.file} is closed`);
  }

  async #drain(): Promise<void> {
    const shared = this.#shared;
    shared.isDraining = true;
    while (shared.waiting.length > 0) {
      const turn = shared.waiting;
      shared.waiting = [];
      for (const next of turn) {
        try {
          const pending = next.begin();
          if (pending) await pending;
        } catch (thrown) {
          next.fail(thrown);
        }
      }
    }
    shared.isDraining = false;
  }

  /** Begins and, when nothing has to be waited for, ends the transaction in this turn of the event loop. */
  #begin<T>(
    work: (database: SqliteDatabase) => T | Promise<T>,
    resolve: (result: T) => void,
    reject: (error: unknown) => void,
  ): void | Promise<void> {
    try {
      this.#shared.connection.exec('BEGIN IMMEDIATE');
    } catch (thrown) {
      if (!isDatabaseBusy(thrown)) return reject(thrown);
      return this.#beginWhenFree(thrown).then(() => this.#perform(work, resolve, reject), reject);
    }
    return this.#perform(work, resolve, reject);
  }

  /** Another process writes: waits for its turn without blocking the event loop. */
  async #beginWhenFree(first: unknown): Promise<void> {
    const { clock, connection, busyTimeoutMillis } = this.#shared;
    const giveUpAt = clock.monotonic() + busyTimeoutMillis;
    for (let last = first; clock.monotonic() < giveUpAt; ) {
      await delay(clock, BUSY_PAUSE_MILLIS);
      try {
        return connection.exec('BEGIN IMMEDIATE');
      } catch (thrown) {
        if (!isDatabaseBusy(thrown)) throw thrown;
        last = thrown;
      }
      if (clock.monotonic() >= giveUpAt) throw last;
    }
    throw first;
  }

  #perform<T>(
    work: (database: SqliteDatabase) => T | Promise<T>,
    resolve: (result: T) => void,
    reject: (error: unknown) => void,
  ): void | Promise<void> {
    const shared = this.#shared;
    const scope = new SqliteDatabase(shared, true);
    shared.scope = scope;
    const commit = (result: T) => {
      shared.scope = undefined;
      try {
        shared.connection.exec('COMMIT');
      } catch (thrown) {
        this.#rollBack();
        return reject(thrown);
      }
      resolve(result);
    };
    const abandon = (thrown: unknown) => {
      shared.scope = undefined;
      this.#rollBack();
      reject(thrown);
    };
    let result: T | Promise<T>;
    shared.isInWork = true;
    try {
      result = work(scope);
    } catch (thrown) {
      return abandon(thrown);
    } finally {
      shared.isInWork = false;
    }
    if (isThenable(result)) return Promise.resolve(result).then(commit, abandon);
    commit(result);
  }

  #rollBack(): void {
    // SQLite has rolled back by itself after some failures (disk full, I/O).
    if (this.#shared.connection.isInTransaction) this.#shared.connection.exec('ROLLBACK');
  }
}
