/** `@On` and `@Idempotent`: which method of a consumer or projection handles which event, and how it is guarded. */
import { OptionsError } from '../base/errors.js';
import { classOfMember } from '../eventstore/classMetadata.js';
import type { EventClass } from '../eventstore/eventTypes.js';
import { addHandler, addIdempotence, type IdempotentOptions, type OnOptions } from './handlerMetadata.js';

/** A decorator of methods that take the event and its context. */
export type HandlerDecorator<E extends object> = <Method extends (event: E, context: never) => unknown>(
  target: object,
  member: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void;

/**
 * Marks the method that handles an event class.
 *
 * @throws OptionsError for a class that is no event, or a second method for the same event
 */
export function On<E extends object>(eventClass: EventClass<E>, options: OnOptions = {}): HandlerDecorator<E> {
  return (target, member) => addHandler(classOfMember(target), nameOf(target, member, '@On'), eventClass, options);
}

/**
 * Says what counts as the same effect, how long it is remembered, and whether its done mark is part of a transaction
 * that the method writes in. A method without it is guarded by event id, with a lease.
 *
 * @example @On(OrderPlaced) @Idempotent({ key: (event: OrderPlaced) => event.customer, ttl: 86_400_000 })
 * @example @On(OrderPlaced) @Idempotent({ transaction: true }) // context.db is the transaction
 */
export function Idempotent<E extends object = never>(options: IdempotentOptions<E> = {}): HandlerDecorator<E> {
  return (target, member) => {
    const name = nameOf(target, member, '@Idempotent');
    addIdempotence(classOfMember(target), name, options as IdempotentOptions);
  };
}

function nameOf(target: object, member: string | symbol, decorator: string): string {
  if (typeof member === 'string' && typeof target !== 'function') return member;
  throw new OptionsError(`${decorator} needs an ordinary method with a name, not ${String(member)}`);
}
