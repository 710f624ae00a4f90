// What a cache of blocks gives is what was put last under the key, or nothing; and it holds no more than it may.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES_MAX, BlockCache } from '../../src/store/keys/blockCache.js';

describe('the block cache', () => {
  it('gives what was put last, or nothing, and holds no more blocks than fit its bytes', () => {
    const step = fc.record({ range: fc.nat(3), block: fc.nat(200), byte: fc.nat(255), isPut: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
        const cache = new BlockCache(32 * BLOCK_BYTES_MAX);
        const ranges = Array.from({ length: 4 }, () => cache.reserveKeys());
        const put = new Map<number, number>();
        for (const { range, block, byte, isPut } of steps) {
          const key = ranges[range]! + block;
          if (isPut) {
            cache.put(key, Buffer.alloc(BLOCK_BYTES_MAX, byte));
            put.set(key, byte);
            expect(cache.get(key)?.[0]).toBe(byte);
          } else {
            const found = cache.get(key);
            if (found) expect([found[0], found[BLOCK_BYTES_MAX - 1]]).toEqual([put.get(key), put.get(key)]);
          }
        }
        expect([...put.keys()].filter((key) => cache.get(key)).length).toBeLessThanOrEqual(32);
      }),
    );
  });

  it('keeps blocks that are asked for while a walk over many others passes', () => {
    const cache = new BlockCache(256 * BLOCK_BYTES_MAX);
    const hot = cache.reserveKeys();
    const cold = cache.reserveKeys();
    for (let block = 0; block < 32; block += 1) cache.put(hot + block, Buffer.alloc(BLOCK_BYTES_MAX, block));
    for (let block = 0; block < 5_000; block += 1) {
      const used = hot + (block % 32);
      if (!cache.get(used)) cache.put(used, Buffer.alloc(BLOCK_BYTES_MAX, block % 32));
      cache.put(cold + block, Buffer.alloc(8));
    }
    const kept = Array.from({ length: 32 }, (_, block) => cache.get(hot + block)).filter((block) => block);
    expect(kept.length).toBeGreaterThan(24);
  });

  it('forgets with the range: another one finds nothing of it', () => {
    const cache = new BlockCache(64 * BLOCK_BYTES_MAX);
    const before = cache.reserveKeys();
    for (let block = 0; block < 64; block += 1) cache.put(before + block, Buffer.alloc(8, 1));
    const after = cache.reserveKeys();
    for (let block = 0; block < 64; block += 1) expect(cache.get(after + block)).toBeUndefined();
  });

  it('works with no bytes at all, as a group of blocks', () => {
    const cache = new BlockCache(0);
    const keys = cache.reserveKeys();
    for (let block = 0; block < 100; block += 1) cache.put(keys + block, Buffer.alloc(8, block));
    expect(cache.get(keys + 99)?.[0]).toBe(99);
  });
});
