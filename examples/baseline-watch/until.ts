/** Waits for something that another process does. */

const PAUSE_MILLIS = 100;
const LIMIT_MILLIS = 45_000;

/** False when it was in vain: the table at the end shows what is missing. */
export async function until(isSo: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + LIMIT_MILLIS;
  while (!(await isSo())) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLIS));
  }
  return true;
}
