/**
 * Building events: fields go into an instance of the class, class-validator checks it, and what would not survive the
 * way through JSON is refused here instead of surprising a reader. A built event is frozen, so that what was checked
 * is what is stored.
 *
 * Every event is checked when it is built and again when it is read. Valid ones are told by `eventRules.ts`, at a fraction
 * of what class-validator takes to find and describe what is wrong.
 */
import { getMetadataStorage, type ValidationError, validateSync } from 'class-validator';
import { FoldlogError, messageOf, OptionsError } from '../base/errors.js';
import type { AnyClass } from './classMetadata.js';
import { eventClassOf, eventFactsOf } from './eventClass.js';
import { holdsAllRules } from './eventRules.js';
import type { EventClass, EventMetadata, EventToAppend } from './eventTypes.js';

/** The fields of an event class: what its instance holds besides methods. */
export type EventFields<E extends object> = {
  // biome-ignore lint/suspicious/noExplicitAny: any method, whatever it takes
  [Field in keyof E as E[Field] extends (...args: any[]) => unknown ? never : Field]: E[Field];
};

/** At most this many nested levels in a field. */
const DEPTH_MAX = 32;

const built = new WeakSet<object>();

/**
 * Builds an event and validates it.
 *
 * @throws FoldlogError EVENT_INVALID naming type, field and reason
 * @example event(OrderPlaced, { customer: 'c-1', cents: 1250 })
 */
export function event<E extends object>(eventClass: EventClass<E>, fields: EventFields<E>): E {
  const made = instantiate(eventClass);
  const unknown = unknownFields(eventClass, made, fields);
  if (unknown.length > 0) throw eventInvalid(eventFactsOf(eventClass).type, unknown);
  Object.assign(made, fields);
  assertValidEvent(made);
  return made;
}

/** Checks an instance however it was made, and freezes it. Does nothing the second time. */
export function assertValidEvent(made: object): void {
  if (built.has(made)) return;
  const { type } = eventFactsOf(made.constructor as AnyClass);
  const reasons = [...validationReasons(made), ...jsonDefects(made)];
  if (reasons.length > 0) throw eventInvalid(type, reasons);
  Object.freeze(made);
  built.add(made);
}

export function eventInvalid(type: string, reasons: readonly string[], where = ''): FoldlogError {
  return new FoldlogError('EVENT_INVALID', `event ${type}${where} is not valid: ${reasons.join('; ')}`, {
    type,
    reasons,
  });
}

/** An empty event. A class whose constructor needs arguments cannot be read back. */
export function instantiate<E extends object>(eventClass: EventClass<E>): E {
  try {
    return new eventClass();
  } catch (cause) {
    throw new OptionsError(
      `event class ${eventClass.name} cannot be made without arguments (${messageOf(cause)}): event classes are plain classes with fields`,
      { class: eventClass.name, cause },
    );
  }
}

/** What class-validator says against the instance, one line per field and rule; empty when it is valid. */
export function validationReasons(instance: object): string[] {
  if (holdsAllRules(instance)) return NO_REASONS;
  // A class without any rule is its author's choice, not an unknown value.
  const errors = validateSync(instance, {
    forbidUnknownValues: false,
    validationError: { target: false, value: false },
  });
  return errors.length === 0 ? NO_REASONS : errors.flatMap((error) => reasonsOf(error, ''));
}

const NO_REASONS: string[] = [];

/**
 * Fields that the class does not declare, by a rule or by being there on a fresh instance. A class without any rule
 * says nothing about its fields, so everything passes.
 */
function unknownFields(eventClass: EventClass, fresh: object, fields: object): string[] {
  let rules: ReadonlySet<string> | undefined;
  const unknown: string[] = [];
  for (const field of Object.keys(fields)) {
    if (field in fresh) continue;
    rules ??= ruledFields(eventClass);
    if (rules.size > 0 && !rules.has(field)) unknown.push(`${field}: the class does not declare it (@Allow() would)`);
  }
  return unknown;
}

function ruledFields(eventClass: EventClass): ReadonlySet<string> {
  const rules = getMetadataStorage().getTargetValidationMetadatas(eventClass, '', false, false);
  return new Set(rules.map((rule) => rule.propertyName));
}

function reasonsOf(error: ValidationError, path: string): string[] {
  const field = `${path}${error.property}`;
  const own = Object.values(error.constraints ?? {}).map((reason) => `${field}: ${reason}`);
  return [...own, ...(error.children ?? []).flatMap((child) => reasonsOf(child, `${field}.`))];
}

/** Values that JSON would change or drop. */
function jsonDefects(instance: object): string[] {
  const reasons: string[] = [];
  for (const [field, value] of Object.entries(instance)) {
    if (value === undefined) continue;
    const defect = jsonDefect(value, DEPTH_MAX);
    if (defect) reasons.push(`${field}: ${defect}`);
  }
  return reasons;
}

function jsonDefect(value: unknown, depthLeft: number): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : `${value} cannot be stored as JSON`;
    case 'object': {
      if (value === null) return undefined;
      if (depthLeft === 0) return `nested deeper than ${DEPTH_MAX} levels`;
      if (!Array.isArray(value)) {
        const prototype: unknown = Object.getPrototypeOf(value);
        if (prototype !== Object.prototype && prototype !== null) {
          const name = value.constructor?.name ?? 'an object';
          return `${name} would not come back from JSON as it is: store a plain value (a date as ISO text)`;
        }
      }
      for (const member of Object.values(value)) {
        if (member === undefined && !Array.isArray(value)) continue;
        const defect = jsonDefect(member, depthLeft - 1);
        if (defect) return defect;
      }
      return undefined;
    }
    default:
      return `a value of type ${typeof value} cannot be stored as JSON`;
  }
}

/** Takes an event alone or with its metadata, and gives it with its metadata. Throws OptionsError for anything else. */
export function toEventToAppend(given: object, metadata: EventMetadata = {}): EventToAppend {
  if (eventClassOf(given)) return { ...metadata, event: given };
  const wrapped = given as Partial<EventToAppend>;
  if (typeof wrapped.event === 'object' && eventClassOf(wrapped.event)) return given as EventToAppend;
  throw new OptionsError(
    `${given.constructor?.name ?? 'the value'} is no event: pass what event(E, fields) built, or { event, keys, … } around it`,
  );
}
