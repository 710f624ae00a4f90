/**
 * Recovery of what is derived from the log: walks the records and makes consume queues and index agree with them.
 * What is right on disk already stays untouched. Upstream dispatches again from a checkpoint and keeps what is before
 * it, missing or shifted as it may be; here the walk begins where both are known to be right, if need be at the start.
 */
import type { CommitLogOffset } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { SYS_FLAG } from '../../protocol/message.js';
import { EVENT_PROPERTY, PROPERTY } from '../../protocol/messageProperties.js';
import type { IndexEntry } from '../keys/indexFile.js';
import { FIRST_ENTRY } from '../keys/indexFile.js';
import type { IndexHash } from '../keys/indexHash.js';
import type { KeyIndex } from '../keys/keyIndex.js';
import type { ConsumeQueues, DispatchEntry } from '../queues/consumeQueues.js';
import { entryTagsCode, isQueued } from '../queues/dispatch.js';

/** Queues that are fed by records of other topics, and so are not rebuilt from records of their own. */
const LMQ_PREFIX = '%LMQ%';

export class QueueRecovery {
  readonly #queues: ConsumeQueues;
  readonly #delayLevels: readonly number[];
  readonly #batchTopics: ReadonlySet<string>;

  constructor(parts: { queues: ConsumeQueues; delayLevels: readonly number[]; batchTopics: ReadonlySet<string> }) {
    this.#queues = parts.queues;
    this.#delayLevels = parts.delayLevels;
    this.#batchTopics = parts.batchTopics;
  }

  /** `from`: entries of records below are right. `end`: nothing lies at or after it. */
  begin(from: CommitLogOffset, end: CommitLogOffset): void {
    for (const queue of this.#queues.all()) queue.beginRecovery(queue.topic.startsWith(LMQ_PREFIX) ? end : from);
  }

  meet(message: StoredMessage): void {
    const entry = dispatchEntryOf(message, this.#delayLevels);
    if (entry && !this.#batchTopics.has(entry.topic)) this.#queues.reconcile(entry);
  }
}

/** What dispatch takes from a record; undefined for one that is in no queue. */
export function dispatchEntryOf(message: StoredMessage, delayLevels: readonly number[]): DispatchEntry | undefined {
  const { topic, queueId, queueOffset, commitLogOffset, storeTimestamp, sizeBytes, sysFlag, properties } = message;
  if (!isQueued(sysFlag) || sysFlag & SYS_FLAG.INNER_BATCH) return undefined;
  const tagsCode = entryTagsCode(topic, properties, storeTimestamp, delayLevels);
  return { topic, queueId, queueOffset, commitLogOffset, storeTimestamp, sizeBytes, tagsCode };
}

/** Puts the keys of every record it meets. */
export class IndexFilling {
  readonly #keyIndex: KeyIndex;
  readonly #hash: IndexHash;

  constructor(parts: { keyIndex: KeyIndex; hash: IndexHash }) {
    this.#keyIndex = parts.keyIndex;
    this.#hash = parts.hash;
  }

  meet(message: StoredMessage): void {
    for (const hash of hashesOf(this.#hash, message)) this.put(hash, message);
  }

  put(hash: number, { commitLogOffset, storeTimestamp }: StoredMessage): void {
    this.#keyIndex.prepare(1);
    this.#keyIndex.put(hash, commitLogOffset, storeTimestamp);
  }
}

/**
 * Compares index files of unknown origin with the log, entry by entry: RocketMQ writes entries in log order, so a
 * complete index is the same sequence that the records give. Where the entries run out, the rest is put; the first
 * difference means that the index is built anew.
 */
export class IndexCheck {
  readonly #keyIndex: KeyIndex;
  readonly #hash: IndexHash;
  readonly #filling: IndexFilling;
  readonly #entry: IndexEntry = { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
  #fileAt = 0;
  #number = FIRST_ENTRY;
  #isFilling = false;
  #differs = false;

  constructor(parts: { keyIndex: KeyIndex; hash: IndexHash }) {
    this.#keyIndex = parts.keyIndex;
    this.#hash = parts.hash;
    this.#filling = new IndexFilling(parts);
  }

  /** True once a difference was met: nothing more is done. */
  get differs(): boolean {
    return this.#differs;
  }

  /** Skips entries of records that are not in the log any more. */
  begin(minCommitLogOffset: CommitLogOffset): void {
    while (this.#peek() && this.#entry.commitLogOffset < minCommitLogOffset) this.#number += 1;
  }

  meet(message: StoredMessage): void {
    if (this.#differs) return;
    for (const hash of hashesOf(this.#hash, message)) {
      if (!this.#isFilling && !this.#peek()) this.#isFilling = true;
      if (this.#isFilling) this.#filling.put(hash, message);
      else if (this.#isAt(hash, message.commitLogOffset)) this.#number += 1;
      else {
        this.#differs = true;
        return;
      }
    }
    this.#skipEventTag(message);
  }

  /** The log ended at `end`: entries of lower records that nothing asked for are one too many. */
  end(end: CommitLogOffset): void {
    if (!this.#isFilling && !this.#differs && this.#peek() && this.#entry.commitLogOffset < end) this.#differs = true;
  }

  /** An Apache broker that rebuilt the index gave events their tag entry: harmless. */
  #skipEventTag({ topic, commitLogOffset, properties }: StoredMessage): void {
    const tags = properties[PROPERTY.TAGS];
    if (this.#isFilling || !tags || properties[EVENT_PROPERTY.STREAM_VERSION] === undefined) return;
    if (this.#peek() && this.#isAt(this.#hash.ofTag(topic, tags), commitLogOffset)) this.#number += 1;
  }

  #isAt(hash: number, commitLogOffset: CommitLogOffset): boolean {
    return this.#entry.keyHash === hash && this.#entry.commitLogOffset === commitLogOffset;
  }

  /** Loads the next entry; false when there is none. */
  #peek(): boolean {
    for (;;) {
      const file = this.#keyIndex.all[this.#fileAt];
      if (!file) return false;
      if (this.#number < file.header.indexCount) {
        file.readEntry(this.#number, this.#entry);
        return true;
      }
      this.#fileAt += 1;
      this.#number = FIRST_ENTRY;
    }
  }
}

function hashesOf(hash: IndexHash, { topic, sysFlag, properties }: StoredMessage): number[] {
  const hashes: number[] = [];
  hash.forEach(topic, sysFlag, properties, (value) => void hashes.push(value));
  return hashes;
}
