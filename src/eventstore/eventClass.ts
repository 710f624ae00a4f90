/**
 * What makes a class an event class: its type, the version of its schema, and the fields that travel as message
 * properties so that brokers can filter by them. Written by `decorators/event.ts`, read by the codec.
 */
import { OptionsError } from '../base/errors.js';
import { encodeProperties, isReservedProperty } from '../protocol/messageProperties.js';
import type { AnyClass } from './classMetadata.js';
import { addMemberMetadata, metadataKey, readMemberMetadata, readOwnMetadata, writeMetadata } from './classMetadata.js';
import type { EventClass } from './eventTypes.js';

export interface EventOptions {
  /** The name under which the event is stored, as its message tag. Default: the name of the class. */
  type?: string;
  /** Version of the class's fields, from 1. Default 1. */
  version?: number;
}

/** What is known of an event class. */
export interface EventClassFacts {
  type: string;
  version: number;
  /** Fields that are written as message properties of the same name. */
  filterable: readonly string[];
}

const EVENT = metadataKey<{ type: string; version: number }>('foldlog:event');
const FILTERABLE = metadataKey<readonly string[]>('foldlog:filterable');

/** A type is a tag, and a tag stands in `A || B` and in SQL92 texts. */
const TYPE_FORM = /^[A-Za-z0-9_.:%-]{1,120}$/;

/** Throws OptionsError, saying where, for a text that cannot be an event type. */
export function assertEventType(type: string, where: string): void {
  if (TYPE_FORM.test(type)) return;
  throw new OptionsError(
    `${where}: type ${JSON.stringify(type)} must be 1 to 120 of the characters A-Z a-z 0-9 _ . : % -`,
    { type },
  );
}

export function markEventClass(target: AnyClass, options: EventOptions): void {
  const { type = target.name, version = 1 } = options;
  assertEventType(type, `@Event of class ${target.name}`);
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new OptionsError(`@Event of class ${target.name}: version ${version} must be an integer from 1`, {
      class: target.name,
      version,
    });
  }
  if (readOwnMetadata(EVENT, target)) {
    throw new OptionsError(`class ${target.name} carries @Event twice: remove one`, { class: target.name });
  }
  writeMetadata(EVENT, { type, version }, target);
}

export function markFilterable(target: AnyClass, member: string): void {
  const refuse = (why: string) =>
    new OptionsError(`@Filterable on ${target.name}.${member}: ${why}`, { class: target.name, member });
  if (isReservedProperty(member)) {
    throw refuse(`${member} is a name that RocketMQ or foldlog gives a meaning: name the field differently`);
  }
  try {
    encodeProperties({ [member]: 'x' });
  } catch (cause) {
    throw Object.assign(refuse('the name cannot be a message property'), { cause });
  }
  addMemberMetadata(FILTERABLE, member, target);
}

/** Undefined for a class that is not marked itself: a class that extends an event class is not that event. */
export function findEventFacts(target: AnyClass): EventClassFacts | undefined {
  const marked = readOwnMetadata(EVENT, target);
  return marked && { ...marked, filterable: [...new Set(readMemberMetadata(FILTERABLE, target))] };
}

const known = new WeakMap<AnyClass, EventClassFacts>();

/** Throws OptionsError for a class without `@Event`. */
export function eventFactsOf(target: AnyClass): EventClassFacts {
  let facts = known.get(target);
  if (!facts) {
    facts = findEventFacts(target);
    if (!facts) {
      throw new OptionsError(`class ${target.name} is no event: mark it with @Event({ type, version })`, {
        class: target.name,
      });
    }
    known.set(target, facts);
  }
  return facts;
}

/** The class of an event instance; undefined for anything else. */
export function eventClassOf(value: unknown): EventClass | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const target: unknown = value.constructor;
  if (typeof target !== 'function') return undefined;
  return known.has(target as EventClass) || findEventFacts(target as EventClass) ? (target as EventClass) : undefined;
}
