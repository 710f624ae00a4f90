/**
 * What a name server knows, as plain tables that the files of this folder read and change in synchronous steps.
 * Upstream: the maps of `RouteInfoManager`. Invariant: a broker group stands in `brokers` and in its cluster as long as
 * it has an address, and every topic in `topics` has at least one broker.
 */
import type { DataVersion, QueueData } from '../protocol/bodies.js';
import { PERM } from '../protocol/names.js';
import type { Peer } from '../remoting/processor.js';

/** A master and its slaves. */
export interface BrokerGroup {
  cluster: string;
  /** Address by broker id; 0 is the master. */
  addresses: Map<number, string>;
  enableActingMaster: boolean;
  zoneName: string | undefined;
}

/** One broker that registered and is heard of. */
export interface LiveBroker {
  clusterName: string;
  brokerName: string;
  brokerId: number;
  brokerAddr: string;
  haServerAddr: string;
  dataVersion: DataVersion;
  /** Of the monotonic clock. */
  lastUpdateMillis: number;
  heartbeatTimeoutMillis: number;
  /** The connection it registered on; when that goes, the broker goes. */
  peer: Peer;
  /** Addresses of its filter servers (a feature of 4.x brokers). */
  filterServers: readonly string[];
}

export interface RouteTables {
  /** topic -> brokerName -> how the group holds it */
  readonly topics: Map<string, Map<string, QueueData>>;
  /** brokerName -> group */
  readonly brokers: Map<string, BrokerGroup>;
  /** cluster -> broker names */
  readonly clusters: Map<string, Set<string>>;
  /** {@link liveKey} -> broker */
  readonly live: Map<string, LiveBroker>;
}

export function emptyTables(): RouteTables {
  return { topics: new Map(), brokers: new Map(), clusters: new Map(), live: new Map() };
}

/** Two clusters may use one address (behind different networks), so both name a live broker. */
export function liveKey(clusterName: string, brokerAddr: string): string {
  return `${clusterName}\n${brokerAddr}`;
}

/** The smallest id of a group; undefined when it has no address. */
export function lowestId(group: BrokerGroup | undefined): number | undefined {
  return group && group.addresses.size > 0 ? Math.min(...group.addresses.keys()) : undefined;
}

/** Takes a group out of the brokers and its cluster; `leaveTopics` takes it out of the topics. */
export function forgetGroup({ brokers, clusters }: RouteTables, brokerName: string): void {
  const cluster = brokers.get(brokerName)?.cluster;
  brokers.delete(brokerName);
  if (cluster !== undefined) {
    const names = clusters.get(cluster);
    names?.delete(brokerName);
    if (names?.size === 0) clusters.delete(cluster);
  }
}

/** Takes groups that are gone out of every topic, topics that nobody holds any more go; others lose the write bit. */
export function leaveTopics(
  { topics }: RouteTables,
  goneGroups: ReadonlySet<string>,
  readOnlyGroups: ReadonlySet<string>,
): void {
  if (goneGroups.size === 0 && readOnlyGroups.size === 0) return;
  for (const [topic, holders] of topics) {
    for (const [brokerName, queueData] of holders) {
      if (goneGroups.has(brokerName)) removeFromTopic(topics, topic, brokerName);
      else if (readOnlyGroups.has(brokerName)) queueData.perm &= ~PERM.WRITE;
    }
  }
}

export function removeFromTopic(topics: RouteTables['topics'], topic: string, brokerName: string): void {
  const holders = topics.get(topic);
  if (holders?.delete(brokerName) && holders.size === 0) topics.delete(topic);
}
