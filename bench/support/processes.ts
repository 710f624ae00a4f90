/** Starts `storeProcess.ts` and reads what it found. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Opened } from './storeProcess.js';

const script = path.join(import.meta.dirname, 'storeProcess.ts');

function run(args: readonly string[]): { stdout: string; signal: NodeJS.Signals | null; status: number | null } {
  return spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', script, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Opens a store in a fresh process; without a directory, only loads the code. */
export function openInProcess(directory?: string): Opened {
  const { stdout, status } = run(directory === undefined ? ['none'] : ['open', directory]);
  if (status !== 0) throw new Error(`the process that opened ${directory ?? 'nothing'} ended with ${status}`);
  return JSON.parse(stdout) as Opened;
}

/** Opens a store in a process that appends and is then killed. */
export function crashInProcess(directory: string, messageCount: number): void {
  const { signal, status } = run(['crash', directory, String(messageCount)]);
  if (signal !== 'SIGKILL') throw new Error(`the process that was to be killed ended with ${status}`);
}
