/**
 * The message store's face: one log, everything else derived from it.
 */
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../base/flavours.js';
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

const seam = (): never => {
  throw new Error('seam');
};

export class MessageStore {
  /** Locks the directory, recovers, and returns a store that serves. Throws STORE_LOCKED, CORRUPTION or a system error. */
  static async open(_options: MessageStoreOptions): Promise<MessageStore> {
    return seam();
  }

  /** Appends one message, or several as a contiguous batch (same topic and queue). Synchronous: the place is final. */
  append(_messages: readonly MessageToStore[]): AppendOutcome {
    return seam();
  }

  /** Look-up of the append id, check, numbering, append and index update in one synchronous section. */
  appendGuarded(_append: GuardedAppend): GuardedOutcome {
    return seam();
  }

  /** Messages of one queue from `offset`, up to the visible end. */
  readQueue(
    _topic: string,
    _queueId: number,
    _offset: QueueOffset,
    _maxCount: number,
    _maxBytes: number,
    _filter?: ReadFilter,
  ): ReadResult {
    return seam();
  }

  /** The whole record at the position, or undefined when none starts there or it is not visible. */
  readRecord(_commitLogOffset: CommitLogOffset): Buffer | undefined {
    return seam();
  }

  readByKeys(_request: ReadByKeysRequest): ReadByKeysResult {
    return seam();
  }

  /** RocketMQ's key query: newest files first, at most 64 records, times in milliseconds; records ascending by position. */
  queryByKey(
    _topic: string,
    _key: string,
    _maxNum: number,
    _beginTimestamp: number,
    _endTimestamp: number,
    _indexType?: string,
  ): Buffer[] {
    return seam();
  }

  /** Bounds of a queue; { 0, 0 } when there is none. */
  queueRange(_topic: string, _queueId: number): QueueRange {
    return seam();
  }

  offsetByTime(
    _topic: string,
    _queueId: number,
    _timestamp: TimestampMillis,
    _boundary: 'LOWER' | 'UPPER',
  ): QueueOffset {
    return seam();
  }

  /** Store time of the message at a queue offset; -1 when there is none. */
  storeTimeAt(_topic: string, _queueId: number, _offset: QueueOffset): TimestampMillis {
    return seam();
  }

  /** The visible end and the generation under way: the token of a read. */
  visibleEnd(): LogPosition {
    return seam();
  }

  minCommitLogOffset(): CommitLogOffset {
    return seam();
  }

  /** First log end of a generation later than `generation`, lowest first: a token beyond it is void. Undefined: none began since. */
  lowestEndSince(_generation: number): CommitLogOffset | undefined {
    return seam();
  }

  /** Called for each record, in order, after it became visible. Returns a way to unsubscribe. */
  onArrival(_listener: (arrival: Arrival) => void): () => void {
    return seam();
  }

  /** Topics that have queues, with their queue ids. */
  queues(): ReadonlyMap<string, readonly number[]> {
    return seam();
  }

  /** Removes the queues of a topic; created again it starts at offset 0. */
  deleteTopic(_topic: string): void {
    return seam();
  }

  /** Can messages be appended now? False after a failed write or sync, or without room on the disk. */
  get isWritable(): boolean {
    return seam();
  }

  /** Resolves when everything appended so far is synced; state files that rest on the log are replaced after it. */
  syncLog(): Promise<void> {
    return seam();
  }

  /** Flushes everything, removes `abort`, unlocks. */
  async close(): Promise<void> {
    return seam();
  }
}
