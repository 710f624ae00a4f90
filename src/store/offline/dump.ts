/**
 * Reads a store directory offline, entry by entry, one that Apache RocketMQ wrote as well. Nothing is locked and nothing
 * is changed: a store that is running may be seen half-way. Files are sparse and up to a gigabyte: reading stops at the
 * first entry that was never written.
 */
import { readInt64, readInt64Loose } from '../../base/bytes.js';
import { FoldlogError, messageOf } from '../../base/errors.js';
import type { Files } from '../../base/files.js';
import { diskFiles, joinPath } from '../../base/files.js';
import type { CommitLogOffset, QueueOffset, TimestampMillis } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { decodeRecord, recordShapeAt } from '../../protocol/messageRecord.js';
import type { IndexEntry, IndexHeader } from '../keys/indexFormat.js';
import {
  decodeIndexEntry,
  decodeIndexHeader,
  FIRST_ENTRY,
  INDEX_ENTRY_BYTES,
  INDEX_HEADER_BYTES,
  INDEX_SLOT_BYTES,
} from '../keys/indexFormat.js';
import { FileHandles } from '../log/fileHandles.js';
import { decodeEntry, QUEUE_ENTRY_BYTES } from '../queues/queueEntry.js';
import type { Checkpoint } from '../recovery/checkpoint.js';
import { readCheckpoint } from '../recovery/checkpoint.js';

/** One thing in the commit log: a message, the blank record that ends a file, or bytes that are neither. */
export type DumpedRecord =
  | { kind: 'message'; file: string; commitLogOffset: CommitLogOffset; message: StoredMessage }
  | { kind: 'blank'; file: string; commitLogOffset: CommitLogOffset; sizeBytes: number }
  | { kind: 'invalid'; file: string; commitLogOffset: CommitLogOffset; reason: string };

export interface DumpedQueueEntry {
  queueOffset: QueueOffset;
  commitLogOffset: CommitLogOffset;
  sizeBytes: number;
  /** Rounded when it is the address of a consume queue extension. */
  tagsCode: number;
}

/** An entry of a queue whose topic has queue.type=BatchCQ. */
export interface DumpedBatchEntry extends DumpedQueueEntry {
  storeTimestamp: TimestampMillis;
  baseOffset: QueueOffset;
  batchSize: number;
  compactedOffset: number;
}

export interface DumpedIndexEntry extends IndexEntry {
  number: number;
  slot: number;
}

export interface DumpOptions {
  files?: Files;
}

export interface DumpIndexOptions extends DumpOptions {
  /** As the store was configured; default 5,000,000. */
  maxHashSlotNum?: number;
}

const WINDOW_BYTES = 1024 * 1024;
const BATCH_ENTRY_BYTES = 46;

/** Reads pieces of one file for the length of a walk. */
class Reader {
  readonly #handles: FileHandles;
  readonly sizeBytes: number;
  readonly #path: string;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(files: Files, path: string) {
    this.#handles = new FileHandles(files, 1, 'r');
    this.#path = path;
    this.sizeBytes = files.stat(path)?.sizeBytes ?? 0;
  }

  /** `length` bytes at `position`; fewer at the end of the file. */
  at(position: number, length: number): Buffer {
    if (position < this.#start || position + length > this.#start + this.#bytes.length) {
      const wanted = Math.max(0, Math.min(Math.max(length, WINDOW_BYTES), this.sizeBytes - position));
      const bytes = Buffer.alloc(wanted);
      const count = this.#handles.use(this.#path).read(bytes, 0, wanted, position);
      this.#bytes = bytes.subarray(0, count);
      this.#start = position;
    }
    return this.#bytes.subarray(position - this.#start, position - this.#start + length);
  }

  close(): void {
    this.#handles.closeAll();
  }
}

function numberedFiles(files: Files, directory: string): string[] {
  return files.list(directory).filter((name) => /^\d+$/.test(name));
}

/** Every record of the commit log, file by file. Of each file reading stops at its end, or at bytes that are no record. */
export function* dumpCommitLog(directory: string, options: DumpOptions = {}): Generator<DumpedRecord> {
  const files = options.files ?? diskFiles;
  const logDirectory = joinPath(directory, 'commitlog');
  for (const file of numberedFiles(files, logDirectory)) {
    const reader = new Reader(files, joinPath(logDirectory, file));
    try {
      yield* dumpSegment(reader, file);
    } finally {
      reader.close();
    }
  }
}

function* dumpSegment(reader: Reader, file: string): Generator<DumpedRecord> {
  const start = Number(file);
  for (let at = 0; at < reader.sizeBytes; ) {
    const commitLogOffset = start + at;
    const shape = recordShapeAt(reader.at(at, 8), 0, reader.sizeBytes - at);
    if (shape.kind === 'zero') return;
    if (shape.kind === 'invalid') {
      yield { kind: 'invalid', file, commitLogOffset, reason: shape.reason };
      return;
    }
    if (shape.kind === 'blank') {
      yield { kind: 'blank', file, commitLogOffset, sizeBytes: shape.sizeBytes };
      return;
    }
    let message: StoredMessage;
    try {
      message = decodeRecord(Buffer.from(reader.at(at, shape.sizeBytes)), 0);
    } catch (error) {
      yield { kind: 'invalid', file, commitLogOffset, reason: messageOf(error) };
      return;
    }
    yield { kind: 'message', file, commitLogOffset, message };
    at += shape.sizeBytes;
  }
}

/** Topics that have consume queues, with their queue ids. */
export function dumpQueues(directory: string, options: DumpOptions = {}): Map<string, number[]> {
  const files = options.files ?? diskFiles;
  const root = joinPath(directory, 'consumequeue');
  const queues = new Map<string, number[]>();
  for (const topic of files.list(root)) {
    const ids = numberedFiles(files, joinPath(root, topic)).map(Number);
    if (files.stat(joinPath(root, topic))?.isDirectory)
      queues.set(
        topic,
        ids.sort((a, b) => a - b),
      );
  }
  return queues;
}

/** The entries of a consume queue that are written, blank ones in front included. */
export function* dumpConsumeQueue(
  directory: string,
  topic: string,
  queueId: number,
  options: DumpOptions = {},
): Generator<DumpedQueueEntry> {
  const path = joinPath(directory, 'consumequeue', topic, String(queueId));
  for (const { bytes, number } of entriesIn(path, QUEUE_ENTRY_BYTES, options.files ?? diskFiles)) {
    const entry = decodeEntry(bytes, 0);
    if (entry.sizeBytes <= 0) return;
    yield { queueOffset: number, ...entry };
  }
}

/** The entries of a queue of a BatchCQ topic. */
export function* dumpBatchConsumeQueue(
  directory: string,
  topic: string,
  queueId: number,
  options: DumpOptions = {},
): Generator<DumpedBatchEntry> {
  const path = joinPath(directory, 'batchconsumequeue', topic, String(queueId));
  for (const { bytes, number } of entriesIn(path, BATCH_ENTRY_BYTES, options.files ?? diskFiles)) {
    const entry = decodeEntry(bytes, 0);
    if (entry.sizeBytes <= 0) return;
    yield {
      queueOffset: number,
      ...entry,
      storeTimestamp: readInt64(bytes, 20),
      baseOffset: readInt64Loose(bytes, 28),
      batchSize: bytes.readInt16BE(36),
      compactedOffset: bytes.readInt32BE(38),
    };
  }
}

function* entriesIn(directory: string, entryBytes: number, files: Files): Generator<{ bytes: Buffer; number: number }> {
  for (const file of numberedFiles(files, directory)) {
    const reader = new Reader(files, joinPath(directory, file));
    try {
      for (let at = 0; at + entryBytes <= reader.sizeBytes; at += entryBytes) {
        yield { bytes: reader.at(at, entryBytes), number: (Number(file) + at) / entryBytes };
      }
    } finally {
      reader.close();
    }
  }
}

/** Names of the index files, oldest first. */
export function dumpIndexFiles(directory: string, options: DumpOptions = {}): string[] {
  return numberedFiles(options.files ?? diskFiles, joinPath(directory, 'index'));
}

export function dumpIndexHeader(directory: string, name: string, options: DumpOptions = {}): IndexHeader {
  const reader = new Reader(options.files ?? diskFiles, joinPath(directory, 'index', name));
  try {
    const bytes = reader.at(0, INDEX_HEADER_BYTES);
    if (bytes.length === INDEX_HEADER_BYTES) return decodeIndexHeader(bytes);
    throw new FoldlogError('CORRUPTION', `index file ${name} has no whole header`, { file: name, offset: 0 });
  } finally {
    reader.close();
  }
}

/** The entries of an index file, in the order in which they were written. */
export function* dumpIndexEntries(
  directory: string,
  name: string,
  options: DumpIndexOptions = {},
): Generator<DumpedIndexEntry> {
  const slots = options.maxHashSlotNum ?? 5_000_000;
  const { indexCount } = dumpIndexHeader(directory, name, options);
  const reader = new Reader(options.files ?? diskFiles, joinPath(directory, 'index', name));
  const first = INDEX_HEADER_BYTES + slots * INDEX_SLOT_BYTES;
  try {
    for (let number = FIRST_ENTRY; number < indexCount; number += 1) {
      const bytes = reader.at(first + number * INDEX_ENTRY_BYTES, INDEX_ENTRY_BYTES);
      if (bytes.length < INDEX_ENTRY_BYTES) return;
      const entry = { keyHash: 0, commitLogOffset: 0, timeDiffSeconds: 0, previous: 0 };
      decodeIndexEntry(bytes, 0, entry);
      yield { number, slot: entry.keyHash % slots, ...entry };
    }
  } finally {
    reader.close();
  }
}

export function dumpCheckpoint(directory: string, options: DumpOptions = {}): Checkpoint {
  return readCheckpoint(options.files ?? diskFiles, directory);
}
