/**
 * The sequence of index files on disk, oldest first, with the checks beside each: opened, created, removed, and their
 * names made durable. Files are named after the local time of their creation, as upstream names them.
 */
import type { Clock } from '../../base/clock.js';
import { isFoldlogError } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { joinPath, parentOf } from '../../base/files.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { FileHandles } from '../log/fileHandles.js';
import { BlockCache } from './blockCache.js';
import { checksName, IndexChecks, isChecksName } from './indexChecks.js';
import { IndexFile } from './indexFile.js';
import {
  decodeIndexHeader,
  emptyIndexHeader,
  FIRST_ENTRY,
  INDEX_HEADER_BYTES,
  type IndexHeader,
  type IndexSizes,
  indexFileBytes,
  slotPagesOf,
} from './indexFormat.js';

const isIndexName = (name: string) => /^\d+$/.test(name);

export class IndexFiles {
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #directory: string;
  readonly #checksDirectory: string;
  readonly #sizes: IndexSizes;
  readonly #cache: BlockCache;
  readonly #onDamage: (file: IndexFile) => void;
  readonly #all: IndexFile[] = [];
  /** Files created ahead of the append that will fill them, so that no append fails half-way. */
  readonly #prepared: IndexFile[] = [];
  /** Names of files that have not the configured length. */
  readonly #odd: string[] = [];
  #hasNewName = false;

  constructor(parts: {
    files: Files;
    handles: FileHandles;
    clock: Clock;
    logger: Logger;
    directory: string;
    /** Where the checksums of the files lie. */
    checksDirectory: string;
    sizes: IndexSizes;
    /** Bytes of what is read that stay in memory. */
    cacheBytes: number;
    /** What is on disk differs from its check: heals the file, or throws. */
    onDamage: (file: IndexFile) => void;
  }) {
    this.#files = parts.files;
    this.#handles = parts.handles;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#directory = parts.directory;
    this.#checksDirectory = parts.checksDirectory;
    this.#sizes = parts.sizes;
    this.#cache = new BlockCache(parts.cacheBytes);
    this.#onDamage = parts.onDamage;
  }

  /** Oldest first. */
  get all(): readonly IndexFile[] {
    return this.#all;
  }

  get newest(): IndexFile | undefined {
    return this.#all.at(-1);
  }

  /** Opens the files on disk; their headers are believed. Files that have not the configured length stay out. */
  load(): void {
    // A process that was killed may have made files whose names are not durable yet.
    this.#hasNewName = true;
    for (const name of this.#files.list(this.#directory)) {
      const path = joinPath(this.#directory, name);
      if (!isIndexName(name)) {
        this.#logger.warn({ file: path }, 'a file in the index directory has no number as its name and is skipped');
        continue;
      }
      const isWhole = this.#files.stat(path)?.sizeBytes === indexFileBytes(this.#sizes);
      const header = isWhole ? this.#readHeader(path) : undefined;
      if (header) this.#all.push(this.#file(name, header));
      else this.#odd.push(name);
    }
  }

  /** Names of files that have not the configured length. */
  get odd(): readonly string[] {
    return this.#odd;
  }

  removeOdd(): void {
    for (const name of this.#odd.splice(0)) {
      this.#files.remove(joinPath(this.#directory, name));
      this.#removeChecks(checksName(name));
    }
  }

  /** Removes checks that belong to no file. */
  removeStrayChecks(): void {
    const known = new Set(this.#all.map(({ name }) => checksName(name)));
    for (const name of this.#files.list(this.#checksDirectory)) {
      if (isChecksName(name) && !known.has(name)) this.#removeChecks(name);
    }
  }

  /** Makes sure that this many entries can be put without creating a file. Throws system errors. */
  prepare(entryCount: number): void {
    const { newest } = this;
    let room = newest ? this.#sizes.maxIndexNum - newest.header.indexCount : 0;
    room += this.#prepared.length * (this.#sizes.maxIndexNum - FIRST_ENTRY);
    for (; room < entryCount; room += this.#sizes.maxIndexNum - FIRST_ENTRY) this.#prepared.push(this.#create());
  }

  /** The next file begins: one that was prepared, or a new one. */
  begin(): IndexFile {
    const file = this.#prepared.shift() ?? this.#create();
    this.#all.push(file);
    return file;
  }

  removePrepared(): void {
    for (const file of this.#prepared.splice(0)) {
      this.#removeFile(file);
      file.removeChecks();
    }
  }

  /** Takes the file anew, with what its header is to say. */
  reopen(file: IndexFile, header: IndexHeader): IndexFile {
    const again = this.#file(file.name, header);
    this.#all[this.#all.indexOf(file)] = again;
    return again;
  }

  /** Throws system errors; the file stays in the sequence as long as it is there, checks without a file do no harm. */
  remove(file: IndexFile): void {
    this.#removeFile(file);
    this.#all.splice(this.#all.indexOf(file), 1);
    file.removeChecks();
  }

  /** Removes everything that is an index file or its checks. */
  clear(): void {
    for (const name of this.#files.list(this.#directory)) {
      if (!isIndexName(name)) continue;
      this.#handles.close(joinPath(this.#directory, name));
      this.#files.remove(joinPath(this.#directory, name));
    }
    for (const name of this.#files.list(this.#checksDirectory)) if (isChecksName(name)) this.#removeChecks(name);
    this.#all.length = 0;
    this.#prepared.length = 0;
    this.#odd.length = 0;
    this.#hasNewName = true;
  }

  /** Makes durable which files there are. */
  syncNames(): void {
    if (!this.#hasNewName || !this.#files.stat(this.#directory)) return;
    this.#files.syncDirectory(this.#directory);
    this.#files.syncDirectory(parentOf(this.#directory));
    if (this.#files.stat(this.#checksDirectory)) this.#files.syncDirectory(this.#checksDirectory);
    this.#hasNewName = false;
  }

  #create(): IndexFile {
    const name = this.#newName((this.#prepared.at(-1) ?? this.newest)?.name);
    const path = joinPath(this.#directory, name);
    this.#files.makeDirectory(this.#directory);
    this.#hasNewName = true;
    try {
      const opened = this.#files.open(path, 'a+');
      try {
        opened.truncate(indexFileBytes(this.#sizes));
      } finally {
        opened.close();
      }
      this.#checksOf(name).create();
    } catch (error) {
      this.#discard(name);
      throw error;
    }
    const file = this.#file(name, emptyIndexHeader());
    file.openForWriting(true);
    return file;
  }

  /** Takes back a file that a full disk left half made: between others it would look like one whose content is lost. */
  #discard(name: string): void {
    try {
      this.#files.remove(joinPath(this.#directory, name));
      this.#removeChecks(name);
    } catch {
      // The next start finds it, and compares the index with the log.
    }
  }

  #removeFile(file: IndexFile): void {
    this.#handles.close(file.path);
    this.#files.remove(file.path);
    this.#hasNewName = true;
  }

  #removeChecks(name: string): void {
    const path = joinPath(this.#checksDirectory, name);
    this.#handles.close(path);
    this.#files.remove(path);
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
      cache: this.#cache,
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
      onDamage: this.#onDamage,
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
