import { describe, expect, it } from 'vitest';
import type { Logger } from '../../src/base/logger.js';
import { DuplicatesMet } from '../../src/idempotency/duplicatesMet.js';
import { ManualClock } from '../support/manualClock.js';

const place = (queueOffset: number, queueId = 0) => ({ topic: 'orders', brokerName: 'b', queueId, queueOffset });

function setUp() {
  const clock = new ManualClock();
  const lines: object[] = [];
  const info = (fields: object, text: string) => void lines.push({ ...fields, text });
  const logger: Logger = { debug: () => {}, info, warn: () => {}, error: () => {} };
  return { clock, lines, duplicates: new DuplicatesMet({ clock, logger }) };
}

describe('the report of duplicates', () => {
  it('counts by group, and tells of the keys where each copy lay and when', () => {
    const { clock, duplicates } = setUp();
    const from = clock.now();
    duplicates.met('billing', 'a', place(7));
    clock.advance(1_000);
    duplicates.met('billing', 'b', place(9, 1));
    duplicates.met('billing', 'a', place(7));
    clock.advance(1_000);
    duplicates.met('billing', 'a', place(12));
    duplicates.met('mail', 'a', undefined);
    expect(duplicates.list()).toEqual([
      {
        group: 'billing',
        count: 4,
        keys: [
          {
            key: 'a',
            count: 3,
            firstAt: new Date(from),
            lastAt: new Date(from + 2_000),
            copies: [
              { ...place(7), count: 2 },
              { ...place(12), count: 1 },
            ],
          },
          {
            key: 'b',
            count: 1,
            firstAt: new Date(from + 1_000),
            lastAt: new Date(from + 1_000),
            copies: [{ ...place(9, 1), count: 1 }],
          },
        ],
      },
      { group: 'mail', count: 1, keys: [expect.objectContaining({ key: 'a', copies: [] })] },
    ]);
    expect(duplicates.countOf('billing')).toBe(4);
    expect(duplicates.countOf('other')).toBe(0);
  });

  it('is a copy: what the caller changes in it changes nothing here', () => {
    const { duplicates } = setUp();
    duplicates.met('billing', 'a', place(1));
    const [group] = duplicates.list();
    const key = group?.keys[0];
    key?.copies.push({ ...place(2), count: 5 });
    key?.lastAt.setTime(0);
    expect(duplicates.list()[0]?.keys[0]).toMatchObject({ copies: [{ queueOffset: 1 }] });
    expect(duplicates.list()[0]?.keys[0]?.lastAt.getTime()).toBeGreaterThan(0);
  });

  it('keeps the 100 keys met last, ten places each, keys cut, and counts all', () => {
    const { duplicates } = setUp();
    for (let at = 0; at < 150; at++) duplicates.met('billing', `key-${at}`, place(at));
    // Met again: it is not the next to go.
    duplicates.met('billing', 'key-50', place(50));
    for (let at = 150; at < 249; at++) duplicates.met('billing', `key-${at}`, place(at));
    const keys = duplicates.list()[0]?.keys.map(({ key }) => key);
    expect(keys).toHaveLength(100);
    expect(keys?.[0]).toBe('key-248');
    expect(keys?.at(-1)).toBe('key-50');
    expect(duplicates.countOf('billing')).toBe(250);
    for (let at = 0; at < 50; at++) duplicates.met('mail', 'x'.repeat(10_000), place(at));
    const [mail] = duplicates.list()[1]?.keys ?? [];
    expect(mail?.key).toHaveLength(257);
    expect(mail).toMatchObject({ count: 50 });
    expect(mail?.copies.map(({ queueOffset }) => queueOffset)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('counts groups beyond 200 as one', () => {
    const { duplicates } = setUp();
    for (let at = 0; at < 300; at++) duplicates.met(`group-${at}`, 'a', undefined);
    duplicates.met('group-0', 'a', undefined);
    const list = duplicates.list();
    expect(list).toHaveLength(201);
    expect(list.at(-1)).toMatchObject({ group: '…', count: 100 });
    expect(list[0]).toMatchObject({ group: 'group-0', count: 2 });
    duplicates.close();
  });
});

describe('the log of duplicates', () => {
  it('has a line for the first of a group, then one a minute at most, and at the end what was not said', () => {
    const { clock, lines, duplicates } = setUp();
    duplicates.met('billing', 'a', place(7));
    expect(lines).toEqual([
      {
        group: 'billing',
        duplicates: 1,
        total: 1,
        key: 'a',
        ...place(7),
        text: 'duplicates were dropped: their effects had been done before',
      },
    ]);
    for (let at = 0; at < 30; at++) {
      clock.advance(1_000);
      duplicates.met('billing', `key-${at}`, place(at));
    }
    expect(lines).toHaveLength(1);
    clock.advance(30_000);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatchObject({ duplicates: 30, total: 31, key: 'key-29', queueOffset: 29 });
    // A quiet minute has no line; the next one is said at once again.
    clock.advance(120_000);
    expect(lines).toHaveLength(2);
    duplicates.met('billing', 'a', place(7));
    duplicates.met('billing', 'a', place(7));
    duplicates.met('mail', 'a', undefined);
    expect(lines).toHaveLength(4);
    duplicates.close();
    expect(lines).toHaveLength(5);
    expect(lines[4]).toMatchObject({ group: 'billing', duplicates: 1, total: 33 });
    expect(clock.pendingCount).toBe(0);
  });
});
