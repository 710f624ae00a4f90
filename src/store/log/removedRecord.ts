/**
 * The record that a repair writes where bytes of the log are unreadable: whole and well-formed to every reader, so that
 * what lies behind it stays where it is. Two kinds:
 *
 * - in the place of a lost message whose queue offset is known: same topic, queue and queue offset, so that the queue stays
 *   dense (an Apache broker that meets a gap moves all later entries of the queue up by one);
 * - anything else: type ROLLBACK, which enters neither queue nor index (upstream: `CommitLogDispatcherBuildConsumeQueue`,
 *   `IndexService#buildIndex`), in a system topic of its own.
 *
 * `protocol/removedMessage.ts` says how it is told from a message.
 * Properties, as far as there is room: FL_REMOVED, the number of the directory that keeps the bytes; what is known of the
 * lost message (its keys, its version); or FL_LOST, the index hashes of its keys, base 36, separated by dots.
 * The body is zeros up to the size.
 */
import { readInt64Loose } from '../../base/bytes.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import { SYS_FLAG } from '../../protocol/message.js';
import { encodeProperties, PROPERTIES_MAX_BYTES } from '../../protocol/messageProperties.js';
import { encodeRecord, packHost, RECORD_AT, RECORD_MIN_BYTES, recordSizeOf } from '../../protocol/messageRecord.js';
import { REMOVED_FLAG, REMOVED_PREPARED_OFFSET } from '../../protocol/removedMessage.js';

export const REMOVED_TOPIC = 'rmq_sys_foldlog_removed';
const NO_HOST = packHost({ host: '0.0.0.0', port: 0 });
/** FLAG, and after both hosts, store time and reconsumeTimes the offset that no message has. */
const PREPARED_OFFSET_AT = RECORD_AT.BORN_HOST + 8 + 8 + 8 + 4;

export interface RemovedRecord {
  sizeBytes: number;
  commitLogOffset: CommitLogOffset;
  storeTimestamp: TimestampMillis;
  /** The queue place of the lost message; undefined fills bytes and nothing else. */
  place: { topic: string; queueId: number; queueOffset: QueueOffset } | undefined;
  /** In the order in which they are given up when there is no room, last first. */
  properties: readonly (readonly [name: string, value: string])[];
}

/** The fewest bytes that such a record takes. */
export function removedRecordMin(topic: string): number {
  return recordSizeOf(2 * NO_HOST.length, 0, Buffer.byteLength(topic), 0);
}

/** Encodes one of exactly `sizeBytes`, which are at least {@link removedRecordMin} of its topic, or 91 without a place. */
export function encodeRemovedRecord(removed: RemovedRecord): Buffer {
  const { sizeBytes, place, storeTimestamp, commitLogOffset } = removed;
  // Without a place even a record of the smallest size can be replaced: its topic shrinks as far as it must.
  const topic = place?.topic ?? REMOVED_TOPIC.slice(0, Math.max(0, sizeBytes - RECORD_MIN_BYTES));
  const room = sizeBytes - removedRecordMin(topic);
  let properties = '';
  for (const [name, value] of removed.properties) {
    const longer = properties + encodeProperties({ [name]: value });
    if (Buffer.byteLength(longer) <= Math.min(room, PROPERTIES_MAX_BYTES)) properties = longer;
  }
  const record = Buffer.alloc(sizeBytes);
  encodeRecord(record, 0, {
    topic,
    queueId: place?.queueId ?? 0,
    queueOffset: place?.queueOffset ?? 0,
    commitLogOffset,
    flag: REMOVED_FLAG,
    sysFlag: place ? 0 : SYS_FLAG.TRANSACTION_ROLLBACK,
    bornTimestamp: storeTimestamp,
    bornHost: NO_HOST,
    storeTimestamp,
    storeHost: NO_HOST,
    reconsumeTimes: 0,
    preparedTransactionOffset: REMOVED_PREPARED_OFFSET,
    body: Buffer.alloc(room - Buffer.byteLength(properties)),
    properties,
  });
  return record;
}

/** Is the whole record at the start of `record` one that a repair wrote? */
export function isRemovedRecord(record: Buffer): boolean {
  return (
    record.length >= RECORD_MIN_BYTES &&
    record.readInt32BE(RECORD_AT.FLAG) === REMOVED_FLAG &&
    readInt64Loose(record, PREPARED_OFFSET_AT) === REMOVED_PREPARED_OFFSET
  );
}
