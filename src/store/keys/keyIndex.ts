/**
 * The index of keys over the whole log: a sequence of index files, the newest one written to (upstream:
 * `IndexService`). It is complete whenever the store serves: recovery restores what a crash lost.
 */
import type { Clock } from '../../base/clock.js';
import type { Files } from '../../base/files.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { FileHandles } from '../log/fileHandles.js';
import type { IndexFile } from './indexFile.js';
import { IndexFiles } from './indexFiles.js';
import { IndexFinishing, writeWhole } from './indexFinishing.js';
import { emptyEntry, FIRST_ENTRY, type IndexEntry, type IndexSizes } from './indexFormat.js';
import type { IndexHealing } from './indexHealing.js';
import { fitMark, type IndexMark, markAt } from './indexMark.js';
import { surroundingsOf } from './indexSurroundings.js';
import { SlotChains } from './slotChains.js';

export class KeyIndex {
  readonly #logger: Logger;
  readonly #healing: IndexHealing;
  readonly #sizes: IndexSizes;
  readonly #slotChains = new SlotChains();
  readonly #index: IndexFiles;
  readonly #finishing: IndexFinishing;
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
    /** Bytes of the index that are kept in memory, apart from what is being written. */
    cacheBytes: number;
  }) {
    const { healing, ...filesParts } = parts;
    this.#logger = parts.logger;
    this.#healing = healing;
    this.#sizes = parts.sizes;
    this.#index = new IndexFiles({ ...filesParts, onDamage: (file) => this.#heal(file) });
    this.#finishing = new IndexFinishing({ isNewest: (file) => file === this.#index.newest });
  }

  /** Oldest first. */
  get all(): readonly IndexFile[] {
    return this.#index.all;
  }

  /** End time of the newest file that became full and is on disk, for the checkpoint; undefined when none did. */
  get lastFinishedEndTimestamp(): TimestampMillis | undefined {
    return this.#finishing.lastEndTimestamp;
  }

  get hasFinishing(): boolean {
    return this.#finishing.first !== undefined;
  }

  /** Throws what failed while a file was finished in the middle of an append or of recovery. */
  assertSound(): void {
    this.#finishing.assertSound();
  }

  /** Opens the files on disk; their headers are believed. Files that have not the configured length stay out. */
  load(): void {
    this.#index.load();
  }

  /** Has every file its checks, and the header they were made with? */
  get isChecked(): boolean {
    return this.#index.all.every((file) => file.hasChecks(true));
  }

  /** Has the index damage that only the next start can heal? It must not be believed then. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  get hasOddFiles(): boolean {
    return this.#index.odd.length > 0;
  }

  /** Makes sure that this many entries can be put without creating a file. Throws system errors. */
  prepare(entryCount: number): void {
    this.#index.prepare(entryCount);
  }

  /** Enters one key; room for it was prepared. */
  put(keyHash: number, commitLogOffset: CommitLogOffset, storeTimestamp: TimestampMillis): void {
    let { newest } = this.#index;
    if (newest?.isFull) this.#finishing.enter(newest);
    if (!newest || newest.isFull) newest = this.#index.begin();
    newest.openForWriting(false);
    newest.put(keyHash, commitLogOffset, storeTimestamp);
  }

  /**
   * Visits the records that may carry a key of this hash, from the newest back to `downTo` inclusive, each once,
   * until `visit` says true. An empty slot proves nothing: the next older file is asked while it reaches to `downTo`.
   */
  visit(keyHash: number, downTo: CommitLogOffset, visit: (commitLogOffset: CommitLogOffset) => boolean): void {
    const { all } = this.#index;
    let last = -1;
    for (let at = all.length - 1; at >= 0; at -= 1) {
      const file = all[at];
      if (!file || file.header.indexCount === FIRST_ENTRY) continue;
      if (file.header.endPhyOffset < downTo) return;
      const isOver = this.visitIn(file, keyHash, downTo, ({ commitLogOffset }) => {
        // Entries are in log order: everything further back, in older files too, lies lower.
        if (commitLogOffset < downTo) return true;
        if (commitLogOffset === last) return false;
        last = commitLogOffset;
        return visit(commitLogOffset);
      });
      if (isOver) return;
    }
  }

  /**
   * Visits the entries of this hash in one file, from the newest back, until `visit` says true or those of the slot lie
   * below `downTo`. The entry is the same object each time. True when `visit` ended it.
   */
  visitIn(
    file: IndexFile,
    keyHash: number,
    downTo: CommitLogOffset,
    visit: (entry: Readonly<IndexEntry>) => boolean,
  ): boolean {
    if (file.header.indexCount === FIRST_ENTRY) return false;
    const entry = emptyEntry();
    const slot = keyHash % this.#sizes.maxHashSlotNum;
    for (let number = this.#slotChains.newest(file, slot, keyHash, downTo, entry); number > 0; ) {
      if (visit(entry)) return true;
      number = this.#slotChains.older(file, slot, keyHash, downTo, number, entry);
    }
    return false;
  }

  get hasUnwritten(): boolean {
    return this.#index.all.some((file) => file.hasUnwritten);
  }

  /** Writes what waits in memory, without slots; once a second. */
  write(): void {
    for (const file of this.#index.all) file.writeEntries();
  }

  /** Writes a slice of a full file's slots. */
  async finishSlice(): Promise<void> {
    await this.#finishing.slice();
  }

  /** Writes and syncs entries and header of the file under way; returns what the durable mark may say afterwards. */
  async sync(writtenEnd: CommitLogOffset): Promise<IndexMark | undefined> {
    this.write();
    const mark = this.mark(writtenEnd);
    this.#index.syncNames();
    const file = this.#index.all.find((other) => other.name === mark?.file);
    if (file) await file.sync();
    return mark;
  }

  /** The mark, in the oldest file that is not finished: whatever is before it is whole on disk. */
  mark(writtenEnd: CommitLogOffset): IndexMark | undefined {
    const { all } = this.#index;
    const finishing = this.#finishing.first;
    const position = finishing ? Math.min(finishing.header.endPhyOffset, writtenEnd) : writtenEnd;
    return this.#isBroken ? undefined : markAt(all, position);
  }

  /** Everything to disk, slots included; for the stop. */
  closeNow(): void {
    this.#finishing.finishNow();
    if (this.#index.newest) writeWhole(this.#index.newest);
    this.#index.removePrepared();
    this.#index.syncNames();
  }

  /** Forgets the entries of records at or after the position. Files that are empty then are removed. */
  dropFrom(commitLogOffset: CommitLogOffset): void {
    this.#slotChains.forgetAll();
    for (let file = this.#index.newest; file; file = this.#index.newest) {
      if (file.header.indexCount > FIRST_ENTRY && file.header.endPhyOffset < commitLogOffset) return;
      const { beginTimestamp } = file.header;
      file.dropFrom(commitLogOffset, (entry) => beginTimestamp + entry.timeDiffSeconds * 1000);
      this.#finishing.forget(file);
      if (file.header.indexCount > FIRST_ENTRY) return;
      this.#index.remove(file);
    }
  }

  /**
   * Removes the oldest files, never the last, as long as all their records lie below the log's start (upstream:
   * `IndexService#deleteExpiredFile`). A file whose slots are still to be written stays. Throws system errors. Returns
   * how many went.
   */
  removeBefore(minCommitLogOffset: CommitLogOffset): number {
    const { all } = this.#index;
    let removedCount = 0;
    for (let file = all[0]; file && all.length > 1; file = all[0]) {
      if (file.header.endPhyOffset >= minCommitLogOffset || this.#finishing.includes(file)) break;
      this.#index.remove(file);
      removedCount += 1;
    }
    if (removedCount > 0) this.#index.syncNames();
    return removedCount;
  }

  /** Removes every file: the index is built anew. */
  clear(): void {
    this.#slotChains.forgetAll();
    this.#index.clear();
    this.#finishing.forgetAll();
  }

  /**
   * Goes back to a durable mark: files before the named one are whole, of it the marked entries are, everything after
   * is removed. Only after {@link canRestore}. False when the log does not tell what damaged entries were.
   */
  restore(mark: IndexMark): boolean {
    const { all } = this.#index;
    const marked = all.find((file) => file.name === mark.file);
    if (!marked) return false;
    this.#index.removeOdd();
    this.#index.removeStrayChecks();
    for (const file of all.slice(all.indexOf(marked) + 1)) this.#index.remove(file);
    const file = this.#index.reopen(marked, { ...mark.header });
    const healedCount = file.heal((first, count) => this.#keysOf(file, first, count));
    if (healedCount === undefined) return false;
    if (file.isFull) {
      file.openForWriting(false);
      this.#finishing.enter(file);
    }
    return true;
  }

  /** Do the files fit the mark, as far as can be seen without reading them? */
  canRestore(mark: IndexMark, minCommitLogOffset: CommitLogOffset): boolean {
    const { all, odd } = this.#index;
    return fitMark({ files: all, odd }, mark, minCommitLogOffset);
  }

  /**
   * Takes the files that another program left, or whose checks are lost: slots and checks are made from the entries.
   * False when entries are chained wrongly. Whether the entries are those of the log is for others to find out.
   * `thorough`, after a crash: entries may be in the page cache that a killed process left, and not on the device.
   */
  adoptFiles(thorough: boolean): boolean {
    let isChained = true;
    this.#index.removeStrayChecks();
    for (const file of this.#index.all) {
      if (!file.adoptEntries(thorough)) isChained = false;
      if (file !== this.#index.newest) {
        writeWhole(file);
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
    writeWhole(file);
    if (file !== this.#index.newest && !this.#finishing.includes(file)) file.release();
    this.#logger.warn({ file: file.path, entryBlocks: healedCount }, 'an index file was damaged and was set right');
  }

  #keysOf(file: IndexFile, first: number, count: number) {
    return this.#healing.keysOf(surroundingsOf(this.#index.all, file, first, count));
  }
}
