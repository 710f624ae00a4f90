/**
 * Reads events by key, page by page: records into events, in the order of the log. Within one page sequence all keys
 * are read up to the same end of the log, which the first page fixes: the token of a later condition.
 *
 * A record without a version was written by another program: it belongs to no stream and is left out of streams.
 */
import { FoldlogError } from '../base/errors.js';
import type { EventLogPosition } from '../protocol/headers/events.js';
import type { StoredMessage } from '../protocol/message.js';
import { EVENT_PROPERTY, keysOf, PROPERTY } from '../protocol/messageProperties.js';
import { isRemovedMessage } from '../protocol/removedMessage.js';
import { eventInvalid } from './event.js';
import type { DecodedEvent, EventCodec, EventMessage } from './eventCodec.js';
import { decodeKey, encodeKey } from './eventKeys.js';
import type { EventLog } from './eventLog.js';
import type { EventKeyName, EventPosition, RecordedEvent, StreamName } from './eventTypes.js';

const PAGE_MAX_COUNT = 512;
const PAGE_MAX_BYTES = 1024 * 1024;

/** A record under a key, and where it stands in its stream. */
export interface KeyRecord {
  /** The record's first key, decoded; '' when it has none. */
  stream: string;
  /** Number of the event in its stream; 0 for a record that another program wrote. */
  version: number;
  message: EventMessage;
  generation: number;
}

export interface RecordPage {
  records: KeyRecord[];
  /** Up to where all keys are read. */
  end: EventLogPosition;
  brokerName: string;
}

export interface ReadRange {
  /** First position of the log that is looked at. Default its start. */
  from?: number;
  /** The position before which reading ends. Default the visible end at the first page. */
  until?: number;
  direction?: 'forwards' | 'backwards';
}

export class EventReader {
  readonly #log: EventLog;
  readonly #codec: EventCodec;

  constructor(parts: { log: EventLog; codec: EventCodec }) {
    this.#log = parts.log;
    this.#codec = parts.codec;
  }

  /**
   * Everything stored under the keys; at least one page, which may be empty. Throws CORRUPTION where a repair of the log
   * removed an event of one of them.
   */
  async *pages(keys: readonly EventKeyName[], range: ReadRange = {}): AsyncGenerator<RecordPage, void, undefined> {
    const encoded = keys.map(({ topic, key }) => ({ topic, key: encodeKey(key) }));
    const brokerName = await this.#log.brokerOf(new Set(encoded.map(({ topic }) => topic)));
    const direction = range.direction ?? 'forwards';
    let { from, until } = range;
    let end: EventLogPosition | undefined;
    for (;;) {
      const request = { keys: encoded, from, until, direction, maxCount: PAGE_MAX_COUNT, maxBytes: PAGE_MAX_BYTES };
      const page = await this.#log.read(brokerName, request);
      end ??= page.end;
      const { generation } = page.end;
      for (const record of page.records) if (isRemovedMessage(record)) throw lostEvent(record);
      yield { records: page.records.map((record) => keyRecordOf(record, brokerName, generation)), end, brokerName };
      if (page.next === undefined) return;
      if (direction === 'forwards') {
        from = page.next;
        until ??= end.commitLogOffset;
      } else until = page.next;
    }
  }

  /**
   * Like {@link pages}, of one stream: only records whose first key it is and that have a version. Throws CORRUPTION when
   * a version is missing between two that are there, or before the first one of the whole stream.
   */
  async *streamPages(name: StreamName, range: ReadRange = {}): AsyncGenerator<RecordPage, void, undefined> {
    const { topic, stream } = name;
    const step = range.direction === 'backwards' ? -1 : 1;
    let last = range.from === undefined && step === 1 ? 0 : undefined;
    for await (const page of this.pages([{ topic, key: stream }], range)) {
      const records = page.records.filter((record) => record.version > 0 && record.stream === stream);
      for (const { version } of records) {
        // A version that is there twice is for whoever reads to judge.
        const isGap = last !== undefined && (version - last) * step > 1;
        if (isGap && last !== undefined) throw streamGap(name, Math.min(last, version), Math.max(last, version));
        last = version;
      }
      yield { ...page, records };
    }
  }

  decode(record: KeyRecord): DecodedEvent {
    return this.#codec.decode(record.message, record.generation);
  }

  /** The event, or undefined when no class here has its type. Throws EVENT_INVALID for bytes that are no valid event. */
  decodeOrThrow(record: KeyRecord): RecordedEvent | undefined {
    const decoded = this.decode(record);
    if (decoded.status === 'EVENT') return decoded.recorded;
    if (decoded.status === 'UNKNOWN_TYPE') return undefined;
    throw eventInvalid(decoded.type, decoded.reasons, ` at version ${record.version} of stream ${record.stream}`);
  }
}

function lostEvent({ topic, commitLogOffset, properties }: StoredMessage): FoldlogError {
  const [key] = keysOf(properties);
  const version = properties[EVENT_PROPERTY.STREAM_VERSION];
  const what =
    key === undefined ? 'an event that may have one of the keys' : `version ${version} of stream ${decodeKey(key)}`;
  return new FoldlogError(
    'CORRUPTION',
    `${what} in topic ${topic} was lost at log position ${commitLogOffset} and removed by a repair: what is read would have a gap`,
    { topic, commitLogOffset, key, version },
  );
}

/** Between two versions that are there, or 0, lies at least one that is not. */
export function streamGap({ topic, stream }: StreamName, before: number, after: number): FoldlogError {
  return new FoldlogError(
    'CORRUPTION',
    `stream ${stream} of topic ${topic} has a gap: version ${before + 1}${after - before > 2 ? ` to ${after - 1}` : ''} is not in the log`,
    { topic, stream, from: before + 1, to: after - 1 },
  );
}

export function positionOf({ message, generation }: KeyRecord): EventPosition {
  const { commitLogOffset, brokerName, queueId, queueOffset } = message;
  return { commitLogOffset, generation, brokerName, queueId, queueOffset };
}

function keyRecordOf(record: StoredMessage, brokerName: string, generation: number): KeyRecord {
  const { properties } = record;
  const [first] = keysOf(properties);
  return {
    stream: first === undefined ? '' : decodeKey(first),
    version: Number(properties[EVENT_PROPERTY.STREAM_VERSION] ?? 0),
    generation,
    message: {
      body: record.body,
      bornTimestamp: record.bornTimestamp,
      brokerName,
      commitLogOffset: record.commitLogOffset,
      msgId: properties[PROPERTY.UNIQ_KEY] ?? '',
      originalTopic: record.topic,
      properties,
      queueId: record.queueId,
      queueOffset: record.queueOffset,
      storeTimestamp: record.storeTimestamp,
      tags: properties[PROPERTY.TAGS],
    },
  };
}
