/**
 * The guard on a Redis Cluster: the three keys of an effect share a hash slot, whatever its key holds, and the contract
 * holds on a real server that runs as a cluster. Slots are computed here as the cluster's specification has it (CRC16 of
 * the XMODEM kind over the first pair of braces that is not empty) and compared with what the server says.
 */
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IdempotencyGuard } from '../../src/idempotency/idempotencyGuard.js';
import { RedisClaims } from '../../src/idempotency/redisClaims.js';
import { redisKeysOf } from '../../src/idempotency/redisScripts.js';
import { describeClaims } from '../contract/claims.js';
import { describeGuard } from '../contract/guards.js';
import { canStartRedisCluster, type RedisServer, startRedisCluster } from '../support/redisServer.js';
import { growOlder } from '../support/redisTime.js';

const RUNS = Math.ceil(Number(process.env['FUZZ_RUNS'] ?? 200) / 8);
const SLOTS = 16_384;
const EFFECTS = [
  'billing:order:1/x-0',
  'billing:{order}',
  'billing:}',
  'billing:{}',
  'billing:{',
  'billing:a}b{c}',
  'billing:}{}{',
  'billing:%}',
  '}leading',
  '{leading',
  '%leading',
  '%',
  '',
  '{}',
  'billing:ü\0\n ',
];

function slotOf(key: string): number {
  const bytes = Buffer.from(key);
  const open = bytes.indexOf('{');
  const close = open < 0 ? -1 : bytes.indexOf('}', open + 1);
  const hashed = close > open + 1 ? bytes.subarray(open + 1, close) : bytes;
  let crc = 0;
  for (const byte of hashed) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc % SLOTS;
}

/** On a connection to the one node. */
async function becomeCluster(url: string): Promise<void> {
  const node = new Redis(url);
  await node.cluster('ADDSLOTS', ...Array.from({ length: SLOTS }, (_, slot) => slot));
  while (!String(await node.cluster('INFO')).includes('cluster_state:ok')) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  node.disconnect();
}

function clusterOf({ url }: RedisServer): Cluster {
  const cluster = new Cluster([{ host: '127.0.0.1', port: Number(new URL(url).port) }], {
    clusterRetryStrategy: () => 20,
  });
  // While its server is away.
  cluster.on('error', () => {});
  return cluster;
}

describe('the keys of an effect', () => {
  it('slots are computed as the specification says', () => {
    expect(slotOf('123456789')).toBe(0x31c3);
    expect(slotOf('{user1000}.following')).toBe(slotOf('{user1000}.followers'));
    expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'));
    expect(slotOf('foo{{bar}}zap')).toBe(slotOf('{bar'));
  });

  it.each(EFFECTS)('of effect %j lie in one slot', (key) => {
    const slots = redisKeysOf('foldlog:', key).map(slotOf);
    expect(new Set(slots).size).toBe(1);
  });

  it('are different for different effects, and spread over the slots', () => {
    const names = EFFECTS.flatMap((key) => redisKeysOf('foldlog:', key));
    expect(new Set(names).size).toBe(names.length);
    const many = Array.from({ length: 500 }, (_, at) => slotOf(redisKeysOf('foldlog:', `billing:event-${at}`)[0]));
    expect(new Set(many).size).toBeGreaterThan(400);
  });

  it('are named as documented', () => {
    expect(redisKeysOf('foldlog:', 'billing:event-1')).toEqual([
      'foldlog:{billing:event-1}:n',
      'foldlog:{billing:event-1}:lease',
      'foldlog:{billing:event-1}:done',
    ]);
  });

  it('a prefix with braces would decide the slot: refused', () => {
    const redis = new Redis({ lazyConnect: true });
    expect(() => new RedisClaims({ redis, keyPrefix: 'app{}:' })).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining('app{}:') }),
    );
  });
});

describe.skipIf(!canStartRedisCluster())('a Redis Cluster', () => {
  let server: RedisServer;
  let cluster: Cluster;
  let node: Redis;

  beforeAll(async () => {
    server = await startRedisCluster();
    await becomeCluster(server.url);
    cluster = clusterOf(server);
    node = new Redis(server.url, { retryStrategy: () => 20 });
    node.on('error', () => {});
  }, 300_000);
  afterAll(async () => {
    cluster?.disconnect();
    node?.disconnect();
    await server?.stop();
  });

  it('says the same slots', async () => {
    for (const name of EFFECTS.flatMap((key) => redisKeysOf('foldlog:', key))) {
      expect(await node.cluster('KEYSLOT', name)).toBe(slotOf(name));
    }
  });

  it('takes every step of every effect', async () => {
    const claims = new RedisClaims({ redis: cluster, keyPrefix: 'steps:' });
    for (const key of EFFECTS) {
      const claimed = await claims.claim(key, 'ann', 60_000);
      if (claimed.status !== 'claimed') throw new Error(`expected a claim, got ${claimed.status}`);
      expect(await claims.renew(key, claimed.token, 60_000)).toBe('ok');
      expect(await claims.complete(key, claimed.token, 60_000, 'done')).toBe('ok');
      expect(await claims.claim(key, 'bob', 60_000)).toEqual({ status: 'duplicate', result: 'done' });
    }
  });

  it('that is away is unavailable, and goes on where it was when it is back', async () => {
    const claims = new RedisClaims({ redis: cluster, keyPrefix: 'away:', timeoutMillis: 300 });
    // ioredis sends what it kept when the server is back, also a claim that was given up: its lease runs out.
    const guard = new IdempotencyGuard({ claims, leaseMillis: 500 });
    const effects: string[] = [];
    const run = (key: string) => guard.run('mail', key, () => void effects.push(key));
    expect(await run('one')).toMatchObject({ status: 'done' });
    await server.kill();
    expect(await run('two')).toMatchObject({ status: 'unavailable' });
    await server.restart();
    const giveUpAt = performance.now() + 20_000;
    let two = await run('two');
    while (two.status !== 'done' && performance.now() < giveUpAt) two = await run('two');
    expect(two).toMatchObject({ status: 'done' });
    expect(await run('one')).toMatchObject({ status: 'duplicate' });
    expect(effects).toEqual(['one', 'two']);
  });

  describeClaims('Redis Cluster', {
    unitMillis: 10_000,
    runs: RUNS,
    async open() {
      const make = () => new RedisClaims({ redis: cluster, keyPrefix: 'contract:', timeoutMillis: 20_000 });
      return {
        claims: make(),
        pass: (millis) => growOlder(node, 'contract:', millis),
        reopen: async () => make(),
        close: async () => {},
      };
    },
  });

  describeGuard('claims in a Redis Cluster', {
    async open(duplicates) {
      const claims = new RedisClaims({ redis: cluster, keyPrefix: 'guards:', timeoutMillis: 20_000 });
      const guard = new IdempotencyGuard({ claims, duplicates });
      return {
        run: (group, key, effect, options) => guard.run(group, key, effect, options),
        pass: (millis) => growOlder(node, 'guards:', millis),
        close: async () => {},
      };
    },
  });
});
