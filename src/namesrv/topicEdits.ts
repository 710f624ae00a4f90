/**
 * Changes of the topic table that administrators ask for. They live in memory and last until the broker registers
 * with a changed data version. Upstream: `RouteInfoManager.wipeWritePermOfBrokerByLock`, `deleteTopic`, `registerTopic`.
 */
import type { QueueData } from '../protocol/bodies.js';
import { PERM } from '../protocol/names.js';
import { type RouteTables, removeFromTopic } from './routeTables.js';

/** WIPE_WRITE_PERM_OF_BROKER 205: returns how many topics the broker holds. */
export function wipeWritePermission({ topics }: RouteTables, brokerName: string): number {
  return eachTopicOf(topics, brokerName, (queueData) => {
    queueData.perm &= ~PERM.WRITE;
  });
}

/** ADD_WRITE_PERM_OF_BROKER 327. Like RocketMQ it drops the inherit bit of TBW102 until the broker registers anew. */
export function addWritePermission({ topics }: RouteTables, brokerName: string): number {
  return eachTopicOf(topics, brokerName, (queueData) => {
    queueData.perm = PERM.READ | PERM.WRITE;
  });
}

/** DELETE_TOPIC_IN_NAMESRV 216: of one cluster's brokers, or altogether. */
export function deleteTopic({ topics, clusters }: RouteTables, topic: string, cluster: string | undefined): void {
  if (cluster === undefined || cluster === '') topics.delete(topic);
  else for (const brokerName of clusters.get(cluster) ?? []) removeFromTopic(topics, topic, brokerName);
}

/**
 * REGISTER_TOPIC_IN_NAMESRV 217. Like RocketMQ it stops, without an error, at the first broker that is not there: a new
 * topic is not created then, of a known one the brokers before it are taken.
 */
export function registerTopic({ topics, brokers }: RouteTables, topic: string, queueDatas: readonly QueueData[]): void {
  const known = topics.get(topic);
  const holders = known ?? new Map<string, QueueData>();
  for (const queueData of queueDatas) {
    if (!brokers.has(queueData.brokerName)) return;
    holders.set(queueData.brokerName, { ...queueData });
  }
  if (holders.size > 0) topics.set(topic, holders);
}

function eachTopicOf(
  topics: RouteTables['topics'],
  brokerName: string,
  change: (queueData: QueueData) => void,
): number {
  let count = 0;
  for (const holders of topics.values()) {
    const queueData = holders.get(brokerName);
    if (!queueData) continue;
    change(queueData);
    count++;
  }
  return count;
}
