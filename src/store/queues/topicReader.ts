/**
 * Reads topics in the order of the log: the entries of their queues merged by position, in either direction, so that
 * messages of other topics cost nothing. Complete and in order whatever an entry on disk says: each record taken is held
 * against its place in its queue, and so is the entry of each queue that comes next, before the page is believed. When one
 * does not fit, the page is made anew from verified places, with the records that a damaged queue heals to.
 *
 * Records that a repair wrote come as they are; who reads tells them (`protocol/removedMessage.ts`).
 */
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { CommitLog } from '../log/commitLog.js';
import type { Flush } from '../log/flush.js';
import type { ReadTopicsRequest, ReadTopicsResult } from '../storeTypes.js';
import type { ConsumeQueue } from './consumeQueue.js';
import type { ConsumeQueues } from './consumeQueues.js';
import type { QueuePlaces } from './queuePlaces.js';
import { TopicCursor } from './topicCursor.js';

/** Records nearer to each other than this are read together, up to so many bytes. */
const GAP_BYTES_MAX = 16 * 1024;
const RUN_BYTES_MAX = 512 * 1024;
/** Records of a page that is made place by place. */
const CAREFUL_COUNT_MAX = 256;

interface Bounds {
  from: CommitLogOffset;
  until: CommitLogOffset;
}

/** An entry that belongs to the page. */
interface Taken {
  queue: ConsumeQueue;
  offset: number;
  commitLogOffset: CommitLogOffset;
  sizeBytes: number;
}

interface Page {
  taken: Taken[];
  /** Where the next page goes on; undefined at the end. */
  next: CommitLogOffset | undefined;
}

export class TopicReader {
  readonly #queues: ConsumeQueues;
  readonly #places: QueuePlaces;
  readonly #commitLog: CommitLog;
  readonly #flush: Flush;
  readonly #generation: number;

  constructor(parts: {
    queues: ConsumeQueues;
    places: QueuePlaces;
    commitLog: CommitLog;
    flush: Flush;
    generation: number;
  }) {
    this.#queues = parts.queues;
    this.#places = parts.places;
    this.#commitLog = parts.commitLog;
    this.#flush = parts.flush;
    this.#generation = parts.generation;
  }

  /** Undefined while the record of a damaged entry is searched: the search goes on when it is asked again. */
  read(request: ReadTopicsRequest): ReadTopicsResult | undefined {
    const queues = request.topics.flatMap((topic) => [...this.#queues.ofTopic(topic)]);
    const bounds = this.#boundsOf(request, queues);
    if (!bounds) return undefined;
    const isForwards = request.direction === 'forwards';
    const page =
      this.#page(request, queues, bounds, isForwards, false) ?? this.#page(request, queues, bounds, isForwards, true);
    if (!page) return undefined;
    return { ...page, end: { commitLogOffset: bounds.until, generation: this.#generation } };
  }

  #boundsOf(request: ReadTopicsRequest, queues: readonly ConsumeQueue[]): Bounds | undefined {
    const { visibleEnd } = this.#flush;
    let until = Math.min(request.until ?? visibleEnd, visibleEnd);
    let from = Math.max(request.from ?? 0, this.#commitLog.minOffset);
    const { fromTime, untilTime } = request;
    if (fromTime !== undefined) {
      const start = this.#firstAt(queues, fromTime, visibleEnd);
      if (start === undefined) return undefined;
      from = Math.max(from, start);
    }
    if (untilTime !== undefined) {
      const end = this.#endAt(queues, untilTime);
      if (end === undefined) return undefined;
      until = Math.min(until, end);
    }
    until = Math.max(0, until);
    return { from: Math.min(from, until), until };
  }

  /** Position of the first record stored at or after the time. */
  #firstAt(
    queues: readonly ConsumeQueue[],
    time: TimestampMillis,
    otherwise: CommitLogOffset,
  ): CommitLogOffset | undefined {
    let first = otherwise;
    for (const queue of queues) {
      const offset = this.#places.seekTime(queue, time, { after: false });
      if (offset === undefined) return undefined;
      if (offset >= queue.maxOffset) continue;
      const place = this.#places.at(queue, offset);
      if (place.status === 'SEARCHING') return undefined;
      // Of a record that is gone nobody knows the place: what is left in front of it is told apart by its time.
      first = Math.min(first, place.status === 'FOUND' ? place.entry.commitLogOffset : 0);
    }
    return first;
  }

  /** Position behind the last record stored at or before the time. */
  #endAt(queues: readonly ConsumeQueue[], time: TimestampMillis): CommitLogOffset | undefined {
    let end = 0;
    for (const queue of queues) {
      const offset = this.#places.seekTime(queue, time, { after: true });
      if (offset === undefined) return undefined;
      for (let last = offset - 1; last >= queue.minOffset; last -= 1) {
        const place = this.#places.at(queue, last);
        if (place.status === 'SEARCHING') return undefined;
        if (place.status === 'GONE') continue;
        end = Math.max(end, place.entry.commitLogOffset + place.entry.sizeBytes);
        break;
      }
    }
    return end;
  }

  /** One page; undefined when an entry does not fit the log (then with `isCareful`), or is searched. */
  #page(
    request: ReadTopicsRequest,
    queues: readonly ConsumeQueue[],
    bounds: Bounds,
    isForwards: boolean,
    isCareful: boolean,
  ): Pick<ReadTopicsResult, 'records' | 'count' | 'next'> | undefined {
    const merged = this.#merge(request, queues, bounds, isForwards, isCareful);
    if (!merged) return undefined;
    const records = this.#load(merged.taken, isForwards);
    return records && { records, count: merged.taken.length, next: merged.next };
  }

  #merge(
    request: ReadTopicsRequest,
    queues: readonly ConsumeQueue[],
    bounds: Bounds,
    isForwards: boolean,
    isCareful: boolean,
  ): Page | undefined {
    const { from, until } = bounds;
    const ended: TopicCursor[] = [];
    const heap = new CursorHeap(isForwards);
    const searched: TopicCursor[] = [];
    for (const queue of queues) {
      const start = this.#places.seek(queue, isForwards ? from : until);
      if (start === undefined) return undefined;
      const offset = isForwards ? start : start - 1;
      const places = this.#places;
      const cursor = new TopicCursor({ queue, places, offset, isForwards, from, until, isCareful });
      const state = cursor.look();
      if (state === 'DOUBT') return undefined;
      if (state === 'ENTRY') heap.push(cursor);
      else (state === 'END' ? ended : searched).push(cursor);
    }
    const taken: Taken[] = [];
    const countMax = Math.max(1, isCareful ? Math.min(request.maxCount, CAREFUL_COUNT_MAX) : request.maxCount);
    let sizeBytes = 0;
    let next: CommitLogOffset | undefined;
    for (let first = heap.first; first; first = heap.first) {
      const { queue, offset, commitLogOffset } = first;
      const isFull = taken.length >= countMax || sizeBytes + first.sizeBytes > request.maxBytes;
      if (taken.length > 0 && isFull) {
        // This record opens the next page: `from` is inclusive, `until` exclusive.
        next = isForwards ? commitLogOffset : commitLogOffset + 1;
        break;
      }
      taken.push({ queue, offset, commitLogOffset, sizeBytes: first.sizeBytes });
      sizeBytes += first.sizeBytes;
      const state = first.next();
      if (state === 'DOUBT') return undefined;
      if (state === 'ENTRY') heap.sinkFirst();
      else (state === 'END' ? ended : searched).push(heap.popFirst(first));
    }
    if (searched.length > 0) return beforeSearched({ taken, next }, searched, isForwards);
    if (!isCareful && next !== undefined && heap.all.some((cursor) => !cursor.isTrue())) return undefined;
    this.#note([...heap.all, ...ended], next ?? (isForwards ? until : from), isForwards);
    return { taken, next };
  }

  /** Where the next page begins in each queue. */
  #note(cursors: readonly TopicCursor[], position: CommitLogOffset, isForwards: boolean): void {
    for (const { queue, offset } of cursors) this.#places.note(queue, position, isForwards ? offset : offset + 1);
  }

  /** The records, in the order of the read; undefined when one is not that of its entry. */
  #load(taken: readonly Taken[], isForwards: boolean): Buffer[] | undefined {
    const ascending = isForwards ? taken : [...taken].reverse();
    const records: Buffer[] = [];
    for (let index = 0; index < ascending.length; ) {
      const first = ascending[index];
      if (!first) break;
      const runEnd = endOfRun(ascending, index);
      const start = first.commitLogOffset;
      const last = ascending[runEnd - 1] ?? first;
      // A run over the border of two segments, or from the files into memory, is read record by record.
      let stop = runEnd;
      let bytes = this.#commitLog.readRange(start, last.commitLogOffset + last.sizeBytes - start);
      if (!bytes) {
        stop = index + 1;
        bytes = this.#commitLog.readRange(start, first.sizeBytes);
      }
      if (!bytes) return undefined;
      const run = this.#checkedRun(bytes, ascending, index, stop, isForwards);
      if (!run) return undefined;
      for (const part of run) records.push(part);
      index = stop;
    }
    return isForwards ? records : records.reverse();
  }

  /** The records of a run; forwards, those that lie next to each other in one piece. */
  #checkedRun(
    bytes: Buffer,
    taken: readonly Taken[],
    from: number,
    until: number,
    isJoined: boolean,
  ): Buffer[] | undefined {
    const parts: Buffer[] = [];
    const start = taken[from]?.commitLogOffset ?? 0;
    let pieceStart = 0;
    let pieceEnd = 0;
    for (let index = from; index < until; index += 1) {
      const entry = taken[index];
      if (!entry) break;
      const at = entry.commitLogOffset - start;
      const record = bytes.subarray(at, at + entry.sizeBytes);
      if (!this.#places.fits(entry.queue, entry.offset, record, entry)) return undefined;
      if (!isJoined) {
        parts.push(record);
        continue;
      }
      if (at !== pieceEnd) {
        if (pieceEnd > pieceStart) parts.push(bytes.subarray(pieceStart, pieceEnd));
        pieceStart = at;
      }
      pieceEnd = at + entry.sizeBytes;
    }
    if (isJoined && pieceEnd > pieceStart) parts.push(bytes.subarray(pieceStart, pieceEnd));
    return parts;
  }
}

/** A page ends before anything that may lie behind a record that is searched; undefined when nothing is left of it. */
function beforeSearched(page: Page, searched: readonly TopicCursor[], isForwards: boolean): Page | undefined {
  const bounds = searched.map(({ bound }) => bound);
  const limit = isForwards ? Math.min(...bounds) : Math.max(...bounds);
  const taken = page.taken.filter(({ commitLogOffset }) =>
    isForwards ? commitLogOffset < limit : commitLogOffset >= limit,
  );
  return taken.length === 0 ? undefined : { taken, next: limit };
}

/** Index behind the last of the entries from this one on that are worth one read. */
function endOfRun(taken: readonly Taken[], from: number): number {
  const first = taken[from];
  let end = first ? first.commitLogOffset + first.sizeBytes : 0;
  let index = from + 1;
  for (; first && index < taken.length; index += 1) {
    const entry = taken[index];
    if (!entry || entry.commitLogOffset < end || entry.commitLogOffset - end > GAP_BYTES_MAX) break;
    const nextEnd = entry.commitLogOffset + entry.sizeBytes;
    if (nextEnd - first.commitLogOffset > RUN_BYTES_MAX) break;
    end = nextEnd;
  }
  return index;
}

/** Cursors by the position of their next entry: the first one of the read on top. */
class CursorHeap {
  readonly all: TopicCursor[] = [];
  readonly #isForwards: boolean;

  constructor(isForwards: boolean) {
    this.#isForwards = isForwards;
  }

  get first(): TopicCursor | undefined {
    return this.all[0];
  }

  push(cursor: TopicCursor): void {
    const { all } = this;
    let at = all.length;
    all.push(cursor);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = all[above];
      if (!parent || !this.#isFirst(cursor, parent)) break;
      all[at] = parent;
      at = above;
    }
    all[at] = cursor;
  }

  /** The first one went on: it finds its place anew. */
  sinkFirst(): void {
    const cursor = this.all[0];
    if (cursor) this.#sink(cursor);
  }

  /** Takes the first one out. */
  popFirst(first: TopicCursor): TopicCursor {
    const last = this.all.pop();
    if (last && last !== first) this.#sink(last);
    return first;
  }

  #sink(cursor: TopicCursor): void {
    const { all } = this;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      let child = all[below];
      if (!child) break;
      const other = all[below + 1];
      if (other && this.#isFirst(other, child)) {
        below += 1;
        child = other;
      }
      if (!this.#isFirst(child, cursor)) break;
      all[at] = child;
      at = below;
    }
    all[at] = cursor;
  }

  #isFirst(one: TopicCursor, other: TopicCursor): boolean {
    return this.#isForwards ? one.commitLogOffset < other.commitLogOffset : one.commitLogOffset > other.commitLogOffset;
  }
}
