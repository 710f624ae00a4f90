// One property read out of the text form is the one that decoding all of it gives, whatever the text holds.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeProperties, propertyIn, splitKeys } from '../../src/protocol/messageProperties.js';

const NAMES = ['KEYS', 'XKEYS', 'KEY', 'KEYSX', 'UNIQ_KEY'];
/** Any pieces in any order: items, and what is left of damaged ones. */
const texts = fc
  .array(fc.constantFrom(...NAMES, '\u0001', '\u0002', 'a', ' ', ''), { maxLength: 24 })
  .map((parts) => parts.join(''));

describe('propertyIn', () => {
  it('agrees with decodeProperties', () => {
    fc.assert(
      fc.property(texts, fc.constantFrom(...NAMES), (text, name) => {
        expect(propertyIn(text, name)).toBe(decodeProperties(text)[name]);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    ['KEYS\u0001a\u0002KEYS\u0001b\u0002', 'b'],
    ['KEYS\u0001a\u0002KEYS\u0001\u0002', 'a'],
    ['XKEYS\u0001a\u0002', undefined],
    ['TAGS\u0001KEYS\u0001a\u0002', undefined],
    ['KEYS\u0001a', 'a'],
  ])('of %j gives %j', (text, value) => {
    expect(propertyIn(text, 'KEYS')).toBe(value);
    expect(decodeProperties(text)['KEYS']).toBe(value);
  });

  it('splits keys at blanks', () => {
    expect(splitKeys(undefined)).toEqual([]);
    expect(splitKeys('')).toEqual([]);
    expect(splitKeys(' a  b ')).toEqual(['a', 'b']);
  });
});
