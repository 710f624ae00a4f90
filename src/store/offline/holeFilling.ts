/**
 * What a repair puts in the place of a hole, worked out before anything is changed: whole records from the hole's first
 * byte to its last, so that every reader passes over it and nothing behind it moves (docs/decisions, "repair").
 *
 * EXACT: where each lost message is known, its replacement lies at its place with its size, and its queue entry stays
 * right. PACKED: where only its queue offset is known, replacements lie one after the other in the hole. Bytes that are
 * left become fillers; those up to the end of a segment a blank record, as at the end of every segment.
 */
import { assert } from '../../base/assert.js';
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import type { MessageProperties } from '../../protocol/messageProperties.js';
import { EVENT_PROPERTY, encodeProperties, PROPERTIES_MAX_BYTES, PROPERTY } from '../../protocol/messageProperties.js';
import { BLANK_MAGIC, BLANK_MIN_BYTES, RECORD_AT, RECORD_MIN_BYTES } from '../../protocol/messageRecord.js';
import { SCHEDULE_TOPIC, TIMER_TOPIC } from '../../protocol/names.js';
import { lostKeysText } from '../../protocol/removedMessage.js';
import { encodeRemovedRecord, REMOVED_TOPIC, removedRecordMin } from '../log/removedRecord.js';
import type { BookedHole, LossBook, LostOffsets } from './lossBook.js';
import type { LostRecord, LostRecords } from './lostRecords.js';

/** Replacing bytes of one segment. */
export interface Piece {
  from: CommitLogOffset;
  /** The replacement ends here, or with a blank record that reaches from its last bytes to here. */
  to: CommitLogOffset;
  isSegmentEnd: boolean;
}

/** One byte more than the smallest record: a topic that is empty would look like a lost sector. */
const FILLER_MIN_BYTES = RECORD_MIN_BYTES + 1;
/** Readers hold whole records in memory. */
const FILLER_MAX_BYTES = 1024 * 1024;
const FILLER_NAME_BYTES = Buffer.byteLength(REMOVED_TOPIC);
/** `FL_REMOVED`, a number, `FL_LOST` and separators. */
const FILLER_MARKS_BYTES = 64;
/** A hash in base 36 and its dot. */
const HASH_TEXT_BYTES = 7;
/** Hashes that wait for a record with room. */
const WAITING_MAX = 1_000_000;
/** Kept of a lost message whose text is whole: what finds it, and what numbers it. */
const KEPT = [
  EVENT_PROPERTY.STREAM_VERSION,
  PROPERTY.KEYS,
  PROPERTY.UNIQ_KEY,
  EVENT_PROPERTY.APPEND_ID,
  EVENT_PROPERTY.APPEND_INDEX,
  PROPERTY.INNER_MULTI_DISPATCH,
  PROPERTY.INNER_MULTI_QUEUE_OFFSET,
] as const;

interface Placed {
  topic: string;
  queueId: number;
  queueOffset: QueueOffset;
  properties: MessageProperties | undefined;
  hashes: readonly number[];
}

interface QueueRange {
  topic: string;
  queueId: number;
  from: QueueOffset;
  to: QueueOffset;
}

export interface Filled {
  mode: 'EXACT' | 'PACKED';
  messageCount: number;
  /** Messages of which neither the text nor the index tells the keys. */
  keylessCount: number;
  /** Index hashes for which there was no room. */
  droppedKeyCount: number;
  /** Queue offsets for which there was no room: they stay a gap. */
  droppedOffsetCount: number;
}

/** Plans all holes of a log, in order. */
export class HoleFilling {
  readonly #book: LossBook;
  readonly #lost: LostRecords;
  readonly #segmentBytes: number;
  readonly #number: string;
  /** The next offset that is not accounted for yet, of ranges and of queues whose end is open. */
  readonly #rangeNext = new Map<LostOffsets, QueueOffset>();
  readonly #openNext = new Map<string, QueueOffset>();

  /** `number`: of the directory that keeps the bytes. */
  constructor(parts: { book: LossBook; lost: LostRecords; segmentBytes: number; number: number }) {
    this.#book = parts.book;
    this.#lost = parts.lost;
    this.#segmentBytes = parts.segmentBytes;
    this.#number = String(parts.number);
  }

  /** The hole segment by segment. */
  piecesOf({ from, to }: BookedHole): Piece[] {
    const pieces: Piece[] = [];
    for (let at = from; at < to; ) {
      const segmentEnd = at - (at % this.#segmentBytes) + this.#segmentBytes;
      const end = Math.min(to, segmentEnd);
      // Where the next segment's first byte is good, or bad too, this one must end with a blank record.
      pieces.push({ from: at, to: end, isSegmentEnd: end === segmentEnd });
      at = end;
    }
    return pieces;
  }

  /** Why the hole cannot be filled; undefined when it can. */
  refusalOf(hole: BookedHole): string | undefined {
    for (const { from, to, isSegmentEnd } of this.piecesOf(hole)) {
      const least = isSegmentEnd ? BLANK_MIN_BYTES : FILLER_MIN_BYTES;
      if (to - from < least) return `${to - from} bytes at log position ${from} are too few for any record`;
    }
    return undefined;
  }

  /** Calls `begin` for each piece and `write` for its bytes, in order. */
  fill(number: number, begin: (piece: Piece) => void, write: (bytes: Buffer) => void): Filled {
    const hole = this.#book.holes[number];
    assert(hole, 'a hole of the book is filled');
    const packed = this.#packedOf(number, hole);
    const writer = new PieceWriter({
      keys: this.#lost.keysIn(hole),
      hole,
      pieces: this.piecesOf(hole),
      number: this.#number,
      begin,
      write,
    });
    if (packed) for (const place of this.#toPack(number, packed)) writer.pack(place);
    else for (const lost of this.#lost.in(number)) writer.placeAt(lost);
    writer.end();
    return { ...writer.filled, mode: packed ? 'PACKED' : 'EXACT' };
  }

  /** Undefined when everything that is lost is known with its place; else the offsets of each queue that are lost here. */
  #packedOf(number: number, hole: BookedHole): QueueRange[] | undefined {
    const rangeNext = new Map(this.#rangeNext);
    const openNext = new Map(this.#openNext);
    const openEnd = new Map<string, QueueRange>();
    const here = this.#book.offsets.filter(({ firstHole, lastHole }) => firstHole <= number && lastHole >= number);
    let isExact = true;
    let at = hole.from;
    for (const record of this.#lost.in(number)) {
      isExact &&= this.#isFillable(at, record.commitLogOffset);
      at = record.commitLogOffset + record.sizeBytes;
      const { topic, queueId, queueOffset } = record;
      const range = here.find((one) => one.topic === topic && one.queueId === queueId);
      if (range) {
        isExact &&= queueOffset === (rangeNext.get(range) ?? range.from);
        rangeNext.set(range, queueOffset + 1);
        continue;
      }
      const name = `${topic}/${queueId}`;
      const from = openNext.get(name) ?? this.#book.boundsIn(number, topic, queueId)?.from ?? queueOffset;
      isExact &&= queueOffset === from;
      openNext.set(name, queueOffset + 1);
      openEnd.set(name, { topic, queueId, from: openEnd.get(name)?.from ?? from, to: queueOffset + 1 });
    }
    isExact &&= this.#isFillable(at, hole.to);
    for (const range of here) {
      if (range.lastHole === number) isExact &&= (rangeNext.get(range) ?? range.from) === range.to;
    }
    const packed = [
      ...here
        .filter(({ lastHole }) => lastHole === number)
        .map((range) => ({ ...range, from: this.#rangeNext.get(range) ?? range.from })),
      ...openEnd.values(),
    ];
    if (!isExact) for (const range of here) if (range.lastHole > number) rangeNext.delete(range);
    this.#adopt(rangeNext, openNext);
    return isExact ? undefined : packed;
  }

  /** Messages that are known come in log order, each after those of its queue that are only known to be missing. */
  *#toPack(number: number, ranges: readonly QueueRange[]): Generator<Placed, void, undefined> {
    const left = new Map(ranges.map((range) => [`${range.topic}/${range.queueId}`, { ...range }]));
    const bare = function* (range: QueueRange, to: QueueOffset): Generator<Placed, void, undefined> {
      const { topic, queueId } = range;
      for (; range.from < to; range.from += 1) {
        yield { topic, queueId, queueOffset: range.from, properties: undefined, hashes: [] };
      }
    };
    for (const record of this.#lost.in(number)) {
      const range = left.get(`${record.topic}/${record.queueId}`);
      if (!range || record.queueOffset < range.from || record.queueOffset >= range.to) continue;
      yield* bare(range, record.queueOffset);
      yield record;
      range.from += 1;
    }
    for (const range of left.values()) yield* bare(range, range.to);
  }

  #adopt(rangeNext: Map<LostOffsets, QueueOffset>, openNext: Map<string, QueueOffset>): void {
    for (const [range, next] of rangeNext) this.#rangeNext.set(range, next);
    for (const [name, next] of openNext) this.#openNext.set(name, next);
  }

  /** Can the bytes between two records be filled? At the end of a segment a blank record needs less. */
  #isFillable(from: CommitLogOffset, to: CommitLogOffset): boolean {
    const segmentEnd = from - (from % this.#segmentBytes) + this.#segmentBytes;
    if (to < segmentEnd) return to === from || to - from >= FILLER_MIN_BYTES;
    return segmentEnd - from >= BLANK_MIN_BYTES && (to % this.#segmentBytes === 0 || this.#isFillable(segmentEnd, to));
  }
}

function keptOf(properties: MessageProperties | undefined): [string, string][] {
  return KEPT.flatMap((name): [string, string][] => {
    const value = properties?.[name];
    return value === undefined ? [] : [[name, value]];
  });
}

function textBytes(properties: readonly (readonly [string, string])[]): number {
  return Buffer.byteLength(encodeProperties(Object.fromEntries(properties)));
}

interface IndexedKey {
  commitLogOffset: CommitLogOffset;
  keyHash: number;
}

/** Writes records, fillers and blank records from the start of a hole to its end, and hands on lost keys with them. */
class PieceWriter {
  readonly #keys: Generator<IndexedKey, void, undefined>;
  readonly #storeTimestamp: number;
  readonly #pieces: readonly Piece[];
  readonly #number: string;
  readonly #begin: (piece: Piece) => void;
  readonly #write: (bytes: Buffer) => void;
  #pieceAt = -1;
  #at: CommitLogOffset;
  #nextKey: IndexedKey | undefined;
  /** Keys of what lay below {@link #at} that no record carries yet. */
  #waiting: number[] = [];
  /** The last replacement, not written yet: it may have to reach up to what follows. */
  #held: { place: Placed; from: CommitLogOffset; sizeBytes: number; hashes: readonly number[] } | undefined;
  readonly filled = { messageCount: 0, keylessCount: 0, droppedKeyCount: 0, droppedOffsetCount: 0 };

  constructor(parts: {
    keys: Generator<IndexedKey, void, undefined>;
    hole: BookedHole;
    pieces: readonly Piece[];
    number: string;
    begin: (piece: Piece) => void;
    write: (bytes: Buffer) => void;
  }) {
    this.#keys = parts.keys;
    // The time of the record before it keeps times ascending; 0 would tell an Apache broker that nothing is there.
    this.#storeTimestamp = parts.hole.storeTimestamp || 1;
    this.#pieces = parts.pieces;
    this.#number = parts.number;
    this.#begin = parts.begin;
    this.#write = parts.write;
    this.#at = parts.hole.from;
    this.#nextKey = this.#keys.next().value ?? undefined;
    this.#nextPiece();
  }

  /** A message at the place it had. */
  placeAt(lost: LostRecord): void {
    while (lost.commitLogOffset >= this.#piece.to) this.#endPiece();
    this.#fillTo(lost.commitLogOffset);
    // Its own keys are the index entries at its position.
    const hashes = this.#keysBelow(lost.commitLogOffset + 1);
    const isTold = lost.properties !== undefined;
    this.filled.messageCount += 1;
    if (!isTold && lost.hashes.length === 0) this.filled.keylessCount += 1;
    this.#hold(lost, lost.sizeBytes, isTold ? [] : hashes);
  }

  /** A message at the next place that has room. */
  pack(place: Placed): void {
    const least = removedRecordMin(place.topic);
    const wanted = least + textBytes(keptOf(place.properties));
    for (;;) {
      const left = this.#left();
      if (left >= least) {
        this.filled.messageCount += 1;
        if (!place.properties && place.hashes.length === 0) this.filled.keylessCount += 1;
        // The index entries of the hole are handed on with the fillers.
        this.#hold(place, Math.min(left, wanted), []);
        return;
      }
      if (this.#pieceAt === this.#pieces.length - 1) {
        this.filled.droppedOffsetCount += 1;
        return;
      }
      this.#endPiece();
    }
  }

  end(): void {
    while (this.#pieceAt < this.#pieces.length - 1) this.#endPiece();
    this.#finishPiece();
    this.#collect(Number.POSITIVE_INFINITY);
    this.filled.droppedKeyCount += this.#waiting.length;
  }

  get #piece(): Piece {
    const piece = this.#pieces[this.#pieceAt];
    assert(piece, 'a hole has a piece');
    return piece;
  }

  /** Bytes that records can take in this piece. */
  #left(): number {
    const { to, isSegmentEnd } = this.#piece;
    return to - this.#at - (isSegmentEnd ? BLANK_MIN_BYTES : 0);
  }

  #nextPiece(): void {
    this.#pieceAt += 1;
    this.#at = this.#piece.from;
    this.#begin(this.#piece);
  }

  #endPiece(): void {
    this.#finishPiece();
    this.#nextPiece();
  }

  #finishPiece(): void {
    const { to, isSegmentEnd } = this.#piece;
    if (!isSegmentEnd) {
      this.#fillTo(to);
      this.#flushHeld();
      return;
    }
    this.#flushHeld();
    this.#collect(to);
    // A filler says what happened here, and more of them carry the keys; a blank record takes the rest.
    for (let isFirst = true; isFirst || this.#waiting.length > 0; isFirst = false) {
      const wanted = RECORD_MIN_BYTES + FILLER_NAME_BYTES + FILLER_MARKS_BYTES + this.#waiting.length * HASH_TEXT_BYTES;
      const sizeBytes = Math.min(wanted, this.#left(), PROPERTIES_MAX_BYTES);
      if (sizeBytes < FILLER_MIN_BYTES) break;
      const before = this.#waiting.length;
      this.#filler(sizeBytes);
      if (!isFirst && this.#waiting.length === before) break;
    }
    const blank = Buffer.alloc(BLANK_MIN_BYTES);
    blank.writeInt32BE(to - this.#at, RECORD_AT.TOTAL_SIZE);
    blank.writeInt32BE(BLANK_MAGIC, RECORD_AT.MAGIC);
    this.#write(blank);
    this.#at = to;
  }

  /** Fillers up to the position, which lies in this piece. */
  #fillTo(position: CommitLogOffset): void {
    if (position - this.#at > 0 && position - this.#at < FILLER_MIN_BYTES) {
      assert(this.#held, 'what is too small for a record belongs to the one before');
      this.#held.sizeBytes += position - this.#at;
      this.#at = position;
    }
    this.#flushHeld();
    while (this.#at < position) {
      const left = position - this.#at;
      let sizeBytes = Math.min(left, FILLER_MAX_BYTES);
      if (left - sizeBytes > 0 && left - sizeBytes < FILLER_MIN_BYTES) sizeBytes -= FILLER_MIN_BYTES;
      this.#collect(this.#at + sizeBytes);
      this.#filler(sizeBytes);
    }
  }

  #filler(sizeBytes: number): void {
    const room = Math.min(sizeBytes - RECORD_MIN_BYTES - FILLER_NAME_BYTES, PROPERTIES_MAX_BYTES) - FILLER_MARKS_BYTES;
    const hashes = this.#waiting.splice(0, Math.max(0, Math.floor(room / HASH_TEXT_BYTES)));
    const properties: [string, string][] = [[EVENT_PROPERTY.REMOVED, this.#number]];
    if (hashes.length > 0) properties.unshift([EVENT_PROPERTY.LOST_KEYS, lostKeysText(hashes)]);
    const storeTimestamp = this.#storeTimestamp;
    this.#write(
      encodeRemovedRecord({ sizeBytes, commitLogOffset: this.#at, storeTimestamp, place: undefined, properties }),
    );
    this.#at += sizeBytes;
  }

  #hold(place: Placed, sizeBytes: number, hashes: readonly number[]): void {
    this.#flushHeld();
    this.#held = { place, from: this.#at, sizeBytes, hashes };
    this.#at += sizeBytes;
  }

  #flushHeld(): void {
    const held = this.#held;
    if (!held) return;
    this.#held = undefined;
    const { place, from, sizeBytes } = held;
    const room = sizeBytes - removedRecordMin(place.topic) - (EVENT_PROPERTY.LOST_KEYS.length + 2);
    const countMax = Math.max(0, Math.floor(Math.min(room, PROPERTIES_MAX_BYTES / 2) / HASH_TEXT_BYTES));
    const hashes = held.hashes.slice(0, countMax);
    this.#wait(held.hashes.slice(countMax));
    const properties: [string, string][] = [];
    // To a service of an Apache broker it is a message that is due, for a topic that nobody reads.
    if (place.topic === SCHEDULE_TOPIC || place.topic === TIMER_TOPIC) {
      properties.push([PROPERTY.REAL_TOPIC, REMOVED_TOPIC], [PROPERTY.REAL_QID, '0']);
      properties.push([PROPERTY.TIMER_OUT_MS, String(this.#storeTimestamp)]);
    }
    if (hashes.length > 0) properties.push([EVENT_PROPERTY.LOST_KEYS, lostKeysText(hashes)]);
    properties.push(...keptOf(place.properties));
    properties.push([EVENT_PROPERTY.REMOVED, this.#number]);
    this.#write(
      encodeRemovedRecord({
        sizeBytes,
        commitLogOffset: from,
        storeTimestamp: this.#storeTimestamp,
        place,
        properties,
      }),
    );
  }

  #collect(below: CommitLogOffset): void {
    this.#wait(this.#keysBelow(below));
  }

  #wait(hashes: readonly number[]): void {
    for (const hash of hashes) {
      if (this.#waiting.length < WAITING_MAX) this.#waiting.push(hash);
      else this.filled.droppedKeyCount += 1;
    }
  }

  #keysBelow(below: CommitLogOffset): number[] {
    const hashes: number[] = [];
    for (
      ;
      this.#nextKey && this.#nextKey.commitLogOffset < below;
      this.#nextKey = this.#keys.next().value ?? undefined
    ) {
      hashes.push(this.#nextKey.keyHash);
    }
    return hashes;
  }
}
