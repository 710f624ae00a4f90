/**
 * Pages of records as the events that a reader asked for: within moments and versions, decoded, and with the choice that
 * was made for types that no class here has. A record without a version was written by another program: it belongs to no
 * stream and is left out, unless everything is asked for as it is stored.
 */
import { FoldlogError } from '../base/errors.js';
import { isStoredWithin, type LogRange } from './eventRange.js';
import type { EventReader, KeyRecord, RecordPage } from './eventReader.js';
import type { RecordedEvent, UnknownTypesChoice } from './eventTypes.js';
import { rawEventOf } from './rawEvent.js';

export interface EventChoice {
  /** Moments outside of which events are left out; positions have been taken care of. */
  range: LogRange;
  unknownTypes: UnknownTypesChoice;
  /** Of a stream: the versions wanted. */
  fromVersion?: number;
  toVersion?: number;
}

/** Each wanted event of the page. Throws EVENT_INVALID. */
export function* recordedEventsOf(
  reader: EventReader,
  page: RecordPage,
  choice: EventChoice,
): Generator<RecordedEvent, void, undefined> {
  for (const record of page.records) {
    const recorded = recordedEventOf(reader, record, choice);
    if (recorded) yield recorded;
  }
}

/** The event, or undefined when it is not wanted. Throws EVENT_INVALID. */
export function recordedEventOf(
  reader: EventReader,
  record: KeyRecord,
  { range, unknownTypes, fromVersion = 1, toVersion = Number.MAX_SAFE_INTEGER }: EventChoice,
): RecordedEvent | undefined {
  const { version, message } = record;
  const isEvent = version > 0;
  if (isEvent ? version < fromVersion || version > toVersion : unknownTypes !== 'raw') return undefined;
  if (!isStoredWithin(range, message.storeTimestamp)) return undefined;
  const recorded = reader.decodeOrThrow(record);
  if (recorded || unknownTypes === 'skip') return recorded;
  if (unknownTypes === 'raw') return rawEventOf(message, record.generation);
  throw unknownType(record);
}

/** What a read is of, when it has begun. */
export interface OpenedRead {
  pages: AsyncIterable<RecordPage>;
  choice: EventChoice;
}

/**
 * The events of a read that is opened when the first one is asked for; `open` gives undefined where there are none. One
 * generator, because every further one around it would cost each event as much again.
 */
export async function* eventsOf(
  reader: EventReader,
  open: () => Promise<OpenedRead | undefined>,
  signal: AbortSignal | undefined,
): AsyncGenerator<RecordedEvent, void, undefined> {
  const opened = await open();
  if (!opened) return;
  const { pages, choice } = opened;
  signal?.throwIfAborted();
  for await (const page of pages) {
    signal?.throwIfAborted();
    for (const record of page.records) {
      const recorded = recordedEventOf(reader, record, choice);
      if (!recorded) continue;
      yield recorded;
      signal?.throwIfAborted();
    }
  }
}

function unknownType({ message, stream }: KeyRecord): FoldlogError {
  const { tags: type = '', originalTopic: topic } = message;
  return new FoldlogError(
    'EVENT_INVALID',
    `stream ${stream} of topic ${topic} holds an event of type ${type}, which no class here has: list its class in \`events\``,
    { topic, stream, type },
  );
}
