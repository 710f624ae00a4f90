/** The process queue against a 30-line model: a sorted set of unsettled offsets and how far was pulled. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CachedMessage, ProcessQueue, type ProcessQueueLimits } from '../../src/client/processQueue.js';
import { receivedMessage } from './support/messages.js';

const RUNS = { numRuns: Number(process.env.FUZZ_RUNS ?? 200) };
const LIMITS: ProcessQueueLimits = { countMax: 1000, sizeBytesMax: 1_000_000, spanMax: 2000 };
const offsets = (entries: readonly CachedMessage[]) => entries.map(({ message }) => message.queueOffset);

interface Model {
  start: number;
  reached: number;
  unsettled: Set<number>;
  committed: number;
}

const committable = (model: Model) =>
  Math.max(model.committed, model.unsettled.size > 0 ? Math.min(...model.unsettled) : model.reached);

type Step =
  | { kind: 'pull'; gaps: number[]; tail: number }
  | { kind: 'take'; count: number }
  | { kind: 'settle'; picks: number[] }
  | { kind: 'giveBack'; picks: number[] };

const small = fc.integer({ min: 0, max: 4 });
const picks = fc.array(fc.nat(), { maxLength: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('pull' as const), gaps: fc.array(small, { maxLength: 6 }), tail: small }),
  fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('settle' as const), picks }),
  fc.record({ kind: fc.constant('giveBack' as const), picks }),
);

describe('process queue', () => {
  it('I5: the committable offset is the lowest unsettled one and never falls, in any order of events', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.array(step, { maxLength: 60 }), (start, steps) => {
        const queue = new ProcessQueue(start, LIMITS);
        const model: Model = { start, reached: start, unsettled: new Set(), committed: start };
        /** Taken and neither settled nor given back. */
        let out: CachedMessage[] = [];
        let lastCommittable = start;
        for (const now of steps) {
          if (now.kind === 'pull') {
            let next = model.reached;
            const pulled = now.gaps.map((gap) => {
              next += gap;
              return receivedMessage(next++);
            });
            queue.put(pulled);
            queue.reach(next + now.tail);
            for (const { queueOffset } of pulled) model.unsettled.add(queueOffset);
            model.reached = next + now.tail;
          } else if (now.kind === 'take') {
            const taken = queue.take(now.count);
            expect(taken.length).toBeLessThanOrEqual(now.count);
            for (const entry of taken) expect(out).not.toContain(entry);
            out.push(...taken);
          } else {
            const chosen = [
              ...new Set(now.picks.filter((pick) => pick < out.length * 50).map((pick) => pick % out.length)),
            ]
              .map((index) => out[index]!)
              .filter(Boolean);
            out = out.filter((entry) => !chosen.includes(entry));
            if (now.kind === 'giveBack') queue.giveBack(chosen);
            else {
              queue.settle(chosen);
              for (const { message } of chosen) model.unsettled.delete(message.queueOffset);
            }
          }
          model.committed = committable(model);
          expect(queue.committable).toBe(model.committed);
          expect(queue.committable).toBeGreaterThanOrEqual(lastCommittable);
          lastCommittable = queue.committable;
          expect(queue.count).toBe(model.unsettled.size);
          expect(queue.sizeBytes).toBe(model.unsettled.size * 4);
          expect(queue.hasNext).toBe(model.unsettled.size > out.length);
        }
        // Everything that was put comes out exactly once, unless given back.
        const rest = queue.take(10_000).concat(queue.take(10_000));
        expect(offsets([...rest, ...out]).sort((a, b) => a - b)).toEqual([...model.unsettled].sort((a, b) => a - b));
      }),
      RUNS,
    );
  });

  it('gives messages out in order, those given back first', () => {
    const queue = new ProcessQueue(0, LIMITS);
    queue.put([0, 1, 2, 3].map((offset) => receivedMessage(offset)));
    const first = queue.take(2);
    expect(offsets(first)).toEqual([0, 1]);
    queue.giveBack([first[1]!]);
    queue.giveBack([first[0]!]);
    expect(offsets(queue.take(3))).toEqual([0, 1]);
    expect(offsets(queue.take(3))).toEqual([2, 3]);
  });

  it('is full by count, by bytes, by span, and tells once when there is room again', () => {
    let rooms = 0;
    const queue = new ProcessQueue(0, { countMax: 2, sizeBytesMax: 100, spanMax: 50 }, () => {
      rooms += 1;
    });
    queue.put([0, 1].map((offset) => receivedMessage(offset)));
    expect(queue.isFull).toBe(false);
    queue.put([receivedMessage(2)]);
    expect(queue.isFull).toBe(true);
    queue.settle(queue.take(1));
    expect([queue.isFull, rooms]).toEqual([false, 1]);
    queue.settle(queue.take(1));
    expect(rooms).toBe(1);
    queue.put([receivedMessage(60)]);
    expect(queue.isFull).toBe(true);
    queue.settle(queue.take(1));
    expect([queue.isFull, rooms, queue.committable]).toEqual([false, 2, 60]);
    queue.put([receivedMessage(61, { body: Buffer.alloc(101) })]);
    expect(queue.isFull).toBe(true);
  });

  it('refuses messages below what it has', () => {
    const queue = new ProcessQueue(10, LIMITS);
    expect(() => queue.put([receivedMessage(9)])).toThrow(/rising/);
  });

  it('stays small over a long life with one message that never settles at first', () => {
    const queue = new ProcessQueue(0, { ...LIMITS, spanMax: undefined });
    queue.put([receivedMessage(0)]);
    const stuck = queue.take(1);
    for (let offset = 1; offset < 5000; offset += 1) {
      queue.put([receivedMessage(offset)]);
      queue.settle(queue.take(1));
    }
    expect(queue.committable).toBe(0);
    queue.settle(stuck);
    queue.reach(5000);
    expect([queue.committable, queue.count, queue.span]).toEqual([5000, 0, 0]);
  });
});
