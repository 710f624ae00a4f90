/**
 * One `@Consumer` class at work: waits until its topic exists, then consumes it. Whether the topic holds events decides
 * the default mode: ordered on event topics, where a failure holds the queue so that events of a stream never overtake
 * each other; concurrent on others.
 */
import { sharedAbortController } from '../base/abort.js';
import { type Clock, delay } from '../base/clock.js';
import { isFoldlogError, messageOf } from '../base/errors.js';
import type { Files } from '../base/files.js';
import type { QueueOffset, TimestampMillis } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import { ConsumeFromWhere, type ConsumeMode, type MessageListener } from '../client/clientTypes.js';
import { PullConsumer, type PullFilter } from '../client/pullConsumer.js';
import { PushConsumer } from '../client/pushConsumer.js';
import type { Session } from '../client/session.js';
import type { ConsumerFacts, StartPoint } from '../decorators/handlerMetadata.js';
import type { EventLog } from '../eventstore/eventLog.js';
import type { EventTopics } from '../eventstore/eventTopics.js';
import type { MessageQueue } from '../protocol/message.js';
import { retryTopicOf } from '../protocol/names.js';
import type { GroupLag } from './groupLag.js';

const LOOK_AGAIN_MILLIS = 500;
const ORDERED_BATCH_DEFAULT = 32;
/** How far the clock of a broker may be behind this one's. */
const CLOCKS_APART_MILLIS = 60_000;

export interface ConsumerRunnerParts {
  facts: ConsumerFacts;
  listenerFor: (mode: ConsumeMode) => MessageListener;
  session: Session;
  log: EventLog;
  topics: EventTopics;
  /** Where BROADCASTING groups keep their offsets. Default: the client's. */
  offsetDirectory: string | undefined;
  /** Where that is. Default: the disk. */
  files: Files | undefined;
  clock: Clock;
  logger: Logger;
}

export class ConsumerRunner {
  readonly #parts: ConsumerRunnerParts;
  readonly #stopping = sharedAbortController();
  #consumer: PushConsumer | undefined;
  /** When the topic was missing at the start. What comes into it from then on is for a new group, wherever that begins. */
  #absentAt: TimestampMillis | undefined;
  #waiting: Promise<void> = Promise.resolve();

  constructor(parts: ConsumerRunnerParts) {
    this.#parts = parts;
  }

  /** Resolves when it consumes, or waits for its topic. Rejects for what waiting does not mend. */
  async start(): Promise<void> {
    if (await this.#tryStart()) return;
    const { facts, logger } = this.#parts;
    logger.info({ group: facts.group, topic: facts.topic }, 'consumer waits for its topic to exist');
    this.#waiting = this.#wait();
  }

  /** Ends the running handlers, records the offsets, leaves the group. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#waiting;
    await this.#consumer?.stop();
  }

  /** How far this member is behind its queues. All zero while the topic does not exist, none assigned until it consumes. */
  async lag(): Promise<GroupLag> {
    const { facts, session } = this.#parts;
    const { group, topic, model, subscription } = facts;
    const consumer = this.#consumer;
    const lag = { group, behind: 0, unassigned: 0, end: 0 };
    if (!consumer) {
      // The topic may be there since the last look: what lies in it waits for this member.
      return { ...lag, unassigned: (await session.routes.subscribeQueues(topic))?.length ?? 0 };
    }
    const pull = new PullConsumer({ session, group });
    const next = new Map(consumer.progress().map(({ queue, nextOffset }) => [keyOf(queue), nextOffset]));
    for (const one of model === 'BROADCASTING' ? [topic] : [topic, retryTopicOf(group)]) {
      const filter = one === topic ? subscription : '*';
      for (const queue of (await session.routes.subscribeQueues(one)) ?? []) {
        const nextOffset = next.get(keyOf(queue));
        if (nextOffset === undefined) lag.unassigned += 1;
        else {
          const end = await pull.maxOffset(queue);
          lag.behind += await behindIn(pull, queue, filter, nextOffset, end);
          lag.end += end;
        }
      }
    }
    return lag;
  }

  async #wait(): Promise<void> {
    const { clock, facts, logger } = this.#parts;
    const { signal } = this.#stopping;
    for (;;) {
      await delay(clock, LOOK_AGAIN_MILLIS, signal);
      if (signal.aborted) return;
      try {
        if (await this.#tryStart()) return;
      } catch (thrown) {
        logger.error(
          { group: facts.group, topic: facts.topic, reason: messageOf(thrown) },
          'consumer cannot start, tried again',
        );
      }
    }
  }

  /** False while the topic does not exist. */
  async #tryStart(): Promise<boolean> {
    const { facts, session, topics, log, files, clock } = this.#parts;
    let mode: ConsumeMode;
    try {
      const kind = await topics.kindOf(facts.topic);
      if (kind === 'ABSENT') {
        this.#absentAt ??= clock.now();
        return false;
      }
      mode = facts.mode ?? (kind === 'EVENT_TOPIC' ? 'ordered' : 'concurrent');
      if (kind === 'EVENT_TOPIC') await log.learn(facts.topic);
    } catch (thrown) {
      // A broker that is away for a moment.
      if (isFoldlogError(thrown) && thrown.retriable) return false;
      throw thrown;
    }
    if (this.#stopping.signal.aborted) return true;
    const consumer = new PushConsumer(session, this.#optionsFor(mode), files);
    await consumer.start();
    this.#consumer = consumer;
    return true;
  }

  /** By time, not from the first message: the topic may be an old one whose brokers were away. */
  #startPoint(): StartPoint {
    const { start } = this.#parts.facts;
    if (this.#absentAt === undefined || start.from !== ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET) return start;
    return { from: ConsumeFromWhere.CONSUME_FROM_TIMESTAMP, fromTimestamp: this.#absentAt - CLOCKS_APART_MILLIS };
  }

  #optionsFor(mode: ConsumeMode) {
    const { facts, listenerFor, offsetDirectory } = this.#parts;
    const batch = facts.batch ?? (mode === 'ordered' ? ORDERED_BATCH_DEFAULT : 1);
    return {
      group: facts.group,
      subscriptions: [facts.subscription],
      listener: listenerFor(mode),
      model: facts.model,
      mode,
      ...this.#startPoint(),
      consumeMessageBatchMaxSize: batch,
      pullBatchSize: Math.max(32, batch),
      ...(facts.pullIntervalMillis === undefined ? {} : { pullIntervalMillis: facts.pullIntervalMillis }),
      ...(facts.maxReconsumeTimes === undefined ? {} : { maxReconsumeTimes: facts.maxReconsumeTimes }),
      ...(offsetDirectory === undefined ? {} : { localOffsetDirectory: offsetDirectory }),
    };
  }
}

const keyOf = ({ brokerName, topic, queueId }: MessageQueue) => `${brokerName} ${topic} ${queueId}`;

/** Messages from the next one that is for the group on; those before it have been passed over already. */
async function behindIn(
  pull: PullConsumer,
  queue: MessageQueue,
  filter: PullFilter,
  nextOffset: QueueOffset,
  end: QueueOffset,
): Promise<number> {
  for (let offset = nextOffset; offset < end; ) {
    const { messages, nextBeginOffset } = await pull.pull(queue, filter, offset, 1);
    const [first] = messages;
    if (first) return Math.max(0, end - first.queueOffset);
    if (nextBeginOffset <= offset) return end - offset;
    offset = nextBeginOffset;
  }
  return 0;
}
