/**
 * The commit log: every record of every topic in one sequence of segments (upstream: `CommitLog`). It knows three
 * ends: appended (in memory), written (with the operating system) and synced; which of them readers see is not its
 * business. Records are encoded straight into the chunk they are written from.
 *
 * A record of L bytes goes into a segment only when L + 8 bytes are left, so that every full segment ends with a blank
 * record (upstream: `DefaultAppendMessageCallback#doAppend`); what is reserved together moves whole to the next one.
 * Only `recovery.ts` and this file write segments.
 */
import { assert } from '../../base/assert.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { RecordFields } from '../../protocol/messageRecord.js';
import { BLANK_MAGIC, BLANK_MIN_BYTES, encodeRecord, RECORD_AT, recordShapeAt } from '../../protocol/messageRecord.js';
import { recordPosition } from './recordView.js';
import type { Segment } from './segment.js';
import type { SegmentList } from './segmentList.js';
import type { TailCache } from './tailCache.js';

/** What one read of an unknown size takes: most records fit. In order, several do; elsewhere the next one is far off. */
const READ_BYTES = 8192;
const LONE_READ_BYTES = 2048;
/** Zeros are written this much at a time, and kept this far ahead of the end. */
const FILL_STEP_BYTES = 256 * 1024;
const FILL_AHEAD_BYTES = 512 * 1024;

export class CommitLog {
  readonly #segments: SegmentList;
  readonly #tail: TailCache;
  #appendedEnd: CommitLogOffset;
  #writtenEnd: CommitLogOffset;
  /** Start of the newest record in memory, and of the newest one written; undefined while there is none. */
  #lastAppended: CommitLogOffset | undefined;
  #lastWritten: CommitLogOffset | undefined;
  readonly #dirty = new Set<Segment>();
  #hasNewName = false;
  #filledEnd = 0;
  #zeros: Buffer | undefined;
  readonly #block = { bytes: Buffer.allocUnsafeSlow(READ_BYTES), start: 0, length: 0 };

  /** `last` is the start of the last record below `end`. */
  constructor(parts: {
    segments: SegmentList;
    tail: TailCache;
    end: CommitLogOffset;
    last: CommitLogOffset | undefined;
  }) {
    this.#segments = parts.segments;
    this.#tail = parts.tail;
    this.#appendedEnd = parts.end;
    this.#writtenEnd = parts.end;
    this.#lastAppended = parts.last;
    this.#lastWritten = parts.last;
  }

  /** Position after the newest record in memory: where the next one goes, unless the segment must roll. */
  get appendedEnd(): CommitLogOffset {
    return this.#appendedEnd;
  }

  get writtenEnd(): CommitLogOffset {
    return this.#writtenEnd;
  }

  get lastWritten(): CommitLogOffset | undefined {
    return this.#lastWritten;
  }

  get minOffset(): CommitLogOffset {
    return this.#segments.first?.start ?? 0;
  }

  /** The oldest segment, which retention may remove; undefined when it is the only one. */
  get oldest(): Segment | undefined {
    return this.#segments.all.length > 1 ? this.#segments.first : undefined;
  }

  /** Removes the oldest segment: everything in it is synced, and nothing refers to it any more. Throws system errors. */
  removeOldest(): void {
    const oldest = this.oldest;
    assert(oldest && !this.#dirty.has(oldest), 'only a synced segment is removed');
    this.#segments.removeFirst();
  }

  /** Makes removals durable. */
  syncRemovals(): void {
    this.#segments.syncDirectory();
  }

  /** Bytes of the largest record, or records appended together, that a segment takes. */
  get appendBytesMax(): number {
    return this.#segments.segmentBytes - BLANK_MIN_BYTES;
  }

  /**
   * Makes sure that records of `sizeBytes` in all lie contiguous, in one segment and one chunk, from {@link appendedEnd}
   * on. Throws system errors when a new segment cannot be created; nothing has changed then.
   */
  reserve(sizeBytes: number): void {
    assert(sizeBytes <= this.appendBytesMax, 'records that are larger than a segment were refused before');
    const last = this.#segments.last;
    const left = last ? last.end - this.#appendedEnd : 0;
    if (sizeBytes + BLANK_MIN_BYTES > left) {
      this.#beginSegment(last?.end ?? this.#appendedEnd);
      if (left > 0) this.#writeBlank(left);
    }
    const chunk = this.#tail.last;
    const isNext = chunk && chunk.start + chunk.length === this.#appendedEnd;
    if (!isNext || chunk.buffer.length - chunk.length < sizeBytes) {
      const leftNow = (this.#segments.last?.end ?? 0) - this.#appendedEnd;
      this.#tail.begin(this.#appendedEnd, sizeBytes, leftNow);
    }
  }

  /** Encodes one record at {@link appendedEnd} into reserved room and returns its size in bytes. */
  append(fields: RecordFields): number {
    const chunk = this.#tail.last;
    assert(chunk && chunk.start + chunk.length === this.#appendedEnd, 'room was reserved');
    assert(fields.commitLogOffset === this.#appendedEnd, 'a record lies where it says');
    const sizeBytes = encodeRecord(chunk.buffer, chunk.length, fields);
    chunk.length += sizeBytes;
    this.#lastAppended = this.#appendedEnd;
    this.#appendedEnd += sizeBytes;
    return sizeBytes;
  }

  /** Hands everything appended to the operating system: one positional write per contiguous range. Throws system errors. */
  write(): void {
    for (const chunk of this.#tail.unwritten()) {
      const position = chunk.start + chunk.writtenLength;
      const length = chunk.length - chunk.writtenLength;
      if (length === 0) continue;
      const segment = this.#segments.find(position);
      assert(segment, 'what is appended has its segment');
      this.#dirty.add(segment);
      segment.write(chunk.buffer, chunk.writtenLength, length, position);
      chunk.writtenLength = chunk.length;
    }
    this.#writtenEnd = this.#appendedEnd;
    this.#lastWritten = this.#lastAppended;
  }

  /** Gives up what was appended but not written: cuts it off in memory and on disk. Throws when the disk refuses that too. */
  abandonUnwritten(): void {
    this.#tail.dropFrom(this.#writtenEnd);
    this.#block.length = 0;
    const segmentCount = this.#segments.all.length;
    // A segment that begins at the written end was there before: without it the one in front would end in a blank record
    // below the synced mark, which is damage.
    this.#segments.removeFrom(this.#writtenEnd + 1);
    // A removed file that comes back after a crash would bring back what its writers were told is not stored.
    if (this.#segments.all.length < segmentCount) this.#segments.syncDirectory();
    this.#appendedEnd = this.#writtenEnd;
    this.#lastAppended = this.#lastWritten;
    this.#filledEnd = 0;
    for (const segment of this.#dirty) if (!this.#segments.all.includes(segment)) this.#dirty.delete(segment);
    const last = this.#segments.last;
    if (!last || this.#writtenEnd >= last.end) return;
    last.zeroFrom(this.#writtenEnd);
    last.syncNow();
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** Syncs what has been written so far. */
  async sync(): Promise<void> {
    const segments = [...this.#dirty];
    this.#dirty.clear();
    this.#syncNames();
    for (const segment of segments) await segment.sync();
  }

  syncNow(): void {
    const segments = [...this.#dirty];
    this.#dirty.clear();
    this.#syncNames();
    for (const segment of segments) segment.syncNow();
  }

  /**
   * Writes zeros a bounded window ahead of the end, so that a sync allocates no blocks and a full disk is met before a
   * record is accepted. One step a call; true when the window is full. Throws ENOSPC.
   */
  fillAhead(): boolean {
    const segment = this.#segments.last;
    if (!segment || this.#appendedEnd >= segment.end) return true;
    const from = Math.max(this.#filledEnd, this.#appendedEnd);
    const target = Math.min(segment.end, this.#appendedEnd + FILL_AHEAD_BYTES);
    if (from >= target) return true;
    const length = Math.min(FILL_STEP_BYTES, segment.end - from);
    this.#zeros ??= Buffer.alloc(Math.min(FILL_STEP_BYTES, segment.sizeBytes));
    segment.write(this.#zeros, 0, length, from);
    this.#dirty.add(segment);
    this.#filledEnd = from + length;
    return this.#filledEnd >= target;
  }

  /**
   * The bytes [position, position + length), which lie below the appended end and inside one segment; undefined when
   * they do not. A view of memory or a fresh buffer: the caller must not write to it.
   */
  readRange(position: CommitLogOffset, length: number): Buffer | undefined {
    if (position < this.minOffset || length <= 0 || position + length > this.#appendedEnd) return undefined;
    const chunk = this.#tail.find(position);
    if (chunk && position - chunk.start + length <= chunk.length) {
      chunk.isShared = true;
      return chunk.buffer.subarray(position - chunk.start, position - chunk.start + length);
    }
    const segment = this.#segments.find(position);
    if (!segment || position + length > segment.end || position + length > this.#writtenEnd) return undefined;
    const bytes = Buffer.allocUnsafe(length);
    return segment.read(bytes, 0, length, position) === length ? bytes : undefined;
  }

  /** The record that starts at the position, whole; undefined when there is none. Appended is enough: it need not be visible. */
  readRecord(position: CommitLogOffset): Buffer | undefined {
    if (position < this.minOffset || position >= this.#appendedEnd) return undefined;
    const chunk = this.#tail.find(position);
    if (chunk) {
      chunk.isShared = true;
      return recordIn(chunk.buffer, position - chunk.start, chunk.length, position);
    }
    if (position >= this.#writtenEnd) return undefined;
    const block = this.#block;
    if (position < block.start || position + RECORD_AT.SYS_FLAG > block.start + block.length) this.#readBlock(position);
    const at = position - block.start;
    if (at < 0 || block.length - at < RECORD_AT.SYS_FLAG) return undefined;
    const sizeBytes = block.bytes.readInt32BE(at);
    if (sizeBytes < 0 || sizeBytes > this.#writtenEnd - position) return undefined;
    if (sizeBytes > block.length - at && at > 0) {
      this.#readBlock(position);
      return this.readRecord(position);
    }
    const source = sizeBytes <= block.length - at ? block.bytes.subarray(at, at + sizeBytes) : undefined;
    if (!source) {
      const whole = this.readRange(position, sizeBytes);
      return whole && recordIn(whole, 0, whole.length, position);
    }
    const found = recordIn(source, 0, source.length, position);
    return found && Buffer.from(found);
  }

  /** Bytes below the written end never change, so the last block read stays true. */
  #readBlock(position: CommitLogOffset): void {
    const block = this.#block;
    const isInOrder = position >= block.start && position <= block.start + block.length + READ_BYTES;
    block.length = 0;
    const segment = this.#segments.find(position);
    if (!segment) return;
    block.start = position;
    const length = Math.min(
      isInOrder ? READ_BYTES : LONE_READ_BYTES,
      segment.end - position,
      this.#writtenEnd - position,
    );
    block.length = segment.read(block.bytes, 0, length, position);
  }

  /** Ends a segment with a blank record. Only its size and magic are written; the rest stays zero. */
  #writeBlank(left: number): void {
    assert(left >= BLANK_MIN_BYTES, 'no segment ends without a blank record');
    let chunk = this.#tail.last;
    const isNext = chunk && chunk.start + chunk.length === this.#appendedEnd;
    if (!chunk || !isNext || chunk.buffer.length - chunk.length < BLANK_MIN_BYTES) {
      chunk = this.#tail.begin(this.#appendedEnd, BLANK_MIN_BYTES, BLANK_MIN_BYTES);
    }
    chunk.buffer.writeInt32BE(left, chunk.length);
    chunk.buffer.writeInt32BE(BLANK_MAGIC, chunk.length + RECORD_AT.MAGIC);
    chunk.length += BLANK_MIN_BYTES;
    this.#appendedEnd += left;
  }

  #beginSegment(start: CommitLogOffset): void {
    this.#segments.create(start);
    this.#hasNewName = true;
    this.#filledEnd = start;
  }

  #syncNames(): void {
    if (!this.#hasNewName) return;
    this.#segments.syncDirectory();
    this.#hasNewName = false;
  }
}

/** The message record at `at` of `source`, if a whole one that claims `position` starts there. */
function recordIn(source: Buffer, at: number, end: number, position: number): Buffer | undefined {
  const shape = recordShapeAt(source, at, end - at);
  if (shape.kind !== 'message') return undefined;
  return recordPosition(source, at) === position ? source.subarray(at, at + shape.sizeBytes) : undefined;
}
