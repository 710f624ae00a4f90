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
import type { IndexMark, KeyIndex } from '../keys/keyIndex.js';
import type { SegmentList } from '../log/segmentList.js';
import type { ConsumeQueues } from '../queues/consumeQueues.js';
import { hasAbort, readAbort, writeAbort } from './checkpoint.js';
import { IndexCheck, IndexFilling, QueueRecovery } from './derivedRecovery.js';
import type { FoundEnd } from './logRecovery.js';
import { findLogEnd, identifyRecord, LogRepair, syncedMarkHolds } from './logRecovery.js';
import { scanLog } from './logScan.js';
import type { EndMark, Generations, Marks, RecordIdentity, Running, SyncedMark } from './marks.js';
import { beginGeneration, readSyncedMark, SyncedMarkFile } from './marks.js';
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
  /** Topics with `batchconsumequeue/` directories, whose queues this store does not keep. */
  batchTopics: ReadonlySet<string>;
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
  const mark = readSyncedMark(files, marks.fileOf('synced'));
  const endMark = marks.read('end');
  const generations = marks.read('generations');
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
  const run = new Recovery(parts, start, markHolds ? mark : undefined, endMark, generations);
  return run.run();
}

/** Does the log end where and how our clean stop left it? */
function endMatches(segments: SegmentList, mark: EndMark): boolean {
  const { last, logEnd } = mark;
  if (last) {
    const found = identifyRecord(segments, last.commitLogOffset);
    if (!found || found.crc !== last.crc || found.sizeBytes !== last.sizeBytes) return false;
  }
  const segment = segments.find(logEnd);
  if (!segment) return (segments.last?.end ?? 0) === logEnd;
  if (segment !== segments.last) return false;
  const next = Buffer.alloc(Math.min(8, segment.end - logEnd));
  segment.read(next, 0, next.length, logEnd);
  return next.every((byte) => byte === 0);
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
    // Of a clean stop whose queues or index were damaged since, the log's end is still known.
    const derived = this.#start === 'OWN_CRASH' ? marks.read('derived') : undefined;
    const derivedFrom = Math.max(minOffset, Math.min(derived?.queuesPosition ?? 0, derived?.index?.position ?? 0));
    const found = isClean ? this.#cleanEnd() : this.#look(derivedFrom, minOffset);
    if (!isClean && !derived) marks.remove('derived');
    this.#beginRun();
    if (!isClean) {
      this.#repairLog(found);
      this.#deriveAgain(derivedFrom, found.end, derived?.index);
    }
    const generations = this.#generation(found.end);
    const syncedMark = new SyncedMarkFile(this.#parts.files, marks.fileOf('synced'), generations.current);
    syncedMark.write(found.end, found.last);
    syncedMark.syncNow();
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
    const { segments } = this.#parts;
    const markPosition = this.#mark?.position ?? 0;
    const markedRecord = this.#mark?.last?.commitLogOffset ?? 0;
    const from = this.#start === 'OWN_CRASH' ? Math.max(minOffset, Math.min(derivedFrom, markedRecord)) : minOffset;
    return findLogEnd(segments, from, markPosition, from > minOffset ? this.#mark?.last : undefined);
  }

  /** From here on the store counts as running. */
  #beginRun(): void {
    const { files, directory, marks, running, emptyFiles, shortFiles } = this.#parts;
    marks.create();
    marks.writeRunning(running);
    writeAbort(files, directory, running.token);
    marks.remove('end');
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
    const { queues, keyIndex } = this.#parts;
    const mark = this.#endMark;
    if (!mark || keyIndex.hasOddFiles || keyIndex.all.length !== mark.index.length) return false;
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
      if (!queue?.filesEndAt(maxOffset)) return false;
      queue.adoptBounds(minOffset, maxOffset);
      count += 1;
    }
    return count === [...queues.all()].length;
  }

  /** Queues and index from the records in [from, end). */
  #deriveAgain(from: CommitLogOffset, end: CommitLogOffset, mark: IndexMark | undefined): void {
    const { segments, queues, keyIndex, hash, delayLevels, batchTopics } = this.#parts;
    const minOffset = segments.first?.start ?? 0;
    const queueRecovery = new QueueRecovery({ queues, delayLevels, batchTopics });
    queueRecovery.begin(from, end);
    const indexFrom = mark && keyIndex.restore(mark) ? mark.position : undefined;
    const filling = new IndexFilling({ keyIndex, hash });
    let check: IndexCheck | undefined;
    if (indexFrom === undefined) {
      // Odd files could lie between others: their entries would be missing in the middle.
      if (keyIndex.hasOddFiles) keyIndex.clear();
      keyIndex.rebuildSlots();
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
    if (check?.differs || indexAll) {
      keyIndex.clear();
      scanLog(segments.all, minOffset, { until: end, verifyCrc: false }, (message) => filling.meet(message));
    }
    keyIndex.dropFrom(end);
    queues.endRecovery(minOffset, this.#start !== 'CLEAN');
  }

  /** A start that is not provably clean begins a generation, durable before the first append. */
  #generation(logEnd: CommitLogOffset): Generations {
    const { marks, queues } = this.#parts;
    if (this.#start === 'CLEAN' && this.#generations) return this.#generations;
    const offsets = [...queues.all()].map(({ topic, queueId, maxOffset }) => ({ topic, queueId, next: maxOffset }));
    const generations = beginGeneration(this.#generations, logEnd, offsets);
    marks.write('generations', generations);
    return generations;
  }
}

/** Topics whose queues are of the kind that this store does not keep. */
export function batchTopicsOf(files: Files, directory: string): ReadonlySet<string> {
  return new Set(files.list(joinPath(directory, 'batchconsumequeue')));
}
