// What a map that forgets still knows is what was set last, what was used lately stays, and its weight is bounded.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecentMap } from '../../src/store/keys/recentMap.js';

const WEIGHT_MAX = 40;

describe('a map that forgets', () => {
  it('gives what was set last or nothing, within its weight', () => {
    const step = fc.record({ key: fc.nat(60), weight: fc.integer({ min: 1, max: 5 }), isSet: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const map = new RecentMap<number, { weight: number }>(WEIGHT_MAX, ({ weight }) => weight);
        const model = new Map<number, { weight: number }>();
        for (const { key, weight, isSet } of steps) {
          const known = map.get(key);
          if (known) expect(known).toBe(model.get(key));
          if (!isSet) {
            if (!known) continue;
            known.weight += weight;
            map.grew(weight);
          } else if (!known) {
            const value = { weight };
            map.set(key, value);
            model.set(key, value);
          }
        }
        // One value may stand alone beyond the bound; what filled a generation last may be as much beyond its half.
        const kept = new Set([...model.keys()].flatMap((key) => map.get(key) ?? []));
        expect(kept.size).toBeLessThanOrEqual(map.size);
        expect(map.size).toBeLessThanOrEqual(WEIGHT_MAX);
      }),
    );
  });

  it('keeps what is used, and forgets the rest', () => {
    const map = new RecentMap<string, number>(100);
    map.set('used', 1);
    for (let other = 0; other < 1_000; other += 1) {
      expect(map.get('used')).toBe(1);
      map.set(`other ${other}`, other);
    }
    expect(map.get('other 0')).toBeUndefined();
    expect(map.size).toBeLessThanOrEqual(100);
  });

  it('counts a value once that is set again, and what it grew by', () => {
    const map = new RecentMap<string, { weight: number }>(20, ({ weight }) => weight);
    const value = { weight: 2 };
    map.set('first', value);
    for (let again = 0; again < 100; again += 1) map.set('second', { weight: 1 });
    expect(map.get('first')).toBe(value);
    // Twice as much as a generation takes: both are forgotten once others fill it twice.
    map.grew(10);
    map.set('third', { weight: 10 });
    expect(map.get('first')).toBeUndefined();
    expect(map.get('third')).toEqual({ weight: 10 });
  });
});
