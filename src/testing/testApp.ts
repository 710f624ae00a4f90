/**
 * A whole application for a test: the real one, on an embedded broker of its own, in a temporary directory that goes
 * away with it or in memory. Nothing of it is faked. What a test needs besides is here: to know when everything has
 * been handled, a restart, time that is moved by hand (`virtualTime.ts`), and deliveries that go as badly as they may
 * (`unreliableDelivery.ts`).
 */
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { type Clock, delay, systemClock } from '../base/clock.js';
import { FoldlogError, isFoldlogError, OptionsError } from '../base/errors.js';
import { diskFiles, joinPath } from '../base/files.js';
import { silentLogger } from '../base/logger.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import type { Producer } from '../client/producer.js';
import { PullConsumer } from '../client/pullConsumer.js';
import { SqliteDatabase } from '../database/sqliteDatabase.js';
import type { HandlerClass } from '../decorators/handlerMetadata.js';
import type { AggregateClass, AggregateRoot } from '../eventstore/aggregate.js';
import type { AggregateStore } from '../eventstore/aggregateStore.js';
import type { Decider, DeciderStore, DeciderStreamOptions } from '../eventstore/decider.js';
import type { EventStore } from '../eventstore/eventStore.js';
import type { AppSeams } from '../runtime/appSeams.js';
import { Foldlog } from '../runtime/foldlog.js';
import type { FoldlogOptions } from '../runtime/foldlogOptions.js';
import type { GroupLag } from '../runtime/groupLag.js';
import type { ProjectionHandle } from '../runtime/projectionHandle.js';
import { anySeed } from './chance.js';
import { checkFaults, type DeliveryFaults, type FaultsMet, withSeed } from './deliveryFaults.js';
import { ManualClock } from './manualClock.js';
import { MemoryFiles } from './memoryFiles.js';
import { TroubleLog } from './troubleLog.js';
import { UnreliableDelivery } from './unreliableDelivery.js';
import { VirtualTime } from './virtualTime.js';

/** Small files: a test's store is made and removed in milliseconds. */
const CONFIG = {
  mappedFileSizeCommitLog: 16 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20_000,
  maxHashSlotNum: 10_000,
  maxIndexNum: 40_000,
} as const;
const MEMORY_DIRECTORY = '/foldlog-in-memory';
const LOOK_AGAIN_MILLIS = 5;
const PULL_BATCH = 32;
const SETTLED_MILLIS_DEFAULT = 10_000;
/** How far a clock that is moved by hand goes at once while something is waited for. */
const STEP_MAX_MILLIS = 1_000;
/** The claims of a process that died run out within this time, so that tests with crashes go on soon. */
const LEASE_MILLIS_WITH_CRASHES = 250;

/** What `Foldlog.start` takes, without the store. */
export interface TestAppOptions extends Omit<FoldlogOptions, 'namesrv' | 'store'> {
  /** `'memory'`: no file at all, and the database in memory unless one is given. Default `'directory'`, a temporary one. */
  storage?: 'directory' | 'memory';
  /** A {@link ManualClock} stands still until {@link TestApp.advance} moves it. Default: the machine's. */
  clock?: Clock;
  /** Deliveries go wrong at these rates. Default: they go well. */
  deliver?: DeliveryFaults;
}

export interface TestRunOptions extends TestAppOptions {
  /** How often, each time with another seed. Default 1. */
  runs?: number;
}

export interface SettledOptions {
  /** In real time; with a {@link ManualClock} in its time. Default 10,000. */
  timeoutMillis?: number;
}

/** What outlives a restart. */
interface Surroundings {
  directory: string;
  options: FoldlogOptions;
  seams: AppSeams;
  unreliable: UnreliableDelivery | undefined;
  time: VirtualTime | undefined;
  troubles: TroubleLog;
  /** Removes all of it. */
  remove: () => Promise<void>;
}

/** An application on a store of its own. */
export class TestApp {
  readonly #surroundings: Surroundings;
  #options: FoldlogOptions;
  #app: Foldlog;
  #stopping: Promise<void> | undefined;

  private constructor(surroundings: Surroundings, app: Foldlog) {
    this.#surroundings = surroundings;
    this.#options = surroundings.options;
    this.#app = app;
  }

  /** @example await using app = await TestApp.start({ handlers: [Order, Billing], storage: 'memory' }); */
  static async start(options: TestAppOptions): Promise<TestApp> {
    const surroundings = surroundingsOf(options);
    try {
      return new TestApp(surroundings, await startIn(surroundings, surroundings.options));
    } catch (error) {
      await surroundings.remove();
      throw error;
    }
  }

  /**
   * Starts an application, gives it to the test and stops it; several times if asked to, with another seed of
   * `deliver` each. What the test throws says which seed it was.
   *
   * @example await TestApp.run({ handlers, storage: 'memory', deliver: { crash: 0.1 }, runs: 20 }, async (app) => { … });
   */
  static async run({ runs = 1, ...options }: TestRunOptions, test: (app: TestApp) => Promise<void>): Promise<void> {
    if (!Number.isSafeInteger(runs) || runs < 1)
      throw new OptionsError(`runs: ${runs} is not a whole number from 1 on`);
    const { deliver, clock } = options;
    const firstSeed = deliver?.seed ?? anySeed();
    for (let run = 0; run < runs; run++) {
      const seed = firstSeed + run;
      // A clock that an earlier run has moved would make runs depend on each other.
      const ownClock = runs > 1 && clock instanceof ManualClock ? { clock: new ManualClock(clock.now()) } : {};
      const app = await TestApp.start({ ...options, ...ownClock, ...(deliver && { deliver: { ...deliver, seed } }) });
      try {
        await test(app);
      } catch (thrown) {
        await app.stop().catch(() => {});
        throw deliver ? withSeed(thrown, seed) : thrown;
      }
      await app.stop();
    }
  }

  /** The store's directory; removed by {@link stop}. Of a store in memory a name that is nowhere on the machine. */
  get directory(): string {
    return this.#surroundings.directory;
  }

  /** The application under test. After a restart another one. */
  get foldlog(): Foldlog {
    return this.#app;
  }

  get eventStore(): EventStore {
    return this.#app.eventStore;
  }

  get producer(): Producer {
    return this.#app.producer;
  }

  /** Of `deliver`: what repeats the faults of this application. Undefined without faults. */
  get seed(): number | undefined {
    return this.#surroundings.unreliable?.seed;
  }

  /** How often deliveries went wrong so far, by `deliver`. */
  get faults(): Readonly<FaultsMet> {
    return { duplicates: 0, reordered: 0, delayed: 0, crashes: 0, ...this.#surroundings.unreliable?.met };
  }

  aggregate<A extends AggregateRoot>(aggregateClass: AggregateClass<A>): AggregateStore<A> {
    return this.#app.aggregate(aggregateClass);
  }

  decider<Command, State>(
    functions: Decider<Command, State>,
    options: DeciderStreamOptions,
  ): DeciderStore<Command, State> {
    return this.#app.decider(functions, options);
  }

  projection(projectionClass: HandlerClass): ProjectionHandle {
    return this.#app.projection(projectionClass);
  }

  /**
   * Resolves when consumers and projections have handled everything in the log, also what they appended and sent
   * themselves. A message that waits for the delay of its retry does not count: it is not in the log yet.
   *
   * With a {@link ManualClock} time passes as far as something that is in the log waits for it, and no further.
   *
   * @throws FoldlogError REQUEST_TIMEOUT naming who is behind, and the last problem that each of them met
   */
  async settled({ timeoutMillis = SETTLED_MILLIS_DEFAULT }: SettledOptions = {}): Promise<void> {
    const { time, unreliable, troubles } = this.#surroundings;
    const giveUpAt = systemClock.monotonic() + timeoutMillis;
    let passed = 0;
    // Twice in a row with the same ends of the queues: nothing was added between looking at one and another.
    for (let before = ''; ; ) {
      await time?.rest();
      const { lags, away } = await this.#look();
      const late = lags.filter(({ behind, unassigned }) => behind > 0 || unassigned > 0);
      const isLate = late.length > 0 || away !== undefined;
      const ends = isLate ? '' : lags.map(({ group, end }) => `${group}=${end}`).join();
      if (!isLate && ends === before) return;
      before = ends;
      if (time && away === undefined ? passed >= timeoutMillis : systemClock.monotonic() >= giveUpAt) {
        const who = away ?? (late.map((one) => behindText(one, troubles)).join(', ') || 'the log still grows');
        const message = `not everything was handled in ${timeoutMillis} ms; behind: ${who}`;
        const error = new FoldlogError('REQUEST_TIMEOUT', message);
        throw unreliable ? withSeed(error, unreliable.seed) : error;
      }
      if (!time || away !== undefined) await delay(systemClock, LOOK_AGAIN_MILLIS);
      else if (late.length > 0) passed += await time.step(Math.min(STEP_MAX_MILLIS, timeoutMillis - passed));
    }
  }

  /** How far everybody is behind, or what is away for the moment and cannot say: a database that comes back, a broker. */
  async #look(): Promise<{ lags: GroupLag[]; away?: string }> {
    try {
      return { lags: await this.#app.lag() };
    } catch (thrown) {
      if (!isFoldlogError(thrown) || !thrown.retriable) throw thrown;
      return { lags: [], away: thrown.message };
    }
  }

  /**
   * Moves the {@link ManualClock} on: what falls due happens at its time, one after the other, and is over when this
   * resolves (delays of messages, retries, leases, snapshots by time).
   *
   * @throws OptionsError when the application runs on another clock
   */
  async advance(millis: number): Promise<void> {
    const { time } = this.#surroundings;
    if (!time) throw new OptionsError('advance moves a manual clock: start with clock: new ManualClock()');
    if (!(millis >= 0 && Number.isFinite(millis)))
      throw new OptionsError(`advance: ${millis} is no number of milliseconds`);
    await time.advance(millis);
  }

  /** The messages that a group could not handle, oldest first per queue. */
  async deadLetters(group: string): Promise<ReceivedMessage[]> {
    const pull = new PullConsumer({ session: this.#app.session, group: 'foldlog-test' });
    const found: ReceivedMessage[] = [];
    const topic = `%DLQ%${group}`;
    if (!(await this.#app.session.routes.refresh(topic))) return found;
    for (const queue of await pull.fetchQueues(topic)) {
      for (let offset = await pull.minOffset(queue); ; ) {
        const { messages, nextBeginOffset } = await pull.pull(queue, '*', offset, PULL_BATCH);
        if (messages.length === 0) break;
        found.push(...messages);
        offset = nextBeginOffset;
      }
    }
    return found;
  }

  /** Stops the application and starts it again on the same store, with other options if some are given. */
  async restart(changes: Partial<Omit<TestAppOptions, 'clock' | 'deliver' | 'storage'>> = {}): Promise<void> {
    await passing(this.#surroundings, this.#app.stop());
    this.#options = { ...this.#options, ...changes };
    this.#app = await startIn(this.#surroundings, this.#options);
  }

  /** Stops the application and removes its store. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      try {
        await passing(this.#surroundings, this.#app.stop());
      } finally {
        await this.#surroundings.remove();
      }
    })();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function behindText({ group, behind, unassigned }: GroupLag, troubles: TroubleLog): string {
  const last = troubles.of(group);
  const how = behind > 0 ? `by ${behind}` : `with ${unassigned} queues that it does not read yet`;
  return `${group} ${how}${last === undefined ? '' : ` (last problem: ${last})`}`;
}

function startIn(surroundings: Surroundings, options: FoldlogOptions): Promise<Foldlog> {
  return passing(surroundings, Foldlog.start(options, surroundings.seams));
}

/** Starting and stopping may wait for a clock that nobody else can move meanwhile. */
function passing<T>({ time }: Surroundings, promise: Promise<T>): Promise<T> {
  return time ? time.passFor(promise, STEP_MAX_MILLIS) : promise;
}

function surroundingsOf({ storage = 'directory', deliver, ...given }: TestAppOptions): Surroundings {
  if (storage !== 'directory' && storage !== 'memory') {
    throw new OptionsError(`storage: ${JSON.stringify(storage)} is neither 'directory' nor 'memory'`);
  }
  if (deliver) checkFaults(deliver);
  const { clock = systemClock } = given;
  const memory = storage === 'memory' ? new MemoryFiles({ now: () => clock.now() }) : undefined;
  const directory = memory ? MEMORY_DIRECTORY : joinPath(os.tmpdir(), `foldlog-test-${randomUUID()}`);
  const unreliable = deliver && new UnreliableDelivery({ faults: deliver, clock });
  let database: SqliteDatabase | undefined;
  const openDatabase = () => {
    database ??= SqliteDatabase.open(':memory:', { clock });
    return database;
  };
  const troubles = new TroubleLog(given.logger ?? silentLogger);
  const options: FoldlogOptions = {
    ...given,
    logger: troubles,
    ...(deliver?.crash ? { guard: { leaseMillis: LEASE_MILLIS_WITH_CRASHES, ...given.guard } } : {}),
    config: { ...CONFIG, ...given.config },
    store: directory,
  };
  return {
    directory,
    options,
    seams: {
      ...(memory && { files: memory }),
      ...(memory && given.database === undefined ? { database: openDatabase } : {}),
      ...(unreliable && seamsOf(unreliable)),
    },
    unreliable,
    troubles,
    time: clock instanceof ManualClock ? new VirtualTime({ clock, changes: () => memory?.changes ?? 0 }) : undefined,
    async remove() {
      await database?.close();
      if (!memory) diskFiles.removeDirectory(directory);
    },
  };
}

function seamsOf(unreliable: UnreliableDelivery): AppSeams {
  return {
    listener: (next, consumer) => unreliable.listener(next, consumer),
    handler: (handler, { members }) => unreliable.handler(handler, members),
    claims: (claims) => unreliable.claims(claims),
  };
}
