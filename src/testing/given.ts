/**
 * Tests of one aggregate or decider without log and broker: given what happened, when a command runs, then these
 * events follow, or it refuses. Handlers of events are tested in the same words: `givenHandler.ts`.
 *
 * A wrong expectation throws an AssertionError, at once when the command is synchronous, else in the returned promise.
 */
import { AssertionError } from 'node:assert';
import { isDeepStrictEqual } from 'node:util';
import { OptionsError } from '../base/errors.js';
import type { HandlerClass } from '../decorators/handlerMetadata.js';
import { handlerKindOf } from '../decorators/handlerMetadata.js';
import { type AggregateClass, AggregateRoot, aggregateAccess, newAggregate } from '../eventstore/aggregate.js';
import { type Decider, decidedBy } from '../eventstore/decider.js';
import { assertValidEvent, toEventToAppend } from '../eventstore/event.js';
import { type GivenHandler, givenHandler, type HandlerSource } from './givenHandler.js';
import { assertThrown, type Refusal } from './refusal.js';

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
 * Of an aggregate or decider: what happened. Of a `@Consumer` or `@Projection` class: events that it has handled, each
 * one alone or as `{ event, stream, version, … }` with what its context says.
 *
 * @example given(Order, [event(OrderPlaced, { cents: 100 })])
 *   .when((order) => order.ship('dhl'))
 *   .then([event(OrderShipped, { carrier: 'dhl' })]);
 * @example await given(Billing, [], { container })
 *   .when(event(OrderPlaced, { cents: 100 }), { stream: 'order:7' })
 *   .then(() => expect(booked).toEqual([100]));
 */
export function given<A extends AggregateRoot>(
  aggregateClass: AggregateClass<A>,
  events: readonly object[],
): GivenEvents<(aggregate: A) => unknown>;
export function given<Command, State>(
  decider: Decider<Command, State>,
  events: readonly object[],
): GivenEvents<Command>;
export function given<H extends object>(
  handlerClass: HandlerClass<H>,
  events: readonly object[],
  source?: HandlerSource<H>,
): GivenHandler<H>;
export function given(
  subject: AggregateClass | Decider<unknown, unknown> | HandlerClass,
  events: readonly object[],
  source: HandlerSource<object> = {},
): GivenEvents<never> | GivenHandler<object> {
  if (typeof subject === 'function' && handlesEvents(subject)) return givenHandler(subject, events, source);
  events.forEach(assertValidEvent);
  const run =
    typeof subject === 'function' ? aggregateRun(subject as AggregateClass, events) : deciderRun(subject, events);
  return { when: (command: never) => outcomeOf(attempt(() => run(command))) };
}

function handlesEvents(subject: AggregateClass | HandlerClass): boolean {
  const kind = handlerKindOf(subject);
  return kind === 'consumer' || kind === 'projection';
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
    return decidedBy(decider, command, state).map((one) => {
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
  assertThrown('the command', refusal, expected);
}

function describe(events: readonly object[]): string {
  if (events.length === 0) return 'no event';
  return events.map((one) => `${one.constructor.name} ${JSON.stringify(one)}`).join(', ');
}
