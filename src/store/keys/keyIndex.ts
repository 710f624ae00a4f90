/**
 * The index of keys over the whole log: a sequence of index files, the newest one written to (upstream:
 * `IndexService`). It is complete whenever the store serves: recovery restores what a crash lost.
 *
 * A full file's slots are written in slices between turns, then it is synced; only then may the durable mark pass it.
 * Files are named after the local time of their creation, as upstream names them.
 */
import { assert } from '../../base/assert.js';
import type { Clock } from '../../base/clock.js';
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { FileHandles } from '../log/fileHandles.js';
import { BlockCache } from './blockCache.js';
import type { IndexEntry, IndexHeader, IndexSizes } from './indexFile.js';
import {
  decodeIndexHeader,
  emptyIndexHeader,
  FIRST_ENTRY,
  INDEX_HEADER_BYTES,
  IndexFile,
  indexFileBytes,
} from './indexFile.js';

/** 4 KiB blocks: 8 MiB in all. */
const CACHE_BLOCKS = 2048;
const SLOT_PAGES_PER_SLICE = 64;
/** Full files whose slots are still in memory; beyond this they are written at once. */
const FINISHING_MAX = 2;

/** What the durable mark says of the index: everything below the position is synced, in the files up to this one. */
export interface IndexMark {
  file: string;
  header: IndexHeader;
  position: CommitLogOffset;
}

export class KeyIndex {
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #directory: string;
  readonly #sizes: IndexSizes;
  readonly #cache = new BlockCache(CACHE_BLOCKS);
  readonly #index: IndexFile[] = [];
  readonly #finishing: IndexFile[] = [];
  /** Files created ahead of the append that will fill them, so that no append fails half-way. */
  readonly #prepared: IndexFile[] = [];
  /** Names of files that have not the configured length. */
  readonly #odd: string[] = [];
  #lastFinishedEndTimestamp: TimestampMillis | undefined;
  #hasNewName = false;

  constructor(parts: {
    files: Files;
    handles: FileHandles;
    clock: Clock;
    logger: Logger;
    directory: string;
    sizes: IndexSizes;
  }) {
    this.#files = parts.files;
    this.#handles = parts.handles;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#directory = parts.directory;
    this.#sizes = parts.sizes;
  }

  /** Oldest first. */
  get all(): readonly IndexFile[] {
    return this.#index;
  }

  /** End time of the newest file that became full and is on disk, for the checkpoint; undefined when none did. */
  get lastFinishedEndTimestamp(): TimestampMillis | undefined {
    return this.#lastFinishedEndTimestamp;
  }

  get hasFinishing(): boolean {
    return this.#finishing.length > 0;
  }

  /** Opens the files on disk; their headers are believed. Files that have not the configured length stay out. */
  load(): void {
    for (const name of this.#files.list(this.#directory)) {
      const path = joinPath(this.#directory, name);
      if (!/^\d+$/.test(name)) {
        this.#logger.warn({ file: path }, 'a file in the index directory has no number as its name and is skipped');
        continue;
      }
      if (this.#files.stat(path)?.sizeBytes !== indexFileBytes(this.#sizes)) this.#odd.push(name);
      else this.#index.push(this.#file(name, this.#readHeader(path)));
    }
  }

  get hasOddFiles(): boolean {
    return this.#odd.length > 0;
  }

  /** Makes sure that this many entries can be put without creating a file. Throws system errors. */
  prepare(entryCount: number): void {
    const newest = this.#index.at(-1);
    let room = newest ? this.#sizes.maxIndexNum - newest.header.indexCount : 0;
    room += this.#prepared.length * (this.#sizes.maxIndexNum - FIRST_ENTRY);
    for (; room < entryCount; room += this.#sizes.maxIndexNum - FIRST_ENTRY) this.#prepared.push(this.#createFile());
  }

  /** Enters one key; room for it was prepared. */
  put(keyHash: number, commitLogOffset: CommitLogOffset, storeTimestamp: TimestampMillis): void {
    let newest = this.#index.at(-1);
    if (!newest || newest.isFull) newest = this.#roll(newest);
    newest.openForWriting(false);
    newest.put(keyHash, commitLogOffset, storeTimestamp);
  }

  /**
   * Visits the records that may carry a key of this hash, from the newest back to `downTo` inclusive, each once,
   * until `visit` says true. An empty slot proves nothing: the next older file is asked while it reaches to `downTo`.
   */
  visit(keyHash: number, downTo: CommitLogOffset, visit: (commitLogOffset: CommitLogOffset) => boolean): void {
    const entry: IndexEntry = { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
    let last = -1;
    for (let at = this.#index.length - 1; at >= 0; at -= 1) {
      const file = this.#index[at];
      if (!file || file.header.indexCount === FIRST_ENTRY) continue;
      if (file.header.endPhyOffset < downTo) return;
      for (let number = file.slotHead(keyHash); number > 0; ) {
        file.readEntry(number, entry);
        // Entries are in log order: everything further back, in older files too, lies lower.
        if (entry.commitLogOffset < downTo) return;
        const { commitLogOffset, previous } = entry;
        if (entry.keyHash === keyHash && commitLogOffset !== last) {
          last = commitLogOffset;
          if (visit(commitLogOffset)) return;
        }
        if (previous <= 0 || previous >= number) break;
        number = previous;
      }
    }
  }

  get hasUnwritten(): boolean {
    return this.#index.some((file) => file.hasUnwritten);
  }

  /** Writes what waits in memory, without slots; once a second. */
  write(): void {
    for (const file of this.#index) file.writeEntries();
  }

  /** Writes a slice of a full file's slots. The file counts as full after {@link finishSynced}. */
  async finishSlice(): Promise<void> {
    const file = this.#finishing[0];
    if (!file) return;
    file.writeEntries();
    if (!file.writeSlots(SLOT_PAGES_PER_SLICE)) return;
    await file.sync();
    if (this.#finishing[0] === file && file.isFull && !file.hasUnwritten) this.#finished(file);
  }

  /** Writes and syncs entries and header of the file under way; returns what the durable mark may say afterwards. */
  async sync(writtenEnd: CommitLogOffset): Promise<IndexMark | undefined> {
    this.write();
    const mark = this.mark(writtenEnd);
    this.#syncNames();
    const file = this.#index.find((other) => other.name === mark?.file);
    if (file) await file.sync();
    return mark;
  }

  /**
   * The oldest file that is not finished: whatever is before it is whole on disk. Records that are appended but not
   * written may still be abandoned, so the mark stays below them; so it does below a record whose keys span two files.
   */
  mark(writtenEnd: CommitLogOffset): IndexMark | undefined {
    const finishing = this.#finishing[0];
    const file = finishing ?? this.#index.at(-1);
    if (!file) return undefined;
    const position = finishing ? Math.min(finishing.header.endPhyOffset, writtenEnd) : writtenEnd;
    // Counted now: after a crash the entries beyond may be anything.
    return { file: file.name, header: file.headerBelow(position), position };
  }

  /** Everything to disk, slots included; for the stop. */
  closeNow(): void {
    for (const file of [...this.#finishing]) {
      this.#writeWhole(file);
      this.#finished(file);
    }
    const newest = this.#index.at(-1);
    if (newest) this.#writeWhole(newest);
    for (const file of this.#prepared.splice(0)) this.#removeFile(file);
    this.#syncNames();
  }

  /** Forgets the entries of records at or after the position. Files that are empty then are removed. */
  dropFrom(commitLogOffset: CommitLogOffset): void {
    for (let at = this.#index.length - 1; at >= 0; at -= 1) {
      const file = this.#index[at];
      if (!file || (file.header.indexCount > FIRST_ENTRY && file.header.endPhyOffset < commitLogOffset)) return;
      const { beginTimestamp } = file.header;
      file.dropFrom(commitLogOffset, (entry) => beginTimestamp + entry.timeDiffSeconds * 1000);
      const finishing = this.#finishing.indexOf(file);
      if (finishing >= 0) this.#finishing.splice(finishing, 1);
      if (file.header.indexCount > FIRST_ENTRY) return;
      this.#remove(file);
    }
  }

  /** Removes every file: the index is built anew. */
  clear(): void {
    for (const name of this.#files.list(this.#directory)) {
      if (!/^\d+$/.test(name)) continue;
      this.#handles.close(joinPath(this.#directory, name));
      this.#files.remove(joinPath(this.#directory, name));
    }
    this.#index.length = 0;
    this.#finishing.length = 0;
    this.#prepared.length = 0;
    this.#odd.length = 0;
    this.#hasNewName = true;
  }

  /**
   * Goes back to a durable mark: files before the named one are whole, of it the marked entries are, everything after
   * is removed. False when the files do not fit the mark.
   */
  restore(mark: IndexMark): boolean {
    const at = this.#index.findIndex((file) => file.name === mark.file);
    if (at < 0 || this.#odd.some((name) => name < mark.file)) return false;
    for (const name of this.#odd.splice(0)) this.#files.remove(joinPath(this.#directory, name));
    for (const file of this.#index.slice(at + 1)) this.#remove(file);
    const file = this.#file(mark.file, { ...mark.header });
    this.#index[at] = file;
    file.rebuildSlots();
    const newest = this.#index.at(-1);
    if (newest?.isFull) {
      newest.openForWriting(false);
      this.#finishing.push(newest);
    }
    return true;
  }

  /** Checks the slots of every file against its entries and sets those right that differ. */
  rebuildSlots(): void {
    for (const file of this.#index) {
      file.rebuildSlots();
      if (file !== this.#index.at(-1)) {
        this.#writeWhole(file);
        file.release();
      }
    }
  }

  #roll(full: IndexFile | undefined): IndexFile {
    if (full && !this.#finishing.includes(full)) this.#finishing.push(full);
    const oldest = this.#finishing[0];
    if (oldest && this.#finishing.length > FINISHING_MAX) {
      try {
        this.#writeWhole(oldest);
        this.#finished(oldest);
      } catch {
        // An append is under way. The next slice meets the refusal again and stops further appends.
      }
    }
    const file = this.#prepared.shift() ?? this.#createFile();
    this.#index.push(file);
    return file;
  }

  #createFile(): IndexFile {
    const name = this.#newName((this.#prepared.at(-1) ?? this.#index.at(-1))?.name);
    const path = joinPath(this.#directory, name);
    this.#files.makeDirectory(this.#directory);
    const opened = this.#files.open(path, 'a+');
    try {
      opened.truncate(indexFileBytes(this.#sizes));
    } finally {
      opened.close();
    }
    this.#hasNewName = true;
    const file = this.#file(name, emptyIndexHeader());
    file.openForWriting(true);
    return file;
  }

  #writeWhole(file: IndexFile): void {
    file.writeEntries();
    const isDone = file.writeSlots(Number.POSITIVE_INFINITY);
    assert(isDone, 'all slots are written');
    file.syncNow();
  }

  #finished(file: IndexFile): void {
    this.#finishing.shift();
    this.#lastFinishedEndTimestamp = file.header.endTimestamp;
    if (file !== this.#index.at(-1)) file.release();
  }

  #remove(file: IndexFile): void {
    this.#index.splice(this.#index.indexOf(file), 1);
    this.#removeFile(file);
  }

  #removeFile(file: IndexFile): void {
    this.#handles.close(file.path);
    this.#files.remove(file.path);
    this.#hasNewName = true;
  }

  #syncNames(): void {
    if (!this.#hasNewName || !this.#files.stat(this.#directory)) return;
    this.#files.syncDirectory(this.#directory);
    this.#hasNewName = false;
  }

  #readHeader(path: string): IndexHeader {
    const bytes = Buffer.alloc(INDEX_HEADER_BYTES);
    this.#handles.use(path).read(bytes, 0, bytes.length, 0);
    const header = decodeIndexHeader(bytes);
    header.indexCount = Math.min(header.indexCount, this.#sizes.maxIndexNum);
    return header;
  }

  #file(name: string, header: IndexHeader): IndexFile {
    return new IndexFile({
      path: joinPath(this.#directory, name),
      name,
      header,
      sizes: this.#sizes,
      handles: this.#handles,
      cache: this.#cache,
    });
  }

  /** Local time as yyyyMMddHHmmssSSS; when that is not later than every other name, one more than the newest. */
  #newName(newest: string | undefined): string {
    const name = localTimeName(this.#clock.now());
    return newest === undefined || name > newest ? name : String(BigInt(newest) + 1n).padStart(newest.length, '0');
  }
}

function localTimeName(time: TimestampMillis): string {
  const date = new Date(time);
  const digits = (value: number, count: number) => String(value).padStart(count, '0');
  return (
    digits(date.getFullYear(), 4) +
    digits(date.getMonth() + 1, 2) +
    digits(date.getDate(), 2) +
    digits(date.getHours(), 2) +
    digits(date.getMinutes(), 2) +
    digits(date.getSeconds(), 2) +
    digits(date.getMilliseconds(), 3)
  );
}
