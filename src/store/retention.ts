/**
 * Removal of old commit log files (upstream: `DefaultMessageStore.CleanCommitLogService`, `CleanConsumeQueueService`).
 * Whole files from the front, never the last one, a few per look: those that expired, in the hours of `deleteWhen`, when
 * asked to, or when the disk fills up; others when the disk is nearly full. It stops at the first file that holds a record
 * of a topic that is kept: there is no way round it, because the log has no holes.
 *
 * The order is what makes a crash harmless. First everything is durable in log, queues and index, and the marks on the
 * device name nothing below the new start: a queue whose records all go must still know its next offset. Then file by file
 * leaves the log, each name durably gone before the next one goes. Then the queues follow, which keep their last file,
 * and the index. What a crash leaves undone is done by the first look after the next start.
 *
 * Differs from RocketMQ: files are removed before they expire only as long as the disk asks for it.
 */
import type { Clock, Timer } from '../base/clock.js';
import { delay } from '../base/clock.js';
import { isFoldlogError, messageOf } from '../base/errors.js';
import type { Files } from '../base/files.js';
import type { CommitLogOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import type { DiskUsage } from './diskUsage.js';
import type { KeyIndex } from './keys/keyIndex.js';
import type { CommitLog } from './log/commitLog.js';
import type { Segment } from './log/segment.js';
import type { Writability } from './log/writability.js';
import type { ConsumeQueues } from './queues/consumeQueues.js';
import { deleteHoursOf, type RetentionSettings } from './retentionOptions.js';
import type { Upkeep } from './upkeep.js';

const FIRST_LOOK_MILLIS = 60_000;
const HOUR_MILLIS = 3_600_000;
/** Looks that a request lets remove expired files at any hour (upstream: `manualDeleteFileSeveralTimes`). */
const LOOKS_PER_REQUEST = 20;
const QUEUES_PER_SLICE = 64;

export interface RetentionParts {
  settings: RetentionSettings;
  files: Files;
  clock: Clock;
  logger: Logger;
  commitLog: CommitLog;
  queues: ConsumeQueues;
  keyIndex: KeyIndex;
  writability: Writability;
  diskUsage: DiskUsage;
  upkeep: Upkeep;
  /** Is no record of this topic ever removed? */
  keepsTopic: (topic: string) => boolean;
  atEndOfTurn: (action: () => void) => void;
  /** The log begins at this position, and everything follows it. */
  onLogStart: (minCommitLogOffset: CommitLogOffset) => void;
}

/** The file that goes next, or why none does. */
type Next = { file: Segment; isExpired: boolean; ageHours: number } | { held: string };

export class Retention {
  readonly #parts: RetentionParts;
  readonly #hours: ReadonlySet<number>;
  readonly #stopping = new AbortController();
  #timer: Timer | undefined;
  #run: Promise<number> | undefined;
  #looksAskedFor = 0;
  /** Log start that queues and index have followed since this start. */
  #followedTo: CommitLogOffset;
  /** Why nothing could be removed although the disk asked for it, when it was last said. */
  #heldSaid: string | undefined;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
    this.#hours = deleteHoursOf(parts.settings.deleteWhen);
    this.#followedTo = parts.commitLog.minOffset === 0 ? 0 : -1;
  }

  start(): void {
    const { clock, logger, settings } = this.#parts;
    if (this.#hours.size === 0) {
      logger.info(
        {},
        'deleteWhen names no hour: files are removed when the disk fills up or on request, not by age alone',
      );
    }
    this.#timer = clock.after(FIRST_LOOK_MILLIS, () => {
      this.#timer = clock.every(settings.cleanResourceIntervalMillis, () => this.#look());
      this.#look();
    });
  }

  /** No look begins any more; a removal that is under way is ended between two files. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stopping.abort();
    await this.#run;
  }

  /**
   * Looks now, and lets this look and the next ones remove expired files whatever the hour. Resolves to the number of
   * commit log files that this look removed; never rejects.
   */
  deleteExpired(): Promise<number> {
    this.#looksAskedFor = LOOKS_PER_REQUEST;
    this.#look();
    return this.#run ?? Promise.resolve(0);
  }

  /** Position of the first record of a topic that is kept; undefined when there is none. */
  keptFrom(): CommitLogOffset | undefined {
    const { queues, keepsTopic, commitLog } = this.#parts;
    let keptFrom: CommitLogOffset | undefined;
    for (const [topic, ids] of queues.topics()) {
      if (!keepsTopic(topic)) continue;
      for (const queueId of ids) {
        const queue = queues.find(topic, queueId);
        if (!queue || queue.minOffset === queue.maxOffset) continue;
        // An entry that cannot be read says nothing: then everything is kept.
        const first = queue.entryAt(queue.minOffset)?.commitLogOffset ?? commitLog.minOffset;
        keptFrom = Math.min(keptFrom ?? first, first);
      }
    }
    return keptFrom;
  }

  #look(): void {
    const { clock, commitLog, diskUsage, writability } = this.#parts;
    if (this.#run || this.#stopping.signal.aborted || writability.failure) return;
    const { need, usedPercent } = diskUsage.look();
    const isAskedFor = this.#looksAskedFor > 0;
    if (isAskedFor) this.#looksAskedFor -= 1;
    const isPressed = need === 'EXPIRED_ONES' || need === 'ANY';
    if (!isPressed) this.#heldSaid = undefined;
    const isDue = isPressed || isAskedFor || this.#hours.has(new Date(clock.now()).getHours());
    if (!isDue && this.#followedTo === commitLog.minOffset) return;
    this.#run = this.#clean(isDue, isPressed ? usedPercent : undefined)
      .catch((error: unknown) => {
        writability.fail('removing old files', error);
        return 0;
      })
      .finally(() => {
        this.#run = undefined;
      });
  }

  async #clean(isDue: boolean, usedPercent: number | undefined): Promise<number> {
    const removedCount = isDue ? await this.#removeFiles(usedPercent) : 0;
    if (this.#followedTo !== this.#parts.commitLog.minOffset) await this.#follow();
    return removedCount;
  }

  async #removeFiles(usedPercent: number | undefined): Promise<number> {
    const { clock, settings, upkeep, writability } = this.#parts;
    // Most looks end here, before anything is synced for them.
    let next = this.#next(Number.POSITIVE_INFINITY);
    let removedCount = 0;
    if ('file' in next) {
      const limit = await upkeep.makeDurable();
      while (removedCount < settings.deleteFileBatchMax) {
        const { signal } = this.#stopping;
        if (removedCount > 0) await delay(clock, settings.deleteCommitLogFilesIntervalMillis, signal);
        if (signal.aborted || writability.failure) break;
        next = this.#next(limit);
        if ('held' in next || !this.#remove(next)) break;
        removedCount += 1;
      }
    }
    if (removedCount > 0) this.#heldSaid = undefined;
    else if ('held' in next && usedPercent !== undefined) this.#sayHeld(next.held, usedPercent);
    return removedCount;
  }

  /** Below `limit` nothing is looked for any more, by no start. */
  #next(limit: CommitLogOffset): Next {
    const { commitLog, clock, files, settings, diskUsage } = this.#parts;
    const file = commitLog.oldest;
    if (!file) return { held: 'only the last commit log file is left' };
    if (file.end > limit) return { held: 'the queues and the index of the oldest file are not on the disk yet' };
    const ageMillis = clock.now() - (files.stat(file.path)?.modifiedMillis ?? 0);
    const isExpired = ageMillis >= settings.fileReservedTimeHours * HOUR_MILLIS;
    if (!isExpired && diskUsage.look().need !== 'ANY') return { held: 'the oldest commit log file has not expired' };
    const keptFrom = this.keptFrom();
    if (keptFrom !== undefined && keptFrom < file.end) {
      return { held: 'the oldest commit log file holds events, which are kept' };
    }
    return { file, isExpired, ageHours: Math.floor(ageMillis / HOUR_MILLIS) };
  }

  #remove({ file, isExpired, ageHours }: Extract<Next, { file: Segment }>): boolean {
    const { commitLog, logger, settings } = this.#parts;
    const isRemoved = this.#attempt('removing a commit log file', file.path, () => {
      commitLog.removeOldest();
      const { fileReservedTimeHours: fileReservedTime } = settings;
      const facts = { file: file.path, ageHours, fileReservedTime, minCommitLogOffset: commitLog.minOffset };
      const reason = isExpired ? 'it has expired' : 'the disk is nearly full';
      logger.info(facts, `a commit log file was removed: ${reason}`);
    });
    return isRemoved && this.#attempt('syncing the commit log directory', file.path, () => commitLog.syncRemovals());
  }

  /** Queues and index begin where the log does. Between slices, appends and reads go on. */
  async #follow(): Promise<void> {
    const { commitLog, queues, keyIndex, upkeep, logger, atEndOfTurn, onLogStart } = this.#parts;
    const { minOffset } = commitLog;
    await upkeep.exclusively(async () => {
      let queueFiles = 0;
      let indexFiles = 0;
      let isDone = true;
      for (const [index, queue] of [...queues.all()].entries()) {
        if (index % QUEUES_PER_SLICE === QUEUES_PER_SLICE - 1)
          await new Promise<void>((resolve) => atEndOfTurn(resolve));
        const follow = () => {
          queueFiles += queue.follow(minOffset);
        };
        if (!this.#attempt('removing consume queue files', queue.directory, follow)) isDone = false;
      }
      const followIndex = () => {
        indexFiles += keyIndex.removeBefore(minOffset);
        onLogStart(minOffset);
      };
      if (!this.#attempt('removing index files', 'index', followIndex)) isDone = false;
      if (isDone) this.#followedTo = minOffset;
      if (queueFiles === 0 && indexFiles === 0) return;
      const facts = { minCommitLogOffset: minOffset, queueFiles, indexFiles };
      logger.info(facts, 'queue and index files of removed records were removed');
    });
  }

  /** A file that cannot be removed is left, and tried again by the next look. */
  #attempt(action: string, file: string, remove: () => void): boolean {
    try {
      remove();
      return true;
    } catch (error) {
      if (isFoldlogError(error)) throw error;
      this.#parts.logger.error({ file, reason: messageOf(error) }, `${action} failed, it is tried again`);
      return false;
    }
  }

  #sayHeld(held: string, usedPercent: number): void {
    if (this.#heldSaid === held) return;
    this.#heldSaid = held;
    this.#parts.logger.warn({ usedPercent, reason: held }, 'the disk fills up and no commit log file can be removed');
  }
}
