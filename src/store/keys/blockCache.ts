/**
 * Small blocks of index files that never change any more, kept in memory, the least recently used dropped first.
 * Each file reserves a range of keys, and a new one when its blocks change, so that nothing stale is ever found.
 */
const KEYS_PER_RANGE = 2 ** 26;

export class BlockCache {
  readonly #countMax: number;
  readonly #blocks = new Map<number, Buffer>();
  #reserved = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** First of a range of 2^26 keys that nobody else uses. */
  reserveKeys(): number {
    this.#reserved += 1;
    return this.#reserved * KEYS_PER_RANGE;
  }

  get(key: number): Buffer | undefined {
    const block = this.#blocks.get(key);
    if (block) {
      this.#blocks.delete(key);
      this.#blocks.set(key, block);
    }
    return block;
  }

  put(key: number, block: Buffer): Buffer {
    this.#blocks.set(key, block);
    if (this.#blocks.size > this.#countMax) {
      for (const oldest of this.#blocks.keys()) {
        this.#blocks.delete(oldest);
        break;
      }
    }
    return block;
  }
}
