/**
 * Tells the brokers which groups live in this session: all of them every 30 s, one at once when it may have forgotten
 * (it was not reachable, or does not know a group that it should). A broker that fails is asked again every second
 * until it answers, so that consumption goes on about a second after it is back.
 * Producers alone are known to masters only. Upstream: `MQClientInstance.sendHeartbeatToAllBrokerWithLock`.
 */
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { ConsumerData, HeartbeatData } from '../protocol/bodies.js';
import { CLIENT_INNER_PRODUCER_GROUP } from '../protocol/names.js';
import type { BrokerCalls } from './brokerCalls.js';
import type { Routes } from './routes.js';

const AGAIN_AFTER_MILLIS = 1000;

/** The groups that are alive now. */
export interface LiveGroups {
  producerGroups: readonly string[];
  consumers: readonly ConsumerData[];
}

export class Heartbeat {
  readonly #clientId: string;
  readonly #calls: BrokerCalls;
  readonly #routes: Routes;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #liveGroups: () => LiveGroups;
  readonly #onRecovered: (address: string) => void;
  /** Brokers that did not answer. */
  readonly #suspects = new Set<string>();
  /** Brokers whose answer is awaited. */
  readonly #beating = new Set<string>();
  #again: Timer | undefined;
  #isStopped = false;

  constructor(parts: {
    clientId: string;
    calls: BrokerCalls;
    routes: Routes;
    clock: Clock;
    logger: Logger;
    liveGroups: () => LiveGroups;
    /** A broker that had failed answers again. */
    onRecovered: (address: string) => void;
  }) {
    this.#clientId = parts.clientId;
    this.#calls = parts.calls;
    this.#routes = parts.routes;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#liveGroups = parts.liveGroups;
    this.#onRecovered = parts.onRecovered;
  }

  /** To every broker known. Never rejects. */
  async beatAll(): Promise<void> {
    const groups = this.#liveGroups();
    if (groups.producerGroups.length === 0 && groups.consumers.length === 0) return;
    const addresses = this.#routes.brokerAddresses({ mastersOnly: groups.consumers.length === 0 });
    await Promise.all(addresses.map((address) => this.#beat(address)));
  }

  /** The broker cannot be reached: beats at once, and again every second until it answers; then it has recovered. */
  suspect(address: string): void {
    if (this.#isStopped || this.#suspects.has(address)) return;
    this.#suspects.add(address);
    void this.#beat(address);
  }

  /** The broker answers but does not know a group of ours: tells it. Whoever found out asks again in its own time. */
  remind(address: string): void {
    if (!this.#isStopped && !this.#beating.has(address)) void this.#beat(address);
  }

  stop(): void {
    this.#isStopped = true;
    this.#again?.cancel();
    this.#suspects.clear();
  }

  async #beat(address: string): Promise<void> {
    const { producerGroups, consumers } = this.#liveGroups();
    const heartbeat: HeartbeatData = {
      clientID: this.#clientId,
      producerDataSet: [...new Set([...producerGroups, CLIENT_INNER_PRODUCER_GROUP])].map((groupName) => ({
        groupName,
      })),
      consumerDataSet: [...consumers],
      heartbeatFingerprint: 0,
      withoutSub: false,
    };
    this.#beating.add(address);
    try {
      await this.#calls.heartbeat(address, heartbeat);
      if (this.#suspects.delete(address)) this.#onRecovered(address);
    } catch (thrown) {
      if (this.#isStopped) return;
      this.#logger.debug({ address, reason: messageOf(thrown) }, 'heartbeat failed');
      this.#suspects.add(address);
      this.#again ??= this.#clock.after(AGAIN_AFTER_MILLIS, () => this.#beatSuspects());
    } finally {
      this.#beating.delete(address);
    }
  }

  #beatSuspects(): void {
    this.#again = undefined;
    const known = new Set(this.#routes.brokerAddresses({ mastersOnly: false }));
    for (const address of this.#suspects) {
      if (known.has(address)) void this.#beat(address);
      else this.#suspects.delete(address);
    }
  }
}
