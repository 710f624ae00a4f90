/** Runs the seeds from <from> to <to> in a process of its own; the last line it prints is its coverage, or what failed. */
import { Coverage } from './coverage.js';
import { runSeed } from './runSeeds.js';

const [from = 1, to = 0] = process.argv.slice(2).map(Number);
const coverage = new Coverage();
let failure: string | undefined;
for (let seed = from; seed <= to && failure === undefined; seed += 1) {
  try {
    await runSeed(seed, coverage);
  } catch (error) {
    const { message, cause } = error as Error;
    failure = `${message}\n${cause instanceof Error ? cause.stack : String(cause)}`;
  }
}
process.stdout.write(`${JSON.stringify({ counts: coverage.counts, failure })}\n`);
