/** The values that go into and come out of the message store; `messageStore.ts` is the face that takes them. */
import type { Clock } from '../base/clock.js';
import type { Files } from '../base/files.js';
import type { CommitLogOffset, QueueOffset, StreamVersion, TimestampMillis } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import type { MessageProperties } from '../protocol/messageProperties.js';
import type { LockDirectory } from './lock.js';
import type { RetentionOptions } from './retentionOptions.js';

export type FlushDiskType = 'SYNC_FLUSH' | 'ASYNC_FLUSH';

export interface MessageStoreOptions {
  /** The store's root directory (RocketMQ's storePathRootDir); created when it does not exist. */
  directory: string;
  /** Address that records name as their store host, packed (messageRecord.ts). Default 127.0.0.1:10911. */
  storeHost?: Buffer;
  /** Default ASYNC_FLUSH. */
  flushDiskType?: FlushDiskType;
  /** Size of a commit log segment in bytes. Default 1 GiB (files are sparse). */
  mappedFileSizeCommitLog?: number;
  /** Size of a consume queue file in bytes, a multiple of 20. Default 6,000,000. */
  mappedFileSizeConsumeQueue?: number;
  /** Hash slots per index file. Default 5,000,000. */
  maxHashSlotNum?: number;
  /** Entries per index file, entry 0 unused. Default 20,000,000. */
  maxIndexNum?: number;
  /** Largest message body in bytes. Default 4 MiB. */
  maxMessageSize?: number;
  /** Under SYNC_FLUSH, how long an append waits for its sync before the answer is FLUSH_DISK_TIMEOUT. Default 5,000. */
  syncFlushTimeoutMillis?: number;
  /** How often written bytes are synced under ASYNC_FLUSH. Default 500. */
  flushIntervalCommitLogMillis?: number;
  /** Delay of each level from 1 on, in milliseconds: part of the tagsCode of SCHEDULE_TOPIC_XXXX entries. */
  delayLevels?: readonly number[];
  /** Messages go into the `%LMQ%` queues that they name in INNER_MULTI_DISPATCH. Default false. */
  multiDispatch?: boolean;
  /** Bytes of the log's end that are kept in memory for readers. Default 16 MiB. */
  tailCacheBytes?: number;
  /** Bytes of index files that are kept in memory once they were read: more make look-ups among many keys cheaper. Default 64 MiB. */
  indexCacheBytes?: number;
  /** Files that are open at a time. Default 256. */
  openFilesMax?: number;
  /** When old files are removed, and writes refused, for want of room. */
  retention?: RetentionOptions;
  /** Topics of which no record is ever removed, nor anything behind it in the log. Asked late: at each removal. Default none. */
  keepsTopic?: (topic: string) => boolean;
  /** Runs an action at the end of the turn of the event loop: then what was appended in it is written. Default setImmediate. */
  atEndOfTurn?: (action: () => void) => void;
  /** How the directory is locked. Default store/lock.ts. */
  lockDirectory?: LockDirectory;
  files?: Files;
  clock?: Clock;
  logger?: Logger;
}

/** A message on its way into the log. */
export interface MessageToStore {
  topic: string;
  queueId: number;
  flag: number;
  sysFlag: number;
  bornTimestamp: TimestampMillis;
  /** Packed by messageRecord.ts, packHost. */
  bornHost: Buffer;
  /** Store host if it is not the store's own (internal re-delivery keeps the original one). */
  storeHost?: Buffer;
  reconsumeTimes: number;
  preparedTransactionOffset: CommitLogOffset;
  body: Buffer;
  /** What is stored, in text form. */
  propertiesText: string;
  /** The same, parsed: KEYS, TAGS, UNIQ_KEY and DELAY are read for queue and index. */
  properties: MessageProperties;
}

/** Where a message went. */
export interface StoredPlace {
  commitLogOffset: CommitLogOffset;
  queueId: number;
  queueOffset: QueueOffset;
  sizeBytes: number;
  storeTimestamp: TimestampMillis;
}

/** An appended message becomes readable, or the wait for the sync ran out (it is in the log and will be readable later). */
export type VisibleOutcome = 'VISIBLE' | 'FLUSH_DISK_TIMEOUT';

/**
 * Two promises shared by everything appended in one turn of the event loop. Both reject with FoldlogError
 * (DISK_FULL: nothing of this turn is stored; STORE_FAILED: unknown until the store is opened anew).
 */
export interface TurnPromises {
  /** The bytes were handed to the operating system. */
  written: Promise<void>;
  /** The visible end has passed the bytes: written under ASYNC_FLUSH, synced under SYNC_FLUSH. */
  visible: Promise<VisibleOutcome>;
}

/** Why a message is not taken. Nothing was stored. */
export interface AppendRefusal {
  status: 'MESSAGE_ILLEGAL' | 'PROPERTIES_SIZE_EXCEEDED' | 'SERVICE_NOT_AVAILABLE';
  reason: string;
}

export type AppendOutcome = { status: 'PUT_OK'; places: StoredPlace[]; turn: TurnPromises } | AppendRefusal;

/** An opaque token towards users: a position is comparable only within its generation (docs/decisions). */
export interface LogPosition {
  commitLogOffset: CommitLogOffset;
  generation: number;
}

/** A key as the index knows it: always within a topic. */
export interface TopicKey {
  topic: string;
  key: string;
}

export type ExpectedVersion = StreamVersion | 'NO_STREAM' | 'STREAM_EXISTS' | 'ANY';

/** An event on its way into the log. Its first key is its stream; `propertiesText` lacks what the store adds. */
export interface EventToStore extends Omit<MessageToStore, 'propertiesText'> {
  /** Stream key first, then further keys of its consistency boundaries; none holds a blank. Equal to KEYS. */
  keys: readonly [stream: string, ...more: string[]];
}

/** One atomic, guarded append (docs/decisions: one log, and the index guards it). */
export interface GuardedAppend {
  /** UNIQ_KEY of event i is `<appendId>-<i>`; the id is looked up under the first event's. */
  appendId: string;
  /** The log end that the maker of the id knew: an earlier append cannot carry it. Undefined: look in the whole log. */
  appendIdSince?: LogPosition | undefined;
  /** At least one; records of one append lie next to each other. */
  events: readonly EventToStore[];
  /** A condition per stream. */
  expectedVersions: readonly { topic: string; stream: string; expected: ExpectedVersion }[];
  /** Nothing may be stored under any of the keys, in any place of a record's KEYS, at or after `end`. */
  condition?: { keys: readonly TopicKey[]; end: LogPosition } | undefined;
}

export interface StoredEventPlace extends StoredPlace {
  version: StreamVersion;
}

/** Every outcome rests on records, so its answer leaves after `turn.visible`. */
export type GuardedOutcome =
  | { status: 'APPENDED' | 'ALREADY_APPENDED'; places: StoredEventPlace[]; generation: number; turn: TurnPromises }
  | {
      status: 'VERSION_CONFLICT';
      topic: string;
      stream: string;
      expected: ExpectedVersion;
      actual: StreamVersion;
      turn: TurnPromises;
    }
  | { status: 'CONDITION_CONFLICT'; topic: string; key: string; turn: TurnPromises }
  | AppendRefusal;

/** What a read asks of each entry before the record is loaded, and of each record after. Both optional. */
export interface ReadFilter {
  matchesTagsCode?(tagsCode: number): boolean;
  matchesProperties?(properties: MessageProperties): boolean;
}

/** Lower limits of a read for the records that lie before a place in the log. */
export interface ColdLimits {
  before: CommitLogOffset;
  maxCount: number;
  maxBytes: number;
}

export type ReadStatus =
  | 'FOUND'
  | 'NO_MESSAGE_IN_QUEUE'
  | 'OFFSET_TOO_SMALL'
  | 'OFFSET_OVERFLOW_ONE'
  | 'OFFSET_OVERFLOW_BADLY'
  | 'OFFSET_FOUND_NULL'
  | 'NO_MATCHED_MESSAGE'
  | 'MESSAGE_WAS_REMOVING';

export interface ReadResult {
  status: ReadStatus;
  nextBeginOffset: QueueOffset;
  minOffset: QueueOffset;
  maxOffset: QueueOffset;
  /** Whole records, in order; empty unless FOUND. */
  records: Buffer[];
  sizeBytes: number;
}

export interface ReadByKeysRequest {
  keys: readonly TopicKey[];
  /** Also records whose UNIQ_KEY is one of the keys. Default false: only KEYS count. */
  uniqKeysToo?: boolean;
  /** Only records at or after this position. Default the log's start. */
  from?: CommitLogOffset;
  /** Only records before this position. Default the visible end, which the answer names. */
  until?: CommitLogOffset;
  direction: 'forwards' | 'backwards';
  /** At least one record is returned whatever its size. */
  maxCount: number;
  maxBytes: number;
}

export interface ReadByKeysResult {
  records: Buffer[];
  /** The end up to which all keys were read; the token of a later condition. */
  end: LogPosition;
  /** Where the next page goes on (`from` forwards, `until` backwards); undefined when there is no more. */
  next: CommitLogOffset | undefined;
}

export interface ReadTopicsRequest {
  topics: readonly string[];
  /** Only records at or after this position. Default the log's start. */
  from?: CommitLogOffset;
  /** Only records before this position. Default the visible end, which the answer names. */
  until?: CommitLogOffset;
  /** Only from the first record stored at or after this time on, as halving finds it. */
  fromTime?: TimestampMillis;
  /** Only up to the last record stored at or before this time, as halving finds it. */
  untilTime?: TimestampMillis;
  direction: 'forwards' | 'backwards';
  /** At least one record is returned whatever its size. */
  maxCount: number;
  maxBytes: number;
}

export interface ReadTopicsResult {
  /** Whole records; what lies next to each other in the log may come in one piece. */
  records: Buffer[];
  count: number;
  /** The upper bound of the read: the visible end, or the lower one that was asked for. */
  end: LogPosition;
  /** Where the next page goes on (`from` forwards, `until` backwards); undefined when there is no more. */
  next: CommitLogOffset | undefined;
}

/** News of one record that became visible. */
export interface Arrival {
  topic: string;
  queueId: number;
  queueOffset: QueueOffset;
  tagsCode: number;
  commitLogOffset: CommitLogOffset;
  /** Of the whole record. */
  sizeBytes: number;
  storeTimestamp: TimestampMillis;
}

export interface QueueRange {
  minOffset: QueueOffset;
  /** Exclusive: the offset that the next message gets. */
  maxOffset: QueueOffset;
}
