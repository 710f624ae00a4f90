/**
 * One consume queue: for each message of a topic's queue, in order, where it lies in the commit log (upstream:
 * `ConsumeQueue`). Derived from the log and rebuilt from it where it is missing, short or ahead.
 *
 *     entry, 20 bytes       number of the entry = queue offset
 *     commitLogOffset  8
 *     sizeBytes        4
 *     tagsCode         8    hash of the tag, or the due time of a delayed message
 *
 * New entries wait in a small tail in memory and are written lazily. Entries in front of the queue's first message,
 * when its beginning is lost, are blank: offset 0, size 2147483647, tagsCode 0.
 */
import { assert } from '../../base/assert.js';
import { readInt64Loose, writeInt64 } from '../../base/bytes.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import type { SegmentList } from '../log/segmentList.js';

export const QUEUE_ENTRY_BYTES = 20;
export const BLANK_ENTRY_SIZE = 0x7fffffff;
const SIZE_AT = 8;
const TAGS_CODE_AT = 12;

/** Where the tail starts, and where it must have been written out: 819 entries. */
const TAIL_FIRST_BYTES = 16 * QUEUE_ENTRY_BYTES;
const TAIL_MAX_BYTES = 819 * QUEUE_ENTRY_BYTES;

export interface QueueEntry {
  commitLogOffset: CommitLogOffset;
  sizeBytes: number;
  tagsCode: number;
}

export class ConsumeQueue {
  readonly topic: string;
  readonly queueId: number;
  readonly #segments: SegmentList;
  #minOffset: QueueOffset = 0;
  #maxOffset: QueueOffset = 0;
  #tail: Buffer | undefined;
  /** Queue offset of the tail's first entry: everything before it is in the files. */
  #tailStart: QueueOffset = 0;
  /** Byte position in the files from which on something may not be synced. */
  #unsyncedFrom = Number.POSITIVE_INFINITY;
  readonly #scratch: Buffer;

  constructor(parts: { topic: string; queueId: number; segments: SegmentList; scratch: Buffer }) {
    this.topic = parts.topic;
    this.queueId = parts.queueId;
    this.#segments = parts.segments;
    this.#scratch = parts.scratch;
  }

  get minOffset(): QueueOffset {
    return this.#minOffset;
  }

  /** Exclusive: the offset that the next message gets. */
  get maxOffset(): QueueOffset {
    return this.#maxOffset;
  }

  get directory(): string {
    return this.#segments.directory;
  }

  get entriesPerFile(): number {
    return this.#segments.segmentBytes / QUEUE_ENTRY_BYTES;
  }

  /** First queue offset that has a file. */
  get firstStoredOffset(): QueueOffset {
    return (this.#segments.first?.start ?? 0) / QUEUE_ENTRY_BYTES;
  }

  /** Files that were written since the last call, to be synced. */
  takeUnsynced(): readonly { sync(): Promise<void>; syncNow(): void }[] {
    const from = this.#unsyncedFrom;
    this.#unsyncedFrom = Number.POSITIVE_INFINITY;
    return this.#segments.all.filter((segment) => segment.end > from);
  }

  get hasUnwritten(): boolean {
    return this.#maxOffset > this.#tailStart;
  }

  /** Takes the next entry. True when the tail is full and must be written. */
  put(queueOffset: QueueOffset, commitLogOffset: CommitLogOffset, sizeBytes: number, tagsCode: number): boolean {
    // Repeated (recovery meets what is there already), upstream ignores it as well.
    if (queueOffset < this.#maxOffset) return false;
    if (queueOffset > this.#maxOffset) this.#skipTo(queueOffset);
    this.#push(commitLogOffset, sizeBytes, tagsCode);
    return (this.#maxOffset - this.#tailStart) * QUEUE_ENTRY_BYTES >= TAIL_MAX_BYTES;
  }

  /** Reads one entry; undefined outside [first stored, max) or where its file is missing. */
  entryAt(queueOffset: QueueOffset): QueueEntry | undefined {
    return this.readEntries(queueOffset, 1)[0];
  }

  /** Up to `countMax` entries from the offset on, within one file. */
  readEntries(queueOffset: QueueOffset, countMax: number): QueueEntry[] {
    const inFile = this.entriesPerFile - (queueOffset % this.entriesPerFile);
    const count = Math.min(countMax, inFile, this.#maxOffset - queueOffset);
    if (queueOffset < 0 || count <= 0) return [];
    const entries: QueueEntry[] = [];
    const stored = Math.min(count, Math.max(0, this.#tailStart - queueOffset));
    if (stored > 0) {
      const segment = this.#segments.find(queueOffset * QUEUE_ENTRY_BYTES);
      if (!segment) return [];
      const bytes =
        stored * QUEUE_ENTRY_BYTES <= this.#scratch.length ? this.#scratch : Buffer.allocUnsafe(stored * 20);
      const length = segment.read(bytes, 0, stored * QUEUE_ENTRY_BYTES, queueOffset * QUEUE_ENTRY_BYTES);
      for (let at = 0; at < length; at += QUEUE_ENTRY_BYTES) entries.push(decodeEntry(bytes, at));
    }
    for (let offset = queueOffset + stored; this.#tail && offset < queueOffset + count; offset += 1) {
      entries.push(decodeEntry(this.#tail, (offset - this.#tailStart) * QUEUE_ENTRY_BYTES));
    }
    return entries;
  }

  /** Queue offset of the first entry of the file after the one that holds the offset. */
  nextFileOffset(queueOffset: QueueOffset): QueueOffset {
    return queueOffset - (queueOffset % this.entriesPerFile) + this.entriesPerFile;
  }

  /** Writes the tail to the files. `release` also gives back its memory. Returns whether a file was created. */
  write(release: boolean): boolean {
    const tail = this.#tail;
    let isNewFile = false;
    while (tail && this.#tailStart < this.#maxOffset) {
      const count = Math.min(
        this.#maxOffset - this.#tailStart,
        this.entriesPerFile - (this.#tailStart % this.entriesPerFile),
      );
      const position = this.#tailStart * QUEUE_ENTRY_BYTES;
      let segment = this.#segments.find(position);
      if (!segment) {
        segment = this.#segments.create(position - (position % this.#segments.segmentBytes));
        isNewFile = true;
      }
      this.#unsyncedFrom = Math.min(this.#unsyncedFrom, position);
      segment.write(tail, 0, count * QUEUE_ENTRY_BYTES, position);
      tail.copyWithin(0, count * QUEUE_ENTRY_BYTES, (this.#maxOffset - this.#tailStart) * QUEUE_ENTRY_BYTES);
      this.#tailStart += count;
    }
    if (release || (tail && tail.length > TAIL_MAX_BYTES)) this.#tail = undefined;
    return isNewFile;
  }

  removeAll(): void {
    this.#segments.removeAll();
    this.#tail = undefined;
    this.#minOffset = 0;
    this.#maxOffset = 0;
    this.#tailStart = 0;
  }

  // What follows is recovery's.

  /** Takes bounds that are known to be right (clean start). */
  adoptBounds(minOffset: QueueOffset, maxOffset: QueueOffset): void {
    this.#minOffset = minOffset;
    this.#maxOffset = maxOffset;
    this.#tailStart = maxOffset;
  }

  /** Do the files hold an entry at `maxOffset - 1` and none at `maxOffset`? */
  filesEndAt(maxOffset: QueueOffset): boolean {
    const isThere = (offset: QueueOffset) => (this.#stored(offset)?.sizeBytes ?? 0) > 0;
    return (maxOffset === 0 || isThere(maxOffset - 1)) && !isThere(maxOffset);
  }

  /**
   * Begins recovery: keeps the entries in front whose records lie below `limit`, and goes on after them.
   * Entries in front are dense and ascending by position, so the boundary is found by halving.
   */
  beginRecovery(limit: CommitLogOffset): void {
    const first = this.firstStoredOffset;
    let low = first;
    let high = (this.#segments.last?.end ?? 0) / QUEUE_ENTRY_BYTES;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = this.#stored(middle);
      if (entry && entry.sizeBytes > 0 && entry.commitLogOffset >= 0 && entry.commitLogOffset < limit) low = middle + 1;
      else high = middle;
    }
    this.adoptBounds(first, low);
  }

  /** Recovery met a record of this queue: keeps the entry on disk when it is right already, else puts it. */
  reconcile(queueOffset: QueueOffset, commitLogOffset: CommitLogOffset, sizeBytes: number, tagsCode: number): boolean {
    // Two records with one queue offset (RocketMQ can write that after it lost entries): the later one takes the next place.
    const place = Math.max(queueOffset, this.#maxOffset);
    const isWritten = this.#tailStart === this.#maxOffset;
    const entry = isWritten && place === this.#maxOffset ? this.#stored(place) : undefined;
    // A differing tagsCode stays: it may be the address of a consume queue extension.
    if (entry && entry.commitLogOffset === commitLogOffset && entry.sizeBytes === sizeBytes) {
      this.#maxOffset += 1;
      this.#tailStart += 1;
      return false;
    }
    return this.put(place, commitLogOffset, sizeBytes, tagsCode);
  }

  /**
   * Ends recovery: what the files hold at and after the max offset is removed. `thorough` does not trust an empty next
   * entry: after a crash, entries may lie behind a hole. Returns whether names in the directory changed.
   */
  endRecovery(thorough: boolean): boolean {
    const fileCount = this.#segments.all.length;
    const isNewFile = this.write(true);
    const end = this.#maxOffset * QUEUE_ENTRY_BYTES;
    this.#segments.removeFrom(end);
    const last = this.#segments.last;
    if (last && end < last.end && (thorough || (this.#stored(this.#maxOffset)?.sizeBytes ?? 0) !== 0)) {
      last.zeroFrom(end);
      this.#unsyncedFrom = Math.min(this.#unsyncedFrom, end);
    }
    if (this.#maxOffset === this.firstStoredOffset) this.#minOffset = this.#maxOffset;
    return isNewFile || this.#segments.all.length !== fileCount;
  }

  /** Moves the min offset to the first entry whose record is still in the log. */
  correctMin(minCommitLogOffset: CommitLogOffset): void {
    let low = Math.max(this.#minOffset, this.firstStoredOffset);
    let high = this.#maxOffset;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = this.entryAt(middle);
      const isGone = !entry || entry.sizeBytes === BLANK_ENTRY_SIZE || entry.commitLogOffset < minCommitLogOffset;
      if (isGone) low = middle + 1;
      else high = middle;
    }
    this.#minOffset = low;
  }

  #stored(queueOffset: QueueOffset): QueueEntry | undefined {
    const position = queueOffset * QUEUE_ENTRY_BYTES;
    const segment = this.#segments.find(position);
    if (!segment || segment.read(this.#scratch, 0, QUEUE_ENTRY_BYTES, position) < QUEUE_ENTRY_BYTES) return undefined;
    return decodeEntry(this.#scratch, 0);
  }

  /** The queue's beginning is lost: entries up to the offset become blank. */
  #skipTo(queueOffset: QueueOffset): void {
    const isFirstEver = this.#maxOffset === 0 && this.#segments.all.length === 0;
    if (isFirstEver) {
      // The file that holds the offset is the queue's first one: only from its start on are there blanks.
      this.#maxOffset = queueOffset - (queueOffset % this.entriesPerFile);
      this.#tailStart = this.#maxOffset;
    }
    while (this.#maxOffset < queueOffset) {
      this.#push(0, BLANK_ENTRY_SIZE, 0);
      if ((this.#maxOffset - this.#tailStart) * QUEUE_ENTRY_BYTES >= TAIL_MAX_BYTES) this.write(false);
    }
    if (isFirstEver) this.#minOffset = queueOffset;
  }

  #push(commitLogOffset: CommitLogOffset, sizeBytes: number, tagsCode: number): void {
    const at = (this.#maxOffset - this.#tailStart) * QUEUE_ENTRY_BYTES;
    let tail = this.#tail;
    if (!tail || tail.length < at + QUEUE_ENTRY_BYTES) {
      tail = Buffer.allocUnsafeSlow(Math.max(TAIL_FIRST_BYTES, at * 2));
      this.#tail?.copy(tail, 0, 0, at);
      this.#tail = tail;
    }
    assert(commitLogOffset >= 0 && sizeBytes > 0, 'a queue entry points at a record');
    writeInt64(tail, commitLogOffset, at);
    tail.writeInt32BE(sizeBytes, at + SIZE_AT);
    writeInt64(tail, tagsCode, at + TAGS_CODE_AT);
    this.#maxOffset += 1;
  }
}

export function decodeEntry(source: Buffer, at: number): QueueEntry {
  return {
    commitLogOffset: readInt64Loose(source, at),
    sizeBytes: source.readInt32BE(at + SIZE_AT),
    tagsCode: readInt64Loose(source, at + TAGS_CODE_AT),
  };
}
