/**
 * Who this broker is: its names, and the address that it announces, that records name as their store host, and that
 * message ids begin with. The port is known only once the server listens (port 0), before the first message.
 */
import { assert } from '../base/assert.js';
import { OptionsError } from '../base/errors.js';
import type { HostAddress } from '../protocol/message.js';
import { hex32 } from '../protocol/messageId.js';
import { packHost } from '../protocol/messageRecord.js';

const isAddress = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || host.includes(':');

export class BrokerIdentity {
  readonly clusterName: string;
  readonly brokerName: string;
  readonly host: string;
  #port = 0;
  #storeHost: Buffer = Buffer.alloc(0);
  #idPrefix = '';
  /** What the ids of the last offset's 4 GiB begin with. */
  #idStart = '';
  #idHigh = -1;

  /** Throws OptionsError unless the announced host is an IP address: records hold its bytes. */
  constructor({ clusterName, brokerName, host }: { clusterName: string; brokerName: string; host: string }) {
    const announced = host === 'localhost' ? '127.0.0.1' : host;
    if (!isAddress(announced)) {
      throw new OptionsError(`brokerIP1=${host} is not an IP address: messages record the address of their broker`);
    }
    this.clusterName = clusterName;
    this.brokerName = brokerName;
    this.host = announced;
  }

  /** Fixes the port; called once, when the server listens. */
  listensOn(port: number): void {
    this.#port = port;
    this.#storeHost = packHost({ host: this.host, port });
    this.#idPrefix = this.#storeHost.toString('hex').toUpperCase();
  }

  get address(): HostAddress {
    return { host: this.host, port: this.#port };
  }

  /** `host:port`, as name servers and clients are told. */
  get addressText(): string {
    return `${this.host}:${this.#port}`;
  }

  /** The address as records hold it. */
  get storeHost(): Buffer {
    assert(this.#idPrefix !== '', 'the port is known before a message is stored');
    return this.#storeHost;
  }

  /** offsetMsgId of a record that this broker stored: store host and commitLogOffset in upper-case hex. */
  messageIdOf(commitLogOffset: number): string {
    const high = Math.floor(commitLogOffset / 0x1_0000_0000);
    if (high !== this.#idHigh) {
      this.#idHigh = high;
      this.#idStart = this.#idPrefix + hex32(high);
    }
    return this.#idStart + hex32(commitLogOffset);
  }
}
