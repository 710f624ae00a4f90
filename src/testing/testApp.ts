/**
 * A whole application for a test: the real one, on an embedded broker in a temporary directory that goes away with
 * it. Nothing is faked; what a test needs besides is to know when everything has been handled, and a restart.
 */
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { delay, systemClock } from '../base/clock.js';
import { FoldlogError } from '../base/errors.js';
import { diskFiles, joinPath } from '../base/files.js';
import { silentLogger } from '../base/logger.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import type { Producer } from '../client/producer.js';
import { PullConsumer } from '../client/pullConsumer.js';
import type { HandlerClass } from '../decorators/handlerMetadata.js';
import type { AggregateClass, AggregateRoot } from '../eventstore/aggregate.js';
import type { AggregateStore } from '../eventstore/aggregateStore.js';
import type { Decider, DeciderStore, DeciderStreamOptions } from '../eventstore/decider.js';
import type { EventStore } from '../eventstore/eventStore.js';
import { Foldlog } from '../runtime/foldlog.js';
import type { FoldlogOptions } from '../runtime/foldlogOptions.js';
import type { ProjectionHandle } from '../runtime/projectionHandle.js';

/** Small files: a test's store is made and removed in milliseconds. */
const CONFIG = {
  mappedFileSizeCommitLog: 16 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20_000,
  maxHashSlotNum: 10_000,
  maxIndexNum: 40_000,
} as const;
const LOOK_AGAIN_MILLIS = 5;
const PULL_BATCH = 32;
const SETTLED_MILLIS_DEFAULT = 10_000;

/** What `Foldlog.start` takes, without the store. */
export type TestAppOptions = Omit<FoldlogOptions, 'namesrv' | 'store'>;

export interface SettledOptions {
  /** In real time. Default 10,000. */
  timeoutMillis?: number;
}

/** An application on a store of its own. */
export class TestApp {
  /** The store's directory; removed by {@link stop}. */
  readonly directory: string;
  #options: FoldlogOptions;
  #app: Foldlog;
  #stopping: Promise<void> | undefined;

  private constructor(directory: string, options: FoldlogOptions, app: Foldlog) {
    this.directory = directory;
    this.#options = options;
    this.#app = app;
  }

  /** @example await using app = await TestApp.start({ handlers: [Order, Billing] }); */
  static async start(options: TestAppOptions): Promise<TestApp> {
    const directory = joinPath(os.tmpdir(), `foldlog-test-${randomUUID()}`);
    const config = { ...CONFIG, ...options.config };
    const all: FoldlogOptions = { logger: silentLogger, ...options, config, store: directory };
    try {
      return new TestApp(directory, all, await Foldlog.start(all));
    } catch (error) {
      diskFiles.removeDirectory(directory);
      throw error;
    }
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
   * @throws FoldlogError REQUEST_TIMEOUT naming who is behind
   */
  async settled({ timeoutMillis = SETTLED_MILLIS_DEFAULT }: SettledOptions = {}): Promise<void> {
    const giveUpAt = systemClock.monotonic() + timeoutMillis;
    // Twice in a row with the same ends of the queues: nothing was added between looking at one and another.
    for (let before = ''; ; ) {
      const lags = await this.#app.lag();
      const late = lags.filter(({ behind, unassigned }) => behind > 0 || unassigned > 0);
      const ends = late.length === 0 ? lags.map(({ group, end }) => `${group}=${end}`).join() : '';
      if (late.length === 0 && ends === before) return;
      before = late.length === 0 ? ends : '';
      if (systemClock.monotonic() >= giveUpAt) {
        const who = late.map(({ group, behind }) => `${group} by ${behind}`).join(', ') || 'the log still grows';
        throw new FoldlogError('REQUEST_TIMEOUT', `not everything was handled in ${timeoutMillis} ms; behind: ${who}`);
      }
      await delay(systemClock, LOOK_AGAIN_MILLIS);
    }
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
  async restart(changes: Partial<TestAppOptions> = {}): Promise<void> {
    await this.#app.stop();
    this.#options = { ...this.#options, ...changes };
    this.#app = await Foldlog.start(this.#options);
  }

  /** Stops the application and removes its store. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      try {
        await this.#app.stop();
      } finally {
        diskFiles.removeDirectory(this.directory);
      }
    })();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
