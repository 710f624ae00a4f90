/**
 * A whole application whose database is a PostgreSQL, with connections ended and the server killed under it: every
 * event counts once in the projection, every effect happens once, and no message counts it as an attempt.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ConsumeFromWhere,
  Consumer,
  Foldlog,
  type Logger,
  type MessageContext,
  On,
  type PostgresDatabase,
  Projection,
  type ProjectionContext,
} from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { Order, OrderPlaced, OrderShipped } from '../support/orders.js';
import { type PostgresServer, startPostgresServer, terminateConnections } from '../support/postgresServer.js';

const FIRST = { from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET } as const;

type Context = ProjectionContext<PostgresDatabase>;

@Projection({ name: 'sales', version: 1, topics: ['orders'] })
class Sales {
  async initialise(db: PostgresDatabase): Promise<void> {
    await db.exec(`CREATE TABLE sales (stream TEXT PRIMARY KEY, cents BIGINT NOT NULL, carrier TEXT);
                   CREATE TABLE sums (name TEXT PRIMARY KEY, events INTEGER NOT NULL, cents BIGINT NOT NULL);
                   INSERT INTO sums VALUES ('all', 0, 0)`);
  }

  @On(OrderPlaced) async placed({ cents }: OrderPlaced, { db, stream }: Context): Promise<void> {
    await db.run('INSERT INTO sales (stream, cents) VALUES ($1, $2)', stream, cents);
    await db.run('UPDATE sums SET events = events + 1, cents = cents + $1', cents);
  }

  @On(OrderShipped) async shipped({ carrier }: OrderShipped, { db, stream }: Context): Promise<void> {
    await db.run('UPDATE sales SET carrier = $2 WHERE stream = $1', stream, carrier);
    await db.run('UPDATE sums SET events = events + 1');
  }
}

/** What the outside has seen: mails that were sent, and with how many attempts. */
const mails: string[] = [];
const attempts = new Set<number>();
let onMail: (count: number) => void | Promise<void> = () => {};

@Consumer('orders', { group: 'mail', ...FIRST })
class Mail {
  @On(OrderPlaced) async placed(_placed: OrderPlaced, { stream, reconsumeTimes }: MessageContext): Promise<void> {
    attempts.add(reconsumeTimes);
    mails.push(stream);
    await onMail(mails.length);
  }
}

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgresServer();
}, 300_000);
afterAll(() => server.stop());

async function order(app: Foldlog, from: number, end: number): Promise<void> {
  await Promise.all(
    Array.from({ length: end - from }, async (_, at) => {
      const id = String(from + at);
      await app.aggregate(Order).execute(id, (one) => one.place('ann', from + at + 1));
      await app.aggregate(Order).execute(id, (one) => one.ship('dhl'));
    }),
  );
}

const names = (end: number) => Array.from({ length: end }, (_, at) => `order:${at}`).sort();

describe('an application on PostgreSQL', () => {
  it('loses and repeats nothing while connections end and the server dies and comes back', async () => {
    const lines: string[] = [];
    const log = (fields: object, message: string) => void lines.push(`${JSON.stringify(fields)} ${message}`);
    const logger: Logger = { debug: log, info: log, warn: log, error: log };
    await using app = await TestApp.start({ handlers: [Order, Sales, Mail], database: server.url, logger });
    const sums = async () =>
      app.foldlog.projection<PostgresDatabase>(Sales).database.get('SELECT events, cents FROM sums');
    const expected = (end: number) => ({ events: 2 * end, cents: (end * (end + 1)) / 2 });

    await order(app.foldlog, 0, 20);
    await app.settled({ timeoutMillis: 20_000 });
    expect(await sums()).toEqual(expected(20));

    // An operator ends the connections, again and again, while orders come in.
    let isOver = false;
    const cutting = (async () => {
      while (!isOver) await terminateConnections(server.url);
    })();
    await order(app.foldlog, 20, 60);
    isOver = true;
    await cutting;
    await app.settled({ timeoutMillis: 30_000 });
    expect(await sums()).toEqual(expected(60));

    // The server dies in the middle of an effect. Orders are taken all the same: they need only the log.
    const killed = new Promise<void>((resolve, reject) => {
      onMail = (count) => (count === 65 ? server.kill().then(resolve, reject) : undefined);
    });
    await order(app.foldlog, 60, 100);
    await killed;
    await expect(app.foldlog.projection<PostgresDatabase>(Sales).database.get('SELECT 1')).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      retriable: true,
    });
    await server.restart();
    await app.settled({ timeoutMillis: 60_000 });
    expect(await sums()).toEqual(expected(100));
    expect([...mails].sort()).toEqual(names(100));
    expect(attempts).toEqual(new Set([0]));

    await app.restart();
    await order(app.foldlog, 100, 110);
    await app.settled({ timeoutMillis: 20_000 });
    expect(await sums()).toEqual(expected(110));
    expect([...mails].sort()).toEqual(names(110));
    expect(lines.length).toBeGreaterThan(0);
    const password = decodeURIComponent(new URL(server.url).password);
    expect(lines.filter((line) => line.includes(password))).toEqual([]);
  }, 180_000);

  it('behind name servers, with a replay into another schema', async () => {
    const own: string[] = [];
    @Consumer('orders', { group: 'own-mail', ...FIRST })
    class OwnMail {
      @On(OrderPlaced) placed(_placed: OrderPlaced, { stream }: MessageContext): void {
        own.push(stream);
      }
    }
    const schemaUrl = (name: string) => {
      const url = new URL(server.url);
      url.searchParams.set('options', `-csearch_path=${name}`);
      return url.href;
    };
    await using broker = await TestApp.start({ handlers: [Order], listen: true, namesrvPort: 0, brokerPort: 0 });
    await order(broker.foldlog, 0, 10);
    const { PostgresDatabase: Database } = await import('../../src/database/postgresDatabase.js');
    const admin = await Database.connect(server.url);
    await admin.exec('CREATE SCHEMA remote; CREATE SCHEMA past');
    const start = () =>
      Foldlog.start({
        namesrv: broker.foldlog.namesrvAddr,
        database: schemaUrl('remote'),
        handlers: [Order, Sales, OwnMail],
      });
    const first = await start();
    const last = await first.aggregate(Order).execute('10', (one) => one.place('bob', 11));
    await first.projection(Sales).waitFor(last.position, { timeoutMillis: 20_000 });
    await expect.poll(() => own.length, { timeout: 20_000 }).toBe(11);
    await first.stop();
    const second = await start();
    const again = await second.aggregate(Order).execute('11', (one) => one.place('bob', 12));
    await second.projection(Sales).waitFor(again.position, { timeoutMillis: 20_000 });
    await expect.poll(() => own.length, { timeout: 20_000 }).toBe(12);
    expect([...own].sort()).toEqual(names(12));
    expect(await admin.get('SELECT events, cents FROM remote.sums')).toEqual({ events: 22, cents: 78 });

    const report = await second.replay({ projection: Sales, database: schemaUrl('past') });
    expect(report).toMatchObject({ applied: 22 });
    expect(await admin.get('SELECT events, cents FROM past.sums')).toEqual({ events: 22, cents: 78 });
    // It is no fresh database any more.
    await expect(second.replay({ projection: Sales, database: schemaUrl('past') })).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
    });
    await second.stop();
    await admin.close();
  }, 120_000);
});

describe('an application whose PostgreSQL is away at the start', () => {
  it('does not start, says where it looked, and leaves nothing open', async () => {
    const start = TestApp.start({ handlers: [Sales], database: 'postgres://ann:hidden-secret@127.0.0.1:1/orders' });
    const error = await start.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'DATABASE_FAILED', retriable: true });
    expect(String(error)).toContain('127.0.0.1:1/orders');
    expect(String(error)).not.toContain('hidden-secret');
  });
});
