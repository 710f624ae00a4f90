/**
 * Names of topics and groups: what may be one, which ones are the system's, and how retry and dead-letter topics are
 * derived. Upstream: `TopicValidator`, `Validators`, `KeyBuilder`, `MixAll`, `PermName`.
 */
import { OptionsError } from '../base/errors.js';

export const AUTO_CREATE_TOPIC_KEY_TOPIC = 'TBW102';
export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';
export const BENCHMARK_TOPIC = 'BenchmarkTest';
export const SELF_TEST_TOPIC = 'SELF_TEST_TOPIC';
export const OFFSET_MOVED_EVENT_TOPIC = 'OFFSET_MOVED_EVENT';
export const TRACE_TOPIC = 'RMQ_SYS_TRACE_TOPIC';
export const TRANS_HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC';
export const TRANS_OP_HALF_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC';
export const TRANS_CHECK_MAX_TIME_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC';
export const CHECKPOINT_TOPIC = 'CHECKPOINT_TOPIC';
export const TIMER_TOPIC = 'rmq_sys_wheel_timer';
export const SYSTEM_TOPIC_PREFIX = 'rmq_sys_';

export const RETRY_TOPIC_PREFIX = '%RETRY%';
export const DEAD_LETTER_TOPIC_PREFIX = '%DLQ%';
export const LMQ_PREFIX = '%LMQ%';

export const DEFAULT_CLUSTER_NAME = 'DefaultCluster';
export const DEFAULT_REGION = 'DefaultRegion';
export const MASTER_ID = 0;

export const TOOLS_CONSUMER_GROUP = 'TOOLS_CONSUMER';
export const DEFAULT_PRODUCER_GROUP = 'DEFAULT_PRODUCER';
export const DEFAULT_CONSUMER_GROUP = 'DEFAULT_CONSUMER';
/** Every client instance registers this one in its heartbeats. */
export const CLIENT_INNER_PRODUCER_GROUP = 'CLIENT_INNER_PRODUCER';
export const SELF_TEST_PRODUCER_GROUP = 'SELF_TEST_P_GROUP';
export const SYSTEM_GROUP_PREFIX = 'CID_RMQ_SYS_';

/** Subscription groups that a broker has from its first start. */
export const BUILT_IN_GROUPS: readonly string[] = [
  TOOLS_CONSUMER_GROUP,
  'FILTERSRV_CONSUMER',
  'SELF_TEST_C_GROUP',
  'CID_ONS-HTTP-PROXY',
  'CID_ONSAPI_PULL',
  'CID_ONSAPI_PERMISSION',
  'CID_ONSAPI_OWNER',
  'CID_RMQ_SYS_TRANS',
];

/** Namespace of the KV configuration that holds order topics. */
export const ORDER_TOPIC_NAMESPACE = 'ORDER_TOPIC_CONFIG';

/** Bits of a topic's or broker's permission. */
export const PERM = { PRIORITY: 8, READ: 4, WRITE: 2, INHERIT: 1 } as const;

export const isReadable = (perm: number): boolean => (perm & PERM.READ) !== 0;
export const isWritable = (perm: number): boolean => (perm & PERM.WRITE) !== 0;
export const isInherited = (perm: number): boolean => (perm & PERM.INHERIT) !== 0;

/** `RW-`, `R--`, `RWX`: how tools print a permission. */
export function permText(perm: number): string {
  return (isReadable(perm) ? 'R' : '-') + (isWritable(perm) ? 'W' : '-') + (isInherited(perm) ? 'X' : '-');
}

export const TOPIC_MAX_LENGTH = 127;
/** Of `%RETRY%` and `%DLQ%` topics, on the server. */
export const DERIVED_TOPIC_MAX_LENGTH = 255;
export const GROUP_MAX_LENGTH = 120;

const LEGAL = /^[%|a-zA-Z0-9_-]+$/;
const LEGAL_TEXT = '^[%|a-zA-Z0-9_-]+$';

/** Why the text cannot be a topic, in upstream's words; undefined when it can. */
export function topicDefect(topic: string): string | undefined {
  if (topic.trim() === '') return 'The specified topic is blank.';
  if (!LEGAL.test(topic)) {
    return `The specified topic: ${topic}, contains illegal characters, allowing only ${LEGAL_TEXT}`;
  }
  const isDerived = topic.startsWith(RETRY_TOPIC_PREFIX) || topic.startsWith(DEAD_LETTER_TOPIC_PREFIX);
  const longest = isDerived ? DERIVED_TOPIC_MAX_LENGTH : TOPIC_MAX_LENGTH;
  if (topic.length > longest) return `The specified topic is longer than topic max length ${longest}.`;
  return undefined;
}

/** Why the text cannot be a group, in upstream's words; undefined when it can. */
export function groupDefect(group: string): string | undefined {
  if (group.trim() === '') return 'The specified group is blank.';
  if (group.length > GROUP_MAX_LENGTH)
    return `The specified group is longer than group max length ${GROUP_MAX_LENGTH}.`;
  if (!LEGAL.test(group)) {
    return `The specified group: ${group}, contains illegal characters, allowing only ${LEGAL_TEXT}`;
  }
  return undefined;
}

/** Throws OptionsError unless the text can be a topic. */
export function assertTopic(topic: string): void {
  const defect = typeof topic === 'string' ? topicDefect(topic) : 'it must be a text';
  if (defect) throw new OptionsError(`topic ${JSON.stringify(topic)} cannot be used: ${defect}`, { topic });
}

/** Throws OptionsError unless the text can be a group. */
export function assertGroup(group: string): void {
  const defect = groupDefect(group);
  if (defect) throw new OptionsError(`group ${JSON.stringify(group)} cannot be used: ${defect}`, { group });
}

const SYSTEM_TOPICS: ReadonlySet<string> = new Set([
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  SCHEDULE_TOPIC,
  BENCHMARK_TOPIC,
  TRANS_HALF_TOPIC,
  TRACE_TOPIC,
  TRANS_OP_HALF_TOPIC,
  'RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC',
  'RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC',
  TRANS_CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_EVENT_TOPIC,
  CHECKPOINT_TOPIC,
]);

/** The fixed set and everything with the system prefix. Cluster, broker and reply topics are the broker's to add. */
export function isSystemTopic(topic: string): boolean {
  return SYSTEM_TOPICS.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX);
}

/** The fixed part of the system topics. */
export const systemTopics = (): readonly string[] => [...SYSTEM_TOPICS];

const FORBIDDEN_TO_SEND: ReadonlySet<string> = new Set([
  SCHEDULE_TOPIC,
  TRANS_HALF_TOPIC,
  TRANS_OP_HALF_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_EVENT_TOPIC,
]);

/** Topics that producers may not send to. */
export function isForbiddenToSend(topic: string): boolean {
  return FORBIDDEN_TO_SEND.has(topic);
}

export const isSystemGroup = (group: string): boolean => group.startsWith(SYSTEM_GROUP_PREFIX);

export const retryTopicOf = (group: string): string => RETRY_TOPIC_PREFIX + group;
export const deadLetterTopicOf = (group: string): string => DEAD_LETTER_TOPIC_PREFIX + group;
export const replyTopicOf = (cluster: string): string => `${cluster}_REPLY_TOPIC`;

export const isRetryTopic = (topic: string): boolean => topic.startsWith(RETRY_TOPIC_PREFIX);
export const isDeadLetterTopic = (topic: string): boolean => topic.startsWith(DEAD_LETTER_TOPIC_PREFIX);

/** The group of a retry topic; undefined for other topics. */
export function groupOfRetryTopic(topic: string): string | undefined {
  return isRetryTopic(topic) ? topic.slice(RETRY_TOPIC_PREFIX.length) : undefined;
}
