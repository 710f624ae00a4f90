/**
 * Time as a part that is handed in. No other file of src/ calls Date.now, performance.now or setTimeout, so that
 * tests move the clock instead of sleeping. Two real implementations: the system's, and `testing/manualClock.ts`.
 */

/** A running timer. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch; may go back when the machine's clock is set. */
  now(): number;
  /** Milliseconds from an arbitrary start, never going back; for durations. */
  monotonic(): number;
  /** Runs `action` once after `delayMillis`. The timer does not keep the process alive unless `keepAlive`. */
  after(delayMillis: number, action: () => void, options?: { keepAlive?: boolean }): Timer;
  /** Runs `action` every `periodMillis`, first after one period. Never keeps the process alive. */
  every(periodMillis: number, action: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMillis, action, options) {
    const handle = setTimeout(action, delayMillis);
    if (!options?.keepAlive) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(periodMillis, action) {
    const handle = setInterval(action, periodMillis);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
};

/** The longest period of a timer of Node.js. */
const LONGEST_MILLIS = 2 ** 31 - 1;

/**
 * Keeps the process alive until what it returns is called. For what works within the process alone: no socket and no
 * timer that counts would keep the event loop going.
 */
export function keepProcessAlive(): () => void {
  const handle = setInterval(() => {}, LONGEST_MILLIS);
  return () => clearInterval(handle);
}

/** Resolves after `delayMillis` of the given clock, or at once when the signal aborts. Keeps the process alive. */
export function delay(clock: Clock, delayMillis: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(delayMillis, done, { keepAlive: true });
    signal?.addEventListener('abort', done, { once: true });
  });
}
