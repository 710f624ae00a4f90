/**
 * All consume queues of a store, in `consumequeue/<topic>/<queueId>/` (upstream: `ConsumeQueueStore`). A queue costs
 * little until it is used: no file is open and no buffer is held. Entries are written each second, or when a queue's
 * tail is full; syncing is asked for by whoever advances the durable mark.
 */
import { assert } from '../../base/assert.js';
import type { Files } from '../../base/files.js';
import { joinPath, parentOf } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import type { FileHandles } from '../log/fileHandles.js';
import { listSegments, SegmentList } from '../log/segmentList.js';
import type { Arrival } from '../storeTypes.js';
import { ConsumeQueue } from './consumeQueue.js';
import { QUEUE_ENTRY_BYTES, type QueueEntry } from './queueEntry.js';
import { QueueExt } from './queueExt.js';
import { StoredEntries } from './storedEntries.js';

const SCRATCH_BYTES = 800 * QUEUE_ENTRY_BYTES;

/** One record on its way to its consume queue. */
export type DispatchEntry = Arrival;

/** Of each topic the ids of its queues, each followed by its min and its max offset. */
export type QueueBoundsList = [topic: string, idsAndBounds: number[]][];

export class ConsumeQueues {
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly #directory: string;
  /** Where a broker with enableConsumeQueueExt keeps what its entries point at. */
  readonly #extDirectory: string;
  readonly #fileBytes: number;
  readonly #topics = new Map<string, Map<number, ConsumeQueue>>();
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** Queues with entries in memory only; queues with bytes that are not synced. */
  readonly #unwritten = new Set<ConsumeQueue>();
  readonly #unsynced = new Set<ConsumeQueue>();
  readonly #newNames = new Set<string>();
  /** Queues whose last write was by the clock: if nothing came since, their buffer is given back. */
  #idle = new Set<ConsumeQueue>();
  /** Topics that were deleted: records before the position are not theirs any more. */
  readonly #deletedBefore: ReadonlyMap<string, CommitLogOffset>;

  constructor(parts: {
    files: Files;
    handles: FileHandles;
    directory: string;
    fileBytes: number;
    deletedBefore: ReadonlyMap<string, CommitLogOffset>;
  }) {
    this.#files = parts.files;
    this.#handles = parts.handles;
    this.#directory = parts.directory;
    this.#extDirectory = joinPath(parentOf(parts.directory), 'consumequeue_ext');
    this.#fileBytes = parts.fileBytes;
    this.#deletedBefore = parts.deletedBefore;
  }

  /** Finds the queues on disk. Throws for a file of wrong length or name; changes nothing. */
  load(mayBeShort: boolean): { empty: string[]; short: string[] } {
    const empty: string[] = [];
    const short: string[] = [];
    const size = { sizeBytes: this.#fileBytes, key: 'mappedFileSizeConsumeQueue', mayBeShort };
    for (const topic of this.#files.list(this.#directory)) {
      const topicDirectory = joinPath(this.#directory, topic);
      if (!this.#files.stat(topicDirectory)?.isDirectory) continue;
      for (const name of this.#files.list(topicDirectory)) {
        // Upstream skips directories that are no queue id.
        if (!/^\d+$/.test(name)) continue;
        const directory = joinPath(topicDirectory, name);
        const listing = listSegments(this.#files, directory, size);
        short.push(...listing.short);
        if (listing.emptyLast) empty.push(listing.emptyLast);
        if (listing.starts.length > 0) this.#add(topic, Number(name), listing.starts);
      }
    }
    return { empty, short };
  }

  find(topic: string, queueId: number): ConsumeQueue | undefined {
    return this.#topics.get(topic)?.get(queueId);
  }

  ofTopic(topic: string): Iterable<ConsumeQueue> {
    return this.#topics.get(topic)?.values() ?? [];
  }

  *all(): Generator<ConsumeQueue> {
    for (const queues of this.#topics.values()) yield* queues.values();
  }

  topics(): Map<string, readonly number[]> {
    const topics = new Map<string, readonly number[]>();
    for (const [topic, queues] of this.#topics)
      topics.set(
        topic,
        [...queues.keys()].sort((a, b) => a - b),
      );
    return topics;
  }

  put(entry: DispatchEntry): void {
    if (this.isDeleted(entry.topic, entry.commitLogOffset)) return;
    const queue = this.find(entry.topic, entry.queueId) ?? this.#add(entry.topic, entry.queueId);
    const isFull = queue.put(entry.queueOffset, entry.commitLogOffset, entry.sizeBytes, entry.tagsCode);
    this.#touch(queue, isFull);
  }

  /** Sets an entry right that did not fit the log; synced with the next round. When the disk refuses, memory serves. */
  replaceEntry(queue: ConsumeQueue, queueOffset: QueueOffset, entry: QueueEntry): void {
    try {
      queue.replace(queueOffset, entry);
      this.#unsynced.add(queue);
    } catch {
      // The entry stays wrong on disk, and the next read of it heals it again.
    }
  }

  /** Was the topic deleted after the record at the position was stored? */
  isDeleted(topic: string, commitLogOffset: CommitLogOffset): boolean {
    if (this.#deletedBefore.size === 0) return false;
    return commitLogOffset < (this.#deletedBefore.get(topic) ?? 0);
  }

  /** Recovery's way of {@link put}: entries that are right on disk stay untouched. */
  reconcile(entry: DispatchEntry): void {
    if (this.isDeleted(entry.topic, entry.commitLogOffset)) return;
    const queue = this.find(entry.topic, entry.queueId) ?? this.#add(entry.topic, entry.queueId);
    const isFull = queue.reconcile(entry.queueOffset, entry.commitLogOffset, entry.sizeBytes, entry.tagsCode);
    if (queue.hasUnwritten) this.#touch(queue, isFull);
  }

  /** Recovery knows that the queue had more entries than the log has records left. */
  extendTo(topic: string, queueId: number, maxOffset: QueueOffset): void {
    const queue = this.find(topic, queueId) ?? this.#add(topic, queueId);
    queue.extendTo(maxOffset);
    this.#unwritten.add(queue);
  }

  /** Bounds of every queue, for the durable mark. */
  bounds(): QueueBoundsList {
    return [...this.#topics].map(([topic, queues]) => [
      topic,
      [...queues.values()].flatMap(({ queueId, minOffset, maxOffset }) => [queueId, minOffset, maxOffset]),
    ]);
  }

  /** Ends recovery: queues end where the log says, and begin at the log's start. Queues without entries go away. */
  endRecovery(minCommitLogOffset: CommitLogOffset, thorough: boolean): void {
    for (const queue of [...this.all()]) {
      if (queue.endRecovery(thorough)) this.#newNames.add(queue.directory);
      this.#unwritten.delete(queue);
      this.#unsynced.add(queue);
      if (queue.maxOffset === 0) this.#remove(queue);
      else queue.correctMin(minCommitLogOffset);
    }
  }

  deleteTopic(topic: string): void {
    for (const queue of [...(this.#topics.get(topic)?.values() ?? [])]) this.#remove(queue);
    this.#topics.delete(topic);
    // First: an address without its unit harms nobody.
    this.#files.removeDirectory(joinPath(this.#extDirectory, topic));
    const directory = joinPath(this.#directory, topic);
    if (!this.#files.stat(directory)) return;
    this.#files.removeDirectory(directory);
    this.#files.syncDirectory(this.#directory);
  }

  get hasUnwritten(): boolean {
    return this.#unwritten.size > 0;
  }

  get hasUnsynced(): boolean {
    return this.#unsynced.size > 0 || this.#unwritten.size > 0;
  }

  /** Writes what waits in memory; once a second. Throws system errors; what was not written stays. */
  write(): void {
    const written = new Set<ConsumeQueue>();
    for (const queue of this.#unwritten) {
      this.#writeOne(queue, false);
      written.add(queue);
    }
    // Nothing new for a whole period: the buffer goes.
    for (const queue of this.#idle) if (!written.has(queue)) queue.write(true);
    this.#idle = written;
  }

  /** Syncs what is written, one file after the other, leaving the event loop free. */
  async sync(): Promise<void> {
    this.#syncNames();
    for (const queue of this.#takeUnsynced()) for (const file of queue.takeUnsynced()) await file.sync();
  }

  syncNow(): void {
    this.#syncNames();
    for (const queue of this.#takeUnsynced()) for (const file of queue.takeUnsynced()) file.syncNow();
  }

  #takeUnsynced(): ConsumeQueue[] {
    const queues = [...this.#unsynced];
    this.#unsynced.clear();
    return queues;
  }

  #syncNames(): void {
    if (this.#newNames.size === 0) return;
    const directories = new Set<string>();
    for (const directory of this.#newNames) {
      directories.add(directory).add(parentOf(directory));
    }
    directories.add(this.#directory).add(parentOf(this.#directory));
    this.#newNames.clear();
    for (const directory of directories) if (this.#files.stat(directory)) this.#files.syncDirectory(directory);
  }

  #touch(queue: ConsumeQueue, isFull: boolean): void {
    this.#unwritten.add(queue);
    if (!isFull) return;
    try {
      this.#writeOne(queue, false);
    } catch {
      // The entries stay in memory. The next periodic write meets the refusal again and stops further appends.
    }
  }

  #writeOne(queue: ConsumeQueue, release: boolean): void {
    try {
      if (queue.write(release)) this.#newNames.add(queue.directory);
    } catch (error) {
      // A file may have been made before the disk refused: the next write finds it there, and its name is still to be synced.
      this.#newNames.add(queue.directory);
      throw error;
    }
    this.#unwritten.delete(queue);
    this.#unsynced.add(queue);
  }

  #remove(queue: ConsumeQueue): void {
    this.#unwritten.delete(queue);
    this.#unsynced.delete(queue);
    this.#idle.delete(queue);
    this.#newNames.delete(queue.directory);
    queue.removeAll();
    const queues = this.#topics.get(queue.topic);
    queues?.delete(queue.queueId);
    if (queues?.size === 0) this.#topics.delete(queue.topic);
  }

  #add(topic: string, queueId: number, starts: readonly number[] = []): ConsumeQueue {
    assert(topic !== '' && !topic.includes('/') && topic !== '..', 'a topic is a directory name');
    const segments = new SegmentList({
      files: this.#files,
      handles: this.#handles,
      directory: joinPath(this.#directory, topic, String(queueId)),
      segmentBytes: this.#fileBytes,
      starts,
    });
    const ext = new QueueExt({
      files: this.#files,
      handles: this.#handles,
      directory: joinPath(this.#extDirectory, topic, String(queueId)),
    });
    const stored = new StoredEntries({ segments, ext, scratch: this.#scratch });
    const queue = new ConsumeQueue({ topic, queueId, stored });
    let queues = this.#topics.get(topic);
    if (!queues) {
      queues = new Map();
      this.#topics.set(topic, queues);
    }
    queues.set(queueId, queue);
    return queue;
  }
}
