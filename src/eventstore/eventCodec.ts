/**
 * Events as messages: an event is a message whose tag is its type, whose body is the JSON of its fields and whose KEYS
 * are its stream and further keys. Metadata and `@Filterable` fields travel as message properties, so brokers filter
 * by them without reading bodies. To an Apache broker or client all of that is an ordinary message.
 *
 *     TAGS        type                     FL_SCHEMA       version of the class's fields
 *     KEYS        stream, further keys     FL_OCCURRED     the event's own time, milliseconds since the epoch
 *     UNIQ_KEY    event id                 FL_CORRELATION, FL_CAUSATION, FL_ACTOR    metadata, if given
 *
 * What an old version of a class stored is upcast (`upcasters.ts`) before it is validated, wherever events are read. A
 * message that does not decode or validate is an answer here, not an error: the caller decides what becomes of it.
 */
import { messageOf, OptionsError } from '../base/errors.js';
import type { TimestampMillis } from '../base/flavours.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import { EVENT_PROPERTY, encodeProperties, encodeProperty, keysOf, PROPERTY } from '../protocol/messageProperties.js';
import type { AnyClass } from './classMetadata.js';
import { assertValidEvent, eventInvalid, instantiate, validationReasons } from './event.js';
import { type EventClassFacts, eventFactsOf } from './eventClass.js';
import { decodeKey, encodeKey } from './eventKeys.js';
import type { EventClass, EventToAppend, RecordedEvent } from './eventTypes.js';
import { type UpcastPath, upcast, upcastPaths } from './upcasters.js';

/** What decoding reads of a message. */
export type EventMessage = Pick<
  ReceivedMessage,
  | 'body'
  | 'bornTimestamp'
  | 'brokerName'
  | 'commitLogOffset'
  | 'msgId'
  | 'originalTopic'
  | 'properties'
  | 'queueId'
  | 'queueOffset'
  | 'storeTimestamp'
  | 'tags'
>;

/** An event as it is stored. */
export interface EncodedEvent {
  type: string;
  /** Encoded: stream first. */
  keys: readonly [stream: string, ...more: string[]];
  body: Buffer;
  /** Without what the broker adds. */
  propertiesText: string;
}

export type DecodedEvent =
  | { status: 'EVENT'; recorded: RecordedEvent }
  /** No known class has this type. */
  | { status: 'UNKNOWN_TYPE'; type: string }
  /** The class is known, but these bytes are not a valid event of it. The type is the stored one. */
  | { status: 'INVALID'; type: string; reasons: string[] };

interface KnownClass extends EventClassFacts {
  eventClass: EventClass;
}

/** How messages of one stored type are read. */
interface StoredType {
  /** The class that they become: of this type, or of the type that took its place. */
  known: KnownClass;
  /** From the versions that are not the class's own. */
  paths: ReadonlyMap<number, UpcastPath>;
}

export interface EventCodecOptions {
  /** Classes with `@Upcast` methods besides the event classes. */
  upcasters?: readonly AnyClass[];
  /** Told of each event that is met and that no class reads. */
  onUnknown?: (message: UnknownEvent) => void;
}

/** What is told of an event that no class reads. */
export type UnknownEvent = Pick<
  EventMessage,
  'brokerName' | 'commitLogOffset' | 'msgId' | 'originalTopic' | 'properties' | 'tags'
>;

/** What tells an object's class. */
const CLASS_MEMBERS = ['__proto__', 'constructor'] as const;
const NO_PATHS: ReadonlyMap<number, UpcastPath> = new Map();

export class EventCodec {
  readonly #byStoredType = new Map<string, StoredType>();
  readonly #onUnknown: ((message: UnknownEvent) => void) | undefined;

  /** @throws OptionsError for a class without `@Event`, two classes with one type, or upcasters that do not fit */
  constructor(classes: readonly EventClass[], { upcasters = [], onUnknown }: EventCodecOptions = {}) {
    this.#onUnknown = onUnknown;
    const byType = new Map<string, KnownClass>();
    for (const eventClass of classes) {
      const facts = eventFactsOf(eventClass);
      const other = byType.get(facts.type);
      if (other && other.eventClass !== eventClass) {
        throw new OptionsError(
          `event type ${facts.type} is declared by two classes, ${other.eventClass.name} and ${eventClass.name}: give one another type`,
          { type: facts.type },
        );
      }
      byType.set(facts.type, { ...facts, eventClass });
    }
    const paths = upcastPaths([...new Set(classes)], upcasters);
    for (const [type, known] of byType) this.#byStoredType.set(type, { known, paths: paths.get(type) ?? NO_PATHS });
    for (const [type, ofType] of paths) {
      for (const path of ofType.values()) {
        const known = byType.get(path.type);
        if (known) this.#byStoredType.set(type, { known, paths: ofType });
      }
    }
  }

  /** The type of the class that reads events stored under this type: another one after a renaming. */
  typeOf(storedType: string): string | undefined {
    return this.#byStoredType.get(storedType)?.known.type;
  }

  /** Every type under which events of this type may be stored. */
  storedTypesOf(type: string): string[] {
    return [...this.#byStoredType].filter(([, { known }]) => known.type === type).map(([stored]) => stored);
  }

  /** As {@link typeOf} of a message at hand: an event that no class reads is reported. */
  recognise(message: UnknownEvent): string | undefined {
    const type = this.typeOf(message.tags ?? '');
    if (type === undefined) this.#onUnknown?.(message);
    return type;
  }

  /** @throws FoldlogError EVENT_INVALID; OptionsError when the event's class is not among the codec's */
  encode(stream: string, given: EventToAppend, now: TimestampMillis): EncodedEvent {
    const { event } = given;
    const eventClass = event.constructor as EventClass;
    const facts = eventFactsOf(eventClass);
    if (this.#byStoredType.get(facts.type)?.known.eventClass !== eventClass) {
      throw new OptionsError(
        `event class ${eventClass.name} is not known to this application: handle it in one of its handlers or list it in \`events\``,
        { class: eventClass.name, type: facts.type },
      );
    }
    assertValidEvent(event);
    const keys = keysOfEvent(stream, given.keys);
    // As text at once: an object with these names costs several times as much.
    const propertiesText =
      encodeProperty(PROPERTY.KEYS, keys.length === 1 ? keys[0] : keys.join(' ')) +
      encodeProperty(PROPERTY.TAGS, facts.type) +
      encodeProperty(EVENT_PROPERTY.SCHEMA_VERSION, String(facts.version)) +
      encodeProperty(EVENT_PROPERTY.OCCURRED_AT, String(occurredMillis(given.occurredAt, now))) +
      encodeProperty(EVENT_PROPERTY.CORRELATION_ID, given.correlationId) +
      encodeProperty(EVENT_PROPERTY.CAUSATION_ID, given.causationId) +
      encodeProperty(EVENT_PROPERTY.ACTOR, given.actor) +
      filterableText(facts, event as Record<string, unknown>);
    return { type: facts.type, keys, body: Buffer.from(JSON.stringify(event)), propertiesText };
  }

  /**
   * @param generation of the log that the message was read from; part of the position
   */
  decode(message: EventMessage, generation: number): DecodedEvent {
    const type = message.tags ?? '';
    const stored = this.#byStoredType.get(type);
    if (!stored) {
      this.#onUnknown?.(message);
      return { status: 'UNKNOWN_TYPE', type };
    }
    const { known } = stored;
    const { properties } = message;
    const schemaVersion = Number(properties[EVENT_PROPERTY.SCHEMA_VERSION] ?? 1);
    const isOwn = type === known.type && schemaVersion === known.version;
    const path = isOwn ? undefined : stored.paths.get(schemaVersion);
    if (!isOwn && !path) return { status: 'INVALID', type, reasons: [noPath(type, schemaVersion, known)] };
    let event: object;
    try {
      event = fromJson(known.eventClass, message.body, path);
    } catch (thrown) {
      return { status: 'INVALID', type, reasons: [messageOf(thrown)] };
    }
    const reasons = validationReasons(event);
    if (reasons.length > 0) return { status: 'INVALID', type, reasons };
    return { status: 'EVENT', recorded: recordedOf(event, known.type, schemaVersion, message, generation) };
  }
}

/** The event with what its message says of it. */
export function recordedOf<E extends object>(
  event: E,
  type: string,
  schemaVersion: number,
  message: EventMessage,
  generation: number,
): RecordedEvent<E> {
  const { properties } = message;
  const keys = keysOf(properties).map(decodeKey);
  return {
    event,
    type,
    schemaVersion,
    eventId: message.msgId,
    topic: message.originalTopic,
    stream: keys[0] ?? '',
    version: safeNumber(properties[EVENT_PROPERTY.STREAM_VERSION], 0),
    position: {
      commitLogOffset: message.commitLogOffset,
      generation,
      brokerName: message.brokerName,
      queueId: message.queueId,
      queueOffset: message.queueOffset,
    },
    occurredAt: new Date(safeNumber(properties[EVENT_PROPERTY.OCCURRED_AT], message.bornTimestamp)),
    storedAt: new Date(message.storeTimestamp),
    keys,
    correlationId: properties[EVENT_PROPERTY.CORRELATION_ID],
    causationId: properties[EVENT_PROPERTY.CAUSATION_ID],
    actor: properties[EVENT_PROPERTY.ACTOR],
  };
}

function occurredMillis(occurredAt: Date | undefined, now: TimestampMillis): TimestampMillis {
  if (!occurredAt) return now;
  const millis = occurredAt.getTime();
  if (!Number.isFinite(millis)) throw new OptionsError('occurredAt is not a valid date');
  return millis;
}

/** Encoded, the stream first, each once. */
function keysOfEvent(stream: string, more: readonly string[] | undefined): [stream: string, ...more: string[]] {
  const streamKey = encodeKey(stream);
  if (!more || more.length === 0) return [streamKey];
  const others = new Set(more.map(encodeKey));
  others.delete(streamKey);
  return [streamKey, ...others];
}

/** Properties by which consumers filter. Their names are the class's, and cannot be those that are set here. */
function filterableText({ type, filterable }: EventClassFacts, event: Readonly<Record<string, unknown>>): string {
  if (filterable.length === 0) return '';
  const properties: Record<string, string | undefined> = {};
  for (const field of filterable) properties[field] = propertyText(type, field, event[field]);
  return encodeProperties(properties);
}

/** A field as a message property. An absent or empty one is no property: filters see no value, as for SQL's NULL. */
function propertyText(type: string, field: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    throw eventInvalid(type, [`${field}: a @Filterable field must be a text, a number or a boolean`]);
  }
  const text = String(value);
  if (text.includes('\u0001') || text.includes('\u0002')) {
    throw eventInvalid(type, [`${field}: a @Filterable field must not hold the characters 0x01 and 0x02`]);
  }
  return text;
}

function fromJson(eventClass: EventClass, body: Buffer, path: UpcastPath | undefined): object {
  const stored: unknown = JSON.parse(body.toString('utf8'));
  if (typeof stored !== 'object' || stored === null || Array.isArray(stored)) {
    throw new TypeError('the body is not a JSON object');
  }
  const fields = path ? upcast(stored, path) : stored;
  // Assigning it would exchange the event's class, and with it the rules that it is checked by.
  for (const member of CLASS_MEMBERS) {
    if (Object.hasOwn(fields, member)) throw new TypeError(`the body has a member ${member}`);
  }
  return Object.assign(instantiate(eventClass), fields);
}

function noPath(type: string, schemaVersion: number, known: KnownClass): string {
  const stored = `stored with version ${schemaVersion} of its fields`;
  if (type !== known.type) {
    return `${stored}, and no upcaster leads from it to ${known.type}: add @Upcast('${type}', ${schemaVersion})`;
  }
  return Number.isSafeInteger(schemaVersion) && schemaVersion >= 1 && schemaVersion < known.version
    ? `${stored}, and no upcaster leads from it to version ${known.version}: add @Upcast('${type}', ${schemaVersion})`
    : `${stored}, this program knows version ${known.version}: update it`;
}

function safeNumber(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value : otherwise;
}
