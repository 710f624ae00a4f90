/**
 * Pages of slots, blocks of entries and checks of index files, kept in memory within a bound of bytes. What is put is
 * copied into memory that is taken once, a megabyte at a time where it is first needed, so that a look-up leaves nothing
 * to collect. A key belongs to one group of eight places; a full group gives up a block that was not asked for since the
 * last time round (second chance).
 *
 * Each user reserves a range of keys, and a new one when what it reads has changed, so that nothing stale is ever found.
 */
import { assert } from '../../base/assert.js';

const KEYS_PER_RANGE = 2 ** 26;
const PLACES_PER_GROUP = 8;
const PLACES_PER_SLAB = 256;

/** Size of the largest block. */
export const BLOCK_BYTES_MAX = 4096;

export class BlockCache {
  /** Where a block is read to and looked at before it is put: for one read at a time. */
  readonly scratch = Buffer.allocUnsafeSlow(BLOCK_BYTES_MAX);
  readonly #groupCount: number;
  /** By place; 0 is nobody's key. */
  readonly #keys: Float64Array;
  readonly #isUsed: Uint8Array;
  /** By group: the place that is looked at next when one is wanted. */
  readonly #hands: Uint8Array;
  readonly #slabs: (Buffer | undefined)[] = [];
  #reserved = 0;

  /** Keeps one group of blocks at least. */
  constructor(bytesMax: number) {
    this.#groupCount = Math.max(1, Math.floor(bytesMax / (BLOCK_BYTES_MAX * PLACES_PER_GROUP)));
    this.#keys = new Float64Array(this.#groupCount * PLACES_PER_GROUP);
    this.#isUsed = new Uint8Array(this.#keys.length);
    this.#hands = new Uint8Array(this.#groupCount);
  }

  /** First of a range of 2^26 keys that nobody else uses. */
  reserveKeys(): number {
    this.#reserved += 1;
    return this.#reserved * KEYS_PER_RANGE;
  }

  /** At least as long as what was put. It is the cache's: look at it, or change what it says, before the next {@link put}. */
  get(key: number): Buffer | undefined {
    const place = this.find(key);
    return place < 0 ? undefined : this.#block(place);
  }

  /** The place that holds the block of a key; -1 when none does. It is that block's until the next {@link put}. */
  find(key: number): number {
    const place = this.#find(key);
    if (place >= 0) this.#isUsed[place] = 1;
    return place;
  }

  /** The memory that holds a place, and from where on: for looking at a few bytes without a view made for them. */
  memoryOf(place: number): Buffer {
    const slab = Math.floor(place / PLACES_PER_SLAB);
    return this.#slabs[slab] ?? this.#takeSlab(slab);
  }

  startOf(place: number): number {
    return (place % PLACES_PER_SLAB) * BLOCK_BYTES_MAX;
  }

  put(key: number, bytes: Buffer): void {
    assert(bytes.length <= BLOCK_BYTES_MAX, 'a block fits its place');
    const found = this.#find(key);
    const place = found < 0 ? this.#freePlace(this.#groupOf(key)) : found;
    this.#keys[place] = key;
    // Not used until it is asked for again: a walk over many blocks does not drive out those that are.
    this.#isUsed[place] = 0;
    bytes.copy(this.#block(place));
  }

  #groupOf(key: number): number {
    // Keys of one range follow each other, and ranges are 2^26 apart: both must spread.
    return (
      (Math.imul((key % KEYS_PER_RANGE) ^ Math.imul(key / KEYS_PER_RANGE, 0x85ebca6b), 0x9e3779b1) >>> 0) %
      this.#groupCount
    );
  }

  /** The place that holds the key; -1 when none does. */
  #find(key: number): number {
    const first = this.#groupOf(key) * PLACES_PER_GROUP;
    for (let place = first; place < first + PLACES_PER_GROUP; place += 1) if (this.#keys[place] === key) return place;
    return -1;
  }

  #freePlace(group: number): number {
    for (;;) {
      const hand = this.#hands[group] ?? 0;
      this.#hands[group] = (hand + 1) % PLACES_PER_GROUP;
      const place = group * PLACES_PER_GROUP + hand;
      if (this.#isUsed[place] === 0) return place;
      this.#isUsed[place] = 0;
    }
  }

  #block(place: number): Buffer {
    const at = this.startOf(place);
    return this.memoryOf(place).subarray(at, at + BLOCK_BYTES_MAX);
  }

  #takeSlab(slab: number): Buffer {
    const count = Math.min(PLACES_PER_SLAB, this.#keys.length - slab * PLACES_PER_SLAB);
    const bytes = Buffer.allocUnsafeSlow(count * BLOCK_BYTES_MAX);
    this.#slabs[slab] = bytes;
    return bytes;
  }
}
