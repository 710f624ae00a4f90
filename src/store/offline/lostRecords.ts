/**
 * Finds out which records lay in a hole of the log: from the queue entries and index entries that point into it, and
 * from records in it whose parts still fit although their body does not. What contradicts the records around the hole is
 * not believed: queue and index may be damaged as well.
 *
 * Everything comes in log order, merged from all queues, one entry of each in memory.
 */
import type { Files } from '../../base/files.js';
import { joinPath } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import { type StoredMessage, SYS_FLAG } from '../../protocol/message.js';
import { EVENT_PROPERTY, type MessageProperties } from '../../protocol/messageProperties.js';
import { BLANK_MIN_BYTES } from '../../protocol/messageRecord.js';
import { LMQ_PREFIX } from '../../protocol/names.js';
import type { IndexEntry } from '../keys/indexFormat.js';
import {
  decodeIndexEntry,
  decodeIndexHeader,
  FIRST_ENTRY,
  INDEX_ENTRY_BYTES,
  INDEX_HEADER_BYTES,
  INDEX_SLOT_BYTES,
} from '../keys/indexFormat.js';
import { IndexHash } from '../keys/indexHash.js';
import { FileHandles } from '../log/fileHandles.js';
import { removedRecordMin } from '../log/removedRecord.js';
import type { Segment } from '../log/segment.js';
import { isQueued } from '../queues/dispatch.js';
import { BLANK_ENTRY_SIZE, decodeEntry, QUEUE_ENTRY_BYTES } from '../queues/queueEntry.js';
import { type Hole, Places } from './damageWalk.js';
import type { LossBook } from './lossBook.js';

/** A lost message whose place in log and queue is known. */
export interface LostRecord {
  commitLogOffset: CommitLogOffset;
  sizeBytes: number;
  topic: string;
  queueId: number;
  queueOffset: QueueOffset;
  /** What its text says, where that is whole; its keys are those of the index if there is one. */
  properties: MessageProperties | undefined;
  /** Index hashes of its keys. */
  hashes: readonly number[];
}

interface PointedAt {
  topic: string;
  queueId: number;
  queueOffset: QueueOffset;
  commitLogOffset: CommitLogOffset;
  sizeBytes: number;
}

const HASHES_MAX = 1024;
/** Larger than any store's maxMessageSize that makes sense; a queue entry that says more is not believed. */
const RECORD_MAX_BYTES = 256 * 1024 * 1024;

export class LostRecords {
  readonly #files: Files;
  readonly #directory: string;
  readonly #segments: readonly Segment[];
  readonly #segmentBytes: number;
  readonly #maxHashSlotNum: number;
  readonly #book: LossBook;
  readonly #isForeign: (topic: string) => boolean;
  readonly #hash = new IndexHash();

  constructor(parts: {
    files: Files;
    directory: string;
    segments: readonly Segment[];
    segmentBytes: number;
    maxHashSlotNum: number;
    book: LossBook;
    isForeign: (topic: string) => boolean;
  }) {
    this.#files = parts.files;
    this.#directory = parts.directory;
    this.#segments = parts.segments;
    this.#segmentBytes = parts.segmentBytes;
    this.#maxHashSlotNum = parts.maxHashSlotNum;
    this.#book = parts.book;
    this.#isForeign = parts.isForeign;
  }

  /** The lost messages of the hole with this number, in log order, each inside the hole and not overlapping. */
  *in(number: number): Generator<LostRecord, void, undefined> {
    const hole = this.#book.holes[number];
    if (!hole) return;
    const pointed = this.#pointedInto(hole);
    const index = new Ahead(this.#indexedIn(hole));
    const next = new Map<string, QueueOffset>();
    let entry = pointed.next().value ?? undefined;
    let places: Places | undefined;
    let segment: Segment | undefined;
    for (let at = hole.from; at < hole.to; ) {
      while (entry && entry.commitLogOffset < at) entry = pointed.next().value ?? undefined;
      if (!segment || at < segment.start || at >= segment.end) {
        segment = this.#segments.find((one) => at >= one.start && at < one.end);
        places = segment && new Places(segment);
      }
      const outline = places?.outline(at);
      const isOutlined =
        outline &&
        isNamed(outline.message.topic) &&
        at + outline.message.sizeBytes <= hole.to &&
        !(entry && entry.commitLogOffset > at && entry.commitLogOffset < at + outline.message.sizeBytes) &&
        !(entry?.commitLogOffset === at && !agrees(entry, outline.message));
      const found: Omit<LostRecord, 'hashes'> | undefined =
        outline && isOutlined
          ? fromOutline(outline.message, outline.isTextWhole)
          : entry?.commitLogOffset === at
            ? { ...entry, properties: undefined }
            : undefined;
      const isInQueue = !(outline && isOutlined) || this.#isInQueue(outline.message);
      if (found && isInQueue && this.#fits(found, hole) && this.#isPossible(number, found, next)) {
        const hashes = index.takeAt(at, ({ commitLogOffset }) => commitLogOffset).map(({ keyHash }) => keyHash);
        yield { ...found, properties: this.#believed(found, hashes), hashes };
        at += found.sizeBytes;
      } else {
        const nextMagic = places && segment ? places.nextMagic(at + 1) : undefined;
        const nextFile = at - (at % this.#segmentBytes) + this.#segmentBytes;
        const nextEntry = entry && entry.commitLogOffset > at ? entry.commitLogOffset : undefined;
        if (entry && entry.commitLogOffset === at) entry = pointed.next().value ?? undefined;
        at = Math.min(nextMagic ?? nextFile, nextEntry ?? entry?.commitLogOffset ?? Number.POSITIVE_INFINITY, nextFile);
      }
    }
  }

  /** What the index knows of the hole, in log order. */
  keysIn(hole: Hole): Generator<IndexEntry, void, undefined> {
    return this.#indexedIn(hole);
  }

  #isInQueue({ topic, sysFlag }: StoredMessage): boolean {
    return isQueued(sysFlag) && !(sysFlag & SYS_FLAG.INNER_BATCH) && !this.#isForeign(topic);
  }

  /** Inside the hole and its segment, with room for a record of its topic. */
  #fits({ commitLogOffset, sizeBytes, topic }: Omit<LostRecord, 'hashes'>, hole: Hole): boolean {
    const segmentEnd = commitLogOffset - (commitLogOffset % this.#segmentBytes) + this.#segmentBytes;
    const end = commitLogOffset + sizeBytes;
    return sizeBytes >= removedRecordMin(topic) && end <= hole.to && end + BLANK_MIN_BYTES <= segmentEnd;
  }

  /** Do the records around the hole leave its queue offset free, and is it higher than that of the one before it here? */
  #isPossible(
    number: number,
    { topic, queueId, queueOffset }: Omit<LostRecord, 'hashes'>,
    next: Map<string, QueueOffset>,
  ): boolean {
    const bounds = this.#book.boundsIn(number, topic, queueId);
    if (!bounds) return false;
    const name = `${topic}/${queueId}`;
    const from = next.get(name) ?? bounds.from;
    if (queueOffset < from || queueOffset >= (bounds.to ?? Number.POSITIVE_INFINITY)) return false;
    next.set(name, queueOffset + 1);
    return true;
  }

  /** Its properties, unless the index knows other keys: then the text is damaged too. */
  #believed(found: Omit<LostRecord, 'hashes'>, hashes: readonly number[]): MessageProperties | undefined {
    const { properties, topic } = found;
    if (!properties || !isText(properties)) return undefined;
    if (hashes.length === 0) return properties;
    let isRight = true;
    this.#hash.forEach(topic, 0, properties, (hash) => {
      isRight &&= hashes.includes(hash);
    });
    return isRight ? properties : undefined;
  }

  /** Entries of all queues that point into the hole, by position. */
  *#pointedInto(hole: Hole): Generator<PointedAt, void, undefined> {
    const root = joinPath(this.#directory, 'consumequeue');
    const heap = new Heap<{ entry: PointedAt; rest: Generator<PointedAt, void, undefined> }>(
      ({ entry }) => entry.commitLogOffset,
    );
    const handles = new FileHandles(this.#files, 64, 'r');
    try {
      for (const topic of this.#files.list(root)) {
        // Light queues hold places of records that have a queue of their own.
        if (topic.startsWith(LMQ_PREFIX) || this.#isForeign(topic)) continue;
        if (!this.#files.stat(joinPath(root, topic))?.isDirectory) continue;
        for (const name of this.#files.list(joinPath(root, topic))) {
          if (!/^\d+$/.test(name)) continue;
          const rest = this.#entriesOf(handles, joinPath(root, topic, name), topic, Number(name), hole);
          const entry = rest.next().value;
          if (entry) heap.push({ entry, rest });
        }
      }
      for (let first = heap.pop(); first; first = heap.pop()) {
        yield first.entry;
        const entry = first.rest.next().value;
        if (entry) heap.push({ entry, rest: first.rest });
      }
    } finally {
      handles.closeAll();
    }
  }

  *#entriesOf(
    handles: FileHandles,
    directory: string,
    topic: string,
    queueId: number,
    hole: Hole,
  ): Generator<PointedAt, void, undefined> {
    const bytes = Buffer.alloc(QUEUE_ENTRY_BYTES);
    for (const file of this.#files.list(directory)) {
      const path = joinPath(directory, file);
      const stat = this.#files.stat(path);
      const count = Math.floor((stat?.sizeBytes ?? 0) / QUEUE_ENTRY_BYTES);
      if (!stat || stat.isDirectory || !/^\d+$/.test(file) || count === 0) continue;
      const read = (number: number) => {
        bytes.fill(0);
        handles.use(path).read(bytes, 0, QUEUE_ENTRY_BYTES, number * QUEUE_ENTRY_BYTES);
        return decodeEntry(bytes, 0);
      };
      // Blank entries in front point at 0; entries that were never written come last.
      const first = firstWhere(count, (number) => {
        const { commitLogOffset, sizeBytes } = read(number);
        return sizeBytes <= 0 || (sizeBytes !== BLANK_ENTRY_SIZE && commitLogOffset >= hole.from);
      });
      for (let number = first; number < count; number += 1) {
        const { commitLogOffset, sizeBytes } = read(number);
        if (sizeBytes <= 0 || commitLogOffset >= hole.to) return;
        if (sizeBytes > RECORD_MAX_BYTES || commitLogOffset < hole.from) continue;
        const queueOffset = Number(file) / QUEUE_ENTRY_BYTES + number;
        yield { topic, queueId, queueOffset, commitLogOffset, sizeBytes };
      }
    }
  }

  *#indexedIn(hole: Hole): Generator<IndexEntry, void, undefined> {
    const root = joinPath(this.#directory, 'index');
    const handles = new FileHandles(this.#files, 8, 'r');
    const firstAt = INDEX_HEADER_BYTES + this.#maxHashSlotNum * INDEX_SLOT_BYTES;
    const bytes = Buffer.alloc(INDEX_HEADER_BYTES);
    try {
      for (const file of this.#files.list(root)) {
        if (!/^\d+$/.test(file)) continue;
        const path = joinPath(root, file);
        const sizeBytes = this.#files.stat(path)?.sizeBytes ?? 0;
        if (handles.use(path).read(bytes, 0, INDEX_HEADER_BYTES, 0) < INDEX_HEADER_BYTES) continue;
        const { indexCount } = headerOf(bytes);
        const count = Math.min(indexCount, Math.floor((sizeBytes - firstAt) / INDEX_ENTRY_BYTES));
        const read = (number: number): IndexEntry => {
          handles.use(path).read(bytes, 0, INDEX_ENTRY_BYTES, firstAt + number * INDEX_ENTRY_BYTES);
          return decodeIndexEntry(bytes, 0, { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 });
        };
        const isAfter = (at: number) => read(at + FIRST_ENTRY).commitLogOffset >= hole.from;
        const first = FIRST_ENTRY + firstWhere(Math.max(0, count - FIRST_ENTRY), isAfter);
        for (let number = first; number < count; number += 1) {
          const entry = read(number);
          if (entry.commitLogOffset >= hole.to) return;
          if (entry.keyHash >= 0) yield entry;
        }
      }
    } finally {
      handles.closeAll();
    }
  }
}

/** A header that cannot be read has no entries. */
function headerOf(bytes: Buffer): { indexCount: number } {
  try {
    return decodeIndexHeader(bytes);
  } catch {
    return { indexCount: FIRST_ENTRY };
  }
}

function isNamed(topic: string): boolean {
  return topic !== '' && topic !== '.' && topic !== '..' && !topic.includes('/') && !topic.includes('\u0000');
}

/** No separators or broken characters inside, and a version that is a number. */
function isText(properties: MessageProperties): boolean {
  const version = properties[EVENT_PROPERTY.STREAM_VERSION];
  if (version !== undefined && !/^[1-9]\d{0,15}$/.test(version)) return false;
  const broken = ['\u0000', '\u0001', '\u0002', '\ufffd'];
  return Object.entries(properties).every(([name, value]) => !broken.some((one) => (name + value).includes(one)));
}

function agrees(entry: PointedAt, message: StoredMessage): boolean {
  const { topic, queueId, queueOffset, sizeBytes } = message;
  return (
    entry.topic === topic &&
    entry.queueId === queueId &&
    entry.queueOffset === queueOffset &&
    entry.sizeBytes === sizeBytes
  );
}

function fromOutline(message: StoredMessage, isTextWhole: boolean): Omit<LostRecord, 'hashes'> {
  const { commitLogOffset, sizeBytes, topic, queueId, queueOffset } = message;
  const properties = isTextWhole ? message.properties : undefined;
  return { commitLogOffset, sizeBytes, topic, queueId, queueOffset, properties };
}

/** The first of `count` numbers from 0 on that passes; `count` when none does. Those that pass come last. */
function firstWhere(count: number, passes: (number: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (passes(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A generator whose next value can be looked at. */
class Ahead<Value> {
  readonly #rest: Generator<Value, void, undefined>;
  #value: Value | undefined;

  constructor(rest: Generator<Value, void, undefined>) {
    this.#rest = rest;
    this.#value = rest.next().value ?? undefined;
  }

  /** Takes those at the position, a bounded number of them, and drops those before it. */
  takeAt(position: number, positionOf: (value: Value) => number): Value[] {
    const taken: Value[] = [];
    for (; this.#value && positionOf(this.#value) <= position; this.#value = this.#rest.next().value ?? undefined) {
      if (positionOf(this.#value) === position && taken.length < HASHES_MAX) taken.push(this.#value);
    }
    return taken;
  }
}

/** The smallest first. */
class Heap<Value> {
  readonly #values: Value[] = [];
  readonly #rank: (value: Value) => number;

  constructor(rank: (value: Value) => number) {
    this.#rank = rank;
  }

  push(value: Value): void {
    const values = this.#values;
    values.push(value);
    for (let at = values.length - 1; at > 0; ) {
      const parent = (at - 1) >>> 1;
      if (!this.#swapIfLess(at, parent)) return;
      at = parent;
    }
  }

  pop(): Value | undefined {
    const values = this.#values;
    const first = values[0];
    const last = values.pop();
    if (values.length > 0 && last !== undefined) {
      values[0] = last;
      for (let at = 0; ; ) {
        const left = 2 * at + 1;
        const isRightLess = this.#rankAt(left + 1) < this.#rankAt(left);
        const child = isRightLess ? left + 1 : left;
        if (child >= values.length || !this.#swapIfLess(child, at)) break;
        at = child;
      }
    }
    return first;
  }

  #rankAt(at: number): number {
    const value = this.#values[at];
    return value === undefined ? Number.POSITIVE_INFINITY : this.#rank(value);
  }

  #swapIfLess(at: number, other: number): boolean {
    if (this.#rankAt(at) >= this.#rankAt(other)) return false;
    const values = this.#values;
    const mine = values[at] as Value;
    values[at] = values[other] as Value;
    values[other] = mine;
    return true;
  }
}
