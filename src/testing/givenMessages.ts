/**
 * Events as the messages that a consumer would get of them, for handlers that are tested without a log: encoded as for
 * the log, with what a broker would add. Everything about them is fixed, so that a test sees the same each time: one
 * queue, one event after the other, one millisecond apart.
 */
import type { ReceivedMessage } from '../client/clientTypes.js';
import { toEventToAppend } from '../eventstore/event.js';
import type { EventCodec } from '../eventstore/eventCodec.js';
import type { EventToAppend, RecordedEvent } from '../eventstore/eventTypes.js';
import { decodeProperties, EVENT_PROPERTY, keysOf, PROPERTY } from '../protocol/messageProperties.js';

/** What the context of a delivery says; what is left out has a value of its own. */
export type DeliveryFields = Partial<
  Pick<
    RecordedEvent,
    'actor' | 'causationId' | 'correlationId' | 'eventId' | 'occurredAt' | 'storedAt' | 'stream' | 'version'
  > & { reconsumeTimes: number }
>;

/** The time of the first event: 2026-01-01T00:00:00Z. */
export const GIVEN_MILLIS = Date.UTC(2026, 0, 1);
export const GIVEN_BROKER = 'given';
const STREAM_DEFAULT = 'given:1';
const HOST = { host: '127.0.0.1', port: 10911 };

export class GivenMessages {
  readonly #codec: EventCodec;
  readonly #topic: string;
  readonly #versions = new Map<string, number>();
  #nextOffset = 0;

  constructor({ codec, topic }: { codec: EventCodec; topic: string }) {
    this.#codec = codec;
    this.#topic = topic;
  }

  /** The next one in the queue. Throws OptionsError and EVENT_INVALID as an append would. */
  next(given: object, fields: DeliveryFields = {}): ReceivedMessage {
    const queueOffset = this.#nextOffset++;
    const storeTimestamp = fields.storedAt?.getTime() ?? GIVEN_MILLIS + queueOffset;
    const stream = fields.stream ?? STREAM_DEFAULT;
    const version = fields.version ?? (this.#versions.get(stream) ?? 0) + 1;
    this.#versions.set(stream, version);
    const msgId = fields.eventId ?? `event-${queueOffset + 1}`;
    const event: EventToAppend = { ...toEventToAppend(given), ...metadataOf(fields) };
    const encoded = this.#codec.encode(stream, event, storeTimestamp);
    const properties: Record<string, string> = {
      [PROPERTY.UNIQ_KEY]: msgId,
      [EVENT_PROPERTY.STREAM_VERSION]: String(version),
      ...decodeProperties(encoded.propertiesText),
    };
    return {
      topic: this.#topic,
      originalTopic: this.#topic,
      brokerName: GIVEN_BROKER,
      queueId: 0,
      queueOffset,
      commitLogOffset: queueOffset,
      sizeBytes: encoded.body.length,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: storeTimestamp,
      bornHost: HOST,
      storeTimestamp,
      storeHost: HOST,
      reconsumeTimes: fields.reconsumeTimes ?? 0,
      preparedTransactionOffset: 0,
      bodyCrc: 0,
      body: encoded.body,
      properties,
      msgId,
      offsetMsgId: msgId,
      tags: encoded.type,
      keys: keysOf(properties),
    };
  }
}

function metadataOf({ actor, causationId, correlationId, occurredAt }: DeliveryFields) {
  return {
    ...(actor === undefined ? {} : { actor }),
    ...(causationId === undefined ? {} : { causationId }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(occurredAt === undefined ? {} : { occurredAt }),
  };
}
