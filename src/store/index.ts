/** The face of `foldlog/store`: the message store alone, and what reads a store directory offline. */

export type { IndexEntry, IndexHeader } from './keys/indexFormat.js';
export type { LockDirectory, StoreLock } from './lock.js';
export { MessageStore } from './messageStore.js';
export type {
  DumpedBatchEntry,
  DumpedIndexEntry,
  DumpedQueueEntry,
  DumpedRecord,
  DumpIndexOptions,
  DumpOptions,
} from './offline/dump.js';
export {
  dumpBatchConsumeQueue,
  dumpCheckpoint,
  dumpCommitLog,
  dumpConsumeQueue,
  dumpIndexEntries,
  dumpIndexFiles,
  dumpIndexHeader,
  dumpQueues,
} from './offline/dump.js';
export type { VerifiedQueue, VerifyOptions, VerifyProblem, VerifyReport } from './offline/verify.js';
export { verifyStore } from './offline/verify.js';
export type { Checkpoint } from './recovery/checkpoint.js';
export type { RetentionOptions } from './retentionOptions.js';
export type {
  AppendOutcome,
  AppendRefusal,
  Arrival,
  EventToStore,
  ExpectedVersion,
  FlushDiskType,
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
  ReadStatus,
  ReadTopicsRequest,
  ReadTopicsResult,
  StoredEventPlace,
  StoredPlace,
  TopicKey,
  TurnPromises,
  VisibleOutcome,
} from './storeTypes.js';
