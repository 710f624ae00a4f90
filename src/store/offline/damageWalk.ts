/**
 * Walks a log that may be damaged, from its first segment to its last, and goes on behind what it cannot read: from a bad
 * place it looks for the next position at which a whole record lies that says it lies there. Changes nothing.
 *
 * A record is found again by its magic (at byte 4), its own position (at byte 28), parts that sum up to its size, and the
 * CRC of its body; the blank record that ends a segment by its magic and by a size that is what is left of the segment.
 * Memory: one window of a megabyte, or one record.
 */
import { readInt64Loose } from '../../base/bytes.js';
import { messageOf } from '../../base/errors.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import {
  BLANK_MAGIC,
  BLANK_MIN_BYTES,
  decodeRecord,
  RECORD_AT,
  RECORD_MAGIC_V1,
  RECORD_MAGIC_V2,
  RECORD_MIN_BYTES,
  recordShapeAt,
} from '../../protocol/messageRecord.js';
import { hasLostSector } from '../log/recordView.js';
import type { Segment } from '../log/segment.js';
import type { LogEndKind } from '../recovery/logScan.js';
import { Window } from '../recovery/logScan.js';

/** Bytes of the log that are no whole records, with whole ones, or a place that was synced, behind them. */
export interface Hole {
  from: CommitLogOffset;
  to: CommitLogOffset;
  reason: string;
}

export type LogPart =
  | { kind: 'RECORD'; segment: Segment; message: StoredMessage }
  | { kind: 'BLANK'; segment: Segment; position: CommitLogOffset }
  | ({ kind: 'HOLE' } & Hole)
  | { kind: 'END'; position: CommitLogOffset; end: LogEndKind; reason: string };

type Found =
  | { kind: 'RECORD'; message: StoredMessage }
  | { kind: 'BLANK' }
  | { kind: 'BAD'; end: LogEndKind; reason: string };

const WRONG: Found = { kind: 'BAD', end: 'TORN', reason: 'its bytes are not those that were synced' };
const SEARCH_BYTES = 1024 * 1024;
const MAGICS = [RECORD_MAGIC_V1, RECORD_MAGIC_V2, BLANK_MAGIC].map((magic) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(magic, 0);
  return bytes;
});

/**
 * `syncedTo`: everything below was on the device, so what cannot be read there is damage, and what lies at or above it
 * after the last whole record is a tail that is not looked into. 0 when nothing is known: then every bad place with whole
 * records behind it is a hole. `wrongAt`: what lies there looks whole and is not what was synced. The message of a RECORD is valid until the next part is asked for.
 */
export function* walkLog(
  segments: readonly Segment[],
  syncedTo: CommitLogOffset,
  wrongAt?: CommitLogOffset,
): Generator<LogPart, void, undefined> {
  let position = segments[0]?.start ?? 0;
  let bad: { from: CommitLogOffset; end: LogEndKind; reason: string } | undefined;
  let blankAt: CommitLogOffset | undefined;
  for (const [index, segment] of segments.entries()) {
    if (segment.start > position) {
      bad ??= { from: position, end: 'GAP', reason: `the files up to ${segment.start} are missing` };
      position = segment.start;
    }
    const places = new Places(segment);
    while (position < segment.end) {
      const found = position === wrongAt ? WRONG : places.look(position, bad !== undefined);
      if (found.kind === 'BAD') {
        bad ??= { from: position, end: found.end, reason: found.reason };
        if (isTail(bad, syncedTo)) break;
        position = places.nextMagic(position + 1);
        continue;
      }
      if (bad) yield { kind: 'HOLE', from: bad.from, to: position, reason: bad.reason };
      bad = undefined;
      if (found.kind === 'RECORD') {
        yield { kind: 'RECORD', segment, message: found.message };
        position += found.message.sizeBytes;
      } else {
        yield { kind: 'BLANK', segment, position };
        if (index === segments.length - 1) blankAt = position;
        position = segment.end;
      }
    }
    if (bad && isTail(bad, syncedTo)) break;
  }
  const damage = bad ?? (position < syncedTo ? ended(position) : undefined);
  if (damage && damage.from < syncedTo) {
    yield { kind: 'HOLE', from: damage.from, to: syncedTo, reason: damage.reason };
    yield { kind: 'END', position: syncedTo, end: 'ZERO', reason: 'up to here the log was synced' };
  } else if (bad) yield { kind: 'END', position: bad.from, end: bad.end, reason: bad.reason };
  else if (blankAt !== undefined) {
    yield { kind: 'END', position: blankAt, end: 'BLANK_WITHOUT_SUCCESSOR', reason: 'a blank record is the last one' };
  } else yield { kind: 'END', ...ended(position), position };
}

/** Never synced, and not because files are missing: a start cuts it off without asking. */
function isTail(bad: { from: CommitLogOffset; end: LogEndKind }, syncedTo: CommitLogOffset): boolean {
  return syncedTo > 0 && bad.from >= syncedTo && bad.end !== 'GAP';
}

function ended(from: CommitLogOffset): { from: CommitLogOffset; end: LogEndKind; reason: string } {
  return { from, end: 'END_OF_FILES', reason: 'there is no file at this position' };
}

/** Judges places of one segment. */
export class Places {
  readonly #segment: Segment;
  readonly #window: Window;
  readonly #search: Buffer;

  constructor(segment: Segment) {
    this.#segment = segment;
    this.#window = new Window(segment);
    this.#search = Buffer.allocUnsafeSlow(Math.min(SEARCH_BYTES, segment.sizeBytes));
  }

  /** `isFound`: by its magic alone, so a blank record must end exactly with the segment. */
  look(position: CommitLogOffset, isFound: boolean): Found {
    const left = this.#segment.end - position;
    const head = this.#window.at(position, Math.min(left, BLANK_MIN_BYTES));
    const shape = recordShapeAt(head.bytes, head.at, left);
    if (shape.kind === 'zero') return { kind: 'BAD', end: 'ZERO', reason: 'nothing was written here' };
    if (shape.kind === 'invalid') return { kind: 'BAD', end: 'TORN', reason: shape.reason };
    if (shape.kind === 'blank') {
      if (!isFound || shape.sizeBytes === left) return { kind: 'BLANK' };
      return { kind: 'BAD', end: 'TORN', reason: `blank record of ${shape.sizeBytes} bytes with ${left} left` };
    }
    const fixed = this.#window.at(position, RECORD_MIN_BYTES);
    const claimed = readInt64Loose(fixed.bytes, fixed.at + RECORD_AT.COMMIT_LOG_OFFSET);
    if (claimed !== position) {
      return { kind: 'BAD', end: 'MISPLACED', reason: `the record here says it lies at ${claimed}` };
    }
    const whole = this.#window.at(position, shape.sizeBytes);
    try {
      const message = decodeRecord(whole.bytes, whole.at);
      if (hasLostSector(whole.bytes, whole.at, shape.sizeBytes, position - this.#segment.start)) {
        return { kind: 'BAD', end: 'TORN', reason: 'a sector of its topic or properties is missing' };
      }
      return { kind: 'RECORD', message };
    } catch (error) {
      return { kind: 'BAD', end: 'TORN', reason: messageOf(error) };
    }
  }

  /** A record whose parts fit and that says it lies here, whatever the CRC of its body. */
  outline(position: CommitLogOffset): { message: StoredMessage; isTextWhole: boolean } | undefined {
    const left = this.#segment.end - position;
    const head = this.#window.at(position, Math.min(left, BLANK_MIN_BYTES));
    const shape = recordShapeAt(head.bytes, head.at, left);
    if (shape.kind !== 'message') return undefined;
    const whole = this.#window.at(position, shape.sizeBytes);
    try {
      const message = decodeRecord(whole.bytes, whole.at, { verifyCrc: false });
      if (message.commitLogOffset !== position) return undefined;
      const isTextWhole = !hasLostSector(whole.bytes, whole.at, shape.sizeBytes, position - this.#segment.start);
      return { message, isTextWhole };
    } catch {
      return undefined;
    }
  }

  /** The next position at or after `from` that has a magic where a record has it; the segment's end when there is none. */
  nextMagic(from: CommitLogOffset): CommitLogOffset {
    const { end } = this.#segment;
    const search = this.#search;
    for (let start = from; start + BLANK_MIN_BYTES <= end; ) {
      const length = this.#segment.read(search, 0, Math.min(search.length, end - start), start);
      if (length < BLANK_MIN_BYTES) return end;
      const bytes = search.subarray(0, length);
      let first = Number.POSITIVE_INFINITY;
      for (const magic of MAGICS) {
        const at = bytes.indexOf(magic, RECORD_AT.MAGIC);
        if (at >= 0 && at < first) first = at;
      }
      if (first < length) return start + first - RECORD_AT.MAGIC;
      // A magic may begin in this piece and end in the next, and its record begins four bytes before it.
      start += length - (BLANK_MIN_BYTES - 1);
    }
    return end;
  }
}
