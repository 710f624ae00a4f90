/**
 * Reads queues of BatchCQ topics (upstream: `BatchConsumeQueue#iterateFrom`, `getOffsetInQueueByTime`): an offset inside a
 * batch finds the record that holds it, and the next offset lies behind the batch. Consumers unwrap the record themselves.
 */
import type { QueueOffset, TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { CommitLog } from '../log/commitLog.js';
import { recordProperties } from '../log/recordView.js';
import type { QueueRange, ReadFilter, ReadResult, ReadStatus } from '../storeTypes.js';
import type { BatchQueue } from './batchQueue.js';
import { limitsAt, type ReadLimits } from './readLimits.js';

/** Entries that one read looks at. */
const SCAN_ENTRIES_MAX = 800;

export class BatchReader {
  readonly #commitLog: CommitLog;
  readonly #logger: Logger;

  constructor(parts: { commitLog: CommitLog; logger: Logger }) {
    this.#commitLog = parts.commitLog;
    this.#logger = parts.logger;
  }

  range(queue: BatchQueue): QueueRange {
    return queue.range(this.#commitLog.minOffset);
  }

  read(queue: BatchQueue, offset: QueueOffset, limits: ReadLimits, filter: ReadFilter | undefined): ReadResult {
    const bounds = this.range(queue);
    const { minOffset, maxOffset } = bounds;
    const nothing = (status: ReadStatus, nextBeginOffset: QueueOffset): ReadResult => {
      return { status, nextBeginOffset, ...bounds, records: [], sizeBytes: 0 };
    };
    if (maxOffset === 0) return nothing('NO_MESSAGE_IN_QUEUE', 0);
    if (offset < minOffset) return nothing('OFFSET_TOO_SMALL', minOffset);
    if (offset === maxOffset) return nothing('OFFSET_OVERFLOW_ONE', offset);
    if (offset > maxOffset) return nothing('OFFSET_OVERFLOW_BADLY', maxOffset);
    const records: Buffer[] = [];
    let sizeBytes = 0;
    let messageCount = 0;
    let next = offset;
    let isRemoved = false;
    const first = queue.find(offset);
    for (let number = first; number < first + SCAN_ENTRIES_MAX; number += 1) {
      const entry = queue.entryAt(number);
      if (!entry) break;
      const { maxCount, maxBytes } = limitsAt(entry.commitLogOffset, limits);
      const isFull = messageCount + entry.batchSize > maxCount || sizeBytes + entry.sizeBytes > maxBytes;
      if (records.length > 0 && isFull) break;
      next = entry.baseOffset + entry.batchSize;
      if (filter?.matchesTagsCode && !filter.matchesTagsCode(entry.tagsCode)) continue;
      const record = this.#commitLog.readRecord(entry.commitLogOffset);
      if (record?.length !== entry.sizeBytes) {
        isRemoved = true;
        this.#logger.warn({ ...entry }, 'an entry of a batch queue points at no record and is skipped');
        continue;
      }
      if (filter?.matchesProperties && !filter.matchesProperties(recordProperties(record))) continue;
      records.push(record);
      sizeBytes += record.length;
      messageCount += entry.batchSize;
    }
    if (records.length > 0) return { status: 'FOUND', nextBeginOffset: next, ...bounds, records, sizeBytes };
    return nothing(isRemoved ? 'MESSAGE_WAS_REMOVING' : 'NO_MATCHED_MESSAGE', next);
  }

  /** The first message of a batch stands for its time. */
  offsetByTime(queue: BatchQueue, timestamp: TimestampMillis, boundary: 'LOWER' | 'UPPER'): QueueOffset {
    const { minOffset, maxOffset } = this.range(queue);
    const number = boundary === 'LOWER' ? queue.findTime(timestamp) : queue.findTime(timestamp + 1) - 1;
    const offset = queue.entryAt(Math.max(0, number))?.baseOffset ?? maxOffset;
    return Math.min(maxOffset, Math.max(minOffset, offset));
  }

  storeTimeAt(queue: BatchQueue, offset: QueueOffset): TimestampMillis {
    const { minOffset, maxOffset } = this.range(queue);
    if (offset < minOffset || offset >= maxOffset) return -1;
    return queue.entryAt(queue.find(offset))?.storeTimestamp ?? -1;
  }
}
