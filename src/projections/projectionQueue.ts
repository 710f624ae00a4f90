/**
 * One queue of a projection: takes batches in offset order and applies each in one transaction with its checkpoint.
 *
 * Invariant: what is applied is exactly the queue's sequence. Events below the checkpoint are passed over, a gap or a
 * log that is not the one consumed before stops the queue. A failing batch is rolled back; the events before the
 * failing one are applied by themselves, then the queue holds there. Nothing is ever skipped because of a failure.
 */
import { FoldlogError, isFoldlogError, messageOf } from '../base/errors.js';
import type { QueueOffset } from '../base/flavours.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import type { EventCodec } from '../eventstore/eventCodec.js';
import type { RecordedEvent } from '../eventstore/eventTypes.js';
import type { MessageQueue } from '../protocol/message.js';
import { type Checkpoint, CheckpointMoved, type ProjectionCheckpoints } from './checkpoint.js';
import { type ApplyFailure, applyEvents, type ProjectionDefinition } from './projection.js';

export interface ProjectionQueueParts {
  queue: MessageQueue;
  /** Of the log that is consumed now. */
  generation: number;
  definition: ProjectionDefinition;
  codec: EventCodec;
  checkpoints: ProjectionCheckpoints;
  /** What is committed now. */
  checkpoint: Checkpoint | undefined;
  /** Where the queue begins when nothing is committed: the lowest offset that the log still holds. */
  startOffset: QueueOffset;
}

/** How far a batch came: `settled` of its messages are applied or passed over; then, if not all, why it stopped. */
export interface BatchResult {
  settled: number;
  problem?: FoldlogError;
}

/** Messages decoded up to the first that cannot be applied. */
interface Decoded {
  /** Those with a handler, and for each the index of its message. */
  events: RecordedEvent[];
  indexes: number[];
  /** Messages looked at without a problem. */
  count: number;
  problem: FoldlogError | undefined;
}

type CommitOutcome =
  | { status: 'committed' }
  | { status: 'moved'; error: FoldlogError }
  /** `failedAt`: the event whose handler threw; -1 when it was none of them. */
  | { status: 'failed'; failedAt: number; error: FoldlogError };

export class ProjectionQueue {
  readonly #parts: ProjectionQueueParts;
  #checkpoint: Checkpoint | undefined;
  #generation: number;
  #changed: FoldlogError | undefined;

  constructor(parts: ProjectionQueueParts) {
    this.#parts = parts;
    this.#checkpoint = parts.checkpoint;
    this.#generation = parts.generation;
  }

  get queue(): MessageQueue {
    return this.#parts.queue;
  }

  get nextOffset(): QueueOffset {
    return this.#checkpoint?.nextOffset ?? this.#parts.startOffset;
  }

  get checkpoint(): Checkpoint | undefined {
    return this.#checkpoint;
  }

  get generation(): number {
    return this.#generation;
  }

  /** The broker began a new generation of its log; `changed` when that no longer holds what was applied. */
  begin(generation: number, changed: FoldlogError | undefined): void {
    this.#generation = generation;
    this.#changed ??= changed;
  }

  /** Applies what is new among the messages. Never rejects: a problem is part of the answer. */
  async apply(messages: readonly ReceivedMessage[], signal: AbortSignal): Promise<BatchResult> {
    const passed = messages.findIndex((message) => message.queueOffset >= this.nextOffset);
    const known = passed < 0 ? messages.length : passed;
    const changed = this.#changed ?? this.#changedLog(messages, known);
    if (changed) return { settled: 0, problem: changed };
    if (known === messages.length) return { settled: known };
    const decoded = this.#decode(messages.slice(known));
    const { settled, problem } = await this.#applyDecoded(
      messages.slice(known, known + decoded.count),
      decoded,
      signal,
    );
    return { settled: known + settled, ...(problem && { problem }) };
  }

  /** The record just below the checkpoint comes again: is it the one that was applied? */
  #changedLog(messages: readonly ReceivedMessage[], known: number): FoldlogError | undefined {
    const last = this.#checkpoint;
    if (last?.msgId === undefined) return undefined;
    const again = messages.slice(0, known).find(({ queueOffset }) => queueOffset === last.nextOffset - 1);
    if (!again || isSameRecord(last, again)) return undefined;
    return changedLogError(this.#parts.definition, this.queue, last);
  }

  #decode(messages: readonly ReceivedMessage[]): Decoded {
    const { codec, definition } = this.#parts;
    const decoded: Decoded = { events: [], indexes: [], count: 0, problem: undefined };
    let expected = this.nextOffset;
    for (const message of messages) {
      if (message.queueOffset !== expected) {
        decoded.problem = this.#error(
          message,
          'CORRUPTION',
          `comes where offset ${expected} was expected: events are missing in between; rebuild the projection`,
        );
        break;
      }
      const type = codec.recognise(message);
      if (type !== undefined && definition.handlers.has(type)) {
        const outcome = codec.decode(message, this.#generation);
        if (outcome.status !== 'EVENT') {
          const why = outcome.status === 'INVALID' ? outcome.reasons.join('; ') : 'its type has no class here';
          decoded.problem = this.#error(message, 'EVENT_INVALID', `cannot be read as ${outcome.type}: ${why}`);
          break;
        }
        decoded.events.push(outcome.recorded);
        decoded.indexes.push(decoded.count);
      }
      decoded.count++;
      expected = message.queueOffset + 1;
    }
    return decoded;
  }

  /** Tries all; when one fails, again those before it, which then stand committed while it is held. */
  async #applyDecoded(
    messages: readonly ReceivedMessage[],
    decoded: Decoded,
    signal: AbortSignal,
  ): Promise<BatchResult> {
    let { problem } = decoded;
    let events = decoded.events;
    let count = messages.length;
    while (count > 0) {
      const last = messages[count - 1];
      if (!last) break;
      const outcome = await this.#commit(events, last, signal);
      if (outcome.status === 'committed') break;
      if (outcome.status === 'moved') return { settled: 0, problem: outcome.error };
      problem = outcome.error;
      events = events.slice(0, outcome.failedAt);
      count = outcome.failedAt < 0 ? 0 : (decoded.indexes[outcome.failedAt] ?? 0);
    }
    return { settled: count, ...(problem && { problem }) };
  }

  /** One transaction for the events and their checkpoint. */
  async #commit(events: readonly RecordedEvent[], last: ReceivedMessage, signal: AbortSignal): Promise<CommitOutcome> {
    const { checkpoints, definition, queue } = this.#parts;
    const { commitLogOffset, msgId, queueOffset } = last;
    const from = this.#checkpoint;
    const to: Checkpoint = { nextOffset: queueOffset + 1, generation: this.#generation, commitLogOffset, msgId };
    let failure: ApplyFailure | undefined;
    const rollBackOn = (failed: ApplyFailure | undefined) => {
      failure = failed;
      if (failed) throw failed.error;
    };
    try {
      await checkpoints.advance({ queue, from, to }, (db) => {
        failure = undefined;
        const applied = applyEvents(definition, db, events, { signal });
        return applied instanceof Promise ? applied.then(rollBackOn) : rollBackOn(applied);
      });
    } catch (thrown) {
      if (thrown instanceof CheckpointMoved) return this.#moved(thrown);
      if (isDatabaseAway(thrown)) return { status: 'failed', failedAt: -1, error: this.#databaseError(thrown) };
      const failedEvent = failure && events[failure.at];
      if (!failure || !failedEvent) return { status: 'failed', failedAt: -1, error: this.#databaseError(thrown) };
      return { status: 'failed', failedAt: failure.at, error: this.#handlerError(failedEvent, failure.error) };
    }
    this.#checkpoint = to;
    return { status: 'committed' };
  }

  /** Goes on from what is committed, if the database says it; else it is asked again by the next batch. */
  async #moved(error: CheckpointMoved): Promise<CommitOutcome> {
    try {
      this.#checkpoint = await this.#parts.checkpoints.load(this.queue);
      return { status: 'moved', error };
    } catch (thrown) {
      return { status: 'failed', failedAt: -1, error: this.#databaseError(thrown) };
    }
  }

  #error(message: ReceivedMessage, code: 'CORRUPTION' | 'EVENT_INVALID', what: string): FoldlogError {
    const { queueOffset, msgId } = message;
    const where = placeOf(this.queue, queueOffset);
    return new FoldlogError(code, `projection ${this.#name}: event ${msgId} at ${where} ${what}`, {
      ...this.queue,
      queueOffset,
      eventId: msgId,
    });
  }

  #handlerError(recorded: RecordedEvent, thrown: unknown): FoldlogError {
    const { type, eventId, stream, version, position } = recorded;
    const where = placeOf(this.queue, position.queueOffset);
    return new FoldlogError(
      'HANDLER_FAILED',
      `projection ${this.#name}: the handler of ${type} failed on event ${eventId} (${stream} version ${version}, ${where}): ${messageOf(thrown)}`,
      { ...this.queue, queueOffset: position.queueOffset, eventId, stream, version, cause: thrown, retriable: true },
    );
  }

  #databaseError(thrown: unknown): FoldlogError {
    return new FoldlogError(
      'DATABASE_FAILED',
      `projection ${this.#name}: events could not be written: ${messageOf(thrown)}`,
      { ...this.queue, cause: thrown, retriable: true },
    );
  }

  get #name(): string {
    const { name, version } = this.#parts.definition;
    return `${name} version ${version}`;
  }
}

/** No handler's fault, though one of them met it. */
function isDatabaseAway(thrown: unknown): boolean {
  return isFoldlogError(thrown) && thrown.code === 'DATABASE_FAILED' && thrown.retriable;
}

export function isSameRecord(last: Checkpoint, message: ReceivedMessage): boolean {
  return message.commitLogOffset === last.commitLogOffset && message.msgId === last.msgId;
}

/** The log lost records that were applied: the projection holds what no longer happened. */
export function changedLogError(definition: ProjectionDefinition, queue: MessageQueue, last: Checkpoint): FoldlogError {
  const where = placeOf(queue, last.nextOffset - 1);
  return new FoldlogError(
    'CORRUPTION',
    `projection ${definition.name} version ${definition.version} has applied event ${last.msgId} at ${where}, which the log no longer holds there: rebuild the projection`,
    { ...queue, nextOffset: last.nextOffset, generation: last.generation },
  );
}

function placeOf({ topic, brokerName, queueId }: MessageQueue, queueOffset: QueueOffset): string {
  return `offset ${queueOffset} of queue ${queueId} of ${topic} on ${brokerName}`;
}
