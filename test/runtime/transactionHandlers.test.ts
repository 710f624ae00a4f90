/**
 * Handlers in a transaction of the application's database, on SQLite and on PostgreSQL: what they write counts once,
 * whatever fails; and what the application tells of duplicates and results.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ConsumeFromWhere,
  Consumer,
  Idempotent,
  type IdempotentOptions,
  type MessageContext,
  On,
  PostgresDatabase,
  Projection,
  SqliteDatabase,
} from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { Order, OrderPlaced, OrderShipped } from '../support/orders.js';
import {
  createPostgresDatabase,
  type PostgresServer,
  startPostgresServer,
  type TestDatabase,
} from '../support/postgresServer.js';

const FIRST = { from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET } as const;
const TABLE = 'CREATE TABLE IF NOT EXISTS bills (id TEXT NOT NULL, attempt INTEGER NOT NULL)';

let target: TestDatabase;
beforeAll(async () => {
  target = await createPostgresDatabase();
}, 300_000);
afterAll(() => target.drop());

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error('what was waited for did not happen');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A desk that writes bills on SQLite, without a promise or with one. */
function sqliteDesk(
  before: (context: MessageContext<SqliteDatabase>) => void = () => {},
  options?: IdempotentOptions<OrderShipped>,
) {
  @Consumer('news', { group: 'desk', ...FIRST, mode: 'ordered' })
  class Desk {
    @On(OrderShipped)
    @Idempotent({ transaction: true, ...options })
    shipped({ carrier }: OrderShipped, context: MessageContext<SqliteDatabase>): unknown {
      context.db.exec(TABLE);
      context.db.run('INSERT INTO bills VALUES (?, ?)', context.eventId, context.reconsumeTimes);
      if (carrier === 'slow') return Promise.resolve().then(() => before(context));
      before(context);
      return { bill: context.eventId };
    }
  }
  return Desk;
}

/** What is committed, read on a connection of its own. */
async function bills(app: TestApp): Promise<{ id: string; attempt: number }[]> {
  const database = SqliteDatabase.open(`${app.directory}/app.db`);
  const rows = database.all<{ id: string; attempt: number }>('SELECT id, attempt FROM bills');
  await database.close();
  return rows;
}

/** Also while the consumers still wait for their topic, which the first message makes. */
async function settled(app: TestApp): Promise<void> {
  await until(async () => (await app.foldlog.lag()).every(({ end }) => end > 0));
  await app.settled({ timeoutMillis: 20_000 });
}

const shipped = (app: TestApp, uniqueKey: string, carrier = 'dhl') =>
  app.producer.send({ topic: 'news', tags: 'OrderShipped', body: JSON.stringify({ carrier }), uniqueKey });

describe('a handler in a transaction of SQLite', () => {
  it.each(['dhl', 'slow'])(
    'counts once: copies are duplicates, what throws is rolled back and tried again (%s)',
    async (carrier) => {
      let runs = 0;
      const Desk = sqliteDesk(() => {
        if (++runs <= 2) throw new Error('not yet');
      });
      await using app = await TestApp.start({ handlers: [Desk] });
      for (const key of ['a', 'b', 'a', 'a']) await shipped(app, key, carrier);
      await settled(app);
      const ids = (await bills(app)).map(({ id }) => id);
      expect(ids.sort()).toEqual(['a', 'b']);
      expect(runs).toBe(4);
      expect(await app.deadLetters('desk')).toEqual([]);
      expect(app.foldlog.duplicates()).toMatchObject([
        {
          group: 'desk',
          count: 2,
          keys: [{ key: 'a', count: 2, copies: [{ topic: 'news', queueId: expect.any(Number) }, { topic: 'news' }] }],
        },
      ]);
    },
  );

  it('marks survive a restart, with the key that it says', async () => {
    const key = (_event: OrderShipped, { eventId }: { eventId: string }) => eventId.slice(0, 1);
    const Desk = sqliteDesk(() => {}, { key });
    await using app = await TestApp.start({ handlers: [Desk] });
    await shipped(app, 'a1');
    await settled(app);
    await app.restart();
    await shipped(app, 'a2');
    await shipped(app, 'b1');
    await settled(app);
    expect(await bills(app)).toMatchObject([{ id: 'a1' }, { id: 'b1' }]);
    expect(app.foldlog.duplicates()).toMatchObject([{ group: 'desk', count: 1, keys: [{ key: 'shipped/a' }] }]);
  });

  it('with result: true what it returns is kept, and its guard answers it', async () => {
    @Consumer('news', { group: 'leased', ...FIRST })
    class Leased {
      @On(OrderShipped) @Idempotent({ result: true }) shipped(_shipped: OrderShipped, { eventId, db }: MessageContext) {
        return { id: eventId, db: db === undefined ? 'none' : 'one' };
      }
    }
    @Consumer('news', { group: 'plain', ...FIRST })
    class Plain {
      @On(OrderShipped) shipped() {
        return 'nobody asked for it';
      }
    }
    await using app = await TestApp.start({ handlers: [Leased, Plain] });
    await shipped(app, 'a');
    await settled(app);
    const ask = (group: string) => app.foldlog.guard.run<unknown>(group, 'a', () => 'ran here');
    expect(await ask('leased')).toEqual({ status: 'duplicate', result: { id: 'a', db: 'none' } });
    expect(await ask('plain')).toEqual({ status: 'duplicate', result: undefined });
  });

  it('a result that cannot be kept does not make an effect with a lease happen again', async () => {
    let runs = 0;
    const errors: object[] = [];
    const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: (one: object) => void errors.push(one) };
    @Consumer('news', { group: 'leased', ...FIRST })
    class Leased {
      @On(OrderShipped) @Idempotent({ result: true }) shipped() {
        runs++;
        return 'x'.repeat(70_000);
      }
    }
    await using app = await TestApp.start({ handlers: [Leased], logger });
    await shipped(app, 'a');
    await shipped(app, 'a');
    await settled(app);
    expect(runs).toBe(1);
    expect(errors).toMatchObject([{ group: 'leased', reason: expect.stringContaining('70002 bytes') }]);
  });

  it('is replayed in a transaction too, under the key of the replay', async () => {
    @Consumer('orders', { group: 'desk', ...FIRST, replay: 'run' })
    class Desk {
      @On(OrderPlaced)
      @Idempotent({ transaction: true })
      placed(_placed: OrderPlaced, { db, eventId, isReplay }: MessageContext<SqliteDatabase>): void {
        db.exec(TABLE);
        db.run('INSERT INTO bills VALUES (?, ?)', eventId, isReplay);
      }
    }
    await using app = await TestApp.start({ handlers: [Order, Desk] });
    await app.aggregate(Order).execute('1', (order) => order.place('c', 1), { commandId: 'x' });
    await settled(app);
    for (let times = 0; times < 2; times++) await app.foldlog.replay({ consumer: Desk, replayId: 'r' });
    expect(await bills(app)).toEqual([
      { id: 'order:1/x-0', attempt: 0 },
      { id: 'order:1/x-0', attempt: 1 },
    ]);
  });
});

describe('a handler in a transaction of PostgreSQL', () => {
  it('counts once, also with others that hold the same key, and what it swallowed is rolled back', async () => {
    const database = await PostgresDatabase.connect(target.url);
    await database.exec(TABLE);
    let runs = 0;
    @Consumer('news', { group: 'desk', ...FIRST, mode: 'ordered' })
    class Desk {
      @On(OrderShipped)
      @Idempotent({ transaction: true })
      async shipped(_shipped: OrderShipped, { db, eventId, reconsumeTimes }: MessageContext<PostgresDatabase>) {
        await db.run('INSERT INTO bills VALUES ($1, $2)', eventId, reconsumeTimes);
        if (++runs === 1) await db.run('no statement').catch(() => {});
      }
    }
    await using app = await TestApp.start({ handlers: [Desk], database: target.url });
    for (const key of ['a', 'b', 'a', 'b', 'a']) await shipped(app, key);
    await settled(app);
    expect(await database.all('SELECT id FROM bills ORDER BY id')).toEqual([{ id: 'a' }, { id: 'b' }]);
    // The transaction whose failure was swallowed did not count.
    expect(runs).toBe(3);
    expect(app.foldlog.duplicates()).toMatchObject([{ group: 'desk', count: 3 }]);
    await database.close();
  });

  it('a database that goes away is no attempt: the message waits, and counts once when it is back', async () => {
    const server: PostgresServer = await startPostgresServer();
    try {
      let database = await PostgresDatabase.connect(server.url);
      await database.exec(TABLE);
      await database.close();
      let kill: 'in the handler' | undefined = 'in the handler';
      let handled = 0;
      @Consumer('news', { group: 'desk', ...FIRST, mode: 'ordered', maxReconsumeTimes: 0 })
      class Desk {
        @On(OrderShipped)
        @Idempotent({ transaction: true })
        async shipped(_shipped: OrderShipped, { db, eventId, reconsumeTimes }: MessageContext<PostgresDatabase>) {
          handled++;
          if (kill) {
            kill = undefined;
            await server.kill();
          }
          try {
            await db.run('INSERT INTO bills VALUES ($1, $2)', eventId, reconsumeTimes);
          } catch (cause) {
            throw new Error('the bill could not be written', { cause });
          }
        }
      }
      await using app = await TestApp.start({ handlers: [Desk], database: server.url });
      await shipped(app, 'a');
      await shipped(app, 'b');
      await until(() => handled > 0 && kill === undefined);
      // Held: neither handled nor given up.
      await until(async () => ((await app.foldlog.lag())[0]?.behind ?? 0) > 0);
      await server.restart();
      await settled(app);
      database = await PostgresDatabase.connect(server.url);
      expect(await database.all('SELECT id, attempt FROM bills ORDER BY id')).toEqual([
        { id: 'a', attempt: 0 },
        { id: 'b', attempt: 0 },
      ]);
      await database.close();
      expect(await app.deadLetters('desk')).toEqual([]);
    } finally {
      await server.stop();
    }
  });
});

describe('what does not fit together is refused at the start', () => {
  const start = (handler: new () => object) => TestApp.start({ handlers: [handler] });

  it('a guard that is turned off and asked for', async () => {
    @Consumer('news', { group: 'desk' })
    class Desk {
      @On(OrderShipped, { idempotent: false }) @Idempotent({ transaction: true }) shipped(): void {}
    }
    await expect(start(Desk)).rejects.toThrow(/Desk.shipped says idempotent: false/);
  });

  it('a transaction in a projection, which has one', async () => {
    @Projection({ name: 'news', topics: ['news'] })
    class News {
      @On(OrderShipped) @Idempotent({ transaction: true }) shipped(): void {}
    }
    await expect(start(News)).rejects.toThrow(/News.shipped: a projection writes in one transaction/);
  });

  it('a time to live within which the message may come again', async () => {
    @Consumer('news', { group: 'desk' })
    class Desk {
      @On(OrderShipped) @Idempotent({ transaction: true, ttl: 1_000 }) shipped(): void {}
    }
    await expect(start(Desk)).rejects.toThrow(/ttl of an effect in a transaction: 1000/);
  });
});

describe('app.guard', () => {
  it('runs effects that no handler begins, once, and answers duplicates with what they returned', async () => {
    await using app = await TestApp.start({ handlers: [] });
    let charged = 0;
    const charge = () => app.foldlog.guard.run('payments', 'request-1', async () => ({ charge: ++charged }));
    expect(await charge()).toEqual({ status: 'done', first: true, result: { charge: 1 } });
    expect(await charge()).toEqual({ status: 'duplicate', result: { charge: 1 } });
    await app.restart();
    expect(await charge()).toEqual({ status: 'duplicate', result: { charge: 1 } });
    expect(app.foldlog.duplicates()).toMatchObject([
      { group: 'payments', count: 1, keys: [{ key: 'request-1', copies: [] }] },
    ]);
    const stopped = app.foldlog;
    await app.stop();
    await expect(stopped.guard.run('payments', 'request-1', () => 1)).rejects.toMatchObject({ code: 'LIFECYCLE' });
  });
});
