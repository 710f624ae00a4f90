/**
 * Which part of the log a read wants, as its caller says it (positions, moments) and as the broker is asked for it.
 * Bounds hold whatever the direction. A position stands for an event that was seen: a log that has lost it since refuses
 * to be read from there, because what follows would be another history.
 *
 * A moment is found by halving, as RocketMQ finds it, and what was stored on the wrong side of it is left out: exact as
 * long as the clock of the broker's machine was not set back meanwhile.
 */
import { OptionsError } from '../base/errors.js';
import type { CommitLogOffset, TimestampMillis } from '../base/flavours.js';
import type { EventLogPosition } from '../protocol/headers/events.js';
import type { EventPosition, ReadOptions } from './eventTypes.js';

export interface LogRange {
  direction: 'forwards' | 'backwards';
  from?: CommitLogOffset | undefined;
  until?: CommitLogOffset | undefined;
  fromTime?: TimestampMillis | undefined;
  untilTime?: TimestampMillis | undefined;
  /** Up to where the log is known already. */
  known?: EventLogPosition | undefined;
  /** The broker whose positions these are; undefined when none is given. */
  brokerName?: string | undefined;
}

/** Throws OptionsError for bounds that make no sense. */
export function logRangeOf(options: ReadOptions): LogRange {
  const { from = 'start', after, to, until, direction = 'forwards' } = options;
  if (after !== undefined && from !== 'start') {
    throw new OptionsError('`from` and `after` both say where to begin: give one of them');
  }
  if (from !== 'start' && typeof from !== 'object') {
    throw new OptionsError(`from ${JSON.stringify(from)} must be 'start', a Date or a position`, { from });
  }
  const first = after ?? (isPosition(from) ? from : undefined);
  for (const position of [first, to]) if (position) assertPosition(position);
  if (first && to && first.brokerName !== to.brokerName) {
    throw new OptionsError(`the positions lie on two brokers, ${first.brokerName} and ${to.brokerName}`);
  }
  // The one that reading begins at.
  const seen = direction === 'forwards' ? (first ?? to) : (to ?? first);
  return {
    direction,
    from: after ? after.commitLogOffset + 1 : first?.commitLogOffset,
    until: to && to.commitLogOffset + 1,
    fromTime: from instanceof Date ? millisOf('from', from) : undefined,
    untilTime: until && millisOf('until', until),
    known: seen && knownBehind(seen),
    brokerName: seen?.brokerName,
  };
}

/** Was it stored within the moments of the range? */
export function isStoredWithin({ fromTime, untilTime }: LogRange, storeTimestamp: TimestampMillis): boolean {
  return (
    (fromTime === undefined || storeTimestamp >= fromTime) && (untilTime === undefined || storeTimestamp <= untilTime)
  );
}

/** Does the range need a broker that compares it with what the log has lost? */
export function hasPosition({ from, until }: LogRange): boolean {
  return from !== undefined || until !== undefined;
}

export function assertOnBroker({ brokerName: wanted }: LogRange, brokerName: string): void {
  if (wanted === undefined || wanted === brokerName) return;
  throw new OptionsError(`the position lies on broker ${wanted}, but ${brokerName} is read: they cannot be compared`, {
    brokers: [wanted, brokerName],
  });
}

/** Of a broker without generations nothing is known. */
function knownBehind({ commitLogOffset, generation }: EventPosition): EventLogPosition | undefined {
  return generation === 0 ? undefined : { commitLogOffset: commitLogOffset + 1, generation };
}

function isPosition(from: unknown): from is EventPosition {
  return typeof from === 'object' && from !== null && !(from instanceof Date);
}

function assertPosition({ commitLogOffset, generation }: EventPosition): void {
  if (Number.isSafeInteger(commitLogOffset) && commitLogOffset >= 0 && Number.isSafeInteger(generation)) return;
  throw new OptionsError('a position is what an append or a read gave: { commitLogOffset, generation, brokerName, … }');
}

function millisOf(name: string, date: Date): TimestampMillis {
  const millis = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isNaN(millis)) throw new OptionsError(`${name} is not a valid Date`);
  return millis;
}
