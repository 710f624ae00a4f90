/**
 * The entries of one index file. The newest wait in a tail in memory and are written lazily, each block's check with
 * them: the CRC of the block under way is carried on, so that filling a file never reads it. All others are on disk.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../../base/assert.js';
import type { FileHandles } from '../log/fileHandles.js';
import { checkOf, type IndexChecks, storedForm } from './indexChecks.js';
import {
  decodeIndexEntry,
  ENTRIES_PER_BLOCK,
  encodeIndexEntry,
  entryPosition,
  FIRST_ENTRY,
  INDEX_ENTRY_BYTES,
  type IndexEntry,
  type IndexSizes,
} from './indexFormat.js';
import { type IndexReads, writtenPart } from './indexReads.js';

const TAIL_ENTRIES = 8192;
const blockOf = (number: number) => Math.floor(number / ENTRIES_PER_BLOCK);

export class IndexEntries {
  readonly #path: string;
  readonly #sizes: IndexSizes;
  readonly #handles: FileHandles;
  readonly #checks: IndexChecks;
  readonly #reads: IndexReads;
  #tail: Buffer | undefined;
  /** Number of the next entry, and of the first one that is only in the tail. */
  #end: number;
  #writtenEnd: number;
  /** CRC-32 of the written entries of the block that the next entry written goes into. */
  #openCrc: number | undefined;

  constructor(parts: {
    path: string;
    sizes: IndexSizes;
    handles: FileHandles;
    checks: IndexChecks;
    reads: IndexReads;
    /** Number of the next entry: all before it are on disk. */
    end: number;
  }) {
    this.#path = parts.path;
    this.#sizes = parts.sizes;
    this.#handles = parts.handles;
    this.#checks = parts.checks;
    this.#reads = parts.reads;
    this.#end = parts.end;
    this.#writtenEnd = parts.end;
  }

  get end(): number {
    return this.#end;
  }

  /** Number of the first entry that is not on disk. */
  get writtenEnd(): number {
    return this.#writtenEnd;
  }

  get hasUnwritten(): boolean {
    return this.#writtenEnd < this.#end;
  }

  read(number: number, into: IndexEntry): IndexEntry {
    assert(number >= FIRST_ENTRY && number < this.#end, 'entries are numbered from 1');
    if (this.#tail && number >= this.#writtenEnd) return decodeIndexEntry(this.#tail, this.#tailAt(number), into);
    return this.#reads.entry(number, this.#writtenEnd, into);
  }

  /** Is there no room in the tail for one more? Then it is to be written, or grown. */
  get isTailFull(): boolean {
    return this.#tail !== undefined && this.#tailAt(this.#end + 1) > this.#tail.length;
  }

  growTail(): void {
    if (!this.#tail) return;
    const grown = Buffer.allocUnsafeSlow(this.#tail.length * 2);
    this.#tail.copy(grown);
    this.#tail = grown;
  }

  put(keyHash: number, commitLogOffset: number, timeDiffSeconds: number, previous: number): void {
    assert(!this.isTailFull, 'an entry is put where there is room');
    this.#tail ??= Buffer.allocUnsafeSlow(Math.min(TAIL_ENTRIES, this.#sizes.maxIndexNum) * INDEX_ENTRY_BYTES);
    encodeIndexEntry(this.#tail, this.#tailAt(this.#end), keyHash, commitLogOffset, timeDiffSeconds, previous);
    this.#end += 1;
  }

  /** Writes the tail and its checks. Throws system errors; the tail stays then. */
  write(): void {
    const tail = this.#tail;
    const count = this.#end - this.#writtenEnd;
    if (!tail || count === 0) return;
    const before = this.#crcOfOpenBlock();
    const position = entryPosition(this.#sizes, this.#writtenEnd);
    this.#handles.use(this.#path).write(tail, 0, count * INDEX_ENTRY_BYTES, position);
    this.#openCrc = this.#writeChecks(tail, count, before);
    this.#writtenEnd = this.#end;
  }

  /** Gives back the memory of a tail that is written. */
  release(): void {
    this.#tail = undefined;
  }

  /** Forgets the newest entries; {@link settle} makes that so on disk. */
  dropFrom(end: number): void {
    assert(end >= FIRST_ENTRY && end <= this.#end, 'the newest entries are dropped');
    this.#end = end;
  }

  /** After entries were dropped: zeros where they were on disk, until the next ones overwrite them. Throws system errors. */
  settle(): void {
    if (this.#writtenEnd <= this.#end) return;
    const zeros = Buffer.alloc((this.#writtenEnd - this.#end) * INDEX_ENTRY_BYTES);
    this.#handles.use(this.#path).write(zeros, 0, zeros.length, entryPosition(this.#sizes, this.#end));
    this.#writtenEnd = this.#end;
    this.#tail = undefined;
    this.#reads.forget();
    this.#openCrc = undefined;
    const block = blockOf(this.#writtenEnd);
    const part = writtenPart(block, this.#reads.rawBlock(block), this.#writtenEnd);
    this.#checks.writeEntryChecks(block, [part.length === 0 ? 0 : checkOf(part)]);
  }

  // What follows is for whoever rebuilds the file.

  /** The block that is under way begins anew: entries on disk were changed. */
  forgetOpenBlock(): void {
    this.#openCrc = undefined;
  }

  /** Blocks that are on disk, the one of entry 0 included. */
  get blockCount(): number {
    return Math.ceil(this.#writtenEnd / ENTRIES_PER_BLOCK);
  }

  /** Calls `visit` for the entries of a block that are on disk, with where each lies in the block. */
  forEachIn(block: number, visit: (number: number, at: number) => void): void {
    const start = block * ENTRIES_PER_BLOCK;
    const end = Math.min(start + ENTRIES_PER_BLOCK, this.#writtenEnd, this.#end);
    for (let number = Math.max(FIRST_ENTRY, start); number < end; number += 1) {
      visit(number, (number - start) * INDEX_ENTRY_BYTES);
    }
  }

  /**
   * Writes a block once more as it was read. After a failed sync it may be in memory alone and count as clean there: no
   * sync would put it on the device. Throws system errors.
   */
  rewrite(block: number, bytes: Buffer): void {
    const part = writtenPart(block, bytes, this.#writtenEnd);
    const first = Math.max(FIRST_ENTRY, block * ENTRIES_PER_BLOCK);
    this.#handles.use(this.#path).write(part, 0, part.length, entryPosition(this.#sizes, first));
  }

  /** Makes the check of a block from what is on disk. */
  remakeCheck(block: number, bytes = this.#reads.rawBlock(block)): void {
    this.#checks.writeEntryChecks(block, [checkOf(writtenPart(block, bytes, this.#writtenEnd))]);
  }

  /** Writes entries in place of damaged ones, with the checks of their blocks. */
  replace(first: number, entries: Buffer): void {
    this.#handles.use(this.#path).write(entries, 0, entries.length, entryPosition(this.#sizes, first));
    const lastBlock = blockOf(first + entries.length / INDEX_ENTRY_BYTES - 1);
    for (let block = blockOf(first); block <= lastBlock; block += 1) this.remakeCheck(block);
  }

  #tailAt(number: number): number {
    return (number - this.#writtenEnd) * INDEX_ENTRY_BYTES;
  }

  /** Checks of the blocks that the tail's entries lie in; returns the CRC of the last one if it is still open. */
  #writeChecks(tail: Buffer, count: number, crcBefore: number): number | undefined {
    const checks: number[] = [];
    let crc: number | undefined = crcBefore;
    for (let done = 0; done < count; ) {
      const room = ENTRIES_PER_BLOCK - ((this.#writtenEnd + done) % ENTRIES_PER_BLOCK);
      const taken = Math.min(room, count - done);
      const bytes = tail.subarray(done * INDEX_ENTRY_BYTES, (done + taken) * INDEX_ENTRY_BYTES);
      const sum: number = crc32(bytes, crc ?? 0);
      checks.push(storedForm(sum));
      crc = taken === room ? undefined : sum;
      done += taken;
    }
    this.#checks.writeEntryChecks(blockOf(this.#writtenEnd), checks);
    return crc;
  }

  #crcOfOpenBlock(): number {
    if (this.#openCrc !== undefined) return this.#openCrc;
    const block = blockOf(this.#writtenEnd);
    if (this.#writtenEnd <= Math.max(FIRST_ENTRY, block * ENTRIES_PER_BLOCK)) return 0;
    return crc32(writtenPart(block, this.#reads.block(block, this.#writtenEnd), this.#writtenEnd));
  }
}
