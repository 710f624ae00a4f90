/**
 * A bounded map that forgets what was not used for long, in two generations: when the young one is full it becomes the
 * old one, and the old one is dropped. Costs one look-up more than a Map and no bookkeeping. What a value weighs is
 * asked when it enters a generation; one that grows afterwards says so.
 */
export class RecentMap<Key, Value> {
  readonly #half: number;
  readonly #weightOf: (value: Value) => number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();
  #youngWeight = 0;

  /** Holds at most `weightMax`, and half of it at least; but a single value beyond that stays, too, while it is used. */
  constructor(weightMax: number, weightOf: (value: Value) => number = () => 1) {
    this.#half = Math.max(1, Math.floor(weightMax / 2));
    this.#weightOf = weightOf;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Value): void {
    const { size } = this.#young;
    this.#young.set(key, value);
    if (this.#young.size > size) this.grew(this.#weightOf(value));
  }

  /** A value that was used last weighs this much more now. */
  grew(weight: number): void {
    this.#youngWeight += weight;
    if (this.#youngWeight < this.#half) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngWeight = 0;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngWeight = 0;
  }
}
