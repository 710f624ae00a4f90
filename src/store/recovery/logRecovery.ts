/**
 * Recovery of the commit log itself: finds its end, then makes the disk agree. Looking and changing are apart: when the
 * look finds damage below the synced-up-to mark, it throws and the directory is as it was.
 *
 * Changing, in this order: bytes beyond the end that are no zeros are kept in `foldlog/cut-…`, later segments go there
 * or, when empty, away; bytes above the mark are written again (after a failed sync they may be in the page cache and
 * not on the device); the segment is zero from the end on, so that nothing dead comes back when a new record happens to
 * end where an old one begins; all of it is synced.
 */
import { crc32 } from 'node:zlib';
import { CorruptionError } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { parentOf } from '../../base/files.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { StoredMessage } from '../../protocol/message.js';
import { EVENT_PROPERTY } from '../../protocol/messageProperties.js';
import { BLANK_MIN_BYTES, RECORD_AT, recordShapeAt } from '../../protocol/messageRecord.js';
import { recordStoreTimestamp } from '../log/recordView.js';
import type { Segment } from '../log/segment.js';
import type { SegmentList } from '../log/segmentList.js';
import type { LogEnd } from './logScan.js';
import { scanLog } from './logScan.js';
import type { Marks, RecordIdentity, SyncedMark } from './marks.js';
import type { EndDecision, EndFacts } from './recoveryTables.js';
import { endRow } from './recoveryTables.js';

const PIECE_BYTES = 1024 * 1024;
/** Bytes beyond the end are looked for until this many zeros in a row; the rest of a segment is taken as unwritten. */
const ZEROS_ENOUGH_BYTES = 4 * 1024 * 1024;

export interface FoundEnd {
  end: CommitLogOffset;
  decision: EndDecision;
  reason: string;
  last: RecordIdentity | undefined;
}

/** The record that starts at the position, as the marks name it; undefined when there is none. */
export function identifyRecord(segments: SegmentList, position: CommitLogOffset): RecordIdentity | undefined {
  const segment = segments.find(position);
  if (!segment) return undefined;
  const head = Buffer.alloc(RECORD_AT.BORN_HOST + 28);
  segment.read(head, 0, Math.min(head.length, segment.end - position), position);
  const shape = recordShapeAt(head, 0, segment.end - position);
  if (shape.kind !== 'message') return undefined;
  const bytes = Buffer.allocUnsafe(shape.sizeBytes);
  segment.read(bytes, 0, bytes.length, position);
  return identityOf(bytes, position);
}

export function identityOf(record: Buffer, commitLogOffset: CommitLogOffset): RecordIdentity {
  return {
    commitLogOffset,
    sizeBytes: record.length,
    storeTimestamp: recordStoreTimestamp(record),
    crc: crc32(record),
  };
}

/** Throws CorruptionError when a segment between two others is missing. */
export function refuseMissingSegment(segments: SegmentList): void {
  let end = segments.first?.start ?? 0;
  for (const segment of segments.all) {
    if (segment.start !== end) throw damage(segments, end, `the next segment starts at ${segment.start}`);
    end = segment.end;
  }
}

/** Start of the last segment that holds anything; 0 when there is none. */
export function startOfLastUsed(segments: SegmentList): CommitLogOffset {
  return segments.all.findLast((segment) => !isNothingAt(segments, segment.start))?.start ?? 0;
}

/** Was nothing ever written at the position, or is its segment missing? */
function isNothingAt(segments: SegmentList, position: CommitLogOffset): boolean {
  const segment = segments.find(position);
  if (!segment) return true;
  const head = Buffer.alloc(BLANK_MIN_BYTES);
  segment.read(head, 0, Math.min(head.length, segment.end - position), position);
  return head.every((byte) => byte === 0);
}

/**
 * Does the synced mark hold? It is void when another record lies in the place of its own, as after another program cut
 * the log and went on. When nothing lies there, or the record with other bytes, the log is damaged: CorruptionError.
 */
export function syncedMarkHolds(segments: SegmentList, mark: SyncedMark | undefined): boolean {
  if (!mark) return false;
  if (!mark.last) return mark.position === 0;
  const { last } = mark;
  const found = identifyRecord(segments, last.commitLogOffset);
  const isThere = found && found.sizeBytes === last.sizeBytes && found.storeTimestamp === last.storeTimestamp;
  if (!isThere && isNothingAt(segments, last.commitLogOffset)) {
    throw damage(segments, last.commitLogOffset, 'the last record that was synced is gone');
  }
  if (!isThere) return false;
  if (found.crc === last.crc) return true;
  throw damage(segments, last.commitLogOffset, 'its bytes are not those that were synced');
}

/**
 * Looks for the end of the log from `from` on, which is the start of a record or of a segment. Changes nothing. `tell`
 * hears what was found and decided, also before the refusal is thrown.
 */
export function findLogEnd(
  segments: SegmentList,
  from: CommitLogOffset,
  markPosition: CommitLogOffset,
  lastBefore: RecordIdentity | undefined,
  tell: (facts: EndFacts & { end: CommitLogOffset; decision: EndDecision }) => void = () => {},
): FoundEnd {
  const append = new OpenAppend();
  let lastAt: CommitLogOffset | undefined;
  let beforeAppend: CommitLogOffset | undefined;
  const found: LogEnd = scanLog(segments.all, from, { verifyCrc: true }, (message) => {
    append.meet(message);
    if (append.start === message.commitLogOffset) beforeAppend = lastAt;
    lastAt = message.commitLogOffset;
  });
  const isCut = append.start !== undefined && decide({ found: found.kind, position: 'ABOVE_MARK' }) !== 'REFUSE';
  const end = isCut && append.start !== undefined ? append.start : found.position;
  const kind = isCut ? 'INCOMPLETE_APPEND' : found.kind;
  const reason = isCut ? 'the last append is not whole' : found.reason;
  const facts: EndFacts = { found: kind, position: end < markPosition ? 'BELOW_MARK' : 'ABOVE_MARK' };
  const decision = decide(facts);
  tell({ ...facts, end, decision });
  if (decision === 'REFUSE') throw damage(segments, end, reason);
  const last = isCut ? beforeAppend : lastAt;
  return { end, decision, reason, last: last === undefined ? lastBefore : identifyRecord(segments, last) };
}

function decide(facts: EndFacts): EndDecision {
  return endRow(facts)?.decision ?? 'REFUSE';
}

function damage(segments: SegmentList, position: CommitLogOffset, reason: string): CorruptionError {
  const segment = segments.find(position);
  const file = segment?.path ?? segments.directory;
  const offset = position - (segment?.start ?? 0);
  const directory = parentOf(segments.directory);
  return new CorruptionError(
    `the commit log is damaged at byte ${offset} of ${file} (log position ${position}): ${reason}; nothing was changed: ` +
      `foldlog store verify ${directory} shows what is lost, with --repair it keeps what can be read; or restore a copy`,
    { file, offset, found: reason },
  );
}

/** Follows the records of the append that is under way, and knows whether the last one is whole. */
export class OpenAppend {
  /** Start of the first record of an append whose last record was not met yet. */
  start: CommitLogOffset | undefined;
  #id = '';
  #next = 0;
  #count = 0;

  meet(message: StoredMessage): void {
    const id = message.properties[EVENT_PROPERTY.APPEND_ID];
    const [index, count] = (message.properties[EVENT_PROPERTY.APPEND_INDEX] ?? '').split('/').map(Number);
    if (id === undefined || index === undefined || count === undefined || !(index < count)) {
      this.start = undefined;
      return;
    }
    if (index === 0) {
      this.start = message.commitLogOffset;
      this.#id = id;
      this.#count = count;
    } else if (this.start === undefined || id !== this.#id || index !== this.#next || count !== this.#count) {
      // A single record, re-sent from an append elsewhere: not ours to judge.
      this.start = undefined;
      return;
    }
    this.#next = index + 1;
    if (this.#next === this.#count) this.start = undefined;
  }
}

export class LogRepair {
  readonly #files: Files;
  readonly #segments: SegmentList;
  readonly #marks: Marks;
  readonly #logger: Logger;

  constructor(parts: { files: Files; segments: SegmentList; marks: Marks; logger: Logger }) {
    this.#files = parts.files;
    this.#segments = parts.segments;
    this.#marks = parts.marks;
    this.#logger = parts.logger;
  }

  /** Makes the disk agree with the end that was found. `rewriteFrom`: from here on bytes may not be on the device. */
  apply(found: FoundEnd, rewriteFrom: CommitLogOffset | undefined, name: string): void {
    const { end } = found;
    const segment = this.#segments.find(end);
    const tailBytes = segment ? lengthOfTail(segment, end) : 0;
    if (segment && tailBytes > 0) this.#keep(segment, end, tailBytes, this.#marks.fileOf(`cut-${name}-${end}`));
    let movedCount = 0;
    for (const later of this.#segments.all.filter((other) => other.start >= end && other !== segment).reverse()) {
      if (lengthOfTail(later, later.start) === 0) this.#segments.removeFrom(later.start);
      else {
        this.#segments.moveFrom(later.start, (file) => this.#marks.fileOf(`cut-${name}-segment-${file}`));
        this.#files.syncDirectory(this.#marks.path);
        movedCount += 1;
      }
      // Each is gone for good before the one in front of it goes: a gap would be damage.
      this.#segments.syncDirectory();
    }
    if (tailBytes > 0 || movedCount > 0) {
      this.#files.syncDirectory(this.#marks.path);
      this.#logger.warn(
        { position: end, bytes: tailBytes, laterSegments: movedCount, reason: found.reason, kept: this.#marks.path },
        'the commit log ended in bytes that were never synced: they are cut off and kept aside',
      );
    }
    if (rewriteFrom !== undefined) this.#rewrite(rewriteFrom, end);
    segment?.zeroFrom(end);
    // Whatever else is not on the device lies in the last two segments.
    for (const changed of this.#segments.all.slice(-2)) changed.syncNow();
    if (this.#segments.all.length > 0) this.#segments.syncDirectory();
  }

  #keep(segment: Segment, from: CommitLogOffset, length: number, path: string): void {
    const file = this.#files.open(path, 'w+');
    try {
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, length));
      for (let done = 0; done < length; done += piece.length) {
        const count = segment.read(piece, 0, Math.min(piece.length, length - done), from + done);
        file.write(piece, 0, count, done);
      }
      file.syncNow();
    } finally {
      file.close();
    }
  }

  #rewrite(from: CommitLogOffset, end: CommitLogOffset): void {
    if (from >= end) return;
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - from));
    for (const segment of this.#segments.all) {
      const stop = Math.min(end, segment.end);
      for (let position = Math.max(from, segment.start); position < stop; position += piece.length) {
        const count = segment.read(piece, 0, Math.min(piece.length, stop - position), position);
        segment.write(piece, 0, count, position);
      }
      if (stop > Math.max(from, segment.start)) segment.syncNow();
    }
  }
}

/** Bytes from the position to the last one that is not zero, as far as it pays to look. */
function lengthOfTail(segment: Segment, from: CommitLogOffset): number {
  const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, segment.sizeBytes));
  const zeros = Buffer.alloc(piece.length);
  let length = 0;
  for (let position = from; position < segment.end; position += piece.length) {
    const count = segment.read(piece, 0, Math.min(piece.length, segment.end - position), position);
    if (count === 0) break;
    if (piece.compare(zeros, 0, count, 0, count) !== 0) {
      let lastUsed = count - 1;
      while (piece[lastUsed] === 0) lastUsed -= 1;
      length = position - from + lastUsed + 1;
    } else if (position - from - length >= ZEROS_ENOUGH_BYTES) break;
  }
  return length;
}
