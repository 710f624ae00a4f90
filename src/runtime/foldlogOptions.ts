/** What `Foldlog.start` takes, checked, and what the handler classes among it declare. */
import type { Container } from 'inversify';
import type { Cluster, Redis } from 'ioredis';
import type { Clock } from '../base/clock.js';
import { OptionsError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { BrokerConfig } from '../config/brokerConfig.js';
import {
  type ConsumerFacts,
  consumerFactsOf,
  eventClassesOf,
  type HandlerClass,
  handlerKindOf,
  type ProjectionFacts,
  projectionFactsOf,
} from '../decorators/handlerMetadata.js';
import { type AggregateClass, aggregateFactsOf } from '../eventstore/aggregate.js';
import type { AnyClass } from '../eventstore/classMetadata.js';
import { findEventFacts } from '../eventstore/eventClass.js';
import type { EventClass } from '../eventstore/eventTypes.js';
import type { ViewBounds } from '../eventstore/streamViews.js';

export interface GuardOptions {
  /** How long a running effect may be silent before another delivery takes over. Default 30,000. */
  leaseMillis?: number;
  /** How long a done effect is remembered. Default 24 hours. */
  ttlMillis?: number;
  /** When the guard cannot be reached: hold messages back (default) or run their effects unguarded. Those in transactions are always held. */
  onUnavailable?: 'hold' | 'pass';
}

export interface FoldlogOptions {
  /** Directory of the embedded broker's store; created when it does not exist. Either this or `namesrv`. */
  store?: string;
  /** `host:port;host:port` of a running cluster's name servers. */
  namesrv?: string;
  /** Classes marked with @Consumer, @Projection or @Aggregate. */
  handlers: readonly HandlerClass[];
  /** Event classes that no handler names, but that are appended or read. */
  events?: readonly EventClass[];
  /** Classes with static `@Upcast` methods, besides the event classes themselves. */
  upcasters?: readonly AnyClass[];
  /** Makes the handlers. Those that it does not bind are singletons of this application. Default: an empty one. */
  container?: Container;
  /**
   * Where projections and the guard live: the path of a SQLite file, or `postgres://user:password@host:port/name`.
   * Default: app.db in the store; needed with `namesrv`.
   */
  database?: string;
  /** `redis://…` or an instance of ioredis, also of a cluster: the guard lives there instead of in the database. */
  redis?: string | Redis | Cluster;
  guard?: GuardOptions;
  /** Keys of broker.conf for the embedded broker. One pull answer holds up to 256 messages unless they say otherwise. */
  config?: Partial<BrokerConfig>;
  /** Opens TCP ports for other processes? Default false. Embedded only. */
  listen?: boolean;
  /** With `listen`. Default 9876; 0 means any free port. */
  namesrvPort?: number;
  /** With `listen`. Default 10911; 0 means any free port. */
  brokerPort?: number;
  /** Part of the client id; BROADCASTING consumers find their offsets by it. Default: the process id and a counter; embedded: `embedded`. */
  instanceName?: string;
  /** Where BROADCASTING consumers keep their offsets. Default: in the store; with `namesrv` `<home>/.rocketmq_offsets`. */
  localOffsetDirectory?: string;
  /** How many streams and events aggregates remember between commands, per class. */
  aggregateCache?: ViewBounds;
  /** How long an append or read whose broker is away is repeated, in milliseconds. Default 30,000. */
  repeatForMillis?: number;
  /** Pino's shape. Default: warnings and errors on stderr. */
  logger?: Logger;
  clock?: Clock;
}

export interface Declared<Facts> {
  handlerClass: HandlerClass;
  facts: Facts;
}

/** The handler classes, sorted by what they are. */
export interface Declarations {
  consumers: Declared<ConsumerFacts>[];
  projections: Declared<ProjectionFacts>[];
  aggregates: AggregateClass[];
  eventClasses: EventClass[];
  upcasters: readonly AnyClass[];
}

/** Throws OptionsError for options that contradict each other. */
export function checkOptions(options: FoldlogOptions): void {
  const { store, namesrv } = options;
  if ((store === undefined) === (namesrv === undefined)) {
    throw new OptionsError('Foldlog.start needs either store (an embedded broker) or namesrv (a running cluster)');
  }
  if (store === '') throw new OptionsError('store is empty: give a directory');
  if (namesrv !== undefined) {
    for (const name of ['config', 'listen', 'namesrvPort', 'brokerPort'] as const) {
      if (options[name] !== undefined)
        throw new OptionsError(`${name} is for the embedded broker: it has no meaning with namesrv`);
    }
  }
  if (!Array.isArray(options.handlers)) throw new OptionsError('handlers must be a list of classes, it may be empty');
}

/** Throws OptionsError for a class without decorator and for names that are used twice. */
export function declarationsOf({ handlers, events = [], upcasters = [] }: FoldlogOptions): Declarations {
  const declarations: Declarations = { consumers: [], projections: [], aggregates: [], eventClasses: [], upcasters };
  const eventClasses = new Set<EventClass>(events);
  for (const handlerClass of new Set(handlers)) {
    for (const eventClass of eventClassesOf(handlerClass)) eventClasses.add(eventClass);
    switch (handlerKindOf(handlerClass)) {
      case 'consumer':
        declarations.consumers.push({ handlerClass, facts: consumerFactsOf(handlerClass) });
        break;
      case 'projection':
        declarations.projections.push({ handlerClass, facts: projectionFactsOf(handlerClass) });
        break;
      case 'aggregate': {
        const aggregateClass = handlerClass as AggregateClass;
        for (const eventClass of aggregateFactsOf(aggregateClass).appliers.keys()) eventClasses.add(eventClass);
        declarations.aggregates.push(aggregateClass);
        break;
      }
      case undefined:
        throw new OptionsError(
          `${handlerClass.name} among the handlers is marked with none of @Consumer, @Projection and @Aggregate${findEventFacts(handlerClass) ? ': list event classes in `events`' : ''}`,
          { class: handlerClass.name },
        );
    }
  }
  declarations.eventClasses = [...eventClasses];
  assertUnique(declarations.consumers, 'group', ({ facts }) => facts.group);
  assertUnique(declarations.projections, 'projection name', ({ facts }) => facts.name);
  assertUnique(
    declarations.aggregates.map((handlerClass) => ({ handlerClass, facts: aggregateFactsOf(handlerClass) })),
    'topic and stream',
    ({ facts }) => `${facts.topic}/${facts.stream}`,
  );
  return declarations;
}

function assertUnique<T extends { handlerClass: { name: string } }>(
  entries: readonly T[],
  what: string,
  nameOf: (entry: T) => string,
): void {
  const seen = new Map<string, T>();
  for (const entry of entries) {
    const value = nameOf(entry);
    const other = seen.get(value);
    if (other) {
      throw new OptionsError(
        `${other.handlerClass.name} and ${entry.handlerClass.name} have the same ${what} ${value}: give one another`,
        { [what]: value },
      );
    }
    seen.set(value, entry);
  }
}
