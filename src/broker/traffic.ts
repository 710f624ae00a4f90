/**
 * Messages per second, in ten-second slots of the last ten minutes, and what was counted up to this morning and
 * yesterday morning (local midnight); counting costs an addition. Upstream: `StoreStatsService`, `BrokerStats`, which
 * sample by threads and timers.
 */
const SLOT_MILLIS = 10_000;
const SLOTS = 64;
const MINUTE_SLOTS = 6;

export class Traffic {
  readonly #counts = new Array<number>(SLOTS).fill(0);
  #slot = 0;
  #total = 0;
  #todayMorning = 0;
  #yesterdayMorning = 0;
  /** When the day under way ends; 0 before the first count. */
  #dayEnd = 0;

  get total(): number {
    return this.#total;
  }

  /** @param now milliseconds since the epoch */
  count(now: number, messages = 1): void {
    this.#moveTo(now);
    this.#counts[this.#slot % SLOTS] = (this.#counts[this.#slot % SLOTS] ?? 0) + messages;
    this.#total += messages;
  }

  /** Totals at the beginning of this day and of the one before, since the start of the broker. */
  mornings(now: number): { today: number; yesterday: number } {
    this.#moveTo(now);
    return { today: this.#todayMorning, yesterday: this.#yesterdayMorning };
  }

  /** Per second over the last whole 10 s, minute and ten minutes, as upstream's tools read it. */
  ratesText(now: number): string {
    this.#moveTo(now);
    return [1, MINUTE_SLOTS, 10 * MINUTE_SLOTS].map((slots) => this.#rate(slots).toFixed(2)).join(' ');
  }

  #rate(slots: number): number {
    let sum = 0;
    for (let back = 1; back <= slots; back += 1) sum += this.#counts[(this.#slot - back + SLOTS) % SLOTS] ?? 0;
    return (sum * 1000) / (slots * SLOT_MILLIS);
  }

  #moveTo(now: number): void {
    const slot = Math.floor(now / SLOT_MILLIS);
    if (slot <= this.#slot) return;
    const fresh = Math.min(slot - this.#slot, SLOTS);
    for (let back = 0; back < fresh; back += 1) this.#counts[(slot - back) % SLOTS] = 0;
    this.#slot = slot;
    if (now >= this.#dayEnd) this.#beginDay(now);
  }

  #beginDay(now: number): void {
    const isNextDay = this.#dayEnd > 0 && now < nextMidnight(this.#dayEnd);
    this.#yesterdayMorning = isNextDay ? this.#todayMorning : this.#dayEnd > 0 ? this.#total : 0;
    this.#todayMorning = this.#dayEnd > 0 ? this.#total : 0;
    this.#dayEnd = nextMidnight(now);
  }
}

/** The local midnight after a time. */
function nextMidnight(time: number): number {
  const day = new Date(time);
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + 1).getTime();
}
