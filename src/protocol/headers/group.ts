/**
 * Headers of group membership: heartbeat, unregistering, member lists, and what a broker tells its clients.
 * HEART_BEAT, LOCK_BATCH_MQ, UNLOCK_BATCH_MQ and CHECK_CLIENT_CONFIG carry everything in the body and use
 * `emptyHeader`. Upstream: `UnregisterClientRequestHeader`, `GetConsumerListByGroupRequestHeader`,
 * `NotifyConsumerIdsChangedRequestHeader`, `ResetOffsetRequestHeader`.
 */
import { defineHeader, field, optional } from './headerFields.js';

/** HEART_BEAT 34: fields of the response (there are none in the request). */
export const heartBeatResponseHeader = defineHeader({
  IS_SUPPORT_HEART_BEAT_V2: optional.boolean,
  IS_SUB_CHANGE: optional.boolean,
});

/** UNREGISTER_CLIENT 35. */
export const unregisterClientHeader = defineHeader({
  clientID: field.string,
  producerGroup: optional.string,
  consumerGroup: optional.string,
});

/** GET_CONSUMER_LIST_BY_GROUP 38. */
export const getConsumerListByGroupHeader = defineHeader({ consumerGroup: field.string, bname: optional.string });

/** NOTIFY_CONSUMER_IDS_CHANGED 40, broker to client, one-way. */
export const notifyConsumerIdsChangedHeader = defineHeader({ consumerGroup: field.string });

/** RESET_CONSUMER_CLIENT_OFFSET 220, broker to client, one-way; the offsets are in the body. */
export const resetConsumerClientOffsetHeader = defineHeader({
  topic: field.string,
  group: field.string,
  timestamp: field.long,
  isForce: optional.boolean,
});

/** GET_CONSUMER_STATUS_FROM_CLIENT 221, broker to client. */
export const getConsumerStatusFromClientHeader = defineHeader({
  topic: field.string,
  group: field.string,
  clientAddr: optional.string,
});

/** INVOKE_BROKER_TO_RESET_OFFSET 222. */
export const invokeBrokerToResetOffsetHeader = defineHeader({
  topic: field.string,
  group: field.string,
  /** -1: the latest. */
  timestamp: field.long,
  isForce: field.boolean,
  /** Absent or -1: all queues. */
  queueId: optional.int,
  /** Absent or -1: by timestamp. */
  offset: optional.long,
});

/** GET_CONSUMER_RUNNING_INFO 307, relayed by the broker to the client. */
export const getConsumerRunningInfoHeader = defineHeader({
  consumerGroup: field.string,
  clientId: field.string,
  jstackEnable: optional.boolean,
});

/** CONSUME_MESSAGE_DIRECTLY 309, relayed by the broker to the client with the message's record as body. */
export const consumeMessageDirectlyHeader = defineHeader({
  consumerGroup: field.string,
  clientId: optional.string,
  /** offsetMsgId */
  msgId: optional.string,
  brokerName: optional.string,
  topic: optional.string,
  topicSysFlag: optional.int,
  groupSysFlag: optional.int,
});

/** INVOKE_BROKER_TO_GET_CONSUMER_STATUS 223. Without `clientAddr`, which is a client id, all members are asked. */
export const invokeBrokerToGetConsumerStatusHeader = defineHeader({
  topic: field.string,
  group: field.string,
  clientAddr: optional.string,
});
