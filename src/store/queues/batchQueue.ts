/**
 * One queue of a topic with queue.type=BatchCQ (upstream: `BatchConsumeQueue`): a record may hold several messages, and an
 * entry says which. foldlog serves such queues and takes no messages for them: only recovery writes entries, those that a
 * broker which was killed had not written any more.
 *
 *     entry, 46 bytes
 *     commitLogOffset  8
 *     sizeBytes        4
 *     tagsCode         8
 *     storeTimestamp   8
 *     baseOffset       8   queue offset of the record's first message
 *     batchSize        2   messages in the record
 *     compactedOffset  4   -1
 *     reserved         4   0
 */
import { readInt64Loose, writeInt64 } from '../../base/bytes.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import type { SegmentList } from '../log/segmentList.js';
import type { QueueRange } from '../storeTypes.js';
import { decodeEntry, type QueueEntry } from './queueEntry.js';

export const BATCH_ENTRY_BYTES = 46;
const STORE_TIMESTAMP_AT = 20;
const BASE_OFFSET_AT = 28;
const BATCH_SIZE_AT = 36;
const COMPACTED_OFFSET_AT = 38;

export interface BatchEntry extends QueueEntry {
  storeTimestamp: TimestampMillis;
  baseOffset: QueueOffset;
  batchSize: number;
}

export class BatchQueue {
  readonly #segments: SegmentList;
  #entryCount: number;
  readonly #bytes = Buffer.alloc(BATCH_ENTRY_BYTES);

  constructor(parts: { segments: SegmentList }) {
    this.#segments = parts.segments;
    this.#entryCount = this.#firstWhere((entry) => entry.sizeBytes <= 0);
  }

  /** Number of the first entry that has a file. */
  get #first(): number {
    return (this.#segments.first?.start ?? 0) / BATCH_ENTRY_BYTES;
  }

  /** Number of the entry after the last one. */
  get entryCount(): number {
    return this.#entryCount;
  }

  entryAt(number: number): BatchEntry | undefined {
    return number < this.#entryCount ? this.#stored(number) : undefined;
  }

  /** Number of the first entry whose record is in the log. */
  firstIn(logStart: CommitLogOffset): number {
    return Math.min(
      this.#entryCount,
      this.#firstWhere((entry) => entry.commitLogOffset >= logStart),
    );
  }

  /** Number of the first entry with messages at or after the offset; the entry count when there is none. */
  find(offset: QueueOffset): number {
    return Math.min(
      this.#entryCount,
      this.#firstWhere(({ baseOffset, batchSize }) => baseOffset + batchSize > offset),
    );
  }

  /** Number of the first entry stored at or after the time. */
  findTime(timestamp: TimestampMillis): number {
    return Math.min(
      this.#entryCount,
      this.#firstWhere((entry) => entry.storeTimestamp >= timestamp),
    );
  }

  range(logStart: CommitLogOffset): QueueRange {
    const last = this.entryAt(this.#entryCount - 1);
    const maxOffset = last ? last.baseOffset + last.batchSize : 0;
    return { minOffset: this.entryAt(this.firstIn(logStart))?.baseOffset ?? maxOffset, maxOffset };
  }

  /** Recovery's: the entry of the next record. What is right already stays; returns whether it was. */
  put(number: number, entry: BatchEntry): boolean {
    const stored = this.#stored(number);
    const isRight =
      stored?.commitLogOffset === entry.commitLogOffset &&
      stored.sizeBytes === entry.sizeBytes &&
      stored.baseOffset === entry.baseOffset &&
      stored.batchSize === entry.batchSize;
    if (!isRight) this.#write(number, entry);
    this.#entryCount = Math.max(this.#entryCount, number + 1);
    return isRight;
  }

  /** Recovery's: nothing is left at or after the number. Returns whether anything was there. */
  cutAt(number: number): boolean {
    const isThere = (this.#stored(number)?.sizeBytes ?? 0) !== 0;
    const position = number * BATCH_ENTRY_BYTES;
    this.#segments.removeFrom(position);
    const last = this.#segments.last;
    if (isThere && last && position < last.end) last.zeroFrom(position);
    this.#entryCount = number;
    return isThere;
  }

  syncNow(): void {
    for (const segment of this.#segments.all) segment.syncNow();
    if (this.#segments.all.length > 0) this.#segments.syncDirectory();
  }

  #write(number: number, entry: BatchEntry): void {
    const position = number * BATCH_ENTRY_BYTES;
    const start = position - (position % this.#segments.segmentBytes);
    const segment = this.#segments.find(position) ?? this.#segments.create(start);
    const bytes = this.#bytes;
    writeInt64(bytes, entry.commitLogOffset, 0);
    bytes.writeInt32BE(entry.sizeBytes, 8);
    writeInt64(bytes, entry.tagsCode, 12);
    writeInt64(bytes, entry.storeTimestamp, STORE_TIMESTAMP_AT);
    writeInt64(bytes, entry.baseOffset, BASE_OFFSET_AT);
    bytes.writeInt16BE(entry.batchSize, BATCH_SIZE_AT);
    bytes.writeInt32BE(-1, COMPACTED_OFFSET_AT);
    bytes.writeInt32BE(0, COMPACTED_OFFSET_AT + 4);
    segment.write(bytes, 0, BATCH_ENTRY_BYTES, position);
  }

  /** Entries ascend in all they hold. Those that were never written count as a hit. */
  #firstWhere(isHit: (entry: BatchEntry) => boolean): number {
    let low = this.#first;
    let high = (this.#segments.last?.end ?? 0) / BATCH_ENTRY_BYTES;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = this.#stored(middle);
      if (!entry || entry.sizeBytes <= 0 || isHit(entry)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #stored(number: number): BatchEntry | undefined {
    const position = number * BATCH_ENTRY_BYTES;
    const segment = this.#segments.find(position);
    const bytes = this.#bytes;
    if (!segment || segment.read(bytes, 0, BATCH_ENTRY_BYTES, position) < BATCH_ENTRY_BYTES) return undefined;
    return {
      ...decodeEntry(bytes, 0),
      storeTimestamp: readInt64Loose(bytes, STORE_TIMESTAMP_AT),
      baseOffset: readInt64Loose(bytes, BASE_OFFSET_AT),
      batchSize: bytes.readInt16BE(BATCH_SIZE_AT),
    };
  }
}
