/** Runs the independent code in a process of its own and takes what it prints. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Expected } from './independent/main.js';

const OUTPUT_BYTES_MAX = 64 * 2 ** 20;

export async function independently(every: number, day: string, notes: string): Promise<Expected> {
  const program = fileURLToPath(new URL('./independent/main.ts', import.meta.url));
  const words = [
    '--max-semi-space-size=8',
    ...process.execArgv,
    program,
    '--sample',
    String(every),
    '--day',
    day,
    '--notes',
    notes,
  ];
  const { stdout } = await promisify(execFile)(process.execPath, words, { maxBuffer: OUTPUT_BYTES_MAX });
  return JSON.parse(stdout) as Expected;
}
