import { describe, expect, it } from 'vitest';
import { LOCK_LIFE_MILLIS, QueueLocks } from '../../src/broker/queueLocks.js';
import { ManualClock } from '../support/manualClock.js';

const queue = (queueId: number) => ({ topic: 'T', brokerName: 'b', queueId });

describe('queue locks', () => {
  it('give a free queue to the first, and only that one renews it', () => {
    const locks = new QueueLocks({ clock: new ManualClock() });
    expect(locks.lock('G', [queue(0), queue(1)], 'a')).toEqual([queue(0), queue(1)]);
    expect(locks.lock('G', [queue(0), queue(2)], 'b')).toEqual([queue(2)]);
    expect(locks.lock('G', [queue(0)], 'a')).toEqual([queue(0)]);
    expect(locks.lock('H', [queue(0)], 'b')).toEqual([queue(0)]);
  });

  it('run out after 60 s without renewal', () => {
    const clock = new ManualClock();
    const locks = new QueueLocks({ clock });
    locks.lock('G', [queue(0)], 'a');
    clock.advance(40_000);
    locks.lock('G', [queue(0)], 'a');
    clock.advance(LOCK_LIFE_MILLIS);
    expect(locks.lock('G', [queue(0)], 'b')).toEqual([]);
    expect(locks.isHeld('G')).toBe(true);
    clock.advance(1);
    expect(locks.isHeld('G')).toBe(false);
    expect(locks.lock('G', [queue(0)], 'b')).toEqual([queue(0)]);
  });

  it('are given back by their owner alone', () => {
    const locks = new QueueLocks({ clock: new ManualClock() });
    locks.lock('G', [queue(0)], 'a');
    locks.unlock('G', [queue(0)], 'b');
    expect(locks.isHeld('G')).toBe(true);
    locks.unlock('G', [queue(0), queue(7)], 'a');
    expect(locks.isHeld('G')).toBe(false);
  });

  it('are bounded, and expired ones make room', () => {
    const clock = new ManualClock();
    const locks = new QueueLocks({ clock, locksMax: 2 });
    expect(locks.lock('G', [queue(0), queue(1), queue(2)], 'a')).toHaveLength(2);
    clock.advance(LOCK_LIFE_MILLIS + 1);
    locks.removeExpired();
    expect(locks.lock('G', [queue(2)], 'a')).toHaveLength(1);
  });
});
