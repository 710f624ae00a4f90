import { readdirSync } from 'node:fs';
import { Container, inject } from 'inversify';
import { describe, expect, it } from 'vitest';
import {
  ConsumeFromWhere,
  Consumer,
  Event,
  EventStore,
  event,
  Foldlog,
  type FoldlogOptions,
  type MessageContext,
  MessageModel,
  On,
  OptionsError,
  Producer,
  Projection,
  type ProjectionContext,
  type SqliteDatabase,
} from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { Order, OrderPlaced, OrderShipped } from '../support/orders.js';

const FIRST = { from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET } as const;

@Projection({ name: 'order-summary', version: 1, topics: ['orders'] })
class OrderSummary {
  initialise(db: SqliteDatabase): void {
    db.exec('CREATE TABLE orders (id TEXT PRIMARY KEY, cents INTEGER, carrier TEXT)');
  }

  @On(OrderPlaced) placed({ cents }: OrderPlaced, { db, stream }: ProjectionContext<SqliteDatabase>): void {
    db.run('INSERT INTO orders (id, cents) VALUES (?, ?)', stream, cents);
  }

  @On(OrderShipped) shipped({ carrier }: OrderShipped, { db, stream }: ProjectionContext<SqliteDatabase>): void {
    db.run('UPDATE orders SET carrier = ? WHERE id = ?', carrier, stream);
  }
}

describe('start refuses, and leaves nothing open', () => {
  class Plain {}
  @Consumer('orders', { group: 'same' })
  class One {
    @On(OrderPlaced) placed(): void {}
  }
  @Consumer('orders', { group: 'same' })
  class Two {
    @On(OrderPlaced) placed(): void {}
  }
  @Event({ type: 'OrderPlaced' })
  class Impostor {}
  class NeedsArguments {
    constructor(readonly value: number) {}
  }
  const WRONG: [what: string, options: FoldlogOptions, message: RegExp][] = [
    ['neither store nor namesrv', { handlers: [] }, /either store .* or namesrv/],
    ['both', { store: 'x', namesrv: 'y:1', handlers: [] }, /either store .* or namesrv/],
    ['an empty store', { store: '', handlers: [] }, /store is empty/],
    ['options of a broker with namesrv', { namesrv: 'y:1', listen: true, handlers: [] }, /listen is for the embedded/],
    ['no list of handlers', { store: 'x' } as never, /handlers must be a list/],
    ['a class without decorator', { store: 'x', handlers: [Plain] }, /Plain among the handlers/],
    ['two consumers of one group', { store: 'x', handlers: [One, Two] }, /One and Two have the same group same/],
    [
      'two classes of one event type',
      { store: 'x', handlers: [One], events: [Impostor] },
      /OrderPlaced is declared by two/,
    ],
    ['a name server that is no address', { namesrv: 'nonsense', handlers: [] }, /nonsense/],
    [
      'an event class without mark',
      { store: 'x', handlers: [], events: [NeedsArguments] },
      /NeedsArguments is no event/,
    ],
  ];
  it.each(WRONG)('%s', async (_what, options, message) => {
    const start = Foldlog.start(options);
    await expect(start).rejects.toThrow(message);
    await expect(start).rejects.toThrow(OptionsError);
  });

  it('a handler that the container cannot make, naming it', async () => {
    @Consumer('orders', { group: 'needy' })
    class Needy {
      constructor(readonly value: number) {}
      @On(OrderPlaced) placed(): void {}
    }
    await expect(TestApp.start({ handlers: [Order, Needy] })).rejects.toThrow(/cannot make handler Needy/);
  });

  it('SQL that does not compile', async () => {
    @Consumer('orders', { group: 'wrong-sql', filter: { expressionType: 'SQL92', expression: 'cents >' } })
    class WrongSql {
      @On(OrderPlaced) placed(): void {}
    }
    await expect(TestApp.start({ handlers: [Order, WrongSql] })).rejects.toThrow(/cents >|WrongSql/);
  });

  it('a projection without database on a cluster', async () => {
    await using app = await TestApp.start({ handlers: [Order], listen: true, namesrvPort: 0, brokerPort: 0 });
    const start = Foldlog.start({ namesrv: app.foldlog.namesrvAddr, handlers: [Order, OrderSummary] });
    await expect(start).rejects.toThrow(/database must be given with namesrv/);
  });

  it('a store that is in use', async () => {
    await using app = await TestApp.start({ handlers: [] });
    await expect(Foldlog.start({ store: app.directory, handlers: [] })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await app.producer.send({ topic: 'still-works', body: 'x' });
  });
});

describe('the container', () => {
  const LEDGER = Symbol('ledger');
  class Ledger {
    readonly entries: string[] = [];
  }
  @Consumer('orders', { group: 'billing', ...FIRST })
  class Billing {
    constructor(
      @inject(LEDGER) private readonly ledger: Ledger,
      @inject(Foldlog) private readonly app: Foldlog,
      @inject(EventStore) readonly store: EventStore,
      @inject(Producer) readonly producer: Producer,
    ) {}
    @On(OrderPlaced) async placed(_placed: OrderPlaced, { stream, eventId }: MessageContext): Promise<void> {
      const [, id = ''] = stream.split(':');
      const { version } = await this.app
        .aggregate(Order)
        .execute(id, (order) => order.ship('dhl'), { commandId: eventId });
      this.ledger.entries.push(`${stream} ${version}`);
    }
  }

  it('makes handlers, which may ask for the application and its parts; one container serves several starts', async () => {
    const container = new Container();
    const ledger = new Ledger();
    container.bind(LEDGER).toConstantValue(ledger);
    for (const id of ['1', '2']) {
      await using app = await TestApp.start({ handlers: [Order, Billing], container });
      await app.aggregate(Order).execute(id, (order) => order.place('c', 1));
      await app.settled();
    }
    expect(ledger.entries).toEqual(['order:1 2', 'order:2 2']);
    expect(container.isBound(Foldlog)).toBe(false);
  });

  it('may bind the handler itself', async () => {
    const container = new Container();
    container.bind(LEDGER).toConstantValue(new Ledger());
    container.bind(Billing).toSelf().inSingletonScope();
    await using app = await TestApp.start({ handlers: [Order, Billing], container });
    await app.aggregate(Order).execute('1', (order) => order.place('c', 1));
    await app.settled();
    expect(container.isBound(Billing)).toBe(true);
    expect((await app.aggregate(Order).load('1')).carrier).toBe('dhl');
  });
});

describe('a projection', () => {
  it('is caught up with by waitFor, and goes on after a restart', async () => {
    await using app = await TestApp.start({ handlers: [Order, OrderSummary] });
    const placed = await app.aggregate(Order).execute('1', (order) => order.place('c', 100));
    await app.projection(OrderSummary).waitFor(placed.position);
    const rows = () => app.projection(OrderSummary).database.all('SELECT * FROM orders ORDER BY id');
    expect(rows()).toEqual([{ id: 'order:1', cents: 100, carrier: null }]);
    await app.restart();
    const shipped = await app.aggregate(Order).execute('1', (order) => order.ship('dhl'));
    await app.aggregate(Order).execute('2', (order) => order.place('c', 200));
    await app.projection(OrderSummary).waitFor(shipped.position);
    await app.settled();
    expect(rows()).toEqual([
      { id: 'order:1', cents: 100, carrier: 'dhl' },
      { id: 'order:2', cents: 200, carrier: null },
    ]);
  });

  it('need not be waited for when nothing was stored', async () => {
    await using app = await TestApp.start({ handlers: [Order, OrderSummary] });
    const nothing = await app.aggregate(Order).execute('1', () => {});
    await app.projection(OrderSummary).waitFor(nothing.position);
  });

  it('that is not among the handlers is refused', async () => {
    await using app = await TestApp.start({ handlers: [Order] });
    expect(() => app.projection(OrderSummary)).toThrow(/OrderSummary is not among the projections/);
  });
});

describe('a replay', () => {
  it('into a projection on a fresh database, by the time at which things happened', async () => {
    await using app = await TestApp.start({ handlers: [Order, OrderSummary] });
    const place = (id: string, day: string) =>
      app.aggregate(Order).execute(id, (order) => order.place('c', 1), { metadata: { occurredAt: new Date(day) } });
    await place('late', '2016-04-01T00:00:00Z');
    await place('early', '2016-03-31T23:59:59Z');
    const database = await databaseIn(app, 'replay.db');
    const report = await app.foldlog.replay({ projection: OrderSummary, database, by: 'occurred', to: '2016-04-01' });
    expect(report).toMatchObject({ read: 2, applied: 1, skipped: 1 });
    expect(database.all('SELECT id FROM orders')).toEqual([{ id: 'order:early' }]);
    await database.close();
    await app.settled();
    expect(app.projection(OrderSummary).database.all('SELECT id FROM orders')).toHaveLength(2);
  });

  it('into a consumer that agrees, with a guard of its own; and into a function', async () => {
    const runs: [string, boolean][] = [];
    @Consumer('orders', { group: 'again', replay: 'run', ...FIRST })
    class Again {
      @On(OrderPlaced) placed(_placed: OrderPlaced, { stream, isReplay }: MessageContext): void {
        runs.push([stream, isReplay]);
      }
    }
    @Consumer('orders', { group: 'never', ...FIRST })
    class Never {
      @On(OrderPlaced) placed(): void {}
    }
    await using app = await TestApp.start({ handlers: [Order, Again, Never] });
    await app.aggregate(Order).execute('1', (order) => order.place('c', 1));
    await app.settled();
    await app.foldlog.replay({ consumer: Again, replayId: 'r1' });
    await app.foldlog.replay({ consumer: Again, replayId: 'r1' });
    expect(runs).toEqual([
      ['order:1', false],
      ['order:1', true],
    ]);
    await expect(app.foldlog.replay({ consumer: Never })).rejects.toThrow(/Never does not take part in replays/);
    const seen: object[] = [];
    await app.foldlog.replay({ topics: ['orders'], onEvent: (recorded) => void seen.push(recorded.event) });
    expect(seen).toEqual([event(OrderPlaced, { customer: 'c', cents: 1 })]);
    await expect(app.foldlog.replay({ topics: ['orders'], from: 'soon', onEvent() {} })).rejects.toThrow(/from/);
  });
});

describe('stop', () => {
  it('waits for the handler that runs, keeps its progress, and closes everything', async () => {
    let begin: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    let isDone = false;
    const seen: string[] = [];
    @Consumer('orders', { group: 'slow', ...FIRST })
    class Slow {
      @On(OrderPlaced) async placed(_placed: OrderPlaced, { stream }: MessageContext): Promise<void> {
        seen.push(stream);
        begin();
        await new Promise((resolve) => setTimeout(resolve, 50));
        isDone = true;
      }
    }
    const app = await TestApp.start({ handlers: [Order, Slow, OrderSummary] });
    await app.aggregate(Order).execute('1', (order) => order.place('c', 1));
    await begun;
    await app.restart();
    expect(isDone).toBe(true);
    await app.settled();
    expect(seen).toEqual(['order:1']);
    const stopped = app.foldlog;
    await Promise.all([app.stop(), app.stop()]);
    await expect(stopped.lag()).rejects.toMatchObject({ code: 'LIFECYCLE' });
    await expect(stopped.producer.send({ topic: 'x', body: 'x' })).rejects.toMatchObject({ code: 'LIFECYCLE' });
  });

  it('leaves no timer, socket or server behind', async () => {
    const before = process.getActiveResourcesInfo().length;
    const app = await TestApp.start({ handlers: [Order, OrderSummary], listen: true, namesrvPort: 0, brokerPort: 0 });
    await app.aggregate(Order).execute('1', (order) => order.place('c', 1));
    await app.stop();
    // Closing handles are listed until the next turns of the event loop.
    for (let turn = 0; turn < 50 && process.getActiveResourcesInfo().length > before; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before);
  });
});

it('two applications of one group share the queues of a cluster', async () => {
  const seen: string[] = [];
  @Consumer('orders', { group: 'shared', ...FIRST })
  class Shared {
    @On(OrderPlaced) placed(_placed: OrderPlaced, { stream }: MessageContext): void {
      seen.push(stream);
    }
  }
  const boards: string[] = [];
  @Consumer('orders', { group: 'board', model: MessageModel.BROADCASTING, ...FIRST })
  class Board {
    @On(OrderPlaced) placed(_placed: OrderPlaced, { stream }: MessageContext): void {
      boards.push(stream);
    }
  }
  await using app = await TestApp.start({
    handlers: [Order, Shared, Board],
    listen: true,
    namesrvPort: 0,
    brokerPort: 0,
  });
  const database = `${app.directory}/second.db`;
  await using second = await Foldlog.start({
    namesrv: app.foldlog.namesrvAddr,
    handlers: [Order, Shared, Board],
    database,
    localOffsetDirectory: `${app.directory}/offsets`,
  });
  const ids = Array.from({ length: 40 }, (_, index) => String(index));
  await Promise.all(
    ids.map((id, index) => (index % 2 ? app : second).aggregate(Order).execute(id, (order) => order.place('c', 1))),
  );
  const giveUpAt = performance.now() + 15_000;
  while ((seen.length < 40 || boards.length < 80) && performance.now() < giveUpAt) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect([...seen].sort()).toEqual(ids.map((id) => `order:${id}`).sort());
  expect(boards).toHaveLength(80);
  await second.stop();
  expect(readdirSync(`${app.directory}/offsets`)).toHaveLength(1);
});

async function databaseIn(app: TestApp, name: string): Promise<SqliteDatabase> {
  const { SqliteDatabase: Database } = await import('../../src/database/sqliteDatabase.js');
  return Database.open(`${app.directory}/${name}`);
}
