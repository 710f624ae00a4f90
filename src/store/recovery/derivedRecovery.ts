/**
 * Recovery of what is derived from the log: walks the records and makes consume queues and index agree with them.
 * What is right on disk already stays untouched. Upstream dispatches again from a checkpoint and keeps what is before
 * it, missing or shifted as it may be; here the walk begins where both are known to be right, if need be at the start.
 */
import type { CommitLogOffset } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { SYS_FLAG } from '../../protocol/message.js';
import { EVENT_PROPERTY, PROPERTY } from '../../protocol/messageProperties.js';
import type { IndexEntry } from '../keys/indexFormat.js';
import { FIRST_ENTRY } from '../keys/indexFormat.js';
import type { IndexHash } from '../keys/indexHash.js';
import type { KeyIndex } from '../keys/keyIndex.js';
import type { BatchQueues } from '../queues/batchQueues.js';
import type { ConsumeQueue } from '../queues/consumeQueue.js';
import type { ConsumeQueues, DispatchEntry, QueueBoundsList } from '../queues/consumeQueues.js';
import { entryTagsCode, isQueued } from '../queues/dispatch.js';
import { LIGHT_QUEUE_ID, lightPlacesOf } from '../queues/multiDispatch.js';
import type { QueueBounds } from './marks.js';

const nameOf = (topic: string, queueId: number) => `${topic}/${queueId}`;

export class QueueRecovery {
  readonly #queues: ConsumeQueues;
  readonly #delayLevels: readonly number[];
  readonly #batchQueues: BatchQueues;
  /** Entries of records below are right, except of the damaged queues. */
  #from: CommitLogOffset = 0;
  #bounds: QueueBoundsList = [];
  readonly #damaged = new Set<string>();

  constructor(parts: { queues: ConsumeQueues; delayLevels: readonly number[]; batchQueues: BatchQueues }) {
    this.#queues = parts.queues;
    this.#delayLevels = parts.delayLevels;
    this.#batchQueues = parts.batchQueues;
  }

  /** Queues that are missing or not whole: they need all records of the log. */
  get damaged(): ReadonlySet<string> {
    return this.#damaged;
  }

  /** Looks at the queues, changing nothing, when their bounds at the position are known. */
  look(position: CommitLogOffset, bounds: QueueBoundsList, logStart: CommitLogOffset): void {
    this.#from = position;
    this.#bounds = bounds;
    for (const known of this.#known()) {
      const { topic, queueId } = known;
      const isWhole = this.#queues.find(topic, queueId)?.isWhole(known, position, logStart);
      if (!isWhole) this.#damaged.add(nameOf(topic, queueId));
    }
  }

  /** `minOffset` is the log's start, where the walk begins if nothing is known or a queue is damaged. */
  begin(minOffset: CommitLogOffset): void {
    const isKnown = this.#from > 0;
    const ends = new Map(this.#known().map((known) => [nameOf(known.topic, known.queueId), known.maxOffset]));
    for (const queue of this.#queues.all()) {
      queue.dropBehindGap();
      const name = nameOf(queue.topic, queue.queueId);
      const end = ends.get(name);
      if (isKnown && end !== undefined && !this.#damaged.has(name)) queue.adoptBounds(queue.firstStoredOffset, end);
      else if (this.#isLeftOver(queue)) queue.discard();
      // Of a queue that was not there at the position every entry belongs to a later record, or to nothing.
      else if (isKnown && end === undefined) queue.restart();
      else queue.beginRecovery(minOffset);
    }
  }

  /** Did its topic's deletion come to its note, and not to the queue's files? Its numbers do not go on. */
  #isLeftOver({ topic, firstStoredPosition }: ConsumeQueue): boolean {
    return firstStoredPosition !== undefined && this.#queues.isDeleted(topic, firstStoredPosition);
  }

  meet(message: StoredMessage): void {
    if (this.#batchQueues.reconcile(message)) return;
    for (const entry of dispatchEntriesOf(message, this.#delayLevels)) {
      if (message.commitLogOffset < this.#from && !this.#damaged.has(nameOf(entry.topic, entry.queueId))) continue;
      this.#queues.reconcile(entry);
    }
  }

  /** Queues that were damaged have their numbers back, even where the log has no record of the last ones any more. */
  end(): void {
    for (const { topic, queueId, maxOffset } of this.#known()) {
      if (this.#damaged.has(nameOf(topic, queueId))) this.#queues.extendTo(topic, queueId, maxOffset);
    }
  }

  #known(): QueueBounds[] {
    return this.#bounds.flatMap(([topic, numbers]) => {
      // Deleted after the mark was written: its queues are to be gone.
      if (this.#queues.isDeleted(topic, this.#from - 1)) return [];
      const queues: QueueBounds[] = [];
      for (let at = 0; at + 2 < numbers.length; at += 3) {
        const [queueId = 0, minOffset = 0, maxOffset = 0] = numbers.slice(at, at + 3);
        queues.push({ topic, queueId, minOffset, maxOffset });
      }
      return queues;
    });
  }
}

/** Every queue entry of a record: its own queue's, and those of the light queues it names. */
export function dispatchEntriesOf(message: StoredMessage, delayLevels: readonly number[]): DispatchEntry[] {
  const own = dispatchEntryOf(message, delayLevels);
  if (!own) return [];
  const light = lightPlacesOf(message.topic, message.properties);
  if (light.length === 0) return [own];
  return [own, ...light.map((place) => ({ ...own, ...place, queueId: LIGHT_QUEUE_ID }))];
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
    if (this.#isFilling) return;
    // Down to the very last one: a lost sector reads as entries of position 0, behind others that lie beyond the end.
    for (; !this.#differs && this.#peek(); this.#number += 1) this.#differs = this.#entry.commitLogOffset < end;
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
