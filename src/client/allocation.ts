/**
 * Which queues of a topic a member of a group consumes. Each member computes this alone, from the same two sorted
 * lists, so the rules must agree to the letter with those of every other client in the group, Java's included.
 * A member that is not (or not yet) in the list gets nothing.
 * Upstream: `AllocateMessageQueueAveragely`, `…AveragelyByCircle`, `…ConsistentHash`.
 */
import { createHash } from 'node:crypto';
import type { MessageQueue } from '../protocol/message.js';
import { compareText, queueText } from './messageQueues.js';

/** Both lists are sorted (messageQueues.ts; client ids as text). */
export type AllocationStrategy = (
  clientId: string,
  queues: readonly MessageQueue[],
  clientIds: readonly string[],
) => MessageQueue[];

/** Consecutive runs; the first `queues mod clients` members get one more. */
export const allocateAveragely: AllocationStrategy = (clientId, queues, clientIds) => {
  const index = clientIds.indexOf(clientId);
  if (index < 0) return [];
  const remainder = queues.length % clientIds.length;
  const hasOneMore = index < remainder;
  const size =
    queues.length <= clientIds.length ? 1 : Math.floor(queues.length / clientIds.length) + (hasOneMore ? 1 : 0);
  const start = hasOneMore ? index * size : index * size + remainder;
  return queues.slice(start, start + size);
};

/** Every n-th queue, beginning with the member's own index. */
export const allocateByCircle: AllocationStrategy = (clientId, queues, clientIds) => {
  const index = clientIds.indexOf(clientId);
  if (index < 0) return [];
  return queues.filter((_, at) => at % clientIds.length === index);
};

const VIRTUAL_NODES = 10;

/** A ring of 10 virtual nodes per member; a queue belongs to the first node at or after its hash. */
export const allocateByConsistentHash: AllocationStrategy = (clientId, queues, clientIds) => {
  if (!clientIds.includes(clientId)) return [];
  const byHash = new Map<number, string>();
  for (const id of clientIds) {
    // Of two nodes with one hash the later stands, as in a sorted map.
    for (let node = 0; node < VIRTUAL_NODES; node += 1) byHash.set(ringHash(`${id}-${node}`), id);
  }
  const ring = [...byHash].sort(([left], [right]) => left - right);
  return queues.filter((queue) => {
    const hash = ringHash(queueText(queue));
    const owner = ring.find(([node]) => node >= hash) ?? ring[0];
    return owner?.[1] === clientId;
  });
};

/** The first four bytes of the MD5, unsigned. */
function ringHash(text: string): number {
  return createHash('md5').update(text).digest().readUInt32BE(0);
}

export const ALLOCATION_STRATEGIES = {
  AVG: allocateAveragely,
  AVG_BY_CIRCLE: allocateByCircle,
  CONSISTENT_HASH: allocateByConsistentHash,
} as const satisfies Record<string, AllocationStrategy>;

export type AllocationStrategyName = keyof typeof ALLOCATION_STRATEGIES;

/** Client ids in the order that all members agree on. */
export const sortClientIds = (clientIds: readonly string[]): string[] => [...clientIds].sort(compareText);
