/** Runs one seed. */
import type { Coverage } from './coverage.js';
import { StoreSimulation } from './storeSimulation.js';

/** Throws for the first seed whose run fails, with what was done last. */
export async function runSeed(seed: number, coverage: Coverage): Promise<void> {
  const run = new StoreSimulation(seed, coverage);
  try {
    await run.run();
  } catch (cause) {
    const last = run.history.map((line) => `  ${line}`).join('\n');
    throw new Error(`SIM_SEED=${seed} repeats this run, whose last operations were\n${last}`, { cause });
  }
}
