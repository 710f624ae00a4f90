/**
 * The queues of all topics with queue.type=BatchCQ, in `batchconsumequeue/<topic>/<queueId>/` (upstream:
 * `BatchConsumeQueue`, `ConsumeQueueStore`). A topic is one when it has such a directory, or a record in the log that
 * holds a batch. Files have the size that the first one has, or RocketMQ's 13,800,000 bytes.
 */
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { SYS_FLAG } from '../../protocol/message.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import type { FileHandles } from '../log/fileHandles.js';
import { listSegments, SegmentList } from '../log/segmentList.js';
import { BATCH_ENTRY_BYTES, BatchQueue } from './batchQueue.js';
import { entryTagsCode, isQueued } from './dispatch.js';

const FILE_BYTES = 300_000 * BATCH_ENTRY_BYTES;

export class BatchQueues {
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly #directory: string;
  readonly #topics = new Map<string, Map<number, BatchQueue>>();
  /** Recovery's: number of the entry that the next record of a queue belongs to. */
  readonly #next = new Map<BatchQueue, number>();
  #healedCount = 0;

  constructor(parts: { files: Files; handles: FileHandles; directory: string }) {
    this.#files = parts.files;
    this.#handles = parts.handles;
    this.#directory = parts.directory;
  }

  /** Finds the queues on disk. Throws for files that do not belong together; changes nothing. */
  load(): void {
    for (const topic of this.#files.list(this.#directory)) {
      if (!this.#files.stat(joinPath(this.#directory, topic))?.isDirectory) continue;
      const queues = this.#ofTopic(topic);
      for (const name of this.#files.list(joinPath(this.#directory, topic))) {
        if (/^\d+$/.test(name)) queues.set(Number(name), this.#open(topic, Number(name)));
      }
    }
  }

  isBatchTopic(topic: string): boolean {
    return this.#topics.size > 0 && this.#topics.has(topic);
  }

  find(topic: string, queueId: number): BatchQueue | undefined {
    return this.#topics.size === 0 ? undefined : this.#topics.get(topic)?.get(queueId);
  }

  /** How many entries each queue has, for the end mark. */
  counts(): [topic: string, queueId: number, entryCount: number][] {
    return [...this.#topics].flatMap(([topic, queues]) =>
      [...queues].map(([queueId, queue]): [string, number, number] => [topic, queueId, queue.entryCount]),
    );
  }

  deleteTopic(topic: string): void {
    if (!this.#topics.delete(topic)) return;
    this.#files.removeDirectory(joinPath(this.#directory, topic));
    this.#files.syncDirectory(this.#directory);
  }

  /** Begins recovery: entries of records below `from` are right. */
  beginRecovery(from: CommitLogOffset): void {
    for (const queues of this.#topics.values()) {
      for (const queue of queues.values()) this.#next.set(queue, queue.firstIn(from));
    }
  }

  /** Recovery met a record. True when its topic is of this kind. */
  reconcile(message: StoredMessage): boolean {
    const { topic, queueId, queueOffset, commitLogOffset, sizeBytes, storeTimestamp, sysFlag, properties } = message;
    const isBatch = (sysFlag & SYS_FLAG.INNER_BATCH) !== 0;
    if (!isBatch && !this.isBatchTopic(topic)) return false;
    if (!isQueued(sysFlag)) return true;
    const queues = this.#ofTopic(topic);
    const queue = queues.get(queueId) ?? this.#open(topic, queueId);
    queues.set(queueId, queue);
    const number = this.#next.get(queue) ?? 0;
    const given = (name: string) => (isBatch && properties[name] !== undefined ? Number(properties[name]) : undefined);
    const isRight = queue.put(number, {
      commitLogOffset,
      sizeBytes,
      tagsCode: entryTagsCode(topic, properties, storeTimestamp, []),
      storeTimestamp,
      baseOffset: given(PROPERTY.INNER_BASE) ?? queueOffset,
      batchSize: given(PROPERTY.INNER_NUM) ?? 1,
    });
    if (!isRight) this.#healedCount += 1;
    this.#next.set(queue, number + 1);
    return true;
  }

  /** Ends recovery: entries of records that the log has not go. Returns how many entries were made. */
  endRecovery(): number {
    for (const [queue, number] of this.#next) {
      const wasAhead = queue.cutAt(number);
      if (wasAhead || this.#healedCount > 0) queue.syncNow();
    }
    this.#next.clear();
    return this.#healedCount;
  }

  #ofTopic(topic: string): Map<number, BatchQueue> {
    let queues = this.#topics.get(topic);
    if (!queues) {
      queues = new Map();
      this.#topics.set(topic, queues);
    }
    return queues;
  }

  #open(topic: string, queueId: number): BatchQueue {
    const directory = joinPath(this.#directory, topic, String(queueId));
    const [first] = this.#files.list(directory).filter((name) => /^\d+$/.test(name));
    const segmentBytes = (first && this.#files.stat(joinPath(directory, first))?.sizeBytes) || FILE_BYTES;
    const size = { sizeBytes: segmentBytes, key: 'mapperFileSizeBatchConsumeQueue', mayBeShort: false };
    const { starts } = listSegments(this.#files, directory, size);
    const parts = { files: this.#files, handles: this.#handles, directory, segmentBytes, starts };
    return new BatchQueue({ segments: new SegmentList(parts) });
  }
}
