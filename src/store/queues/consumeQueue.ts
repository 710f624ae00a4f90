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
import { LMQ_PREFIX, SCHEDULE_TOPIC } from '../../protocol/names.js';
import type { SegmentList } from '../log/segmentList.js';
import type { QueueRange } from '../storeTypes.js';
import type { QueueExt } from './queueExt.js';

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
  /** Fed by records of other topics (`multiDispatch.ts`). */
  readonly isLight: boolean;
  #topicBytes: Buffer | undefined;
  readonly #segments: SegmentList;
  readonly #ext: QueueExt;
  #minOffset: QueueOffset = 0;
  #maxOffset: QueueOffset = 0;
  #tail: Buffer | undefined;
  /** Queue offset of the tail's first entry: everything before it is in the files. */
  #tailStart: QueueOffset = 0;
  /** Byte position in the files from which on something may not be synced. */
  #unsyncedFrom = Number.POSITIVE_INFINITY;
  /** Where recovery began: what the durable mark covers. */
  #adoptedEnd: QueueOffset = 0;
  readonly #scratch: Buffer;

  constructor(parts: { topic: string; queueId: number; segments: SegmentList; ext: QueueExt; scratch: Buffer }) {
    this.topic = parts.topic;
    this.queueId = parts.queueId;
    this.isLight = parts.topic.startsWith(LMQ_PREFIX);
    this.#segments = parts.segments;
    this.#ext = parts.ext;
    this.#scratch = parts.scratch;
  }

  /** The topic as records hold it. */
  get topicBytes(): Buffer {
    this.#topicBytes ??= Buffer.from(this.topic);
    return this.#topicBytes;
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
      for (let at = 0; at < length; at += QUEUE_ENTRY_BYTES) entries.push(this.#resolved(bytes, at));
    }
    for (let offset = queueOffset + stored; this.#tail && offset < queueOffset + count; offset += 1) {
      entries.push(decodeEntry(this.#tail, (offset - this.#tailStart) * QUEUE_ENTRY_BYTES));
    }
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
    assert(queueOffset >= this.firstStoredOffset && queueOffset < this.#maxOffset, 'an entry there is replaced');
    if (this.#tail && queueOffset >= this.#tailStart) {
      encodeEntry(this.#tail, (queueOffset - this.#tailStart) * QUEUE_ENTRY_BYTES, entry);
      return;
    }
    const position = queueOffset * QUEUE_ENTRY_BYTES;
    const bytes = Buffer.alloc(QUEUE_ENTRY_BYTES);
    encodeEntry(bytes, 0, entry);
    this.#segments.find(position)?.write(bytes, 0, QUEUE_ENTRY_BYTES, position);
    this.#unsyncedFrom = Math.min(this.#unsyncedFrom, position);
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

  /**
   * Follows the log's start: the min offset moves to the first entry whose record is left, and files in front of it go,
   * never the last one, so that the queue's numbers go on (upstream: `ConsumeQueue#correctMinOffset`,
   * `MappedFileQueue#deleteExpiredFileByOffset`). Throws system errors. Returns how many files went.
   */
  follow(minCommitLogOffset: CommitLogOffset): number {
    const first = this.entryAt(Math.max(this.#minOffset, this.firstStoredOffset));
    if (!first || isGone(first, minCommitLogOffset)) this.correctMin(minCommitLogOffset);
    let removedCount = 0;
    const minPosition = this.#minOffset * QUEUE_ENTRY_BYTES;
    while (this.#segments.all.length > 1 && (this.#segments.first?.end ?? 0) <= minPosition) {
      this.#segments.removeFirst();
      removedCount += 1;
    }
    return removedCount;
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
    this.#adoptedEnd = maxOffset;
  }

  /** Do the files hold an entry at `maxOffset - 1` and none at `maxOffset`? */
  filesEndAt(maxOffset: QueueOffset): boolean {
    const isThere = (offset: QueueOffset) => (this.#stored(offset)?.sizeBytes ?? 0) > 0;
    return (maxOffset === 0 || isThere(maxOffset - 1)) && !isThere(maxOffset);
  }

  /**
   * Are all files there that the bounds ask for, and does the last entry's record lie below the position? What is between
   * heals when it is read. Files in front may have followed the log's start.
   */
  isWhole({ minOffset, maxOffset }: QueueRange, position: CommitLogOffset, logStart: CommitLogOffset): boolean {
    const { all, first } = this.#segments;
    const front = this.firstStoredOffset > minOffset ? this.#stored(this.firstStoredOffset) : undefined;
    if (this.firstStoredOffset > minOffset && !(front && isGone(front, logStart))) return false;
    const count = Math.ceil((maxOffset * QUEUE_ENTRY_BYTES - (first?.start ?? 0)) / this.#segments.segmentBytes);
    if (!first || count < 1) return all.length > 0 && maxOffset === this.firstStoredOffset;
    if (all.length < count || all[count - 1]?.start !== first.start + (count - 1) * this.#segments.segmentBytes) {
      return false;
    }
    const last = this.#stored(maxOffset - 1);
    return last !== undefined && last.sizeBytes > 0 && last.commitLogOffset >= 0 && last.commitLogOffset < position;
  }

  /** Does a file follow where each one ends? */
  get isConnected(): boolean {
    const { all, segmentBytes } = this.#segments;
    const start = all[0]?.start ?? 0;
    return all.every((segment, at) => segment.start === start + at * segmentBytes);
  }

  /** Recovery makes files anew in order: those behind a missing one go first. */
  dropBehindGap(): void {
    const { all, segmentBytes } = this.#segments;
    const start = all[0]?.start ?? 0;
    const behind = all.find((segment, at) => segment.start !== start + at * segmentBytes);
    if (behind) this.#segments.removeFrom(behind.start);
  }

  /** Begins recovery of a queue of which nothing on disk is believed, the place of its first entry apart. */
  restart(): void {
    this.adoptBounds(this.firstStoredOffset, this.firstStoredOffset);
  }

  /** The log holds no record of the newest messages any more: the numbers go on where they were. */
  extendTo(maxOffset: QueueOffset): void {
    if (maxOffset > this.#maxOffset) this.#skipTo(maxOffset);
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
    // The queue's first files are missing: nothing was met yet, and this message comes before all that is stored.
    if (queueOffset < this.firstStoredOffset && this.#maxOffset === this.firstStoredOffset) {
      this.#segments.removeFrom(0);
      this.restart();
    }
    const place = Math.max(queueOffset, this.#maxOffset);
    const isWritten = this.#tailStart === this.#maxOffset;
    const entry = isWritten && place === this.#maxOffset ? this.#stored(place) : undefined;
    // A differing tagsCode stays where it may be right: the address of an extension, a delay that was configured before.
    const isTagRight =
      entry?.tagsCode === tagsCode || isExtAddress(entry?.tagsCode ?? 0) || this.topic === SCHEDULE_TOPIC;
    if (entry && entry.commitLogOffset === commitLogOffset && entry.sizeBytes === sizeBytes && isTagRight) {
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
    // What was right on disk already may be in the page cache of a process that was killed, and not on the device.
    if (this.#maxOffset > this.#adoptedEnd) {
      this.#unsyncedFrom = Math.min(this.#unsyncedFrom, this.#adoptedEnd * QUEUE_ENTRY_BYTES);
    }
    const isNewFile = this.write(true);
    const end = this.#maxOffset * QUEUE_ENTRY_BYTES;
    this.#segments.removeFrom(end);
    const last = this.#segments.last;
    if (last && end < last.end && (thorough || (this.#stored(this.#maxOffset)?.sizeBytes ?? 0) !== 0)) {
      last.zeroFrom(end);
      this.#unsyncedFrom = Math.min(this.#unsyncedFrom, end);
    }
    if (this.#maxOffset === this.firstStoredOffset) this.#minOffset = this.#maxOffset;
    return isNewFile || this.#segments.all.length !== fileCount || this.#maxOffset > this.#adoptedEnd;
  }

  /** Moves the min offset to the first entry whose record is still in the log. */
  correctMin(minCommitLogOffset: CommitLogOffset): void {
    let low = Math.max(this.#minOffset, this.firstStoredOffset);
    let high = this.#maxOffset;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = this.entryAt(middle);
      if (!entry || isGone(entry, minCommitLogOffset)) low = middle + 1;
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
    encodeEntry(tail, at, { commitLogOffset, sizeBytes, tagsCode });
    this.#maxOffset += 1;
  }
}

/** Is the entry's record not in the log any more? */
function isGone(entry: QueueEntry, minCommitLogOffset: CommitLogOffset): boolean {
  return entry.sizeBytes === BLANK_ENTRY_SIZE || entry.commitLogOffset < minCommitLogOffset;
}

/** Tags codes are ints, or times: everything lower is an address in the queue's extension (upstream: `ConsumeQueueExt`). */
export function isExtAddress(tagsCode: number): boolean {
  return tagsCode < -0x8000_0000;
}

function encodeEntry(target: Buffer, at: number, { commitLogOffset, sizeBytes, tagsCode }: QueueEntry): void {
  writeInt64(target, commitLogOffset, at);
  target.writeInt32BE(sizeBytes, at + SIZE_AT);
  writeInt64(target, tagsCode, at + TAGS_CODE_AT);
}

export function decodeEntry(source: Buffer, at: number): QueueEntry {
  return {
    commitLogOffset: readInt64Loose(source, at),
    sizeBytes: source.readInt32BE(at + SIZE_AT),
    tagsCode: readInt64Loose(source, at + TAGS_CODE_AT),
  };
}
