/**
 * What a repair removes, and how it changes the store so that a crash at any moment does no harm.
 *
 *     foldlog/removed-<n>/
 *       commitlog/<20 digits>        bytes of the log from that position on, as they were
 *       <path>                       whole files, under the path they had
 *       plan.json, new-<20 digits>   what is to be changed, and the bytes that are to be written; gone when it is done
 *       report.json                  what was done; written last
 *
 * First everything is kept and the plan is written, synced, with the store untouched; then the plan is carried out. Each of
 * its steps can be done again, so a repair that was interrupted is carried out from its first step; one that had no plan
 * yet has changed nothing and begins anew.
 */
import { CorruptionError } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { joinPath, parentOf } from '../../base/files.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { Segment } from '../log/segment.js';
import { segmentName } from '../log/segment.js';
import type { Generations } from '../recovery/marks.js';
import { MARKS_DIRECTORY, Marks, REPAIR_PLAN } from '../recovery/marks.js';

const PIECE_BYTES = 1024 * 1024;

export interface RepairPlan {
  /** Files that go into the directory, by path relative to the store. */
  moves: string[];
  /** Files that get this size, created if need be. */
  resizes: { file: string; sizeBytes: number }[];
  /** Bytes in `new-<position>` that are written to a file of the log. */
  writes: { file: string; at: number; position: CommitLogOffset; sizeBytes: number }[];
  generations: Generations | undefined;
  /** For report.json. */
  report: object;
}

export class RemovedDirectory {
  readonly number: number;
  readonly path: string;
  readonly #files: Files;
  readonly #store: string;
  readonly #made = new Set<string>();

  constructor(files: Files, storeDirectory: string, number: number) {
    this.#files = files;
    this.#store = storeDirectory;
    this.number = number;
    this.path = joinPath(storeDirectory, MARKS_DIRECTORY, `removed-${number}`);
  }

  /** Was the plan written and not carried out to its end? */
  get isUnfinished(): boolean {
    return this.#files.stat(joinPath(this.path, REPAIR_PLAN)) !== undefined;
  }

  get isDone(): boolean {
    return this.#files.stat(joinPath(this.path, 'report.json')) !== undefined;
  }

  /** Of a repair that was interrupted before it had a plan: nothing in the store had changed. */
  discard(): void {
    this.#files.removeDirectory(this.path);
  }

  create(): void {
    this.#makeDirectory(this.path);
  }

  /** Keeps the bytes [from, to) of the log, as far as the file has them. */
  keepBytes(segment: Segment | undefined, from: CommitLogOffset, to: CommitLogOffset): void {
    const directory = joinPath(this.path, 'commitlog');
    this.#makeDirectory(directory);
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    this.#writeWhole(joinPath(directory, segmentName(from)), (write) => {
      for (let at = from; segment && at < to; ) {
        const count = segment.read(piece, 0, Math.min(piece.length, to - at), at);
        if (count === 0) break;
        write(piece.subarray(0, count));
        at += count;
      }
    });
  }

  /** Keeps the end of a file from `at` on, which is too long. */
  keepEnd(file: string, at: number): void {
    const kept = joinPath(this.path, `${file}.end-${at}`);
    this.#makeDirectory(parentOf(kept));
    const source = this.#files.open(joinPath(this.#store, file), 'r');
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    try {
      this.#writeWhole(kept, (write) => {
        for (let from = at; ; ) {
          const count = source.read(piece, 0, piece.length, from);
          if (count === 0) break;
          write(piece.subarray(0, count));
          from += count;
        }
      });
    } finally {
      source.close();
    }
  }

  /** Takes the bytes that are to be written at a log position; `end` syncs them and returns how many they are. */
  beginNew(position: CommitLogOffset): { write(bytes: Buffer): void; end(): number } {
    return this.#beginWhole(this.#newFile(position));
  }

  /** From here on the repair is carried out, if need be by the next one. */
  writePlan(plan: RepairPlan): void {
    for (const directory of this.#made) this.#files.syncDirectory(directory);
    this.#files.syncDirectory(parentOf(this.path));
    const file = joinPath(this.path, REPAIR_PLAN);
    this.#files.writeFile(`${file}.new`, `${JSON.stringify(plan)}\n`);
    this.#files.rename(`${file}.new`, file);
    this.#files.syncDirectory(this.path);
  }

  /** Carries the plan out. Everything may have been done before, in part or in full. */
  carryOut(): void {
    const plan = this.#readPlan();
    const changed = new Set<string>();
    for (const file of plan.moves) this.#move(file, changed);
    for (const { file, sizeBytes } of plan.resizes) {
      this.#resize(joinPath(this.#store, file), sizeBytes);
      changed.add(joinPath(this.#store, parentOf(file)));
    }
    for (const write of plan.writes) this.#write(write);
    for (const directory of changed) this.#files.syncDirectory(directory);
    const marks = new Marks(this.#files, this.#store);
    // The marks speak of a log that is no more: a start looks at everything.
    for (const name of ['derived', 'end'] as const) marks.remove(name);
    marks.removeSynced();
    if (plan.generations) marks.write('generations', plan.generations);
    this.#files.writeFile(joinPath(this.path, 'report.json'), `${JSON.stringify(plan.report, undefined, 2)}\n`);
    this.#files.syncDirectory(this.path);
    this.#files.remove(joinPath(this.path, REPAIR_PLAN));
    // Only what no plan needs any more may go.
    this.#files.syncDirectory(this.path);
    for (const { position } of plan.writes) this.#files.remove(this.#newFile(position));
    this.#files.syncDirectory(this.path);
  }

  #readPlan(): RepairPlan {
    const file = joinPath(this.path, REPAIR_PLAN);
    try {
      return JSON.parse(this.#files.readFile(file).toString()) as RepairPlan;
    } catch (cause) {
      const message = `${file} is not readable: remove ${this.path} after you have looked at what it keeps`;
      throw new CorruptionError(message, { file, offset: 0, cause });
    }
  }

  #newFile(position: CommitLogOffset): string {
    return joinPath(this.path, `new-${segmentName(position)}`);
  }

  #move(file: string, changed: Set<string>): void {
    const from = joinPath(this.#store, file);
    const to = joinPath(this.path, file);
    if (!this.#files.stat(from)) return;
    this.#makeDirectory(parentOf(to));
    // A mark that is replaced at the end of an interrupted repair must not take the place of the one that was kept.
    if (this.#files.stat(to)) return;
    this.#files.rename(from, to);
    this.#files.syncDirectory(parentOf(to));
    changed.add(parentOf(from));
  }

  #resize(path: string, sizeBytes: number): void {
    const file = this.#files.open(path, 'a+');
    try {
      if (file.size() !== sizeBytes) file.truncate(sizeBytes);
      file.syncNow();
    } finally {
      file.close();
    }
  }

  #write({ file, at, position, sizeBytes }: RepairPlan['writes'][number]): void {
    const source = this.#files.open(this.#newFile(position), 'r');
    const target = this.#files.open(joinPath(this.#store, file), 'r+');
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    try {
      for (let done = 0; done < sizeBytes; ) {
        const count = source.read(piece, 0, Math.min(piece.length, sizeBytes - done), done);
        if (count === 0) break;
        target.write(piece, 0, count, at + done);
        done += count;
      }
      target.syncNow();
    } finally {
      source.close();
      target.close();
    }
  }

  #writeWhole(path: string, fill: (write: (bytes: Buffer) => void) => void): void {
    const file = this.#beginWhole(path);
    fill((bytes) => file.write(bytes));
    file.end();
  }

  /** Writes a file piece by piece, small ones together, and syncs it. */
  #beginWhole(path: string): { write(bytes: Buffer): void; end(): number } {
    const file = this.#files.open(path, 'w+');
    let done = 0;
    let pieces: Buffer[] = [];
    let waitingBytes = 0;
    const flush = () => {
      if (waitingBytes === 0) return;
      file.write(Buffer.concat(pieces), 0, waitingBytes, done);
      done += waitingBytes;
      pieces = [];
      waitingBytes = 0;
    };
    return {
      write(bytes) {
        pieces.push(Buffer.from(bytes));
        waitingBytes += bytes.length;
        if (waitingBytes >= PIECE_BYTES) flush();
      },
      end() {
        flush();
        file.syncNow();
        file.close();
        return done;
      },
    };
  }

  #makeDirectory(directory: string): void {
    this.#files.makeDirectory(directory);
    for (let name = directory; name.length >= this.path.length; name = parentOf(name)) this.#made.add(name);
  }
}
