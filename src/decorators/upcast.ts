/** `@Upcast`: marks static methods that bring old events to today's fields. See `eventstore/upcasters.ts`. */
import { OptionsError } from '../base/errors.js';
import type { AnyClass } from '../eventstore/classMetadata.js';
import { markUpcaster, type UpcastOptions } from '../eventstore/upcasters.js';

/** A decorator of static methods that take an old version's fields and give the next one's. */
export type UpcastDecorator = <Method extends (fields: never) => object>(
  target: object,
  member: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void;

/**
 * Marks a static method that takes the fields of `type` as version `fromVersion` stored them and returns those of the
 * next version. It stands in the event class, or in a class among the application's `upcasters`. In an event class of
 * another type it renames: the fields become version 1 of that class.
 *
 * The method is synchronous, depends on the fields alone and may change them in place. What comes out at the end is
 * validated like any event.
 *
 * @throws OptionsError for a method that is not static, or a wrong type or version
 * @example
 * @Event({ type: 'OrderPlaced', version: 2 })
 * class OrderPlaced {
 *   @IsInt() cents!: number;
 *   @Upcast('OrderPlaced', 1) static fromEuros({ euros }: { euros: number }) { return { cents: euros * 100 }; }
 * }
 */
export function Upcast(type: string, fromVersion: number, options: UpcastOptions = {}): UpcastDecorator {
  return (target, member) => {
    if (typeof target !== 'function' || typeof member !== 'string') {
      throw new OptionsError(`@Upcast needs a static method with a name, not ${String(member)}`);
    }
    markUpcaster(target as AnyClass, member, { type, fromVersion, ...options });
  };
}
