/**
 * The wheel: a slot per unit of time (1 s at the default precision), each with the ends of a chain of timer log records
 * (upstream: `TimerWheel`). 2 x 7 days of slots, whatever the precision.
 *
 *     slot, 32 bytes, number (time / precision) mod slotCount
 *     time       8   time / precision; a slot is of a time only when this is equal. 0: never used
 *     firstPos   8   position of the first record in the timer log
 *     lastPos    8   position of the last one; from it the records lead back to the first
 *     num        4   messages that wait, less the delete markers
 *     magic      4   0
 *
 * The file is not mapped: pages are read when they are asked for, changed in memory, and handed out by
 * {@link TimerWheel.takeDirty} to be written after the timer log that they point into is synced. Pages that are not
 * changed are dropped beyond a bound; the caller flushes when {@link TimerWheel.isCrowded}.
 */
import { readInt64, readInt64Loose, writeInt64 } from '../../base/bytes.js';
import { CorruptionError } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { parentOf } from '../../base/files.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { FileHandles } from '../log/fileHandles.js';

export const WHEEL_SLOT_BYTES = 32;
/** 7 days of seconds, twice. */
export const WHEEL_SLOTS = 2 * 604_800;
/** Slots that a page of the file holds. */
const PAGE_SLOTS = 128;
const PAGE_BYTES = PAGE_SLOTS * WHEEL_SLOT_BYTES;
/** Pages kept in memory though they could be read again: 2 MiB. */
const CLEAN_PAGES_MAX = 512;
/** Changed pages in memory at which a flush is due at once: 8 MiB. */
const DIRTY_PAGES_MAX = 2048;
const SCAN_BYTES = 256 * PAGE_BYTES;

export interface Slot {
  time: TimestampMillis;
  firstPos: number;
  lastPos: number;
  num: number;
  magic: number;
}

export interface TimerWheelParts {
  files: Files;
  handles: FileHandles;
  /** `<store>/timerwheel` */
  path: string;
  precisionMillis: number;
  /** Default {@link WHEEL_SLOTS}. */
  slotCount?: number | undefined;
}

interface Page {
  bytes: Buffer;
  isDirty: boolean;
  /** Copies that were taken and are not in the file yet. */
  copies: number;
}

/** A changed page as it was when it was taken. */
export interface TakenPage {
  number: number;
  bytes: Buffer;
}

export class TimerWheel {
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly path: string;
  readonly precisionMillis: number;
  readonly slotCount: number;
  /** The least recently used first. */
  readonly #pages = new Map<number, Page>();
  #dirtyCount = 0;
  #exists: boolean;
  #hasNewName = false;

  /** Throws CORRUPTION for a file of another size: {@link exists} is false when there is none. */
  constructor({ files, handles, path, precisionMillis, slotCount = WHEEL_SLOTS }: TimerWheelParts) {
    this.#files = files;
    this.#handles = handles;
    this.path = path;
    this.precisionMillis = precisionMillis;
    this.slotCount = slotCount;
    const sizeBytes = files.stat(path)?.sizeBytes ?? 0;
    // A crash of ours can leave it short; what it points at is found again in the timer log.
    this.#exists = sizeBytes === this.sizeBytes;
    if (sizeBytes > this.sizeBytes) {
      throw new CorruptionError(
        `${path} has ${sizeBytes} bytes instead of ${this.sizeBytes}: move it out of the store`,
        {
          file: path,
          offset: 0,
          expected: this.sizeBytes,
          found: sizeBytes,
        },
      );
    }
  }

  get sizeBytes(): number {
    return this.slotCount * WHEEL_SLOT_BYTES;
  }

  /** Is the file there, whole? */
  get exists(): boolean {
    return this.#exists;
  }

  get pageCount(): number {
    return this.#pages.size;
  }

  /** Are so many pages changed that they should be written before more are? */
  get isCrowded(): boolean {
    return this.#dirtyCount >= DIRTY_PAGES_MAX;
  }

  /** Forgets everything: an empty file of full size. */
  create(): void {
    this.#handles.close(this.path);
    const opened = this.#files.open(this.path, 'a+');
    try {
      opened.truncate(0);
      opened.truncate(this.sizeBytes);
    } finally {
      opened.close();
    }
    this.#pages.clear();
    this.#dirtyCount = 0;
    this.#exists = true;
    this.#hasNewName = true;
  }

  /** Replaces the content by that of another file of the same format, for instance a snapshot. */
  copyFrom(path: string): void {
    this.create();
    const source = this.#files.open(path, 'r');
    try {
      const bytes = Buffer.alloc(Math.min(SCAN_BYTES, this.sizeBytes));
      for (let at = 0; at < this.sizeBytes; at += bytes.length) {
        const length = Math.min(bytes.length, this.sizeBytes - at);
        const count = source.read(bytes, 0, length, at);
        if (count < length) throw new CorruptionError(`${path} is too short`, { file: path, offset: at + count });
        this.#handles.use(this.path).write(bytes, 0, length, at);
      }
    } finally {
      source.close();
    }
  }

  /** What the slot of a time holds when it is of this very time. */
  get(time: TimestampMillis): Slot | undefined {
    const slot = this.occupant(time);
    return slot?.time === this.#floor(time) ? slot : undefined;
  }

  /** What the slot of a time holds, of whatever time it is. */
  occupant(time: TimestampMillis): Slot | undefined {
    if (!this.#exists) return undefined;
    const number = this.#numberOf(time);
    const page = this.#page(Math.floor(number / PAGE_SLOTS));
    return decodeSlot(page.bytes, (number % PAGE_SLOTS) * WHEEL_SLOT_BYTES, this.precisionMillis);
  }

  put(slot: Slot): void {
    if (!this.#exists) this.create();
    const number = this.#numberOf(slot.time);
    const page = this.#page(Math.floor(number / PAGE_SLOTS));
    encodeSlot(page.bytes, (number % PAGE_SLOTS) * WHEEL_SLOT_BYTES, slot, this.precisionMillis);
    if (!page.isDirty) this.#dirtyCount += 1;
    page.isDirty = true;
  }

  /** Every slot that was ever used, in the order of the file. For start-up: what memory holds is not looked at. */
  *stored(): Generator<Slot> {
    if (!this.#exists) return;
    const bytes = Buffer.allocUnsafe(Math.min(SCAN_BYTES, this.sizeBytes));
    for (let start = 0; start < this.sizeBytes; start += bytes.length) {
      const length = Math.min(bytes.length, this.sizeBytes - start);
      const count = this.#handles.use(this.path).read(bytes, 0, length, start);
      for (let at = 0; at + WHEEL_SLOT_BYTES <= count; at += WHEEL_SLOT_BYTES) {
        if (bytes.readInt32LE(at) === 0 && bytes.readInt32LE(at + 4) === 0) continue;
        const slot = decodeSlot(bytes, at, this.precisionMillis);
        if (slot) yield slot;
      }
    }
  }

  /** Copies of the changed pages, to be written by {@link write}. What changes from now on is for the next time. */
  takeDirty(): TakenPage[] {
    const taken: TakenPage[] = [];
    for (const [number, page] of this.#pages) {
      if (!page.isDirty) continue;
      page.isDirty = false;
      page.copies += 1;
      taken.push({ number, bytes: Buffer.from(page.bytes) });
    }
    this.#dirtyCount = 0;
    return taken;
  }

  /** Writes taken pages. Throws system errors: then they have to be given back by {@link giveBack}. */
  write(taken: readonly TakenPage[]): void {
    for (const { number, bytes } of taken) {
      const start = number * PAGE_BYTES;
      this.#handles.use(this.path).write(bytes, 0, Math.min(bytes.length, this.sizeBytes - start), start);
    }
    for (const { number } of taken) {
      const page = this.#pages.get(number);
      if (page) page.copies -= 1;
    }
    this.#evict();
  }

  /** Pages that were taken and could not be written: they count as changed again. */
  giveBack(taken: readonly TakenPage[]): void {
    for (const { number } of taken) {
      const page = this.#pages.get(number);
      if (!page) continue;
      page.copies -= 1;
      if (!page.isDirty) this.#dirtyCount += 1;
      page.isDirty = true;
    }
  }

  async sync(): Promise<void> {
    if (!this.#exists) return;
    if (this.#hasNewName) {
      this.#files.syncDirectory(parentOf(this.path));
      this.#hasNewName = false;
    }
    await this.#handles.sync(this.path);
  }

  #floor(time: TimestampMillis): TimestampMillis {
    return Math.floor(time / this.precisionMillis) * this.precisionMillis;
  }

  #numberOf(time: TimestampMillis): number {
    return Math.floor(time / this.precisionMillis) % this.slotCount;
  }

  #page(number: number): Page {
    const known = this.#pages.get(number);
    if (known) {
      this.#pages.delete(number);
      this.#pages.set(number, known);
      return known;
    }
    this.#evict();
    const bytes = Buffer.alloc(PAGE_BYTES);
    const start = number * PAGE_BYTES;
    this.#handles.use(this.path).read(bytes, 0, Math.min(PAGE_BYTES, this.sizeBytes - start), start);
    const page: Page = { bytes, isDirty: false, copies: 0 };
    this.#pages.set(number, page);
    return page;
  }

  /** Drops the pages used least recently whose bytes are in the file. */
  #evict(): void {
    let excess = this.#pages.size - this.#dirtyCount - CLEAN_PAGES_MAX;
    if (excess < 0) return;
    for (const [number, page] of this.#pages) {
      if (excess < 0) return;
      if (page.isDirty || page.copies > 0) continue;
      this.#pages.delete(number);
      excess -= 1;
    }
  }
}

/** The slot at `at`; undefined when it was never used or its numbers cannot be true. */
function decodeSlot(source: Buffer, at: number, precisionMillis: number): Slot | undefined {
  for (const field of [0, 8, 16]) if (!Number.isSafeInteger(readInt64Loose(source, at + field))) return undefined;
  const time = readInt64(source, at) * precisionMillis;
  if (time <= 0) return undefined;
  return {
    time,
    firstPos: readInt64(source, at + 8),
    lastPos: readInt64(source, at + 16),
    num: source.readInt32BE(at + 24),
    magic: source.readInt32BE(at + 28),
  };
}

function encodeSlot(target: Buffer, at: number, slot: Slot, precisionMillis: number): void {
  let next = writeInt64(target, Math.floor(slot.time / precisionMillis), at);
  next = writeInt64(target, slot.firstPos, next);
  next = writeInt64(target, slot.lastPos, next);
  next = target.writeInt32BE(slot.num, next);
  target.writeInt32BE(slot.magic, next);
}
