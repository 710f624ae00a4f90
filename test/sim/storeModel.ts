/**
 * What a store must hold, in plain lists: every record of the log in order, what became of the turn it was appended in,
 * and from these what queues, keys, streams, append ids and conditions must answer. It knows no files and no bytes on
 * disk; `storeSimulation.ts` tells it what was done and compares.
 */
import type { ExpectedVersion, GuardedAppend, LogPosition, TopicKey } from '../../src/store/index.js';

export interface ModelRecord {
  commitLogOffset: number;
  sizeBytes: number;
  topic: string;
  queueId: number;
  queueOffset: number;
  storeTimestamp: number;
  body: string;
  keys: readonly string[];
  /** Of events only. */
  version: number | undefined;
  appendId: string | undefined;
  /** Place in its append, and how many belong to it; a plain record is 0 of 1. */
  indexInAppend: number;
  appendCount: number;
  /** Its turn was answered: written, and visible. */
  isWritten: boolean;
  isVisible: boolean;
  /** Its places in light queues. */
  light: readonly { topic: string; queueOffset: number }[];
  /** Its topic was deleted after it was stored. */
  isDeleted: boolean;
  /** The whole record, once it was read back and compared. */
  bytes: Buffer | undefined;
}

/** A position that was read at some time. `isDead` once the log was cut below it. */
export interface Token {
  end: LogPosition;
  isDead: boolean;
}

export type ExpectedOutcome =
  | { status: 'ALREADY_APPENDED'; records: ModelRecord[] }
  | { status: 'VERSION_CONFLICT'; stream: string; actual: number }
  | { status: 'CONDITION_CONFLICT'; key: string; restsOn: number | undefined }
  | { status: 'APPENDED'; versions: number[] };

export interface GuardedQuestion {
  append: GuardedAppend;
  /** The model's view of the positions that the append carries. */
  since: Token | undefined;
  end: Token | undefined;
}

/** The records of a queue that were not deleted, removed ones included: the one at place n has the offset n there. */
const queueName = (topic: string, queueId: number) => `${topic}/${queueId}`;
const keyName = (topic: string, key: string) => `${topic}#${key}`;

const LIGHT_QUEUE_ID = 0;

/** Topics of events; retention keeps them. */
export const EVENT_TOPICS = ['Events', 'Orders'];

export const isKept = (topic: string): boolean => EVENT_TOPICS.includes(topic);

export class StoreModel {
  /** Everything in the log, in order. */
  readonly records: ModelRecord[] = [];
  /** So many records were on the device at some moment: no crash may take them. */
  durableCount = 0;
  /** Ends of deleted topics that a failure left in doubt. */
  readonly doubtfulDeletes = new Map<string, number>();
  readonly tokens: Token[] = [];
  /** Retention removed what lies below. */
  start = 0;
  #end = 0;
  /** Where the log ended when the store was opened: maybe after a blank record. */
  #startedAt = 0;
  readonly #queues = new Map<string, ModelRecord[]>();
  readonly #keys = new Map<string, ModelRecord[]>();

  /** Where the log ends: after its last record, or at the start of the segment that follows a blank one. */
  get end(): number {
    return this.#end;
  }

  push(records: readonly ModelRecord[]): void {
    for (const record of records) {
      this.records.push(record);
      this.#enter(record);
      this.#end = record.commitLogOffset + record.sizeBytes;
    }
  }

  #enter(record: ModelRecord): void {
    for (const { topic } of record.light) listIn(this.#queues, queueName(topic, LIGHT_QUEUE_ID)).push(record);
    if (record.isDeleted) return;
    listIn(this.#queues, queueName(record.topic, record.queueId)).push(record);
    for (const key of new Set(record.keys)) listIn(this.#keys, keyName(record.topic, key)).push(record);
  }

  #enterAll(): void {
    this.#queues.clear();
    this.#keys.clear();
    for (const record of this.records) this.#enter(record);
  }

  /** Records from this position on are gone; the log ends at `end` if that is beyond the last one. */
  cutAt(position: number, end = 0): void {
    this.#startedAt = end > 0 ? end : Math.min(this.#startedAt, position);
    const count = this.records.findIndex(({ commitLogOffset }) => commitLogOffset >= position);
    if (count >= 0) this.records.length = count;
    const last = this.records.at(-1);
    this.#end = Math.max(this.#startedAt, last ? last.commitLogOffset + last.sizeBytes : 0);
    this.durableCount = Math.min(this.durableCount, this.records.length);
    this.#enterAll();
  }

  /** Positions beyond the end at which a generation began are void. */
  voidTokensBeyond(position: number): void {
    for (const token of this.tokens) if (token.end.commitLogOffset > position) token.isDead = true;
  }

  deleteTopic(topic: string, before = Number.POSITIVE_INFINITY): void {
    for (const record of this.records) {
      if (record.topic === topic && record.commitLogOffset < before) record.isDeleted = true;
    }
    this.#enterAll();
  }

  queues(): Iterable<[name: string, records: readonly ModelRecord[]]> {
    return this.#queues;
  }

  queue(topic: string, queueId: number): readonly ModelRecord[] {
    return this.#queues.get(queueName(topic, queueId)) ?? [];
  }

  keyNames(): string[] {
    return [...this.#keys.keys()];
  }

  /** The first offset of a queue that retention left. */
  queueMin(topic: string, queueId: number): number {
    const records = this.queue(topic, queueId);
    const min = records.findIndex((record) => record.commitLogOffset >= this.start);
    return min < 0 ? records.length : min;
  }

  withKey(topic: string, key: string): readonly ModelRecord[] {
    const records = this.#keys.get(keyName(topic, key)) ?? [];
    return this.start === 0 ? records : records.filter(({ commitLogOffset }) => commitLogOffset >= this.start);
  }

  /** All that the log holds. */
  present(): readonly ModelRecord[] {
    return this.records.filter(({ commitLogOffset }) => commitLogOffset >= this.start);
  }

  /** The newest event of a stream: whose first key it is. */
  head(topic: string, stream: string): ModelRecord | undefined {
    return this.withKey(topic, stream).findLast(({ keys, version }) => keys[0] === stream && version !== undefined);
  }

  /** How many records must be left after this end of a life. */
  mustStay(end: 'KILL' | 'POWER_LOSS', flushDiskType: 'SYNC_FLUSH' | 'ASYNC_FLUSH', visibleEnd: number): number {
    const isKept = (record: ModelRecord) => {
      if (end === 'KILL') return record.isWritten || record.commitLogOffset < visibleEnd;
      if (flushDiskType === 'ASYNC_FLUSH') return false;
      return record.isVisible || record.commitLogOffset < visibleEnd;
    };
    return Math.max(this.durableCount, this.records.findLastIndex(isKept) + 1);
  }

  /** What a guarded append must come to, if the disk has room. */
  expected({ append, since, end }: GuardedQuestion): ExpectedOutcome {
    return (
      this.#alreadyAppended(append, since) ??
      this.#versionConflict(append) ??
      this.#conditionConflict(append, end) ?? { status: 'APPENDED', versions: this.#versions(append) }
    );
  }

  #alreadyAppended(append: GuardedAppend, since: Token | undefined): ExpectedOutcome | undefined {
    const from = since && this.holds(since) ? since.end.commitLogOffset : 0;
    for (const topic of new Set(append.events.map((event) => event.topic))) {
      const first = this.records.findLastIndex(
        (record) =>
          record.appendId === append.appendId &&
          record.indexInAppend === 0 &&
          record.topic === topic &&
          !record.isDeleted &&
          record.commitLogOffset >= from,
      );
      const record = this.records[first];
      if (record) return { status: 'ALREADY_APPENDED', records: this.records.slice(first, first + record.appendCount) };
    }
    return undefined;
  }

  #versionConflict(append: GuardedAppend): ExpectedOutcome | undefined {
    for (const { topic, stream, expected } of append.expectedVersions) {
      const actual = this.head(topic, stream)?.version ?? 0;
      if (!meets(expected, actual)) return { status: 'VERSION_CONFLICT', stream, actual };
    }
    return undefined;
  }

  #conditionConflict(append: GuardedAppend, end: Token | undefined): ExpectedOutcome | undefined {
    if (!append.condition || !end) return undefined;
    const isHeld = this.holds(end);
    const isBeforeLog = end.end.commitLogOffset < this.start;
    for (const { topic, key } of append.condition.keys as readonly TopicKey[]) {
      const newest = this.withKey(topic, key).at(-1);
      const isNew = newest !== undefined && newest.commitLogOffset >= end.end.commitLogOffset;
      if (!isHeld || (isBeforeLog && !isKept(topic))) return { status: 'CONDITION_CONFLICT', key, restsOn: undefined };
      if (isNew) return { status: 'CONDITION_CONFLICT', key, restsOn: newest.commitLogOffset };
    }
    return undefined;
  }

  #versions(append: GuardedAppend): number[] {
    const heads = new Map<string, number>();
    return append.events.map(({ topic, keys: [stream] }) => {
      const name = keyName(topic, stream);
      const version = (heads.get(name) ?? this.head(topic, stream)?.version ?? 0) + 1;
      heads.set(name, version);
      return version;
    });
  }

  holds(token: Token): boolean {
    return !token.isDead && token.end.commitLogOffset <= this.end;
  }
}

function meets(expected: ExpectedVersion, actual: number): boolean {
  if (expected === 'ANY') return true;
  if (expected === 'NO_STREAM') return actual === 0;
  if (expected === 'STREAM_EXISTS') return actual > 0;
  return expected === actual;
}

function listIn<Value>(lists: Map<string, Value[]>, name: string): Value[] {
  let list = lists.get(name);
  if (!list) {
    list = [];
    lists.set(name, list);
  }
  return list;
}
