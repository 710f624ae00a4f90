/**
 * Keeps one assigned queue's cache filled: pulls while there is room, holds a pull at the broker while there is nothing
 * new (long polling), and follows the offset that each answer names. The next pull goes out as soon as the last one is
 * cached, while listeners still work on it. Upstream: `DefaultMQPushConsumerImpl.pullMessage`.
 *
 * A loop ends when its queue is aborted; an answer that comes later is thrown away. A failed pull is repeated after
 * one second, or as soon as the broker answers the heartbeat that it gets: it may have been restarted and know no groups.
 */
import { type Clock, delay } from '../base/clock.js';
import { BrokerError, messageOf } from '../base/errors.js';
import type { QueueOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import { tagFilter } from '../filter/tagFilter.js';
import type { SubscriptionData } from '../protocol/bodies.js';
import { PULL_SYS_FLAG } from '../protocol/headers/messaging.js';
import { decodeRecords } from '../protocol/messageRecord.js';
import { MASTER_ID } from '../protocol/names.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { AssignedQueue } from './assignedQueue.js';
import type { BrokerCalls, PullAnswer } from './brokerCalls.js';
import { receive } from './receivedMessage.js';
import type { Routes } from './routes.js';

/** How long the broker may hold a pull. Upstream: `BROKER_SUSPEND_MAX_TIME_MILLIS`. */
const SUSPEND_MILLIS = 15_000;
/** How long the answer may take. Upstream: `CONSUMER_TIMEOUT_MILLIS_WHEN_SUSPEND`. */
const PULL_TIMEOUT_MILLIS = 30_000;
const PULL_BATCH_SIZE_BYTES = 256 * 1024;
const AFTER_FAILURE_MILLIS = 1000;
/** The heartbeat that reminds the broker is under way: a few pulls are repeated sooner. */
const AFTER_FORGOTTEN_MILLIS = 100;
const FORGOTTEN_MAX = 5;
const AFTER_FLOW_CONTROL_MILLIS = 20;
/** A broker that holds no more pulls says at once that there is nothing new: it is not asked in a tight loop. */
const AFTER_EMPTY_MILLIS = 20;

/** The broker has forgotten the group, or has an older subscription of it: a heartbeat puts that right. */
const NEEDS_HEARTBEAT: ReadonlySet<number> = new Set([
  RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST,
  RESPONSE_CODE.SUBSCRIPTION_NOT_LATEST,
  RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST,
  RESPONSE_CODE.FILTER_DATA_NOT_EXIST,
  RESPONSE_CODE.FILTER_DATA_NOT_LATEST,
]);

export interface PullLoopParts {
  group: string;
  calls: BrokerCalls;
  routes: Routes;
  clock: Clock;
  logger: Logger;
  pullBatchSize: number;
  pullIntervalMillis: number;
  /** Is progress kept by the broker, so that pulls may carry it? */
  commitsWithPull: boolean;
  subscriptionOf(topic: string): SubscriptionData | undefined;
  isSuspended(): boolean;
  /** Ordered: asks for the queue's lock; wakes the queue when it is there. */
  requestLock(assigned: AssignedQueue): void;
  /** The cache has something new. */
  onMessages(assigned: AssignedQueue): void;
  /** The broker says that the queue goes on elsewhere: a reset, or the offset is not in the queue. */
  onMoved(assigned: AssignedQueue, offset: QueueOffset): void;
  /** The broker does not answer. */
  onUnreachable(address: string): void;
  /** The broker answers but does not know this client's group or subscription. */
  onForgotten(address: string): void;
}

export class PullLoop {
  readonly #parts: PullLoopParts;

  constructor(parts: PullLoopParts) {
    this.#parts = parts;
  }

  /** Runs until the queue is aborted. Never rejects. */
  async run(assigned: AssignedQueue): Promise<void> {
    const { clock } = this.#parts;
    while (!assigned.isAborted) {
      if (this.#parts.isSuspended() || assigned.processQueue.isFull) {
        await assigned.woken();
        continue;
      }
      if (clock.monotonic() >= assigned.lockedUntil) {
        const woken = assigned.woken();
        this.#parts.requestLock(assigned);
        await woken;
        continue;
      }
      let pauseMillis: number;
      try {
        pauseMillis = await this.#pull(assigned);
      } catch (thrown) {
        pauseMillis = this.#pauseAfter(assigned, thrown);
      }
      if (pauseMillis > 0 && !assigned.isAborted) await assigned.rest(clock, pauseMillis);
    }
  }

  async #pull(assigned: AssignedQueue): Promise<number> {
    const { calls, routes, clock, group, pullBatchSize, pullIntervalMillis } = this.#parts;
    const { queue, processQueue, nextOffset } = assigned;
    const subscription = this.#parts.subscriptionOf(queue.topic);
    const target = routes.subscribeAddress(queue.brokerName, assigned.brokerId);
    if (!subscription || !target) {
      await routes.refreshSoon(queue.topic);
      return AFTER_FAILURE_MILLIS;
    }
    const commitOffset = processQueue.committable;
    const commits = this.#parts.commitsWithPull && commitOffset > 0 && target.brokerId === MASTER_ID;
    const startedAt = clock.monotonic();
    assigned.lastPullAt = startedAt;
    const moved = assigned.moved();
    const pulled = calls
      .pull(
        target.address,
        {
          consumerGroup: group,
          topic: queue.topic,
          queueId: queue.queueId,
          queueOffset: nextOffset,
          maxMsgNums: pullBatchSize,
          sysFlag: PULL_SYS_FLAG.SUSPEND | (commits ? PULL_SYS_FLAG.COMMIT_OFFSET : 0),
          commitOffset: commits ? commitOffset : 0,
          suspendTimeoutMillis: SUSPEND_MILLIS,
          subVersion: subscription.subVersion,
          expressionType: subscription.expressionType,
          maxMsgBytes: PULL_BATCH_SIZE_BYTES,
          bname: queue.brokerName,
        },
        PULL_TIMEOUT_MILLIS,
      )
      .catch((thrown) => {
        if (!assigned.isAborted) this.#report(target.address, thrown);
        throw thrown;
      });
    // A pull that the broker holds is not waited for when the queue goes on elsewhere.
    const answer = await Promise.race([pulled, moved]);
    // The queue may have been lost or moved meanwhile: then the answer is about the past.
    if (answer === 'MOVED' || assigned.isAborted || assigned.processQueue !== processQueue) return 0;
    assigned.brokerId = answer.suggestWhichBrokerId;
    assigned.failedPulls = 0;
    assigned.forgottenPulls = 0;
    const pauseMillis = this.#follow(assigned, subscription, answer, clock.monotonic() - startedAt);
    const isAtEnd = answer.status === 'FOUND' && answer.nextBeginOffset >= answer.maxOffset;
    // Unlike a pause after a failure, this one is not cut short by the progress of listeners.
    if (isAtEnd && pullIntervalMillis > 0) await delay(clock, pullIntervalMillis, assigned.signal);
    return pauseMillis;
  }

  #follow(assigned: AssignedQueue, subscription: SubscriptionData, answer: PullAnswer, tookMillis: number): number {
    const from = assigned.nextOffset;
    switch (answer.status) {
      case 'FOUND':
        this.#cache(assigned, subscription, answer);
        return 0;
      case 'NO_MATCHED_MSG':
      case 'NO_NEW_MSG': {
        assigned.advanceTo(Math.max(from, answer.nextBeginOffset));
        const isTooSoon = assigned.nextOffset === from && tookMillis < AFTER_EMPTY_MILLIS;
        return isTooSoon ? AFTER_EMPTY_MILLIS : 0;
      }
      case 'OFFSET_ILLEGAL':
        this.#parts.logger.warn(
          { queue: assigned.queue, from, to: answer.nextBeginOffset },
          'the broker moved the offset of the queue',
        );
        this.#parts.onMoved(assigned, answer.nextBeginOffset);
        return 0;
    }
  }

  #cache(assigned: AssignedQueue, subscription: SubscriptionData, answer: PullAnswer): void {
    const { queue, processQueue, nextOffset } = assigned;
    // The broker compares hashes of tags; here the texts decide.
    const isMatch = tagFilter(subscription.tagsSet);
    const messages = decodeRecords(answer.records)
      .filter((record) => record.queueOffset >= nextOffset)
      .map((record) => receive(record, queue.brokerName, this.#parts.group))
      .filter((message) => isMatch(message.tags));
    processQueue.put(messages);
    const last = messages.at(-1)?.queueOffset ?? nextOffset - 1;
    assigned.advanceTo(Math.max(answer.nextBeginOffset, last + 1));
    if (messages.length > 0) this.#parts.onMessages(assigned);
  }

  #report(address: string, thrown: unknown): void {
    if (!(thrown instanceof BrokerError)) this.#parts.onUnreachable(address);
    else if (NEEDS_HEARTBEAT.has(thrown.responseCode)) this.#parts.onForgotten(address);
  }

  #pauseAfter(assigned: AssignedQueue, thrown: unknown): number {
    if (assigned.isAborted) return 0;
    const code = thrown instanceof BrokerError ? thrown.responseCode : undefined;
    if (code === RESPONSE_CODE.FLOW_CONTROL) return AFTER_FLOW_CONTROL_MILLIS;
    assigned.failedPulls += 1;
    const level = assigned.failedPulls === 1 ? 'warn' : 'debug';
    this.#parts.logger[level](
      { queue: assigned.queue, reason: messageOf(thrown) },
      'pull failed, tried again every second',
    );
    if (code === undefined || code === RESPONSE_CODE.TOPIC_NOT_EXIST) {
      void this.#parts.routes.refreshSoon(assigned.queue.topic);
    }
    const isForgotten = code !== undefined && NEEDS_HEARTBEAT.has(code);
    assigned.forgottenPulls = isForgotten ? assigned.forgottenPulls + 1 : 0;
    return isForgotten && assigned.forgottenPulls <= FORGOTTEN_MAX ? AFTER_FORGOTTEN_MILLIS : AFTER_FAILURE_MILLIS;
  }
}
