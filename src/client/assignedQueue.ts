/**
 * One queue that this consumer has been given: where the next pull begins, what is cached, whether the broker's lock
 * is held. Created and ended by `assignments.ts`; the pull loop and the delivery work on it.
 *
 * Two ends are told apart. `abort` ends pulling and handing out, but what a running listener settles still counts.
 * After `detach` nothing counts any more: the queue may already belong to another consumer.
 */
import { sharedAbortController } from '../base/abort.js';
import { type Clock, delay } from '../base/clock.js';
import type { QueueOffset } from '../base/flavours.js';
import type { MessageQueue } from '../protocol/message.js';
import { ProcessQueue, type ProcessQueueLimits } from './processQueue.js';

export class AssignedQueue {
  readonly queue: MessageQueue;
  readonly #limits: ProcessQueueLimits;
  readonly #abort = sharedAbortController();
  #processQueue: ProcessQueue;
  #nextOffset: QueueOffset;
  #wake: (() => void) | undefined;
  #onMoved: (() => void) | undefined;
  #isDetached = false;
  /** Listener calls under way. */
  running = 0;
  /** Ordered: a failed batch waits until a timer lets the queue go on. */
  isHeld = false;
  /** Ordered: monotonic time until which the broker's lock counts here. Infinity where no lock is needed. */
  lockedUntil = Number.POSITIVE_INFINITY;
  /** From which broker of the group to pull next; the broker suggests it. */
  brokerId = 0;
  /** Monotonic time of the last pull. */
  lastPullAt = 0;
  lastConsumeTimestamp = 0;
  /** Pulls that failed since the last one that was answered. */
  failedPulls = 0;
  /** Of these the last ones that failed because the broker did not know the group. */
  forgottenPulls = 0;

  constructor(queue: MessageQueue, start: QueueOffset, limits: ProcessQueueLimits) {
    this.queue = queue;
    this.#limits = limits;
    this.#nextOffset = start;
    this.#processQueue = new ProcessQueue(start, limits, () => this.wake());
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isAborted(): boolean {
    return this.#abort.signal.aborted;
  }

  get isDetached(): boolean {
    return this.#isDetached;
  }

  get processQueue(): ProcessQueue {
    return this.#processQueue;
  }

  get nextOffset(): QueueOffset {
    return this.#nextOffset;
  }

  /** The next pull begins here. */
  advanceTo(offset: QueueOffset): void {
    this.#nextOffset = offset;
    this.#processQueue.reach(offset);
  }

  /** Begins anew at `offset`, also backwards. What was cached is forgotten; what still runs no longer counts. */
  moveTo(offset: QueueOffset): void {
    this.#nextOffset = offset;
    this.#processQueue = new ProcessQueue(offset, this.#limits, () => this.wake());
    this.isHeld = false;
    this.#onMoved?.();
    this.wake();
  }

  /** Resolves at the next `moveTo`: the answer to a pull that is under way is about the past then. One waiter. */
  moved(): Promise<'MOVED'> {
    return new Promise((resolve) => {
      this.#onMoved = () => resolve('MOVED');
    });
  }

  /** No more pulls and no more listener calls. */
  abort(): void {
    this.#abort.abort();
    this.wake();
  }

  /** From here on what listeners settle is ignored. */
  detach(): void {
    this.#isDetached = true;
    this.abort();
  }

  /** Ends a wait of the pull loop. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** Resolves at the next `wake`: room in the process queue, a lock, a resume, a move, the end. One waiter: the pull loop. */
  woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Resolves at the next `wake`, at the latest after the time. */
  async rest(clock: Clock, millis: number): Promise<void> {
    const over = new AbortController();
    await Promise.race([this.woken(), delay(clock, millis, over.signal)]);
    over.abort();
  }
}
