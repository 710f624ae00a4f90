/**
 * What is known of a consumer group whose deliveries go wrong: the process that runs its handlers, how often each message
 * was given to it, and what was handled last in each queue, which is what may come again.
 */
import type { MessageListener, ReceivedMessage } from '../client/clientTypes.js';
import type { SeamConsumer } from '../runtime/appSeams.js';
import { Life } from './life.js';

/** Messages of a queue that may come again. */
export const AGAIN_MAX = 3;
/** Messages whose deliveries are counted, per group; the oldest are forgotten. */
const COUNTED_MAX = 10_000;

/** What is known of a group: its process, and what it was given. */
export interface DeliveryGroup extends SeamConsumer {
  next: MessageListener;
  life: Life;
  /** How often a message was given to it, and died over. */
  counts: Map<string, { deliveries: number; crashes: number }>;
  /** By queue: the last messages that were handled, in order. */
  handled: Map<string, ReceivedMessage[]>;
  /** By queue: how many of those a restarted consumer gets again. */
  rewinds: Map<string, number>;
  /** Told of each delivery that ends. */
  overtaken: Set<() => void>;
}

export function groupOf(consumer: SeamConsumer, next: MessageListener): DeliveryGroup {
  const made = { counts: new Map(), handled: new Map(), rewinds: new Map(), overtaken: new Set<() => void>() };
  return { ...consumer, ...made, next, life: new Life() };
}

/** It was handled: it may come again from now on. */
export function remember(group: DeliveryGroup, messages: readonly ReceivedMessage[]): void {
  for (const message of messages) {
    const queue = queueOf(message);
    const handled = group.handled.get(queue) ?? [];
    group.handled.set(queue, handled);
    handled.push({ ...message });
    if (handled.length > AGAIN_MAX) handled.shift();
  }
}

/** Counts a delivery, or what is given; answers how it stands. */
export function countOf(group: DeliveryGroup, message: ReceivedMessage, { crashes = 0 } = {}) {
  const name = nameOf(group, message);
  const known = group.counts.get(name) ?? { deliveries: 0, crashes: 0 };
  const now = { deliveries: known.deliveries + (crashes > 0 ? 0 : 1), crashes: known.crashes + crashes };
  group.counts.delete(name);
  group.counts.set(name, now);
  for (const oldest of group.counts.keys()) {
    if (group.counts.size <= COUNTED_MAX) break;
    group.counts.delete(oldest);
  }
  return now;
}

export function queueOf({
  brokerName,
  topic,
  queueId,
}: Pick<ReceivedMessage, 'brokerName' | 'queueId' | 'topic'>): string {
  return `${brokerName} ${topic} ${queueId}`;
}

export function nameOf({ group }: DeliveryGroup, { topic, queueId, queueOffset }: ReceivedMessage): string {
  return `${group} ${topic} ${queueId} ${queueOffset}`;
}
