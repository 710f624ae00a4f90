/**
 * Reads by key. `readByKeys` is ours: complete, in log order, in pages, each record compared with the keys. `queryByKey`
 * is RocketMQ's (upstream: `IndexService#queryOffset`, `DefaultMessageStore#queryMessage`): newest files first, at most
 * 64 records, whole seconds, hashes only. Both stop at the visible end.
 */
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import { EVENT_PROPERTY, PROPERTY, propertyIn, splitKeys } from '../../protocol/messageProperties.js';
import { lostKeysFrom } from '../../protocol/removedMessage.js';
import type { CommitLog } from '../log/commitLog.js';
import type { Flush } from '../log/flush.js';
import { recordTexts } from '../log/recordView.js';
import { isRemovedRecord } from '../log/removedRecord.js';
import type { ReadByKeysRequest, ReadByKeysResult, TopicKey } from '../storeTypes.js';
import type { IndexFile } from './indexFile.js';
import type { IndexHash } from './indexHash.js';
import type { KeyIndex } from './keyIndex.js';
import type { StreamIndex } from './streamIndex.js';

const QUERY_MAX = 64;

export class KeyReader {
  readonly #keyIndex: KeyIndex;
  readonly #streamIndex: StreamIndex;
  readonly #commitLog: CommitLog;
  readonly #flush: Flush;
  readonly #hash: IndexHash;
  readonly #generation: number;
  readonly #isDeleted: (topic: string, commitLogOffset: CommitLogOffset) => boolean;

  constructor(parts: {
    keyIndex: KeyIndex;
    streamIndex: StreamIndex;
    commitLog: CommitLog;
    flush: Flush;
    hash: IndexHash;
    generation: number;
    isDeleted: (topic: string, commitLogOffset: CommitLogOffset) => boolean;
  }) {
    this.#keyIndex = parts.keyIndex;
    this.#streamIndex = parts.streamIndex;
    this.#commitLog = parts.commitLog;
    this.#flush = parts.flush;
    this.#hash = parts.hash;
    this.#generation = parts.generation;
    this.#isDeleted = parts.isDeleted;
  }

  readByKeys(request: ReadByKeysRequest): ReadByKeysResult {
    const from = Math.max(request.from ?? 0, this.#commitLog.minOffset);
    const until = Math.min(request.until ?? this.#flush.visibleEnd, this.#flush.visibleEnd);
    const isForwards = request.direction === 'forwards';
    const end = { commitLogOffset: until, generation: this.#generation };
    const carries = matcherOf(request.keys, request.uniqKeysToo ?? false);
    const hashes = new Set(request.keys.map(({ topic, key }) => this.#hash.of(topic, key)));
    const records: Buffer[] = [];
    let sizeBytes = 0;
    for (const commitLogOffset of this.#candidates(hashes, from, until, isForwards)) {
      const record = this.#commitLog.readRecord(commitLogOffset);
      if (!record || !this.#carries(record, commitLogOffset, carries, hashes)) continue;
      const isFull = records.length >= Math.max(1, request.maxCount) || sizeBytes + record.length > request.maxBytes;
      if (records.length > 0 && isFull) {
        // This record opens the next page: `from` is inclusive, `until` exclusive.
        return { records, end, next: isForwards ? commitLogOffset : commitLogOffset + 1 };
      }
      records.push(record);
      sizeBytes += record.length;
    }
    return { records, end, next: undefined };
  }

  /** Positions in [from, until) that may carry one of the keys, in order, each once. */
  *#candidates(
    hashes: ReadonlySet<number>,
    from: CommitLogOffset,
    until: CommitLogOffset,
    isForwards: boolean,
  ): Generator<CommitLogOffset> {
    const lists = [...hashes].map((hash) => {
      const at = this.#streamIndex.positions(hash);
      const low = lowerBound(at, from);
      // Bounds that cross hold nothing.
      const high = Math.max(low, lowerBound(at, until));
      return isForwards ? { at, next: low, stop: high, step: 1 } : { at, next: high - 1, stop: low - 1, step: -1 };
    });
    let last = -1;
    for (;;) {
      let best: (typeof lists)[number] | undefined;
      let bestAt = 0;
      for (const list of lists) {
        if (list.next === list.stop) continue;
        const position = list.at[list.next] ?? 0;
        if (best && (isForwards ? position >= bestAt : position <= bestAt)) continue;
        best = list;
        bestAt = position;
      }
      if (!best) return;
      best.next += best.step;
      if (bestAt !== last) yield bestAt;
      last = bestAt;
    }
  }

  #carries(
    record: Buffer,
    commitLogOffset: CommitLogOffset,
    carries: KeyMatcher,
    hashes: ReadonlySet<number>,
  ): boolean {
    // Every record of a stream passes here: of its properties only those are decoded that are asked for.
    const { topic, propertiesText } = recordTexts(record);
    // Whoever reads a key must learn that something under it is lost.
    const isWanted =
      carries(topic, propertiesText) ||
      lostKeysFrom(propertyIn(propertiesText, EVENT_PROPERTY.LOST_KEYS)).some((hash) => hashes.has(hash));
    return isWanted && !this.#isDeleted(topic, commitLogOffset);
  }

  queryByKey(
    topic: string,
    key: string,
    maxNum: number,
    begin: TimestampMillis,
    end: TimestampMillis,
    indexType: string | undefined,
  ): Buffer[] {
    const countMax = Math.min(maxNum, QUERY_MAX);
    const hash = indexType === 'T' ? this.#hash.ofTag(topic, key) : this.#hash.of(topic, key);
    const offsets = this.#queryOffsets(hash, countMax, begin, end).sort((a, b) => a - b);
    // Records whose segment is gone are left out. Upstream asks up to twice more when none is left; what it would find
    // then lies lower still.
    return offsets.flatMap((offset) => {
      const record = this.#commitLog.readRecord(offset);
      return record && !isRemovedRecord(record) ? [record] : [];
    });
  }

  #queryOffsets(hash: number, countMax: number, begin: TimestampMillis, end: TimestampMillis): CommitLogOffset[] {
    const offsets: CommitLogOffset[] = [];
    for (let at = this.#keyIndex.all.length - 1; at >= 0; at -= 1) {
      const file = this.#keyIndex.all[at];
      if (!file) continue;
      const { beginTimestamp, endTimestamp } = file.header;
      if (begin <= endTimestamp && end >= beginTimestamp) this.#queryFile(file, hash, countMax, begin, end, offsets);
      if (beginTimestamp < begin || offsets.length >= countMax) break;
    }
    return offsets;
  }

  #queryFile(
    file: IndexFile,
    hash: number,
    countMax: number,
    begin: TimestampMillis,
    end: TimestampMillis,
    offsets: CommitLogOffset[],
  ): void {
    if (offsets.length >= countMax) return;
    this.#keyIndex.visitIn(file, hash, 0, ({ commitLogOffset, timeDiffSeconds }) => {
      if (timeDiffSeconds < 0) return true;
      const time = file.header.beginTimestamp + timeDiffSeconds * 1000;
      if (time >= begin && time <= end && commitLogOffset < this.#flush.visibleEnd) offsets.push(commitLogOffset);
      return time < begin || offsets.length >= countMax;
    });
  }
}

/** Does a record of this topic with these properties carry one of the wanted keys? */
type KeyMatcher = (topic: string, propertiesText: string) => boolean;

function matcherOf(wanted: readonly TopicKey[], uniqKeysToo: boolean): KeyMatcher {
  const byTopic = new Map<string, Set<string>>();
  for (const { topic, key } of wanted) {
    const keys = byTopic.get(topic);
    if (keys) keys.add(key);
    else byTopic.set(topic, new Set([key]));
  }
  return (topic, propertiesText) => {
    const set = byTopic.get(topic);
    if (set === undefined) return false;
    const keys = splitKeys(propertyIn(propertiesText, PROPERTY.KEYS));
    if (keys.some((key) => set.has(key))) return true;
    const uniqKey = uniqKeysToo ? propertyIn(propertiesText, PROPERTY.UNIQ_KEY) : undefined;
    return uniqKey !== undefined && set.has(uniqKey);
  };
}

/** Index of the first value that is not below `limit`. */
function lowerBound(ascending: readonly number[], limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] ?? 0) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
