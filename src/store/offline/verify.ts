/**
 * Checks a store directory offline and changes nothing: every record of the log, what is lost where bytes cannot be read,
 * and whether queues, index, configuration and marks say what the log says. Works on directories that Apache RocketMQ
 * wrote. It reports what it finds instead of throwing. Memory is bounded: so many problems are named, the rest counted.
 */
import { messageOf } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { diskFiles, joinPath } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset, StreamVersion } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { EVENT_PROPERTY, keysOf } from '../../protocol/messageProperties.js';
import { isRemovedMessage } from '../../protocol/removedMessage.js';
import { INDEX_ENTRY_BYTES, INDEX_HEADER_BYTES, INDEX_SLOT_BYTES } from '../keys/indexFormat.js';
import { IndexHash } from '../keys/indexHash.js';
import { DEFAULT_DELAY_LEVELS } from '../queues/dispatch.js';
import { hasAbort } from '../recovery/checkpoint.js';
import { dispatchEntriesOf } from '../recovery/derivedRecovery.js';
import { OpenAppend } from '../recovery/logRecovery.js';
import { type FoundIndexEntry, IndexWalk, QueueCursor, QueueWalk } from './derivedCheck.js';
import type { DumpIndexOptions } from './dump.js';
import { dumpIndexEntries, dumpIndexFiles, dumpIndexHeader, dumpQueues } from './dump.js';
import { LogView } from './logView.js';
import { lookAtLayout, type StoreLayout, type StoreSizes } from './storeLayout.js';

export interface VerifyProblem {
  /** Path relative to the store directory. */
  file: string;
  /** Byte in the file, or -1 when the file as a whole is meant. */
  offset: number;
  problem: string;
  /** DAMAGE: something is lost, or a start refuses. DERIVED: it is found out anew from the log, nothing is lost. */
  kind: 'DAMAGE' | 'DERIVED';
}

export interface VerifiedQueue {
  topic: string;
  queueId: number;
  minOffset: QueueOffset;
  maxOffset: QueueOffset;
}

/** Bytes of the log that cannot be read, and what is known of what they held. */
export interface VerifiedHole {
  from: CommitLogOffset;
  /** Where the log can be read again. */
  to: CommitLogOffset;
  reason: string;
  /** Queue offsets from `from` up to and including `last`. */
  queues: { topic: string; queueId: number; from: QueueOffset; last: QueueOffset }[];
  /** Versions from `from` up to and including `last`. */
  streams: { topic: string; stream: string; from: StreamVersion; last: StreamVersion }[];
  /** Lost messages that are known one by one. */
  messageCount: number;
  /** Ranges of queues and streams that are not in the lists, which are bounded. */
  unnamedCount: number;
}

export interface VerifyReport {
  minCommitLogOffset: CommitLogOffset;
  /** Where the records end. */
  logEnd: CommitLogOffset;
  recordCount: number;
  /** Records among them that an earlier repair put in the place of lost ones. */
  removedCount: number;
  queues: VerifiedQueue[];
  indexEntryCount: number;
  /** In log order; the first {@link VerifyOptions.problemsMax}. */
  holes: VerifiedHole[];
  holeCount: number;
  lostBytes: number;
  /** What lies beyond the records and was never synced: no damage, the next start cuts it off and keeps it aside. */
  tail: { position: CommitLogOffset; sizeBytes: number; reason: string } | undefined;
  /** What is worth a word and is no problem. */
  notices: string[];
  /** In the order in which they were found; the first {@link VerifyOptions.problemsMax}. */
  problems: VerifyProblem[];
  /** How many there are in all. */
  problemCount: number;
}

export interface VerifyOptions extends DumpIndexOptions, Partial<StoreSizes> {
  files?: Files;
  /** How many problems the report names. Default 1,000. */
  problemsMax?: number;
  /** Called now and then with how much of the log was read, in bytes. */
  onProgress?: (doneBytes: number, totalBytes: number) => void;
}

const NAMED_MAX = 100;
const PROGRESS_BYTES = 64 * 1024 * 1024;

/** Checks a store directory; see {@link VerifyReport}. The store must not be running. */
export function verifyStore(directory: string, options: VerifyOptions = {}): VerifyReport {
  return new Verification(directory, options).run();
}

class Verification {
  readonly #directory: string;
  readonly #options: VerifyOptions;
  readonly #files: Files;
  readonly #problemsMax: number;
  readonly #layout: StoreLayout;
  readonly #view: LogView;
  readonly #isCrashed: boolean;
  readonly #report: VerifyReport = {
    minCommitLogOffset: 0,
    logEnd: 0,
    recordCount: 0,
    removedCount: 0,
    queues: [],
    indexEntryCount: 0,
    holes: [],
    holeCount: 0,
    lostBytes: 0,
    tail: undefined,
    notices: [],
    problems: [],
    problemCount: 0,
  };
  /** A walk per queue that goes on as its records are met. */
  readonly #queues = new Map<string, QueueWalk>();
  readonly #hash = new IndexHash();
  readonly #openAppend = new OpenAppend();
  /** Entries that were not written yet when the last run ended. */
  #laggingCount = 0;

  constructor(directory: string, options: VerifyOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#files = options.files ?? diskFiles;
    this.#problemsMax = options.problemsMax ?? 1_000;
    this.#layout = lookAtLayout(this.#files, directory, options);
    this.#view = new LogView({ files: this.#files, directory, sizes: this.#layout.sizes });
    this.#isCrashed = hasAbort(this.#files, directory);
  }

  run(): VerifyReport {
    const report = this.#report;
    try {
      for (const { file, problem, isDerived } of this.#layout.problems) {
        this.#problem(file, -1, isDerived ? rebuilt(problem) : problem, isDerived ? 'DERIVED' : 'DAMAGE');
      }
      report.notices.push(...this.#layout.notices);
      report.minCommitLogOffset = this.#view.logStart;
      const index = this.#indexWalk();
      this.#walk(index);
      index.end();
      report.indexEntryCount = index.count;
      if (this.#isCrashed) this.#laggingCount += index.missingCount;
      else if (index.missingCount > 0) {
        this.#problem(
          'index',
          -1,
          rebuilt(`${index.missingCount} keys at the end of the log are not indexed`),
          'DERIVED',
        );
      }
      this.#endQueues();
      this.#describeEnd();
      this.#describeHoles();
    } finally {
      this.#view.close();
    }
    return report;
  }

  #walk(index: IndexWalk): void {
    const { segments, logStart } = this.#view;
    const total = (segments.last?.end ?? 0) - logStart;
    let told = logStart;
    for (const part of this.#view.walk()) {
      if (part.kind === 'RECORD') {
        const { message } = part;
        this.#meet(message, index);
        if (message.commitLogOffset - told >= PROGRESS_BYTES) {
          told = message.commitLogOffset;
          this.#options.onProgress?.(told - logStart, total);
        }
      } else if (part.kind === 'HOLE') this.#meetHole(part.from, part.to, part.reason);
    }
  }

  #meet(message: StoredMessage, index: IndexWalk): void {
    const { commitLogOffset } = message;
    const report = this.#report;
    report.recordCount += 1;
    if (isRemovedMessage(message)) report.removedCount += 1;
    this.#openAppend.meet(message);
    for (const entry of dispatchEntriesOf(message, DEFAULT_DELAY_LEVELS)) {
      const { topic, queueId } = entry;
      if (this.#view.batchTopics.has(topic)) continue;
      if (commitLogOffset < (this.#view.deletedBefore.get(topic) ?? 0)) continue;
      const walk = this.#queue(topic, queueId);
      const problem = walk.meet(entry);
      if (!problem) continue;
      if (walk.isAtEnd && this.#isCrashed) this.#laggingCount += 1;
      else this.#problem(queuePath(topic, queueId), entry.queueOffset * 20, rebuilt(problem), 'DERIVED');
    }
    this.#hash.forEach(message.topic, message.sysFlag, message.properties, (hash) => index.meet(hash, commitLogOffset));
  }

  #meetHole(from: CommitLogOffset, to: CommitLogOffset, reason: string): void {
    const report = this.#report;
    report.holeCount += 1;
    report.lostBytes += to - from;
    const segment = this.#view.segments.find(from);
    const file = segment ? joinPath('commitlog', segment.path.slice(-20)) : 'commitlog';
    const problem = `${to - from} bytes cannot be read, log position ${from} to ${to}: ${reason}`;
    this.#problem(file, segment ? from - segment.start : -1, problem, 'DAMAGE');
    if (report.holes.length >= this.#problemsMax) return;
    report.holes.push({ from, to, reason, queues: [], streams: [], messageCount: 0, unnamedCount: 0 });
  }

  #queue(topic: string, queueId: number): QueueWalk {
    const name = `${topic}/${queueId}`;
    let walk = this.#queues.get(name);
    if (!walk) {
      const directory = joinPath(this.#directory, 'consumequeue', topic, String(queueId));
      const cursor = new QueueCursor(this.#files, this.#view.handles, directory);
      walk = new QueueWalk(cursor, (commitLogOffset) => this.#isLost(commitLogOffset));
      this.#queues.set(name, walk);
    }
    return walk;
  }

  #isLost(commitLogOffset: CommitLogOffset): boolean {
    const { holes } = this.#view.book;
    let low = 0;
    let high = holes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((holes[middle]?.to ?? 0) <= commitLogOffset) low = middle + 1;
      else high = middle;
    }
    return (holes[low]?.from ?? Number.POSITIVE_INFINITY) <= commitLogOffset;
  }

  #endQueues(): void {
    const { end } = this.#view;
    this.#report.logEnd = end.position;
    for (const [topic, ids] of dumpQueues(this.#directory, this.#options)) {
      for (const queueId of ids) {
        const walk = this.#queue(topic, queueId);
        const problem = walk.end(end.position);
        if (problem) this.#problem(queuePath(topic, queueId), walk.maxOffset * 20, rebuilt(problem), 'DERIVED');
        this.#report.queues.push({ topic, queueId, minOffset: walk.minOffset, maxOffset: walk.maxOffset });
      }
    }
  }

  #describeEnd(): void {
    const { end, book, syncedTo, segments } = this.#view;
    const { notices } = this.#report;
    if (end.kind === 'GAP') {
      const problem = `log position ${end.position}: ${end.reason}, and nothing in the later ones can be read`;
      this.#problem('commitlog', -1, problem, 'DAMAGE');
    }
    const tail = end.kind === 'GAP' ? undefined : this.#view.tail();
    if (tail) this.#report.tail = { ...tail, reason: end.reason };
    if (this.#openAppend.start !== undefined && this.#openAppend.start >= syncedTo) {
      notices.push(`the append at ${this.#openAppend.start} is not whole: the next start cuts it off`);
    }
    if (this.#laggingCount > 0) {
      notices.push(
        `${this.#laggingCount} entries of queues and index were not written when the last run ended: the next start writes them`,
      );
    }
    if (this.#isCrashed) notices.push('the last run did not end well: the next start recovers');
    if (this.#report.removedCount > 0) {
      notices.push(`${this.#report.removedCount} records stand in the place of what an earlier repair removed`);
    }
    if (book.holes.length > 0 && syncedTo === 0 && segments.all.length > 0) {
      notices.push('no mark tells what was synced: a start ends the log at the first damage and keeps the rest aside');
    }
  }

  #describeHoles(): void {
    const { book, lost } = this.#view;
    for (const [number, hole] of this.#report.holes.entries()) {
      const ranges = new Ranges();
      for (const record of lost.in(number)) {
        hole.messageCount += 1;
        ranges.addOffset(record.topic, record.queueId, record.queueOffset);
        const version = Number(record.properties?.[EVENT_PROPERTY.STREAM_VERSION] ?? 0);
        const [stream] = record.properties ? keysOf(record.properties) : [];
        if (version > 0 && stream !== undefined) ranges.addVersion(record.topic, stream, version);
      }
      for (const { topic, queueId, from, to, firstHole, lastHole } of book.offsets) {
        // Of a range that several holes share, each tells what it is known to have held.
        if (lastHole !== number || firstHole !== number) continue;
        ranges.coverOffsets(topic, queueId, from, to - 1);
      }
      for (const { topic, stream, from, to, hole: of } of book.versions) {
        if (of === number) ranges.coverVersions(topic, stream, from, to - 1);
      }
      hole.queues = ranges.queues;
      hole.streams = ranges.streams;
      hole.unnamedCount = ranges.unnamedCount;
    }
  }

  #indexWalk(): IndexWalk {
    const names = dumpIndexFiles(this.#directory, this.#options);
    const { maxHashSlotNum } = this.#layout.sizes;
    const entries = INDEX_HEADER_BYTES + maxHashSlotNum * INDEX_SLOT_BYTES;
    const report = (file: string, number: number, problem: string) =>
      this.#problem(
        joinPath('index', file),
        number < 0 ? -1 : entries + number * INDEX_ENTRY_BYTES,
        rebuilt(problem),
        'DERIVED',
      );
    const options = { ...this.#options, maxHashSlotNum };
    return new IndexWalk(entriesOf(this.#directory, names, options, report), report);
  }

  #problem(file: string, offset: number, problem: string, kind: VerifyProblem['kind']): void {
    this.#report.problemCount += 1;
    if (this.#report.problems.length < this.#problemsMax) this.#report.problems.push({ file, offset, problem, kind });
  }
}

function rebuilt(problem: string): string {
  return `${problem}; nothing is lost, it is rebuilt from the log`;
}

function queuePath(topic: string, queueId: number): string {
  return joinPath('consumequeue', topic, String(queueId));
}

/** Joins what is lost of each queue and stream into ranges, a bounded number of them. */
class Ranges {
  readonly queues: VerifiedHole['queues'] = [];
  readonly streams: VerifiedHole['streams'] = [];
  unnamedCount = 0;

  addOffset(topic: string, queueId: number, offset: QueueOffset): void {
    const open = this.queues.findLast((range) => range.topic === topic && range.queueId === queueId);
    if (open && open.last + 1 === offset) open.last = offset;
    else this.#name(this.queues, { topic, queueId, from: offset, last: offset });
  }

  addVersion(topic: string, stream: string, version: StreamVersion): void {
    const open = this.streams.findLast((range) => range.topic === topic && range.stream === stream);
    if (open && open.last + 1 === version) open.last = version;
    else this.#name(this.streams, { topic, stream, from: version, last: version });
  }

  /** The records around the hole tell the whole range, whatever was found inside. */
  coverOffsets(topic: string, queueId: number, from: QueueOffset, last: QueueOffset): void {
    const known = this.queues.findIndex((range) => range.topic === topic && range.queueId === queueId);
    const others = this.queues.filter((range) => range.topic !== topic || range.queueId !== queueId);
    if (known >= 0) this.queues.splice(0, this.queues.length, ...others);
    this.#name(this.queues, { topic, queueId, from, last });
  }

  coverVersions(topic: string, stream: string, from: StreamVersion, last: StreamVersion): void {
    const others = this.streams.filter((range) => range.topic !== topic || range.stream !== stream);
    this.streams.splice(0, this.streams.length, ...others);
    this.#name(this.streams, { topic, stream, from, last });
  }

  #name<Range>(ranges: Range[], range: Range): void {
    if (ranges.length < NAMED_MAX) ranges.push(range);
    else this.unnamedCount += 1;
  }
}

/** One line for each queue and stream that lost something in the hole. */
export function lossLines({ queues, streams, unnamedCount }: VerifiedHole): string[] {
  const lines = queues.map(
    ({ topic, queueId, from, last }) => `queue ${topic} ${queueId}: queue offsets ${from} to ${last}`,
  );
  for (const { topic, stream, from, last } of streams) {
    lines.push(`stream ${stream} of ${topic}: versions ${from} to ${last}`);
  }
  if (unnamedCount > 0) lines.push(`${unnamedCount} more ranges`);
  return lines;
}

function* entriesOf(
  directory: string,
  names: readonly string[],
  options: DumpIndexOptions,
  report: (file: string, number: number, problem: string) => void,
): Generator<FoundIndexEntry, void, undefined> {
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
