/**
 * What tools ask of one broker, as typed calls: who is connected, which groups read a topic, its configuration, and the
 * clean-ups that it can be told to do. `adminCalls.ts` has what programs need. Answers that only people read stay
 * loose: figures by name. Upstream: `MQClientAPIImpl`, `DefaultMQAdminExtImpl`.
 */
import {
  decodeSubscriptionGroupTable,
  readSubscriptionData,
  type SubscriptionData,
  type SubscriptionGroupConfig,
} from '../protocol/bodies.js';
import {
  getAllSubscriptionGroupConfigHeader,
  getConsumerConnectionListHeader,
  getProducerConnectionListHeader,
} from '../protocol/headers/admin.js';
import { JsonReader, type ReadValue, readText } from '../protocol/jsonReader.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { isRefusal, type Requests } from './requests.js';

/** Groups asked for at once; large tables come in pages. */
const GROUP_PAGE_SIZE = 2000;

/** One client of a broker. */
export interface ClientConnection {
  clientId: string;
  clientAddr: string;
  /** Absent: the broker does not know the language's name. */
  language: string | undefined;
  /** MQVersion ordinal. */
  version: number;
}

export interface ConsumerConnections {
  connections: ClientConnection[];
  subscriptions: Map<string, SubscriptionData>;
  consumeType: string;
  messageModel: string;
  consumeFromWhere: string;
}

const readConnection: ReadValue<ClientConnection> = (value, where) => {
  const from = new JsonReader(value, where);
  return {
    clientId: from.text('clientId', ''),
    clientAddr: from.text('clientAddr', ''),
    language: from.optionalText('language'),
    version: from.whole('version', 0),
  };
};

export class InspectionCalls {
  readonly #requests: Requests;

  constructor({ requests }: { requests: Requests }) {
    this.#requests = requests;
  }

  /** Undefined when no member of the group is connected to the broker. */
  async consumerConnections(address: string, consumerGroup: string): Promise<ConsumerConnections | undefined> {
    const code = REQUEST_CODE.GET_CONSUMER_CONNECTION_LIST;
    const extFields = getConsumerConnectionListHeader.encode({ consumerGroup });
    try {
      const from = JsonReader.ofBody((await this.#requests.ask(address, { code, extFields })).body, 'connections');
      return {
        connections: from.list('connectionSet', readConnection),
        subscriptions: from.table('subscriptionTable', readSubscriptionData),
        consumeType: from.text('consumeType', ''),
        messageModel: from.text('messageModel', ''),
        consumeFromWhere: from.text('consumeFromWhere', ''),
      };
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.CONSUMER_NOT_ONLINE)) return undefined;
      throw thrown;
    }
  }

  /** Empty when no producer of the group is connected to the broker. */
  async producerConnections(address: string, producerGroup: string): Promise<ClientConnection[]> {
    const code = REQUEST_CODE.GET_PRODUCER_CONNECTION_LIST;
    const extFields = getProducerConnectionListHeader.encode({ producerGroup });
    try {
      const { body } = await this.#requests.ask(address, { code, extFields });
      return JsonReader.ofBody(body, 'connections').list('connectionSet', readConnection);
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.SYSTEM_ERROR)) return [];
      throw thrown;
    }
  }

  /** Groups that have recorded progress in the topic or subscribe to it now. */
  async groupsOfTopic(address: string, topic: string): Promise<string[]> {
    const response = await this.#requests.ask(address, {
      code: REQUEST_CODE.QUERY_TOPIC_CONSUME_BY_WHO,
      extFields: { topic },
    });
    return JsonReader.ofBody(response.body, 'groups').list('groupList', readText);
  }

  /** All subscription groups of the broker, page by page. */
  async groups(address: string): Promise<Map<string, SubscriptionGroupConfig>> {
    const all = new Map<string, SubscriptionGroupConfig>();
    for (let groupSeq = 0; ; groupSeq += GROUP_PAGE_SIZE) {
      const extFields = getAllSubscriptionGroupConfigHeader.encode({ groupSeq, maxGroupNum: GROUP_PAGE_SIZE });
      const code = REQUEST_CODE.GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
      const response = await this.#requests.ask(address, { code, extFields });
      const { subscriptionGroupTable } = decodeSubscriptionGroupTable(response.body);
      const before = all.size;
      for (const [group, config] of subscriptionGroupTable) all.set(group, config);
      // A broker without paging sends everything each time.
      if (subscriptionGroupTable.size < GROUP_PAGE_SIZE || all.size === before) return all;
    }
  }

  /** The broker's configuration as properties text. */
  async config(address: string): Promise<string> {
    return (await this.#requests.ask(address, { code: REQUEST_CODE.GET_BROKER_CONFIG })).body.toString();
  }

  /** @param properties text of a properties file with the keys to change */
  async updateConfig(address: string, properties: string): Promise<void> {
    await this.#requests.ask(address, { code: REQUEST_CODE.UPDATE_BROKER_CONFIG, body: Buffer.from(properties) });
  }

  async cleanExpiredConsumeQueues(address: string): Promise<void> {
    await this.#requests.ask(address, { code: REQUEST_CODE.CLEAN_EXPIRED_CONSUMEQUEUE });
  }

  async cleanUnusedTopics(address: string): Promise<void> {
    await this.#requests.ask(address, { code: REQUEST_CODE.CLEAN_UNUSED_TOPIC });
  }

  /** Resolves when the broker has begun. */
  async deleteExpiredCommitLog(address: string): Promise<void> {
    await this.#requests.ask(address, { code: REQUEST_CODE.DELETE_EXPIRED_COMMITLOG });
  }
}
