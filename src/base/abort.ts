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
