import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tagFilter, tagsCodeFilter } from '../../src/filter/tagFilter.js';
import { javaHash } from '../../src/protocol/javaHash.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);

describe('tagsCodeFilter', () => {
  it('takes everything without codes', () => {
    expect(tagsCodeFilter([])(0)).toBe(true);
    expect(tagsCodeFilter([])(-5)).toBe(true);
  });

  it('compares the low 32 bits only, as the broker does', () => {
    const matches = tagsCodeFilter([javaHash('TagA')]);
    expect(matches(2598919)).toBe(true);
    expect(matches(2598919 + 2 ** 32)).toBe(true);
    expect(matches(2598920)).toBe(false);
    expect(matches(0)).toBe(false);
  });

  it('takes the hash of every subscribed tag, negative ones too', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 }), { minLength: 1 }), (tags) => {
        const matches = tagsCodeFilter(tags.map(javaHash));
        for (const tag of tags) expect(matches(javaHash(tag))).toBe(true);
      }),
      { numRuns: runs },
    );
  });
});

describe('tagFilter', () => {
  it('takes everything without tags', () => {
    expect(tagFilter([])(undefined)).toBe(true);
    expect(tagFilter([])('A')).toBe(true);
  });

  it('drops other tags of the same hash, and messages without a tag', () => {
    // Java's hash cannot tell these two apart.
    expect(javaHash('Aa')).toBe(javaHash('BB'));
    const matches = tagFilter(['Aa']);
    expect(matches('Aa')).toBe(true);
    expect(matches('BB')).toBe(false);
    expect(matches(undefined)).toBe(false);
  });
});
