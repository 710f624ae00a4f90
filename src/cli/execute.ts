/**
 * Runs a command line in this process and ends it with the command's exit code. What nobody caught ends the process
 * too, with one line: a server that lost its way must not go on serving.
 */
import { EXIT, errorLine } from './errorLine.js';
import { processTerminal, type Terminal } from './terminal.js';

/** A command that has ended but left something open is ended after this long. */
const LINGER_MILLIS = 1000;

export async function execute(run: (terminal: Terminal, words: readonly string[]) => Promise<number>): Promise<void> {
  const terminal = processTerminal();
  const words = process.argv.slice(2);
  const verbose = words.includes('--verbose');
  process.on('uncaughtException', (error) => {
    terminal.err(`foldlog: ${errorLine(error, { verbose })}`);
    process.exit(EXIT.FAILED);
  });
  const exitCode = await run(terminal, words);
  process.exitCode = exitCode;
  terminal.clock.after(LINGER_MILLIS, () => {
    if (verbose) terminal.err(`foldlog: left open: ${process.getActiveResourcesInfo().join(', ')}`);
    process.exit(exitCode);
  });
}
