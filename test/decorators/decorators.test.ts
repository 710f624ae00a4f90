import { IsInt, IsString } from 'class-validator';
import { Container, inject, injectable } from 'inversify';
import { describe, expect, it } from 'vitest';
import { consumerFactsOf, handlerKindOf, projectionFactsOf } from '../../src/decorators/handlerMetadata.js';
import { aggregateFactsOf } from '../../src/eventstore/aggregate.js';
import { eventFactsOf } from '../../src/eventstore/eventClass.js';
import {
  Aggregate,
  AggregateRoot,
  Apply,
  ConsumeFromWhere,
  Consumer,
  type ConsumerOptions,
  Event,
  Filterable,
  Idempotent,
  MessageModel,
  On,
  OptionsError,
  Projection,
  sql,
} from '../../src/index.js';
import { OrderPlaced, OrderShipped } from '../support/orders.js';

/** A consumer class with these options and one handler. */
function consumer(options?: ConsumerOptions) {
  @Consumer('orders', options)
  class MailDesk {
    @On(OrderPlaced) placed(): void {}
  }
  return MailDesk;
}

describe('@Event and @Filterable', () => {
  it('take type and version; the class name is the default type', () => {
    @Event()
    class Bare {
      @Filterable() @IsInt() size!: number;
    }
    expect(eventFactsOf(Bare)).toEqual({ type: 'Bare', version: 1, filterable: ['size'] });
  });

  it('collect filterable fields of base classes', () => {
    class Base {
      @Filterable() @IsString() color!: string;
    }
    @Event({ type: 'Derived', version: 3 })
    class Derived extends Base {
      @Filterable() @IsInt() size!: number;
    }
    expect(eventFactsOf(Derived)).toEqual({ type: 'Derived', version: 3, filterable: ['color', 'size'] });
  });

  it('a class that extends an event is not that event', () => {
    class Special extends OrderPlaced {}
    expect(() => eventFactsOf(Special)).toThrow(/Special is no event/);
  });

  it.each(['KEYS', 'TAGS', 'UNIQ_KEY', 'FL_VERSION', 'DELAY'])('refuse the reserved name %s', (name) => {
    class Wrong {}
    expect(() => Filterable()(Wrong.prototype, name)).toThrow(new RegExp(`Wrong\\.${name}`));
  });

  it.each([
    ['a blank', { type: 'a b' }],
    ['a bar', { type: 'a|b' }],
    ['nothing', { type: '' }],
    ['version 0', { type: 'a', version: 0 }],
    ['version 1.5', { type: 'a', version: 1.5 }],
  ])('refuse %s', (_what, options) => {
    expect(() => Event(options)(class Wrong {})).toThrow(OptionsError);
  });

  it('refuse a second mark', () => {
    expect(() => Event({ type: 'Again' })(OrderPlaced)).toThrow(/OrderPlaced carries @Event twice/);
  });
});

describe('@Consumer', () => {
  it('has defaults: group from the class name, filter from the handled types', () => {
    expect(consumerFactsOf(consumer())).toMatchObject({
      className: 'MailDesk',
      topic: 'orders',
      group: 'mail-desk',
      model: 'CLUSTERING',
      start: { from: 'CONSUME_FROM_LAST_OFFSET' },
      subscription: { topic: 'orders', expressionType: 'TAG', expression: 'OrderPlaced' },
      mode: undefined,
      replay: 'skip',
      handlers: [{ type: 'OrderPlaced', member: 'placed', idempotent: true }],
    });
  });

  it('joins the types of several handlers', () => {
    @Consumer('orders', { group: 'both' })
    class Both {
      @On(OrderPlaced) placed(): void {}
      @On(OrderShipped, { idempotent: false }) shipped(): void {}
    }
    const facts = consumerFactsOf(Both);
    expect(facts.subscription.expression).toBe('OrderPlaced || OrderShipped');
    expect(facts.handlers.map(({ idempotent }) => idempotent)).toEqual([true, false]);
  });

  it('takes a tag expression or SQL', () => {
    expect(consumerFactsOf(consumer({ filter: 'A || B' })).subscription.expression).toBe('A || B');
    expect(consumerFactsOf(consumer({ filter: sql('cents > 1000') })).subscription).toEqual({
      topic: 'orders',
      expressionType: 'SQL92',
      expression: 'cents > 1000',
    });
  });

  it('takes a date or an ISO time as its start', () => {
    const at = Date.parse('2026-04-01T12:00:00Z');
    for (const from of ['2026-04-01T12:00:00Z', new Date(at)]) {
      expect(consumerFactsOf(consumer({ from })).start).toEqual({ from: 'CONSUME_FROM_TIMESTAMP', fromTimestamp: at });
    }
    expect(consumerFactsOf(consumer({ from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET })).start).toEqual({
      from: 'CONSUME_FROM_FIRST_OFFSET',
    });
  });

  const WRONG: [what: string, options: ConsumerOptions, message: RegExp][] = [
    ['a group with a blank', { group: 'a b' }, /group "a b"/],
    ['a start that is no time', { from: 'yesterday' }, /MailDesk: from "yesterday"/],
    ['a start that is an invalid date', { from: new Date(Number.NaN) }, /MailDesk: from/],
    ['an unknown mode', { mode: 'parallel' as never }, /MailDesk: mode "parallel"/],
    ['an unknown model', { model: 'ALL' as never }, /MailDesk: model ALL/],
    ['a batch of 0', { batch: 0 }, /MailDesk: batch 0/],
    ['an empty filter', { filter: ' ' }, /MailDesk: filter is empty/],
    ['attempts below -1', { maxReconsumeTimes: -2 }, /MailDesk: maxReconsumeTimes -2/],
  ];
  it.each(WRONG)('refuses %s, naming the class', (_what, options, message) => {
    expect(() => consumer(options)).toThrow(message);
    expect(() => consumer(options)).toThrow(OptionsError);
  });

  it('refuses a class without handler', () => {
    expect(() => Consumer('orders')(class Idle {})).toThrow(/Idle: no method is marked with @On/);
  });

  it('is not guarded when BROADCASTING, and refuses to be', () => {
    expect(consumerFactsOf(consumer({ model: MessageModel.BROADCASTING })).handlers[0]?.idempotent).toBe(false);
    const guarded = consumer({ model: MessageModel.BROADCASTING, idempotent: true });
    expect(() => consumerFactsOf(guarded)).toThrow(/MailDesk\.placed is guarded/);
  });

  it('makes the class injectable, also one that is already', () => {
    const TOKEN = Symbol('token');
    @Consumer('orders')
    @injectable()
    class Injected {
      constructor(@inject(TOKEN) readonly value: number) {}
      @On(OrderPlaced) placed(): void {}
    }
    const container = new Container();
    container.bind(TOKEN).toConstantValue(7);
    container.bind(Injected).toSelf();
    expect(container.get(Injected).value).toBe(7);
  });
});

describe('@On and @Idempotent', () => {
  it('refuse a class that is no event, naming class and member', () => {
    class Plain {}
    class Wrong {}
    const mark = On(Plain) as MethodDecorator;
    expect(() => mark(Wrong.prototype, 'handle', {})).toThrow(/@On on Wrong\.handle: class Plain is not marked/);
  });

  it('refuse an undefined class, as circular imports give', () => {
    class Wrong {}
    const mark = On(undefined as never) as MethodDecorator;
    expect(() => mark(Wrong.prototype, 'handle', {})).toThrow(/Wrong\.handle: the event class is undefined/);
  });

  it('refuse two methods for one event', () => {
    expect(() => {
      class Twice {
        @On(OrderPlaced) one(): void {}
        @On(OrderPlaced) two(): void {}
      }
      return Twice;
    }).toThrow(/Twice\.two: Twice\.one handles OrderPlaced already/);
  });

  it('a subclass may override a handler', () => {
    class Base {
      @On(OrderPlaced) placed(): void {}
    }
    @Consumer('orders')
    class Derived extends Base {
      @On(OrderPlaced) placedToo(): void {}
    }
    expect(consumerFactsOf(Derived).handlers.map(({ member }) => member)).toEqual(['placedToo']);
  });

  it('read key and ttl', () => {
    @Consumer('orders', { idempotent: false })
    class Keyed {
      @On(OrderPlaced) @Idempotent({ key: (placed: OrderPlaced) => placed.customer, ttl: 86_400_000 }) placed(): void {}
    }
    const [handler] = consumerFactsOf(Keyed).handlers;
    expect(handler).toMatchObject({ idempotent: true, ttlMillis: 86_400_000 });
    expect(handler?.key?.({ customer: 'ada' }, {} as never)).toBe('ada');
  });

  it('refuse @Idempotent without @On, and a ttl of 0', () => {
    @Consumer('orders')
    class Lonely {
      @On(OrderPlaced) placed(): void {}
      @Idempotent() other(): void {}
    }
    expect(() => consumerFactsOf(Lonely)).toThrow(/Lonely\.other: the method is not marked with @On/);
    const mark = Idempotent({ ttl: 0 }) as MethodDecorator;
    expect(() => mark(Lonely.prototype, 'placed', {})).toThrow(/ttl 0/);
  });
});

describe('@Projection', () => {
  it('reads name, version and topics', () => {
    @Projection({ name: 'summary', version: 2, topics: ['orders', 'orders'] })
    class Summary {
      @On(OrderPlaced) placed(): void {}
    }
    expect(projectionFactsOf(Summary)).toMatchObject({
      name: 'summary',
      version: 2,
      topics: ['orders'],
      replay: 'run',
    });
    expect(handlerKindOf(Summary)).toBe('projection');
  });

  it.each([
    ['no topic', { name: 'p', topics: [] }],
    ['version 0', { name: 'p', version: 0, topics: ['t'] }],
    ['a name with a blank', { name: 'p q', topics: ['t'] }],
  ])('refuses %s', (_what, options) => {
    class Wrong {
      @On(OrderPlaced) placed(): void {}
    }
    expect(() => Projection(options)(Wrong)).toThrow(OptionsError);
  });
});

describe('@Aggregate and @Apply', () => {
  it('read topic, stream and methods', () => {
    @Aggregate({ topic: 'orders' })
    class ReturnCase extends AggregateRoot {
      @Apply(OrderPlaced) protected onPlaced(): void {}
    }
    expect(aggregateFactsOf(ReturnCase)).toEqual({
      topic: 'orders',
      stream: 'return-case',
      appliers: new Map([[OrderPlaced, 'onPlaced']]),
    });
  });

  it('refuse a class that does not extend AggregateRoot, a colon, a second method', () => {
    expect(() => Aggregate({ topic: 'orders' })(class Plain {})).toThrow(/Plain: the class must extend AggregateRoot/);
    class Colon extends AggregateRoot {}
    expect(() => Aggregate({ topic: 'orders', stream: 'a:b' })(Colon)).toThrow(/colon/);
    expect(() => {
      class Twice extends AggregateRoot {
        @Apply(OrderPlaced) protected one(): void {}
        @Apply(OrderPlaced) protected two(): void {}
      }
      return Twice;
    }).toThrow(/Twice\.two: Twice\.one applies OrderPlaced already/);
  });
});
