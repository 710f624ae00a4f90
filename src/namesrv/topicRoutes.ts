/**
 * Answers made from the route tables: the route of a topic, the brokers of a cluster, the members of a group. Values
 * are copies; nothing here changes a table. Upstream: `RouteInfoManager.pickupTopicRouteData`, `ZoneRouteRPCHook`.
 */
import type { BrokerData, BrokerMemberGroup, ClusterInfo, TopicRouteData } from '../protocol/bodies.js';
import { isWritable, MASTER_ID } from '../protocol/names.js';
import { type BrokerGroup, liveKey, type RouteTables } from './routeTables.js';

export interface RouteOptions {
  /** Present the lowest slave of a group without master as its master (read-only groups with acting masters). */
  supportActingMaster: boolean;
  /** The requester's zone, when it asks for the brokers of its zone only. */
  zoneName: string | undefined;
}

/** Undefined when no broker that is there holds the topic. */
export function routeOf(tables: RouteTables, topic: string, options: RouteOptions): TopicRouteData | undefined {
  const holders = tables.topics.get(topic);
  if (!holders) return undefined;
  const queueDatas = Array.from(holders.values(), (queueData) => ({ ...queueData }));
  const brokerDatas: BrokerData[] = [];
  for (const { brokerName } of queueDatas) {
    const group = tables.brokers.get(brokerName);
    if (group) brokerDatas.push(brokerDataOf(brokerName, group));
  }
  if (brokerDatas.length === 0) return undefined;
  const route = { queueDatas, brokerDatas, filterServerTable: filterServersOf(tables, brokerDatas) };
  if (options.supportActingMaster) presentActingMasters(route);
  return options.zoneName === undefined ? route : withinZone(route, options.zoneName);
}

/** GET_BROKER_CLUSTER_INFO 106. */
export function clusterInfoOf({ brokers, clusters }: RouteTables): ClusterInfo {
  return {
    brokerAddrTable: new Map(
      Array.from(brokers, ([brokerName, group]) => [brokerName, brokerDataOf(brokerName, group)]),
    ),
    clusterAddrTable: new Map(Array.from(clusters, ([cluster, brokerNames]) => [cluster, [...brokerNames]])),
  };
}

/** GET_BROKER_MEMBER_GROUP 901: an unknown group has no addresses. */
export function memberGroupOf({ brokers }: RouteTables, cluster: string, brokerName: string): BrokerMemberGroup {
  return { cluster, brokerName, brokerAddrs: new Map(brokers.get(brokerName)?.addresses) };
}

function brokerDataOf(brokerName: string, group: BrokerGroup): BrokerData {
  return {
    cluster: group.cluster,
    brokerName,
    brokerAddrs: new Map(group.addresses),
    enableActingMaster: group.enableActingMaster,
    zoneName: group.zoneName,
  };
}

function filterServersOf({ live }: RouteTables, brokerDatas: readonly BrokerData[]): Map<string, string[]> {
  const table = new Map<string, string[]>();
  for (const { cluster, brokerAddrs } of brokerDatas) {
    for (const address of brokerAddrs.values()) {
      const filterServers = live.get(liveKey(cluster, address))?.filterServers ?? [];
      if (filterServers.length > 0) table.set(address, [...filterServers]);
    }
  }
  return table;
}

function presentActingMasters({ brokerDatas, queueDatas }: TopicRouteData): void {
  for (const { brokerName, brokerAddrs, enableActingMaster } of brokerDatas) {
    if (!enableActingMaster || brokerAddrs.size === 0 || brokerAddrs.has(MASTER_ID)) continue;
    const queueData = queueDatas.find((one) => one.brokerName === brokerName);
    if (!queueData || isWritable(queueData.perm)) continue;
    const [actingId = MASTER_ID] = [...brokerAddrs.keys()].sort((left, right) => left - right);
    const address = brokerAddrs.get(actingId);
    if (address === undefined) continue;
    brokerAddrs.delete(actingId);
    brokerAddrs.set(MASTER_ID, address);
  }
}

/** A group without master stays whatever its zone: its slaves are needed from everywhere. */
function withinZone(route: TopicRouteData, zoneName: string): TopicRouteData {
  const isKept = ({ brokerAddrs, zoneName: zone }: BrokerData): boolean =>
    !brokerAddrs.has(MASTER_ID) || zone?.toLowerCase() === zoneName.toLowerCase();
  const kept = route.brokerDatas.filter(isKept);
  const removed = route.brokerDatas.filter((brokerData) => !isKept(brokerData));
  const removedNames = new Set(removed.map(({ brokerName }) => brokerName));
  const removedAddresses = new Set(removed.flatMap(({ brokerAddrs }) => [...brokerAddrs.values()]));
  return {
    brokerDatas: kept,
    queueDatas: route.queueDatas.filter(({ brokerName }) => !removedNames.has(brokerName)),
    filterServerTable: new Map([...route.filterServerTable].filter(([address]) => !removedAddresses.has(address))),
  };
}
