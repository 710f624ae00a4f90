/**
 * The connections to one PostgreSQL database: a bounded pool, each connection lent to one user at a time. The only
 * file that imports pg, and only when a database is opened.
 *
 * Invariant: a connection goes back to the pool only in the state in which it was lent: no statement under way, no
 * transaction open, nothing failed about it. Any other is closed. A statement that takes too long costs its
 * connection: what the server makes of it is not known.
 */
import type pg from 'pg';
import { type Clock, systemClock } from '../base/clock.js';
import { FoldlogError, LifecycleError, messageOf, OptionsError } from '../base/errors.js';
import { type Logger, silentLogger } from '../base/logger.js';
import { isConnectionGone, translatePostgresError, unreachable } from './postgresErrors.js';
import { type BoundValue, valueParsers } from './postgresValues.js';
import { excerptOf } from './sqlText.js';

export interface PostgresPoolOptions {
  connectionsMax: number;
  /** How long a connection may take to be made, or to come free. */
  connectTimeoutMillis: number;
  applicationName: string | undefined;
  clock: Clock;
  logger: Logger;
}

/** Callers that may wait for a connection. */
const WAITING_MAX = 10_000;
/** An unused connection is closed after so long. */
const IDLE_MILLIS = 30_000;
/** First probe of a silent connection, so that a peer that vanished is noticed. */
const KEEP_ALIVE_MILLIS = 10_000;

export interface QueryOptions {
  timeoutMillis: number;
  /** Part of a transaction that is still open: without its COMMIT nothing of the statement stays. */
  isWithin?: boolean;
}

/** What a statement made. */
export interface Outcome {
  /** Its tag: INSERT, SELECT, COMMIT. */
  command: string;
  rowCount: number;
  rows: unknown[];
}

export class PostgresPool {
  /** `host:port/database`: what messages call it. */
  readonly address: string;
  readonly #pool: pg.Pool;
  readonly #clock: Clock;
  readonly #options: PostgresPoolOptions;
  #lent = 0;
  #drained: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(pool: pg.Pool, address: string, options: PostgresPoolOptions) {
    this.#pool = pool;
    this.address = address;
    this.#options = options;
    this.#clock = options.clock;
  }

  /** Rejects with OPTIONS_INVALID for a url that is none, DATABASE_FAILED when no server answers there in time. */
  static async open(url: string, options: Partial<PostgresPoolOptions> = {}): Promise<PostgresPool> {
    assertUrl(url);
    const all: PostgresPoolOptions = {
      connectionsMax: options.connectionsMax ?? 10,
      connectTimeoutMillis: options.connectTimeoutMillis ?? 10_000,
      applicationName: options.applicationName,
      clock: options.clock ?? systemClock,
      logger: options.logger ?? silentLogger,
    };
    const { default: postgres } = await import('pg');
    const config = {
      connectionString: url,
      types: valueParsers(postgres.types),
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MILLIS,
      connectionTimeoutMillis: all.connectTimeoutMillis,
      // What the url or PGAPPNAME says comes first.
      fallback_application_name: 'foldlog',
      ...(all.applicationName !== undefined && { application_name: all.applicationName }),
    };
    const address = addressOf(postgres, config);
    const limits = { max: all.connectionsMax, idleTimeoutMillis: IDLE_MILLIS, allowExitOnIdle: true };
    const pool = new PostgresPool(new postgres.Pool({ ...config, ...limits }), address, all);
    // A connection that nobody uses was closed by the server: the next user gets a new one.
    pool.#pool.on('error', (error) => {
      all.logger.debug({ database: address, error: messageOf(error) }, 'PostgreSQL closed an unused connection');
    });
    // Between two users of a connection nobody else may listen, and an error without a listener ends the process. Its
    // next statement fails then.
    pool.#pool.on('connect', (client) => client.on('error', () => {}));
    try {
      (await pool.acquire(all.connectTimeoutMillis)).release();
    } catch (thrown) {
      await pool.close();
      throw thrown;
    }
    return pool;
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** A connection for the caller alone, until it is released. */
  async acquire(timeoutMillis: number): Promise<PostgresConnection> {
    if (this.#closing) throw new LifecycleError(`database ${this.address} is closed`);
    if (this.#pool.waitingCount >= WAITING_MAX) {
      const message = `more than ${WAITING_MAX} callers wait for a connection to database ${this.address}`;
      throw new FoldlogError('TOO_BUSY', message, { retriable: true });
    }
    this.#lent++;
    try {
      const client = await this.#connect(Math.min(timeoutMillis, this.#options.connectTimeoutMillis));
      return new PostgresConnection({
        client,
        address: this.address,
        clock: this.#clock,
        onRelease: () => this.#back(),
      });
    } catch (thrown) {
      this.#back();
      throw thrown instanceof FoldlogError ? thrown : unreachable(this.address, thrown);
    }
  }

  /** Waits for the connections that are lent, then closes all. What comes later is refused. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      if (this.#lent > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
      await this.#pool.end();
    })();
    return this.#closing;
  }

  #connect(timeoutMillis: number): Promise<pg.PoolClient> {
    return new Promise((resolve, reject) => {
      let isLate = false;
      const timer = this.#clock.after(
        timeoutMillis,
        () => {
          isLate = true;
          const { totalCount } = this.#pool;
          const isFull = totalCount >= this.#options.connectionsMax && this.#pool.waitingCount > 0;
          const why = isFull ? `all ${totalCount} connections are in use` : 'no answer';
          reject(unreachable(this.address, new Error(`${why} within ${timeoutMillis} ms`)));
        },
        { keepAlive: true },
      );
      this.#pool.connect().then(
        (client) => {
          timer.cancel();
          if (isLate) client.release();
          else resolve(client);
        },
        (error: unknown) => {
          timer.cancel();
          reject(error);
        },
      );
    });
  }

  #back(): void {
    this.#lent--;
    if (this.#lent === 0) this.#drained?.();
  }
}

/** One connection while it is lent. Statements run one after the other, in the order in which they were asked for. */
export class PostgresConnection {
  readonly #client: pg.PoolClient;
  readonly #address: string;
  readonly #clock: Clock;
  readonly #onRelease: () => void;
  #last: Promise<unknown> = Promise.resolve();
  #broken: unknown;
  #firstFailure: FoldlogError | undefined;
  #isReleased = false;

  constructor(parts: { client: pg.PoolClient; address: string; clock: Clock; onRelease: () => void }) {
    this.#client = parts.client;
    this.#address = parts.address;
    this.#clock = parts.clock;
    this.#onRelease = parts.onRelease;
    this.#client.on('error', this.#onError);
  }

  /** `I` none, `T` in a transaction, `E` in one that failed and can only be rolled back. */
  get transactionStatus(): 'I' | 'T' | 'E' {
    return this.#client.getTransactionStatus() ?? 'I';
  }

  /** Of its statements: what failed first. */
  get firstFailure(): FoldlogError | undefined {
    return this.#firstFailure;
  }

  /** With values one statement; without, any number of them. */
  query(sql: string, values: readonly BoundValue[] | undefined, options: QueryOptions): Promise<Outcome> {
    const answer = this.#last.then(() => this.#run(sql, values, options));
    this.#last = answer.catch(() => {});
    return answer;
  }

  /** Resolves when everything that was asked for has ended. */
  async settled(): Promise<void> {
    await this.#last;
  }

  /** Back to the pool if it is as it was lent, else closed. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const isAsLent = this.#broken === undefined && this.transactionStatus === 'I';
    this.#client.off('error', this.#onError);
    this.#client.release(!isAsLent);
    this.#onRelease();
  }

  readonly #onError = (error: Error) => {
    this.#broken ??= error;
  };

  async #run(sql: string, values: readonly BoundValue[] | undefined, options: QueryOptions): Promise<Outcome> {
    const mayHaveBeenExecuted = this.#broken === undefined && !options.isWithin;
    try {
      if (this.#broken !== undefined) throw this.#broken;
      const result = await this.#inTime(this.#send(sql, values), options.timeoutMillis);
      // Several statements have several results; the last one counts.
      const { command, rowCount, rows } = Array.isArray(result) ? (result.at(-1) as pg.QueryResult) : result;
      return { command, rowCount: rowCount ?? 0, rows };
    } catch (thrown) {
      const failure = translatePostgresError(thrown, { address: this.#address, sql, mayHaveBeenExecuted });
      if (isConnectionGone(failure)) this.#broken ??= thrown;
      this.#firstFailure ??= failure;
      throw failure;
    }
  }

  #send(sql: string, values: readonly BoundValue[] | undefined): Promise<pg.QueryResult | pg.QueryResult[]> {
    if (!values) return this.#client.query(sql);
    // `extended`: a second statement is refused instead of run unseen, also when there are no values.
    const query = { text: sql, values: [...values], queryMode: 'extended' };
    return this.#client.query(query);
  }

  #inTime<T>(answer: Promise<T>, timeoutMillis: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const timer = this.#clock.after(
        timeoutMillis,
        () => {
          const late = new Error(`no answer within ${timeoutMillis} ms`);
          this.#broken ??= late;
          reject(late);
        },
        { keepAlive: true },
      );
      answer.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}

const SCHEMES = /^postgres(ql)?:\/\//i;

/** The url may hold a password: it is in no message. */
function assertUrl(url: string): void {
  // A user without host, as in postgres://user@/name?host=/run/postgresql, is no url to the standard.
  const isUrl = SCHEMES.test(url) && (URL.canParse(url) || URL.canParse(url.replace('@/', '@localhost/')));
  if (!isUrl) throw new OptionsError('database: give a url such as postgres://user:password@localhost:5432/name');
}

/** As pg understands the url and the PG… variables. */
function addressOf(postgres: typeof pg, config: pg.ClientConfig): string {
  try {
    const { host, port, database } = new postgres.Client(config);
    return `${host}:${port}/${database}`;
  } catch (thrown) {
    // The cause would hold the url.
    throw new OptionsError(`database: pg does not take the url: ${excerptOf(messageOf(thrown))}`);
  }
}
