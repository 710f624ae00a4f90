/**
 * Administration of one name server as typed calls: its configuration, and which brokers may be written to. Name
 * servers do not talk to each other: whoever means all of them asks each. Upstream: `MQClientAPIImpl`.
 */
import {
  addWritePermOfBrokerHeader,
  addWritePermOfBrokerResponseHeader,
  wipeWritePermOfBrokerHeader,
  wipeWritePermOfBrokerResponseHeader,
} from '../protocol/headers/namesrv.js';
import { REQUEST_CODE } from '../protocol/requestCodes.js';
import type { Requests } from './requests.js';

export class NamesrvCalls {
  readonly #requests: Requests;

  constructor({ requests }: { requests: Requests }) {
    this.#requests = requests;
  }

  /** The name server's configuration as properties text. */
  async config(address: string): Promise<string> {
    return (await this.#requests.ask(address, { code: REQUEST_CODE.GET_NAMESRV_CONFIG })).body.toString();
  }

  /** @param properties text of a properties file with the keys to change */
  async updateConfig(address: string, properties: string): Promise<void> {
    await this.#requests.ask(address, { code: REQUEST_CODE.UPDATE_NAMESRV_CONFIG, body: Buffer.from(properties) });
  }

  /** Takes the write bit from the routes of the broker; resolves with the number of its topics. */
  async wipeWritePermission(address: string, brokerName: string): Promise<number> {
    const extFields = wipeWritePermOfBrokerHeader.encode({ brokerName });
    const response = await this.#requests.ask(address, { code: REQUEST_CODE.WIPE_WRITE_PERM_OF_BROKER, extFields });
    return wipeWritePermOfBrokerResponseHeader.decode(response.extFields).wipeTopicCount;
  }

  /** Gives it back; resolves with the number of the broker's topics. */
  async addWritePermission(address: string, brokerName: string): Promise<number> {
    const extFields = addWritePermOfBrokerHeader.encode({ brokerName });
    const response = await this.#requests.ask(address, { code: REQUEST_CODE.ADD_WRITE_PERM_OF_BROKER, extFields });
    return addWritePermOfBrokerResponseHeader.decode(response.extFields).addTopicCount;
  }
}
