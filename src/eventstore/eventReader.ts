/**
 * Reads records page by page, in the order of the log, and turns them into events: by key, of topics or of a broker's
 * whole log, and on into the future. Within one page sequence everything is read up to the same end of the log, which the
 * first page fixes; by key it is the token of a later condition.
 *
 * A record without a version was written by another program: it belongs to no stream and is left out of streams.
 */
import { unlessAborted } from '../base/abort.js';
import { type Clock, delay } from '../base/clock.js';
import type { EventLogPosition } from '../protocol/headers/events.js';
import type { ReadEventsRequest } from '../protocol/headers/readEvents.js';
import type { StoredMessage } from '../protocol/message.js';
import { EVENT_PROPERTY, keysOf, PROPERTY } from '../protocol/messageProperties.js';
import { eventInvalid } from './event.js';
import type { DecodedEvent, EventCodec, EventMessage } from './eventCodec.js';
import { decodeKey, encodeKey } from './eventKeys.js';
import type { EventLog, EventPage } from './eventLog.js';
import { assertNotLost, QueueOrder, StreamOrder } from './eventOrder.js';
import { assertOnBroker, type LogRange } from './eventRange.js';
import type { EventKeyName, EventPosition, RecordedEvent, StreamName } from './eventTypes.js';

const KEY_PAGE_MAX_COUNT = 512;
const PAGE_MAX_COUNT = 500;
const PAGE_MAX_BYTES = 1024 * 1024;
/** How long the broker may keep a subscription's request when there is nothing new. */
const HOLD_MILLIS = 15_000;
const AFTER_EMPTY_MILLIS = 50;

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

/** What a read in the order of the log is of. */
export interface LogSelection {
  brokerName: string;
  topics: readonly string[];
  /** Encoded. */
  keys: readonly EventKeyName[];
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
      const request = { keys: encoded, from, until, direction, maxCount: KEY_PAGE_MAX_COUNT, maxBytes: PAGE_MAX_BYTES };
      const page = await this.#log.read(brokerName, request);
      end ??= page.end;
      yield { records: keyRecordsOf(page, undefined), end, brokerName };
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
  streamPages(name: StreamName, range: ReadRange = {}): AsyncGenerator<RecordPage, void, undefined> {
    const { direction = 'forwards' } = range;
    const isWhole = range.from === undefined && direction === 'forwards';
    const pages = this.pages([{ topic: name.topic, key: name.stream }], range);
    return inStreamOrder(name, pages, new StreamOrder(name, direction, isWhole ? 0 : undefined));
  }

  /** What is read of: named topics, all of the broker's when there is neither topic nor key, or keys. */
  async selectionOf(
    topics: readonly string[],
    keys: readonly EventKeyName[],
    brokerName?: string,
  ): Promise<LogSelection> {
    const encoded = keys.map(({ topic, key }) => ({ topic, key: encodeKey(key) }));
    const named = new Set([...topics, ...keys.map(({ topic }) => topic)]);
    const broker = named.size > 0 ? await this.#log.brokerOf(named) : await this.#log.brokerOfCluster(brokerName);
    return { brokerName: broker, topics, keys: encoded };
  }

  /**
   * Everything selected within the range, in the order of the log; the next page is asked for while one is worked on.
   * Throws POSITION_LOST, and CORRUPTION where an event was lost.
   */
  async *logPages(selection: LogSelection, range: LogRange): AsyncGenerator<RecordPage, void, undefined> {
    const { brokerName } = selection;
    assertOnBroker(range, brokerName);
    const order = selection.keys.length === 0 ? new QueueOrder(range.direction) : undefined;
    let request = requestOf(selection, range);
    let asked = this.#log.readEvents(brokerName, request);
    for (;;) {
      const page = await asked;
      const { end, next } = page;
      if (next !== undefined) {
        request = followingRequest(request, page, next);
        asked = this.#log.readEvents(brokerName, request);
        // Who stops reading does not wait for it.
        asked.catch(() => {});
      }
      yield { records: keyRecordsOf(page, order), end, brokerName };
      if (next === undefined) return;
    }
  }

  /**
   * What a subscription reads: pages from `start` on, first what is there, then what comes, until the signal. One request
   * at a time, the next one under way while a page is worked on: where one ended the next begins, so nothing is left out
   * or told twice. A broker that is away is waited for.
   */
  async *livePages(
    selection: LogSelection,
    start: Promise<EventPage>,
    { clock, signal }: { clock: Clock; signal: AbortSignal },
  ): AsyncGenerator<RecordPage, void, undefined> {
    const { brokerName, topics, keys } = selection;
    const order = keys.length === 0 ? new QueueOrder('forwards') : undefined;
    let asked = start;
    while (!signal.aborted) {
      const askedAt = clock.monotonic();
      const page = await unlessAborted(asked, signal);
      if (!page) return;
      const { end, next } = page;
      const isEmpty = page.records.length === 0 && next === undefined;
      // A broker that holds no more reads says at once that there is nothing new: it is not asked in a tight loop.
      if (isEmpty && clock.monotonic() - askedAt < AFTER_EMPTY_MILLIS) await delay(clock, AFTER_EMPTY_MILLIS, signal);
      if (signal.aborted) return;
      const from = next ?? end.commitLogOffset;
      const known = { commitLogOffset: from, generation: end.generation };
      const bounds = { direction: 'forwards', maxCount: PAGE_MAX_COUNT, maxBytes: PAGE_MAX_BYTES } as const;
      const request = { topics, keys, from, known, ...bounds, holdMillis: HOLD_MILLIS };
      asked = this.#log.readEvents(brokerName, request, { isEndless: true, signal });
      asked.catch(() => {});
      if (page.records.length > 0) yield { records: keyRecordsOf(page, order), end, brokerName };
    }
  }

  /** The first page of a subscription: of what is there within the range, or with 'end' nothing but where the log ends. */
  firstPage(selection: LogSelection, range: LogRange | 'end', signal: AbortSignal): Promise<EventPage> {
    const { brokerName } = selection;
    if (range !== 'end') assertOnBroker(range, brokerName);
    const beyond: LogRange = { direction: 'forwards', from: Number.MAX_SAFE_INTEGER };
    const request = requestOf(selection, range === 'end' ? beyond : range);
    return this.#log.readEvents(brokerName, request, { isEndless: true, signal });
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

export function positionOf({ message, generation }: KeyRecord): EventPosition {
  const { commitLogOffset, brokerName, queueId, queueOffset } = message;
  return { commitLogOffset, generation, brokerName, queueId, queueOffset };
}

/** Throws CORRUPTION where an event was lost. */
function keyRecordsOf({ records, end, brokerName }: EventPage, order: QueueOrder | undefined): KeyRecord[] {
  return records.map((record) => {
    assertNotLost(record);
    order?.check(record);
    return keyRecordOf(record, brokerName, end.generation);
  });
}

/** Only records of the stream, each version after the one before. */
export async function* inStreamOrder(
  { stream }: StreamName,
  pages: AsyncIterable<RecordPage>,
  order: StreamOrder,
): AsyncGenerator<RecordPage, void, undefined> {
  for await (const page of pages) {
    const records = page.records.filter((record) => record.version > 0 && record.stream === stream);
    for (const { version } of records) order.check(version);
    yield { ...page, records };
  }
}

function requestOf({ topics, keys }: LogSelection, range: LogRange): ReadEventsRequest {
  const { direction, from, until, known } = range;
  // Of keys, what lies outside of the moments is told apart by who reads.
  const times = keys.length > 0 ? {} : { fromTime: range.fromTime, untilTime: range.untilTime };
  const bounds = { maxCount: PAGE_MAX_COUNT, maxBytes: PAGE_MAX_BYTES };
  return { topics, keys, direction, from, until, known, ...times, ...bounds };
}

function followingRequest(request: ReadEventsRequest, { end }: EventPage, next: number): ReadEventsRequest {
  const { generation } = end;
  if (request.direction === 'backwards') {
    // All that was read lies between here and where the first page began.
    const known = request.known ?? end;
    return { ...request, until: next, untilTime: undefined, known };
  }
  const until = request.until ?? end.commitLogOffset;
  const known = { commitLogOffset: next, generation };
  return { ...request, from: next, until, fromTime: undefined, untilTime: undefined, known };
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
