/**
 * Calls to the name servers. Each knows everything, so one is used as long as it answers; when it cannot be reached
 * the next one is. Upstream: `NettyRemotingClient.getAndCreateNameserverChannel`, `MQClientAPIImpl`.
 */
import { isFoldlogError, OptionsError, RemotingError } from '../base/errors.js';
import {
  type ClusterInfo,
  decodeClusterInfo,
  decodeKVTable,
  decodeTopicRouteData,
  type TopicRouteData,
} from '../protocol/bodies.js';
import {
  deleteKvConfigHeader,
  deleteTopicInNamesrvHeader,
  getKvConfigHeader,
  getKvConfigResponseHeader,
  getKvlistByNamespaceHeader,
  getRouteInfoByTopicHeader,
  putKvConfigHeader,
} from '../protocol/headers/namesrv.js';
import type { RemotingCommand } from '../protocol/remotingCommand.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import { isRefusal, type RequestParts, type Requests, refusal } from './requests.js';

/** `a:9876;b:9876` -> both. Throws OptionsError when there is none, or one is not `host:port`. */
export function parseNamesrvAddr(text: string): string[] {
  const addresses = text
    .split(';')
    .map((part) => part.trim().replace(/^https?:\/\//, ''))
    .filter((part) => part !== '');
  if (addresses.length === 0) throw new OptionsError('namesrvAddr is empty: give host:port, several joined by ";"');
  for (const address of addresses) {
    if (!/^.+:\d{1,5}$/.test(address)) {
      throw new OptionsError(`namesrvAddr holds ${JSON.stringify(address)}, which is not host:port`, {
        namesrvAddr: text,
      });
    }
  }
  return addresses;
}

export class NameServers {
  readonly #requests: Requests;
  readonly addresses: readonly string[];
  #current: number;

  constructor({ requests, addresses }: { requests: Requests; addresses: readonly string[] }) {
    this.#requests = requests;
    this.addresses = addresses;
    this.#current = Math.floor(Math.random() * addresses.length);
  }

  /** The route of a topic; undefined when the name server knows none. */
  async route(topic: string): Promise<TopicRouteData | undefined> {
    const extFields = getRouteInfoByTopicHeader.encode({ topic, acceptStandardJsonOnly: true });
    const { address, response } = await this.#invoke({ code: REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC, extFields });
    if (response.code === RESPONSE_CODE.TOPIC_NOT_EXIST) return undefined;
    if (response.code !== RESPONSE_CODE.SUCCESS) throw refusal(address, REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC, response);
    return decodeTopicRouteData(response.body);
  }

  async clusterInfo(): Promise<ClusterInfo> {
    return decodeClusterInfo((await this.#ask({ code: REQUEST_CODE.GET_BROKER_CLUSTER_INFO })).body);
  }

  /** Forgets the topic on every name server. */
  async deleteTopic(topic: string, clusterName?: string): Promise<void> {
    const extFields = deleteTopicInNamesrvHeader.encode({ topic, clusterName });
    await this.#askEach({ code: REQUEST_CODE.DELETE_TOPIC_IN_NAMESRV, extFields });
  }

  /** Name servers do not talk to each other: a value is put to each. */
  async putKvConfig(namespace: string, key: string, value: string): Promise<void> {
    const extFields = putKvConfigHeader.encode({ namespace, key, value });
    await this.#askEach({ code: REQUEST_CODE.PUT_KV_CONFIG, extFields });
  }

  /** Undefined when there is none. */
  async getKvConfig(namespace: string, key: string): Promise<string | undefined> {
    const parts = { code: REQUEST_CODE.GET_KV_CONFIG, extFields: getKvConfigHeader.encode({ namespace, key }) };
    try {
      return getKvConfigResponseHeader.decode((await this.#ask(parts)).extFields).value;
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.QUERY_NOT_FOUND)) return undefined;
      throw thrown;
    }
  }

  async deleteKvConfig(namespace: string, key: string): Promise<void> {
    const extFields = deleteKvConfigHeader.encode({ namespace, key });
    await this.#askEach({ code: REQUEST_CODE.DELETE_KV_CONFIG, extFields });
  }

  /** Empty when the namespace is not known. */
  async listKvConfig(namespace: string): Promise<Map<string, string>> {
    const extFields = getKvlistByNamespaceHeader.encode({ namespace });
    try {
      const { body } = await this.#ask({ code: REQUEST_CODE.GET_KVLIST_BY_NAMESPACE, extFields });
      return decodeKVTable(body).table;
    } catch (thrown) {
      if (isRefusal(thrown, RESPONSE_CODE.QUERY_NOT_FOUND)) return new Map();
      throw thrown;
    }
  }

  async #ask(parts: RequestParts): Promise<RemotingCommand> {
    const { address, response } = await this.#invoke(parts);
    if (response.code !== RESPONSE_CODE.SUCCESS) throw refusal(address, parts.code, response);
    return response;
  }

  async #askEach(parts: RequestParts): Promise<void> {
    for (const address of this.addresses) await this.#requests.ask(address, parts);
  }

  /** Asks the current one; on failure each other one once, and stays with the one that answered. */
  async #invoke(parts: RequestParts): Promise<{ address: string; response: RemotingCommand }> {
    let cause: unknown;
    for (let attempt = 0; attempt < this.addresses.length; attempt += 1) {
      const index = this.#current;
      const address = this.addresses[index] ?? '';
      try {
        return { address, response: await this.#requests.invoke(address, parts) };
      } catch (thrown) {
        cause = thrown;
        // Several requests may fail at the same time: only the first of them moves on.
        if (this.#current === index) this.#current = (index + 1) % this.addresses.length;
      }
    }
    const reason = isFoldlogError(cause) ? `: ${cause.message}` : '';
    throw new RemotingError('CONNECT_FAILED', `no name server answers at ${this.addresses.join(';')}${reason}`, {
      namesrvAddr: this.addresses.join(';'),
      cause,
    });
  }
}
