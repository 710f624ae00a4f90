/**
 * One hash index file: slots and entries under one header (upstream: `IndexFile`; `indexFormat.ts` has the layout).
 * Derived from the log.
 *
 * The newest file is written to. Entries and header are written lazily; slots when the file is full or the store closes.
 * All other files are read and never change. Whoever finds that what is on disk differs from its check has the file
 * healed before anything of it is believed.
 */
import { assert } from '../../base/assert.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { FileHandles } from '../log/fileHandles.js';
import type { BlockCache } from './blockCache.js';
import type { IndexChecks } from './indexChecks.js';
import { IndexEntries } from './indexEntries.js';
import {
  emptyEntry,
  emptyIndexHeader,
  encodeIndexHeader,
  FIRST_ENTRY,
  INDEX_HEADER_BYTES,
  type IndexEntry,
  type IndexHeader,
  type IndexSizes,
  secondsBetween,
} from './indexFormat.js';
import type { IndexedKey } from './indexHealing.js';
import { IndexReads } from './indexReads.js';
import { adopted, healed } from './indexRebuild.js';
import { IndexSlots, type SlotTable } from './indexSlots.js';

export class IndexFile {
  readonly path: string;
  readonly name: string;
  readonly header: IndexHeader;
  readonly #sizes: IndexSizes;
  readonly #handles: FileHandles;
  readonly #checks: IndexChecks;
  readonly #reads: IndexReads;
  readonly #slots: IndexSlots;
  readonly #entries: IndexEntries;
  #isHeaderDirty = false;

  constructor(parts: {
    path: string;
    name: string;
    header: IndexHeader;
    sizes: IndexSizes;
    handles: FileHandles;
    cache: BlockCache;
    checks: IndexChecks;
    /** A block or page differs from its check: heals the file, or throws. */
    onDamage: (file: IndexFile) => void;
  }) {
    const { path, header, sizes, handles, cache, checks } = parts;
    this.path = path;
    this.name = parts.name;
    this.header = header;
    this.#sizes = sizes;
    this.#handles = handles;
    this.#checks = checks;
    const reads = new IndexReads({ path, sizes, handles, cache, checks, onDamage: () => parts.onDamage(this) });
    this.#reads = reads;
    this.#slots = new IndexSlots({ path, sizes, handles, checks, reads });
    this.#entries = new IndexEntries({ path, sizes, handles, checks, reads, end: header.indexCount });
  }

  /** Another number whenever entries of this file may have changed, and different for each file. */
  get contents(): number {
    return this.#reads.contents;
  }

  get isFull(): boolean {
    return this.header.indexCount >= this.#sizes.maxIndexNum;
  }

  get hasUnwritten(): boolean {
    return this.#entries.hasUnwritten || this.#isHeaderDirty;
  }

  /** Makes the slot table changeable. `isNew`: there is nothing on disk, all slots are empty. */
  openForWriting(isNew: boolean): void {
    if (this.#slots.isOpen) return;
    this.#reads.forget();
    this.#slots.open(isNew);
  }

  /** Adds the next entry. The file must not be full. */
  put(keyHash: number, commitLogOffset: CommitLogOffset, storeTimestamp: TimestampMillis): void {
    const { header } = this;
    const number = header.indexCount;
    const slot = keyHash % this.#sizes.maxHashSlotNum;
    assert(this.#slots.isOpen && !this.isFull, 'entries go into a file that has room');
    this.#makeRoom();
    const head = this.#slots.newest(slot);
    const previous = head <= 0 || head >= number ? 0 : head;
    if (number === FIRST_ENTRY) {
      header.beginTimestamp = storeTimestamp;
      header.beginPhyOffset = commitLogOffset;
    }
    this.#entries.put(keyHash, commitLogOffset, secondsBetween(header.beginTimestamp, storeTimestamp), previous);
    this.#slots.set(slot, number);
    if (previous === 0) header.hashSlotCount += 1;
    header.indexCount = number + 1;
    header.endPhyOffset = commitLogOffset;
    header.endTimestamp = storeTimestamp;
    this.#isHeaderDirty = true;
  }

  /** Number of the newest entry in the slot of a hash; 0 when there is none. */
  slotHead(keyHash: number): number {
    const head = this.#slots.newest(keyHash % this.#sizes.maxHashSlotNum);
    return head <= 0 || head >= this.header.indexCount ? 0 : head;
  }

  readEntry(number: number, into: IndexEntry): IndexEntry {
    return this.#entries.read(number, into);
  }

  /** Writes the entries of the tail, and the header. Throws system errors; the tail stays then. */
  writeEntries(): void {
    if (!this.hasUnwritten) return;
    // The header first: a broker that finds this file after a crash sees an end time past its checkpoint and rebuilds it.
    const header = encodeIndexHeader(this.header);
    this.#handles.use(this.path).write(header, 0, INDEX_HEADER_BYTES, 0);
    this.#checks.writeHead(header);
    this.#entries.write();
    this.#isHeaderDirty = false;
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
    return this.#slots.write(pageCount);
  }

  /** Gives back the memory of a full file, whose slots and entries are on disk. */
  release(): void {
    assert(!this.hasUnwritten, 'only a written file is released');
    this.#slots.release();
    this.#entries.release();
  }

  /** Removes the newest entries as long as they belong to records at or after the position: the inverse of {@link put}. */
  dropFrom(commitLogOffset: CommitLogOffset, beginTimestampOf: (entry: IndexEntry) => TimestampMillis): void {
    const { header } = this;
    if (header.indexCount === FIRST_ENTRY || header.endPhyOffset < commitLogOffset) return;
    this.openForWriting(false);
    const entry = emptyEntry();
    while (header.indexCount > FIRST_ENTRY) {
      this.readEntry(header.indexCount - 1, entry);
      if (entry.commitLogOffset < commitLogOffset) break;
      this.#slots.set(entry.keyHash % this.#sizes.maxHashSlotNum, entry.previous);
      if (entry.previous === 0) header.hashSlotCount -= 1;
      header.indexCount -= 1;
      this.#entries.dropFrom(header.indexCount);
    }
    if (header.indexCount === FIRST_ENTRY) Object.assign(header, emptyIndexHeader());
    else {
      header.endPhyOffset = entry.commitLogOffset;
      header.endTimestamp = beginTimestampOf(entry);
    }
    this.#isHeaderDirty = true;
    this.#entries.settle();
  }

  /** What the header would say if only the records below the position were indexed. */
  headerBelow(commitLogOffset: CommitLogOffset): IndexHeader {
    const header = { ...this.header };
    const entry = emptyEntry();
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
   * is chained to another one than the entry before it in its slot. `thorough`: it may be on no device.
   */
  adoptEntries(thorough: boolean): boolean {
    this.#checks.create();
    const { table, isChained } = adopted(this.#entries, this.#reads, this.#sizes, thorough);
    this.#take(table);
    this.#checks.writeHead(encodeIndexHeader(this.header));
    return isChained;
  }

  /**
   * Compares every block of entries with its check, makes those again that differ, and rebuilds the slot table from the
   * entries: what the file's own slots say does not count. `keysOf` tells the keys of the entries [first, first + count).
   * Returns how many blocks were made again; undefined when `keysOf` could not tell.
   */
  heal(keysOf: (first: number, count: number) => readonly IndexedKey[] | undefined): number | undefined {
    this.#reads.forget();
    this.#entries.forgetOpenBlock();
    const { beginTimestamp } = this.header;
    const result = healed(this.#entries, this.#reads, this.#sizes, { beginTimestamp, keysOf });
    if (!result) return undefined;
    this.#take(result.table);
    return result.blockCount;
  }

  async sync(): Promise<void> {
    await this.#handles.sync(this.path);
    await this.#checks.sync();
  }

  syncNow(): void {
    this.#handles.syncNow(this.path);
    this.#checks.syncNow();
  }

  #take({ slots, usedCount }: SlotTable): void {
    this.#slots.take(slots);
    this.header.hashSlotCount = usedCount;
    this.#isHeaderDirty = true;
    this.#entries.forgetOpenBlock();
  }

  /**
   * A full tail is written. When the disk refuses, it grows instead, because an append is under way: whoever writes the
   * index each second meets the refusal again and stops further appends.
   */
  #makeRoom(): void {
    if (!this.#entries.isTailFull) return;
    try {
      this.writeEntries();
    } catch {
      this.#entries.growTail();
    }
  }
}
