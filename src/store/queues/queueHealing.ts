/**
 * Queue entries that heal when they are read: one that does not point at the record that belongs at its place is
 * searched in the log, set right on disk and served. Upstream steps over such an entry, and its message with it.
 *
 * The search begins behind the nearest entry before it that is right and gives each record of the queue its place by the
 * rule of recovery: its own queue offset, or the next place when that is taken (a broker that had lost entries gave
 * offsets twice). A read searches a bounded stretch; a longer search goes on with the next read of the same entry.
 */
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { CommitLog } from '../log/commitLog.js';
import type { LogWalk } from '../log/logWalk.js';
import {
  isQueuedRecordOf,
  recordProperties,
  recordQueueOffset,
  recordStoreTimestamp,
  recordTopic,
} from '../log/recordView.js';
import type { ConsumeQueue } from './consumeQueue.js';
import type { ConsumeQueues } from './consumeQueues.js';
import { entryTagsCode } from './dispatch.js';
import { lightPlacesOf } from './multiDispatch.js';
import { BLANK_ENTRY_SIZE, type QueueEntry } from './queueEntry.js';

const SEARCH_BYTES = 16 * 1024 * 1024;
/** Searches that wait for their next read, and entries whose record is known to be gone: the oldest are forgotten. */
const SEARCHES_MAX = 256;
const GONE_MAX = 4_096;

export type Healed = { status: 'HEALED'; entry: QueueEntry } | { status: 'GONE' | 'SEARCHING' };

interface Search {
  queueOffset: QueueOffset;
  position: CommitLogOffset;
  /** Place of the last record of the queue that was met. */
  place: QueueOffset;
  healedCount: number;
}

export class QueueHealing {
  readonly #queues: ConsumeQueues;
  readonly #commitLog: CommitLog;
  readonly #logWalk: LogWalk;
  readonly #delayLevels: readonly number[];
  readonly #logger: Logger;
  readonly #searches = new Map<ConsumeQueue, Search>();
  readonly #gone = new Set<string>();

  constructor(parts: {
    queues: ConsumeQueues;
    commitLog: CommitLog;
    logWalk: LogWalk;
    delayLevels: readonly number[];
    logger: Logger;
  }) {
    this.#queues = parts.queues;
    this.#commitLog = parts.commitLog;
    this.#logWalk = parts.logWalk;
    this.#delayLevels = parts.delayLevels;
    this.#logger = parts.logger;
  }

  /** Does the record, which lies where the entry says, belong at this place of the queue? */
  fits(queue: ConsumeQueue, queueOffset: QueueOffset, record: Buffer, commitLogOffset: CommitLogOffset): boolean {
    const own = this.#offsetIn(queue, record);
    if (own === queueOffset) return true;
    if (own === undefined || own > queueOffset) return false;
    // Behind an offset that was given twice, records lie some places further on, one after the other.
    const before = queue.entryAt(queueOffset - 1);
    if (!before || before.commitLogOffset >= commitLogOffset) return false;
    const neighbour = this.#recordAt(before);
    const ownBefore = neighbour && this.#offsetIn(queue, neighbour);
    return ownBefore !== undefined && (own <= ownBefore || own === ownBefore + 1);
  }

  /** Searches the record of an entry that is wrong. */
  heal(queue: ConsumeQueue, queueOffset: QueueOffset): Healed {
    const name = `${queue.topic}/${queue.queueId}/${queueOffset}`;
    if (this.#gone.has(name)) return { status: 'GONE' };
    // Set right together with an entry before it?
    const stored = queue.entryAt(queueOffset);
    const record = stored && this.#recordAt(stored);
    if (stored && record && this.fits(queue, queueOffset, record, stored.commitLogOffset)) {
      return { status: 'HEALED', entry: stored };
    }
    let search = this.#searches.get(queue);
    if (search?.queueOffset !== queueOffset) search = this.#begin(queue, queueOffset);
    this.#searches.delete(queue);
    const found = this.#goOn(queue, search);
    if (found === 'SEARCHING') {
      this.#searches.set(queue, search);
      dropOldest(this.#searches, SEARCHES_MAX);
      return { status: 'SEARCHING' };
    }
    if (found === 'GONE') {
      this.#gone.add(name);
      dropOldest(this.#gone, GONE_MAX);
      this.#logger.warn(
        { topic: queue.topic, queueId: queue.queueId, queueOffset },
        'a queue entry points at no record, and the log has none for it: it is skipped',
      );
      return { status: 'GONE' };
    }
    this.#logger.warn(
      { topic: queue.topic, queueId: queue.queueId, queueOffset, entries: search.healedCount, ...found },
      'queue entries did not fit the log and were set right',
    );
    return { status: 'HEALED', entry: found };
  }

  #begin(queue: ConsumeQueue, queueOffset: QueueOffset): Search {
    const { minOffset } = this.#commitLog;
    const first = queue.firstStoredOffset;
    for (let step = 1; queueOffset - step >= first; step *= 2) {
      const place = queueOffset - step;
      const entry = queue.entryAt(place);
      if (!entry || entry.sizeBytes === BLANK_ENTRY_SIZE || entry.commitLogOffset < minOffset) continue;
      const record = this.#recordAt(entry);
      if (!record || !this.fits(queue, place, record, entry.commitLogOffset)) continue;
      return { queueOffset, position: entry.commitLogOffset + entry.sizeBytes, place, healedCount: 0 };
    }
    return { queueOffset, position: minOffset, place: -1, healedCount: 0 };
  }

  #goOn(queue: ConsumeQueue, search: Search): QueueEntry | 'GONE' | 'SEARCHING' {
    let found: QueueEntry | undefined;
    const visit = (record: Buffer, commitLogOffset: CommitLogOffset): boolean => {
      const own = this.#offsetIn(queue, record);
      if (own === undefined || this.#queues.isDeleted(queue.topic, commitLogOffset)) return false;
      search.place = Math.max(own, search.place + 1);
      if (search.place > search.queueOffset && !found) return true;
      const entry = this.#entryOf(record, commitLogOffset);
      const wasWrong = this.#setRight(queue, search, entry);
      if (search.place === search.queueOffset) found = entry;
      // Damage seldom comes alone: it goes on to the first entry that is right.
      return found !== undefined && (!wasWrong || search.place >= queue.maxOffset - 1);
    };
    const { end, position } = this.#logWalk.walk(search.position, this.#commitLog.writtenEnd, SEARCH_BYTES, visit);
    search.position = position;
    if (found) return found;
    return end === 'BOUND' ? 'SEARCHING' : 'GONE';
  }

  /** The entries on the way, from the nearest right one on, are set right as well. Was this one wrong? */
  #setRight(queue: ConsumeQueue, search: Search, entry: QueueEntry): boolean {
    const { place } = search;
    if (place < queue.firstStoredOffset || place >= queue.maxOffset) return false;
    const stored = queue.entryAt(place);
    if (!stored || isSame(stored, entry)) return false;
    this.#queues.replaceEntry(queue, place, entry);
    search.healedCount += 1;
    return true;
  }

  #entryOf(record: Buffer, commitLogOffset: CommitLogOffset): QueueEntry {
    const topic = recordTopic(record);
    const tagsCode = entryTagsCode(topic, recordProperties(record), recordStoreTimestamp(record), this.#delayLevels);
    return { commitLogOffset, sizeBytes: record.length, tagsCode };
  }

  /** The record's offset in the queue, as it says itself; undefined when it is not in it. */
  #offsetIn(queue: ConsumeQueue, record: Buffer): QueueOffset | undefined {
    if (isQueuedRecordOf(record, queue.topicBytes, queue.queueId)) return recordQueueOffset(record);
    if (!queue.isLight) return undefined;
    const places = lightPlacesOf(recordTopic(record), recordProperties(record));
    return places.find(({ topic }) => topic === queue.topic)?.queueOffset;
  }

  #recordAt({ commitLogOffset, sizeBytes }: QueueEntry): Buffer | undefined {
    const record =
      commitLogOffset < this.#commitLog.writtenEnd ? this.#commitLog.readRecord(commitLogOffset) : undefined;
    return record?.length === sizeBytes ? record : undefined;
  }
}

function isSame(one: QueueEntry, other: QueueEntry): boolean {
  return one.commitLogOffset === other.commitLogOffset && one.sizeBytes === other.sizeBytes;
}

function dropOldest(held: Map<unknown, unknown> | Set<unknown>, countMax: number): void {
  if (held.size <= countMax) return;
  for (const oldest of held.keys()) {
    held.delete(oldest as never);
    return;
  }
}
