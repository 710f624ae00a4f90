/**
 * All requests that the broker answers, one row each, and the lanes that bound how many of a kind are under way.
 * A request that is not here is answered REQUEST_CODE_NOT_SUPPORTED.
 */
import type { BrokerConfig } from '../../config/brokerConfig.js';
import type { ProcessorRow } from '../../remoting/processor.js';
import type { AdminGroupParts } from './adminGroup.js';
import { adminGroupRows } from './adminGroup.js';
import type { AdminStoreParts } from './adminStore.js';
import { adminStoreRows } from './adminStore.js';
import type { AdminTopicParts } from './adminTopic.js';
import { adminTopicRows } from './adminTopic.js';
import type { AssignmentParts } from './assignment.js';
import { assignmentRows } from './assignment.js';
import type { BrokerConfigurationParts } from './brokerConfiguration.js';
import { brokerConfigurationRows } from './brokerConfiguration.js';
import type { ClientHeartbeatParts } from './clientHeartbeat.js';
import { clientHeartbeatRows } from './clientHeartbeat.js';
import type { ConditionalAppendParts } from './conditionalAppend.js';
import { conditionalAppendRows } from './conditionalAppend.js';
import type { ConsumerOffsetParts } from './consumerOffset.js';
import { consumerOffsetRows } from './consumerOffset.js';
import type { ConsumerRelayParts } from './consumerRelay.js';
import { consumerRelayRows } from './consumerRelay.js';
import type { EndTransactionParts } from './endTransaction.js';
import { endTransactionRows } from './endTransaction.js';
import type { GroupProgressParts } from './groupProgress.js';
import { groupProgressRows } from './groupProgress.js';
import type { PullMessageParts } from './pullMessage.js';
import { pullMessageRows } from './pullMessage.js';
import type { QueryMessageParts } from './queryMessage.js';
import { queryMessageRows } from './queryMessage.js';
import type { QueueEntriesParts } from './queueEntries.js';
import { queueEntriesRows } from './queueEntries.js';
import { queueLockRows } from './queueLock.js';
import type { ReadByKeyParts } from './readByKey.js';
import { readByKeyRows } from './readByKey.js';
import type { ReadEventsParts } from './readEvents.js';
import { readEventsRows } from './readEvents.js';
import type { RecallMessageParts } from './recallMessage.js';
import { recallMessageRows } from './recallMessage.js';
import type { ReplyMessageParts } from './replyMessage.js';
import { replyMessageRows } from './replyMessage.js';
import type { ResetOffsetParts } from './resetOffset.js';
import { resetOffsetRows } from './resetOffset.js';
import type { RuntimeInfoParts } from './runtimeInfo.js';
import { runtimeInfoRows } from './runtimeInfo.js';
import type { SendBackParts } from './sendBack.js';
import { sendBackRows } from './sendBack.js';
import type { SendMessageParts } from './sendMessage.js';
import { sendMessageRows } from './sendMessage.js';
import type { StatisticsParts } from './statistics.js';
import { statisticsRows } from './statistics.js';

export type BrokerParts = AdminGroupParts &
  AdminStoreParts &
  AdminTopicParts &
  AssignmentParts &
  BrokerConfigurationParts &
  ClientHeartbeatParts &
  ConditionalAppendParts &
  ConsumerOffsetParts &
  ConsumerRelayParts &
  EndTransactionParts &
  GroupProgressParts &
  PullMessageParts &
  QueryMessageParts &
  QueueEntriesParts &
  ReadByKeyParts &
  ReadEventsParts &
  RecallMessageParts &
  ReplyMessageParts &
  ResetOffsetParts &
  RuntimeInfoParts &
  SendBackParts &
  SendMessageParts &
  StatisticsParts;

export function brokerRows(parts: BrokerParts): ProcessorRow[] {
  return [
    ...sendMessageRows(parts),
    ...sendBackRows(parts),
    ...recallMessageRows(parts),
    ...replyMessageRows(parts),
    ...endTransactionRows(parts),
    ...conditionalAppendRows(parts),
    ...pullMessageRows(parts),
    ...queryMessageRows(parts),
    ...readByKeyRows(parts),
    ...readEventsRows(parts),
    ...consumerOffsetRows(parts),
    ...resetOffsetRows(parts),
    ...consumerRelayRows(parts),
    ...clientHeartbeatRows(parts),
    ...queueLockRows(parts),
    ...assignmentRows(parts),
    ...adminTopicRows(parts),
    ...adminStoreRows(parts),
    ...adminGroupRows(parts),
    ...groupProgressRows(parts),
    ...queueEntriesRows(parts),
    ...statisticsRows(parts),
    ...runtimeInfoRows(parts),
    ...brokerConfigurationRows(parts),
  ];
}

/** RocketMQ's thread pool queues, by the names of their capacities. */
export function brokerLanes(config: BrokerConfig): Record<string, { maxInFlight: number }> {
  const lane = (maxInFlight: number) => ({ maxInFlight });
  return {
    send: lane(config.sendThreadPoolQueueCapacity),
    pull: lane(config.pullThreadPoolQueueCapacity),
    litePull: lane(config.litePullThreadPoolQueueCapacity),
    reply: lane(config.replyThreadPoolQueueCapacity),
    query: lane(config.queryThreadPoolQueueCapacity),
    client: lane(config.clientManagerThreadPoolQueueCapacity),
    consumer: lane(config.consumerManagerThreadPoolQueueCapacity),
    heartbeat: lane(config.heartbeatThreadPoolQueueCapacity),
    admin: lane(config.adminBrokerThreadPoolQueueCapacity),
    loadBalance: lane(config.loadBalanceThreadPoolQueueCapacity),
  };
}
