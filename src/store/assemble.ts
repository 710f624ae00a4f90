/**
 * Builds the parts of a store on a locked directory, recovery included, and connects them: each gets what it uses, and
 * news travels upward through the callbacks given here. Called by `messageStore.ts`, which holds the result.
 */
import { joinPath } from '../base/files.js';
import type { CommitLogOffset } from '../base/flavours.js';
import type { CloseStack } from '../base/lifecycle.js';
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
import { Writability } from './log/writability.js';
import type { StoreSettings } from './options.js';
import { BatchQueues } from './queues/batchQueues.js';
import { BatchReader } from './queues/batchReader.js';
import { ConsumeQueues } from './queues/consumeQueues.js';
import { Dispatch } from './queues/dispatch.js';
import { QueueHealing } from './queues/queueHealing.js';
import { QueueOffsets } from './queues/queueOffsets.js';
import { QueuePlaces } from './queues/queuePlaces.js';
import { QueueReader } from './queues/queueReader.js';
import { TopicReader } from './queues/topicReader.js';
import { CheckpointFile, readAbort } from './recovery/checkpoint.js';
import { identityOf } from './recovery/logRecovery.js';
import type { Generations, RecordIdentity } from './recovery/marks.js';
import { Marks } from './recovery/marks.js';
import { recover } from './recovery/recovery.js';
import type { StartKind } from './recovery/recoveryTables.js';
import { Retention } from './retention.js';
import { Upkeep } from './upkeep.js';

/** What the store consists of, while it is open. */
export interface StoreParts {
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
  topicReader: TopicReader;
  keyReader: KeyReader;
  upkeep: Upkeep;
  retention: Retention;
  startKind: StartKind;
  /** Closes files and gives back the lock. */
  closes: CloseStack;
}

/** Builds the parts on a locked directory. Runs recovery. */
export function assemble(settings: StoreSettings, closes: CloseStack): StoreParts {
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
    cacheBytes: settings.indexCacheBytes,
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
    lastRecovered: recovered.last,
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
    topicReader: new TopicReader({
      queues,
      places: new QueuePlaces({ commitLog, healing: queueHealing }),
      commitLog,
      flush,
      generation: generations.current,
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

/** The record that starts at `last`, by what tells it from others. */
export function identifyLast(commitLog: CommitLog, last: CommitLogOffset | undefined): RecordIdentity | undefined {
  const record = last === undefined ? undefined : commitLog.readRecord(last);
  return record && last !== undefined ? identityOf(record, last) : undefined;
}
