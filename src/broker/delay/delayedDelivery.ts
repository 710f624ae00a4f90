/**
 * Delivers delayed messages when their time has come: reads the queues of SCHEDULE_TOPIC_XXXX, one per level, and puts
 * each message under its real topic. `config/delayOffset.json` says how far each level has come; it is replaced only
 * after the log is synced, so a crash repeats messages and never loses one. Upstream: `ScheduleMessageService`.
 *
 * Differs from RocketMQ, which looks at every level ten times a second: a level sleeps until its next message is due,
 * one timer per level that has something to wait for.
 */
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/errors.js';
import type { QueueOffset } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { DataVersion } from '../../protocol/bodies.js';
import { readDataVersion } from '../../protocol/bodies.js';
import { JsonReader, readWhole } from '../../protocol/jsonReader.js';
import { writeFastJson } from '../../protocol/looseJson.js';
import type { StoredMessage } from '../../protocol/message.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { SCHEDULE_TOPIC, TRANS_HALF_TOPIC } from '../../protocol/names.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { MessageToStore, TurnPromises } from '../../store/storeTypes.js';
import type { MessageIntake } from '../messageIntake.js';
import type { PersistedTable } from '../persistedTable.js';
import { ProgressFile } from '../progressFile.js';
import { storedAgain } from '../storedAgain.js';
import { nextDataVersion } from '../topics.js';
import type { DelayLevels } from './delayLevels.js';

/** Messages read and delivered in one go; the loop runs between two goes. */
const BATCH_COUNT = 64;
const BATCH_BYTES = 1024 * 1024;
/** A timer is never set for longer, so that a clock that is put forward is noticed. */
const SLEEP_MAX_MILLIS = 60_000;
const RETRY_MILLIS = 1000;
/** Waiting messages that {@link DelayedDelivery.isWaitingFor} looks at. */
const LOOKED_AT_MAX = 20_000;

interface Level {
  readonly level: number;
  /** Next message of queue level - 1 to deliver. */
  offset: QueueOffset;
  timer: Timer | undefined;
  running: Promise<void> | undefined;
  isWoken: boolean;
  isFailing: boolean;
}

export interface DelayedDeliveryParts {
  store: Pick<MessageStore, 'queueRange' | 'queues' | 'readQueue' | 'syncLog'>;
  intake: MessageIntake;
  levels: DelayLevels;
  table: PersistedTable;
  clock: Clock;
  logger: Logger;
  versionStep: number;
}

export class DelayedDelivery {
  readonly #store: DelayedDeliveryParts['store'];
  readonly #intake: MessageIntake;
  readonly #delays: DelayLevels;
  readonly #file: ProgressFile;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #versionStep: number;
  readonly #levels = new Map<number, Level>();
  #version: DataVersion;
  #updates = 0;
  #isStopped = true;

  /** Loads the offsets and clamps them to the queues. */
  constructor({ store, intake, levels, table, clock, logger, versionStep }: DelayedDeliveryParts) {
    this.#store = store;
    this.#intake = intake;
    this.#delays = levels;
    this.#file = new ProgressFile({
      table,
      store,
      logger,
      name: 'progress of delayed messages',
      snapshot: () => this.#snapshot(),
    });
    this.#clock = clock;
    this.#logger = logger;
    this.#versionStep = versionStep;
    const loaded = table.load((value) => {
      const from = new JsonReader(value, 'delayOffset.json');
      return {
        version: from.read('dataVersion', readDataVersion, { stateVersion: 0, timestamp: 0, counter: 0 }),
        offsets: from.numberTable('offsetTable', readWhole),
      };
    });
    this.#version = loaded?.version ?? { stateVersion: 0, timestamp: clock.now(), counter: 0 };
    for (const queueId of store.queues().get(SCHEDULE_TOPIC) ?? []) {
      const { minOffset, maxOffset } = store.queueRange(SCHEDULE_TOPIC, queueId);
      const recorded = loaded?.offsets.get(queueId + 1) ?? minOffset;
      this.#level(queueId + 1).offset = Math.min(Math.max(recorded, minOffset), maxOffset);
    }
  }

  start(): void {
    this.#isStopped = false;
    for (const level of this.#levels.values()) this.#wake(level);
  }

  /** Ends after what is under way; the offsets are saved by the caller's last {@link flush}. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const level of this.#levels.values()) {
      level.timer?.cancel();
      level.timer = undefined;
      await level.running;
    }
  }

  /** A message became visible in a queue of SCHEDULE_TOPIC_XXXX. */
  onArrival(queueId: number): void {
    if (this.#isStopped) return;
    const level = this.#level(queueId + 1);
    // A level that sleeps does so for an earlier message. Others run after the turn's arrivals are all known.
    if (level.timer || level.isWoken) return;
    level.isWoken = true;
    queueMicrotask(() => {
      level.isWoken = false;
      this.#wake(level);
    });
  }

  /** Does a delayed message wait for the topic? Undefined when too many wait to look at all of them. */
  isWaitingFor(topic: string): boolean | undefined {
    let left = LOOKED_AT_MAX;
    for (const { level, offset } of this.#levels.values()) {
      for (let at = offset; ; ) {
        const read = this.#store.readQueue(SCHEDULE_TOPIC, level - 1, at, BATCH_COUNT, BATCH_BYTES);
        // At an offset whose record is gone there is nothing either, but more behind it.
        if (read.records.length === 0 && read.nextBeginOffset <= at) break;
        for (const record of read.records) {
          if (decodeRecord(record, 0, { verifyCrc: false }).properties[PROPERTY.REAL_TOPIC] === topic) return true;
        }
        left -= read.records.length;
        if (left <= 0) return undefined;
        at = read.nextBeginOffset;
      }
    }
    return false;
  }

  /** The file's text on one line: the answer of GET_ALL_DELAY_OFFSET. */
  text(): string {
    return writeFastJson(this.#snapshot());
  }

  /** Level, next offset to deliver and end of each queue that was used. */
  progress(): { level: number; offset: QueueOffset; maxOffset: QueueOffset }[] {
    return [...this.#levels.values()].map(({ level, offset }) => ({
      level,
      offset,
      maxOffset: this.#store.queueRange(SCHEDULE_TOPIC, level - 1).maxOffset,
    }));
  }

  /** Replaces the file when something changed. A failure is logged and tried again at the next call. */
  flush(): Promise<void> {
    return this.#file.flush();
  }

  #snapshot(): object {
    const offsetTable = new Map([...this.#levels.values()].map(({ level, offset }) => [level, offset]));
    return { dataVersion: this.#version, offsetTable };
  }

  #level(level: number): Level {
    const known = this.#levels.get(level);
    if (known) return known;
    const fresh: Level = { level, offset: 0, timer: undefined, running: undefined, isWoken: false, isFailing: false };
    this.#levels.set(level, fresh);
    return fresh;
  }

  #wake(level: Level): void {
    if (level.running || this.#isStopped) return;
    level.timer?.cancel();
    level.timer = undefined;
    // Runs that deliver nothing end synchronously: most wake-ups only set the timer.
    try {
      if (!this.#hasDue(level)) return;
    } catch (thrown) {
      this.#retryLater(level, thrown);
      return;
    }
    level.running = this.#deliverDue(level)
      .catch((thrown: unknown) => this.#retryLater(level, thrown))
      .finally(() => {
        level.running = undefined;
        if (!level.timer) this.#wake(level);
      });
  }

  #retryLater(level: Level, thrown: unknown): void {
    if (!level.isFailing) {
      this.#logger.error({ level: level.level, reason: messageOf(thrown) }, 'delayed messages cannot be delivered');
    }
    level.isFailing = true;
    this.#sleep(level, RETRY_MILLIS);
  }

  /** Is the next message due? Otherwise sets the timer for it. */
  #hasDue(level: Level): boolean {
    const [first] = this.#read(level, 1);
    if (!first) return false;
    const waitMillis = this.#waitMillis(first, level);
    if (waitMillis > 0) this.#sleep(level, waitMillis);
    return waitMillis <= 0;
  }

  async #deliverDue(level: Level): Promise<void> {
    while (!this.#isStopped) {
      const messages = this.#read(level, BATCH_COUNT);
      let turn: TurnPromises | undefined;
      let next = level.offset;
      for (const message of messages) {
        if (this.#waitMillis(message, level) > 0) break;
        turn = this.#deliver(message) ?? turn;
        next = message.queueOffset + 1;
      }
      if (next === level.offset) return;
      // Rejects when nothing of this turn was stored: the same messages are delivered again.
      await turn?.written;
      level.isFailing = false;
      level.offset = next;
      this.#file.changed();
      this.#updates += 1;
      if (this.#updates % this.#versionStep === 0) this.#version = nextDataVersion(this.#version, this.#clock.now());
    }
  }

  /** The next messages of the level. Steps over places where there is nothing to read. */
  #read(level: Level, maxCount: number): StoredMessage[] {
    for (;;) {
      const read = this.#store.readQueue(SCHEDULE_TOPIC, level.level - 1, level.offset, maxCount, BATCH_BYTES);
      if (read.status === 'FOUND') return read.records.map((record) => decodeRecord(record, 0, { verifyCrc: false }));
      const isBehind = level.offset < read.minOffset || read.nextBeginOffset > level.offset;
      if (!isBehind || read.nextBeginOffset <= level.offset) return [];
      level.offset = read.nextBeginOffset;
    }
  }

  /** Undefined when there is nothing to wait for: the message cannot be delivered and is passed over. */
  #deliver(message: StoredMessage): TurnPromises | undefined {
    const { [PROPERTY.REAL_TOPIC]: topic, [PROPERTY.REAL_QID]: queueId } = message.properties;
    const facts = { level: message.queueId + 1, queueOffset: message.queueOffset, topic };
    if (topic === undefined || queueId === undefined || topic === TRANS_HALF_TOPIC) {
      this.#logger.error(facts, 'delayed message without a real topic is passed over');
      return undefined;
    }
    const outcome = this.#intake.putDue(toStore(message, topic, Number(queueId)));
    if (outcome.status === 'PUT_OK') return outcome.turn;
    if (outcome.code === RESPONSE_CODE.SERVICE_NOT_AVAILABLE) throw new Error(outcome.remark);
    this.#logger.error({ ...facts, reason: outcome.remark }, 'delayed message cannot be stored and is passed over');
    return undefined;
  }

  /** Milliseconds until the message is due. A clock that went back delays it by no more than its level. */
  #waitMillis(message: StoredMessage, level: Level): number {
    const delayMillis = this.#delays.millisOf(level.level);
    return Math.min(message.storeTimestamp + delayMillis - this.#clock.now(), delayMillis);
  }

  #sleep(level: Level, millis: number): void {
    if (this.#isStopped) return;
    level.timer?.cancel();
    level.timer = this.#clock.after(Math.min(millis, SLEEP_MAX_MILLIS), () => {
      level.timer = undefined;
      this.#wake(level);
    });
  }
}

/**
 * The message under its real topic. As upstream's, its text keeps DELAY, REAL_TOPIC and REAL_QID, which say nothing
 * any more; store host and born data are the original's.
 */
function toStore(message: StoredMessage, topic: string, queueId: number): MessageToStore {
  const { [PROPERTY.DELAY]: _delay, ...properties } = message.properties;
  const place = { topic, queueId: Number.isInteger(queueId) && queueId >= 0 ? queueId : 0 };
  return { ...storedAgain(message, place, message.properties), properties };
}
