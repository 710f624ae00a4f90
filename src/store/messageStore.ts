/**
 * The message store's face: one log, everything else derived from it (upstream: `DefaultMessageStore`). It opens and
 * closes the parts and hands calls to them; the parts know each other by what they use, never this file.
 *
 * Everything that changes state is synchronous. Answers wait for the promises of their turn (`log/turn.ts`).
 */
import { LifecycleError } from '../base/errors.js';
import { joinPath, parentOf } from '../base/files.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../base/flavours.js';
import { CloseStack } from '../base/lifecycle.js';
import { packHost } from '../protocol/messageRecord.js';
import { AppendCondition } from './append/appendCondition.js';
import { Appending } from './append/appending.js';
import { GuardedAppending } from './append/guardedAppend.js';
import { DiskUsage } from './diskUsage.js';
import { IndexHash } from './keys/indexHash.js';
import { IndexHealing } from './keys/indexHealing.js';
import { KeyHistory } from './keys/keyHistory.js';
import { KeyIndex } from './keys/keyIndex.js';
import { KeyReader } from './keys/keyReader.js';
import { StreamIndex } from './keys/streamIndex.js';
import { CommitLog } from './log/commitLog.js';
import { FileHandles } from './log/fileHandles.js';
import { Flush } from './log/flush.js';
import { LogWalk } from './log/logWalk.js';
import { listSegments, SegmentList } from './log/segmentList.js';
import { TailCache } from './log/tailCache.js';
import { isNoRoom, Writability } from './log/writability.js';
import { checkedOptions, type StoreSettings } from './options.js';
import { BatchQueues } from './queues/batchQueues.js';
import { BatchReader } from './queues/batchReader.js';
import { ConsumeQueues } from './queues/consumeQueues.js';
import { Dispatch } from './queues/dispatch.js';
import { QueueHealing } from './queues/queueHealing.js';
import { QueueOffsets } from './queues/queueOffsets.js';
import { QueueReader } from './queues/queueReader.js';
import { CheckpointFile, readAbort, removeAbort } from './recovery/checkpoint.js';
import { identityOf } from './recovery/logRecovery.js';
import type { EndMark, Generations, RecordIdentity } from './recovery/marks.js';
import { lowestEndSince, Marks } from './recovery/marks.js';
import { recover } from './recovery/recovery.js';
import type { StartKind } from './recovery/recoveryTables.js';
import { Retention } from './retention.js';
import type {
  AppendOutcome,
  Arrival,
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
} from './storeTypes.js';
import { Upkeep } from './upkeep.js';

interface Parts {
  settings: StoreSettings;
  marks: Marks;
  generations: Generations;
  batchQueues: BatchQueues;
  /** Changed by deleteTopic; the parts see it through `isDeleted`. */
  deletedBefore: Map<string, CommitLogOffset>;
  writability: Writability;
  commitLog: CommitLog;
  queueOffsets: QueueOffsets;
  queues: ConsumeQueues;
  keyIndex: KeyIndex;
  streamIndex: StreamIndex;
  flush: Flush;
  dispatch: Dispatch;
  appending: Appending;
  guardedAppending: GuardedAppending;
  queueReader: QueueReader;
  keyReader: KeyReader;
  upkeep: Upkeep;
  retention: Retention;
  startKind: StartKind;
  /** Closes files and gives back the lock. */
  closes: CloseStack;
}

export class MessageStore {
  readonly #parts: Parts;
  #closing: Promise<void> | undefined;

  private constructor(parts: Parts) {
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

  /** Messages of one queue from `offset`, up to the visible end. */
  readQueue(
    topic: string,
    queueId: number,
    offset: QueueOffset,
    maxCount: number,
    maxBytes: number,
    filter?: ReadFilter,
  ): ReadResult {
    this.#assertUsable();
    return this.#parts.queueReader.read(topic, queueId, offset, maxCount, maxBytes, filter);
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

function identifyLast(commitLog: CommitLog, last: CommitLogOffset | undefined): RecordIdentity | undefined {
  const record = last === undefined ? undefined : commitLog.readRecord(last);
  return record && last !== undefined ? identityOf(record, last) : undefined;
}

/** Builds the parts on a locked directory. Runs recovery. */
function assemble(settings: StoreSettings, closes: CloseStack): Parts {
  const { files, clock, logger, directory } = settings;
  const marks = new Marks(files, directory);
  const handles = new FileHandles(files, settings.openFilesMax);
  closes.push(() => handles.closeAll());
  const deletedBefore = new Map(Object.entries(marks.read('deleted') ?? {}));
  const logDirectory = joinPath(directory, 'commitlog');
  const segmentBytes = settings.mappedFileSizeCommitLog;
  const queueBytes = settings.mappedFileSizeConsumeQueue;
  const { maxHashSlotNum, maxIndexNum } = settings;
  const sizes = JSON.stringify({ segmentBytes, queueBytes, maxHashSlotNum, maxIndexNum });
  const before = marks.readRunning();
  const isOurCrash = before !== undefined && before.token === readAbort(files, directory);
  const mayBeShort = isOurCrash && before.sizes === sizes;
  const logSize = { sizeBytes: segmentBytes, key: 'mappedFileSizeCommitLog', mayBeShort };
  const listing = listSegments(files, logDirectory, logSize);
  const segments = new SegmentList({ files, handles, directory: logDirectory, segmentBytes, starts: listing.starts });
  const queues = new ConsumeQueues({
    files,
    handles,
    directory: joinPath(directory, 'consumequeue'),
    fileBytes: queueBytes,
    deletedBefore,
  });
  const queueListing = queues.load(mayBeShort);
  const hash = new IndexHash();
  const logWalk = new LogWalk(segments);
  const keyIndex = new KeyIndex({
    files,
    handles,
    clock,
    logger,
    directory: joinPath(directory, 'index'),
    checksDirectory: marks.path,
    healing: new IndexHealing({ logWalk, hash }),
    sizes: { maxHashSlotNum, maxIndexNum },
  });
  const batchQueues = new BatchQueues({ files, handles, directory: joinPath(directory, 'batchconsumequeue') });
  batchQueues.load();
  const recovered = recover({
    files,
    directory,
    logger,
    segments,
    emptyFiles: [...(listing.emptyLast ? [listing.emptyLast] : []), ...queueListing.empty],
    shortFiles: [
      ...listing.short.map((path) => ({ path, sizeBytes: segmentBytes })),
      ...queueListing.short.map((path) => ({ path, sizeBytes: queueBytes })),
    ],
    queues,
    keyIndex,
    hash,
    marks,
    delayLevels: settings.delayLevels,
    batchQueues,
    running: { token: isOurCrash ? before.token : `${process.pid} ${clock.now()}`, sizes },
  });
  const { generations, syncedMark } = recovered;
  closes.push(() => syncedMark.close());
  // Where a deletion lay beyond the end that was found, records of the topic will lie before it and are not deleted.
  const beyond = [...deletedBefore].filter(([, position]) => position > recovered.logEnd);
  for (const [topic] of beyond) deletedBefore.set(topic, recovered.logEnd);
  if (beyond.length > 0) marks.write('deleted', Object.fromEntries(deletedBefore));

  const writability = new Writability();
  const commitLog = new CommitLog({
    segments,
    tail: new TailCache(settings.tailCacheBytes),
    end: recovered.logEnd,
    last: recovered.last?.commitLogOffset,
  });
  const { delayLevels } = settings;
  const queueHealing = new QueueHealing({ queues, commitLog, logWalk, delayLevels, logger });
  const queueOffsets = new QueueOffsets();
  const takeQueueOffsets = () => {
    queueOffsets.forgetAll();
    for (const { topic, queueId, maxOffset } of queues.all()) queueOffsets.set(topic, queueId, maxOffset);
  };
  takeQueueOffsets();
  const dispatch = new Dispatch({ queues, logger });
  const isDeleted = (topic: string, commitLogOffset: CommitLogOffset) => queues.isDeleted(topic, commitLogOffset);
  const keyHistory = new KeyHistory({ keyIndex, commitLog, hash, isDeleted });
  const streamIndex = new StreamIndex({ keyIndex, keyHistory, commitLog });
  let lastSyncedTime = recovered.last?.storeTimestamp ?? 0;
  const flush = new Flush({
    commitLog,
    writability,
    clock,
    flushDiskType: settings.flushDiskType,
    syncFlushTimeoutMillis: settings.syncFlushTimeoutMillis,
    flushIntervalMillis: settings.flushIntervalCommitLogMillis,
    atEndOfTurn: settings.atEndOfTurn,
    onSynced(end, last) {
      const identity = identifyLast(commitLog, last);
      syncedMark.write(end, identity);
      lastSyncedTime = identity?.storeTimestamp ?? lastSyncedTime;
    },
    onVisible: (turn) => dispatch.arrive(turn.entries),
    onAbandoned(end, kept) {
      takeQueueOffsets();
      for (const turn of kept) {
        for (const { topic, queueId, queueOffset, commitLogOffset } of turn.entries) {
          if (!isDeleted(topic, commitLogOffset)) queueOffsets.set(topic, queueId, queueOffset + 1);
        }
      }
      keyIndex.dropFrom(end);
      streamIndex.forgetAll();
    },
  });
  const appending = new Appending({
    commitLog,
    queueOffsets,
    keyIndex,
    hash,
    flush,
    writability,
    clock,
    storeHost: settings.storeHost ?? packHost({ host: '127.0.0.1', port: 10911 }),
    delayLevels: settings.delayLevels,
    maxMessageSize: settings.maxMessageSize,
    multiDispatch: settings.multiDispatch,
  });
  const { keepsTopic } = settings;
  const condition = new AppendCondition({ commitLog, streamIndex, keyHistory, flush, generations, keepsTopic });
  const guardedAppending = new GuardedAppending({
    condition,
    appending,
    streamIndex,
    generation: generations.current,
  });
  const upkeep = new Upkeep({
    clock,
    flush,
    queues,
    keyIndex,
    dispatch,
    marks,
    syncedMark,
    checkpoint: new CheckpointFile(files, directory),
    writability,
    atEndOfTurn: settings.atEndOfTurn,
    lastSyncedTime: () => lastSyncedTime,
  });
  const retention = new Retention({
    settings: settings.retention,
    files,
    clock,
    logger,
    commitLog,
    queues,
    keyIndex,
    writability,
    diskUsage: new DiskUsage({ files, directory, logger, writability, settings: settings.retention }),
    upkeep,
    keepsTopic,
    atEndOfTurn: settings.atEndOfTurn,
    onLogStart(minCommitLogOffset) {
      // Of topics deleted before, no record is left that the note could hide.
      const past = [...deletedBefore].filter(([, position]) => position <= minCommitLogOffset);
      if (past.length === 0) return;
      for (const [topic] of past) deletedBefore.delete(topic);
      marks.write('deleted', Object.fromEntries(deletedBefore));
    },
  });
  return {
    settings,
    marks,
    generations,
    batchQueues,
    deletedBefore,
    writability,
    commitLog,
    queueOffsets,
    queues,
    keyIndex,
    streamIndex,
    flush,
    dispatch,
    appending,
    guardedAppending,
    queueReader: new QueueReader({
      queues,
      commitLog,
      healing: queueHealing,
      batchQueues,
      batchReader: new BatchReader({ commitLog, logger }),
    }),
    keyReader: new KeyReader({
      keyIndex,
      streamIndex,
      commitLog,
      flush,
      hash,
      generation: generations.current,
      isDeleted,
    }),
    upkeep,
    retention,
    startKind: recovered.start,
    closes,
  };
}
