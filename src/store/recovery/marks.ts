/**
 * What foldlog records beside RocketMQ's files, in `<directory>/foldlog/` (a broker ignores what it does not know):
 *
 *     generations.json   the generation under way, and the log end at which each began that still matters
 *     synced             the synced-up-to mark: below it everything is on the device
 *     derived.json       up to where queues and index are on the device
 *     end.json           written last by a clean stop, removed at start: nothing is to be recovered if it matches
 *     running            what our `abort` says, to tell our crash from another program's
 *     deleted.json       topics that were deleted, and the log end at that moment
 *
 * JSON files are replaced whole: written beside, synced, renamed. The synced mark is written after every sync, so it
 * has two places in one file that take turns; each carries its own CRC, and the one written last counts.
 */
import { crc32 } from 'node:zlib';
import { readInt64, writeInt64 } from '../../base/bytes.js';
import { CorruptionError } from '../../base/errors.js';
import type { Files, OpenFile } from '../../base/files.js';
import { joinPath, parentOf } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import type { IndexMark } from '../keys/indexMark.js';
import type { QueueBoundsList } from '../queues/consumeQueues.js';

export const MARKS_DIRECTORY = 'foldlog';
/** In `removed-<n>/` while a repair is under way (`offline/removedDirectory.ts`). */
export const REPAIR_PLAN = 'plan.json';

/** A record of the log, named so exactly that another one in its place is noticed. */
export interface RecordIdentity {
  commitLogOffset: CommitLogOffset;
  sizeBytes: number;
  storeTimestamp: TimestampMillis;
  /** CRC-32 of the whole record. */
  crc: number;
}

export interface SyncedMark {
  /** Everything below is on the device. */
  position: CommitLogOffset;
  generation: number;
  /** The last record below the position; undefined while the log is empty. */
  last: RecordIdentity | undefined;
}

export interface DerivedMark {
  /** Queue entries of all records below are synced. */
  queuesPosition: CommitLogOffset;
  /** The bounds of each queue at that position. */
  queues?: QueueBoundsList;
  /** Undefined while nothing is indexed. */
  index: IndexMark | undefined;
}

export interface QueueBounds {
  topic: string;
  queueId: number;
  minOffset: QueueOffset;
  maxOffset: QueueOffset;
}

export interface EndMark {
  /** Start of the first segment. */
  logStart?: CommitLogOffset;
  logEnd: CommitLogOffset;
  last: RecordIdentity | undefined;
  queues: QueueBounds[];
  /** How many entries each queue of a BatchCQ topic has. */
  batchQueues?: [topic: string, queueId: number, entryCount: number][];
  index: { file: string; indexCount: number; endPhyOffset: CommitLogOffset }[];
}

export interface Generations {
  current: number;
  /** Log ends of later generations that are lower than all after them, ascending: the others change no answer. */
  ends: { generation: number; logEnd: CommitLogOffset }[];
  /** Next offset of every queue when the current generation began. */
  queues: { topic: string; queueId: number; next: QueueOffset }[];
}

/** The run under way: what its `abort` says, and the sizes that its files have. */
export interface Running {
  token: string;
  sizes: string;
}

/** The marks that are JSON, by name. */
interface JsonMarks {
  generations: Generations;
  derived: DerivedMark;
  end: EndMark;
  deleted: Record<string, CommitLogOffset>;
}

export class Marks {
  readonly #files: Files;
  readonly #directory: string;
  readonly path: string;

  constructor(files: Files, storeDirectory: string) {
    this.#files = files;
    this.#directory = storeDirectory;
    this.path = joinPath(storeDirectory, MARKS_DIRECTORY);
  }

  create(): void {
    if (this.#files.stat(this.path)) return;
    this.#files.makeDirectory(this.path);
    this.#files.syncDirectory(this.#directory);
  }

  /** Undefined when the mark is absent. An unreadable one is corruption only where it cannot be found out anew. */
  read<Name extends keyof JsonMarks>(name: Name): JsonMarks[Name] | undefined {
    const file = this.fileOf(`${name}.json`);
    if (!this.#files.stat(file)) return undefined;
    try {
      return JSON.parse(this.#files.readFile(file).toString()) as JsonMarks[Name];
    } catch (cause) {
      if (name === 'derived' || name === 'end') return undefined;
      throw new CorruptionError(`${file} is not readable: restore it from a copy`, { file, offset: 0, cause });
    }
  }

  write<Name extends keyof JsonMarks>(name: Name, value: JsonMarks[Name]): void {
    const file = this.fileOf(`${name}.json`);
    this.#files.writeFile(`${file}.new`, `${JSON.stringify(value)}\n`);
    this.#files.rename(`${file}.new`, file);
    this.#files.syncDirectory(this.path);
  }

  remove(name: keyof JsonMarks): void {
    const file = this.fileOf(`${name}.json`);
    if (!this.#files.stat(file)) return;
    this.#files.remove(file);
    this.#files.syncDirectory(this.path);
  }

  /** Forgets a synced mark that is void, before the log is changed where it points to. */
  removeSynced(): void {
    const file = this.fileOf('synced');
    if (!this.#files.stat(file)) return;
    this.#files.remove(file);
    this.#files.syncDirectory(this.path);
  }

  readRunning(): Running | undefined {
    const file = this.fileOf('running');
    if (!this.#files.stat(file)) return undefined;
    const [token = '', sizes = ''] = this.#files.readFile(file).toString().split('\n');
    return { token, sizes };
  }

  writeRunning({ token, sizes }: Running): void {
    this.#files.writeFile(this.fileOf('running'), `${token}\n${sizes}\n`);
    this.#files.syncDirectory(this.path);
  }

  fileOf(name: string): string {
    return joinPath(this.path, name);
  }
}

/** Numbers of the directories that keep what repairs removed, lowest first. */
export function removedNumbers(files: Files, storeDirectory: string): number[] {
  return files
    .list(joinPath(storeDirectory, MARKS_DIRECTORY))
    .flatMap((name) => /^removed-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Throws CorruptionError when a repair was interrupted: what it has still to write must not meet newer records. */
export function refuseUnfinishedRepair(files: Files, storeDirectory: string): void {
  for (const number of removedNumbers(files, storeDirectory)) {
    const file = joinPath(storeDirectory, MARKS_DIRECTORY, `removed-${number}`, REPAIR_PLAN);
    if (!files.stat(file)) continue;
    throw new CorruptionError(
      `a repair of ${storeDirectory} was interrupted: finish it with foldlog store verify ${storeDirectory} --repair`,
      { file, offset: 0 },
    );
  }
}

/** Begins a generation at a log end; keeps of the older ones what {@link lowestEndSince} can still ask for. */
export function beginGeneration(
  before: Generations | undefined,
  logEnd: CommitLogOffset,
  queues: Generations['queues'],
): Generations {
  const current = (before?.current ?? 0) + 1;
  const ends = (before?.ends ?? []).filter((end) => end.logEnd < logEnd);
  return { current, ends: [...ends, { generation: current, logEnd }], queues };
}

/** The lowest log end of a generation later than this one; undefined when none began since. */
export function lowestEndSince(generations: Generations, generation: number): CommitLogOffset | undefined {
  return generations.ends.find((end) => end.generation > generation)?.logEnd;
}

/*
 *     synced, two places 512 bytes apart
 *     sequence          8    the higher one counts
 *     position          8
 *     generation        8
 *     commitLogOffset   8    of the last record; -1 when there is none
 *     storeTimestamp    8
 *     sizeBytes         4
 *     crc               4    of the last record
 *     check             4    CRC-32 of the 48 bytes before
 */
const PLACE_BYTES = 512;
const CHECKED_BYTES = 48;

export function readSyncedMark(files: Files, path: string): (SyncedMark & { sequence: number }) | undefined {
  if (!files.stat(path)) return undefined;
  const bytes = files.readFile(path);
  let newest: (SyncedMark & { sequence: number }) | undefined;
  for (const at of [0, PLACE_BYTES]) {
    const mark = decodeSyncedMark(bytes, at);
    if (mark && mark.sequence > (newest?.sequence ?? 0)) newest = mark;
  }
  return newest;
}

function decodeSyncedMark(bytes: Buffer, at: number): (SyncedMark & { sequence: number }) | undefined {
  if (bytes.length < at + CHECKED_BYTES + 4) return undefined;
  if (crc32(bytes.subarray(at, at + CHECKED_BYTES)) !== bytes.readUInt32BE(at + CHECKED_BYTES)) return undefined;
  const commitLogOffset = readInt64(bytes, at + 24);
  const last = {
    commitLogOffset,
    storeTimestamp: readInt64(bytes, at + 32),
    sizeBytes: bytes.readInt32BE(at + 40),
    crc: bytes.readUInt32BE(at + 44),
  };
  return {
    sequence: readInt64(bytes, at),
    position: readInt64(bytes, at + 8),
    generation: readInt64(bytes, at + 16),
    last: commitLogOffset < 0 ? undefined : last,
  };
}

/** The synced mark's file, kept open while the store runs. */
export class SyncedMarkFile {
  readonly #file: OpenFile;
  readonly #generation: number;
  #sequence: number;
  #isDirty = false;
  #last = -1;
  #durableLast = -1;
  readonly #bytes = Buffer.alloc(PLACE_BYTES);

  constructor(files: Files, path: string, generation: number) {
    this.#sequence = readSyncedMark(files, path)?.sequence ?? 0;
    const isNew = !files.stat(path);
    this.#file = files.open(path, 'a+');
    this.#generation = generation;
    if (this.#file.size() < 2 * PLACE_BYTES) this.#file.truncate(2 * PLACE_BYTES);
    if (isNew) files.syncDirectory(parentOf(path));
  }

  get isDirty(): boolean {
    return this.#isDirty;
  }

  /** Start of the last record that a mark on the device names: that one, or a later one, is found after a crash. -1: none. */
  get durableLast(): CommitLogOffset {
    return this.#durableLast;
  }

  /** Hands the mark to the operating system; {@link sync} makes it durable. */
  write(position: CommitLogOffset, last: RecordIdentity | undefined): void {
    this.#sequence += 1;
    const bytes = this.#bytes;
    writeInt64(bytes, this.#sequence, 0);
    writeInt64(bytes, position, 8);
    writeInt64(bytes, this.#generation, 16);
    writeInt64(bytes, last?.commitLogOffset ?? -1, 24);
    writeInt64(bytes, last?.storeTimestamp ?? 0, 32);
    bytes.writeInt32BE(last?.sizeBytes ?? 0, 40);
    bytes.writeUInt32BE(last?.crc ?? 0, 44);
    bytes.writeUInt32BE(crc32(bytes.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
    this.#file.write(bytes, 0, CHECKED_BYTES + 4, (this.#sequence % 2) * PLACE_BYTES);
    this.#isDirty = true;
    this.#last = last?.commitLogOffset ?? -1;
  }

  async sync(): Promise<void> {
    this.#isDirty = false;
    const last = this.#last;
    await this.#file.sync();
    this.#durableLast = last;
  }

  syncNow(): void {
    this.#isDirty = false;
    this.#file.syncNow();
    this.#durableLast = this.#last;
  }

  close(): void {
    this.#file.close();
  }
}
