/**
 * What the name servers say of topics, kept and refreshed: the queues to publish to and to subscribe to, and where the
 * brokers are. A route that was known stays when the name server loses it (a broker that restarts is gone from it for
 * a moment): calls to the old address fail until the broker is back. Upstream: `TopicRouteData`, `MQClientInstance`.
 */
import type { Clock } from '../base/clock.js';
import { FoldlogError, messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { TopicRouteData } from '../protocol/bodies.js';
import type { MessageQueue } from '../protocol/message.js';
import { AUTO_CREATE_TOPIC_KEY_TOPIC, MASTER_ID, PERM } from '../protocol/names.js';
import { compareQueues } from './messageQueues.js';
import type { NameServers } from './nameServers.js';

/** Queues that a client asks for when the broker creates a topic. Upstream: `defaultTopicQueueNums`. */
export const DEFAULT_TOPIC_QUEUE_NUMS = 4;
/** A failed call asks for the route anew, but not more often than this. */
const REFRESH_AGAIN_AFTER_MILLIS = 1000;

/** One topic's route, worked out. */
export interface TopicRoute {
  /** Queues that may be sent to, of brokers with a master, in the order of broker names. */
  publishQueues: readonly MessageQueue[];
  /** Queues that may be consumed, sorted as all members of a group sort them. */
  subscribeQueues: readonly MessageQueue[];
}

export interface BrokerAddress {
  address: string;
  brokerId: number;
}

/** The two lists of a topic, as its route gives them. Upstream: `MQClientInstance.topicRouteData2TopicPublishInfo`. */
export function queuesOf(topic: string, route: TopicRouteData): TopicRoute {
  const masters = new Set(
    route.brokerDatas.filter((broker) => broker.brokerAddrs.has(MASTER_ID)).map((broker) => broker.brokerName),
  );
  const rows = [...route.queueDatas].sort((left, right) => (left.brokerName < right.brokerName ? -1 : 1));
  const publishQueues = route.orderTopicConf
    ? orderedQueues(topic, route.orderTopicConf)
    : rows
        .filter((row) => (row.perm & PERM.WRITE) !== 0 && masters.has(row.brokerName))
        .flatMap((row) => numbered(topic, row.brokerName, row.writeQueueNums));
  const subscribeQueues = rows
    .filter((row) => (row.perm & PERM.READ) !== 0)
    .flatMap((row) => numbered(topic, row.brokerName, row.readQueueNums))
    .sort(compareQueues);
  return { publishQueues, subscribeQueues };
}

/** `broker-a:4;broker-b:4`: queues that stay the same while a broker is away. */
function orderedQueues(topic: string, orderTopicConf: string): MessageQueue[] {
  return orderTopicConf.split(';').flatMap((part) => {
    const [brokerName = '', count = ''] = part.split(':');
    return brokerName === '' ? [] : numbered(topic, brokerName, Number.parseInt(count, 10) || 0);
  });
}

function numbered(topic: string, brokerName: string, count: number): MessageQueue[] {
  return Array.from({ length: Math.max(0, count) }, (_, queueId) => ({ topic, brokerName, queueId }));
}

interface KnownTopic {
  route: TopicRoute | undefined;
  /** The same text means that nothing changed. */
  text: string;
  brokerNames: readonly string[];
  askedAt: number;
}

export class Routes {
  readonly #nameServers: NameServers;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #topics = new Map<string, KnownTopic>();
  /** Broker name -> broker id -> address. */
  readonly #brokers = new Map<string, ReadonlyMap<number, string>>();
  readonly #asking = new Map<string, Promise<TopicRoute | undefined>>();
  readonly #onNewBroker: () => void;
  #askingTemplate: Promise<TopicRouteData | undefined> | undefined;

  constructor(parts: { nameServers: NameServers; clock: Clock; logger: Logger; onNewBroker?: () => void }) {
    this.#nameServers = parts.nameServers;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#onNewBroker = parts.onNewBroker ?? (() => {});
  }

  /** The route as known now. */
  peek(topic: string): TopicRoute | undefined {
    return this.#topics.get(topic)?.route;
  }

  /** The route as known, else asked for now; undefined when no name server knows the topic. */
  async get(topic: string): Promise<TopicRoute | undefined> {
    return this.peek(topic) ?? (await this.refresh(topic));
  }

  /**
   * Queues to send to. A topic that does not exist yet gets the queues that the broker will create it with, as the
   * template topic has them. Throws TOPIC_NOT_FOUND when there are none either.
   */
  async publishQueues(topic: string): Promise<readonly MessageQueue[]> {
    const known = (await this.get(topic))?.publishQueues;
    if (known && known.length > 0) return known;
    // Not kept as the topic's route: the real one appears after the first send.
    this.#askingTemplate ??= this.#nameServers.route(AUTO_CREATE_TOPIC_KEY_TOPIC).finally(() => {
      this.#askingTemplate = undefined;
    });
    const template = await this.#askingTemplate;
    if (template && !this.peek(topic)) {
      this.#learnBrokers(template);
      const capped = template.queueDatas.map((row) => {
        const count = Math.min(DEFAULT_TOPIC_QUEUE_NUMS, row.readQueueNums);
        return { ...row, readQueueNums: count, writeQueueNums: count };
      });
      const { publishQueues } = queuesOf(topic, { ...template, queueDatas: capped });
      if (publishQueues.length > 0) return publishQueues;
    }
    throw new FoldlogError(
      'TOPIC_NOT_FOUND',
      `no route to topic ${topic}: create it, or start the broker that has it`,
      {
        topic,
        retriable: true,
      },
    );
  }

  async subscribeQueues(topic: string): Promise<readonly MessageQueue[] | undefined> {
    return (await this.get(topic))?.subscribeQueues;
  }

  /** Asks the name server. Requests for one topic at the same time share one answer. */
  refresh(topic: string): Promise<TopicRoute | undefined> {
    const asking = this.#asking.get(topic);
    if (asking) return asking;
    const promise = this.#refresh(topic).finally(() => this.#asking.delete(topic));
    this.#asking.set(topic, promise);
    return promise;
  }

  /** After a failure: asks anew unless that was just done. Never rejects. */
  async refreshSoon(topic: string): Promise<void> {
    const known = this.#topics.get(topic);
    if (known && this.#clock.monotonic() - known.askedAt < REFRESH_AGAIN_AFTER_MILLIS) return;
    await this.#refreshQuietly(topic);
  }

  /** All topics known, and these. Never rejects: what cannot be refreshed stays as it is. */
  async refreshAll(topics: Iterable<string> = []): Promise<void> {
    await Promise.all([...new Set([...this.#topics.keys(), ...topics])].map((topic) => this.#refreshQuietly(topic)));
    this.#forgetUnusedBrokers();
  }

  /** Brokers that are in no known topic's route any more, for instance those of the template topic. */
  #forgetUnusedBrokers(): void {
    const used = new Set([...this.#topics.values()].flatMap(({ brokerNames }) => brokerNames));
    for (const brokerName of this.#brokers.keys()) if (!used.has(brokerName)) this.#brokers.delete(brokerName);
  }

  async #refreshQuietly(topic: string): Promise<void> {
    try {
      await this.refresh(topic);
    } catch (thrown) {
      this.#logger.warn({ topic, reason: messageOf(thrown) }, 'route cannot be refreshed; the old one stays');
    }
  }

  async #refresh(topic: string): Promise<TopicRoute | undefined> {
    const known = this.#topics.get(topic);
    if (known) known.askedAt = this.#clock.monotonic();
    const data = await this.#nameServers.route(topic);
    if (!data) return known?.route;
    this.#learnBrokers(data);
    const text = JSON.stringify([data.queueDatas, data.orderTopicConf, data.brokerDatas.map((row) => row.brokerName)]);
    if (known?.route && known.text === text) return known.route;
    const route = queuesOf(topic, data);
    const brokerNames = data.brokerDatas.map((broker) => broker.brokerName);
    this.#topics.set(topic, { route, text, brokerNames, askedAt: this.#clock.monotonic() });
    return route;
  }

  #learnBrokers(data: TopicRouteData): void {
    let isNew = false;
    for (const { brokerName, brokerAddrs } of data.brokerDatas) {
      const known = this.#brokers.get(brokerName);
      if (!known || [...brokerAddrs].some(([id, address]) => known.get(id) !== address)) isNew = true;
      this.#brokers.set(brokerName, new Map(brokerAddrs));
    }
    if (isNew) this.#onNewBroker();
  }

  /** Where the broker's master is; undefined when it is not known. */
  masterAddress(brokerName: string): string | undefined {
    return this.#brokers.get(brokerName)?.get(MASTER_ID);
  }

  /** Where to consume from: the wanted broker id, else the one after a wanted slave, else any of the group. */
  subscribeAddress(brokerName: string, wantedId: number): BrokerAddress | undefined {
    const addresses = this.#brokers.get(brokerName);
    if (!addresses) return undefined;
    const candidates = wantedId === MASTER_ID ? [MASTER_ID] : [wantedId, wantedId + 1];
    for (const brokerId of [...candidates, ...addresses.keys()]) {
      const address = addresses.get(brokerId);
      if (address !== undefined) return { address, brokerId };
    }
    return undefined;
  }

  /** Masters, or all brokers, of the topics known. */
  brokerAddresses({ mastersOnly }: { mastersOnly: boolean }): string[] {
    const found = new Set<string>();
    for (const addresses of this.#brokers.values()) {
      for (const [brokerId, address] of addresses) if (!mastersOnly || brokerId === MASTER_ID) found.add(address);
    }
    return [...found];
  }

  /** Names of the brokers of a topic. */
  brokersOf(topic: string): readonly string[] {
    return this.#topics.get(topic)?.brokerNames ?? [];
  }
}
