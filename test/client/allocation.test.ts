/** The rules against a second, slower writing of what upstream's classes say, and against each other. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ALLOCATION_STRATEGIES,
  allocateAveragely,
  allocateByCircle,
  allocateByConsistentHash,
  sortClientIds,
} from '../../src/client/allocation.js';
import { compareQueues, queueKey } from '../../src/client/messageQueues.js';
import type { MessageQueue } from '../../src/protocol/message.js';

const RUNS = { numRuns: Number(process.env.FUZZ_RUNS ?? 200) };

const queuesOf = (count: number): MessageQueue[] =>
  Array.from({ length: count }, (_, queueId) => ({ topic: 'T', brokerName: 'a', queueId })).sort(compareQueues);
const clientsOf = (count: number) => sortClientIds(Array.from({ length: count }, (_, index) => `10.0.0.1@${index}`));
const ids = (queues: readonly MessageQueue[]) => queues.map(({ queueId }) => queueId);

/** Deals the sizes out one by one, then cuts the list: what "averagely" means, without the formula. */
function averagelyByDealing(index: number, queueCount: number, clientCount: number): number[] {
  const sizes = Array.from({ length: clientCount }, () => 0);
  for (let queue = 0; queue < queueCount; queue += 1) sizes[queue % clientCount]! += 1;
  const start = sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
  return Array.from({ length: sizes[index]! }, (_, at) => start + at);
}

describe('allocation', () => {
  it('AVG gives consecutive runs, the first members one more', () => {
    const clients = clientsOf(3);
    expect(clients.map((id) => ids(allocateAveragely(id, queuesOf(8), clients)))).toEqual([
      [0, 1, 2],
      [3, 4, 5],
      [6, 7],
    ]);
  });

  it('AVG agrees with dealing the queues out one by one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 12 }), (queueCount, clientCount) => {
        const clients = clientsOf(clientCount);
        clients.forEach((id, index) => {
          const expected = averagelyByDealing(index, queueCount, clientCount);
          expect(ids(allocateAveragely(id, queuesOf(queueCount), clients))).toEqual(expected);
        });
      }),
      RUNS,
    );
  });

  it('AVG_BY_CIRCLE takes every n-th queue', () => {
    const clients = clientsOf(3);
    expect(clients.map((id) => ids(allocateByCircle(id, queuesOf(7), clients)))).toEqual([
      [0, 3, 6],
      [1, 4],
      [2, 5],
    ]);
  });

  it('every rule gives each queue to exactly one member, and nothing to a stranger', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(ALLOCATION_STRATEGIES)),
        fc.integer({ min: 0, max: 40 }),
        fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 8 }),
        (strategy, queueCount, names) => {
          const clients = sortClientIds(names);
          const queues = queuesOf(queueCount);
          const given = clients.flatMap((id) => strategy(id, queues, clients));
          expect(given.map(queueKey).sort()).toEqual(queues.map(queueKey).sort());
          expect(strategy('not one of them, longer than any of them', queues, clients)).toEqual([]);
        },
      ),
      RUNS,
    );
  });

  it('CONSISTENT_HASH moves only the queues of a member that leaves', () => {
    const clients = clientsOf(4);
    const queues = queuesOf(32);
    const before = new Map(
      clients.flatMap((id) => allocateByConsistentHash(id, queues, clients).map((q) => [queueKey(q), id])),
    );
    const left = clients.slice(1);
    for (const id of left) {
      for (const queue of allocateByConsistentHash(id, queues, left)) {
        const owner = before.get(queueKey(queue));
        expect(owner === id || owner === clients[0]).toBe(true);
      }
    }
  });
});
