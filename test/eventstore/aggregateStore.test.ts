import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AggregateStore, ExpectedVersionError, event, Foldlog } from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { Order, OrderNoted, OrderPlaced, OrderShipped } from '../support/orders.js';

let app: TestApp;
/** A second application on the same broker, with memories of its own. */
let other: Foldlog;
let orders: AggregateStore<Order>;
let others: AggregateStore<Order>;
let ids = 0;

beforeAll(async () => {
  app = await TestApp.start({ handlers: [Order], listen: true, namesrvPort: 0, brokerPort: 0 });
  other = await Foldlog.start({ namesrv: app.foldlog.namesrvAddr, handlers: [Order] });
  orders = app.aggregate(Order);
  others = other.aggregate(Order);
});
afterAll(async () => {
  await other.stop();
  await app.stop();
});

const fresh = () => String(++ids);

async function storedOf(id: string): Promise<object[]> {
  const events: object[] = [];
  for await (const recorded of app.eventStore.readStream({ topic: 'orders', stream: `order:${id}` })) {
    events.push(recorded.event);
  }
  return events;
}

describe('execute', () => {
  it('appends what the command applied, all at once', async () => {
    const id = fresh();
    const done = await orders.execute(id, (order) => {
      order.place('c', 100);
      order.ship('dhl');
    });
    expect(done).toMatchObject({ version: 2, alreadyAppended: false });
    expect(done.events).toEqual([
      event(OrderPlaced, { customer: 'c', cents: 100 }),
      event(OrderShipped, { carrier: 'dhl' }),
    ]);
    expect(await storedOf(id)).toEqual(done.events);
  });

  it('goes on from the state before', async () => {
    const id = fresh();
    await orders.execute(id, (order) => order.place('c', 100));
    expect((await orders.execute(id, (order) => order.ship('dhl'))).version).toBe(2);
    expect((await others.execute(id, (order) => order.note('hello'))).version).toBe(3);
    expect((await orders.execute(id, (order) => order.note(`${order.notes.length}`))).version).toBe(4);
    expect((await orders.load(id)).notes).toEqual(['hello', '1']);
  });

  it('appends nothing when nothing was applied', async () => {
    const id = fresh();
    const nothing = await orders.execute(id, () => {});
    expect(nothing).toMatchObject({ version: 0, events: [], alreadyAppended: false });
    const { position } = await orders.execute(id, (order) => order.place('c', 1));
    expect(await orders.execute(id, () => {})).toEqual({ version: 1, position, events: [], alreadyAppended: false });
  });

  it('throws what the command throws, and forgets what it had applied', async () => {
    const id = fresh();
    await orders.execute(id, (order) => order.place('c', 1));
    const refused = orders.execute(id, (order) => {
      order.note('never');
      throw new RangeError('no');
    });
    await expect(refused).rejects.toThrow(RangeError);
    await orders.execute(id, (order) => {
      expect([order.version, order.notes, order.uncommittedEvents]).toEqual([1, [], []]);
      order.note('first');
    });
    expect((await orders.load(id)).notes).toEqual(['first']);
  });

  it('throws EVENT_INVALID and stores nothing for an event that does not validate', async () => {
    const id = fresh();
    await expect(orders.execute(id, (order) => order.place('c', 0.5))).rejects.toMatchObject({ code: 'EVENT_INVALID' });
    expect(await storedOf(id)).toEqual([]);
  });

  it('does not refuse a command because of a remembered state that is old', async () => {
    const id = fresh();
    expect((await orders.execute(id, () => {})).version).toBe(0);
    await others.execute(id, (order) => order.place('c', 1));
    // On the remembered state, an empty order, shipping is refused.
    expect((await orders.execute(id, (order) => order.ship('dhl'))).version).toBe(2);
  });

  it('does not decide nothing because of a remembered state that is old', async () => {
    const id = fresh();
    await orders.execute(id, (order) => order.place('c', 1));
    await others.execute(id, (order) => order.note('news'));
    const done = await orders.execute(id, (order) => {
      if (order.notes.length > 0) order.ship('dhl');
    });
    expect(done.version).toBe(3);
  });

  it('never shows a command a state that its first run has changed', async () => {
    const id = fresh();
    await orders.execute(id, (order) => order.place('c', 1));
    await others.execute(id, (order) => order.note('other'));
    const seen: string[][] = [];
    await orders.execute(id, (order) => {
      seen.push([...order.notes]);
      order.note('mine');
    });
    expect(seen).toEqual([[], ['other']]);
    expect((await others.load(id)).notes).toEqual(['other', 'mine']);
  });

  it('loses no update when several processes write to one stream', async () => {
    const id = fresh();
    const add = (store: AggregateStore<Order>) =>
      store.execute(id, (order) => order.note(String(order.notes.length)), { attempts: 100 });
    await Promise.all(Array.from({ length: 60 }, (_, index) => add(index % 2 ? orders : others)));
    const { notes, version } = await orders.load(id);
    expect(version).toBe(60);
    expect(notes).toEqual(Array.from({ length: 60 }, (_, index) => String(index)));
  });

  it('gives up after too many lost races', async () => {
    const id = fresh();
    const hopeless = orders.execute(
      id,
      async (order) => {
        await others.execute(id, (rival) => rival.note('first'));
        order.note('late');
      },
      { attempts: 3 },
    );
    await expect(hopeless).rejects.toThrow(ExpectedVersionError);
    expect((await orders.load(id)).notes).toEqual(['first', 'first', 'first']);
  });

  it('runs commands on one stream one after the other in a process', async () => {
    const id = fresh();
    let running = 0;
    const slow = () =>
      orders.execute(id, async (order) => {
        running += 1;
        expect(running).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        order.note('x');
      });
    await Promise.all([slow(), slow(), slow()]);
    expect((await orders.load(id)).version).toBe(3);
  });

  it('gives metadata to the events', async () => {
    const id = fresh();
    const occurredAt = new Date('2020-01-01T00:00:00Z');
    await orders.execute(id, (order) => order.place('c', 1), { metadata: { actor: 'ada', occurredAt } });
    const { value } = await app.eventStore.readStream({ topic: 'orders', stream: `order:${id}` }).next();
    expect(value).toMatchObject({ actor: 'ada', occurredAt });
  });

  it('refuses an empty id', async () => {
    await expect(orders.execute('', () => {})).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });
});

describe('expectedVersion', () => {
  it('refuses on any other version, without deciding again', async () => {
    const id = fresh();
    await orders.execute(id, (order) => order.place('c', 1), { expectedVersion: 0 });
    await others.execute(id, (order) => order.note('x'));
    const run = orders.execute(id, (order) => order.ship('dhl'), { expectedVersion: 1 });
    await expect(run).rejects.toMatchObject({ expected: 1, actual: 2 });
    expect((await orders.execute(id, (order) => order.ship('dhl'), { expectedVersion: 2 })).version).toBe(3);
  });
});

describe('commandId', () => {
  it('stores the command once, also from another process and although it would be refused now', async () => {
    const id = fresh();
    const place = (order: Order) => order.place('c', 100);
    const first = await orders.execute(id, place, { commandId: 'http 7f3a/1' });
    await orders.execute(id, (order) => order.note('later'));
    for (const store of [orders, others]) {
      expect(await store.execute(id, place, { commandId: 'http 7f3a/1' })).toEqual({ ...first, alreadyAppended: true });
    }
    expect((await orders.load(id)).version).toBe(2);
  });

  it.each([200, 245, 254, 255, 256, 300, 500])('of %i characters is taken and found again', async (length) => {
    const id = fresh();
    const place = (order: Order) => order.place('c', 1);
    const commandId = 'x'.repeat(length);
    const first = await orders.execute(id, place, { commandId });
    expect(await others.execute(id, place, { commandId })).toEqual({ ...first, alreadyAppended: true });
  });

  it('is found by a process that remembers a state from before', async () => {
    const id = fresh();
    await others.execute(id, (order) => order.place('c', 1));
    const first = await orders.execute(id, (order) => order.ship('dhl'), { commandId: 'ship' });
    // Decides anew on its old state, and learns from the broker that it had been decided.
    const again = await others.execute(id, (order) => order.ship('ups'), { commandId: 'ship' });
    expect(again).toEqual({ ...first, alreadyAppended: true });
    expect((await others.load(id)).carrier).toBe('dhl');
  });

  it('may be used on two aggregates', async () => {
    const [one, two] = [fresh(), fresh()];
    const results = await Promise.all(
      [one, two].map((id) => orders.execute(id, (order) => order.place('c', 1), { commandId: 'same' })),
    );
    expect(results.map(({ alreadyAppended }) => alreadyAppended)).toEqual([false, false]);
  });

  it('of many at once is stored once', async () => {
    const id = fresh();
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        (index % 2 ? orders : others).execute(id, (order) => order.note('once'), { commandId: 'c' }),
      ),
    );
    expect(results.filter(({ alreadyAppended }) => !alreadyAppended)).toHaveLength(1);
    expect((await orders.load(id)).notes).toEqual(['once']);
  });

  it('is found in a stream that is too long to be remembered', async () => {
    const id = fresh();
    await orders.execute(id, (order) => order.place('c', 1), { commandId: 'place' });
    await orders.execute(id, (order) => {
      for (let at = 0; at < 300; at += 1) order.note(String(at));
    });
    const again = await orders.execute(id, (order) => order.place('c', 1), { commandId: 'place' });
    expect(again).toMatchObject({ version: 1, alreadyAppended: true });
    await expect(orders.execute(id, (order) => order.place('c', 1))).rejects.toThrow('placed already');
    expect((await orders.execute(id, (order) => order.note('last'))).version).toBe(302);
    expect((await others.load(id)).notes).toHaveLength(301);
  });
});

describe('load', () => {
  it('of an aggregate that does not exist has version 0', async () => {
    const order = await orders.load(fresh());
    expect([order.version, order.cents]).toEqual([0, 0]);
  });

  it('sees what another process has stored', async () => {
    const id = fresh();
    await orders.execute(id, (order) => order.place('c', 1));
    await others.execute(id, (order) => order.note('news'));
    expect((await orders.load(id)).notes).toEqual(['news']);
  });

  it('gives an aggregate of its own to each caller', async () => {
    const id = fresh();
    await orders.execute(id, (order) => order.place('c', 1));
    (await orders.load(id)).note('not stored');
    expect((await orders.load(id)).notes).toEqual([]);
    expect((await orders.execute(id, (order) => order.ship('x'))).version).toBe(2);
  });

  it('as of a moment: stored, or occurred', async () => {
    const id = fresh();
    const [early, late] = [new Date('2016-01-01T00:00:00Z'), new Date('2020-01-01T00:00:00Z')];
    await orders.execute(id, (order) => order.note('late'), { metadata: { occurredAt: late } });
    await orders.execute(id, (order) => order.note('early'), { metadata: { occurredAt: early } });
    expect((await orders.load(id, { at: early, by: 'occurred' })).notes).toEqual(['early']);
    expect((await orders.load(id, { at: late, by: 'occurred' })).notes).toEqual(['late', 'early']);
    expect((await orders.load(id, { at: late })).notes).toEqual([]);
    expect((await orders.load(id, { at: new Date(Date.now() + 1_000) })).notes).toHaveLength(2);
  });
});

it('an aggregate that is not among the handlers is refused', () => {
  class Stray extends Order {}
  expect(() => app.aggregate(Stray)).toThrow(/Stray is not among the handlers/);
});

it('a stream with an event that no class here has is folded without it', async () => {
  const id = fresh();
  await app.eventStore.append({ topic: 'orders', stream: `order:${id}` }, [event(OrderNoted, { note: 'x' })]);
  expect((await orders.load(id)).version).toBe(1);
});
