import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import { EmbeddedClaims } from '../../src/idempotency/embeddedClaims.js';
import { describeClaims } from '../contract/claims.js';
import { ManualClock } from '../support/manualClock.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);

describeClaims('embedded', {
  unitMillis: 1000,
  runs: RUNS,
  async open() {
    const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-claims-'));
    const file = path.join(directory, 'app.db');
    const clock = new ManualClock();
    let database = SqliteDatabase.open(file);
    return {
      claims: new EmbeddedClaims({ database, clock }),
      pass: async (millis) => clock.advance(millis),
      async reopen() {
        await database.close();
        database = SqliteDatabase.open(file);
        return new EmbeddedClaims({ database, clock });
      },
      async close() {
        await database.close();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  },
});

describe('embedded claims', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'foldlog-claims-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('of one turn of the event loop share one transaction', async () => {
    const database = SqliteDatabase.open(path.join(directory, 'app.db'));
    const claims = new EmbeddedClaims({ database });
    await claims.claim('makes the table', 'ann', 1000);
    let transactions = 0;
    const transaction = database.transaction.bind(database);
    database.transaction = (work) => {
      transactions++;
      return transaction(work);
    };
    await Promise.all(Array.from({ length: 100 }, (_, at) => claims.claim(`key-${at}`, 'ann', 1000)));
    expect(transactions).toBe(1);
    expect(database.get('SELECT count(*) AS n FROM foldlog_claims')).toEqual({ n: 101 });
    await database.close();
  });

  it('remove forgotten rows, also more than one hand full', async () => {
    const clock = new ManualClock();
    const database = SqliteDatabase.open(':memory:');
    const claims = new EmbeddedClaims({ database, clock, counterTtlMillis: 1000 });
    await Promise.all(Array.from({ length: 2500 }, (_, at) => claims.claim(`key-${at}`, 'ann', 100)));
    clock.advance(60_000);
    for (let at = 0; at < 3; at++) await claims.claim('another', `owner-${at}`, 100);
    expect(database.get('SELECT count(*) AS n FROM foldlog_claims')).toEqual({ n: 1 });
    await database.close();
  });

  it('are unavailable when the database fails, and work again when it does', async () => {
    const database = SqliteDatabase.open(path.join(directory, 'app.db'), { busyTimeoutMillis: 1 });
    const claims = new EmbeddedClaims({ database });
    await claims.claim('key', 'ann', 60_000);
    const other = SqliteDatabase.open(path.join(directory, 'app.db'));
    let release = () => {};
    const holding = other.transaction(() => new Promise<void>((resolve) => (release = resolve)));
    await expect(claims.claim('key', 'bob', 1000)).rejects.toMatchObject({
      code: 'GUARD_UNAVAILABLE',
      retriable: true,
    });
    release();
    await holding;
    expect(await claims.claim('key', 'bob', 1000)).toMatchObject({ status: 'busy' });
    await Promise.all([database.close(), other.close()]);
  });

  it('of a closed database are unavailable, closed claims refuse', async () => {
    const database = SqliteDatabase.open(':memory:');
    const claims = new EmbeddedClaims({ database });
    await database.close();
    await expect(claims.claim('key', 'ann', 1000)).rejects.toMatchObject({ code: 'GUARD_UNAVAILABLE' });
    await claims.close();
    await expect(claims.claim('key', 'ann', 1000)).rejects.toMatchObject({ code: 'LIFECYCLE' });
  });
});
