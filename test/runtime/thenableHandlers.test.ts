/**
 * Handlers in a transaction that return what is no promise but can be awaited: a query of a query builder, which runs
 * when its `then` is called, or a promise of another realm. Their work is a part of the transaction, or there is no mark.
 */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import {
  ConsumeFromWhere,
  Consumer,
  event,
  Idempotent,
  type MessageContext,
  On,
  SqliteDatabase,
} from '../../src/index.js';
import { given, TestApp } from '../../src/testing/index.js';
import { OrderPlaced } from '../support/orders.js';

/** Does its work when it is awaited, as a query builder's query. */
function lazily(work: () => void): PromiseLike<void> {
  // biome-ignore lint/suspicious/noThenProperty: that is what makes it one
  return { then: (onDone, onFailed) => Promise.resolve().then(work).then(onDone, onFailed) };
}

const NewRealmPromise = runInNewContext('Promise') as PromiseConstructor;
const inAnotherRealm = (work: () => void): PromiseLike<void> => NewRealmPromise.resolve().then(work);

function billing(later: (work: () => void) => PromiseLike<void>) {
  @Consumer('orders', { group: 'billing', from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET, mode: 'concurrent' })
  class Billing {
    @On(OrderPlaced)
    @Idempotent({ transaction: true })
    placed({ cents }: OrderPlaced, { db }: MessageContext<SqliteDatabase>): PromiseLike<void> {
      return later(() => {
        if (cents === 13) throw new RangeError('13 brings bad luck');
        db.exec('CREATE TABLE IF NOT EXISTS bills (cents INTEGER)');
        db.run('INSERT INTO bills VALUES (?)', cents);
      });
    }
  }
  return Billing;
}

const placed = (cents: number) => event(OrderPlaced, { customer: 'ann', cents });

describe.each([
  ['a query that runs when it is awaited', lazily],
  ['a promise of another realm', inAnotherRealm],
])('%s', (_what, later) => {
  it('is done before its mark is committed', async () => {
    await using app = await TestApp.start({ handlers: [billing(later)], events: [OrderPlaced] });
    await app.eventStore.append({ topic: 'orders', stream: 'order:1' }, [placed(5)]);
    await app.settled();
    const database = SqliteDatabase.open(`${app.directory}/app.db`);
    const rows = (table: string) => database.all(`SELECT name FROM sqlite_master WHERE name = '${table}'`).length;
    expect([rows('foldlog_marks'), rows('bills')]).toEqual([1, 1]);
    expect(database.all('SELECT cents FROM bills')).toEqual([{ cents: 5 }]);
    await database.close();
  });

  it('counts in a test of the handler alone, and is refused with what it threw', async () => {
    await given(billing(later), [])
      .when(placed(5))
      .then('SELECT * FROM bills', [{ cents: 5 }]);
    await given(billing(later), []).when(placed(13)).thenThrows(RangeError);
  });
});
