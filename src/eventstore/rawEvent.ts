/**
 * An event of a type that no class here has, as it is stored: what a read or a subscription gives for it when it is asked
 * to (`unknownTypes: 'raw'`), so that nothing is passed over. Type, stream, version and metadata stand where those of any
 * other event stand.
 */
import { FoldlogError, messageOf } from '../base/errors.js';
import { EVENT_PROPERTY } from '../protocol/messageProperties.js';
import { type EventMessage, recordedOf } from './eventCodec.js';
import type { RecordedEvent } from './eventTypes.js';

export class RawEvent {
  readonly type: string;
  /** The bytes as they are stored. */
  readonly body: Buffer;

  constructor(type: string, body: Buffer) {
    this.type = type;
    this.body = body;
  }

  /** The body as JSON. Throws EVENT_INVALID when it is none. */
  get fields(): unknown {
    try {
      return JSON.parse(this.body.toString('utf8'));
    } catch (cause) {
      throw new FoldlogError('EVENT_INVALID', `the body of event ${this.type} is no JSON: ${messageOf(cause)}`, {
        type: this.type,
        cause,
      });
    }
  }
}

export function rawEventOf(message: EventMessage, generation: number): RecordedEvent<RawEvent> {
  const type = message.tags ?? '';
  const schemaVersion = Number(message.properties[EVENT_PROPERTY.SCHEMA_VERSION] ?? 1);
  // A copy: the body is a view of the page that it came with, which would be kept as long as the event is.
  return recordedOf(new RawEvent(type, Buffer.from(message.body)), type, schemaVersion, message, generation);
}
