/**
 * The bytes of an index file (upstream: `IndexFile`, `IndexHeader`): a header, a slot table, and entries that are
 * chained per slot from the newest back.
 *
 *     header, 40 bytes          slot, 4 bytes            entry, 20 bytes
 *     beginTimestamp   8        number of the slot's     keyHash          4
 *     endTimestamp     8        newest entry, 0 = none   commitLogOffset  8
 *     beginPhyOffset   8                                 timeDiff         4   seconds since beginTimestamp
 *     endPhyOffset     8                                 previous         4   entry of the same slot, 0 = none
 *     hashSlotCount    4   slots in use
 *     indexCount       4   number of the next entry; entry 0 is never used
 *
 * Slots are read and checked in pages, entries in blocks.
 */
import { readInt64, writeInt64 } from '../../base/bytes.js';
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';

export const INDEX_HEADER_BYTES = 40;
export const INDEX_SLOT_BYTES = 4;
export const INDEX_ENTRY_BYTES = 20;
/** The number of the first entry. */
export const FIRST_ENTRY = 1;
export const SLOTS_PER_PAGE = 1024;
export const ENTRIES_PER_BLOCK = 200;

export interface IndexHeader {
  beginTimestamp: TimestampMillis;
  endTimestamp: TimestampMillis;
  beginPhyOffset: CommitLogOffset;
  endPhyOffset: CommitLogOffset;
  hashSlotCount: number;
  indexCount: number;
}

export interface IndexEntry {
  keyHash: number;
  commitLogOffset: CommitLogOffset;
  timeDiffSeconds: number;
  previous: number;
}

export interface IndexSizes {
  maxHashSlotNum: number;
  maxIndexNum: number;
}

/** Pages of the slot table, each with a check of its own. */
export function slotPagesOf(sizes: IndexSizes): number {
  return Math.ceil(sizes.maxHashSlotNum / SLOTS_PER_PAGE);
}

export function indexFileBytes(sizes: IndexSizes): number {
  return entryPosition(sizes, sizes.maxIndexNum);
}

/** Where an entry lies in the file. */
export function entryPosition(sizes: IndexSizes, number: number): number {
  return INDEX_HEADER_BYTES + sizes.maxHashSlotNum * INDEX_SLOT_BYTES + number * INDEX_ENTRY_BYTES;
}

export function emptyIndexHeader(): IndexHeader {
  return { beginTimestamp: 0, endTimestamp: 0, beginPhyOffset: 0, endPhyOffset: 0, hashSlotCount: 0, indexCount: 1 };
}

export function decodeIndexHeader(source: Buffer): IndexHeader {
  return {
    beginTimestamp: readInt64(source, 0),
    endTimestamp: readInt64(source, 8),
    beginPhyOffset: readInt64(source, 16),
    endPhyOffset: readInt64(source, 24),
    hashSlotCount: source.readInt32BE(32),
    // Upstream reads 0 (a new file) as 1.
    indexCount: Math.max(FIRST_ENTRY, source.readInt32BE(36)),
  };
}

export function encodeIndexHeader(header: IndexHeader): Buffer {
  const bytes = Buffer.alloc(INDEX_HEADER_BYTES);
  writeInt64(bytes, header.beginTimestamp, 0);
  writeInt64(bytes, header.endTimestamp, 8);
  writeInt64(bytes, header.beginPhyOffset, 16);
  writeInt64(bytes, header.endPhyOffset, 24);
  bytes.writeInt32BE(header.hashSlotCount, 32);
  bytes.writeInt32BE(header.indexCount, 36);
  return bytes;
}

export function emptyEntry(): IndexEntry {
  return { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
}

export function decodeIndexEntry(source: Buffer, at: number, into: IndexEntry): IndexEntry {
  into.keyHash = source.readInt32BE(at);
  into.commitLogOffset = source.readInt32BE(at + 4) * 0x1_0000_0000 + source.readUInt32BE(at + 8);
  into.timeDiffSeconds = source.readInt32BE(at + 12);
  into.previous = source.readInt32BE(at + 16);
  return into;
}

export function encodeIndexEntry(
  target: Buffer,
  at: number,
  keyHash: number,
  commitLogOffset: CommitLogOffset,
  timeDiffSeconds: number,
  previous: number,
): void {
  target.writeInt32BE(keyHash, at);
  writeInt64(target, commitLogOffset, at + 4);
  target.writeInt32BE(timeDiffSeconds, at + 12);
  target.writeInt32BE(previous, at + 16);
}

/** Whole seconds, as upstream counts: 0 when the clock went back, at most what an int holds. */
export function secondsBetween(begin: TimestampMillis, end: TimestampMillis): number {
  if (begin <= 0) return 0;
  return Math.min(0x7fffffff, Math.max(0, Math.trunc((end - begin) / 1000)));
}
