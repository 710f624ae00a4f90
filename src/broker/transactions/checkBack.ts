/**
 * Asks producers what became of their transactions. Every `transactionCheckInterval` a round goes through the half
 * queue from the first message that has not ended: one that is old enough is put back at the end of the queue, with its
 * checks counted, and a live producer of its group is shown the copy; one that was checked `transactionCheckMax` times,
 * or is older than `fileReservedTime`, is kept in TRANS_CHECK_MAX_TIME_TOPIC and passed. The answer comes as any other
 * end of a transaction. Upstream: `TransactionalMessageCheckService`, `TransactionalMessageServiceImpl.check`.
 *
 * Invariant: the half queue is passed only as far as copies are readable and ends are noted.
 *
 * Differs from RocketMQ: no timer runs while every transaction has ended; a clean stop runs no further round, whose
 * questions nobody could answer any more; waiting out CHECK_IMMUNITY_TIME_IN_SECONDS does not count as a check; and a
 * message born in the future, by a producer's clock, ages from when it was stored.
 */
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/errors.js';
import type { QueueOffset } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { StoredMessage } from '../../protocol/message.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC } from '../../protocol/names.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { MessageToStore, StoredPlace, TurnPromises } from '../../store/storeTypes.js';
import { refusedWhenUnavailable } from '../messageIntake.js';
import type { Topics } from '../topics.js';
import { givenUp, putBack, realPlaceOf, TRANSACTION_QUEUE_ID } from './halfMessages.js';
import type { ProducerQuestions } from './producerQuestions.js';
import type { TransactionEnds } from './transactionEnds.js';
import type { TransactionProgress } from './transactionProgress.js';

/** Half messages read at a time; what they need is stored in one turn. */
const BATCH_COUNT = 32;
const BATCH_BYTES = 1024 * 1024;
/** A round that takes longer goes on in the next one. */
const ROUND_MAX_MILLIS = 60_000;
/** Waiting half messages that {@link CheckBack.isWaitingFor} looks at. */
const LOOKED_AT_MAX = 20_000;
const HOUR_MILLIS = 3600_000;

interface Real {
  topic: string;
  queueId: number;
}

/** What a round does with one half message. */
type Verdict =
  | { action: 'PASS' }
  /** It and what comes after it are too young. */
  | { action: 'STOP' }
  | { action: 'GIVE_UP'; reason: string }
  | { action: 'ASK'; checkTimes: number; real: Real }
  | { action: 'LET_WAIT'; preparedQueueOffset: QueueOffset; real: Real };

/** A half message that was dealt with, once its copy is readable. */
interface Step {
  half: StoredMessage;
  copy?: { message: MessageToStore; place: StoredPlace; turn: TurnPromises };
  /** The producer is to be asked about the copy. */
  askedFor?: Real;
}

export interface CheckBackParts {
  store: Pick<MessageStore, 'append' | 'queueRange' | 'readQueue' | 'syncLog'>;
  topics: Pick<Topics, 'derived'>;
  ends: TransactionEnds;
  progress: TransactionProgress;
  questions: Pick<ProducerQuestions, 'ask'>;
  clock: Clock;
  logger: Logger;
  transactionTimeOutMillis: number;
  transactionCheckMax: number;
  transactionCheckIntervalMillis: number;
  fileReservedHours: number;
}

export class CheckBack {
  readonly #parts: CheckBackParts;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isStopped = true;
  #isFailing = false;

  constructor(parts: CheckBackParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#isStopped = false;
    this.#arm();
  }

  /** Ends the round under way at the next half message. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#running;
  }

  /** A half message became visible. */
  onArrival(): void {
    if (!this.#timer && !this.#running) this.#arm();
  }

  /** Does a message whose transaction has not ended wait for the topic? Undefined when too many wait to look at all. */
  isWaitingFor(topic: string): boolean | undefined {
    const { store, progress } = this.#parts;
    let left = LOOKED_AT_MAX;
    for (let at = progress.halfOffset; ; ) {
      const read = store.readQueue(TRANS_HALF_TOPIC, TRANSACTION_QUEUE_ID, at, BATCH_COUNT, BATCH_BYTES);
      for (const record of read.records) {
        const half = decodeRecord(record, 0, { verifyCrc: false });
        if (!progress.isPassed(half.queueOffset) && half.properties[PROPERTY.REAL_TOPIC] === topic) return true;
      }
      if (read.nextBeginOffset <= at) return false;
      left -= Math.max(1, read.records.length);
      if (left <= 0) return undefined;
      at = read.nextBeginOffset;
    }
  }

  #arm(): void {
    if (this.#isStopped || this.#timer) return;
    const { store, progress, clock, transactionCheckIntervalMillis } = this.#parts;
    if (progress.halfOffset >= store.queueRange(TRANS_HALF_TOPIC, TRANSACTION_QUEUE_ID).maxOffset) return;
    this.#timer = clock.after(transactionCheckIntervalMillis, () => {
      this.#timer = undefined;
      this.#running = this.#round().finally(() => {
        this.#running = undefined;
        this.#arm();
      });
    });
  }

  async #round(): Promise<void> {
    const { clock, progress, logger, store } = this.#parts;
    const startedAt = clock.monotonic();
    // What is put back during this round is the next one's.
    const { maxOffset } = store.queueRange(TRANS_HALF_TOPIC, TRANSACTION_QUEUE_ID);
    try {
      while (!this.#isStopped && progress.halfOffset < maxOffset) {
        if (clock.monotonic() - startedAt > ROUND_MAX_MILLIS || !(await this.#batch(maxOffset))) break;
      }
      this.#isFailing = false;
    } catch (thrown) {
      if (!this.#isFailing) logger.error({ reason: messageOf(thrown) }, 'transactions cannot be checked for now');
      this.#isFailing = true;
    }
    progress.record();
  }

  /** Passes some half messages. Returns false when the round is over. Throws when the store does not take the copies. */
  async #batch(end: QueueOffset): Promise<boolean> {
    const { store, progress } = this.#parts;
    const at = progress.halfOffset;
    const count = Math.min(BATCH_COUNT, end - at);
    const read = store.readQueue(TRANS_HALF_TOPIC, TRANSACTION_QUEUE_ID, at, count, BATCH_BYTES);
    if (read.records.length === 0) {
      // Half messages whose segment is gone.
      if (read.nextBeginOffset > at) progress.passTo(Math.min(read.nextBeginOffset, end));
      return read.nextBeginOffset > at;
    }
    const steps: Step[] = [];
    for (const record of read.records) {
      const step = await this.#step(decodeRecord(record, 0, { verifyCrc: false }));
      if (step) steps.push(step);
      if (!step || this.#isStopped) break;
    }
    for (const step of steps) await this.#finish(step);
    await new Promise((resolve) => setImmediate(resolve));
    return steps.length === read.records.length;
  }

  /** Deals with one half message. Undefined: not now, and nothing after it. */
  async #step(half: StoredMessage): Promise<Step | undefined> {
    const { ends } = this.#parts;
    for (let under = ends.underWay(half); under; under = ends.underWay(half)) await under;
    // Nothing comes in between from here to the append: what is put back had not ended.
    const verdict = this.#verdict(half);
    switch (verdict.action) {
      case 'PASS':
        return { half };
      case 'STOP':
        return undefined;
      case 'GIVE_UP':
        return this.#giveUp(half, verdict.reason);
      case 'LET_WAIT':
        return this.#copy(half, putBack(half, verdict.real, { preparedQueueOffset: verdict.preparedQueueOffset }));
      case 'ASK': {
        const { real, checkTimes } = verdict;
        const step = this.#copy(half, putBack(half, real, { checkTimes }));
        return step.copy ? { ...step, askedFor: real } : step;
      }
      default:
        return verdict satisfies never;
    }
  }

  #verdict(half: StoredMessage): Verdict {
    const { ends, progress, clock, transactionTimeOutMillis, transactionCheckMax, fileReservedHours } = this.#parts;
    const { properties, queueOffset } = half;
    if (progress.isPassed(queueOffset)) return { action: 'PASS' };
    const state = ends.stateOf(half);
    if (state.status === 'ENDED') {
      ends.settle(state);
      return { action: 'PASS' };
    }
    // Given up before a crash, or put back before it: there is a copy that stands for it.
    if (state.status === 'GIVEN_UP' || !state.isLast) return { action: 'PASS' };
    const real = realPlaceOf(half);
    if (!real) return { action: 'GIVE_UP', reason: 'it does not say where it goes' };
    const ageMillis = ageOf(half, clock.now());
    const checked = wholeOr(0, properties[PROPERTY.TRANSACTION_CHECK_TIMES]);
    if (checked >= transactionCheckMax) return { action: 'GIVE_UP', reason: `it was checked ${checked} times` };
    if (ageMillis > fileReservedHours * HOUR_MILLIS) {
      return { action: 'GIVE_UP', reason: `it is older than fileReservedTime, ${fileReservedHours} hours` };
    }
    const immunity = properties[PROPERTY.CHECK_IMMUNITY_TIME_IN_SECONDS];
    // An age below 0: the machine's clock was set back. Better asked too early than never.
    const isYoung = (limitMillis: number) => ageMillis >= 0 && ageMillis < limitMillis;
    if (immunity === undefined) {
      if (isYoung(transactionTimeOutMillis)) return { action: 'STOP' };
    } else if (isYoung(immunityMillis(immunity, transactionTimeOutMillis))) {
      const prepared = properties[PROPERTY.TRAN_PREPARED_QUEUE_OFFSET];
      return { action: 'LET_WAIT', preparedQueueOffset: wholeOr(queueOffset, prepared), real };
    }
    return { action: 'ASK', checkTimes: checked + 1, real };
  }

  #giveUp(half: StoredMessage, reason: string): Step {
    const { topics, logger } = this.#parts;
    const { queueOffset, commitLogOffset, properties } = half;
    const facts = { queueOffset, commitLogOffset, topic: properties[PROPERTY.REAL_TOPIC], reason };
    if (!topics.derived(TRANS_CHECK_MAX_TIME_TOPIC, 1)) {
      throw new Error(`topic ${TRANS_CHECK_MAX_TIME_TOPIC} cannot be made: too many topics`);
    }
    logger.warn(facts, `a transaction is given up; its message is kept in ${TRANS_CHECK_MAX_TIME_TOPIC}`);
    return this.#copy(half, givenUp(half));
  }

  /** Stores the copy that stands for the half message from now on. */
  #copy(half: StoredMessage, message: MessageToStore): Step {
    const { store, logger, ends } = this.#parts;
    const outcome = refusedWhenUnavailable(() => store.append([message]));
    if (outcome.status === 'SERVICE_NOT_AVAILABLE') throw new Error(outcome.reason);
    const place = outcome.status === 'PUT_OK' ? outcome.places[0] : undefined;
    if (outcome.status === 'PUT_OK' && place) {
      if (message.topic === TRANS_HALF_TOPIC) ends.copied(half, place.queueOffset, outcome.turn);
      return { half, copy: { message, place, turn: outcome.turn } };
    }
    // Only a record that another program wrote, or limits that were lowered, lead here.
    const { queueOffset, commitLogOffset } = half;
    const facts = { queueOffset, commitLogOffset, reason: outcome.status === 'PUT_OK' ? '' : outcome.reason };
    logger.error(facts, 'a half message cannot be copied: its transaction is not checked any more');
    return { half };
  }

  /** Once the copy is readable: passes the half message and asks. */
  async #finish({ half, copy, askedFor }: Step): Promise<void> {
    const { progress, questions, ends, store } = this.#parts;
    const { queueOffset } = half;
    if (copy && (await copy.turn.visible) !== 'VISIBLE') await store.syncLog();
    // It ended, and its copy with it, while the copy was on the way.
    const hasEnded = progress.isPassed(queueOffset);
    progress.passTo(queueOffset + 1);
    if (copy) ends.copyReadable(half, copy.place.queueOffset);
    if (copy && askedFor && !hasEnded) questions.ask(copy.message, copy.place, askedFor);
  }
}

function ageOf({ bornTimestamp, storeTimestamp }: StoredMessage, now: number): number {
  return now >= bornTimestamp ? now - bornTimestamp : now - storeTimestamp;
}

/** For how long a producer is not asked. Seconds; what is no number counts as the common time. */
function immunityMillis(text: string, transactionTimeOutMillis: number): number {
  return /^\d{1,9}$/.test(text) ? Number(text) * 1000 : transactionTimeOutMillis;
}

/** Until when an end that nobody asked for is accepted; undefined: for ever. */
export function acceptedMillis(half: StoredMessage, transactionTimeOutMillis: number): number | undefined {
  const immunity = half.properties[PROPERTY.CHECK_IMMUNITY_TIME_IN_SECONDS];
  return immunity === undefined
    ? undefined
    : Math.max(immunityMillis(immunity, transactionTimeOutMillis), transactionTimeOutMillis);
}

const wholeOr = (standard: number, text: string | undefined): number =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : standard;
