/**
 * One pass over the log of a store that nobody runs, for whoever checks or repairs it: what is there, what is not, where
 * the records end, and up to where the store had promised to keep them. Changes nothing.
 */
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import { FileHandles } from '../log/fileHandles.js';
import { SegmentList } from '../log/segmentList.js';
import { readAbort } from '../recovery/checkpoint.js';
import { identifyRecord } from '../recovery/logRecovery.js';
import type { LogEndKind } from '../recovery/logScan.js';
import { type DerivedMark, type EndMark, Marks, readSyncedMark, type SyncedMark } from '../recovery/marks.js';
import { type LogPart, Places, walkLog } from './damageWalk.js';
import { LossBook } from './lossBook.js';
import { LostRecords } from './lostRecords.js';
import type { StoreSizes } from './storeLayout.js';

const PIECE_BYTES = 1024 * 1024;
const OPEN_FILES_MAX = 64;

export interface LogTail {
  position: CommitLogOffset;
  /** Up to the last byte that is not zero. */
  sizeBytes: number;
}

export class LogView {
  readonly segments: SegmentList;
  readonly handles: FileHandles;
  readonly book: LossBook;
  readonly lost: LostRecords;
  readonly batchTopics: ReadonlySet<string>;
  /** Records of these topics before the position are not theirs any more. */
  readonly deletedBefore: ReadonlyMap<string, CommitLogOffset>;
  /** Everything below was on the device; 0 when nothing is known. */
  readonly syncedTo: CommitLogOffset;
  readonly logStart: CommitLogOffset;
  readonly mark: SyncedMark | undefined;
  /** After the walk. */
  end: { position: CommitLogOffset; kind: LogEndKind; reason: string } = {
    position: 0,
    kind: 'END_OF_FILES',
    reason: '',
  };
  readonly #marks: Marks;
  /** The last record that was synced, when other bytes than its own are there. */
  readonly #wrongAt: CommitLogOffset | undefined;

  constructor(parts: { files: Files; directory: string; sizes: StoreSizes }) {
    const { files, directory, sizes } = parts;
    const segmentBytes = sizes.mappedFileSizeCommitLog;
    const logDirectory = joinPath(directory, 'commitlog');
    this.handles = new FileHandles(files, OPEN_FILES_MAX, 'r');
    const starts = files
      .list(logDirectory)
      .filter((name) => /^\d+$/.test(name) && (files.stat(joinPath(logDirectory, name))?.sizeBytes ?? 0) > 0)
      .map(Number)
      .filter((start) => Number.isSafeInteger(start) && start % segmentBytes === 0);
    this.segments = new SegmentList({ files, handles: this.handles, directory: logDirectory, segmentBytes, starts });
    this.logStart = this.segments.first?.start ?? 0;
    this.batchTopics = new Set(files.list(joinPath(directory, 'batchconsumequeue')));
    this.#marks = new Marks(files, directory);
    this.deletedBefore = new Map(Object.entries(readOr(() => this.#marks.read('deleted')) ?? {}));
    this.mark = readOr(() => readSyncedMark(files, this.#marks.fileOf('synced')));
    this.syncedTo = this.#holds(files, directory, this.mark) ? (this.mark?.position ?? 0) : 0;
    const last = this.syncedTo > 0 ? this.mark?.last : undefined;
    const found = last && readOr(() => identifyRecord(this.segments, last.commitLogOffset));
    this.#wrongAt = found && found.crc !== last?.crc ? last?.commitLogOffset : undefined;
    const isForeign = (topic: string) => this.batchTopics.has(topic);
    this.book = new LossBook({ logStart: this.logStart, isForeign });
    this.lost = new LostRecords({
      files,
      directory,
      segments: this.segments.all,
      segmentBytes,
      maxHashSlotNum: sizes.maxHashSlotNum,
      book: this.book,
      isForeign,
    });
  }

  /** Every part of the log; the book is complete when it has ended. */
  *walk(): Generator<LogPart, void, undefined> {
    for (const part of walkLog(this.segments.all, this.syncedTo, this.#wrongAt)) {
      if (part.kind === 'RECORD') this.book.meet(part.message);
      else if (part.kind === 'HOLE') this.book.meetHole(part);
      else if (part.kind === 'END') this.end = { position: part.position, kind: part.end, reason: part.reason };
      yield part;
    }
    this.book.end(this.#knownEnds());
  }

  /** What lies beyond the end of the records; undefined when it is nothing but zeros. */
  tail(): LogTail | undefined {
    const { position } = this.end;
    let last = position;
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, this.segments.segmentBytes));
    const zeros = Buffer.alloc(piece.length);
    for (const segment of this.segments.all) {
      // The rest of a segment that a blank record ends is undefined: only its own eight bytes are not zero here.
      for (let at = Math.max(position, segment.start); at < segment.end; at += piece.length) {
        const count = segment.read(piece, 0, Math.min(piece.length, segment.end - at), at);
        if (count === 0) break;
        if (piece.compare(zeros, 0, count, 0, count) === 0) continue;
        let used = count;
        while (piece[used - 1] === 0) used -= 1;
        last = at + used;
      }
    }
    const isBlankOnly = this.end.kind === 'BLANK_WITHOUT_SUCCESSOR' && last <= position + 8;
    return last > position && !isBlankOnly ? { position, sizeBytes: last - position } : undefined;
  }

  close(): void {
    this.handles.closeAll();
  }

  /**
   * A start believes the mark when its record is there. Here it is also believed when no record at all is there and the
   * last run was ours: then that record is what is damaged. It is void when another record lies in its place.
   */
  #holds(files: Files, directory: string, mark: SyncedMark | undefined): boolean {
    if (!mark) return false;
    if (!mark.last) return mark.position === 0;
    const { last } = mark;
    const segment = this.segments.find(last.commitLogOffset);
    const place = segment && new Places(segment).look(last.commitLogOffset, true);
    if (place?.kind === 'RECORD') {
      const { sizeBytes, storeTimestamp } = place.message;
      return sizeBytes === last.sizeBytes && storeTimestamp === last.storeTimestamp;
    }
    // Zeros, or no file: a start refuses that too.
    if (!place || (place.kind === 'BAD' && place.end === 'ZERO')) return true;
    const outline = readOr(() => identifyRecord(this.segments, last.commitLogOffset));
    if (outline?.sizeBytes === last.sizeBytes && outline.storeTimestamp === last.storeTimestamp) return true;
    const abort = readAbort(files, directory);
    if (abort !== undefined) return abort === this.#marks.readRunning()?.token;
    const end: EndMark | undefined = readOr(() => this.#marks.read('end'));
    return end?.logEnd === mark.position;
  }

  /** Where queues ended when they were last synced. */
  #knownEnds(): { topic: string; queueId: number; maxOffset: QueueOffset }[] {
    const ends: { topic: string; queueId: number; maxOffset: QueueOffset }[] = [];
    const derived: DerivedMark | undefined = readOr(() => this.#marks.read('derived'));
    for (const [topic, numbers] of derived?.queues ?? []) {
      if ((this.deletedBefore.get(topic) ?? 0) >= (derived?.queuesPosition ?? 0)) continue;
      for (let at = 0; at + 2 < numbers.length; at += 3) {
        ends.push({ topic, queueId: numbers[at] ?? 0, maxOffset: numbers[at + 2] ?? 0 });
      }
    }
    return ends;
  }
}

/** What is not readable is not known: the layout reports it. */
function readOr<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
