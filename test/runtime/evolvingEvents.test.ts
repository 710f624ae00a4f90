/**
 * An application whose event classes have changed since the log was written: everything that reads events, live and
 * again, gets them as the classes are now; what no class has any more is left out and reported; metadata arrives.
 */
import { IsInt, IsString } from 'class-validator';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  Aggregate,
  AggregateRoot,
  Apply,
  Consumer,
  causedBy,
  Event,
  event,
  Foldlog,
  type MessageContext,
  On,
  Projection,
  type ProjectionContext,
  type RecordedEvent,
  SqliteDatabase,
  silentLogger,
  Upcast,
} from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';

@Event({ type: 'AccountPaid' })
class FirstPaid {
  @IsInt() euros!: number;
}
@Event({ type: 'AccountClosed' })
class Closed {
  @IsString() why!: string;
}

/** Was AccountPaid, in euros. */
@Event({ type: 'MoneyReceived', version: 2 })
class Received {
  @IsInt() cents!: number;
  @IsString() currency!: string;

  @Upcast('AccountPaid', 1) static renamed({ euros }: { euros: number }): object {
    return { cents: euros * 100 };
  }

  @Upcast('MoneyReceived', 1) static currency(fields: object): object {
    return { ...fields, currency: 'EUR' };
  }
}

@Aggregate({ topic: 'accounts', stream: 'account' })
class Account extends AggregateRoot {
  cents = 0;

  receive(cents: number): void {
    this.apply(Received, { cents, currency: 'EUR' });
  }

  @Apply(Received) protected received({ cents }: Received): void {
    this.cents += cents;
  }
}

const consumed: { event: object; context: MessageContext }[] = [];

@Consumer('accounts', { group: 'ledger', from: 'CONSUME_FROM_FIRST_OFFSET', replay: 'run' })
class Ledger {
  @On(Received) received(one: Received, context: MessageContext): void {
    consumed.push({ event: one, context });
  }
}

/** Asks for the type by its name of today. */
@Consumer('accounts', { group: 'named', from: 'CONSUME_FROM_FIRST_OFFSET', filter: 'MoneyReceived' })
class Named {
  static count = 0;
  @On(Received) received(): void {
    Named.count += 1;
  }
}

@Projection({ name: 'balances', topics: ['accounts'] })
class Balances {
  initialise(db: SqliteDatabase): void {
    db.exec('CREATE TABLE balances (cents INTEGER NOT NULL, type TEXT)');
  }
  @On(Received) received({ cents }: Received, { db }: ProjectionContext): void {
    db.run('INSERT INTO balances VALUES (?, ?)', cents, 'x');
  }
}

const HANDLERS = [Account, Ledger, Named, Balances];
const sumOf = (db: SqliteDatabase) => db.get<{ sum: number }>('SELECT sum(cents) AS sum FROM balances')?.sum;
const stream = { topic: 'accounts', stream: 'account:1' };

let app: TestApp;
let warnings: { type: string; count: number }[];

beforeEach(async () => {
  consumed.length = 0;
  Named.count = 0;
  warnings = [];
  app = await TestApp.start({ handlers: [], events: [FirstPaid, Closed] });
  const paid = { event: event(FirstPaid, { euros: 3 }), actor: 'ann' };
  await app.eventStore.append(stream, [paid, event(Closed, { why: 'moved' }), event(Closed, { why: 'again' })]);
  const logger = {
    ...silentLogger,
    warn: (fields: object, message: string) => {
      if (message.startsWith('events of a type')) warnings.push(fields as { type: string; count: number });
    },
  };
  await app.restart({ handlers: HANDLERS, events: [], logger });
});
afterEach(() => app.stop());

describe('events of old versions and old names', () => {
  it('reach aggregates, consumers, projections and readers as the class is now', async () => {
    await app.aggregate(Account).execute('1', (account) => account.receive(account.cents + 50));
    await app.settled();
    expect((await app.aggregate(Account).load('1')).cents).toBe(650);
    expect(consumed.map((one) => one.event)).toEqual([
      event(Received, { cents: 300, currency: 'EUR' }),
      event(Received, { cents: 350, currency: 'EUR' }),
    ]);
    expect(Named.count).toBe(2);
    expect(sumOf(app.projection(Balances).database as SqliteDatabase)).toBe(650);
    const read: RecordedEvent[] = [];
    for await (const one of app.eventStore.readStream(stream, { unknownTypes: 'skip' })) read.push(one);
    expect(read.map(({ type, schemaVersion, version }) => [type, schemaVersion, version])).toEqual([
      ['MoneyReceived', 1, 1],
      ['MoneyReceived', 2, 4],
    ]);
    const { events } = await app.eventStore.readKeys([{ topic: 'accounts', key: 'account:1' }]);
    expect(events.map((one) => (one.event as Received).cents)).toEqual([300, 350]);
  });

  it('reach replays: a projection, a consumer, a function', async () => {
    const database = SqliteDatabase.open(':memory:');
    await app.foldlog.replay({ projection: Balances, database });
    expect(sumOf(database)).toBe(300);
    await database.close();
    await app.settled();
    consumed.length = 0;
    await app.foldlog.replay({ consumer: Ledger });
    expect(consumed.map((one) => one.event)).toEqual([event(Received, { cents: 300, currency: 'EUR' })]);
    const types: string[] = [];
    await app.foldlog.replay({ topics: ['accounts'], onEvent: ({ type }) => void types.push(type) });
    expect(types).toEqual(['MoneyReceived']);
  });

  it('are stored as they were', async () => {
    await app.restart({ handlers: [], events: [FirstPaid, Closed] });
    const { value } = await app.eventStore.readStream(stream).next();
    expect((value as RecordedEvent).event).toEqual(event(FirstPaid, { euros: 3 }));
  });

  it('that no upcaster leads from are dead letters with the reason', async () => {
    @Event({ type: 'AccountPaid', version: 2 })
    class Paid {
      @IsInt() cents!: number;
    }
    class Late {
      handled(_event: Paid): void {}
    }
    On(Paid)(Late.prototype, 'handled', { value: Late.prototype.handled });
    Consumer('accounts', { group: 'late', from: 'CONSUME_FROM_FIRST_OFFSET' })(Late);
    await app.restart({ handlers: [Late] });
    await app.settled();
    const [letter] = await app.deadLetters('late');
    expect(letter?.properties['FL_REASON']).toContain(
      "no upcaster leads from it to version 2: add @Upcast('AccountPaid', 1)",
    );
  });
});

describe('types that no class here has', () => {
  it('are left out, counted, and told of once each', async () => {
    await app.settled();
    expect((await app.aggregate(Account).load('1')).cents).toBe(300);
    const [unknown, ...others] = app.foldlog.unknownEventTypes();
    expect(others).toEqual([]);
    expect(unknown).toMatchObject({ type: 'AccountClosed', topic: 'accounts', eventId: expect.stringMatching(/-1$/) });
    expect(unknown?.count).toBeGreaterThanOrEqual(2);
    const { foldlog } = app;
    await app.restart({ handlers: [] });
    expect(warnings).toEqual([expect.objectContaining({ type: 'AccountClosed' })]);
    expect(warnings[0]?.count).toBe(foldlog.unknownEventTypes()[0]?.count);
  });

  it('stay in the stream: what is appended after them goes on from them', async () => {
    expect((await app.aggregate(Account).execute('1', (account) => account.receive(1))).version).toBe(4);
  });
});

describe('metadata', () => {
  it('of a command arrives at consumers, projections and readers', async () => {
    const occurredAt = new Date('2016-04-01T00:00:00Z');
    const metadata = { actor: 'ada', correlationId: 'request-7', causationId: 'click-3', occurredAt };
    await app.aggregate(Account).execute('1', (account) => account.receive(1), { commandId: 'c-1', metadata });
    await app.settled();
    const expected = { ...metadata, eventId: 'account:1/c-1-0', stream: 'account:1', version: 4, topic: 'accounts' };
    expect(consumed.at(-1)?.context).toMatchObject(expected);
    const replayed: RecordedEvent[] = [];
    await app.foldlog.replay({ topics: ['accounts'], onEvent: (one) => void replayed.push(one) });
    expect(replayed.at(-1)).toMatchObject({ ...expected, type: 'MoneyReceived', schemaVersion: 2 });
    for await (const one of app.eventStore.readStream(stream, { direction: 'backwards' })) {
      expect(one).toMatchObject(expected);
      break;
    }
  });

  it('flows from a handler’s context into its commands', async () => {
    await app.settled();
    const [first] = consumed;
    const cause = first!.context;
    expect(causedBy(cause)).toEqual({ causationId: cause.eventId, correlationId: cause.eventId, actor: 'ann' });
    const options = { commandId: cause.eventId, metadata: causedBy(cause) };
    await app.aggregate(Account).execute('2', (account) => account.receive(1), options);
    await app.settled();
    const next = consumed.at(-1)!.context;
    expect(next).toMatchObject({ causationId: cause.eventId, correlationId: cause.eventId, actor: 'ann' });
    expect(causedBy(next)).toEqual({ causationId: next.eventId, correlationId: cause.eventId, actor: 'ann' });
    expect(causedBy({ eventId: 'e', correlationId: 'r', actor: undefined })).toEqual({
      causationId: 'e',
      correlationId: 'r',
    });
  });
});

it('wrong upcasters are refused before anything is opened', async () => {
  @Event({ type: 'Gap', version: 3 })
  class Gap {
    @Upcast('Gap', 1) static one(fields: object): object {
      return fields;
    }
  }
  await expect(Foldlog.start({ store: '/proc/nowhere', handlers: [], events: [Gap] })).rejects.toThrow(
    /@Upcast\('Gap', 2\)/,
  );
});
