/**
 * An application on a clock that is moved by hand. Time goes from one timer to the next, and at each it waits until the
 * application has come to rest, so that everything happens at the time that it was due at.
 *
 * At rest means: for a number of turns of the event loop nothing was stored and no timer was set. What goes on outside
 * of that (a real timer, the network, a real disk) is not seen; with storage in memory the application has none of it.
 */
import { delay, systemClock } from '../base/clock.js';
import type { ManualClock } from './manualClock.js';

/** A message between the parts of an application takes one turn; the longest way of an event from log to handler few. */
const STILL_TURNS = 12;
/** After timers that come again and again (scans and saves), unless something comes of them. */
const STILL_TURNS_PERIODIC = 2;
/** Something that goes on without end is not waited for. */
const TURNS_MAX = 100_000;
/** Real time in which what does not come to an end may come to it without time being moved. */
const GRACE_MILLIS = 20;

export interface VirtualTimeParts {
  clock: ManualClock;
  /** Counts what was stored. */
  changes: () => number;
}

export class VirtualTime {
  readonly #clock: ManualClock;
  readonly #changes: () => number;

  constructor({ clock, changes }: VirtualTimeParts) {
    this.#clock = clock;
    this.#changes = changes;
  }

  /** Resolves when the application is at rest. */
  rest(): Promise<void> {
    return this.#rest(STILL_TURNS);
  }

  /** Moves time on and lets happen what falls due, each at its time. */
  async advance(millis: number): Promise<void> {
    const end = this.#clock.monotonic() + millis;
    await this.rest();
    // Fractions of a millisecond add up otherwise than they divide.
    for (let left = millis; left > 1e-6; left = end - this.#clock.monotonic()) {
      await this.step(left);
    }
  }

  /** To the next timer, at most so far; answers how far. */
  async step(millisMax: number): Promise<number> {
    const millis = Math.min(millisMax, this.#clock.nextDelayMillis ?? millisMax);
    const fired = this.#clock.firedOnceCount;
    const before = this.#activity();
    this.#clock.advance(millis);
    const isPeriodic = this.#clock.firedOnceCount === fired && this.#activity() === before;
    await this.#rest(isPeriodic ? STILL_TURNS_PERIODIC : STILL_TURNS);
    return millis;
  }

  /** Waits for the promise; when it needs time to pass, time passes. */
  async passFor<T>(promise: Promise<T>, stepMaxMillis: number): Promise<T> {
    let isPending = true;
    const done = () => {
      isPending = false;
    };
    promise.then(done, done);
    while (isPending) {
      await this.rest();
      for (let waited = 0; isPending && waited < GRACE_MILLIS; waited++) await delay(systemClock, 1);
      if (isPending) await this.step(stepMaxMillis);
    }
    return promise;
  }

  async #rest(turnsAtLeast: number): Promise<void> {
    let wanted = turnsAtLeast;
    let before = this.#activity();
    for (let turns = 0, still = 0; still < wanted && turns < TURNS_MAX; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = this.#activity();
      still += 1;
      if (now === before) continue;
      before = now;
      still = 0;
      wanted = STILL_TURNS;
    }
  }

  #activity(): number {
    return this.#clock.armedCount + this.#changes();
  }
}
