/**
 * What the durable mark says of the index: everything below a position of the log is synced, in the files up to a named
 * one. After a crash the index goes back to it; entries beyond may be anything.
 */
import type { CommitLogOffset } from '../../base/flavours.js';
import type { IndexFile } from './indexFile.js';
import type { IndexHeader } from './indexFormat.js';

export interface IndexMark {
  file: string;
  header: IndexHeader;
  position: CommitLogOffset;
  /** The files before it, and where each ends in the log. */
  older?: { file: string; endPhyOffset: CommitLogOffset }[];
}

/**
 * The mark at a position, in the first file that reaches it. Records that are appended but not written may still be
 * abandoned, so a mark stays below them; so it does below a record whose keys span two files.
 */
export function markAt(files: readonly IndexFile[], position: CommitLogOffset): IndexMark | undefined {
  // A file that is finished may end beyond the position: what is appended and not yet visible is in it.
  const file = files.find(({ header }) => header.endPhyOffset >= position) ?? files.at(-1);
  if (!file) return undefined;
  // Counted now: after a crash the entries beyond may be anything.
  const older = files
    .slice(0, files.indexOf(file))
    .map(({ name, header }) => ({ file: name, endPhyOffset: header.endPhyOffset }));
  return { file: file.name, header: file.headerBelow(position), position, older };
}

/** Do the files fit the mark, as far as can be seen without reading them? `odd`: names of those of another length. */
export function fitMark(
  { files, odd }: { files: readonly IndexFile[]; odd: readonly string[] },
  mark: IndexMark,
  minCommitLogOffset: CommitLogOffset,
): boolean {
  const at = files.findIndex((file) => file.name === mark.file);
  // Retention removes files whose records are all gone from the log.
  const isMissing = mark.older?.some(
    ({ file, endPhyOffset }) =>
      endPhyOffset >= minCommitLogOffset && !files.slice(0, at).some(({ name }) => name === file),
  );
  if (at < 0 || isMissing !== false || odd.some((name) => name < mark.file)) return false;
  return files.slice(0, at + 1).every((file, index) => file.hasChecks(index < at));
}
