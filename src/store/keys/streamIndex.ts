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
/** Positions kept over all hashes, an empty one counted as well: 16 MiB. */
const POSITIONS_MAX = 2_000_000;

interface Positions {
  /** Ascending, without repeats. */
  at: CommitLogOffset[];
  readUpTo: CommitLogOffset;
}

const EMPTY_STREAM: StreamHead = { version: 0, commitLogOffset: -1 };

export class StreamIndex {
  readonly #keyIndex: KeyIndex;
  readonly #keyHistory: KeyHistory;
  readonly #commitLog: CommitLog;
  readonly #heads = new RecentMap<StreamHead>(HEADS_MAX);
  readonly #positions = new Map<number, Positions>();
  #positionCount = 0;

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
    let known = this.#positions.get(hash);
    if (known) this.#positions.delete(hash);
    else {
      known = { at: [], readUpTo: 0 };
      this.#positionCount += 1;
    }
    const end = this.#commitLog.appendedEnd;
    if (known.readUpTo < end) {
      const fresh: CommitLogOffset[] = [];
      this.#keyIndex.visit(hash, known.readUpTo, (commitLogOffset) => {
        fresh.push(commitLogOffset);
        return false;
      });
      for (let index = fresh.length - 1; index >= 0; index -= 1) known.at.push(fresh[index] ?? 0);
      known.readUpTo = end;
      this.#positionCount += fresh.length;
    }
    this.#positions.set(hash, known);
    this.#makeRoom(hash);
    return known.at;
  }

  /** After records were abandoned, or a topic was deleted. */
  forgetAll(): void {
    this.#heads.clear();
    this.#positions.clear();
    this.#positionCount = 0;
    this.#keyHistory.forgetAll();
  }

  /** The least recently asked go first; the one just asked stays whatever its size. */
  #makeRoom(keep: number): void {
    for (const [hash, positions] of this.#positions) {
      if (this.#positionCount <= POSITIONS_MAX) return;
      if (hash === keep) continue;
      this.#positions.delete(hash);
      this.#positionCount -= positions.at.length + 1;
    }
  }
}
