/**
 * Tests of one aggregate or decider without log and broker: given what happened, when a command runs, then these
 * events follow, or it refuses.
 *
 * A wrong expectation throws an AssertionError, at once when the command is synchronous, else in the returned promise.
 */
import { AssertionError } from 'node:assert';
import { isDeepStrictEqual } from 'node:util';
import { messageOf, OptionsError } from '../base/errors.js';
import { type AggregateClass, AggregateRoot, aggregateAccess, newAggregate } from '../eventstore/aggregate.js';
import type { Decider } from '../eventstore/decider.js';
import { assertValidEvent, toEventToAppend } from '../eventstore/event.js';

/** What a command may be refused with: an error class, a part of the message, or a pattern for it. */
// biome-ignore lint/suspicious/noExplicitAny: an error class of any constructor
export type Refusal = string | RegExp | (abstract new (...args: any[]) => Error);

export interface GivenEvents<Command> {
  when(command: Command): Outcome;
}

/** What came of the command. */
export interface Outcome {
  /** Exactly these events, in this order; an empty list for none. */
  then(expected: readonly object[]): Promise<void>;
  /** The command threw; nothing was applied. */
  thenThrows(expected?: Refusal): Promise<void>;
}

type Decided = { events: object[] } | { refusal: unknown };

/**
 * @example given(Order, [event(OrderPlaced, { cents: 100 })])
 *   .when((order) => order.ship('dhl'))
 *   .then([event(OrderShipped, { carrier: 'dhl' })]);
 */
export function given<A extends AggregateRoot>(
  aggregateClass: AggregateClass<A>,
  events: readonly object[],
): GivenEvents<(aggregate: A) => unknown>;
export function given<Command, State>(
  decider: Decider<Command, State>,
  events: readonly object[],
): GivenEvents<Command>;
export function given(
  subject: AggregateClass | Decider<unknown, unknown>,
  events: readonly object[],
): GivenEvents<never> {
  events.forEach(assertValidEvent);
  const run = typeof subject === 'function' ? aggregateRun(subject, events) : deciderRun(subject, events);
  return { when: (command) => outcomeOf(attempt(() => run(command))) };
}

function aggregateRun(aggregateClass: AggregateClass, events: readonly object[]) {
  if (!(aggregateClass.prototype instanceof AggregateRoot)) {
    throw new OptionsError(`${aggregateClass.name} does not extend AggregateRoot`);
  }
  const access = aggregateAccess();
  return (command: (aggregate: AggregateRoot) => unknown): object[] | Promise<object[]> => {
    const aggregate = newAggregate(aggregateClass, 'given');
    events.forEach((one, index) => access.fold(aggregate, one, index + 1));
    const applied = () => access.takeApplied(aggregate).map((one) => one.event);
    const result = command(aggregate);
    return result instanceof Promise ? result.then(applied) : applied();
  };
}

function deciderRun(decider: Decider<unknown, unknown>, events: readonly object[]) {
  return (command: unknown): object[] => {
    const state = events.reduce<unknown>((before, one) => decider.evolve(before, one), decider.initialState());
    return decider.decide(command, state).map((one) => {
      const decided = toEventToAppend(one).event;
      assertValidEvent(decided);
      return decided;
    });
  };
}

function attempt(run: () => object[] | Promise<object[]>): Decided | Promise<Decided> {
  try {
    const events = run();
    if (!(events instanceof Promise)) return { events };
    return events.then(
      (later) => ({ events: later }),
      (refusal: unknown) => ({ refusal }),
    );
  } catch (refusal) {
    return { refusal };
  }
}

function outcomeOf(decided: Decided | Promise<Decided>): Outcome {
  const check = (assertion: (decided: Decided) => void): Promise<void> => {
    if (decided instanceof Promise) return decided.then(assertion);
    assertion(decided);
    return Promise.resolve();
  };
  return {
    // biome-ignore lint/suspicious/noThenProperty: as above; awaiting the outcome itself is answered with an error
    then(expected) {
      if (!Array.isArray(expected)) {
        throw new OptionsError('given(…).when(…) expects nothing yet: go on with .then([…]) or .thenThrows(…)');
      }
      return check((outcome) => assertEvents(outcome, expected));
    },
    thenThrows: (expected) => check((outcome) => assertRefusal(outcome, expected)),
  };
}

function assertEvents(outcome: Decided, expected: readonly object[]): void {
  if ('refusal' in outcome) throw outcome.refusal;
  const actual = outcome.events;
  // Also compares classes: two event types may have equal fields.
  if (isDeepStrictEqual(actual, [...expected])) return;
  throw new AssertionError({
    message: `expected ${describe(expected)}, the command made ${describe(actual)}`,
    actual,
    expected,
    operator: 'then',
  });
}

function assertRefusal(outcome: Decided, expected: Refusal | undefined): void {
  if ('events' in outcome) {
    const message = `expected the command to throw, it made ${describe(outcome.events)}`;
    throw new AssertionError({ message, actual: outcome.events, expected, operator: 'thenThrows' });
  }
  const { refusal } = outcome;
  if (expected === undefined || isExpected(refusal, expected)) return;
  const wanted = typeof expected === 'function' ? expected.name : String(expected);
  throw new AssertionError({
    message: `expected the command to throw ${wanted}, it threw ${messageOf(refusal)}`,
    actual: refusal,
    expected,
    operator: 'thenThrows',
  });
}

function isExpected(refusal: unknown, expected: Refusal): boolean {
  if (typeof expected === 'function') return refusal instanceof expected;
  const message = messageOf(refusal);
  return typeof expected === 'string' ? message.includes(expected) : expected.test(message);
}

function describe(events: readonly object[]): string {
  if (events.length === 0) return 'no event';
  return events.map((one) => `${one.constructor.name} ${JSON.stringify(one)}`).join(', ');
}
