/**
 * Takes messages from rmq_sys_wheel_timer into the wheel, in order (upstream: `TimerEnqueueGetService`,
 * `TimerEnqueuePutService`). One whose time lies further ahead than the window is put into an earlier slot, from which
 * it is rolled: stored again, and taken in again. One whose slot has been read already is delivered at once.
 *
 * Differs from RocketMQ: a message that is due by now still goes through its slot as long as that was not read, so that
 * a recall that comes behind it finds it, and order is kept.
 */
import type { QueueOffset, TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import { javaHash } from '../../protocol/javaHash.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { TIMER_TOPIC } from '../../protocol/names.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { TimerEntry, TimerFiles } from '../../store/timer/timerFiles.js';
import type { TimerMetrics } from '../../store/timer/timerMetrics.js';
import { TIMER_MAGIC } from '../../store/timer/timerRecord.js';
import type { TimerDequeue } from './timerDequeue.js';
import { type TimerMessage, timerMessageOf } from './timerMessage.js';

/** Messages taken in at once; the event loop runs between two batches. */
const BATCH_COUNT = 64;
const BATCH_BYTES = 1024 * 1024;
/** Slots of the wheel that are kept between its end and its beginning. */
const BLANK_SLOTS = 60;

export interface TimerEnqueueParts {
  store: Pick<MessageStore, 'readQueue'>;
  timers: TimerFiles;
  metrics: TimerMetrics;
  dequeue: Pick<TimerDequeue, 'deliverLate'>;
  /** `timerRollWindowSlot` */
  rollWindowSlots: number;
  logger: Logger;
}

export class TimerEnqueue {
  readonly #parts: TimerEnqueueParts;
  readonly #windowSlots: number;
  /** After a long stop, the slot of everything older; see {@link TimerEnqueue.takeIn}. */
  #oldestSlot: TimestampMillis = 0;

  constructor(parts: TimerEnqueueParts) {
    this.#parts = parts;
    this.#windowSlots = Math.max(2, Math.min(parts.rollWindowSlots, parts.timers.slotCount / 2 - BLANK_SLOTS));
  }

  /**
   * Takes in the next messages before `until`. False when there are none, or when the slot of the next one is still
   * taken: slots have to be read first. Rejects with what kept a message from being written.
   */
  async takeIn(until: QueueOffset, writeTime: TimestampMillis): Promise<boolean> {
    const { store, timers } = this.#parts;
    this.#fixOldestSlot(writeTime);
    const from = timers.queueOffset;
    if (from >= until) return false;
    const count = Math.min(BATCH_COUNT, until - from);
    const read = store.readQueue(TIMER_TOPIC, 0, from, count, BATCH_BYTES);
    if (read.status !== 'FOUND') return this.#step(from, read.minOffset, read.nextBeginOffset);
    const waiting: { entry: TimerEntry; next: QueueOffset; topic: string }[] = [];
    for (const record of read.records) {
      const message = decodeRecord(record, 0, { verifyCrc: false });
      const timer = timerMessageOf(message);
      if (timer && this.#floor(timer.outMillis) >= timers.readTime) {
        waiting.push({ entry: this.#entryOf(timer, writeTime), next: message.queueOffset + 1, topic: timer.realTopic });
        continue;
      }
      // What is not for the wheel keeps its place in the order: those before it go in first.
      if (!this.#add(waiting)) return timers.queueOffset !== from;
      waiting.length = 0;
      if (timer) {
        if (message.queueOffset >= timers.knownBelow) await this.#parts.dequeue.deliverLate(timer);
      } else {
        this.#parts.logger.error(
          { queueOffset: message.queueOffset, properties: message.properties },
          'timer message without a real topic or time is passed over',
        );
      }
      timers.enqueuedTo(message.queueOffset + 1);
    }
    this.#add(waiting);
    return timers.queueOffset !== from;
  }

  /**
   * Slots of long ago are those of times to come. So what was due more than half a turn of the wheel ago goes into one
   * slot, unless its own holds something: the same one for a message and its recall.
   */
  #fixOldestSlot(writeTime: TimestampMillis): void {
    const { timers } = this.#parts;
    const oldest = writeTime - Math.floor(timers.slotCount / 2) * timers.precisionMillis;
    if (timers.readTime < oldest && this.#oldestSlot < timers.readTime) this.#oldestSlot = oldest;
  }

  /** Steps over a place of the queue where there is nothing to read. */
  #step(from: QueueOffset, minOffset: QueueOffset, nextBeginOffset: QueueOffset): boolean {
    if (nextBeginOffset <= from) return false;
    const facts = { from, to: nextBeginOffset, minOffset };
    this.#parts.logger.warn(facts, 'timer messages are not in the log any more: passed over');
    this.#parts.timers.enqueuedTo(nextBeginOffset);
    return true;
  }

  /** False when not all of them went in. */
  #add(waiting: readonly { entry: TimerEntry; next: QueueOffset; topic: string }[]): boolean {
    if (waiting.length === 0) return true;
    const { timers, metrics } = this.#parts;
    const count = timers.add(waiting.map(({ entry }) => entry));
    for (const { next, topic, entry } of waiting.slice(0, count)) {
      metrics.add(topic, 1, entry.writtenAt);
      timers.enqueuedTo(next);
    }
    return count === waiting.length;
  }

  #entryOf({ message, outMillis, realTopic, recalledKey }: TimerMessage, writeTime: TimestampMillis): TimerEntry {
    const { timers } = this.#parts;
    const unit = timers.precisionMillis;
    const asked = this.#floor(outMillis);
    const out = timers.holds(asked) ? asked : Math.max(asked, this.#oldestSlot);
    const beyond = out - writeTime - this.#windowSlots * unit;
    let slotTime = out;
    let magic: number = TIMER_MAGIC.DEFAULT;
    if (beyond >= 0) {
      magic |= TIMER_MAGIC.ROLL;
      // A short rest is made longer, so that the last round has time enough.
      const isShort = beyond < Math.floor(this.#windowSlots / 3) * unit;
      slotTime = writeTime + (isShort ? Math.floor(this.#windowSlots / 2) : this.#windowSlots) * unit;
    }
    if (recalledKey !== undefined) magic |= TIMER_MAGIC.DELETE;
    return {
      slotTime,
      writtenAt: Math.min(writeTime, slotTime),
      magic,
      commitLogOffset: message.commitLogOffset,
      messageBytes: message.sizeBytes,
      topicHash: javaHash(realTopic),
    };
  }

  #floor(time: TimestampMillis): TimestampMillis {
    return this.#parts.timers.floor(time);
  }
}
