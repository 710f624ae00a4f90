/**
 * CONSUMER_SEND_MSG_BACK 36: a consumer could not handle a message and asks for it again, later. The message is copied
 * to the group's retry topic through a delay level that grows with the attempts, or to its dead letters when they are
 * used up. Upstream: `AbstractSendMessageProcessor.consumerSendMsgBack`.
 *
 * Differs from RocketMQ: under SYNC_FLUSH the answer waits for the sync, because the consumer then moves its offset on.
 */
import type { BrokerConfig } from '../../config/brokerConfig.js';
import { consumerSendMsgBackHeader } from '../../protocol/headers/messaging.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { deadLetterTopicOf, isWritable, retryTopicOf } from '../../protocol/names.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { BrokerStats } from '../brokerStats.js';
import type { MessageIntake } from '../messageIntake.js';
import { visibleResponse } from '../messageIntake.js';
import { storedAgain } from '../storedAgain.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';
import { MAX_RECONSUME_TIMES_SINCE } from './sendMessage.js';

/** The first retry waits for this level, each further one for the next. */
const FIRST_RETRY_LEVEL = 3;

export interface SendBackParts {
  identity: BrokerIdentity;
  topics: Topics;
  groups: SubscriptionGroups;
  intake: MessageIntake;
  store: Pick<MessageStore, 'readRecord'>;
  config: Pick<BrokerConfig, 'brokerPermission'>;
  randomBelow: (end: number) => number;
  stats: Pick<BrokerStats, 'sentBack'>;
}

export function sendBackRows(parts: SendBackParts): ProcessorRow[] {
  const { identity, topics, groups, intake, store, config, randomBelow, stats } = parts;
  return [
    processor({
      code: REQUEST_CODE.CONSUMER_SEND_MSG_BACK,
      header: consumerSendMsgBackHeader,
      lane: 'send',
      handle({ header, command }) {
        const { group: name, offset, delayLevel } = header;
        const group = groups.find(name);
        if (!group) return answer(RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group not exist, ${name}`);
        if (!isWritable(config.brokerPermission)) {
          return answer(RESPONSE_CODE.NO_PERMISSION, `the broker[${identity.host}] sending message is forbidden`);
        }
        if (group.retryQueueNums <= 0) return { code: RESPONSE_CODE.SUCCESS };
        const retryTopic = topics.derived(retryTopicOf(name), group.retryQueueNums);
        if (!retryTopic) return answer(RESPONSE_CODE.SYSTEM_ERROR, `topic[${retryTopicOf(name)}] not exist`);
        if (!isWritable(retryTopic.perm)) {
          return answer(RESPONSE_CODE.NO_PERMISSION, `the topic[${retryTopic.topicName}] sending message is forbidden`);
        }
        const record = offset >= 0 ? store.readRecord(offset) : undefined;
        if (!record) return answer(RESPONSE_CODE.SYSTEM_ERROR, `look message by offset failed, ${offset}`);
        const message = decodeRecord(record, 0, { verifyCrc: false });
        const limit =
          command.version >= MAX_RECONSUME_TIMES_SINCE && header.maxReconsumeTimes !== undefined
            ? header.maxReconsumeTimes
            : group.retryMaxTimes;
        const isDeadLetter = message.reconsumeTimes >= limit || delayLevel < 0;
        const topic = isDeadLetter ? topics.derived(deadLetterTopicOf(name), 1) : retryTopic;
        if (!topic) return answer(RESPONSE_CODE.SYSTEM_ERROR, `topic[${deadLetterTopicOf(name)}] not exist`);
        const properties: Record<string, string> = { ...message.properties };
        properties[PROPERTY.RETRY_TOPIC] ??= message.topic;
        properties[PROPERTY.ORIGIN_MESSAGE_ID] ??= identity.messageIdOf(message.commitLogOffset);
        properties[PROPERTY.WAIT] = 'false';
        const level = delayLevel === 0 ? FIRST_RETRY_LEVEL + message.reconsumeTimes : delayLevel;
        properties[PROPERTY.DELAY] = isDeadLetter ? '0' : String(level);
        const queueId = isDeadLetter ? 0 : randomBelow(topic.writeQueueNums);
        const outcome = intake.put({
          ...storedAgain(message, { topic: topic.topicName, queueId }, properties),
          storeHost: identity.storeHost,
          reconsumeTimes: message.reconsumeTimes + 1,
        });
        if (outcome.status === 'REFUSED') return answer(outcome.code, outcome.remark);
        stats.sentBack(properties[PROPERTY.RETRY_TOPIC] ?? message.topic, name);
        return visibleResponse(outcome.turn);
      },
    }),
  ];
}

const answer = (code: number, remark: string): ResponseFields => ({ code, remark });
