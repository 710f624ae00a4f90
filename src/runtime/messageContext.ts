/** What a handler of a consumer is told about the event that it gets, besides the event. */
import type { AppDatabase } from '../database/appDatabase.js';
import { type EventContext, eventContextOf } from '../eventstore/eventContext.js';
import type { RecordedEvent } from '../eventstore/eventTypes.js';

/**
 * Comes as the second argument of `@On` methods of consumers. `Database` is for methods with
 * `@Idempotent({ transaction: true })`: the application's, `SqliteDatabase` or `PostgresDatabase`.
 */
export interface MessageContext<Database extends AppDatabase | undefined = undefined> extends EventContext {
  /** How often the message was given back before. */
  reconsumeTimes: number;
  /** The transaction that the method runs in and that its done mark is a part of; undefined for methods without one. */
  db: Database;
}

export interface DeliveryFacts {
  reconsumeTimes: number;
  signal: AbortSignal;
  replayId?: string;
}

export function contextOf(recorded: RecordedEvent, facts: DeliveryFacts): MessageContext;
export function contextOf(recorded: RecordedEvent, facts: DeliveryFacts, db: AppDatabase): MessageContext<AppDatabase>;
export function contextOf(
  recorded: RecordedEvent,
  facts: DeliveryFacts,
  db?: AppDatabase,
): MessageContext<AppDatabase | undefined> {
  return Object.assign(eventContextOf(recorded, facts), { reconsumeTimes: facts.reconsumeTimes, db });
}
