/**
 * Headers of topic and group administration on a broker. The configuration of a subscription group travels in the
 * body. Upstream: `CreateTopicRequestHeader`, `DeleteTopicRequestHeader`, `GetTopicConfigRequestHeader`,
 * `DeleteSubscriptionGroupRequestHeader`, `GetAllTopicConfigRequestHeader`.
 */
import { defineHeader, field, optional } from './headerFields.js';

/** UPDATE_AND_CREATE_TOPIC 17. `attributes`: `+key=value` and `-key` joined by commas. */
export const updateAndCreateTopicHeader = defineHeader({
  topic: field.string,
  defaultTopic: field.string,
  readQueueNums: field.int,
  writeQueueNums: field.int,
  perm: field.int,
  topicFilterType: field.string,
  topicSysFlag: optional.int,
  order: optional.boolean,
  attributes: optional.string,
  force: optional.boolean,
});

/** DELETE_TOPIC_IN_BROKER 215. */
export const deleteTopicInBrokerHeader = defineHeader({ topic: field.string });

/** GET_TOPIC_CONFIG 351. */
export const getTopicConfigHeader = defineHeader({ topic: field.string });

/** GET_ALL_TOPIC_CONFIG 21: without fields everything, with them one page. */
export const getAllTopicConfigHeader = defineHeader({
  topicSeq: optional.int,
  maxTopicNum: optional.int,
  dataVersion: optional.string,
});
export const getAllTopicConfigResponseHeader = defineHeader({ totalTopicNum: optional.int });

/** GET_SUBSCRIPTIONGROUP_CONFIG 352. */
export const getSubscriptionGroupConfigHeader = defineHeader({ group: field.string });

/** GET_ALL_SUBSCRIPTIONGROUP_CONFIG 201. */
export const getAllSubscriptionGroupConfigHeader = defineHeader({
  groupSeq: optional.int,
  maxGroupNum: optional.int,
  dataVersion: optional.string,
});
export const getAllSubscriptionGroupConfigResponseHeader = defineHeader({ totalGroupNum: optional.int });

/** DELETE_SUBSCRIPTIONGROUP 207. */
export const deleteSubscriptionGroupHeader = defineHeader({ groupName: field.string, cleanOffset: optional.boolean });

/** GET_TOPIC_STATS_INFO 202. */
export const getTopicStatsInfoHeader = defineHeader({ topic: field.string });

/** GET_CONSUME_STATS 208. */
export const getConsumeStatsHeader = defineHeader({
  consumerGroup: field.string,
  topic: optional.string,
  topicList: optional.string,
});

/** GET_CONSUMER_CONNECTION_LIST 203. */
export const getConsumerConnectionListHeader = defineHeader({ consumerGroup: field.string });

/** GET_PRODUCER_CONNECTION_LIST 204. */
export const getProducerConnectionListHeader = defineHeader({ producerGroup: field.string });

/** UPDATE_AND_GET_GROUP_FORBIDDEN 353. Without `readable` nothing is changed. */
export const updateAndGetGroupForbiddenHeader = defineHeader({
  group: field.string,
  topic: field.string,
  readable: optional.boolean,
});

/** QUERY_TOPIC_CONSUME_BY_WHO 300. */
export const queryTopicConsumeByWhoHeader = defineHeader({ topic: field.string });

/** QUERY_CONSUME_TIME_SPAN 303. */
export const queryConsumeTimeSpanHeader = defineHeader({ topic: field.string, group: field.string });

/** QUERY_CORRECTION_OFFSET 308. `filterGroups`: groups that do not count, joined by commas. */
export const queryCorrectionOffsetHeader = defineHeader({
  topic: field.string,
  compareGroup: field.string,
  filterGroups: optional.string,
});

/** CLONE_GROUP_OFFSET 314. Without `topic`, all topics of the source group. */
export const cloneGroupOffsetHeader = defineHeader({
  srcGroup: field.string,
  destGroup: field.string,
  topic: optional.string,
  offline: optional.boolean,
});

/** VIEW_BROKER_STATS_DATA 315. */
export const viewBrokerStatsDataHeader = defineHeader({ statsName: field.string, statsKey: field.string });

/** GET_BROKER_CONSUME_STATS 317. */
export const getBrokerConsumeStatsHeader = defineHeader({ isOrder: optional.boolean });

/** QUERY_CONSUME_QUEUE 321. */
export const queryConsumeQueueHeader = defineHeader({
  topic: field.string,
  queueId: field.int,
  index: field.long,
  count: field.int,
  consumerGroup: optional.string,
});

/** QUERY_TOPICS_BY_CONSUMER 343. */
export const queryTopicsByConsumerHeader = defineHeader({ group: field.string });

/** QUERY_SUBSCRIPTION_BY_CONSUMER 345. */
export const querySubscriptionByConsumerHeader = defineHeader({ group: field.string, topic: field.string });
