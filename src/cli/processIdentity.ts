/**
 * Tells a process from a later one with the same id: by when it started. Linux says so in /proc (field 22 of `stat`,
 * in clock ticks since boot); elsewhere `ps` does. A process that has ended but is not yet collected counts as gone.
 */
import { execFileSync } from 'node:child_process';
import { type Files, joinPath } from '../base/files.js';

/** Text that is the same as long as it is the same process; undefined when there is no such process. */
export function startMarkOf(pid: number, files: Files): string | undefined {
  return files.stat('/proc/self/stat') ? markFromProc(pid, files) : markFromPs(pid);
}

function markFromProc(pid: number, files: Files): string | undefined {
  let text: string;
  try {
    text = files.readFile(joinPath('/proc', String(pid), 'stat')).toString();
  } catch {
    return undefined;
  }
  // The name in parentheses may hold blanks and parentheses; what follows the last one is plain fields from field 3.
  const [state, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? undefined : rest[18];
}

function markFromPs(pid: number): string | undefined {
  try {
    const columns = ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)];
    const [state = '', ...started] = execFileSync('ps', columns, { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
      .split(/\s+/);
    return state === '' || state.startsWith('Z') ? undefined : started.join(' ');
  } catch {
    return undefined;
  }
}
