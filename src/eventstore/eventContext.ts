/** What every handler is told about an event besides the event itself, live and in replays. */
import type { QueueOffset } from '../base/flavours.js';
import type { EventMetadata, RecordedEvent } from './eventTypes.js';

export interface EventContext
  extends Pick<
    RecordedEvent,
    | 'actor'
    | 'causationId'
    | 'correlationId'
    | 'eventId'
    | 'occurredAt'
    | 'position'
    | 'storedAt'
    | 'stream'
    | 'topic'
    | 'version'
  > {
  queueId: number;
  queueOffset: QueueOffset;
  isReplay: boolean;
  /** Of a replay, tells one from another; undefined while following the log. */
  replayId: string | undefined;
  /** Aborts when the application stops or the queue goes to another instance; of a guarded handler also when its lease is lost. */
  signal: AbortSignal;
}

export function eventContextOf(
  recorded: RecordedEvent,
  { signal, replayId }: { signal: AbortSignal; replayId?: string },
): EventContext {
  return {
    eventId: recorded.eventId,
    stream: recorded.stream,
    version: recorded.version,
    position: recorded.position,
    occurredAt: recorded.occurredAt,
    storedAt: recorded.storedAt,
    topic: recorded.topic,
    queueId: recorded.position.queueId,
    queueOffset: recorded.position.queueOffset,
    isReplay: replayId !== undefined,
    replayId,
    correlationId: recorded.correlationId,
    causationId: recorded.causationId,
    actor: recorded.actor,
    signal,
  };
}

/**
 * Metadata for what a handler does because of an event: caused by it, in the same correlation (which the first event of
 * a chain names by its own id), by the same actor. Of an event that was read, its recorded form serves as well.
 *
 * @example app.aggregate(Invoice).execute(id, (invoice) => invoice.issue(), {
 *   commandId: context.eventId, metadata: causedBy(context) });
 */
export function causedBy({
  eventId,
  correlationId,
  actor,
}: Pick<RecordedEvent, 'actor' | 'correlationId' | 'eventId'>): EventMetadata {
  return { causationId: eventId, correlationId: correlationId ?? eventId, ...(actor === undefined ? {} : { actor }) };
}
