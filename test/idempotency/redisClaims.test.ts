/**
 * The contract suite lets time pass by moving the records of its keys back, on the server, by as much: deterministic,
 * and the same to the scripts as waiting. That real time ends leases is shown apart, with a short one.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IdempotencyGuard } from '../../src/idempotency/idempotencyGuard.js';
import { RedisClaims } from '../../src/idempotency/redisClaims.js';
import { describeClaims } from '../contract/claims.js';
import { isExternalRedis, type RedisServer, startRedisServer } from '../support/redisServer.js';
import { growOlder, redisKeys } from '../support/redisTime.js';

const RUNS = Math.ceil(Number(process.env['FUZZ_RUNS'] ?? 200) / 4);

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedisServer();
  redis = await connectTo(server);
}, 300_000);

afterAll(async () => {
  const keys = await keysOf(server.keyPrefix);
  if (keys.length > 0) await redis.del(...keys);
  redis.disconnect();
  await server.stop();
});

/** An application's own ioredis, with the defaults that it has. */
async function connectTo(target: RedisServer): Promise<Redis> {
  const instance = new Redis(target.url, { retryStrategy: () => 20 });
  // While its server is away.
  instance.on('error', () => {});
  await new Promise((resolve) => instance.once('ready', resolve));
  return instance;
}

const keysOf = (prefix: string) => redisKeys(redis, prefix);

/** Asks until the answer is there. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const giveUpAt = performance.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > giveUpAt) throw new Error('it did not happen within 10 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describeClaims('Redis', {
  unitMillis: 10_000,
  runs: RUNS,
  async open() {
    const keyPrefix = `${server.keyPrefix}contract:`;
    const make = () => new RedisClaims({ redis, keyPrefix });
    return {
      claims: make(),
      pass: (millis) => growOlder(redis, keyPrefix, millis),
      reopen: async () => make(),
      close: async () => {},
    };
  },
});

describe('claims in Redis', () => {
  const claimsHere = (name: string) => new RedisClaims({ redis, keyPrefix: `${server.keyPrefix}${name}:` });

  it('keep n, lease and done under one hash tag, the count by INCR', async () => {
    const claims = new RedisClaims({ redis, keyPrefix: `${server.keyPrefix}names:` });
    const base = `${server.keyPrefix}names:{billing:event-1}`;
    const first = await claims.claim('billing:event-1', 'ann', 60_000);
    expect((await keysOf(base)).sort()).toEqual([`${base}:lease`, `${base}:n`]);
    if (first.status === 'claimed') await claims.release('billing:event-1', first.token);
    const second = await claims.claim('billing:event-1', 'bob', 60_000);
    expect(await redis.get(`${base}:n`)).toBe('2');
    if (second.status === 'claimed') await claims.complete('billing:event-1', second.token, 100_000);
    expect((await keysOf(base)).sort()).toEqual([`${base}:done`, `${base}:n`]);
    // Nothing stays for ever.
    for (const key of await keysOf(base)) expect(await redis.pttl(key)).toBeGreaterThan(0);
  });

  it('a real lease runs out by itself, not before', async () => {
    const claims = claimsHere('real');
    const from = performance.now();
    await claims.claim('key', 'ann', 150);
    const taken = await until(async () => {
      const outcome = await claims.claim('key', 'bob', 10_000);
      return outcome.status === 'claimed' ? outcome.token : undefined;
    });
    expect(taken.n).toBe(2);
    expect(performance.now() - from).toBeGreaterThanOrEqual(149);
  });

  it('work on when the server has forgotten the scripts', async () => {
    const claims = claimsHere('flushed');
    await claims.claim('one', 'ann', 1000);
    await redis.script('FLUSH');
    expect(await claims.claim('two', 'ann', 1000)).toMatchObject({ status: 'claimed' });
  });

  it('tell two owners with the same number apart when Redis has forgotten', async () => {
    const claims = claimsHere('forgetful');
    const ann = await claims.claim('key', 'ann', 1000);
    await redis.del(...(await keysOf(`${server.keyPrefix}forgetful:`)));
    const bob = await claims.claim('key', 'bob', 1000);
    expect([ann, bob]).toEqual([
      { status: 'claimed', token: { n: 1, owner: 'ann' } },
      { status: 'claimed', token: { n: 1, owner: 'bob' } },
    ]);
    expect(await claims.complete('key', { n: 1, owner: 'ann' }, 100_000)).toBe('lost');
    expect(await claims.complete('key', { n: 1, owner: 'bob' }, 100_000)).toBe('ok');
  });

  it('do not close the instance that they were handed', async () => {
    const claims = claimsHere('handed');
    await claims.close();
    await expect(claims.claim('key', 'ann', 1000)).rejects.toMatchObject({ code: 'LIFECYCLE' });
    expect(await redis.ping()).toBe('PONG');
  });

  it.skipIf(isExternalRedis())('a server that does not answer in time is unavailable', async () => {
    const claims = new RedisClaims({ redis, keyPrefix: `${server.keyPrefix}paused:`, timeoutMillis: 50 });
    const other = await connectTo(server);
    await other.client('PAUSE', 300, 'ALL');
    await expect(claims.claim('key', 'ann', 60_000)).rejects.toMatchObject({
      code: 'GUARD_UNAVAILABLE',
      message: 'no answer from redis within 50 ms',
    });
    // The step that timed out was executed later: the same owner is given the same answer.
    const patient = new RedisClaims({ redis, keyPrefix: `${server.keyPrefix}paused:` });
    expect(await patient.claim('key', 'ann', 60_000)).toMatchObject({ status: 'claimed', token: { n: 1 } });
    other.disconnect();
  });
});

describe('connecting to Redis', () => {
  it.each(['localhost:6379', 'http://localhost', 'redis://', ''])('refuses %j', async (url) => {
    await expect(RedisClaims.connect(url)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it('to an address where none runs is a clear error without the password, and leaves nothing open', async () => {
    const gone = await startRedisServer();
    await gone.stop();
    const url = new URL(gone.url);
    url.password = 'secret';
    const error = await RedisClaims.connect(url.href, { timeoutMillis: 200 }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'GUARD_UNAVAILABLE',
      message: `cannot reach redis at ${url.host}: is it running?`,
    });
  });

  it('warns once about settings with which it forgets', async () => {
    const warnings: string[] = [];
    const warn = (_fields: object, message: string) => void warnings.push(message);
    const logger = { debug: () => {}, info: () => {}, error: () => {}, warn };
    const forgetful = await startRedisServer({ appendOnly: false });
    const claims = await RedisClaims.connect(forgetful.url, { logger, keyPrefix: forgetful.keyPrefix });
    if (!isExternalRedis()) expect(warnings).toEqual([expect.stringContaining('set appendonly yes')]);
    await claims.close();
    await forgetful.stop();
  });
});

describe('Redis going away in mid-run', () => {
  it('holds messages back, and goes on where it was when it is back', async () => {
    const own = await startRedisServer();
    const claims = await RedisClaims.connect(own.url, { keyPrefix: own.keyPrefix, timeoutMillis: 200 });
    const guard = new IdempotencyGuard({ claims });
    const effects: string[] = [];
    const run = (key: string) => guard.run('mail', key, async () => void effects.push(key));

    expect(await run('one')).toEqual({ status: 'done', first: true });
    await own.kill();
    expect(await run('one')).toMatchObject({ status: 'unavailable' });
    expect(await run('two')).toMatchObject({ status: 'unavailable' });
    expect(effects).toEqual(['one']);

    await own.restart();
    const two = await until(async () => {
      const outcome = await run('two');
      return outcome.status === 'unavailable' ? undefined : outcome;
    });
    expect(two).toEqual({ status: 'done', first: true });
    expect(await run('one')).toEqual({ status: 'duplicate', result: undefined });
    expect(effects).toEqual(['one', 'two']);
    expect(guard.duplicatesMet('mail')).toBe(1);
    await guard.close();
    await own.stop();
  });

  it('while an effect runs: its end is recorded when it is back, and the effect does not run again', async () => {
    const own = await startRedisServer();
    const claims = await RedisClaims.connect(own.url, { keyPrefix: own.keyPrefix, timeoutMillis: 200 });
    const guard = new IdempotencyGuard({ claims });
    let effects = 0;
    const outcome = guard.run('mail', 'key', async () => {
      effects++;
      await own.kill();
      // Comes back while the guard tries to record that the effect is done.
      queueMicrotask(() => void own.restart());
      return 'sent';
    });
    expect(await outcome).toEqual({ status: 'done', first: true, result: 'sent' });
    expect(await guard.run('mail', 'key', async () => void effects++)).toEqual({ status: 'duplicate', result: 'sent' });
    expect(effects).toBe(1);
    await guard.close();
    await own.stop();
  });

  it('of an instance that was handed in', async () => {
    const own = await startRedisServer();
    const instance = await connectTo(own);
    const claims = new RedisClaims({ redis: instance, keyPrefix: own.keyPrefix, timeoutMillis: 200 });
    const first = await claims.claim('key', 'ann', 60_000);
    await own.kill();
    await expect(claims.claim('key', 'ann', 60_000)).rejects.toMatchObject({ code: 'GUARD_UNAVAILABLE' });
    await own.restart();
    const again = await until(() => claims.claim('key', 'ann', 60_000).catch(() => undefined));
    expect(again).toEqual(first);
    instance.disconnect();
    await own.stop();
  });
});
