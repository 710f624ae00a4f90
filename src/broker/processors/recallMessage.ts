/**
 * RECALL_MESSAGE 370: a producer takes back a message that waits for its time. A delete marker goes through the timer's
 * topic into the slot of the message; it is read before the message is. Answered when the marker is readable; every
 * answer names the region, as every answer to a send does.
 * Upstream: `RecallMessageProcessor`.
 */
import type { Clock } from '../../base/clock.js';
import { messageOf } from '../../base/errors.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import { recallMessageHeader } from '../../protocol/headers/messaging.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { isWritable } from '../../protocol/names.js';
import { decodeRecallHandle, type RecallHandle } from '../../protocol/recallHandle.js';
import type { ResponseFields } from '../../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import { topicAndKey } from '../delay/timerMessage.js';
import type { Timers } from '../delay/timers.js';
import type { MessageIntake } from '../messageIntake.js';
import { visibleResponse } from '../messageIntake.js';
import { joinProperties } from '../propertiesText.js';
import type { Topics } from '../topics.js';

/** Tag of a delete marker. */
const RECALL_TAG = '_RECALL_TAG_';
const BODY = Buffer.from('0');

export interface RecallMessageParts {
  identity: BrokerIdentity;
  topics: Pick<Topics, 'get'>;
  intake: Pick<MessageIntake, 'put'>;
  timed: Pick<Timers, 'isOver'>;
  clock: Clock;
  config: Pick<
    BrokerConfig,
    'appendTopicForTimerDeleteKey' | 'brokerPermission' | 'recallMessageEnable' | 'regionId' | 'timerMaxDelaySec'
  >;
}

export function recallMessageRows({
  identity,
  topics,
  intake,
  timed,
  clock,
  config,
}: RecallMessageParts): ProcessorRow[] {
  const region = { MSG_REGION: config.regionId };
  const refuse = (code: number, remark: string): ResponseFields => ({ code, remark, extFields: region });
  return [
    processor({
      code: REQUEST_CODE.RECALL_MESSAGE,
      header: recallMessageHeader,
      lane: 'send',
      async handle({ header, peer }) {
        const { topic, recallHandle, producerGroup } = header;
        if (!config.recallMessageEnable) {
          return refuse(RESPONSE_CODE.NO_PERMISSION, 'recall failed, operation is forbidden');
        }
        if (!isWritable(config.brokerPermission)) {
          return refuse(RESPONSE_CODE.SERVICE_NOT_AVAILABLE, `broker ${identity.brokerName} takes no messages`);
        }
        if (!topics.get(topic)) return refuse(RESPONSE_CODE.TOPIC_NOT_EXIST, `topic[${topic}] not exist`);
        let handle: RecallHandle;
        try {
          handle = decodeRecallHandle(recallHandle);
        } catch (thrown) {
          return refuse(RESPONSE_CODE.ILLEGAL_OPERATION, messageOf(thrown));
        }
        const { deliverMillis, uniqueKey } = handle;
        if (handle.topic !== topic || handle.brokerName !== identity.brokerName) {
          const remark = `the handle is for topic ${handle.topic} of broker ${handle.brokerName}`;
          return refuse(RESPONSE_CODE.ILLEGAL_OPERATION, remark);
        }
        const leftMillis = deliverMillis - clock.now();
        if (leftMillis <= 0 || leftMillis >= config.timerMaxDelaySec * 1000) {
          const remark = `the message was due at ${deliverMillis}, or its time is beyond timerMaxDelaySec`;
          return refuse(RESPONSE_CODE.ILLEGAL_OPERATION, remark);
        }
        const properties: Record<string, string> = {
          [PROPERTY.TAGS]: RECALL_TAG,
          [PROPERTY.TIMER_DEL_UNIQKEY]: config.appendTopicForTimerDeleteKey ? topicAndKey(topic, uniqueKey) : uniqueKey,
          [PROPERTY.UNIQ_KEY]: uniqueKey,
          [PROPERTY.TIMER_DELIVER_MS]: String(deliverMillis),
        };
        if (producerGroup) properties[PROPERTY.PGROUP] = producerGroup;
        const outcome = intake.put({
          topic,
          queueId: 0,
          flag: 0,
          sysFlag: 0,
          bornTimestamp: clock.now(),
          bornHost: peer.packedHost,
          storeHost: identity.storeHost,
          reconsumeTimes: 0,
          preparedTransactionOffset: 0,
          body: BODY,
          propertiesText: joinProperties(properties),
          properties,
        });
        if (outcome.status === 'REFUSED') return refuse(outcome.code, outcome.remark);
        const response = await visibleResponse(outcome.turn);
        // Differs from RocketMQ: a marker that became readable after the message was delivered is no success.
        if (response.code === RESPONSE_CODE.SUCCESS && timed.isOver(outcome.timerOutMillis ?? 0)) {
          return refuse(RESPONSE_CODE.ILLEGAL_OPERATION, 'the recall came too late: the message was delivered');
        }
        return { ...response, extFields: { ...region, msgId: uniqueKey } };
      },
    }),
  ];
}
