/**
 * Where the next sync is waited for. On another thread the event loop goes on meanwhile; the two wake-ups of that cost
 * about 60 us of CPU and 50 us of time, half as much again as the sync itself on a device that answers in 100 us. While
 * syncs are that short they are waited for in place, as embedded databases do: what arrives meanwhile waits in the sockets
 * and shares the next one. A device that takes longer, now and then or always, must not hold up a server's other work.
 */

/** Measured around the wait: the wake-ups count for a sync on another thread. */
const SHORT_MILLIS = 0.4;
/** So many short syncs, one after the other, promise another. */
const SHORT_IN_A_ROW = 8;

export class SyncPace {
  #shortInARow = 0;

  get isShort(): boolean {
    return this.#shortInARow >= SHORT_IN_A_ROW;
  }

  took(millis: number): void {
    this.#shortInARow = millis <= SHORT_MILLIS ? this.#shortInARow + 1 : 0;
  }
}
