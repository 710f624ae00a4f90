import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase, transactionOn } from '../../src/database/appDatabase.js';
import { PostgresDatabase, type PostgresDatabaseOptions } from '../../src/database/postgresDatabase.js';
import type { PostgresParameter } from '../../src/database/postgresValues.js';
import {
  createPostgresDatabase,
  startPostgresServer,
  type TestDatabase,
  terminateConnections,
} from '../support/postgresServer.js';

const RUNS = Math.ceil(Number(process.env['FUZZ_RUNS'] ?? 200) / 2);

let target: TestDatabase;
let database: PostgresDatabase;
const opened: PostgresDatabase[] = [];

beforeAll(async () => {
  target = await createPostgresDatabase();
  database = await PostgresDatabase.connect(target.url);
  await database.exec('CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)');
}, 300_000);

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
  await database.exec('TRUNCATE t');
});

afterAll(async () => {
  await database.close();
  await target.drop();
});

async function connect(options: PostgresDatabaseOptions = {}): Promise<PostgresDatabase> {
  const another = await PostgresDatabase.connect(target.url, options);
  opened.push(another);
  return another;
}

/** A promise that a test settles. */
function gate(): { open: () => void; opened: Promise<void> } {
  let release: () => void = () => {};
  const promise = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { open: release, opened: promise };
}

const rows = async () => (await database.all<{ a: number }>('SELECT a FROM t ORDER BY a')).map(({ a }) => a);
const errorOf = (promise: Promise<unknown>) => promise.then(String, (thrown: unknown) => thrown);
const passwordOf = () => decodeURIComponent(new URL(target.url).password);

/** Asks until it holds. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error('it did not happen within 10 s');
  }
}

describe('connecting', () => {
  it.each(['http://host/db', 'host', '', 'postgres:', 'postgres://:::', 'mysql://host/db'])(
    'refuses %j',
    async (url) => {
      await expect(PostgresDatabase.connect(url)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    },
  );

  it.each(['connectionsMax', 'connectTimeoutMillis', 'statementTimeoutMillis'] as const)(
    'refuses a wrong %s',
    async (name) => {
      for (const value of [0, 1.5, -1]) {
        const error = await errorOf(PostgresDatabase.connect(target.url, { [name]: value }));
        expect(error).toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining(name) });
      }
    },
  );

  it('is called foldlog by the server, or as it is asked to be', async () => {
    const nameOf = async (one: PostgresDatabase) => (await one.get<{ name: string }>('SHOW application_name'))!;
    expect(await nameOf(database)).toEqual({ application_name: 'foldlog' });
    expect(await nameOf(await connect({ applicationName: 'orders' }))).toEqual({ application_name: 'orders' });
    const url = new URL(target.url);
    url.searchParams.set('application_name', 'by-url');
    const byUrl = await PostgresDatabase.connect(url.href);
    opened.push(byUrl);
    expect(await nameOf(byUrl)).toEqual({ application_name: 'by-url' });
  });

  it('with a wrong password says so, is not to be repeated, and never names the right or the wrong one', async () => {
    const url = new URL(target.url);
    url.password = 'wrong-secret';
    const error = await errorOf(PostgresDatabase.connect(url.href));
    expect(error).toMatchObject({ code: 'DATABASE_FAILED', retriable: false });
    expect(inspect(error, { depth: 10 })).not.toContain('wrong-secret');
    url.password = '';
    expect(await errorOf(PostgresDatabase.connect(url.href))).toMatchObject({ retriable: false });
    url.pathname = '/no_such_database';
    url.password = passwordOf();
    expect(await errorOf(PostgresDatabase.connect(url.href))).toMatchObject({
      message: expect.stringMatching(
        /^cannot connect to PostgreSQL at .*no_such_database.* does not exist; check the url$/,
      ),
      retriable: false,
    });
  });

  it('where none runs may be repeated, and leaves nothing open', async () => {
    const error = await errorOf(PostgresDatabase.connect('postgres://ann:hidden-secret@127.0.0.1:1/orders'));
    expect(error).toMatchObject({
      code: 'DATABASE_FAILED',
      retriable: true,
      message: expect.stringMatching(/^cannot connect to PostgreSQL at 127\.0\.0\.1:1\/orders: .*; is it running\?$/),
    });
    expect(inspect(error, { depth: 10 })).not.toContain('hidden-secret');
  });

  it('of a url that pg does not take shows nothing of it', async () => {
    const url = `${target.url}?sslrootcert=/no/such/file`;
    const error = await errorOf(PostgresDatabase.connect(url));
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID' });
    expect(inspect(error, { depth: 10 })).not.toContain(passwordOf());
  });

  it('is done by openDatabase for its urls, and SQLite for paths', async () => {
    const [postgres, sqlite] = [await openDatabase(target.url), await openDatabase(':memory:')];
    expect([postgres.kind, sqlite.kind]).toEqual(['postgres', 'sqlite']);
    for (const one of [postgres, sqlite]) {
      expect(await transactionOn(one, async (db) => (await db.get<{ one: number }>('SELECT 1 AS one'))?.one)).toBe(1);
      await one.close();
    }
  });
});

describe('statements', () => {
  it('count the rows that they change, not those that they read', async () => {
    expect(await database.run('INSERT INTO t VALUES ($1, $2), ($3, $4)', 1, 'one', 2, 'two')).toEqual({ changes: 2 });
    expect(await database.run('UPDATE t SET b = $1 WHERE a > $2', 'x', 1)).toEqual({ changes: 1 });
    expect(await database.run('SELECT * FROM t')).toEqual({ changes: 0 });
    expect(await database.all('SELECT * FROM t ORDER BY a')).toEqual([
      { a: 1, b: 'one' },
      { a: 2, b: 'x' },
    ]);
    expect(await database.get('SELECT a FROM t WHERE b = $1', 'one')).toEqual({ a: 1 });
    expect(await database.get('SELECT a FROM t WHERE b = $1', 'none')).toBeUndefined();
    expect(await database.run('DELETE FROM t')).toEqual({ changes: 2 });
  });

  it('are one at a time, or several by exec, all or none of them', async () => {
    expect(await errorOf(database.run('INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)'))).toMatchObject({
      code: 'DATABASE_FAILED',
      retriable: false,
    });
    await database.exec('INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)');
    expect(await rows()).toEqual([1, 2]);
    await expect(database.exec('INSERT INTO t VALUES (3); INSERT INTO t VALUES (1)')).rejects.toThrow(/duplicate key/);
    expect(await rows()).toEqual([1, 2]);
  });

  it('that fail say where, what and by which code, without values', async () => {
    await database.run('INSERT INTO t VALUES ($1, $2)', 7, 'hidden value');
    const error = await errorOf(database.run('INSERT INTO t VALUES ($1, $2)', 7, 'hidden value'));
    expect(error).toMatchObject({
      code: 'DATABASE_FAILED',
      retriable: false,
      details: { sqlState: '23505', sql: 'INSERT INTO t VALUES ($1, $2)', database: database.address },
      message: expect.stringMatching(/^duplicate key .*: INSERT INTO t VALUES \(\$1, \$2\) \(database .*\)$/),
    });
    expect((error as Error).message).not.toContain('hidden');
    expect(await rows()).toEqual([7]);
  });

  it('many at once share the connections', async () => {
    const few = await connect({ connectionsMax: 3 });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, at) =>
        few.get<{ n: number; pid: number }>('SELECT $1::int AS n, pg_backend_pid() AS pid', at),
      ),
    );
    expect(answers.map((one) => one?.n)).toEqual(Array.from({ length: 200 }, (_, at) => at));
    expect(new Set(answers.map((one) => one?.pid)).size).toBeLessThanOrEqual(3);
  });

  it('that leave a transaction open cost their connection, not the next caller', async () => {
    const one = await connect({ connectionsMax: 1 });
    await one.run('BEGIN');
    await one.run('INSERT INTO t VALUES (1)');
    await until(async () => (await rows()).length === 1);
  });

  it('wait for a connection no longer than allowed', async () => {
    const one = await connect({ connectionsMax: 1 });
    const { open, opened: over } = gate();
    const holding = one.transaction(() => over);
    expect(await errorOf(one.within(100).get('SELECT 1'))).toMatchObject({
      code: 'DATABASE_FAILED',
      retriable: true,
      details: { mayHaveBeenExecuted: false },
      message: expect.stringContaining('all 1 connections are in use within 100 ms'),
    });
    open();
    await holding;
    expect(await one.get('SELECT 1 AS one')).toEqual({ one: 1 });
  });

  it('that take too long are given up with their connection', async () => {
    const one = await connect({ connectionsMax: 1 });
    const impatient = one.within(50);
    expect(await errorOf(impatient.get('SELECT pg_sleep(30)'))).toMatchObject({
      code: 'DATABASE_FAILED',
      retriable: true,
      details: { mayHaveBeenExecuted: true },
      message: expect.stringContaining('no answer within 50 ms'),
    });
    expect(await one.get('SELECT 1 AS one')).toEqual({ one: 1 });
    expect(() => one.within(50).close()).not.toThrow();
  });
});

describe('values', () => {
  const roundTrip = async (type: string, value: PostgresParameter) =>
    (await database.get<{ a: unknown }>(`SELECT $1::${type} AS a`, value))?.a;

  it('come back as they went in', async () => {
    const storable = fc.oneof(
      fc
        .string({ unit: 'grapheme' })
        .filter((text) => !text.includes('\0'))
        .map((value) => ({ type: 'text', value })),
      fc.maxSafeInteger().map((value) => ({ type: 'bigint', value: Object.is(value, -0) ? 0 : value })),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }).map((value) => ({ type: 'bigint', value })),
      fc.double().map((value) => ({ type: 'double precision', value })),
      fc.boolean().map((value) => ({ type: 'boolean', value })),
      fc.uint8Array().map((bytes) => ({ type: 'bytea', value: Buffer.from(bytes) })),
      fc
        .date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
        .map((value) => ({ type: 'timestamptz', value })),
      fc.array(fc.option(fc.maxSafeInteger().map((n) => n || 0))).map((value) => ({ type: 'bigint[]', value })),
      fc.dictionary(fc.string(), fc.integer()).map((value) => ({ type: 'json', value: { ...value } })),
      fc.constant({ type: 'text', value: null }),
    );
    await fc.assert(
      fc.asyncProperty(storable, async ({ type, value }) => {
        expect(await roundTrip(type, value)).toEqual(value);
      }),
      { numRuns: RUNS },
    );
  });

  it('that are no moments, and exact numbers, stay text', async () => {
    expect(await roundTrip('date', '2016-02-29')).toBe('2016-02-29');
    expect(await roundTrip('timestamp', '2016-02-29 12:00:00')).toBe('2016-02-29 12:00:00');
    expect(await roundTrip('date[]', ['2016-02-29', null])).toEqual(['2016-02-29', null]);
    expect(await roundTrip('timestamp[]', ['2016-02-29 12:00:00'])).toEqual(['2016-02-29 12:00:00']);
    expect(await roundTrip('numeric', '0.10000000000000000001')).toBe('0.10000000000000000001');
    expect(await roundTrip('text', undefined)).toBeNull();
  });

  it.each([
    ['a\0b', /parameter 1 holds a NUL character/],
    [new Date(Number.NaN), /parameter 1 is an invalid Date/],
    [(() => {}) as unknown as object, /parameter 1 is a function/],
    [{ n: 1n }, /parameter 1 cannot be written as JSON/],
    [['a', 'b\0'], /parameter 1 holds a NUL character/],
  ] as [PostgresParameter, RegExp][])('refuses %s', async (value, message) => {
    await expect(database.get('SELECT $1', value)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringMatching(message),
    });
  });
});

describe('a transaction', () => {
  it('commits all or nothing', async () => {
    const result = await database.transaction(async (db) => {
      await db.run('INSERT INTO t VALUES (1)');
      expect(await rows()).toEqual([]);
      await db.run('INSERT INTO t VALUES (2)');
      return 'done';
    });
    expect(result).toBe('done');
    const failing = database.transaction(async (db) => {
      await db.run('INSERT INTO t VALUES (3)');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await rows()).toEqual([1, 2]);
  });

  it('of statements whose promises nobody looked at commits them all, or fails with the first that failed', async () => {
    await database.transaction((db) => {
      for (let a = 0; a < 20; a++) void db.run('INSERT INTO t VALUES ($1)', a);
    });
    expect(await rows()).toHaveLength(20);
    const failing = database.transaction((db) => {
      for (const a of [100, 7, 101]) void db.run('INSERT INTO t VALUES ($1)', a);
    });
    await expect(failing).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      details: { sqlState: '23505' },
      message: expect.stringMatching(
        /^the transaction was rolled back because a statement of it failed: duplicate key/,
      ),
    });
    expect(await rows()).toHaveLength(20);
  });

  it('cannot commit after a failure that its work passed over, unless it went back to a savepoint', async () => {
    const insertTwice = (savepoint: boolean) =>
      database.transaction(async (db) => {
        await db.run('INSERT INTO t VALUES (1)');
        if (savepoint) await db.run('SAVEPOINT here');
        await db.run('INSERT INTO t VALUES (1)').catch(() => {});
        if (savepoint) await db.run('ROLLBACK TO here');
      });
    await expect(insertTwice(false)).rejects.toThrow(/rolled back because a statement of it failed/);
    expect(await rows()).toEqual([]);
    await insertTwice(true);
    expect(await rows()).toEqual([1]);
  });

  it('takes only what is asked of the database that it was handed, and that only while it lasts', async () => {
    let kept: PostgresDatabase | undefined;
    await expect(
      database.transaction(async (db) => {
        kept = db;
        await database.run('INSERT INTO t VALUES (1)');
        await db.run('INSERT INTO t VALUES (2)');
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(await rows()).toEqual([1]);
    await expect(kept!.run('INSERT INTO t VALUES (3)')).rejects.toMatchObject({ code: 'LIFECYCLE' });
    expect(await rows()).toEqual([1]);
  });

  it('does not nest, is not closed from within, and ends by itself', async () => {
    await database.transaction(async (db) => {
      await expect(db.transaction(() => {})).rejects.toMatchObject({ code: 'LIFECYCLE' });
      await expect(db.close()).rejects.toMatchObject({ code: 'LIFECYCLE' });
      expect(() => db.within(1)).toThrow(expect.objectContaining({ code: 'LIFECYCLE' }));
    });
    const ended = database.transaction((db) => db.run('COMMIT'));
    await expect(ended).rejects.toMatchObject({
      code: 'LIFECYCLE',
      message: expect.stringMatching(/ended by its own/),
    });
  });

  it('that waits for another one in a circle may be repeated at once', async () => {
    await database.exec('INSERT INTO t VALUES (1), (2)');
    const both = [gate(), gate()];
    const update = (first: number, second: number, at: number) =>
      database.transaction(async (db) => {
        await db.run('UPDATE t SET b = $2 WHERE a = $1', first, 'x');
        both[at]?.open();
        await Promise.all(both.map((one) => one.opened));
        await db.run('UPDATE t SET b = $2 WHERE a = $1', second, 'x');
      });
    const outcomes = await Promise.allSettled([update(1, 2, 0), update(2, 1, 1)]);
    const failed = outcomes.filter((one): one is PromiseRejectedResult => one.status === 'rejected');
    expect(failed.map(({ reason }) => reason)).toMatchObject([
      { code: 'DATABASE_FAILED', retriable: true, details: { sqlState: '40P01' } },
    ]);
  });

  it('whose connection is ended in the middle leaves nothing, and says that it may be repeated', async () => {
    const own = await connect();
    const error = await errorOf(
      own.transaction(async (db) => {
        await db.run('INSERT INTO t VALUES (1)');
        const { pid } = (await db.get<{ pid: number }>('SELECT pg_backend_pid() AS pid'))!;
        await database.run('SELECT pg_terminate_backend($1)', pid);
        await db.run('INSERT INTO t VALUES (2)');
      }),
    );
    expect(error).toMatchObject({ code: 'DATABASE_FAILED', retriable: true, details: { mayHaveBeenExecuted: false } });
    expect(await rows()).toEqual([]);
    await own.transaction((db) => db.run('INSERT INTO t VALUES (3)'));
    expect(await rows()).toEqual([3]);
  });

  it('whose connection goes while it commits says that nobody knows', async () => {
    const own = await connect();
    await own.exec(`CREATE TABLE late (a INTEGER);
      CREATE FUNCTION wait_long() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
      CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wait_long()`);
    const committing = errorOf(own.transaction((db) => db.run('INSERT INTO late VALUES (1)')));
    const isCommitting = "SELECT count(*) AS n FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'";
    await until(async () => (await database.get<{ n: number }>(isCommitting))?.n === 1);
    await terminateConnections(target.url);
    expect(await committing).toMatchObject({
      code: 'DATABASE_FAILED',
      retriable: true,
      details: { mayHaveBeenExecuted: true },
    });
    await until(async () => (await database.get('SELECT 1').catch(() => undefined)) !== undefined);
  });
});

describe('migrations', () => {
  it('are applied once, in order, also by many instances that start together', async () => {
    const instances = await Promise.all(Array.from({ length: 4 }, () => connect({ connectionsMax: 2 })));
    const migrations = [
      { name: 'one', sql: 'CREATE TABLE m (a INTEGER); INSERT INTO m VALUES (1)' },
      { name: 'two', sql: 'INSERT INTO m VALUES (2)' },
    ];
    await Promise.all(instances.map((one) => one.migrate(migrations)));
    await database.migrate([...migrations, { name: 'three', sql: 'INSERT INTO m VALUES (3)' }]);
    expect(await database.all('SELECT a FROM m ORDER BY a')).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }]);
    const failing = database.migrate([
      { name: 'four', sql: 'INSERT INTO m VALUES (4)' },
      { name: 'five', sql: 'nonsense' },
    ]);
    await expect(failing).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
    expect(await database.all('SELECT a FROM m WHERE a > 3')).toEqual([]);
  });
});

describe('closing', () => {
  it('waits for what is under way, and refuses what comes later', async () => {
    const own = await PostgresDatabase.connect(target.url, { connectionsMax: 1 });
    const { open, opened: over } = gate();
    const under = own.transaction(async (db) => {
      await over;
      await db.run('INSERT INTO t VALUES (1)');
    });
    const waiting = own.run('INSERT INTO t VALUES (2)');
    const closing = own.close();
    await expect(own.get('SELECT 1')).rejects.toMatchObject({ code: 'LIFECYCLE' });
    await expect(own.transaction(() => {})).rejects.toMatchObject({ code: 'LIFECYCLE' });
    open();
    await Promise.all([under, waiting, closing, own.close()]);
    expect(await rows()).toEqual([1, 2]);
    const mine = 'SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()';
    expect(await database.get(mine)).toEqual({ n: 1 });
  });
});

describe('a server that goes and comes', () => {
  it('fails what was asked meanwhile, and is used again', async () => {
    const server = await startPostgresServer();
    const own = await PostgresDatabase.connect(server.url);
    await own.exec('CREATE TABLE t (a INTEGER)');
    await Promise.all([1, 2, 3].map((a) => own.run('INSERT INTO t VALUES ($1)', a)));
    await server.kill();
    for (let at = 0; at < 5; at++) {
      expect(await errorOf(own.get('SELECT 1'))).toMatchObject({ code: 'DATABASE_FAILED', retriable: true });
    }
    expect(await errorOf(own.transaction(() => {}))).toMatchObject({ code: 'DATABASE_FAILED', retriable: true });
    await server.restart();
    expect(await own.get('SELECT count(*) AS n FROM t')).toEqual({ n: 3 });
    await own.close();
    await server.stop();
  });
});
