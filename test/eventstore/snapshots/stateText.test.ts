/** States as texts: whatever is taken comes back deeply equal, and what would not is refused by the name of its field. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldsOf, stateOf, stateText } from '../../../src/eventstore/snapshots/stateText.js';
import { OptionsError } from '../../../src/index.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);

const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.string({ unit: 'binary' }),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constantFrom(null, undefined, -0, Number.NaN, new Date(0), new Map(), 1n),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: 'binary' }), tie('value'), { maxKeys: 4, noNullPrototype: false }),
  ),
}));

describe('stateText', () => {
  it('either refuses a value or gives it back equal, with every undefined member', () => {
    let taken = 0;
    fc.assert(
      fc.property(value, (state) => {
        let text: string;
        try {
          text = stateText(state, 'the test');
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(OptionsError);
          return;
        }
        taken += 1;
        expect(stateOf(text)).toStrictEqual(state);
      }),
      { numRuns: RUNS },
    );
    expect(taken).toBeGreaterThan(RUNS / 10);
  });

  const shared = { qty: 1 };
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  class Money {
    cents = 1;
  }
  const accessor = Object.defineProperty({}, 'now', { get: () => 1, enumerable: true });
  const hidden = Object.defineProperty({}, 'secret', { value: 1 });
  // biome-ignore lint/suspicious/noSparseArray: a hole is what is refused
  const sparse = [1, , 3];
  const REFUSED: [what: string, state: unknown, reason: string][] = [
    ['a date', { order: { due: new Date(0) } }, 'order.due is an object of class Date'],
    ['a map in a list', { lines: [1, new Map()] }, 'lines[1] is an object of class Map'],
    ['an instance', { price: new Money() }, 'price is an object of class Money'],
    ['an object without prototype', { dictionary: Object.create(null) }, 'dictionary is an object of class no name'],
    ['NaN', { rate: Number.NaN }, 'rate is NaN'],
    ['minus zero', { rate: -0 }, 'rate is -0'],
    ['a function', { onDone: () => {} }, 'onDone is a function'],
    ['a bigint', { big: 1n }, 'big is a bigint'],
    ['a symbol', { sign: Symbol('x') }, 'sign is a symbol'],
    ['a hole', { list: sparse }, 'list is a list with holes'],
    ['a list with a member', { list: Object.assign([1], { extra: 2 }) }, 'list is a list with holes or with members'],
    ['one object twice', { lines: [shared], current: shared }, 'current is the same object as lines[0]'],
    ['a circle', circle, 'self is the same object as the state'],
    ['an accessor', { clock: accessor }, 'clock has a member now that is not an ordinary field'],
    ['a hidden member', { box: hidden }, 'box has a member secret that is not an ordinary field'],
    ['a symbol as name', { box: { [Symbol('id')]: 1 } }, 'box has a member Symbol(id)'],
    ['a prototype', { box: JSON.parse('{"__proto__":{}}') }, 'box has a member __proto__'],
  ];
  it.each(REFUSED)('refuses %s by the name of its field', (_what, state, reason) => {
    expect(() => stateText(state, 'aggregate Order')).toThrow(OptionsError);
    expect(() => stateText(state, 'aggregate Order')).toThrow(
      `a snapshot of aggregate Order is not possible: ${reason}`,
    );
  });

  it('refuses what is nested too deep to be read back', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 10_000; level += 1) deep = [deep];
    expect(() => stateText(deep, 'x')).toThrow(/is nested deeper than 200 levels/);
  });

  it('takes frozen values', () => {
    expect(stateOf(stateText(Object.freeze({ list: Object.freeze([1]) }), 'x'))).toEqual({ list: [1] });
  });
});

describe('fieldsOf', () => {
  it('takes the fields of an instance and refuses accessors', () => {
    class Plain {
      list = [1];
      none: string | undefined;
    }
    expect(fieldsOf(new Plain(), 'x')).toStrictEqual({ list: [1], none: undefined });
    const odd = Object.defineProperty(new Plain(), 'now', { get: () => 1, enumerable: true });
    expect(() => fieldsOf(odd, 'aggregate Plain')).toThrow(/Plain is not possible: it has a member now/);
  });
});
