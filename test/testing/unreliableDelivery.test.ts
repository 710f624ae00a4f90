/**
 * Deliveries at their worst. Handlers that are safe must stand them, handlers that are not must be caught, and what a
 * handler suffers must be what a broker and a dying process can do to it: no event is lost, none overtakes another of
 * its stream, and a handler that dies makes no further call.
 */
import { Container, inject } from 'inversify';
import { describe, expect, it } from 'vitest';
import {
  ConsumeFromWhere,
  Consumer,
  type ConsumerOptions,
  Idempotent,
  type MessageContext,
  On,
  Projection,
  type ProjectionContext,
  type SqliteDatabase,
} from '../../src/index.js';
import { type DeliveryFaults, ManualClock, TestApp } from '../../src/testing/index.js';
import { Order, OrderNoted, OrderPlaced } from '../support/orders.js';

const FROM_START = { from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET } as const;
const WITHOUT_CRASHES: DeliveryFaults = { duplicates: 0.3, reorder: 0.3, delay: 0.2 };
const ALL: DeliveryFaults = { ...WITHOUT_CRASHES, crash: 0.2 };
const ORDERS = 12;
const NOTES = 3;

/** What a handler did, in order: the test's stand-in for the world outside. */
class World {
  readonly effects: string[] = [];

  async act(effect: string): Promise<void> {
    await Promise.resolve();
    this.effects.push(effect);
  }
}

/** Orders that are placed, and noted upon. */
async function write(app: TestApp, orders = ORDERS): Promise<void> {
  for (let id = 0; id < orders; id++) {
    await app.aggregate(Order).execute(`o${id}`, (order) => order.place(`o${id}`, 10));
    for (let note = 0; note < NOTES; note++)
      await app.aggregate(Order).execute(`o${id}`, (order) => order.note(`n${note}`));
  }
}

const withWorld = (world: World) => {
  const container = new Container();
  container.bind(World).toConstantValue(world);
  return container;
};

/** Each order once, in whatever order. */
const ONCE_EACH = Array.from({ length: ORDERS }, (_, id) => `paid o${id}`).sort();

function paying(options: ConsumerOptions, onOptions: { idempotent?: boolean } = {}) {
  @Consumer('orders', { group: 'paying', ...FROM_START, ...options })
  class Paying {
    constructor(@inject(World) private readonly world: World) {}

    @On(OrderPlaced, onOptions) async placed({ customer }: OrderPlaced): Promise<void> {
      await this.world.act(`paid ${customer}`);
    }
  }
  return Paying;
}

@Projection({ name: 'totals', topics: ['orders'] })
class Totals {
  initialise(db: SqliteDatabase): void {
    db.exec('CREATE TABLE totals (stream TEXT PRIMARY KEY, cents INTEGER, notes TEXT)');
  }

  @On(OrderPlaced) placed({ cents }: OrderPlaced, { db, stream }: ProjectionContext): void {
    db.run('INSERT INTO totals VALUES (?, ?, ?)', stream, cents, '');
  }

  @On(OrderNoted) async noted({ note }: OrderNoted, { db, stream }: ProjectionContext): Promise<void> {
    const found = db.get<{ notes: string }>('SELECT notes FROM totals WHERE stream = ?', stream);
    await Promise.resolve();
    db.run('UPDATE totals SET notes = ? WHERE stream = ?', `${found?.notes}${note} `, stream);
  }
}

const TOTALS = Array.from({ length: ORDERS }, (_, id) => ({ stream: `order:o${id}`, cents: 10, notes: 'n0 n1 n2 ' }));

describe('handlers that stand it', () => {
  it.each(['ordered', 'concurrent'] as const)('%s and guarded: once each, without crashes', async (mode) => {
    const options = {
      handlers: [Order, paying({ mode })],
      storage: 'memory',
      runs: 3,
      deliver: WITHOUT_CRASHES,
    } as const;
    const world = new World();
    await TestApp.run({ ...options, container: withWorld(world) }, async (app) => {
      world.effects.length = 0;
      await write(app);
      await app.settled();
      expect(app.faults.duplicates).toBeGreaterThan(0);
      expect(app.faults.reordered + app.faults.delayed).toBeGreaterThan(0);
      expect([...world.effects].sort()).toEqual(ONCE_EACH);
    });
  });

  it('projections: each event counts once, in the order of its stream, whatever dies', async () => {
    await TestApp.run({ handlers: [Order, Totals], storage: 'memory', deliver: ALL, runs: 5 }, async (app) => {
      await write(app);
      await app.settled();
      expect(app.faults.crashes).toBeGreaterThan(0);
      const rows = app.projection(Totals).database.all('SELECT * FROM totals ORDER BY length(stream), stream');
      expect(rows).toEqual(TOTALS);
    });
  });

  it.each(['ordered', 'concurrent'] as const)('%s in a transaction: exactly once, whatever dies', async (mode) => {
    @Consumer('orders', { group: 'ledger', ...FROM_START, mode })
    class Ledger {
      @Idempotent({ transaction: true })
      @On(OrderPlaced)
      async placed({ customer }: OrderPlaced, { db }: MessageContext<SqliteDatabase>): Promise<void> {
        db.exec('CREATE TABLE IF NOT EXISTS ledger (customer TEXT)');
        await Promise.resolve();
        db.run('INSERT INTO ledger VALUES (?)', customer);
      }
    }
    await TestApp.run({ handlers: [Order, Totals, Ledger], storage: 'memory', deliver: ALL, runs: 4 }, async (app) => {
      await write(app);
      await app.settled();
      const rows = app.projection(Totals).database.all<{ customer: string }>('SELECT customer FROM ledger');
      expect(rows.map(({ customer }) => `paid ${customer}`).sort()).toEqual(ONCE_EACH);
    });
  });

  it('effects that may be repeated: done in the end, whatever dies', async () => {
    const world = new World();
    const handlers = [Order, paying({ mode: 'concurrent' })];
    await TestApp.run(
      { handlers, storage: 'directory', deliver: ALL, runs: 2, container: withWorld(world) },
      async (app) => {
        world.effects.length = 0;
        await write(app);
        await app.settled();
        expect([...new Set(world.effects)].sort()).toEqual(ONCE_EACH);
        expect(await app.deadLetters('paying')).toEqual([]);
      },
    );
  });
});

describe('handlers that do not', () => {
  /** Runs until the assertion fails; gives its message. */
  async function caught(options: Parameters<typeof TestApp.run>[0], test: (app: TestApp) => Promise<void>) {
    const failed = await TestApp.run({ storage: 'memory', runs: 20, ...options }, test).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(failed, 'it was not caught').toBeInstanceOf(Error);
    return (failed as Error).message;
  }

  it('without a guard, an effect happens twice; the seed is told and repeats it', async () => {
    const world = new World();
    const options = {
      handlers: [Order, paying({}, { idempotent: false })],
      container: withWorld(world),
      clock: new ManualClock(),
    };
    const test = async (app: TestApp) => {
      world.effects.length = 0;
      await write(app);
      await app.settled();
      expect([...world.effects].sort()).toEqual(ONCE_EACH);
    };
    const message = await caught({ ...options, deliver: { duplicates: 0.1, seed: 77 } }, test);
    const seed = Number(/seed (\d+) repeats these faults/.exec(message)?.[1]);
    const first = [...world.effects];
    const again = await caught(
      { ...options, clock: new ManualClock(), runs: 1, deliver: { duplicates: 0.1, seed } },
      test,
    );
    expect(again).toBe(message);
    expect(world.effects).toEqual(first);
  });

  it('a handler that remembers the first half of its work and forgets the second', async () => {
    const begun = new Set<string>();
    const world = new World();
    @Consumer('orders', { group: 'halves', ...FROM_START })
    class Halves {
      constructor(@inject(World) private readonly world: World) {}

      @On(OrderPlaced) async placed({ customer }: OrderPlaced): Promise<void> {
        if (begun.has(customer)) return;
        begun.add(customer);
        await this.world.act(`packed ${customer}`);
        await this.world.act(`paid ${customer}`);
      }
    }
    const message = await caught(
      { handlers: [Order, Halves], container: withWorld(world), deliver: { crash: 0.3 } },
      async (app) => {
        begun.clear();
        world.effects.length = 0;
        await write(app);
        await app.settled();
        expect(world.effects.filter((effect) => effect.startsWith('paid')).sort()).toEqual(ONCE_EACH);
      },
    );
    expect(message).toMatch(/deliver: seed \d+/);
  });

  it('a concurrent handler that counts on the order of a stream', async () => {
    const notes = new Map<string, string>();
    @Consumer('orders', { group: 'order', ...FROM_START, mode: 'concurrent' })
    class InOrder {
      @On(OrderNoted) noted({ note }: OrderNoted, { stream }: MessageContext): void {
        notes.set(stream, `${notes.get(stream) ?? ''}${note} `);
      }
    }
    await caught({ handlers: [Order, InOrder], deliver: { reorder: 0.5 } }, async (app) => {
      notes.clear();
      await write(app);
      await app.settled();
      expect(new Set(notes.values())).toEqual(new Set(['n0 n1 n2 ']));
    });
  });

  it('settled tells the seed as well', async () => {
    @Consumer('orders', { group: 'never', ...FROM_START })
    class Never {
      @On(OrderPlaced) placed(): void {
        throw new Error('never');
      }
    }
    const clock = new ManualClock();
    const handlers = [Order, Never];
    await using app = await TestApp.start({ handlers, storage: 'memory', clock, deliver: { duplicates: 1, seed: 5 } });
    expect(app.seed).toBe(5);
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 1));
    await expect(app.settled({ timeoutMillis: 3_000 })).rejects.toThrow(/deliver: seed 5 repeats/);
  });
});

describe('what a handler may suffer', () => {
  it('ordered: the events of a stream come in order; what comes again is a run of neighbours', async () => {
    const seen = new Map<string, number[]>();
    @Consumer('orders', { group: 'watch', ...FROM_START })
    class Watch {
      @On(OrderPlaced, { idempotent: false }) placed(_event: OrderPlaced, context: MessageContext): void {
        this.#note(context);
      }

      @On(OrderNoted, { idempotent: false }) noted(_event: OrderNoted, context: MessageContext): void {
        this.#note(context);
      }

      #note({ stream, version }: MessageContext): void {
        seen.set(stream, [...(seen.get(stream) ?? []), version]);
      }
    }
    await TestApp.run({ handlers: [Order, Watch], storage: 'memory', deliver: ALL, runs: 5 }, async (app) => {
      seen.clear();
      await write(app);
      await app.settled();
      expect(seen.size).toBe(ORDERS);
      for (const versions of seen.values()) {
        let highest = 0;
        for (const version of versions) {
          expect(version).toBeLessThanOrEqual(highest + 1);
          highest = Math.max(highest, version);
        }
        expect(highest).toBe(NOTES + 1);
      }
    });
  });

  it('a handler that died makes no further call, and its run comes again', async () => {
    const world = new World();
    @Consumer('orders', { group: 'steps', ...FROM_START })
    class Steps {
      constructor(@inject(World) private readonly world: World) {}

      @On(OrderPlaced, { idempotent: false }) async placed({ customer }: OrderPlaced): Promise<void> {
        for (const step of ['a', 'b', 'c']) await this.world.act(`${customer} ${step}`);
      }
    }
    const options = { handlers: [Order, Steps], storage: 'memory', container: withWorld(world), runs: 5 } as const;
    let partial = 0;
    await TestApp.run({ ...options, deliver: { crash: 0.5 } }, async (app) => {
      world.effects.length = 0;
      await write(app);
      await app.settled();
      for (let id = 0; id < ORDERS; id++) {
        const steps = world.effects
          .filter((effect) => effect.startsWith(`o${id} `))
          .map((effect) => effect.slice(-1))
          .join('');
        // Runs that were cut off anywhere, and in the end a whole one.
        expect(steps).toMatch(/^(abc|ab|a)*abc$/);
        if (/a(?!b)|b(?!c)/.test(steps)) partial += 1;
      }
    });
    expect(partial).toBeGreaterThan(0);
  });

  it('what a dead process had claimed stays claimed until its lease has run out', async () => {
    const clock = new ManualClock();
    const begunAt = new Map<string, number[]>();
    @Consumer('orders', { group: 'leases', ...FROM_START })
    class Leases {
      @On(OrderPlaced) placed({ customer }: OrderPlaced): void {
        begunAt.set(customer, [...(begunAt.get(customer) ?? []), clock.monotonic()]);
      }
    }
    const guard = { leaseMillis: 5_000 };
    const options = { handlers: [Order, Leases], storage: 'memory', clock, guard } as const;
    await using app = await TestApp.start({ ...options, deliver: { crash: 0.7, seed: 3 } });
    await write(app);
    await app.settled({ timeoutMillis: 300_000 });
    const pauses = [...begunAt.values()].flatMap((times) =>
      times.slice(1).map((at, index) => at - (times[index] ?? 0)),
    );
    expect(begunAt.size).toBe(ORDERS);
    expect(pauses.length).toBeGreaterThan(0);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(5_000);
  });

  it('a rate of 1 comes to an end', async () => {
    const world = new World();
    const deliver = { duplicates: 1, reorder: 1, delay: 1, crash: 1 };
    const clock = new ManualClock();
    const handlers = [Order, Totals, paying({})];
    await using app = await TestApp.start({ handlers, storage: 'memory', clock, deliver, container: withWorld(world) });
    await write(app, 2);
    await app.settled({ timeoutMillis: 120_000 });
    expect([...new Set(world.effects)].sort()).toEqual(['paid o0', 'paid o1']);
  });

  it('refuses what is no rate and no seed', async () => {
    const start = (deliver: DeliveryFaults) => TestApp.start({ handlers: [], deliver });
    await expect(start({ crash: 2 })).rejects.toThrow('deliver.crash: 2 is not a rate from 0 to 1');
    await expect(start({ delay: Number.NaN })).rejects.toThrow('deliver.delay: NaN');
    await expect(start({ seed: 1.5 })).rejects.toThrow('deliver.seed: 1.5');
    await expect(TestApp.run({ handlers: [], runs: 0 }, async () => {})).rejects.toThrow('runs: 0');
  });
});
