/**
 * What is done beside appending and reading, on a clock: each second the queue and index entries that wait in memory are
 * written and the synced mark is made durable; every ten seconds, or when the log has grown much, queues and index are
 * synced and the durable mark and the checkpoint advance. One round at a time.
 *
 * The durable mark never passes the synced end of the log, so that after a crash what it names lies below the log's end.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { CommitLogOffset, TimestampMillis } from '../base/flavours.js';
import type { KeyIndex } from './keys/keyIndex.js';
import type { Flush } from './log/flush.js';
import { isNoRoom, type Writability } from './log/writability.js';
import type { ConsumeQueues } from './queues/consumeQueues.js';
import type { Dispatch } from './queues/dispatch.js';
import type { CheckpointFile } from './recovery/checkpoint.js';
import type { Marks, SyncedMarkFile } from './recovery/marks.js';

const ROUND_MILLIS = 1_000;
const DURABLE_MILLIS = 10_000;
const DURABLE_BYTES = 128 * 1024 * 1024;
/** When recovery had to read more than this, the marks advance at once: a store that crashes again soon reads it no more. */
const RECOVERED_BYTES = 8 * 1024 * 1024;

export interface UpkeepParts {
  clock: Clock;
  flush: Flush;
  queues: ConsumeQueues;
  keyIndex: KeyIndex;
  dispatch: Dispatch;
  marks: Marks;
  syncedMark: SyncedMarkFile;
  checkpoint: CheckpointFile;
  writability: Writability;
  atEndOfTurn: (action: () => void) => void;
  /** The last record that the start found, in queues and index too. */
  lastRecovered: { commitLogOffset: CommitLogOffset; storeTimestamp: TimestampMillis } | undefined;
  /** Store time of the last synced record, for the checkpoint. */
  lastSyncedTime: () => TimestampMillis;
}

export class Upkeep {
  readonly #parts: UpkeepParts;
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #durablePosition: CommitLogOffset;
  /** What the durable mark on the device says; -1 when there is none. */
  #markedPosition: CommitLogOffset;
  #durableAt: number;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    this.#markedPosition = Math.min(parts.marks.read('derived')?.queuesPosition ?? -1, parts.flush.visibleEnd);
    // What recovery read this time need not be read again: a store that keeps crashing would read more each time.
    this.#durablePosition = Math.max(0, this.#markedPosition);
    this.#durableAt = parts.clock.monotonic();
  }

  start(): void {
    this.#timer = this.#parts.clock.every(ROUND_MILLIS, () => this.#beginRound());
    if (this.#parts.flush.visibleEnd - this.#durablePosition < RECOVERED_BYTES) return;
    this.#durableAt = Number.NEGATIVE_INFINITY;
    this.#beginRound();
  }

  #beginRound(): void {
    this.#round ??= this.#guarded(() => this.#runRound()).finally(() => {
      this.#round = undefined;
    });
  }

  /**
   * Makes everything visible durable, in log, queues and index. Returns the position below which no start will look for
   * anything again, as the marks on the device stand: on a full disk that is where they stood before.
   */
  async makeDurable(): Promise<CommitLogOffset> {
    const { syncedMark } = this.#parts;
    await this.exclusively(async () => {
      await this.#advance();
      await syncedMark.sync();
    });
    return Math.min(this.#markedPosition, syncedMark.durableLast);
  }

  /** Runs work that no round may overlap. Not begun when the store is finished; what it throws is judged as a round's. */
  async exclusively(action: () => Promise<void>): Promise<void> {
    while (this.#round) await this.#round;
    this.#round = this.#guarded(action).finally(() => {
      this.#round = undefined;
    });
    await this.#round;
  }

  /** Ends the rounds; one that is under way runs to its end. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#round;
  }

  /** The last round, when nothing is appended any more: everything to disk. Throws system errors. */
  finish(): void {
    const { queues, keyIndex, syncedMark } = this.#parts;
    queues.write();
    queues.syncNow();
    keyIndex.closeNow();
    const end = this.#parts.flush.syncedEnd;
    const index = keyIndex.mark(end);
    this.#parts.marks.write('derived', { queuesPosition: end, queues: queues.bounds(), index });
    this.#writeCheckpoint(this.#lastDispatched() ?? this.#parts.lastRecovered);
    syncedMark.syncNow();
  }

  async #runRound(): Promise<void> {
    const { writability, queues, keyIndex, syncedMark } = this.#parts;
    queues.write();
    keyIndex.write();
    if (syncedMark.isDirty) await syncedMark.sync();
    while (keyIndex.hasFinishing && !writability.failure) {
      await keyIndex.finishSlice();
      await new Promise<void>((resolve) => this.#parts.atEndOfTurn(resolve));
    }
    if (this.#isDurableDue()) await this.#advance();
  }

  async #guarded(action: () => Promise<void>): Promise<void> {
    const { writability } = this.#parts;
    if (writability.failure) return;
    try {
      await action();
    } catch (error) {
      if (isNoRoom(error)) writability.missRoom('writing queues and index', error);
      else writability.fail('writing queues and index', error);
    }
  }

  #isDurableDue(): boolean {
    const { clock, flush } = this.#parts;
    const grown = flush.visibleEnd - this.#durablePosition;
    return grown > 0 && (grown >= DURABLE_BYTES || clock.monotonic() - this.#durableAt >= DURABLE_MILLIS);
  }

  async #advance(): Promise<void> {
    const { flush, queues, keyIndex, marks, clock } = this.#parts;
    this.#durableAt = clock.monotonic();
    // Taken together, without a pause between them: everything visible is in the queues' memory or files.
    const position = flush.visibleEnd;
    const bounds = queues.bounds();
    await flush.syncAll();
    const dispatched = this.#lastDispatched();
    queues.write();
    await queues.sync();
    const index = await keyIndex.sync(position);
    marks.write('derived', { queuesPosition: position, queues: bounds, index });
    this.#writeCheckpoint(dispatched, true);
    this.#durablePosition = position;
    this.#markedPosition = position;
  }

  #lastDispatched(): { commitLogOffset: CommitLogOffset; storeTimestamp: TimestampMillis } | undefined {
    const { dispatch, flush } = this.#parts;
    const last = dispatch.lastRecord;
    return last && last.commitLogOffset < flush.syncedEnd ? last : undefined;
  }

  #writeCheckpoint(
    dispatched: { commitLogOffset: CommitLogOffset; storeTimestamp: TimestampMillis } | undefined,
    isRunning = false,
  ): void {
    const { checkpoint, keyIndex, lastSyncedTime } = this.#parts;
    checkpoint.values.physicMsgTimestamp = Math.max(checkpoint.values.physicMsgTimestamp, lastSyncedTime());
    if (dispatched) {
      checkpoint.values.logicsMsgTimestamp = dispatched.storeTimestamp;
      checkpoint.values.logicsPhysicalOffset = dispatched.commitLogOffset;
    }
    const indexed = keyIndex.lastFinishedEndTimestamp;
    if (indexed !== undefined) checkpoint.values.indexMsgTimestamp = indexed;
    if (isRunning) checkpoint.keepIndexed(keyIndex.all);
    checkpoint.write();
  }
}
