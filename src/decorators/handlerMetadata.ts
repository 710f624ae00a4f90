/**
 * What the handler decorators wrote, checked and read back: which class consumes or projects what, and which method
 * handles which event. Wrong use is an OptionsError that names class and member, at declaration where it can be seen
 * there, else at start.
 */
import { injectable } from 'inversify';
import { OptionsError } from '../base/errors.js';
import type { TimestampMillis } from '../base/flavours.js';
import { ConsumeFromWhere, type ConsumeMode, MessageModel, type Subscription } from '../client/clientTypes.js';
import { isAggregateClass } from '../eventstore/aggregate.js';
import {
  type AnyClass,
  addMemberMetadata,
  metadataKey,
  readMemberMetadata,
  readMetadata,
  readOwnMetadata,
} from '../eventstore/classMetadata.js';
import { findEventFacts } from '../eventstore/eventClass.js';
import type { EventClass, RecordedEvent } from '../eventstore/eventTypes.js';
import type { SqlFilter } from './filter.js';

/** A class that the application hands to `Foldlog.start`. */
// biome-ignore lint/suspicious/noExplicitAny: a constructor of any arguments; the container gives them
export type HandlerClass<T extends object = object> = new (...args: any[]) => T;

/** What happens to a handler in a replay: nothing, or it runs. */
export type ReplayBehaviour = 'skip' | 'run';

export interface ConsumerOptions {
  /** Default: the class's name in kebab case. */
  group?: string;
  /** Default CLUSTERING. */
  model?: MessageModel;
  /** Where a group without progress begins: a constant, or a time. Default CONSUME_FROM_LAST_OFFSET. */
  from?: ConsumeFromWhere | Date | string;
  /** `'A || B'` for tags, which are event types, or `sql('…')`. Default: the types that the class handles. */
  filter?: string | SqlFilter;
  /** Default: ordered on event topics, concurrent on others, where retries overtake. */
  mode?: ConsumeMode;
  /** Is each handler guarded against duplicates? Default true; false for BROADCASTING, where every instance runs it. */
  idempotent?: boolean;
  /** Messages fetched for the class at once. Default 32 ordered, 1 concurrent. */
  batch?: number;
  /** Pause between pulls of a queue that has been read to its end: later, but more at a time. Default 0. */
  pullIntervalMillis?: number;
  /** Default 'skip'. */
  replay?: ReplayBehaviour;
  /** Attempts after which a message goes to the dead letters. Default 16 concurrent, no limit ordered. */
  maxReconsumeTimes?: number;
}

export interface OnOptions {
  /** False: this method may run more than once per event, for instance because it is idempotent by itself. */
  idempotent?: boolean;
}

export interface IdempotentOptions<E extends object = object> {
  /** What counts as the same effect. Default: the event id. */
  key?: (event: E, recorded: RecordedEvent<E>) => string;
  /** How long a done effect is remembered, in milliseconds. Default: the guard's. */
  ttl?: number;
  /**
   * The method runs in a transaction of the application's database, `context.db`, and its done mark is a row of the same
   * transaction: what it writes there counts exactly once. Default false: a lease, for effects elsewhere.
   */
  transaction?: boolean;
  /** Keeps what the method returns, as JSON of at most 64 KiB: `app.guard.run` answers it to duplicates. Default false. */
  result?: boolean;
}

/** Where a group without progress begins. */
export interface StartPoint {
  from: ConsumeFromWhere;
  fromTimestamp?: TimestampMillis;
}

/** One method for one event class. */
export interface HandlerMethod {
  eventClass: EventClass;
  type: string;
  member: string;
  idempotent: boolean;
  key: ((event: object, recorded: RecordedEvent) => string) | undefined;
  ttlMillis: number | undefined;
  /** Does it run in a transaction that its done mark is a part of? */
  isTransactional: boolean;
  /** Is what it returns kept with its done mark? */
  keepsResult: boolean;
}

/** All that is known of a `@Consumer` class. */
export interface ConsumerFacts {
  className: string;
  topic: string;
  group: string;
  model: MessageModel;
  start: StartPoint;
  subscription: Subscription;
  mode: ConsumeMode | undefined;
  batch: number | undefined;
  pullIntervalMillis: number | undefined;
  replay: ReplayBehaviour;
  maxReconsumeTimes: number | undefined;
  handlers: readonly HandlerMethod[];
}

/** All that is known of a `@Projection` class. */
export interface ProjectionFacts {
  className: string;
  name: string;
  version: number;
  topics: readonly string[];
  replay: ReplayBehaviour;
  pullIntervalMillis: number | undefined;
  handlers: readonly HandlerMethod[];
}

/** As `@Consumer` leaves it: options checked, defaults in place. */
export interface DeclaredConsumer extends Omit<ConsumerFacts, 'className' | 'handlers' | 'subscription'> {
  filter: string | SqlFilter | undefined;
  idempotent: boolean;
}

/** As `@Projection` leaves it. */
export type DeclaredProjection = Omit<ProjectionFacts, 'className' | 'handlers'>;

interface OnEntry extends OnOptions {
  eventClass: EventClass;
  member: string;
}

interface IdempotentEntry {
  member: string;
  options: IdempotentOptions;
}

export const CONSUMER = metadataKey<DeclaredConsumer>('foldlog:consumer');
export const PROJECTION = metadataKey<DeclaredProjection>('foldlog:projection');
const ON = metadataKey<readonly OnEntry[]>('foldlog:on');
const IDEMPOTENT = metadataKey<readonly IdempotentEntry[]>('foldlog:idempotent');

export type HandlerKind = 'consumer' | 'projection' | 'aggregate';

/** What the class is; undefined for a class without any of the decorators. */
export function handlerKindOf(target: AnyClass): HandlerKind | undefined {
  if (readMetadata(CONSUMER, target)) return 'consumer';
  if (readMetadata(PROJECTION, target)) return 'projection';
  return isAggregateClass(target) ? 'aggregate' : undefined;
}

export function addHandler(
  target: AnyClass,
  member: string,
  eventClass: EventClass | undefined,
  options: OnOptions,
): void {
  const refuse = (why: string) =>
    new OptionsError(`@On on ${target.name}.${member}: ${why}`, { class: target.name, member });
  if (typeof eventClass !== 'function') throw refuse('the event class is undefined; do two files import each other?');
  if (!findEventFacts(eventClass)) throw refuse(`class ${eventClass.name} is not marked with @Event`);
  const other = readOwnMetadata(ON, target)?.find((entry) => entry.eventClass === eventClass);
  if (other) throw refuse(`${target.name}.${other.member} handles ${eventClass.name} already`);
  addMemberMetadata(ON, { eventClass, member, ...options }, target);
}

export function addIdempotence(target: AnyClass, member: string, options: IdempotentOptions): void {
  const { ttl } = options;
  if (ttl !== undefined && !(Number.isFinite(ttl) && ttl > 0)) {
    throw new OptionsError(`@Idempotent on ${target.name}.${member}: ttl ${ttl} must be milliseconds above 0`, {
      class: target.name,
      member,
    });
  }
  addMemberMetadata(IDEMPOTENT, { member, options }, target);
}

/** Throws unless the class has at least one `@On` method: without one it would swallow everything. */
export function assertHasHandler(target: AnyClass, decorator: string): void {
  if (readMemberMetadata(ON, target).length === 0) {
    throw new OptionsError(`@${decorator} of class ${target.name}: no method is marked with @On(EventClass)`, {
      class: target.name,
    });
  }
}

/** Throws unless it is undefined or a whole number of milliseconds within RocketMQ's bounds. */
export function assertPullInterval(millis: number | undefined, where: string, target: AnyClass): void {
  if (millis === undefined || (Number.isSafeInteger(millis) && millis >= 0 && millis <= 65_535)) return;
  throw new OptionsError(`${where}: pullIntervalMillis ${millis} must be 0 to 65535`, { class: target.name });
}

/** So that the container can make the class. One that carries `@injectable()` already stays as it is. */
export function makeInjectable(target: AnyClass): void {
  try {
    injectable()(target as never);
  } catch {
    // inversify refuses a second mark; the first says the same.
  }
}

/** Throws OptionsError for a class without `@Consumer`. */
export function consumerFactsOf(target: AnyClass): ConsumerFacts {
  const declared = readMetadata(CONSUMER, target);
  if (!declared) throw notMarked(target, '@Consumer(topic)');
  const { idempotent, filter, ...rest } = declared;
  const handlers = handlersOf(target, idempotent);
  if (declared.model === MessageModel.BROADCASTING) {
    const guarded = handlers.find((handler) => handler.idempotent);
    if (guarded) {
      throw new OptionsError(
        `${target.name}.${guarded.member} is guarded, but the class consumes BROADCASTING: of all instances only one would run it; set idempotent: false`,
        { class: target.name, member: guarded.member },
      );
    }
  }
  return { ...rest, className: target.name, handlers, subscription: subscriptionOf(declared.topic, filter, handlers) };
}

/** Throws OptionsError for a class without `@Projection`. */
export function projectionFactsOf(target: AnyClass): ProjectionFacts {
  const declared = readMetadata(PROJECTION, target);
  if (!declared) throw notMarked(target, '@Projection({ name, topics })');
  const handlers = handlersOf(target, false);
  const marked = handlers.find(({ isTransactional, keepsResult }) => isTransactional || keepsResult);
  if (marked) {
    throw new OptionsError(
      `@Idempotent on ${target.name}.${marked.member}: a projection writes in one transaction with its checkpoint already; leave transaction and result out`,
      { class: target.name, member: marked.member },
    );
  }
  return { ...declared, className: target.name, handlers };
}

/** Event classes that the class handles. */
export function eventClassesOf(target: AnyClass): EventClass[] {
  return readMemberMetadata(ON, target).map(({ eventClass }) => eventClass);
}

function handlersOf(target: AnyClass, classDefault: boolean): HandlerMethod[] {
  const idempotence = new Map(readMemberMetadata(IDEMPOTENT, target).map(({ member, options }) => [member, options]));
  // Of a base class's method and a subclass's for the same event, the latter stands later and wins.
  const byClass = new Map<EventClass, HandlerMethod>();
  const members = new Set<string>();
  for (const { eventClass, member, idempotent } of readMemberMetadata(ON, target)) {
    const options = idempotence.get(member);
    members.add(member);
    byClass.set(eventClass, {
      eventClass,
      type: findEventFacts(eventClass)?.type ?? '',
      member,
      idempotent: idempotent ?? (options ? true : classDefault),
      key: options?.key,
      ttlMillis: options?.ttl,
      isTransactional: options?.transaction ?? false,
      keepsResult: options?.result ?? false,
    });
    if (idempotent === false && (options?.transaction || options?.result)) {
      throw new OptionsError(
        `@On on ${target.name}.${member} says idempotent: false, which leaves no mark for what its @Idempotent asks for`,
        { class: target.name, member },
      );
    }
  }
  for (const member of idempotence.keys()) {
    if (!members.has(member)) {
      throw new OptionsError(`@Idempotent on ${target.name}.${member}: the method is not marked with @On(EventClass)`, {
        class: target.name,
        member,
      });
    }
  }
  return [...byClass.values()];
}

function subscriptionOf(
  topic: string,
  filter: string | SqlFilter | undefined,
  handlers: readonly HandlerMethod[],
): Subscription {
  if (typeof filter === 'object') return { topic, ...filter };
  return { topic, expressionType: 'TAG', expression: filter ?? handlers.map(({ type }) => type).join(' || ') };
}

/** `from` as the client takes it. Throws OptionsError for a text that is neither a constant nor a time. */
export function startPointOf(from: ConsumeFromWhere | Date | string | undefined, where: string): StartPoint {
  if (from === undefined) return { from: ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET };
  if (typeof from === 'string' && Object.hasOwn(ConsumeFromWhere, from)) return { from: from as ConsumeFromWhere };
  const fromTimestamp = from instanceof Date ? from.getTime() : ISO_TIME.test(from) ? Date.parse(from) : Number.NaN;
  if (Number.isNaN(fromTimestamp)) {
    throw new OptionsError(
      `${where}: from ${JSON.stringify(from)} is neither one of ${Object.keys(ConsumeFromWhere).join(', ')} nor a date or ISO time`,
      { from },
    );
  }
  return { from: ConsumeFromWhere.CONSUME_FROM_TIMESTAMP, fromTimestamp };
}

/** A day, or a day and a time. `Date.parse` alone takes much that nobody means. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

function notMarked(target: AnyClass, decorator: string): OptionsError {
  return new OptionsError(`class ${target.name} is not marked with ${decorator}`, { class: target.name });
}
