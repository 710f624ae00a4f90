/**
 * Every row of the evaluation table was observed on Apache RocketMQ 5.5.0 with these properties. `error` rows raise
 * while they are evaluated and `unknown` rows come out as null there; both mean no match, so both read `false` here,
 * and NOT of them is checked apart where the difference shows.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OptionsError } from '../../src/base/errors.js';
import { compileSql } from '../../src/filter/sqlFilter.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);
const PROPERTIES = { status: '1', price: '2.5', name: 'abc', flag: 'true' };

const matches = (expression: string, properties: Record<string, string> = PROPERTIES) =>
  compileSql(expression).matches(properties);

describe('observed on Apache RocketMQ 5.5.0', () => {
  it.each([
    'status = 1',
    "status = '1'",
    'status = 1.0',
    'status = 1L',
    '(status = 1)',
    'status > 0',
    'price = 2.5',
    'status BETWEEN 0 AND 5',
    'missing IS NULL',
    'missing = 1 OR status = 1',
    'flag = TRUE',
    'NOT (status = 2)',
    '1 = 1',
    'TRUE',
  ])('%s matches', (expression) => expect(matches(expression)).toBe(true));

  it.each([
    ['price < 3', 'error: a whole literal parses the property as a whole number'],
    ['name = 5', 'error'],
    ['name > 5', 'error'],
    ['missing = 1', 'unknown'],
    ['missing <> 1', 'unknown'],
    ['NOT (missing = 1)', 'unknown'],
    ["missing IN ('a')", 'unknown'],
    ["missing NOT IN ('a')", 'unknown'],
    ["missing CONTAINS 'a'", 'false'],
    ["missing NOT CONTAINS 'a'", 'false'],
    ['status = 1 AND missing > 2', 'unknown'],
    ['missing = 1 AND status = 2', 'false'],
    ['flag', 'false: text is never true'],
    ['NOT status = 2', 'false: binds as (NOT status) = 2'],
    ['status + 1 = 2', 'the parser stops at +'],
    ["status like 'a%'", 'the parser stops at like'],
    ['Status = 1', 'unknown: names are case-sensitive'],
  ])('%s does not match (%s)', (expression) => expect(matches(expression)).toBe(false));

  it.each([
    "name > 'abb'",
    "name BETWEEN 'a' AND 'z'",
    'status BETWEEN 5 AND 0',
    'status IN (1,2)',
    'missing = NULL',
    'NULL = NULL',
    'status != 2',
    '',
  ])('%j does not compile', (expression) => expect(() => compileSql(expression)).toThrow(OptionsError));
});

describe('grammar', () => {
  it.each([
    ['price < 3.0', true],
    ['price <= 2.5 AND price >= 2.5', true],
    ['status<>2', true],
    ['status <> 1', false],
    ["name IN ('x', 'abc')", true],
    ["name NOT IN ('x')", true],
    ["name not in ('abc')", false],
    ["name CONTAINS 'b'", true],
    ["name NOT CONTAINS 'b'", false],
    ["name STARTSWITH 'ab'", true],
    ["name NOT STARTSWITH 'b'", true],
    ["name ENDSWITH 'bc'", true],
    ["name NOT ENDSWITH 'bc'", false],
    ["name CONTAINS ''", false],
    ["name NOT CONTAINS ''", false],
    ['status NOT BETWEEN 2 AND 3', true],
    ['status BETWEEN -1 AND +1', true],
    ['status > -1', true],
    ['-status = -1', false],
    ['- 1 < status', true],
    ['status IS NOT NULL', true],
    ['status IS NULL', false],
    ['(status = 2) IS NULL', false],
    ['(missing = 2) IS NULL', true],
    ['status = 1 -- a comment', true],
    ['status /* a\ncomment */ = 1', true],
    ['price = 25e-1', true],
    ['price > .5', true],
    ['price < 3.', true],
    ['flag = FALSE', false],
    ['TRUE = flag', true],
    ['1 = status', true],
    ['status = name', false],
    ["'it''s' = \"x\"", undefined],
    ["$id_1 = 'it''s'", true],
    ['FALSE OR TRUE', true],
    ['NULL', false],
    ['NOT NULL', false],
    ['NULL OR TRUE', true],
    // AND binds before OR.
    ['status = 1 OR status = 2 AND status = 3', true],
    ['(status = 1 OR status = 2) AND status = 3', false],
    // What decides first hides an error behind it; what comes after an error does not mend it.
    ['status = 1 OR name = 5', true],
    ['name = 5 OR status = 1', false],
    ['status = 2 AND name = 5 OR status = 1', true],
    // A truth value never equals a number; NOT of that is true.
    ['(status = 1) = 1', false],
    ['NOT ((status = 1) = 1)', true],
  ])('%s -> %s', (expression, expected) => {
    const run = () => matches(expression, { ...PROPERTIES, $id_1: "it's" });
    if (expected === undefined) expect(run).toThrow(OptionsError);
    else expect(run()).toBe(expected);
  });

  it('compares 64-bit numbers exactly', () => {
    expect(matches('id = 9007199254740993', { id: '9007199254740993' })).toBe(true);
    expect(matches('id = 9007199254740993', { id: '9007199254740992' })).toBe(false);
    expect(matches('id > 5', { id: '9223372036854775807' })).toBe(true);
    expect(matches('id > 5', { id: '9223372036854775808' })).toBe(false);
    expect(matches('id > 5', { id: ' 6' })).toBe(false);
    expect(matches('id > 5', { id: '+6' })).toBe(true);
    expect(matches('id > 5', { id: '' })).toBe(false);
    expect(matches('id > 5.0', { id: ' 6e1d ' })).toBe(true);
    expect(matches('id > 5.0', { id: 'NaN' })).toBe(true);
  });

  it('does not see what a message inherits from JavaScript', () => {
    expect(matches('constructor IS NULL')).toBe(true);
    expect(matches('toString IS NOT NULL')).toBe(false);
    expect(matches("__proto__ = 'x'", JSON.parse('{"__proto__":"x"}'))).toBe(true);
  });

  it('stops where upstream stops, and does not look behind that', () => {
    expect(matches('status = 1 and_then !!!')).toBe(true);
    expect(() => compileSql('status = 1 !')).toThrow(OptionsError);
  });

  it.each([
    ['status =', 8],
    ['status = 1 AND', 14],
    ['status ? 1', 7],
    ["name IN ('a'", 12],
    ['5', 0],
    ["status = 'open", 9],
    ['status NOT 5', 11],
    ['a = 9223372036854775808', 4],
    ['(status = 1', 11],
    ['status IS 5', 10],
    ["'a' IN ('a')", 0],
    ['(a = 1) > 2', 1],
  ])('%j does not compile at %i', (expression, position) => {
    try {
      compileSql(expression);
      expect.unreachable('it compiled');
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(OptionsError);
      expect((thrown as OptionsError).details['position']).toBe(position);
    }
  });

  it('bounds depth and length', () => {
    expect(() => compileSql(`${'('.repeat(100)}a = 1${')'.repeat(100)}`)).not.toThrow();
    expect(() => compileSql(`${'('.repeat(10_000)}a = 1`)).toThrow(/levels/);
    expect(() => compileSql(`${'NOT '.repeat(10_000)}a`)).toThrow(/levels/);
    expect(() => compileSql(' '.repeat(65_537))).toThrow(/characters/);
    expect(matches(`status = 1${' OR status = 1'.repeat(4000)}`)).toBe(true);
    // 30,000 comparisons within each other overflow the stack when evaluated: no match, no crash.
    expect(matches(`status${'=1'.repeat(30_000)}`)).toBe(false);
  });
});

describe('against a model', () => {
  type Truth = boolean | null;
  type Expression = { text: string; value: Truth };
  const leaf = fc.constantFrom<Expression>(
    { text: 'status = 1', value: true },
    { text: 'status = 2', value: false },
    { text: 'missing = 1', value: null },
    { text: 'TRUE', value: true },
    { text: 'FALSE', value: false },
    { text: 'missing IS NULL', value: true },
    { text: "name STARTSWITH 'b'", value: false },
  );
  const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
    expression: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      tie('expression').map(({ text, value }) => ({ text: `NOT (${text})`, value: value === null ? null : !value })),
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => ({
        text: `(${a.text}) AND (${b.text})`,
        value: a.value === false || b.value === false ? false : a.value === null || b.value === null ? null : true,
      })),
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => ({
        text: `(${a.text}) OR (${b.text})`,
        value: a.value === true || b.value === true ? true : a.value === null || b.value === null ? null : false,
      })),
    ),
  }));

  it('follows three-valued logic', () => {
    fc.assert(
      fc.property(expression, ({ text, value }) => {
        expect(matches(text)).toBe(value === true);
        expect(matches(`(${text}) IS NULL`)).toBe(value === null);
      }),
      { numRuns: runs },
    );
  });

  it('answers any text with a filter or an OptionsError', () => {
    const word = fc.constantFrom(
      'a',
      'NOT',
      '(',
      ')',
      'AND',
      'OR',
      '=',
      '<>',
      '1',
      "'x'",
      'IN',
      'IS',
      'NULL',
      '-',
      ',',
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(word).map((words) => words.join(' ')),
    );
    fc.assert(
      fc.property(text, (expression) => {
        try {
          expect(typeof matches(expression)).toBe('boolean');
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(OptionsError);
        }
      }),
      { numRuns: runs * 5 },
    );
  });
});
