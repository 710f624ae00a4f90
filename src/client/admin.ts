/**
 * Administration over the client's session: topics, groups, messages by key and id, the name servers' configuration.
 * Finds the brokers, asks each, and puts the answers together. Upstream: `DefaultMQAdminExt`, `MQAdminImpl`.
 */
import { FoldlogError, messageOf, OptionsError } from '../base/errors.js';
import type { QueueOffset, TimestampMillis } from '../base/flavours.js';
import type {
  BrokerData,
  ClusterInfo,
  ConsumeStatsBody,
  SubscriptionGroupConfig,
  TopicConfig,
  TopicRouteData,
  TopicStatsBody,
} from '../protocol/bodies.js';
import { subscriptionGroupConfigOf, topicConfigOf } from '../protocol/bodies.js';
import type { MessageQueue } from '../protocol/message.js';
import { decodeOffsetMsgId } from '../protocol/messageId.js';
import { PROPERTY } from '../protocol/messageProperties.js';
import { assertGroup, assertTopic, MASTER_ID } from '../protocol/names.js';
import type { ReceivedMessage } from './clientTypes.js';
import { receive } from './receivedMessage.js';
import type { Session } from './session.js';

const QUERY_TIMEOUT_MILLIS = 15_000;
const QUERY_BY_UNIQUE_KEY_BACK_MILLIS = 3 * 24 * 3600_000;
const QUERY_BY_UNIQUE_KEY_COUNT = 32;

export interface QueryOptions {
  /** Default 64. */
  maxNum?: number;
  /** Stored at or after. Default 0. */
  beginTimestamp?: TimestampMillis;
  /** Stored at or before. Default: no bound. */
  endTimestamp?: TimestampMillis;
}

/** Where something is created: on the brokers of a cluster, or on one. */
export interface AdminTarget {
  clusterName?: string;
  brokerAddr?: string;
}

export class Admin {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  clusterInfo(): Promise<ClusterInfo> {
    return this.#session.nameServers.clusterInfo();
  }

  /** Undefined when no name server knows the topic. */
  topicRoute(topic: string): Promise<TopicRouteData | undefined> {
    return this.#session.nameServers.route(topic);
  }

  /** All topics of the masters of a cluster, or of all clusters. */
  async topics(target: AdminTarget = {}): Promise<string[]> {
    const topics = new Set<string>();
    for (const address of await this.#masters(target)) {
      for (const topic of (await this.#session.adminCalls.topicConfigs(address)).keys()) topics.add(topic);
    }
    return [...topics].sort();
  }

  /** Creates the topic, or changes it, on every master of the target. Defaults as `mqadmin updateTopic`: 8 queues. */
  async createTopic(
    topic: string,
    config: Partial<Omit<TopicConfig, 'topicName'>> = {},
    target: AdminTarget = {},
  ): Promise<void> {
    assertTopic(topic);
    const whole = topicConfigOf(topic, { readQueueNums: 8, writeQueueNums: 8, ...config });
    for (const address of await this.#masters(target)) await this.#session.adminCalls.createTopic(address, whole);
    await this.#session.routes.refreshAll([topic]);
  }

  /** The topic as the broker has it, or as the first master of the target; undefined when it is not there. */
  async topicConfig(topic: string, target: AdminTarget = {}): Promise<TopicConfig | undefined> {
    for (const address of await this.#masters(target)) {
      const config = await this.#session.adminCalls.topicConfig(address, topic);
      if (config) return config;
    }
    return undefined;
  }

  /** Removes the topic from the brokers of the target, then from the name servers. */
  async deleteTopic(topic: string, target: AdminTarget = {}): Promise<void> {
    for (const address of await this.#masters(target)) await this.#session.adminCalls.deleteTopic(address, topic);
    await this.#session.nameServers.deleteTopic(topic, target.clusterName);
  }

  async createSubscriptionGroup(
    group: string,
    config: Partial<Omit<SubscriptionGroupConfig, 'groupName'>> = {},
    target: AdminTarget = {},
  ): Promise<void> {
    assertGroup(group);
    const whole = subscriptionGroupConfigOf(group, config);
    for (const address of await this.#masters(target)) {
      await this.#session.adminCalls.createSubscriptionGroup(address, whole);
    }
  }

  async deleteSubscriptionGroup(group: string, options: AdminTarget & { cleanOffset?: boolean } = {}): Promise<void> {
    for (const address of await this.#masters(options)) {
      await this.#session.adminCalls.deleteSubscriptionGroup(address, group, options.cleanOffset);
    }
  }

  /** Lowest and highest offset of each queue, over all brokers of the topic. */
  async topicStats(topic: string): Promise<TopicStatsBody> {
    const parts = await Promise.all(
      (await this.#mastersOf(topic)).map(({ address }) => this.#session.adminCalls.topicStats(address, topic)),
    );
    return {
      offsetTable: parts.flatMap((part) => part.offsetTable),
      topicPutTps: parts.reduce((sum, part) => sum + part.topicPutTps, 0),
    };
  }

  /** A group's progress per queue, over all masters of the target. */
  async consumeStats(group: string, topic?: string, target: AdminTarget = {}): Promise<ConsumeStatsBody> {
    const addresses = topic === undefined ? await this.#masters(target) : (await this.#mastersOf(topic)).map(addressOf);
    const parts = await Promise.all(
      addresses.map((address) => this.#session.adminCalls.consumeStats(address, group, topic)),
    );
    return {
      offsetTable: parts.flatMap((part) => part.offsetTable),
      consumeTps: parts.reduce((sum, part) => sum + part.consumeTps, 0),
    };
  }

  /** Sets a group's offsets for the topic to a time (`-1`: the end); returns what each queue was set to. */
  async resetOffset(group: string, topic: string, timestamp: TimestampMillis): Promise<[MessageQueue, QueueOffset][]> {
    const header = { topic, group, timestamp, isForce: true, queueId: -1, offset: -1 };
    const parts = await Promise.all(
      (await this.#mastersOf(topic)).map(({ address }) => this.#session.adminCalls.resetOffset(address, header)),
    );
    return parts.flat();
  }

  /** The broker's figures by name. */
  runtimeInfo(brokerAddr: string): Promise<Map<string, string>> {
    return this.#session.adminCalls.runtimeInfo(brokerAddr);
  }

  /** Messages of the topic that carry the key, of all its brokers, oldest first. */
  async queryMessages(topic: string, key: string, options: QueryOptions = {}): Promise<ReceivedMessage[]> {
    const { maxNum = 64, beginTimestamp = 0, endTimestamp = Number.MAX_SAFE_INTEGER } = options;
    const found = await this.#query(topic, { topic, key, maxNum, beginTimestamp, endTimestamp });
    return found.filter((message) => message.keys.includes(key) || message.properties[PROPERTY.UNIQ_KEY] === key);
  }

  /** By offsetMsgId or by unique key; undefined when there is no such message. */
  async viewMessage(topic: string, msgId: string): Promise<ReceivedMessage | undefined> {
    const place = decodeOffsetMsgId(msgId);
    if (place) {
      const address = `${place.host.host}:${place.host.port}`;
      const master = (await this.#mastersOf(topic)).find((each) => each.address === address);
      // A unique key may read like a place: only a broker of the topic is asked.
      if (master) {
        const record = await this.#session.brokerCalls.viewMessage(address, place.commitLogOffset, topic);
        if (record) return receive(record, master.brokerName);
      }
    }
    const found = await this.#query(topic, {
      topic,
      key: msgId,
      maxNum: QUERY_BY_UNIQUE_KEY_COUNT,
      beginTimestamp: this.#session.clock.now() - QUERY_BY_UNIQUE_KEY_BACK_MILLIS,
      endTimestamp: Number.MAX_SAFE_INTEGER,
      _UNIQUE_KEY_QUERY: 'true',
    });
    return found.find((message) => message.properties[PROPERTY.UNIQ_KEY] === msgId);
  }

  async maxOffset(queue: MessageQueue): Promise<QueueOffset> {
    return this.#session.brokerCalls.maxOffset(await this.#masterOf(queue), queue);
  }

  async minOffset(queue: MessageQueue): Promise<QueueOffset> {
    return this.#session.brokerCalls.minOffset(await this.#masterOf(queue), queue);
  }

  async offsetByTimestamp(queue: MessageQueue, timestamp: TimestampMillis): Promise<QueueOffset> {
    return this.#session.brokerCalls.offsetByTimestamp(await this.#masterOf(queue), queue, timestamp);
  }

  /** Undefined for an empty queue. */
  async earliestStoreTime(queue: MessageQueue): Promise<TimestampMillis | undefined> {
    return this.#session.brokerCalls.earliestStoreTime(await this.#masterOf(queue), queue);
  }

  putKvConfig(namespace: string, key: string, value: string): Promise<void> {
    return this.#session.nameServers.putKvConfig(namespace, key, value);
  }

  getKvConfig(namespace: string, key: string): Promise<string | undefined> {
    return this.#session.nameServers.getKvConfig(namespace, key);
  }

  deleteKvConfig(namespace: string, key: string): Promise<void> {
    return this.#session.nameServers.deleteKvConfig(namespace, key);
  }

  listKvConfig(namespace: string): Promise<Map<string, string>> {
    return this.#session.nameServers.listKvConfig(namespace);
  }

  /** Each broker is asked; the answers of those that can be reached count, unless none can. */
  async #query(
    topic: string,
    header: Parameters<Session['brokerCalls']['queryMessage']>[1],
  ): Promise<ReceivedMessage[]> {
    const masters = await this.#mastersOf(topic);
    const answers = await Promise.allSettled(
      masters.map(async ({ address, brokerName }) => {
        const records = await this.#session.brokerCalls.queryMessage(address, header, QUERY_TIMEOUT_MILLIS);
        return records.filter((record) => record.topic === topic).map((record) => receive(record, brokerName));
      }),
    );
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed && answers.every((answer) => answer.status === 'rejected')) throw failed.reason;
    if (failed) this.#session.logger.warn({ topic, reason: messageOf(failed.reason) }, 'a broker could not be queried');
    return answers
      .flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
      .sort(
        (left, right) => left.storeTimestamp - right.storeTimestamp || left.commitLogOffset - right.commitLogOffset,
      );
  }

  /** Addresses of the masters of the target; throws when there is none. */
  async #masters({ clusterName, brokerAddr }: AdminTarget): Promise<string[]> {
    if (brokerAddr !== undefined) return [brokerAddr];
    const { brokerAddrTable, clusterAddrTable } = await this.clusterInfo();
    const names = clusterName === undefined ? [...brokerAddrTable.keys()] : clusterAddrTable.get(clusterName);
    if (!names) throw new OptionsError(`no cluster ${clusterName} is registered`, { clusterName });
    const masters = names.map((name) => brokerAddrTable.get(name)).flatMap((broker) => masterOf(broker) ?? []);
    if (masters.length > 0) return masters.map(addressOf);
    throw new FoldlogError('CONNECT_FAILED', 'no broker is registered with the name server', { retriable: true });
  }

  async #mastersOf(topic: string): Promise<{ brokerName: string; address: string }[]> {
    const route = await this.topicRoute(topic);
    if (!route) throw new FoldlogError('TOPIC_NOT_FOUND', `no route to topic ${topic}: create it first`, { topic });
    return route.brokerDatas.flatMap((broker) => masterOf(broker) ?? []);
  }

  async #masterOf(queue: MessageQueue): Promise<string> {
    const master = (await this.#mastersOf(queue.topic)).find(({ brokerName }) => brokerName === queue.brokerName);
    if (master) return master.address;
    throw new FoldlogError('CONNECT_FAILED', `broker ${queue.brokerName} has no master now`, {
      ...queue,
      retriable: true,
    });
  }
}

function masterOf(broker: BrokerData | undefined): { brokerName: string; address: string } | undefined {
  const address = broker?.brokerAddrs.get(MASTER_ID);
  return broker && address !== undefined ? { brokerName: broker.brokerName, address } : undefined;
}

const addressOf = ({ address }: { address: string }): string => address;
