/** What is an attempt of an effect in a transaction, and what is the database's affair. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AppDatabase } from '../../src/database/appDatabase.js';
import { PostgresDatabase } from '../../src/database/postgresDatabase.js';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import { TransactionGuard } from '../../src/idempotency/transactionGuard.js';
import { createPostgresDatabase, type TestDatabase } from '../support/postgresServer.js';

let target: TestDatabase;
let database: PostgresDatabase;

beforeAll(async () => {
  target = await createPostgresDatabase();
  database = await PostgresDatabase.connect(target.url);
  await database.exec(`
    CREATE TABLE stock (id TEXT PRIMARY KEY, n INTEGER NOT NULL);
    INSERT INTO stock VALUES ('left', 0), ('right', 0);
    CREATE TABLE child (id TEXT REFERENCES stock (id) DEFERRABLE INITIALLY DEFERRED);`);
}, 300_000);
afterAll(async () => {
  await database.close();
  await target.drop();
});

const add = (db: AppDatabase, id: string) => db.run(`UPDATE stock SET n = n + 1 WHERE id = '${id}'`);

describe('an effect in a transaction of PostgreSQL', () => {
  it('that fell victim to another one is begun anew, and both count once', async () => {
    const guard = new TransactionGuard({ database });
    let begun = 0;
    let bothHaveOne: () => void = () => {};
    const both = new Promise<void>((resolve) => {
      bothHaveOne = resolve;
    });
    const move = (first: string, second: string) =>
      guard.run('stock', `${first} to ${second}`, async (db) => {
        await add(db, first);
        if (++begun === 2) bothHaveOne();
        await both;
        await add(db, second);
      });
    const outcomes = await Promise.all([move('left', 'right'), move('right', 'left')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['done', 'done']);
    expect(begun).toBe(3);
    expect(await database.all('SELECT n FROM stock')).toEqual([{ n: 2 }, { n: 2 }]);
  });

  it('is busy while another delivery has it, without waiting for it', async () => {
    const guard = new TransactionGuard({ database });
    let end: () => void = () => {};
    let begin: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const first = guard.run('stock', 'slow', async () => {
      begin();
      await new Promise<void>((resolve) => {
        end = resolve;
      });
      return 'first';
    });
    await begun;
    expect(await guard.run('stock', 'slow', () => 'second')).toEqual({ status: 'busy', retryAfterMillis: 200 });
    expect(await guard.run('stock', 'another', () => 'other')).toMatchObject({ status: 'done' });
    end();
    expect(await first).toMatchObject({ status: 'done' });
    expect(await guard.run('stock', 'slow', () => 'second')).toEqual({ status: 'duplicate', result: 'first' });
  });

  it('whose commit is refused for what it wrote has failed, and is not marked', async () => {
    const guard = new TransactionGuard({ database });
    const orphan = guard.run('stock', 'orphan', async (db) => void (await db.run("INSERT INTO child VALUES ('no')")));
    await expect(orphan).rejects.toMatchObject({ code: 'DATABASE_FAILED', retriable: false });
    expect(await guard.run('stock', 'orphan', () => {})).toMatchObject({ status: 'done' });
  });

  it('of a database that is closed waits', async () => {
    const own = await PostgresDatabase.connect(target.url);
    await own.close();
    const guard = new TransactionGuard({ database: own });
    expect(await guard.run('stock', 'closed', () => {})).toMatchObject({ status: 'unavailable' });
  });
});

describe('an effect in a transaction of SQLite', () => {
  it('waits while another process has the database for too long', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-marks-'));
    const file = path.join(directory, 'app.db');
    const own = SqliteDatabase.open(file, { busyTimeoutMillis: 1 });
    const other = SqliteDatabase.open(file);
    const guard = new TransactionGuard({ database: own });
    await guard.prepare();
    let runs = 0;
    let release = () => {};
    const holding = other.transaction(() => new Promise<void>((resolve) => (release = resolve)));
    expect(await guard.run('stock', 'held', () => ++runs)).toEqual({ status: 'unavailable', retryAfterMillis: 1000 });
    release();
    await holding;
    expect(await guard.run('stock', 'held', () => ++runs)).toEqual({ status: 'done', first: true, result: 1 });
    await Promise.all([own.close(), other.close()]);
    rmSync(directory, { recursive: true, force: true });
  });
});
