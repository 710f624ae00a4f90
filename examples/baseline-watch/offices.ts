/** Both offices, seen from the run: a process that is asked for reports. */
import type { ChildProcess } from 'node:child_process';
import type { OfficeReport } from './office.js';
import { failureOf, messageOf, type Processes } from './processes.js';

export type Reports = readonly [OfficeReport, OfficeReport];

const NAME = 'the process of the offices';

export class Offices {
  readonly #processes: Processes;
  readonly #child: ChildProcess;
  readonly #over = new AbortController();
  /** Rejects when the process ends without being told to. */
  readonly failure: Promise<never>;

  private constructor(processes: Processes, child: ChildProcess) {
    this.#processes = processes;
    this.#child = child;
    this.failure = failureOf(child, NAME, this.#over.signal);
    this.failure.catch(() => {});
  }

  /** Resolves when both are connected. */
  static async start(processes: Processes, namesrvAddr: string, directory: string): Promise<Offices> {
    const child = processes.fork('./officesService.ts', namesrvAddr, directory);
    await messageOf(child, NAME);
    return new Offices(processes, child);
  }

  async reports(): Promise<Reports> {
    const answer = messageOf(this.#child, NAME);
    // Whether it could be sent shows in the answer.
    this.#child.send('report', () => {});
    return (await answer) as Reports;
  }

  /** Has the group settled so many messages, and nothing left? */
  async areSettled(group: string, stored: number): Promise<boolean> {
    const lags = (await this.reports()).flatMap(({ lag }) => lag).filter((lag) => lag.group === group);
    // A queue that moves from one office to the other just now is missing from the ends.
    const end = lags.reduce((sum, lag) => sum + lag.end, 0);
    return end === stored && lags.every(({ behind }) => behind === 0);
  }

  stop(): Promise<void> {
    this.#over.abort();
    return this.#processes.stop(this.#child);
  }
}
