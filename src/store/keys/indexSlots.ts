/**
 * The slot table of one index file: for each slot the number of its newest entry. Of the file that is written to, and of
 * full ones until their slots are on disk, the table is in memory, loaded page by page; of all others single pages are
 * read. Slots are written when the file is full or the store closes, because they can be rebuilt from the entries.
 */
import type { FileHandles } from '../log/fileHandles.js';
import { checkOf, type IndexChecks } from './indexChecks.js';
import { INDEX_HEADER_BYTES, INDEX_SLOT_BYTES, type IndexSizes, SLOTS_PER_PAGE, slotPagesOf } from './indexFormat.js';
import type { IndexReads } from './indexReads.js';

const PAGE = { UNLOADED: 0, CLEAN: 1, DIRTY: 2 } as const;
const pageOf = (slot: number) => Math.floor(slot / SLOTS_PER_PAGE);

export class IndexSlots {
  readonly #path: string;
  readonly #sizes: IndexSizes;
  readonly #handles: FileHandles;
  readonly #checks: IndexChecks;
  readonly #reads: IndexReads;
  #slots: Int32Array | undefined;
  #pages: Uint8Array | undefined;
  #nextPage = 0;

  constructor(parts: {
    path: string;
    sizes: IndexSizes;
    handles: FileHandles;
    checks: IndexChecks;
    reads: IndexReads;
  }) {
    this.#path = parts.path;
    this.#sizes = parts.sizes;
    this.#handles = parts.handles;
    this.#checks = parts.checks;
    this.#reads = parts.reads;
  }

  /** Can slots be changed? */
  get isOpen(): boolean {
    return this.#slots !== undefined;
  }

  /** `isNew`: there is nothing on disk, all slots are empty. */
  open(isNew: boolean): void {
    this.#slots = new Int32Array(this.#sizes.maxHashSlotNum);
    this.#pages = new Uint8Array(slotPagesOf(this.#sizes));
    if (isNew) this.#pages.fill(PAGE.CLEAN);
  }

  /** Number of the newest entry, as the slot says it. */
  newest(slot: number): number {
    if (this.#slots) {
      this.#needPage(pageOf(slot));
      // Another table when the file had to heal.
      return this.#slots[slot] ?? 0;
    }
    return this.#reads.slot(slot);
  }

  set(slot: number, number: number): void {
    this.#needPage(pageOf(slot));
    if (this.#slots) this.#slots[slot] = number;
    if (this.#pages) this.#pages[pageOf(slot)] = PAGE.DIRTY;
  }

  /** Takes a table that was rebuilt from the entries. */
  take(slots: Int32Array): void {
    this.#slots = slots;
    this.#pages = new Uint8Array(slotPagesOf(this.#sizes)).fill(PAGE.DIRTY);
    this.#nextPage = 0;
  }

  /** Writes up to `pageCount` changed pages; true when none is left. Throws system errors. */
  write(pageCount: number): boolean {
    const pages = this.#pages;
    const slots = this.#slots;
    if (!pages || !slots) return true;
    const bytes = Buffer.allocUnsafe(SLOTS_PER_PAGE * INDEX_SLOT_BYTES);
    let left = pageCount;
    for (; this.#nextPage < pages.length; this.#nextPage += 1) {
      const page = this.#nextPage;
      if (pages[page] !== PAGE.DIRTY) continue;
      if (left === 0) return false;
      left -= 1;
      const first = page * SLOTS_PER_PAGE;
      const count = Math.min(SLOTS_PER_PAGE, slots.length - first);
      for (let index = 0; index < count; index += 1) {
        bytes.writeInt32BE(slots[first + index] ?? 0, index * INDEX_SLOT_BYTES);
      }
      const position = INDEX_HEADER_BYTES + first * INDEX_SLOT_BYTES;
      this.#handles.use(this.#path).write(bytes, 0, count * INDEX_SLOT_BYTES, position);
      this.#checks.writeSlotCheck(page, checkOf(bytes.subarray(0, count * INDEX_SLOT_BYTES)));
      pages[page] = PAGE.CLEAN;
    }
    this.#nextPage = 0;
    return true;
  }

  /** Gives back the memory of a table that is on disk. */
  release(): void {
    this.#slots = undefined;
    this.#pages = undefined;
  }

  #needPage(page: number): void {
    const pages = this.#pages;
    const slots = this.#slots;
    if (!pages || !slots || pages[page] !== PAGE.UNLOADED) return;
    const bytes = this.#reads.slotsOf(page);
    // The whole table is another one when the file had to heal.
    if (this.#slots !== slots) return;
    const first = page * SLOTS_PER_PAGE;
    for (let at = 0; at < bytes.length; at += INDEX_SLOT_BYTES) {
      slots[first + at / INDEX_SLOT_BYTES] = bytes.readInt32BE(at);
    }
    pages[page] = PAGE.CLEAN;
  }
}

/** A slot table that grows from the entries. */
export class SlotTable {
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
