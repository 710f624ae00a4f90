/**
 * Bookings that rest on two aggregates at once: a seat, which is free or not, and a customer, who may have so many. No
 * stream holds both; the condition of the append does.
 */
import { IsString } from 'class-validator';
import { Event, type EventStore, event, isFoldlogError } from '../../src/index.js';

export const TOPIC = 'flights';

@Event({ type: 'FlightBooked', version: 1 })
export class FlightBooked {
  @IsString() seat!: string;
  @IsString() customer!: string;
}

export interface Booking {
  id: string;
  seat: string;
  customer: string;
}

/** Booked, or why not. Decides anew for as long as others are faster. */
export async function book(
  store: EventStore,
  { id, seat, customer }: Booking,
  limit: number,
): Promise<'booked' | 'taken' | 'limit'> {
  const keys = [`seat:${seat}`, `customer:${customer}`].map((key) => ({ topic: TOPIC, key }));
  for (;;) {
    const { events, condition } = await store.readKeys(keys);
    const bookings = events.map((recorded) => recorded.event as FlightBooked);
    if (bookings.some((one) => one.seat === seat)) return 'taken';
    if (bookings.filter((one) => one.customer === customer).length >= limit) return 'limit';
    const booked = event(FlightBooked, { seat, customer });
    const further = keys.map(({ key }) => key);
    try {
      await store.append([{ topic: TOPIC, stream: `booking:${id}`, event: booked, keys: further }], {
        condition,
        appendId: id,
      });
      return 'booked';
    } catch (thrown) {
      if (!isFoldlogError(thrown) || thrown.code !== 'CONDITION_FAILED') throw thrown;
    }
  }
}

/** Attempts of one writer: many for few seats, by few customers. */
export function attemptsOf(writer: number, count: number, seats: number, customers: number): Booking[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `b-${writer}-${index}`,
    seat: String((writer * 7 + index * 5) % seats),
    customer: `c${(writer + index * 3) % customers}`,
  }));
}

export interface Outcome extends Booking {
  outcome: 'booked' | 'taken' | 'limit';
}

/** What the log holds, held against what the writers were told. Returns what is wrong; nothing when all is well. */
export async function defectsOf(store: EventStore, told: readonly Outcome[], limit: number): Promise<string[]> {
  const bySeat = new Map<string, string[]>();
  const byCustomer = new Map<string, number>();
  const ids = new Set<string>();
  for await (const { event: booked, stream } of store.readTopic(TOPIC)) {
    const { seat, customer } = booked as FlightBooked;
    bySeat.set(seat, [...(bySeat.get(seat) ?? []), stream]);
    byCustomer.set(customer, (byCustomer.get(customer) ?? 0) + 1);
    ids.add(stream.replace('booking:', ''));
  }
  const booked = told.filter(({ outcome }) => outcome === 'booked');
  return [
    ...[...bySeat].filter(([, all]) => all.length > 1).map(([seat, all]) => `seat ${seat} is sold to ${all.join()}`),
    ...[...byCustomer].filter(([, count]) => count > limit).map(([customer, count]) => `${customer} has ${count}`),
    ...booked.filter(({ id }) => !ids.has(id)).map(({ id }) => `${id} was told booked and is not stored`),
    ...(ids.size === booked.length ? [] : [`${ids.size} are stored, ${booked.length} were told booked`]),
    // A refusal must have had its reason: bookings are never taken back.
    ...told
      .filter(({ outcome, seat }) => outcome === 'taken' && !bySeat.has(seat))
      .map(({ id, seat }) => `${id} was told that seat ${seat} is taken, which nobody has`),
    ...told
      .filter(({ outcome, customer }) => outcome === 'limit' && (byCustomer.get(customer) ?? 0) < limit)
      .map(({ id, customer }) => `${id} was told that ${customer} has enough, who has less`),
  ];
}
