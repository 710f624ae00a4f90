/**
 * SEND_MESSAGE 10, SEND_MESSAGE_V2 310 and SEND_BATCH_MESSAGE 320. The place of a message is final when the handler
 * returns; the answer leaves when the message is readable (FLUSH_DISK_TIMEOUT: it will be), or, with WAIT=false, when
 * it was handed to the operating system. Upstream: `SendMessageProcessor`.
 *
 * The steps of a send, in this order: broker permission, topic (made if need be), queue, properties, retry or dead
 * letter, then the gate of `messageIntake.ts`.
 */
import type { BrokerConfig } from '../../config/brokerConfig.js';
import { decodeBatchBody } from '../../protocol/batchBody.js';
import type { SendMessageHeader } from '../../protocol/headers/messaging.js';
import { fromSendMessageV2, sendMessageHeader, sendMessageV2Header } from '../../protocol/headers/messaging.js';
import type { UniqKeyGenerator } from '../../protocol/messageId.js';
import { decodeProperties, PROPERTY } from '../../protocol/messageProperties.js';
import { deadLetterTopicOf, groupOfRetryTopic, isRetryTopic } from '../../protocol/names.js';
import { encodeRecallHandle } from '../../protocol/recallHandle.js';
import type { RemotingCommand, ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { Peer, ProcessorRow, Request } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageToStore, TurnPromises, VisibleOutcome } from '../../store/storeTypes.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { IntakeOutcome, MessageIntake } from '../messageIntake.js';
import { failedTurnResponse } from '../messageIntake.js';
import { appendProperty, joinProperties } from '../propertiesText.js';
import type { QueueLocks } from '../queueLocks.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';
import { isHalf } from '../transactions/halfMessages.js';
import { admitSend } from './sendAdmission.js';
import { fastSendHeader } from './sendHeader.js';

/** First client version (V3_4_9) whose maxReconsumeTimes counts. */
export const MAX_RECONSUME_TIMES_SINCE = 121;

export interface SendMessageParts {
  identity: BrokerIdentity;
  topics: Topics;
  groups: SubscriptionGroups;
  queueLocks: QueueLocks;
  intake: MessageIntake;
  uniqKeys: UniqKeyGenerator;
  config: Pick<BrokerConfig, 'brokerPermission' | 'maxMessageSize' | 'regionId' | 'traceOn'>;
  /** Where a message without a queue goes: a number from 0 up to, not including, the given one. */
  randomBelow: (end: number) => number;
}

/** What a step decided: go on with a value, or answer. */
type Step<Value> = { value: Value } | { response: ResponseFields };

interface Target {
  topic: string;
  queueId: number;
  reconsumeTimes: number;
  /** Goes to the dead letters: is not delayed any more. */
  isDeadLetter: boolean;
}

export function sendMessageRows(parts: SendMessageParts): ProcessorRow[] {
  const handler = new SendMessage(parts);
  return [
    processor({
      code: REQUEST_CODE.SEND_MESSAGE,
      header: sendMessageHeader,
      lane: 'send',
      handle: (request) => handler.send(request.header, request),
    }),
    processor({
      code: REQUEST_CODE.SEND_MESSAGE_V2,
      header: fastSendHeader,
      lane: 'send',
      handle: (request) => handler.send(request.header, request),
    }),
    processor({
      code: REQUEST_CODE.SEND_BATCH_MESSAGE,
      header: sendMessageV2Header,
      lane: 'send',
      handle: (request) => handler.sendBatch(fromSendMessageV2(request.header), request),
    }),
  ];
}

class SendMessage {
  readonly #parts: SendMessageParts;
  /** On every answer, errors included. */
  readonly #common: Readonly<Record<'MSG_REGION' | 'TRACE_ON', string>>;
  /** What the broker adds to a single message, as text. */
  readonly #added: string;

  constructor(parts: SendMessageParts) {
    this.#parts = parts;
    const { config, identity } = parts;
    this.#common = { MSG_REGION: config.regionId, TRACE_ON: String(config.traceOn) };
    this.#added = joinProperties({ ...this.#common, [PROPERTY.CLUSTER]: identity.clusterName });
  }

  send(header: SendMessageHeader, request: Request<unknown>): ResponseFields | Promise<ResponseFields> {
    if (header.batch) return this.sendBatch(header, request);
    const { command, body, peer } = request;
    const admission = admitSend(this.#parts, header, body, peer);
    if (admission.status === 'REFUSED') return this.#refuse(admission.code, admission.remark);
    const { topic } = admission;
    let target: Target = {
      topic: topic.topicName,
      queueId: header.queueId < 0 ? this.#parts.randomBelow(topic.writeQueueNums) : header.queueId,
      reconsumeTimes: header.reconsumeTimes ?? 0,
      isDeadLetter: false,
    };
    if (isRetryTopic(topic.topicName)) {
      const retried = this.#retryTarget(target, header, command);
      if ('response' in retried) return retried.response;
      target = retried.value;
    }
    const message = this.#messageOf(header, target, body, peer);
    // A half message is readable when its sender hears of it: the end of its transaction names its place.
    const isWaiting = message.properties[PROPERTY.WAIT] !== 'false' || isHalf(message);
    return this.#answer(this.#parts.intake.put(message), {
      topic: target.topic,
      queueId: target.queueId,
      transactionId: message.properties[PROPERTY.UNIQ_KEY],
      isWaiting,
      recallTopic: isRetryTopic(target.topic) ? undefined : target.topic,
    });
  }

  sendBatch(header: SendMessageHeader, request: Request<unknown>): ResponseFields | Promise<ResponseFields> {
    const { body, peer } = request;
    const admission = admitSend(this.#parts, header, body, peer);
    if (admission.status === 'REFUSED') return this.#refuse(admission.code, admission.remark);
    const { topic } = admission;
    if (isRetryTopic(topic.topicName))
      return this.#refuse(RESPONSE_CODE.MESSAGE_ILLEGAL, 'batch request does not support retry topics');
    if (body.length > this.#parts.config.maxMessageSize) {
      return this.#refuse(
        RESPONSE_CODE.MESSAGE_ILLEGAL,
        `the batch has ${body.length} bytes, more than maxMessageSize ${this.#parts.config.maxMessageSize}`,
      );
    }
    const queueId = header.queueId < 0 ? this.#parts.randomBelow(topic.writeQueueNums) : header.queueId;
    const target: Target = { topic: topic.topicName, queueId, reconsumeTimes: 0, isDeadLetter: false };
    // Unlike single sends, nothing is added to the properties of each.
    const messages = decodeBatchBody(body).map(({ flag, body, propertiesText }) =>
      this.#place(header, target, { body, flag, propertiesText, properties: decodeProperties(propertiesText) }, peer),
    );
    const properties = decodeProperties(header.properties ?? '');
    return this.#answer(this.#parts.intake.putBatch(messages), {
      topic: target.topic,
      queueId,
      transactionId: properties[PROPERTY.UNIQ_KEY],
      isWaiting: properties[PROPERTY.WAIT] !== 'false',
    });
  }

  /** Where a redelivery goes: the retry topic that it names, or the group's dead letters when it was tried enough. */
  #retryTarget(target: Target, header: SendMessageHeader, command: RemotingCommand): Step<Target> {
    const { groups, queueLocks, topics } = this.#parts;
    const name = groupOfRetryTopic(target.topic) ?? '';
    const group = groups.find(name);
    if (!group) return this.#stop(RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group not exist, ${name}`);
    const limit =
      command.version >= MAX_RECONSUME_TIMES_SINCE && header.maxReconsumeTimes !== undefined
        ? header.maxReconsumeTimes
        : group.retryMaxTimes;
    // A group that consumes in order retries in place: what it sends here has used up its attempts.
    if (target.reconsumeTimes <= limit && !queueLocks.isHeld(name)) return { value: target };
    const topic = deadLetterTopicOf(name);
    if (!topics.derived(topic, 1)) {
      return this.#stop(RESPONSE_CODE.SYSTEM_ERROR, `topic[${topic}] not exist`);
    }
    return { value: { ...target, topic, queueId: 0, isDeadLetter: true } };
  }

  #messageOf(header: SendMessageHeader, target: Target, body: Buffer, peer: Peer): MessageToStore {
    const { uniqKeys, identity } = this.#parts;
    let text = header.properties ?? '';
    const properties = decodeProperties(text);
    // These are the broker's to set; a text that holds one is written anew.
    if (
      PROPERTY.POP_CK in properties ||
      PROPERTY.MSG_REGION in properties ||
      PROPERTY.TRACE_ON in properties ||
      PROPERTY.CLUSTER in properties ||
      target.isDeadLetter
    ) {
      delete properties[PROPERTY.POP_CK];
      delete properties[PROPERTY.MSG_REGION];
      delete properties[PROPERTY.TRACE_ON];
      delete properties[PROPERTY.CLUSTER];
      // A dead letter is not delayed any more; upstream marks it so.
      if (target.isDeadLetter) properties[PROPERTY.DELAY] = '-1';
      text = joinProperties(properties);
    }
    if (properties[PROPERTY.UNIQ_KEY] === undefined) {
      const key = uniqKeys.next();
      properties[PROPERTY.UNIQ_KEY] = key;
      text = appendProperty(text, PROPERTY.UNIQ_KEY, key);
    }
    properties[PROPERTY.MSG_REGION] = this.#common.MSG_REGION;
    properties[PROPERTY.TRACE_ON] = this.#common.TRACE_ON;
    properties[PROPERTY.CLUSTER] = identity.clusterName;
    text = text === '' || text.endsWith('\u0002') ? text + this.#added : `${text}\u0002${this.#added}`;
    return this.#place(header, target, { body, flag: header.flag, propertiesText: text, properties }, peer);
  }

  #place(
    header: SendMessageHeader,
    target: Target,
    content: Pick<MessageToStore, 'body' | 'flag' | 'propertiesText' | 'properties'>,
    peer: Peer,
  ): MessageToStore {
    return {
      topic: target.topic,
      queueId: target.queueId,
      flag: content.flag,
      sysFlag: header.sysFlag,
      bornTimestamp: header.bornTimestamp,
      bornHost: peer.packedHost,
      storeHost: this.#parts.identity.storeHost,
      reconsumeTimes: target.reconsumeTimes,
      preparedTransactionOffset: 0,
      body: content.body,
      propertiesText: content.propertiesText,
      properties: content.properties,
    };
  }

  #answer(
    outcome: IntakeOutcome,
    about: {
      topic: string;
      queueId: number;
      transactionId: string | undefined;
      isWaiting: boolean;
      recallTopic?: string | undefined;
    },
  ): ResponseFields | Promise<ResponseFields> {
    if (outcome.status === 'REFUSED') return this.#refuse(outcome.code, outcome.remark);
    const { places, turn } = outcome;
    const { identity, topics } = this.#parts;
    const [first] = places;
    const extFields: Record<string, string> = {
      MSG_REGION: this.#common.MSG_REGION,
      TRACE_ON: this.#common.TRACE_ON,
      msgId:
        places.length === 1 && first
          ? identity.messageIdOf(first.commitLogOffset)
          : places.map((place) => identity.messageIdOf(place.commitLogOffset)).join(','),
      queueId: String(about.queueId),
      queueOffset: String(first?.queueOffset ?? 0),
    };
    const { transactionId: uniqueKey, recallTopic: topic } = about;
    if (uniqueKey !== undefined) extFields['transactionId'] = uniqueKey;
    if (outcome.timerOutMillis !== undefined && uniqueKey !== undefined && topic !== undefined) {
      const { brokerName } = identity;
      const deliverMillis = outcome.timerOutMillis + 1;
      extFields['recallHandle'] = encodeRecallHandle({ topic, brokerName, deliverMillis, uniqueKey });
    }
    const answered = about.isWaiting ? this.#whenVisible(turn, extFields) : this.#whenWritten(turn, extFields);
    // The first send to a new topic: the name servers know it when the sender hears of its success.
    const settled = topics.settled(about.topic);
    return settled ? settled.then(() => answered) : answered;
  }

  #whenVisible(turn: TurnPromises, extFields: Record<string, string>): Promise<ResponseFields> {
    return turn.visible.then(
      (outcome: VisibleOutcome) => ({
        code: outcome === 'VISIBLE' ? RESPONSE_CODE.SUCCESS : RESPONSE_CODE.FLUSH_DISK_TIMEOUT,
        extFields,
      }),
      (thrown: unknown) => this.#failed(thrown),
    );
  }

  #whenWritten(turn: TurnPromises, extFields: Record<string, string>): Promise<ResponseFields> {
    return turn.written.then(
      () => ({ code: RESPONSE_CODE.SUCCESS, extFields }),
      (thrown: unknown) => this.#failed(thrown),
    );
  }

  #failed(thrown: unknown): ResponseFields {
    return { ...failedTurnResponse(thrown), extFields: this.#common };
  }

  #refuse(code: number, remark: string): ResponseFields {
    return { code, remark, extFields: this.#common };
  }

  #stop(code: number, remark: string): { response: ResponseFields } {
    return { response: this.#refuse(code, remark) };
  }
}
