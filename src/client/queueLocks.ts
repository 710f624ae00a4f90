/**
 * The broker's queue locks of an ordered consumer. A lock counts here for 30 s and at the broker for 60 s, and is
 * renewed every 20 s; so of two consumers that both believe to own a queue at most one is right for at most as long
 * as a listener call runs. When a broker was away its locks are asked for again at once: it has forgotten them.
 * Upstream: `RebalanceImpl.lock`, `lockAll`, `ProcessQueue.isLockExpired`.
 */
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { MessageQueue } from '../protocol/message.js';
import type { AssignedQueue } from './assignedQueue.js';
import type { BrokerCalls } from './brokerCalls.js';
import { queueKey } from './messageQueues.js';
import type { Routes } from './routes.js';

const RENEW_EVERY_MILLIS = 20_000;
/** Upstream: `rocketmq.client.rebalance.lockMaxLiveTime`. */
const VALID_MILLIS = 30_000;
const AGAIN_AFTER_MILLIS = 1000;

export class QueueLocks {
  readonly #group: string;
  readonly #clientId: string;
  readonly #calls: BrokerCalls;
  readonly #routes: Routes;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #assigned: () => Iterable<AssignedQueue>;
  readonly #onLocked: (assigned: AssignedQueue) => void;
  #renewal: Timer | undefined;
  #again: Timer | undefined;

  constructor(parts: {
    group: string;
    clientId: string;
    calls: BrokerCalls;
    routes: Routes;
    clock: Clock;
    logger: Logger;
    assigned: () => Iterable<AssignedQueue>;
    /** The lock is there again after it was missing. */
    onLocked: (assigned: AssignedQueue) => void;
  }) {
    this.#group = parts.group;
    this.#clientId = parts.clientId;
    this.#calls = parts.calls;
    this.#routes = parts.routes;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#assigned = parts.assigned;
    this.#onLocked = parts.onLocked;
  }

  start(): void {
    this.#renewal = this.#clock.every(RENEW_EVERY_MILLIS, () => void this.renewAll());
  }

  stop(): void {
    this.#renewal?.cancel();
    this.#again?.cancel();
  }

  /** Tries to lock queues that are not assigned yet; returns until when each lock counts, by queueKey. */
  async acquire(queues: readonly MessageQueue[]): Promise<Map<string, number>> {
    const lockedUntil = this.#clock.monotonic() + VALID_MILLIS;
    const locked = new Map<string, number>();
    for (const [address, mqSet] of this.#byMaster(queues)) {
      try {
        const held = await this.#calls.lock(address, this.#body(mqSet));
        for (const queue of held) locked.set(queueKey(queue), lockedUntil);
      } catch (thrown) {
        this.#logger.warn({ address, reason: messageOf(thrown) }, 'queues cannot be locked now');
      }
    }
    return locked;
  }

  /** Renews the lock of every assigned queue, or of those on one broker. A lock that somebody else has is given up. */
  async renewAll(onlyAddress?: string): Promise<void> {
    const assigned = [...this.#assigned()].filter(
      ({ queue }) => onlyAddress === undefined || this.#routes.masterAddress(queue.brokerName) === onlyAddress,
    );
    const byMaster = this.#byMaster(assigned.map(({ queue }) => queue));
    const lockedUntil = this.#clock.monotonic() + VALID_MILLIS;
    for (const [address, mqSet] of byMaster) {
      try {
        const held = new Set((await this.#calls.lock(address, this.#body(mqSet))).map(queueKey));
        const asked = new Set(mqSet.map(queueKey));
        for (const each of assigned) {
          const key = queueKey(each.queue);
          if (asked.has(key)) this.#set(each, held.has(key) ? lockedUntil : Number.NEGATIVE_INFINITY);
        }
      } catch (thrown) {
        this.#logger.warn({ address, reason: messageOf(thrown) }, 'queue locks cannot be renewed now');
      }
    }
  }

  /** A queue waits for its lock: asks now and every second for those that have none. */
  request(): void {
    if (this.#again) return;
    this.#again = this.#clock.after(AGAIN_AFTER_MILLIS, () => {
      this.#again = undefined;
      void this.renewAll().then(() => {
        const now = this.#clock.monotonic();
        for (const each of this.#assigned()) if (!each.isAborted && each.lockedUntil <= now) this.request();
      });
    });
  }

  async release(queues: readonly MessageQueue[]): Promise<void> {
    for (const [address, mqSet] of this.#byMaster(queues)) {
      try {
        await this.#calls.unlock(address, this.#body(mqSet));
      } catch (thrown) {
        this.#logger.debug({ address, reason: messageOf(thrown) }, 'queues were not unlocked; the locks run out');
      }
    }
  }

  #set(assigned: AssignedQueue, lockedUntil: number): void {
    if (assigned.isAborted) return;
    const wasLocked = assigned.lockedUntil > this.#clock.monotonic();
    assigned.lockedUntil = lockedUntil;
    if (wasLocked && lockedUntil < 0) {
      this.#logger.warn({ queue: assigned.queue }, 'lock of the queue was lost to another consumer');
    }
    if (!wasLocked && lockedUntil > 0) this.#onLocked(assigned);
  }

  #byMaster(queues: readonly MessageQueue[]): Map<string, MessageQueue[]> {
    const byMaster = new Map<string, MessageQueue[]>();
    for (const queue of queues) {
      const address = this.#routes.masterAddress(queue.brokerName);
      if (address === undefined) continue;
      const list = byMaster.get(address);
      if (list) list.push(queue);
      else byMaster.set(address, [queue]);
    }
    return byMaster;
  }

  #body(mqSet: MessageQueue[]) {
    return { consumerGroup: this.#group, clientId: this.#clientId, mqSet, onlyThisBroker: false };
  }
}
