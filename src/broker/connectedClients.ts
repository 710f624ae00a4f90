/**
 * Who is there: producers and consumer groups by connection, as their heartbeats say, and what each group subscribes.
 * Members are told when their group changes (NOTIFY_CONSUMER_IDS_CHANGED), the one that caused it included, before its
 * own heartbeat is answered: upstream's clients rely on the order. A client is gone when its connection is, or when
 * it has been silent for too long. Upstream: `ConsumerManager`, `ConsumerGroupInfo`, `ProducerManager`.
 */
import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/logger.js';
import type { ConsumerData, SubscriptionData } from '../protocol/bodies.js';
import { notifyConsumerIdsChangedHeader } from '../protocol/headers/group.js';
import { COMMAND_FLAG, requestCommand } from '../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import type { Peer } from '../remoting/processor.js';
import type { SubscriptionFilter } from './subscriptionFilter.js';
import { filterOf } from './subscriptionFilter.js';

/** Memberships (one per group and connection) and subscriptions that are kept; over it newcomers are ignored. */
const MEMBERSHIPS_MAX = 200_000;
const SUBSCRIPTIONS_PER_GROUP_MAX = 10_000;

export interface ClientDescription {
  clientId: string;
  language: string;
  version: number;
}

export interface Member extends ClientDescription {
  peer: Peer;
  /** Of the monotonic clock. */
  lastHeartbeatAt: number;
  /** Milliseconds since the epoch. */
  lastUpdateTimestamp: number;
}

export interface Subscription {
  data: SubscriptionData;
  filter: SubscriptionFilter;
}

export interface ConsumerGroup {
  readonly name: string;
  consumeType: string;
  messageModel: string;
  consumeFromWhere: string;
  readonly members: Map<string, Member>;
  readonly subscriptions: Map<string, Subscription>;
}

/** What a connection stands for. */
interface KnownPeer {
  readonly groups: Set<string>;
  readonly producers: Set<string>;
  /** The client id that its producers go by. */
  producerId: string | undefined;
  /** Forgets the callback for its end. */
  forget: () => void;
}

export interface ConnectedClientsParts {
  clock: Clock;
  logger: Logger;
  /** Are members of the group told when it changes? */
  isNotified: (group: string) => boolean;
  channelExpiredMillis: number;
  /** A member said what its group subscribes. */
  onSubscribed?: (group: string, subscriptions: ReadonlyMap<string, Subscription>) => void;
  /** The last member of a group left. */
  onGroupLeft?: (group: string) => void;
}

export class ConnectedClients {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #isNotified: (group: string) => boolean;
  readonly #channelExpiredMillis: number;
  readonly #onSubscribed: (group: string, subscriptions: ReadonlyMap<string, Subscription>) => void;
  readonly #onGroupLeft: (group: string) => void;
  readonly #producers = new Map<string, Map<string, Member>>();
  readonly #consumers = new Map<string, ConsumerGroup>();
  readonly #peers = new Map<string, KnownPeer>();
  /** The connection of each client that produces; replies find their requester by it. */
  readonly #producerPeers = new Map<string, Peer>();
  #memberships = 0;

  constructor(parts: ConnectedClientsParts) {
    const { clock, logger, isNotified, channelExpiredMillis, onSubscribed = () => {}, onGroupLeft = () => {} } = parts;
    this.#clock = clock;
    this.#logger = logger;
    this.#isNotified = isNotified;
    this.#channelExpiredMillis = channelExpiredMillis;
    this.#onSubscribed = onSubscribed;
    this.#onGroupLeft = onGroupLeft;
  }

  registerProducer(group: string, client: ClientDescription, peer: Peer): void {
    const members = this.#producers.get(group) ?? new Map<string, Member>();
    if (!this.#register(members, client, peer)) return;
    this.#producers.set(group, members);
    const known = this.#remember(peer);
    known.producers.add(group);
    if (known.producerId !== client.clientId) this.#forgetProducerId(known, peer.id);
    known.producerId = client.clientId;
    this.#producerPeers.set(client.clientId, peer);
  }

  /** `withSubscriptions` false leaves what the group subscribes as it is. Returns whether members or topics changed. */
  registerConsumer(data: ConsumerData, client: ClientDescription, peer: Peer, withSubscriptions: boolean): boolean {
    const group = this.#consumers.get(data.groupName) ?? {
      name: data.groupName,
      consumeType: data.consumeType,
      messageModel: data.messageModel,
      consumeFromWhere: data.consumeFromWhere,
      members: new Map<string, Member>(),
      subscriptions: new Map<string, Subscription>(),
    };
    const isNew = !group.members.has(peer.id);
    if (!this.#register(group.members, client, peer)) return false;
    this.#consumers.set(group.name, group);
    this.#remember(peer).groups.add(group.name);
    group.consumeType = data.consumeType;
    group.messageModel = data.messageModel;
    group.consumeFromWhere = data.consumeFromWhere;
    const areTopicsChanged = withSubscriptions && updateSubscriptions(group, data.subscriptionDataSet);
    if (withSubscriptions) this.#onSubscribed(group.name, group.subscriptions);
    if (isNew || areTopicsChanged) this.#notify(group);
    return isNew || areTopicsChanged;
  }

  unregister(peer: Peer, names: { producerGroup?: string | undefined; consumerGroup?: string | undefined }): void {
    const known = this.#peers.get(peer.id);
    if (!known) return;
    const { producerGroup, consumerGroup } = names;
    if (producerGroup !== undefined && known.producers.delete(producerGroup)) {
      this.#dropProducer(producerGroup, peer.id);
      if (known.producers.size === 0) this.#forgetProducerId(known, peer.id);
    }
    if (consumerGroup !== undefined && known.groups.delete(consumerGroup)) this.#dropConsumer(consumerGroup, peer.id);
    if (known.producers.size + known.groups.size > 0) return;
    known.forget();
    this.#peers.delete(peer.id);
  }

  consumerGroup(group: string): ConsumerGroup | undefined {
    return this.#consumers.get(group);
  }

  consumerGroups(): Iterable<ConsumerGroup> {
    return this.#consumers.values();
  }

  producers(group: string): readonly Member[] {
    return [...(this.#producers.get(group)?.values() ?? [])];
  }

  /** All producers by group. */
  producerGroups(): [group: string, members: Member[]][] {
    return [...this.#producers].map(([group, members]) => [group, [...members.values()]]);
  }

  /** The newest connection on which a client told of a producer. */
  producerPeer(clientId: string): Peer | undefined {
    return this.#producerPeers.get(clientId);
  }

  /** A member of a consumer group by its client id; of several connections the newest. */
  consumer(group: string, clientId: string): Member | undefined {
    const members = [...(this.#consumers.get(group)?.members.values() ?? [])];
    return members.findLast((member) => member.clientId === clientId);
  }

  /** Client ids of a group, each once. */
  clientIds(group: string): string[] {
    const members = this.#consumers.get(group)?.members.values() ?? [];
    return [...new Set([...members].map(({ clientId }) => clientId))];
  }

  /** Drops who has been silent for too long; called from time to time. */
  removeExpired(): void {
    const oldest = this.#clock.monotonic() - this.#channelExpiredMillis;
    const silent = new Map<string, { peer: Peer; clientId: string }>();
    const look = ({ peer, clientId, lastHeartbeatAt }: Member) => {
      if (lastHeartbeatAt < oldest) silent.set(peer.id, { peer, clientId });
    };
    for (const members of this.#producers.values()) members.forEach(look);
    for (const group of this.#consumers.values()) group.members.forEach(look);
    for (const { peer, clientId } of silent.values()) {
      this.#logger.warn({ clientId, peer: peer.id }, 'client is silent: connection closed');
      peer.close();
      this.#dropPeer(peer.id);
    }
  }

  #register(members: Map<string, Member>, client: ClientDescription, peer: Peer): boolean {
    if (!peer.isOpen) return false;
    const member = members.get(peer.id);
    if (!member && this.#memberships >= MEMBERSHIPS_MAX) {
      this.#logger.warn({ clientId: client.clientId }, `more than ${MEMBERSHIPS_MAX} group members: client ignored`);
      return false;
    }
    if (!member) this.#memberships += 1;
    const times = { lastHeartbeatAt: this.#clock.monotonic(), lastUpdateTimestamp: this.#clock.now() };
    members.set(peer.id, { ...client, peer, ...times });
    return true;
  }

  #remember(peer: Peer): KnownPeer {
    const known = this.#peers.get(peer.id);
    if (known) return known;
    const fresh: KnownPeer = { groups: new Set(), producers: new Set(), producerId: undefined, forget: () => {} };
    this.#peers.set(peer.id, fresh);
    fresh.forget = peer.onClose(() => this.#dropPeer(peer.id));
    return fresh;
  }

  #dropPeer(peerId: string): void {
    const known = this.#peers.get(peerId);
    if (!known) return;
    this.#peers.delete(peerId);
    known.forget();
    this.#forgetProducerId(known, peerId);
    for (const group of known.producers) this.#dropProducer(group, peerId);
    for (const group of known.groups) this.#dropConsumer(group, peerId);
  }

  /** A newer connection of the same client keeps its entry. */
  #forgetProducerId(known: KnownPeer, peerId: string): void {
    const { producerId } = known;
    known.producerId = undefined;
    if (producerId !== undefined && this.#producerPeers.get(producerId)?.id === peerId) {
      this.#producerPeers.delete(producerId);
    }
  }

  #dropProducer(group: string, peerId: string): void {
    const members = this.#producers.get(group);
    if (!members?.delete(peerId)) return;
    this.#memberships -= 1;
    if (members.size === 0) this.#producers.delete(group);
  }

  #dropConsumer(name: string, peerId: string): void {
    const group = this.#consumers.get(name);
    if (!group?.members.delete(peerId)) return;
    this.#memberships -= 1;
    if (group.members.size > 0) this.#notify(group);
    else {
      this.#consumers.delete(name);
      this.#onGroupLeft(name);
    }
  }

  #notify(group: ConsumerGroup): void {
    if (group.messageModel === 'BROADCASTING' || !this.#isNotified(group.name)) return;
    for (const { peer } of group.members.values()) {
      const command = requestCommand(
        REQUEST_CODE.NOTIFY_CONSUMER_IDS_CHANGED,
        notifyConsumerIdsChangedHeader.encode({ consumerGroup: group.name }),
      );
      command.flag = COMMAND_FLAG.ONEWAY;
      command.language = 'JAVA';
      peer.notify(command);
    }
  }
}

/** Adds, replaces what is newer, and removes what is not listed. Returns whether the set of topics changed. */
function updateSubscriptions(group: ConsumerGroup, listed: readonly SubscriptionData[]): boolean {
  let isChanged = false;
  const topics = new Set<string>();
  for (const data of listed.slice(0, SUBSCRIPTIONS_PER_GROUP_MAX)) {
    topics.add(data.topic);
    const known = group.subscriptions.get(data.topic);
    if (known && data.subVersion <= known.data.subVersion) continue;
    if (!known) isChanged = true;
    const isSame =
      known && known.data.subString === data.subString && known.data.expressionType === data.expressionType;
    group.subscriptions.set(data.topic, { data, filter: isSame ? known.filter : filterOf(data) });
  }
  for (const topic of [...group.subscriptions.keys()]) {
    if (topics.has(topic)) continue;
    group.subscriptions.delete(topic);
    isChanged = true;
  }
  return isChanged;
}
