import { Container, inject } from 'inversify';
import { describe, expect, it } from 'vitest';
import {
  Consumer,
  Event,
  event,
  Idempotent,
  type MessageContext,
  On,
  Projection,
  type ProjectionContext,
  type SqliteDatabase,
} from '../../src/index.js';
import { given } from '../../src/testing/index.js';
import { OrderNoted, OrderPlaced, OrderShipped } from '../support/orders.js';

const placed = event(OrderPlaced, { customer: 'ann', cents: 100 });
const shipped = event(OrderShipped, { carrier: 'dhl' });

abstract class Mail {
  abstract send(text: string): Promise<void>;
}

@Consumer('orders', { group: 'letters' })
class Letters {
  #isOpen = false;
  readonly contexts: MessageContext[] = [];

  constructor(@inject(Mail) private readonly mail: Mail) {}

  @On(OrderPlaced) placed({ customer }: OrderPlaced, context: MessageContext): void {
    this.#isOpen = customer !== '';
    this.contexts.push(context);
  }

  @On(OrderShipped) async shipped({ carrier }: OrderShipped, context: MessageContext): Promise<void> {
    if (!this.#isOpen) throw new RangeError('shipped before it was placed');
    this.contexts.push(context);
    await this.mail.send(`${context.stream} comes with ${carrier}`);
  }
}

function postbox() {
  const sent: string[] = [];
  const mail: Mail = { send: async (text) => void sent.push(text) };
  const container = new Container();
  container.bind(Mail).toConstantValue(mail);
  return { sent, mail, container };
}

describe('given a consumer', () => {
  it('delivers with dependencies of a container', async () => {
    const { sent, container } = postbox();
    await given(Letters, [placed], { container })
      .when(shipped, { stream: 'order:7' })
      .then(() => expect(sent).toEqual(['order:7 comes with dhl']));
  });

  it('delivers to an instance, with the context that the test names', async () => {
    const { mail } = postbox();
    const instance = new Letters(mail);
    const occurredAt = new Date('2020-02-02T00:00:00Z');
    await given(Letters, [{ event: placed, stream: 'order:7', actor: 'ada' }], { instance })
      .when(shipped, { stream: 'order:7', reconsumeTimes: 2, occurredAt, correlationId: 'c', eventId: 'e' })
      .then(({ handler }) => {
        expect(handler).toBe(instance);
        const [first, second] = handler.contexts;
        expect(first).toMatchObject({ stream: 'order:7', version: 1, actor: 'ada', eventId: 'event-1' });
        expect(second).toMatchObject({ version: 2, reconsumeTimes: 2, occurredAt, correlationId: 'c', eventId: 'e' });
        expect(second?.storedAt).toEqual(new Date('2026-01-01T00:00:00.001Z'));
        expect(second?.topic).toBe('orders');
      });
  });

  it('expects what is thrown, and tells when it is not', async () => {
    const { mail } = postbox();
    const outcome = () => given(Letters, [], { instance: new Letters(mail) }).when(shipped);
    await outcome().thenThrows();
    await outcome().thenThrows(RangeError);
    await outcome().thenThrows('before it was placed');
    await expect(outcome().thenThrows(/twice/)).rejects.toThrow('expected the handler to throw /twice/, it threw');
    await expect(outcome().then(() => {})).rejects.toThrow(RangeError);
    const handled = given(Letters, [placed], { instance: new Letters(mail) }).when(shipped);
    await expect(handled.thenThrows()).rejects.toThrow('expected the handler to throw, it handled the event');
  });

  it('says which of the events given it could not take', async () => {
    const { mail } = postbox();
    const outcome = given(Letters, [shipped, placed], { instance: new Letters(mail) }).when(placed);
    await expect(outcome.then(() => {})).rejects.toThrow('Letters did not handle given event 1, OrderShipped: shipped');
  });

  it('hands the check on: what it throws fails the test', async () => {
    const { mail } = postbox();
    const outcome = given(Letters, [placed], { instance: new Letters(mail) }).when(shipped);
    await expect(outcome.then(() => expect(1).toBe(2))).rejects.toThrow(/expected 1 to be 2/);
  });

  it('passes over events given that are not for the class, refuses to deliver one', async () => {
    const { sent, container } = postbox();
    const noted = event(OrderNoted, { note: 'n' });
    await given(Letters, [noted, placed], { container })
      .when(shipped)
      .then(() => expect(sent).toHaveLength(1));
    expect(() => given(Letters, [], { container }).when(noted)).toThrow(/no method marked with @On\(OrderNoted\)/);
  });

  it('takes only instances of the class, and fields that a context has', () => {
    const { mail } = postbox();
    // @ts-expect-error what is handed in is no Letters
    given(Letters, [], { instance: { mail } });
    // @ts-expect-error a context has no such field
    given(Letters, [], {}).when(placed, { queue: 1 });
  });

  it('refuses events that are not valid, as the log would', () => {
    const broken = Object.assign(new OrderPlaced(), { customer: 'ann', cents: 'much' });
    expect(() => given(Letters, []).when(broken)).toThrow(/cents/);
  });

  it('is guarded: an event that comes twice is handled once', async () => {
    const { sent, container } = postbox();
    await given(Letters, [placed, { event: shipped, eventId: 'twice' }], { container })
      .when(shipped, { eventId: 'twice' })
      .then(() => expect(sent).toHaveLength(1));
  });

  it('gives handlers in a transaction their database', async () => {
    @Consumer('orders', { group: 'ledger' })
    class Ledger {
      @Idempotent({ transaction: true })
      @On(OrderPlaced)
      placed({ cents }: OrderPlaced, { db }: MessageContext<SqliteDatabase>): void {
        db.exec('CREATE TABLE IF NOT EXISTS ledger (cents INTEGER)');
        db.run('INSERT INTO ledger VALUES (?)', cents);
        if (cents > 1000) throw new Error('too much');
      }
    }
    await given(Ledger, [])
      .when(placed)
      .then('SELECT * FROM ledger', [{ cents: 100 }]);
    await given(Ledger, [])
      .when(event(OrderPlaced, { customer: 'bo', cents: 2000 }))
      .thenThrows('too much');
  });

  it('says what is missing when the outcome itself is awaited', async () => {
    const outcome = given(Letters, []).when(shipped) as unknown as Promise<void>;
    await expect((async () => await outcome)()).rejects.toThrow(/go on with \.then/);
  });
});

describe('given a projection', () => {
  @Projection({ name: 'totals', topics: ['orders'] })
  class Totals {
    initialise(db: SqliteDatabase): void {
      db.exec('CREATE TABLE totals (stream TEXT PRIMARY KEY, cents INTEGER NOT NULL)');
    }

    @On(OrderPlaced) placed({ cents }: OrderPlaced, { db, stream }: ProjectionContext): void {
      db.run('INSERT INTO totals VALUES (?, ?)', stream, cents);
    }
  }

  it('compares rows of its database', async () => {
    await given(Totals, [placed]).then('SELECT cents FROM totals', [{ cents: 100 }]);
    await given(Totals, [{ event: placed, stream: 'order:1' }])
      .when(placed, { stream: 'order:2' })
      .then('SELECT stream FROM totals ORDER BY stream', [{ stream: 'order:1' }, { stream: 'order:2' }]);
    await expect(given(Totals, [placed]).then('SELECT cents FROM totals', [])).rejects.toThrow(
      'expected [], SELECT cents FROM totals gave [{"cents":100}]',
    );
  });

  it('hands its database to a check', async () => {
    await given(Totals, [])
      .when(placed)
      .then(({ db }) => expect(db.get('SELECT count(*) AS n FROM totals')).toEqual({ n: 1 }));
  });

  it('expects what is thrown', async () => {
    await given(Totals, [placed])
      .when(placed)
      .thenThrows(/UNIQUE/);
  });

  it('refuses a class that handles nothing', () => {
    @Event({ type: 'Alone' })
    class Alone {}
    expect(() => given(Alone as never, [])).toThrow(/extend AggregateRoot/);
  });
});
