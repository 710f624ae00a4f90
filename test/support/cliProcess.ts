/** Runs a command line entry point from its source, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

export class CliProcess {
  readonly child: ChildProcess;
  /** Exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  stdout = '';
  stderr = '';
  readonly #waiting = new Set<() => void>();

  constructor(words: readonly string[], { bin = 'main', env = {} }: { bin?: string; env?: NodeJS.ProcessEnv } = {}) {
    const { NAMESRV_ADDR: _unset, ...inherited } = process.env;
    this.child = spawn(process.execPath, ['--import', 'tsx', path.join(root, `src/cli/${bin}.ts`), ...words], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inherited, NO_COLOR: '1', ...env },
    });
    const collect = (name: 'stdout' | 'stderr') =>
      this.child[name]?.setEncoding('utf8').on('data', (text: string) => {
        this[name] += text;
        for (const look of [...this.#waiting]) look();
      });
    collect('stdout');
    collect('stderr');
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'));
    });
  }

  /** Lines of stderr. */
  get errors(): string[] {
    return this.stderr.split('\n').filter((line) => line !== '');
  }

  /** Resolves with the match as soon as stdout has it; rejects when the process ends before. */
  async out(pattern: RegExp): Promise<RegExpExecArray> {
    const found = new Promise<RegExpExecArray>((resolve) => {
      const look = () => {
        const match = pattern.exec(this.stdout);
        if (!match) return;
        this.#waiting.delete(look);
        resolve(match);
      };
      this.#waiting.add(look);
      look();
    });
    const ended = this.exited.then((code) => {
      if (pattern.test(this.stdout)) return found;
      throw new Error(`ended with ${code} without ${pattern}; stdout: ${this.stdout} stderr: ${this.stderr}`);
    });
    return Promise.race([found, ended]);
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}
