// Calls of a subscription that overlap: each event once, in order, whoever asks when, and an end that all of them see.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RecordPage } from '../../src/eventstore/eventReader.js';
import { EventSubscription } from '../../src/eventstore/eventSubscription.js';
import type { RecordedEvent } from '../../src/eventstore/eventTypes.js';

type Record = RecordPage['records'][number];

const recordOf = (version: number) => ({ stream: 's', version, generation: 1 }) as Record;
const pageOf = (versions: readonly number[]): RecordPage => ({
  records: versions.map(recordOf),
  end: { commitLogOffset: 0, generation: 1 },
  brokerName: 'broker-a',
});

/** A subscription on pages that come when the test says so. */
function subscribe(sizes: readonly number[], isWanted: (version: number) => boolean = () => true) {
  let version = 0;
  const release: (() => void)[] = [];
  async function* pages(): AsyncGenerator<RecordPage, void, undefined> {
    for (const size of sizes) {
      await new Promise<void>((resolve) => release.push(resolve));
      yield pageOf(Array.from({ length: size }, () => ++version));
    }
    throw new Error('the log ends here');
  }
  let ended = 0;
  const subscription = new EventSubscription({
    open: () => ({ start: Promise.resolve(), pages: pages() }),
    recordedOf: (record) => (isWanted(record.version) ? ({ version: record.version } as RecordedEvent) : undefined),
    signal: undefined,
    onEnd: () => {
      ended += 1;
    },
  });
  return { subscription, nextPage: () => release.shift()?.(), ends: () => ended };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('overlapping calls of next', () => {
  it('answer in their order, each with the event after the one before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.constantFrom('next', 'page', 'turn'), { maxLength: 40 }),
        async (sizes, steps) => {
          const { subscription, nextPage } = subscribe(sizes, (version) => version % 3 !== 0);
          const answers: string[] = [];
          const asked: Promise<void>[] = [];
          const ask = () => {
            const number = asked.length;
            asked.push(
              subscription.next().then(
                ({ done, value }) => void answers.push(`${number}: ${done ? 'done' : value?.version}`),
                () => void answers.push(`${number}: error`),
              ),
            );
          };
          for (const step of steps) {
            if (step === 'next') ask();
            else if (step === 'page') nextPage();
            else await turn();
          }
          const total = sizes.reduce((sum, size) => sum + size, 0);
          const versions = Array.from({ length: total }, (_, index) => index + 1).filter((one) => one % 3 !== 0);
          while (asked.length < versions.length + 3) ask();
          for (let turns = 0; turns < 60; turns += 1) {
            nextPage();
            await turn();
          }
          await Promise.all(asked);
          const expected = asked.map((_, number) => {
            const version = versions[number];
            if (version !== undefined) return `${number}: ${version}`;
            return `${number}: ${number === versions.length ? 'error' : 'done'}`;
          });
          expect(answers).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are all done when it is returned, which waits for them', async () => {
    const { subscription, nextPage, ends } = subscribe([2, 2]);
    const calls = [1, 2, 3].map(() => subscription.next());
    nextPage();
    expect(await calls[0]).toMatchObject({ done: false, value: { version: 1 } });
    expect(await calls[1]).toMatchObject({ done: false, value: { version: 2 } });
    const returned = subscription.return();
    expect(await Promise.all([calls[2], subscription.next(), returned])).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    expect(ends()).toBe(1);
  });
});
