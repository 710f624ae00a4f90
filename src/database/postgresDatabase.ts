/**
 * A PostgreSQL database of an application: projections, their checkpoints and the idempotency guard may live in it
 * instead of in the embedded SQLite. The same face as `SqliteDatabase`, with promises and `$1`, `$2` for parameters.
 *
 * Invariant: a statement belongs to the transaction whose database it is asked of, and to no other: transactions have
 * a connection each, statements outside of them take one for themselves. A transaction is committed only if all its
 * statements succeeded, also those whose promise nobody looked at.
 */
import type { Clock } from '../base/clock.js';
import { FoldlogError, LifecycleError, OptionsError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { isConnectionGone } from './postgresErrors.js';
import { type Outcome, type PostgresConnection, PostgresPool } from './postgresPool.js';
import { type BoundValue, bindParameters, type PostgresParameter } from './postgresValues.js';
import type { Migration } from './sqliteDatabase.js';

export interface PostgresDatabaseOptions {
  /** Connections at most. Default 10. */
  connectionsMax?: number;
  /** How long a connection may take to be made, or to come free when all are in use. Default 10,000. */
  connectTimeoutMillis?: number;
  /** How long a statement may take before it and its connection are given up. Default 60,000. */
  statementTimeoutMillis?: number;
  /** What the server's views call its connections, unless the url says it. Default `foldlog`. */
  applicationName?: string;
  clock?: Clock;
  logger?: Logger;
}

/** Statements whose `rowCount` counts changed rows. */
const CHANGING = /^(INSERT|UPDATE|DELETE|MERGE)$/;
/** Held by a transaction that migrates, so that instances which start together do not meet: `foldlog` in ASCII. */
const MIGRATION_LOCK = 28_832_958_956_466_023n;

const CREATE_MIGRATIONS = `CREATE TABLE IF NOT EXISTS foldlog_migrations (
  name TEXT PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())`;

export class PostgresDatabase {
  /** Tells it from a SqliteDatabase. */
  readonly kind = 'postgres';
  readonly #pool: PostgresPool;
  readonly #timeoutMillis: number;
  /** Of the transaction that this database was handed to. */
  readonly #connection: PostgresConnection | undefined;
  #hasEnded = false;

  private constructor(parts: { pool: PostgresPool; timeoutMillis: number; connection?: PostgresConnection }) {
    this.#pool = parts.pool;
    this.#timeoutMillis = parts.timeoutMillis;
    this.#connection = parts.connection;
  }

  /**
   * Connects to `postgres://user:password@host:port/name`; what the url leaves out comes from the PG… variables.
   *
   * @throws OptionsError for a url that is none; FoldlogError DATABASE_FAILED when the server does not answer or refuses
   */
  static async connect(url: string, options: PostgresDatabaseOptions = {}): Promise<PostgresDatabase> {
    const { statementTimeoutMillis: timeoutMillis = 60_000, ...poolOptions } = options;
    for (const name of ['connectionsMax', 'connectTimeoutMillis', 'statementTimeoutMillis'] as const) {
      const value = options[name];
      if (value === undefined || (Number.isSafeInteger(value) && value > 0)) continue;
      throw new OptionsError(`${name} of the database: ${value} is not a whole number from 1 on`);
    }
    return new PostgresDatabase({ pool: await PostgresPool.open(url, poolOptions), timeoutMillis });
  }

  /** `host:port/database`. */
  get address(): string {
    return this.#pool.address;
  }

  /** Does what is asked of it now belong to a transaction? */
  get isInTransaction(): boolean {
    return this.#connection !== undefined && !this.#hasEnded;
  }

  /** Runs one statement; `changes` counts the rows that it inserted, updated or deleted. */
  run(sql: string, ...parameters: PostgresParameter[]): Promise<{ changes: number }> {
    return this.#query(sql, parameters, ({ command, rowCount }) => ({
      changes: CHANGING.test(command) ? rowCount : 0,
    }));
  }

  /** The first row, or undefined. */
  get<T = Record<string, unknown>>(sql: string, ...parameters: PostgresParameter[]): Promise<T | undefined> {
    return this.#query(sql, parameters, ({ rows }) => rows[0] as T | undefined);
  }

  all<T = Record<string, unknown>>(sql: string, ...parameters: PostgresParameter[]): Promise<T[]> {
    return this.#query(sql, parameters, ({ rows }) => rows as T[]);
  }

  /** Runs one or more statements without parameters; outside of a transaction they are one of their own. */
  exec(sql: string): Promise<void> {
    return this.#query(sql, undefined, () => {});
  }

  /**
   * Runs the work in a transaction on a connection of its own; commits when it resolves, rolls back when it rejects.
   * The work uses the database that it is handed: what it asks of this one is not part of the transaction.
   * Transactions do not nest; SAVEPOINT may be used.
   *
   * A connection that is lost while it commits leaves the outcome unknown: DATABASE_FAILED, `mayHaveBeenExecuted`.
   */
  async transaction<T>(work: (database: PostgresDatabase) => T | Promise<T>): Promise<T> {
    if (this.#connection) throw new LifecycleError('transactions do not nest: use the database that was handed in');
    const connection = await this.#pool.acquire(this.#timeoutMillis);
    const scope = new PostgresDatabase({ pool: this.#pool, timeoutMillis: this.#timeoutMillis, connection });
    try {
      await connection.query('BEGIN', undefined, { timeoutMillis: this.#timeoutMillis, isWithin: true });
      const result = await work(scope);
      scope.#hasEnded = true;
      await this.#commit(connection);
      return result;
    } catch (thrown) {
      scope.#hasEnded = true;
      await this.#rollBack(connection);
      throw thrown;
    } finally {
      connection.release();
    }
  }

  /** Applies those of the migrations that were not applied yet, in the order given, in one transaction. */
  async migrate(migrations: readonly Migration[]): Promise<void> {
    await this.transaction(async (database) => {
      await database.run('SELECT pg_advisory_xact_lock($1)', MIGRATION_LOCK);
      await database.exec(CREATE_MIGRATIONS);
      for (const { name, sql } of migrations) {
        if (await database.get('SELECT name FROM foldlog_migrations WHERE name = $1', name)) continue;
        await database.exec(sql);
        await database.run('INSERT INTO foldlog_migrations (name) VALUES ($1)', name);
      }
    });
  }

  /** The same database, whose statements are given up after this long. It needs no closing of its own. */
  within(timeoutMillis: number): PostgresDatabase {
    if (this.#connection) throw new LifecycleError('within a transaction the time of its statements is set already');
    return new PostgresDatabase({ pool: this.#pool, timeoutMillis });
  }

  /** Waits for statements and transactions under way, then closes the connections. What comes later is refused. */
  close(): Promise<void> {
    if (this.#connection) return Promise.reject(new LifecycleError('only the owner of the database closes it'));
    return this.#pool.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #query<T>(
    sql: string,
    parameters: readonly PostgresParameter[] | undefined,
    answerOf: (outcome: Outcome) => T,
  ): Promise<T> {
    const connection = this.#connection;
    let values: BoundValue[] | undefined;
    try {
      if (this.#hasEnded) throw new LifecycleError('the transaction that this database was handed to has ended');
      values = parameters && bindParameters(sql, parameters);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
    if (!connection) return this.#queryAlone(sql, values).then(answerOf);
    const answer = connection.query(sql, values, { timeoutMillis: this.#timeoutMillis, isWithin: true }).then(answerOf);
    // A caller who does not look at the answer learns of the failure by the transaction, which cannot commit then.
    answer.catch(() => {});
    return answer;
  }

  async #queryAlone(sql: string, values: readonly BoundValue[] | undefined): Promise<Outcome> {
    const connection = await this.#pool.acquire(this.#timeoutMillis);
    try {
      return await connection.query(sql, values, { timeoutMillis: this.#timeoutMillis });
    } finally {
      connection.release();
    }
  }

  async #commit(connection: PostgresConnection): Promise<void> {
    await connection.settled();
    const status = connection.transactionStatus;
    const failure = connection.firstFailure;
    if (failure && (status === 'E' || isConnectionGone(failure))) throw rolledBackBy(failure);
    if (status === 'I') {
      throw new LifecycleError(
        'the transaction was ended by its own work, and is committed or not as that said: leave COMMIT and ROLLBACK to transaction()',
      );
    }
    const { command } = await connection.query('COMMIT', undefined, { timeoutMillis: this.#timeoutMillis });
    if (command === 'COMMIT') return;
    // A statement's failure may be answered before the connection says what it did to the transaction.
    if (failure) throw rolledBackBy(failure);
    throw new FoldlogError('DATABASE_FAILED', `PostgreSQL rolled the transaction back (database ${this.address})`);
  }

  /** A connection on which that fails is closed by its release, which rolls back as well. */
  async #rollBack(connection: PostgresConnection): Promise<void> {
    await connection.settled();
    if (connection.transactionStatus === 'I') return;
    await connection
      .query('ROLLBACK', undefined, { timeoutMillis: this.#timeoutMillis, isWithin: true })
      .catch(() => {});
  }
}

function rolledBackBy(failure: FoldlogError): FoldlogError {
  return new FoldlogError(
    'DATABASE_FAILED',
    `the transaction was rolled back because a statement of it failed: ${failure.message}`,
    { ...failure.details, cause: failure, retriable: failure.retriable },
  );
}
