/** What a handler of a consumer is told about the event that it gets, besides the event. */
import { type EventContext, eventContextOf } from '../eventstore/eventContext.js';
import type { RecordedEvent } from '../eventstore/eventTypes.js';

/** Comes as the second argument of `@On` methods of consumers. */
export interface MessageContext extends EventContext {
  /** How often the message was given back before. */
  reconsumeTimes: number;
}

export interface DeliveryFacts {
  reconsumeTimes: number;
  signal: AbortSignal;
  replayId?: string;
}

export function contextOf(recorded: RecordedEvent, facts: DeliveryFacts): MessageContext {
  return { ...eventContextOf(recorded, facts), reconsumeTimes: facts.reconsumeTimes };
}
