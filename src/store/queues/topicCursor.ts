/**
 * One queue on its way through a read of topics (`topicReader.ts`): the entry that comes next, in either direction, within
 * bounds of the log. Two ways of going on: in stretches, believing each entry as long as it can be true, or one place
 * after the other, each held against its record. The first is for a sound queue; its reader compares every record that
 * it takes and begins anew in the second when one does not fit.
 */
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import { RECORD_MIN_BYTES } from '../../protocol/messageRecord.js';
import type { ConsumeQueue } from './consumeQueue.js';
import { BLANK_ENTRY_SIZE, type QueueEntry } from './queueEntry.js';
import type { QueuePlaces } from './queuePlaces.js';

/** Entries that are read at once. */
const STRETCH_ENTRIES = 64;

/** What lies next: an entry, nothing within the bounds, an entry that cannot be true, or a record that is searched. */
export type CursorState = 'ENTRY' | 'END' | 'DOUBT' | 'SEARCHING';

export class TopicCursor {
  readonly queue: ConsumeQueue;
  /** Of the entry that comes next. */
  offset: QueueOffset;
  commitLogOffset: CommitLogOffset = 0;
  sizeBytes = 0;
  readonly #places: QueuePlaces;
  readonly #isForwards: boolean;
  /** The bounds of the read; `#bound` moves with the entries taken. */
  readonly #from: CommitLogOffset;
  readonly #until: CommitLogOffset;
  readonly #isCareful: boolean;
  #bound: CommitLogOffset;
  #stretch: readonly QueueEntry[] = [];
  #stretchStart: QueueOffset = 0;

  constructor(parts: {
    queue: ConsumeQueue;
    places: QueuePlaces;
    offset: QueueOffset;
    isForwards: boolean;
    from: CommitLogOffset;
    until: CommitLogOffset;
    isCareful: boolean;
  }) {
    this.queue = parts.queue;
    this.offset = parts.offset;
    this.#places = parts.places;
    this.#isForwards = parts.isForwards;
    this.#from = parts.from;
    this.#until = parts.until;
    this.#isCareful = parts.isCareful;
    this.#bound = parts.isForwards ? parts.from : parts.until;
  }

  /** Where the record that is searched, or any other that is left of this queue, cannot lie beyond. */
  get bound(): CommitLogOffset {
    return this.#bound;
  }

  /** Looks at the entry at {@link offset}. */
  look(): CursorState {
    return this.#isCareful ? this.#lookClosely() : this.#lookAhead();
  }

  /** Goes on behind the entry that was looked at. */
  next(): CursorState {
    this.#bound = this.#isForwards ? this.commitLogOffset + this.sizeBytes : this.commitLogOffset;
    this.offset += this.#isForwards ? 1 : -1;
    return this.look();
  }

  /** Does the log say the same of the entry that was looked at? */
  isTrue(): boolean {
    const place = this.#places.at(this.queue, this.offset);
    return place.status === 'FOUND' && place.entry.commitLogOffset === this.commitLogOffset;
  }

  get #isInQueue(): boolean {
    return this.offset >= this.queue.minOffset && this.offset < this.queue.maxOffset;
  }

  #lookAhead(): CursorState {
    if (!this.#isInQueue) return 'END';
    let entry = this.#stretch[this.offset - this.#stretchStart];
    if (!entry) {
      this.#readStretch();
      entry = this.#stretch[this.offset - this.#stretchStart];
    }
    if (!entry || entry.sizeBytes < RECORD_MIN_BYTES || entry.sizeBytes === BLANK_ENTRY_SIZE) return 'DOUBT';
    const { commitLogOffset, sizeBytes } = entry;
    const isInOrder = this.#isForwards
      ? commitLogOffset >= this.#bound
      : commitLogOffset + sizeBytes <= this.#bound && commitLogOffset >= 0;
    if (!isInOrder) return 'DOUBT';
    this.commitLogOffset = commitLogOffset;
    this.sizeBytes = sizeBytes;
    const isBeyond = this.#isForwards ? commitLogOffset >= this.#until : commitLogOffset < this.#from;
    // An entry that wrongly lies beyond would hide all behind it.
    if (isBeyond) return this.isTrue() ? 'END' : 'DOUBT';
    return 'ENTRY';
  }

  #readStretch(): void {
    const { queue, offset } = this;
    this.#stretchStart = offset;
    if (!this.#isForwards) {
      let start = Math.max(queue.minOffset, offset - STRETCH_ENTRIES + 1);
      // Entries of one file are read at a time.
      for (let next = queue.nextFileOffset(start); next <= offset; next = queue.nextFileOffset(start)) start = next;
      this.#stretchStart = start;
    }
    const count = this.#isForwards ? STRETCH_ENTRIES : offset - this.#stretchStart + 1;
    this.#stretch = queue.readEntries(this.#stretchStart, count);
  }

  #lookClosely(): CursorState {
    for (; this.#isInQueue; this.offset += this.#isForwards ? 1 : -1) {
      const place = this.#places.at(this.queue, this.offset);
      if (place.status === 'SEARCHING') return 'SEARCHING';
      // Nothing of it is left in the log: the queue offsets that come out tell of the gap.
      if (place.status === 'GONE') continue;
      const { commitLogOffset, sizeBytes } = place.entry;
      const isBeyond = this.#isForwards ? commitLogOffset >= this.#until : commitLogOffset < this.#from;
      if (isBeyond) return 'END';
      this.commitLogOffset = commitLogOffset;
      this.sizeBytes = sizeBytes;
      return 'ENTRY';
    }
    return 'END';
  }
}
