/** What a handler is told about the event that it gets, besides the event. */
import type { RecordedEvent } from '../eventstore/eventTypes.js';

/** Comes as the second argument of `@On` methods of consumers. */
export interface MessageContext
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
  queueOffset: number;
  /** How often the message was given back before. */
  reconsumeTimes: number;
  isReplay: boolean;
  /** Of a replay; tells one from another. */
  replayId: string | undefined;
  /** Aborts when the consumer stops, loses the queue, or the guard's lease is lost. */
  signal: AbortSignal;
}

export interface DeliveryFacts {
  reconsumeTimes: number;
  signal: AbortSignal;
  replayId?: string;
}

export function contextOf(
  recorded: RecordedEvent,
  { reconsumeTimes, signal, replayId }: DeliveryFacts,
): MessageContext {
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
    reconsumeTimes,
    isReplay: replayId !== undefined,
    replayId,
    correlationId: recorded.correlationId,
    causationId: recorded.causationId,
    actor: recorded.actor,
    signal,
  };
}
