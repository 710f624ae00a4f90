import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);

let directory: string;
const opened: SqliteDatabase[] = [];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'foldlog-database-'));
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
  rmSync(directory, { recursive: true, force: true });
});

function open(name = 'a.db', options: { durable?: boolean; busyTimeoutMillis?: number } = {}): SqliteDatabase {
  const database = SqliteDatabase.open(name === ':memory:' ? name : path.join(directory, name), options);
  opened.push(database);
  return database;
}

/** A promise that a test settles. */
function gate(): { open: () => void; opened: Promise<void> } {
  let release: () => void = () => {};
  const promise = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { open: release, opened: promise };
}

describe('opening a database', () => {
  it('creates the directories of the file', () => {
    const database = open('deep/down/a.db');
    database.exec('CREATE TABLE t (a)');
    expect(database.all('SELECT * FROM t')).toEqual([]);
  });

  it.each([
    ['postgres://host/db', /PostgresDatabase connects to it/],
    ['postgresql://host/db', /PostgresDatabase connects to it/],
    ['libsql://host', /not the path of a SQLite file/],
    ['https://host', /not the path of a SQLite file/],
    ['file:a.db', /not the path of a SQLite file/],
    ['', /not the path of a SQLite file/],
  ])('refuses %j', (file, message) => {
    expect(() => SqliteDatabase.open(file)).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringMatching(message) }),
    );
  });

  it('says that a file is not a database, and leaves it alone', () => {
    const file = path.join(directory, 'junk');
    writeFileSync(file, Buffer.alloc(5000, 1));
    expect(() => SqliteDatabase.open(file)).toThrow(expect.objectContaining({ code: 'CORRUPTION' }));
  });

  it('says that a directory is not a file', () => {
    expect(() => SqliteDatabase.open(directory)).toThrow(expect.objectContaining({ code: 'DATABASE_FAILED' }));
  });

  it('keeps what was committed when it is opened again', async () => {
    const first = open('a.db', { durable: true });
    first.exec('CREATE TABLE t (a)');
    await first.transaction((db) => db.run('INSERT INTO t VALUES (?)', 1));
    await first.close();
    expect(open('a.db').all('SELECT a FROM t')).toEqual([{ a: 1 }]);
  });
});

describe('values', () => {
  it('come back as they went in', () => {
    const database = open(':memory:');
    database.exec('CREATE TABLE t (a)');
    const storable = fc.oneof(
      fc.string().filter((text) => !text.includes('\0')),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true }),
      fc.constant(null),
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(storable, (value) => {
        database.run('DELETE FROM t');
        database.run('INSERT INTO t VALUES (?)', value);
        const { a } = database.get<{ a: unknown }>('SELECT a FROM t') ?? { a: 'nothing' };
        // SQLite has no negative zero among its integers.
        expect(a).toEqual(Object.is(value, -0) ? 0 : value);
      }),
      { numRuns: RUNS },
    );
  });

  it('have the type that they look like', () => {
    const database = open(':memory:');
    const typeOf = (value: number | boolean | bigint | Date) =>
      database.get<{ type: string }>('SELECT typeof(?) AS type', value)?.type;
    expect(typeOf(1)).toBe('integer');
    expect(typeOf(1.5)).toBe('real');
    expect(typeOf(true)).toBe('integer');
    expect(typeOf(5n)).toBe('integer');
    expect(typeOf(new Date(0))).toBe('integer');
    expect(database.get('SELECT ? AS a, ? AS b, ? AS c', true, undefined, new Date(7))).toEqual({
      a: 1,
      b: null,
      c: 7,
    });
  });

  it('bytes of a part of a larger buffer are that part', () => {
    const database = open(':memory:');
    const part = Buffer.from('0123456789').subarray(3, 5);
    expect(database.get('SELECT ? AS a', part)).toEqual({ a: Buffer.from('34') });
  });

  it.each([
    ['a\0b', /NUL/],
    [Number.NaN, /NaN/],
    [new Date('nonsense'), /invalid Date/],
    [2n ** 63n, /64 bits/],
    [{ a: 1 } as never, /object/],
    [(() => 1) as never, /function/],
  ])('refuses %s before libsql would cut or abort', (value, message) => {
    expect(() => open(':memory:').run('SELECT ?', value)).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringMatching(message) }),
    );
  });
});

describe('statements', () => {
  it('count the rows that they change', () => {
    const database = open(':memory:');
    database.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)');
    expect(database.run('UPDATE t SET a = a + 1').changes).toBe(2);
    expect(database.run('UPDATE t SET a = 0 WHERE a = 99').changes).toBe(0);
    expect(database.run('DELETE FROM t WHERE a = 2 RETURNING a').changes).toBe(1);
    expect(database.get('INSERT INTO t VALUES (7) RETURNING a')).toEqual({ a: 7 });
    expect(database.get('SELECT a FROM t WHERE a = 1234')).toBeUndefined();
  });

  it('a value too few is refused, instead of taking the one of the execution before', () => {
    const database = open(':memory:');
    expect(database.all('SELECT ? AS a', 1)).toEqual([{ a: 1 }]);
    expect(() => database.all('SELECT ? AS a')).toThrow(/0 values for the 1 parameters/);
    expect(() => database.all('SELECT ? AS a', 1, 2)).toThrow(/2 values for the 1 parameters/);
  });

  it('question marks in literals, names and comments are no parameters', () => {
    const database = open(':memory:');
    const sql = `SELECT '?''?' AS "a?", [b?] AS \`c?\`, ? AS d -- ?\n FROM (SELECT 2 AS [b?]) /* ? ; */ ;  -- ;`;
    expect(database.all(sql, 3)).toEqual([{ 'a?': "?'?", 'c?': 2, d: 3 }]);
    expect(database.all('SELECT ?2 AS a, ?1 AS b', 1, 2)).toEqual([{ a: 2, b: 1 }]);
  });

  it('named parameters and second statements are refused, a trigger is one statement', () => {
    const database = open(':memory:');
    expect(() => database.all('SELECT :a', 1)).toThrow(/named parameter :a/);
    database.exec('CREATE TABLE t (a)');
    expect(() => database.run('INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)')).toThrow(/one statement at a time/);
    database.run('CREATE TRIGGER more AFTER INSERT ON t WHEN new.a = 1 BEGIN INSERT INTO t VALUES (2); SELECT 1; END;');
    database.run('INSERT INTO t VALUES (?)', 1);
    expect(database.all('SELECT a FROM t ORDER BY a')).toEqual([{ a: 1 }, { a: 2 }]);
  });

  it('name the statement and the reason when SQLite refuses', () => {
    const database = open(':memory:');
    database.exec('CREATE TABLE t (a PRIMARY KEY)');
    database.run('INSERT INTO t VALUES (1)');
    expect(() => database.run('INSERT INTO t VALUES (1)')).toThrow(
      expect.objectContaining({
        code: 'DATABASE_FAILED',
        retriable: false,
        message: expect.stringContaining('UNIQUE constraint failed: t.a: INSERT INTO t'),
      }),
    );
    expect(() => database.run('SELEC 1')).toThrow(/syntax error: SELEC 1/);
  });

  it('more of them than are kept prepared still work', () => {
    const database = open(':memory:');
    for (let round = 0; round < 2; round++) {
      for (let at = 0; at < 300; at++) expect(database.get(`SELECT ${at} AS a`)).toEqual({ a: at });
    }
  });

  it('see a column that was added after they were prepared', () => {
    const database = open(':memory:');
    database.exec('CREATE TABLE t (a)');
    expect(database.all('SELECT * FROM t')).toEqual([]);
    database.exec('ALTER TABLE t ADD COLUMN b; INSERT INTO t VALUES (1, 2)');
    expect(database.all('SELECT * FROM t')).toEqual([{ a: 1, b: 2 }]);
  });
});

describe('transactions', () => {
  it('of synchronous work begin and end in the turn in which they are asked for', () => {
    const database = open();
    database.exec('CREATE TABLE t (a)');
    void database.transaction(() => database.run('INSERT INTO t VALUES (1)'));
    expect(database.all('SELECT a FROM t')).toEqual([{ a: 1 }]);
    void database.transaction(() => database.run('INSERT INTO t VALUES (2)'));
    expect(database.all('SELECT a FROM t')).toHaveLength(2);
  });

  it('roll back when the work throws or rejects, and hand the error on', async () => {
    const database = open();
    database.exec('CREATE TABLE t (a)');
    const thrown = database.transaction((db) => {
      db.run('INSERT INTO t VALUES (1)');
      throw new Error('no');
    });
    await expect(thrown).rejects.toThrow('no');
    const rejected = database.transaction(async (db) => {
      db.run('INSERT INTO t VALUES (1)');
      await Promise.resolve();
      throw new Error('later no');
    });
    await expect(rejected).rejects.toThrow('later no');
    expect(database.all('SELECT a FROM t')).toEqual([]);
  });

  it('a RETURNING statement whose rows nobody asked for does not keep them from committing', async () => {
    const database = open();
    database.exec('CREATE TABLE t (a)');
    await database.transaction((db) => db.get('INSERT INTO t VALUES (1), (2) RETURNING a'));
    expect(database.all('SELECT a FROM t')).toHaveLength(2);
    const both = await database.transaction((db) => db.run('INSERT INTO t VALUES (3), (4) RETURNING a'));
    expect(both.changes).toBe(2);
    expect(database.all('SELECT a FROM t')).toHaveLength(4);
  });

  it('that SQLite rolled back by itself end with the first error, and nothing after it stands alone', async () => {
    const database = open();
    database.exec('CREATE TABLE t (a PRIMARY KEY); INSERT INTO t VALUES (1)');
    const failing = database.transaction((db) => {
      db.run('INSERT INTO t VALUES (2)');
      db.run('INSERT OR ROLLBACK INTO t VALUES (1)');
    });
    await expect(failing).rejects.toThrow(/UNIQUE constraint failed/);
    const swallowing = database.transaction((db) => {
      expect(() => db.run('INSERT OR ROLLBACK INTO t VALUES (1)')).toThrow(/UNIQUE/);
      db.run('INSERT INTO t VALUES (3)');
    });
    await expect(swallowing).rejects.toMatchObject({
      code: 'LIFECYCLE',
      message: expect.stringMatching(/rolled back/),
    });
    expect(database.all('SELECT a FROM t')).toEqual([{ a: 1 }]);
    await database.transaction((db) => db.run('INSERT INTO t VALUES (4)'));
    expect(database.all('SELECT a FROM t')).toHaveLength(2);
  });

  it('of asynchronous work keep everybody else out', async () => {
    const database = open();
    database.exec('CREATE TABLE t (a)');
    const waiting = gate();
    const first = database.transaction(async (db) => {
      db.run('INSERT INTO t VALUES (1)');
      await waiting.opened;
      expect(() => database.run('INSERT INTO t VALUES (99)')).toThrow(/another caller/);
      db.run('INSERT INTO t VALUES (2)');
    });
    const second = database.transaction((db) => db.all('SELECT a FROM t').length);
    // Others see what is committed, and cannot fall into the transaction with their writes.
    expect(database.all('SELECT a FROM t')).toEqual([]);
    expect(() => database.run('INSERT INTO t VALUES (99)')).toThrow(expect.objectContaining({ code: 'LIFECYCLE' }));
    expect(() => database.get('INSERT INTO t VALUES (99) RETURNING a')).toThrow(/another caller/);
    waiting.open();
    await first;
    expect(await second).toBe(2);
    expect(database.all('SELECT a FROM t')).toEqual([{ a: 1 }, { a: 2 }]);
  });

  it('run in the order in which they were asked for', async () => {
    const database = open();
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 200 }, (_, at) =>
        database.transaction(at % 3 === 0 ? async () => void order.push(at) : () => void order.push(at)),
      ),
    );
    expect(order).toEqual(Array.from({ length: 200 }, (_, at) => at));
  });

  it('do not nest, and what they hand out ends with them', async () => {
    const database = open();
    await expect(database.transaction((db) => db.transaction(() => 1))).rejects.toThrow(/do not nest/);
    await expect(database.transaction(() => database.transaction(() => 1))).rejects.toThrow(/do not nest/);
    let kept: SqliteDatabase | undefined;
    await database.transaction((db) => {
      kept = db;
    });
    expect(() => kept?.get('SELECT 1')).toThrow(/has ended/);
  });

  it('wait for the write of another process without blocking, up to their limit', async () => {
    const mine = open('a.db', { busyTimeoutMillis: 100 });
    mine.exec('CREATE TABLE t (a)');
    const other = open('a.db');
    const waiting = gate();
    const holding = other.transaction(async (db) => {
      db.run('INSERT INTO t VALUES (1)');
      await waiting.opened;
    });
    await expect(mine.transaction((db) => db.run('INSERT INTO t VALUES (2)'))).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      retriable: true,
    });
    const patient = open('a.db').transaction((db) => db.run('INSERT INTO t VALUES (3)'));
    waiting.open();
    await Promise.all([holding, patient]);
    expect(mine.all('SELECT a FROM t')).toEqual([{ a: 1 }, { a: 3 }]);
  });

  it('more than may wait are refused', async () => {
    const database = open(':memory:');
    const waiting = gate();
    const first = database.transaction(() => waiting.opened);
    const rest = Array.from({ length: 10_000 }, () => database.transaction(() => undefined));
    await expect(database.transaction(() => undefined)).rejects.toMatchObject({ code: 'TOO_BUSY' });
    waiting.open();
    await Promise.all([first, ...rest]);
  });

  it('that were asked for before the close are done, later ones refused', async () => {
    const database = open();
    database.exec('CREATE TABLE t (a)');
    const waiting = gate();
    const first = database.transaction(async (db) => {
      await waiting.opened;
      db.run('INSERT INTO t VALUES (1)');
    });
    const second = database.transaction(() => database.run('INSERT INTO t VALUES (2)'));
    const closed = database.close();
    await expect(database.transaction(() => 1)).rejects.toMatchObject({ code: 'LIFECYCLE' });
    expect(() => database.get('SELECT 1')).toThrow(/closed/);
    waiting.open();
    await Promise.all([first, second, closed]);
    expect(open('a.db').all('SELECT a FROM t')).toEqual([{ a: 1 }, { a: 2 }]);
  });
});

describe('migrations', () => {
  it('are applied once, by name, all or none', async () => {
    const database = open();
    await database.migrate([{ name: 'one', sql: 'CREATE TABLE t (a); INSERT INTO t VALUES (1)' }]);
    await database.migrate([
      { name: 'one', sql: 'CREATE TABLE t (a); INSERT INTO t VALUES (1)' },
      { name: 'two', sql: 'ALTER TABLE t ADD COLUMN b' },
    ]);
    expect(database.all('SELECT * FROM t')).toEqual([{ a: 1, b: null }]);
    const failing = database.migrate([
      { name: 'three', sql: 'CREATE TABLE u (a)' },
      { name: 'four', sql: 'CREATE TABLE u (a)' },
    ]);
    await expect(failing).rejects.toThrow(/already exists/);
    expect(() => database.all('SELECT * FROM u')).toThrow(/no such table/);
  });
});
