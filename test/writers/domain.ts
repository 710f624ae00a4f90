/**
 * What the writers write: tallies, whose events say what their command had seen, so that an update that got lost or a
 * decision that was made on an old state shows; and bookings, each of which rests on a seat and on a customer's limit.
 */
import { IsInt, IsString, Min } from 'class-validator';
import { decider, Event, type EventStore, event } from '../../src/index.js';

export const TALLIES = { topic: 'tallies', stream: 'tally' };
export const BOOKINGS = 'bookings';

@Event({ type: 'Tallied', version: 1 })
export class Tallied {
  /** The command that this event is of, and which of its events it is, from 0. */
  @IsString() command!: string;
  @IsInt() @Min(0) part!: number;
  /** The number that the event must have in its stream if the command saw all events before it. */
  @IsInt() @Min(1) count!: number;
}

@Event({ type: 'SeatBooked', version: 1 })
export class SeatBooked {
  @IsString() seat!: string;
  @IsString() customer!: string;
}

export const EVENTS = [Tallied, SeatBooked];

export interface Tally {
  command: string;
  events: number;
}

/** One more function of the same kind each time: an application keeps a line of commands for each, so they race. */
export const tallying = () =>
  decider<Tally, number>({
    initialState: () => 0,
    decide: ({ command, events }, count) =>
      Array.from({ length: events }, (_, part) => event(Tallied, { command, part, count: count + part + 1 })),
    evolve: (count) => count + 1,
  });

export interface Booking {
  command: string;
  seat: string;
  customer: string;
}

/** Seats that one customer may have. */
export const LIMIT = 3;

/** Decides on everything stored under the seat and under the customer; the append proves that it was everything. */
export async function book(store: EventStore, booking: Booking): Promise<'booked' | 'refused'> {
  const { command, seat, customer } = booking;
  const keys = [`seat:${seat}`, `customer:${customer}`].map((key) => ({ topic: BOOKINGS, key }));
  const { events, condition } = await store.readKeys(keys);
  const booked = events.map(({ event: one }) => one as SeatBooked);
  const mine = booked.find((one) => one.seat === seat);
  // A repeat after a lost answer finds its own booking.
  if (mine) return mine.customer === customer ? 'booked' : 'refused';
  if (booked.filter((one) => one.customer === customer).length >= LIMIT) return 'refused';
  const stream = `seat:${seat}`;
  const one = { topic: BOOKINGS, stream, event: event(SeatBooked, { seat, customer }), keys: [`customer:${customer}`] };
  await store.append([one], { condition, appendId: command });
  return 'booked';
}
