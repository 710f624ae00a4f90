/**
 * Makes the slot table of an index file anew from its entries: of a file whose checks are lost or foreign
 * ({@link adopted}), and of one that is damaged, whose entries are made again from the log ({@link healed}).
 */
import type { TimestampMillis } from '../../base/flavours.js';
import type { IndexEntries } from './indexEntries.js';
import {
  decodeIndexEntry,
  ENTRIES_PER_BLOCK,
  emptyEntry,
  encodeIndexEntry,
  FIRST_ENTRY,
  INDEX_ENTRY_BYTES,
  type IndexSizes,
  secondsBetween,
} from './indexFormat.js';
import type { IndexedKey } from './indexHealing.js';
import type { IndexReads } from './indexReads.js';
import { SlotTable } from './indexSlots.js';

/**
 * Believes every entry on disk and makes the checks. Says whether each is chained to the one before it in its slot.
 * `thorough` also writes the entries again: a crash may have left them in memory alone.
 */
export function adopted(
  entries: IndexEntries,
  reads: IndexReads,
  sizes: IndexSizes,
  thorough: boolean,
): { table: SlotTable; isChained: boolean } {
  const table = new SlotTable(sizes.maxHashSlotNum);
  const entry = emptyEntry();
  let isChained = true;
  for (let block = 0; block < entries.blockCount; block += 1) {
    const bytes = reads.rawBlock(block);
    entries.forEachIn(block, (number, at) => {
      decodeIndexEntry(bytes, at, entry);
      if (entry.keyHash < 0 || entry.previous !== table.head(entry.keyHash)) isChained = false;
      table.put(entry.keyHash, number);
    });
    if (entries.writtenEnd === FIRST_ENTRY) continue;
    if (thorough) entries.rewrite(block, bytes);
    entries.remakeCheck(block, bytes);
  }
  return { table, isChained };
}

/**
 * Believes the entries whose block fits its check, and those in memory; the others are made again on disk. `keysOf` tells
 * the keys of the entries [first, first + count). Undefined when it could not.
 */
export function healed(
  entries: IndexEntries,
  reads: IndexReads,
  sizes: IndexSizes,
  from: {
    beginTimestamp: TimestampMillis;
    keysOf: (first: number, count: number) => readonly IndexedKey[] | undefined;
  },
): { table: SlotTable; blockCount: number } | undefined {
  const table = new SlotTable(sizes.maxHashSlotNum);
  const { blockCount, writtenEnd, end } = entries;
  const blockOf = (block: number) =>
    writtenEnd > FIRST_ENTRY ? reads.checkedBlock(block, writtenEnd) : reads.rawBlock(block);
  let healedCount = 0;
  for (let block = 0; block < blockCount; block += 1) {
    const bytes = blockOf(block);
    if (bytes) {
      entries.forEachIn(block, (number, at) => table.put(bytes.readInt32BE(at), number));
      continue;
    }
    let next = block + 1;
    while (next < blockCount && !blockOf(next)) next += 1;
    const first = Math.max(FIRST_ENTRY, block * ENTRIES_PER_BLOCK);
    const keys = from.keysOf(first, Math.min(next * ENTRIES_PER_BLOCK, writtenEnd) - first);
    if (!keys) return undefined;
    entries.replace(first, chained(first, keys, from.beginTimestamp, table));
    healedCount += next - block;
    block = next - 1;
  }
  const entry = emptyEntry();
  for (let number = writtenEnd; number < end; number += 1) table.put(entries.read(number, entry).keyHash, number);
  return { table, blockCount: healedCount };
}

/** Entries in place of damaged ones, chained as they were; the table goes on. */
function chained(first: number, keys: readonly IndexedKey[], begin: TimestampMillis, table: SlotTable): Buffer {
  const bytes = Buffer.alloc(keys.length * INDEX_ENTRY_BYTES);
  for (const [index, { keyHash, commitLogOffset, storeTimestamp }] of keys.entries()) {
    const seconds = secondsBetween(begin, storeTimestamp);
    encodeIndexEntry(bytes, index * INDEX_ENTRY_BYTES, keyHash, commitLogOffset, seconds, table.head(keyHash));
    table.put(keyHash, first + index);
  }
  return bytes;
}
