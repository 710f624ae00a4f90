/**
 * Looks into a whole record without decoding all of it: topic and properties are all that key look-ups ask for.
 * The record was checked when it was written or recovered, so lengths are believed within the record.
 * The layout stands in `protocol/messageRecord.ts`.
 */

import { readInt64 } from '../../base/bytes.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import { SYS_FLAG } from '../../protocol/message.js';
import type { MessageProperties } from '../../protocol/messageProperties.js';
import { decodeProperties, EVENT_PROPERTY, keysOf, PROPERTY } from '../../protocol/messageProperties.js';
import { RECORD_AT, RECORD_MAGIC_V2 } from '../../protocol/messageRecord.js';
import { lostKeysOf } from '../../protocol/removedMessage.js';

/** What key look-ups know of a record. */
export interface RecordKeys {
  commitLogOffset: CommitLogOffset;
  topic: string;
  keys: string[];
  uniqKey: string | undefined;
  appendId: string | undefined;
  /** `<index>/<count>` within its append. */
  appendIndex: string | undefined;
  /** Number of the event in the stream of its first key; undefined for a message that is no event. */
  version: number | undefined;
  /** Of a record that a repair wrote: index hashes of the keys that the lost ones had, where only they are known. */
  lostHashes: readonly number[];
}

function hostBytes(record: Buffer): { born: number; store: number } {
  const sysFlag = record.readInt32BE(RECORD_AT.SYS_FLAG);
  return { born: sysFlag & SYS_FLAG.BORN_HOST_V6 ? 20 : 8, store: sysFlag & SYS_FLAG.STORE_HOST_V6 ? 20 : 8 };
}

export function recordStoreTimestamp(record: Buffer): TimestampMillis {
  return readInt64(record, RECORD_AT.BORN_HOST + hostBytes(record).born);
}

/** How many bytes from a record's start hold its store timestamp, whatever its hosts. */
export const STORE_TIMESTAMP_PREFIX_BYTES = RECORD_AT.BORN_HOST + 20 + 8;

const SECTOR_BYTES = 512;

/**
 * Is a sector's worth of this record missing, that is, zero? The body's CRC covers the body alone, and lost pieces of
 * the fixed part make the lengths disagree; what is left is a sector that holds topic and properties, which are text.
 * `fileOffset` is where the record starts in its file, whose sectors a device writes whole or not at all.
 */
export function hasLostSector(source: Buffer, at: number, sizeBytes: number, fileOffset: number): boolean {
  const sysFlag = source.readInt32BE(at + RECORD_AT.SYS_FLAG);
  const hostsBytes = (sysFlag & SYS_FLAG.BORN_HOST_V6 ? 20 : 8) + (sysFlag & SYS_FLAG.STORE_HOST_V6 ? 20 : 8);
  const bodyLengthAt = RECORD_AT.BORN_HOST + hostsBytes + 8 + 12;
  let from = bodyLengthAt + 4 + source.readInt32BE(at + bodyLengthAt);
  const isV2 = source.readInt32BE(at + RECORD_AT.MAGIC) === RECORD_MAGIC_V2;
  const topicEnd = from + (isV2 ? 2 + source.readInt16BE(at + from) : 1 + source.readInt8(at + from));
  // Without properties the record ends with their length, which is zero and may have a sector to itself.
  const textEnd = topicEnd + 2 === sizeBytes ? topicEnd : sizeBytes;
  while (from < textEnd) {
    const sectorEnd = from + SECTOR_BYTES - ((fileOffset + from) % SECTOR_BYTES);
    const to = Math.min(textEnd, sectorEnd);
    let isZero = true;
    for (let index = from; index < to && isZero; index += 1) isZero = source[at + index] === 0;
    if (isZero) return true;
    from = to;
  }
  return false;
}

/** Where the record at `at` says that it lies; unchecked, so any bytes give a number. */
export function recordPosition(source: Buffer, at = 0): CommitLogOffset {
  const from = at + RECORD_AT.COMMIT_LOG_OFFSET;
  return source.readInt32BE(from) * 0x1_0000_0000 + source.readUInt32BE(from + 4);
}

/** The queue offset as the record says it. */
export function recordQueueOffset(record: Buffer): QueueOffset {
  const at = RECORD_AT.QUEUE_OFFSET;
  return record.readInt32BE(at) * 0x1_0000_0000 + record.readUInt32BE(at + 4);
}

/**
 * Is the record a message of this queue, judged by its own fields? Prepared and rolled back messages are in no queue,
 * and a batch that is stored as one record is in a queue of another kind. Believes no length of the record.
 */
export function isQueuedRecordOf(record: Buffer, topic: Buffer, queueId: number): boolean {
  if (record.readInt32BE(RECORD_AT.QUEUE_ID) !== queueId) return false;
  const sysFlag = record.readInt32BE(RECORD_AT.SYS_FLAG);
  const transaction = sysFlag & SYS_FLAG.TRANSACTION_MASK;
  if (transaction !== 0 && transaction !== SYS_FLAG.TRANSACTION_COMMIT) return false;
  if (sysFlag & SYS_FLAG.INNER_BATCH) return false;
  const hosts = hostBytes(record);
  const bodyLengthAt = RECORD_AT.BORN_HOST + hosts.born + 8 + hosts.store + 12;
  if (bodyLengthAt + 4 > record.length) return false;
  let at = bodyLengthAt + 4 + record.readInt32BE(bodyLengthAt);
  const isV2 = record.readInt32BE(RECORD_AT.MAGIC) === RECORD_MAGIC_V2;
  if (at < bodyLengthAt || at + 2 + topic.length > record.length) return false;
  if ((isV2 ? record.readInt16BE(at) : record.readInt8(at)) !== topic.length) return false;
  at += isV2 ? 2 : 1;
  for (let index = 0; index < topic.length; index += 1) if (record[at + index] !== topic[index]) return false;
  return true;
}

export function recordTopic(record: Buffer): string {
  return recordTexts(record).topic;
}

/** Topic and properties of a record, these in text form. */
export function recordTexts(record: Buffer): { topic: string; propertiesText: string } {
  const hosts = hostBytes(record);
  const bodyLengthAt = RECORD_AT.BORN_HOST + hosts.born + 8 + hosts.store + 12;
  let at = bodyLengthAt + 4 + record.readInt32BE(bodyLengthAt);
  const isV2 = record.readInt32BE(RECORD_AT.MAGIC) === RECORD_MAGIC_V2;
  const topicBytes = isV2 ? record.readInt16BE(at) : record.readInt8(at);
  at += isV2 ? 2 : 1;
  const topic = record.toString('utf8', at, at + topicBytes);
  at += topicBytes;
  return { topic, propertiesText: record.toString('utf8', at + 2, at + 2 + record.readInt16BE(at)) };
}

export function recordProperties(record: Buffer): MessageProperties {
  return decodeProperties(recordTexts(record).propertiesText);
}

export function recordKeys(record: Buffer): RecordKeys {
  const { topic, propertiesText } = recordTexts(record);
  const properties = decodeProperties(propertiesText);
  const version = properties[EVENT_PROPERTY.STREAM_VERSION];
  return {
    commitLogOffset: readInt64(record, RECORD_AT.COMMIT_LOG_OFFSET),
    topic,
    keys: keysOf(properties),
    uniqKey: properties[PROPERTY.UNIQ_KEY],
    appendId: properties[EVENT_PROPERTY.APPEND_ID],
    appendIndex: properties[EVENT_PROPERTY.APPEND_INDEX],
    version: version === undefined ? undefined : Number(version),
    lostHashes: lostKeysOf(properties),
  };
}
