/**
 * Reads the files of the timer offline: slots of the wheel, records of the timer log, the checkpoint. Nothing is locked
 * and nothing is changed. Upstream has no such command.
 */
import type { Files } from '../../base/files.js';
import { diskFiles, joinPath } from '../../base/files.js';
import { FileHandles } from '../log/fileHandles.js';
import { readTimerCheckpoint, type TimerCheckpoint } from '../timer/timerCheckpoint.js';
import { slotTimeOf, TIMER_RECORD_BYTES, type TimerRecord, timerRecordAt } from '../timer/timerRecord.js';
import { type Slot, TimerWheel } from '../timer/timerWheel.js';

/** One thing in the timer log; `slotTime` is the slot that the record belongs to. */
export type DumpedTimerRecord =
  | ({ kind: 'record'; file: string; position: number; slotTime: number } & TimerRecord)
  | { kind: 'blank'; file: string; position: number; sizeBytes: number }
  | { kind: 'invalid'; file: string; position: number; reason: string };

export interface DumpTimerOptions {
  files?: Files;
}

const WINDOW_RECORDS = 1024;
const DEFAULT_PRECISION_MILLIS = 1000;

/** Every record of the timer log, file by file. Of each file reading stops at its end, or at bytes that are no record. */
export function* dumpTimerLog(directory: string, options: DumpTimerOptions = {}): Generator<DumpedTimerRecord> {
  const files = options.files ?? diskFiles;
  const root = joinPath(directory, 'timerlog');
  for (const file of files.list(root).filter((name) => /^\d+$/.test(name))) {
    const handles = new FileHandles(files, 1, 'r');
    const path = joinPath(root, file);
    const sizeBytes = files.stat(path)?.sizeBytes ?? 0;
    const window = Buffer.alloc(WINDOW_RECORDS * TIMER_RECORD_BYTES);
    try {
      for (let start = 0, isOver = false; start < sizeBytes && !isOver; start += window.length) {
        const count = handles.use(path).read(window, 0, Math.min(window.length, sizeBytes - start), start);
        for (let at = 0; at < count && !isOver; at += TIMER_RECORD_BYTES) {
          const position = Number(file) + start + at;
          const shape = timerRecordAt(window, at, count - at, sizeBytes - start - at);
          isOver = shape.kind !== 'record';
          if (shape.kind === 'zero') break;
          if (shape.kind === 'record') {
            yield { kind: 'record', file, position, slotTime: slotTimeOf(shape.record), ...shape.record };
          } else yield { file, position, ...shape };
        }
      }
    } finally {
      handles.closeAll();
    }
  }
}

/** Every slot of the wheel that was ever used, those that were read long ago included. */
export function* dumpTimerWheel(directory: string, options: DumpTimerOptions = {}): Generator<Slot> {
  const files = options.files ?? diskFiles;
  const handles = new FileHandles(files, 1, 'r');
  const precisionMillis = dumpTimerCheckpoint(directory, options)?.precisionMillis ?? DEFAULT_PRECISION_MILLIS;
  try {
    yield* new TimerWheel({ files, handles, path: joinPath(directory, 'timerwheel'), precisionMillis }).stored();
  } finally {
    handles.closeAll();
  }
}

/** Undefined when there is none. */
export function dumpTimerCheckpoint(directory: string, options: DumpTimerOptions = {}): TimerCheckpoint | undefined {
  return readTimerCheckpoint(options.files ?? diskFiles, joinPath(directory, 'config', 'timercheck'));
}
