/** The face of `foldlog/store`: the message store alone, and what reads a store directory offline. */
export type { Checkpoint } from './checkpoint.js';
export type {
  DumpedBatchEntry,
  DumpedIndexEntry,
  DumpedQueueEntry,
  DumpedRecord,
  DumpIndexOptions,
  DumpOptions,
} from './dump.js';
export {
  dumpBatchConsumeQueue,
  dumpCheckpoint,
  dumpCommitLog,
  dumpConsumeQueue,
  dumpIndexEntries,
  dumpIndexFiles,
  dumpIndexHeader,
  dumpQueues,
} from './dump.js';
export type { IndexEntry, IndexHeader } from './indexFile.js';
export type { LockDirectory, StoreLock } from './lock.js';
export { MessageStore } from './messageStore.js';
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
  StoredEventPlace,
  StoredPlace,
  TopicKey,
  TurnPromises,
  VisibleOutcome,
} from './storeTypes.js';
export type { VerifiedQueue, VerifyOptions, VerifyProblem, VerifyReport } from './verify.js';
export { verifyStore } from './verify.js';
