/**
 * The topics that a broker has from its first start: templates for new ones, those of its own services, and those that
 * RocketMQ's tools look for. Upstream: `TopicConfigManager#init`.
 */
import type { BrokerConfig } from '../config/brokerConfig.js';
import type { TopicConfig } from '../protocol/bodies.js';
import { topicConfigOf } from '../protocol/bodies.js';
import {
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  BENCHMARK_TOPIC,
  OFFSET_MOVED_EVENT_TOPIC,
  PERM,
  replyTopicOf,
  SCHEDULE_TOPIC,
  SELF_TEST_TOPIC,
  TIMER_TOPIC,
  TRANS_HALF_TOPIC,
  TRANS_OP_HALF_TOPIC,
} from '../protocol/names.js';

const SCHEDULE_QUEUES_MIN = 18;

export type TopicsConfig = Pick<
  BrokerConfig,
  | 'autoCreateTopicEnable'
  | 'brokerClusterName'
  | 'brokerName'
  | 'brokerTopicEnable'
  | 'clusterTopicEnable'
  | 'defaultTopicQueueNums'
  | 'enableLmq'
  | 'msgTraceTopicName'
  | 'timerWheelEnable'
  | 'traceTopicEnable'
>;

/** What a fresh broker has; queue counts and permissions as measured on 5.5.0. */
export function builtInTopics(config: TopicsConfig, delayLevelCount: number): TopicConfig[] {
  const topic = (topicName: string, queueNums: number, perm: number): TopicConfig =>
    topicConfigOf(topicName, { readQueueNums: queueNums, writeQueueNums: queueNums, perm });
  const both = PERM.READ | PERM.WRITE;
  const template = both | PERM.INHERIT;
  return [
    topic(SELF_TEST_TOPIC, 1, both),
    ...(config.autoCreateTopicEnable
      ? [topic(AUTO_CREATE_TOPIC_KEY_TOPIC, config.defaultTopicQueueNums, template)]
      : []),
    topic(BENCHMARK_TOPIC, 1024, both),
    topic(config.brokerClusterName, 16, config.clusterTopicEnable ? template : PERM.INHERIT),
    topic(config.brokerName, 1, config.brokerTopicEnable ? template : PERM.INHERIT),
    topic(OFFSET_MOVED_EVENT_TOPIC, 1, both),
    topic(SCHEDULE_TOPIC, Math.max(SCHEDULE_QUEUES_MIN, delayLevelCount), both),
    ...(config.timerWheelEnable ? [topic(TIMER_TOPIC, 1, both)] : []),
    ...(config.traceTopicEnable ? [topic(config.msgTraceTopicName, 1, both)] : []),
    topic(replyTopicOf(config.brokerClusterName), 1, both),
    topic(TRANS_HALF_TOPIC, 1, both),
    topic(TRANS_OP_HALF_TOPIC, 1, both),
  ];
}
