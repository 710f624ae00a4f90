/**
 * `config/timercheck`: up to where timer messages are put into the wheel and taken out of it (upstream:
 * `TimerCheckpoint`). Written in place, last of all: what it says is on the device by then.
 *
 *     timercheck, 4096 bytes of which upstream uses 56
 *     lastReadTimeMs          8   first slot that has not been read: all before it are delivered
 *     lastTimerLogFlushPos    8   end of the timer log that is synced
 *     lastTimerQueueOffset    8   next message of rmq_sys_wheel_timer to be put into the wheel
 *     masterTimerQueueOffset  8   the master's; the same here
 *     stateVersion            8   data version
 *     timestamp               8
 *     counter                 8
 *
 * Behind them, where upstream leaves zeros and writes nothing, stand foldlog's mark, the precision of the wheel, and the
 * CRC-32 of everything before it: with them it is known whether foldlog wrote last, and a torn write is noticed.
 *
 *     mark                    8   "foldlog1"
 *     precisionMillis         4
 *     crc                     4
 */
import { crc32 } from 'node:zlib';
import { readInt64Loose, writeInt64 } from '../../base/bytes.js';
import type { Files } from '../../base/files.js';
import { parentOf } from '../../base/files.js';
import type { QueueOffset, TimestampMillis } from '../../base/flavours.js';
import type { DataVersion } from '../../protocol/bodies.js';

const TIMER_CHECKPOINT_BYTES = 4096;
const USED_BYTES = 56;
/** Bytes of a checkpoint that upstream reads. */
export const TIMER_CHECKPOINT_USED = USED_BYTES;
const MARK = Buffer.from('foldlog1');
const MARK_AT = USED_BYTES;
const PRECISION_AT = MARK_AT + MARK.length;
const CRC_AT = PRECISION_AT + 4;
const OURS_BYTES = CRC_AT + 4;

export interface TimerCheckpoint {
  lastReadTimeMs: TimestampMillis;
  lastTimerLogFlushPos: number;
  lastTimerQueueOffset: QueueOffset;
  masterTimerQueueOffset: QueueOffset;
  dataVersion: DataVersion;
  /** Of the wheel; undefined when another program wrote last, which does not say. */
  precisionMillis: number | undefined;
}

/** Undefined when there is none, or none that can be true. */
export function readTimerCheckpoint(files: Files, path: string): TimerCheckpoint | undefined {
  if (!files.stat(path)) return undefined;
  const bytes = files.readFile(path);
  if (bytes.length < USED_BYTES) return undefined;
  const numbers = [0, 1, 2, 3, 4, 5, 6].map((index) => readInt64Loose(bytes, index * 8));
  const [readTime = 0, flushPos = 0, queueOffset = 0, master = 0, stateVersion = 0, timestamp = 0, counter = 0] =
    numbers;
  if (numbers.some((number) => !Number.isSafeInteger(number) || number < 0) || timestamp === 0) return undefined;
  const isMarked = bytes.length >= OURS_BYTES && bytes.subarray(MARK_AT, PRECISION_AT).equals(MARK);
  const isOurs = isMarked && crc32(bytes.subarray(0, CRC_AT)) === bytes.readUInt32BE(CRC_AT);
  return {
    lastReadTimeMs: readTime,
    lastTimerLogFlushPos: flushPos,
    lastTimerQueueOffset: queueOffset,
    masterTimerQueueOffset: master,
    dataVersion: { stateVersion, timestamp, counter },
    precisionMillis: isOurs ? bytes.readInt32BE(PRECISION_AT) : undefined,
  };
}

export function encodeTimerCheckpoint(checkpoint: TimerCheckpoint): Buffer {
  const bytes = Buffer.alloc(OURS_BYTES);
  let next = writeInt64(bytes, checkpoint.lastReadTimeMs, 0);
  next = writeInt64(bytes, checkpoint.lastTimerLogFlushPos, next);
  next = writeInt64(bytes, checkpoint.lastTimerQueueOffset, next);
  next = writeInt64(bytes, checkpoint.masterTimerQueueOffset, next);
  next = writeInt64(bytes, checkpoint.dataVersion.stateVersion, next);
  next = writeInt64(bytes, checkpoint.dataVersion.timestamp, next);
  next = writeInt64(bytes, checkpoint.dataVersion.counter, next);
  if (checkpoint.precisionMillis === undefined) return bytes;
  next += MARK.copy(bytes, next);
  next = bytes.writeInt32BE(checkpoint.precisionMillis, next);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, next)), next);
  return bytes;
}

/** Durable when it resolves. One sector holds all of it. */
export async function writeTimerCheckpoint(files: Files, path: string, checkpoint: TimerCheckpoint): Promise<void> {
  const bytes = encodeTimerCheckpoint(checkpoint);
  const directory = parentOf(path);
  const isNew = !files.stat(path);
  if (isNew) files.makeDirectory(directory);
  const file = files.open(path, 'a+');
  try {
    if (file.size() < TIMER_CHECKPOINT_BYTES) file.truncate(TIMER_CHECKPOINT_BYTES);
    file.write(bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    file.close();
  }
  if (isNew) {
    files.syncDirectory(directory);
    files.syncDirectory(parentOf(directory));
  }
}
