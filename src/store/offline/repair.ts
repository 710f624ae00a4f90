/**
 * Makes a damaged store directory one that opens, on request. What can be read stays where it is, byte for byte, because
 * positions and queue offsets are identities; what cannot be read is kept in `foldlog/removed-<n>/` and replaced by
 * records that every reader passes over (docs/decisions, "repair"). A new generation begins at the first damage, and
 * queues and index are brought in line with the log by an ordinary start, so that an Apache broker finds them whole too.
 */
import type { Clock } from '../../base/clock.js';
import { FoldlogError, messageOf } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { diskFiles, joinPath } from '../../base/files.js';
import type { CommitLogOffset } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import { type LockDirectory, lockDirectory } from '../lock.js';
import { segmentName } from '../log/segment.js';
import { MessageStore } from '../messageStore.js';
import type { Generations } from '../recovery/marks.js';
import { beginGeneration, Marks, removedNumbers } from '../recovery/marks.js';
import { type Filled, HoleFilling } from './holeFilling.js';
import { LogView } from './logView.js';
import { RemovedDirectory, type RepairPlan } from './removedDirectory.js';
import { lookAtLayout, type StoreLayout, type StoreSizes } from './storeLayout.js';
import { type VerifyReport, verifyStore } from './verify.js';

export interface RepairOptions extends Partial<StoreSizes> {
  files?: Files;
  lockDirectory?: LockDirectory;
  clock?: Clock;
  logger?: Logger;
  /** As the store was configured: they are part of the entries of delayed messages. */
  delayLevels?: readonly number[];
  /** How many problems the reports name. Default 1,000. */
  problemsMax?: number;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** How the store is told when a turn ends. Default setImmediate. */
  atEndOfTurn?: (action: () => void) => void;
}

export interface RepairedHole extends Filled {
  from: CommitLogOffset;
  to: CommitLogOffset;
}

export interface RepairReport {
  /** CLEAN: there was nothing to do. REPAIRED: everything was done. LEFT: some problems are left, `refusals` say why. */
  status: 'CLEAN' | 'REPAIRED' | 'LEFT';
  /** Directories that keep what was removed; empty when nothing was. */
  kept: string[];
  holes: RepairedHole[];
  /** Why something was not done, and what a person can do. */
  refusals: string[];
  before: VerifyReport;
  /** The same look after the repair; `before` when nothing was done. */
  after: VerifyReport;
}

const HOLES_MAX = 100_000;
/** Far above every generation that a store has had, when it is not known which one that was. */
const GENERATION_BEYOND = 1_000_000;

/** Repairs a store that nobody runs. Throws STORE_LOCKED, CORRUPTION when the store still does not open, or a system error. */
export async function repairStore(directory: string, options: RepairOptions = {}): Promise<RepairReport> {
  const files = options.files ?? diskFiles;
  const lock = await (options.lockDirectory ?? lockDirectory)(files, directory);
  try {
    return await new Repair(files, directory, options).run();
  } finally {
    await lock.release();
  }
}

class Repair {
  readonly #files: Files;
  readonly #directory: string;
  readonly #options: RepairOptions;
  readonly #kept: string[] = [];
  readonly #refusals: string[] = [];
  readonly #holes: RepairedHole[] = [];

  constructor(files: Files, directory: string, options: RepairOptions) {
    this.#files = files;
    this.#directory = directory;
    this.#options = options;
  }

  async run(): Promise<RepairReport> {
    const wasResumed = this.#resume();
    const before = this.#verify();
    if (before.problemCount === 0 && !wasResumed) return this.#report('CLEAN', before, before);
    const layout = lookAtLayout(this.#files, this.#directory, this.#options);
    const hopeless = layout.problems.filter(({ remedy }) => remedy === 'NONE');
    for (const { file, problem } of hopeless) this.#refusals.push(`${file} ${problem}`);
    // With other sizes than the store was written with nothing is where it is looked for.
    if (hopeless.some(({ file }) => !file.startsWith('config'))) return this.#report('LEFT', before, before);
    this.#changeLog(layout);
    await this.#openOnce(layout.sizes);
    const after = this.#verify();
    return this.#report(after.problemCount === 0 ? 'REPAIRED' : 'LEFT', before, after);
  }

  #verify(): VerifyReport {
    const { problemsMax, onProgress } = this.#options;
    return verifyStore(this.#directory, {
      ...sizesOf(this.#options),
      files: this.#files,
      ...(problemsMax === undefined ? {} : { problemsMax }),
      ...(onProgress ? { onProgress } : {}),
    });
  }

  #report(status: RepairReport['status'], before: VerifyReport, after: VerifyReport): RepairReport {
    return { status, kept: this.#kept, holes: this.#holes, refusals: this.#refusals, before, after };
  }

  /** Carries out what an interrupted repair had planned. */
  #resume(): boolean {
    let wasResumed = false;
    for (const number of removedNumbers(this.#files, this.#directory)) {
      const removed = new RemovedDirectory(this.#files, this.#directory, number);
      if (removed.isUnfinished) {
        removed.carryOut();
        this.#kept.push(removed.path);
        wasResumed = true;
      } else if (!removed.isDone) removed.discard();
    }
    return wasResumed;
  }

  #changeLog(layout: StoreLayout): void {
    const number = (removedNumbers(this.#files, this.#directory).at(-1) ?? 0) + 1;
    const removed = new RemovedDirectory(this.#files, this.#directory, number);
    const plan: RepairPlan = { moves: [], resizes: [], writes: [], generations: undefined, report: {} };
    const wanted = layout.sizes.mappedFileSizeCommitLog;
    removed.create();
    for (const { file, remedy } of layout.problems) {
      if (remedy === 'MOVE') plan.moves.push(file);
      if (remedy !== 'RESIZE') continue;
      if ((this.#files.stat(joinPath(this.#directory, file))?.sizeBytes ?? 0) > wanted) removed.keepEnd(file, wanted);
      plan.resizes.push({ file, sizeBytes: wanted });
    }
    const firstDamage = this.#planHoles(layout, removed, plan);
    plan.generations = this.#generations(firstDamage, plan);
    plan.report = { moved: [...plan.moves], resized: plan.resizes, holes: this.#holes, refusals: this.#refusals };
    // Without them a start believes nothing and holds queues and index against the whole log.
    this.#keepMarks(plan);
    if (plan.moves.length + plan.resizes.length + plan.writes.length === 0) {
      removed.discard();
      return;
    }
    removed.writePlan(plan);
    removed.carryOut();
    this.#kept.push(removed.path);
  }

  /** Returns where the log is damaged first. */
  #planHoles(layout: StoreLayout, removed: RemovedDirectory, plan: RepairPlan): CommitLogOffset | undefined {
    const view = new LogView({ files: this.#files, directory: this.#directory, sizes: layout.sizes });
    try {
      const segmentBytes = layout.sizes.mappedFileSizeCommitLog;
      for (const part of view.walk()) {
        if (part.kind === 'HOLE' && view.book.holes.length > HOLES_MAX) {
          throw new FoldlogError('CORRUPTION', `the log has more than ${HOLES_MAX} holes: restore it from a copy`, {
            directory: this.#directory,
          });
        }
      }
      if (view.end.kind === 'GAP') {
        // Nothing in the files behind the gap can be read: no message is in them.
        for (const { start, path } of view.segments.all) {
          if (start >= view.end.position) plan.moves.push(joinPath('commitlog', path.slice(-20)));
        }
      }
      const { book, lost } = view;
      const filling = new HoleFilling({ book, lost, segmentBytes, number: removed.number });
      for (const [number, hole] of book.holes.entries()) {
        const refusal = filling.refusalOf(hole);
        if (refusal) {
          this.#refusals.push(refusal);
          continue;
        }
        for (const { from, to } of filling.piecesOf(hole)) {
          const segment = view.segments.find(from);
          removed.keepBytes(segment, from, to);
          const file = joinPath('commitlog', segmentName(from - (from % segmentBytes)));
          if (!segment) plan.resizes.push({ file, sizeBytes: segmentBytes });
        }
        this.#holes.push({ from: hole.from, to: hole.to, ...planHole(filling, number, removed, plan, segmentBytes) });
      }
      return book.holes[0]?.from ?? (view.end.kind === 'GAP' ? view.end.position : undefined);
    } finally {
      view.close();
    }
  }

  /** Tokens that reach beyond the first damage are void; where it is unknown which keys were lost, all older ones. */
  #generations(firstDamage: CommitLogOffset | undefined, plan: RepairPlan): Generations | undefined {
    const marks = new Marks(this.#files, this.#directory);
    const isUnreadable = plan.moves.includes(joinPath('foldlog', 'generations.json'));
    if (firstDamage === undefined && !isUnreadable) return undefined;
    const isUnsure = this.#holes.some(({ keylessCount, droppedKeyCount }) => keylessCount + droppedKeyCount > 0);
    const logEnd = isUnreadable || isUnsure ? 0 : (firstDamage ?? 0);
    const before = isUnreadable ? { current: GENERATION_BEYOND, ends: [], queues: [] } : marks.read('generations');
    return beginGeneration(before, logEnd, before?.queues ?? []);
  }

  /** The marks that go are kept as well. */
  #keepMarks(plan: RepairPlan): void {
    for (const name of ['derived.json', 'end.json', 'synced', 'generations.json']) {
      const file = joinPath('foldlog', name);
      if (plan.moves.includes(file) || !this.#files.stat(joinPath(this.#directory, file))) continue;
      // Without one that replaces it the generation goes on.
      if (name !== 'generations.json' || plan.generations) plan.moves.push(file);
    }
  }

  /** An ordinary start and stop: it cuts the tail, rebuilds queues and index and leaves a store that stopped cleanly. */
  async #openOnce(sizes: StoreSizes): Promise<void> {
    const { clock, logger, delayLevels, atEndOfTurn } = this.#options;
    let store: MessageStore;
    try {
      store = await MessageStore.open({
        directory: this.#directory,
        ...sizes,
        files: this.#files,
        // It is held already, until everything is done.
        lockDirectory: async () => ({ release: async () => {} }),
        ...(clock ? { clock } : {}),
        ...(logger ? { logger } : {}),
        ...(delayLevels ? { delayLevels } : {}),
        ...(atEndOfTurn ? { atEndOfTurn } : {}),
      });
    } catch (cause) {
      const reasons = [...this.#refusals, messageOf(cause)].join('; ');
      throw new FoldlogError('CORRUPTION', `the store in ${this.#directory} still does not open: ${reasons}`, {
        directory: this.#directory,
        cause,
      });
    }
    await store.close();
  }
}

/** Collects the bytes of one hole, piece by piece. */
function planHole(
  filling: HoleFilling,
  number: number,
  removed: RemovedDirectory,
  plan: RepairPlan,
  segmentBytes: number,
): Filled {
  const collected = new PieceFiles(removed, plan, segmentBytes);
  const filled = filling.fill(
    number,
    (piece) => collected.begin(piece.from),
    (bytes) => collected.add(bytes),
  );
  collected.end();
  return filled;
}

/** The bytes of a piece, gathered to larger writes. */
class PieceFiles {
  readonly #removed: RemovedDirectory;
  readonly #plan: RepairPlan;
  readonly #segmentBytes: number;
  #position: CommitLogOffset = -1;
  #writer: ReturnType<RemovedDirectory['beginNew']> | undefined;

  constructor(removed: RemovedDirectory, plan: RepairPlan, segmentBytes: number) {
    this.#removed = removed;
    this.#plan = plan;
    this.#segmentBytes = segmentBytes;
  }

  begin(position: CommitLogOffset): void {
    this.end();
    this.#position = position;
    this.#writer = this.#removed.beginNew(position);
  }

  add(bytes: Buffer): void {
    this.#writer?.write(bytes);
  }

  end(): void {
    const writer = this.#writer;
    if (!writer) return;
    this.#writer = undefined;
    const sizeBytes = writer.end();
    const position = this.#position;
    const start = position - (position % this.#segmentBytes);
    const file = joinPath('commitlog', segmentName(start));
    this.#plan.writes.push({ file, at: position - start, position, sizeBytes });
  }
}

function sizesOf(options: RepairOptions): Partial<StoreSizes> {
  const { mappedFileSizeCommitLog, mappedFileSizeConsumeQueue, maxHashSlotNum, maxIndexNum } = options;
  return {
    ...(mappedFileSizeCommitLog === undefined ? {} : { mappedFileSizeCommitLog }),
    ...(mappedFileSizeConsumeQueue === undefined ? {} : { mappedFileSizeConsumeQueue }),
    ...(maxHashSlotNum === undefined ? {} : { maxHashSlotNum }),
    ...(maxIndexNum === undefined ? {} : { maxIndexNum }),
  };
}
