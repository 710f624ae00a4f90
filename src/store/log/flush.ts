/**
 * Ends turns and moves the visible end: written under ASYNC_FLUSH, synced under SYNC_FLUSH (upstream:
 * `GroupCommitService`, `FlushRealTimeService`). One fdatasync serves every turn that waits when it begins.
 *
 * The order in which a turn's promises are kept: bytes written, (bytes synced, synced mark written,) visible end moved,
 * queues and listeners told, callers answered. A write that meets a full disk fails its turn and leaves the store as
 * it was before; any other failed write, and any failed sync, finishes the store.
 */
import type { Clock, Timer } from '../../base/clock.js';
import type { FoldlogError } from '../../base/errors.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { FlushDiskType, TurnPromises } from '../storeTypes.js';
import type { CommitLog } from './commitLog.js';
import { SyncPace } from './syncPace.js';
import { SETTLED_TURN, Turn } from './turn.js';
import { isNoRoom, type Writability } from './writability.js';

export interface FlushParts {
  commitLog: CommitLog;
  writability: Writability;
  clock: Clock;
  flushDiskType: FlushDiskType;
  syncFlushTimeoutMillis: number;
  flushIntervalMillis: number;
  /** Runs the action at the end of the turn of the event loop. */
  atEndOfTurn: (action: () => void) => void;
  /** Everything below `end` is synced, and `last` is the start of the last record there: write the mark. */
  onSynced: (end: CommitLogOffset, last: CommitLogOffset | undefined) => void;
  onVisible: (turn: Turn) => void;
  /** A turn was abandoned: what memory knows of it must go. `kept` are the turns before it that wait for their sync. */
  onAbandoned: (end: CommitLogOffset, kept: readonly Turn[]) => void;
}

interface SyncWaiter {
  end: CommitLogOffset;
  resolve: () => void;
  reject: (error: FoldlogError) => void;
}

export class Flush {
  readonly #parts: FlushParts;
  #current: Turn | undefined;
  /** Written, waiting for the sync; oldest first. Bounded by what writers await. */
  readonly #waiting: Turn[] = [];
  readonly #syncWaiters: SyncWaiter[] = [];
  readonly #pace = new SyncPace();
  #visibleEnd: CommitLogOffset;
  #syncedEnd: CommitLogOffset;
  #syncing: Promise<void> | undefined;
  #isSyncing = false;
  #interval: Timer | undefined;
  #timeout: Timer | undefined;
  #isClosing = false;

  constructor(parts: FlushParts) {
    this.#parts = parts;
    this.#visibleEnd = parts.commitLog.writtenEnd;
    this.#syncedEnd = parts.commitLog.writtenEnd;
  }

  get visibleEnd(): CommitLogOffset {
    return this.#visibleEnd;
  }

  get syncedEnd(): CommitLogOffset {
    return this.#syncedEnd;
  }

  /** The turn under way; begun, and its end scheduled, when there is none. */
  current(): Turn {
    if (this.#current) return this.#current;
    const turn = new Turn();
    this.#current = turn;
    this.#parts.atEndOfTurn(() => {
      if (this.#current === turn) this.endTurn();
    });
    return turn;
  }

  /** The promises of the turn that holds the record at the position. */
  covering(commitLogOffset: CommitLogOffset): TurnPromises {
    if (commitLogOffset < this.#visibleEnd) return SETTLED_TURN;
    return this.#waiting.find((turn) => turn.end > commitLogOffset) ?? this.#current ?? SETTLED_TURN;
  }

  /** Writes what was appended in this turn. */
  endTurn(): void {
    const turn = this.#current;
    if (!turn) return;
    this.#current = undefined;
    const { commitLog, writability } = this.#parts;
    if (writability.failure) {
      turn.fail(writability.failure);
      return;
    }
    try {
      commitLog.write();
    } catch (error) {
      this.#writeFailed(turn, error);
      return;
    }
    turn.end = commitLog.writtenEnd;
    turn.nowWritten();
    if (this.#parts.flushDiskType === 'ASYNC_FLUSH') {
      this.#show(turn);
      this.#armInterval();
    } else {
      turn.deadline = this.#parts.clock.monotonic() + this.#parts.syncFlushTimeoutMillis;
      this.#waiting.push(turn);
      this.#armTimeout();
      this.#startSync();
    }
  }

  /** Resolves when everything appended so far is synced. */
  syncAll(): Promise<void> {
    this.endTurn();
    const { commitLog, writability } = this.#parts;
    if (writability.failure) return Promise.reject(writability.failure);
    if (this.#syncedEnd >= commitLog.writtenEnd) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#syncWaiters.push({ end: commitLog.writtenEnd, resolve, reject });
      this.#startSync();
    });
  }

  /** Ends the turn and syncs everything; afterwards no timer runs. Throws when that failed. */
  async close(): Promise<void> {
    this.#isClosing = true;
    try {
      await this.syncAll();
      await this.#syncing;
    } finally {
      this.#interval?.cancel();
      this.#timeout?.cancel();
    }
  }

  #show(turn: Turn): void {
    this.#visibleEnd = turn.end;
    try {
      this.#parts.onVisible(turn);
    } catch (error) {
      turn.fail(this.#fail('telling the consume queues', error));
      return;
    }
    turn.nowVisible('VISIBLE');
  }

  #startSync(): void {
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    this.#syncing = this.#syncWhileNeeded();
  }

  async #syncWhileNeeded(): Promise<void> {
    const { commitLog, writability } = this.#parts;
    while (!writability.failure && (this.#waiting.length > 0 || this.#syncWaiters.length > 0)) {
      // Read before the sync begins: what is written while it runs belongs to the next one.
      const end = commitLog.writtenEnd;
      const last = commitLog.lastWritten;
      try {
        await this.#syncLog();
        // What failed meanwhile may have taken pages of this sync along, and only one of two callers is told of that.
        if (writability.failure) break;
        this.#parts.onSynced(end, last);
        this.#synced(end);
      } catch (error) {
        this.#fail('syncing the commit log', error);
      }
      this.#fillAhead();
    }
    if (writability.failure) this.#rejectAll(writability.failure);
    // In the same synchronous step as the last look at what waits: nobody is left behind.
    this.#isSyncing = false;
  }

  async #syncLog(): Promise<void> {
    const { commitLog, clock } = this.#parts;
    const begun = clock.monotonic();
    // What nobody waits for may have gathered for a while.
    if (this.#waiting.length > 0 && this.#pace.isShort) commitLog.syncNow();
    else await commitLog.sync();
    this.#pace.took(clock.monotonic() - begun);
  }

  #synced(end: CommitLogOffset): void {
    this.#syncedEnd = end;
    for (let turn = this.#waiting[0]; turn && turn.end <= end; turn = this.#waiting[0]) {
      this.#waiting.shift();
      this.#show(turn);
    }
    for (let waiter = this.#syncWaiters[0]; waiter && waiter.end <= end; waiter = this.#syncWaiters[0]) {
      this.#syncWaiters.shift();
      waiter.resolve();
    }
  }

  /** Only where appends wait for syncs does it pay to have the blocks allocated before. */
  #fillAhead(): void {
    const { commitLog, writability, flushDiskType } = this.#parts;
    if (flushDiskType !== 'SYNC_FLUSH' || this.#isClosing || !writability.isWritable) return;
    try {
      commitLog.fillAhead();
    } catch (error) {
      if (isNoRoom(error)) writability.missRoom('filling the commit log ahead', error);
      else this.#fail('filling the commit log ahead', error);
    }
  }

  #writeFailed(turn: Turn, error: unknown): void {
    const { commitLog, writability } = this.#parts;
    if (!isNoRoom(error)) {
      turn.fail(this.#fail('writing the commit log', error));
      return;
    }
    const noRoom = writability.missRoom('writing the commit log', error);
    try {
      commitLog.abandonUnwritten();
      this.#parts.onAbandoned(commitLog.writtenEnd, this.#waiting);
    } catch (cause) {
      turn.fail(this.#fail('cutting off what a full disk took', cause));
      return;
    }
    turn.fail(noRoom);
  }

  #fail(action: string, cause: unknown): FoldlogError {
    const failure = this.#parts.writability.fail(action, cause);
    this.#rejectAll(failure);
    return failure;
  }

  /** The store is finished, whoever found out: nobody waits on. */
  #rejectAll(failure: FoldlogError): void {
    for (const turn of this.#waiting.splice(0)) turn.fail(failure);
    for (const waiter of this.#syncWaiters.splice(0)) waiter.reject(failure);
  }

  #armInterval(): void {
    if (this.#interval || this.#isClosing) return;
    this.#interval = this.#parts.clock.after(this.#parts.flushIntervalMillis, () => {
      this.#interval = undefined;
      void this.syncAll().catch(() => {});
    });
  }

  /** One timer, for the oldest turn whose deadline has not passed. */
  #armTimeout(): void {
    const { clock } = this.#parts;
    const now = clock.monotonic();
    const next = this.#waiting.find((turn) => turn.deadline > now);
    if (this.#timeout || !next || this.#isClosing) return;
    this.#timeout = clock.after(next.deadline - now, () => {
      this.#timeout = undefined;
      const reached = clock.monotonic();
      for (const turn of this.#waiting) if (turn.deadline <= reached) turn.nowVisible('FLUSH_DISK_TIMEOUT');
      this.#armTimeout();
    });
  }
}
