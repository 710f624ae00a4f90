/** Abort controllers for work that many wait for at once. */
import { setMaxListeners } from 'node:events';

/**
 * A controller whose signal may have any number of listeners. Node warns of a leak from the eleventh on, but one
 * listener per message in hand, or per request under way, is what these signals are for; each is removed again.
 */
export function sharedAbortController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** What the promise gives; undefined when the signal comes first, and for what fails after that. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  let forget = () => {};
  const aborted = new Promise<undefined>((resolve) => {
    const stop = () => resolve(undefined);
    signal.addEventListener('abort', stop, { once: true });
    forget = () => signal.removeEventListener('abort', stop);
  });
  try {
    return await Promise.race([promise, aborted]);
  } catch (thrown) {
    if (signal.aborted) return undefined;
    throw thrown;
  } finally {
    forget();
  }
}
