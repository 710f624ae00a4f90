/**
 * The message store's face: one log, everything else derived from it (upstream: `DefaultMessageStore`). It opens and
 * closes the parts and hands calls to them; the parts know each other by what they use, never this file.
 *
 * Everything that changes state is synchronous. Answers wait for the promises of their turn (`log/turn.ts`).
 */
import { LifecycleError } from '../base/errors.js';
import { parentOf } from '../base/files.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../base/flavours.js';
import { CloseStack } from '../base/lifecycle.js';
import { assemble, identifyLast, type StoreParts } from './assemble.js';
import type { KeyIndex } from './keys/keyIndex.js';
import type { CommitLog } from './log/commitLog.js';
import { isNoRoom } from './log/writability.js';
import { checkedOptions } from './options.js';
import type { BatchQueues } from './queues/batchQueues.js';
import type { ConsumeQueues } from './queues/consumeQueues.js';
import { removeAbort } from './recovery/checkpoint.js';
import type { EndMark } from './recovery/marks.js';
import { lowestEndSince } from './recovery/marks.js';
import type { StartKind } from './recovery/recoveryTables.js';
import type {
  AppendOutcome,
  Arrival,
  ColdLimits,
  GuardedAppend,
  GuardedOutcome,
  LogPosition,
  MessageStoreOptions,
  MessageToStore,
  QueueRange,
  ReadByKeysRequest,
  ReadByKeysResult,
  ReadFilter,
  ReadResult,
  ReadTopicsRequest,
  ReadTopicsResult,
} from './storeTypes.js';

export class MessageStore {
  readonly #parts: StoreParts;
  #closing: Promise<void> | undefined;

  private constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Locks the directory, recovers, and returns a store that serves. Throws STORE_LOCKED, CORRUPTION or a system error. */
  static async open(options: MessageStoreOptions): Promise<MessageStore> {
    const settings = checkedOptions(options);
    const closes = new CloseStack();
    settings.files.makeDirectory(settings.directory);
    // Its own name, too: also when an earlier start was killed after it made the directory.
    settings.files.syncDirectory(parentOf(settings.directory));
    const lock = await settings.lockDirectory(settings.files, settings.directory);
    closes.push(() => lock.release());
    try {
      const parts = assemble(settings, closes);
      parts.upkeep.start();
      parts.retention.start();
      return new MessageStore(parts);
    } catch (error) {
      await closes.closeAll().catch(() => {});
      throw error;
    }
  }

  /** Appends one message, or several as a contiguous batch (same topic and queue). Synchronous: the place is final. */
  append(messages: readonly MessageToStore[]): AppendOutcome {
    this.#assertUsable();
    const { batchQueues, appending } = this.#parts;
    const topic = messages[0]?.topic ?? '';
    if (batchQueues.isBatchTopic(topic)) {
      return {
        status: 'MESSAGE_ILLEGAL',
        reason: `topic ${topic} has queue.type=BatchCQ, which this store reads and does not write`,
      };
    }
    return appending.append(messages);
  }

  /** Look-up of the append id, check, numbering, append and index update in one synchronous section. */
  appendGuarded(append: GuardedAppend): GuardedOutcome {
    this.#assertUsable();
    return this.#parts.guardedAppending.append(append);
  }

  /** Messages of one queue from `offset`, up to the visible end; of those that `cold` is about, no more than it allows. */
  readQueue(
    topic: string,
    queueId: number,
    offset: QueueOffset,
    maxCount: number,
    maxBytes: number,
    filter?: ReadFilter,
    cold?: ColdLimits,
  ): ReadResult {
    this.#assertUsable();
    return this.#parts.queueReader.read(topic, queueId, offset, { maxCount, maxBytes, cold }, filter);
  }

  /** The whole record at the position, or undefined when none starts there or it is not visible. */
  readRecord(commitLogOffset: CommitLogOffset): Buffer | undefined {
    this.#assertUsable();
    const { flush, commitLog } = this.#parts;
    return commitLogOffset < flush.visibleEnd ? commitLog.readRecord(commitLogOffset) : undefined;
  }

  readByKeys(request: ReadByKeysRequest): ReadByKeysResult {
    this.#assertUsable();
    return this.#parts.keyReader.readByKeys(request);
  }

  /** Messages of topics in the order of the log. Undefined while the record of a damaged queue entry is searched: ask again. */
  readTopics(request: ReadTopicsRequest): ReadTopicsResult | undefined {
    this.#assertUsable();
    return this.#parts.topicReader.read(request);
  }

  /** RocketMQ's key query: newest files first, at most 64 records, times in milliseconds; records ascending by position. */
  queryByKey(
    topic: string,
    key: string,
    maxNum: number,
    beginTimestamp: number,
    endTimestamp: number,
    indexType?: string,
  ): Buffer[] {
    this.#assertUsable();
    return this.#parts.keyReader.queryByKey(topic, key, maxNum, beginTimestamp, endTimestamp, indexType);
  }

  /** Bounds of a queue; { 0, 0 } when there is none. */
  queueRange(topic: string, queueId: number): QueueRange {
    return this.#parts.queueReader.range(topic, queueId);
  }

  offsetByTime(topic: string, queueId: number, timestamp: TimestampMillis, boundary: 'LOWER' | 'UPPER'): QueueOffset {
    this.#assertUsable();
    return this.#parts.queueReader.offsetByTime(topic, queueId, timestamp, boundary);
  }

  /** Store time of the message at a queue offset; -1 when there is none. */
  storeTimeAt(topic: string, queueId: number, offset: QueueOffset): TimestampMillis {
    this.#assertUsable();
    return this.#parts.queueReader.storeTimeAt(topic, queueId, offset);
  }

  /** The visible end and the generation under way: the token of a read. */
  visibleEnd(): LogPosition {
    const { flush, generations } = this.#parts;
    return { commitLogOffset: flush.visibleEnd, generation: generations.current };
  }

  minCommitLogOffset(): CommitLogOffset {
    return this.#parts.commitLog.minOffset;
  }

  /** First log end of a generation later than `generation`, lowest first: a token beyond it is void. Undefined: none began since. */
  lowestEndSince(generation: number): CommitLogOffset | undefined {
    return lowestEndSince(this.#parts.generations, generation);
  }

  /** Called for each record, in order, after it became visible. Returns a way to unsubscribe. */
  onArrival(listener: (arrival: Arrival) => void): () => void {
    return this.#parts.dispatch.listen(listener);
  }

  /** Topics that have queues, with their queue ids. */
  queues(): ReadonlyMap<string, readonly number[]> {
    return this.#parts.queues.topics();
  }

  /** Removes the queues of a topic; created again it starts at offset 0. */
  deleteTopic(topic: string): void {
    this.#assertUsable();
    const { commitLog, deletedBefore, flush, marks, queues, queueOffsets, streamIndex, writability } = this.#parts;
    // Records of a turn that is abandoned later must not be counted: the next ones will lie in their places.
    flush.endTurn();
    writability.assertUsable();
    const position = commitLog.writtenEnd;
    try {
      marks.write('deleted', { ...Object.fromEntries(deletedBefore), [topic]: position });
      deletedBefore.set(topic, position);
      queues.deleteTopic(topic);
      this.#parts.batchQueues.deleteTopic(topic);
    } catch (error) {
      // Whether the note is on the disk is unknown: only a start can tell.
      if (deletedBefore.get(topic) === position || !isNoRoom(error)) throw writability.fail('deleting a topic', error);
      throw writability.missRoom('deleting a topic', error);
    }
    queueOffsets.forget(topic);
    streamIndex.forgetAll();
  }

  /**
   * Removes commit log files that have expired, whatever the hour, a few now and more with the next looks. Resolves to
   * how many went now; what cannot be removed is in the log.
   */
  deleteExpiredFiles(): Promise<number> {
    this.#assertUsable();
    return this.#parts.retention.deleteExpired();
  }

  /** Position of the first record that retention keeps for good, and everything behind it; undefined when there is none. */
  keptFrom(): CommitLogOffset | undefined {
    return this.#parts.retention.keptFrom();
  }

  /** How the last run was found to have ended. UNKNOWN: another program may have written here. */
  get startKind(): StartKind {
    return this.#parts.startKind;
  }

  /** Can messages be appended now? False after a failed write or sync, or without room on the disk. */
  get isWritable(): boolean {
    return !this.#closing && this.#parts.writability.isWritable;
  }

  /** Resolves when everything appended so far is synced; state files that rest on the log are replaced after it. */
  syncLog(): Promise<void> {
    return this.#parts.flush.syncAll();
  }

  /** Flushes everything, removes `abort`, unlocks. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { flush, upkeep, retention, writability, closes, settings, marks, queues, keyIndex, commitLog } = this.#parts;
    try {
      await retention.stop();
      if (writability.failure) {
        await upkeep.stop();
        await flush.close().catch(() => {});
        return;
      }
      try {
        await flush.close();
      } finally {
        await upkeep.stop();
      }
      // The last round failed: what it could not sync must not be marked as synced.
      if (writability.failure) throw writability.failure;
      upkeep.finish();
      marks.write('end', endMarkOf(commitLog, queues, this.#parts.batchQueues, keyIndex));
      // Without room the next start looks closely: `abort` stays, as upstream leaves it while a flag blocks writing.
      if (writability.isWritable) removeAbort(settings.files, settings.directory);
    } finally {
      await closes.closeAll();
    }
  }

  #assertUsable(): void {
    if (this.#closing) throw new LifecycleError('the message store is closed');
    this.#parts.writability.assertUsable();
  }
}

function endMarkOf(commitLog: CommitLog, queues: ConsumeQueues, batchQueues: BatchQueues, keyIndex: KeyIndex): EndMark {
  return {
    logStart: commitLog.minOffset,
    logEnd: commitLog.writtenEnd,
    last: identifyLast(commitLog, commitLog.lastWritten),
    queues: [...queues.all()].map(({ topic, queueId, minOffset, maxOffset }) => ({
      topic,
      queueId,
      minOffset,
      maxOffset,
    })),
    batchQueues: batchQueues.counts(),
    index: (keyIndex.isBroken ? [] : keyIndex.all).map(({ name, header }) => ({
      file: name,
      indexCount: header.indexCount,
      endPhyOffset: header.endPhyOffset,
    })),
  };
}
