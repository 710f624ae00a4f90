/**
 * Who runs from a directory: `<home>/foldlog/run/broker.json` and `namesrv.json`, written when a server is ready and
 * removed when it has stopped. `shutdown` finds its process there. A file that a killed process left is told from a
 * live one by the process's start time, so that a stranger with the same id is never signalled.
 *
 * A process that runs both halves is asked to stop one of them by `stop-<role>` in the same directory and SIGUSR2.
 */
import { hostname } from 'node:os';
import { type Files, joinPath } from '../base/files.js';
import { startMarkOf } from './processIdentity.js';

export type Role = 'broker' | 'namesrv';

/** What stands in the file. */
export interface Running {
  role: Role;
  pid: number;
  startMark: string;
  hostname: string;
  /** Where it listens. */
  address: string;
}

export type Found =
  | { status: 'RUNS'; running: Running }
  /** Its process cannot be seen from here. */
  | { status: 'ON_ANOTHER_HOST'; running: Running }
  | { status: 'NOTHING_RUNS' };

export class RunFiles {
  readonly #directory: string;
  readonly #files: Files;

  constructor({ home, files }: { home: string; files: Files }) {
    this.#directory = joinPath(home, 'foldlog', 'run');
    this.#files = files;
  }

  /** Notes that this process serves the role. */
  write(role: Role, address: string): void {
    const startMark = startMarkOf(process.pid, this.#files) ?? '';
    const running: Running = { role, pid: process.pid, startMark, hostname: hostname(), address };
    this.#files.makeDirectory(this.#directory);
    this.#files.remove(this.#requestFile(role));
    this.#files.writeFile(`${this.#file(role)}.tmp`, `${JSON.stringify(running)}\n`);
    this.#files.rename(`${this.#file(role)}.tmp`, this.#file(role));
  }

  remove(role: Role): void {
    this.#files.remove(this.#file(role));
  }

  find(role: Role): Found {
    const running = this.#read(role);
    if (!running) return { status: 'NOTHING_RUNS' };
    if (running.hostname !== hostname()) return { status: 'ON_ANOTHER_HOST', running };
    const isAlive = running.startMark !== '' && startMarkOf(running.pid, this.#files) === running.startMark;
    return isAlive ? { status: 'RUNS', running } : { status: 'NOTHING_RUNS' };
  }

  /** Leaves the request to stop the role, for the process to find on SIGUSR2. */
  requestStop(role: Role): void {
    this.#files.writeFile(this.#requestFile(role), '');
  }

  /** Takes the request to stop the role; false when there is none. */
  takeStopRequest(role: Role): boolean {
    const isThere = this.#files.stat(this.#requestFile(role)) !== undefined;
    if (isThere) this.#files.remove(this.#requestFile(role));
    return isThere;
  }

  #file(role: Role): string {
    return joinPath(this.#directory, `${role}.json`);
  }

  #requestFile(role: Role): string {
    return joinPath(this.#directory, `stop-${role}`);
  }

  #read(role: Role): Running | undefined {
    try {
      return runningOf(JSON.parse(this.#files.readFile(this.#file(role)).toString()), role);
    } catch {
      // Missing, or torn by a crash: either way it names nobody.
      return undefined;
    }
  }
}

function runningOf(value: unknown, role: Role): Running | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, startMark, hostname: host, address } = value as Record<string, unknown>;
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return { role, pid, startMark: String(startMark), hostname: String(host), address: String(address) };
}
