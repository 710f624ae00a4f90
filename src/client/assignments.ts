/**
 * The queues that this consumer has now: takes over what a rebalance gives it, lets go of what it takes away. Taking
 * over means: lock (ordered), find the start offset, pull. Letting go means: no more listener calls, record the
 * offset, unlock. A queue that is being let go of is not taken again before that is done.
 * Upstream: `RebalanceImpl.updateProcessQueueTableInRebalance`, `RebalancePushImpl`.
 */
import { type Clock, delay } from '../base/clock.js';
import { messageOf } from '../base/errors.js';
import type { QueueOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import type { MessageQueue } from '../protocol/message.js';
import { AssignedQueue } from './assignedQueue.js';
import type { OffsetStore } from './clientTypes.js';
import type { Delivery } from './delivery.js';
import { queueKey } from './messageQueues.js';
import type { ProcessQueueLimits } from './processQueue.js';
import type { PullLoop } from './pullLoop.js';
import type { QueueLocks } from './queueLocks.js';
import type { Share } from './rebalance.js';

/** Time for the member that had the queue to record its offset. Not needed when there is none, or its lock is gone. */
const FIRST_PULL_AFTER_MILLIS = 500;
/** How long a running listener call may keep a queue that is to be unlocked. */
const RELEASE_WAIT_MILLIS = 20_000;

export interface AssignmentsParts {
  limits: ProcessQueueLimits;
  offsetStore: OffsetStore;
  startOffset(queue: MessageQueue): Promise<QueueOffset>;
  pullLoop: PullLoop;
  delivery: Delivery;
  /** Only of an ordered CLUSTERING consumer. */
  locks: QueueLocks | undefined;
  clock: Clock;
  logger: Logger;
}

export class Assignments {
  readonly #parts: AssignmentsParts;
  readonly #assigned = new Map<string, AssignedQueue>();
  readonly #releasing = new Map<string, Promise<void>>();
  #isStopped = false;

  constructor(parts: AssignmentsParts) {
    this.#parts = parts;
  }

  all(): AssignedQueue[] {
    return [...this.#assigned.values()];
  }

  queues(): MessageQueue[] {
    return this.all().map(({ queue }) => queue);
  }

  /** Makes the topic's share of queues so; false when some could not be taken or let go of yet. */
  async apply(topic: string, { queues, isAlone }: Share): Promise<boolean> {
    const wanted = new Set(queues.map(queueKey));
    for (const [key, assigned] of this.#assigned) {
      if (assigned.queue.topic === topic && !wanted.has(key)) this.#release(key, assigned);
    }
    const missing = queues.filter((queue) => !this.#assigned.has(queueKey(queue)));
    const free = missing.filter((queue) => !this.#releasing.has(queueKey(queue)));
    const { locks } = this.#parts;
    const locked = locks && free.length > 0 ? await locks.acquire(free) : undefined;
    const takeable = locked ? free.filter((queue) => locked.has(queueKey(queue))) : free;
    const taken = await Promise.all(
      takeable.map((queue) => this.#take(queue, locked?.get(queueKey(queue)), isAlone || locks !== undefined)),
    );
    return taken.every(Boolean) && takeable.length === missing.length;
  }

  async #take(queue: MessageQueue, lockedUntil: number | undefined, pullsAtOnce: boolean): Promise<boolean> {
    const { startOffset, limits, pullLoop, clock, logger, locks } = this.#parts;
    let start: QueueOffset;
    try {
      start = await startOffset(queue);
    } catch (thrown) {
      logger.warn({ queue, reason: messageOf(thrown) }, 'start offset cannot be told now, the queue waits');
      await locks?.release([queue]);
      return false;
    }
    if (this.#isStopped) {
      await locks?.release([queue]);
      return false;
    }
    const assigned = new AssignedQueue(queue, start, limits);
    if (lockedUntil !== undefined) assigned.lockedUntil = lockedUntil;
    this.#assigned.set(queueKey(queue), assigned);
    logger.info({ queue, start }, 'queue taken over');
    const before = pullsAtOnce ? Promise.resolve() : delay(clock, FIRST_PULL_AFTER_MILLIS, assigned.signal);
    void before.then(() => pullLoop.run(assigned));
    return true;
  }

  #release(key: string, assigned: AssignedQueue): void {
    this.#assigned.delete(key);
    this.#parts.logger.info({ queue: assigned.queue }, 'queue let go');
    const done = this.#letGo(assigned).finally(() => this.#releasing.delete(key));
    this.#releasing.set(key, done);
  }

  /** Never rejects. */
  async #letGo(assigned: AssignedQueue): Promise<void> {
    const { delivery, locks, offsetStore, logger } = this.#parts;
    const { queue } = assigned;
    // Ordered: nobody else may start before the running call is over. Concurrent: its messages come again elsewhere.
    assigned.abort();
    if (locks) await delivery.idle(RELEASE_WAIT_MILLIS, assigned);
    this.progressed(assigned);
    assigned.detach();
    try {
      await offsetStore.persist([queue]);
      offsetStore.forget(queue);
    } catch (thrown) {
      logger.warn({ queue, reason: messageOf(thrown) }, 'offset was not recorded; messages will come again');
    }
    await locks?.release([queue]);
  }

  /** The committable offset may have risen. */
  progressed(assigned: AssignedQueue): void {
    if (!assigned.isDetached) this.#parts.offsetStore.update(assigned.queue, assigned.processQueue.committable);
  }

  /** The queue goes on at another offset: because the broker says so, or an administrator. */
  moveTo(assigned: AssignedQueue, offset: QueueOffset): void {
    assigned.moveTo(offset);
    this.#parts.offsetStore.update(assigned.queue, offset);
    void this.#persist([assigned.queue]);
  }

  /** Ordered: the lock is back. If somebody else went on meanwhile, so do we from there. */
  async relocked(assigned: AssignedQueue): Promise<void> {
    try {
      const recorded = await this.#parts.offsetStore.load(assigned.queue);
      if (assigned.isAborted) return;
      if (recorded !== undefined && recorded > assigned.processQueue.committable) assigned.moveTo(recorded);
    } catch (thrown) {
      this.#parts.logger.warn({ queue: assigned.queue, reason: messageOf(thrown) }, 'recorded offset was not read');
    }
    assigned.wake();
    this.#parts.delivery.offer(assigned);
  }

  async persistAll(): Promise<void> {
    // Not only after a settlement: what was read but concerned nobody counts, and so does the start itself, or a
    // restart before the first message would begin at a later "last".
    for (const assigned of this.all()) this.progressed(assigned);
    // Without the lock another consumer may have gone further: it must not be set back.
    const now = this.#parts.clock.monotonic();
    const own = this.all().filter(({ lockedUntil }) => lockedUntil > now);
    await this.#persist(own.map(({ queue }) => queue));
  }

  async #persist(queues: readonly MessageQueue[]): Promise<void> {
    try {
      await this.#parts.offsetStore.persist(queues);
    } catch (thrown) {
      this.#parts.logger.warn({ reason: messageOf(thrown) }, 'offsets were not recorded');
    }
  }

  /** No more pulls, no more listener calls, no more queues; running calls see their signal abort. */
  abort(): void {
    this.#isStopped = true;
    this.#parts.delivery.stop();
    for (const assigned of this.#assigned.values()) assigned.abort();
  }

  /** Ends everything: running listener calls get `waitMillis`, then offsets are recorded and locks released. */
  async stop(waitMillis: number): Promise<void> {
    this.abort();
    const { delivery, locks } = this.#parts;
    const last = this.all();
    await delivery.idle(waitMillis);
    await this.persistAll();
    for (const assigned of last) assigned.detach();
    this.#assigned.clear();
    await locks?.release(last.map(({ queue }) => queue));
    const over = new AbortController();
    const released = Promise.all(this.#releasing.values());
    await Promise.race([released, delay(this.#parts.clock, waitMillis, over.signal)]);
    over.abort();
  }
}
