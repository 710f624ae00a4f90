/**
 * The entries of one consume queue that are in its files, and the files: they follow each other, each is full before the
 * next one begins, and those in front go with the log's start. How many entries count is the queue's to know.
 */
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import type { SegmentList } from '../log/segmentList.js';
import type { QueueRange } from '../storeTypes.js';
import {
  decodeEntry,
  encodeEntry,
  isExtAddress,
  isGone,
  QUEUE_ENTRY_BYTES,
  type QueueEntry,
  TAGS_CODE_AT,
} from './queueEntry.js';
import type { QueueExt } from './queueExt.js';

/** Entries that one read of {@link StoredEntries.nextAt} takes. */
const AHEAD_ENTRIES = 64;

export class StoredEntries {
  readonly #segments: SegmentList;
  readonly #ext: QueueExt;
  /** What single entries are read into; all queues share it. */
  readonly #scratch: Buffer;
  /** Byte position in the files from which on something may not be synced. */
  #unsyncedFrom = Number.POSITIVE_INFINITY;
  /** Entries read ahead, while recovery compares one after the other. */
  #ahead: { bytes: Buffer; first: QueueOffset; count: number } | undefined;

  constructor(parts: { segments: SegmentList; ext: QueueExt; scratch: Buffer }) {
    this.#segments = parts.segments;
    this.#ext = parts.ext;
    this.#scratch = parts.scratch;
  }

  get directory(): string {
    return this.#segments.directory;
  }

  get fileCount(): number {
    return this.#segments.all.length;
  }

  get entriesPerFile(): number {
    return this.#segments.segmentBytes / QUEUE_ENTRY_BYTES;
  }

  /** First queue offset that has a file. */
  get firstOffset(): QueueOffset {
    return (this.#segments.first?.start ?? 0) / QUEUE_ENTRY_BYTES;
  }

  /** Files that were written since the last call, to be synced. */
  takeUnsynced(): readonly { sync(): Promise<void>; syncNow(): void }[] {
    const from = this.#unsyncedFrom;
    this.#unsyncedFrom = Number.POSITIVE_INFINITY;
    return this.#segments.all.filter((segment) => segment.end > from);
  }

  /** Entries from this one on may not be on the device. */
  noteUnsynced(queueOffset: QueueOffset): void {
    this.#unsyncedFrom = Math.min(this.#unsyncedFrom, queueOffset * QUEUE_ENTRY_BYTES);
  }

  /** One entry as it is on disk; undefined where there is no file. */
  at(queueOffset: QueueOffset): QueueEntry | undefined {
    const position = queueOffset * QUEUE_ENTRY_BYTES;
    const segment = this.#segments.find(position);
    if (!segment || segment.read(this.#scratch, 0, QUEUE_ENTRY_BYTES, position) < QUEUE_ENTRY_BYTES) return undefined;
    return decodeEntry(this.#scratch, 0);
  }

  /** The same, for one who asks in order: reads ahead until {@link endReadingAhead}. */
  nextAt(queueOffset: QueueOffset): QueueEntry | undefined {
    let ahead = this.#ahead;
    if (!ahead || queueOffset < ahead.first || queueOffset >= ahead.first + ahead.count) {
      ahead ??= { bytes: Buffer.allocUnsafe(AHEAD_ENTRIES * QUEUE_ENTRY_BYTES), first: 0, count: 0 };
      this.#ahead = ahead;
      ahead.first = queueOffset;
      ahead.count = 0;
      const position = queueOffset * QUEUE_ENTRY_BYTES;
      const segment = this.#segments.find(position);
      if (!segment) return undefined;
      const length = Math.min(ahead.bytes.length, segment.end - position);
      ahead.count = Math.floor(segment.read(ahead.bytes, 0, length, position) / QUEUE_ENTRY_BYTES);
      if (ahead.count === 0) return undefined;
    }
    return decodeEntry(ahead.bytes, (queueOffset - ahead.first) * QUEUE_ENTRY_BYTES);
  }

  endReadingAhead(): void {
    this.#ahead = undefined;
  }

  /** Up to `count` entries of one file, with the tagsCodes that addresses stand for; undefined where there is no file. */
  read(queueOffset: QueueOffset, count: number): QueueEntry[] | undefined {
    const segment = this.#segments.find(queueOffset * QUEUE_ENTRY_BYTES);
    if (!segment) return undefined;
    const wanted = count * QUEUE_ENTRY_BYTES;
    const bytes = wanted <= this.#scratch.length ? this.#scratch : Buffer.allocUnsafe(wanted);
    const length = segment.read(bytes, 0, wanted, queueOffset * QUEUE_ENTRY_BYTES);
    const entries: QueueEntry[] = [];
    for (let at = 0; at < length; at += QUEUE_ENTRY_BYTES) entries.push(this.#resolved(bytes, at));
    return entries;
  }

  /** With the tagsCode that an address stands for; the address stays where the extension has no such unit. */
  #resolved(source: Buffer, at: number): QueueEntry {
    const entry = decodeEntry(source, at);
    if (!isExtAddress(entry.tagsCode)) return entry;
    const tagsCode = this.#ext.tagsCodeAt(source, at + TAGS_CODE_AT);
    return tagsCode === undefined ? entry : { ...entry, tagsCode };
  }

  /** Puts another entry in the place of one that was wrong. Throws system errors; nothing has changed then. */
  replace(queueOffset: QueueOffset, entry: QueueEntry): void {
    const position = queueOffset * QUEUE_ENTRY_BYTES;
    const bytes = Buffer.alloc(QUEUE_ENTRY_BYTES);
    encodeEntry(bytes, 0, entry);
    this.#ahead = undefined;
    this.#segments.find(position)?.write(bytes, 0, QUEUE_ENTRY_BYTES, position);
    this.noteUnsynced(queueOffset);
  }

  /** Writes entries of one file, which is made when it is not there. Returns whether it was. Throws system errors. */
  write(queueOffset: QueueOffset, entries: Buffer, count: number): boolean {
    const position = queueOffset * QUEUE_ENTRY_BYTES;
    let segment = this.#segments.find(position);
    const isNewFile = !segment;
    segment ??= this.#segments.create(position - (position % this.#segments.segmentBytes));
    this.noteUnsynced(queueOffset);
    this.#ahead = undefined;
    segment.write(entries, 0, count * QUEUE_ENTRY_BYTES, position);
    return isNewFile;
  }

  /** Removes files all of whose entries lie below the offset, never the last one. Throws system errors. */
  removeBefore(queueOffset: QueueOffset): number {
    let removedCount = 0;
    const position = queueOffset * QUEUE_ENTRY_BYTES;
    while (this.#segments.all.length > 1 && (this.#segments.first?.end ?? 0) <= position) {
      this.#segments.removeFirst();
      removedCount += 1;
    }
    return removedCount;
  }

  removeAll(): void {
    this.#ahead = undefined;
    this.#segments.removeAll();
  }

  // What follows is recovery's.

  /** Do the files hold an entry at `maxOffset - 1` and none at `maxOffset`? */
  endAt(maxOffset: QueueOffset): boolean {
    const isThere = (offset: QueueOffset) => (this.at(offset)?.sizeBytes ?? 0) > 0;
    return (maxOffset === 0 || isThere(maxOffset - 1)) && !isThere(maxOffset);
  }

  /**
   * Are all files there that the bounds ask for, and does the last entry's record lie below the position? What is between
   * heals when it is read. Files in front may have followed the log's start.
   */
  isWhole({ minOffset, maxOffset }: QueueRange, position: CommitLogOffset, logStart: CommitLogOffset): boolean {
    const { all, first } = this.#segments;
    const front = this.firstOffset > minOffset ? this.at(this.firstOffset) : undefined;
    if (this.firstOffset > minOffset && !(front && isGone(front, logStart))) return false;
    const count = Math.ceil((maxOffset * QUEUE_ENTRY_BYTES - (first?.start ?? 0)) / this.#segments.segmentBytes);
    if (!first || count < 1) return all.length > 0 && maxOffset === this.firstOffset;
    if (all.length < count || all[count - 1]?.start !== first.start + (count - 1) * this.#segments.segmentBytes) {
      return false;
    }
    const last = this.at(maxOffset - 1);
    return last !== undefined && last.sizeBytes > 0 && last.commitLogOffset >= 0 && last.commitLogOffset < position;
  }

  /** Does a file follow where each one ends? */
  get isConnected(): boolean {
    return this.#firstBehindGap() === undefined;
  }

  /** Recovery makes files anew in order: those behind a missing one go first. */
  dropBehindGap(): void {
    const behind = this.#firstBehindGap();
    if (behind !== undefined) this.#segments.removeFrom(behind);
  }

  #firstBehindGap(): number | undefined {
    const { all, segmentBytes } = this.#segments;
    const start = all[0]?.start ?? 0;
    return all.find((segment, at) => segment.start !== start + at * segmentBytes)?.start;
  }

  /** The offset after the entries in front whose records lie below `limit`: those are dense and ascending, so by halving. */
  endBelow(limit: CommitLogOffset): QueueOffset {
    let low = this.firstOffset;
    let high = (this.#segments.last?.end ?? 0) / QUEUE_ENTRY_BYTES;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = this.at(middle);
      if (entry && entry.sizeBytes > 0 && entry.commitLogOffset >= 0 && entry.commitLogOffset < limit) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Writes entries that are there once more. After a failed sync they may be in memory alone and count as clean there:
   * no sync would put them on the device. Throws system errors.
   */
  rewrite(from: QueueOffset, until: QueueOffset): void {
    this.noteUnsynced(from);
    for (const segment of this.#segments.all) {
      const stop = Math.min(until * QUEUE_ENTRY_BYTES, segment.end);
      for (let position = Math.max(from * QUEUE_ENTRY_BYTES, segment.start); position < stop; ) {
        const length = segment.read(this.#scratch, 0, Math.min(this.#scratch.length, stop - position), position);
        if (length === 0) break;
        segment.write(this.#scratch, 0, length, position);
        position += length;
      }
    }
  }

  /** Removes every file. */
  clear(): void {
    this.#ahead = undefined;
    this.#segments.removeFrom(0);
  }

  /**
   * Removes what the files hold at and after the offset. `thorough` does not trust an empty entry there: after a crash,
   * entries may lie behind a hole.
   */
  cutAt(queueOffset: QueueOffset, thorough: boolean): void {
    this.#ahead = undefined;
    const position = queueOffset * QUEUE_ENTRY_BYTES;
    this.#segments.removeFrom(position);
    const { last } = this.#segments;
    if (!last || position >= last.end) return;
    if (!thorough && (this.at(queueOffset)?.sizeBytes ?? 0) === 0) return;
    last.zeroFrom(position);
    this.noteUnsynced(queueOffset);
  }
}
