/**
 * What stands around a damaged stretch of entries, in its file and the older ones: from there the log tells what it held
 * (`indexHealing.ts`). The entries around it are read and checked like any other, so they may be believed.
 */
import type { CommitLogOffset } from '../../base/flavours.js';
import type { IndexFile } from './indexFile.js';
import { emptyEntry, FIRST_ENTRY } from './indexFormat.js';
import type { Surroundings } from './indexHealing.js';

/** Of the entries [first, first + count) of one of the files, oldest file first. */
export function surroundingsOf(
  files: readonly IndexFile[],
  file: IndexFile,
  first: number,
  count: number,
): Surroundings {
  const { indexCount, beginPhyOffset, endPhyOffset } = file.header;
  const after = first + count < indexCount ? file.readEntry(first + count, emptyEntry()) : undefined;
  return {
    count,
    before: entriesBefore(files, file, first),
    after,
    from: beginPhyOffset,
    upTo: after?.commitLogOffset ?? endPhyOffset,
  };
}

/** The record of the last entry before one, and how many entries in a row belong to it, older files included. */
function entriesBefore(files: readonly IndexFile[], file: IndexFile, number: number): Surroundings['before'] {
  const entry = emptyEntry();
  let before: { commitLogOffset: CommitLogOffset; entries: number } | undefined;
  let next = number - 1;
  for (let at = files.indexOf(file); at >= 0; at -= 1) {
    const current = files[at];
    for (; current && next >= FIRST_ENTRY; next -= 1) {
      current.readEntry(next, entry);
      before ??= { commitLogOffset: entry.commitLogOffset, entries: 0 };
      if (entry.commitLogOffset !== before.commitLogOffset) return before;
      before.entries += 1;
    }
    next = (files[at - 1]?.header.indexCount ?? FIRST_ENTRY) - 1;
  }
  return before;
}
