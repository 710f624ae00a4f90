/**
 * One thing that is counted, over the last minute, hour and day. A count costs two additions: it goes into the ten
 * seconds under way, which are folded into the three windows when they are over. A window covers whole slots of the past
 * and what is under way, so it is up to one slot longer than its name says; rates are over the time that it covers, or
 * over the life of the item when that is shorter. Upstream: `StatsItem`, which samples by timers.
 */

/** Slots of the windows; each is a multiple of the first. */
const SLOT_MILLIS = 10_000;
const WINDOWS = {
  statsMinute: { slotMillis: SLOT_MILLIS, slots: 6 },
  statsHour: { slotMillis: 600_000, slots: 6 },
  statsDay: { slotMillis: 3_600_000, slots: 24 },
} as const;

export type StatsWindow = keyof typeof WINDOWS;

export interface StatsFigures {
  /** Of the values counted. */
  sum: number;
  /** `sum` per second. */
  tps: number;
  /** `sum` per count. */
  avgpt: number;
}

export class StatsItem {
  readonly #startedAt: number;
  readonly #rings: Record<StatsWindow, Ring>;
  /** Number of the ten seconds under way. */
  #slot: number;
  #value = 0;
  #times = 0;

  /** @param now milliseconds since the epoch, as in all methods */
  constructor(now: number) {
    this.#startedAt = now;
    this.#slot = Math.floor(now / SLOT_MILLIS);
    this.#rings = {
      statsMinute: new Ring(WINDOWS.statsMinute),
      statsHour: new Ring(WINDOWS.statsHour),
      statsDay: new Ring(WINDOWS.statsDay),
    };
  }

  /** When it was last counted, to ten seconds. */
  get countedAt(): number {
    return this.#slot * SLOT_MILLIS;
  }

  add(now: number, value: number, times = 1): void {
    const slot = Math.floor(now / SLOT_MILLIS);
    // A clock that was put back: all goes into the slot that was under way.
    if (slot > this.#slot) this.#fold(slot);
    this.#value += value;
    this.#times += times;
  }

  figures(window: StatsWindow, now: number): StatsFigures {
    const ring = this.#rings[window];
    const past = ring.sums(now);
    const isUnderWay = ring.covers(this.#slot * SLOT_MILLIS, now);
    const sum = past.value + (isUnderWay ? this.#value : 0);
    const times = past.times + (isUnderWay ? this.#times : 0);
    const millis = Math.max(1000, Math.min(now - this.#startedAt, ring.coveredMillis(now)));
    return { sum, tps: (sum * 1000) / millis, avgpt: times === 0 ? 0 : sum / times };
  }

  #fold(slot: number): void {
    const at = this.#slot * SLOT_MILLIS;
    for (const ring of Object.values(this.#rings)) ring.add(at, this.#value, this.#times);
    this.#slot = slot;
    this.#value = 0;
    this.#times = 0;
  }
}

/** Sums per slot; one more slot than the window has, for the one under way. */
class Ring {
  readonly #slotMillis: number;
  readonly #values: Float64Array;
  readonly #times: Float64Array;
  /** Number of the newest slot that holds something. */
  #newest = -1;

  constructor({ slotMillis, slots }: { slotMillis: number; slots: number }) {
    this.#slotMillis = slotMillis;
    this.#values = new Float64Array(slots + 1);
    this.#times = new Float64Array(slots + 1);
  }

  add(at: number, value: number, times: number): void {
    const slot = Math.max(this.#newest, Math.floor(at / this.#slotMillis));
    const size = this.#values.length;
    const from = Math.max(this.#newest + 1, slot - size + 1);
    for (let fresh = from; fresh <= slot; fresh += 1) {
      this.#values[fresh % size] = 0;
      this.#times[fresh % size] = 0;
    }
    this.#newest = slot;
    const index = slot % size;
    this.#values[index] = (this.#values[index] ?? 0) + value;
    this.#times[index] = (this.#times[index] ?? 0) + times;
  }

  sums(now: number): { value: number; times: number } {
    const size = this.#values.length;
    let value = 0;
    let times = 0;
    for (let slot = this.#newest; slot > this.#newest - size && slot >= this.#oldest(now); slot -= 1) {
      value += this.#values[slot % size] ?? 0;
      times += this.#times[slot % size] ?? 0;
    }
    return { value, times };
  }

  covers(at: number, now: number): boolean {
    return Math.floor(at / this.#slotMillis) >= this.#oldest(now);
  }

  coveredMillis(now: number): number {
    return now - this.#oldest(now) * this.#slotMillis;
  }

  #oldest(now: number): number {
    return Math.max(0, Math.floor(now / this.#slotMillis) - this.#values.length + 1);
  }
}
