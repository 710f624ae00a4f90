/** The lists of topics that a name server answers with. Upstream: `RouteInfoManager`, `TopicSysFlag`. */
import type { TopicList } from '../protocol/bodies.js';
import type { RouteTables } from './routeTables.js';

/** Bits of a topic's topicSysFlag: deployment in units. */
const FLAG_UNIT = 1;
const FLAG_UNIT_SUB = 2;

/** GET_ALL_TOPIC_LIST_FROM_NAMESERVER 206. */
export function allTopics({ topics }: RouteTables): TopicList {
  return { topicList: [...topics.keys()] };
}

/** GET_TOPICS_BY_CLUSTER 224: topics that a broker of the cluster holds. */
export function topicsOfCluster({ topics, clusters }: RouteTables, cluster: string): TopicList {
  const brokerNames = clusters.get(cluster) ?? new Set<string>();
  const topicList: string[] = [];
  for (const [topic, holders] of topics) {
    if ([...holders.keys()].some((brokerName) => brokerNames.has(brokerName))) topicList.push(topic);
  }
  return { topicList };
}

/** GET_SYSTEM_TOPIC_LIST_FROM_NS 304: cluster and broker names are topics too; the address is any broker's. */
export function systemTopicsOf({ clusters, brokers }: RouteTables): TopicList {
  const topicList: string[] = [];
  for (const [cluster, brokerNames] of clusters) topicList.push(cluster, ...brokerNames);
  const [group] = brokers.values();
  const [brokerAddr] = group?.addresses.values() ?? [];
  return { topicList, brokerAddr };
}

export type UnitKind = 'UNIT' | 'UNIT_SUB' | 'UNIT_SUB_WITHOUT_UNIT';

/** GET_UNIT_TOPIC_LIST 311, GET_HAS_UNIT_SUB_TOPIC_LIST 312, GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST 313. */
export function unitTopics({ topics }: RouteTables, kind: UnitKind): TopicList {
  const topicList: string[] = [];
  for (const [topic, holders] of topics) {
    const [first] = holders.values();
    const flag = first?.topicSysFlag ?? 0;
    const isUnit = (flag & FLAG_UNIT) !== 0;
    const hasUnitSub = (flag & FLAG_UNIT_SUB) !== 0;
    const isListed = { UNIT: isUnit, UNIT_SUB: hasUnitSub, UNIT_SUB_WITHOUT_UNIT: hasUnitSub && !isUnit }[kind];
    if (isListed) topicList.push(topic);
  }
  return { topicList };
}
