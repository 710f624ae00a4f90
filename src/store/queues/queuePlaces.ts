/**
 * Where the records of a queue lie, as the log itself says it: an entry counts only when the record that it points at is
 * the one that belongs at its place; any other heals (`queueHealing.ts`). Halving a queue by position or by store time
 * rests on such entries alone, so that damage in a file never makes a search land behind a record that it must find.
 *
 * Of each queue the last place found is remembered: whoever reads on from there, page after page, or waits at the end,
 * finds it again without a read.
 */
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import { RECORD_AT, RECORD_MIN_BYTES } from '../../protocol/messageRecord.js';
import type { CommitLog } from '../log/commitLog.js';
import { isQueuedRecordOf, recordPosition, recordQueueOffset, recordStoreTimestamp } from '../log/recordView.js';
import type { ConsumeQueue } from './consumeQueue.js';
import { BLANK_ENTRY_SIZE, type QueueEntry } from './queueEntry.js';
import type { QueueHealing } from './queueHealing.js';

const LARGE_BYTES = 512 * 1024;

/** The record of a place, the loss of it, or a search for it that goes on with the next question. */
export type Place = FoundPlace | { status: 'GONE' } | { status: 'SEARCHING' };

interface FoundPlace {
  status: 'FOUND';
  entry: QueueEntry;
  record: Buffer;
}

/** Offsets below `offset` lie below `position`, all others at or after it. */
interface Known {
  position: CommitLogOffset;
  offset: QueueOffset;
}

export class QueuePlaces {
  readonly #commitLog: CommitLog;
  readonly #healing: QueueHealing;
  readonly #known = new WeakMap<ConsumeQueue, Known>();

  constructor(parts: { commitLog: CommitLog; healing: QueueHealing }) {
    this.#commitLog = parts.commitLog;
    this.#healing = parts.healing;
  }

  at(queue: ConsumeQueue, offset: QueueOffset): Place {
    const entry = queue.entryAt(offset);
    // In front of what is left of the queue.
    if (entry?.sizeBytes === BLANK_ENTRY_SIZE) return { status: 'GONE' };
    const record = entry && this.#recordOf(entry);
    if (entry && record && this.fits(queue, offset, record, entry)) return { status: 'FOUND', entry, record };
    const healed = this.#healing.heal(queue, offset);
    if (healed.status !== 'HEALED') return { status: healed.status };
    const found = this.#recordOf(healed.entry);
    return found ? { status: 'FOUND', entry: healed.entry, record: found } : { status: 'GONE' };
  }

  /** Is this the record of the entry, and does it belong at this place of the queue? */
  fits(
    queue: ConsumeQueue,
    offset: QueueOffset,
    record: Buffer,
    { commitLogOffset, sizeBytes }: Omit<QueueEntry, 'tagsCode'>,
  ): boolean {
    if (record.length !== sizeBytes || record.readInt32BE(RECORD_AT.TOTAL_SIZE) !== sizeBytes) return false;
    if (recordPosition(record) !== commitLogOffset) return false;
    const isOwn = isQueuedRecordOf(record, queue.topicBytes, queue.queueId) && recordQueueOffset(record) === offset;
    return isOwn || this.#healing.fits(queue, offset, record, commitLogOffset);
  }

  /** The first offset whose record lies at or after the position; undefined while a damaged entry is searched. */
  seek(queue: ConsumeQueue, position: CommitLogOffset): QueueOffset | undefined {
    const { minOffset, maxOffset } = queue;
    const known = this.#known.get(queue);
    if (known?.position === position) return Math.min(maxOffset, Math.max(minOffset, known.offset));
    const isBefore = ({ entry }: FoundPlace) => entry.commitLogOffset < position;
    let low = minOffset;
    let high = maxOffset;
    // Near the place that is known, in steps that double.
    if (known && position > known.position) {
      low = Math.max(low, known.offset);
      for (let step = 1; low < high; step *= 2) {
        const at = low + step - 1;
        if (at >= high) break;
        const found = this.#nextFound(queue, at, high);
        if (found === 'SEARCHING') return undefined;
        if (!found || !isBefore(found)) {
          high = at;
          break;
        }
        low = found.offset + 1;
      }
    } else if (known) {
      high = Math.min(high, known.offset);
      for (let step = 1; low < high; step *= 2) {
        const at = Math.max(low, high - step);
        const found = this.#nextFound(queue, at, high);
        if (found === 'SEARCHING') return undefined;
        if (found && isBefore(found)) {
          low = found.offset + 1;
          break;
        }
        high = at;
      }
    }
    const offset = this.#halve(queue, low, high, isBefore);
    if (offset !== undefined) this.note(queue, position, offset);
    return offset;
  }

  /** The first offset stored at or after the time, or with `after` the first one after it; undefined as in {@link seek}. */
  seekTime(queue: ConsumeQueue, time: TimestampMillis, { after }: { after: boolean }): QueueOffset | undefined {
    const { minOffset, maxOffset } = queue;
    return this.#halve(queue, minOffset, maxOffset, ({ record }) => {
      const stored = recordStoreTimestamp(record);
      return after ? stored <= time : stored < time;
    });
  }

  /** What is found out elsewhere: offsets from this one on, and no others, lie at or after the position. */
  note(queue: ConsumeQueue, position: CommitLogOffset, offset: QueueOffset): void {
    const known = this.#known.get(queue);
    if (!known) this.#known.set(queue, { position, offset });
    else {
      known.position = position;
      known.offset = offset;
    }
  }

  #halve(
    queue: ConsumeQueue,
    from: QueueOffset,
    until: QueueOffset,
    isBefore: (place: FoundPlace) => boolean,
  ): QueueOffset | undefined {
    let low = from;
    let high = until;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const found = this.#nextFound(queue, middle, high);
      if (found === 'SEARCHING') return undefined;
      if (found && isBefore(found)) low = found.offset + 1;
      else high = middle;
    }
    return low;
  }

  /** The first place in [from, until) that is not gone. */
  #nextFound(
    queue: ConsumeQueue,
    from: QueueOffset,
    until: QueueOffset,
  ): (FoundPlace & { offset: QueueOffset }) | 'SEARCHING' | undefined {
    for (let offset = from; offset < until; offset += 1) {
      const place = this.at(queue, offset);
      if (place.status === 'FOUND') return { ...place, offset };
      if (place.status === 'SEARCHING') return 'SEARCHING';
    }
    return undefined;
  }

  #recordOf({ commitLogOffset, sizeBytes }: QueueEntry): Buffer | undefined {
    if (sizeBytes < RECORD_MIN_BYTES) return undefined;
    // A size that large may be damage: the record's own one is asked for first.
    return sizeBytes > LARGE_BYTES
      ? this.#commitLog.readRecord(commitLogOffset)
      : this.#commitLog.readRange(commitLogOffset, sizeBytes);
  }
}
