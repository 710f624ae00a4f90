/**
 * One contract on every guard. Time passes by a manual clock where the guard reads one; on servers, whose own clock
 * counts, by moving the marks back by as much.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import type { AppDatabase } from '../../src/database/appDatabase.js';
import { PostgresDatabase } from '../../src/database/postgresDatabase.js';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import { EmbeddedClaims } from '../../src/idempotency/embeddedClaims.js';
import { IdempotencyGuard, type IdempotencyGuardOptions } from '../../src/idempotency/idempotencyGuard.js';
import { MemoryClaims } from '../../src/idempotency/memoryClaims.js';
import { PostgresClaims } from '../../src/idempotency/postgresClaims.js';
import { RedisClaims } from '../../src/idempotency/redisClaims.js';
import { TransactionGuard, type TransactionGuardOptions } from '../../src/idempotency/transactionGuard.js';
import { describeGuard, type RunEffect } from '../contract/guards.js';
import { ManualClock } from '../support/manualClock.js';
import { createPostgresDatabase, type TestDatabase } from '../support/postgresServer.js';
import { type RedisServer, startRedisServer } from '../support/redisServer.js';
import { growOlder } from '../support/redisTime.js';

let server: TestDatabase;
let redisServer: RedisServer;
const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-guards-'));

beforeAll(async () => {
  [server, redisServer] = await Promise.all([createPostgresDatabase(), startRedisServer()]);
}, 300_000);
afterAll(async () => {
  await server.drop();
  await redisServer.stop();
  rmSync(directory, { recursive: true, force: true });
});

function leased(options: IdempotencyGuardOptions): RunEffect {
  const guard = new IdempotencyGuard(options);
  return (group, key, effect, runOptions) => guard.run(group, key, effect, runOptions);
}

function transactional(options: TransactionGuardOptions): RunEffect {
  const guard = new TransactionGuard(options);
  return (group, key, effect, runOptions) => guard.run(group, key, effect, runOptions);
}

describeGuard('claims in memory', {
  async open(duplicates) {
    const clock = new ManualClock();
    const claims = new MemoryClaims({ clock });
    return {
      run: leased({ claims, clock, duplicates }),
      pass: async (millis) => clock.advance(millis),
      close: () => claims.close(),
    };
  },
});

describeGuard('claims in SQLite', {
  async open(duplicates) {
    const clock = new ManualClock();
    const open = () => SqliteDatabase.open(path.join(directory, 'claims.db'));
    let database = open();
    const make = () => leased({ claims: new EmbeddedClaims({ database, clock }), clock, duplicates });
    return {
      run: make(),
      pass: async (millis) => clock.advance(millis),
      async reopen() {
        await database.close();
        database = open();
        return make();
      },
      close: () => database.close(),
    };
  },
});

describeGuard('claims in PostgreSQL', {
  async open(duplicates) {
    const database = await PostgresDatabase.connect(server.url);
    const make = () => leased({ claims: new PostgresClaims({ database, timeoutMillis: 20_000 }), duplicates });
    return {
      run: make(),
      pass: (millis) => growRowsOlder(database, 'foldlog_claims', ['lease_until', 'expires_at'], millis),
      reopen: async () => make(),
      close: () => database.close(),
    };
  },
});

describeGuard('claims in Redis', {
  async open(duplicates) {
    const redis = new Redis(redisServer.url);
    const keyPrefix = `${redisServer.keyPrefix}guards:`;
    const make = () => leased({ claims: new RedisClaims({ redis, keyPrefix, timeoutMillis: 20_000 }), duplicates });
    return {
      run: make(),
      pass: (millis) => growOlder(redis, keyPrefix, millis),
      reopen: async () => make(),
      close: async () => redis.disconnect(),
    };
  },
});

describeGuard('a transaction of SQLite', {
  async open(duplicates) {
    const clock = new ManualClock();
    const open = () => SqliteDatabase.open(path.join(directory, 'marks.db'));
    let database = open();
    const make = () => transactional({ database, clock, duplicates });
    return {
      run: make(),
      pass: async (millis) => clock.advance(millis),
      async reopen() {
        await database.close();
        database = open();
        return make();
      },
      close: () => database.close(),
    };
  },
});

describeGuard('a transaction of PostgreSQL', {
  async open(duplicates) {
    const database = await PostgresDatabase.connect(server.url);
    const make = () => transactional({ database, duplicates });
    return {
      run: make(),
      pass: (millis) => growRowsOlder(database, 'foldlog_marks', ['marked_at', 'expires_at'], millis),
      reopen: async () => make(),
      close: () => database.close(),
    };
  },
});

async function growRowsOlder(
  database: AppDatabase,
  table: string,
  columns: readonly string[],
  millis: number,
): Promise<void> {
  const changes = columns.map((column) => `${column} = ${column} - interval '${millis} milliseconds'`);
  await database.run(`UPDATE ${table} SET ${changes.join(', ')}`);
}
