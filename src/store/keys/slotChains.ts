/**
 * Long chains of the index, by hash. The entries of one slot hang together whatever their hashes, so a look-up passes
 * those of all keys that share its slot, and keys of one slot are easily made. When a walk has passed too many foreign
 * entries, the whole chain is read once and kept by hash; from then on only entries newer than that are walked.
 *
 * A kept chain holds for the contents it was made from ({@link IndexFile.contents}) and as long as entries are only
 * added: whoever removes some calls {@link SlotChains.forgetAll}. What is kept is bounded; a longer chain is walked.
 */
import type { CommitLogOffset } from '../../base/flavours.js';
import type { IndexFile } from './indexFile.js';
import type { IndexEntry } from './indexFormat.js';

/** Foreign entries that a walk passes before the chain is kept, or one that is kept is brought up to date. */
const FOREIGN_MAX = 256;
/** Entries in all kept chains: 60 MiB at most. */
const ENTRIES_MAX = 1_500_000;

interface SlotChain {
  /** Number of the newest entry that is kept. */
  head: number;
  /** Hash -> its newest entry. */
  newest: Map<number, number>;
  /** Entry -> the next older one of the same hash; without those that are the oldest of theirs. */
  older: Map<number, number>;
  /** Longer than may be kept: the maps are empty. */
  isTooLong: boolean;
}

export class SlotChains {
  /** By contents of a file, and by slot. */
  readonly #chains = new Map<number, Map<number, SlotChain>>();
  readonly #entry: IndexEntry = { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
  #entryCount = 0;

  /**
   * The newest entry of the hash in its slot's chain that is not below `downTo`, read into `entry`: its number, or 0 when
   * there is none.
   */
  newest(file: IndexFile, slot: number, keyHash: number, downTo: CommitLogOffset, entry: IndexEntry): number {
    return this.#walk(file, slot, keyHash, downTo, file.slotHead(keyHash), entry);
  }

  /** The next older entry of the hash after `number`, which `entry` holds, read into `entry`: its number, or 0. */
  older(
    file: IndexFile,
    slot: number,
    keyHash: number,
    downTo: CommitLogOffset,
    number: number,
    entry: IndexEntry,
  ): number {
    const { previous } = entry;
    const chain = this.#find(file, slot);
    if (chain && !chain.isTooLong && number <= chain.head) {
      const next = chain.older.get(number) ?? 0;
      if (next > 0) file.readEntry(next, entry);
      return next;
    }
    return previous <= 0 || previous >= number ? 0 : this.#walk(file, slot, keyHash, downTo, previous, entry);
  }

  /** After entries were removed. */
  forgetAll(): void {
    this.#chains.clear();
    this.#entryCount = 0;
  }

  #walk(
    file: IndexFile,
    slot: number,
    keyHash: number,
    downTo: CommitLogOffset,
    from: number,
    entry: IndexEntry,
  ): number {
    let chain = this.#find(file, slot);
    let foreign = 0;
    for (let number = from; number > 0; ) {
      if (chain && !chain.isTooLong && number <= chain.head) {
        const found = newestFrom(chain, keyHash, number);
        if (found > 0) file.readEntry(found, entry);
        return found;
      }
      file.readEntry(number, entry);
      // Entries are in log order: everything further back lies lower.
      if (entry.commitLogOffset < downTo) return 0;
      if (entry.keyHash === keyHash) return number;
      foreign += 1;
      if (foreign > FOREIGN_MAX && !chain?.isTooLong) {
        chain = this.#keep(file, slot, file.slotHead(keyHash), chain);
        continue;
      }
      const { previous } = entry;
      if (previous <= 0 || previous >= number) return 0;
      number = previous;
    }
    return 0;
  }

  #find(file: IndexFile, slot: number): SlotChain | undefined {
    return this.#chains.size === 0 ? undefined : this.#chains.get(file.contents)?.get(slot);
  }

  /** Reads the chain from `head` back to what is known of it. */
  #keep(file: IndexFile, slot: number, head: number, known: SlotChain | undefined): SlotChain {
    const numbers: number[] = [];
    const hashes: number[] = [];
    const knownHead = known?.head ?? 0;
    for (let number = head; number > knownHead && numbers.length <= ENTRIES_MAX; ) {
      const { keyHash, previous } = file.readEntry(number, this.#entry);
      numbers.push(number);
      hashes.push(keyHash);
      if (previous <= 0 || previous >= number) break;
      number = previous;
    }
    const chain = known ?? { head: 0, newest: new Map(), older: new Map(), isTooLong: false };
    for (let at = numbers.length - 1; at >= 0 && numbers.length <= ENTRIES_MAX; at -= 1) {
      const number = numbers[at] ?? 0;
      const keyHash = hashes[at] ?? 0;
      const before = chain.newest.get(keyHash);
      if (before !== undefined) chain.older.set(number, before);
      chain.newest.set(keyHash, number);
    }
    chain.head = head;
    this.#entryCount += numbers.length;
    this.#put(file.contents, slot, chain, numbers.length > ENTRIES_MAX);
    return chain;
  }

  /** Over the bound, all other chains go; a chain that alone is over it is not kept. */
  #put(contents: number, slot: number, chain: SlotChain, isTooLong: boolean): void {
    const entries = chain.newest.size + chain.older.size;
    if (isTooLong || entries > ENTRIES_MAX) {
      chain.newest.clear();
      chain.older.clear();
      chain.isTooLong = true;
    }
    if (this.#entryCount > ENTRIES_MAX) {
      this.#chains.clear();
      this.#entryCount = chain.isTooLong ? 0 : entries;
    }
    const slots = this.#chains.get(contents);
    if (slots) slots.set(slot, chain);
    else this.#chains.set(contents, new Map([[slot, chain]]));
  }
}

/** The newest entry of the hash that is not newer than `number`. */
function newestFrom(chain: SlotChain, keyHash: number, number: number): number {
  let found = chain.newest.get(keyHash) ?? 0;
  while (found > number) found = chain.older.get(found) ?? 0;
  return found;
}
