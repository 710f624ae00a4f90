/**
 * Tests of one `@Consumer` or `@Projection` class without log and broker: given events that it has handled, when
 * another one is delivered, then it has done this, or it throws. What it is called through is the application's own:
 * events go through the codec, consumers through their pipeline with its guards, projections through the transaction
 * of their checkpoint; only what a database keeps lives in memory.
 *
 * What a handler does outside is seen by the test's own stand-ins, handed in through a container or with the instance.
 */
import { AssertionError } from 'node:assert';
import { isDeepStrictEqual } from 'node:util';
import type { Container } from 'inversify';
import { FoldlogError, messageOf, OptionsError } from '../base/errors.js';
import { CloseStack } from '../base/lifecycle.js';
import { silentLogger } from '../base/logger.js';
import { isThenable } from '../base/thenable.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import { SqliteDatabase } from '../database/sqliteDatabase.js';
import {
  consumerFactsOf,
  eventClassesOf,
  type HandlerClass,
  type HandlerMethod,
  handlerKindOf,
  projectionFactsOf,
} from '../decorators/handlerMetadata.js';
import type { AnyClass } from '../eventstore/classMetadata.js';
import { assertValidEvent, toEventToAppend } from '../eventstore/event.js';
import { EventCodec } from '../eventstore/eventCodec.js';
import type { EventClass } from '../eventstore/eventTypes.js';
import { EmbeddedClaims } from '../idempotency/embeddedClaims.js';
import { IdempotencyGuard } from '../idempotency/idempotencyGuard.js';
import { TransactionGuard } from '../idempotency/transactionGuard.js';
import { ProjectionQueue } from '../projections/projectionQueue.js';
import { SqliteCheckpoints } from '../projections/sqliteCheckpoints.js';
import { openGuards } from '../runtime/guardedHandler.js';
import { HandlerContainer } from '../runtime/handlerContainer.js';
import { HandlerPipeline } from '../runtime/handlerPipeline.js';
import { projectionDefinitionOf } from '../runtime/projectionDefinition.js';
import { type DeliveryFields, GIVEN_BROKER, GIVEN_MILLIS, GivenMessages } from './givenMessages.js';
import { intercept } from './interception.js';
import { ManualClock } from './manualClock.js';
import { assertThrown, type Refusal } from './refusal.js';

/** Where the handler comes from. Default: made with an empty container. */
export interface HandlerSource<H extends object> {
  /** Makes it, with its dependencies. */
  container?: Container;
  /** Or it is made already. */
  instance?: H;
}

/** What a test looks at. */
export interface Handled<H extends object> {
  handler: H;
  /** In memory, of this test: what projections and handlers in a transaction wrote. */
  db: SqliteDatabase;
}

export interface HandledOutcome<H extends object> {
  /** It was handled, and the check finds what it looks for. */
  then(check: (handled: Handled<H>) => unknown): Promise<void>;
  /** It was handled, and a query gives these rows. */
  then(sql: string, rows: readonly object[]): Promise<void>;
  /** The handler threw: nothing is in the database of what it wrote through its context. */
  thenThrows(expected?: Refusal): Promise<void>;
}

export interface GivenHandler<H extends object> extends Pick<HandledOutcome<H>, 'then'> {
  /** One more event is delivered, with this context. */
  when(event: object, context?: DeliveryFields): HandledOutcome<H>;
}

/** How a handler's class takes a message. Resolves with nothing when it was handled, with what was thrown if not. */
type Take = (message: ReceivedMessage) => Promise<{ thrown: unknown } | undefined>;

interface Subject {
  topic: string;
  methods: readonly HandlerMethod[];
  open: (parts: { handler: object; codec: EventCodec; db: SqliteDatabase; clock: ManualClock }) => Promise<Take>;
}

export function givenHandler<H extends object>(
  handlerClass: HandlerClass<H>,
  events: readonly object[],
  source: HandlerSource<H>,
): GivenHandler<H> {
  const subject = subjectOf(handlerClass);
  for (const given of events) assertValidEvent(eventOf(given));
  return {
    // biome-ignore lint/suspicious/noThenProperty: awaiting it is answered with an error
    then: thenOf(() => deliver(handlerClass, subject, events, source)),
    when(event, context) {
      const eventClass = eventOf(event).constructor as EventClass;
      if (!subject.methods.some((method) => method.eventClass === eventClass)) {
        throw new OptionsError(`${handlerClass.name} has no method marked with @On(${eventClass.name})`, {
          class: handlerClass.name,
        });
      }
      assertValidEvent(eventOf(event));
      const run = () => deliver(handlerClass, subject, events, source, { event, context });
      return {
        // biome-ignore lint/suspicious/noThenProperty: as above
        then: thenOf(run),
        thenThrows: (expected) => thenThrows(run, expected),
      };
    },
  };
}

/** A delivered event's outcome, and what to look at; closed by whoever looked. */
interface Delivered<H extends object> {
  handled: Handled<H>;
  failure: { thrown: unknown } | undefined;
  close: () => Promise<void>;
}

async function deliver<H extends object>(
  handlerClass: HandlerClass<H>,
  { methods, open, topic }: Subject,
  events: readonly object[],
  source: HandlerSource<H>,
  last?: { event: object; context: DeliveryFields | undefined },
): Promise<Delivered<H>> {
  const closes = new CloseStack();
  const close = () => closes.closeAll();
  try {
    const container = new HandlerContainer(source.container);
    closes.push(() => container.close());
    const handler = source.instance ?? ((await container.resolve(handlerClass)) as H);
    const clock = new ManualClock(GIVEN_MILLIS);
    const db = SqliteDatabase.open(':memory:', { clock });
    closes.push(() => db.close());
    const codec = new EventCodec([...new Set([...eventClassesOf(handlerClass), ...events.map(classOf)])]);
    const messages = new GivenMessages({ codec, topic });
    const seen: { failure?: { thrown: unknown } } = {};
    const members = methods.map(({ member }) => member);
    const called = intercept(handler, members, ({ method, args }) => {
      const failed = (thrown: unknown): never => {
        seen.failure ??= { thrown };
        throw thrown;
      };
      try {
        const result = Reflect.apply(method, handler, args);
        return isThenable(result) ? Promise.resolve(result).catch(failed) : result;
      } catch (thrown) {
        return failed(thrown);
      }
    });
    const take = await open({ handler: called, codec, db, clock });
    for (const [index, given] of events.entries()) {
      const refused = await take(messages.next(given, fieldsOf(given)));
      const failed = seen.failure ?? refused;
      if (failed) throw givenFailed(handlerClass, index, classOf(given), failed.thrown);
    }
    const refused = last && (await take(messages.next(last.event, last.context)));
    return { handled: { handler, db }, failure: seen.failure ?? refused, close };
  } catch (thrown) {
    await close().catch(() => {});
    throw thrown;
  }
}

function thenOf<H extends object>(run: () => Promise<Delivered<H>>): HandledOutcome<H>['then'] {
  return async (checkOrSql: string | ((handled: Handled<H>) => unknown), rows?: readonly object[]) => {
    // The language calls `then` with two functions when the outcome itself is awaited.
    if (typeof rows === 'function' || checkOrSql === undefined) {
      const message = 'given(…) expects nothing yet: go on with .then(check), .then(sql, rows) or .thenThrows(…)';
      const error = new OptionsError(message);
      if (typeof rows === 'function') return void (rows as (error: Error) => void)(error);
      throw error;
    }
    const { handled, failure, close } = await run();
    try {
      if (failure) throw failure.thrown;
      if (typeof checkOrSql === 'function') await checkOrSql(handled);
      else assertRows(handled.db, checkOrSql, rows ?? []);
    } finally {
      await close();
    }
  };
}

async function thenThrows<H extends object>(run: () => Promise<Delivered<H>>, expected: Refusal | undefined) {
  const { failure, close } = await run();
  await close();
  if (failure) return assertThrown('the handler', failure.thrown, expected);
  const message = 'expected the handler to throw, it handled the event';
  throw new AssertionError({ message, expected, operator: 'thenThrows' });
}

function assertRows(db: SqliteDatabase, sql: string, expected: readonly object[]): void {
  // As plain objects: rows may come without a prototype.
  const actual = db.all<Record<string, unknown>>(sql).map((row) => ({ ...row }));
  if (isDeepStrictEqual(actual, [...expected])) return;
  const message = `expected ${JSON.stringify(expected)}, ${sql} gave ${JSON.stringify(actual)}`;
  throw new AssertionError({ message, actual, expected, operator: 'then' });
}

function subjectOf(handlerClass: HandlerClass): Subject {
  switch (handlerKindOf(handlerClass)) {
    case 'consumer':
      return consumerSubject(handlerClass);
    case 'projection':
      return projectionSubject(handlerClass);
    default:
      throw new OptionsError(`${handlerClass.name} is marked with none of @Consumer, @Projection and @Aggregate`, {
        class: handlerClass.name,
      });
  }
}

function consumerSubject(handlerClass: HandlerClass): Subject {
  const facts = consumerFactsOf(handlerClass);
  return {
    topic: facts.topic,
    methods: facts.handlers,
    async open({ handler, codec, db, clock }) {
      const shared = { database: db, clock };
      const guards = await openGuards(facts.handlers, {
        guard: async () => new IdempotencyGuard({ claims: new EmbeddedClaims(shared), clock }),
        transactions: async () => new TransactionGuard(shared),
      });
      // What the handler did not throw itself (its key did, its result or its commit was refused) is in the log alone.
      let reported: { thrown: unknown } | undefined;
      const warn = (fields: object) => {
        if ('cause' in fields) reported = { thrown: fields.cause };
      };
      const logger = { ...silentLogger, warn };
      const pipeline = new HandlerPipeline({ facts, handler, codec, guards, generationOf: () => 1, logger });
      const { signal } = new AbortController();
      return async (message) => {
        const queue = { topic: facts.topic, brokerName: GIVEN_BROKER, queueId: 0 };
        reported = undefined;
        const outcome = await pipeline.consume([message], { queue, signal });
        if (outcome.status === 'SUCCESS') return undefined;
        const why = outcome.status === 'DEAD_LETTER' ? outcome.reason : `the pipeline said ${outcome.status}`;
        return reported ?? { thrown: new FoldlogError('HANDLER_FAILED', why) };
      };
    },
  };
}

function projectionSubject(handlerClass: HandlerClass): Subject {
  const facts = projectionFactsOf(handlerClass);
  const topic = facts.topics[0] ?? '';
  return {
    topic,
    methods: facts.handlers,
    async open({ handler, codec, db, clock }) {
      const definition = projectionDefinitionOf(facts, handler);
      const checkpoints = new SqliteCheckpoints(db, definition);
      await checkpoints.prepare(clock.now());
      const queue = { topic, brokerName: GIVEN_BROKER, queueId: 0 };
      const start = { generation: 1, checkpoint: undefined, startOffset: 0 };
      const projected = new ProjectionQueue({ queue, definition, codec, checkpoints, ...start });
      const { signal } = new AbortController();
      return async (message) => {
        const { problem } = await projected.apply([message], signal);
        return problem && { thrown: problem };
      };
    },
  };
}

function eventOf(given: object): object {
  return toEventToAppend(given).event;
}

/** Of `{ event, stream, … }`. */
function fieldsOf(given: object): DeliveryFields {
  return eventOf(given) === given ? {} : (given as DeliveryFields);
}

function classOf(given: object): EventClass {
  return eventOf(given).constructor as EventClass;
}

function givenFailed(handlerClass: AnyClass, index: number, eventClass: AnyClass, thrown: unknown): FoldlogError {
  const which = `given event ${index + 1}, ${eventClass.name}`;
  return new FoldlogError('HANDLER_FAILED', `${handlerClass.name} did not handle ${which}: ${messageOf(thrown)}`, {
    cause: thrown,
  });
}
