/**
 * Reads a slot of the wheel whose time is over: recalls first, then the messages in the order in which they were put
 * there, each under its real topic or, where it was rolled, into the wheel's topic again (upstream:
 * `TimerDequeueGetService`, `TimerDequeuePutMessageService`). A slot counts as read only when everything of it is
 * written. What could not be stored for a reason that passes is tried again from the same place, for as long as it takes;
 * upstream's three attempts lose messages.
 */
import type { Clock } from '../../base/clock.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { TIMER_TOPIC } from '../../protocol/names.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { TurnPromises } from '../../store/storeTypes.js';
import type { TimerFiles } from '../../store/timer/timerFiles.js';
import type { TimerMetrics } from '../../store/timer/timerMetrics.js';
import { TIMER_MAGIC, type TimerRecord } from '../../store/timer/timerRecord.js';
import type { MessageIntake } from '../messageIntake.js';
import { delivered, NEVER_IN_WHEEL, rolled, type TimerMessage, timerMessageOf, topicAndKey } from './timerMessage.js';

/** Messages that are stored in one turn of the event loop. */
const BATCH_COUNT = 64;
const BATCH_BYTES = 1024 * 1024;

export interface TimerDequeueParts {
  store: Pick<MessageStore, 'readRecord' | 'minCommitLogOffset'>;
  intake: Pick<MessageIntake, 'putDue'>;
  timers: TimerFiles;
  metrics: TimerMetrics;
  clock: Clock;
  logger: Logger;
}

/** A slot that is being read: kept over a failure, so that nothing of it is delivered twice. */
interface SlotReading {
  time: TimestampMillis;
  positions: readonly number[];
  recalled: ReadonlySet<string>;
  /** Index of the next position. */
  next: number;
}

export class TimerDequeue {
  readonly #parts: TimerDequeueParts;
  #reading: SlotReading | undefined;

  constructor(parts: TimerDequeueParts) {
    this.#parts = parts;
  }

  /** Is the slot being read, so that a recall that comes now is too late? */
  isReading(time: TimestampMillis): boolean {
    return this.#reading?.time === time;
  }

  /** Delivers the earliest slot; resolves when it counts as read. Rejects with what kept it from that. */
  async deliver(time: TimestampMillis): Promise<void> {
    const { timers } = this.#parts;
    if (this.#reading?.time !== time) this.#reading = this.#begin(time);
    const reading = this.#reading;
    while (reading.next < reading.positions.length) await this.#deliverBatch(reading);
    this.#reading = undefined;
    timers.passed(time);
  }

  /** Delivers a message whose slot was read before the message came. */
  async deliverLate(timer: TimerMessage): Promise<void> {
    if (timer.recalledKey !== undefined) {
      this.#parts.logger.warn({ recalled: timer.recalledKey }, 'recall comes too late: the message was delivered');
      return;
    }
    await this.#put(timer, undefined)?.written;
  }

  /** Reads the recalls of a slot, wherever they stand in it. */
  #begin(time: TimestampMillis): SlotReading {
    const { timers } = this.#parts;
    const positions = timers.positionsAt(time);
    const recalled = new Set<string>();
    for (const position of positions) {
      const record = timers.recordAt(position);
      const key = record && isRecall(record) ? this.#messageOf(record)?.recalledKey : undefined;
      if (key !== undefined) recalled.add(key);
    }
    return { time, positions, recalled, next: 0 };
  }

  async #deliverBatch(reading: SlotReading): Promise<void> {
    const { timers, metrics, clock } = this.#parts;
    const settled: string[] = [];
    let turn: TurnPromises | undefined;
    let isRolled = false;
    let failure: { cause: unknown } | undefined;
    let next = reading.next;
    const end = Math.min(reading.positions.length, next + BATCH_COUNT);
    for (let bytes = 0; next < end && bytes < BATCH_BYTES; next += 1) {
      const record = timers.recordAt(reading.positions[next] ?? 0);
      try {
        const timer = record && this.#messageOf(record);
        if (!record || !timer) continue;
        if (!isRecall(record) && !isRecalled(timer, reading.recalled)) {
          turn = this.#put(timer, record) ?? turn;
          isRolled ||= isRoll(record);
          bytes += record.messageBytes;
        }
        settled.push(timer.realTopic);
      } catch (cause) {
        failure = { cause };
        break;
      }
    }
    // Rejects when nothing of this turn was stored: the same messages are delivered again.
    await turn?.written;
    reading.next = next;
    const now = clock.now();
    for (const topic of settled) metrics.add(topic, -1, now);
    if (failure) throw failure.cause;
    // What was rolled is taken in again before the next slot is read.
    if (isRolled) await turn?.visible;
  }

  /** Undefined when there is nothing to wait for: the message cannot be stored and is passed over. */
  #put(timer: TimerMessage, record: TimerRecord | undefined): TurnPromises | undefined {
    const { intake, clock, logger } = this.#parts;
    const enqueuedAt = record ? String(record.writtenAt) : NEVER_IN_WHEEL;
    const message = (record && isRoll(record) ? rolled : delivered)(timer, enqueuedAt, clock.now());
    const outcome = intake.putDue(message);
    if (outcome.status === 'PUT_OK') return outcome.turn;
    if (outcome.code === RESPONSE_CODE.SERVICE_NOT_AVAILABLE) throw new Error(outcome.remark);
    const facts = { topic: timer.realTopic, uniqueKey: timer.uniqueKey, reason: outcome.remark };
    logger.error(facts, 'timer message cannot be stored and is passed over');
    return undefined;
  }

  #messageOf(record: TimerRecord): TimerMessage | undefined {
    const { store, logger } = this.#parts;
    const { commitLogOffset } = record;
    const bytes = store.readRecord(commitLogOffset);
    const message = bytes && decodeRecord(bytes, 0, { verifyCrc: false });
    const timer = message?.topic === TIMER_TOPIC ? timerMessageOf(message) : undefined;
    if (timer) return timer;
    if (commitLogOffset < store.minCommitLogOffset()) {
      logger.warn({ commitLogOffset }, 'timer message is not in the log any more: retention took it');
    } else logger.error({ commitLogOffset }, 'timer log names a message that is not there: passed over');
    return undefined;
  }
}

const isRoll = ({ magic }: TimerRecord): boolean => (magic & TIMER_MAGIC.ROLL) !== 0;
/** A recall that was rolled goes on to its own slot. */
const isRecall = (record: TimerRecord): boolean => (record.magic & TIMER_MAGIC.DELETE) !== 0 && !isRoll(record);

function isRecalled({ uniqueKey, realTopic }: TimerMessage, recalled: ReadonlySet<string>): boolean {
  if (recalled.size === 0 || uniqueKey === undefined) return false;
  return recalled.has(uniqueKey) || recalled.has(topicAndKey(realTopic, uniqueKey));
}
