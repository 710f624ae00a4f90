/**
 * `app.replay(…)`: a part of the log again, into a projection on a fresh database, into a consumer that agrees to it,
 * or into a function. Live groups and projections are not touched.
 */

import { type Clock, delay } from '../base/clock.js';
import { FoldlogError, messageOf, OptionsError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { Session } from '../client/session.js';
import { type AppDatabase, openDatabase } from '../database/appDatabase.js';
import type { SqlFilter } from '../decorators/filter.js';
import {
  consumerFactsOf,
  eventClassesOf,
  type HandlerClass,
  handlerKindOf,
  projectionFactsOf,
} from '../decorators/handlerMetadata.js';
import type { AnyClass } from '../eventstore/classMetadata.js';
import { EventCodec } from '../eventstore/eventCodec.js';
import type { EventClass, RecordedEvent } from '../eventstore/eventTypes.js';
import { withStoredTypes } from '../eventstore/storedTypes.js';
import type { GuardedOutcome, IdempotencyGuard } from '../idempotency/idempotencyGuard.js';
import { isRecordedDone } from '../idempotency/storedResult.js';
import type { TransactionGuard } from '../idempotency/transactionGuard.js';
import {
  type ReplayContext,
  type ReplayOptions,
  type ReplayProgress,
  type ReplayReport,
  replay,
} from '../replay/replay.js';
import { openGuards, runHandler } from './guardedHandler.js';
import { projectionDefinitionOf } from './projectionDefinition.js';

interface RangeOptions {
  /** From this moment on; a date or ISO text. Default: the beginning. */
  from?: Date | string;
  /** Up to but not including this moment. Default: the end of the log when the replay begins. */
  to?: Date | string;
  /** Which time of an event `from` and `to` mean: when it was stored (default) or when it happened. */
  by?: 'stored' | 'occurred';
  /** Tags, or `sql('…')`, evaluated by the broker. */
  filter?: string | SqlFilter;
  /** Called after each batch. */
  onProgress?: (progress: ReplayProgress) => void;
  /** Read and count, but run nothing. */
  dryRun?: boolean;
  /** Tells replays apart; made when absent. */
  replayId?: string;
  signal?: AbortSignal;
}

/** Into a `@Projection` class on a fresh database: a path, `postgres://…`, or one that is open. */
export interface ProjectionReplay extends RangeOptions {
  projection: HandlerClass;
  database: string | AppDatabase;
}

/** Into a `@Consumer` class that says `replay: 'run'`. Its guard tells this replay's effects from the first ones. */
export interface ConsumerReplay extends RangeOptions {
  consumer: HandlerClass;
}

/** Into a function. */
export interface EventReplay extends RangeOptions {
  topics: readonly string[];
  onEvent: (event: RecordedEvent, context: ReplayContext) => void | Promise<void>;
}

export type AppReplayOptions = ProjectionReplay | ConsumerReplay | EventReplay;

export interface AppReplayParts {
  session: Session;
  eventClasses: readonly EventClass[];
  upcasters: readonly AnyClass[];
  resolve: (handlerClass: HandlerClass) => Promise<object>;
  guard: () => Promise<IdempotencyGuard>;
  transactions: () => Promise<TransactionGuard>;
  clock: Clock;
  logger: Logger;
}

/** How long an event waits for a guard that is busy or away. */
const GUARD_PATIENCE_MILLIS = 60_000;

/** Throws OptionsError for options that make no sense; FoldlogError EVENT_INVALID or HANDLER_FAILED with the place. */
export async function replayInto(options: AppReplayOptions, parts: AppReplayParts): Promise<ReplayReport> {
  const { session, clock, logger } = parts;
  const shared = { session, clock, logger, ...rangeOf(options) };
  if ('projection' in options) {
    const { projection, database: target } = options;
    const codec = codecFor(projection, parts);
    const facts = projectionFactsOf(projection);
    if (facts.replay === 'skip') throw skipped(projection);
    const definition = projectionDefinitionOf(facts, await parts.resolve(projection));
    const { database, close } = await openTarget(target, logger);
    try {
      return await replay({ ...shared, codec, topics: facts.topics, projection: { definition, database } });
    } finally {
      await close();
    }
  }
  if ('consumer' in options) return replayConsumer(options.consumer, shared, parts);
  return replay({
    ...shared,
    codec: new EventCodec(parts.eventClasses, { upcasters: parts.upcasters }),
    topics: options.topics,
    onEvent: options.onEvent,
  });
}

async function replayConsumer(
  consumer: HandlerClass,
  shared: Omit<ReplayOptions, 'codec' | 'topics'>,
  parts: AppReplayParts,
): Promise<ReplayReport> {
  const facts = consumerFactsOf(consumer);
  if (facts.replay === 'skip') throw skipped(consumer);
  const handler = await parts.resolve(consumer);
  const running = { group: facts.group, handler, ...(await openGuards(facts.handlers, parts)) };
  const routes = new Map(facts.handlers.map((route) => [route.type, route]));
  const codec = codecFor(consumer, parts);
  return replay({
    filter: withStoredTypes(facts.subscription, codec),
    ...shared,
    codec,
    topics: [facts.topic],
    async onEvent(recorded, { replayId, signal }) {
      const route = routes.get(recorded.type);
      if (!route) return;
      const run = () => runHandler(route, recorded, { reconsumeTimes: 0, signal, replayId }, running);
      try {
        await settled(run, { clock: parts.clock, signal, eventId: recorded.eventId });
      } catch (thrown) {
        // As in the live consumer: the effect has happened, and running it once more would not keep its result either.
        if (!isRecordedDone(thrown)) throw thrown;
        const { eventId } = recorded;
        parts.logger.error(
          { group: facts.group, eventId, reason: messageOf(thrown) },
          'result of a handler is not kept',
        );
      }
    },
  });
}

/** Nothing is passed over because its guard was busy or away: it is asked again for a while. */
async function settled(
  run: () => Promise<GuardedOutcome>,
  { clock, signal, eventId }: { clock: Clock; signal: AbortSignal; eventId: string },
): Promise<void> {
  const giveUpAt = clock.monotonic() + GUARD_PATIENCE_MILLIS;
  for (;;) {
    const outcome = await run();
    if (outcome.status === 'done' || outcome.status === 'duplicate') return;
    if (clock.monotonic() >= giveUpAt) {
      throw new FoldlogError('GUARD_UNAVAILABLE', `the guard of event ${eventId} stays ${outcome.status}`, {
        eventId,
        retriable: true,
      });
    }
    await delay(clock, outcome.retryAfterMillis, signal);
    signal.throwIfAborted();
  }
}

/** The application's event classes and those of a class that is not among its handlers. */
function codecFor(handlerClass: HandlerClass, { eventClasses, upcasters }: AppReplayParts): EventCodec {
  if (handlerKindOf(handlerClass) === undefined) {
    throw new OptionsError(`${handlerClass.name} is marked with neither @Projection nor @Consumer`);
  }
  return new EventCodec([...new Set([...eventClasses, ...eventClassesOf(handlerClass)])], { upcasters });
}

async function openTarget(target: string | AppDatabase | undefined, logger: Logger) {
  if (target === undefined) {
    throw new OptionsError(
      'replay of a projection needs database: a path, postgres://…, or an open database; an empty one',
    );
  }
  if (typeof target !== 'string') return { database: target, close: async () => {} };
  const database = await openDatabase(target, { logger });
  return { database, close: () => database.close() };
}

function rangeOf({ from, to, by, filter, onProgress, dryRun, replayId, signal }: RangeOptions) {
  return {
    ...(from === undefined ? {} : { from: dateOf(from, 'from') }),
    ...(to === undefined ? {} : { to: dateOf(to, 'to') }),
    ...(by === undefined ? {} : { by }),
    ...(filter === undefined ? {} : { filter }),
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(dryRun === undefined ? {} : { dryRun }),
    ...(replayId === undefined ? {} : { replayId }),
    ...(signal === undefined ? {} : { signal }),
  };
}

function dateOf(value: Date | string, name: string): Date {
  const date = new Date(value);
  if (Number.isNaN(date.getTime()))
    throw new OptionsError(`${name} of the replay is not a date: ${JSON.stringify(value)}`);
  return date;
}

function skipped({ name }: HandlerClass): OptionsError {
  return new OptionsError(
    `${name} does not take part in replays: declare it with replay: 'run' if its handlers may run again`,
    {
      class: name,
    },
  );
}
