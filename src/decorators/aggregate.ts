/** `@Aggregate` and `@Apply`: mark classes whose state is the fold of a stream. See `eventstore/aggregate.ts`. */
import { OptionsError } from '../base/errors.js';
import { type AggregateOptions, markAggregate, markApplier } from '../eventstore/aggregate.js';
import { type AnyClass, classOfMember } from '../eventstore/classMetadata.js';
import type { EventClass } from '../eventstore/eventTypes.js';

/**
 * Marks a class that extends `AggregateRoot`. The topic becomes an event topic: only guarded appends write to it.
 *
 * @throws OptionsError when the class does not extend AggregateRoot or the topic cannot be one
 */
export function Aggregate(options: AggregateOptions): ClassDecorator {
  return (target) => markAggregate(target as unknown as AnyClass, options);
}

/**
 * Marks the method that changes the state by an event. It must only do that: it runs for stored events too.
 *
 * @throws OptionsError for a class that is no event, or a second method for the same event
 */
export function Apply<E extends object>(eventClass: EventClass<E>) {
  return <Method extends (event: E) => void>(
    target: object,
    member: string | symbol,
    _descriptor: TypedPropertyDescriptor<Method>,
  ): void => {
    if (typeof member !== 'string' || typeof target === 'function') {
      throw new OptionsError(`@Apply needs an ordinary method with a name, not ${String(member)}`);
    }
    markApplier(classOfMember(target), member, eventClass);
  };
}
