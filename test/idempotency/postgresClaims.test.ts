/**
 * The contract suite lets time pass by moving the records back, on the server, by as much: deterministic, and the same
 * to the statements as waiting. That real time ends leases is shown apart, with a short one.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PostgresDatabase } from '../../src/database/postgresDatabase.js';
import { IdempotencyGuard } from '../../src/idempotency/idempotencyGuard.js';
import type { ClaimToken } from '../../src/idempotency/idempotencyTypes.js';
import { PostgresClaims } from '../../src/idempotency/postgresClaims.js';
import { describeClaims } from '../contract/claims.js';
import { ManualClock } from '../support/manualClock.js';
import {
  createPostgresDatabase,
  startPostgresServer,
  type TestDatabase,
  terminateConnections,
} from '../support/postgresServer.js';

const RUNS = Math.ceil(Number(process.env['FUZZ_RUNS'] ?? 200) / 4);
const GROW_OLDER = `UPDATE foldlog_claims SET lease_until = lease_until - $1 * interval '1 millisecond',
  expires_at = expires_at - $1 * interval '1 millisecond'`;

let target: TestDatabase;
let database: PostgresDatabase;

beforeAll(async () => {
  target = await createPostgresDatabase();
  database = await PostgresDatabase.connect(target.url);
}, 300_000);

afterAll(async () => {
  await database.close();
  await target.drop();
});

/** Asks until the answer is there. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const giveUpAt = performance.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > giveUpAt) throw new Error('it did not happen within 20 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Tells which statements of the claims are asked of the database. */
function watched(): { claims: PostgresClaims; statements: string[]; database: PostgresDatabase } {
  const statements: string[] = [];
  const inner = database.within(10_000);
  const all = inner.all.bind(inner);
  inner.all = ((sql: string, ...values: object[]) => {
    statements.push(/WITH|INSERT INTO \w+ AS c/.exec(sql)?.[0] ?? sql);
    return all(sql, ...values);
  }) as typeof inner.all;
  inner.within = () => inner;
  return { claims: new PostgresClaims({ database: inner, timeoutMillis: 10_000 }), statements, database: inner };
}

describeClaims('PostgreSQL', {
  unitMillis: 10_000,
  runs: RUNS,
  async open() {
    const make = () => new PostgresClaims({ database, timeoutMillis: 20_000 });
    return {
      claims: make(),
      pass: async (millis) => void (await database.run(GROW_OLDER, millis)),
      reopen: async () => make(),
      close: async () => {},
    };
  },
});

describe('claims in PostgreSQL', () => {
  const claimsHere = () => new PostgresClaims({ database, timeoutMillis: 20_000 });

  it('of one turn share a statement for each kind of step; those of one key follow each other', async () => {
    const { claims, statements } = watched();
    await claims.claim('makes the table', 'ann', 1000);
    statements.length = 0;
    const keys = Array.from({ length: 100 }, (_, at) => `turn-${at}`);
    const outcomes = await Promise.all(keys.map((key) => claims.claim(key, 'ann', 60_000)));
    expect(statements).toHaveLength(1);
    const tokens = outcomes.map((one) => (one as { token: ClaimToken }).token);
    statements.length = 0;
    const mixed = await Promise.all([
      ...keys.slice(0, 50).map((key, at) => claims.renew(key, tokens[at]!, 60_000)),
      ...keys.slice(50).map((key, at) => claims.complete(key, tokens[at + 50]!, 60_000)),
    ]);
    expect(new Set(mixed)).toEqual(new Set(['ok']));
    expect(statements).toHaveLength(2);
    // In the order in which they were asked for.
    const [released, again, late] = await Promise.all([
      claims.release('turn-0', tokens[0]!),
      claims.claim('turn-0', 'bob', 60_000),
      claims.complete('turn-0', tokens[0]!, 60_000),
    ]);
    expect([released, again, late]).toEqual(['ok', { status: 'claimed', token: { n: 2, owner: 'bob' } }, 'lost']);
    await claims.close();
  });

  it('a real lease runs out by itself, by the clock of the server alone', async () => {
    const clock = new ManualClock();
    const claims = new PostgresClaims({ database, clock });
    const from = performance.now();
    await claims.claim('real', 'ann', 150);
    const taken = await until(async () => {
      const outcome = await claims.claim('real', 'bob', 10_000);
      return outcome.status === 'claimed' ? outcome.token : undefined;
    });
    expect(taken.n).toBe(2);
    expect(performance.now() - from).toBeGreaterThanOrEqual(149);
  });

  it('tell any keys apart: long ones, halves of a pair, and what looks like an escape', async () => {
    const claims = claimsHere();
    const long = 'ü'.repeat(5000);
    const keys = [long, `${long}x`, 'a\ud800', 'a\ud801', 'a\ufffd', '%sha256:0', '%25sha256:0', '%'.repeat(800), ''];
    for (const key of keys) expect(await claims.claim(key, 'ann', 1000)).toMatchObject({ status: 'claimed' });
    for (const key of keys) expect(await claims.claim(key, 'bob', 1000)).toMatchObject({ status: 'busy' });
  });

  it.each(['read committed', 'serializable'])(
    'of several processes at once have one owner each, whatever order they are asked in: %s',
    async (isolation) => {
      const url = new URL(target.url);
      url.searchParams.set('options', `-cdefault_transaction_isolation=${isolation.replace(' ', '\\ ')}`);
      const others = await Promise.all([1, 2, 3].map(() => PostgresDatabase.connect(url.href, { connectionsMax: 4 })));
      expect(await others[0]?.get('SHOW default_transaction_isolation')).toEqual({
        default_transaction_isolation: isolation,
      });
      const processes = others.map((one) => new PostgresClaims({ database: one, timeoutMillis: 20_000 }));
      for (let round = 0; round < 20; round++) {
        const keys = Array.from({ length: 40 }, (_, at) => `many-${isolation}-${round}-${at}`);
        const outcomes = await Promise.all(
          processes.map((claims, at) => {
            const mine = at % 2 ? keys.toReversed() : keys;
            return Promise.all(
              mine.map(async (key) => ({ key, got: await claims.claim(key, `owner-${at}`, 60_000), claims })),
            );
          }),
        );
        const won = outcomes.flat().filter(({ got }) => got.status === 'claimed');
        expect(won.map(({ key }) => key).sort()).toEqual([...keys].sort());
        const ends = await Promise.all(
          won.map(({ key, got, claims }) => claims.complete(key, (got as { token: ClaimToken }).token, 60_000)),
        );
        expect(new Set(ends)).toEqual(new Set(['ok']));
      }
      await Promise.all(processes.map((claims) => claims.close()));
      await Promise.all(others.map((one) => one.close()));
    },
  );

  it('remove forgotten rows, a bounded number at a time, without waiting for one that is held', async () => {
    const clock = new ManualClock();
    const inner = database.within(20_000);
    const run = inner.run.bind(inner);
    const removed: number[] = [];
    inner.run = async (sql, ...values) => {
      const { changes } = await run(sql, ...values);
      removed.push(changes);
      return { changes };
    };
    inner.within = () => inner;
    const claims = new PostgresClaims({ database: inner, clock, counterTtlMillis: 1000, timeoutMillis: 20_000 });
    await claims.claim('makes the table', 'ann', 1000);
    await database.run('TRUNCATE foldlog_claims');
    await Promise.all(Array.from({ length: 2500 }, (_, at) => claims.claim(`old-${at}`, 'ann', 100)));
    await database.run(GROW_OLDER, 60_000);
    removed.length = 0;
    const count = async () => (await database.get<{ n: number }>('SELECT count(*) AS n FROM foldlog_claims'))?.n;
    await database.transaction(async (db) => {
      await db.all("SELECT * FROM foldlog_claims WHERE key = 'old-0' FOR UPDATE");
      clock.advance(60_000);
      await until(async () => {
        await claims.claim('another', 'bob', 100);
        return (await count()) === 2 ? true : undefined;
      });
    });
    expect(removed).toEqual([1000, 1000, 499]);
    await claims.close();
  });

  it('repeat a step whose connection went', async () => {
    const own = await PostgresDatabase.connect(target.url, { connectionsMax: 1 });
    const claims = new PostgresClaims({ database: own, timeoutMillis: 20_000 });
    let wasCut = false;
    const blocked = database.transaction(async (db) => {
      await db.all(
        "INSERT INTO foldlog_claims VALUES ('cut', 1, 'x', 'released', now(), now() + interval '1 day', '')",
      );
      const claiming = claims.claim('cut', 'ann', 60_000);
      // Its statement waits for this row.
      await until(async () => {
        const waiting =
          "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        const row = await database.get<{ pid: number }>(waiting);
        if (row) await database.run('SELECT pg_terminate_backend($1)', row.pid);
        if (row) wasCut = true;
        return row;
      });
      return { claiming };
    });
    const { claiming } = await blocked;
    expect(await claiming).toEqual({ status: 'claimed', token: { n: 2, owner: 'ann' } });
    expect(wasCut).toBe(true);
    await claims.close();
    await own.close();
  });

  it('whose row somebody keeps locked are unavailable in time, and others are not held up by them', async () => {
    const claims = new PostgresClaims({ database, timeoutMillis: 500 });
    await claims.claim('locked', 'ann', 60_000);
    await database.transaction(async (db) => {
      await db.all("SELECT * FROM foldlog_claims WHERE key = 'locked' FOR UPDATE");
      const blocked = claims.claim('locked', 'bob', 60_000).catch((thrown: unknown) => thrown);
      await until(async () => database.get("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"));
      expect(await claims.claim('not locked', 'bob', 60_000)).toMatchObject({ status: 'claimed' });
      expect(await blocked).toMatchObject({ code: 'GUARD_UNAVAILABLE', retriable: true });
    });
    expect(await until(() => claims.claim('locked', 'bob', 60_000).catch(() => undefined))).toMatchObject({
      status: 'busy',
    });
    await claims.close();
  });

  it('of a closed database are unavailable, closed claims refuse', async () => {
    const own = await PostgresDatabase.connect(target.url);
    const claims = new PostgresClaims({ database: own });
    await own.close();
    await expect(claims.claim('key', 'ann', 1000)).rejects.toMatchObject({ code: 'GUARD_UNAVAILABLE' });
    await claims.close();
    await expect(claims.claim('key', 'ann', 1000)).rejects.toMatchObject({ code: 'LIFECYCLE' });
  });

  it('refuse more steps than may wait', async () => {
    const claims = claimsHere();
    const asked = Array.from({ length: 10_000 }, (_, at) => claims.claim(`flood-${at}`, 'ann', 1000));
    await expect(claims.claim('one more', 'ann', 1000)).rejects.toMatchObject({ code: 'GUARD_UNAVAILABLE' });
    expect((await Promise.all(asked)).every(({ status }) => status === 'claimed')).toBe(true);
    await claims.close();
  });
});

describe('PostgreSQL going away in mid-run', () => {
  it('holds messages back, records what was done when it is back, and repeats nothing', async () => {
    const server = await startPostgresServer();
    const own = await PostgresDatabase.connect(server.url);
    const guard = new IdempotencyGuard({ claims: new PostgresClaims({ database: own }) });
    const effects: string[] = [];
    const run = (key: string) => guard.run('mail', key, async () => void effects.push(key));

    expect(await run('one')).toEqual({ status: 'done', first: true });
    await terminateConnections(server.url);
    expect(await run('one')).toMatchObject({ status: 'duplicate' });
    await server.kill();
    expect(await run('one')).toMatchObject({ status: 'unavailable' });
    expect(await run('two')).toMatchObject({ status: 'unavailable' });
    expect(effects).toEqual(['one']);

    await server.restart();
    const comes = guard.run('mail', 'three', async () => {
      effects.push('three');
      await server.kill();
      // Comes back while the guard tries to record that the effect is done.
      queueMicrotask(() => void server.restart());
      return 'sent';
    });
    expect(await comes).toEqual({ status: 'done', first: true, result: 'sent' });
    expect(await run('three')).toEqual({ status: 'duplicate', result: 'sent' });
    const two = await until(async () => {
      const outcome = await run('two');
      return outcome.status === 'unavailable' ? undefined : outcome;
    });
    expect(two).toEqual({ status: 'done', first: true });
    expect(effects).toEqual(['one', 'three', 'two']);
    await guard.close();
    await own.close();
    await server.stop();
  });
});
