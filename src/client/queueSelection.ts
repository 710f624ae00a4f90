/**
 * To which queue of a topic a message goes: round robin from a random start, skipping the broker that just failed,
 * or by hash of a sharding key. Upstream: `TopicPublishInfo.selectOneMessageQueue`, `SelectMessageQueueByHash`.
 */

import { javaHash } from '../protocol/javaHash.js';
import type { MessageQueue } from '../protocol/message.js';

/** More topics than this and the oldest positions are forgotten; forgetting only restarts a round. */
const POSITIONS_MAX = 10_000;

export class QueueSelection {
  readonly #positions = new Map<string, number>();
  readonly #random: () => number;

  constructor({ random = Math.random }: { random?: () => number } = {}) {
    this.#random = random;
  }

  /** The next queue in the round; on a retry one of another broker than `lastBrokerName`, where there is one. */
  next(topic: string, queues: readonly MessageQueue[], lastBrokerName?: string): MessageQueue | undefined {
    const first = this.#advance(topic, queues.length);
    if (lastBrokerName !== undefined) {
      for (let step = 0; step < queues.length; step += 1) {
        const queue = queues[(first + step) % queues.length];
        if (queue && queue.brokerName !== lastBrokerName) {
          this.#positions.set(topic, first + step);
          return queue;
        }
      }
    }
    return queues[first % queues.length];
  }

  #advance(topic: string, count: number): number {
    const last = this.#positions.get(topic) ?? Math.floor(this.#random() * 0x7fffffff);
    const position = count === 0 ? 0 : (last + 1) & 0x7fffffff;
    if (!this.#positions.has(topic) && this.#positions.size >= POSITIONS_MAX) {
      const oldest = this.#positions.keys().next().value;
      if (oldest !== undefined) this.#positions.delete(oldest);
    }
    this.#positions.set(topic, position);
    return position;
  }
}

/** Always the same queue for a key, as long as the list of queues is the same. Java's hash, so that Java agrees. */
export function queueByHash(key: string, queues: readonly MessageQueue[]): MessageQueue | undefined {
  return queues[Math.abs(javaHash(key) % queues.length)];
}
