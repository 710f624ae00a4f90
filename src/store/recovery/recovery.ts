/**
 * Opening a store: looks at what the last run left, decides by the tables of `recoveryTables.ts`, finds the end of the
 * log, makes log, queues and index agree, and begins a generation unless the last stop was clean. Upstream:
 * `DefaultMessageStore#load`, `CommitLog#recoverNormally`, `recoverAbnormally`.
 *
 * Nothing is changed before the whole log that has to be looked at was found good. From the first change on `abort` is
 * there, so that a crash in the middle of recovery is met by a recovery again.
 */
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { IndexHash } from '../keys/indexHash.js';
import type { IndexMark } from '../keys/indexMark.js';
import type { KeyIndex } from '../keys/keyIndex.js';
import type { SegmentList } from '../log/segmentList.js';
import type { BatchQueues } from '../queues/batchQueues.js';
import type { ConsumeQueues } from '../queues/consumeQueues.js';
import { CheckpointFile, hasAbort, readAbort, writeAbort } from './checkpoint.js';
import { IndexCheck, IndexFilling, QueueRecovery } from './derivedRecovery.js';
import type { FoundEnd } from './logRecovery.js';
import {
  findLogEnd,
  identifyRecord,
  LogRepair,
  refuseMissingSegment,
  startOfLastUsed,
  syncedMarkHolds,
} from './logRecovery.js';
import { scanLog } from './logScan.js';
import type { DerivedMark, EndMark, Generations, Marks, RecordIdentity, Running, SyncedMark } from './marks.js';
import { beginGeneration, readSyncedMark, refuseUnfinishedRepair, SyncedMarkFile } from './marks.js';
import type { StartKind } from './recoveryTables.js';
import { startRow } from './recoveryTables.js';

export interface RecoveryParts {
  files: Files;
  directory: string;
  logger: Logger;
  segments: SegmentList;
  /** Empty last files that the listings found. */
  emptyFiles: readonly string[];
  /** Files that a crash of ours left too short. */
  shortFiles: readonly { path: string; sizeBytes: number }[];
  queues: ConsumeQueues;
  keyIndex: KeyIndex;
  hash: IndexHash;
  marks: Marks;
  delayLevels: readonly number[];
  batchQueues: BatchQueues;
  /** What `abort` is to say while this run lasts, and the sizes of its files. */
  running: Running;
}

export interface Recovered {
  start: StartKind;
  logEnd: CommitLogOffset;
  last: RecordIdentity | undefined;
  generations: Generations;
  syncedMark: SyncedMarkFile;
}

export function recover(parts: RecoveryParts): Recovered {
  const { files, directory, marks } = parts;
  refuseUnfinishedRepair(files, directory);
  const mark = readSyncedMark(files, marks.fileOf('synced'));
  const endMark = marks.read('end');
  const generations = marks.read('generations');
  refuseMissingSegment(parts.segments);
  const markHolds = syncedMarkHolds(parts.segments, mark);
  const abort = readAbort(files, directory);
  const isOurs =
    abort === undefined
      ? generations !== undefined && endMark !== undefined && endMatches(parts.segments, endMark)
      : abort === marks.readRunning()?.token;
  const facts = {
    hasAbort: hasAbort(files, directory),
    lastWriter: isOurs ? ('US' as const) : ('OTHER' as const),
    syncedMark: markHolds ? ('HOLDS' as const) : ('VOID' as const),
  };
  const start = generations ? (startRow(facts)?.start ?? 'UNKNOWN') : 'UNKNOWN';
  parts.logger.debug({ ...facts, start }, 'how the last run ended');
  const run = new Recovery(parts, start, markHolds ? mark : undefined, endMark, generations);
  return run.run();
}

/** Does the log hold the record, unchanged? */
function isThere(segments: SegmentList, record: RecordIdentity | undefined): boolean {
  if (!record) return true;
  const found = identifyRecord(segments, record.commitLogOffset);
  return found !== undefined && found.crc === record.crc && found.sizeBytes === record.sizeBytes;
}

/** Does the log end where and how our clean stop left it? */
function endMatches(segments: SegmentList, mark: EndMark): boolean {
  const { last, logEnd } = mark;
  if (!isThere(segments, last)) return false;
  const segment = segments.find(logEnd);
  if (!segment) return (segments.last?.end ?? 0) === logEnd;
  if (segment !== segments.last) return false;
  const next = Buffer.alloc(Math.min(8, segment.end - logEnd));
  segment.read(next, 0, next.length, logEnd);
  return next.every((byte) => byte === 0);
}

/** Queues that a line of the log names. */
const NAMED_MAX = 10;

interface DerivedPlan {
  queueRecovery: QueueRecovery;
  /** The index's part of the durable mark, when its files are there. */
  index: IndexMark | undefined;
  from: CommitLogOffset;
}

class Recovery {
  readonly #parts: RecoveryParts;
  readonly #start: StartKind;
  readonly #mark: (SyncedMark & { sequence: number }) | undefined;
  readonly #endMark: EndMark | undefined;
  readonly #generations: Generations | undefined;

  constructor(
    parts: RecoveryParts,
    start: StartKind,
    mark: (SyncedMark & { sequence: number }) | undefined,
    endMark: EndMark | undefined,
    generations: Generations | undefined,
  ) {
    this.#parts = parts;
    this.#start = start;
    this.#mark = mark;
    this.#endMark = endMark;
    this.#generations = generations;
  }

  run(): Recovered {
    const { marks, segments, keyIndex, logger } = this.#parts;
    keyIndex.load();
    const isClean = this.#start === 'CLEAN' && this.#adoptDerived();
    const minOffset = segments.first?.start ?? 0;
    const derived = this.#start === 'UNKNOWN' ? undefined : marks.read('derived');
    const plan = isClean ? undefined : this.#plan(derived, minOffset);
    const found = plan ? this.#look(plan.from, minOffset) : this.#cleanEnd();
    if (plan && !derived) marks.remove('derived');
    this.#beginRun();
    if (plan) {
      this.#repairLog(found);
      this.#deriveAgain(plan, found.end);
    }
    const generations = this.#generation(found.end);
    const syncedMark = new SyncedMarkFile(this.#parts.files, marks.fileOf('synced'), generations.current);
    syncedMark.write(found.end, found.last);
    syncedMark.syncNow();
    // A mark whose name a power loss takes would leave damage looking like a tail.
    this.#parts.files.syncDirectory(marks.path);
    const start = this.#start;
    if (start !== 'CLEAN' && found.end > 0) {
      logger.info({ start, logEnd: found.end, generation: generations.current }, 'the store was recovered');
    }
    return { start, logEnd: found.end, last: found.last, generations, syncedMark };
  }

  #cleanEnd(): FoundEnd {
    return { end: this.#endMark?.logEnd ?? 0, decision: 'KEEP', reason: '', last: this.#endMark?.last };
  }

  /** Reads everything that is not known to be good. Throws CORRUPTION; nothing has changed then. */
  #look(derivedFrom: CommitLogOffset, minOffset: CommitLogOffset): FoundEnd {
    const { segments, files, directory, logger } = this.#parts;
    // Whoever stopped cleanly had synced the log: only what lies in its last segment may be a tail.
    const stoppedAt = hasAbort(files, directory) ? 0 : startOfLastUsed(segments);
    const markPosition = Math.max(this.#mark?.position ?? 0, stoppedAt);
    const markedRecord = this.#mark?.last?.commitLogOffset ?? 0;
    const from = this.#start === 'UNKNOWN' ? minOffset : Math.max(minOffset, Math.min(derivedFrom, markedRecord));
    const lastBefore = from > minOffset ? this.#mark?.last : undefined;
    return findLogEnd(segments, from, markPosition, lastBefore, (facts) => logger.debug(facts, 'where the log ends'));
  }

  /** From here on the store counts as running. */
  #beginRun(): void {
    const { files, directory, marks, running, keyIndex, emptyFiles, shortFiles } = this.#parts;
    marks.create();
    const checkpoint = new CheckpointFile(files, directory);
    if (checkpoint.keepIndexed(keyIndex.all)) checkpoint.write();
    // After a crash of ours both are there. They stay as they are: between two new ones a crash would look foreign.
    const before = marks.readRunning();
    const isSame = before?.token === running.token && before.sizes === running.sizes;
    if (isSame && readAbort(files, directory) === running.token) confirmRun(files, directory, marks);
    else {
      marks.writeRunning(running);
      writeAbort(files, directory, running.token);
    }
    marks.remove('end');
    if (!this.#mark) marks.removeSynced();
    for (const file of emptyFiles) files.remove(file);
    for (const { path, sizeBytes } of shortFiles) {
      const file = files.open(path, 'r+');
      file.truncate(sizeBytes);
      file.close();
    }
  }

  #repairLog(found: FoundEnd): void {
    const { files, segments, marks, logger } = this.#parts;
    const repair = new LogRepair({ files, segments, marks, logger });
    repair.apply(found, this.#mark?.position, `generation-${(this.#generations?.current ?? 0) + 1}`);
  }

  /** After a clean stop queues and index are believed when they end where the end mark says. */
  #adoptDerived(): boolean {
    const { queues, keyIndex, segments } = this.#parts;
    const logStart = segments.first?.start ?? 0;
    const mark = this.#endMark;
    if (!mark || keyIndex.hasOddFiles || !keyIndex.isChecked || keyIndex.all.length !== mark.index.length) return false;
    const isIndexRight = mark.index.every(({ file, indexCount, endPhyOffset }, at) => {
      const found = keyIndex.all[at];
      return (
        found?.name === file &&
        found.header.indexCount === indexCount &&
        (indexCount === 1 || found.header.endPhyOffset === endPhyOffset)
      );
    });
    if (!isIndexRight) return false;
    let count = 0;
    for (const { topic, queueId, minOffset, maxOffset } of mark.queues) {
      const queue = queues.find(topic, queueId);
      if (!queue?.filesEndAt(maxOffset) || !queue.isConnected) return false;
      if (!queue.isWhole({ minOffset, maxOffset }, mark.logEnd, logStart)) return false;
      queue.adoptBounds(minOffset, maxOffset);
      // Segments in front were removed since.
      if (logStart !== mark.logStart) queue.correctMin(logStart);
      count += 1;
    }
    const batchCounts = JSON.stringify(this.#parts.batchQueues.counts());
    return count === [...queues.all()].length && batchCounts === JSON.stringify(mark.batchQueues ?? []);
  }

  /** What is right up to the durable mark needs no look; what is missing or damaged needs the whole log. */
  #plan(derived: DerivedMark | undefined, minOffset: CommitLogOffset): DerivedPlan {
    const { queues, delayLevels, batchQueues, keyIndex } = this.#parts;
    const queueRecovery = new QueueRecovery({ queues, delayLevels, batchQueues });
    if (!derived?.queues) return { queueRecovery, index: undefined, from: minOffset };
    queueRecovery.look(derived.queuesPosition, derived.queues, minOffset);
    const index = derived.index && keyIndex.canRestore(derived.index, minOffset) ? derived.index : undefined;
    // Batch queues are seldom there, and no mark tells where they end: they are compared with the whole log.
    const hasBatches = batchQueues.counts().length > 0 || (this.#endMark?.batchQueues?.length ?? 0) > 0;
    const isWhole = index && queueRecovery.damaged.size === 0 && !hasBatches;
    const from = isWhole ? Math.max(minOffset, Math.min(derived.queuesPosition, index.position)) : minOffset;
    return { queueRecovery, index, from };
  }

  /** Queues and index from the records in [from, end). */
  #deriveAgain({ queueRecovery, from, index: mark }: DerivedPlan, end: CommitLogOffset): void {
    const { segments, queues, batchQueues, keyIndex, hash, logger } = this.#parts;
    const minOffset = segments.first?.start ?? 0;
    queueRecovery.begin(minOffset);
    batchQueues.beginRecovery(from);
    const indexFrom = mark && keyIndex.restore(mark) ? mark.position : undefined;
    logger.debug(
      { from, indexFrom, damagedQueues: queueRecovery.damaged.size },
      'from where queues and index are derived',
    );
    const filling = new IndexFilling({ keyIndex, hash });
    let check: IndexCheck | undefined;
    let isChained = true;
    if (indexFrom === undefined) {
      // Odd files could lie between others: their entries would be missing in the middle.
      if (keyIndex.hasOddFiles) keyIndex.clear();
      isChained = keyIndex.adoptFiles(this.#start !== 'CLEAN');
      check = new IndexCheck({ keyIndex, hash });
      check.begin(minOffset);
    }
    const indexAll = indexFrom === undefined && from > minOffset;
    scanLog(segments.all, from, { until: end, verifyCrc: false }, (message) => {
      queueRecovery.meet(message);
      if (indexAll) return;
      if (check) check.meet(message);
      else if (message.commitLogOffset >= (indexFrom ?? 0)) filling.meet(message);
    });
    check?.end(end);
    if (check?.differs || !isChained || indexAll) {
      // What lies below may not have been looked at yet.
      if (indexAll) findLogEnd(segments, minOffset, end, undefined);
      logger.warn({ logEnd: end }, 'the key index did not fit the log and is built anew');
      keyIndex.clear();
      scanLog(segments.all, minOffset, { until: end, verifyCrc: false }, (message) => filling.meet(message));
    }
    keyIndex.dropFrom(end);
    keyIndex.assertSound();
    queueRecovery.end();
    const batchEntries = batchQueues.endRecovery();
    if (batchEntries > 0) logger.warn({ entries: batchEntries }, 'entries of batch queues were made from the log');
    if (queueRecovery.damaged.size > 0) {
      const names = [...queueRecovery.damaged].slice(0, NAMED_MAX);
      logger.warn({ queues: names, count: queueRecovery.damaged.size }, 'consume queues were rebuilt from the log');
    }
    queues.endRecovery(minOffset, this.#start !== 'CLEAN');
  }

  /**
   * Up to where the log is surely the one that readers were given positions of. Another program may have cut it and gone
   * on: what our last marks name tells how far down that was not.
   */
  #unchangedEnd(logEnd: CommitLogOffset): CommitLogOffset {
    if (this.#start !== 'UNKNOWN' || !this.#generations) return logEnd;
    if (this.#endMark && isThere(this.#parts.segments, this.#endMark.last)) return logEnd;
    return Math.min(logEnd, this.#mark?.position ?? 0);
  }

  /** A start that is not provably clean begins a generation, durable before the first append. */
  #generation(logEnd: CommitLogOffset): Generations {
    const { marks, queues } = this.#parts;
    if (this.#start === 'CLEAN' && this.#generations) return this.#generations;
    const offsets = [...queues.all()].map(({ topic, queueId, maxOffset }) => ({ topic, queueId, next: maxOffset }));
    const generations = beginGeneration(this.#generations, this.#unchangedEnd(logEnd), offsets);
    marks.write('generations', generations);
    return generations;
  }
}

/** Puts on the device what a run that was killed may have left in memory alone. */
function confirmRun(files: Files, directory: string, marks: Marks): void {
  for (const path of [marks.fileOf('running'), joinPath(directory, 'abort')]) {
    const bytes = files.readFile(path);
    const file = files.open(path, 'r+');
    try {
      file.write(bytes, 0, bytes.length, 0);
      file.syncNow();
    } finally {
      file.close();
    }
  }
  files.syncDirectory(marks.path);
  files.syncDirectory(directory);
}

/** Topics whose queues lie in `batchconsumequeue/`. */
export function batchTopicsOf(files: Files, directory: string): ReadonlySet<string> {
  return new Set(files.list(joinPath(directory, 'batchconsumequeue')));
}
