/**
 * Keeps a projection up to date: an ordered push consumer whose progress lies in the projection's own database
 * (`projectionCheckpoints.ts`) instead of at the broker. Batches of a queue are applied by its `ProjectionQueue`; this
 * file starts and stops them, turns their problems into pauses and reports, and answers how far the projection is.
 *
 * A problem never skips an event: the queue is held and tried again after a growing pause, other queues go on.
 * Instances that share one group must share one database: progress is compared and set there.
 */
import { type Clock, systemClock } from '../base/clock.js';
import { type FoldlogError, messageOf, OptionsError } from '../base/errors.js';
import { Lifecycle } from '../base/lifecycle.js';
import { type Logger, silentLogger } from '../base/logger.js';
import type {
  ConsumeContext,
  ConsumeOutcome,
  MessageListener,
  OffsetStore,
  ReceivedMessage,
} from '../client/clientTypes.js';
import { PullConsumer } from '../client/pullConsumer.js';
import { PushConsumer } from '../client/pushConsumer.js';
import type { Session } from '../client/session.js';
import type { AppDatabase } from '../database/appDatabase.js';
import type { EventCodec } from '../eventstore/eventCodec.js';
import type { EventPosition } from '../eventstore/eventTypes.js';
import type { MessageQueue } from '../protocol/message.js';
import { type Checkpoint, CheckpointMoved, type ProjectionCheckpoints } from './checkpoint.js';
import { logGenerationOf } from './logGeneration.js';
import { PositionWaiters } from './positionWaiters.js';
import type { ProjectionDefinition } from './projection.js';
import { checkpointsIn } from './projectionCheckpoints.js';
import { changedLogError, isSameRecord, ProjectionQueue } from './projectionQueue.js';

export interface ProjectionRunnerOptions {
  session: Session;
  codec: EventCodec;
  database: AppDatabase;
  definition: ProjectionDefinition;
  /** Consumer group. Default `projection-<name>-v<version>`. */
  group?: string;
  /** Events per transaction at most. Default 1,000 on SQLite, 256 on PostgreSQL. */
  batchMaxSize?: number;
  /** Pause between pulls of a queue that has been read to its end, so that more is applied at once. Default 0. */
  pullIntervalMillis?: number;
  /** Gets what is done with messages, gives what the consumer calls instead. */
  around?: (next: MessageListener) => MessageListener;
  clock?: Clock;
  logger?: Logger;
}

export interface WaitForOptions {
  /** Default 5000. */
  timeoutMillis?: number;
  signal?: AbortSignal;
}

/** A queue that is held, and why. */
export interface ProjectionProblem {
  queue: MessageQueue;
  error: FoldlogError;
  /** How often in a row. */
  attempts: number;
}

export interface ProjectionLag {
  /** Events stored but not applied yet, over all queues. */
  behind: number;
  queues: readonly { queue: MessageQueue; nextOffset: number; endOffset: number }[];
}

/** A transaction on PostgreSQL holds locks that other queues may wait for; on SQLite there is one at a time. */
const BATCH_MAX = { sqlite: 1_000, postgres: 256 } as const;
/**
 * SQLite works while this thread waits: what is fetched ahead comes no sooner, and to keep several pages of every queue
 * through collections of garbage costs more than to apply them.
 */
const ONE_PAGE = 1;
const WAIT_FOR_MILLIS = 5_000;
/** The pause of a held queue doubles from the first to the longest. */
const PAUSE_FIRST_MILLIS = 200;
const PAUSE_LONGEST_MILLIS = 30_000;
/** How often brokers are asked whether they began a new generation of their log (after an unclean stop). */
const GENERATION_PERIOD_MILLIS = 5_000;
/** After another instance moved the checkpoint. */
const PAUSE_MOVED_MILLIS = 50;

export class ProjectionRunner {
  readonly group: string;
  readonly definition: ProjectionDefinition;
  readonly database: AppDatabase;
  readonly #session: Session;
  readonly #codec: EventCodec;
  readonly #batchMaxSize: number;
  readonly #pullIntervalMillis: number;
  readonly #around: (next: MessageListener) => MessageListener;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lifecycle: Lifecycle;
  readonly #checkpoints: ProjectionCheckpoints;
  readonly #waiters: PositionWaiters;
  readonly #pull: PullConsumer;
  readonly #queues = new Map<string, ProjectionQueue>();
  readonly #problems = new Map<string, ProjectionProblem>();
  #looking: Promise<void> | undefined;

  constructor(options: ProjectionRunnerOptions) {
    const { definition } = options;
    this.definition = definition;
    this.database = options.database;
    this.group = options.group ?? projectionGroupOf(definition);
    this.#session = options.session;
    this.#codec = options.codec;
    this.#batchMaxSize = options.batchMaxSize ?? BATCH_MAX[options.database.kind];
    this.#pullIntervalMillis = options.pullIntervalMillis ?? 0;
    this.#around = options.around ?? ((next) => next);
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#lifecycle = new Lifecycle(`projection ${definition.name}`);
    this.#checkpoints = checkpointsIn(options.database, definition);
    this.#waiters = new PositionWaiters({
      clock: this.#clock,
      loadCheckpoint: (queue) => this.#checkpoints.load(queue),
    });
    this.#pull = new PullConsumer({ session: options.session, group: this.group });
  }

  /** Makes the tables if they are not there, and begins to follow the log. */
  start(): Promise<void> {
    return this.#lifecycle.start(async (closes) => {
      await this.#checkpoints.prepare(this.#clock.now());
      const consumer = new PushConsumer(this.#session, {
        group: this.group,
        subscriptions: this.definition.topics.map((topic) => ({ topic, expression: '*' })),
        listener: this.#around((messages, context) => this.#consume(messages, context)),
        mode: 'ordered',
        from: 'CONSUME_FROM_FIRST_OFFSET',
        consumeMessageBatchMaxSize: this.#batchMaxSize,
        pullBatchSize: this.#batchMaxSize,
        ...(this.database.kind === 'sqlite' && { pullThresholdForQueue: ONE_PAGE }),
        pullIntervalMillis: this.#pullIntervalMillis,
        offsetStore: this.#offsetStore(),
      });
      closes.push(() => this.#waiters.stop());
      closes.push(() => consumer.stop());
      await consumer.start();
      const looking = this.#clock.every(GENERATION_PERIOD_MILLIS, () => {
        this.#looking ??= this.#lookForNewGenerations().finally(() => {
          this.#looking = undefined;
        });
      });
      closes.push(() => {
        looking.cancel();
        return this.#looking;
      });
    });
  }

  /** Waits for the batch under way, then leaves the group. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Resolves when the event at the position, which an append returned, has been applied: what is read then shows it.
   * Rejects with REQUEST_TIMEOUT, saying what holds the projection if something does.
   */
  async waitFor(position: EventPosition, options: WaitForOptions = {}): Promise<void> {
    this.#lifecycle.assertRunning();
    const { timeoutMillis = WAIT_FOR_MILLIS, signal } = options;
    const queue = await this.#queueOf(position);
    const describe = () => {
      const problem = this.#problems.get(keyOf(queue));
      const why = problem ? `, held: ${problem.error.message}` : '';
      return `projection ${this.definition.name} did not reach offset ${position.queueOffset} of queue ${queue.queueId} of ${queue.topic} within ${timeoutMillis} ms${why}`;
    };
    await this.#waiters.wait(queue, position.queueOffset, { timeoutMillis, signal, describe });
  }

  /** How far the projection is behind the log, over all queues of its topics. */
  async lag(): Promise<ProjectionLag> {
    const queues: { queue: MessageQueue; nextOffset: number; endOffset: number }[] = [];
    for (const topic of this.definition.topics) {
      if (!(await this.#session.routes.get(topic))) continue;
      for (const queue of await this.#pull.fetchQueues(topic)) {
        const [endOffset, minOffset] = await Promise.all([this.#pull.maxOffset(queue), this.#pull.minOffset(queue)]);
        const nextOffset = (await this.#checkpoints.load(queue))?.nextOffset ?? minOffset;
        queues.push({ queue, nextOffset, endOffset });
      }
    }
    return { behind: queues.reduce((sum, one) => sum + Math.max(0, one.endOffset - one.nextOffset), 0), queues };
  }

  /** Has it applied everything that the log held when it was asked? */
  async caughtUp(): Promise<boolean> {
    return (await this.lag()).behind === 0;
  }

  /** Queues that are held, and why; empty when all is well. */
  problems(): readonly ProjectionProblem[] {
    return [...this.#problems.values()];
  }

  #offsetStore(): OffsetStore {
    return {
      load: (queue) => this.#takeOver(queue),
      // Progress is the checkpoint's; there is nothing to remember beside it.
      update: () => {},
      persist: async () => {},
      forget: (queue) => {
        this.#queues.delete(keyOf(queue));
        this.#problems.delete(keyOf(queue));
      },
    };
  }

  /** A queue is assigned: where to begin, after making sure that the log is the one that was consumed before. */
  async #takeOver(queue: MessageQueue): Promise<number | undefined> {
    if (!this.definition.topics.includes(queue.topic)) return undefined;
    const generation = await logGenerationOf(this.#session, queue);
    const checkpoint = await this.#checkpoints.load(queue);
    const { definition } = this;
    const parts = { queue, definition, codec: this.#codec, checkpoints: this.#checkpoints };
    if (checkpoint) {
      const error = await this.#verify(queue, checkpoint);
      if (error) {
        this.#report(queue, error);
        throw error;
      }
    }
    const startOffset = checkpoint ? 0 : Math.max(0, await this.#pull.minOffset(queue));
    const projected = new ProjectionQueue({ ...parts, generation, checkpoint, startOffset });
    this.#queues.set(keyOf(queue), projected);
    return projected.nextOffset;
  }

  /** Reads the last applied record again. One that retention has removed cannot be compared, and need not be. */
  async #verify(queue: MessageQueue, checkpoint: Checkpoint): Promise<FoldlogError | undefined> {
    const last = checkpoint.nextOffset - 1;
    if (last < 0 || checkpoint.msgId === undefined) return undefined;
    const { messages, minOffset, maxOffset } = await this.#pull.pull(queue, '*', last, 1);
    if (maxOffset < checkpoint.nextOffset) return changedLogError(this.definition, queue, checkpoint);
    if (minOffset > last) return undefined;
    const found = messages.find(({ queueOffset }) => queueOffset === last);
    return found && !isSameRecord(checkpoint, found) ? changedLogError(this.definition, queue, checkpoint) : undefined;
  }

  /** Queues stay assigned while a broker restarts; what it no longer holds after that must not go unnoticed. */
  async #lookForNewGenerations(): Promise<void> {
    for (const projected of [...this.#queues.values()]) {
      const { queue, checkpoint } = projected;
      try {
        const generation = await logGenerationOf(this.#session, queue);
        if (generation === projected.generation) continue;
        const changed = checkpoint && (await this.#verify(queue, checkpoint));
        projected.begin(generation, changed);
        if (changed) this.#report(queue, changed);
      } catch (thrown) {
        // The broker is away: asked again the next time.
        this.#logger.debug({ ...queue, reason: messageOf(thrown) }, 'generation of the log is not known');
      }
    }
  }

  async #consume(messages: readonly ReceivedMessage[], { queue, signal }: ConsumeContext): Promise<ConsumeOutcome> {
    const key = keyOf(queue);
    const projected = this.#queues.get(key);
    // The group's retry topic: nothing of a projection is ever sent there.
    if (!projected) return { status: 'SUCCESS' };
    const before = projected.nextOffset;
    const { settled, problem } = await projected.apply(messages, signal);
    this.#waiters.reached(queue, projected.nextOffset);
    if (!problem) {
      if (this.#problems.delete(key))
        this.#logger.info({ ...queue, projection: this.definition.name }, 'projection goes on');
      return { status: 'SUCCESS' };
    }
    if (problem instanceof CheckpointMoved) {
      this.#logger.warn({ ...queue, projection: this.definition.name }, problem.message);
      return { status: 'HOLD', suspendMillis: PAUSE_MOVED_MILLIS, settled };
    }
    // After some progress it is another event that fails, with a pause of its own.
    if (projected.nextOffset > before) this.#problems.delete(key);
    const attempts = this.#report(queue, problem);
    const suspendMillis = Math.min(PAUSE_LONGEST_MILLIS, PAUSE_FIRST_MILLIS * 2 ** Math.min(attempts - 1, 16));
    return { status: 'HOLD', suspendMillis, settled };
  }

  #report(queue: MessageQueue, error: FoldlogError): number {
    const attempts = (this.#problems.get(keyOf(queue))?.attempts ?? 0) + 1;
    this.#problems.set(keyOf(queue), { queue, error, attempts });
    const { group, definition } = this;
    this.#logger.error({ ...queue, group, projection: definition.name, attempts, error }, error.message);
    return attempts;
  }

  /** A position names its queue but not its topic; with several topics the log tells which one it lies in. */
  async #queueOf({ brokerName, queueId, queueOffset, commitLogOffset }: EventPosition): Promise<MessageQueue> {
    const [only, ...others] = this.definition.topics;
    if (only !== undefined && others.length === 0) return { topic: only, brokerName, queueId };
    for (const topic of this.definition.topics) {
      const queue = { topic, brokerName, queueId };
      const { messages } = await this.#pull.pull(queue, '*', queueOffset, 1);
      if (messages.some((message) => message.commitLogOffset === commitLogOffset)) return queue;
    }
    throw new OptionsError(
      `position ${queueOffset} of queue ${queueId} on ${brokerName} lies in none of the topics of projection ${this.definition.name}: ${this.definition.topics.join(', ')}`,
    );
  }
}

function keyOf({ brokerName, topic, queueId }: MessageQueue): string {
  return `${brokerName} ${topic} ${queueId}`;
}

/** The consumer group of a projection that is not given another. */
export function projectionGroupOf({ name, version }: Pick<ProjectionDefinition, 'name' | 'version'>): string {
  return `projection-${name}-v${version}`;
}
