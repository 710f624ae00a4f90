/**
 * The timer log: a record per message that waits, in the order in which they were put into the wheel, in files that
 * follow each other (upstream: `TimerLog`). The wheel points into it. A record goes into a file only when a blank fits
 * behind it, so that every full file ends with one. Records are written at once and synced by {@link TimerLog.sync}.
 */
import { assert } from '../../base/assert.js';
import { CorruptionError } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { parentOf } from '../../base/files.js';
import type { FileHandles } from '../log/fileHandles.js';
import type { Segment } from '../log/segment.js';
import { listSegments, SegmentList } from '../log/segmentList.js';
import type { TimerRecord, TimerRecordShape } from './timerRecord.js';
import {
  encodeTimerBlank,
  encodeTimerRecord,
  TIMER_BLANK_BYTES,
  TIMER_RECORD_BYTES,
  timerRecordAt,
} from './timerRecord.js';

/** Records lie near each other: one read brings the neighbours, in either direction. */
const WINDOW_BYTES = 64 * 1024;

export interface TimerLogParts {
  files: Files;
  handles: FileHandles;
  /** `<store>/timerlog` */
  directory: string;
  segmentBytes: number;
}

export interface PlacedRecord {
  position: number;
  record: TimerRecord;
}

export class TimerLog {
  readonly #files: Files;
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #segments: SegmentList;
  readonly #dirty = new Set<Segment>();
  #hasNewName = false;
  #end: number;
  #window = { start: 0, bytes: Buffer.alloc(0) };

  /** Opens the files that are there; {@link endsAt} says where the last record ends. Throws for files of a wrong size. */
  constructor(parts: TimerLogParts) {
    const { files, handles, directory, segmentBytes } = parts;
    this.#files = files;
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
    const size = { sizeBytes: segmentBytes, key: 'mappedFileSizeTimerLog' };
    let listing = listSegments(files, directory, { ...size, mayBeShort: true });
    // Only the newest file can have been left short by a crash.
    if (listing.short.length > 1) listing = listSegments(files, directory, { ...size, mayBeShort: false });
    if (listing.emptyLast !== undefined) files.remove(listing.emptyLast);
    for (const file of listing.short) {
      const opened = files.open(file, 'r+');
      try {
        opened.truncate(segmentBytes);
      } finally {
        opened.close();
      }
    }
    this.#segments = new SegmentList({ files, handles, directory, segmentBytes, starts: listing.starts });
    this.#end = this.#segments.last?.end ?? 0;
  }

  /** Position of the oldest record that is still there. */
  get start(): number {
    return this.#segments.first?.start ?? this.#end;
  }

  /** Position after the newest record. */
  get end(): number {
    return this.#end;
  }

  /** Where the file begins that holds the position, or the first one. */
  fileStart(position: number): number {
    return this.#segments.find(position)?.start ?? this.start;
  }

  /** Positions that records get which are written next, in order. */
  positionsFor(count: number): number[] {
    const positions: number[] = [];
    for (let at = this.#end; positions.length < count; at += TIMER_RECORD_BYTES) {
      const left = this.#segmentBytes - (at % this.#segmentBytes);
      if (left < TIMER_RECORD_BYTES + TIMER_BLANK_BYTES) at += left;
      positions.push(at);
    }
    return positions;
  }

  /**
   * Writes records at {@link positionsFor} them. Throws system errors; then {@link end} has not moved, and what was
   * written is written over by the next call.
   */
  append(records: readonly TimerRecord[]): void {
    const positions = this.positionsFor(records.length);
    let at = this.#end;
    let index = 0;
    while (index < records.length) {
      const segment = this.#segmentFor(at);
      const chunk = Buffer.alloc(
        Math.min(segment.end - at, (records.length - index) * TIMER_RECORD_BYTES + TIMER_BLANK_BYTES),
      );
      let length = 0;
      for (let record = records[index]; record && positions[index] === at + length; record = records[index]) {
        length = encodeTimerRecord(chunk, length, record);
        index += 1;
      }
      const isFull = index < records.length;
      if (isFull) length = encodeTimerBlank(chunk, length, segment.end - at - length);
      segment.write(chunk, 0, length, at);
      this.#dirty.add(segment);
      at = isFull ? segment.end : at + length;
    }
    this.#forgetBehind(this.#end);
    this.#end = at;
  }

  /** The record at a position; undefined when none is there. */
  record(position: number): TimerRecord | undefined {
    if (position < this.start || position >= this.#end) return undefined;
    const shape = this.shapeAt(position);
    return shape.kind === 'record' ? shape.record : undefined;
  }

  /** What lies at a position, whether below the end or not. */
  shapeAt(position: number): TimerRecordShape {
    const segment = this.#segments.find(position);
    if (!segment) return { kind: 'zero' };
    const left = segment.end - position;
    const wanted = Math.min(left, TIMER_RECORD_BYTES);
    let at = position - this.#window.start;
    if (at < 0 || at + wanted > this.#window.bytes.length) {
      this.#load(segment, position);
      at = position - this.#window.start;
    }
    const length = Math.min(wanted, this.#window.bytes.length - at);
    return timerRecordAt(this.#window.bytes, at, length, left);
  }

  /** Records from a record's position up to `end`, oldest first. Ends early at bytes that are none. */
  *records(from: number, end: number = this.#end): Generator<PlacedRecord> {
    for (let position = from; position < end; ) {
      const shape = this.shapeAt(position);
      if (shape.kind === 'blank') {
        position += shape.sizeBytes;
        continue;
      }
      if (shape.kind !== 'record') return;
      yield { position, record: shape.record };
      position += TIMER_RECORD_BYTES;
    }
  }

  /** Recovery's word: the last record ends here. What lies behind is made zero and later files go; durable afterwards. */
  endsAt(position: number): void {
    this.#segments.removeFrom(position);
    const last = this.#segments.last;
    assert(!last || position >= last.start, 'a log ends in its last file, or where a new one begins');
    if (last && position < last.end) last.zeroFrom(position);
    for (const segment of this.#segments.all) segment.syncNow();
    if (last) this.#segments.syncDirectory();
    this.#end = position;
    this.#forgetBehind(position);
  }

  /** Everything written so far, on the device. */
  async sync(): Promise<void> {
    const segments = [...this.#dirty];
    this.#dirty.clear();
    if (this.#hasNewName) {
      this.#segments.syncDirectory();
      this.#files.syncDirectory(parentOf(this.#directory));
      this.#hasNewName = false;
    }
    for (const segment of segments) await segment.sync();
  }

  /** Removes leading files, never the last, for as long as the file's last record satisfies the condition. */
  removeLeading(isDone: (last: TimerRecord) => boolean): string[] {
    const removed: string[] = [];
    for (let first = this.#segments.first; first && first !== this.#segments.last; first = this.#segments.first) {
      const last = this.#lastOf(first);
      if (!last || !isDone(last)) break;
      this.#segments.removeFirst();
      this.#dirty.delete(first);
      removed.push(first.path);
    }
    if (removed.length > 0) this.#segments.syncDirectory();
    return removed;
  }

  /** The last record of a full file. */
  #lastOf(segment: Segment): TimerRecord | undefined {
    const inFile = segment.sizeBytes - TIMER_BLANK_BYTES;
    const count = Math.floor(inFile / TIMER_RECORD_BYTES);
    return count > 0 ? this.record(segment.start + (count - 1) * TIMER_RECORD_BYTES) : undefined;
  }

  #segmentFor(position: number): Segment {
    const known = this.#segments.find(position);
    if (known) return known;
    this.#hasNewName = true;
    return this.#segments.create(position);
  }

  /** Bytes round a position. */
  #load(segment: Segment, position: number): void {
    const start = Math.max(segment.start, position - WINDOW_BYTES / 2);
    const length = Math.min(segment.end, position + WINDOW_BYTES / 2) - start;
    const bytes = Buffer.allocUnsafe(length);
    const count = segment.read(bytes, 0, length, start);
    if (count < position - start) {
      throw new CorruptionError(`${segment.path} is shorter than it must be: restore it from a copy`, {
        file: segment.path,
        offset: count,
      });
    }
    this.#window = { start, bytes: bytes.subarray(0, count) };
  }

  /** Bytes below the end never change; those behind it may have. */
  #forgetBehind(position: number): void {
    const { start, bytes } = this.#window;
    if (start + bytes.length <= position) return;
    this.#window = { start, bytes: bytes.subarray(0, Math.max(0, position - start)) };
  }
}
