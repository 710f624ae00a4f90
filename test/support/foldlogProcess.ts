/** Runs the built `foldlog` command as its users do, in a process of its own. Wants `npm run build`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

const main = path.resolve(import.meta.dirname, '../../dist/cli/main.js');

export interface FoldlogProcess {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  /** The first line of stdout that starts with `ready`; rejects when the process ends before. */
  readonly ready: Promise<{ line: string; namesrv: string; broker: string }>;
  kill(signal?: NodeJS.Signals): void;
}

export function foldlog(args: readonly string[], env: Record<string, string> = {}): FoldlogProcess {
  if (!existsSync(main)) throw new Error(`${main} does not exist: run npm run build first`);
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  const ready = new Promise<{ line: string; namesrv: string; broker: string }>((resolve, reject) => {
    child.stdout.on('data', () => {
      const line = stdout.split('\n').find((each) => each.startsWith('ready'));
      if (line === undefined || !stdout.includes(`${line}\n`)) return;
      const address = (name: string) => new RegExp(`${name}=(\\S+)`).exec(line)?.[1] ?? '';
      resolve({ line, namesrv: address('namesrv'), broker: address('broker') });
    });
    exited.then((code) =>
      reject(new Error(`foldlog ${args.join(' ')} ended with ${code} before it was ready: ${stderr}`)),
    );
  });
  ready.catch(() => {});
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    exited,
    ready,
    kill: (signal = 'SIGTERM') => void child.kill(signal),
  };
}
