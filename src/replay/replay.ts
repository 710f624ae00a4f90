/**
 * Replays a part of the log: into a function, or into a projection on a database of its own. Never touches the
 * progress of a consumer group or of the live projection; contexts say that it is a replay, and which.
 *
 * Two times. `stored`: the range of each queue is found by the store timestamp, the log is read from there to the end
 * it had when the replay began. `occurred`: the log is not sorted by it, so everything is read and filtered by the
 * event's own time. Both ways `from <= time < to`.
 *
 * Order: that of each queue is kept, and so that of each stream; the queues are merged by store time, which is the
 * order of the log as far as one broker's clock tells it.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../base/clock.js';
import { FoldlogError, LifecycleError, messageOf, OptionsError } from '../base/errors.js';
import type { QueueOffset, TimestampMillis } from '../base/flavours.js';
import { type Logger, silentLogger } from '../base/logger.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import { PullConsumer, type PullFilter } from '../client/pullConsumer.js';
import type { Session } from '../client/session.js';
import { type AppDatabase, transactionOn } from '../database/appDatabase.js';
import type { EventCodec } from '../eventstore/eventCodec.js';
import type { RecordedEvent } from '../eventstore/eventTypes.js';
import { logGenerationOf } from '../projections/logGeneration.js';
import { applyEvents, type ProjectionDefinition } from '../projections/projection.js';
import type { MessageQueue } from '../protocol/message.js';
import { EVENT_PROPERTY } from '../protocol/messageProperties.js';
import { ReplayQueue } from './replayQueue.js';

export interface ReplayContext {
  isReplay: true;
  /** Part of the key of what is guarded and run again on purpose. */
  replayId: string;
  queue: MessageQueue;
  queueOffset: QueueOffset;
  signal: AbortSignal;
}

export interface ReplayProgress {
  /** Offsets of the ranges that were looked at, and all of them. */
  passed: number;
  total: number;
  applied: number;
}

export interface ReplayOptions {
  session: Session;
  codec: EventCodec;
  topics: readonly string[];
  /** Inclusive. Default: the beginning. */
  from?: Date;
  /** Exclusive. Default: the end of the log when the replay begins. */
  to?: Date;
  /** Which time `from` and `to` mean. Default stored. */
  by?: 'stored' | 'occurred';
  /** Tag expression, or an expression with its type, evaluated by the broker. */
  filter?: PullFilter;
  /** Gets each event; awaited. Events of types without a class are passed over. */
  onEvent?: (recorded: RecordedEvent, context: ReplayContext) => void | Promise<void>;
  /** Or: a projection, applied to a fresh database. Its tables are made there. */
  projection?: { definition: ProjectionDefinition; database: AppDatabase };
  /** Called after each batch. */
  onProgress?: (progress: ReplayProgress) => void;
  /** Read, decode and count, but apply nothing. */
  dryRun?: boolean;
  /** Messages asked for at once, per queue. Default 512. */
  pageSize?: number;
  /** Events read before they are handed on; of a projection, one transaction. Default 1000. */
  batchSize?: number;
  /** Default: a random one. */
  replayId?: string;
  signal?: AbortSignal;
  clock?: Clock;
  logger?: Logger;
}

export interface ReplayReport {
  replayId: string;
  /** Messages read. */
  read: number;
  /** Events handed on; in a dry run, those that would be. */
  applied: number;
  /** Messages outside the times, or of types that are not handled. */
  skipped: number;
  /** What was looked at; `toOffset` is exclusive. */
  perQueue: readonly { queue: MessageQueue; fromOffset: QueueOffset; toOffset: QueueOffset }[];
}

const PAGE_SIZE = 512;
const BATCH_SIZE = 1_000;
/** Its pulls name it; it has no members and records nothing. */
const GROUP = 'foldlog-replay';

/** Throws OPTIONS_INVALID, TOPIC_NOT_FOUND, EVENT_INVALID or HANDLER_FAILED with the event's place. */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  checkOptions(options);
  return new Replay(options).run();
}

class Replay {
  readonly #options: ReplayOptions;
  readonly #replayId: string;
  readonly #signal: AbortSignal;
  readonly #clock: Clock;
  readonly #pull: PullConsumer;
  readonly #from: TimestampMillis;
  readonly #to: TimestampMillis;
  readonly #generations = new Map<string, number>();
  #queues: readonly ReplayQueue[] = [];
  /** Those of them that are not read to their end. */
  #open: readonly ReplayQueue[] = [];
  #batch: RecordedEvent[] = [];
  #read = 0;
  #applied = 0;
  #skipped = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#replayId = options.replayId ?? randomUUID();
    this.#signal = options.signal ?? new AbortController().signal;
    this.#clock = options.clock ?? systemClock;
    this.#pull = new PullConsumer({ session: options.session, group: GROUP });
    this.#from = options.from?.getTime() ?? Number.NEGATIVE_INFINITY;
    this.#to = options.to?.getTime() ?? Number.POSITIVE_INFINITY;
  }

  async run(): Promise<ReplayReport> {
    const { projection, dryRun, batchSize = BATCH_SIZE } = this.#options;
    this.#queues = await this.#ranges();
    this.#open = this.#queues;
    if (projection && !dryRun) {
      await transactionOn(projection.database, (database) => projection.definition.initialise?.(database));
    }
    while (await this.#fill()) {
      for (let message = this.#take(); message; message = this.#take()) {
        const recorded = this.#select(message);
        if (recorded) this.#batch.push(recorded);
        if (this.#batch.length >= batchSize || this.#read % batchSize === 0) await this.#flush();
      }
    }
    await this.#flush();
    return {
      replayId: this.#replayId,
      read: this.#read,
      applied: this.#applied,
      skipped: this.#skipped,
      perQueue: this.#queues.map(({ queue, fromOffset, toOffset }) => ({ queue, fromOffset, toOffset })),
    };
  }

  /** Fixed before anything is read, so that events which arrive meanwhile do not make the replay endless. */
  async #ranges(): Promise<ReplayQueue[]> {
    const { topics, session, filter = '*', pageSize = PAGE_SIZE, logger = silentLogger } = this.#options;
    const queues: ReplayQueue[] = [];
    for (const topic of new Set(topics)) {
      const ofTopic = await this.#pull.fetchQueues(topic);
      const ranges = await Promise.all(ofTopic.map((queue) => this.#rangeOf(queue)));
      for (const [at, queue] of ofTopic.entries()) {
        const [fromOffset, toOffset] = ranges[at] ?? [0, 0];
        const parts = { pull: this.#pull, queue, filter, pageSize, fromOffset, toOffset };
        queues.push(new ReplayQueue({ ...parts, clock: this.#clock, logger, signal: this.#signal }));
        const { brokerName } = queue;
        if (!this.#generations.has(brokerName))
          this.#generations.set(brokerName, await logGenerationOf(session, queue));
      }
    }
    return queues;
  }

  async #rangeOf(queue: MessageQueue): Promise<[QueueOffset, QueueOffset]> {
    const [min, max] = await Promise.all([this.#pull.minOffset(queue), this.#pull.maxOffset(queue)]);
    const { from, to, by = 'stored' } = this.#options;
    if (by === 'occurred' || max <= min) return [min, Math.max(min, max)];
    const first = from ? await this.#pull.offsetByTimestamp(queue, from.getTime()) : min;
    const end = to ? await this.#pull.offsetByTimestamp(queue, to.getTime()) : max;
    const fromOffset = Math.min(max, Math.max(min, first));
    return [fromOffset, Math.max(fromOffset, Math.min(max, end))];
  }

  /** Makes the next message of every queue available that is not at its end. False when all are. */
  async #fill(): Promise<boolean> {
    this.#assertGoesOn();
    const open: ReplayQueue[] = [];
    for (const queue of this.#open) if (await queue.fill()) open.push(queue);
    this.#open = open;
    return open.length > 0;
  }

  /** Of the queues' next messages the one that was stored first; undefined when one of them has to be fetched. */
  #take(): ReceivedMessage | undefined {
    let first: ReplayQueue | undefined;
    for (const queue of this.#open) {
      if (!queue.head) return undefined;
      if (!first || isBefore(queue.head, first.head)) first = queue;
    }
    const message = first?.head;
    if (!first || !message) return undefined;
    first.take();
    this.#read++;
    return message;
  }

  /** The event, unless it is outside the times or nobody wants it. */
  #select(message: ReceivedMessage): RecordedEvent | undefined {
    const { codec, by = 'stored', projection } = this.#options;
    const type = codec.typeOf(message.tags ?? '');
    const isWanted = !projection || (type !== undefined && projection.definition.handlers.has(type));
    const time = by === 'stored' ? message.storeTimestamp : occurredAtOf(message);
    if (!isWanted || time < this.#from || time >= this.#to) {
      this.#skipped++;
      return undefined;
    }
    const decoded = codec.decode(message, this.#generations.get(message.brokerName) ?? 0);
    if (decoded.status === 'EVENT') return decoded.recorded;
    if (decoded.status === 'INVALID') {
      throw new FoldlogError(
        'EVENT_INVALID',
        `replay: event ${message.msgId} at ${placeOf(message)} cannot be read as ${decoded.type}: ${decoded.reasons.join('; ')}`,
        { eventId: message.msgId, topic: message.topic, reasons: decoded.reasons },
      );
    }
    this.#skipped++;
    return undefined;
  }

  async #flush(): Promise<void> {
    this.#assertGoesOn();
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length > 0 && !this.#options.dryRun) await this.#apply(batch);
    this.#applied += batch.length;
    const { onProgress } = this.#options;
    if (!onProgress) return;
    const total = this.#queues.reduce((sum, { fromOffset, toOffset }) => sum + toOffset - fromOffset, 0);
    const passed = this.#queues.reduce((sum, { fromOffset, passedOffset }) => sum + passedOffset - fromOffset, 0);
    onProgress({ passed, total, applied: this.#applied });
  }

  /** What was read ahead is not handed to handlers whose application has stopped. */
  #assertGoesOn(): void {
    this.#signal.throwIfAborted();
    if (this.#options.session.isClosed) {
      throw new LifecycleError('the replay ended early: the application was stopped, or its session closed');
    }
  }

  async #apply(batch: readonly RecordedEvent[]): Promise<void> {
    const { onEvent, projection } = this.#options;
    if (projection) {
      const { definition, database } = projection;
      await transactionOn(database, (db) => {
        const check = (failure: { at: number; error: unknown } | undefined) => {
          if (failure) throw handlerFailed(batch[failure.at], failure.error);
        };
        const applied = applyEvents(definition, db, batch, { signal: this.#signal, replayId: this.#replayId });
        return applied instanceof Promise ? applied.then(check) : check(applied);
      });
    }
    if (!onEvent) return;
    for (const recorded of batch) {
      this.#assertGoesOn();
      const { brokerName, queueId, queueOffset } = recorded.position;
      const queue = { topic: recorded.topic, brokerName, queueId };
      const context = { isReplay: true, replayId: this.#replayId, queue, queueOffset, signal: this.#signal } as const;
      try {
        const pending = onEvent(recorded, context);
        if (pending) await pending;
      } catch (thrown) {
        throw handlerFailed(recorded, thrown);
      }
    }
  }
}

function checkOptions(options: ReplayOptions): void {
  const { topics, from, to, by, onEvent, projection, dryRun, pageSize, batchSize } = options;
  if (topics.length === 0) throw new OptionsError('replay: topics is empty, name at least one');
  if (by !== undefined && by !== 'stored' && by !== 'occurred') {
    throw new OptionsError(`replay: by is 'stored' or 'occurred', not ${JSON.stringify(by)}`);
  }
  for (const [name, date] of [
    ['from', from],
    ['to', to],
  ] as const) {
    if (date && Number.isNaN(date.getTime())) throw new OptionsError(`replay: ${name} is not a valid date`);
  }
  if (from && to && from > to) {
    throw new OptionsError(`replay: from ${from.toISOString()} is after to ${to.toISOString()}`);
  }
  for (const [name, size] of [
    ['pageSize', pageSize],
    ['batchSize', batchSize],
  ] as const) {
    if (size !== undefined && !(Number.isSafeInteger(size) && size > 0)) {
      throw new OptionsError(`replay: ${name} ${size} is not a whole number from 1 on`);
    }
  }
  if (onEvent && projection) throw new OptionsError('replay: give onEvent or projection, not both');
  if (!onEvent && !projection && !dryRun) throw new OptionsError('replay: give onEvent, projection or dryRun');
}

/** By store time; within one broker equal times are told apart by the place in its log. */
function isBefore(one: ReceivedMessage | undefined, other: ReceivedMessage | undefined): boolean {
  if (!one || !other) return one !== undefined;
  if (one.storeTimestamp !== other.storeTimestamp) return one.storeTimestamp < other.storeTimestamp;
  return one.brokerName === other.brokerName && one.commitLogOffset < other.commitLogOffset;
}

/** Without decoding the event; as the codec reads it. */
function occurredAtOf(message: ReceivedMessage): TimestampMillis {
  const text = message.properties[EVENT_PROPERTY.OCCURRED_AT];
  const millis = text === undefined ? Number.NaN : Number(text);
  return Number.isSafeInteger(millis) ? millis : message.bornTimestamp;
}

function placeOf({ topic, brokerName, queueId, queueOffset }: MessageQueue & { queueOffset: number }): string {
  return `offset ${queueOffset} of queue ${queueId} of ${topic} on ${brokerName}`;
}

function handlerFailed(recorded: RecordedEvent | undefined, thrown: unknown): FoldlogError {
  const where = recorded
    ? ` on event ${recorded.eventId} at ${placeOf({ ...recorded.position, topic: recorded.topic })}`
    : '';
  return new FoldlogError('HANDLER_FAILED', `replay: the handler failed${where}: ${messageOf(thrown)}`, {
    cause: thrown,
    eventId: recorded?.eventId,
  });
}
