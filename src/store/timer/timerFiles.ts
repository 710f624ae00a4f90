/**
 * The files of the timer together: timer log, wheel and checkpoint, and what of them is kept in memory. Changes are
 * synchronous and reach the device by {@link TimerFiles.flush}, in this order: the commit log that records name, the
 * timer log that the wheel points into, the wheel, the checkpoint. So what the checkpoint says never rests on what a
 * crash could take, and a crash repeats what happened since the last flush. Nothing is created before a message waits.
 * Upstream: `TimerMessageStore`, `TimerFlushService`.
 */
import { assert } from '../../base/assert.js';
import type { Clock } from '../../base/clock.js';
import { FoldlogError } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import { FileHandles } from '../log/fileHandles.js';
import { isNoRoom } from '../log/writability.js';
import { DueTimes } from './dueTimes.js';
import { readTimerCheckpoint, type TimerCheckpoint, writeTimerCheckpoint } from './timerCheckpoint.js';
import { TimerLog } from './timerLog.js';
import { NO_POSITION, slotTimeOf, TIMER_MAGIC, TIMER_RECORD_BYTES, type TimerRecord } from './timerRecord.js';
import { recoverTimer, type WaitingMessage } from './timerRecovery.js';
import { type Slot, TimerWheel } from './timerWheel.js';

/** Files of the timer that are open at a time. */
const OPEN_FILES_MAX = 8;
/** Records that {@link TimerFiles.isWaiting} reads, once. */
const COUNTED_MAX = 8_000_000;

export interface TimerFilesParts {
  /** The store's root. */
  directory: string;
  files: Files;
  clock: Clock;
  logger: Logger;
  /** `mappedFileSizeTimerLog` */
  segmentBytes: number;
  /** `timerPrecisionMs` */
  precisionMillis: number;
  /** Slots of the wheel; upstream's number unless a test wants fewer. */
  slotCount?: number;
  /** What the commit log says of a record's message. */
  messageAt: (commitLogOffset: CommitLogOffset) => WaitingMessage | undefined;
}

/** A message on its way into the wheel. */
export interface TimerEntry {
  /** A multiple of the precision. */
  slotTime: TimestampMillis;
  writtenAt: TimestampMillis;
  /** TIMER_MAGIC bits. */
  magic: number;
  commitLogOffset: CommitLogOffset;
  messageBytes: number;
  topicHash: number;
}

export class TimerFiles {
  readonly #parts: TimerFilesParts;
  readonly #handles: FileHandles;
  readonly #log: TimerLog;
  readonly #wheel: TimerWheel;
  readonly #checkpointPath: string;
  readonly #due = new DueTimes();
  #version: TimerCheckpoint['dataVersion'];
  #readTime: TimestampMillis;
  #queueOffset: QueueOffset;
  /** Messages before it that were delivered before {@link readTime} are not put into the wheel again. */
  readonly knownBelow: QueueOffset;
  #isChanged = false;
  #failure: FoldlogError | undefined;
  /** How many records wait per topic hash; undefined until somebody asked. */
  #waiting: Map<number, number> | undefined;

  /** Recovers. Throws CORRUPTION or OPTIONS_INVALID for files that cannot be the timer's, and system errors. */
  constructor(parts: TimerFilesParts) {
    const { directory, files, logger, segmentBytes, precisionMillis, slotCount, messageAt } = parts;
    this.#parts = parts;
    this.#handles = new FileHandles(files, OPEN_FILES_MAX);
    this.#checkpointPath = joinPath(directory, 'config', 'timercheck');
    const checkpoint = readTimerCheckpoint(files, this.#checkpointPath);
    this.#version = checkpoint?.dataVersion ?? { stateVersion: 0, timestamp: 0, counter: 0 };
    const handles = this.#handles;
    this.#log = new TimerLog({ files, handles, directory: joinPath(directory, 'timerlog'), segmentBytes });
    this.#wheel = new TimerWheel({
      files,
      handles,
      path: joinPath(directory, 'timerwheel'),
      precisionMillis,
      slotCount,
    });
    const { log, wheel } = { log: this.#log, wheel: this.#wheel };
    const recovered = recoverTimer({ files, logger, log, wheel, segmentBytes, checkpoint, messageAt });
    this.#readTime = this.floor(recovered.readTime);
    this.#queueOffset = recovered.queueOffset;
    this.knownBelow = recovered.knownBelow;
    this.#due.fill(recovered.due);
  }

  /** First slot that has not been read: all before it are delivered. */
  get readTime(): TimestampMillis {
    return this.#readTime;
  }

  /** Next message of rmq_sys_wheel_timer to be put into the wheel. */
  get queueOffset(): QueueOffset {
    return this.#queueOffset;
  }

  /** Time of the next slot to read; undefined when nothing waits. */
  get next(): TimestampMillis | undefined {
    return this.#due.first;
  }

  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** Do so many changes wait in memory that {@link flush} should come first? */
  get isCrowded(): boolean {
    return this.#wheel.isCrowded;
  }

  /** Why nothing is flushed any more; undefined while all is well. */
  get failure(): FoldlogError | undefined {
    return this.#failure;
  }

  get precisionMillis(): number {
    return this.#wheel.precisionMillis;
  }

  /** Slots of the wheel: a message further ahead would fall into a slot that is in use. */
  get slotCount(): number {
    return this.#wheel.slotCount;
  }

  floor(time: TimestampMillis): TimestampMillis {
    return Math.floor(time / this.precisionMillis) * this.precisionMillis;
  }

  /** Does something wait in the slot of a time? */
  holds(time: TimestampMillis): boolean {
    const slot = this.#wheel.get(time);
    return slot !== undefined && slot.time >= this.#readTime && slot.lastPos >= this.#log.start;
  }

  /** Messages that wait in the slot of a time, less delete markers. */
  countAt(time: TimestampMillis): number {
    return this.#wheel.get(time)?.num ?? 0;
  }

  /**
   * Puts messages into the wheel, in order, and returns how many: fewer when a slot is still taken by another time that
   * has not been read. Throws system errors; nothing has changed then.
   */
  add(entries: readonly TimerEntry[]): number {
    const slots = new Map<TimestampMillis, Slot>();
    const records: TimerRecord[] = [];
    const positions = this.#log.positionsFor(entries.length);
    const numbers = new Map<number, TimestampMillis>();
    const fresh = new Set<TimestampMillis>();
    for (const [index, entry] of entries.entries()) {
      const { slotTime: time } = entry;
      assert(
        time >= this.#readTime && time % this.precisionMillis === 0,
        'a message goes into a slot that is not read yet',
      );
      const slot = slots.get(time) ?? this.#slotFor(time);
      const number = (time / this.precisionMillis) % this.slotCount;
      if (!slot || (numbers.get(number) ?? time) !== time) break;
      numbers.set(number, time);
      if (slot.lastPos === NO_POSITION) fresh.add(time);
      const position = positions[index] ?? 0;
      records.push({
        previous: slot.lastPos,
        magic: entry.magic,
        writtenAt: entry.writtenAt,
        delayMillis: time - entry.writtenAt,
        commitLogOffset: entry.commitLogOffset,
        messageBytes: entry.messageBytes,
        topicHash: entry.topicHash,
      });
      const change = (entry.magic & TIMER_MAGIC.DELETE) === 0 ? 1 : -1;
      slots.set(time, {
        ...slot,
        firstPos: slot.firstPos === NO_POSITION ? position : slot.firstPos,
        lastPos: position,
        num: slot.num + change,
      });
    }
    if (records.length === 0) return 0;
    this.#log.append(records);
    for (const slot of slots.values()) {
      this.#wheel.put(slot);
      if (fresh.has(slot.time)) this.#due.add(slot.time);
    }
    if (this.#waiting) for (const { topicHash } of records) count(this.#waiting, topicHash, 1);
    this.#isChanged = true;
    return records.length;
  }

  /** Messages of rmq_sys_wheel_timer before the offset are in the wheel or were delivered. */
  enqueuedTo(queueOffset: QueueOffset): void {
    if (queueOffset === this.#queueOffset) return;
    this.#queueOffset = queueOffset;
    this.#isChanged = true;
  }

  /** Positions of a slot's records, in the order in which they were put there. Eight bytes of memory each. */
  positionsAt(time: TimestampMillis): number[] {
    const slot = this.#wheel.get(time);
    const positions: number[] = [];
    for (let position = slot?.lastPos ?? NO_POSITION; position >= this.#log.start; ) {
      const record = this.#log.record(position);
      if (!record || slotTimeOf(record) !== time || record.previous >= position) return this.#search(time, position);
      positions.push(position);
      position = record.previous;
    }
    return positions.reverse();
  }

  recordAt(position: number): TimerRecord | undefined {
    return this.#log.record(position);
  }

  /** The earliest slot was read and everything in it delivered. */
  passed(time: TimestampMillis): void {
    assert(this.#due.first === time, 'slots are read in the order of time');
    if (this.#waiting) {
      for (const position of this.positionsAt(time)) {
        const record = this.#log.record(position);
        if (record) count(this.#waiting, record.topicHash, -1);
      }
    }
    // Twice when its first chain was taken by retention and a second one begun.
    while (this.#due.first === time) this.#due.shift();
    this.advanceTo(time + this.precisionMillis);
  }

  /** No slot before the time holds anything that waits, nor will. */
  advanceTo(time: TimestampMillis): void {
    const reached = this.floor(time);
    if (reached <= this.#readTime) return;
    assert(this.#due.first === undefined || this.#due.first >= reached, 'nothing that waits is passed over');
    this.#readTime = reached;
    this.#isChanged = true;
  }

  /**
   * The clock went back: slots from the time on are to be read again when their time comes, without what was delivered
   * from them. To be flushed before anything is added, so that a crash knows of it.
   */
  rewindTo(time: TimestampMillis): void {
    const from = this.floor(time);
    const slots = Math.min(this.slotCount, (this.#readTime - from) / this.precisionMillis);
    for (let index = 0; this.#wheel.exists && index < slots; index += 1) {
      const slot = this.#wheel.occupant(from + index * this.precisionMillis);
      if (!slot || slot.time < from || slot.time >= this.#readTime || slot.lastPos === NO_POSITION) continue;
      this.#wheel.put({ ...slot, firstPos: NO_POSITION, lastPos: NO_POSITION, num: 0 });
    }
    this.#readTime = from;
    this.#isChanged = true;
  }

  /** Does a record wait whose topic has this hash? Undefined: too many wait to look at all of them. */
  isWaiting(topicHash: number): boolean | undefined {
    if (this.#due.size === 0) return false;
    this.#waiting ??= this.#countWaiting();
    return this.#waiting && (this.#waiting.get(topicHash) ?? 0) > 0;
  }

  /**
   * Makes everything so far durable, the log first. Throws system errors and what `syncLog` throws. After a sync that
   * failed nothing is flushed any more: what the checkpoint said stays true, and a restart goes on from there.
   */
  async flush(syncLog: () => Promise<void>): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (!this.#isChanged) return;
    this.#isChanged = false;
    const checkpoint: TimerCheckpoint = {
      lastReadTimeMs: this.#readTime,
      lastTimerLogFlushPos: this.#log.end,
      lastTimerQueueOffset: this.#queueOffset,
      masterTimerQueueOffset: this.#queueOffset,
      dataVersion: { ...this.#version, timestamp: this.#parts.clock.now(), counter: this.#version.counter + 1 },
      precisionMillis: this.precisionMillis,
    };
    const pages = this.#wheel.takeDirty();
    try {
      await syncLog();
    } catch (error) {
      this.#wheel.giveBack(pages);
      this.#isChanged = true;
      throw error;
    }
    try {
      await this.#log.sync();
    } catch (cause) {
      this.#wheel.giveBack(pages);
      throw this.#fail('syncing the timer log', cause);
    }
    try {
      this.#wheel.write(pages);
    } catch (error) {
      this.#wheel.giveBack(pages);
      this.#isChanged = true;
      throw isNoRoom(error) ? error : this.#fail('writing the timer wheel', error);
    }
    try {
      await this.#wheel.sync();
      await writeTimerCheckpoint(this.#parts.files, this.#checkpointPath, checkpoint);
    } catch (cause) {
      throw this.#fail('syncing the timer wheel and timercheck', cause);
    }
    this.#version = checkpoint.dataVersion;
  }

  /** Removes timer log files whose messages retention has taken. */
  removeBelow(minCommitLogOffset: CommitLogOffset): string[] {
    return this.#log.removeLeading((last) => last.commitLogOffset < minCommitLogOffset);
  }

  /** Closes the files; the caller has flushed. */
  close(): void {
    this.#handles.closeAll();
  }

  /** The slot of a time as it is, or a fresh one; undefined when another time that was not read yet has it. */
  #slotFor(time: TimestampMillis): Slot | undefined {
    const occupant = this.#wheel.occupant(time);
    // A chain whose messages retention has taken does not wait any more.
    if (occupant && this.holds(occupant.time)) return occupant.time === time ? occupant : undefined;
    return { time, firstPos: NO_POSITION, lastPos: NO_POSITION, num: 0, magic: 0 };
  }

  /** A chain that is broken at a position is found again by reading the timer log from its start. */
  #search(time: TimestampMillis, brokenAt: number): number[] {
    this.#parts.logger.error(
      { time, position: brokenAt },
      'chain of a timer slot is broken: the whole timer log is read',
    );
    const positions: number[] = [];
    for (const { position, record } of this.#log.records(this.#log.start)) {
      if (slotTimeOf(record) === time) positions.push(position);
    }
    return positions;
  }

  #countWaiting(): Map<number, number> | undefined {
    const { start, end } = this.#log;
    if (end - start > COUNTED_MAX * TIMER_RECORD_BYTES) return undefined;
    const waiting = new Map<number, number>();
    for (const { record } of this.#log.records(start)) {
      if (slotTimeOf(record) >= this.#readTime) count(waiting, record.topicHash, 1);
    }
    return waiting;
  }

  #fail(action: string, cause: unknown): FoldlogError {
    this.#failure ??= new FoldlogError(
      'STORE_FAILED',
      `${action} failed: delivered timer messages come again after a restart`,
      {
        cause,
      },
    );
    return this.#failure;
  }
}

function count(table: Map<number, number>, key: number, change: number): void {
  const next = (table.get(key) ?? 0) + change;
  if (next <= 0) table.delete(key);
  else table.set(key, next);
}
