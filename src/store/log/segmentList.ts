/**
 * A directory of fixed-size files that follow each other (upstream: `MappedFileQueue`): the commit log is one, each
 * consume queue is one. Positions are absolute: the sequence of files is one address space that starts where its
 * first file does.
 *
 * Listing obeys upstream's loading rules (`MappedFileQueue#doLoad`): directories are skipped, an empty last file
 * counts as absent, any other length than the configured one and any name that is no number is refused. Differs from
 * RocketMQ: nothing is changed on disk by looking.
 */
import { assert } from '../../base/assert.js';
import { CorruptionError, OptionsError } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { joinPath, parentOf } from '../../base/files.js';
import type { FileHandles } from './fileHandles.js';
import { Segment, segmentName } from './segment.js';

export interface SegmentListing {
  /** Positions of the files' first bytes, ascending. */
  starts: number[];
  /** An empty last file, which recovery removes. */
  emptyLast: string | undefined;
  /** Files that a crash of ours left shorter than they were created; recovery grows them. */
  short: string[];
}

export interface SegmentSize {
  sizeBytes: number;
  /** How the configuration calls it, for the error. */
  key: string;
  /** Our own run crashed, with this size: a file may have its name and not yet its full length. */
  mayBeShort: boolean;
}

/** Looks at a directory of fixed-size files. */
export function listSegments(files: Files, directory: string, size: SegmentSize): SegmentListing {
  const { sizeBytes, key } = size;
  const present: { name: string; sizeBytes: number }[] = [];
  for (const name of files.list(directory)) {
    const stat = files.stat(joinPath(directory, name));
    if (stat && !stat.isDirectory) present.push({ name, sizeBytes: stat.sizeBytes });
  }
  const last = present.at(-1);
  // One of ours is as long as it must be again after recovery: the segment before it may end in a blank record.
  const emptyLast = last?.sizeBytes === 0 && !size.mayBeShort ? joinPath(directory, last.name) : undefined;
  if (emptyLast) present.pop();
  const short = size.mayBeShort ? present.filter((file) => file.sizeBytes < sizeBytes) : [];
  const odd = present.find((file) => file.sizeBytes !== sizeBytes && !short.includes(file));
  if (odd) throw wrongSize(directory, odd, present, sizeBytes, key);
  return {
    starts: present.map(({ name }) => startOf(directory, name, sizeBytes)),
    emptyLast,
    short: short.map(({ name }) => joinPath(directory, name)),
  };
}

function wrongSize(
  directory: string,
  odd: { name: string; sizeBytes: number },
  present: readonly { sizeBytes: number }[],
  sizeBytes: number,
  sizeKey: string,
): Error {
  const file = joinPath(directory, odd.name);
  const isWholeStore = present.every((other) => other.sizeBytes === odd.sizeBytes);
  const message = `${file} has ${odd.sizeBytes} bytes and ${sizeKey} is ${sizeBytes}`;
  return isWholeStore
    ? new OptionsError(`${message}: open the store with the ${sizeKey} it was written with`, { file, sizeKey })
    : new CorruptionError(`${message}, as its neighbours have: restore the file from a copy`, {
        file,
        offset: 0,
        expected: sizeBytes,
        found: odd.sizeBytes,
      });
}

function startOf(directory: string, name: string, sizeBytes: number): number {
  const start = /^\d+$/.test(name) ? Number(name) : Number.NaN;
  if (Number.isSafeInteger(start) && start % sizeBytes === 0) return start;
  throw new CorruptionError(`${joinPath(directory, name)} does not belong here: move it out of the store`, {
    file: joinPath(directory, name),
    offset: 0,
  });
}

export class SegmentList {
  readonly directory: string;
  readonly segmentBytes: number;
  readonly #files: Files;
  readonly #handles: FileHandles;
  readonly #segments: Segment[];
  /** Was a first segment removed whose name may come back after a crash? */
  #mayComeBack = false;
  /** Was the directory made whose own name is not durable yet? */
  #isNewDirectory = false;

  constructor(parts: {
    files: Files;
    handles: FileHandles;
    directory: string;
    segmentBytes: number;
    starts?: readonly number[];
  }) {
    this.#files = parts.files;
    this.#handles = parts.handles;
    this.directory = parts.directory;
    this.segmentBytes = parts.segmentBytes;
    this.#segments = (parts.starts ?? []).map(
      (start) => new Segment(this.#handles, this.directory, start, this.segmentBytes),
    );
  }

  get all(): readonly Segment[] {
    return this.#segments;
  }

  get first(): Segment | undefined {
    return this.#segments[0];
  }

  get last(): Segment | undefined {
    return this.#segments.at(-1);
  }

  /** The segment that holds the position, if it is there. */
  find(position: number): Segment | undefined {
    const first = this.#segments[0];
    if (!first) return undefined;
    const guess = this.#segments[Math.floor((position - first.start) / this.segmentBytes)];
    if (guess && position >= guess.start && position < guess.end) return guess;
    // Files are missing in between: look at each.
    return this.#segments.find((segment) => position >= segment.start && position < segment.end);
  }

  /** Creates the segment that starts at `start`, after all others. Its name is durable after {@link syncDirectory}. */
  create(start: number): Segment {
    const last = this.last;
    assert(start % this.segmentBytes === 0 && (!last || start >= last.end), 'segments are created in order');
    if (this.#segments.length === 0) {
      this.#files.makeDirectory(this.directory);
      this.#isNewDirectory = true;
    }
    const segment = Segment.create(this.#files, this.#handles, this.directory, start, this.segmentBytes);
    this.#segments.push(segment);
    return segment;
  }

  syncDirectory(): void {
    this.#files.syncDirectory(this.directory);
    if (this.#isNewDirectory) this.#files.syncDirectory(parentOf(this.directory));
    this.#isNewDirectory = false;
    this.#mayComeBack = false;
  }

  /**
   * Removes the oldest segment, never the only one. The one before it is gone for good by then, so that no crash leaves
   * a gap. Throws system errors; the segment is still there when its file is.
   */
  removeFirst(): void {
    const [first, second] = this.#segments;
    assert(first && second, 'the last segment stays');
    if (this.#mayComeBack) this.syncDirectory();
    this.#handles.close(first.path);
    this.#files.remove(first.path);
    this.#mayComeBack = true;
    this.#segments.shift();
  }

  /** Removes every segment that starts at or after the position. */
  removeFrom(position: number): void {
    for (let last = this.last; last && last.start >= position; last = this.last) {
      this.#segments.pop();
      this.#handles.close(last.path);
      this.#files.remove(last.path);
    }
  }

  /** Takes every segment that starts at or after the position out of the list and moves its file. */
  moveFrom(position: number, target: (name: string) => string): void {
    for (let last = this.last; last && last.start >= position; last = this.last) {
      this.#segments.pop();
      this.#handles.close(last.path);
      this.#files.rename(last.path, target(segmentName(last.start)));
    }
  }

  /** Removes all files and the directory. */
  removeAll(): void {
    this.removeFrom(0);
    this.#files.removeDirectory(this.directory);
  }
}
