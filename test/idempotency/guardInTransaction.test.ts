/** Done marks in transactions of the application's own: by a client of pg, a PostgresDatabase and a SqliteDatabase. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PostgresDatabase } from '../../src/database/postgresDatabase.js';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import { type GuardInTransactionOutcome, guardInTransaction } from '../../src/idempotency/guardInTransaction.js';
import { TransactionGuard } from '../../src/idempotency/transactionGuard.js';
import { ManualClock } from '../support/manualClock.js';
import { createPostgresDatabase, type TestDatabase } from '../support/postgresServer.js';

const MARK = { group: 'billing', key: 'order:1/x-0' };

let target: TestDatabase;
let pool: pg.Pool;

beforeAll(async () => {
  target = await createPostgresDatabase();
  pool = new pg.Pool({ connectionString: target.url });
  await pool.query('CREATE TABLE bills (id TEXT)');
}, 300_000);
afterAll(async () => {
  await pool.end();
  await target.drop();
});

async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>, begin = 'BEGIN'): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query(begin);
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (thrown) {
    await client.query('ROLLBACK');
    throw thrown;
  } finally {
    client.release();
  }
}

async function bill(client: pg.PoolClient, key: string, outcome?: (one: GuardInTransactionOutcome) => Promise<void>) {
  const marked = await guardInTransaction(client, { group: 'billing', key });
  if (marked.status === 'first') await client.query('INSERT INTO bills VALUES ($1)', [key]);
  await outcome?.(marked);
  return marked;
}

const billsOf = async (key: string) => (await pool.query('SELECT * FROM bills WHERE id = $1', [key])).rowCount;

describe('a client of pg', () => {
  it('marks the work of its transaction; what is rolled back was not done', async () => {
    const failing = withClient(async (client) => {
      await bill(client, 'one');
      throw new Error('not yet');
    });
    await expect(failing).rejects.toThrow('not yet');
    expect(await withClient((client) => bill(client, 'one'))).toMatchObject({ status: 'first' });
    expect(await withClient((client) => bill(client, 'one'))).toEqual({ status: 'duplicate', result: undefined });
    expect(await billsOf('one')).toBe(1);
  });

  it('keeps a result for duplicates', async () => {
    await withClient((client) =>
      bill(client, 'result', async (marked) => {
        if (marked.status === 'first') await marked.keepResult({ invoice: 7, text: 'é\0"' });
      }),
    );
    const again = await withClient((client) => bill(client, 'result'));
    expect(again).toEqual({ status: 'duplicate', result: { invoice: 7, text: 'é\0"' } });
    const tooLarge = withClient((client) =>
      bill(client, 'large', async (marked) => {
        if (marked.status === 'first') await marked.keepResult('x'.repeat(70_000));
      }),
    );
    await expect(tooLarge).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    expect(await billsOf('large')).toBe(0);
  });

  it.each(['read committed', 'repeatable read', 'serializable'])(
    'of many at once one does the work: %s',
    async (level) => {
      const key = `many ${level}`;
      const begin = `BEGIN ISOLATION LEVEL ${level}`;
      const once = async (): Promise<string> => {
        for (;;) {
          try {
            return (await withClient((client) => bill(client, key), begin)).status;
          } catch (thrown) {
            // Above read committed the loser is undone by the server, and begins anew.
            if ((thrown as { code?: string }).code !== '40001') throw thrown;
          }
        }
      };
      const statuses = await Promise.all(Array.from({ length: 10 }, once));
      expect(statuses.filter((status) => status === 'first')).toHaveLength(1);
      expect(await billsOf(key)).toBe(1);
    },
  );

  it('waits for another transaction that has the key, and takes it when that one is rolled back', async () => {
    const one = await pool.connect();
    await one.query('BEGIN');
    await bill(one, 'waits');
    const other = withClient((client) => bill(client, 'waits'));
    const waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while ((await pool.query(waiting)).rowCount === 0);
    await one.query('ROLLBACK');
    one.release();
    expect((await other).status).toBe('first');
  });

  it('outside of a transaction is refused, and has marked nothing', async () => {
    await withClient((client) => bill(client, 'makes the table'));
    const client = await pool.connect();
    const refused = { code: 'OPTIONS_INVALID', message: expect.stringContaining('outside of a transaction') };
    await expect(guardInTransaction(client, { group: 'billing', key: 'outside' })).rejects.toMatchObject(refused);
    client.release();
    expect(await withClient((one) => bill(one, 'outside'))).toMatchObject({ status: 'first' });
  });

  it('must not be a pool, nor something else', async () => {
    for (const none of [pool, undefined, null, 'postgres://localhost/shop']) {
      const refused = guardInTransaction(none as unknown as pg.PoolClient, MARK);
      await expect(refused).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    }
    await expect(guardInTransaction({} as never, MARK)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });
});

describe('the table of marks in PostgreSQL', () => {
  it('is made by whoever comes first, of several at once, and taken over by an application that starts there', async () => {
    const own = await createPostgresDatabase();
    const clients = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const client = new pg.Client({ connectionString: own.url });
        await client.connect();
        return client;
      }),
    );
    const statuses = await Promise.all(
      clients.map(async (client) => {
        await client.query('BEGIN');
        const { status } = await guardInTransaction(client, MARK);
        await client.query('COMMIT');
        return status;
      }),
    );
    expect(statuses.sort()).toEqual(['duplicate', 'duplicate', 'duplicate', 'first']);
    const database = await PostgresDatabase.connect(own.url);
    const guard = new TransactionGuard({ database });
    // One table: what the application's transaction marked is done for its handlers too.
    expect(await guard.run(MARK.group, MARK.key, () => {})).toMatchObject({ status: 'duplicate' });
    await database.close();
    await Promise.all(clients.map((client) => client.end()));
    await own.drop();
  });

  it('loses expired marks with new ones, two at a time', async () => {
    const database = await PostgresDatabase.connect(target.url);
    const mark = (key: string, ttl: number, level = 'READ COMMITTED') =>
      database.transaction(async (db) => {
        await db.exec(`SET TRANSACTION ISOLATION LEVEL ${level}`);
        return guardInTransaction(db, { group: 'sweep', key, ttl });
      });
    const count = async () =>
      (await database.get<{ n: number }>("SELECT count(*) AS n FROM foldlog_marks WHERE consumer_group = 'sweep'"))?.n;
    for (let at = 0; at < 6; at++) await mark(`old-${at}`, 1_000_000);
    await database.run(
      "UPDATE foldlog_marks SET expires_at = now() - interval '1 second' WHERE consumer_group = 'sweep'",
    );
    await mark('strict', 1_000_000, 'SERIALIZABLE');
    expect(await count()).toBe(7);
    await mark('a', 1_000_000);
    expect(await count()).toBe(6);
    // The expired mark of the same effect is not in its own way.
    expect(await mark('old-5', 1_000_000)).toMatchObject({ status: 'first' });
    await mark('b', 1_000_000);
    expect(await count()).toBe(4);
    await database.close();
  });
});

describe('a PostgresDatabase', () => {
  it('marks in its transaction, and is refused outside', async () => {
    const database = await PostgresDatabase.connect(target.url);
    const run = () => database.transaction((db) => guardInTransaction(db, { group: 'own', key: 'one' }));
    expect((await run()).status).toBe('first');
    expect((await run()).status).toBe('duplicate');
    await expect(guardInTransaction(database, MARK)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await database.close();
  });
});

describe('a SqliteDatabase', () => {
  it('marks in its transaction, keeps results, forgets in time, and is refused outside', async () => {
    const clock = new ManualClock();
    const database = SqliteDatabase.open(':memory:');
    const run = (key: string, result?: unknown) =>
      database.transaction(async (db) => {
        const marked = await guardInTransaction(db, { group: 'billing', key, ttl: 1_000, clock });
        if (marked.status === 'first') await marked.keepResult(result);
        return marked;
      });
    const failing = database.transaction(async (db) => {
      await guardInTransaction(db, { ...MARK, clock });
      throw new Error('not yet');
    });
    await expect(failing).rejects.toThrow('not yet');
    expect(await run('one', { id: 7 })).toMatchObject({ status: 'first' });
    expect(await run('one')).toEqual({ status: 'duplicate', result: { id: 7 } });
    for (let at = 0; at < 4; at++) await run(`old-${at}`);
    clock.advance(1_000);
    // Two of the five go with it, and it is the third.
    expect(await run('one')).toMatchObject({ status: 'first' });
    expect(database.get('SELECT count(*) AS n FROM foldlog_marks')).toEqual({ n: 4 });
    await expect(guardInTransaction(database, MARK)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await database.close();
  });

  it.each([[{ ...MARK, group: 'a:b' }], [{ ...MARK, key: '' }], [{ ...MARK, ttl: 0 }], [{ ...MARK, ttl: 1.5 }]])(
    'refuses %j',
    async (options) => {
      const database = SqliteDatabase.open(':memory:');
      const refused = database.transaction((db) => guardInTransaction(db, options));
      await expect(refused).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
      await database.close();
    },
  );
});
