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

export interface ConnectedClientsParts {
  clock: Clock;
  logger: Logger;
  /** Are members of the group told when it changes? */
  isNotified: (group: string) => boolean;
  channelExpiredMillis: number;
}

export class ConnectedClients {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #isNotified: (group: string) => boolean;
  readonly #channelExpiredMillis: number;
  readonly #producers = new Map<string, Map<string, Member>>();
  readonly #consumers = new Map<string, ConsumerGroup>();
  /** Groups by connection, with the way to forget its close callback. */
  readonly #peers = new Map<string, { groups: Set<string>; producers: Set<string>; forget: () => void }>();
  #memberships = 0;

  constructor({ clock, logger, isNotified, channelExpiredMillis }: ConnectedClientsParts) {
    this.#clock = clock;
    this.#logger = logger;
    this.#isNotified = isNotified;
    this.#channelExpiredMillis = channelExpiredMillis;
  }

  registerProducer(group: string, client: ClientDescription, peer: Peer): void {
    const members = this.#producers.get(group) ?? new Map<string, Member>();
    if (!this.#register(members, client, peer)) return;
    this.#producers.set(group, members);
    this.#remember(peer).producers.add(group);
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
    if (isNew || areTopicsChanged) this.#notify(group);
    return isNew || areTopicsChanged;
  }

  unregister(peer: Peer, names: { producerGroup?: string | undefined; consumerGroup?: string | undefined }): void {
    const known = this.#peers.get(peer.id);
    if (!known) return;
    const { producerGroup, consumerGroup } = names;
    if (producerGroup !== undefined && known.producers.delete(producerGroup))
      this.#dropProducer(producerGroup, peer.id);
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

  #remember(peer: Peer): { groups: Set<string>; producers: Set<string> } {
    const known = this.#peers.get(peer.id);
    if (known) return known;
    const fresh = { groups: new Set<string>(), producers: new Set<string>(), forget: () => {} };
    this.#peers.set(peer.id, fresh);
    fresh.forget = peer.onClose(() => this.#dropPeer(peer.id));
    return fresh;
  }

  #dropPeer(peerId: string): void {
    const known = this.#peers.get(peerId);
    if (!known) return;
    this.#peers.delete(peerId);
    known.forget();
    for (const group of known.producers) this.#dropProducer(group, peerId);
    for (const group of known.groups) this.#dropConsumer(group, peerId);
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
    if (group.members.size === 0) this.#consumers.delete(name);
    else this.#notify(group);
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
