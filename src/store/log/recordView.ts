/**
 * Looks into a whole record without decoding all of it: topic and properties are all that key look-ups ask for.
 * The record was checked when it was written or recovered, so lengths are believed within the record.
 * The layout stands in `protocol/messageRecord.ts`.
 */

import { readInt64 } from '../../base/bytes.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import { SYS_FLAG } from '../../protocol/message.js';
import type { MessageProperties } from '../../protocol/messageProperties.js';
import { decodeProperties, EVENT_PROPERTY, keysOf, PROPERTY } from '../../protocol/messageProperties.js';
import { RECORD_AT, RECORD_MAGIC_V2 } from '../../protocol/messageRecord.js';

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
  while (from < sizeBytes) {
    const sectorEnd = from + SECTOR_BYTES - ((fileOffset + from) % SECTOR_BYTES);
    const to = Math.min(sizeBytes, sectorEnd);
    let isZero = true;
    for (let index = from; index < to && isZero; index += 1) isZero = source[at + index] === 0;
    if (isZero) return true;
    from = to;
  }
  return false;
}

function partsOf(record: Buffer): { topic: string; propertiesText: string } {
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
  return decodeProperties(partsOf(record).propertiesText);
}

export function recordKeys(record: Buffer): RecordKeys {
  const { topic, propertiesText } = partsOf(record);
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
  };
}
