/**
 * INVOKE_BROKER_TO_RESET_OFFSET 222: a group goes on elsewhere, at a time or an offset. With useServerSideResetOffset
 * the broker overwrites the group's offsets, also while nobody of it is there, and hands the new ones to its consumers
 * as the answer of their next pull (held pulls are answered now). Without, the members are told
 * (RESET_CONSUMER_CLIENT_OFFSET 220) and commit by themselves; a group that is not there is refused. Upstream:
 * `AdminBrokerProcessor.resetOffset`, `Broker2Client.resetOffset`.
 */
import { BrokerError } from '../../base/errors.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { TopicConfig } from '../../protocol/bodies.js';
import { encodeResetOffsetBody, encodeResetOffsetBodyForCpp } from '../../protocol/bodies.js';
import { invokeBrokerToResetOffsetHeader, resetConsumerClientOffsetHeader } from '../../protocol/headers/group.js';
import type { HeaderOf } from '../../protocol/headers/headerFields.js';
import type { MessageQueue } from '../../protocol/message.js';
import { REQUEST_CODE } from '../../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import { processor } from '../../remoting/processor.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { BrokerIdentity } from '../brokerIdentity.js';
import { OFFSET_REQUESTS_SINCE, tellClient } from '../clientRequests.js';
import type { ConnectedClients } from '../connectedClients.js';
import type { ConsumerOffsets } from '../consumerOffsets.js';
import type { LongPolling } from '../longPolling.js';
import type { SubscriptionGroups } from '../subscriptionGroups.js';
import type { Topics } from '../topics.js';

export interface ResetOffsetParts {
  identity: BrokerIdentity;
  topics: Pick<Topics, 'get'>;
  groups: Pick<SubscriptionGroups, 'get'>;
  clients: Pick<ConnectedClients, 'consumerGroup'>;
  offsets: ConsumerOffsets;
  longPolling: Pick<LongPolling, 'wake'>;
  store: Pick<MessageStore, 'offsetByTime' | 'queueRange'>;
  config: Pick<BrokerConfig, 'useServerSideResetOffset'>;
}

type ResetRequest = HeaderOf<typeof invokeBrokerToResetOffsetHeader.fields>;
type Targets = [MessageQueue, number][];

export function resetOffsetRows(parts: ResetOffsetParts): ProcessorRow[] {
  return [
    processor({
      code: REQUEST_CODE.INVOKE_BROKER_TO_RESET_OFFSET,
      header: invokeBrokerToResetOffsetHeader,
      lane: 'admin',
      handle({ header }) {
        const topic = parts.topics.get(header.topic);
        if (!topic) throw refusal(RESPONSE_CODE.TOPIC_NOT_EXIST, `Topic ${header.topic} does not exist`);
        const offsetTable = parts.config.useServerSideResetOffset
          ? resetHere(parts, header, topic)
          : resetAtClients(parts, header, topic);
        return { code: RESPONSE_CODE.SUCCESS, body: encodeResetOffsetBody({ offsetTable }) };
      },
    }),
  ];
}

/** Overwrites the group's offsets; consumers learn of it by their next pull, those that wait now. */
function resetHere(parts: ResetOffsetParts, request: ResetRequest, config: TopicConfig): Targets {
  const { identity, groups, offsets, longPolling, store } = parts;
  const { topic, group, timestamp, queueId = -1, offset = -1 } = request;
  if (!groups.get(group)) throw refusal(RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} does not exist`);
  if (queueId >= config.readQueueNums) {
    throw refusal(RESPONSE_CODE.INVALID_PARAMETER, `queueId[${queueId}] is illegal, topic:[${topic}]`);
  }
  const targets: Targets = [];
  const last = queueId >= 0 ? queueId + 1 : config.readQueueNums;
  for (let id = Math.max(0, queueId); id < last; id += 1) {
    const { minOffset, maxOffset } = store.queueRange(topic, id);
    const isByOffset = queueId >= 0 && offset !== -1;
    // Differs from RocketMQ, which takes one more: no recorded offset lies beyond the end.
    if (isByOffset && (offset < minOffset || offset > maxOffset)) {
      const remark = `Target offset ${offset} not in consume queue range [${minOffset}-${maxOffset}]`;
      throw refusal(RESPONSE_CODE.SYSTEM_ERROR, remark);
    }
    const target = isByOffset ? offset : offsetAt(store, topic, id, timestamp);
    targets.push([{ brokerName: identity.brokerName, topic, queueId: id }, target]);
  }
  for (const [{ queueId: id }, target] of targets) {
    offsets.reset(group, topic, id, target);
    longPolling.wake(topic, id);
  }
  return targets;
}

/** Tells the members where to go on; they record it. Without `isForce` a queue only goes back. */
function resetAtClients(parts: ResetOffsetParts, request: ResetRequest, config: TopicConfig): Targets {
  const { identity, clients, offsets, store } = parts;
  const { topic, group, timestamp, isForce } = request;
  const targets: Targets = [];
  for (let queueId = 0; queueId < config.writeQueueNums; queueId += 1) {
    const recorded = offsets.query(group, topic, queueId);
    if (recorded === undefined) {
      throw refusal(RESPONSE_CODE.SYSTEM_ERROR, `THe consumer group <${group}> not exist`);
    }
    const wanted = offsetAt(store, topic, queueId, timestamp);
    const target = isForce || wanted < recorded ? wanted : recorded;
    targets.push([{ brokerName: identity.brokerName, topic, queueId }, target]);
  }
  const members = [...(clients.consumerGroup(group)?.members.values() ?? [])];
  if (members.length === 0) {
    const remark = `Consumer not online, so can not reset offset, Group: ${group} Topic: ${topic} Timestamp: ${timestamp}`;
    throw refusal(RESPONSE_CODE.CONSUMER_NOT_ONLINE, remark);
  }
  const tooOld = members.find(({ version }) => version < OFFSET_REQUESTS_SINCE);
  if (tooOld) {
    const remark = `the client does not support this feature. version=${tooOld.version}`;
    throw refusal(RESPONSE_CODE.SYSTEM_ERROR, remark);
  }
  const extFields = resetConsumerClientOffsetHeader.encode({ topic, group, timestamp, isForce });
  for (const { peer, language } of members) {
    const encode = language === 'CPP' ? encodeResetOffsetBodyForCpp : encodeResetOffsetBody;
    tellClient(peer, REQUEST_CODE.RESET_CONSUMER_CLIENT_OFFSET, extFields, encode({ offsetTable: targets }));
  }
  return targets;
}

/** The offset of a time; of a negative one the end of the queue. */
function offsetAt(store: ResetOffsetParts['store'], topic: string, queueId: number, timestamp: number): number {
  if (timestamp < 0) return store.queueRange(topic, queueId).maxOffset;
  return store.offsetByTime(topic, queueId, timestamp, 'LOWER');
}

const refusal = (code: number, remark: string) => new BrokerError(code, remark, remark);
