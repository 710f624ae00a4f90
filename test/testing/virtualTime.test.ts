import { describe, expect, it } from 'vitest';
import { PushConsumer } from '../../src/client/index.js';
import {
  Aggregate,
  AggregateRoot,
  Apply,
  ConsumeFromWhere,
  Consumer,
  type ConsumerOptions,
  type MessageContext,
  On,
} from '../../src/index.js';
import { ManualClock, TestApp } from '../../src/testing/index.js';
import { Order, OrderNoted, OrderPlaced } from '../support/orders.js';

const FROM_START = { from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET } as const;

/** A consumer that fails so often first, and keeps when it was called. */
function failing(options: ConsumerOptions, failures: number, clock: ManualClock) {
  const calledAt: number[] = [];
  @Consumer('orders', { group: 'desk', ...FROM_START, ...options })
  class Desk {
    @On(OrderPlaced) placed(_event: OrderPlaced, _context: MessageContext): void {
      calledAt.push(clock.monotonic());
      if (calledAt.length <= failures) throw new Error('not yet');
    }
  }
  return { Desk, calledAt };
}

describe('time moved by hand', () => {
  it('retries of a concurrent consumer come at their delay levels, and no sooner', async () => {
    const clock = new ManualClock();
    const { Desk, calledAt } = failing({ mode: 'concurrent' }, 3, clock);
    await using app = await TestApp.start({ handlers: [Order, Desk], storage: 'memory', clock });
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 1));
    await app.settled();
    expect(calledAt).toHaveLength(1);
    await app.advance(9_900);
    expect(calledAt).toHaveLength(1);
    await app.advance(200);
    expect(calledAt).toHaveLength(2);
    await app.advance(3 * 60_000);
    const pauses = calledAt.slice(1).map((at, index) => Math.round((at - (calledAt[index] ?? 0)) / 1000));
    expect(pauses).toEqual([10, 30, 60]);
    await app.settled();
    expect(await app.deadLetters('desk')).toEqual([]);
  });

  it('after the last attempt the message is a dead letter, in half an hour that passes at once', async () => {
    const clock = new ManualClock();
    const { Desk, calledAt } = failing({ mode: 'concurrent', maxReconsumeTimes: 8 }, Number.POSITIVE_INFINITY, clock);
    await using app = await TestApp.start({ handlers: [Order, Desk], storage: 'memory', clock });
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 1));
    await app.settled();
    const startedAt = performance.now();
    await app.advance(30 * 60_000);
    if (process.env['FOLDLOG_TIMES']) console.log('half an hour took', performance.now() - startedAt);
    expect(calledAt).toHaveLength(9);
    expect(await app.deadLetters('desk')).toHaveLength(1);
  });

  it('settled lets as much time pass as an ordered queue that holds needs', async () => {
    const clock = new ManualClock();
    const { Desk, calledAt } = failing({}, 2, clock);
    await using app = await TestApp.start({ handlers: [Order, Desk], storage: 'memory', clock });
    const startedAt = clock.monotonic();
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 1));
    await app.settled();
    expect(calledAt).toHaveLength(3);
    expect(clock.monotonic() - startedAt).toBeLessThan(3_000);
  });

  it('settled gives up after its time, which passes at once', async () => {
    const clock = new ManualClock();
    const { Desk } = failing({}, Number.POSITIVE_INFINITY, clock);
    await using app = await TestApp.start({ handlers: [Order, Desk], storage: 'memory', clock });
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 1));
    await expect(app.settled({ timeoutMillis: 5_000 })).rejects.toThrow(/behind: desk by 1/);
  });

  it('delivers messages at their time', async () => {
    const clock = new ManualClock();
    await using app = await TestApp.start({ handlers: [], storage: 'memory', clock });
    const got: [string, number][] = [];
    const start = clock.monotonic();
    await app.producer.send({ topic: 'Reminder', body: 'level', delayLevel: 5 });
    await app.producer.send({ topic: 'Reminder', body: 'delay', delayMillis: 3_600_000 });
    const consumer = new PushConsumer(app.foldlog.session, {
      group: 'reminders',
      subscriptions: [{ topic: 'Reminder', expression: '*' }],
      from: 'CONSUME_FROM_FIRST_OFFSET',
      async listener(messages) {
        for (const { body } of messages) got.push([body.toString(), Math.round((clock.monotonic() - start) / 60_000)]);
        return { status: 'SUCCESS' };
      },
    });
    await consumer.start();
    await app.advance(2 * 3_600_000);
    await consumer.stop();
    expect(got).toEqual([
      ['level', 1],
      ['delay', 60],
    ]);
  });

  it('takes snapshots by time', async () => {
    @Aggregate({ topic: 'pads', stream: 'pad', snapshot: { everyMillis: 3_600_000 } })
    class Pad extends AggregateRoot {
      notes = 0;

      write(): void {
        this.apply(OrderNoted, { note: 'x' });
      }

      @Apply(OrderNoted) protected onNoted(): void {
        this.notes += 1;
      }
    }
    const clock = new ManualClock();
    await using app = await TestApp.start({ handlers: [Pad], storage: 'memory', clock });
    const pads = app.aggregate(Pad);
    await pads.execute('1', (pad) => pad.write());
    await pads.execute('1', (pad) => pad.write());
    await app.advance(0);
    expect(await app.foldlog.dropSnapshots()).toBe(0);
    await app.advance(3_600_000);
    await pads.execute('1', (pad) => pad.write());
    await app.advance(1_000);
    expect(await app.foldlog.dropSnapshots()).toBe(1);
  });

  it('is the same each time', async () => {
    const runOnce = async () => {
      const clock = new ManualClock();
      const { Desk, calledAt } = failing({ mode: 'concurrent' }, 5, clock);
      await using app = await TestApp.start({ handlers: [Order, Desk], storage: 'memory', clock });
      for (const id of ['1', '2', '3']) {
        await app.aggregate(Order).execute(id, (order) => order.place('ann', 1));
        await app.advance(7_000);
      }
      await app.advance(600_000);
      return calledAt;
    };
    const first = await runOnce();
    expect(first.length).toBe(8);
    expect(await runOnce()).toEqual(first);
  });

  it('works on a directory as well', async () => {
    const clock = new ManualClock();
    const { Desk, calledAt } = failing({ mode: 'concurrent' }, 1, clock);
    await using app = await TestApp.start({ handlers: [Order, Desk], clock });
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 1));
    await app.settled();
    await app.advance(11_000);
    expect(calledAt).toHaveLength(2);
  });

  it('advance refuses a clock that nobody moves, and what is no time', async () => {
    await using real = await TestApp.start({ handlers: [], storage: 'memory' });
    await expect(real.advance(1)).rejects.toThrow(/new ManualClock/);
    await using app = await TestApp.start({ handlers: [], storage: 'memory', clock: new ManualClock() });
    await expect(app.advance(-1)).rejects.toThrow(/no number of milliseconds/);
  });
});
