/**
 * Walks the commit log forwards, record by record, and says where and why it ends. Used by recovery and by the offline
 * check; changes nothing. A record counts when size, magic, parts and body CRC fit and it lies where it says it lies
 * (upstream: `CommitLog#checkMessageAndReturnSize`). Differs from RocketMQ: a record whose text is torn ends the log too.
 */
import { messageOf } from '../../base/errors.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { decodeRecord, recordShapeAt } from '../../protocol/messageRecord.js';
import { hasLostSector } from '../log/recordView.js';
import type { Segment } from '../log/segment.js';

const WINDOW_BYTES = 1024 * 1024;

/** What lies where the records end. */
export type LogEndKind =
  /** Eight zero bytes: nothing was ever written here. */
  | 'ZERO'
  /** Bytes that are no whole record. */
  | 'TORN'
  /** A whole record that says it lies elsewhere. */
  | 'MISPLACED'
  /** A blank record, and no segment after it. */
  | 'BLANK_WITHOUT_SUCCESSOR'
  /** The end of the last segment, or no segment at all. */
  | 'END_OF_FILES'
  /** The end of a segment whose successor is missing while later ones are there. */
  | 'GAP';

export interface LogEnd {
  kind: LogEndKind;
  position: CommitLogOffset;
  reason: string;
}

/**
 * Calls `visit` for each record in [from, until), in order. Its body is valid only during the call. `from` is the start
 * of a record or of a segment. Undefined `until`: until the records end.
 */
export function scanLog(
  segments: readonly Segment[],
  from: CommitLogOffset,
  options: { until?: CommitLogOffset; verifyCrc: boolean },
  visit: (message: StoredMessage) => void,
): LogEnd {
  const until = options.until ?? Number.POSITIVE_INFINITY;
  let position = from;
  for (let at = segments.findIndex((segment) => position < segment.end); ; at += 1) {
    const segment = segments[at];
    if (!segment || position >= until) return end('END_OF_FILES', position, 'there is no segment at this position');
    if (segment.start > position) return end('GAP', position, `the next segment starts at ${segment.start}`);
    const found = scanSegment(segment, position, until, options.verifyCrc, visit);
    if (found.kind !== 'NEXT') return found;
    // A blank record ends a segment only when another one follows; otherwise it is where the log goes on.
    const isLast = at === segments.length - 1;
    if (isLast && found.position < segment.end) {
      return end('BLANK_WITHOUT_SUCCESSOR', found.position, 'a blank record is the last one');
    }
    position = segment.end;
  }
}

type SegmentEnd = LogEnd | { kind: 'NEXT'; position: CommitLogOffset };

function end(kind: LogEndKind, position: CommitLogOffset, reason: string): LogEnd {
  return { kind, position, reason };
}

function scanSegment(
  segment: Segment,
  from: CommitLogOffset,
  until: CommitLogOffset,
  verifyCrc: boolean,
  visit: (message: StoredMessage) => void,
): SegmentEnd {
  const window = new Window(segment);
  let position = from;
  while (position < segment.end && position < until) {
    const left = segment.end - position;
    const head = window.at(position, Math.min(left, 8));
    const shape = recordShapeAt(head.bytes, head.at, left);
    if (shape.kind === 'zero') return end('ZERO', position, 'nothing was written here');
    if (shape.kind === 'invalid') return end('TORN', position, shape.reason);
    if (shape.kind === 'blank') return { kind: 'NEXT', position };
    const whole = window.at(position, shape.sizeBytes);
    let message: StoredMessage;
    try {
      message = decodeRecord(whole.bytes, whole.at, { verifyCrc });
    } catch (error) {
      return end('TORN', position, messageOf(error));
    }
    if (message.commitLogOffset !== position) {
      return end('MISPLACED', position, `the record here says it lies at ${message.commitLogOffset}`);
    }
    if (verifyCrc && hasLostSector(whole.bytes, whole.at, shape.sizeBytes, position - segment.start)) {
      return end('TORN', position, 'a sector of its topic or properties is missing');
    }
    visit(message);
    position += shape.sizeBytes;
  }
  return position >= segment.end ? { kind: 'NEXT', position } : end('END_OF_FILES', position, 'asked for no more');
}

/** A stretch of a segment in memory that moves on as it is asked for later bytes. */
export class Window {
  readonly #segment: Segment;
  #bytes: Buffer;
  #start = 0;
  #length = 0;

  constructor(segment: Segment) {
    this.#segment = segment;
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(WINDOW_BYTES, segment.sizeBytes));
  }

  at(position: number, length: number): { bytes: Buffer; at: number } {
    if (position < this.#start || position + length > this.#start + this.#length) {
      if (length > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(length);
      this.#start = position;
      const wanted = Math.min(this.#bytes.length, this.#segment.end - position);
      this.#length = this.#segment.read(this.#bytes, 0, wanted, position);
      // A file that is shorter than it should be reads as zeros.
      if (this.#length < wanted) this.#bytes.fill(0, this.#length, wanted);
      this.#length = wanted;
    }
    return { bytes: this.#bytes.subarray(0, this.#length), at: position - this.#start };
  }
}
