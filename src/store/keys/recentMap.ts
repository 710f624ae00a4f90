/**
 * A bounded map that forgets what was not used for long, in two generations: when the young one is full it becomes the
 * old one, and the old one is dropped. Costs one look-up more than a Map and no bookkeeping.
 */
export class RecentMap<Value> {
  readonly #half: number;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  /** Holds at least half of `countMax` and at most `countMax` entries. */
  constructor(countMax: number) {
    this.#half = Math.max(1, Math.floor(countMax / 2));
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: Value): void {
    this.#young.set(key, value);
    if (this.#young.size < this.#half) return;
    this.#old = this.#young;
    this.#young = new Map();
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
