/**
 * The index of keys over the whole log: a sequence of index files, the newest one written to (upstream:
 * `IndexService`). It is complete whenever the store serves: recovery restores what a crash lost.
 *
 * A full file's slots are written in slices between turns, then it is synced; only then may the durable mark pass it.
 * Files are named after the local time of their creation, as upstream names them.
 */
import { assert } from '../../base/assert.js';
import type { Clock } from '../../base/clock.js';
import { isFoldlogError } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { joinPath, parentOf } from '../../base/files.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { FileHandles } from '../log/fileHandles.js';
import { BlockCache } from './blockCache.js';
import { checksName, IndexChecks, isChecksName } from './indexChecks.js';
import type { IndexEntry, IndexHeader, IndexSizes } from './indexFile.js';
import {
  decodeIndexHeader,
  emptyIndexHeader,
  FIRST_ENTRY,
  INDEX_HEADER_BYTES,
  IndexFile,
  indexFileBytes,
  slotPagesOf,
} from './indexFile.js';
import type { IndexHealing, Surroundings } from './indexHealing.js';
import { SlotChains } from './slotChains.js';

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
  /** The files before it, and where each ends in the log. */
  older?: { file: string; endPhyOffset: CommitLogOffset }[];
}

export class KeyIndex {
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #directory: string;
  readonly #checksDirectory: string;
  readonly #healing: IndexHealing;
  readonly #sizes: IndexSizes;
  readonly #cache = new BlockCache(CACHE_BLOCKS);
  readonly #slotChains = new SlotChains();
  readonly #index: IndexFile[] = [];
  readonly #finishing: IndexFile[] = [];
  /** Files created ahead of the append that will fill them, so that no append fails half-way. */
  readonly #prepared: IndexFile[] = [];
  /** Names of files that have not the configured length. */
  readonly #odd: string[] = [];
  #lastFinishedEndTimestamp: TimestampMillis | undefined;
  #hasNewName = false;
  /** Is there damage that the log could not heal? The next start builds the index anew. */
  #isBroken = false;

  constructor(parts: {
    files: Files;
    handles: FileHandles;
    clock: Clock;
    logger: Logger;
    directory: string;
    /** Where the checksums of the files lie. */
    checksDirectory: string;
    healing: IndexHealing;
    sizes: IndexSizes;
  }) {
    this.#files = parts.files;
    this.#handles = parts.handles;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#directory = parts.directory;
    this.#checksDirectory = parts.checksDirectory;
    this.#healing = parts.healing;
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
      const isWhole = this.#files.stat(path)?.sizeBytes === indexFileBytes(this.#sizes);
      const header = isWhole ? this.#readHeader(path) : undefined;
      if (header) this.#index.push(this.#file(name, header));
      else this.#odd.push(name);
    }
  }

  /** Has every file its checks, and the header they were made with? */
  get isChecked(): boolean {
    return this.#index.every((file) => file.hasChecks(true));
  }

  /** Has the index damage that only the next start can heal? It must not be believed then. */
  get isBroken(): boolean {
    return this.#isBroken;
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
      const slot = keyHash % this.#sizes.maxHashSlotNum;
      for (let number = this.#slotChains.newest(file, slot, keyHash, downTo); number > 0; ) {
        file.readEntry(number, entry);
        // Entries are in log order: everything further back, in older files too, lies lower.
        if (entry.commitLogOffset < downTo) return;
        const { commitLogOffset, previous } = entry;
        if (commitLogOffset !== last) {
          last = commitLogOffset;
          if (visit(commitLogOffset)) return;
        }
        number = this.#slotChains.older(file, slot, keyHash, downTo, { number, previous });
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
    const position = finishing ? Math.min(finishing.header.endPhyOffset, writtenEnd) : writtenEnd;
    // A file that is finished may end beyond the position: what is appended and not yet visible is in it.
    const file = this.#index.find(({ header }) => header.endPhyOffset >= position) ?? this.#index.at(-1);
    if (!file || this.#isBroken) return undefined;
    // Counted now: after a crash the entries beyond may be anything.
    const older = this.#index
      .slice(0, this.#index.indexOf(file))
      .map(({ name, header }) => ({ file: name, endPhyOffset: header.endPhyOffset }));
    return { file: file.name, header: file.headerBelow(position), position, older };
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
    this.#slotChains.forgetAll();
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

  /**
   * Removes the oldest files, never the last, as long as all their records lie below the log's start (upstream:
   * `IndexService#deleteExpiredFile`). A file whose slots are still to be written stays. Throws system errors. Returns
   * how many went.
   */
  removeBefore(minCommitLogOffset: CommitLogOffset): number {
    let removedCount = 0;
    for (let file = this.#index[0]; file && this.#index.length > 1; file = this.#index[0]) {
      if (file.header.endPhyOffset >= minCommitLogOffset || this.#finishing.includes(file)) break;
      this.#removeFile(file);
      this.#index.shift();
      removedCount += 1;
    }
    if (removedCount > 0) this.#syncNames();
    return removedCount;
  }

  /** Removes every file: the index is built anew. */
  clear(): void {
    this.#slotChains.forgetAll();
    for (const name of this.#files.list(this.#directory)) {
      if (!/^\d+$/.test(name)) continue;
      this.#handles.close(joinPath(this.#directory, name));
      this.#files.remove(joinPath(this.#directory, name));
    }
    for (const name of this.#files.list(this.#checksDirectory)) if (isChecksName(name)) this.#removeChecks(name);
    this.#index.length = 0;
    this.#finishing.length = 0;
    this.#prepared.length = 0;
    this.#odd.length = 0;
    this.#hasNewName = true;
  }

  /**
   * Goes back to a durable mark: files before the named one are whole, of it the marked entries are, everything after
   * is removed. Only after {@link canRestore}. False when the log does not tell what damaged entries were.
   */
  restore(mark: IndexMark): boolean {
    const at = this.#index.findIndex((file) => file.name === mark.file);
    if (at < 0) return false;
    for (const name of this.#odd.splice(0)) {
      this.#files.remove(joinPath(this.#directory, name));
      this.#removeChecks(checksName(name));
    }
    for (const file of this.#index.slice(at + 1)) this.#remove(file);
    const file = this.#file(mark.file, { ...mark.header });
    this.#index[at] = file;
    const healedCount = file.heal((first, count) => this.#keysOf(file, first, count));
    if (healedCount === undefined) return false;
    const newest = this.#index.at(-1);
    if (newest?.isFull) {
      newest.openForWriting(false);
      this.#finishing.push(newest);
    }
    return true;
  }

  /** Do the files fit the mark, as far as can be seen without reading them? */
  canRestore(mark: IndexMark, minCommitLogOffset: CommitLogOffset): boolean {
    const at = this.#index.findIndex((file) => file.name === mark.file);
    // Retention removes files whose records are all gone from the log.
    const isMissing = mark.older?.some(
      ({ file, endPhyOffset }) =>
        endPhyOffset >= minCommitLogOffset && !this.#index.slice(0, at).some(({ name }) => name === file),
    );
    if (at < 0 || isMissing !== false || this.#odd.some((name) => name < mark.file)) return false;
    return this.#index.slice(0, at + 1).every((file, index) => file.hasChecks(index < at));
  }

  /**
   * Takes the files that another program left, or whose checks are lost: slots and checks are made from the entries.
   * False when entries are chained wrongly. Whether the entries are those of the log is for others to find out.
   */
  adoptFiles(): boolean {
    let isChained = true;
    const known = new Set(this.#index.map(({ name }) => checksName(name)));
    for (const name of this.#files.list(this.#checksDirectory)) {
      if (isChecksName(name) && !known.has(name)) this.#removeChecks(name);
    }
    for (const file of this.#index) {
      if (!file.adoptEntries()) isChained = false;
      if (file !== this.#index.at(-1)) {
        this.#writeWhole(file);
        file.release();
      }
    }
    return isChained;
  }

  /** A file differs from its checks: it is set right from the log before anything of it is believed. */
  #heal(file: IndexFile): void {
    const healedCount = file.heal((first, count) => this.#keysOf(file, first, count));
    if (healedCount === undefined) {
      this.#isBroken = true;
      this.#logger.error({ file: file.path }, 'an index file is damaged and the log does not tell what was in it');
      return;
    }
    this.#writeWhole(file);
    if (file !== this.#index.at(-1) && !this.#finishing.includes(file)) file.release();
    this.#logger.warn({ file: file.path, entryBlocks: healedCount }, 'an index file was damaged and was set right');
  }

  #keysOf(file: IndexFile, first: number, count: number) {
    const after = first + count < file.header.indexCount ? file.readEntry(first + count, emptyEntry()) : undefined;
    const { beginPhyOffset, endPhyOffset } = file.header;
    const lost: Surroundings = {
      count,
      before: this.#entriesBefore(file, first),
      after,
      from: beginPhyOffset,
      upTo: after?.commitLogOffset ?? endPhyOffset,
    };
    return this.#healing.keysOf(lost);
  }

  /** The record of the last entry before one, and how many entries in a row belong to it, older files included. */
  #entriesBefore(file: IndexFile, number: number): Surroundings['before'] {
    const entry = emptyEntry();
    let before: { commitLogOffset: CommitLogOffset; entries: number } | undefined;
    let next = number - 1;
    for (let at = this.#index.indexOf(file); at >= 0; at -= 1) {
      const current = this.#index[at];
      for (; current && next >= FIRST_ENTRY; next -= 1) {
        current.readEntry(next, entry);
        before ??= { commitLogOffset: entry.commitLogOffset, entries: 0 };
        if (entry.commitLogOffset !== before.commitLogOffset) return before;
        before.entries += 1;
      }
      next = (this.#index[at - 1]?.header.indexCount ?? FIRST_ENTRY) - 1;
    }
    return before;
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
    this.#checksOf(name).create();
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
    file.removeChecks();
    this.#hasNewName = true;
  }

  #removeChecks(name: string): void {
    const path = joinPath(this.#checksDirectory, name);
    this.#handles.close(path);
    this.#files.remove(path);
  }

  #syncNames(): void {
    if (!this.#hasNewName || !this.#files.stat(this.#directory)) return;
    this.#files.syncDirectory(this.#directory);
    this.#files.syncDirectory(parentOf(this.#directory));
    if (this.#files.stat(this.#checksDirectory)) this.#files.syncDirectory(this.#checksDirectory);
    this.#hasNewName = false;
  }

  /** Undefined when there are numbers in it that cannot be. */
  #readHeader(path: string): IndexHeader | undefined {
    const bytes = Buffer.alloc(INDEX_HEADER_BYTES);
    this.#handles.use(path).read(bytes, 0, bytes.length, 0);
    try {
      const header = decodeIndexHeader(bytes);
      header.indexCount = Math.min(header.indexCount, this.#sizes.maxIndexNum);
      return header;
    } catch (error) {
      if (isFoldlogError(error)) return undefined;
      throw error;
    }
  }

  #checksOf(name: string): IndexChecks {
    return new IndexChecks({
      path: joinPath(this.#checksDirectory, checksName(name)),
      files: this.#files,
      handles: this.#handles,
      slots: this.#sizes.maxHashSlotNum,
      entries: this.#sizes.maxIndexNum,
      pages: slotPagesOf(this.#sizes),
    });
  }

  #file(name: string, header: IndexHeader): IndexFile {
    return new IndexFile({
      path: joinPath(this.#directory, name),
      name,
      header,
      sizes: this.#sizes,
      handles: this.#handles,
      cache: this.#cache,
      checks: this.#checksOf(name),
      onDamage: (file) => this.#heal(file),
    });
  }

  /** Local time as yyyyMMddHHmmssSSS; when that is not later than every other name, one more than the newest. */
  #newName(newest: string | undefined): string {
    const name = localTimeName(this.#clock.now());
    return newest === undefined || name > newest ? name : String(BigInt(newest) + 1n).padStart(newest.length, '0');
  }
}

const emptyEntry = (): IndexEntry => ({ keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 });

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
