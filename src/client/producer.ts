/**
 * Sends messages. A send is repeated on other brokers while the failure may be a broker's own and the time lasts; the
 * unique key stays the same, so that a repeat that was stored twice can be recognised. A message with a queue or a
 * sharding key goes there or nowhere: no other queue is tried. Upstream: `DefaultMQProducerImpl`.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.js';
import { BrokerError, FoldlogError, LifecycleError, messageOf, OptionsError, RemotingError } from '../base/errors.js';
import type { MessageQueue } from '../protocol/message.js';
import { PROPERTY } from '../protocol/messageProperties.js';
import { AUTO_CREATE_TOPIC_KEY_TOPIC, assertGroup, replyTopicOf } from '../protocol/names.js';
import { decodeRecallHandle, type RecallHandle } from '../protocol/recallHandle.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { SendHeader } from './brokerCalls.js';
import type { Message, ReceivedMessage, SendResult } from './clientTypes.js';
import { CORRELATION, type Outgoing, prepare, prepareBatch } from './outgoing.js';
import { QueueSelection, queueByHash } from './queueSelection.js';
import { DEFAULT_TOPIC_QUEUE_NUMS } from './routes.js';
import type { StoredSend } from './sendAnswer.js';
import type { Session } from './session.js';

const SEND_TIMEOUT_MILLIS = 3000;
/** Attempts after the first. Upstream: `retryTimesWhenSendFailed`. */
const RETRY_TIMES = 2;

export interface ProducerOptions {
  session: Session;
  /** Default `foldlog-producer`. */
  group?: string;
  /** For all attempts of a send together. Default 3000. */
  sendMsgTimeoutMillis?: number;
  /** Attempts after the first. Default 2. */
  retryTimesWhenSendFailed?: number;
  /** Also try another broker when the message was stored but not flushed or replicated in time. Default false. */
  retryAnotherBrokerWhenNotStoreOK?: boolean;
}

export interface SendOptions {
  /** Exactly this queue; not repeated elsewhere. */
  queue?: MessageQueue;
  /** Messages of one key go to one queue, in order. Not repeated elsewhere. */
  shardingKey?: string;
  /** Overrides the producer's. */
  timeoutMillis?: number;
}

/** What a consumer answers to a request. */
export type Reply = Pick<Message, 'body' | 'tags' | 'keys' | 'properties' | 'flag'>;

/** The attempts of a send so far, and how the last of each kind failed. */
interface Tried {
  readonly brokersSent: string[];
  failure?: unknown;
  /** Stored, and not flushed or replicated in time. */
  soft?: SendResult;
}

export class Producer {
  readonly group: string;
  readonly #session: Session;
  readonly #clock: Clock;
  readonly #timeoutMillis: number;
  readonly #attempts: number;
  readonly #retriesSoftFailures: boolean;
  readonly #selection = new QueueSelection();
  readonly #leave: () => void;
  /** Masters that know this producer, so that they can hand it replies. */
  #knownAt: ReadonlySet<string> = new Set();
  #isClosed = false;

  constructor(options: ProducerOptions) {
    const { session, group = 'foldlog-producer' } = options;
    assertGroup(group);
    this.group = group;
    this.#session = session;
    this.#clock = session.clock;
    this.#timeoutMillis = options.sendMsgTimeoutMillis ?? SEND_TIMEOUT_MILLIS;
    this.#attempts = 1 + (options.retryTimesWhenSendFailed ?? RETRY_TIMES);
    this.#retriesSoftFailures = options.retryAnotherBrokerWhenNotStoreOK ?? false;
    this.#leave = session.joinProducer(group);
  }

  /** Resolves when the message is stored; `status` tells whether it was flushed and replicated in time, too. */
  send(message: Message, options: SendOptions = {}): Promise<SendResult> {
    try {
      return this.#send(prepare(message, this.#session.nextUniqueKey, options.shardingKey), options);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  /** Messages of one topic, stored in order in one queue; all or none. */
  async sendBatch(messages: readonly Message[], options: SendOptions = {}): Promise<SendResult> {
    return this.#send(prepareBatch(messages, this.#session.nextUniqueKey), options);
  }

  /** Sends once and does not ask whether it arrived. */
  async sendOneway(message: Message, options: SendOptions = {}): Promise<void> {
    const outgoing = prepare(message, this.#session.nextUniqueKey, options.shardingKey);
    const queue = (await this.#fixedQueue(outgoing, options)) ?? (await this.#nextQueue(outgoing));
    await this.#session.brokerCalls.sendOneway(this.#addressOf(queue), this.#header(outgoing, queue), outgoing.body);
  }

  /**
   * Takes back a message that waits for its time, by the handle of its send. Resolves with its `msgId`. Rejects when its
   * time has come, or when its broker does not take recalls (`recallMessageEnable`); a lost answer may be repeated.
   */
  async recall(topic: string, recallHandle: string, options: { timeoutMillis?: number } = {}): Promise<string> {
    if (this.#isClosed) throw new LifecycleError(`producer ${this.group} is closed`);
    const { brokerName } = handleOf(topic, recallHandle);
    // Knowing the topic's queues is knowing its brokers.
    await this.#session.routes.publishQueues(topic);
    const address = this.#addressOf({ topic, brokerName, queueId: 0 });
    const header = { producerGroup: this.group, topic, recallHandle, bname: brokerName };
    return this.#session.brokerCalls.recall(address, header, options.timeoutMillis ?? this.#timeoutMillis);
  }

  /**
   * Sends a message and resolves with the reply that a consumer of it makes ({@link reply}). Rejects with
   * REQUEST_TIMEOUT when none comes in time; a consumer may then have handled the message all the same.
   *
   * @param timeoutMillis for the send and the reply together; default the producer's `sendMsgTimeoutMillis`
   * @example const { body } = await producer.request({ topic: 'Prices', body: 'AAPL' }, 2000);
   */
  async request(
    message: Message,
    timeoutMillis: number = this.#timeoutMillis,
    options: Omit<SendOptions, 'timeoutMillis'> = {},
  ): Promise<ReceivedMessage> {
    if (this.#isClosed) throw new LifecycleError(`producer ${this.group} is closed`);
    const { clientId, nextUniqueKey, replies } = this.#session;
    const correlationId = randomUUID();
    const marks = {
      [PROPERTY.CORRELATION_ID]: correlationId,
      [PROPERTY.REPLY_TO_CLIENT]: clientId,
      [PROPERTY.TTL]: String(timeoutMillis),
    };
    const outgoing = prepare({ ...message, [CORRELATION]: marks }, nextUniqueKey, options.shardingKey);
    const reply = replies.expect(correlationId, message.topic, timeoutMillis);
    // Whoever fails first is reported; the other must not be an unhandled rejection.
    reply.catch(() => {});
    try {
      await Promise.race([this.#becomeKnown(message.topic), reply]);
      await this.#send(outgoing, { ...options, timeoutMillis });
    } catch (thrown) {
      replies.forget(correlationId);
      throw thrown;
    }
    try {
      return await reply;
    } catch (thrown) {
      // A broker that was started anew has forgotten whom to hand replies to.
      this.#knownAt = new Set();
      throw thrown;
    }
  }

  /**
   * Answers a request that a consumer was given. Resolves when the requester has the reply; rejects when it is not there
   * any more, or with OPTIONS_INVALID for a message that asks for no reply. It is tried once.
   */
  async reply(request: ReceivedMessage, reply: Reply, options: { timeoutMillis?: number } = {}): Promise<SendResult> {
    if (this.#isClosed) throw new LifecycleError(`producer ${this.group} is closed`);
    const { routes, brokerCalls, nextUniqueKey } = this.#session;
    const { topic, marks } = correlationOf(request);
    const outgoing = prepare({ ...reply, topic, [CORRELATION]: marks }, nextUniqueKey);
    const queues = await routes.publishQueues(topic);
    // The broker that had the request knows the requester; others of the cluster probably do.
    const queue = queues.find(({ brokerName }) => brokerName === request.brokerName) ?? queues[0];
    if (!queue) throw new FoldlogError('TOPIC_NOT_FOUND', `topic ${topic} has no queue to reply to`, { topic });
    const header = this.#header(outgoing, queue);
    const timeoutMillis = options.timeoutMillis ?? this.#timeoutMillis;
    const stored = await brokerCalls.sendReply(this.#addressOf(queue), header, outgoing.body, timeoutMillis);
    return resultOf(outgoing, queue, stored);
  }

  /** Takes the group out of the session. Sends under way go on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#leave();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #send(outgoing: Outgoing, options: SendOptions): Promise<SendResult> {
    if (this.#isClosed) throw new LifecycleError(`producer ${this.group} is closed`);
    const startedAt = this.#clock.monotonic();
    const deadline = startedAt + (options.timeoutMillis ?? this.#timeoutMillis);
    if (options.queue === undefined && options.shardingKey === undefined) {
      return this.#sendWithRetries(outgoing, startedAt, deadline);
    }
    return this.#sendFixed(outgoing, options, startedAt, deadline);
  }

  async #sendFixed(outgoing: Outgoing, options: SendOptions, startedAt: number, deadline: number): Promise<SendResult> {
    const fixed = await this.#fixedQueue(outgoing, options);
    if (!fixed) return this.#sendWithRetries(outgoing, startedAt, deadline);
    return resultOf(outgoing, fixed, await this.#sendOnce(outgoing, fixed, deadline));
  }

  /** Nearly every send needs one attempt on a queue that is known: that one costs no more than it must. */
  #sendWithRetries(outgoing: Outgoing, startedAt: number, deadline: number): Promise<SendResult> {
    const queue = this.#attempts > 0 && startedAt < deadline ? this.#knownQueue(outgoing, undefined) : undefined;
    if (!queue) return this.#sendRepeatedly(outgoing, startedAt, deadline, { brokersSent: [] });
    return this.#sendOnce(outgoing, queue, deadline).then(
      (stored) => {
        const result = resultOf(outgoing, queue, stored);
        if (this.#isEnough(result)) return result;
        return this.#sendRepeatedly(outgoing, startedAt, deadline, { brokersSent: [queue.brokerName], soft: result });
      },
      async (thrown: unknown) => {
        const tried: Tried = { brokersSent: [queue.brokerName] };
        await this.#failed(outgoing, tried, thrown);
        return this.#sendRepeatedly(outgoing, startedAt, deadline, tried);
      },
    );
  }

  async #sendRepeatedly(outgoing: Outgoing, startedAt: number, deadline: number, tried: Tried): Promise<SendResult> {
    const { brokersSent } = tried;
    while (brokersSent.length < this.#attempts && this.#clock.monotonic() < deadline) {
      const lastBrokerName = brokersSent.at(-1);
      const queue = this.#knownQueue(outgoing, lastBrokerName) ?? (await this.#nextQueue(outgoing, lastBrokerName));
      brokersSent.push(queue.brokerName);
      try {
        const result = resultOf(outgoing, queue, await this.#sendOnce(outgoing, queue, deadline));
        if (this.#isEnough(result)) return result;
        tried.soft = result;
      } catch (thrown) {
        await this.#failed(outgoing, tried, thrown);
      }
    }
    if (tried.soft) return tried.soft;
    throw this.#afterAll(outgoing, brokersSent, tried.failure, this.#clock.monotonic() - startedAt);
  }

  #isEnough({ status }: SendResult): boolean {
    return status === 'SEND_OK' || !this.#retriesSoftFailures;
  }

  /** Throws what no repeat can help. */
  async #failed({ topic }: Outgoing, tried: Tried, thrown: unknown): Promise<void> {
    if (!isRetriable(thrown)) throw thrown;
    tried.failure = thrown;
    await this.#session.routes.refreshSoon(topic);
  }

  #afterAll(outgoing: Outgoing, brokersSent: string[], failure: unknown, cost: number): FoldlogError {
    const { topic } = outgoing;
    const text =
      `send [${brokersSent.length}] times, still failed, cost [${Math.round(cost)}]ms, Topic: ${topic}, ` +
      `BrokersSent: [${brokersSent.join(', ')}]: ${failure === undefined ? 'no time left' : messageOf(failure)}`;
    const details = { topic, brokersSent, cause: failure, retriable: true };
    if (failure instanceof BrokerError) return new BrokerError(failure.responseCode, failure.remark, text, details);
    // Whether one of the attempts may have been stored is what the caller has to know.
    if (failure instanceof RemotingError && failure.code !== 'TOO_BUSY') {
      const isUnknown = failure.mayHaveBeenExecuted;
      return new RemotingError(isUnknown ? 'REQUEST_TIMEOUT' : 'CONNECT_FAILED', text, details);
    }
    return new RemotingError('REQUEST_TIMEOUT', text, details);
  }

  #sendOnce(outgoing: Outgoing, queue: MessageQueue, deadline: number): Promise<StoredSend> {
    try {
      const timeoutMillis = Math.max(1, deadline - this.#clock.monotonic());
      const address = this.#addressOf(queue);
      const header = this.#header(outgoing, queue);
      return this.#session.brokerCalls.send(address, header, outgoing.body, timeoutMillis);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  /** All brokers of the session know the producer when it resolves, those that answer. */
  async #becomeKnown(topic: string): Promise<void> {
    const { routes, heartbeat } = this.#session;
    await routes.publishQueues(topic);
    const addresses = routes.brokerAddresses({ mastersOnly: true });
    if (addresses.every((address) => this.#knownAt.has(address))) return;
    await heartbeat.beatAll();
    this.#knownAt = new Set(addresses);
  }

  #header(outgoing: Outgoing, queue: MessageQueue): SendHeader {
    return {
      producerGroup: this.group,
      topic: outgoing.topic,
      defaultTopic: AUTO_CREATE_TOPIC_KEY_TOPIC,
      defaultTopicQueueNums: DEFAULT_TOPIC_QUEUE_NUMS,
      queueId: queue.queueId,
      sysFlag: outgoing.sysFlag,
      bornTimestamp: outgoing.bornTimestamp ?? this.#clock.now(),
      flag: outgoing.flag,
      properties: outgoing.propertiesText,
      reconsumeTimes: 0,
      unitMode: false,
      batch: outgoing.isBatch,
      bname: queue.brokerName,
    };
  }

  async #fixedQueue(outgoing: Outgoing, { queue, shardingKey }: SendOptions): Promise<MessageQueue | undefined> {
    if (queue === undefined && shardingKey === undefined) return undefined;
    const queues = await this.#session.routes.publishQueues(outgoing.topic);
    if (queue) {
      if (queue.topic !== outgoing.topic) {
        throw new OptionsError(`queue of topic ${queue.topic} given for a message to ${outgoing.topic}`);
      }
      return queue;
    }
    return shardingKey === undefined ? undefined : queueByHash(shardingKey, queues);
  }

  /** {@link #nextQueue} of a topic whose route is known: without a wait, as nearly every send finds it. */
  #knownQueue({ topic }: Outgoing, lastBrokerName: string | undefined): MessageQueue | undefined {
    const queues = this.#session.routes.peek(topic)?.publishQueues;
    return queues && queues.length > 0 ? this.#selection.next(topic, queues, lastBrokerName) : undefined;
  }

  async #nextQueue({ topic }: Outgoing, lastBrokerName?: string): Promise<MessageQueue> {
    const queues = await this.#session.routes.publishQueues(topic);
    const queue = this.#selection.next(topic, queues, lastBrokerName);
    if (queue) return queue;
    throw new FoldlogError('TOPIC_NOT_FOUND', `topic ${topic} has no queue that may be sent to`, { topic });
  }

  #addressOf(queue: MessageQueue): string {
    const address = this.#session.routes.masterAddress(queue.brokerName);
    if (address !== undefined) return address;
    throw new RemotingError('CONNECT_FAILED', `no master of broker ${queue.brokerName} is known`, { ...queue });
  }
}

function resultOf(outgoing: Outgoing, queue: MessageQueue, stored: StoredSend): SendResult {
  const result: SendResult = {
    status: stored.status,
    msgId: outgoing.uniqueKey,
    offsetMsgId: stored.msgId,
    queue: { topic: queue.topic, brokerName: queue.brokerName, queueId: stored.queueId },
    queueOffset: stored.queueOffset,
  };
  if (stored.recallHandle !== undefined) result.recallHandle = stored.recallHandle;
  return result;
}

/** Where the reply to a request goes, and what it carries. Upstream: `MessageUtil.createReplyMessage`. */
function correlationOf({ properties, topic, msgId }: ReceivedMessage): {
  topic: string;
  marks: Record<string, string>;
} {
  const { CLUSTER, CORRELATION_ID, REPLY_TO_CLIENT, TTL } = PROPERTY;
  const { [CLUSTER]: cluster, [CORRELATION_ID]: correlationId, [REPLY_TO_CLIENT]: clientId, [TTL]: ttl } = properties;
  if (cluster === undefined || correlationId === undefined || clientId === undefined) {
    throw new OptionsError(
      `message ${msgId} of topic ${topic} asks for no reply: it lacks ${CLUSTER}, ${CORRELATION_ID} or ${REPLY_TO_CLIENT}`,
      { topic, msgId },
    );
  }
  const marks: Record<string, string> = {
    [PROPERTY.MSG_TYPE]: 'reply',
    [CORRELATION_ID]: correlationId,
    [REPLY_TO_CLIENT]: clientId,
  };
  if (ttl !== undefined) marks[TTL] = ttl;
  return { topic: replyTopicOf(cluster), marks };
}

function handleOf(topic: string, text: string): RecallHandle {
  let handle: RecallHandle;
  try {
    handle = decodeRecallHandle(text);
  } catch (thrown) {
    throw new OptionsError(messageOf(thrown), { recallHandle: text, cause: thrown });
  }
  if (handle.topic === topic) return handle;
  throw new OptionsError(`recall handle of topic ${handle.topic} given for topic ${topic}`, { topic });
}

/** Upstream: `DefaultMQProducer.retryResponseCodes`, and any failure of the network. */
function isRetriable(thrown: unknown): boolean {
  if (thrown instanceof BrokerError) return thrown.retriable && thrown.responseCode !== RESPONSE_CODE.SUCCESS;
  return thrown instanceof RemotingError && thrown.code !== 'FRAME_INVALID';
}
