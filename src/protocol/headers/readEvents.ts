/**
 * READ_EVENTS 18603, foldlog's read of event topics in the order of the log: of some topics, of all event topics of the
 * broker, or of some keys; forwards or backwards, within bounds, a page at a time. A read that found nothing new may be
 * held until something is stored. Whoever goes on from earlier pages says up to where it knows the log, and of which
 * generation: a log that has lost some of that since answers POSITION_LOST (18003) instead of a page with a gap.
 *
 *     body      int16 n topics { text topic }   int16 n keys { text topic, text key }   neither: all event topics
 *     answer    whole records, back to back (messageRecord.ts)
 *
 * All integers are big-endian; `text` is an int16 length and UTF-8 bytes.
 */
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import { ByteReader, shortTextBytes, writeShortText } from '../byteReader.js';
import type { ResponseFields } from '../remotingCommand.js';
import { REQUEST_CODE } from '../requestCodes.js';
import { RESPONSE_CODE } from '../responseCodes.js';
import type { EventKey, EventLogPosition, ResponseParts } from './events.js';
import { invalidField, keyListBytes, listLength, readKeyList, refused, writeKeyList } from './events.js';
import type { HeaderOf } from './headerFields.js';
import { defineHeader, field, optional } from './headerFields.js';

export interface ReadEventsRequest {
  /** Topics wanted; empty for all event topics of the broker, or when keys are given. */
  topics: readonly string[];
  /** Only records that carry one of these; empty for all records. */
  keys: readonly EventKey[];
  /** Only records at or after this position; undefined: from the log's start. */
  from?: CommitLogOffset | undefined;
  /** Only records before this position; undefined: up to the visible end. */
  until?: CommitLogOffset | undefined;
  /** Only what was stored at or after this time, found by halving as RocketMQ does. Not with keys. */
  fromTime?: TimestampMillis | undefined;
  /** Only what was stored at or before this time. Not with keys. */
  untilTime?: TimestampMillis | undefined;
  /** Up to where the asker knows the log, as of this generation. */
  known?: EventLogPosition | undefined;
  direction: 'forwards' | 'backwards';
  maxCount: number;
  maxBytes: number;
  /** How long a forwards read that finds nothing waits for something. Default 0: it is answered at once. */
  holdMillis?: number | undefined;
}

export interface ReadEventsResponse {
  /** Up to where was read: the visible end, or the lower bound that was asked for. */
  end: EventLogPosition;
  /** Where the next page goes on (`from` forwards, `until` backwards); undefined when there is no more before `end`. */
  next: CommitLogOffset | undefined;
  records: Buffer;
}

export const readEventsHeader = defineHeader({
  from: optional.long,
  until: optional.long,
  fromTime: optional.long,
  untilTime: optional.long,
  knownEnd: optional.long,
  knownGeneration: optional.int,
  direction: field.string,
  maxCount: field.int,
  maxBytes: field.int,
  holdMillis: optional.int,
});

export const readEventsResponseHeader = defineHeader({
  end: field.long,
  generation: field.int,
  next: optional.long,
});

export function encodeReadEventsRequest(request: ReadEventsRequest): {
  extFields: Record<string, string>;
  body: Buffer;
} {
  const { topics, keys, known, ...rest } = request;
  const extFields = readEventsHeader.encode({
    ...rest,
    knownEnd: known?.commitLogOffset,
    knownGeneration: known?.generation,
  });
  const topicBytes = topics.reduce((sum, topic) => sum + shortTextBytes(topic, 'topic'), 2);
  const body = Buffer.allocUnsafe(topicBytes + keyListBytes(keys));
  let at = body.writeInt16BE(listLength(topics, 'topics'), 0);
  for (const topic of topics) at = writeShortText(body, topic, at);
  writeKeyList(body, keys, at);
  return { extFields, body };
}

export function decodeReadEventsRequest(
  header: HeaderOf<typeof readEventsHeader.fields>,
  body: Buffer,
): ReadEventsRequest {
  const { direction, knownEnd, knownGeneration, ...rest } = header;
  if (direction !== 'forwards' && direction !== 'backwards') throw invalidField('direction', direction);
  const reader = new ByteReader(body, 'body of READ_EVENTS');
  const topics: string[] = [];
  for (let left = reader.count('number of topics'); left > 0; left -= 1) topics.push(reader.shortText('topic'));
  const keys = readKeyList(reader);
  reader.end();
  const known = knownEnd === undefined ? undefined : { commitLogOffset: knownEnd, generation: knownGeneration ?? 0 };
  return { ...rest, direction, topics, keys, known };
}

export function encodeReadEventsResponse({ end, next, records }: ReadEventsResponse): ResponseFields {
  return {
    code: RESPONSE_CODE.SUCCESS,
    extFields: readEventsResponseHeader.encode({ end: end.commitLogOffset, generation: end.generation, next }),
    body: records,
  };
}

/** Throws BrokerError for any other response code than SUCCESS. */
export function decodeReadEventsResponse(response: ResponseParts): ReadEventsResponse {
  if (response.code !== RESPONSE_CODE.SUCCESS) throw refused(REQUEST_CODE.READ_EVENTS, response);
  const { end, generation, next } = readEventsResponseHeader.decode(response.extFields);
  return { end: { commitLogOffset: end, generation }, next, records: response.body };
}
