/**
 * Makes damaged blocks of an index file again from the log. Entries stand in log order, so those of a block belong to the
 * records between the entry before and the entry after: only that stretch of the log is read, however large the file is.
 */
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import { RECORD_AT } from '../../protocol/messageRecord.js';
import type { LogWalk } from '../log/logWalk.js';
import { recordProperties, recordStoreTimestamp, recordTopic } from '../log/recordView.js';
import type { IndexHash } from './indexHash.js';

/** One key of one record: what an index entry says, apart from its place in a chain. */
export interface IndexedKey {
  keyHash: number;
  commitLogOffset: CommitLogOffset;
  storeTimestamp: TimestampMillis;
}

/** The entries around a damaged stretch. */
export interface Surroundings {
  count: number;
  /** Position of the last entry before, and how many entries in a row end there with it; undefined: none is known. */
  before: { commitLogOffset: CommitLogOffset; entries: number } | undefined;
  /** The first entry after it in the same file. */
  after: { commitLogOffset: CommitLogOffset; keyHash: number } | undefined;
  /** Positions between which the records lie. */
  from: CommitLogOffset;
  upTo: CommitLogOffset;
}

/** In place of an entry whose record is not in the log any more: nothing older is either, so the chain ends there. */
const DEAD_KEY: IndexedKey = { keyHash: 0, commitLogOffset: 0, storeTimestamp: 0 };

export class IndexHealing {
  readonly #logWalk: LogWalk;
  readonly #hash: IndexHash;

  constructor(parts: { logWalk: LogWalk; hash: IndexHash }) {
    this.#logWalk = parts.logWalk;
    this.#hash = parts.hash;
  }

  /** The keys of the damaged stretch, in order; undefined when the log does not tell them. */
  keysOf(lost: Surroundings): IndexedKey[] | undefined {
    // A RocketMQ broker that rebuilt the index gave events their tag entry, which foldlog does not.
    return this.#attempt(lost, false) ?? this.#attempt(lost, true);
  }

  #attempt(lost: Surroundings, withEventTags: boolean): IndexedKey[] | undefined {
    const { before, after, count } = lost;
    const { minOffset } = this.#logWalk;
    const from = before?.commitLogOffset ?? lost.from;
    const keys = this.#keysBetween(Math.max(from, minOffset), lost.upTo, withEventTags);
    const fits = (at: number) =>
      !after || (keys[at]?.commitLogOffset === after.commitLogOffset && keys[at]?.keyHash === after.keyHash);
    if (from >= minOffset) {
      const first = before?.entries ?? 0;
      return keys.length >= first + count && fits(first + count) ? keys.slice(first, first + count) : undefined;
    }
    // The front of the log is gone: what is left is counted from the end.
    let end = after ? -1 : keys.length;
    for (let at = 0; end < 0 && at < keys.length; at += 1) if (fits(at)) end = at;
    if (end < 0) return undefined;
    const found = keys.slice(Math.max(0, end - count), end);
    return [...Array.from({ length: count - found.length }, () => DEAD_KEY), ...found];
  }

  /** All keys of the records that start in [from, upTo]. */
  #keysBetween(from: CommitLogOffset, upTo: CommitLogOffset, withEventTags: boolean): IndexedKey[] {
    const keys: IndexedKey[] = [];
    this.#logWalk.walk(from, upTo + 1, Number.POSITIVE_INFINITY, (record, commitLogOffset) => {
      const storeTimestamp = recordStoreTimestamp(record);
      const put = (keyHash: number) => void keys.push({ keyHash, commitLogOffset, storeTimestamp });
      const sysFlag = record.readInt32BE(RECORD_AT.SYS_FLAG);
      this.#hash.forEach(recordTopic(record), sysFlag, recordProperties(record), put, withEventTags);
      return false;
    });
    return keys;
  }
}
