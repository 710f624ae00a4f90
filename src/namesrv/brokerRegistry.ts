/**
 * Which brokers there are: registration, heartbeat, expiry, and leaving. Upstream: `RouteInfoManager.registerBroker`,
 * `unRegisterBroker`, `scanNotActiveBroker`, `BrokerHousekeepingService`.
 *
 * A broker lives while its registration is repeated within its time-out AND the connection it last registered on is
 * open: one that registers and hangs up is gone at once. Everything here is one synchronous step.
 */
import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/logger.js';
import { type DataVersion, isSameDataVersion, type QueueData, type TopicConfig } from '../protocol/bodies.js';
import { MASTER_ID, PERM } from '../protocol/names.js';
import type { Peer } from '../remoting/processor.js';
import {
  type BrokerGroup,
  forgetGroup,
  type LiveBroker,
  leaveTopics,
  liveKey,
  lowestId,
  type RouteTables,
  removeFromTopic,
} from './routeTables.js';

/** When a broker does not say how long it may be silent. */
export const HEARTBEAT_TIMEOUT_DEFAULT_MILLIS = 120_000;
/** Broker groups that a name server holds; a registration beyond is refused. */
export const GROUPS_MAX = 10_000;

export interface Registration {
  clusterName: string;
  brokerName: string;
  brokerId: number;
  brokerAddr: string;
  haServerAddr: string;
  zoneName: string | undefined;
  heartbeatTimeoutMillis: number | undefined;
  /** Undefined: a broker before 5.0, which knows no acting masters. */
  enableActingMaster: boolean | undefined;
  dataVersion: DataVersion;
  topics: readonly TopicConfig[];
  filterServers: readonly string[];
  peer: Peer;
}

/** 'REFUSED' with the reason; otherwise what the broker is told: filled for slaves whose master lives. */
export type RegistrationOutcome =
  | { status: 'REGISTERED'; masterAddr: string | undefined; haServerAddr: string | undefined }
  | { status: 'REFUSED'; reason: string };

/** Names one broker of a group. */
export interface BrokerIdentity {
  clusterName: string;
  brokerName: string;
  brokerId: number;
  brokerAddr: string;
}

export interface BrokerRegistryParts {
  tables: RouteTables;
  clock: Clock;
  logger: Logger;
  /** Does a full registration remove the group's topics that it does not name? */
  removesMissingTopics: () => boolean;
  /** The lowest broker id of a group fell, or it left with the address `goneAddr`. */
  onLowestIdChanged: (brokerName: string, goneAddr: string | undefined) => void;
}

export class BrokerRegistry {
  readonly #parts: BrokerRegistryParts;
  /** Peers on which a broker registered, with the way to stop listening to their end. */
  readonly #listening = new Map<Peer, () => void>();

  constructor(parts: BrokerRegistryParts) {
    this.#parts = parts;
  }

  register(registration: Registration): RegistrationOutcome {
    const { tables, clock, logger } = this.#parts;
    const { clusterName, brokerName, brokerId, brokerAddr, dataVersion, topics } = registration;
    const known = tables.brokers.get(brokerName);
    // An incremental registration (one topic) is only good on top of a full one.
    if (!known?.addresses.has(brokerId) && topics.length === 1) {
      return { status: 'REFUSED', reason: 'register broker failed' };
    }
    if (!known && tables.brokers.size >= GROUPS_MAX) {
      return { status: 'REFUSED', reason: `register broker failed: there are ${GROUPS_MAX} broker groups already` };
    }
    const lowestBefore = lowestId(known);
    const group = known ?? this.#createGroup(registration);
    if (group.cluster !== clusterName) removeFromSet(tables.clusters, group.cluster, brokerName);
    group.cluster = clusterName;
    addToSet(tables.clusters, clusterName, brokerName);
    group.enableActingMaster = registration.enableActingMaster ?? false;
    group.zoneName = registration.zoneName;
    // A slave that became master registers its address under another id.
    for (const [id, address] of group.addresses) {
      if (address === brokerAddr && id !== brokerId) group.addresses.delete(id);
    }
    const previousAddr = group.addresses.get(brokerId);
    if (previousAddr !== undefined && previousAddr !== brokerAddr) {
      const previous = tables.live.get(liveKey(clusterName, previousAddr));
      if (previous && previous.dataVersion.stateVersion > dataVersion.stateVersion) {
        logger.warn({ brokerName, brokerAddr, previousAddr }, 'registration ignored: its state version is behind');
        tables.live.delete(liveKey(clusterName, brokerAddr));
        return { status: 'REGISTERED', masterAddr: undefined, haServerAddr: undefined };
      }
    }
    group.addresses.set(brokerId, brokerAddr);
    this.#takeTopics(registration, group, !known || previousAddr === undefined);
    tables.live.set(liveKey(clusterName, brokerAddr), {
      clusterName,
      brokerName,
      brokerId,
      brokerAddr,
      haServerAddr: registration.haServerAddr,
      dataVersion,
      lastUpdateMillis: clock.monotonic(),
      heartbeatTimeoutMillis: registration.heartbeatTimeoutMillis ?? HEARTBEAT_TIMEOUT_DEFAULT_MILLIS,
      peer: registration.peer,
      filterServers: registration.filterServers,
    });
    this.#listenTo(registration.peer);
    if (previousAddr === undefined) logger.info({ clusterName, brokerName, brokerId, brokerAddr }, 'broker registered');
    if (lowestBefore !== undefined && brokerId < lowestBefore) {
      this.#parts.onLowestIdChanged(brokerName, undefined);
    }
    return { status: 'REGISTERED', ...this.#masterFor(brokerId, clusterName, group) };
  }

  /** Differs from RocketMQ: takes effect before the answer, not in a later batch. Unknown brokers are ignored. */
  unregister(identity: BrokerIdentity): void {
    this.#unregisterAll([identity]);
  }

  /** However many leave at once, the topics are gone through once. */
  #unregisterAll(identities: readonly BrokerIdentity[]): void {
    const { tables, logger } = this.#parts;
    const goneGroups = new Set<string>();
    const readOnlyGroups = new Set<string>();
    const lostLowest: { brokerName: string; brokerAddr: string }[] = [];
    for (const { clusterName, brokerName, brokerId, brokerAddr } of identities) {
      tables.live.delete(liveKey(clusterName, brokerAddr));
      const group = tables.brokers.get(brokerName);
      if (!group || group.addresses.get(brokerId) !== brokerAddr) continue;
      const lowestBefore = lowestId(group);
      group.addresses.delete(brokerId);
      logger.info({ clusterName, brokerName, brokerId, brokerAddr }, 'broker unregistered');
      if (group.addresses.size === 0) {
        forgetGroup(tables, brokerName);
        goneGroups.add(brokerName);
        continue;
      }
      if (group.enableActingMaster && !group.addresses.has(MASTER_ID)) readOnlyGroups.add(brokerName);
      if (lowestBefore !== lowestId(group)) lostLowest.push({ brokerName, brokerAddr });
    }
    leaveTopics(tables, goneGroups, readOnlyGroups);
    for (const { brokerName, brokerAddr } of lostLowest) this.#parts.onLowestIdChanged(brokerName, brokerAddr);
  }

  /** Notes that the broker was heard of. */
  heartbeat(clusterName: string, brokerAddr: string): void {
    const broker = this.#parts.tables.live.get(liveKey(clusterName, brokerAddr));
    if (broker) broker.lastUpdateMillis = this.#parts.clock.monotonic();
  }

  /** The version that the broker registered last; counts as a sign of life. */
  versionOf(clusterName: string, brokerAddr: string): DataVersion | undefined {
    this.heartbeat(clusterName, brokerAddr);
    return this.#parts.tables.live.get(liveKey(clusterName, brokerAddr))?.dataVersion;
  }

  /** Removes brokers that were silent for longer than they may, and closes their connections. */
  expireSilent(): void {
    const { tables, clock, logger } = this.#parts;
    const now = clock.monotonic();
    const silent = [...tables.live.values()].filter(
      ({ lastUpdateMillis, heartbeatTimeoutMillis }) => lastUpdateMillis + heartbeatTimeoutMillis < now,
    );
    for (const { brokerName, brokerAddr, lastUpdateMillis } of silent) {
      logger.warn({ brokerName, brokerAddr, silentMillis: now - lastUpdateMillis }, 'broker expired');
    }
    this.#unregisterAll(silent);
    for (const { peer } of silent) peer.close();
  }

  /** Forgets the connections; the tables stay as they are. */
  stop(): void {
    for (const forget of this.#listening.values()) forget();
    this.#listening.clear();
  }

  #createGroup({ clusterName, brokerName }: Registration): BrokerGroup {
    const group = { cluster: clusterName, addresses: new Map(), enableActingMaster: false, zoneName: undefined };
    this.#parts.tables.brokers.set(brokerName, group);
    return group;
  }

  /** Only the master speaks for a group's topics, or its lowest slave while there is no master. */
  #takeTopics(registration: Registration, group: BrokerGroup, isFirst: boolean): void {
    const { tables, removesMissingTopics } = this.#parts;
    const { clusterName, brokerName, brokerId, brokerAddr, enableActingMaster } = registration;
    const isPrimeSlave = enableActingMaster !== undefined && brokerId !== MASTER_ID && brokerId === lowestId(group);
    if (brokerId !== MASTER_ID && !isPrimeSlave) return;
    // One topic is an incremental registration, which says nothing about the others.
    if (removesMissingTopics() && registration.topics.length > 1) {
      const named = new Set(registration.topics.map(({ topicName }) => topicName));
      for (const topic of [...tables.topics.keys()]) {
        if (!named.has(topic)) removeFromTopic(tables.topics, topic, brokerName);
      }
    }
    const before = tables.live.get(liveKey(clusterName, brokerAddr))?.dataVersion;
    const isChanged = isFirst || !before || !isSameDataVersion(before, registration.dataVersion);
    for (const { topicName, readQueueNums, writeQueueNums, perm, topicSysFlag } of registration.topics) {
      if (!isChanged && tables.topics.get(topicName)?.has(brokerName)) continue;
      const holders = tables.topics.get(topicName) ?? new Map<string, QueueData>();
      tables.topics.set(topicName, holders);
      holders.set(brokerName, {
        brokerName,
        readQueueNums,
        writeQueueNums,
        perm: isPrimeSlave && enableActingMaster ? perm & ~PERM.WRITE : perm,
        topicSysFlag,
      });
    }
  }

  #masterFor(brokerId: number, clusterName: string, group: BrokerGroup) {
    const masterAddr = brokerId === MASTER_ID ? undefined : group.addresses.get(MASTER_ID);
    const master = masterAddr === undefined ? undefined : this.#parts.tables.live.get(liveKey(clusterName, masterAddr));
    return { masterAddr: master?.brokerAddr, haServerAddr: master?.haServerAddr };
  }

  #listenTo(peer: Peer): void {
    if (this.#listening.has(peer)) return;
    // Entered first: a peer that is already closed calls back at once.
    this.#listening.set(peer, () => {});
    const forget = peer.onClose(() => {
      this.#listening.delete(peer);
      this.#dropBrokersOf(peer);
    });
    if (this.#listening.has(peer)) this.#listening.set(peer, forget);
  }

  #dropBrokersOf(peer: Peer): void {
    const gone: LiveBroker[] = [...this.#parts.tables.live.values()].filter((broker) => broker.peer === peer);
    for (const { brokerName, brokerAddr } of gone) {
      this.#parts.logger.warn({ brokerName, brokerAddr }, 'broker hung up');
    }
    this.#unregisterAll(gone);
  }
}

function addToSet(sets: Map<string, Set<string>>, key: string, member: string): void {
  const members = sets.get(key);
  if (members) members.add(member);
  else sets.set(key, new Set([member]));
}

function removeFromSet(sets: Map<string, Set<string>>, key: string, member: string): void {
  const members = sets.get(key);
  members?.delete(member);
  if (members?.size === 0) sets.delete(key);
}
