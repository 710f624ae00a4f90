// 20,000 commands by 16 writers on the same 10 streams, and bookings under conditions that span two keys, in one
// process without a socket. WRITERS_SEED repeats a run.
import { expect, it } from 'vitest';
import { ExpectedVersionError, type Foldlog, isFoldlogError } from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { type Booking, book, EVENTS, TALLIES, tallying } from './domain.js';
import { type Done, judgeBookings, judgeTallies } from './judge.js';
import { random, SEED, WRITERS, workOf, writeAll } from './load.js';

/** Commands on a stream of one decider wait for each other; those of several race. */
const DECIDERS = 4;

it(`one process: no update is lost, none stored twice, nothing oversold (seed ${SEED})`, async () => {
  await using app = await TestApp.start({ handlers: [], events: EVENTS });
  const writers = Array.from({ length: DECIDERS }, () => app.foldlog.decider(tallying(), TALLIES));
  const below = random(SEED + 1);
  const done: Done[] = [];
  const answers: { booking: Booking; outcome: 'booked' | 'refused' }[] = [];
  let conflicts = 0;
  let repeats = 0;

  await writeAll(workOf(SEED), async (one, writer) => {
    if (one.kind === 'book') {
      answers.push({ booking: one.booking, outcome: await insist(app.foldlog, one.booking, () => (conflicts += 1)) });
      return;
    }
    const { stream, tally } = one;
    const execute = async (by: number): Promise<number> => {
      for (;;) {
        try {
          const result = await writers[by % DECIDERS]?.execute(stream, tally, { commandId: tally.command });
          return result?.version ?? 0;
        } catch (thrown) {
          // Others were faster ten times.
          if (!(thrown instanceof ExpectedVersionError)) throw thrown;
          conflicts += 1;
        }
      }
    };
    // Some commands come twice at the same time, from two sides.
    const twice = below(20) === 0;
    const [version, again] = await Promise.all([execute(writer), twice ? execute(writer + 1) : undefined]);
    if (again !== undefined) {
      repeats += 1;
      expect(again).toBe(version);
    }
    done.push({ ...tally, stream, version });
  });

  console.info(`${done.length} commands, ${repeats} of them twice at once; ${conflicts} gave up a race and came again`);
  expect(WRITERS).toBe(16);
  await judgeTallies(app.eventStore, done);
  await judgeBookings(app.eventStore, answers);
}, 120_000);

async function insist(app: Foldlog, booking: Booking, conflicted: () => void): Promise<'booked' | 'refused'> {
  for (;;) {
    try {
      return await book(app.eventStore, booking);
    } catch (thrown) {
      if (!isFoldlogError(thrown) || thrown.code !== 'CONDITION_FAILED') throw thrown;
      conflicted();
    }
  }
}
