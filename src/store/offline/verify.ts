/**
 * Checks a store directory offline and changes nothing: every record of the log, and whether queues and index say what
 * the log says. Works on directories that Apache RocketMQ wrote. It reports what it finds instead of throwing.
 */
import { messageOf } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { diskFiles, joinPath } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { INDEX_ENTRY_BYTES, INDEX_HEADER_BYTES, INDEX_SLOT_BYTES } from '../keys/indexFile.js';
import { IndexHash } from '../keys/indexHash.js';
import { BLANK_ENTRY_SIZE } from '../queues/consumeQueue.js';
import { DEFAULT_DELAY_LEVELS } from '../queues/dispatch.js';
import { dispatchEntryOf } from '../recovery/derivedRecovery.js';
import type { DumpedQueueEntry, DumpIndexOptions } from './dump.js';
import {
  dumpCommitLog,
  dumpConsumeQueue,
  dumpIndexEntries,
  dumpIndexFiles,
  dumpIndexHeader,
  dumpQueues,
} from './dump.js';

export interface VerifyProblem {
  /** Path relative to the store directory. */
  file: string;
  /** Byte in the file, or -1 when the file as a whole is meant. */
  offset: number;
  problem: string;
}

export interface VerifiedQueue {
  topic: string;
  queueId: number;
  minOffset: QueueOffset;
  maxOffset: QueueOffset;
}

export interface VerifyReport {
  minCommitLogOffset: CommitLogOffset;
  /** Where the records end. */
  logEnd: CommitLogOffset;
  recordCount: number;
  queues: VerifiedQueue[];
  indexEntryCount: number;
  /** In the order in which they were found; the first {@link VerifyOptions.problemsMax}. */
  problems: VerifyProblem[];
  /** How many there are in all. */
  problemCount: number;
}

export interface VerifyOptions extends DumpIndexOptions {
  /** How many problems the report names. Default 1,000. */
  problemsMax?: number;
}

/** Checks a store directory; see {@link VerifyReport}. The store must not be running. */
export function verifyStore(directory: string, options: VerifyOptions = {}): VerifyReport {
  return new Verification(directory, options).run();
}

class Verification {
  readonly #directory: string;
  readonly #options: VerifyOptions;
  readonly #files: Files;
  readonly #problemsMax: number;
  readonly #report: VerifyReport = {
    minCommitLogOffset: 0,
    logEnd: 0,
    recordCount: 0,
    queues: [],
    indexEntryCount: 0,
    problems: [],
    problemCount: 0,
  };
  /** A walk per queue that goes on as its records are met. */
  readonly #queues = new Map<string, QueueWalk>();
  readonly #hash = new IndexHash();

  constructor(directory: string, options: VerifyOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#files = options.files ?? diskFiles;
    this.#problemsMax = options.problemsMax ?? 1_000;
  }

  run(): VerifyReport {
    const batchTopics = new Set(this.#files.list(joinPath(this.#directory, 'batchconsumequeue')));
    const index = this.#indexWalk();
    let isFirst = true;
    let nextFile: CommitLogOffset | undefined;
    for (const record of dumpCommitLog(this.#directory, this.#options)) {
      const { file, commitLogOffset } = record;
      if (isFirst) this.#report.minCommitLogOffset = Number(file);
      isFirst = false;
      const at = commitLogOffset - Number(file);
      if (at === 0 && nextFile !== undefined && nextFile !== commitLogOffset) {
        this.#problem('commitlog', -1, `the file before ${file} is missing: ${nextFile}`);
      }
      if (record.kind === 'invalid') this.#problem(joinPath('commitlog', file), at, record.reason);
      else if (record.kind === 'blank') nextFile = commitLogOffset + record.sizeBytes;
      else this.#meet(record.message, commitLogOffset, file, batchTopics, index);
    }
    index.end();
    this.#endQueues();
    return this.#report;
  }

  #meet(
    message: StoredMessage,
    commitLogOffset: CommitLogOffset,
    file: string,
    batchTopics: ReadonlySet<string>,
    index: IndexWalk,
  ): void {
    const path = joinPath('commitlog', file);
    this.#report.recordCount += 1;
    this.#report.logEnd = commitLogOffset + message.sizeBytes;
    if (message.commitLogOffset !== commitLogOffset) {
      const at = commitLogOffset - Number(file);
      this.#problem(path, at, `the record says that it lies at ${message.commitLogOffset}`);
    }
    const entry = dispatchEntryOf(message, DEFAULT_DELAY_LEVELS);
    if (entry && !batchTopics.has(entry.topic)) {
      const problem = this.#queue(entry.topic, entry.queueId).meet(entry);
      if (problem) this.#problem(queuePath(entry.topic, entry.queueId), entry.queueOffset * 20, problem);
    }
    this.#hash.forEach(message.topic, message.sysFlag, message.properties, (hash) => index.meet(hash, commitLogOffset));
  }

  #queue(topic: string, queueId: number): QueueWalk {
    const name = `${topic}/${queueId}`;
    let walk = this.#queues.get(name);
    if (!walk) {
      walk = new QueueWalk(dumpConsumeQueue(this.#directory, topic, queueId, this.#options));
      this.#queues.set(name, walk);
    }
    return walk;
  }

  #endQueues(): void {
    for (const [topic, ids] of dumpQueues(this.#directory, this.#options)) {
      for (const queueId of ids) {
        const walk = this.#queue(topic, queueId);
        const problem = walk.end(this.#report.logEnd);
        if (problem) this.#problem(queuePath(topic, queueId), walk.maxOffset * 20, problem);
        this.#report.queues.push({ topic, queueId, minOffset: walk.minOffset, maxOffset: walk.maxOffset });
      }
    }
  }

  #indexWalk(): IndexWalk {
    const names = dumpIndexFiles(this.#directory, this.#options);
    const slots = this.#options.maxHashSlotNum ?? 5_000_000;
    const entries = INDEX_HEADER_BYTES + slots * INDEX_SLOT_BYTES;
    const report = (file: string, number: number, problem: string) =>
      this.#problem(joinPath('index', file), number < 0 ? -1 : entries + number * INDEX_ENTRY_BYTES, problem);
    const count = () => {
      this.#report.indexEntryCount += 1;
    };
    return new IndexWalk(entriesOf(this.#directory, names, this.#options, report), report, count);
  }

  #problem(file: string, offset: number, problem: string): void {
    this.#report.problemCount += 1;
    if (this.#report.problems.length < this.#problemsMax) this.#report.problems.push({ file, offset, problem });
  }
}

function queuePath(topic: string, queueId: number): string {
  return joinPath('consumequeue', topic, String(queueId));
}

/** Follows a queue's entries while the records come in log order. */
class QueueWalk {
  readonly #entries: Generator<DumpedQueueEntry>;
  #current: DumpedQueueEntry | undefined;
  minOffset: QueueOffset = -1;
  maxOffset: QueueOffset = 0;

  constructor(entries: Generator<DumpedQueueEntry>) {
    this.#entries = entries;
    this.#next();
  }

  /** What is wrong with the entry of this record, if anything. */
  meet(record: { queueOffset: QueueOffset; commitLogOffset: CommitLogOffset; sizeBytes: number }): string | undefined {
    // Entries of records that were deleted with the log's first files come first.
    while (this.#current && this.#current.queueOffset < record.queueOffset && this.#isOld(record)) this.#next();
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
      if (commitLogOffset >= logEnd) problem ??= 'the entry points beyond the end of the log';
    }
    if (this.minOffset < 0) this.minOffset = this.maxOffset;
    return problem;
  }

  #isOld(record: { commitLogOffset: CommitLogOffset }): boolean {
    const entry = this.#current;
    const isBlank = entry?.sizeBytes === BLANK_ENTRY_SIZE;
    return entry !== undefined && this.minOffset < 0 && (isBlank || entry.commitLogOffset < record.commitLogOffset);
  }

  #next(): void {
    this.#current = this.#entries.next().value ?? undefined;
    if (this.#current) this.maxOffset = this.#current.queueOffset + 1;
  }
}

interface FoundEntry {
  file: string;
  number: number;
  keyHash: number;
  commitLogOffset: CommitLogOffset;
}

function* entriesOf(
  directory: string,
  names: readonly string[],
  options: VerifyOptions,
  report: (file: string, number: number, problem: string) => void,
): Generator<FoundEntry> {
  for (const file of names) {
    try {
      dumpIndexHeader(directory, file, options);
    } catch (error) {
      report(file, -1, messageOf(error));
      continue;
    }
    for (const { number, keyHash, commitLogOffset } of dumpIndexEntries(directory, file, options)) {
      yield { file, number, keyHash, commitLogOffset };
    }
  }
}

/** Follows the index entries while the keys come in log order. */
class IndexWalk {
  readonly #entries: Generator<FoundEntry>;
  readonly #report: (file: string, number: number, problem: string) => void;
  readonly #count: () => void;
  #current: FoundEntry | undefined;
  #isLost = false;

  constructor(
    entries: Generator<FoundEntry>,
    report: (file: string, number: number, problem: string) => void,
    count: () => void,
  ) {
    this.#entries = entries;
    this.#report = report;
    this.#count = count;
    this.#next();
  }

  meet(hash: number, commitLogOffset: CommitLogOffset): void {
    if (this.#isLost) return;
    while (this.#current && this.#current.commitLogOffset < commitLogOffset) this.#next();
    const entry = this.#current;
    if (entry?.commitLogOffset === commitLogOffset && entry.keyHash === hash) {
      this.#next();
      return;
    }
    // One line is enough: from here on the index does not follow the log.
    this.#isLost = true;
    this.#report(entry?.file ?? '', entry?.number ?? -1, `the key of the record at ${commitLogOffset} is not indexed`);
  }

  end(): void {
    while (this.#current) this.#next();
  }

  #next(): void {
    this.#current = this.#entries.next().value ?? undefined;
    if (this.#current) this.#count();
  }
}
