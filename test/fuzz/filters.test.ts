/**
 * Filters: SQL92 texts made by its grammar against a model of three-valued logic, texts with words changed, and tag
 * subscriptions; evaluated on properties of any text.
 */
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { filterOf, filterOfText } from '../../src/broker/subscriptionFilter.js';
import { compileSql } from '../../src/filter/sqlFilter.js';
import { javaHash } from '../../src/protocol/javaHash.js';
import { buildSubscription } from '../../src/protocol/subscription.js';
import { declared, fuzz, mutatedText, printSeed } from './fuzzing.js';

printSeed();
const REFUSED = ['OPTIONS_INVALID'];

type Truth = boolean | null;
type Properties = Record<string, string>;
interface Expression {
  text: string;
  value: (properties: Properties) => Truth;
}

const NAMES = ['a', 'b', 'c_1', '$d'] as const;
const name = fc.constantFrom<string>(...NAMES);
const whole = fc.integer({ min: -20, max: 20 });
/** Whole numbers only, so that the model never meets an error; some names are missing. */
const wholeProperties = fc
  .tuple(...NAMES.map(() => fc.option(whole, { nil: undefined })))
  .map(
    (values): Properties =>
      Object.fromEntries(
        NAMES.flatMap((each, index) => (values[index] === undefined ? [] : [[each, String(values[index])]])),
      ),
  );

const not = (value: Truth): Truth => (value === null ? null : !value);
const and = (left: Truth, right: Truth): Truth =>
  left === false || right === false ? false : left === null || right === null ? null : true;
const or = (left: Truth, right: Truth): Truth => not(and(not(left), not(right)));
/** Of a property as a number; unknown when it is missing. */
const on = (name: string, test: (value: number) => boolean) => (properties: Properties) => {
  const text = properties[name];
  return text === undefined ? null : test(Number(text));
};

const comparison = fc
  .tuple(name, fc.constantFrom('=', '<>', '<', '<=', '>', '>='), whole, fc.boolean())
  .map(([left, operator, right, isSwapped]): Expression => {
    const holds: Record<string, (order: number) => boolean> = {
      '=': (order) => order === 0,
      '<>': (order) => order !== 0,
      '<': (order) => order < 0,
      '<=': (order) => order <= 0,
      '>': (order) => order > 0,
      '>=': (order) => order >= 0,
    };
    return {
      text: isSwapped ? `${right} ${operator} ${left}` : `${left}${operator}${right}`,
      value: on(left, (value) => holds[operator]!(isSwapped ? right - value : value - right)),
    };
  });
const between = fc.tuple(name, whole, fc.nat(10), fc.boolean()).map(
  ([left, low, width, isNegated]): Expression => ({
    text: `${left} ${isNegated ? 'NOT ' : ''}between ${low} AND ${low + width}`,
    value: (properties) => {
      const value = on(left, (number) => number >= low && number <= low + width)(properties);
      return isNegated ? not(value) : value;
    },
  }),
);
const inList = fc.tuple(name, fc.array(whole, { minLength: 1, maxLength: 4 }), fc.boolean()).map(
  ([left, list, isNegated]): Expression => ({
    text: `${left} ${isNegated ? 'NOT ' : ''}IN (${list.map((number) => `'${number}'`).join(', ')})`,
    value: on(left, (value) => list.includes(value) !== isNegated),
  }),
);
const isNull = fc.tuple(name, fc.boolean()).map(
  ([left, isNegated]): Expression => ({
    text: `${left} IS ${isNegated ? 'not ' : ''}NULL`,
    value: (properties) => (properties[left] === undefined) !== isNegated,
  }),
);
const textTest = fc.tuple(name, fc.constantFrom('CONTAINS', 'STARTSWITH', 'ENDSWITH'), fc.nat(20), fc.boolean()).map(
  ([left, word, part, isNegated]): Expression => ({
    text: `${left} ${isNegated ? 'NOT ' : ''}${word} '${part}'`,
    value: ({ [left]: text }) => {
      const wanted = String(part);
      if (text === undefined) return false;
      const found =
        word === 'CONTAINS'
          ? text.includes(wanted)
          : word === 'STARTSWITH'
            ? text.startsWith(wanted)
            : text.endsWith(wanted);
      return found !== isNegated;
    },
  }),
);
const constant = fc.constantFrom<Expression>(
  { text: 'TRUE', value: () => true },
  { text: 'false', value: () => false },
  { text: 'NULL', value: () => null },
);
const leaf = fc.oneof(comparison, comparison, between, inList, isNull, textTest, constant);
const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
  expression: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    tie('expression').map(({ text, value }) => ({
      text: `NOT (${text})`,
      value: (properties: Properties) => not(value(properties)),
    })),
    fc.tuple(tie('expression'), tie('expression'), fc.constantFrom('AND', 'and')).map(([left, right, word]) => ({
      text: `(${left.text}) ${word} (${right.text})`,
      value: (properties: Properties) => and(left.value(properties), right.value(properties)),
    })),
    fc.tuple(tie('expression'), tie('expression'), fc.constantFrom('OR', 'Or')).map(([left, right, word]) => ({
      text: `(${left.text}) ${word} (${right.text})`,
      value: (properties: Properties) => or(left.value(properties), right.value(properties)),
    })),
  ),
}));

const WORDS = [
  'a',
  'NOT',
  '(',
  ')',
  'AND',
  'OR',
  '=',
  '<>',
  '>=',
  '<',
  '1',
  '-',
  '+',
  '1.5e3',
  '.5',
  '9223372036854775808',
  "'x'",
  "'",
  "''",
  'IN',
  'IS',
  'NULL',
  'BETWEEN',
  'CONTAINS',
  'ENDSWITH',
  ',',
  '--',
  '/*',
  '*/',
  '\n',
  ' ',
  '"',
  '!',
  '1L',
  '1e400',
  'TRUE',
];
const SQL = [
  "a > 5 AND b = 'x'",
  "(a IS NOT NULL OR NOT (b <> 2)) AND c IN ('x', 'y''z')",
  "a BETWEEN 1 AND 5 OR d NOT CONTAINS 'e' -- end",
  'a = 1.5 /* c */ AND -3 < b',
];
/** What compares in one way is not what compares in another: numbers in all forms, blanks, long runs of digits. */
const anyProperties = fc.dictionary(
  fc.constantFrom('a', 'b', 'c', 'd', '__proto__', 'constructor'),
  fc.oneof(
    fc.constantFrom(
      '1',
      '+6',
      '-0',
      '1.5',
      '1e5',
      'NaN',
      'Infinity',
      ' 7 ',
      'true',
      'x',
      '9223372036854775807',
      '9'.repeat(40),
    ),
    fc.string({ unit: 'binary', maxLength: 12 }),
  ),
  { noNullPrototype: true },
);

describe('SQL92', () => {
  fuzz('follows three-valued logic', 35, fc.tuple(expression, wholeProperties), ([{ text, value }, properties]) => {
    const expected = value(properties);
    expect(compileSql(text).matches(properties)).toBe(expected === true);
    expect(compileSql(`(${text}) IS NULL`).matches(properties)).toBe(expected === null);
  });

  fuzz(
    'answers any text with a filter or OPTIONS_INVALID',
    40,
    fc.tuple(mutatedText(SQL, WORDS), anyProperties),
    ([text, properties]) => {
      const filter = declared(REFUSED, () => compileSql(text));
      if (filter) expect(typeof filter.matches(properties)).toBe('boolean');
    },
  );

  fuzz(
    'takes one pass over long texts and long properties',
    0.25,
    fc.tuple(
      fc.constantFrom(...WORDS, '1 ', 'a=1 OR ', '(', "'a''", '1e'),
      fc.constantFrom('1', '.', ' ', '1e', "'", '-', 'd'),
    ),
    ([word, unit]) => {
      const text = word.repeat(Math.floor(65_000 / word.length));
      for (const source of [text, `a = ${text}`, `a = '${text}`, `a IN (${text}`])
        declared(REFUSED, () => compileSql(source).matches({ a: unit.repeat(30_000) }));
      const properties = { a: `${unit.repeat(Math.floor(32_000 / unit.length))}x` };
      for (const source of ['a > 1.0', 'a > 1', "a = '1'", 'a = TRUE', "a CONTAINS 'yx'"]) {
        expect(compileSql(source).matches(properties)).toBe(false);
      }
    },
  );
});

describe('subscriptions', () => {
  fuzz(
    'by tags match exactly their tags',
    15,
    fc.tuple(
      mutatedText(['a', 'a || b', 'a||b||c', '*'], ['|', '||', ' ', 'a', 'AaAa', 'BBBB', '*', '']),
      fc.constantFrom('a', 'b', 'BBBB', ''),
    ),
    ([text, tag]) => {
      const data = declared(REFUSED, () => buildSubscription('T', text));
      if (data === undefined) return;
      const { readFilter, mayMatch, defect } = filterOf(data);
      expect(defect).toBeUndefined();
      const takes = data.tagsSet.length === 0 || data.codeSet.includes(javaHash(tag));
      expect(mayMatch(javaHash(tag))).toBe(takes);
      expect(readFilter?.matchesTagsCode?.(javaHash(tag)) ?? true).toBe(takes);
    },
  );

  fuzz(
    'of a request have a filter or a defect',
    10,
    fc.tuple(mutatedText([...SQL, 'a || b'], WORDS), fc.constantFrom('TAG', 'SQL92', '', undefined, 'CLASS')),
    ([text, type]) => {
      const { defect, mayMatch } = filterOfText('T', text, type);
      if (defect === undefined) expect(typeof mayMatch(5)).toBe('boolean');
      else expect(defect).not.toBe('');
    },
  );
});
