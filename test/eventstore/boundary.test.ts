/**
 * A consistency boundary over two aggregates: 16 writers at once book few seats for few customers under one condition.
 * No seat is sold twice, no customer is over the limit, and whoever was refused was refused for a reason that holds.
 */
import { expect, it } from 'vitest';
import { TestApp } from '../../src/testing/index.js';
import { attemptsOf, book, defectsOf, FlightBooked, type Outcome } from '../support/bookings.js';

const WRITERS = 16;
const LIMIT = 3;

it('is never oversold and never over the limit, with 16 writers at once', async () => {
  await using app = await TestApp.start({ handlers: [], events: [FlightBooked] });
  const told: Outcome[] = [];
  const write = async (writer: number) => {
    for (const booking of attemptsOf(writer, 20, 40, 11)) {
      told.push({ ...booking, outcome: await book(app.eventStore, booking, LIMIT) });
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  expect(told).toHaveLength(WRITERS * 20);
  expect(await defectsOf(app.eventStore, told, LIMIT)).toEqual([]);
  // Seats are more than the customers may have: the limit is met by all of them.
  expect(told.filter(({ outcome }) => outcome === 'booked')).toHaveLength(11 * LIMIT);
});
