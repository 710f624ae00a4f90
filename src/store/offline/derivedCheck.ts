/**
 * Holds queues and index against the records of the log while these are read once, in order: a cursor per queue and one
 * over all index files move along. A cursor costs four kilobytes; files are opened when they are read and few stay open.
 */
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import type { FileHandles } from '../log/fileHandles.js';
import { BLANK_ENTRY_SIZE, decodeEntry, QUEUE_ENTRY_BYTES, type QueueEntry } from '../queues/queueEntry.js';

const BLOCK_BYTES = 200 * QUEUE_ENTRY_BYTES;

interface NumberedEntry extends QueueEntry {
  queueOffset: QueueOffset;
}

/** The written entries of one queue, in order. */
export class QueueCursor {
  readonly #handles: FileHandles;
  readonly #directory: string;
  readonly #names: readonly string[];
  #fileAt = 0;
  #position = 0;
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #blockAt = 0;
  #blockLength = 0;

  constructor(files: Files, handles: FileHandles, directory: string) {
    this.#handles = handles;
    this.#directory = directory;
    this.#names = files.list(directory).filter((name) => /^\d+$/.test(name));
  }

  /** Undefined at the first entry that was never written, and for good. */
  next(): NumberedEntry | undefined {
    for (;;) {
      const name = this.#names[this.#fileAt];
      if (name === undefined) return undefined;
      if (this.#blockAt + QUEUE_ENTRY_BYTES > this.#blockLength) {
        const path = joinPath(this.#directory, name);
        this.#blockLength = this.#handles.use(path).read(this.#block, 0, BLOCK_BYTES, this.#position);
        this.#blockAt = 0;
        if (this.#blockLength < QUEUE_ENTRY_BYTES) {
          this.#fileAt += 1;
          this.#position = 0;
          this.#blockLength = 0;
          continue;
        }
      }
      const entry = decodeEntry(this.#block, this.#blockAt);
      if (entry.sizeBytes <= 0) {
        this.#fileAt = this.#names.length;
        return undefined;
      }
      const queueOffset = Math.floor((Number(name) + this.#position) / QUEUE_ENTRY_BYTES);
      this.#blockAt += QUEUE_ENTRY_BYTES;
      this.#position += QUEUE_ENTRY_BYTES;
      return { queueOffset, ...entry };
    }
  }
}

/** Follows a queue's entries while the records come in log order. */
export class QueueWalk {
  readonly #cursor: QueueCursor;
  /** Does this position lie where records cannot be read? Its entry is right and leads nowhere. */
  readonly #isLost: (commitLogOffset: CommitLogOffset) => boolean;
  #current: NumberedEntry | undefined;
  minOffset: QueueOffset = -1;
  maxOffset: QueueOffset = 0;

  constructor(cursor: QueueCursor, isLost: (commitLogOffset: CommitLogOffset) => boolean) {
    this.#cursor = cursor;
    this.#isLost = isLost;
    this.#next();
  }

  /** Have the entries come to their end? Then those of later records are missing, no more. */
  get isAtEnd(): boolean {
    return this.#current === undefined;
  }

  /** What is wrong with the entry of this record, if anything. */
  meet(record: { queueOffset: QueueOffset; commitLogOffset: CommitLogOffset; sizeBytes: number }): string | undefined {
    // Entries of records that were deleted with the log's first files come first.
    while (this.#current && this.#isPassed(this.#current, record)) this.#next();
    const entry = this.#current;
    if (!entry) return `the entry of queue offset ${record.queueOffset} is missing`;
    if (this.minOffset < 0) this.minOffset = entry.queueOffset;
    const isRight =
      entry.queueOffset === record.queueOffset &&
      entry.commitLogOffset === record.commitLogOffset &&
      entry.sizeBytes === record.sizeBytes;
    if (!isRight && entry.commitLogOffset > record.commitLogOffset) {
      return `the record at ${record.commitLogOffset} has no entry`;
    }
    this.#next();
    if (isRight) return undefined;
    return `entry ${entry.queueOffset} points at ${entry.commitLogOffset}, the record lies at ${record.commitLogOffset}`;
  }

  /** What is wrong with the entries after the last record's. */
  end(logEnd: CommitLogOffset): string | undefined {
    let problem: string | undefined;
    for (; this.#current; this.#next()) {
      const { commitLogOffset, sizeBytes, queueOffset } = this.#current;
      if (this.minOffset < 0 && sizeBytes !== BLANK_ENTRY_SIZE) this.minOffset = queueOffset;
      if (sizeBytes !== BLANK_ENTRY_SIZE && commitLogOffset >= logEnd) {
        problem ??= `the entry of queue offset ${queueOffset} points beyond the end of the log`;
      }
    }
    if (this.minOffset < 0) this.minOffset = this.maxOffset;
    return problem;
  }

  #isPassed(entry: NumberedEntry, record: { queueOffset: QueueOffset; commitLogOffset: CommitLogOffset }): boolean {
    if (entry.commitLogOffset < record.commitLogOffset && this.#isLost(entry.commitLogOffset)) return true;
    if (entry.queueOffset >= record.queueOffset) return false;
    const isBlank = entry.sizeBytes === BLANK_ENTRY_SIZE;
    return isBlank || (this.minOffset < 0 && entry.commitLogOffset < record.commitLogOffset);
  }

  #next(): void {
    this.#current = this.#cursor.next();
    if (this.#current) this.maxOffset = this.#current.queueOffset + 1;
  }
}

export interface FoundIndexEntry {
  file: string;
  number: number;
  keyHash: number;
  commitLogOffset: CommitLogOffset;
}

/** Follows the index entries while the keys come in log order. */
export class IndexWalk {
  readonly #entries: Generator<FoundIndexEntry, void, undefined>;
  readonly #report: (file: string, number: number, problem: string) => void;
  #current: FoundIndexEntry | undefined;
  #isLost = false;
  /** Entries seen. */
  count = 0;
  /** Keys that came after the last entry. */
  missingCount = 0;

  constructor(
    entries: Generator<FoundIndexEntry, void, undefined>,
    report: (file: string, number: number, problem: string) => void,
  ) {
    this.#entries = entries;
    this.#report = report;
    this.#next();
  }

  meet(hash: number, commitLogOffset: CommitLogOffset): void {
    if (this.#isLost) return;
    while (this.#current && this.#current.commitLogOffset < commitLogOffset) this.#next();
    const entry = this.#current;
    if (!entry) {
      this.missingCount += 1;
      return;
    }
    if (entry.commitLogOffset === commitLogOffset && entry.keyHash === hash) {
      this.#next();
      return;
    }
    // One line is enough: from here on the index does not follow the log.
    this.#isLost = true;
    this.#report(entry.file, entry.number, `the key of the record at ${commitLogOffset} is not indexed`);
  }

  end(): void {
    while (this.#current) this.#next();
  }

  #next(): void {
    this.#current = this.#entries.next().value ?? undefined;
    if (this.#current) this.count += 1;
  }
}
