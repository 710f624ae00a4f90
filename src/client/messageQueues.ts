/**
 * Message queues as keys and in order: every member of a group must sort queues and members alike, or two of them
 * would take the same queue. Upstream: `MessageQueue.compareTo` and `toString`.
 */
import type { MessageQueue } from '../protocol/message.js';

/** Unique per queue; no topic or broker name may hold a blank. */
export function queueKey(queue: MessageQueue): string {
  return `${queue.topic} ${queue.brokerName} ${queue.queueId}`;
}

/** How upstream prints a queue; the consistent hash is taken of this text. */
export function queueText(queue: MessageQueue): string {
  return `MessageQueue [topic=${queue.topic}, brokerName=${queue.brokerName}, queueId=${queue.queueId}]`;
}

/** By topic, broker name and queue id; names by UTF-16 code unit, as Java compares. */
export function compareQueues(left: MessageQueue, right: MessageQueue): number {
  return (
    compareText(left.topic, right.topic) ||
    compareText(left.brokerName, right.brokerName) ||
    left.queueId - right.queueId
  );
}

export function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
