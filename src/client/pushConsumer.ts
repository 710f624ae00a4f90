/**
 * A member of a consumer group: gets its share of the queues, pulls them, gives the messages to a listener and records
 * the progress. This file puts the parts together and answers for them towards the session; each part's work is in its
 * own file: `rebalance` (which queues), `assignments` (taking over, letting go), `pullLoop`, `processQueue`, `delivery`
 * (listener and outcomes), `failedMessages`, `queueLocks` (ordered), `offsetStore`, `startOffset`.
 * Upstream: `DefaultMQPushConsumer`, `DefaultMQPushConsumerImpl`.
 */
import os from 'node:os';
import type { Clock } from '../base/clock.js';
import { messageOf, OptionsError, RemotingError } from '../base/errors.js';
import { diskFiles, type Files, joinPath } from '../base/files.js';
import type { QueueOffset } from '../base/flavours.js';
import { Lifecycle } from '../base/lifecycle.js';
import type { Logger } from '../base/logger.js';
import type { ConsumerData, SubscriptionData } from '../protocol/bodies.js';
import type { MessageQueue, StoredMessage } from '../protocol/message.js';
import { assertGroup, assertTopic, DEFAULT_CONSUMER_GROUP, MASTER_ID, retryTopicOf } from '../protocol/names.js';
import { buildSubscription, isTagType } from '../protocol/subscription.js';
import { ALLOCATION_STRATEGIES } from './allocation.js';
import { Assignments } from './assignments.js';
import type { OffsetStore, PushConsumerOptions } from './clientTypes.js';
import { Delivery } from './delivery.js';
import { FailedMessages } from './failedMessages.js';
import { queueKey } from './messageQueues.js';
import { BrokerOffsetStore, LocalOffsetStore } from './offsetStore.js';
import { PullLoop } from './pullLoop.js';
import { QueueLocks } from './queueLocks.js';
import { Rebalance } from './rebalance.js';
import { receive } from './receivedMessage.js';
import type { ConsumerMember, DirectResult } from './serverRequests.js';
import type { Session } from './session.js';
import { startOffset } from './startOffset.js';

/** Upstream's defaults, see PushConsumerOptions. */
const DEFAULTS = {
  batchMaxSize: 1,
  concurrency: 20,
  pullBatchSize: 32,
  pullIntervalMillis: 0,
  thresholdCount: 1000,
  thresholdSizeBytes: 100 * 1024 * 1024,
  span: 2000,
  suspendMillis: 1000,
  stopTimeoutMillis: 5000,
  consumeTimeoutMinute: 15,
  timestampBackMillis: 30 * 60_000,
  concurrentReconsumeTimes: 16,
} as const;

export class PushConsumer {
  readonly group: string;
  readonly #session: Session;
  readonly #options: PushConsumerOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #files: Files;
  readonly #lifecycle: Lifecycle;
  readonly #subscriptions = new Map<string, SubscriptionData>();
  /** Queues that existed when the consumer started. */
  readonly #knownAtStart = new Set<string>();
  #parts: Parts | undefined;
  #isSuspended = false;
  #startedAt = 0;

  /** Throws OptionsError for a wrong option. Nothing runs before `start`. */
  constructor(session: Session, options: PushConsumerOptions, files: Files = diskFiles) {
    checkOptions(options);
    this.group = options.group;
    this.#session = session;
    this.#options = options;
    this.#clock = session.clock;
    this.#logger = session.logger;
    this.#files = files;
    this.#lifecycle = new Lifecycle(`consumer ${options.group}`);
    const subVersion = this.#clock.now();
    for (const { topic, expression, expressionType } of options.subscriptions) {
      this.#subscriptions.set(topic, buildSubscription(topic, expression, expressionType, subVersion));
    }
    if (!this.#isBroadcasting) {
      const retryTopic = retryTopicOf(this.group);
      this.#subscriptions.set(retryTopic, buildSubscription(retryTopic, '*', 'TAG', subVersion));
    }
  }

  get #isBroadcasting(): boolean {
    return this.#options.model === 'BROADCASTING';
  }

  /**
   * Joins the group and begins to consume. Resolves after the first division of the queues. Rejects when no name server
   * answers, or a broker refuses a subscription.
   */
  start(): Promise<void> {
    return this.#lifecycle.start(async (closes) => {
      this.#startedAt = this.#clock.now();
      const { routes, heartbeat } = this.#session;
      for (const topic of this.#options.subscriptions.map(({ topic }) => topic)) {
        const queues = (await routes.refresh(topic))?.subscribeQueues ?? [];
        for (const queue of queues) this.#knownAtStart.add(queueKey(queue));
      }
      await this.#checkSubscriptions();
      const parts = this.#build();
      this.#parts = parts;
      const member = this.#member(parts);
      const leave = this.#session.joinConsumer(member);
      closes.push(leave);
      closes.push(async () => {
        parts.assignments.abort();
        await parts.rebalance.stop();
        parts.locks?.stop();
        await parts.assignments.stop(this.#options.stopTimeoutMillis ?? DEFAULTS.stopTimeoutMillis);
      });
      parts.locks?.start();
      await heartbeat.beatAll();
      // The first heartbeat made the retry topic; it is found here, or by a later round.
      if (!this.#isBroadcasting) await routes.refreshAll([retryTopicOf(this.group)]);
      await parts.rebalance.now();
    });
  }

  /** Gives out nothing more, waits for running listener calls, records the offsets and leaves the group. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Pauses pulling and handing out; the queues stay assigned. */
  suspend(): void {
    this.#isSuspended = true;
    this.#parts?.delivery.pause();
  }

  resume(): void {
    this.#isSuspended = false;
    this.#parts?.delivery.resume();
    for (const assigned of this.#parts?.assignments.all() ?? []) assigned.wake();
  }

  /** The queues that this member has now. */
  assignedQueues(): MessageQueue[] {
    return this.#parts?.assignments.queues() ?? [];
  }

  /** How far each of these queues is settled: the offset of the next message that is not. */
  progress(): { queue: MessageQueue; nextOffset: QueueOffset }[] {
    const assigned = this.#parts?.assignments.all() ?? [];
    return assigned.map(({ queue, processQueue }) => ({ queue, nextOffset: processQueue.committable }));
  }

  /** A broker must be able to compile what is no tag expression. */
  async #checkSubscriptions(): Promise<void> {
    const { routes, brokerCalls, clientId } = this.#session;
    for (const subscriptionData of this.#subscriptions.values()) {
      if (isTagType(subscriptionData.expressionType)) continue;
      const [brokerName = ''] = routes.brokersOf(subscriptionData.topic);
      const target = routes.subscribeAddress(brokerName, MASTER_ID);
      if (!target) continue;
      try {
        await brokerCalls.checkClient(target.address, { clientId, group: this.group, subscriptionData });
      } catch (thrown) {
        // A broker that is away checks again with each pull.
        if (!(thrown instanceof RemotingError)) throw thrown;
        this.#logger.warn({ address: target.address, reason: messageOf(thrown) }, 'subscription was not checked');
      }
    }
  }

  #offsetStore(): OffsetStore {
    const { offsetStore, localOffsetDirectory } = this.#options;
    if (offsetStore) return offsetStore;
    const { group } = this;
    const { brokerCalls, routes, clientId } = this.#session;
    if (!this.#isBroadcasting) {
      return new BrokerOffsetStore({ group, calls: brokerCalls, routes, logger: this.#logger });
    }
    const directory = localOffsetDirectory ?? joinPath(os.homedir(), '.rocketmq_offsets');
    return LocalOffsetStore.open({ files: this.#files, directory, clientId, group });
  }

  #build(): Parts {
    const options = this.#options;
    const { group } = this;
    const { brokerCalls: calls, routes, heartbeat, clientId } = this.#session;
    const shared = { group, clientId, calls, routes, clock: this.#clock, logger: this.#logger };
    const { mode = 'concurrent', model = 'CLUSTERING' } = options;
    const isOrdered = mode === 'ordered';
    const given = options.maxReconsumeTimes ?? -1;
    const maxReconsumeTimes = given < 0 && !isOrdered ? DEFAULTS.concurrentReconsumeTimes : given;
    const offsetStore = this.#offsetStore();
    const locks =
      isOrdered && model === 'CLUSTERING'
        ? new QueueLocks({
            ...shared,
            assigned: () => assignments.all(),
            onLocked: (assigned) => void assignments.relocked(assigned),
          })
        : undefined;
    const delivery = new Delivery({
      mode,
      model,
      listener: options.listener,
      concurrency: options.consumeConcurrency ?? DEFAULTS.concurrency,
      batchMaxSize: options.consumeMessageBatchMaxSize ?? DEFAULTS.batchMaxSize,
      maxReconsumeTimes,
      suspendMillis: options.suspendCurrentQueueTimeMillis ?? DEFAULTS.suspendMillis,
      consumeTimeoutMillis: (options.consumeTimeoutMinute ?? DEFAULTS.consumeTimeoutMinute) * 60_000,
      failedMessages: new FailedMessages({ ...shared, maxReconsumeTimes }),
      clock: this.#clock,
      logger: this.#logger,
      onProgress: (assigned) => assignments.progressed(assigned),
      requestLock: () => locks?.request(),
    });
    if (this.#isSuspended) delivery.pause();
    const pullLoop = new PullLoop({
      ...shared,
      pullBatchSize: options.pullBatchSize ?? DEFAULTS.pullBatchSize,
      pullIntervalMillis: options.pullIntervalMillis ?? DEFAULTS.pullIntervalMillis,
      commitsWithPull: model === 'CLUSTERING' && options.offsetStore === undefined,
      subscriptionOf: (topic) => this.#subscriptions.get(topic),
      isSuspended: () => this.#isSuspended,
      requestLock: () => locks?.request(),
      onMessages: (assigned) => delivery.offer(assigned),
      onMoved: (assigned, offset) => assignments.moveTo(assigned, offset),
      onUnreachable: (address) => heartbeat.suspect(address),
      onForgotten: (address) => heartbeat.remind(address),
    });
    const assignments: Assignments = new Assignments({
      limits: {
        countMax: options.pullThresholdForQueue ?? DEFAULTS.thresholdCount,
        sizeBytesMax: options.pullThresholdSizeBytesForQueue ?? DEFAULTS.thresholdSizeBytes,
        spanMax: isOrdered ? undefined : (options.consumeConcurrentlyMaxSpan ?? DEFAULTS.span),
      },
      offsetStore,
      startOffset: (queue) => startOffset(this.#startParts(offsetStore), queue),
      pullLoop,
      delivery,
      locks,
      clock: this.#clock,
      logger: this.#logger,
    });
    const rebalance = new Rebalance({
      ...shared,
      model,
      strategy: ALLOCATION_STRATEGIES[options.allocation ?? 'AVG'],
      topics: [...this.#subscriptions.keys()],
      apply: (topic, share) => assignments.apply(topic, share),
      onUnreachable: (address) => heartbeat.suspect(address),
      onForgotten: (address) => heartbeat.remind(address),
    });
    return { assignments, delivery, locks, rebalance };
  }

  #startParts(offsetStore: OffsetStore) {
    const { from = 'CONSUME_FROM_LAST_OFFSET', fromTimestamp } = this.#options;
    const { brokerCalls, routes } = this.#session;
    const master = ({ brokerName }: MessageQueue): string => {
      const address = routes.masterAddress(brokerName);
      if (address !== undefined) return address;
      throw new RemotingError('CONNECT_FAILED', `no master of broker ${brokerName} is known`, { brokerName });
    };
    return {
      offsetStore,
      from,
      fromTimestamp: fromTimestamp ?? this.#startedAt - DEFAULTS.timestampBackMillis,
      existedAtStart: (queue: MessageQueue) => this.#knownAtStart.has(queueKey(queue)),
      maxOffset: async (queue: MessageQueue) => brokerCalls.maxOffset(master(queue), queue),
      offsetByTimestamp: async (queue: MessageQueue, timestamp: number) =>
        brokerCalls.offsetByTimestamp(master(queue), queue, timestamp),
    };
  }

  #member({ assignments, rebalance, locks }: Parts): ConsumerMember {
    const { model = 'CLUSTERING', from = 'CONSUME_FROM_LAST_OFFSET' } = this.#options;
    const ofTopic = (topic: string) => assignments.all().filter(({ queue }) => queue.topic === topic);
    const consumerData: ConsumerData = {
      groupName: this.group,
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: model,
      consumeFromWhere: from,
      subscriptionDataSet: [...this.#subscriptions.values()],
      unitMode: false,
    };
    return {
      group: this.group,
      topics: [...this.#subscriptions.keys()],
      consumerData: () => consumerData,
      rebalanceNow: () => void rebalance.now(),
      brokerRecovered: (address) => {
        void locks?.renewAll(address);
        for (const assigned of assignments.all()) {
          if (this.#session.routes.masterAddress(assigned.queue.brokerName) === address) assigned.wake();
        }
        void rebalance.now();
      },
      persistOffsets: () => assignments.persistAll(),
      resetOffsets: (topic, offsets) => {
        const byKey = new Map<string, QueueOffset>(offsets.map(([queue, offset]) => [queueKey(queue), offset]));
        for (const assigned of ofTopic(topic)) {
          const offset = byKey.get(queueKey(assigned.queue));
          if (offset === undefined) continue;
          this.#logger.info({ group: this.group, queue: assigned.queue, offset }, 'offset reset by the broker');
          assignments.moveTo(assigned, offset);
        }
      },
      offsets: (topic) => ofTopic(topic).map(({ queue, processQueue }) => [queue, processQueue.committable]),
      runningInfo: () => this.#runningInfo(assignments),
      consumeDirectly: (record, brokerName) => this.#consumeDirectly(record, brokerName),
      stop: () => this.stop(),
    };
  }

  /** Upstream: `ConsumerRunningInfo`; the spelling `droped` is the protocol's. */
  #runningInfo(assignments: Assignments): Record<string, unknown> {
    const mqTable = new Map<MessageQueue, Record<string, unknown>>();
    for (const assigned of assignments.all()) {
      const { queue, processQueue, lastPullAt, lockedUntil } = assigned;
      const bounds = processQueue.bounds;
      mqTable.set(queue, {
        cachedMsgCount: processQueue.count,
        cachedMsgMaxOffset: bounds?.max ?? 0,
        cachedMsgMinOffset: bounds?.min ?? 0,
        cachedMsgSizeInMiB: Math.floor(processQueue.sizeBytes / (1024 * 1024)),
        commitOffset: processQueue.committable,
        droped: assigned.isAborted,
        lastConsumeTimestamp: assigned.lastConsumeTimestamp,
        lastLockTimestamp: 0,
        lastPullTimestamp:
          lastPullAt === 0 ? 0 : Math.round(this.#clock.now() - (this.#clock.monotonic() - lastPullAt)),
        locked: Number.isFinite(lockedUntil) && lockedUntil > this.#clock.monotonic(),
        transactionMsgCount: 0,
        transactionMsgMaxOffset: 0,
        transactionMsgMinOffset: 0,
        tryUnlockTimes: 0,
      });
    }
    return {
      jstack: '',
      mqPopTable: {},
      mqTable,
      properties: {
        PROP_CLIENT_VERSION: 'V5_5_0',
        PROP_CONSUME_TYPE: 'CONSUME_PASSIVELY',
        PROP_CONSUMEORDERLY: String(this.#options.mode === 'ordered'),
        PROP_CONSUMER_START_TIMESTAMP: String(this.#startedAt),
        PROP_NAMESERVER_ADDR: this.#session.namesrvAddr,
        PROP_THREADPOOL_CORE_SIZE: String(this.#options.consumeConcurrency ?? DEFAULTS.concurrency),
      },
      statusTable: {},
      subscriptionSet: [...this.#subscriptions.values()],
      userConsumerInfo: {},
    };
  }

  /** An administrator has one message tried; nothing is settled by it. */
  async #consumeDirectly(record: StoredMessage, brokerName: string): Promise<DirectResult> {
    const startedAt = this.#clock.monotonic();
    const result = (consumeResult: DirectResult['consumeResult'], remark?: string): DirectResult => ({
      autoCommit: true,
      consumeResult,
      order: this.#options.mode === 'ordered',
      spentTimeMills: Math.round(this.#clock.monotonic() - startedAt),
      ...(remark === undefined ? {} : { remark }),
    });
    const message = receive(record, brokerName, this.group);
    if (message.defect) return result('CR_THROW_EXCEPTION', message.defect.message);
    const queue = { topic: message.topic, brokerName, queueId: message.queueId };
    try {
      const outcome = await this.#options.listener([message], { queue, signal: new AbortController().signal });
      return outcome.status === 'SUCCESS' ? result('CR_SUCCESS') : result('CR_LATER', outcome.status);
    } catch (thrown) {
      return result('CR_THROW_EXCEPTION', messageOf(thrown));
    }
  }
}

interface Parts {
  assignments: Assignments;
  delivery: Delivery;
  locks: QueueLocks | undefined;
  rebalance: Rebalance;
}

/** Upstream: `DefaultMQPushConsumerImpl.checkConfig`. */
function checkOptions(options: PushConsumerOptions): void {
  assertGroup(options.group);
  if (options.group === DEFAULT_CONSUMER_GROUP) {
    throw new OptionsError(`group ${DEFAULT_CONSUMER_GROUP} is reserved: choose another`, { group: options.group });
  }
  if (options.subscriptions.length === 0) {
    throw new OptionsError(`consumer ${options.group} subscribes to nothing: give at least one topic`);
  }
  const seen = new Set<string>();
  for (const { topic } of options.subscriptions) {
    assertTopic(topic);
    if (seen.has(topic)) {
      throw new OptionsError(`consumer ${options.group} subscribes to ${topic} twice: join the expressions`, { topic });
    }
    seen.add(topic);
  }
  const ranges: [name: keyof PushConsumerOptions, min: number, max: number][] = [
    ['consumeMessageBatchMaxSize', 1, 1024],
    ['consumeConcurrency', 1, 1000],
    ['pullBatchSize', 1, 1024],
    ['pullIntervalMillis', 0, 65_535],
    ['pullThresholdForQueue', 1, 65_535],
    ['pullThresholdSizeBytesForQueue', 1024 * 1024, 1024 * 1024 * 1024],
    ['consumeConcurrentlyMaxSpan', 1, 65_535],
    ['maxReconsumeTimes', -1, 2 ** 31 - 1],
    ['suspendCurrentQueueTimeMillis', 10, 30_000],
    ['stopTimeoutMillis', 0, 600_000],
    ['consumeTimeoutMinute', 1, 10_080],
  ];
  for (const [name, min, max] of ranges) {
    const value = options[name];
    if (value === undefined) continue;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw new OptionsError(`${name} is ${String(value)}, allowed are whole numbers from ${min} to ${max}`, { name });
    }
  }
}
