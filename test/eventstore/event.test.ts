import { IsArray, IsDate, IsNumber, IsObject, IsString, ValidateNested } from 'class-validator';
import { describe, expect, it } from 'vitest';
import { Event, event, isFoldlogError } from '../../src/index.js';
import { OrderPlaced } from '../support/orders.js';

function errorOf(run: () => unknown): Error & { code?: string } {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof Error) return thrown;
  }
  throw new Error('nothing was thrown');
}

describe('event', () => {
  it('is an instance of its class with the fields given', () => {
    const made = event(OrderPlaced, { customer: 'c-1', cents: 100 });
    expect(made).toBeInstanceOf(OrderPlaced);
    expect({ ...made }).toEqual({ customer: 'c-1', cents: 100, country: undefined });
  });

  it('is frozen: what was checked is what is stored', () => {
    const made = event(OrderPlaced, { customer: 'c-1', cents: 100 });
    expect(() => {
      made.cents = 0;
    }).toThrow(TypeError);
  });

  it('names type, field and reason when it does not validate', () => {
    const error = errorOf(() => event(OrderPlaced, { customer: 'c-1', cents: 0 }));
    expect(isFoldlogError(error) && error.code).toBe('EVENT_INVALID');
    expect(error.message).toBe('event OrderPlaced is not valid: cents: cents must not be less than 1');
  });

  it('names every wrong field', () => {
    const error = errorOf(() => event(OrderPlaced, { customer: 1, cents: 0.5, country: 'XX' } as never));
    expect(error.message).toMatch(/customer: .*cents: .*country: /);
  });

  it('refuses a field that the class does not declare', () => {
    const error = errorOf(() => event(OrderPlaced, { customer: 'c', cents: 1, cent: 1 } as never));
    expect(error.message).toContain('cent: the class does not declare it');
  });

  it('refuses what JSON would change', () => {
    @Event({ type: 'Odd' })
    class Odd {
      @IsDate() at?: Date;
    }
    expect(errorOf(() => event(Odd, { at: new Date() })).message).toContain('Date would not come back from JSON');
    @Event({ type: 'OddNumber' })
    class OddNumber {
      @IsNumber({ allowNaN: true }) value!: number;
    }
    expect(errorOf(() => event(OddNumber, { value: Number.NaN })).message).toContain('NaN cannot be stored');
    @Event({ type: 'OddNested' })
    class OddNested {
      @IsObject() nested!: object;
      @IsArray() list!: unknown[];
    }
    expect(errorOf(() => event(OddNested, { nested: { map: new Map() }, list: [] })).message).toContain('nested: Map');
    expect(errorOf(() => event(OddNested, { nested: {}, list: [undefined] })).message).toContain('list: ');
    const circular: { self?: object } = {};
    circular.self = circular;
    expect(errorOf(() => event(OddNested, { nested: circular, list: [] })).message).toContain('nested deeper');
    expect(event(OddNested, { nested: { a: [1, null, 'x', { b: true }], gone: undefined }, list: [] })).toBeInstanceOf(
      OddNested,
    );
  });

  it('names nested fields by their path', () => {
    class Line {
      @IsString() sku!: string;
    }
    @Event({ type: 'WithLines' })
    class WithLines {
      @ValidateNested() line!: Line;
    }
    const line = Object.assign(new Line(), { sku: 1 });
    expect(errorOf(() => event(WithLines, { line } as never)).message).toContain('line.sku: ');
  });

  it('of a class without @Event is an OptionsError that names the class', () => {
    class Plain {}
    expect(errorOf(() => event(Plain, {})).message).toContain('class Plain is no event');
  });

  it('of a class that cannot be made without arguments says so', () => {
    @Event({ type: 'Needy' })
    class Needy {
      constructor(readonly inner: { value: number }) {
        if (inner.value > 0) throw new Error('positive');
      }
    }
    expect(errorOf(() => event(Needy, { inner: { value: 1 } })).message).toContain('cannot be made without arguments');
  });
});
