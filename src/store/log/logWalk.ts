/**
 * Walks written records of the log within bounds, looking at size and magic only: whoever heals a queue or an index
 * block searches the stretch between two known records with it. Recovery's walk, which judges records, is
 * `recovery/logScan.ts`. It reads segments, so records that only memory holds are not met.
 */
import type { CommitLogOffset } from '../../base/flavours.js';
import { recordShapeAt } from '../../protocol/messageRecord.js';
import { recordPosition } from './recordView.js';
import type { Segment } from './segment.js';
import type { SegmentList } from './segmentList.js';

const WINDOW_BYTES = 256 * 1024;
/** Size and magic. */
const HEAD_BYTES = 8;

/**
 * FOUND: `visit` said true. END: `until` was reached. BOUND: `bytesMax` were walked, go on from `position`.
 * BROKEN: at `position` lies no record.
 */
export interface WalkEnd {
  end: 'FOUND' | 'END' | 'BOUND' | 'BROKEN';
  position: CommitLogOffset;
}

export class LogWalk {
  readonly #segments: SegmentList;

  constructor(segments: SegmentList) {
    this.#segments = segments;
  }

  /** Position of the first byte that is left of the log. */
  get minOffset(): CommitLogOffset {
    return this.#segments.first?.start ?? 0;
  }

  /**
   * Visits the records in [from, until) in order until `visit` says true. `from` is the start of a record or of a
   * segment. The record's bytes are valid only during the call.
   */
  walk(
    from: CommitLogOffset,
    until: CommitLogOffset,
    bytesMax: number,
    visit: (record: Buffer, commitLogOffset: CommitLogOffset) => boolean,
  ): WalkEnd {
    const window = new Window();
    for (let position = from; ; ) {
      if (position >= until) return { end: 'END', position };
      if (position - from >= bytesMax) return { end: 'BOUND', position };
      const segment = this.#segments.find(position);
      if (!segment) return { end: 'BROKEN', position };
      const head = window.at(segment, position, HEAD_BYTES);
      const shape = head ? recordShapeAt(head, 0, segment.end - position) : undefined;
      if (shape?.kind === 'blank') {
        position = segment.end;
        continue;
      }
      const record = shape?.kind === 'message' ? window.at(segment, position, shape.sizeBytes) : undefined;
      if (!record || recordPosition(record) !== position) return { end: 'BROKEN', position };
      if (visit(record, position)) return { end: 'FOUND', position };
      position += record.length;
    }
  }
}

/** A stretch of a segment in memory that moves on as it is asked for later bytes. */
class Window {
  #segment: Segment | undefined;
  #bytes = Buffer.alloc(0);
  #start = 0;
  #length = 0;

  at(segment: Segment, position: CommitLogOffset, length: number): Buffer | undefined {
    const isHeld = segment === this.#segment && position >= this.#start;
    if (!isHeld || position + length > this.#start + this.#length) {
      if (position + length > segment.end) return undefined;
      if (length > this.#bytes.length) {
        this.#bytes = Buffer.allocUnsafe(Math.max(length, Math.min(WINDOW_BYTES, segment.sizeBytes)));
      }
      this.#segment = segment;
      this.#start = position;
      this.#length = segment.read(this.#bytes, 0, Math.min(this.#bytes.length, segment.end - position), position);
      if (length > this.#length) return undefined;
    }
    const at = position - this.#start;
    return this.#bytes.subarray(at, at + length);
  }
}
