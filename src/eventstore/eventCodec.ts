/**
 * Events as messages: an event is a message whose tag is its type, whose body is the JSON of its fields and whose KEYS
 * are its stream and further keys. Metadata and `@Filterable` fields travel as message properties, so brokers filter
 * by them without reading bodies. To an Apache broker or client all of that is an ordinary message.
 *
 *     TAGS        type                     FL_SCHEMA       version of the class's fields
 *     KEYS        stream, further keys     FL_OCCURRED     the event's own time, milliseconds since the epoch
 *     UNIQ_KEY    event id                 FL_CORRELATION, FL_CAUSATION, FL_ACTOR    metadata, if given
 *
 * A message that does not decode or validate is an answer here, not an error: the caller decides what becomes of it.
 */
import { messageOf, OptionsError } from '../base/errors.js';
import type { TimestampMillis } from '../base/flavours.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import { EVENT_PROPERTY, encodeProperties, keysOf, PROPERTY } from '../protocol/messageProperties.js';
import { assertValidEvent, eventInvalid, instantiate, validationReasons } from './event.js';
import { type EventClassFacts, eventFactsOf } from './eventClass.js';
import { decodeKey, encodeKey } from './eventKeys.js';
import type { EventClass, EventToAppend, RecordedEvent } from './eventTypes.js';

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
  properties: Record<string, string | undefined>;
  propertiesText: string;
}

export type DecodedEvent =
  | { status: 'EVENT'; recorded: RecordedEvent }
  /** No known class has this type. */
  | { status: 'UNKNOWN_TYPE'; type: string }
  /** The class is known, but these bytes are not a valid event of it. */
  | { status: 'INVALID'; type: string; reasons: string[] };

interface KnownClass extends EventClassFacts {
  eventClass: EventClass;
}

export class EventCodec {
  readonly #byType = new Map<string, KnownClass>();

  /** @throws OptionsError for a class without `@Event`, or two classes with one type */
  constructor(classes: readonly EventClass[]) {
    for (const eventClass of classes) {
      const facts = eventFactsOf(eventClass);
      const other = this.#byType.get(facts.type);
      if (other && other.eventClass !== eventClass) {
        throw new OptionsError(
          `event type ${facts.type} is declared by two classes, ${other.eventClass.name} and ${eventClass.name}: give one another type`,
          { type: facts.type },
        );
      }
      this.#byType.set(facts.type, { ...facts, eventClass });
    }
  }

  knows(type: string): boolean {
    return this.#byType.has(type);
  }

  /** @throws FoldlogError EVENT_INVALID; OptionsError when the event's class is not among the codec's */
  encode(stream: string, given: EventToAppend, now: TimestampMillis): EncodedEvent {
    const { event } = given;
    const eventClass = event.constructor as EventClass;
    const facts = eventFactsOf(eventClass);
    if (this.#byType.get(facts.type)?.eventClass !== eventClass) {
      throw new OptionsError(
        `event class ${eventClass.name} is not known to this application: handle it in one of its handlers or list it in \`events\``,
        { class: eventClass.name, type: facts.type },
      );
    }
    assertValidEvent(event);
    const more = new Set((given.keys ?? []).map(encodeKey));
    const streamKey = encodeKey(stream);
    more.delete(streamKey);
    const keys: [string, ...string[]] = [streamKey, ...more];
    const properties: Record<string, string | undefined> = {
      [PROPERTY.KEYS]: keys.length === 1 ? streamKey : keys.join(' '),
      [PROPERTY.TAGS]: facts.type,
      [EVENT_PROPERTY.SCHEMA_VERSION]: String(facts.version),
      [EVENT_PROPERTY.OCCURRED_AT]: String(occurredMillis(given.occurredAt, now)),
      [EVENT_PROPERTY.CORRELATION_ID]: given.correlationId,
      [EVENT_PROPERTY.CAUSATION_ID]: given.causationId,
      [EVENT_PROPERTY.ACTOR]: given.actor,
    };
    for (const field of facts.filterable) {
      properties[field] = propertyText(facts.type, field, (event as Record<string, unknown>)[field]);
    }
    return {
      type: facts.type,
      keys,
      body: Buffer.from(JSON.stringify(event)),
      properties,
      propertiesText: encodeProperties(properties),
    };
  }

  /**
   * @param generation of the log that the message was read from; part of the position
   */
  decode(message: EventMessage, generation: number): DecodedEvent {
    const type = message.tags ?? '';
    const known = this.#byType.get(type);
    if (!known) return { status: 'UNKNOWN_TYPE', type };
    const { properties } = message;
    const schemaVersion = Number(properties[EVENT_PROPERTY.SCHEMA_VERSION] ?? 1);
    if (!Number.isSafeInteger(schemaVersion) || schemaVersion > known.version) {
      const reason = `stored with version ${schemaVersion} of its fields, this program knows version ${known.version}: update it`;
      return { status: 'INVALID', type, reasons: [reason] };
    }
    let event: object;
    try {
      event = fromJson(known.eventClass, message.body);
    } catch (thrown) {
      return { status: 'INVALID', type, reasons: [messageOf(thrown)] };
    }
    const reasons = validationReasons(event);
    if (reasons.length > 0) return { status: 'INVALID', type, reasons };
    const keys = keysOf(properties).map(decodeKey);
    return {
      status: 'EVENT',
      recorded: {
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
      },
    };
  }
}

function occurredMillis(occurredAt: Date | undefined, now: TimestampMillis): TimestampMillis {
  if (!occurredAt) return now;
  const millis = occurredAt.getTime();
  if (!Number.isFinite(millis)) throw new OptionsError('occurredAt is not a valid date');
  return millis;
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

function fromJson(eventClass: EventClass, body: Buffer): object {
  const fields: unknown = JSON.parse(body.toString('utf8'));
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new TypeError('the body is not a JSON object');
  }
  // Assigning it would exchange the event's class.
  if (Object.hasOwn(fields, '__proto__')) throw new TypeError('the body has a member __proto__');
  return Object.assign(instantiate(eventClass), fields);
}

function safeNumber(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value : otherwise;
}
