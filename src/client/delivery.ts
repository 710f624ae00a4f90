/**
 * Hands cached messages to the listener and settles them by its outcome.
 *
 * Concurrent: up to `concurrency` calls at once over all queues; what fails is sent back and overtaken. Ordered: one
 * call at a time per queue, in offset order, only while the broker's lock is held; what fails holds its queue.
 * Queues with something to take stand in a line and are served in turn, so that a long one starves none.
 * Upstream: `ConsumeMessageConcurrentlyService`, `ConsumeMessageOrderlyService`.
 */
import { type Clock, delay, type Timer } from '../base/clock.js';
import { messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { AssignedQueue } from './assignedQueue.js';
import type { ConsumeMode, ConsumeOutcome, MessageListener, MessageModel } from './clientTypes.js';
import type { FailedMessages } from './failedMessages.js';
import type { CachedMessage, ProcessQueue } from './processQueue.js';

/** What could not be sent back or to the dead letters is given to the listener again after this time. */
const AFTER_FAILED_SENDING_MILLIS = 5000;
/** Pauses that a listener asks for are kept within these. Upstream: `ConsumeMessageOrderlyService`. */
const SUSPEND_MIN_MILLIS = 10;
const SUSPEND_MAX_MILLIS = 30_000;
/** Of one queue and one look, messages that are given up for a listener that takes too long; and their delay level. */
const OVERDUE_MAX = 16;
const OVERDUE_DELAY_LEVEL = 3;

export interface DeliveryParts {
  mode: ConsumeMode;
  model: MessageModel;
  listener: MessageListener;
  concurrency: number;
  batchMaxSize: number;
  /** Ordered: attempts after which a message goes to the dead letters. */
  maxReconsumeTimes: number;
  suspendMillis: number;
  /** Concurrent, clustering: a call that takes longer loses its messages, which are sent back. */
  consumeTimeoutMillis: number;
  failedMessages: FailedMessages;
  clock: Clock;
  logger: Logger;
  /** The committable offset of the queue may have risen. */
  onProgress(assigned: AssignedQueue): void;
  /** Ordered: the lock is not held; wakes by `offer` when it is. */
  requestLock(assigned: AssignedQueue): void;
}

/** One batch under way: from which process queue it came decides whether its settlement still counts. */
interface Batch {
  assigned: AssignedQueue;
  processQueue: ProcessQueue;
  entries: readonly CachedMessage[];
  /** When the listener got it, by the monotonic clock. */
  startedAt: number;
  /** Its messages are being sent back because the listener takes too long. */
  isGivenUp: boolean;
}

export class Delivery {
  readonly #parts: DeliveryParts;
  /** Queues with something to take, in turn. */
  readonly #line = new Set<AssignedQueue>();
  readonly #timers = new Set<Timer>();
  /** Batches whose listener call is under way. */
  readonly #underWay = new Set<Batch>();
  #running = 0;
  #isPaused = false;
  #isStopped = false;
  #onIdle: (() => void)[] = [];

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
    const { mode, model, clock, consumeTimeoutMillis } = parts;
    if (mode !== 'concurrent' || model !== 'CLUSTERING') return;
    this.#timers.add(clock.every(consumeTimeoutMillis, () => this.#giveUpOverdue()));
  }

  /** The queue has something to take, or may go on. */
  offer(assigned: AssignedQueue): void {
    if (assigned.isAborted || !assigned.processQueue.hasNext) return;
    this.#line.add(assigned);
    this.#serve();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#serve();
  }

  /** Gives out nothing more; running calls go on. */
  stop(): void {
    this.#isStopped = true;
    this.#line.clear();
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  /** Resolves when no call runs (for the queue, if one is given), or when the time is over. */
  async idle(timeoutMillis: number, assigned?: AssignedQueue): Promise<void> {
    const { clock } = this.#parts;
    const over = new AbortController();
    const deadline = clock.monotonic() + timeoutMillis;
    const isBusy = () => (assigned ? assigned.running : this.#running) > 0;
    while (isBusy() && clock.monotonic() < deadline) {
      const changed = new Promise<void>((resolve) => this.#onIdle.push(resolve));
      await Promise.race([changed, delay(clock, deadline - clock.monotonic(), over.signal)]);
    }
    over.abort();
  }

  #serve(): void {
    const { concurrency, mode } = this.#parts;
    for (const assigned of this.#line) {
      if (this.#isStopped || this.#isPaused || this.#running >= concurrency) return;
      this.#line.delete(assigned);
      const batch = this.#mayGoOn(assigned) ? this.#take(assigned) : undefined;
      if (!batch) continue;
      // A Set iterates in order of insertion: added again, the queue stands at the end of the line.
      if (mode === 'concurrent' && assigned.processQueue.hasNext) this.#line.add(assigned);
      void this.#run(batch);
    }
  }

  #mayGoOn(assigned: AssignedQueue): boolean {
    if (assigned.isAborted) return false;
    if (this.#parts.mode === 'concurrent') return true;
    if (assigned.running > 0 || assigned.isHeld) return false;
    if (this.#parts.clock.monotonic() < assigned.lockedUntil) return true;
    this.#parts.requestLock(assigned);
    return false;
  }

  /** The next messages; one that can never reach the listener comes alone. */
  #take(assigned: AssignedQueue): Batch | undefined {
    const { processQueue } = assigned;
    const taken = processQueue.take(this.#parts.batchMaxSize);
    if (taken.length === 0) return undefined;
    const defectAt = taken.findIndex(({ message }) => message.defect);
    const entries = defectAt < 0 ? taken : taken.slice(0, Math.max(1, defectAt));
    if (entries.length < taken.length) processQueue.giveBack(taken.slice(entries.length));
    return { assigned, processQueue, entries, startedAt: this.#parts.clock.monotonic(), isGivenUp: false };
  }

  async #run(batch: Batch): Promise<void> {
    const { assigned } = batch;
    assigned.running += 1;
    this.#running += 1;
    assigned.lastConsumeTimestamp = this.#parts.clock.now();
    this.#underWay.add(batch);
    try {
      const outcome = await this.#outcomeOf(batch);
      await this.#settle(batch, outcome);
    } catch (thrown) {
      // Nothing above rejects by design; if it does, the messages must not be lost to the committable offset.
      this.#parts.logger.error({ queue: assigned.queue, reason: messageOf(thrown) }, 'settling messages failed');
      this.#again(batch, AFTER_FAILED_SENDING_MILLIS);
    }
    this.#underWay.delete(batch);
    assigned.running -= 1;
    this.#running -= 1;
    const waiting = this.#onIdle;
    this.#onIdle = [];
    for (const resolve of waiting) resolve();
    if (!this.#isStopped && !assigned.isAborted && assigned.processQueue.hasNext) this.#line.add(assigned);
    this.#serve();
  }

  /**
   * Listeners that take too long: their messages come again later, perhaps elsewhere, so that the queue's offset goes on.
   * What such a call says in the end does not count any more. Upstream: `ProcessQueue.cleanExpiredMsg`.
   */
  #giveUpOverdue(): void {
    const { clock, consumeTimeoutMillis, logger } = this.#parts;
    const oldest = clock.monotonic() - consumeTimeoutMillis;
    const counts = new Map<AssignedQueue, number>();
    for (const batch of this.#underWay) {
      const { assigned, entries } = batch;
      const count = counts.get(assigned) ?? 0;
      if (batch.startedAt > oldest || count >= OVERDUE_MAX || !this.#counts(batch)) continue;
      if (batch.isGivenUp || entries.every((entry) => entry.isSettled)) continue;
      counts.set(assigned, count + entries.length);
      const { queueOffset } = entries[0]?.message ?? {};
      logger.warn({ queue: assigned.queue, queueOffset, consumeTimeoutMillis }, 'a listener takes too long: sent back');
      void this.#sendOverdue(batch);
    }
  }

  /** What cannot be sent now is tried again at the next look. */
  async #sendOverdue(batch: Batch): Promise<void> {
    const { failedMessages } = this.#parts;
    batch.isGivenUp = true;
    await this.#forEach(batch, ({ message }) => failedMessages.sendBack(message, OVERDUE_DELAY_LEVEL), {
      isLastTry: false,
    });
    batch.isGivenUp = false;
  }

  async #outcomeOf({ assigned, entries }: Batch): Promise<ConsumeOutcome> {
    const defect = entries[0]?.message.defect;
    if (defect) return { status: 'DEAD_LETTER', reason: defect.message };
    const messages = entries.map((entry) => entry.message);
    try {
      return await this.#parts.listener(messages, { queue: assigned.queue, signal: assigned.signal });
    } catch (thrown) {
      this.#parts.logger.warn(
        { queue: assigned.queue, queueOffset: messages[0]?.queueOffset, reason: messageOf(thrown) },
        'listener threw; the messages are tried again later',
      );
      return { status: 'RETRY_LATER' };
    }
  }

  async #settle(batch: Batch, outcome: ConsumeOutcome): Promise<void> {
    if (!this.#counts(batch)) return;
    if (outcome.status === 'SUCCESS' || outcome.settled === undefined) return this.#settleAlike(batch, outcome);
    const { entries, processQueue } = batch;
    const settled = entries.slice(0, Math.max(0, outcome.settled));
    const [spokenOf, ...behind] = entries.slice(settled.length);
    if (settled.length > 0) this.#done(batch, settled);
    // Before the one that was spoken of is dealt with: the queue serves nothing as long as this call runs.
    if (behind.length > 0) processQueue.giveBack(behind);
    if (spokenOf) await this.#settleAlike({ ...batch, entries: [spokenOf] }, outcome);
  }

  /** One outcome for all messages of the batch. */
  async #settleAlike(batch: Batch, outcome: ConsumeOutcome): Promise<void> {
    switch (outcome.status) {
      case 'SUCCESS':
        return this.#done(batch, batch.entries);
      case 'HOLD':
        return this.#again(batch, outcome.suspendMillis);
      case 'DEAD_LETTER':
        return this.#deadLetter(batch, outcome.reason);
      case 'RETRY_LATER':
        return this.#parts.mode === 'ordered' ? this.#retryInPlace(batch, outcome) : this.#sendBack(batch, outcome);
    }
  }

  async #sendBack(batch: Batch, outcome: { delayLevel?: number }): Promise<void> {
    if (this.#parts.model === 'BROADCASTING') return this.#skip(batch, 'the listener failed');
    await this.#forEach(batch, async ({ message }) => {
      await this.#parts.failedMessages.sendBack(message, outcome.delayLevel ?? 0);
    });
  }

  async #retryInPlace(batch: Batch, outcome: { suspendMillis?: number }): Promise<void> {
    const { maxReconsumeTimes, suspendMillis } = this.#parts;
    const isSpent = ({ message }: CachedMessage) =>
      maxReconsumeTimes >= 0 && message.reconsumeTimes >= maxReconsumeTimes;
    const spent = batch.entries.filter(isSpent);
    const rest = batch.entries.filter((entry) => !isSpent(entry));
    for (const { message } of rest) message.reconsumeTimes += 1;
    if (spent.length > 0) {
      const reason = `failed ${maxReconsumeTimes + 1} times`;
      await this.#deadLetter({ ...batch, entries: spent }, reason);
    }
    if (rest.length > 0 && this.#counts(batch)) {
      this.#again({ ...batch, entries: rest }, outcome.suspendMillis ?? suspendMillis);
    }
  }

  async #deadLetter(batch: Batch, reason: string): Promise<void> {
    if (this.#parts.model === 'BROADCASTING') return this.#skip(batch, reason);
    await this.#forEach(batch, ({ message }) => this.#parts.failedMessages.deadLetter(message, reason));
  }

  #skip(batch: Batch, reason: string): void {
    const { logger } = this.#parts;
    for (const { message } of batch.entries) {
      const { topic, queueId, queueOffset, msgId } = message;
      logger.error({ topic, queueId, queueOffset, msgId, reason }, 'broadcast message skipped');
    }
    this.#done(batch, batch.entries);
  }

  /**
   * Settles what could be sent; the rest is given to the listener again, or left as it is when the listener still has
   * it (`isLastTry` false).
   */
  async #forEach(
    batch: Batch,
    send: (entry: CachedMessage) => Promise<void>,
    { isLastTry = true } = {},
  ): Promise<void> {
    const failed: CachedMessage[] = [];
    for (const entry of batch.entries) {
      // Given up while the listener had it: it is on its way back already.
      if (entry.isSettled) continue;
      try {
        await send(entry);
        if (this.#counts(batch)) this.#done(batch, [entry]);
      } catch (thrown) {
        const { topic, queueId, queueOffset } = entry.message;
        this.#parts.logger.warn(
          { topic, queueId, queueOffset, reason: messageOf(thrown) },
          'failed message cannot be sent on now; it is tried again here',
        );
        failed.push(entry);
      }
    }
    if (isLastTry && failed.length > 0 && this.#counts(batch))
      this.#again({ ...batch, entries: failed }, AFTER_FAILED_SENDING_MILLIS);
  }

  #done({ assigned, processQueue }: Batch, entries: readonly CachedMessage[]): void {
    processQueue.settle(entries);
    this.#parts.onProgress(assigned);
  }

  /** Gives the same messages to the listener again, after a pause. An ordered queue stands still until then. */
  #again(batch: Batch, suspendMillis: number): void {
    if (this.#isStopped || !this.#counts(batch)) return;
    const { assigned, processQueue, entries } = batch;
    const isOrdered = this.#parts.mode === 'ordered';
    const unsettled = entries.filter((entry) => !entry.isSettled);
    if (isOrdered) {
      assigned.isHeld = true;
      processQueue.giveBack(unsettled);
    }
    const pause = Math.min(SUSPEND_MAX_MILLIS, Math.max(SUSPEND_MIN_MILLIS, suspendMillis));
    const timer = this.#parts.clock.after(pause, () => {
      this.#timers.delete(timer);
      if (!this.#counts(batch)) return;
      if (isOrdered) assigned.isHeld = false;
      else processQueue.giveBack(unsettled);
      this.offer(assigned);
    });
    this.#timers.add(timer);
  }

  #counts({ assigned, processQueue }: Batch): boolean {
    return !assigned.isDetached && assigned.processQueue === processQueue;
  }
}
