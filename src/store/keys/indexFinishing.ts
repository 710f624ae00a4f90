/**
 * Full index files on their way to the disk: their slots are written in slices between turns, then they are synced; only
 * then may the durable mark pass them, and their memory goes. Few wait at a time: what is more is written at once.
 */
import { assert } from '../../base/assert.js';
import type { TimestampMillis } from '../../base/flavours.js';
import { isNoRoom } from '../log/writability.js';
import type { IndexFile } from './indexFile.js';

const SLOT_PAGES_PER_SLICE = 64;
/** Full files whose slots are still in memory; beyond this they are written at once. */
const WAITING_MAX = 2;

export class IndexFinishing {
  readonly #waiting: IndexFile[] = [];
  /** Is the file one that is still written to? */
  readonly #isNewest: (file: IndexFile) => boolean;
  #lastEndTimestamp: TimestampMillis | undefined;
  /** What failed while an append was under way, which could not be told of it. */
  #failure: { error: unknown } | undefined;

  constructor(parts: { isNewest: (file: IndexFile) => boolean }) {
    this.#isNewest = parts.isNewest;
  }

  /** The oldest file that is full and not on disk. */
  get first(): IndexFile | undefined {
    return this.#waiting[0];
  }

  /** End time of the newest file that became full and is on disk, for the checkpoint; undefined when none did. */
  get lastEndTimestamp(): TimestampMillis | undefined {
    return this.#lastEndTimestamp;
  }

  includes(file: IndexFile): boolean {
    return this.#waiting.includes(file);
  }

  /** A file is full. When too many wait, the oldest is written now. */
  enter(file: IndexFile): void {
    if (!this.#waiting.includes(file)) this.#waiting.push(file);
    const oldest = this.first;
    if (!oldest || this.#waiting.length <= WAITING_MAX) return;
    try {
      writeWhole(oldest);
      this.#end(oldest);
    } catch (error) {
      // An append is under way. The next slice meets a full disk again and stops further appends; a failed sync it would
      // not: the second one on the same pages succeeds, and they are not on the device.
      if (!isNoRoom(error)) this.#failure ??= { error };
    }
  }

  /** Writes a slice of a full file's slots; after the last one the file is synced and done. Throws system errors. */
  async slice(): Promise<void> {
    this.assertSound();
    const file = this.first;
    if (!file) return;
    file.writeEntries();
    if (!file.writeSlots(SLOT_PAGES_PER_SLICE)) return;
    await file.sync();
    if (this.first === file && file.isFull && !file.hasUnwritten) this.#end(file);
  }

  /** Writes and syncs all that wait. Throws system errors. */
  finishNow(): void {
    this.assertSound();
    for (const file of [...this.#waiting]) {
      writeWhole(file);
      this.#end(file);
    }
  }

  /** The file is not full any more, or gone. */
  forget(file: IndexFile): void {
    const at = this.#waiting.indexOf(file);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  forgetAll(): void {
    this.#waiting.length = 0;
  }

  /** Throws what failed while nobody could be told. */
  assertSound(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #end(file: IndexFile): void {
    this.#waiting.shift();
    this.#lastEndTimestamp = file.header.endTimestamp;
    if (!this.#isNewest(file)) file.release();
  }
}

/** Entries and slots to disk, synced. Throws system errors. */
export function writeWhole(file: IndexFile): void {
  file.writeEntries();
  const isDone = file.writeSlots(Number.POSITIVE_INFINITY);
  assert(isDone, 'all slots are written');
  file.syncNow();
}
