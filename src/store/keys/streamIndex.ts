/**
 * What the index knows of streams and keys, kept in memory within bounds: the head of each stream that was used lately
 * (its version and where its newest event lies), and the positions of records under a key for paged reading.
 * Positions are those of equal hash: whoever reads the records compares their keys.
 */
import type { CommitLogOffset, StreamVersion } from '../../base/flavours.js';
import type { CommitLog } from '../log/commitLog.js';
import type { KeyHistory, StreamHead } from './keyHistory.js';
import type { KeyIndex } from './keyIndex.js';
import { RecentMap } from './recentMap.js';

const HEADS_MAX = 262_144;
/** Positions kept over all hashes, 8 bytes each, and what a hash takes beside its own, counted in positions: 32 MiB. */
const POSITIONS_MAX = 4_000_000;
const POSITIONS_PER_HASH = 24;

interface Positions {
  /** Ascending, without repeats. */
  readonly at: CommitLogOffset[];
  readUpTo: CommitLogOffset;
}

const EMPTY_STREAM: StreamHead = { version: 0, commitLogOffset: -1 };

export class StreamIndex {
  readonly #keyIndex: KeyIndex;
  readonly #keyHistory: KeyHistory;
  readonly #commitLog: CommitLog;
  readonly #heads = new RecentMap<string, StreamHead>(HEADS_MAX);
  readonly #positions = new RecentMap<number, Positions>(POSITIONS_MAX, ({ at }) => at.length + POSITIONS_PER_HASH);

  constructor(parts: { keyIndex: KeyIndex; keyHistory: KeyHistory; commitLog: CommitLog }) {
    this.#keyIndex = parts.keyIndex;
    this.#keyHistory = parts.keyHistory;
    this.#commitLog = parts.commitLog;
  }

  /** Version 0 at position -1 for an empty stream. */
  head(topic: string, stream: string): StreamHead {
    const name = `${topic}#${stream}`;
    const known = this.#heads.get(name);
    if (known) return known;
    const head = this.#keyHistory.head(topic, stream) ?? EMPTY_STREAM;
    this.#heads.set(name, head);
    return head;
  }

  moveHead(topic: string, stream: string, version: StreamVersion, commitLogOffset: CommitLogOffset): void {
    this.#heads.set(`${topic}#${stream}`, { version, commitLogOffset });
  }

  /** Positions of all records that may carry a key of this hash, ascending. Not to be changed by the caller. */
  positions(hash: number): readonly CommitLogOffset[] {
    const end = this.#commitLog.appendedEnd;
    const known = this.#positions.get(hash);
    if (!known) {
      // As long as it has to be: a list that grew by itself has room for sixteen more.
      const at = this.#positionsFrom(hash, 0).slice();
      this.#positions.set(hash, { at, readUpTo: end });
      return at;
    }
    if (known.readUpTo < end) {
      const fresh = this.#positionsFrom(hash, known.readUpTo);
      for (const commitLogOffset of fresh) known.at.push(commitLogOffset);
      known.readUpTo = end;
      this.#positions.grew(fresh.length);
    }
    return known.at;
  }

  #positionsFrom(hash: number, downTo: CommitLogOffset): CommitLogOffset[] {
    const found: CommitLogOffset[] = [];
    this.#keyIndex.visit(hash, downTo, (commitLogOffset) => {
      found.push(commitLogOffset);
      return false;
    });
    return found.reverse();
  }

  /** After records were abandoned, or a topic was deleted. */
  forgetAll(): void {
    this.#heads.clear();
    this.#positions.clear();
    this.#keyHistory.forgetAll();
  }
}
