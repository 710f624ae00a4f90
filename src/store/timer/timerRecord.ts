/**
 * One record of the timer log: a message that waits for its time, linked to the one before it in the same slot of the
 * wheel. Upstream: `TimerLog`, `TimerMessageStore#doEnqueue`.
 *
 *     record, 52 bytes
 *     size               4   52
 *     previous           8   position of the previous record of the slot; -1: none
 *     magic              4   bits: 1 always, 2 to be rolled, 4 delete marker
 *     writtenAt          8   when it was written, a multiple of the precision
 *     delayMillis        4   time of the slot = writtenAt + delayMillis
 *     commitLogOffset    8   the message
 *     messageBytes       4   its size
 *     topicHash          4   Java's hash of its real topic
 *     reserved           8   0
 *
 *     blank, 16 bytes, at the end of a file: what is left of it 4, 0 8, blank magic 4
 */
import { readInt64, readInt64Loose, writeInt64 } from '../../base/bytes.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import { BLANK_MAGIC } from '../../protocol/messageRecord.js';

export const TIMER_RECORD_BYTES = 52;
export const TIMER_BLANK_BYTES = 16;
export const NO_POSITION = -1;

/** Bits of a record's magic. */
export const TIMER_MAGIC = { DEFAULT: 1, ROLL: 2, DELETE: 4 } as const;
const MAGIC_MAX = TIMER_MAGIC.DEFAULT | TIMER_MAGIC.ROLL | TIMER_MAGIC.DELETE;

export interface TimerRecord {
  previous: number;
  magic: number;
  writtenAt: TimestampMillis;
  delayMillis: number;
  commitLogOffset: CommitLogOffset;
  messageBytes: number;
  topicHash: number;
}

/** What lies at a place of the timer log. */
export type TimerRecordShape =
  | { kind: 'record'; record: TimerRecord }
  | { kind: 'blank'; sizeBytes: number }
  | { kind: 'zero' }
  | { kind: 'invalid'; reason: string };

/** Time of the slot that the record belongs to. */
export const slotTimeOf = ({ writtenAt, delayMillis }: TimerRecord): TimestampMillis => writtenAt + delayMillis;

export function encodeTimerRecord(target: Buffer, at: number, record: TimerRecord): number {
  let next = target.writeInt32BE(TIMER_RECORD_BYTES, at);
  next = writeInt64(target, record.previous, next);
  next = target.writeInt32BE(record.magic, next);
  next = writeInt64(target, record.writtenAt, next);
  next = target.writeInt32BE(record.delayMillis, next);
  next = writeInt64(target, record.commitLogOffset, next);
  next = target.writeInt32BE(record.messageBytes, next);
  next = target.writeInt32BE(record.topicHash, next);
  return writeInt64(target, 0, next);
}

export function encodeTimerBlank(target: Buffer, at: number, sizeBytes: number): number {
  const next = target.writeInt32BE(sizeBytes, at);
  return target.writeInt32BE(BLANK_MAGIC, writeInt64(target, 0, next));
}

/** Looks at `length` bytes at `at`; `left` is what the file holds from there on. */
export function timerRecordAt(source: Buffer, at: number, length: number, left: number): TimerRecordShape {
  if (length < TIMER_BLANK_BYTES) return { kind: 'invalid', reason: `only ${length} bytes are left` };
  const sizeBytes = source.readInt32BE(at);
  const magic = source.readInt32BE(at + 12);
  if (magic === BLANK_MAGIC) {
    if (sizeBytes === left) return { kind: 'blank', sizeBytes };
    return { kind: 'invalid', reason: `a blank of ${sizeBytes} bytes where ${left} are left` };
  }
  if (sizeBytes === 0 && magic === 0 && readInt64Loose(source, at + 4) === 0) return { kind: 'zero' };
  if (sizeBytes !== TIMER_RECORD_BYTES || length < TIMER_RECORD_BYTES) {
    return { kind: 'invalid', reason: `size ${sizeBytes} instead of ${TIMER_RECORD_BYTES}` };
  }
  if ((magic & TIMER_MAGIC.DEFAULT) === 0 || magic < 0 || magic > MAGIC_MAX) {
    return { kind: 'invalid', reason: `magic ${magic}` };
  }
  for (const field of [4, 16, 28]) {
    if (!Number.isSafeInteger(readInt64Loose(source, at + field)))
      return { kind: 'invalid', reason: 'a number too large' };
  }
  const record: TimerRecord = {
    previous: readInt64(source, at + 4),
    magic,
    writtenAt: readInt64(source, at + 16),
    delayMillis: source.readInt32BE(at + 24),
    commitLogOffset: readInt64(source, at + 28),
    messageBytes: source.readInt32BE(at + 36),
    topicHash: source.readInt32BE(at + 40),
  };
  if (record.previous < NO_POSITION || record.writtenAt < 0 || record.commitLogOffset < 0 || record.messageBytes <= 0) {
    return { kind: 'invalid', reason: 'a position, time or size below zero' };
  }
  return { kind: 'record', record };
}
