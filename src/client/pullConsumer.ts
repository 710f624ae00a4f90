/**
 * Pulls by queue and offset, as the caller decides; nothing runs in the background and no group member is registered.
 * Offsets can be recorded for the group at the broker. Upstream: `DefaultMQPullConsumer`.
 */
import { FoldlogError, RemotingError } from '../base/errors.js';
import type { QueueOffset, TimestampMillis } from '../base/flavours.js';
import { tagFilter } from '../filter/tagFilter.js';
import { PULL_SYS_FLAG } from '../protocol/headers/messaging.js';
import type { MessageQueue } from '../protocol/message.js';
import { decodeRecords } from '../protocol/messageRecord.js';
import { assertGroup, MASTER_ID } from '../protocol/names.js';
import { buildSubscription } from '../protocol/subscription.js';
import type { PullStatus } from './brokerCalls.js';
import type { ReceivedMessage, Subscription } from './clientTypes.js';
import { receive } from './receivedMessage.js';
import type { Session } from './session.js';

const PULL_TIMEOUT_MILLIS = 10_000;
/** How long a blocking pull is held by the broker, and how long its answer may take. */
const BLOCK_SUSPEND_MILLIS = 20_000;
const BLOCK_TIMEOUT_MILLIS = 30_000;

export interface PullResult {
  /** FOUND; NO_NEW_MSG; NO_MATCHED_MSG: go on at nextBeginOffset; OFFSET_ILLEGAL: the offset is not in the queue. */
  status: PullStatus;
  nextBeginOffset: QueueOffset;
  minOffset: QueueOffset;
  maxOffset: QueueOffset;
  messages: ReceivedMessage[];
}

export interface PullConsumerOptions {
  session: Session;
  group: string;
}

/** Which messages: a tag expression, or an expression with its type. */
export type PullFilter = string | Pick<Subscription, 'expression' | 'expressionType'>;

export class PullConsumer {
  readonly group: string;
  readonly #session: Session;
  /** Broker suggested for the next pull, by broker name. */
  readonly #brokerIds = new Map<string, number>();

  constructor({ session, group }: PullConsumerOptions) {
    assertGroup(group);
    this.group = group;
    this.#session = session;
  }

  /** The topic's queues that can be consumed, sorted. Throws TOPIC_NOT_FOUND. */
  async fetchQueues(topic: string): Promise<readonly MessageQueue[]> {
    const queues = await this.#session.routes.subscribeQueues(topic);
    if (queues) return queues;
    throw new FoldlogError(
      'TOPIC_NOT_FOUND',
      `no route to topic ${topic}: create it, or start the broker that has it`,
      {
        topic,
      },
    );
  }

  /** Answers at once. */
  pull(queue: MessageQueue, filter: PullFilter, offset: QueueOffset, countMax: number): Promise<PullResult> {
    return this.#pull(queue, filter, offset, countMax, undefined);
  }

  /** Waits up to 20 s for a message when there is none. */
  pullBlocking(queue: MessageQueue, filter: PullFilter, offset: QueueOffset, countMax: number): Promise<PullResult> {
    return this.#pull(queue, filter, offset, countMax, BLOCK_SUSPEND_MILLIS);
  }

  async maxOffset(queue: MessageQueue): Promise<QueueOffset> {
    return this.#session.brokerCalls.maxOffset(await this.#master(queue), queue);
  }

  async minOffset(queue: MessageQueue): Promise<QueueOffset> {
    return this.#session.brokerCalls.minOffset(await this.#master(queue), queue);
  }

  /** The first offset stored at or after the time. */
  async offsetByTimestamp(queue: MessageQueue, timestamp: TimestampMillis): Promise<QueueOffset> {
    return this.#session.brokerCalls.offsetByTimestamp(await this.#master(queue), queue, timestamp);
  }

  /** What the group has recorded; undefined when nothing is. */
  async committedOffset(queue: MessageQueue): Promise<QueueOffset | undefined> {
    return this.#session.brokerCalls.consumerOffset(await this.#master(queue), this.group, queue);
  }

  /** Resolves when the broker has taken the offset over. */
  async commitOffset(queue: MessageQueue, offset: QueueOffset): Promise<void> {
    await this.#session.brokerCalls.updateConsumerOffset(await this.#master(queue), this.group, queue, offset);
  }

  async #pull(
    queue: MessageQueue,
    filter: PullFilter,
    offset: QueueOffset,
    countMax: number,
    suspendMillis: number | undefined,
  ): Promise<PullResult> {
    const { expression, expressionType } = typeof filter === 'string' ? { expression: filter } : { ...filter };
    const subscription = buildSubscription(queue.topic, expression, expressionType);
    const suspends = suspendMillis === undefined ? 0 : PULL_SYS_FLAG.SUSPEND;
    const answer = await this.#session.brokerCalls.pull(
      await this.#address(queue, this.#brokerIds.get(queue.brokerName) ?? MASTER_ID),
      {
        consumerGroup: this.group,
        topic: queue.topic,
        queueId: queue.queueId,
        queueOffset: offset,
        maxMsgNums: countMax,
        sysFlag: PULL_SYS_FLAG.SUBSCRIPTION | suspends,
        commitOffset: 0,
        suspendTimeoutMillis: suspendMillis ?? 0,
        subscription: subscription.subString,
        subVersion: subscription.subVersion,
        expressionType: subscription.expressionType,
        bname: queue.brokerName,
      },
      suspendMillis === undefined ? PULL_TIMEOUT_MILLIS : BLOCK_TIMEOUT_MILLIS,
    );
    this.#brokerIds.set(queue.brokerName, answer.suggestWhichBrokerId);
    const { status, nextBeginOffset, minOffset, maxOffset, records } = answer;
    // The broker compares hashes of tags; here the texts decide.
    const isMatch = tagFilter(subscription.tagsSet);
    const messages =
      status === 'FOUND'
        ? decodeRecords(records)
            .map((record) => receive(record, queue.brokerName))
            .filter((message) => isMatch(message.tags))
        : [];
    return { status, nextBeginOffset, minOffset, maxOffset, messages };
  }

  #master(queue: MessageQueue): Promise<string> {
    return this.#address(queue, MASTER_ID);
  }

  async #address({ topic, brokerName }: MessageQueue, brokerId: number): Promise<string> {
    const { routes } = this.#session;
    if (!routes.subscribeAddress(brokerName, brokerId)) await routes.refresh(topic);
    const target = routes.subscribeAddress(brokerName, brokerId);
    if (target) return target.address;
    throw new RemotingError('CONNECT_FAILED', `no address of broker ${brokerName} is known`, { brokerName, topic });
  }
}
