/**
 * Errors as people see them: one line that says what failed and what to do, and the exit code. Every command's errors
 * pass through here. 1: failed. 2: wrong usage.
 */
import { CommanderError } from 'commander';
import { isFoldlogError, messageOf } from '../base/errors.js';

export const EXIT = { DONE: 0, FAILED: 1, USAGE: 2 } as const;

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EISDIR: 'is a directory',
  ENOTDIR: 'is not a directory',
  EEXIST: 'exists already and is not a directory',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space left on the device',
  EMFILE: 'too many open files: raise the limit (ulimit -n)',
};

/** For arguments that are well formed one by one but do not make sense together. */
export function usageError(message: string): CommanderError {
  return new CommanderError(EXIT.USAGE, 'foldlog.usage', message);
}

export function exitCodeOf(thrown: unknown): number {
  if (!(thrown instanceof CommanderError)) return EXIT.FAILED;
  return thrown.exitCode === 0 ? EXIT.DONE : EXIT.USAGE;
}

/** One line; with `verbose` the stack follows. */
export function errorLine(thrown: unknown, { verbose }: { verbose: boolean }): string {
  const line = describe(thrown).replaceAll(/\s*\n\s*/g, ' ');
  return verbose && thrown instanceof Error && thrown.stack ? `${line}\n${thrown.stack}` : line;
}

function describe(thrown: unknown): string {
  if (isFoldlogError(thrown)) {
    const hint = thrown.code === 'INVARIANT' ? ' (please report it; --verbose shows where)' : '';
    return thrown.message + hint;
  }
  if (thrown instanceof CommanderError) return thrown.message;
  const { code, path } = thrown as NodeJS.ErrnoException;
  if (thrown instanceof Error && code !== undefined && SYSTEM_ERRORS[code] !== undefined) {
    return path === undefined ? `${SYSTEM_ERRORS[code]} (${thrown.message})` : `${path}: ${SYSTEM_ERRORS[code]}`;
  }
  return thrown instanceof Error && code === undefined
    ? `unexpected error: ${messageOf(thrown)} (--verbose shows where)`
    : messageOf(thrown);
}
