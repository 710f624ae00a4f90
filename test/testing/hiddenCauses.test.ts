/** What a test is told of a failure is the failure itself, wherever in the way to the handler it was. */
import { describe, expect, it } from 'vitest';
import { Consumer, event, Idempotent, type MessageContext, On, type SqliteDatabase } from '../../src/index.js';
import { given, TestApp } from '../../src/testing/index.js';
import { OrderPlaced } from '../support/orders.js';

const placed = event(OrderPlaced, { customer: 'ann', cents: 5 });

@Consumer('orders', { group: 'keyed' })
class WithoutKey {
  @On(OrderPlaced)
  @Idempotent({
    key: ({ country }: OrderPlaced) => {
      if (country === undefined) throw new RangeError('no country, no key');
      return country;
    },
  })
  placed(): void {}
}

@Consumer('orders', { group: 'empty' })
class WithEmptyKey {
  @On(OrderPlaced)
  @Idempotent({ key: () => '' })
  placed(): void {}
}

@Consumer('orders', { group: 'children' })
class WithoutParent {
  @On(OrderPlaced)
  @Idempotent({ transaction: true })
  placed(_event: OrderPlaced, { db }: MessageContext<SqliteDatabase>): void {
    db.exec('CREATE TABLE parents (id INTEGER PRIMARY KEY)');
    db.exec('CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)');
    db.run('INSERT INTO children VALUES (1)');
  }
}

@Consumer('orders', { group: 'results' })
class WithoutResult {
  @On(OrderPlaced)
  @Idempotent({ transaction: true, result: true })
  placed(): unknown {
    return () => {};
  }
}

describe('given a consumer, what fails beside its handler is told as it is', () => {
  it.each([
    ['a key that throws', WithoutKey, /^no country, no key$/],
    ['a key that is empty', WithEmptyKey, /key of @Idempotent on placed: "" for event event-1/],
    ['a commit that the database refuses', WithoutParent, /FOREIGN KEY constraint failed/],
    ['a result that cannot be kept in the transaction', WithoutResult, /is a function, which JSON does not have/],
  ])('%s', async (_what, handlerClass, message) => {
    await given(handlerClass, []).when(placed).thenThrows(message);
    await expect(
      given(handlerClass, [])
        .when(placed)
        .then(() => {}),
    ).rejects.toThrow(message);
    await expect(given(handlerClass, [placed]).then(() => {})).rejects.toThrow(/did not handle given event 1/);
  });
});

describe('TestApp.run says the seed of what the test throws', () => {
  const failing = (thrown: unknown) =>
    TestApp.run({ handlers: [], storage: 'memory', deliver: { seed: 4711 } }, async () => {
      throw thrown;
    }).catch((told: unknown) => told);

  it('also when its message cannot be changed', async () => {
    const timedOut = new DOMException('it took too long', 'TimeoutError');
    const frozen = Object.freeze(new RangeError('too far'));
    for (const thrown of [timedOut, frozen]) {
      const told = (await failing(thrown)) as Error;
      expect(told.message).toBe(`${thrown.message} (deliver: seed 4711 repeats these faults)`);
      expect(told.cause).toBe(thrown);
    }
  });

  it('in the error itself where it can be', async () => {
    const thrown = new RangeError('too far');
    expect(await failing(thrown)).toBe(thrown);
    expect(thrown.message).toBe('too far (deliver: seed 4711 repeats these faults)');
  });
});
