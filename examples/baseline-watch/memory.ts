/**
 * The memory of all processes of the run together, npm included: the sum of their proportional set sizes, so that
 * pages they share count once. Needs Linux's /proc; elsewhere nothing is measured.
 */
import { readdirSync, readFileSync } from 'node:fs';

const SAMPLE_MILLIS = 4_000;

export class MemoryWatch {
  #peakBytes = 0;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.sample();
    this.#timer = setInterval(() => this.sample(), SAMPLE_MILLIS);
    this.#timer.unref();
  }

  /** Undefined where it cannot be measured. */
  get peakMiB(): number | undefined {
    return this.#peakBytes === 0 ? undefined : Math.ceil(this.#peakBytes / 2 ** 20);
  }

  sample(): void {
    const parents = parentsByPid();
    const root = rootOf(process.pid, parents);
    let bytes = 0;
    for (const pid of parents.keys()) {
      if (descendsFrom(pid, root, parents)) bytes += proportionalBytes(pid);
    }
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function parentsByPid(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const name of list('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? read(`/proc/${name}/stat`) : '';
    // The program's name stands in parentheses and may hold anything; state and parent follow it.
    const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
    if (parent) parents.set(pid, Number(parent));
  }
  return parents;
}

/** The npm that started this process, or this process. */
function rootOf(pid: number, parents: Map<number, number>): number {
  let root = pid;
  for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at)) {
    if (/^npm |\bnpm(-cli\.js)?\0/.test(read(`/proc/${at}/cmdline`))) root = at;
  }
  return root;
}

function descendsFrom(pid: number, root: number, parents: Map<number, number>): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 0; at = parents.get(at)) if (at === root) return true;
  return false;
}

function proportionalBytes(pid: number): number {
  const kibibytes = /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1];
  return Number(kibibytes ?? 0) * 1024;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // The process has ended, or there is no /proc.
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
