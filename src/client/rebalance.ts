/**
 * Decides again and again which queues this member consumes: the topic's queues and the group's members, each sorted,
 * divided by the allocation rule that all members share. Runs at start, when the broker says that the members changed,
 * and by the clock: 20 s after a round that left nothing open, 1 s after any other.
 * Upstream: `RebalanceImpl.rebalanceByTopic`, `RebalanceService`.
 */
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { MessageQueue } from '../protocol/message.js';
import { MASTER_ID } from '../protocol/names.js';
import { type AllocationStrategy, sortClientIds } from './allocation.js';
import type { BrokerCalls } from './brokerCalls.js';
import type { MessageModel } from './clientTypes.js';
import type { Routes } from './routes.js';

const WHEN_BALANCED_MILLIS = 20_000;
const WHEN_OPEN_MILLIS = 1000;

/** What one topic gives this member. */
export interface Share {
  queues: readonly MessageQueue[];
  /** No other member is known: nobody can be about to let go of a queue. */
  isAlone: boolean;
}

export interface RebalanceParts {
  group: string;
  clientId: string;
  model: MessageModel;
  strategy: AllocationStrategy;
  topics: readonly string[];
  calls: BrokerCalls;
  routes: Routes;
  clock: Clock;
  logger: Logger;
  /** Takes and releases queues of the topic; false when something is left for the next round. */
  apply(topic: string, share: Share): Promise<boolean>;
  /** The broker does not answer. */
  onUnreachable(address: string): void;
  /** The broker answers but does not list this client. */
  onForgotten(address: string): void;
}

export class Rebalance {
  readonly #parts: RebalanceParts;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isWanted = false;
  #isStopped = false;

  constructor(parts: RebalanceParts) {
    this.#parts = parts;
  }

  /** Runs a round at once; when one is running, another after it. Resolves when no round is running or wanted. */
  now(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#isWanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Resolves when the round under way is over; there is no further one. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    let isBalanced = true;
    while (this.#isWanted && !this.#isStopped) {
      this.#isWanted = false;
      this.#timer?.cancel();
      isBalanced = true;
      for (const topic of this.#parts.topics) isBalanced = (await this.#rebalance(topic)) && isBalanced;
    }
    if (this.#isStopped) return;
    const pause = isBalanced ? WHEN_BALANCED_MILLIS : WHEN_OPEN_MILLIS;
    this.#timer = this.#parts.clock.after(pause, () => void this.now());
  }

  async #rebalance(topic: string): Promise<boolean> {
    const { logger, apply } = this.#parts;
    try {
      const share = await this.#shareOf(topic);
      if (!share || this.#isStopped) return false;
      return await apply(topic, share);
    } catch (thrown) {
      logger.warn({ group: this.#parts.group, topic, reason: messageOf(thrown) }, 'rebalance failed, tried again soon');
      return false;
    }
  }

  /** Undefined when it cannot be told now; what is assigned then stays. */
  async #shareOf(topic: string): Promise<Share | undefined> {
    const { model, routes, clientId, strategy } = this.#parts;
    const queues = await routes.subscribeQueues(topic);
    if (!queues) return undefined;
    if (model === 'BROADCASTING') return { queues, isAlone: true };
    const clientIds = await this.#members(topic);
    // The broker may not know this client yet, or not any more: the others must not make us let go before it does.
    if (!clientIds?.includes(clientId)) return undefined;
    return { queues: strategy(clientId, queues, clientIds), isAlone: clientIds.length === 1 };
  }

  /** Asks one broker of the topic, a random one first; all of them know the group. */
  async #members(topic: string): Promise<string[] | undefined> {
    const { routes, calls, group, clientId } = this.#parts;
    const brokers = [...routes.brokersOf(topic)];
    const offset = Math.floor(Math.random() * brokers.length);
    let failure: unknown;
    for (let step = 0; step < brokers.length; step += 1) {
      const target = routes.subscribeAddress(brokers[(offset + step) % brokers.length] ?? '', MASTER_ID);
      if (!target) continue;
      try {
        const clientIds = sortClientIds(await calls.consumerIds(target.address, group));
        if (!clientIds.includes(clientId)) this.#parts.onForgotten(target.address);
        return clientIds;
      } catch (thrown) {
        failure = thrown;
        this.#parts.onUnreachable(target.address);
      }
    }
    if (failure) await routes.refreshSoon(topic);
    return undefined;
  }
}
