/**
 * The first steps of every send, replies included: has the message a body, may its topic be sent to, is the topic there
 * (it is made if need be) and does it have the queue. Upstream: `AbstractSendMessageProcessor.msgCheck`.
 */
import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { TopicConfig } from '../../protocol/bodies.js';
import type { SendMessageHeader } from '../../protocol/headers/messaging.js';
import { isForbiddenToSend, isRetryTopic, isWritable, topicDefect } from '../../protocol/names.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { Peer } from '../../remoting/processor.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import type { Topics } from '../topics.js';

export interface SendAdmissionParts {
  identity: BrokerIdentity;
  topics: Topics;
  config: Pick<BrokerConfig, 'brokerPermission'>;
}

/** The topic, or why the broker does not take the message for it. */
export type SendAdmission =
  | { status: 'ADMITTED'; topic: TopicConfig }
  | { status: 'REFUSED'; code: number; remark: string };

export function admitSend(
  { topics, config, identity }: SendAdmissionParts,
  header: SendMessageHeader,
  body: Buffer,
  peer: Peer,
): SendAdmission {
  const { topic, queueId } = header;
  if (body.length === 0) {
    return refusal(RESPONSE_CODE.SYSTEM_ERROR, 'the message has no body: it needs at least one byte');
  }
  let known = topics.get(topic);
  if (!known) {
    const defect = topicDefect(topic);
    if (defect !== undefined) return refusal(RESPONSE_CODE.INVALID_PARAMETER, defect);
  }
  if (isForbiddenToSend(topic)) {
    return refusal(RESPONSE_CODE.NO_PERMISSION, `Sending message to topic[${topic}] is forbidden.`);
  }
  known ??= isRetryTopic(topic)
    ? topics.derived(topic, 1)
    : topics.forSend(topic, header.defaultTopic, header.defaultTopicQueueNums);
  if (!known) return refusal(RESPONSE_CODE.TOPIC_NOT_EXIST, `topic[${topic}] not exist, apply first please!`);
  if (known.order && !isWritable(config.brokerPermission)) {
    return refusal(RESPONSE_CODE.NO_PERMISSION, `the broker[${identity.host}] sending message is forbidden`);
  }
  if (queueId >= Math.max(known.readQueueNums, known.writeQueueNums) || (queueId < 0 && known.writeQueueNums < 1)) {
    return refusal(
      RESPONSE_CODE.INVALID_PARAMETER,
      `request queueId[${queueId}] is illegal, TopicConfig [topicName=${topic}, readQueueNums=${known.readQueueNums}, ` +
        `writeQueueNums=${known.writeQueueNums}] Producer: ${peer.address.host}:${peer.address.port}`,
    );
  }
  return { status: 'ADMITTED', topic: known };
}

const refusal = (code: number, remark: string): SendAdmission => ({ status: 'REFUSED', code, remark });
