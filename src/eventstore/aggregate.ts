/**
 * Aggregates: classes whose state is the fold of their stream. A command method decides and calls `apply`, which
 * builds and validates the event, folds it into the state at once through its `@Apply` method, and keeps it for the
 * append that follows the command. What a class declared is read here; the decorators are `decorators/aggregate.ts`.
 */
import { InvariantError, OptionsError } from '../base/errors.js';
import type { StreamVersion } from '../base/flavours.js';
import { assertTopic } from '../protocol/names.js';
import type { AnyClass } from './classMetadata.js';
import { addMemberMetadata, metadataKey, readMemberMetadata, readMetadata, writeMetadata } from './classMetadata.js';
import { type EventFields, event } from './event.js';
import { findEventFacts } from './eventClass.js';
import type { EventClass, EventMetadata, EventToAppend } from './eventTypes.js';
import { type SnapshotOptions, SnapshotRules } from './snapshots/snapshotOptions.js';

export interface AggregateOptions {
  /** The event topic that holds the streams of this class. */
  topic: string;
  /** First part of the stream key: `order` makes `order:<id>`. Default: the class's name in kebab case. */
  stream?: string;
  /**
   * Keeps the state from time to time, so that long streams are loaded quickly. Default: no snapshots. The fields are
   * kept as JSON, or what the class's `toSnapshot()` returns, which its `fromSnapshot(value)` takes.
   */
  snapshot?: SnapshotOptions;
}

/** A class that extends AggregateRoot and can be made without arguments. */
export type AggregateClass<A extends AggregateRoot = AggregateRoot> = new () => A;

/** Metadata and further keys of one event that a command applies. */
export interface ApplyOptions extends EventMetadata {
  keys?: readonly string[];
}

/** What is known of an aggregate class. */
export interface AggregateFacts {
  topic: string;
  stream: string;
  snapshot: SnapshotRules | undefined;
  /** Event class -> name of its `@Apply` method. */
  appliers: ReadonlyMap<EventClass, string>;
}

interface Applier {
  eventClass: EventClass;
  member: string;
}

const AGGREGATE = metadataKey<Omit<AggregateFacts, 'appliers'>>('foldlog:aggregate');
const APPLY = metadataKey<readonly Applier[]>('foldlog:apply');

export function markAggregate(target: AnyClass, options: AggregateOptions): void {
  const { topic, stream = kebabCase(target.name), snapshot: given } = options;
  assertTopic(topic);
  // A colon in the first part would let `a:b` + `c` and `a` + `b:c` be one stream.
  if (stream === '' || stream.includes(':')) {
    throw new OptionsError(
      `@Aggregate of class ${target.name}: stream ${JSON.stringify(stream)} must not be empty or hold a colon`,
      { class: target.name, stream },
    );
  }
  if (!(target.prototype instanceof AggregateRoot)) {
    throw new OptionsError(`@Aggregate of class ${target.name}: the class must extend AggregateRoot`, {
      class: target.name,
    });
  }
  const snapshot = given && new SnapshotRules(given, `@Aggregate of class ${target.name}`);
  writeMetadata(AGGREGATE, { topic, stream, snapshot }, target);
}

export function markApplier(target: AnyClass, member: string, eventClass: EventClass | undefined): void {
  const refuse = (why: string) =>
    new OptionsError(`@Apply on ${target.name}.${member}: ${why}`, { class: target.name, member });
  if (typeof eventClass !== 'function') throw refuse('the event class is undefined; do two files import each other?');
  if (!findEventFacts(eventClass)) throw refuse(`class ${eventClass.name} is not marked with @Event`);
  const own = (Reflect.getOwnMetadata(APPLY.symbol, target) ?? []) as readonly Applier[];
  const other = own.find((one) => one.eventClass === eventClass);
  if (other) throw refuse(`${target.name}.${other.member} applies ${eventClass.name} already`);
  addMemberMetadata(APPLY, { eventClass, member }, target);
}

const known = new WeakMap<AnyClass, AggregateFacts>();

export function isAggregateClass(target: AnyClass): boolean {
  return readMetadata(AGGREGATE, target) !== undefined;
}

/** Throws OptionsError for a class without `@Aggregate`. */
export function aggregateFactsOf(target: AnyClass): AggregateFacts {
  let facts = known.get(target);
  if (!facts) {
    const marked = readMetadata(AGGREGATE, target);
    if (!marked) {
      throw new OptionsError(`class ${target.name} is no aggregate: mark it with @Aggregate({ topic, stream })`, {
        class: target.name,
      });
    }
    facts = { ...marked, appliers: appliersOf(target) };
    known.set(target, facts);
  }
  return facts;
}

const appliersOf = (target: AnyClass): Map<EventClass, string> =>
  new Map(readMemberMetadata(APPLY, target).map(({ eventClass, member }) => [eventClass, member]));

/** `OrderSummary` -> `order-summary`. */
export function kebabCase(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1-$2')
    .toLowerCase();
}

/** What the framework does with an aggregate and user code cannot. */
interface AggregateAccess {
  begin(root: AggregateRoot, id: string): void;
  fold(root: AggregateRoot, event: object, version: StreamVersion): void;
  /** From here to {@link takeApplied} a command runs. An aggregate that was never taken from needs none. */
  beginCommand(root: AggregateRoot): void;
  /** Ends a command: hands out what it applied, and forgets it. What is applied from then on is refused. */
  takeApplied(root: AggregateRoot): EventToAppend[];
  /** The events taken are stored: the last one has this version. */
  commit(root: AggregateRoot, version: StreamVersion): void;
}

let access: AggregateAccess | undefined;

/** A stream's state as an object with methods. Subclasses are made without arguments. */
export abstract class AggregateRoot {
  #id = '';
  #version: StreamVersion = 0;
  #applied: EventToAppend[] = [];
  /** What is applied then would never be stored, or with the events of another command. */
  #isCommandOver = false;

  /** The part of the stream key after the colon. */
  get id(): string {
    return this.#id;
  }

  /** Number of events stored in the stream when the state was read; 0 for a stream that does not exist. */
  get version(): StreamVersion {
    return this.#version;
  }

  /** Events applied by the running command, oldest first. */
  get uncommittedEvents(): readonly object[] {
    return this.#applied.map((one) => one.event);
  }

  /**
   * Builds and validates an event, changes the state by it, and has it appended after the command.
   *
   * @throws FoldlogError EVENT_INVALID naming type, field and reason; the state is unchanged then. OptionsError when the
   * command has ended, because nobody awaited what applies the event.
   */
  protected apply<E extends object>(
    eventClass: EventClass<E>,
    fields: EventFields<E>,
    options: ApplyOptions = {},
  ): void {
    if (this.#isCommandOver) {
      throw new OptionsError(
        `${this.constructor.name} ${this.#id} applied ${eventClass.name} after its command had ended, nothing is stored: return or await in the command what it waits for`,
        { class: this.constructor.name, id: this.#id },
      );
    }
    const made = event(eventClass, fields);
    this.#fold(made);
    this.#applied.push({ ...options, event: made });
  }

  #fold(made: object): void {
    const target = this.constructor as AnyClass;
    const member = (known.get(target)?.appliers ?? appliersFor(target)).get(made.constructor as EventClass);
    // Not every event changes the state.
    if (member === undefined) return;
    const applier: unknown = Reflect.get(this, member);
    if (typeof applier !== 'function') throw new InvariantError(`defect in foldlog: ${member} is no method`);
    applier.call(this, made);
  }

  static {
    access = {
      begin(root, id) {
        root.#id = id;
      },
      fold(root, made, version) {
        root.#fold(made);
        root.#version = version;
      },
      beginCommand(root) {
        root.#isCommandOver = false;
      },
      takeApplied(root) {
        root.#isCommandOver = true;
        const taken = root.#applied;
        root.#applied = [];
        return taken;
      },
      commit(root, version) {
        root.#version = version;
      },
    };
  }
}

/** Of a class without `@Aggregate`, as tests of single classes have it. */
const unmarked = new WeakMap<AnyClass, ReadonlyMap<EventClass, string>>();

function appliersFor(target: AnyClass): ReadonlyMap<EventClass, string> {
  if (isAggregateClass(target)) return aggregateFactsOf(target).appliers;
  let appliers = unmarked.get(target);
  if (!appliers) {
    appliers = appliersOf(target);
    unmarked.set(target, appliers);
  }
  return appliers;
}

/** The framework's way into aggregates. */
export function aggregateAccess(): AggregateAccess {
  if (!access) throw new InvariantError('defect in foldlog: the class AggregateRoot was not initialised');
  return access;
}

/** Makes an aggregate with nothing folded in. */
export function newAggregate<A extends AggregateRoot>(aggregateClass: AggregateClass<A>, id: string): A {
  const made = new aggregateClass();
  aggregateAccess().begin(made, id);
  return made;
}
