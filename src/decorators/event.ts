/** `@Event` and `@Filterable`: mark event classes. What they write is `eventstore/eventClass.ts`. */
import { OptionsError } from '../base/errors.js';
import { type AnyClass, classOfMember } from '../eventstore/classMetadata.js';
import { type EventOptions, markEventClass, markFilterable } from '../eventstore/eventClass.js';

/**
 * Marks a plain class as an event. Its fields are checked by class-validator's decorators when an event is built and
 * when one is read; they are stored as JSON, so dates are texts.
 *
 * @throws OptionsError for a type that cannot be a message tag
 * @example
 * @Event({ type: 'OrderPlaced', version: 1 })
 * class OrderPlaced { @IsString() customer!: string; @IsInt() @Min(1) @Filterable() cents!: number; }
 */
export function Event(options: EventOptions = {}): ClassDecorator {
  return (target) => markEventClass(target as unknown as AnyClass, options);
}

/**
 * Writes the field as a message property of its name too, so that brokers can filter by it: `sql('cents > 1000')`.
 * For texts, numbers and booleans.
 *
 * @throws OptionsError for a name that RocketMQ or foldlog gives a meaning, such as KEYS or TAGS
 */
export function Filterable(): PropertyDecorator {
  return (target, member) => {
    if (typeof member !== 'string') throw new OptionsError('@Filterable needs a field with a name, not a symbol');
    markFilterable(classOfMember(target), member);
  };
}
