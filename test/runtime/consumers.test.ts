/** What becomes of a message on its way to its handler: every row of the table in `runtime/handlerPipeline.ts`. */
import { IsString } from 'class-validator';
import { describe, expect, it } from 'vitest';
import {
  ConsumeFromWhere,
  Consumer,
  type ConsumerOptions,
  Event,
  event,
  Idempotent,
  type MessageContext,
  MessageModel,
  On,
  sql,
} from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { Order, OrderNoted, OrderPlaced, OrderShipped } from '../support/orders.js';

const FIRST = { from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET } as const;

/** A consumer of orders that keeps what it is given, and does what the test says before. */
function desk(options: ConsumerOptions = {}, act: (event: OrderPlaced, context: MessageContext) => unknown = () => {}) {
  const handled: { event: OrderPlaced; context: MessageContext }[] = [];
  @Consumer('orders', { group: 'desk', ...FIRST, ...options })
  class Desk {
    @On(OrderPlaced) async placed(placed: OrderPlaced, context: MessageContext): Promise<void> {
      await act(placed, context);
      handled.push({ event: placed, context });
    }
  }
  return { Desk, handled };
}

/** Waits for what a test expects to happen, looking again after each turn of the event loop. */
async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 15_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error('what was waited for did not happen');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('a consumer', () => {
  it('gets the events of its topic with all that is known of them', async () => {
    const { Desk, handled } = desk();
    await using app = await TestApp.start({ handlers: [Order, Desk] });
    const metadata = {
      actor: 'ada',
      correlationId: 'r',
      causationId: 'q',
      occurredAt: new Date('2020-01-01T00:00:00Z'),
    };
    const done = await app
      .aggregate(Order)
      .execute('1', (order) => order.place('c', 100), { commandId: 'x', metadata });
    await app.settled();
    expect(handled).toHaveLength(1);
    expect(handled[0]?.event).toEqual(event(OrderPlaced, { customer: 'c', cents: 100 }));
    expect(handled[0]?.context).toMatchObject({
      eventId: 'order:1/x-0',
      stream: 'order:1',
      version: 1,
      position: done.position,
      ...metadata,
      topic: 'orders',
      queueId: done.position.queueId,
      queueOffset: 0,
      reconsumeTimes: 0,
      isReplay: false,
      replayId: undefined,
    });
    expect(handled[0]?.context.storedAt).toBeInstanceOf(Date);
    expect(handled[0]?.context.signal).toBeInstanceOf(AbortSignal);
  });

  it('gets only the types that it handles', async () => {
    const { Desk, handled } = desk();
    await using app = await TestApp.start({ handlers: [Order, Desk] });
    await app.aggregate(Order).execute('1', (order) => {
      order.note('x');
      order.place('c', 1);
      order.ship('dhl');
    });
    await app.settled();
    expect(handled.map(({ context }) => context.version)).toEqual([2]);
  });

  it('gets what its SQL lets through', async () => {
    const { Desk, handled } = desk({ filter: sql("cents > 100 AND country = 'DE'") });
    await using app = await TestApp.start({ handlers: [Order, Desk] });
    const place = (id: number, cents: number, country?: 'DE' | 'FR') =>
      app.eventStore.append({ topic: 'orders', stream: `order:${id}` }, [
        event(OrderPlaced, { customer: String(id), cents, ...(country ? { country } : {}) }),
      ]);
    await place(1, 101, 'DE');
    await place(2, 100, 'DE');
    await place(3, 500, 'FR');
    await place(4, 500);
    await place(5, 500, 'DE');
    await app.settled();
    expect(handled.map(({ context }) => context.stream).sort()).toEqual(['order:1', 'order:5']);
  });

  it('begins where `from` says', async () => {
    const later = desk({ group: 'later', from: new Date(Date.now() + 3_600_000) });
    const last = desk({ group: 'last', from: ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET });
    const first = desk({ group: 'first' });
    await using app = await TestApp.start({ handlers: [Order] });
    await app.aggregate(Order).execute('1', (order) => order.place('c', 1));
    const handlers = [Order, later.Desk, last.Desk, first.Desk];
    await app.restart({ handlers });
    await app.settled();
    await app.aggregate(Order).execute('2', (order) => order.place('c', 2));
    await app.settled();
    expect(first.handled).toHaveLength(2);
    expect(later.handled.length).toBeLessThan(2);
    expect(last.handled.length).toBeLessThanOrEqual(2);
  });

  it('waits for a topic that does not exist yet', async () => {
    const { Desk, handled } = desk();
    await using app = await TestApp.start({ handlers: [Desk], events: [OrderPlaced] });
    await app.eventStore.append({ topic: 'orders', stream: 'order:1' }, [
      event(OrderPlaced, { customer: 'c', cents: 1 }),
    ]);
    await until(() => handled.length === 1);
  });

  it('misses nothing of a topic that is made after its start, wherever a new group begins', async () => {
    const { Desk, handled } = desk({ from: ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET });
    await using app = await TestApp.start({ handlers: [Desk], storage: 'memory' });
    for (const cents of [1, 2, 3]) {
      const placed = event(OrderPlaced, { customer: 'c', cents });
      await app.eventStore.append({ topic: 'orders', stream: `order:${cents}` }, [placed]);
    }
    await app.settled();
    expect(handled.map(({ event: { cents } }) => cents).sort()).toEqual([1, 2, 3]);
  });

  it('BROADCASTING gives every instance every event', async () => {
    const { Desk, handled } = desk({ model: MessageModel.BROADCASTING });
    await using app = await TestApp.start({ handlers: [Order, Desk] });
    for (let id = 0; id < 5; id += 1) await app.aggregate(Order).execute(String(id), (order) => order.place('c', 1));
    await app.settled();
    expect(handled).toHaveLength(5);
  });
});

describe('a handler that throws', () => {
  it('on an event topic holds its queue until it succeeds; other queues go on', async () => {
    let failures = 0;
    const { Desk, handled } = desk({}, ({ customer }) => {
      if (customer === 'bad' && failures < 2) {
        failures += 1;
        throw new Error('not yet');
      }
    });
    await using app = await TestApp.start({ handlers: [Order, Desk] });
    const orders = app.aggregate(Order);
    const { position } = await orders.execute('1', (order) => order.place('bad', 1));
    const append = (id: number) =>
      app.eventStore.append({ topic: 'orders', stream: `order:x${id}` }, [
        event(OrderPlaced, { customer: 'good', cents: 1 }),
      ]);
    const places = await Promise.all(Array.from({ length: 40 }, (_, id) => append(id)));
    await until(() => handled.length === 41);
    expect(failures).toBe(2);
    const ofQueue = handled
      .filter(({ context }) => context.queueId === position.queueId)
      .map(({ context }) => context.queueOffset);
    expect(ofQueue).toEqual([...ofQueue].sort((left, right) => left - right));
    expect(ofQueue.length).toBe(places.filter((one) => one.position.queueId === position.queueId).length + 1);
    expect(handled.find(({ event: one }) => one.customer === 'bad')?.context.reconsumeTimes).toBe(2);
  });

  it('settles what succeeded before it in its batch', async () => {
    const runs: string[] = [];
    let isBroken = true;
    const { Desk } = desk({ idempotent: false }, (_event, { eventId }) => {
      runs.push(eventId);
      if (eventId === 'a-3' && isBroken) throw new Error('not yet');
    });
    await using app = await TestApp.start({ handlers: [Order], events: [OrderPlaced] });
    const events = Array.from({ length: 6 }, () => event(OrderPlaced, { customer: 'c', cents: 1 }));
    await app.eventStore.append({ topic: 'orders', stream: 's' }, events, { appendId: 'a' });
    await app.restart({ handlers: [Desk] });
    await until(() => runs.length >= 5);
    isBroken = false;
    await app.settled();
    expect(runs.slice(0, 4)).toEqual(['a-0', 'a-1', 'a-2', 'a-3']);
    expect(runs.slice(-3)).toEqual(['a-3', 'a-4', 'a-5']);
    expect(new Set(runs.slice(4, -2))).toEqual(new Set(['a-3']));
  });

  it('goes to the dead letters after the attempts it is given', async () => {
    const { Desk } = desk({ maxReconsumeTimes: 1 }, () => {
      throw new Error('never');
    });
    await using app = await TestApp.start({ handlers: [Order, Desk] });
    await app.aggregate(Order).execute('1', (order) => order.place('c', 1));
    await app.settled();
    expect(await app.deadLetters('desk')).toMatchObject([{ tags: 'OrderPlaced', msgId: expect.any(String) }]);
  });
});

describe('a message that is not a valid event', () => {
  it('goes to the dead letters at once, with the reasons; what stands around it is handled', async () => {
    const handled: string[] = [];
    @Consumer('plain-orders', { group: 'strict', ...FIRST, mode: 'ordered' })
    class Strict {
      @On(OrderPlaced) placed({ customer }: OrderPlaced): void {
        handled.push(customer);
      }
    }
    await using app = await TestApp.start({ handlers: [Strict] });
    const send = (body: string) =>
      app.producer.send({ topic: 'plain-orders', tags: 'OrderPlaced', body }, { shardingKey: 'one' });
    await send('{"customer":"a","cents":1}');
    await send('{"customer":"b","cents":0}');
    await send('no json');
    await send('{"customer":"c","cents":1}');
    await until(() => handled.length === 2);
    await app.settled();
    expect(handled).toEqual(['a', 'c']);
    const dead = await app.deadLetters('strict');
    expect(dead.map(({ properties }) => properties['FL_REASON'])).toEqual([
      expect.stringContaining('event OrderPlaced is not valid: cents: cents must not be less than 1'),
      expect.stringContaining('is not valid JSON'),
    ]);
  });
});

describe('the guard', () => {
  it('drops copies of an event', async () => {
    const handled: string[] = [];
    @Consumer('news', { group: 'newsletter', ...FIRST })
    class Newsletter {
      @On(OrderShipped) shipped(_shipped: OrderShipped, { eventId }: MessageContext): void {
        handled.push(eventId);
      }
    }
    await using app = await TestApp.start({ handlers: [Newsletter] });
    const send = (uniqueKey: string) =>
      app.producer.send({ topic: 'news', tags: 'OrderShipped', body: '{"carrier":"dhl"}', uniqueKey });
    for (const id of ['a', 'b', 'a', 'a', 'c', 'b']) await send(id);
    await until(() => handled.length >= 3);
    await app.settled();
    expect([...handled].sort()).toEqual(['a', 'b', 'c']);
  });

  it('remembers over a restart', async () => {
    const handled: string[] = [];
    @Consumer('news', { group: 'newsletter', ...FIRST })
    class Newsletter {
      @On(OrderShipped) shipped(_shipped: OrderShipped, { eventId }: MessageContext): void {
        handled.push(eventId);
      }
    }
    await using app = await TestApp.start({ handlers: [Newsletter] });
    const send = (uniqueKey: string) =>
      app.producer.send({ topic: 'news', tags: 'OrderShipped', body: '{"carrier":"dhl"}', uniqueKey });
    await send('a');
    await until(() => handled.length === 1);
    await app.settled();
    await app.restart();
    await send('a');
    await send('b');
    await until(() => handled.includes('b'));
    await app.settled();
    expect(handled).toEqual(['a', 'b']);
  });

  it('counts by a key of one’s own, per method', async () => {
    const handled: string[] = [];
    @Consumer('orders', { group: 'once-per-customer', ...FIRST })
    class Welcome {
      @On(OrderPlaced)
      @Idempotent({ key: ({ customer }: OrderPlaced) => customer })
      placed({ customer }: OrderPlaced): void {
        handled.push(`placed ${customer}`);
      }
      @On(OrderNoted)
      @Idempotent({ key: ({ note }: OrderNoted) => note })
      noted({ note }: OrderNoted): void {
        handled.push(`noted ${note}`);
      }
    }
    await using app = await TestApp.start({ handlers: [Order, Welcome] });
    const orders = app.aggregate(Order);
    for (const [id, customer] of ['ada', 'bob', 'ada'].entries()) {
      await orders.execute(String(id), (order) => order.place(customer, 1));
      await orders.execute(String(id), (order) => order.note(customer));
    }
    await app.settled();
    expect([...handled].sort()).toEqual(['noted ada', 'noted bob', 'placed ada', 'placed bob']);
  });

  it('lets a failed effect run again at once', async () => {
    let failures = 0;
    const { Desk, handled } = desk({}, () => {
      failures += 1;
      if (failures === 1) throw new Error('not yet');
    });
    await using app = await TestApp.start({ handlers: [Order, Desk] });
    await app.aggregate(Order).execute('1', (order) => order.place('c', 1));
    await until(() => handled.length === 1);
    expect(failures).toBe(2);
  });
});

it('a handler may append to streams that it consumes', async () => {
  @Event({ type: 'OrderConfirmed', version: 1 })
  class OrderConfirmed {
    @IsString() by!: string;
  }
  const confirmed: string[] = [];
  let store: TestApp['eventStore'];
  @Consumer('orders', { group: 'confirmer', ...FIRST })
  class Confirmer {
    @On(OrderPlaced, { idempotent: false }) async placed(_placed: OrderPlaced, context: MessageContext): Promise<void> {
      await store.append(context, [event(OrderConfirmed, { by: 'desk' })], { appendId: `confirm/${context.eventId}` });
    }
    @On(OrderConfirmed) confirmed(_confirmed: OrderConfirmed, context: MessageContext): void {
      confirmed.push(context.stream);
    }
  }
  await using app = await TestApp.start({ handlers: [Order, Confirmer] });
  store = app.eventStore;
  for (let id = 0; id < 10; id += 1) await app.aggregate(Order).execute(String(id), (order) => order.place('c', 1));
  await app.settled();
  expect(confirmed).toHaveLength(10);
  expect(new Set(confirmed).size).toBe(10);
});
