/** The four processes from outside: starts them, kills them, starts them again, and knows what each still owes. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Work } from './load.js';
import type { Answer, WriterOptions } from './writerProcess.js';

export type Outcome = Exclude<Answer, { ready: unknown }> | { lost: true };

interface Running {
  child: ChildProcess;
  ready: Promise<{ namesrv: string; broker: string | undefined }>;
  owed: Map<number, (outcome: Outcome) => void>;
}

const SCRIPT = path.join(import.meta.dirname, 'writerProcess.ts');

export class WriterPool {
  readonly #options: WriterOptions[];
  readonly #running: (Running | undefined)[] = [];
  #nextId = 0;
  #nextSeed: number;

  constructor(options: readonly WriterOptions[]) {
    this.#options = [...options];
    this.#nextSeed = (options[0]?.seed ?? 0) + 1000;
  }

  /** Resolves when the process of this place serves. */
  start(
    place: number,
    changes: Partial<WriterOptions['app']> = {},
  ): Promise<{ namesrv: string; broker: string | undefined }> {
    const before = this.#options[place];
    if (!before) throw new RangeError(`there is no process ${place}`);
    const options = { app: { ...before.app, ...changes }, seed: this.#nextSeed++ };
    this.#options[place] = options;
    const child = fork(SCRIPT, [JSON.stringify(options)], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const owed: Running['owed'] = new Map();
    const ready = new Promise<{ namesrv: string; broker: string | undefined }>((resolve, reject) => {
      child.on('message', (answer: Answer) => {
        if ('ready' in answer) resolve(answer.ready);
        else {
          owed.get(answer.id)?.(answer);
          owed.delete(answer.id);
        }
      });
      child.once('close', (code) => {
        reject(new Error(`writer ${place} ended with ${code}: ${stderr}`));
        for (const settle of owed.values()) settle({ lost: true });
        owed.clear();
      });
    });
    ready.catch(() => {});
    this.#running[place] = { child, ready, owed };
    return ready;
  }

  /** The work's outcome at this process, or that the process died over it. */
  async work(place: number, work: Work): Promise<Outcome> {
    const running = this.#running[place];
    if (!running) return { lost: true };
    await running.ready.catch(() => {});
    const id = this.#nextId++;
    return new Promise((settle) => {
      if (running.child.exitCode !== null || running.child.signalCode !== null) return settle({ lost: true });
      running.owed.set(id, settle);
      running.child.send({ id, work }, (error) => {
        if (error && running.owed.delete(id)) settle({ lost: true });
      });
    });
  }

  /** Ends the process without a word and starts it again. */
  async crash(place: number, changes?: Partial<WriterOptions['app']>): Promise<void> {
    const child = this.#running[place]?.child;
    if (child) await this.#kill(child);
    await this.start(place, changes);
  }

  async close(): Promise<void> {
    await Promise.all(this.#running.map((one) => one && this.#kill(one.child)));
  }

  async #kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }
}
