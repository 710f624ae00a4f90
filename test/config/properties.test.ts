import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseProperties, writeProperties } from '../../src/config/properties.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);

describe('parseProperties', () => {
  it('names the line of each key, past comments, blank lines, continuations and every kind of line end', () => {
    const text = ['# comment', '! another', '', 'first = 1', 'long = a \\', '   b\\', '   c', 'third:3', 'fourth 4', '']
      .join('\n')
      .concat('fifth=5\r\nsixth=6\rseventh=7');
    expect(parseProperties(text)).toEqual([
      { key: 'first', value: '1', line: 4 },
      { key: 'long', value: 'a bc', line: 5 },
      { key: 'third', value: '3', line: 8 },
      { key: 'fourth', value: '4', line: 9 },
      { key: 'fifth', value: '5', line: 10 },
      { key: 'sixth', value: '6', line: 11 },
      { key: 'seventh', value: '7', line: 12 },
    ]);
  });

  it('reads escapes as Java does and cuts blanks at the end of a value', () => {
    expect(parseProperties('a\\ b = c\\u00fc\\td  \nempty=\nlonely')).toEqual([
      { key: 'a b', value: 'cü\td', line: 1 },
      { key: 'empty', value: '', line: 2 },
      { key: 'lonely', value: '', line: 3 },
    ]);
  });

  it('gives a key that stands twice twice, in order', () => {
    expect(parseProperties('a=1\na=2').map(({ value }) => value)).toEqual(['1', '2']);
  });

  it('takes any text without a crash', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect(parseProperties(text).every(({ line }) => line > 0)).toBe(true);
      }),
      { numRuns: RUNS },
    );
  });
});

describe('writeProperties', () => {
  it('writes key=value lines in the given order and nothing for nothing', () => {
    const pairs = [['b', true] as const, ['a', 'x y'] as const, ['n', -3] as const];
    expect(writeProperties(pairs)).toBe('b=true\na=x y\nn=-3\n');
    expect(writeProperties([])).toBe('');
  });

  it('is read back as it was', () => {
    const word = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }).filter((text) => text.trim() === text);
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word), { maxLength: 8 }), (pairs) => {
        const read = parseProperties(writeProperties(pairs)).map(({ key, value }) => [key, value]);
        expect(read).toEqual(pairs);
      }),
      { numRuns: RUNS },
    );
  });
});
