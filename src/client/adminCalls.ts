/**
 * Administration of one broker as typed calls: topics, groups, statistics. `admin.ts` finds the brokers.
 * Upstream: `MQClientAPIImpl`, `DefaultMQAdminExtImpl`.
 */
import {
  type ConsumeStatsBody,
  decodeConsumeStatsBody,
  decodeKVTable,
  decodeResetOffsetBody,
  decodeSubscriptionGroupConfig,
  decodeTopicConfig,
  decodeTopicConfigTable,
  decodeTopicStatsBody,
  encodeSubscriptionGroupConfig,
  type SubscriptionGroupConfig,
  type TopicConfig,
  type TopicStatsBody,
} from '../protocol/bodies.js';
import {
  deleteSubscriptionGroupHeader,
  deleteTopicInBrokerHeader,
  getAllTopicConfigHeader,
  getConsumeStatsHeader,
  getSubscriptionGroupConfigHeader,
  getTopicConfigHeader,
  getTopicStatsInfoHeader,
  updateAndCreateTopicHeader,
} from '../protocol/headers/admin.js';
import { invokeBrokerToResetOffsetHeader } from '../protocol/headers/group.js';
import type { HeaderInput } from '../protocol/headers/headerFields.js';
import type { MessageQueue } from '../protocol/message.js';
import { AUTO_CREATE_TOPIC_KEY_TOPIC } from '../protocol/names.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { isRefusal, type Requests } from './requests.js';

/** Topics asked for at once; large tables come in pages. */
const TOPIC_PAGE_SIZE = 2000;

export type ResetOffsetHeader = HeaderInput<typeof invokeBrokerToResetOffsetHeader.fields>;

export class AdminCalls {
  readonly #requests: Requests;

  constructor({ requests }: { requests: Requests }) {
    this.#requests = requests;
  }

  /** Creates the topic or changes it. Attributes are set, none is removed. */
  async createTopic(address: string, config: TopicConfig): Promise<void> {
    const attributes = Object.entries(config.attributes)
      .map(([key, value]) => `+${key}=${value}`)
      .join(',');
    const extFields = updateAndCreateTopicHeader.encode({
      topic: config.topicName,
      defaultTopic: AUTO_CREATE_TOPIC_KEY_TOPIC,
      readQueueNums: config.readQueueNums,
      writeQueueNums: config.writeQueueNums,
      perm: config.perm,
      topicFilterType: config.topicFilterType,
      topicSysFlag: config.topicSysFlag,
      order: config.order,
      attributes: attributes === '' ? undefined : attributes,
    });
    await this.#requests.ask(address, { code: REQUEST_CODE.UPDATE_AND_CREATE_TOPIC, extFields });
  }

  async deleteTopic(address: string, topic: string): Promise<void> {
    const extFields = deleteTopicInBrokerHeader.encode({ topic });
    await this.#requests.ask(address, { code: REQUEST_CODE.DELETE_TOPIC_IN_BROKER, extFields });
  }

  /** Undefined when the broker does not have the topic. */
  async topicConfig(address: string, topic: string): Promise<TopicConfig | undefined> {
    const extFields = getTopicConfigHeader.encode({ topic });
    try {
      const response = await this.#requests.ask(address, { code: REQUEST_CODE.GET_TOPIC_CONFIG, extFields });
      return decodeTopicConfig(response.body);
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.TOPIC_NOT_EXIST)) return undefined;
      throw thrown;
    }
  }

  /** All topics of the broker, page by page. */
  async topicConfigs(address: string): Promise<Map<string, TopicConfig>> {
    const all = new Map<string, TopicConfig>();
    for (let topicSeq = 0; ; topicSeq += TOPIC_PAGE_SIZE) {
      const extFields = getAllTopicConfigHeader.encode({ topicSeq, maxTopicNum: TOPIC_PAGE_SIZE });
      const response = await this.#requests.ask(address, { code: REQUEST_CODE.GET_ALL_TOPIC_CONFIG, extFields });
      const { topicConfigTable } = decodeTopicConfigTable(response.body);
      const before = all.size;
      for (const [topic, config] of topicConfigTable) all.set(topic, config);
      // A broker without paging sends everything each time.
      if (topicConfigTable.size < TOPIC_PAGE_SIZE || all.size === before) return all;
    }
  }

  async createSubscriptionGroup(address: string, config: SubscriptionGroupConfig): Promise<void> {
    const body = encodeSubscriptionGroupConfig(config);
    await this.#requests.ask(address, { code: REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, body });
  }

  async deleteSubscriptionGroup(address: string, groupName: string, cleanOffset = false): Promise<void> {
    const extFields = deleteSubscriptionGroupHeader.encode({ groupName, cleanOffset });
    await this.#requests.ask(address, { code: REQUEST_CODE.DELETE_SUBSCRIPTIONGROUP, extFields });
  }

  /** A broker with automatic creation makes the group that it is asked for. */
  async subscriptionGroup(address: string, group: string): Promise<SubscriptionGroupConfig> {
    const extFields = getSubscriptionGroupConfigHeader.encode({ group });
    const response = await this.#requests.ask(address, { code: REQUEST_CODE.GET_SUBSCRIPTIONGROUP_CONFIG, extFields });
    return decodeSubscriptionGroupConfig(response.body);
  }

  async topicStats(address: string, topic: string): Promise<TopicStatsBody> {
    const extFields = getTopicStatsInfoHeader.encode({ topic });
    return decodeTopicStatsBody(
      (await this.#requests.ask(address, { code: REQUEST_CODE.GET_TOPIC_STATS_INFO, extFields })).body,
    );
  }

  async consumeStats(address: string, consumerGroup: string, topic?: string): Promise<ConsumeStatsBody> {
    const extFields = getConsumeStatsHeader.encode({ consumerGroup, topic });
    return decodeConsumeStatsBody(
      (await this.#requests.ask(address, { code: REQUEST_CODE.GET_CONSUME_STATS, extFields })).body,
    );
  }

  /** The broker's figures by name, all as text. */
  async runtimeInfo(address: string): Promise<Map<string, string>> {
    return decodeKVTable((await this.#requests.ask(address, { code: REQUEST_CODE.GET_BROKER_RUNTIME_INFO })).body)
      .table;
  }

  /** Sets a group's offsets, its members running or not; returns what each queue was set to. */
  async resetOffset(address: string, header: ResetOffsetHeader): Promise<[MessageQueue, number][]> {
    const extFields = invokeBrokerToResetOffsetHeader.encode(header);
    const response = await this.#requests.ask(address, { code: REQUEST_CODE.INVOKE_BROKER_TO_RESET_OFFSET, extFields });
    return decodeResetOffsetBody(response.body).offsetTable;
  }
}
