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
 * from the entries. All other files are read through a block cache and never change. What is read from the disk is
 * compared with its checksum (`indexChecks.ts`); on a difference the file heals before anything of it is believed.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../../base/assert.js';
import { readInt64, writeInt64 } from '../../base/bytes.js';
import { CorruptionError } from '../../base/errors.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { FileHandles } from '../log/fileHandles.js';
import type { BlockCache } from './blockCache.js';
import { checkOf, type IndexChecks, storedForm } from './indexChecks.js';
import type { IndexedKey } from './indexHealing.js';

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

/** Pages of the slot table, each with a check of its own. */
export function slotPagesOf(sizes: IndexSizes): number {
  return Math.ceil(sizes.maxHashSlotNum / SLOTS_PER_PAGE);
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

export function encodeIndexHeader(header: IndexHeader): Buffer {
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
  readonly #checks: IndexChecks;
  /** CRC-32 of the written entries of the block that the next entry written goes into. */
  #openCrc: number | undefined;
  /** A block or page differs from its check: heals the file, or throws. */
  readonly #onDamage: (file: IndexFile) => void;

  constructor(parts: {
    path: string;
    name: string;
    header: IndexHeader;
    sizes: IndexSizes;
    handles: FileHandles;
    cache: BlockCache;
    checks: IndexChecks;
    onDamage: (file: IndexFile) => void;
  }) {
    this.#checks = parts.checks;
    this.#onDamage = parts.onDamage;
    this.path = parts.path;
    this.name = parts.name;
    this.header = parts.header;
    this.#sizes = parts.sizes;
    this.#handles = parts.handles;
    this.#cache = parts.cache;
    this.#cacheKeys = parts.cache.reserveKeys();
    this.#tailFirst = parts.header.indexCount;
  }

  /** Another number whenever entries of this file may have changed, and different for each file. */
  get contents(): number {
    return this.#cacheKeys;
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
    const number = header.indexCount;
    const slot = keyHash % this.#sizes.maxHashSlotNum;
    const page = slot >>> 10;
    this.#needPage(page);
    const slots = this.#slots;
    assert(slots && !this.isFull, 'entries go into a file that has room');
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
    const bytes = this.#sound(() => this.#checkedBlock(block));
    // Only a block whose entries are all written is final.
    if ((block + 1) * ENTRIES_PER_BLOCK <= this.#tailFirst) this.#cache.put(this.#cacheKeys + block, bytes);
    return decodeIndexEntry(bytes, at, into);
  }

  /** Writes the entries of the tail, and the header. Throws system errors; the tail stays then. */
  writeEntries(): void {
    if (!this.hasUnwritten) return;
    const file = this.#handles.use(this.path);
    const count = this.header.indexCount - this.#tailFirst;
    // The header first: a broker that finds this file after a crash sees an end time past its checkpoint and rebuilds it.
    const header = encodeIndexHeader(this.header);
    file.write(header, 0, INDEX_HEADER_BYTES, 0);
    this.#checks.writeHead(header);
    if (this.#tail && count > 0) {
      const before = this.#crcOfOpenBlock();
      this.#handles
        .use(this.path)
        .write(this.#tail, 0, count * INDEX_ENTRY_BYTES, this.#entryPosition(this.#tailFirst));
      this.#openCrc = this.#writeChecks(this.#tail, count, before);
      this.#tailFirst = this.header.indexCount;
    }
    this.#isHeaderDirty = false;
  }

  /** Checks of the blocks that the tail's entries lie in; returns the CRC of the last one if it is still open. */
  #writeChecks(tail: Buffer, count: number, crcBefore: number): number | undefined {
    const firstBlock = Math.floor(this.#tailFirst / ENTRIES_PER_BLOCK);
    const checks: number[] = [];
    let crc: number | undefined = crcBefore;
    for (let done = 0; done < count; ) {
      const room = ENTRIES_PER_BLOCK - ((this.#tailFirst + done) % ENTRIES_PER_BLOCK);
      const taken = Math.min(room, count - done);
      const bytes = tail.subarray(done * INDEX_ENTRY_BYTES, (done + taken) * INDEX_ENTRY_BYTES);
      const sum: number = crc32(bytes, crc ?? 0);
      checks.push(storedForm(sum));
      crc = taken === room ? undefined : sum;
      done += taken;
    }
    this.#checks.writeEntryChecks(firstBlock, checks);
    return crc;
  }

  #crcOfOpenBlock(): number {
    if (this.#openCrc !== undefined) return this.#openCrc;
    const block = Math.floor(this.#tailFirst / ENTRIES_PER_BLOCK);
    const first = Math.max(FIRST_ENTRY, block * ENTRIES_PER_BLOCK);
    if (this.#tailFirst <= first) return 0;
    const bytes = this.#sound(() => this.#checkedBlock(block));
    return crc32(this.#checkedPart(block, bytes));
  }

  /** What `read` gives; when it finds the file damaged, after healing. */
  #sound(read: () => Buffer | undefined): Buffer {
    const bytes = read();
    if (bytes) return bytes;
    this.#onDamage(this);
    const healed = read();
    if (healed) return healed;
    throw new CorruptionError(
      `index file ${this.path} is damaged: stop the store, it is built anew at the next start`,
      {
        file: this.path,
        offset: 0,
      },
    );
  }

  /** A block of entries as it is on disk; undefined when it differs from its check. */
  #checkedBlock(block: number): Buffer | undefined {
    const bytes = Buffer.alloc(BLOCK_BYTES);
    this.#handles.use(this.path).read(bytes, 0, BLOCK_BYTES, this.#entryPosition(block * ENTRIES_PER_BLOCK));
    return checkOf(this.#checkedPart(block, bytes)) === this.#checks.entryCheck(block) ? bytes : undefined;
  }

  /** The entries of a block that are written, without entry 0. */
  #checkedPart(block: number, bytes: Buffer): Buffer {
    const first = block * ENTRIES_PER_BLOCK;
    const end = Math.min(ENTRIES_PER_BLOCK, this.#tailFirst - first);
    return bytes.subarray((first === 0 ? FIRST_ENTRY : 0) * INDEX_ENTRY_BYTES, end * INDEX_ENTRY_BYTES);
  }

  /** Do the checks beside the file belong to it, as far as can be seen without reading it? */
  hasChecks(withHeader: boolean): boolean {
    return this.#checks.belongTo(withHeader ? encodeIndexHeader(this.header) : undefined);
  }

  removeChecks(): void {
    this.#checks.remove();
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
      this.#checks.writeSlotCheck(page, checkOf(bytes.subarray(0, count * INDEX_SLOT_BYTES)));
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

  /**
   * Takes a file of unknown origin: rebuilds the slot table from the entries, and makes the checks. False when an entry
   * is chained to another one than the entry before it in its slot.
   */
  adoptEntries(): boolean {
    this.#checks.create();
    const table = this.#newTable();
    const entry: IndexEntry = { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
    let isChained = true;
    for (let block = 0; block * ENTRIES_PER_BLOCK < this.#tailFirst; block += 1) {
      const bytes = this.#readBlock(block);
      this.#forEachIn(block, (number, at) => {
        decodeIndexEntry(bytes, at, entry);
        if (entry.keyHash < 0 || entry.previous !== table.head(entry.keyHash)) isChained = false;
        table.put(entry.keyHash, number);
      });
      if (block > 0 || this.#tailFirst > FIRST_ENTRY) {
        this.#checks.writeEntryChecks(block, [checkOf(this.#checkedPart(block, bytes))]);
      }
    }
    this.#takeTable(table);
    this.#checks.writeHead(encodeIndexHeader(this.header));
    return isChained;
  }

  /**
   * Compares every block of entries with its check, makes those again that differ, and rebuilds the slot table from the
   * entries: what the file's own slots say does not count. `keysOf` tells the keys of the entries [first, first + count).
   * Returns how many blocks were made again; undefined when `keysOf` could not tell.
   */
  heal(keysOf: (first: number, count: number) => readonly IndexedKey[] | undefined): number | undefined {
    this.#cacheKeys = this.#cache.reserveKeys();
    this.#openCrc = undefined;
    const table = this.#newTable();
    const blockCount = Math.ceil(this.#tailFirst / ENTRIES_PER_BLOCK);
    let healedCount = 0;
    for (let block = 0; block < blockCount; block += 1) {
      const bytes = this.#tailFirst > FIRST_ENTRY ? this.#checkedBlock(block) : this.#readBlock(block);
      if (!bytes) {
        let end = block + 1;
        while (end < blockCount && !this.#checkedBlock(end)) end += 1;
        const first = Math.max(FIRST_ENTRY, block * ENTRIES_PER_BLOCK);
        const keys = keysOf(first, Math.min(end * ENTRIES_PER_BLOCK, this.#tailFirst) - first);
        if (!keys) return undefined;
        this.#makeAgain(first, keys, table);
        healedCount += end - block;
        block = end - 1;
        continue;
      }
      this.#forEachIn(block, (number, at) => table.put(bytes.readInt32BE(at), number));
    }
    const tail = this.#tail;
    for (let number = this.#tailFirst; tail && number < this.header.indexCount; number += 1) {
      table.put(tail.readInt32BE((number - this.#tailFirst) * INDEX_ENTRY_BYTES), number);
    }
    this.#takeTable(table);
    return healedCount;
  }

  /** Writes entries in place of damaged ones, chained as they were. */
  #makeAgain(first: number, keys: readonly IndexedKey[], table: SlotTable): void {
    const bytes = Buffer.alloc(keys.length * INDEX_ENTRY_BYTES);
    for (const [index, { keyHash, commitLogOffset, storeTimestamp }] of keys.entries()) {
      const at = index * INDEX_ENTRY_BYTES;
      bytes.writeInt32BE(keyHash, at);
      writeInt64(bytes, commitLogOffset, at + 4);
      bytes.writeInt32BE(secondsBetween(this.header.beginTimestamp, storeTimestamp), at + 12);
      bytes.writeInt32BE(table.head(keyHash), at + 16);
      table.put(keyHash, first + index);
    }
    this.#handles.use(this.path).write(bytes, 0, bytes.length, this.#entryPosition(first));
    const lastBlock = Math.floor((first + keys.length - 1) / ENTRIES_PER_BLOCK);
    for (let block = Math.floor(first / ENTRIES_PER_BLOCK); block <= lastBlock; block += 1) {
      this.#checks.writeEntryChecks(block, [checkOf(this.#checkedPart(block, this.#readBlock(block)))]);
    }
  }

  #newTable(): SlotTable {
    return new SlotTable(this.#sizes.maxHashSlotNum);
  }

  #takeTable({ slots, usedCount }: SlotTable): void {
    this.#slots = slots;
    this.#pages = new Uint8Array(slotPagesOf(this.#sizes)).fill(PAGE.DIRTY);
    this.#nextSlotPage = 0;
    this.header.hashSlotCount = usedCount;
    this.#isHeaderDirty = true;
    this.#openCrc = undefined;
  }

  #readBlock(block: number): Buffer {
    const bytes = Buffer.alloc(BLOCK_BYTES);
    this.#handles.use(this.path).read(bytes, 0, BLOCK_BYTES, this.#entryPosition(block * ENTRIES_PER_BLOCK));
    return bytes;
  }

  /** The entries of a block that are on disk. */
  #forEachIn(block: number, visit: (number: number, at: number) => void): void {
    const start = block * ENTRIES_PER_BLOCK;
    const end = Math.min(start + ENTRIES_PER_BLOCK, this.#tailFirst);
    for (let number = Math.max(FIRST_ENTRY, start); number < end; number += 1) {
      visit(number, (number - start) * INDEX_ENTRY_BYTES);
    }
  }

  async sync(): Promise<void> {
    await this.#handles.sync(this.path);
    await this.#checks.sync();
  }

  syncNow(): void {
    this.#handles.syncNow(this.path);
    this.#checks.syncNow();
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
    this.#openCrc = undefined;
    const block = Math.floor(this.#tailFirst / ENTRIES_PER_BLOCK);
    const part = this.#checkedPart(block, this.#readBlock(block));
    this.#checks.writeEntryChecks(block, [part.length === 0 ? 0 : checkOf(part)]);
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
    // The whole table is another one when it had to heal.
    if (this.#slots !== slots) return;
    for (let index = 0; index < count; index += 1) slots[first + index] = bytes.readInt32BE(index * INDEX_SLOT_BYTES);
    pages[page] = PAGE.CLEAN;
  }

  #slotPage(page: number): Buffer {
    const key = this.#cacheKeys + SLOT_PAGE_KEYS + page;
    const cached = this.#cache.get(key);
    if (cached) return cached;
    const count = Math.min(SLOTS_PER_PAGE, this.#sizes.maxHashSlotNum - page * SLOTS_PER_PAGE);
    const bytes = this.#readSlots(page, count);
    return this.#cache.put(this.#cacheKeys + SLOT_PAGE_KEYS + page, bytes);
  }

  #readSlots(page: number, count: number): Buffer {
    return this.#sound(() => {
      const bytes = Buffer.alloc(count * INDEX_SLOT_BYTES);
      const position = INDEX_HEADER_BYTES + page * SLOTS_PER_PAGE * INDEX_SLOT_BYTES;
      this.#handles.use(this.path).read(bytes, 0, bytes.length, position);
      const check = this.#checks.slotCheck(page);
      const isRight = check === 0 ? bytes.every((byte) => byte === 0) : checkOf(bytes) === check;
      return isRight ? bytes : undefined;
    });
  }
}

/** A slot table that grows from the entries. */
class SlotTable {
  readonly slots: Int32Array;
  usedCount = 0;

  constructor(slotCount: number) {
    this.slots = new Int32Array(slotCount);
  }

  head(keyHash: number): number {
    return this.slots[keyHash % this.slots.length] ?? 0;
  }

  put(keyHash: number, number: number): void {
    const slot = keyHash % this.slots.length;
    if (this.slots[slot] === 0) this.usedCount += 1;
    this.slots[slot] = number;
  }
}

/** Whole seconds, as upstream counts: 0 when the clock went back, at most what an int holds. */
function secondsBetween(begin: TimestampMillis, end: TimestampMillis): number {
  if (begin <= 0) return 0;
  return Math.min(0x7fffffff, Math.max(0, Math.trunc((end - begin) / 1000)));
}
