/**
 * Reads store files byte by byte as RocketMQ's format says, with nothing of `src/`: so that writer and reader of ours
 * cannot be wrong together. Upstream: `MessageDecoder`, `ConsumeQueue`, `IndexHeader`, `IndexFile`.
 */
import fs from 'node:fs';
import path from 'node:path';

export interface RawRecord {
  kind: 'message';
  bytes: Buffer;
  /** Position in the log: name of the file and place in it. */
  position: number;
  sizeBytes: number;
  magic: number;
  bodyCrc: number;
  queueId: number;
  queueOffset: number;
  physicalOffset: number;
  sysFlag: number;
  bornHost: Buffer;
  storeTimestamp: number;
  storeHost: Buffer;
  body: Buffer;
  topic: string;
  propertiesText: string;
  properties: Map<string, string>;
  /** Where the last part ends, counted from the record's start. */
  partsBytes: number;
}

export interface RawBlank {
  kind: 'blank';
  position: number;
  sizeBytes: number;
}

export const MAGIC = { V1: 0xdaa320a7, V2: 0xdaa320ab, BLANK: 0xcbd43194 } as const;

const long = (bytes: Buffer, at: number) => Number(bytes.readBigInt64BE(at));

/** Everything up to the first zero size of each file. */
export function rawLog(directory: string): (RawRecord | RawBlank)[] {
  const found: (RawRecord | RawBlank)[] = [];
  const folder = path.join(directory, 'commitlog');
  for (const name of fs.readdirSync(folder).sort()) {
    const head = readPiece(path.join(folder, name));
    for (let at = 0; at + 8 <= head.length; ) {
      const sizeBytes = head.readInt32BE(at);
      if (sizeBytes === 0) break;
      const position = Number(name) + at;
      if (head.readUInt32BE(at + 4) === MAGIC.BLANK) {
        found.push({ kind: 'blank', position, sizeBytes });
        break;
      }
      found.push(rawRecord(head.subarray(at, at + sizeBytes), position));
      at += sizeBytes;
    }
  }
  return found;
}

export const rawRecords = (directory: string): RawRecord[] =>
  rawLog(directory).filter((record): record is RawRecord => record.kind === 'message');

/** The first MiB is more than any store of the tests uses of a file. */
function readPiece(file: string): Buffer {
  const bytes = Buffer.alloc(Math.min(1 << 20, fs.statSync(file).size));
  const descriptor = fs.openSync(file, 'r');
  fs.readSync(descriptor, bytes, 0, bytes.length, 0);
  fs.closeSync(descriptor);
  return bytes;
}

function rawRecord(bytes: Buffer, position: number): RawRecord {
  let at = 48;
  const take = (length: number) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  const sysFlag = bytes.readInt32BE(36);
  const magic = bytes.readUInt32BE(4);
  const bornHost = take(sysFlag & 0x10 ? 20 : 8);
  const storeTimestamp = long(take(8), 0);
  const storeHost = take(sysFlag & 0x20 ? 20 : 8);
  take(12);
  const body = take(take(4).readInt32BE(0));
  const topic = take(magic === MAGIC.V2 ? take(2).readInt16BE(0) : take(1).readInt8(0)).toString();
  const propertiesText = take(take(2).readInt16BE(0)).toString();
  return {
    kind: 'message',
    bytes,
    position,
    sizeBytes: bytes.readInt32BE(0),
    magic,
    bodyCrc: bytes.readInt32BE(8),
    queueId: bytes.readInt32BE(12),
    queueOffset: long(bytes, 20),
    physicalOffset: long(bytes, 28),
    sysFlag,
    bornHost,
    storeTimestamp,
    storeHost,
    body,
    topic,
    propertiesText,
    properties: rawProperties(propertiesText),
    partsBytes: at,
  };
}

/** Items of three characters and more, with 0x01 not at the start and a value (`MessageDecoder#string2messageProperties`). */
function rawProperties(text: string): Map<string, string> {
  const items = text.split('\u0002').map((item) => [item, item.indexOf('\u0001')] as const);
  const good = items.filter(([item, at]) => item.length >= 3 && at > 0 && at < item.length - 1);
  return new Map(good.map(([item, at]) => [item.slice(0, at), item.slice(at + 1)]));
}

export interface RawQueueEntry {
  queueOffset: number;
  position: number;
  sizeBytes: number;
  tagsCode: bigint;
}

/** Queues by `topic/queueId`. */
export function rawQueues(directory: string): Map<string, RawQueueEntry[]> {
  const queues = new Map<string, RawQueueEntry[]>();
  const root = path.join(directory, 'consumequeue');
  for (const topic of fs.readdirSync(root)) {
    for (const queueId of fs.readdirSync(path.join(root, topic))) {
      const folder = path.join(root, topic, queueId);
      const entries = fs.readdirSync(folder).flatMap((name) => rawQueueFile(path.join(folder, name), Number(name)));
      queues.set(`${topic}/${queueId}`, entries);
    }
  }
  return queues;
}

function rawQueueFile(file: string, start: number): RawQueueEntry[] {
  const bytes = readPiece(file);
  const entries: RawQueueEntry[] = [];
  for (let at = 0; at + 20 <= bytes.length && bytes.readInt32BE(at + 8) > 0; at += 20) {
    entries.push({
      queueOffset: (start + at) / 20,
      position: long(bytes, at),
      sizeBytes: bytes.readInt32BE(at + 8),
      tagsCode: bytes.readBigInt64BE(at + 12),
    });
  }
  return entries;
}

export interface RawIndexEntry {
  keyHash: number;
  position: number;
  seconds: number;
  previous: number;
}

export interface RawIndex {
  name: string;
  beginTimestamp: number;
  endTimestamp: number;
  beginPhyOffset: number;
  endPhyOffset: number;
  hashSlotCount: number;
  indexCount: number;
  /** Those in use: slot -> its newest entry. */
  slots: Map<number, number>;
  /** Entry n at n; 0 is never used. */
  entries: RawIndexEntry[];
}

export function rawIndexes(directory: string, slotCount: number): RawIndex[] {
  const folder = path.join(directory, 'index');
  return fs
    .readdirSync(folder)
    .sort()
    .map((name) => rawIndex(path.join(folder, name), name, slotCount));
}

function rawIndex(file: string, name: string, slotCount: number): RawIndex {
  const descriptor = fs.openSync(file, 'r');
  const read = (at: number, length: number) => {
    const bytes = Buffer.alloc(length);
    fs.readSync(descriptor, bytes, 0, length, at);
    return bytes;
  };
  const header = read(0, 40);
  const slotBytes = read(40, slotCount * 4);
  const indexCount = header.readInt32BE(36);
  const entryBytes = read(40 + slotCount * 4, indexCount * 20);
  fs.closeSync(descriptor);
  return {
    name,
    beginTimestamp: long(header, 0),
    endTimestamp: long(header, 8),
    beginPhyOffset: long(header, 16),
    endPhyOffset: long(header, 24),
    hashSlotCount: header.readInt32BE(32),
    indexCount,
    slots: usedSlots(slotBytes),
    entries: Array.from({ length: indexCount }, (_, number) => ({
      keyHash: entryBytes.readInt32BE(number * 20),
      position: long(entryBytes, number * 20 + 4),
      seconds: entryBytes.readInt32BE(number * 20 + 12),
      previous: entryBytes.readInt32BE(number * 20 + 16),
    })),
  };
}

/** Five million in a large file, so as numbers at once. */
function usedSlots(bytes: Buffer): Map<number, number> {
  const used = new Map<number, number>();
  const heads = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let slot = 0; slot < heads.length; slot += 1) if (heads[slot] !== 0) used.set(slot, bytes.readInt32BE(slot * 4));
  return used;
}

/** `String#hashCode`. */
export function javaHash(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return hash;
}

/** `IndexFile#indexKeyHashMethod`. */
export const keyHash = (key: string) => (javaHash(key) === -2147483648 ? 0 : Math.abs(javaHash(key)));

/** Keys of a record in the order in which they are indexed (`IndexService#buildIndex`). */
export function keysOf({ topic, sysFlag, properties }: RawRecord): string[] {
  if ((sysFlag & 0xc) === 0xc) return [];
  const unique = properties.get('UNIQ_KEY');
  const parts = (properties.get('KEYS') ?? '').split(' ').filter((part) => part !== '');
  const tag = properties.get('TAGS');
  return [
    ...(unique ? [`${topic}#${unique}`] : []),
    ...parts.map((part) => `${topic}#${part}`),
    ...(tag ? [`${topic}#T#${tag}`] : []),
  ];
}
