/**
 * What is read of one index file: pages of slots and blocks of entries, each compared with its check before anything of
 * it is believed, and kept in the block cache when it cannot change any more. On a difference the file heals first.
 */
import { CorruptionError } from '../../base/errors.js';
import type { FileHandles } from '../log/fileHandles.js';
import type { BlockCache } from './blockCache.js';
import { checkOf, type IndexChecks } from './indexChecks.js';
import {
  decodeIndexEntry,
  ENTRIES_PER_BLOCK,
  entryPosition,
  FIRST_ENTRY,
  INDEX_ENTRY_BYTES,
  INDEX_HEADER_BYTES,
  INDEX_SLOT_BYTES,
  type IndexEntry,
  type IndexSizes,
  SLOTS_PER_PAGE,
} from './indexFormat.js';

const BLOCK_BYTES = ENTRIES_PER_BLOCK * INDEX_ENTRY_BYTES;
const PAGE_BYTES = SLOTS_PER_PAGE * INDEX_SLOT_BYTES;
/** Slot pages take the upper half of a file's keys in the block cache. */
const SLOT_PAGE_KEYS = 2 ** 25;

export class IndexReads {
  readonly #path: string;
  readonly #sizes: IndexSizes;
  readonly #handles: FileHandles;
  readonly #cache: BlockCache;
  readonly #checks: IndexChecks;
  /** Heals the file, or throws. */
  readonly #onDamage: () => void;
  #cacheKeys: number;
  /** What a look-up reads into: done with before anything else is read. */
  readonly #scratch: Buffer;

  constructor(parts: {
    path: string;
    sizes: IndexSizes;
    handles: FileHandles;
    cache: BlockCache;
    checks: IndexChecks;
    onDamage: () => void;
  }) {
    this.#path = parts.path;
    this.#sizes = parts.sizes;
    this.#handles = parts.handles;
    this.#cache = parts.cache;
    this.#checks = parts.checks;
    this.#onDamage = parts.onDamage;
    this.#cacheKeys = parts.cache.reserveKeys();
    this.#scratch = parts.cache.scratch;
  }

  /** Another number whenever what was read may have changed, and different for each file. */
  get contents(): number {
    return this.#cacheKeys;
  }

  /** What was read so far may not be so any more. */
  forget(): void {
    this.#cacheKeys = this.#cache.reserveKeys();
  }

  /** What a slot of a table says that does not change. */
  slot(slot: number): number {
    const page = Math.floor(slot / SLOTS_PER_PAGE);
    const at = (slot % SLOTS_PER_PAGE) * INDEX_SLOT_BYTES;
    const place = this.#cache.find(this.#cacheKeys + SLOT_PAGE_KEYS + page);
    if (place >= 0) return this.#cache.memoryOf(place).readInt32BE(this.#cache.startOf(place) + at);
    const bytes = this.slotsOf(page);
    this.#cache.put(this.#cacheKeys + SLOT_PAGE_KEYS + page, bytes);
    return bytes.readInt32BE(at);
  }

  /** An entry that is on disk, as those below `writtenEnd` are. */
  entry(number: number, writtenEnd: number, into: IndexEntry): IndexEntry {
    const block = Math.floor(number / ENTRIES_PER_BLOCK);
    const at = (number % ENTRIES_PER_BLOCK) * INDEX_ENTRY_BYTES;
    const place = this.#cache.find(this.#cacheKeys + block);
    if (place >= 0) return decodeIndexEntry(this.#cache.memoryOf(place), this.#cache.startOf(place) + at, into);
    return decodeIndexEntry(this.block(block, writtenEnd), at, into);
  }

  /** A page of slots as it is on disk, right. Look at it before anything else is read. */
  slotsOf(page: number): Buffer {
    const count = Math.min(SLOTS_PER_PAGE, this.#sizes.maxHashSlotNum - page * SLOTS_PER_PAGE);
    return this.#sound(() => {
      const bytes = this.#scratch.subarray(0, count * INDEX_SLOT_BYTES);
      this.#read(bytes, INDEX_HEADER_BYTES + page * PAGE_BYTES);
      const check = this.#checks.slotCheck(page);
      const isRight = check === 0 ? bytes.every((byte) => byte === 0) : checkOf(bytes) === check;
      return isRight ? bytes : undefined;
    });
  }

  /** The block of entries, of which those below `writtenEnd` are on disk. Look at it before anything else is read. */
  block(block: number, writtenEnd: number): Buffer {
    const cached = this.#cache.get(this.#cacheKeys + block);
    if (cached) return cached;
    const bytes = this.#sound(() => this.checkedBlock(block, writtenEnd));
    // Only a block whose entries are all written is final.
    if ((block + 1) * ENTRIES_PER_BLOCK <= writtenEnd) this.#cache.put(this.#cacheKeys + block, bytes);
    return bytes;
  }

  /** A block of entries as it is on disk; undefined when it differs from its check. Look at it before anything else is read. */
  checkedBlock(block: number, writtenEnd: number): Buffer | undefined {
    const bytes = this.rawBlock(block);
    const part = writtenPart(block, bytes, writtenEnd);
    return checkOf(part) === this.#checks.entryCheck(block) ? bytes : undefined;
  }

  /** The same, whatever its check says. */
  rawBlock(block: number): Buffer {
    const bytes = this.#scratch.subarray(0, BLOCK_BYTES);
    this.#read(bytes, entryPosition(this.#sizes, block * ENTRIES_PER_BLOCK));
    return bytes;
  }

  /** Zeros stand for what a file that is too short does not hold. */
  #read(bytes: Buffer, position: number): void {
    const length = this.#handles.use(this.#path).read(bytes, 0, bytes.length, position);
    if (length < bytes.length) bytes.fill(0, length);
  }

  /** What `read` gives; when it finds the file damaged, after healing. */
  #sound(read: () => Buffer | undefined): Buffer {
    const bytes = read();
    if (bytes) return bytes;
    this.#onDamage();
    const healed = read();
    if (healed) return healed;
    throw new CorruptionError(
      `index file ${this.#path} is damaged: stop the store, it is built anew at the next start`,
      { file: this.#path, offset: 0 },
    );
  }
}

/** The entries of a block that are written, without entry 0. */
export function writtenPart(block: number, bytes: Buffer, writtenEnd: number): Buffer {
  const first = block * ENTRIES_PER_BLOCK;
  const end = Math.min(ENTRIES_PER_BLOCK, writtenEnd - first);
  return bytes.subarray((first === 0 ? FIRST_ENTRY : 0) * INDEX_ENTRY_BYTES, end * INDEX_ENTRY_BYTES);
}
