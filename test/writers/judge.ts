/**
 * Reads what the writers left behind and compares it with what they were told: every command once and whole, versions
 * without gap or repeat, and no decision on a state that was not the newest.
 */
import { expect } from 'vitest';
import type { EventStore } from '../../src/index.js';
import { BOOKINGS, type Booking, LIMIT, type SeatBooked, TALLIES, type Tallied, type Tally } from './domain.js';

/** A command that was acknowledged. */
export interface Done extends Tally {
  stream: string;
  /** The stream's version that the answer named. */
  version: number;
}

export async function judgeTallies(store: EventStore, done: readonly Done[]): Promise<void> {
  for (const id of new Set(done.map(({ stream }) => stream))) {
    const commands = done.filter(({ stream }) => stream === id);
    const lastVersion = new Map<string, number>();
    const parts = new Map<string, number>();
    let version = 0;
    for await (const recorded of store.readStream({ topic: TALLIES.topic, stream: `${TALLIES.stream}:${id}` })) {
      version += 1;
      const { command, part, count } = recorded.event as Tallied;
      expect(recorded.version).toBe(version);
      // A lost update would show here: the command had not seen all events before it.
      expect(count).toBe(version);
      // Its events follow each other, each once.
      expect(part).toBe(parts.get(command) ?? 0);
      if (part > 0) expect(lastVersion.get(command)).toBe(version - 1);
      parts.set(command, part + 1);
      lastVersion.set(command, version);
    }
    expect(parts.size).toBe(commands.length);
    for (const { command, events, version: answered } of commands) {
      expect(parts.get(command)).toBe(events);
      expect(answered).toBe(lastVersion.get(command));
    }
    expect(version).toBe(commands.reduce((sum, { events }) => sum + events, 0));
  }
}

export async function judgeBookings(
  store: EventStore,
  answers: readonly { booking: Booking; outcome: 'booked' | 'refused' }[],
): Promise<void> {
  const seats = [...new Set(answers.map(({ booking }) => booking.seat))];
  const takers = new Map<string, string>();
  const counts = new Map<string, number>();
  for (const seat of seats) {
    for await (const recorded of store.readStream({ topic: BOOKINGS, stream: `seat:${seat}` })) {
      const { customer } = recorded.event as SeatBooked;
      expect(takers.has(seat)).toBe(false);
      takers.set(seat, customer);
      counts.set(customer, (counts.get(customer) ?? 0) + 1);
    }
  }
  expect(takers.size).toBeGreaterThan(0);
  for (const count of counts.values()) expect(count).toBeLessThanOrEqual(LIMIT);
  for (const { booking, outcome } of answers) {
    const isTaker = takers.get(booking.seat) === booking.customer;
    expect(isTaker).toBe(outcome === 'booked');
    // Refused is only who came too late or has enough.
    if (!isTaker && !takers.has(booking.seat)) expect(counts.get(booking.customer)).toBe(LIMIT);
  }
}
