import { describe, expect, it } from 'vitest';
import { QueueSelection, queueByHash } from '../../src/client/queueSelection.js';
import type { MessageQueue } from '../../src/protocol/message.js';

const queue = (brokerName: string, queueId: number): MessageQueue => ({ topic: 'T', brokerName, queueId });
const QUEUES = [queue('a', 0), queue('a', 1), queue('b', 0), queue('b', 1)];

describe('queue selection', () => {
  it('goes round from a random start', () => {
    const selection = new QueueSelection({ random: () => 0 });
    const chosen = Array.from({ length: 5 }, () => selection.next('T', QUEUES));
    expect(chosen).toEqual([QUEUES[1], QUEUES[2], QUEUES[3], QUEUES[0], QUEUES[1]]);
  });

  it('keeps a round per topic', () => {
    const selection = new QueueSelection({ random: () => 0 });
    selection.next('T', QUEUES);
    expect(selection.next('U', QUEUES)).toBe(QUEUES[1]);
    expect(selection.next('T', QUEUES)).toBe(QUEUES[2]);
  });

  it('leaves the broker that failed, and goes on from there', () => {
    const selection = new QueueSelection({ random: () => 0 });
    expect(selection.next('T', QUEUES, 'a')).toBe(QUEUES[2]);
    expect(selection.next('T', QUEUES)).toBe(QUEUES[3]);
    expect(selection.next('T', QUEUES, 'b')).toBe(QUEUES[0]);
  });

  it('stays with the only broker there is', () => {
    const selection = new QueueSelection();
    expect(selection.next('T', [queue('a', 0)], 'a')).toEqual(queue('a', 0));
  });

  it('survives the wrap of its position, and a topic without queues', () => {
    const selection = new QueueSelection({ random: () => 0.9999999999 });
    for (let turn = 0; turn < 4; turn += 1) expect(QUEUES).toContain(selection.next('T', QUEUES));
    expect(selection.next('E', [])).toBeUndefined();
  });

  it('always chooses one queue for a sharding key, as Java does', () => {
    // "hello".hashCode() is 99162322.
    expect(queueByHash('hello', QUEUES)).toBe(QUEUES[2]);
    // A hash of Integer.MIN_VALUE has no positive counterpart.
    expect(queueByHash('polygenelubricants', QUEUES)).toBe(QUEUES[0]);
  });
});
