/**
 * What the timer files say at start, whoever wrote them and however that ended (upstream: `TimerMessageStore#recover`).
 * The timer log is read from the checkpoint on; it ends at the first record that is not whole or does not name a
 * message that waits. The wheel is linked again from there; one that is missing or older (a snapshot) is linked from the
 * timer log alone; a timer log that is missing or of another precision is made anew from the messages. Nothing that
 * waits is lost: a slot that points at what is not there is found again by reading the whole timer log.
 *
 * Differs from RocketMQ, which starts to read a week ago at the earliest: slots carry their full time, so those of a
 * broker that was stopped for longer are found and delivered.
 */
import type { Files } from '../../base/files.js';
import { joinPath, nameOf, parentOf } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import type { TimerCheckpoint } from './timerCheckpoint.js';
import type { TimerLog } from './timerLog.js';
import { NO_POSITION, slotTimeOf, TIMER_MAGIC, TIMER_RECORD_BYTES, type TimerRecord } from './timerRecord.js';
import type { TimerWheel } from './timerWheel.js';

/** What the commit log says of a record's message; EXPIRED: retention took it. Undefined: there is no such message. */
export type WaitingMessage = { sizeBytes: number; queueOffset: QueueOffset } | 'EXPIRED';

export interface TimerRecoveryParts {
  files: Files;
  logger: Logger;
  log: TimerLog;
  wheel: TimerWheel;
  segmentBytes: number;
  checkpoint: TimerCheckpoint | undefined;
  messageAt: (commitLogOffset: CommitLogOffset) => WaitingMessage | undefined;
}

export interface RecoveredTimer {
  readTime: TimestampMillis;
  queueOffset: QueueOffset;
  /**
   * Messages before this offset were in the wheel already, and are put there again because it was lost: of them, those
   * whose time lies before `readTime` are delivered.
   */
  knownBelow: QueueOffset;
  /** Times of slots that have not been read. */
  due: TimestampMillis[];
}

export function recoverTimer(parts: TimerRecoveryParts): RecoveredTimer {
  const { checkpoint, log, wheel } = parts;
  const readTime = checkpoint?.lastReadTimeMs ?? 0;
  const knownBelow = checkpoint?.lastTimerQueueOffset ?? 0;
  if (isOurs(checkpoint) && checkpoint?.precisionMillis !== wheel.precisionMillis) {
    parts.logger.warn({ was: checkpoint?.precisionMillis, is: wheel.precisionMillis }, 'timer precision changed');
    log.endsAt(log.start);
    if (wheel.exists) wheel.create();
    return { readTime, queueOffset: 0, knownBelow, due: [] };
  }
  const scanned = cutLog(parts);
  if (log.end > log.start || wheel.exists) relink(parts, baseWheel(parts, scanned.from));
  const due = pendingTimes(parts, readTime);
  const isWhole = checkpoint !== undefined && scanned.isThere;
  if (isWhole) return { readTime, queueOffset: queueOffsetOf(checkpoint, scanned.last), knownBelow: 0, due };
  return { readTime, queueOffset: scanned.last === undefined ? 0 : scanned.last + 1, knownBelow, due };
}

const isOurs = (checkpoint: TimerCheckpoint | undefined): boolean => checkpoint?.precisionMillis !== undefined;

interface ScannedLog {
  /** Position of the first record that was looked at. */
  from: number;
  /** Does the log reach as far as the checkpoint says? */
  isThere: boolean;
  /** Queue offset of the last record's message, if it is known. */
  last: QueueOffset | undefined;
}

/** Finds the end of the timer log and cuts off what lies behind it. */
function cutLog({ log, logger, checkpoint, segmentBytes, messageAt }: TimerRecoveryParts): ScannedLog {
  const flushed = checkpoint?.lastTimerLogFlushPos ?? 0;
  const isThere = checkpoint !== undefined && flushed >= log.start && flushed <= log.end;
  // What foldlog wrote is whole up to the mark. Upstream's mark may lie before the end of what its wheel points at.
  let from = log.start;
  if (isThere) from = isOurs(checkpoint) ? flushed : log.fileStart(Math.max(log.start, flushed - segmentBytes));
  if (checkpoint && !isThere) logger.warn({ flushed, end: log.end }, 'timer log is shorter than timercheck says');
  let lastRecord: TimerRecord | undefined;
  let position = from;
  for (;;) {
    const shape = log.shapeAt(position);
    if (shape.kind === 'zero') break;
    if (shape.kind === 'blank') {
      position += shape.sizeBytes;
      continue;
    }
    const isChecked = !isThere || position >= flushed;
    const reason =
      shape.kind === 'invalid' ? shape.reason : isChecked ? defectOf(shape.record, position, messageAt) : undefined;
    if (shape.kind === 'invalid' || reason !== undefined) {
      logger.warn({ position, reason }, 'timer log ends at a record that is not whole: the rest is made anew');
      break;
    }
    lastRecord = shape.record;
    position += TIMER_RECORD_BYTES;
  }
  log.endsAt(Math.max(position, log.start));
  const message = lastRecord && messageAt(lastRecord.commitLogOffset);
  return { from, isThere, last: message && message !== 'EXPIRED' ? message.queueOffset : undefined };
}

/** Why a record behind the synced end is not one. */
function defectOf(
  record: TimerRecord,
  position: number,
  messageAt: TimerRecoveryParts['messageAt'],
): string | undefined {
  if (record.previous >= position) return 'it points ahead';
  const message = messageAt(record.commitLogOffset);
  if (message === undefined) return 'its message is not there';
  if (message !== 'EXPIRED' && message.sizeBytes !== record.messageBytes) return 'its message has another size';
  return undefined;
}

/** Makes a wheel to link into; returns the position from which on records are to be linked. */
function baseWheel({ files, log, wheel, checkpoint, logger }: TimerRecoveryParts, from: number): number {
  const snapshot = isOurs(checkpoint) ? undefined : newestSnapshot(files, wheel, log);
  if (snapshot) {
    logger.info({ file: snapshot.path }, 'timer wheel is read from its snapshot');
    wheel.copyFrom(snapshot.path);
    return snapshot.position;
  }
  if (wheel.exists) return from;
  logger.warn({ file: wheel.path }, 'timer wheel is missing: it is made from the timer log');
  wheel.create();
  return log.start;
}

/** `timerwheel.<end of the timer log>`, written by a broker with timerWheelSnapshotFlush. */
function newestSnapshot(
  files: Files,
  wheel: TimerWheel,
  log: TimerLog,
): { path: string; position: number } | undefined {
  const directory = parentOf(wheel.path);
  const prefix = `${nameOf(wheel.path)}.`;
  let newest: { path: string; position: number } | undefined;
  for (const name of files.list(directory)) {
    const digits = name.startsWith(prefix) ? name.slice(prefix.length) : '';
    const position = /^\d{1,15}$/.test(digits) ? Number(digits) : -1;
    const path = joinPath(directory, name);
    if (position < log.start || position > log.end || files.stat(path)?.sizeBytes !== wheel.sizeBytes) continue;
    if (!newest || position > newest.position) newest = { path, position };
  }
  return newest;
}

/** Links the records from a position on; those that are linked already stay so. */
function relink({ log, wheel }: TimerRecoveryParts, from: number): void {
  for (const { position, record } of log.records(from)) {
    const time = slotTimeOf(record);
    const change = (record.magic & TIMER_MAGIC.DELETE) === 0 ? 1 : -1;
    const occupant = wheel.occupant(time);
    if (occupant?.time === time && occupant.lastPos < log.end) {
      if (occupant.lastPos < position) wheel.put({ ...occupant, lastPos: position, num: occupant.num + change });
    } else if (!occupant || occupant.time <= time) {
      wheel.put({ time, firstPos: position, lastPos: position, num: change, magic: 0 });
    }
    writeWhen(wheel, wheel.isCrowded);
  }
  writeWhen(wheel, true);
}

/** The timer log is on the device by now, so the wheel may be written at any time. */
function writeWhen(wheel: TimerWheel, isDue: boolean): void {
  if (isDue) wheel.write(wheel.takeDirty());
}

function pendingTimes({ log, wheel, logger }: TimerRecoveryParts, readTime: TimestampMillis): TimestampMillis[] {
  const due: TimestampMillis[] = [];
  const broken = new Set<TimestampMillis>();
  for (const slot of wheel.stored()) {
    if (slot.time < readTime || slot.lastPos < log.start) continue;
    if (slot.lastPos < log.end) due.push(slot.time);
    else broken.add(slot.time);
  }
  if (broken.size === 0) return due;
  logger.warn({ slots: broken.size }, 'timer wheel points behind the end of the timer log: the whole log is read');
  for (const time of broken) wheel.put({ time, firstPos: NO_POSITION, lastPos: NO_POSITION, num: 0, magic: 0 });
  for (const { position, record } of log.records(log.start)) {
    const time = slotTimeOf(record);
    const slot = broken.has(time) ? wheel.get(time) : undefined;
    if (!slot) continue;
    const isFirst = slot.lastPos === NO_POSITION;
    if (isFirst) due.push(time);
    const num = slot.num + ((record.magic & TIMER_MAGIC.DELETE) === 0 ? 1 : -1);
    wheel.put({ ...slot, firstPos: isFirst ? position : slot.firstPos, lastPos: position, num });
    writeWhen(wheel, wheel.isCrowded);
  }
  writeWhen(wheel, true);
  return due;
}

/** Where putting into the wheel goes on. Upstream's offset may be ahead of what its timer log kept. */
function queueOffsetOf(checkpoint: TimerCheckpoint, last: QueueOffset | undefined): QueueOffset {
  const { lastTimerQueueOffset, masterTimerQueueOffset } = checkpoint;
  if (isOurs(checkpoint)) return Math.max(lastTimerQueueOffset, (last ?? -1) + 1);
  return Math.min(last === undefined ? lastTimerQueueOffset : last + 1, masterTimerQueueOffset);
}
