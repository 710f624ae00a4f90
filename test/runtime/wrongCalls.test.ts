/** Calls that are wrong in a way that a program easily is: refused with what is wrong and what to do, never half done. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Aggregate,
  AggregateRoot,
  Apply,
  ConsumeFromWhere,
  Consumer,
  decider,
  event,
  Idempotent,
  On,
  OptionsError,
  Projection,
} from '../../src/index.js';
import { given, TestApp } from '../../src/testing/index.js';
import { OrderNoted, OrderPlaced } from '../support/orders.js';

/** Waits, as commands sometimes do, and lets the test say when. */
@Aggregate({ topic: 'orders', stream: 'slow' })
class SlowOrder extends AggregateRoot {
  notes: string[] = [];
  note(note: string): void {
    this.apply(OrderNoted, { note });
  }
  async noteAfter(ready: Promise<void>, note: string): Promise<void> {
    await ready;
    this.note(note);
  }
  @Apply(OrderNoted) protected onNoted({ note }: OrderNoted): void {
    this.notes.push(note);
  }
}

@Projection({ name: 'idle', topics: ['orders'] })
class Idle {
  @On(OrderPlaced) placed(): void {}
}

let app: TestApp;
let streams = 0;

beforeAll(async () => {
  app = await TestApp.start({ handlers: [SlowOrder, Idle], events: [OrderPlaced, OrderNoted], storage: 'memory' });
});
afterAll(() => app.stop());

const fresh = () => ({ topic: 'orders', stream: `order:${++streams}` });
const note = event(OrderNoted, { note: 'a' });

describe('a command that nobody waits for', () => {
  it('cannot apply an event after its end: neither lost nor stored with the next command’s', async () => {
    const orders = app.aggregate(SlowOrder);
    let late: Promise<void> = Promise.resolve();
    let ready = () => {};
    const waiting = new Promise<void>((resolve) => {
      ready = resolve;
    });
    const forgot = await orders.execute('1', (order) => {
      order.note('at once');
      late = order.noteAfter(waiting, 'late');
    });
    expect(forgot.events).toEqual([event(OrderNoted, { note: 'at once' })]);
    ready();
    await expect(late).rejects.toThrow(
      'SlowOrder 1 applied OrderNoted after its command had ended, nothing is stored: return or await in the command what it waits for',
    );
    const next = await orders.execute('1', (order) => order.note('next'));
    expect(next.events).toEqual([event(OrderNoted, { note: 'next' })]);
    expect((await orders.load('1')).notes).toEqual(['at once', 'next']);
    await orders.execute('1', (order) => order.noteAfter(Promise.resolve(), 'awaited'));
    expect((await orders.load('1')).notes).toEqual(['at once', 'next', 'awaited']);
  });

  it('is noticed in a test of the aggregate alone', async () => {
    let late: Promise<void> = Promise.resolve();
    await given(SlowOrder, [])
      .when((order) => {
        late = order.noteAfter(Promise.resolve(), 'late');
      })
      .then([]);
    await expect(late).rejects.toThrow(/after its command had ended/);
  });
});

describe('a decider that returns no list', () => {
  const forgetful = decider({
    initialState: () => 0,
    decide: (() => undefined) as unknown as () => object[],
    evolve: (state) => state,
  });
  const late = decider({
    initialState: () => 0,
    decide: (async () => [note]) as unknown as () => object[],
    evolve: (state) => state,
  });

  it('is refused', async () => {
    for (const functions of [forgetful, late]) {
      const streamsOfIt = app.decider(functions, { topic: 'orders', stream: 'decided' });
      await expect(streamsOfIt.execute('1', undefined)).rejects.toThrow(/must return a list of events, \[\] for none/);
      expect(() => given(functions, []).when(undefined).then([])).toThrow(/must return a list of events/);
    }
  });
});

describe('the event store', () => {
  it('takes texts as keys', async () => {
    const keyed = (key: unknown) => app.eventStore.append([{ ...fresh(), event: note, keys: [key as string] }]);
    await expect(keyed(7)).rejects.toThrow('a key of an event must be a text that is not empty, not 7');
    await expect(keyed('')).rejects.toThrow(/not ""/);
    await expect(app.eventStore.readKeys([{ topic: 'orders', key: undefined as never }])).rejects.toThrow(OptionsError);
    await expect(app.eventStore.readKeys(['customer:ann' as never])).rejects.toThrow(/topic .*must be a text/);
  });

  it('takes no expected version that means nothing, and stores nothing then', async () => {
    const stream = fresh();
    for (const expectedVersion of ['NOSTREAM', 'toString', -1, -2, 1.5, Number.NaN, '0'] as never[]) {
      const appended = app.eventStore.append(stream, [note], { expectedVersion });
      await expect(appended, String(expectedVersion)).rejects.toThrow(/must be a number from 0 on, NO_STREAM/);
    }
    expect((await app.eventStore.append(stream, [note], { expectedVersion: 'NO_STREAM' })).version).toBe(1);
  });

  it('reads from and until dates, not from texts', async () => {
    const read = async (options: object) => {
      for await (const one of app.eventStore.readTopic('orders', options)) void one;
    };
    await expect(read({ from: '2026-01-01' })).rejects.toThrow(
      `from "2026-01-01" must be 'start', a Date or a position`,
    );
    await expect(read({ until: '2026-01-01' })).rejects.toThrow('until is not a valid Date');
  });

  it('says once why a topic cannot hold events', async () => {
    await app.producer.send({ topic: 'letters', body: 'x' });
    await expect(app.eventStore.append({ topic: 'letters', stream: 's' }, [note])).rejects.toThrow(
      'topic letters cannot become an event topic: it holds messages already, use another topic',
    );
  });
});

it('waitFor takes a position', async () => {
  await expect(app.projection(Idle).waitFor(undefined as never)).rejects.toThrow(
    'waitFor needs a position, as execute, append and reads give it',
  );
});

it('a replay of a projection needs a database', async () => {
  await expect(app.foldlog.replay({ projection: Idle } as never)).rejects.toThrow(/needs database: a path, postgres/);
});

it('an event class among the handlers is told its place', async () => {
  await expect(TestApp.start({ handlers: [OrderPlaced as never], storage: 'memory' })).rejects.toThrow(
    /OrderPlaced among the handlers .*: list event classes in `events`/,
  );
});

it('what the container cannot make is told in one line', async () => {
  @Consumer('orders', { group: 'lonely' })
  class Lonely {
    readonly post: object;
    constructor(post: object) {
      this.post = post;
    }
    @On(OrderPlaced) placed(): void {}
  }
  const starting = TestApp.start({ handlers: [Lonely as never], storage: 'memory' });
  await expect(starting).rejects.toThrow(
    /^the container cannot make handler Lonely: every constructor parameter needs @inject\(token\), and every token a binding in `container` \([^\n]+\)$/,
  );
  await expect(starting).rejects.not.toThrow(/emitDecoratorMetadata/);
});

it('events without the key of an @Idempotent method are not taken for one effect', async () => {
  const handled: string[] = [];
  @Consumer('orders', { group: 'keyed', mode: 'concurrent', from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET })
  class Keyed {
    @On(OrderPlaced)
    @Idempotent({ key: ({ country }: OrderPlaced) => country as string })
    placed({ customer }: OrderPlaced): void {
      handled.push(customer);
    }
  }
  const warnings: object[] = [];
  const quiet = () => {};
  const logger = { debug: quiet, info: quiet, warn: (fields: object) => void warnings.push(fields), error: quiet };
  await using shop = await TestApp.start({ handlers: [Keyed], storage: 'memory', logger });
  const placed = (customer: string) => event(OrderPlaced, { customer, cents: 1 });
  await shop.eventStore.append(fresh(), [placed('ann')]);
  await shop.eventStore.append(fresh(), [placed('bob')]);
  await shop.eventStore.append(fresh(), [event(OrderPlaced, { customer: 'eve', cents: 1, country: 'FR' })]);
  await shop.settled();
  expect(handled).toEqual(['eve']);
  expect(warnings).toHaveLength(2);
  expect(warnings[0]).toMatchObject({
    reason: expect.stringMatching(/^key of @Idempotent on placed: undefined for event .* must be a text/),
  });
});
