/**
 * Delivers messages at the time that they ask for: takes them from rmq_sys_wheel_timer into the wheel, reads the slots
 * whose time is over, and keeps the files of the timer. One thing at a time: everything that is visible is taken in,
 * then the earliest slot is read, and so on. Upstream: `TimerMessageStore`.
 *
 * Differs from RocketMQ, which looks at a slot each second: it sleeps until the next slot that holds something is over,
 * and does nothing at all while nothing waits. A clock that goes back delivers nothing before its time.
 */
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/errors.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import { javaHash } from '../../protocol/javaHash.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { TIMER_TOPIC } from '../../protocol/names.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { TimerFiles } from '../../store/timer/timerFiles.js';
import type { TimerMetrics } from '../../store/timer/timerMetrics.js';
import type { MessageIntake } from '../messageIntake.js';
import { TimerDequeue } from './timerDequeue.js';
import { TimerEnqueue } from './timerEnqueue.js';

/** A timer is never set for longer, so that a clock that is put forward is noticed. */
const SLEEP_MAX_MILLIS = 60_000;
const RETRY_MILLIS = 1000;
const METRICS_MILLIS = 10_000;
/** Messages not in the wheel yet that {@link TimerDelivery.isWaitingFor} looks at. */
const LOOKED_AT_MAX = 20_000;
const BATCH_COUNT = 64;
const BATCH_BYTES = 1024 * 1024;
/** Batches that are taken in before a slot that is due is read, however many messages go on to arrive. */
const BATCHES_MAX = 4096;

export interface TimerDeliveryParts {
  store: Pick<MessageStore, 'minCommitLogOffset' | 'queueRange' | 'readQueue' | 'readRecord' | 'syncLog'>;
  intake: Pick<MessageIntake, 'putDue'>;
  timers: TimerFiles;
  metrics: TimerMetrics;
  config: { timerRollWindowSlot: number; timerFlushIntervalMs: number };
  clock: Clock;
  logger: Logger;
}

export class TimerDelivery {
  readonly #parts: TimerDeliveryParts;
  readonly #enqueue: TimerEnqueue;
  readonly #dequeue: TimerDequeue;
  /** Slots before it are over. Never goes back but for a clock that was put back. */
  #writeTime = 0;
  #running: Promise<void> | undefined;
  #saving: Promise<void> | undefined;
  #sleeping: Timer | undefined;
  #saveTimer: Timer | undefined;
  #metricsSavedAt: number;
  #isWoken = false;
  #isFailing = false;
  #isSaveFailing = false;
  #isStopped = true;

  constructor(parts: TimerDeliveryParts) {
    const { store, intake, timers, metrics, config, clock, logger } = parts;
    this.#parts = parts;
    this.#dequeue = new TimerDequeue({ store, intake, timers, metrics, clock, logger });
    this.#enqueue = new TimerEnqueue({
      store,
      timers,
      metrics,
      dequeue: this.#dequeue,
      rollWindowSlots: config.timerRollWindowSlot,
      logger,
    });
    this.#metricsSavedAt = clock.monotonic();
    const { maxOffset } = store.queueRange(TIMER_TOPIC, 0);
    if (timers.queueOffset > maxOffset) {
      logger.warn(
        { recorded: timers.queueOffset, maxOffset },
        'timer messages that were in the wheel are not in the log',
      );
      timers.enqueuedTo(maxOffset);
    }
  }

  start(): void {
    this.#isStopped = false;
    this.#wake();
  }

  /** Ends after the slot under way, makes everything durable and closes the files. */
  async stop(): Promise<void> {
    const { timers, metrics, logger } = this.#parts;
    this.#isStopped = true;
    this.#sleeping?.cancel();
    this.#sleeping = undefined;
    await this.#running;
    await this.#save();
    // Once more: what changed while a save was under way.
    await this.#save();
    this.#saveTimer?.cancel();
    try {
      await metrics.save();
    } catch (thrown) {
      logger.warn({ reason: messageOf(thrown) }, 'timermetrics cannot be saved');
    }
    timers.close();
  }

  /** A message became visible in rmq_sys_wheel_timer. */
  onArrival(): void {
    if (this.#isStopped || this.#isWoken) return;
    this.#isWoken = true;
    // After the turn's arrivals are all known.
    queueMicrotask(() => {
      this.#isWoken = false;
      this.#wake();
    });
  }

  /**
   * Does a message wait for the topic? Undefined when too many wait to look at all of them. Topics of equal hash are
   * not told apart: then the answer may be a careful yes.
   */
  isWaitingFor(topic: string): boolean | undefined {
    const { store, timers } = this.#parts;
    const isInWheel = timers.isWaiting(javaHash(topic));
    if (isInWheel !== false) return isInWheel;
    let left = LOOKED_AT_MAX;
    for (let at = timers.queueOffset; ; ) {
      const read = store.readQueue(TIMER_TOPIC, 0, at, BATCH_COUNT, BATCH_BYTES);
      if (read.records.length === 0) return false;
      for (const record of read.records) {
        if (decodeRecord(record, 0, { verifyCrc: false }).properties[PROPERTY.REAL_TOPIC] === topic) return true;
      }
      left -= read.records.length;
      if (left <= 0) return undefined;
      at = read.nextBeginOffset;
    }
  }

  /** Was the slot of a time read, or is it being read? */
  isOver(outMillis: TimestampMillis): boolean {
    const time = this.#parts.timers.floor(outMillis);
    return time < this.#parts.timers.readTime || this.#dequeue.isReading(time);
  }

  #wake(): void {
    if (this.#running || this.#isStopped) return;
    this.#sleeping?.cancel();
    this.#sleeping = undefined;
    if (!this.#hasWork()) {
      this.#sleepUntilNext();
      return;
    }
    let isDone = false;
    this.#running = this.#run()
      .then(() => {
        isDone = true;
        this.#isFailing = false;
      })
      .catch((thrown: unknown) => this.#retryLater(thrown))
      .finally(() => {
        this.#running = undefined;
        this.#saveSoon();
        if (isDone) this.#wake();
      });
  }

  #hasWork(): boolean {
    const { timers } = this.#parts;
    return this.#hasArrivals() || (timers.next !== undefined && timers.next < this.#over());
  }

  #hasArrivals(): boolean {
    const { store, timers } = this.#parts;
    return timers.queueOffset < store.queueRange(TIMER_TOPIC, 0).maxOffset;
  }

  async #run(): Promise<void> {
    const { timers } = this.#parts;
    while (!this.#isStopped) {
      await this.#followClock();
      const taken = await this.#takeInAll();
      if (this.#isStopped) return;
      // Between that look and this one something may have arrived.
      if (taken === 'ALL' && this.#hasArrivals()) continue;
      const { next } = timers;
      if (next !== undefined && next < this.#over()) {
        await this.#dequeue.deliver(next);
        this.#saveSoon();
      } else if (taken === 'BLOCKED') {
        throw new Error('a slot of the timer wheel is still taken by a later time: the clock went back by many days');
      } else if (!this.#hasArrivals()) return;
    }
  }

  /**
   * Takes in what is visible, and what became visible meanwhile: whatever was answered before a slot is read counts for
   * it. BLOCKED: a message must wait for the slot that it falls into. MORE: messages go on to arrive.
   */
  async #takeInAll(): Promise<'ALL' | 'BLOCKED' | 'MORE'> {
    const { store, timers } = this.#parts;
    for (let batches = 0; this.#hasArrivals() && batches < BATCHES_MAX && !this.#isStopped; batches += 1) {
      const { maxOffset } = store.queueRange(TIMER_TOPIC, 0);
      if (!(await this.#enqueue.takeIn(maxOffset, this.#over()))) return 'BLOCKED';
      if (timers.isCrowded) await this.#flush();
      // The last batch is followed at once by the look at the slots.
      if (this.#hasArrivals()) await endOfTurn();
    }
    return this.#hasArrivals() ? 'MORE' : 'ALL';
  }

  /** Slots before this time are over. */
  #over(): TimestampMillis {
    const { timers, clock } = this.#parts;
    this.#writeTime = Math.max(this.#writeTime, timers.floor(clock.now()));
    return this.#writeTime;
  }

  /** A clock that was put back by more than the precision is followed: nothing is delivered before its time. */
  async #followClock(): Promise<void> {
    const { timers, clock } = this.#parts;
    const now = timers.floor(clock.now());
    if (Math.max(timers.readTime, this.#writeTime) <= now + timers.precisionMillis) return;
    this.#writeTime = now;
    if (timers.readTime <= now) return;
    timers.rewindTo(now);
    // A save that is under way does not know of it yet.
    while (timers.isChanged) await this.#flush();
  }

  #retryLater(thrown: unknown): void {
    if (!this.#isFailing) {
      this.#parts.logger.error({ reason: messageOf(thrown) }, 'timer messages cannot be delivered: tried again');
    }
    this.#isFailing = true;
    this.#sleep(RETRY_MILLIS);
  }

  #sleepUntilNext(): void {
    const { timers, clock } = this.#parts;
    if (timers.next === undefined) return;
    this.#sleep(timers.next + timers.precisionMillis - clock.now());
  }

  #sleep(millis: number): void {
    if (this.#isStopped) return;
    this.#sleeping?.cancel();
    this.#sleeping = this.#parts.clock.after(Math.max(1, Math.min(millis, SLEEP_MAX_MILLIS)), () => {
      this.#sleeping = undefined;
      this.#wake();
    });
  }

  /** Files are saved some time after a change, and not at all without one. */
  #saveSoon(): void {
    const { timers, clock, config } = this.#parts;
    if (this.#saveTimer || this.#isStopped || !timers.isChanged || timers.failure) return;
    this.#saveTimer = clock.after(config.timerFlushIntervalMs, () => {
      this.#saveTimer = undefined;
      void this.#save();
    });
  }

  /** Never rejects: a failure is logged once and tried again, unless the files cannot be trusted any more. */
  async #save(): Promise<void> {
    const { timers, logger } = this.#parts;
    try {
      await this.#flush();
      this.#isSaveFailing = false;
    } catch (thrown) {
      if (!this.#isSaveFailing) logger.error({ reason: messageOf(thrown) }, 'files of the timer cannot be saved');
      this.#isSaveFailing = true;
    }
    if (timers.isChanged) this.#saveSoon();
  }

  #flush(): Promise<void> {
    this.#saving ??= this.#flushNow().finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  async #flushNow(): Promise<void> {
    const { store, timers, metrics, clock, logger } = this.#parts;
    if (!timers.isChanged) return;
    // Everything is in the wheel: slots that were over without holding anything count as read.
    if (!this.#hasArrivals()) timers.advanceTo(Math.min(timers.next ?? this.#writeTime, this.#writeTime));
    await timers.flush(() => store.syncLog());
    const removed = timers.removeBelow(store.minCommitLogOffset());
    if (removed.length > 0) logger.info({ files: removed }, 'timer log files removed: retention took their messages');
    if (clock.monotonic() - this.#metricsSavedAt < METRICS_MILLIS) return;
    this.#metricsSavedAt = clock.monotonic();
    await metrics.save();
  }
}

/** Lets the event loop turn between two batches. */
const endOfTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
