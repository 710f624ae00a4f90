/**
 * One hash index file: a slot table and an array of entries, chained per slot from the newest back (upstream:
 * `IndexFile`, `IndexHeader`). Derived from the log.
 *
 *     header, 40 bytes          slot, 4 bytes            entry, 20 bytes
 *     beginTimestamp   8        number of the slot's     keyHash          4
 *     endTimestamp     8        newest entry, 0 = none   commitLogOffset  8
 *     beginPhyOffset   8                                 timeDiff         4   seconds since beginTimestamp
 *     endPhyOffset     8                                 previous         4   entry of the same slot, 0 = none
 *     hashSlotCount    4   slots in use
 *     indexCount       4   number of the next entry; entry 0 is never used
 *
 * The newest file is written to: its slots are in memory, loaded page by page, and its newest entries wait in a tail.
 * Entries and header are written lazily; slots when the file is full or the store closes, because they can be rebuilt
 * from the entries. All other files are read through a block cache and never change.
 */
import { assert } from '../../base/assert.js';
import { readInt64, writeInt64 } from '../../base/bytes.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { FileHandles } from '../log/fileHandles.js';
import type { BlockCache } from './blockCache.js';

export const INDEX_HEADER_BYTES = 40;
export const INDEX_SLOT_BYTES = 4;
export const INDEX_ENTRY_BYTES = 20;
/** The number of the first entry. */
export const FIRST_ENTRY = 1;

const SLOTS_PER_PAGE = 1024;
const ENTRIES_PER_BLOCK = 200;
const BLOCK_BYTES = ENTRIES_PER_BLOCK * INDEX_ENTRY_BYTES;
/** Slot pages take the upper half of a file's keys in the block cache. */
const SLOT_PAGE_KEYS = 2 ** 25;
const TAIL_ENTRIES = 8192;
const PAGE = { UNLOADED: 0, CLEAN: 1, DIRTY: 2 } as const;

export interface IndexHeader {
  beginTimestamp: TimestampMillis;
  endTimestamp: TimestampMillis;
  beginPhyOffset: CommitLogOffset;
  endPhyOffset: CommitLogOffset;
  hashSlotCount: number;
  indexCount: number;
}

export interface IndexEntry {
  keyHash: number;
  commitLogOffset: CommitLogOffset;
  timeDiffSeconds: number;
  previous: number;
}

export interface IndexSizes {
  maxHashSlotNum: number;
  maxIndexNum: number;
}

export function indexFileBytes(sizes: IndexSizes): number {
  return INDEX_HEADER_BYTES + sizes.maxHashSlotNum * INDEX_SLOT_BYTES + sizes.maxIndexNum * INDEX_ENTRY_BYTES;
}

export function emptyIndexHeader(): IndexHeader {
  return { beginTimestamp: 0, endTimestamp: 0, beginPhyOffset: 0, endPhyOffset: 0, hashSlotCount: 0, indexCount: 1 };
}

export function decodeIndexHeader(source: Buffer): IndexHeader {
  return {
    beginTimestamp: readInt64(source, 0),
    endTimestamp: readInt64(source, 8),
    beginPhyOffset: readInt64(source, 16),
    endPhyOffset: readInt64(source, 24),
    hashSlotCount: source.readInt32BE(32),
    // Upstream reads 0 (a new file) as 1.
    indexCount: Math.max(FIRST_ENTRY, source.readInt32BE(36)),
  };
}

function encodeIndexHeader(header: IndexHeader): Buffer {
  const bytes = Buffer.alloc(INDEX_HEADER_BYTES);
  writeInt64(bytes, header.beginTimestamp, 0);
  writeInt64(bytes, header.endTimestamp, 8);
  writeInt64(bytes, header.beginPhyOffset, 16);
  writeInt64(bytes, header.endPhyOffset, 24);
  bytes.writeInt32BE(header.hashSlotCount, 32);
  bytes.writeInt32BE(header.indexCount, 36);
  return bytes;
}

export function decodeIndexEntry(source: Buffer, at: number, into: IndexEntry): IndexEntry {
  into.keyHash = source.readInt32BE(at);
  into.commitLogOffset = source.readInt32BE(at + 4) * 0x1_0000_0000 + source.readUInt32BE(at + 8);
  into.timeDiffSeconds = source.readInt32BE(at + 12);
  into.previous = source.readInt32BE(at + 16);
  return into;
}

export class IndexFile {
  readonly path: string;
  readonly name: string;
  readonly header: IndexHeader;
  readonly #sizes: IndexSizes;
  readonly #handles: FileHandles;
  readonly #cache: BlockCache;
  #cacheKeys: number;
  /** Of the file that is written to, and of full ones until their slots are on disk. */
  #slots: Int32Array | undefined;
  #pages: Uint8Array | undefined;
  #tail: Buffer | undefined;
  /** Number of the first entry that is only in the tail. */
  #tailFirst: number;
  #isHeaderDirty = false;
  #nextSlotPage = 0;

  constructor(parts: {
    path: string;
    name: string;
    header: IndexHeader;
    sizes: IndexSizes;
    handles: FileHandles;
    cache: BlockCache;
  }) {
    this.path = parts.path;
    this.name = parts.name;
    this.header = parts.header;
    this.#sizes = parts.sizes;
    this.#handles = parts.handles;
    this.#cache = parts.cache;
    this.#cacheKeys = parts.cache.reserveKeys();
    this.#tailFirst = parts.header.indexCount;
  }

  get isFull(): boolean {
    return this.header.indexCount >= this.#sizes.maxIndexNum;
  }

  get hasUnwritten(): boolean {
    return this.#tailFirst < this.header.indexCount || this.#isHeaderDirty;
  }

  /** Makes the slot table changeable. `isNew`: there is nothing on disk, all slots are empty. */
  openForWriting(isNew: boolean): void {
    if (this.#slots) return;
    this.#cacheKeys = this.#cache.reserveKeys();
    this.#slots = new Int32Array(this.#sizes.maxHashSlotNum);
    this.#pages = new Uint8Array(Math.ceil(this.#sizes.maxHashSlotNum / SLOTS_PER_PAGE));
    if (isNew) this.#pages.fill(PAGE.CLEAN);
  }

  /** Adds the next entry. The file must not be full. */
  put(keyHash: number, commitLogOffset: CommitLogOffset, storeTimestamp: TimestampMillis): void {
    const { header } = this;
    const slots = this.#slots;
    assert(slots && !this.isFull, 'entries go into a file that has room');
    const number = header.indexCount;
    const slot = keyHash % this.#sizes.maxHashSlotNum;
    const page = slot >>> 10;
    this.#needPage(page);
    const head = slots[slot] ?? 0;
    const previous = head <= 0 || head >= number ? 0 : head;
    if (number === FIRST_ENTRY) {
      header.beginTimestamp = storeTimestamp;
      header.beginPhyOffset = commitLogOffset;
    }
    if (previous === 0) header.hashSlotCount += 1;
    const tail = this.#roomInTail();
    const at = (number - this.#tailFirst) * INDEX_ENTRY_BYTES;
    tail.writeInt32BE(keyHash, at);
    writeInt64(tail, commitLogOffset, at + 4);
    tail.writeInt32BE(secondsBetween(header.beginTimestamp, storeTimestamp), at + 12);
    tail.writeInt32BE(previous, at + 16);
    slots[slot] = number;
    if (this.#pages) this.#pages[page] = PAGE.DIRTY;
    header.indexCount = number + 1;
    header.endPhyOffset = commitLogOffset;
    header.endTimestamp = storeTimestamp;
    this.#isHeaderDirty = true;
  }

  /** Number of the newest entry in the slot of a hash; 0 when there is none. */
  slotHead(keyHash: number): number {
    const slot = keyHash % this.#sizes.maxHashSlotNum;
    let head: number;
    if (this.#slots) {
      this.#needPage(slot >>> 10);
      head = this.#slots[slot] ?? 0;
    } else {
      head = this.#slotPage(slot >>> 10).readInt32BE((slot & (SLOTS_PER_PAGE - 1)) * INDEX_SLOT_BYTES);
    }
    return head <= 0 || head >= this.header.indexCount ? 0 : head;
  }

  readEntry(number: number, into: IndexEntry): IndexEntry {
    assert(number >= FIRST_ENTRY && number < this.header.indexCount, 'entries are numbered from 1');
    if (this.#tail && number >= this.#tailFirst) {
      return decodeIndexEntry(this.#tail, (number - this.#tailFirst) * INDEX_ENTRY_BYTES, into);
    }
    const block = Math.floor(number / ENTRIES_PER_BLOCK);
    const at = (number % ENTRIES_PER_BLOCK) * INDEX_ENTRY_BYTES;
    const key = this.#cacheKeys + block;
    const cached = this.#cache.get(key);
    if (cached) return decodeIndexEntry(cached, at, into);
    const bytes = Buffer.alloc(BLOCK_BYTES);
    this.#handles.use(this.path).read(bytes, 0, BLOCK_BYTES, this.#entryPosition(block * ENTRIES_PER_BLOCK));
    // Only a block whose entries are all written is final.
    if ((block + 1) * ENTRIES_PER_BLOCK <= this.#tailFirst) this.#cache.put(key, bytes);
    return decodeIndexEntry(bytes, at, into);
  }

  /** Writes the entries of the tail, and the header. Throws system errors; the tail stays then. */
  writeEntries(): void {
    if (!this.hasUnwritten) return;
    const file = this.#handles.use(this.path);
    const count = this.header.indexCount - this.#tailFirst;
    // The header first: a broker that finds this file after a crash sees an end time past its checkpoint and rebuilds it.
    file.write(encodeIndexHeader(this.header), 0, INDEX_HEADER_BYTES, 0);
    if (this.#tail && count > 0) {
      file.write(this.#tail, 0, count * INDEX_ENTRY_BYTES, this.#entryPosition(this.#tailFirst));
      this.#tailFirst = this.header.indexCount;
    }
    this.#isHeaderDirty = false;
  }

  /** Writes up to `pageCount` changed pages of the slot table; true when none is left. */
  writeSlots(pageCount: number): boolean {
    const pages = this.#pages;
    const slots = this.#slots;
    if (!pages || !slots) return true;
    const bytes = Buffer.allocUnsafe(SLOTS_PER_PAGE * INDEX_SLOT_BYTES);
    let left = pageCount;
    for (; this.#nextSlotPage < pages.length; this.#nextSlotPage += 1) {
      const page = this.#nextSlotPage;
      if (pages[page] !== PAGE.DIRTY) continue;
      if (left === 0) return false;
      left -= 1;
      const first = page * SLOTS_PER_PAGE;
      const count = Math.min(SLOTS_PER_PAGE, slots.length - first);
      for (let index = 0; index < count; index += 1) bytes.writeInt32BE(slots[first + index] ?? 0, index * 4);
      const position = INDEX_HEADER_BYTES + first * INDEX_SLOT_BYTES;
      this.#handles.use(this.path).write(bytes, 0, count * INDEX_SLOT_BYTES, position);
      pages[page] = PAGE.CLEAN;
    }
    this.#nextSlotPage = 0;
    return true;
  }

  /** Gives back the memory of a full file, whose slots and entries are on disk. */
  release(): void {
    assert(!this.hasUnwritten, 'only a written file is released');
    this.#slots = undefined;
    this.#pages = undefined;
    this.#tail = undefined;
  }

  /** Removes the newest entries as long as they belong to records at or after the position: the inverse of {@link put}. */
  dropFrom(commitLogOffset: CommitLogOffset, beginTimestampOf: (entry: IndexEntry) => TimestampMillis): void {
    const { header } = this;
    if (header.indexCount === FIRST_ENTRY || header.endPhyOffset < commitLogOffset) return;
    this.openForWriting(false);
    const entry: IndexEntry = { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
    while (header.indexCount > FIRST_ENTRY) {
      this.readEntry(header.indexCount - 1, entry);
      if (entry.commitLogOffset < commitLogOffset) break;
      const slot = entry.keyHash % this.#sizes.maxHashSlotNum;
      this.#needPage(slot >>> 10);
      if (this.#slots) this.#slots[slot] = entry.previous;
      if (this.#pages) this.#pages[slot >>> 10] = PAGE.DIRTY;
      if (entry.previous === 0) header.hashSlotCount -= 1;
      header.indexCount -= 1;
    }
    if (header.indexCount === FIRST_ENTRY) Object.assign(header, emptyIndexHeader());
    else {
      header.endPhyOffset = entry.commitLogOffset;
      header.endTimestamp = beginTimestampOf(entry);
    }
    this.#settleTail();
  }

  /** What the header would say if only the records below the position were indexed. */
  headerBelow(commitLogOffset: CommitLogOffset): IndexHeader {
    const header = { ...this.header };
    const entry: IndexEntry = { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
    while (header.indexCount > FIRST_ENTRY) {
      this.readEntry(header.indexCount - 1, entry);
      if (entry.commitLogOffset < commitLogOffset) break;
      header.indexCount -= 1;
    }
    if (header.indexCount === FIRST_ENTRY) return emptyIndexHeader();
    if (header.indexCount === this.header.indexCount) return header;
    header.endPhyOffset = entry.commitLogOffset;
    header.endTimestamp = header.beginTimestamp + entry.timeDiffSeconds * 1000;
    return header;
  }

  /** Rebuilds the slot table from the entries; what the file's own slots say does not count. */
  rebuildSlots(): void {
    const slots = new Int32Array(this.#sizes.maxHashSlotNum);
    const entry: IndexEntry = { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
    let used = 0;
    this.forEachStored((number, bytes, at) => {
      decodeIndexEntry(bytes, at, entry);
      const slot = entry.keyHash % slots.length;
      if (slots[slot] === 0) used += 1;
      slots[slot] = number;
      return true;
    });
    this.#slots = slots;
    this.#pages = new Uint8Array(Math.ceil(slots.length / SLOTS_PER_PAGE)).fill(PAGE.DIRTY);
    this.#nextSlotPage = 0;
    this.header.hashSlotCount = used;
    this.#isHeaderDirty = true;
  }

  /** Reads the entries on disk in order, in large blocks; stops when `visit` says false. */
  forEachStored(visit: (number: number, bytes: Buffer, at: number) => boolean): void {
    const perRead = 16 * ENTRIES_PER_BLOCK;
    const bytes = Buffer.allocUnsafe(perRead * INDEX_ENTRY_BYTES);
    for (let first = FIRST_ENTRY; first < this.#tailFirst; first += perRead) {
      const count = Math.min(perRead, this.#tailFirst - first);
      bytes.fill(0);
      this.#handles.use(this.path).read(bytes, 0, count * INDEX_ENTRY_BYTES, this.#entryPosition(first));
      for (let index = 0; index < count; index += 1) {
        if (!visit(first + index, bytes, index * INDEX_ENTRY_BYTES)) return;
      }
    }
  }

  sync(): Promise<void> {
    return this.#handles.sync(this.path);
  }

  syncNow(): void {
    this.#handles.syncNow(this.path);
  }

  /**
   * A tail with room for one more entry. A full one is written; when the disk refuses, it grows instead, because an
   * append is under way: whoever writes the index each second meets the refusal again and stops further appends.
   */
  #roomInTail(): Buffer {
    const count = this.header.indexCount - this.#tailFirst;
    let tail = this.#tail;
    if (tail && (count + 1) * INDEX_ENTRY_BYTES <= tail.length) return tail;
    if (tail && count > 0) {
      try {
        this.writeEntries();
        return tail;
      } catch {
        const grown = Buffer.allocUnsafeSlow(tail.length * 2);
        tail.copy(grown);
        tail = grown;
      }
    }
    tail ??= Buffer.allocUnsafeSlow(Math.min(TAIL_ENTRIES, this.#sizes.maxIndexNum) * INDEX_ENTRY_BYTES);
    this.#tail = tail;
    return tail;
  }

  /** After entries were removed: those that were written count as written, the header is stale. */
  #settleTail(): void {
    this.#isHeaderDirty = true;
    if (this.#tailFirst <= this.header.indexCount) return;
    // Removed entries that the file holds are overwritten by the next ones; zeros until then.
    const count = this.#tailFirst - this.header.indexCount;
    const zeros = Buffer.alloc(count * INDEX_ENTRY_BYTES);
    this.#handles.use(this.path).write(zeros, 0, zeros.length, this.#entryPosition(this.header.indexCount));
    this.#tailFirst = this.header.indexCount;
    this.#tail = undefined;
    this.#cacheKeys = this.#cache.reserveKeys();
  }

  #entryPosition(number: number): number {
    return INDEX_HEADER_BYTES + this.#sizes.maxHashSlotNum * INDEX_SLOT_BYTES + number * INDEX_ENTRY_BYTES;
  }

  #needPage(page: number): void {
    const pages = this.#pages;
    const slots = this.#slots;
    if (!pages || !slots || pages[page] !== PAGE.UNLOADED) return;
    const first = page * SLOTS_PER_PAGE;
    const count = Math.min(SLOTS_PER_PAGE, slots.length - first);
    const bytes = this.#readSlots(page, count);
    for (let index = 0; index < count; index += 1) slots[first + index] = bytes.readInt32BE(index * INDEX_SLOT_BYTES);
    pages[page] = PAGE.CLEAN;
  }

  #slotPage(page: number): Buffer {
    const key = this.#cacheKeys + SLOT_PAGE_KEYS + page;
    return this.#cache.get(key) ?? this.#cache.put(key, this.#readSlots(page, SLOTS_PER_PAGE));
  }

  #readSlots(page: number, count: number): Buffer {
    const bytes = Buffer.alloc(count * INDEX_SLOT_BYTES);
    const position = INDEX_HEADER_BYTES + page * SLOTS_PER_PAGE * INDEX_SLOT_BYTES;
    this.#handles.use(this.path).read(bytes, 0, bytes.length, position);
    return bytes;
  }
}

/** Whole seconds, as upstream counts: 0 when the clock went back, at most what an int holds. */
function secondsBetween(begin: TimestampMillis, end: TimestampMillis): number {
  if (begin <= 0) return 0;
  return Math.min(0x7fffffff, Math.max(0, Math.trunc((end - begin) / 1000)));
}
