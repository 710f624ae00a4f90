/**
 * Callers that wait until a queue has been consumed past a position. Woken by the projection's own commits, and by
 * looking at the checkpoints now and then: another instance may consume the queue. A look that fails changes nothing;
 * a database that stays away ends the waiting by its time limit.
 */
import type { Clock, Timer } from '../base/clock.js';
import { FoldlogError, LifecycleError } from '../base/errors.js';
import type { QueueOffset } from '../base/flavours.js';
import type { MessageQueue } from '../protocol/message.js';
import type { Checkpoint, ProjectionCheckpoints } from './checkpoint.js';

const WAITERS_MAX = 10_000;
const LOOK_PERIOD_MILLIS = 100;

interface Waiter {
  queue: MessageQueue;
  queueOffset: QueueOffset;
  settle(error?: unknown): void;
}

export interface WaitOptions {
  timeoutMillis: number;
  signal?: AbortSignal | undefined;
  /** What the error of a timeout says, asked for when it happens. */
  describe(): string;
}

export class PositionWaiters {
  readonly #waiters = new Set<Waiter>();
  readonly #clock: Clock;
  readonly #loadCheckpoint: ProjectionCheckpoints['load'];
  #looking: Timer | undefined;
  /** Queues whose checkpoint is being asked for. */
  readonly #asked = new Set<string>();

  constructor(parts: { clock: Clock; loadCheckpoint: ProjectionCheckpoints['load'] }) {
    this.#clock = parts.clock;
    this.#loadCheckpoint = parts.loadCheckpoint;
  }

  /** Rejects with REQUEST_TIMEOUT, the signal's reason, or LIFECYCLE when the projection stops. */
  wait(queue: MessageQueue, queueOffset: QueueOffset, options: WaitOptions): Promise<void> {
    const { timeoutMillis, signal, describe } = options;
    const committed = this.#isAsked(queue) ? undefined : this.#loadCheckpoint(queue);
    if (committed instanceof Promise) this.#reachedWhen(committed, queue);
    else if (committed && committed.nextOffset > queueOffset) return Promise.resolve();
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#waiters.size >= WAITERS_MAX) {
      const message = `more than ${WAITERS_MAX} callers wait for one projection`;
      return Promise.reject(new FoldlogError('TOO_BUSY', message, { retriable: true }));
    }
    return new Promise((resolve, reject) => {
      const abort = () => waiter.settle(signal?.reason);
      const timer = this.#clock.after(
        timeoutMillis,
        () => waiter.settle(new FoldlogError('REQUEST_TIMEOUT', describe(), { retriable: true })),
        { keepAlive: true },
      );
      const waiter: Waiter = {
        queue,
        queueOffset,
        settle: (error) => {
          timer.cancel();
          signal?.removeEventListener('abort', abort);
          this.#remove(waiter);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
      this.#looking ??= this.#clock.every(LOOK_PERIOD_MILLIS, () => this.#look());
    });
  }

  /** The queue is consumed up to, and without, this offset. */
  reached(queue: MessageQueue, nextOffset: QueueOffset): void {
    if (this.#waiters.size === 0) return;
    for (const waiter of [...this.#waiters]) {
      const { topic, brokerName, queueId } = waiter.queue;
      const isIts = topic === queue.topic && brokerName === queue.brokerName && queueId === queue.queueId;
      if (isIts && waiter.queueOffset < nextOffset) waiter.settle();
    }
  }

  stop(): void {
    for (const waiter of [...this.#waiters]) waiter.settle(new LifecycleError('the projection stops'));
  }

  #look(): void {
    for (const queue of new Map([...this.#waiters].map((one) => [nameOf(one.queue), one.queue])).values()) {
      if (this.#isAsked(queue)) continue;
      const committed = this.#loadCheckpoint(queue);
      if (committed instanceof Promise) this.#reachedWhen(committed, queue);
      else if (committed) this.reached(queue, committed.nextOffset);
    }
  }

  #isAsked(queue: MessageQueue): boolean {
    return this.#asked.size > 0 && this.#asked.has(nameOf(queue));
  }

  #reachedWhen(committed: Promise<Checkpoint | undefined>, queue: MessageQueue): void {
    const name = nameOf(queue);
    this.#asked.add(name);
    const done = () => this.#asked.delete(name);
    committed.then((checkpoint) => {
      done();
      if (checkpoint) this.reached(queue, checkpoint.nextOffset);
    }, done);
  }

  #remove(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    if (this.#waiters.size > 0) return;
    this.#looking?.cancel();
    this.#looking = undefined;
  }
}

function nameOf({ brokerName, topic, queueId }: MessageQueue): string {
  return `${brokerName} ${topic} ${queueId}`;
}
