/**
 * Reads queues: messages from an offset on, offsets by store time (upstream: `DefaultMessageStore#getMessage`,
 * `ConsumeQueue#getOffsetInQueueByTime`). The statuses and next offsets are upstream's, row by row; how many messages
 * and bytes a read returns is the caller's to say. Consume queues hold visible records only, so reads stop there.
 */
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import { RECORD_AT, RECORD_MIN_BYTES } from '../../protocol/messageRecord.js';
import type { CommitLog } from '../log/commitLog.js';
import {
  isQueuedRecordOf,
  recordPosition,
  recordProperties,
  recordQueueOffset,
  recordStoreTimestamp,
  STORE_TIMESTAMP_PREFIX_BYTES,
} from '../log/recordView.js';
import { isRemovedRecord } from '../log/removedRecord.js';
import type { ReadFilter, ReadResult, ReadStatus } from '../storeTypes.js';
import type { BatchQueues } from './batchQueues.js';
import type { BatchReader } from './batchReader.js';
import type { ConsumeQueue } from './consumeQueue.js';
import type { ConsumeQueues } from './consumeQueues.js';
import { BLANK_ENTRY_SIZE, isExtAddress, type QueueEntry } from './queueEntry.js';
import type { QueueHealing } from './queueHealing.js';
import { limitsAt, type ReadLimits } from './readLimits.js';

/** Entries that one read looks at, at least (upstream: maxFilterMessageSize 16000 / 20). */
const SCAN_ENTRIES_MIN = 800;
/** Records nearer to each other than this are read together, up to so many bytes. */
const GAP_BYTES_MAX = 16 * 1024;
const RUN_BYTES_MAX = 512 * 1024;

interface Bounds {
  minOffset: QueueOffset;
  maxOffset: QueueOffset;
}

export class QueueReader {
  readonly #queues: ConsumeQueues;
  readonly #commitLog: CommitLog;
  readonly #healing: QueueHealing;
  readonly #batchQueues: BatchQueues;
  readonly #batchReader: BatchReader;

  constructor(parts: {
    queues: ConsumeQueues;
    commitLog: CommitLog;
    healing: QueueHealing;
    batchQueues: BatchQueues;
    batchReader: BatchReader;
  }) {
    this.#batchQueues = parts.batchQueues;
    this.#batchReader = parts.batchReader;
    this.#queues = parts.queues;
    this.#commitLog = parts.commitLog;
    this.#healing = parts.healing;
  }

  range(topic: string, queueId: number): Bounds {
    const batchQueue = this.#batchQueues.find(topic, queueId);
    if (batchQueue) return this.#batchReader.range(batchQueue);
    const queue = this.#queues.find(topic, queueId);
    return { minOffset: queue?.minOffset ?? 0, maxOffset: queue?.maxOffset ?? 0 };
  }

  read(
    topic: string,
    queueId: number,
    offset: QueueOffset,
    limits: ReadLimits,
    filter: ReadFilter | undefined,
  ): ReadResult {
    const batchQueue = this.#batchQueues.find(topic, queueId);
    if (batchQueue) return this.#batchReader.read(batchQueue, offset, limits, filter);
    const queue = this.#queues.find(topic, queueId);
    const bounds = this.range(topic, queueId);
    const { minOffset, maxOffset } = bounds;
    if (!queue || maxOffset === 0) return nothing('NO_MESSAGE_IN_QUEUE', 0, bounds);
    if (offset < minOffset) return nothing('OFFSET_TOO_SMALL', minOffset, bounds);
    if (offset === maxOffset) return nothing('OFFSET_OVERFLOW_ONE', offset, bounds);
    if (offset > maxOffset) return nothing('OFFSET_OVERFLOW_BADLY', maxOffset, bounds);
    const scanMax = filter ? Math.max(SCAN_ENTRIES_MIN, limits.maxCount) : Math.max(1, limits.maxCount);
    const entries = queue.readEntries(offset, scanMax);
    if (entries.length === 0) return nothing('OFFSET_FOUND_NULL', queue.nextFileOffset(offset), bounds);
    return this.#collect(queue, offset, entries, limits, filter, bounds);
  }

  #collect(
    queue: ConsumeQueue,
    offset: QueueOffset,
    entries: readonly QueueEntry[],
    limits: ReadLimits,
    filter: ReadFilter | undefined,
    bounds: Bounds,
  ): ReadResult {
    const records: Buffer[] = [];
    const runs = new RunReader(this.#commitLog);
    let sizeBytes = 0;
    let isRemoved = false;
    let scanned = 0;
    // Where the record of the entry before ends: the next one lies at or after it.
    let lastEnd = 0;
    for (const [index, entry] of entries.entries()) {
      const { maxCount, maxBytes } = limitsAt(entry.commitLogOffset, limits);
      if (records.length >= Math.max(1, maxCount)) break;
      if (records.length > 0 && sizeBytes + entry.sizeBytes > maxBytes) break;
      scanned += 1;
      if (entry.sizeBytes === BLANK_ENTRY_SIZE) {
        isRemoved = true;
        continue;
      }
      const isPlausible = entry.sizeBytes >= RECORD_MIN_BYTES && entry.commitLogOffset >= lastEnd;
      if (isPlausible) lastEnd = entry.commitLogOffset + entry.sizeBytes;
      if (isPlausible && !mayMatch(filter, entry)) continue;
      // Only what will be returned is worth being read together.
      let record = runs.read(entries, index, filter ? 1 : maxCount - records.length, maxBytes - sizeBytes);
      if (!record || !this.#fits(queue, offset + index, record, entry.commitLogOffset)) {
        const healed = this.#healing.heal(queue, offset + index);
        if (healed.status === 'SEARCHING') {
          // The next read begins with this entry, and the search goes on.
          scanned -= 1;
          break;
        }
        record = healed.status === 'HEALED' ? this.#recordOf(healed.entry) : undefined;
        if (!record || healed.status !== 'HEALED') {
          isRemoved = true;
          continue;
        }
        lastEnd = healed.entry.commitLogOffset + healed.entry.sizeBytes;
        if (!mayMatch(filter, healed.entry)) continue;
        // Like any other that is too large: unless it is the first one, the next read begins with it.
        if (records.length > 0 && sizeBytes + record.length > maxBytes) {
          scanned -= 1;
          break;
        }
      } else if (!isPlausible) {
        // It is right, so the entry before it was not.
        lastEnd = entry.commitLogOffset + entry.sizeBytes;
        if (!mayMatch(filter, entry)) continue;
      }
      if (isRemovedRecord(record)) {
        isRemoved = true;
        continue;
      }
      if (filter?.matchesProperties && !filter.matchesProperties(recordProperties(record))) continue;
      records.push(record);
      sizeBytes += record.length;
    }
    const nextBeginOffset = offset + scanned;
    if (records.length > 0) return { status: 'FOUND', nextBeginOffset, ...bounds, records, sizeBytes };
    return nothing(isRemoved ? 'MESSAGE_WAS_REMOVING' : 'NO_MATCHED_MESSAGE', nextBeginOffset, bounds);
  }

  /**
   * The offset that belongs to a time. LOWER: the first message stored at or after it; UPPER: the last one stored at or
   * before it. Before the first message and after the last one the answer is the nearest that the queue has.
   */
  offsetByTime(topic: string, queueId: number, timestamp: TimestampMillis, boundary: 'LOWER' | 'UPPER'): QueueOffset {
    const batchQueue = this.#batchQueues.find(topic, queueId);
    if (batchQueue) return this.#batchReader.offsetByTime(batchQueue, timestamp, boundary);
    const { minOffset, maxOffset } = this.range(topic, queueId);
    let low = minOffset;
    let high = maxOffset;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const time = this.storeTimeAt(topic, queueId, middle);
      const isBefore = boundary === 'LOWER' ? time < timestamp : time <= timestamp;
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    return boundary === 'LOWER' ? low : Math.max(minOffset, low - 1);
  }

  #fits(queue: ConsumeQueue, queueOffset: QueueOffset, record: Buffer, commitLogOffset: CommitLogOffset): boolean {
    const isOwn =
      isQueuedRecordOf(record, queue.topicBytes, queue.queueId) && recordQueueOffset(record) === queueOffset;
    return isOwn || this.#healing.fits(queue, queueOffset, record, commitLogOffset);
  }

  #recordOf(entry: QueueEntry): Buffer | undefined {
    return this.#commitLog.readRange(entry.commitLogOffset, entry.sizeBytes);
  }

  storeTimeAt(topic: string, queueId: number, offset: QueueOffset): TimestampMillis {
    const batchQueue = this.#batchQueues.find(topic, queueId);
    if (batchQueue) return this.#batchReader.storeTimeAt(batchQueue, offset);
    const queue = this.#queues.find(topic, queueId);
    if (!queue || offset < queue.minOffset || offset >= queue.maxOffset) return -1;
    const entry = queue.entryAt(offset);
    if (!entry || entry.sizeBytes === BLANK_ENTRY_SIZE) return -1;
    const prefix = this.#commitLog.readRange(
      entry.commitLogOffset,
      Math.min(entry.sizeBytes, STORE_TIMESTAMP_PREFIX_BYTES),
    );
    if (prefix && isRecordOf(prefix, entry)) {
      // The topic lies further back: whoever reads the message compares it.
      if (!queue.isLight && isPlaceOf(prefix, queueId, offset)) return recordStoreTimestamp(prefix);
      const record = this.#recordOf(entry);
      if (record && this.#fits(queue, offset, record, entry.commitLogOffset)) return recordStoreTimestamp(record);
    }
    const healed = this.#healing.heal(queue, offset);
    const record = healed.status === 'HEALED' ? this.#recordOf(healed.entry) : undefined;
    return record ? recordStoreTimestamp(record) : -1;
  }
}

/** Reads records that lie near each other in the log by one system call. */
class RunReader {
  readonly #commitLog: CommitLog;
  #start = 0;
  #bytes: Buffer | undefined;

  constructor(commitLog: CommitLog) {
    this.#commitLog = commitLog;
  }

  read(entries: readonly QueueEntry[], index: number, countMax: number, bytesMax: number): Buffer | undefined {
    const entry = entries[index];
    if (!entry) return undefined;
    const held = this.#held(entry);
    if (held) return isRecordOf(held, entry) ? held : undefined;
    const length = runLength(entries, index, countMax, Math.min(bytesMax, RUN_BYTES_MAX));
    // A size that large may be damage: the record's own one is asked for first.
    if (entry.sizeBytes > RUN_BYTES_MAX) {
      const large = this.#commitLog.readRecord(entry.commitLogOffset);
      return large && isRecordOf(large, entry) ? large : undefined;
    }
    const run = length > entry.sizeBytes ? this.#commitLog.readRange(entry.commitLogOffset, length) : undefined;
    if (run) {
      this.#start = entry.commitLogOffset;
      this.#bytes = run;
    }
    const record =
      run?.subarray(0, entry.sizeBytes) ?? this.#commitLog.readRange(entry.commitLogOffset, entry.sizeBytes);
    return record && isRecordOf(record, entry) ? record : undefined;
  }

  #held(entry: QueueEntry): Buffer | undefined {
    const at = entry.commitLogOffset - this.#start;
    if (!this.#bytes || at < 0 || at + entry.sizeBytes > this.#bytes.length) return undefined;
    return this.#bytes.subarray(at, at + entry.sizeBytes);
  }
}

/** How many bytes from this entry's record on to read at once. */
function runLength(entries: readonly QueueEntry[], from: number, countMax: number, bytesMax: number): number {
  const first = entries[from];
  if (!first) return 0;
  let end = first.commitLogOffset + first.sizeBytes;
  for (let index = from + 1; index < Math.min(entries.length, from + countMax); index += 1) {
    const entry = entries[index];
    if (!entry || entry.commitLogOffset < end || entry.commitLogOffset - end > GAP_BYTES_MAX) break;
    const nextEnd = entry.commitLogOffset + entry.sizeBytes;
    if (nextEnd - first.commitLogOffset > bytesMax) break;
    end = nextEnd;
  }
  return end - first.commitLogOffset;
}

function mayMatch(filter: ReadFilter | undefined, entry: QueueEntry): boolean {
  // An address that leads nowhere tells nothing: the client filters, as with RocketMQ.
  return !filter?.matchesTagsCode || isExtAddress(entry.tagsCode) || filter.matchesTagsCode(entry.tagsCode);
}

/** Does the record that was read say of itself what the queue entry says? */
function isRecordOf(record: Buffer, entry: QueueEntry): boolean {
  if (record.length < STORE_TIMESTAMP_PREFIX_BYTES) return false;
  const sizeBytes = record.readInt32BE(RECORD_AT.TOTAL_SIZE);
  return sizeBytes === entry.sizeBytes && recordPosition(record) === entry.commitLogOffset;
}

function isPlaceOf(record: Buffer, queueId: number, queueOffset: QueueOffset): boolean {
  return record.readInt32BE(RECORD_AT.QUEUE_ID) === queueId && recordQueueOffset(record) === queueOffset;
}

function nothing(status: ReadStatus, nextBeginOffset: QueueOffset, bounds: Bounds): ReadResult {
  return { status, nextBeginOffset, ...bounds, records: [], sizeBytes: 0 };
}
