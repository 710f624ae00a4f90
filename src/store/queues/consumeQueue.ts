/**
 * One consume queue: for each message of a topic's queue, in order, where it lies in the commit log (upstream:
 * `ConsumeQueue`; `queueEntry.ts` has the layout). Derived from the log and rebuilt from it where it is missing, short or
 * ahead.
 *
 * New entries wait in a small tail in memory and are written lazily; all others are in the queue's files
 * (`storedEntries.ts`).
 */
import { assert } from '../../base/assert.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import { LMQ_PREFIX, SCHEDULE_TOPIC } from '../../protocol/names.js';
import type { QueueRange } from '../storeTypes.js';
import {
  BLANK_ENTRY_SIZE,
  decodeEntry,
  encodeEntry,
  isExtAddress,
  isGone,
  QUEUE_ENTRY_BYTES,
  type QueueEntry,
} from './queueEntry.js';
import type { StoredEntries } from './storedEntries.js';

/** Where the tail starts, and where it must have been written out: 819 entries. */
const TAIL_FIRST_BYTES = 16 * QUEUE_ENTRY_BYTES;
const TAIL_MAX_BYTES = 819 * QUEUE_ENTRY_BYTES;

export class ConsumeQueue {
  readonly topic: string;
  readonly queueId: number;
  /** Fed by records of other topics (`multiDispatch.ts`). */
  readonly isLight: boolean;
  #topicBytes: Buffer | undefined;
  readonly #stored: StoredEntries;
  #minOffset: QueueOffset = 0;
  #maxOffset: QueueOffset = 0;
  #tail: Buffer | undefined;
  /** Queue offset of the tail's first entry: everything before it is in the files. */
  #tailStart: QueueOffset = 0;
  /** Where recovery began: what the durable mark covers. */
  #adoptedEnd: QueueOffset = 0;

  constructor(parts: { topic: string; queueId: number; stored: StoredEntries }) {
    this.topic = parts.topic;
    this.queueId = parts.queueId;
    this.isLight = parts.topic.startsWith(LMQ_PREFIX);
    this.#stored = parts.stored;
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
    return this.#stored.directory;
  }

  /** First queue offset that has a file. */
  get firstStoredOffset(): QueueOffset {
    return this.#stored.firstOffset;
  }

  /** Files that were written since the last call, to be synced. */
  takeUnsynced(): readonly { sync(): Promise<void>; syncNow(): void }[] {
    return this.#stored.takeUnsynced();
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
    const { entriesPerFile } = this.#stored;
    const inFile = entriesPerFile - (queueOffset % entriesPerFile);
    const count = Math.min(countMax, inFile, this.#maxOffset - queueOffset);
    if (queueOffset < 0 || count <= 0) return [];
    const storedCount = Math.min(count, Math.max(0, this.#tailStart - queueOffset));
    const entries = storedCount > 0 ? this.#stored.read(queueOffset, storedCount) : [];
    if (!entries) return [];
    for (let offset = queueOffset + storedCount; this.#tail && offset < queueOffset + count; offset += 1) {
      entries.push(decodeEntry(this.#tail, (offset - this.#tailStart) * QUEUE_ENTRY_BYTES));
    }
    return entries;
  }

  /** Puts another entry in the place of one that was wrong. Throws system errors; nothing has changed then. */
  replace(queueOffset: QueueOffset, entry: QueueEntry): void {
    assert(queueOffset >= this.firstStoredOffset && queueOffset < this.#maxOffset, 'an entry there is replaced');
    if (this.#tail && queueOffset >= this.#tailStart) {
      encodeEntry(this.#tail, (queueOffset - this.#tailStart) * QUEUE_ENTRY_BYTES, entry);
    } else this.#stored.replace(queueOffset, entry);
  }

  /** Queue offset of the first entry of the file after the one that holds the offset. */
  nextFileOffset(queueOffset: QueueOffset): QueueOffset {
    const { entriesPerFile } = this.#stored;
    return queueOffset - (queueOffset % entriesPerFile) + entriesPerFile;
  }

  /** Writes the tail to the files. `release` also gives back its memory. Returns whether a file was created. */
  write(release: boolean): boolean {
    const tail = this.#tail;
    let isNewFile = false;
    while (tail && this.#tailStart < this.#maxOffset) {
      const { entriesPerFile } = this.#stored;
      const count = Math.min(this.#maxOffset - this.#tailStart, entriesPerFile - (this.#tailStart % entriesPerFile));
      if (this.#stored.write(this.#tailStart, tail, count)) isNewFile = true;
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
    const isLeft = first !== undefined && !isGone(first, 0) && first.commitLogOffset >= minCommitLogOffset;
    if (!isLeft) this.correctMin(minCommitLogOffset);
    return this.#stored.removeBefore(this.#minOffset);
  }

  removeAll(): void {
    this.#stored.removeAll();
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
    return this.#stored.endAt(maxOffset);
  }

  /** See {@link StoredEntries.isWhole}. */
  isWhole(range: QueueRange, position: CommitLogOffset, logStart: CommitLogOffset): boolean {
    return this.#stored.isWhole(range, position, logStart);
  }

  /** Does a file follow where each one ends? */
  get isConnected(): boolean {
    return this.#stored.isConnected;
  }

  /** Recovery makes files anew in order: those behind a missing one go first. */
  dropBehindGap(): void {
    this.#stored.dropBehindGap();
  }

  /** Where the record of the first entry in the files lies; undefined without one. */
  get firstStoredPosition(): CommitLogOffset | undefined {
    return this.#stored.at(this.firstStoredOffset)?.commitLogOffset;
  }

  /** Begins recovery of a queue none of whose files counts: it starts at 0. */
  discard(): void {
    this.#stored.clear();
    this.restart();
  }

  /** Begins recovery of a queue of which nothing on disk is believed, the place of its first entry apart. */
  restart(): void {
    this.adoptBounds(this.firstStoredOffset, this.firstStoredOffset);
  }

  /** The log holds no record of the newest messages any more: the numbers go on where they were. */
  extendTo(maxOffset: QueueOffset): void {
    if (maxOffset > this.#maxOffset) this.#skipTo(maxOffset);
  }

  /** Begins recovery: keeps the entries in front whose records lie below `limit`, and goes on after them. */
  beginRecovery(limit: CommitLogOffset): void {
    this.adoptBounds(this.firstStoredOffset, this.#stored.endBelow(limit));
  }

  /** Recovery met a record of this queue: keeps the entry on disk when it is right already, else puts it. */
  reconcile(queueOffset: QueueOffset, commitLogOffset: CommitLogOffset, sizeBytes: number, tagsCode: number): boolean {
    // Two records with one queue offset (RocketMQ can write that after it lost entries): the later one takes the next place.
    // The queue's first files are missing: nothing was met yet, and this message comes before all that is stored.
    if (queueOffset < this.firstStoredOffset && this.#maxOffset === this.firstStoredOffset) {
      this.discard();
    }
    const place = Math.max(queueOffset, this.#maxOffset);
    const isWritten = this.#tailStart === this.#maxOffset;
    const entry = isWritten && place === this.#maxOffset ? this.#stored.nextAt(place) : undefined;
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
    const { fileCount } = this.#stored;
    this.#stored.endReadingAhead();
    // What was right on disk already may be in the page cache that a killed process left, and not on the device.
    if (this.#maxOffset > this.#adoptedEnd) {
      if (thorough) this.#stored.rewrite(this.#adoptedEnd, this.#tailStart);
      else this.#stored.noteUnsynced(this.#adoptedEnd);
    }
    const isNewFile = this.write(true);
    this.#stored.cutAt(this.#maxOffset, thorough);
    if (this.#maxOffset === this.firstStoredOffset) this.#minOffset = this.#maxOffset;
    return isNewFile || this.#stored.fileCount !== fileCount || this.#maxOffset > this.#adoptedEnd;
  }

  /**
   * Moves the min offset to the first entry whose record is still in the log. A single damaged entry must not hide those
   * before it: an entry counts as gone only together with the one before.
   */
  correctMin(minCommitLogOffset: CommitLogOffset): void {
    const isGoneAt = (offset: QueueOffset) => {
      const entry = this.entryAt(offset);
      return !entry || isGone(entry, minCommitLogOffset);
    };
    let low = Math.max(this.#minOffset, this.firstStoredOffset);
    let high = this.#maxOffset;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (isGoneAt(middle) && (middle === low || isGoneAt(middle - 1))) low = middle + 1;
      else high = middle;
    }
    this.#minOffset = low;
  }

  /** The queue's beginning is lost: entries up to the offset become blank. */
  #skipTo(queueOffset: QueueOffset): void {
    const isFirstEver = this.#maxOffset === 0 && this.#stored.fileCount === 0;
    if (isFirstEver) {
      // The file that holds the offset is the queue's first one: only from its start on are there blanks.
      this.#maxOffset = queueOffset - (queueOffset % this.#stored.entriesPerFile);
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
