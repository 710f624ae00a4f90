/**
 * The store's small files that RocketMQ shares: `checkpoint`, `abort` and their bytes (upstream: `StoreCheckpoint`,
 * `DefaultMessageStore#createTempFile`).
 *
 *     checkpoint, 4096 bytes of which 48 are used
 *     physicMsgTimestamp    8   store time of the newest synced record
 *     logicsMsgTimestamp    8   store time of the newest record whose queue entry is synced
 *     indexMsgTimestamp     8   end time of the newest index file that became full
 *     masterFlushedOffset   8   replication's
 *     confirmPhyOffset      8   replication's; recovery leaves the start of the last good record here
 *     logicsPhysicalOffset  8   start of the newest record whose queue entry is synced
 *
 * A broker that opens the directory after a crash dispatches again from logicsPhysicalOffset on (when it is 0: from the
 * file that begins no later than logicsMsgTimestamp on), and builds index files anew that end after indexMsgTimestamp: so
 * both are written only after what lies below them is synced.
 */
import { readInt64, writeInt64 } from '../../base/bytes.js';
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';

export const CHECKPOINT_BYTES = 4096;
const USED_BYTES = 48;

export interface Checkpoint {
  physicMsgTimestamp: TimestampMillis;
  logicsMsgTimestamp: TimestampMillis;
  indexMsgTimestamp: TimestampMillis;
  masterFlushedOffset: CommitLogOffset;
  confirmPhyOffset: CommitLogOffset;
  logicsPhysicalOffset: CommitLogOffset;
}

/** Of the header of an index file: what the records in it span. */
interface IndexSpan {
  beginTimestamp: TimestampMillis;
  endTimestamp: TimestampMillis;
  beginPhyOffset: CommitLogOffset;
}

const FIELDS = [
  'physicMsgTimestamp',
  'logicsMsgTimestamp',
  'indexMsgTimestamp',
  'masterFlushedOffset',
  'confirmPhyOffset',
  'logicsPhysicalOffset',
] as const satisfies readonly (keyof Checkpoint)[];

export function emptyCheckpoint(): Checkpoint {
  return {
    physicMsgTimestamp: 0,
    logicsMsgTimestamp: 0,
    indexMsgTimestamp: 0,
    masterFlushedOffset: 0,
    confirmPhyOffset: 0,
    logicsPhysicalOffset: 0,
  };
}

/** A missing, short or empty file reads as all zero: after a clean stop a checkpoint is not needed. */
export function readCheckpoint(files: Files, directory: string): Checkpoint {
  const path = joinPath(directory, 'checkpoint');
  const checkpoint = emptyCheckpoint();
  if (!files.stat(path)) return checkpoint;
  const bytes = files.readFile(path);
  if (bytes.length < USED_BYTES) return checkpoint;
  FIELDS.forEach((field, index) => {
    checkpoint[field] = readInt64(bytes, index * 8);
  });
  return checkpoint;
}

/** Written in place, as upstream's mapped file is: 48 bytes lie in one sector. */
export class CheckpointFile {
  readonly #files: Files;
  readonly #directory: string;
  readonly #path: string;
  readonly values: Checkpoint;

  constructor(files: Files, directory: string) {
    this.#files = files;
    this.#directory = directory;
    this.#path = joinPath(directory, 'checkpoint');
    this.values = readCheckpoint(files, directory);
  }

  /**
   * After a crash an Apache broker throws away the index files that end after indexMsgTimestamp and indexes only what it
   * dispatches again, from logicsPhysicalOffset on (upstream: `IndexService#load`). While the store runs that lies no later
   * than the first of these files begins, so that it finds older keys too; queue entries that are there it passes over.
   * Returns whether anything changed.
   */
  keepIndexed(indexFiles: readonly { header: IndexSpan }[]): boolean {
    const { values } = this;
    const first = indexFiles.find(({ header }) => header.endTimestamp > values.indexMsgTimestamp)?.header;
    if (!first || first.beginPhyOffset >= values.logicsPhysicalOffset) return false;
    values.logicsPhysicalOffset = first.beginPhyOffset;
    values.logicsMsgTimestamp = first.beginTimestamp;
    return true;
  }

  write(): void {
    const bytes = Buffer.alloc(USED_BYTES);
    FIELDS.forEach((field, index) => void writeInt64(bytes, this.values[field], index * 8));
    const isNew = !this.#files.stat(this.#path);
    const file = this.#files.open(this.#path, 'a+');
    try {
      if (file.size() < CHECKPOINT_BYTES) file.truncate(CHECKPOINT_BYTES);
      file.write(bytes, 0, bytes.length, 0);
      file.syncNow();
    } finally {
      file.close();
    }
    if (isNew) this.#files.syncDirectory(this.#directory);
  }
}

/** `abort` exists while the store runs: found at start, it says that the last run did not end well. */
export function hasAbort(files: Files, directory: string): boolean {
  return files.stat(joinPath(directory, 'abort')) !== undefined;
}

export function readAbort(files: Files, directory: string): string | undefined {
  return hasAbort(files, directory) ? files.readFile(joinPath(directory, 'abort')).toString() : undefined;
}

export function writeAbort(files: Files, directory: string, content: string): void {
  files.writeFile(joinPath(directory, 'abort'), content);
  files.syncDirectory(directory);
}

export function removeAbort(files: Files, directory: string): void {
  files.remove(joinPath(directory, 'abort'));
  files.syncDirectory(directory);
}
