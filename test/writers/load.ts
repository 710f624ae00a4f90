/** The same load for all who write: commands and bookings from a seed, run by 16 writers that take the next one each. */
import type { Booking, Tally } from './domain.js';

export const WRITERS = 16;
/** WRITERS_COMMANDS makes it fewer, to try something. */
export const COMMANDS = Number(process.env['WRITERS_COMMANDS'] ?? 20_000);
export const BOOKINGS_TRIED = COMMANDS / 10;
const STREAMS = 10;
const SEATS = 400;
const CUSTOMERS = 200;

/** Randomness of a run; the seed is part of the test's title. */
export const SEED = Number(process.env['WRITERS_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));

export type Work = { kind: 'tally'; stream: string; tally: Tally } | { kind: 'book'; booking: Booking };

export function random(seed: number): (below: number) => number {
  // Mulberry32: small, and the same everywhere.
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Most commands make one event, some several; bookings are mixed in among them. */
export function workOf(seed: number): Work[] {
  const below = random(seed);
  const work: Work[] = [];
  for (let n = 0; n < COMMANDS; n += 1) {
    const events = below(10) === 0 ? 2 + below(3) : 1;
    work.push({ kind: 'tally', stream: String(below(STREAMS)), tally: { command: `c${n}`, events } });
  }
  for (let n = 0; n < BOOKINGS_TRIED; n += 1) {
    const booking = { command: `b${n}`, seat: `s${below(SEATS)}`, customer: `k${below(CUSTOMERS)}` };
    work.splice(below(work.length), 0, { kind: 'book', booking });
  }
  return work;
}

/** Runs the work by so many writers at once; the first failure ends all of them. */
export async function writeAll(
  work: readonly Work[],
  write: (one: Work, writer: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const writer = async (_: unknown, index: number) => {
    while (!failed) {
      const one = work[next++];
      if (!one) return;
      try {
        await write(one, index);
      } catch (thrown) {
        failed = true;
        throw thrown;
      }
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}
