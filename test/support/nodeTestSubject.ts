/** Tests of an application with `foldlog/testing` under node:test, run by `test/testing/nodeTest.test.ts`. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { ConsumeFromWhere, Consumer, event, On } from '../../src/index.js';
import { given, ManualClock, TestApp } from '../../src/testing/index.js';
import { Order, OrderPlaced, OrderShipped } from './orders.js';

const booked: number[] = [];

@Consumer('orders', { group: 'billing', from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET })
class Billing {
  @On(OrderPlaced) async placed({ cents }: OrderPlaced): Promise<void> {
    booked.push(cents);
  }
}

const placed = event(OrderPlaced, { customer: 'ann', cents: 5 });

test('given', async () => {
  await given(Order, [placed])
    .when((order) => order.ship('dhl'))
    .then([event(OrderShipped, { carrier: 'dhl' })]);
  await given(Billing, [])
    .when(placed)
    .then(() => assert.deepEqual(booked.splice(0), [5]));
});

for (const storage of ['memory', 'directory'] as const) {
  test(`an application, storage ${storage}`, async () => {
    await using app = await TestApp.start({ handlers: [Order, Billing], storage });
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 7));
    await app.settled();
    assert.deepEqual(booked.splice(0), [7]);
  });
}

test('time by hand, and deliveries that go wrong', async () => {
  const options = { handlers: [Order, Billing], storage: 'memory', clock: new ManualClock() } as const;
  await TestApp.run({ ...options, deliver: { duplicates: 1, delay: 1, seed: 1 } }, async (app) => {
    await app.aggregate(Order).execute('1', (order) => order.place('ann', 7));
    await app.settled();
    assert.deepEqual(booked.splice(0), [7]);
    assert.ok(app.faults.duplicates > 0);
  });
});

test('fails, and says with which seed', { skip: process.env['FOLDLOG_FAIL'] === undefined }, async () => {
  await TestApp.run({ handlers: [Order], storage: 'memory', deliver: { crash: 0.1, seed: 4711 } }, async () => {
    assert.equal(1, 2, 'the sum is wrong');
  });
});
