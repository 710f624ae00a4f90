/**
 * What a command sees of the process it runs in: its streams, environment, and the log. Commands print results as
 * lines on stdout; everything for people goes to stderr. Tests hand in their own.
 */
import { type Clock, systemClock } from '../base/clock.js';
import { diskFiles, type Files } from '../base/files.js';

export interface Terminal {
  /** Writes a line to stdout. */
  out(line: string): void;
  /** Has the reader of stdout gone away? Whoever writes many lines stops then. */
  readonly isOutClosed: boolean;
  /** Writes a line to stderr. */
  err(line: string): void;
  /** Shows how far something is, in place of what it showed before; '' takes it away. Only where stderr is a terminal. */
  progress?(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly files: Files;
  readonly clock: Clock;
}

/** To the start of the line, the text, and nothing behind it. */
function showProgress(text: string): void {
  process.stderr.write(`\r${text}\u001b[K`);
}

/** The process's own. A reader that went away (`| head`) is not an error. */
export function processTerminal(): Terminal {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    get isOutClosed() {
      return !process.stdout.writable;
    },
    err: (line) => void process.stderr.write(`${line}\n`),
    ...(process.stderr.isTTY ? { progress: showProgress } : {}),
    env: process.env,
    files: diskFiles,
    clock: systemClock,
  };
}
