/**
 * Which client of a group consumes which queue in order. A lock lasts 60 s from its last renewal; an expired one is
 * anybody's. A lock is not released when its client's connection closes: the client goes on handing out what it has
 * pulled for up to 30 s. Upstream: `RebalanceLockManager`.
 */
import type { Clock } from '../base/clock.js';
import type { MessageQueue } from '../protocol/message.js';

/** Upstream's `rocketmq.broker.rebalance.lockMaxLiveTime`. */
export const LOCK_LIFE_MILLIS = 60_000;
/** Locks of all groups together; over it a new lock is not given. */
const LOCKS_MAX = 1_000_000;

interface Lock {
  clientId: string;
  renewedAt: number;
}

export class QueueLocks {
  readonly #clock: Clock;
  readonly #locksMax: number;
  readonly #groups = new Map<string, Map<string, Lock>>();
  #count = 0;

  constructor({ clock, locksMax = LOCKS_MAX }: { clock: Clock; locksMax?: number }) {
    this.#clock = clock;
    this.#locksMax = locksMax;
  }

  /** Locks or renews what is free, expired or the client's own; returns those queues. */
  lock(group: string, queues: readonly MessageQueue[], clientId: string): MessageQueue[] {
    const now = this.#clock.monotonic();
    let locks = this.#groups.get(group);
    const locked: MessageQueue[] = [];
    for (const queue of queues) {
      const key = keyOf(queue);
      const lock = locks?.get(key);
      if (lock && lock.clientId !== clientId && !isExpired(lock, now)) continue;
      if (lock) {
        lock.clientId = clientId;
        lock.renewedAt = now;
      } else {
        if (this.#count >= this.#locksMax) continue;
        if (!locks) {
          locks = new Map();
          this.#groups.set(group, locks);
        }
        locks.set(key, { clientId, renewedAt: now });
        this.#count += 1;
      }
      locked.push(queue);
    }
    return locked;
  }

  /** Gives back the client's own locks; others stay. */
  unlock(group: string, queues: readonly MessageQueue[], clientId: string): void {
    const locks = this.#groups.get(group);
    if (!locks) return;
    for (const queue of queues) {
      const key = keyOf(queue);
      if (locks.get(key)?.clientId !== clientId) continue;
      locks.delete(key);
      this.#count -= 1;
    }
    if (locks.size === 0) this.#groups.delete(group);
  }

  /** Does anybody consume a queue of this group in order right now? */
  isHeld(group: string): boolean {
    const locks = this.#groups.get(group);
    if (!locks) return false;
    const now = this.#clock.monotonic();
    for (const lock of locks.values()) if (!isExpired(lock, now)) return true;
    return false;
  }

  /** Forgets expired locks; called from time to time. */
  removeExpired(): void {
    const now = this.#clock.monotonic();
    for (const [group, locks] of this.#groups) {
      for (const [key, lock] of locks) {
        if (!isExpired(lock, now)) continue;
        locks.delete(key);
        this.#count -= 1;
      }
      if (locks.size === 0) this.#groups.delete(group);
    }
  }
}

const keyOf = ({ topic, brokerName, queueId }: MessageQueue) => `${queueId}@${topic}@${brokerName}`;

const isExpired = (lock: Lock, now: number) => now - lock.renewedAt > LOCK_LIFE_MILLIS;
