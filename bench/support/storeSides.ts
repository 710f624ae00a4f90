/** Starts the sides of the comparison (`storeSide.ts`) as processes and asks them one thing at a time. */
import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import type { Sample } from './comparedStore.js';
import type { SideAnswer, SideName, SideRequest } from './storeSide.js';

const script = path.join(import.meta.dirname, 'storeSide.ts');

export class StoreSide {
  readonly name: SideName;
  readonly #child: ChildProcess;
  #waiting: { resolve: (sample: Sample | undefined) => void; reject: (error: Error) => void } | undefined;

  private constructor(name: SideName, child: ChildProcess) {
    this.name = name;
    this.#child = child;
    child.on('message', (answer: SideAnswer) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if ('error' in answer) waiting?.reject(new Error(`${name}: ${answer.error}`));
      else waiting?.resolve(answer.sample);
    });
    child.once('exit', (code, signal) => this.#waiting?.reject(new Error(`${name} ended with ${code ?? signal}`)));
    process.once('exit', () => child.kill('SIGKILL'));
  }

  static async start(name: SideName, directory: string, url = ''): Promise<StoreSide> {
    const child = fork(script, [name, directory, url], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 2, 'ipc'],
    });
    const side = new StoreSide(name, child);
    await side.#answered();
    return side;
  }

  async ask(request: SideRequest): Promise<void> {
    await this.#ask(request);
  }

  /** Throws when the work failed, or the process is gone. */
  async sample(request: SideRequest): Promise<Sample> {
    const sample = await this.#ask(request);
    if (!sample) throw new Error(`${this.name} gave no sample of ${request.does}`);
    return sample;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    await this.ask({ does: 'close' });
    await ended;
  }

  #ask(request: SideRequest): Promise<Sample | undefined> {
    const answered = this.#answered();
    this.#child.send(request);
    return answered;
  }

  #answered(): Promise<Sample | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }
}
