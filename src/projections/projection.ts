/**
 * What a projection is, and how events are applied to it: used by the runner that follows the log and by replays. All
 * of a projection's handlers write through `context.db`, inside the transaction that also moves its checkpoint.
 *
 * Handlers that return no promise run without a turn of the event loop between them, so that a batch of theirs is one
 * short synchronous transaction where the database is SQLite.
 */
import { isThenable } from '../base/thenable.js';
import type { AppDatabase } from '../database/appDatabase.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import { type EventContext, eventContextOf } from '../eventstore/eventContext.js';
import type { RecordedEvent } from '../eventstore/eventTypes.js';

/** What a handler of a projection knows besides the event. `Database` is the application's: see its `database`. */
export interface ProjectionContext<Database extends AppDatabase = SqliteDatabase> extends EventContext {
  /** The database, within the transaction that also records that this event was applied. */
  db: Database;
}

export type ProjectionHandler<E extends object = object, Database extends AppDatabase = SqliteDatabase> = (
  event: E,
  context: ProjectionContext<Database>,
) => void | Promise<void>;

export interface ProjectionDefinition {
  /** Letters, digits, `_`, `-`, `%`, `|`. */
  name: string;
  /** A new version begins at the start of the log, with a progress of its own. */
  version: number;
  topics: readonly string[];
  /** By event type. Events of other types are passed over. */
  // biome-ignore lint/suspicious/noExplicitAny: each handler takes the class of its type, and the database it is for
  handlers: ReadonlyMap<string, ProjectionHandler<any, any>>;
  /** Makes the tables; once per name, version and database. */
  initialise?(db: AppDatabase): void | Promise<void>;
}

/** What is the same for all events of one application. */
export interface ApplyOptions {
  signal: AbortSignal;
  replayId?: string;
}

/** A handler threw at this place in the list. */
export interface ApplyFailure {
  at: number;
  error: unknown;
}

/** Applies the events in order and stops at the first whose handler throws. Undefined: all applied. */
export function applyEvents(
  definition: ProjectionDefinition,
  db: AppDatabase,
  events: readonly RecordedEvent[],
  options: ApplyOptions,
): ApplyFailure | undefined | Promise<ApplyFailure | undefined> {
  const applyFrom = (first: number): ApplyFailure | undefined | Promise<ApplyFailure | undefined> => {
    for (let at = first; at < events.length; at++) {
      const recorded = events[at];
      if (!recorded) break;
      let pending: void | Promise<void>;
      try {
        pending = definition.handlers.get(recorded.type)?.(recorded.event, contextOf(recorded, db, options));
      } catch (error) {
        return { at, error };
      }
      if (isThenable(pending)) {
        const here = at;
        return Promise.resolve(pending).then(
          () => applyFrom(here + 1),
          (error: unknown) => ({ at: here, error }),
        );
      }
    }
    return undefined;
  };
  return applyFrom(0);
}

/** Added instead of copied: every event of every projection passes here. */
function contextOf(recorded: RecordedEvent, db: AppDatabase, options: ApplyOptions): ProjectionContext<AppDatabase> {
  return Object.assign(eventContextOf(recorded, options), { db });
}
