/**
 * Checksums of an index file, ours, beside it: `foldlog/index-<name>.crc`. RocketMQ's index has none, and guarded appends
 * rest on it: a flipped bit could hide an event. They grow with the file, so neither filling nor closing reads it again.
 *
 *     head, 24 bytes                       slot checks, 4 bytes a page      entry checks, 4 bytes a block
 *     magic           4  FLIX              CRC-32 of 1,024 slots            CRC-32 of 200 entries
 *     version         4  1
 *     maxHashSlotNum  4
 *     maxIndexNum     4
 *     headerCheck     4  CRC-32 of the index file's header
 *     check           4  CRC-32 of the 20 bytes before
 *
 * 0 stands for a page or block that was never written: it must be zero. A CRC that happens to be 0 is kept as 1. The
 * check of the last block covers the entries that are written. Slot checks count once the slots were written, as those
 * are: when the file is full, or at the stop. Those that were read stay in the block cache, and follow what is written.
 */
import { crc32 } from 'node:zlib';
import type { Files } from '../../base/files.js';
import { nameOf, parentOf } from '../../base/files.js';
import type { FileHandles } from '../log/fileHandles.js';
import { BLOCK_BYTES_MAX, type BlockCache } from './blockCache.js';

const HEAD_BYTES = 24;
const HEADER_CHECK_AT = 16;
const CHECK_AT = 20;
const MAGIC = 0x464c4958;
const VERSION = 1;
const CHECK_BYTES = 4;

/** `foldlog/index-20261123085716088.crc` */
export const checksName = (indexFile: string): string => `index-${indexFile}.crc`;

export const isChecksName = (name: string): boolean => /^index-\d+\.crc$/.test(name);

/** The check of a page or block. */
export function checkOf(bytes: Buffer): number {
  return storedForm(crc32(bytes));
}

export function storedForm(crc: number): number {
  return crc === 0 ? 1 : crc;
}

export class IndexChecks {
  readonly path: string;
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly #slots: number;
  readonly #entries: number;
  readonly #pages: number;
  readonly #cache: BlockCache;
  #cacheKeys: number;

  constructor(parts: {
    path: string;
    files: Files;
    handles: FileHandles;
    slots: number;
    entries: number;
    pages: number;
    cache: BlockCache;
  }) {
    this.path = parts.path;
    this.#files = parts.files;
    this.#handles = parts.handles;
    this.#slots = parts.slots;
    this.#entries = parts.entries;
    this.#pages = parts.pages;
    this.#cache = parts.cache;
    this.#cacheKeys = parts.cache.reserveKeys();
  }

  /** Begins anew, without any check. Throws system errors. */
  create(): void {
    this.#handles.close(this.path);
    this.#files.makeDirectory(parentOf(this.path));
    this.#files.open(this.path, 'w+').close();
    this.#cacheKeys = this.#cache.reserveKeys();
  }

  /** Do the checks belong to a file of these sizes? With `header`, to one with this header. */
  belongTo(header: Buffer | undefined): boolean {
    if ((this.#files.stat(this.path)?.sizeBytes ?? 0) < HEAD_BYTES) return false;
    const head = Buffer.alloc(HEAD_BYTES);
    this.#handles.use(this.path).read(head, 0, HEAD_BYTES, 0);
    if (head.readUInt32BE(CHECK_AT) !== crc32(head.subarray(0, CHECK_AT))) return false;
    const stored = header && head.readUInt32BE(HEADER_CHECK_AT);
    return (
      this.#head(stored ?? 0).compare(head, 0, HEADER_CHECK_AT, 0, HEADER_CHECK_AT) === 0 &&
      (!header || stored === crc32(header))
    );
  }

  writeHead(header: Buffer): void {
    this.#write(0, this.#head(crc32(header)));
  }

  /** 0 when the page was never written. */
  slotCheck(page: number): number {
    return this.#read(HEAD_BYTES + page * CHECK_BYTES);
  }

  entryCheck(block: number): number {
    return this.#read(HEAD_BYTES + (this.#pages + block) * CHECK_BYTES);
  }

  writeSlotCheck(page: number, check: number): void {
    this.#write(HEAD_BYTES + page * CHECK_BYTES, encoded([check]));
  }

  /** Of consecutive blocks. */
  writeEntryChecks(firstBlock: number, checks: readonly number[]): void {
    this.#write(HEAD_BYTES + (this.#pages + firstBlock) * CHECK_BYTES, encoded(checks));
  }

  sync(): Promise<void> {
    return this.#handles.sync(this.path);
  }

  syncNow(): void {
    this.#handles.syncNow(this.path);
  }

  remove(): void {
    this.#handles.close(this.path);
    this.#files.remove(this.path);
  }

  get name(): string {
    return nameOf(this.path);
  }

  #head(headerCheck: number): Buffer {
    const head = Buffer.alloc(HEAD_BYTES);
    [MAGIC, VERSION, this.#slots, this.#entries, headerCheck].forEach((value, at) => head.writeUInt32BE(value, at * 4));
    head.writeUInt32BE(crc32(head.subarray(0, CHECK_AT)), CHECK_AT);
    return head;
  }

  /** Checks never span two pages of the cache: all lie at multiples of four. */
  #read(position: number): number {
    const page = Math.floor(position / BLOCK_BYTES_MAX);
    const cached = this.#cache.get(this.#cacheKeys + page);
    if (cached) return cached.readUInt32BE(position % BLOCK_BYTES_MAX);
    // Zeros stand for what was never written.
    const bytes = Buffer.alloc(BLOCK_BYTES_MAX);
    this.#handles.use(this.path).read(bytes, 0, BLOCK_BYTES_MAX, page * BLOCK_BYTES_MAX);
    this.#cache.put(this.#cacheKeys + page, bytes);
    return bytes.readUInt32BE(position % BLOCK_BYTES_MAX);
  }

  #write(position: number, bytes: Buffer): void {
    try {
      this.#handles.use(this.path).write(bytes, 0, bytes.length, position);
    } catch (error) {
      // Nobody knows what is on the disk now.
      this.#cacheKeys = this.#cache.reserveKeys();
      throw error;
    }
    for (let at = 0; at < bytes.length; ) {
      const from = (position + at) % BLOCK_BYTES_MAX;
      const count = Math.min(bytes.length - at, BLOCK_BYTES_MAX - from);
      const cached = this.#cache.get(this.#cacheKeys + Math.floor((position + at) / BLOCK_BYTES_MAX));
      if (cached) bytes.copy(cached, from, at, at + count);
      at += count;
    }
  }
}

function encoded(checks: readonly number[]): Buffer {
  const bytes = Buffer.alloc(checks.length * CHECK_BYTES);
  checks.forEach((check, at) => bytes.writeUInt32BE(check, at * CHECK_BYTES));
  return bytes;
}
