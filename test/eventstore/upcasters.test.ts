/** Upcasters as the codec applies them: chains, renamings, what is refused at declaration and what is INVALID. */
import { IsInt, IsString, Min } from 'class-validator';
import { describe, expect, it } from 'vitest';
import { EventCodec, type EventMessage } from '../../src/eventstore/eventCodec.js';
import { withStoredTypes } from '../../src/eventstore/storedTypes.js';
import { Event, Filterable, OptionsError, Upcast } from '../../src/index.js';

/** Version 1: euros as a text. 2: euros as a number. 3: cents. Before that it was called OrderMade. */
@Event({ type: 'OrderPlaced', version: 3 })
class OrderPlaced {
  @IsString() customer!: string;
  @IsInt() @Min(1) @Filterable() cents!: number;

  @Upcast('OrderMade', 1) static made({ who, euros }: { who: string; euros: string }): object {
    return { customer: who, euros };
  }

  @Upcast('OrderPlaced', 1) static euros(fields: { euros: string }): object {
    return { ...fields, euros: Number(fields.euros) };
  }

  @Upcast('OrderPlaced', 2) static cents({ euros, ...rest }: { euros: number }): object {
    return { ...rest, cents: Math.round(euros * 100) };
  }
}

const codec = new EventCodec([OrderPlaced]);

function stored(type: string, version: number | string, fields: unknown): EventMessage {
  const body = Buffer.from(JSON.stringify(fields));
  const properties = { FL_SCHEMA: String(version), FL_VERSION: '1', KEYS: 'order:1' };
  const place = {
    brokerName: 'b',
    commitLogOffset: 1,
    queueId: 0,
    queueOffset: 0,
    bornTimestamp: 1,
    storeTimestamp: 2,
  };
  return { ...place, body, properties, msgId: 'e-0', originalTopic: 'orders', tags: type };
}

const read = (type: string, version: number | string, fields: unknown, by = codec) =>
  by.decode(stored(type, version, fields), 1);
const reasonsOf = (type: string, version: number | string, fields: unknown, by = codec) => {
  const decoded = read(type, version, fields, by);
  return decoded.status === 'INVALID' ? decoded.reasons.join('; ') : decoded.status;
};

describe('an old version', () => {
  const EXPECTED = Object.assign(new OrderPlaced(), { customer: 'ann', cents: 1250 });

  it.each([
    ['OrderPlaced', 3, { customer: 'ann', cents: 1250 }],
    ['OrderPlaced', 2, { customer: 'ann', euros: 12.5 }],
    ['OrderPlaced', 1, { customer: 'ann', euros: '12.50' }],
    ['OrderMade', 1, { who: 'ann', euros: '12.50' }],
  ])('%s %i is read as the class is today', (type, version, fields) => {
    const decoded = read(type, version, fields);
    expect(decoded).toMatchObject({ status: 'EVENT', recorded: { type: 'OrderPlaced', schemaVersion: version } });
    const event = decoded.status === 'EVENT' ? decoded.recorded.event : undefined;
    expect(event).toStrictEqual(EXPECTED);
    expect(event).toBeInstanceOf(OrderPlaced);
  });

  it('is validated after it was upcast', () => {
    expect(reasonsOf('OrderPlaced', 2, { customer: 'ann', euros: 0 })).toMatch(/cents must not be less than 1/);
    expect(reasonsOf('OrderPlaced', 1, { customer: 'ann', euros: 'much' })).toMatch(/cents must be an integer/);
  });

  it('of a newer program is refused, and says so', () => {
    expect(reasonsOf('OrderPlaced', 4, {})).toBe(
      'stored with version 4 of its fields, this program knows version 3: update it',
    );
    expect(reasonsOf('OrderPlaced', 'x', {})).toMatch(/this program knows version 3/);
    expect(reasonsOf('OrderPlaced', 0, {})).toMatch(/this program knows version 3/);
  });

  it('that no upcaster leads from is refused, and says what to add', () => {
    expect(reasonsOf('OrderMade', 2, {})).toBe(
      "stored with version 2 of its fields, and no upcaster leads from it to OrderPlaced: add @Upcast('OrderMade', 2)",
    );
    @Event({ type: 'Late', version: 2 })
    class Late {}
    expect(reasonsOf('Late', 1, {}, new EventCodec([Late]))).toBe(
      "stored with version 1 of its fields, and no upcaster leads from it to version 2: add @Upcast('Late', 1)",
    );
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('no euros');
      },
      'upcaster Bad.one failed on version 1 of Bad: no euros',
    ],
    ['gives nothing', () => undefined, "upcaster Bad.one gave undefined instead of the event's fields"],
    ['gives a list', () => [], "upcaster Bad.one gave a list instead of the event's fields"],
    ['gives a promise', async () => ({}), "upcaster Bad.one gave a promise instead of the event's fields"],
    ['gives a prototype', () => JSON.parse('{"__proto__":{"polluted":1}}'), 'the body has a member __proto__'],
  ])('whose upcaster %s is INVALID', (_what, upcaster, reason) => {
    @Event({ type: 'Bad', version: 2 })
    class Bad {
      @Upcast('Bad', 1) static one(_fields: object): object {
        return upcaster() as object;
      }
    }
    expect(reasonsOf('Bad', 1, {}, new EventCodec([Bad]))).toBe(reason);
  });
});

describe('a class of upcasters', () => {
  // biome-ignore lint/complexity/noStaticOnlyClass: decorators need a class
  class History {
    static readonly rate = 100;
    @Upcast('Paid', 1) static paid({ euros }: { euros: number }): object {
      // biome-ignore lint/complexity/noThisInStatic: upcasters are called on their class
      return { cents: euros * this.rate };
    }
    @Upcast('Payed', 1, { to: 'Paid', toVersion: 1 }) static payed(fields: object): object {
      return fields;
    }
    @Upcast('Elsewhere', 1) static elsewhere(fields: object): object {
      return fields;
    }
  }
  @Event({ type: 'Paid', version: 2 })
  class Paid {
    @IsInt() cents!: number;
  }
  const withHistory = new EventCodec([Paid], { upcasters: [History] });

  it('stands beside the event classes, and may rename', () => {
    expect(read('Payed', 1, { euros: 2 }, withHistory)).toMatchObject({
      recorded: { type: 'Paid', event: { cents: 200 } },
    });
  });

  it('may know types that this application does not have: they stay unknown', () => {
    expect(read('Elsewhere', 1, {}, withHistory)).toEqual({ status: 'UNKNOWN_TYPE', type: 'Elsewhere' });
  });

  it('without an upcaster is refused', () => {
    class Nothing {}
    expect(() => new EventCodec([Paid], { upcasters: [Nothing] })).toThrow(/Nothing among the upcasters has no static/);
  });

  it('passes its upcasters on to a class that extends it', () => {
    class More extends History {
      @Upcast('Other', 1) static other(fields: object): object {
        return fields;
      }
    }
    expect(read('Paid', 1, { euros: 1 }, new EventCodec([Paid], { upcasters: [More] }))).toMatchObject({
      status: 'EVENT',
    });
  });
});

describe('declarations that cannot be right', () => {
  const refuse = (upcasters: object[], ...versions: [type: string, version: number][]) => {
    const classes = versions.map(([type, version]) => {
      class Made {}
      Event({ type, version })(Made);
      return Made;
    });
    return expect(() => new EventCodec(classes, { upcasters: upcasters as never[] }));
  };
  /** A class with one upcaster per row. */
  const holder = (...rows: [type: string, from: number, options?: { to?: string; toVersion?: number }][]) => {
    class Holder {}
    rows.forEach(([type, from, options], index) => {
      const name = `step${index}`;
      Object.defineProperty(Holder, name, { value: (fields: object) => fields });
      Upcast(type, from, options)(Holder, name, Object.getOwnPropertyDescriptor(Holder, name) as never);
    });
    return Holder;
  };

  it('two upcasters from one version', () => {
    refuse([holder(['A', 1], ['A', 1])], ['A', 2]).toThrow(
      /Holder.step0 and Holder.step1 both upcast version 1 of event type A/,
    );
  });

  it('a gap between two', () => {
    refuse([holder(['A', 1])], ['A', 3]).toThrow(
      /Holder.step0 leads to version 2 of A and none leads on from there: add @Upcast\('A', 2\)/,
    );
    refuse([holder(['Old', 1], ['Old', 3, { to: 'A' }])], ['A', 1]).toThrow(
      /none leads on from there: add @Upcast\('Old', 2\)/,
    );
  });

  it('an upcaster that never runs', () => {
    refuse([holder(['A', 2])], ['A', 2]).toThrow(/from version 2 of A never runs: its class is at version 2/);
    refuse([holder(['A', 1, { to: 'B' }])], ['A', 1], ['B', 1]).toThrow(/from version 1 of A never runs/);
  });

  it('an upcaster beyond its class', () => {
    refuse([holder(['A', 1, { to: 'B', toVersion: 3 }])], ['B', 2]).toThrow(
      /leads to version 3 of B, whose class is at version 2/,
    );
  });

  it('an upcaster back', () => {
    refuse([holder(['A', 2, { toVersion: 1 }])], ['A', 3]).toThrow(/leads from version 2 of A back to 1/);
  });

  it('a circle', () => {
    refuse([holder(['A', 1, { to: 'B' }], ['B', 1, { to: 'A' }])]).toThrow(
      /circle: Holder.step0 -> Holder.step1 -> Holder.step0/,
    );
  });

  it('versions of one type that become different types', () => {
    refuse([holder(['Old', 1, { to: 'A' }], ['Old', 2, { to: 'B' }])], ['A', 1], ['B', 1]).toThrow(
      /events of type Old are read as A and, by upcaster Holder.step1, as B/,
    );
    refuse([holder(['A', 1, { to: 'B' }])], ['A', 2], ['B', 1]).toThrow(/events of type A are read as A and, .* as B/);
  });

  it('what is no static method, no type and no version', () => {
    const decorate = (target: object, type: string, version: number) => () =>
      Upcast(type, version)(target, 'member', {} as never);
    class Plain {}
    expect(decorate(Plain.prototype, 'A', 1)).toThrow(/@Upcast needs a static method with a name, not member/);
    expect(decorate(Plain, 'A B', 1)).toThrow(/@Upcast on Plain.member: type "A B" must be/);
    expect(decorate(Plain, 'A', 0)).toThrow(OptionsError);
    expect(decorate(Plain, 'A', 1.5)).toThrow(/version 1.5 must be an integer from 1/);
  });
});

describe('stored types', () => {
  it('of a renamed type are all its names', () => {
    expect(codec.storedTypesOf('OrderPlaced').sort()).toEqual(['OrderMade', 'OrderPlaced']);
    expect([codec.typeOf('OrderMade'), codec.typeOf('Other')]).toEqual(['OrderPlaced', undefined]);
  });

  it('are what a subscription by tag asks for', () => {
    const of = (expression: string) => withStoredTypes({ topic: 't', expression }, codec).expression;
    expect(of('OrderPlaced')).toBe('OrderPlaced || OrderMade');
    expect(of('Other || OrderPlaced')).toBe('Other || OrderPlaced || OrderMade');
    expect(of('Other')).toBe('Other');
    expect(of('*')).toBe('*');
    const sql = { topic: 't', expression: "TAGS = 'OrderPlaced'", expressionType: 'SQL92' as const };
    expect(withStoredTypes(sql, codec)).toBe(sql);
  });
});
