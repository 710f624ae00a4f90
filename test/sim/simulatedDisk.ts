/**
 * Faults over the file operations of a run: counts each change of the disk by what it is and which file it concerns, and
 * lets one of them, drawn before, be the process's last, or fail. Also a disk that is full for a while.
 */
import { parentOf } from '../../src/base/files.js';
import type { Fault, FaultyFiles, FileOperation } from '../support/faultyFiles.js';
import type { Coverage } from './coverage.js';

export const DIRECTORY = '/data/store';

/** A fault that waits for its change. */
export interface ArmedFault {
  /** After so many more changes; counts only those that `concerns`. */
  after: number;
  kind: 'DIE' | 'EIO';
  /** Asked with the kind of change and what it concerns: `write log`. */
  concerns: (point: string) => boolean;
}

/** What a path is to the store. */
export function fileKind(file: string): string {
  let kind = kinds.get(file);
  if (kind === undefined) {
    kind = kindOf(file);
    if (kinds.size >= KINDS_MAX) kinds.clear();
    kinds.set(file, kind);
  }
  return kind;
}

const KINDS_MAX = 10_000;
const kinds = new Map<string, string>();

function kindOf(file: string): string {
  const parts = file.slice(DIRECTORY.length + 1).split('/');
  const [first = '', second = ''] = parts;
  if (file.length <= DIRECTORY.length) return 'root';
  if (first === 'commitlog') return 'log';
  if (first === 'consumequeue') return 'queue';
  if (first === 'index') return 'index';
  if (first !== 'foldlog') return first;
  if (second.startsWith('cut-')) return 'cut';
  if (second.startsWith('index-')) return 'index checks';
  return second === '' ? 'foldlog' : second.replace(/\.json|\.new/g, '');
}

export class SimulatedDisk {
  files: FaultyFiles;
  readonly #random: () => number;
  readonly #coverage: Coverage;
  #armed: readonly ArmedFault[] = [];
  /** The fault that struck since {@link arm}. */
  struck: string | undefined;
  #isFull = false;
  isHoldingSyncs = false;
  now: () => number = () => 0;
  /** Told before the oldest of several log files is removed. */
  onOldestRemoved: (file: string) => void = () => {};
  #held: (() => void)[] = [];

  constructor(files: FaultyFiles, random: () => number, coverage: Coverage) {
    this.#random = random;
    this.#coverage = coverage;
    this.files = files;
    this.#attach();
  }

  get isDead(): boolean {
    return this.files.isDead;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** Faults that wait, of which the first to come to its change strikes. */
  arm(...faults: readonly ArmedFault[]): void {
    this.#armed = faults;
    this.struck = undefined;
  }

  fill(roomBytes: number): void {
    this.#isFull = true;
    this.files.roomBytes = roomBytes;
  }

  makeRoom(): void {
    this.#isFull = false;
    this.files.roomBytes = Number.POSITIVE_INFINITY;
  }

  /** The process ends; what the next one finds. */
  end(how: 'KILL' | 'POWER_LOSS', dropsStranded = false): void {
    this.replace(how === 'KILL' ? this.files.kill(dropsStranded) : this.files.crash(this.#random));
    this.#coverage.count('end of a process', dropsStranded ? 'killed, failed pages dropped' : how);
  }

  replace(files: FaultyFiles): void {
    this.files = files;
    this.#isFull = false;
    this.isHoldingSyncs = false;
    this.#held = [];
    this.arm();
    this.#attach();
  }

  releaseSyncs(): void {
    this.isHoldingSyncs = false;
    for (const release of this.#held.splice(0)) release();
  }

  #attach(): void {
    const { files } = this;
    files.random = this.#random;
    files.now = () => this.now();
    // Room is only met by writing.
    files.space = () => ({ totalBytes: 1 << 30, availableBytes: 1 << 29 });
    files.beforeSync = (file) => {
      if (!this.isHoldingSyncs || !file.includes('/commitlog/')) return undefined;
      return new Promise<void>((resolve) => void this.#held.push(resolve));
    };
    files.onNoRoom = (file) => this.#coverage.count('ENOSPC', `write ${fileKind(file)}`);
    files.onChange = (operation, file, length) => this.#meet(operation, file, length);
  }

  /** A file that follows others of its kind. */
  #countRollover(file: string): void {
    const kind = fileKind(file);
    if (!['log', 'queue', 'index'].includes(kind)) return;
    if (this.files.list(parentOf(file)).length > 0) this.#coverage.count('rollovers', kind);
  }

  #tellOldest(file: string): void {
    const [oldest, next] = this.files.list(parentOf(file));
    if (next !== undefined && file.endsWith(`/${oldest}`)) this.onOldestRemoved(file);
  }

  #meet(operation: FileOperation, file: string, length: number): Fault | undefined {
    const point = `${operation} ${fileKind(file)}`;
    this.#coverage.count('file operations', point);
    if (operation === 'create') this.#countRollover(file);
    if (operation === 'remove' && point === 'remove log') this.#tellOldest(file);
    for (const armed of this.#armed) {
      if (!armed.concerns(point)) continue;
      if (armed.after > 0) armed.after -= 1;
      else {
        this.#armed = [];
        this.struck = `${armed.kind} at ${point}`;
        this.#coverage.count(armed.kind === 'DIE' ? 'last operation of a process' : 'EIO', point);
        const doneBytes = Math.floor(this.#random() * (length + 1));
        return armed.kind === 'DIE' ? { kind: 'DIE', doneBytes } : { kind: 'FAIL', code: 'EIO', doneBytes };
      }
    }
    // Names want room as well.
    const wantsName = operation === 'create' || operation === 'makeDirectory';
    if (!this.#isFull || !wantsName || this.#random() < 0.5) return undefined;
    this.#coverage.count('ENOSPC', point);
    return { kind: 'FAIL', code: 'ENOSPC' };
  }
}
