/**
 * Two of foldlog's own requests: the guarded append of events (18601) and the paged read by keys (18602); the third one
 * has `readEvents.ts`. A broker that does not know them answers REQUEST_CODE_NOT_SUPPORTED instead of ignoring the
 * guard. All integers are big-endian; `text` is an int16 length and UTF-8 bytes.
 *
 * Body of APPEND_EVENTS:
 *
 *     int16 n   expected versions: { text topic, text stream, int64 expected }   -1 ANY, -2 NO_STREAM, -3 STREAM_EXISTS
 *     int8      1 when a condition follows: int64 end, int32 generation, int16 n { text topic, text key }
 *     int16 n   events: { text topic, int16 n { text key }, int32 n body, text properties }
 *
 * Body of READ_BY_KEY: int16 n { text topic, text key }. Its answer's body holds the records, back to back.
 */
import { writeInt64 } from '../../base/bytes.js';
import { BrokerError, FoldlogError, OptionsError } from '../../base/errors.js';
import type { CommitLogOffset, QueueOffset, StreamVersion, TimestampMillis } from '../../base/flavours.js';
import { ByteReader, shortTextBytes, writeShortText } from '../byteReader.js';
import type { ResponseFields } from '../remotingCommand.js';
import { REQUEST_CODE, requestCodeName } from '../requestCodes.js';
import { RESPONSE_CODE, responseCodeName } from '../responseCodes.js';
import type { HeaderOf } from './headerFields.js';
import { defineHeader, field, optional } from './headerFields.js';

/** Characters of an append id at most: it is part of event ids, which are keys. */
export const APPEND_ID_MAX_LENGTH = 255;

/** A place in the log, comparable only within its generation. */
export interface EventLogPosition {
  commitLogOffset: CommitLogOffset;
  generation: number;
}

export interface EventKey {
  topic: string;
  key: string;
}

export type ExpectedStreamVersion = StreamVersion | 'ANY' | 'NO_STREAM' | 'STREAM_EXISTS';

/** An event on its way to the broker. */
export interface EventToAppend {
  topic: string;
  /** Stream key first, then further keys; none holds a blank. Equal to the KEYS property. */
  keys: readonly [stream: string, ...more: string[]];
  body: Buffer;
  /** Text form of all properties but those that the broker adds; KEYS is among them. */
  propertiesText: string;
}

export interface AppendEventsRequest {
  appendId: string;
  /** The log end that the maker of the id knew; undefined: the id may be older, look in the whole log. */
  appendIdSince?: EventLogPosition | undefined;
  bornTimestamp: TimestampMillis;
  expectedVersions: readonly { topic: string; stream: string; expected: ExpectedStreamVersion }[];
  /** Nothing may be stored under any of the keys at or after `end`. */
  condition?: { keys: readonly EventKey[]; end: EventLogPosition } | undefined;
  /** At least one. */
  events: readonly EventToAppend[];
}

export interface AppendedEventPlace {
  commitLogOffset: CommitLogOffset;
  queueId: number;
  queueOffset: QueueOffset;
  version: StreamVersion;
}

export type AppendEventsOutcome =
  | {
      status: 'APPENDED' | 'ALREADY_APPENDED';
      generation: number;
      storeTimestamp: TimestampMillis;
      places: readonly AppendedEventPlace[];
    }
  | {
      status: 'VERSION_CONFLICT';
      topic: string;
      stream: string;
      expected: ExpectedStreamVersion;
      actual: StreamVersion;
    }
  | { status: 'CONDITION_CONFLICT'; topic: string; key: string };

export interface ReadByKeyRequest {
  keys: readonly EventKey[];
  /** Only records at or after this position; undefined: from the log's start. */
  from?: CommitLogOffset | undefined;
  /** Only records before this position; undefined: up to the visible end. */
  until?: CommitLogOffset | undefined;
  direction: 'forwards' | 'backwards';
  maxCount: number;
  maxBytes: number;
}

export interface ReadByKeyResponse {
  /** Up to where all keys were read: the token of a later condition. */
  end: EventLogPosition;
  /** Where the next page goes on (`from` forwards, `until` backwards); undefined when there is no more. */
  next: CommitLogOffset | undefined;
  /** Whole records, back to back (messageRecord.ts, decodeRecords). */
  records: Buffer;
}

/** APPEND_EVENTS 18601. */
export const appendEventsHeader = defineHeader({
  appendId: field.string,
  appendIdSince: optional.long,
  appendIdGeneration: optional.int,
  bornTimestamp: field.long,
});

/** SUCCESS of APPEND_EVENTS; the lists are decimal numbers joined by commas, one per event. */
export const appendEventsResponseHeader = defineHeader({
  status: field.string,
  generation: field.int,
  storeTimestamp: field.long,
  positions: field.string,
  queueIds: field.string,
  queueOffsets: field.string,
  versions: field.string,
});

/** EXPECTED_VERSION_CONFLICT of APPEND_EVENTS. */
export const versionConflictHeader = defineHeader({
  topic: field.string,
  stream: field.string,
  expected: field.string,
  actual: field.long,
});

/** CONDITION_CONFLICT of APPEND_EVENTS. */
export const conditionConflictHeader = defineHeader({ topic: field.string, key: field.string });

/** READ_BY_KEY 18602. */
export const readByKeyHeader = defineHeader({
  from: optional.long,
  until: optional.long,
  direction: field.string,
  maxCount: field.int,
  maxBytes: field.int,
});

export const readByKeyResponseHeader = defineHeader({
  end: field.long,
  generation: field.int,
  next: optional.long,
});

/** Most things that one list of a body can hold (a signed 16-bit count). */
const LIST_MAX = 32767;

const KEYWORD_CODES = { ANY: -1, NO_STREAM: -2, STREAM_EXISTS: -3 } as const;

function expectedFrom(value: number): ExpectedStreamVersion | undefined {
  if (value >= 0) return value;
  if (value === KEYWORD_CODES.ANY) return 'ANY';
  if (value === KEYWORD_CODES.NO_STREAM) return 'NO_STREAM';
  return value === KEYWORD_CODES.STREAM_EXISTS ? 'STREAM_EXISTS' : undefined;
}

/** A word or number that means nothing must not arrive as one that lets the append through. */
function expectedCode(expected: ExpectedStreamVersion, stream: string): number {
  const code = typeof expected === 'string' ? KEYWORD_CODES[expected] : expected;
  if (Number.isSafeInteger(code) && (typeof expected === 'string' || code >= 0)) return code;
  throw new OptionsError(
    `expected version ${JSON.stringify(expected)} of stream ${stream} must be a number from 0 on, NO_STREAM, STREAM_EXISTS or ANY`,
    { stream, expected },
  );
}

export function listLength(list: readonly unknown[], part: string): number {
  if (list.length > LIST_MAX) {
    throw new FoldlogError('FRAME_INVALID', `${list.length} ${part} in one request, at most ${LIST_MAX} fit`, { part });
  }
  return list.length;
}

export function encodeAppendEventsRequest(request: AppendEventsRequest): {
  extFields: Record<string, string>;
  body: Buffer;
} {
  const { expectedVersions, condition, events, appendIdSince } = request;
  const extFields = appendEventsHeader.encode({
    appendId: request.appendId,
    appendIdSince: appendIdSince?.commitLogOffset,
    appendIdGeneration: appendIdSince?.generation,
    bornTimestamp: request.bornTimestamp,
  });
  let size = 2 + 1 + 2;
  for (const { topic, stream } of expectedVersions) {
    size += shortTextBytes(topic, 'topic') + shortTextBytes(stream, 'stream') + 8;
  }
  if (condition) size += 8 + 4 + keyListBytes(condition.keys);
  for (const event of events) {
    size += shortTextBytes(event.topic, 'topic') + 2 + 4 + event.body.length;
    for (const key of event.keys) size += shortTextBytes(key, 'key');
    size += shortTextBytes(event.propertiesText, 'properties');
  }
  const body = Buffer.allocUnsafe(size);
  let at = body.writeInt16BE(listLength(expectedVersions, 'expected versions'), 0);
  for (const { topic, stream, expected } of expectedVersions) {
    at = writeShortText(body, topic, at);
    at = writeShortText(body, stream, at);
    at = writeInt64(body, expectedCode(expected, stream), at);
  }
  at = body.writeInt8(condition ? 1 : 0, at);
  if (condition) {
    at = writeInt64(body, condition.end.commitLogOffset, at);
    at = body.writeInt32BE(condition.end.generation, at);
    at = writeKeyList(body, condition.keys, at);
  }
  at = body.writeInt16BE(listLength(events, 'events'), at);
  for (const event of events) {
    at = writeShortText(body, event.topic, at);
    at = body.writeInt16BE(listLength(event.keys, 'keys'), at);
    for (const key of event.keys) at = writeShortText(body, key, at);
    at = body.writeInt32BE(event.body.length, at);
    at += event.body.copy(body, at);
    at = writeShortText(body, event.propertiesText, at);
  }
  return { extFields, body };
}

/** Bodies of events are views into `body`. */
export function decodeAppendEventsRequest(
  header: HeaderOf<typeof appendEventsHeader.fields>,
  body: Buffer,
): AppendEventsRequest {
  const reader = new ByteReader(body, 'body of APPEND_EVENTS');
  const expectedVersions: { topic: string; stream: string; expected: ExpectedStreamVersion }[] = [];
  for (let left = reader.count('number of expected versions'); left > 0; left -= 1) {
    const topic = reader.shortText('topic');
    const stream = reader.shortText('stream');
    const expected = expectedFrom(reader.int64('expected version'));
    if (expected === undefined) throw reader.invalid('expected version', 'is none of -3, -2, -1, 0, 1, …');
    expectedVersions.push({ topic, stream, expected });
  }
  let condition: AppendEventsRequest['condition'];
  if (reader.int8('condition mark') !== 0) {
    const end = { commitLogOffset: reader.int64('condition end'), generation: reader.int32('condition generation') };
    condition = { end, keys: readKeyList(reader) };
  }
  const events: EventToAppend[] = [];
  for (let left = reader.count('number of events'); left > 0; left -= 1) events.push(readEvent(reader));
  if (events.length === 0) throw reader.invalid('number of events', 'is 0');
  reader.end();
  const { appendIdSince, appendIdGeneration } = header;
  return {
    appendId: header.appendId,
    appendIdSince:
      appendIdSince === undefined ? undefined : { commitLogOffset: appendIdSince, generation: appendIdGeneration ?? 0 },
    bornTimestamp: header.bornTimestamp,
    expectedVersions,
    condition,
    events,
  };
}

function readEvent(reader: ByteReader): EventToAppend {
  const topic = reader.shortText('topic');
  const more: string[] = [];
  const count = reader.count('number of keys');
  if (count === 0) throw reader.invalid('number of keys', 'is 0: the first key is the stream');
  const stream = reader.shortText('key');
  for (let left = count - 1; left > 0; left -= 1) more.push(reader.shortText('key'));
  const body = reader.bytes(reader.int32('body length'), 'body');
  return { topic, keys: [stream, ...more], body, propertiesText: reader.shortText('properties') };
}

export const keyListBytes = (keys: readonly EventKey[]) =>
  keys.reduce((sum, { topic, key }) => sum + shortTextBytes(topic, 'topic') + shortTextBytes(key, 'key'), 2);

export function writeKeyList(target: Buffer, keys: readonly EventKey[], start: number): number {
  let at = target.writeInt16BE(listLength(keys, 'keys'), start);
  for (const { topic, key } of keys) at = writeShortText(target, key, writeShortText(target, topic, at));
  return at;
}

export function readKeyList(reader: ByteReader): EventKey[] {
  const keys: EventKey[] = [];
  for (let left = reader.count('number of keys'); left > 0; left -= 1) {
    keys.push({ topic: reader.shortText('topic'), key: reader.shortText('key') });
  }
  return keys;
}

export function encodeAppendEventsOutcome(outcome: AppendEventsOutcome): ResponseFields {
  switch (outcome.status) {
    case 'VERSION_CONFLICT':
      return {
        code: RESPONSE_CODE.EXPECTED_VERSION_CONFLICT,
        remark: `stream ${outcome.stream} of topic ${outcome.topic} is at version ${outcome.actual}, expected ${outcome.expected}`,
        extFields: versionConflictHeader.encode({ ...outcome, expected: String(outcome.expected) }),
      };
    case 'CONDITION_CONFLICT':
      return {
        code: RESPONSE_CODE.CONDITION_CONFLICT,
        remark: `something new is stored under key ${outcome.key} of topic ${outcome.topic}`,
        extFields: conditionConflictHeader.encode(outcome),
      };
    default: {
      const { places } = outcome;
      return {
        code: RESPONSE_CODE.SUCCESS,
        extFields: appendEventsResponseHeader.encode({
          status: outcome.status,
          generation: outcome.generation,
          storeTimestamp: outcome.storeTimestamp,
          positions: places.map((place) => place.commitLogOffset).join(','),
          queueIds: places.map((place) => place.queueId).join(','),
          queueOffsets: places.map((place) => place.queueOffset).join(','),
          versions: places.map((place) => place.version).join(','),
        }),
      };
    }
  }
}

/** What a response says; throws BrokerError for any other response code. */
export interface ResponseParts {
  code: number;
  remark: string | undefined;
  extFields: Readonly<Record<string, string>>;
  body: Buffer;
}

export function decodeAppendEventsOutcome(response: ResponseParts): AppendEventsOutcome {
  const { code, extFields } = response;
  if (code === RESPONSE_CODE.EXPECTED_VERSION_CONFLICT) {
    const { expected, ...conflict } = versionConflictHeader.decode(extFields);
    return { status: 'VERSION_CONFLICT', ...conflict, expected: expectedOf(expected) };
  }
  if (code === RESPONSE_CODE.CONDITION_CONFLICT) {
    return { status: 'CONDITION_CONFLICT', ...conditionConflictHeader.decode(extFields) };
  }
  if (code !== RESPONSE_CODE.SUCCESS) throw refused(REQUEST_CODE.APPEND_EVENTS, response);
  const header = appendEventsResponseHeader.decode(extFields);
  if (header.status !== 'APPENDED' && header.status !== 'ALREADY_APPENDED') throw invalidField('status', header.status);
  const positions = numbersOf('positions', header.positions);
  const queueIds = numbersOf('queueIds', header.queueIds);
  const queueOffsets = numbersOf('queueOffsets', header.queueOffsets);
  const versions = numbersOf('versions', header.versions);
  const places = positions.map((commitLogOffset, index): AppendedEventPlace => {
    const queueId = queueIds[index];
    const queueOffset = queueOffsets[index];
    const version = versions[index];
    if (queueId === undefined || queueOffset === undefined || version === undefined) {
      throw invalidField('positions', header.positions);
    }
    return { commitLogOffset, queueId, queueOffset, version };
  });
  return { status: header.status, generation: header.generation, storeTimestamp: header.storeTimestamp, places };
}

export function encodeReadByKeyRequest(request: ReadByKeyRequest): {
  extFields: Record<string, string>;
  body: Buffer;
} {
  const { keys, ...rest } = request;
  const body = Buffer.allocUnsafe(keyListBytes(keys));
  writeKeyList(body, keys, 0);
  return { extFields: readByKeyHeader.encode(rest), body };
}

export function decodeReadByKeyRequest(
  header: HeaderOf<typeof readByKeyHeader.fields>,
  body: Buffer,
): ReadByKeyRequest {
  const { direction, ...rest } = header;
  if (direction !== 'forwards' && direction !== 'backwards') throw invalidField('direction', direction);
  const reader = new ByteReader(body, 'body of READ_BY_KEY');
  const keys = readKeyList(reader);
  reader.end();
  return { ...rest, direction, keys };
}

export function encodeReadByKeyResponse(response: ReadByKeyResponse): ResponseFields {
  return {
    code: RESPONSE_CODE.SUCCESS,
    extFields: readByKeyResponseHeader.encode({
      end: response.end.commitLogOffset,
      generation: response.end.generation,
      next: response.next,
    }),
    body: response.records,
  };
}

export function decodeReadByKeyResponse(response: ResponseParts): ReadByKeyResponse {
  if (response.code !== RESPONSE_CODE.SUCCESS) throw refused(REQUEST_CODE.READ_BY_KEY, response);
  const { end, generation, next } = readByKeyResponseHeader.decode(response.extFields);
  return { end: { commitLogOffset: end, generation }, next, records: response.body };
}

function expectedOf(text: string): ExpectedStreamVersion {
  if (text === 'ANY' || text === 'NO_STREAM' || text === 'STREAM_EXISTS') return text;
  const [version] = numbersOf('expected', text);
  if (version === undefined) throw invalidField('expected', text);
  return version;
}

function numbersOf(name: string, text: string): number[] {
  if (text === '') return [];
  return text.split(',').map((part) => {
    const value = Number(part);
    if (!/^\d+$/.test(part) || !Number.isSafeInteger(value)) throw invalidField(name, text);
    return value;
  });
}

export function invalidField(name: string, text: string): FoldlogError {
  return new FoldlogError('FRAME_INVALID', `header field ${name} has no known value: ${JSON.stringify(text)}`, {
    field: name,
  });
}

export function refused(requestCode: number, { code, remark }: ResponseParts): BrokerError {
  const text = remark ?? '';
  return new BrokerError(code, text, `${requestCodeName(requestCode)} was refused: ${responseCodeName(code)} ${text}`);
}
