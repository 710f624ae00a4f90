/**
 * A clock that stands still until a test moves it. Timers run inside {@link ManualClock.advance}, in the order of
 * their due times and, when those are equal, in the order in which they were set, with `now` at their due time.
 * A timer that an action sets runs in the same advance when it falls due in it.
 */
import type { Clock, Timer } from '../base/clock.js';

interface Pending {
  dueAt: number;
  sequence: number;
  action: () => void;
  periodMillis: number | undefined;
}

/** Above this many timer runs in one advance something re-arms itself without end. */
const RUNS_MAX = 1_000_000;

export class ManualClock implements Clock {
  readonly #startMillis: number;
  #elapsed = 0;
  #sequence = 0;
  #armedCount = 0;
  #firedOnceCount = 0;
  readonly #pending = new Set<Pending>();

  constructor(startMillis = Date.parse('2026-01-01T00:00:00Z')) {
    this.#startMillis = startMillis;
  }

  now(): number {
    return this.#startMillis + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  after(delayMillis: number, action: () => void): Timer {
    return this.#arm(delayMillis, action, undefined);
  }

  every(periodMillis: number, action: () => void): Timer {
    return this.#arm(Math.max(1, periodMillis), action, Math.max(1, periodMillis));
  }

  /** How many timers were ever set: as long as it stands still, nothing asked for time. */
  get armedCount(): number {
    return this.#armedCount;
  }

  /** How many timers have run that were set for one time. */
  get firedOnceCount(): number {
    return this.#firedOnceCount;
  }

  /** How many timers wait; 0 after a clean stop. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Milliseconds until the next timer; undefined when none waits. */
  get nextDelayMillis(): number | undefined {
    const next = this.#next(Number.POSITIVE_INFINITY);
    return next && next.dueAt - this.#elapsed;
  }

  /** Moves time on and runs, synchronously, what falls due. Promises settle only after the caller awaits. */
  advance(millis: number): void {
    const end = this.#elapsed + millis;
    for (let runs = 0; ; runs++) {
      const next = this.#next(end);
      if (!next) break;
      if (runs > RUNS_MAX) throw new Error(`more than ${RUNS_MAX} timers ran in one advance of ${millis} ms`);
      this.#elapsed = Math.max(this.#elapsed, next.dueAt);
      if (next.periodMillis === undefined) {
        this.#firedOnceCount += 1;
        this.#pending.delete(next);
      } else {
        next.dueAt += next.periodMillis;
        next.sequence = ++this.#sequence;
      }
      next.action();
    }
    this.#elapsed = end;
  }

  /** As {@link advance}, in steps, giving sockets and promises a turn of the event loop after each. */
  async advanceInSteps(millis: number, stepMillis: number): Promise<void> {
    for (let done = 0; done < millis; done += stepMillis) {
      this.advance(Math.min(stepMillis, millis - done));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #arm(delayMillis: number, action: () => void, periodMillis: number | undefined): Timer {
    this.#armedCount += 1;
    const pending: Pending = {
      dueAt: this.#elapsed + Math.max(0, delayMillis),
      sequence: ++this.#sequence,
      action,
      periodMillis,
    };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  #next(end: number): Pending | undefined {
    let next: Pending | undefined;
    for (const one of this.#pending) {
      if (one.dueAt > end) continue;
      if (!next || one.dueAt < next.dueAt || (one.dueAt === next.dueAt && one.sequence < next.sequence)) next = one;
    }
    return next;
  }
}
