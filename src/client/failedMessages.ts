/**
 * Where messages go that a listener did not settle: back to the broker for a later attempt, or to the group's
 * dead-letter topic. Resolves only when the broker has stored them elsewhere; until then they stay unsettled.
 *
 * Send-back carries no properties and reaches only the broker that holds the message. So when it fails the message is
 * sent anew to the retry topic, on any broker; and a message with a reason to be kept is sent to the retry topic with
 * its attempts used up, which makes the broker move it to the dead letters.
 * Upstream: `DefaultMQPushConsumerImpl.sendMessageBack`, `SendMessageProcessor.handleRetryAndDLQ`.
 */
import type { Clock } from '../base/clock.js';
import { messageOf, RemotingError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { SYS_FLAG } from '../protocol/message.js';
import { EVENT_PROPERTY, encodeProperties, PROPERTIES_MAX_BYTES, PROPERTY } from '../protocol/messageProperties.js';
import { AUTO_CREATE_TOPIC_KEY_TOPIC, CLIENT_INNER_PRODUCER_GROUP, retryTopicOf } from '../protocol/names.js';
import type { BrokerCalls } from './brokerCalls.js';
import type { ReceivedMessage } from './clientTypes.js';
import { compressBody } from './compression.js';
import { DEFAULT_TOPIC_QUEUE_NUMS, type Routes } from './routes.js';

const SEND_BACK_TIMEOUT_MILLIS = 5000;
/** Delay level of the first attempt: 10 s. */
const FIRST_RETRY_LEVEL = 3;
/** A longer reason is cut, so that the properties keep room. */
const REASON_MAX_LENGTH = 1024;

/** Properties that belong to the delivery and not to the message. */
const NOT_CARRIED_OVER: readonly string[] = [
  PROPERTY.DELAY,
  PROPERTY.RECONSUME_TIME,
  PROPERTY.MAX_RECONSUME_TIMES,
  PROPERTY.TRAN_MSG,
  PROPERTY.REAL_TOPIC,
  PROPERTY.REAL_QID,
  PROPERTY.WAIT,
];

export class FailedMessages {
  readonly #group: string;
  readonly #maxReconsumeTimes: number;
  readonly #calls: BrokerCalls;
  readonly #routes: Routes;
  readonly #clock: Clock;
  readonly #logger: Logger;

  /** @param parts.maxReconsumeTimes attempts after the first; then the broker moves the message to the dead letters */
  constructor(parts: {
    group: string;
    maxReconsumeTimes: number;
    calls: BrokerCalls;
    routes: Routes;
    clock: Clock;
    logger: Logger;
  }) {
    this.#group = parts.group;
    this.#maxReconsumeTimes = parts.maxReconsumeTimes;
    this.#calls = parts.calls;
    this.#routes = parts.routes;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
  }

  /** To the retry topic, delivered again after the delay (0: the broker chooses by the number of attempts). */
  async sendBack(message: ReceivedMessage, delayLevel: number): Promise<void> {
    try {
      await this.#calls.sendBack(
        this.#addressOf(message),
        {
          offset: message.commitLogOffset,
          group: this.#group,
          delayLevel,
          originMsgId: message.msgId,
          originTopic: message.originalTopic,
          unitMode: false,
          maxReconsumeTimes: this.#maxReconsumeTimes,
          bname: message.brokerName,
        },
        SEND_BACK_TIMEOUT_MILLIS,
      );
    } catch (thrown) {
      this.#logger.warn(
        { topic: message.topic, queueOffset: message.queueOffset, reason: messageOf(thrown) },
        'send-back failed; the message is sent to the retry topic instead',
      );
      await this.#send(message, {
        reconsumeTimes: message.reconsumeTimes + 1,
        maxReconsumeTimes: this.#maxReconsumeTimes,
        properties: { [PROPERTY.DELAY]: String(FIRST_RETRY_LEVEL + message.reconsumeTimes) },
      });
    }
  }

  /** To the group's dead-letter topic, with the reason in its properties. */
  async deadLetter(message: ReceivedMessage, reason: string): Promise<void> {
    const { topic, queueId, queueOffset, msgId } = message;
    // 0x01 and 0x02 separate properties.
    const text = reason.replaceAll('\u0001', ' ').replaceAll('\u0002', ' ').slice(0, REASON_MAX_LENGTH);
    await this.#send(message, {
      // One more than allowed: the broker moves the message at once.
      reconsumeTimes: message.reconsumeTimes + 1,
      maxReconsumeTimes: message.reconsumeTimes,
      properties: { [EVENT_PROPERTY.DEAD_LETTER_REASON]: text },
    });
    this.#logger.error({ topic, queueId, queueOffset, msgId, reason: text }, 'message moved to the dead letters');
  }

  async #send(
    message: ReceivedMessage,
    attempt: { reconsumeTimes: number; maxReconsumeTimes: number; properties: Record<string, string> },
  ): Promise<void> {
    // A body that could not be decompressed goes on as it came.
    const isRaw = (message.sysFlag & SYS_FLAG.COMPRESSED) !== 0;
    const { body, sysFlag } = isRaw
      ? { body: message.body, sysFlag: message.sysFlag & (SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_MASK) }
      : compressBody(message.body);
    const properties: Record<string, string> = { ...message.properties };
    for (const name of NOT_CARRIED_OVER) delete properties[name];
    properties[PROPERTY.RETRY_TOPIC] ??= message.topic;
    properties[PROPERTY.ORIGIN_MESSAGE_ID] ??= message.offsetMsgId;
    Object.assign(properties, attempt.properties);
    const reason = properties[EVENT_PROPERTY.DEAD_LETTER_REASON];
    let text = encodeProperties(properties);
    if (reason !== undefined && Buffer.byteLength(text) > PROPERTIES_MAX_BYTES - REASON_MAX_LENGTH) {
      // The message matters more than why it failed.
      delete properties[EVENT_PROPERTY.DEAD_LETTER_REASON];
      text = encodeProperties(properties);
    }
    const topic = retryTopicOf(this.#group);
    const target = await this.#retryQueue(topic, message);
    await this.#calls.send(
      target.address,
      {
        producerGroup: CLIENT_INNER_PRODUCER_GROUP,
        topic,
        defaultTopic: AUTO_CREATE_TOPIC_KEY_TOPIC,
        defaultTopicQueueNums: DEFAULT_TOPIC_QUEUE_NUMS,
        queueId: target.queueId,
        sysFlag,
        bornTimestamp: this.#clock.now(),
        flag: message.flag,
        properties: text,
        reconsumeTimes: attempt.reconsumeTimes,
        unitMode: false,
        maxReconsumeTimes: attempt.maxReconsumeTimes,
        batch: false,
        bname: target.brokerName,
      },
      body,
      SEND_BACK_TIMEOUT_MILLIS,
    );
  }

  /** The retry topic on the message's own broker, unless that one has none or is away. */
  async #retryQueue(
    topic: string,
    message: ReceivedMessage,
  ): Promise<{ address: string; brokerName: string; queueId: number }> {
    const queues = (await this.#routes.get(topic).catch(() => undefined))?.publishQueues ?? [];
    const queue = queues.find(({ brokerName }) => brokerName === message.brokerName) ??
      queues[0] ?? { ...message, queueId: 0 };
    const address = this.#routes.masterAddress(queue.brokerName) ?? this.#addressOf(message);
    return { address, brokerName: queue.brokerName, queueId: queue.queueId };
  }

  #addressOf({ brokerName, topic }: ReceivedMessage): string {
    const address = this.#routes.masterAddress(brokerName);
    if (address === undefined) {
      throw new RemotingError('CONNECT_FAILED', `no address of broker ${brokerName} is known`, { brokerName, topic });
    }
    return address;
  }
}
