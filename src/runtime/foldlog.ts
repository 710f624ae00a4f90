/**
 * The application: takes its parts (`appParts.ts`), wires the handlers to them, starts and stops everything. None of the
 * parts knows it. What is opened is registered for closing in the next line and closed in reverse: handlers first, then
 * their databases, connections, and the embedded broker.
 */
import { keepProcessAlive } from '../base/clock.js';
import { OptionsError } from '../base/errors.js';
import { type CloseStack, Lifecycle } from '../base/lifecycle.js';
import type { MessageListener } from '../client/clientTypes.js';
import { Producer } from '../client/producer.js';
import type { Session } from '../client/session.js';
import type { AppDatabase } from '../database/appDatabase.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import type { ConsumerFacts, HandlerClass, HandlerMethod, ProjectionFacts } from '../decorators/handlerMetadata.js';
import { type AggregateClass, type AggregateRoot, aggregateFactsOf } from '../eventstore/aggregate.js';
import { AggregateStore } from '../eventstore/aggregateStore.js';
import { DECIDER_NAME_DEFAULT, type Decider, DeciderStore, type DeciderStreamOptions } from '../eventstore/decider.js';
import { EventStore } from '../eventstore/eventStore.js';
import { withStoredTypes } from '../eventstore/storedTypes.js';
import type { UnknownEventType } from '../eventstore/unknownTypes.js';
import type { DuplicatesOfGroup } from '../idempotency/duplicatesMet.js';
import { ProjectionRunner, projectionGroupOf } from '../projections/projectionRunner.js';
import type { ReplayReport } from '../replay/replay.js';
import { type AppParts, eventDecodingOf, openParts } from './appParts.js';
import { type AppReplayOptions, replayInto } from './appReplay.js';
import type { AppSeams } from './appSeams.js';
import { ConsumerRunner } from './consumerRunner.js';
import { EffectGuard } from './effectGuard.js';
import { checkOptions, type Declared, declarationsOf, type FoldlogOptions } from './foldlogOptions.js';
import type { GroupLag } from './groupLag.js';
import { openGuards } from './guardedHandler.js';
import { HandlerPipeline } from './handlerPipeline.js';
import { projectionDefinitionOf } from './projectionDefinition.js';
import { ProjectionHandle } from './projectionHandle.js';

/** A running application. Made by {@link Foldlog.start}; handlers may ask the container for it. */
export class Foldlog {
  readonly #lifecycle: Lifecycle;
  readonly #parts: AppParts;
  readonly #aggregates = new Map<AggregateClass, unknown>();
  readonly #deciders = new Map<object, Map<string, unknown>>();
  /** Whose snapshots these are, by topic, stream and name. */
  readonly #snapshotsOf = new Map<string, object>();
  readonly #projections = new Map<HandlerClass, ProjectionHandle<AppDatabase>>();
  readonly #consumers: ConsumerRunner[] = [];
  readonly #guard: EffectGuard;
  readonly #runners: ProjectionRunner[] = [];

  /** Applications are made by {@link Foldlog.start}; open so that the class can be a token of the container. */
  constructor(lifecycle: Lifecycle, parts: AppParts) {
    this.#lifecycle = lifecycle;
    this.#parts = parts;
    this.#guard = new EffectGuard(async () => {
      lifecycle.assertRunning();
      return parts.guard();
    });
  }

  /**
   * Starts an embedded broker on `store`, or connects to the cluster at `namesrv`; makes the event topics of the
   * aggregates; starts consumers and projections. A consumer of a topic that does not exist yet waits for it. Keeps the
   * process alive until {@link stop}.
   *
   * @param seams for test kits; applications leave it out
   * @throws OptionsError for wrong options and declarations; FoldlogError STORE_LOCKED, PORT_TAKEN, CORRUPTION,
   * CONNECT_FAILED, GUARD_UNAVAILABLE, DATABASE_FAILED. Nothing stays open then.
   * @example await using app = await Foldlog.start({ store: './data', handlers: [Order, Billing, OrderSummary] });
   */
  static async start(options: FoldlogOptions, seams: AppSeams = {}): Promise<Foldlog> {
    checkOptions(options);
    const declarations = declarationsOf(options);
    if (declarations.aggregates.some((one) => aggregateFactsOf(one).snapshot)) assertDatabase(options);
    const events = eventDecodingOf(options, declarations);
    const lifecycle = new Lifecycle('application');
    let app: Foldlog | undefined;
    await lifecycle.start(async (closes) => {
      // A server like any other: without `listen` it has no socket that would say so.
      closes.push(keepProcessAlive());
      const parts = await openParts(options, declarations, events, closes, seams);
      app = new Foldlog(lifecycle, parts);
      await app.#startHandlers(closes);
    });
    if (!app) throw new OptionsError('the application was stopped while it started');
    return app;
  }

  /** `host:port` of the name servers; of an embedded broker without `listen` a name that only this process knows. */
  get namesrvAddr(): string {
    return this.#parts.link.namesrvAddr;
  }

  /** `host:port` of the embedded broker; undefined on a cluster. */
  get brokerAddr(): string | undefined {
    return this.#parts.link.brokerAddr;
  }

  /** Appends to and reads from event streams. */
  get eventStore(): EventStore {
    return this.#parts.store;
  }

  /** Sends plain messages. Event topics take events only. */
  get producer(): Producer {
    return this.#parts.producer;
  }

  /** The idempotency guard, for effects that no handler begins. */
  get guard(): EffectGuard {
    return this.#guard;
  }

  /** For producers and consumers of `foldlog/client` on the same connections. Closed by {@link stop}. */
  get session(): Session {
    return this.#parts.link.session;
  }

  /** The aggregates of a class that is among the handlers. */
  aggregate<A extends AggregateRoot>(aggregateClass: AggregateClass<A>): AggregateStore<A> {
    let found = this.#aggregates.get(aggregateClass) as AggregateStore<A> | undefined;
    if (!found) {
      aggregateFactsOf(aggregateClass);
      this.#assertHandler(aggregateClass, this.#parts.declarations.aggregates);
      const { store, reader, snapshots, options } = this.#parts;
      found = new AggregateStore({ aggregateClass, store, reader, snapshots, ...cacheOf(options) });
      this.#aggregates.set(aggregateClass, found);
    }
    return found;
  }

  /** The streams of a decider. Its event classes must be known: handled somewhere, or listed in `events`. */
  decider<Command, State>(
    functions: Decider<Command, State>,
    options: DeciderStreamOptions,
  ): DeciderStore<Command, State> {
    const name = `${options.topic}/${options.stream}`;
    const known = this.#deciders.get(functions) ?? new Map<string, unknown>();
    this.#deciders.set(functions, known);
    let found = known.get(name) as DeciderStore<Command, State> | undefined;
    if (!found) {
      const { store, reader, snapshots, options: given } = this.#parts;
      if (options.snapshot) this.#assertOwnSnapshots(functions, options, options.snapshot.name);
      const parts = { decider: functions, options, store, reader, snapshots };
      found = new DeciderStore({ ...parts, ...cacheOf(given) });
      known.set(name, found);
    }
    return found;
  }

  /** A projection that is among the handlers. Name the `Database` when it is not SQLite. */
  projection<Database extends AppDatabase = SqliteDatabase>(projectionClass: HandlerClass): ProjectionHandle<Database> {
    const found = this.#projections.get(projectionClass);
    if (!found) {
      throw new OptionsError(`${projectionClass.name} is not among the projections of this application`, {
        class: projectionClass.name,
      });
    }
    return found as ProjectionHandle<Database>;
  }

  /**
   * Runs a part of the log again: into a projection on a fresh database, a consumer that agrees to it, or a function.
   * `from <= time < to`. Live consumers and projections go on untouched.
   *
   * @example await app.replay({ projection: OrderSummary, database: './march.db', by: 'occurred', to: '2026-04-01' });
   */
  replay(options: AppReplayOptions): Promise<ReplayReport> {
    this.#lifecycle.assertRunning();
    const { declarations, link, container, guard, transactions, clock, logger } = this.#parts;
    return replayInto(options, {
      session: link.session,
      eventClasses: declarations.eventClasses,
      upcasters: declarations.upcasters,
      resolve: (handlerClass) => container.resolve(handlerClass),
      guard,
      transactions,
      clock,
      logger,
    });
  }

  /**
   * Types of events that were met since the start and that no class here reads, with how often. They stay in the log;
   * aggregates are folded without them.
   */
  unknownEventTypes(): UnknownEventType[] {
    return this.#parts.unknownTypes.list();
  }

  /** Deliveries that were dropped since the start because their effect had been done: by group, and the keys met last. */
  duplicates(): DuplicatesOfGroup[] {
    return this.#parts.duplicates.list();
  }

  /** Drops every snapshot in the application's database; they are taken again in time. How many there were. */
  dropSnapshots(): Promise<number> {
    this.#lifecycle.assertRunning();
    return this.#parts.snapshots.keeper.drop({});
  }

  /** How far each consumer group and projection of this application is behind the log, by the queues it has here. */
  async lag(): Promise<GroupLag[]> {
    this.#lifecycle.assertRunning();
    const projections = this.#runners.map(async (runner): Promise<GroupLag> => {
      const { behind, queues } = await runner.lag();
      return { group: runner.group, behind, unassigned: 0, end: queues.reduce((sum, one) => sum + one.endOffset, 0) };
    });
    return Promise.all([...this.#consumers.map((runner) => runner.lag()), ...projections]);
  }

  /** Ends running handlers, records what was consumed, closes everything. A second call returns the same promise. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Two deciders that keep different states under one name would only drop each other's. */
  #assertOwnSnapshots(functions: object, { topic, stream }: DeciderStreamOptions, name = DECIDER_NAME_DEFAULT): void {
    assertDatabase(this.#parts.options);
    const key = `${topic}/${stream}/${name}`;
    const other = this.#snapshotsOf.get(key);
    if (other !== undefined && other !== functions) {
      throw new OptionsError(
        `two deciders of streams ${stream}:… in topic ${topic} keep snapshots named ${name}: give one another name`,
        { topic, stream, name },
      );
    }
    this.#snapshotsOf.set(key, functions);
  }

  #assertHandler(handlerClass: AggregateClass, known: readonly AggregateClass[]): void {
    if (known.includes(handlerClass)) return;
    throw new OptionsError(`${handlerClass.name} is not among the handlers of this application: add it`, {
      class: handlerClass.name,
    });
  }

  async #startHandlers(closes: CloseStack): Promise<void> {
    const { declarations, container, store, producer, topics } = this.#parts;
    container.bindValue(Foldlog, this);
    container.bindValue(EventStore, store);
    container.bindValue(Producer, producer);
    for (const topic of new Set(declarations.aggregates.map((one) => aggregateFactsOf(one).topic))) {
      await topics.prepare(topic);
    }
    for (const aggregateClass of declarations.aggregates) {
      if (!aggregateFactsOf(aggregateClass).snapshot) continue;
      // Finds out whether its state can be kept at all.
      this.aggregate(aggregateClass);
      await this.#parts.snapshots.keeper.prepare();
    }
    for (const declared of declarations.projections) await this.#startProjection(declared, closes);
    for (const { handlerClass, facts } of declarations.consumers) {
      await this.#startConsumer(facts, await container.resolve(handlerClass), closes);
    }
  }

  async #startConsumer(declared: ConsumerFacts, handler: object, closes: CloseStack): Promise<void> {
    const { codec, log, link, topics, clock, logger, seams } = this.#parts;
    const facts = { ...declared, subscription: withStoredTypes(declared.subscription, codec) };
    const guards = await openGuards(facts.handlers, this.#parts);
    const generationOf = (brokerName: string) => log.generationOf(brokerName);
    const called = seamedHandler(seams, handler, facts.group, facts.handlers);
    const pipeline = new HandlerPipeline({ facts, handler: called, codec, guards, generationOf, logger });
    const consume: MessageListener = (messages, context) => pipeline.consume(messages, context);
    const runner = new ConsumerRunner({
      facts,
      listenerFor: (mode) => seams.listener?.(consume, { group: facts.group, mode }) ?? consume,
      session: link.session,
      log,
      topics,
      offsetDirectory: link.offsetDirectory,
      files: seams.files,
      clock,
      logger,
    });
    closes.push(() => runner.stop());
    await runner.start();
    this.#consumers.push(runner);
  }

  async #startProjection({ handlerClass, facts }: Declared<ProjectionFacts>, closes: CloseStack): Promise<void> {
    const { codec, container, link, clock, logger, seams } = this.#parts;
    const handler = await container.resolve(handlerClass);
    const database = await this.#parts.database();
    const group = projectionGroupOf(facts);
    const definition = projectionDefinitionOf(facts, seamedHandler(seams, handler, group, facts.handlers));
    const { pullIntervalMillis = 0 } = facts;
    const runner = new ProjectionRunner({
      ...{ session: link.session, codec, database, definition, pullIntervalMillis },
      ...(seams.listener && {
        around: (next: MessageListener) => seams.listener?.(next, { group, mode: 'ordered' }) ?? next,
      }),
      ...{ clock, logger },
    });
    closes.push(() => runner.stop());
    await runner.start();
    this.#runners.push(runner);
    this.#projections.set(handlerClass, new ProjectionHandle({ runner, database }));
  }
}

const cacheOf = ({ aggregateCache }: FoldlogOptions) => (aggregateCache === undefined ? {} : { cache: aggregateCache });

function assertDatabase({ store, database }: FoldlogOptions): void {
  if (store !== undefined || database !== undefined) return;
  throw new OptionsError('database must be given with namesrv: snapshots live there');
}

function seamedHandler(
  { handler: seam }: AppSeams,
  handler: object,
  group: string,
  handlers: readonly HandlerMethod[],
) {
  return seam?.(handler, { group, members: handlers.map(({ member }) => member) }) ?? handler;
}
