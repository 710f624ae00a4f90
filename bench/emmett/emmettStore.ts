/**
 * emmett's side of the comparison of event stores: its SQLite store on a file (WAL, synchronous=FULL, SQLite's default) or
 * its PostgreSQL store on a server of its own (synchronous_commit=on, PostgreSQL's default), used as its documents say.
 *
 * Its packages are installed here and not with foldlog (`npm ci --prefix bench/emmett`), so they are imported by names
 * that the compiler does not look up, and what is used of them is declared below.
 */
import path from 'node:path';
import pg from 'pg';
import {
  type AppendWork,
  type ComparedStore,
  fieldsOf,
  forMillis,
  LOG_STREAM_EVENTS,
  type LoadWork,
  streamOf,
} from '../support/comparedStore.js';

const TYPE = 'OrderPlaced';
const EVENTS_PER_APPEND = 500;
/** As many as foldlog's replay writes in one transaction. */
const BATCH = 1_000;
const TRIES_MAX = 1_000;
/** The second is what is left to see of the first when the transaction had not begun. */
const BUSY = /SQLITE_BUSY|cannot rollback - no transaction is active/;

type OrderPlaced = { type: typeof TYPE; data: ReturnType<typeof fieldsOf> };

interface EmmettStore {
  appendToStream(
    name: string,
    events: readonly OrderPlaced[],
    options?: { expectedStreamVersion: bigint | 'STREAM_DOES_NOT_EXIST' },
  ): Promise<{ nextExpectedStreamVersion: bigint }>;
  readStream(name: string): Promise<{ events: readonly OrderPlaced[] }>;
  aggregateStream<S>(
    name: string,
    folding: { initialState: () => S; evolve: (state: S, event: OrderPlaced) => S },
  ): Promise<{ state: S; currentStreamVersion: bigint }>;
  consumer(options: object): SqliteConsumer;
  close?(): Promise<void>;
}

interface SqliteConnection {
  command(sql: string, values?: readonly (string | number)[]): Promise<unknown>;
  close(): void;
}

interface SqliteConsumer {
  processor(options: object): unknown;
  start(): Promise<void>;
  close(): Promise<void>;
}

interface SqliteModule {
  getSQLiteEventStore(options: { fileName: string }): EmmettStore;
  sqliteConnection(options: { fileName: string }): SqliteConnection;
}

interface PostgresModule {
  getPostgreSQLEventStore(url: string): EmmettStore;
  rebuildPostgreSQLProjections(options: object): { start(): Promise<void>; close(): Promise<void> };
}

/** What differs between the two: the log of many events, and how a projection is rebuilt from it. */
interface Kind {
  store: EmmettStore;
  log: EmmettStore;
  rebuild(table: string, handled: () => boolean): Promise<void>;
}

export async function openEmmettStore(of: { side: string; directory: string; url: string }): Promise<ComparedStore> {
  return new EmmettSide(of.side === 'sqlite' ? await openSqlite(of.directory) : await openPostgres(of.url));
}

async function openSqlite(directory: string): Promise<Kind> {
  const name = '@event-driven-io/emmett-sqlite';
  const { getSQLiteEventStore, sqliteConnection } = (await import(name)) as SqliteModule;
  const [fileName, logFile] = [path.join(directory, 'store.db'), path.join(directory, 'log.db')];
  const log = getSQLiteEventStore({ fileName: logFile });
  return {
    store: getSQLiteEventStore({ fileName }),
    log,
    async rebuild(table, handled) {
      const connection = sqliteConnection({ fileName: logFile });
      await connection.command(`CREATE TABLE ${table} (customer TEXT PRIMARY KEY, cents INTEGER NOT NULL)`);
      connection.close();
      const sql = `INSERT INTO ${table} VALUES (?, ?) ON CONFLICT (customer) DO UPDATE SET cents = cents + excluded.cents`;
      const consumer = log.consumer({ pulling: { batchSize: BATCH } });
      let finish = () => {};
      const done = new Promise<void>((resolve) => {
        finish = resolve;
      });
      consumer.processor({
        processorId: table,
        startFrom: 'BEGINNING',
        projection: {
          name: table,
          canHandle: [TYPE],
          async handle(events: readonly OrderPlaced[], context: { connection: SqliteConnection }) {
            for (const { data } of events) await context.connection.command(sql, [data.customer, data.cents]);
          },
        },
        stopAfter() {
          const isLast = handled();
          if (isLast) finish();
          return isLast;
        },
      });
      const running = consumer.start();
      await Promise.race([done, running]);
      await consumer.close();
      await running;
    },
  };
}

async function openPostgres(url: string): Promise<Kind> {
  const name = '@event-driven-io/emmett-postgresql';
  const { getPostgreSQLEventStore, rebuildPostgreSQLProjections } = (await import(name)) as PostgresModule;
  await asked(url, 'CREATE DATABASE bench_log');
  const logUrl = new URL(url);
  logUrl.pathname = '/bench_log';
  return {
    store: getPostgreSQLEventStore(url),
    log: getPostgreSQLEventStore(logUrl.href),
    async rebuild(table, handled) {
      await asked(logUrl.href, `CREATE TABLE ${table} (customer TEXT PRIMARY KEY, cents BIGINT NOT NULL)`);
      const sql = `INSERT INTO ${table} VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET cents = ${table}.cents + excluded.cents`;
      const consumer = rebuildPostgreSQLProjections({
        connectionString: logUrl.href,
        pulling: { batchSize: BATCH },
        processorId: table,
        projection: {
          name: table,
          canHandle: [TYPE],
          async handle(events: readonly OrderPlaced[], context: { connection: { client: pg.ClientBase } }) {
            for (const { data } of events) {
              await context.connection.client.query(sql, [data.customer, data.cents]);
              handled();
            }
          },
        },
      });
      await consumer.start();
      await consumer.close();
    },
  };
}

class EmmettSide implements ComparedStore {
  readonly #kind: Kind;
  readonly #versions = new Map<string, bigint>();
  #serial = 0;
  #rebuilds = 0;

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  append(work: AppendWork, millis: number): Promise<number> {
    const { store } = this.#kind;
    return forMillis(millis, work.inFlight, async (caller, turn) => {
      const name = streamOf(work, caller, turn);
      const expectedStreamVersion = this.#versions.get(name) ?? 'STREAM_DOES_NOT_EXIST';
      const events = this.#events(work.eventsEach);
      const stored = await whenFree(() => store.appendToStream(name, events, { expectedStreamVersion }));
      this.#versions.set(name, stored.nextExpectedStreamVersion);
    });
  }

  load({ stream, events, isFolded }: LoadWork, millis: number): Promise<number> {
    const { store } = this.#kind;
    const folding = { initialState: () => 0, evolve: (cents: number, { data }: OrderPlaced) => cents + data.cents };
    return forMillis(millis, 1, async () => {
      const count = isFolded
        ? Number((await store.aggregateStream(nameOf(stream), folding)).currentStreamVersion)
        : (await store.readStream(nameOf(stream))).events.length;
      if (count !== events) throw new Error(`${stream} has ${count} events`);
    });
  }

  async fill({ stream, events }: LoadWork): Promise<void> {
    for (let left = events; left > 0; left -= EVENTS_PER_APPEND) {
      const batch = this.#events(Math.min(left, EVENTS_PER_APPEND));
      await whenFree(() => this.#kind.store.appendToStream(nameOf(stream), batch));
    }
  }

  async fillLog(events: number): Promise<void> {
    for (let stream = 0; stream * LOG_STREAM_EVENTS < events; stream += 1) {
      const batch = this.#events(LOG_STREAM_EVENTS);
      await whenFree(() => this.#kind.log.appendToStream(`log-${stream}`, batch));
    }
  }

  async rebuild(events: number): Promise<void> {
    this.#rebuilds += 1;
    let seen = 0;
    await this.#kind.rebuild(`sums_${this.#rebuilds}`, () => {
      seen += 1;
      return seen >= events;
    });
    if (seen !== events) throw new Error(`${seen} events of ${events} were handled`);
  }

  async close(): Promise<void> {
    await this.#kind.store.close?.();
    await this.#kind.log.close?.();
  }

  #events(count: number): OrderPlaced[] {
    return Array.from({ length: count }, () => {
      this.#serial += 1;
      return { type: TYPE, data: fieldsOf(this.#serial) };
    });
  }
}

/** emmett opens a connection for each append, and SQLite at times says that it is busy: an application would try again. */
async function whenFree<T>(append: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await append();
    } catch (thrown) {
      if (!BUSY.test(`${thrown}`) || tries >= TRIES_MAX) throw thrown;
    }
  }
}

const nameOf = (stream: string) => `order-${stream}`;

async function asked(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
