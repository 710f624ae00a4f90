// The same work by four processes: one embeds the broker, three reach it over TCP. Each is killed at random and started
// again, the embedding one too; connections are cut with answers under way; what is unknown is repeated by another
// process with the same command id. WRITERS_SEED repeats the work and the choice of what is killed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Foldlog, silentLogger } from '../../src/index.js';
import { type Booking, EVENTS } from './domain.js';
import { type Done, judgeBookings, judgeTallies } from './judge.js';
import { BOOKINGS_TRIED, COMMANDS, random, SEED, type Work, WRITERS, workOf, writeAll } from './load.js';
import { WriterPool } from './writerPool.js';

const PROCESSES = 4;
/** Answers between two kills. */
const KILL_EVERY = Math.ceil((COMMANDS + BOOKINGS_TRIED) / 15);
const EMBEDDING = 0;
const TEST_MAX_MILLIS = 280_000;

let store: string;
let pool: WriterPool | undefined;

beforeEach(() => {
  store = mkdtempSync(path.join(tmpdir(), 'foldlog-writers-'));
});

afterEach(async () => {
  await pool?.close();
  rmSync(store, { recursive: true, force: true });
});

it(
  `four processes that are killed: no update is lost, none stored twice, nothing oversold (seed ${SEED})`,
  async () => {
    const below = random(SEED + 2);
    const config = { mappedFileSizeCommitLog: 16 * 1024 * 1024, maxHashSlotNum: 100_000, maxIndexNum: 400_000 };
    const embedding = { store, config, listen: true, namesrvPort: 0, brokerPort: 0 };
    const writers = new WriterPool(
      Array.from({ length: PROCESSES }, (_, place) => ({
        app: place === EMBEDDING ? embedding : {},
        seed: SEED + place,
      })),
    );
    pool = writers;
    const { namesrv, broker } = await writers.start(EMBEDDING);
    // A broker that comes back must be found where it was.
    const portOf = (address: string | undefined) => Number(address?.split(':')[1]);
    const sameAgain = { namesrvPort: portOf(namesrv), brokerPort: portOf(broker) };
    await writers.crash(EMBEDDING, sameAgain);
    await Promise.all(Array.from({ length: PROCESSES - 1 }, (_, index) => writers.start(index + 1, { namesrv })));

    const done: Done[] = [];
    const answers: { booking: Booking; outcome: 'booked' | 'refused' }[] = [];
    const met = { lost: 0, again: 0, repeated: 0, kills: 0, killsOfBroker: 0 };
    let killing: Promise<void> = Promise.resolve();
    /** A process that does not come back. */
    let gone: unknown;

    const answered = () => {
      if ((done.length + answers.length) % KILL_EVERY > 0) return;
      const place = below(PROCESSES);
      met.kills += 1;
      if (place === EMBEDDING) met.killsOfBroker += 1;
      killing = killing.then(() => writers.crash(place));
      killing.catch((thrown: unknown) => {
        gone = thrown;
      });
    };

    const write = async (one: Work) => {
      for (;;) {
        if (gone) throw gone;
        const outcome = await writers.work(below(PROCESSES), one);
        if ('failure' in outcome) throw new Error(outcome.failure);
        if ('lost' in outcome) met.lost += 1;
        else if ('again' in outcome) met.again += 1;
        else {
          if ('outcome' in outcome && one.kind === 'book')
            answers.push({ booking: one.booking, outcome: outcome.outcome });
          if ('version' in outcome && one.kind === 'tally') {
            if (outcome.alreadyAppended) met.repeated += 1;
            done.push({ ...one.tally, stream: one.stream, version: outcome.version });
          }
          answered();
          return;
        }
      }
    };
    await writeAll(workOf(SEED), write);
    await killing;
    await writers.close();
    console.info(
      `${done.length} commands, ${answers.length} bookings by ${WRITERS} writers: ${met.kills} kills (${met.killsOfBroker} of the broker), ` +
        `${met.lost} answers died with a process, ${met.again} came again, ${met.repeated} were found stored`,
    );
    expect(met.lost).toBeGreaterThan(0);
    expect(met.repeated).toBeGreaterThan(0);

    await using app = await Foldlog.start({ store, config, handlers: [], events: EVENTS, logger: silentLogger });
    await judgeTallies(app.eventStore, done);
    await judgeBookings(app.eventStore, answers);
  },
  TEST_MAX_MILLIS,
);
