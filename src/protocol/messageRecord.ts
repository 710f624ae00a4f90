/**
 * The stored form of a message: what the commit log holds and what pulls, queries and views serve, byte for byte.
 * All integers are big-endian and signed. Upstream: `MessageExtEncoder`, `MessageDecoder.decode`.
 *
 *     #   field                        bytes
 *     1   TOTALSIZE                    4         whole record, this field included
 *     2   MAGICCODE                    4         V1 0xDAA320A7, V2 0xDAA320AB (2-byte topic length)
 *     3   BODYCRC                      4         CRC-32 of the body AND 0x7FFFFFFF; 0 for an empty body
 *     4   QUEUEID                      4
 *     5   FLAG                         4
 *     6   QUEUEOFFSET                  8         at 20
 *     7   PHYSICALOFFSET               8         at 28; our commitLogOffset
 *     8   SYSFLAG                      4         at 36
 *     9   BORNTIMESTAMP                8         at 40
 *     10  BORNHOST                     4+4|16+4  at 48; 16 when SYSFLAG has BORN_HOST_V6
 *     11  STORETIMESTAMP               8         at 56 for IPv4
 *     12  STOREHOST                    4+4|16+4
 *     13  RECONSUMETIMES               4
 *     14  PREPARED TRANSACTION OFFSET  8
 *     15  BODY LENGTH, BODY            4 + n
 *     16  TOPIC LENGTH, TOPIC          1 + n (V1), 2 + n (V2)
 *     17  PROPERTIES LENGTH, …         2 + n
 */
import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.js';
import { readInt64, writeInt64, writeText } from '../base/bytes.js';
import { FoldlogError } from '../base/errors.js';
import type { HostAddress, StoredMessage } from './message.js';
import { SYS_FLAG } from './message.js';
import { decodeProperties } from './messageProperties.js';

export const RECORD_MAGIC_V1 = 0xdaa320a7 | 0;
export const RECORD_MAGIC_V2 = 0xdaa320ab | 0;
/** Fills the end of a segment; only its size and magic are written. */
export const BLANK_MAGIC = 0xcbd43194 | 0;
/** TOTALSIZE and MAGICCODE: all that a blank record needs. */
export const BLANK_MIN_BYTES = 8;

export const RECORD_AT = {
  TOTAL_SIZE: 0,
  MAGIC: 4,
  BODY_CRC: 8,
  QUEUE_ID: 12,
  FLAG: 16,
  QUEUE_OFFSET: 20,
  COMMIT_LOG_OFFSET: 28,
  SYS_FLAG: 36,
  BORN_TIMESTAMP: 40,
  BORN_HOST: 48,
} as const;

/** The smallest whole record: V1, IPv4, empty body, topic and properties. */
export const RECORD_MIN_BYTES = 91;
const V1_TOPIC_MAX_BYTES = 127;
/** Everything but hosts, body, the topic with its length, and properties. */
const FIXED_BYTES = 48 + 8 + 16 + 2;

/** What a record is made of; sizes and CRC follow from it. */
export interface RecordFields {
  topic: string;
  queueId: number;
  queueOffset: number;
  commitLogOffset: number;
  flag: number;
  /** Without the two host bits: they follow from the hosts. */
  sysFlag: number;
  bornTimestamp: number;
  /** Packed by {@link packHost}. */
  bornHost: Buffer;
  storeTimestamp: number;
  storeHost: Buffer;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  body: Buffer;
  /** The properties' text form (messageProperties.ts). */
  properties: string;
}

/** CRC-32 (IEEE) without the sign bit, as RocketMQ stores it. */
export function bodyCrcOf(body: Buffer): number {
  return body.length === 0 ? 0 : crc32(body) & 0x7fffffff;
}

/** Size in bytes of a record whose parts have these sizes; `hostsBytes` is of both hosts. */
export function recordSizeOf(
  hostsBytes: number,
  bodyBytes: number,
  topicBytes: number,
  propertiesBytes: number,
): number {
  const topicLengthBytes = topicBytes > V1_TOPIC_MAX_BYTES ? 2 : 1;
  return FIXED_BYTES + hostsBytes + bodyBytes + topicLengthBytes + topicBytes + propertiesBytes;
}

/** Size in bytes of the record that {@link encodeRecord} would write. */
export function recordSize(
  fields: Pick<RecordFields, 'topic' | 'bornHost' | 'storeHost' | 'body' | 'properties'>,
): number {
  return recordSizeOf(
    fields.bornHost.length + fields.storeHost.length,
    fields.body.length,
    Buffer.byteLength(fields.topic),
    Buffer.byteLength(fields.properties),
  );
}

/** Writes the record at `at` and returns its size in bytes. The caller has checked that it fits. */
export function encodeRecord(target: Buffer, at: number, fields: RecordFields): number {
  const { body, bornHost, storeHost } = fields;
  let sysFlag = fields.sysFlag & ~(SYS_FLAG.BORN_HOST_V6 | SYS_FLAG.STORE_HOST_V6);
  if (bornHost.length === 20) sysFlag |= SYS_FLAG.BORN_HOST_V6;
  if (storeHost.length === 20) sysFlag |= SYS_FLAG.STORE_HOST_V6;
  target.writeInt32BE(bodyCrcOf(body), at + RECORD_AT.BODY_CRC);
  target.writeInt32BE(fields.queueId, at + RECORD_AT.QUEUE_ID);
  target.writeInt32BE(fields.flag, at + RECORD_AT.FLAG);
  writeInt64(target, fields.queueOffset, at + RECORD_AT.QUEUE_OFFSET);
  writeInt64(target, fields.commitLogOffset, at + RECORD_AT.COMMIT_LOG_OFFSET);
  target.writeInt32BE(sysFlag, at + RECORD_AT.SYS_FLAG);
  writeInt64(target, fields.bornTimestamp, at + RECORD_AT.BORN_TIMESTAMP);
  let next = at + RECORD_AT.BORN_HOST;
  next += bornHost.copy(target, next);
  next = writeInt64(target, fields.storeTimestamp, next);
  next += storeHost.copy(target, next);
  next = target.writeInt32BE(fields.reconsumeTimes, next);
  next = writeInt64(target, fields.preparedTransactionOffset, next);
  next = target.writeInt32BE(body.length, next);
  next += body.copy(target, next);
  const isV2 = fields.topic.length * 3 > V1_TOPIC_MAX_BYTES && Buffer.byteLength(fields.topic) > V1_TOPIC_MAX_BYTES;
  const topicLengthBytes = isV2 ? 2 : 1;
  const topicBytes = writeText(target, fields.topic, next + topicLengthBytes);
  if (isV2) target.writeInt16BE(topicBytes, next);
  else target.writeInt8(topicBytes, next);
  next += topicLengthBytes + topicBytes;
  const propertiesBytes = writeText(target, fields.properties, next + 2);
  target.writeInt16BE(propertiesBytes, next);
  next += 2 + propertiesBytes;
  target.writeInt32BE(isV2 ? RECORD_MAGIC_V2 : RECORD_MAGIC_V1, at + RECORD_AT.MAGIC);
  target.writeInt32BE(next - at, at + RECORD_AT.TOTAL_SIZE);
  return next - at;
}

/** What lies at a position of the log, judged by its first bytes. */
export type RecordShape =
  | { kind: 'message'; sizeBytes: number }
  | { kind: 'blank'; sizeBytes: number }
  /** Eight zero bytes: nothing was written here. */
  | { kind: 'zero' }
  | { kind: 'invalid'; reason: string };

/** Looks at size and magic only. `limit` is the number of bytes from `at` to the end of the segment or buffer. */
export function recordShapeAt(source: Buffer, at: number, limit: number): RecordShape {
  if (limit < BLANK_MIN_BYTES) return { kind: 'invalid', reason: `only ${limit} bytes left` };
  const sizeBytes = source.readInt32BE(at);
  const magic = source.readInt32BE(at + RECORD_AT.MAGIC);
  if (sizeBytes === 0 && magic === 0) return { kind: 'zero' };
  if (magic === BLANK_MAGIC) {
    return sizeBytes >= BLANK_MIN_BYTES && sizeBytes <= limit
      ? { kind: 'blank', sizeBytes }
      : { kind: 'invalid', reason: `blank record of ${sizeBytes} bytes with ${limit} left` };
  }
  if (magic !== RECORD_MAGIC_V1 && magic !== RECORD_MAGIC_V2) {
    return { kind: 'invalid', reason: `magic 0x${(magic >>> 0).toString(16)}` };
  }
  if (sizeBytes < RECORD_MIN_BYTES || sizeBytes > limit) {
    return { kind: 'invalid', reason: `size ${sizeBytes} with ${limit} bytes left` };
  }
  return { kind: 'message', sizeBytes };
}

/**
 * Decodes the record at `at`. The body is a view into `source`, not a copy.
 * Throws CORRUPTION when lengths do not add up, the magic is foreign, or (unless `verifyCrc` is false) the CRC differs.
 */
export function decodeRecord(source: Buffer, at = 0, options: { verifyCrc?: boolean } = {}): StoredMessage {
  const shape = recordShapeAt(source, at, source.length - at);
  if (shape.kind !== 'message') throw notARecord(at, shape.kind === 'invalid' ? shape.reason : shape.kind);
  const end = at + shape.sizeBytes;
  const sysFlag = source.readInt32BE(at + RECORD_AT.SYS_FLAG);
  const bornHostBytes = sysFlag & SYS_FLAG.BORN_HOST_V6 ? 20 : 8;
  const storeHostBytes = sysFlag & SYS_FLAG.STORE_HOST_V6 ? 20 : 8;
  let next = at + RECORD_AT.BORN_HOST;
  needBytes(at, next, end, bornHostBytes + 8 + storeHostBytes + 16, 'fixed part');
  const bornHost = unpackHost(source, next, bornHostBytes);
  next += bornHostBytes;
  const storeTimestamp = readInt64(source, next);
  next += 8;
  const storeHost = unpackHost(source, next, storeHostBytes);
  next += storeHostBytes;
  const reconsumeTimes = source.readInt32BE(next);
  const preparedTransactionOffset = readInt64(source, next + 4);
  const bodyBytes = source.readInt32BE(next + 12);
  next += 16;
  needBytes(at, next, end, bodyBytes, 'body');
  const body = source.subarray(next, next + bodyBytes);
  next += bodyBytes;
  const topicLengthBytes = source.readInt32BE(at + RECORD_AT.MAGIC) === RECORD_MAGIC_V2 ? 2 : 1;
  needBytes(at, next, end, topicLengthBytes, 'topic length');
  const topicBytes = topicLengthBytes === 2 ? source.readInt16BE(next) : source.readInt8(next);
  next += topicLengthBytes;
  needBytes(at, next, end, topicBytes, 'topic');
  const topic = topicAt(source, next, topicBytes);
  next += topicBytes;
  needBytes(at, next, end, 2, 'properties length');
  const propertiesBytes = source.readInt16BE(next);
  next += 2;
  needBytes(at, next, end, propertiesBytes, 'properties');
  const properties = decodeProperties(source.toString('utf8', next, next + propertiesBytes));
  next += propertiesBytes;
  if (next !== end) throw notARecord(at, `parts end at ${next - at}, size says ${shape.sizeBytes}`);
  const bodyCrc = source.readInt32BE(at + RECORD_AT.BODY_CRC);
  if (options.verifyCrc !== false && bodyCrc !== bodyCrcOf(body)) throw notARecord(at, 'body CRC differs');
  return {
    topic,
    queueId: source.readInt32BE(at + RECORD_AT.QUEUE_ID),
    queueOffset: readInt64(source, at + RECORD_AT.QUEUE_OFFSET),
    commitLogOffset: readInt64(source, at + RECORD_AT.COMMIT_LOG_OFFSET),
    sizeBytes: shape.sizeBytes,
    flag: source.readInt32BE(at + RECORD_AT.FLAG),
    sysFlag,
    bornTimestamp: readInt64(source, at + RECORD_AT.BORN_TIMESTAMP),
    bornHost,
    storeTimestamp,
    storeHost,
    reconsumeTimes,
    preparedTransactionOffset,
    bodyCrc,
    body,
    properties,
  };
}

/** Decodes records that lie back to back, as the body of a pull does. */
export function decodeRecords(source: Buffer, options: { verifyCrc?: boolean } = {}): StoredMessage[] {
  const messages: StoredMessage[] = [];
  for (let at = 0; at < source.length; ) {
    const message = decodeRecord(source, at, options);
    messages.push(message);
    at += message.sizeBytes;
  }
  return messages;
}

let lastTopic = { bytes: Buffer.alloc(0), text: '' };

/** The text of a topic. Records that are read together mostly have one: it is compared instead of decoded again. */
function topicAt(source: Buffer, at: number, length: number): string {
  const { bytes, text } = lastTopic;
  if (bytes.length === length) {
    let same = 0;
    while (same < length && source[at + same] === bytes[same]) same += 1;
    if (same === length) return text;
  }
  const other = Buffer.from(source.subarray(at, at + length));
  lastTopic = { bytes: other, text: other.toString('utf8') };
  return lastTopic.text;
}

/** Refuses a part of the record at `at` that begins at `next` and would run past the record's `end`. */
function needBytes(at: number, next: number, end: number, bytes: number, what: string): void {
  if (bytes < 0 || next + bytes > end) throw notARecord(at, `${what} of ${bytes} bytes runs past the record's end`);
}

function notARecord(at: number, reason: string): FoldlogError {
  return new FoldlogError('CORRUPTION', `no whole message record at byte ${at}: ${reason}`, { offset: at });
}

/** `host`, `port` -> address bytes (4 or 16) and the port as 4 bytes. Throws InvariantError for what is no IP address. */
export function packHost(address: HostAddress): Buffer {
  const isV6 = address.host.includes(':');
  const packed = Buffer.alloc(isV6 ? 20 : 8);
  if (isV6) packV6(address.host, packed);
  else {
    const parts = address.host.split('.');
    assert(parts.length === 4, `"${address.host}" is an IP address`);
    parts.forEach((part, index) => packed.writeUInt8(Number(part), index));
  }
  packed.writeInt32BE(address.port, packed.length - 4);
  return packed;
}

function packV6(text: string, target: Buffer): void {
  const unscoped = text.split('%')[0] ?? '';
  // An embedded IPv4 tail (::ffff:10.0.0.1) becomes two groups.
  const host = unscoped.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [(Number(a) << 8) | Number(b), (Number(c) << 8) | Number(d)].map((group) => group.toString(16)).join(':'),
  );
  const [left = '', right] = host.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const head = groups(left);
  const tail = right === undefined ? [] : groups(right);
  assert(head.length + tail.length <= 8, `"${text}" is an IP address`);
  head.forEach((group, index) => target.writeUInt16BE(group, index * 2));
  tail.forEach((group, index) => target.writeUInt16BE(group, (8 - tail.length + index) * 2));
}

function unpackHost(source: Buffer, at: number, bytes: number): HostAddress {
  const port = source.readInt32BE(at + bytes - 4);
  if (bytes === 8) return { host: dotted(source.readInt32BE(at)), port };
  const groups: string[] = [];
  for (let group = 0; group < 8; group += 1) groups.push(source.readUInt16BE(at + group * 2).toString(16));
  return { host: groups.join(':'), port };
}

const HOSTS_KNOWN_MAX = 1_024;
/** IPv4 addresses as text: many records name few hosts, and making the text costs as much as the rest of a record. */
const knownHosts = new Map<number, string>();

function dotted(word: number): string {
  let text = knownHosts.get(word);
  if (text === undefined) {
    text = `${word >>> 24}.${(word >>> 16) & 0xff}.${(word >>> 8) & 0xff}.${word & 0xff}`;
    if (knownHosts.size >= HOSTS_KNOWN_MAX) knownHosts.clear();
    knownHosts.set(word, text);
  }
  return text;
}

/** The reverse of {@link packHost}: `bytes` is 8 or 20, port included. */
export function unpackHostAt(source: Buffer, at: number, bytes: number): HostAddress {
  return unpackHost(source, at, bytes);
}
