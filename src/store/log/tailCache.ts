/**
 * The newest bytes of the log in memory: the chunks that appends are encoded into, kept for readers near the end and
 * bounded in bytes. A chunk lies in one segment, its bytes are contiguous in the log, and records never span chunks.
 * Chunks that hold bytes not yet written are never dropped. The buffer of a dropped chunk is used again only when nobody
 * was given a view of it, so that views stay true.
 */
import { assert } from '../../base/assert.js';

const CHUNK_BYTES = 1024 * 1024;

export interface Chunk {
  readonly buffer: Buffer;
  /** Position of its first byte in the log. */
  readonly start: number;
  /** Bytes that hold records, and how many of them are with the operating system. */
  length: number;
  writtenLength: number;
  /** Has a reader been given a view of the buffer? */
  isShared: boolean;
}

export class TailCache {
  readonly #bytesMax: number;
  readonly #chunks: Chunk[] = [];
  #bytes = 0;
  #spare: Buffer | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get last(): Chunk | undefined {
    return this.#chunks.at(-1);
  }

  /** Begins a chunk at a position; it holds `sizeBytes` at least, and no more than the segment has left. */
  begin(start: number, sizeBytes: number, leftInSegment: number): Chunk {
    const last = this.last;
    assert(!last || start >= last.start + last.length, 'chunks follow each other');
    const capacity = Math.max(sizeBytes, Math.min(CHUNK_BYTES, leftInSegment));
    const chunk = { buffer: this.#buffer(capacity), start, length: 0, writtenLength: 0, isShared: false };
    this.#chunks.push(chunk);
    this.#bytes += capacity;
    this.#evict();
    return chunk;
  }

  /** The chunk that holds the position, if it is in memory. */
  find(position: number): Chunk | undefined {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const chunk = this.#chunks[middle];
      if (!chunk) return undefined;
      if (position < chunk.start) high = middle - 1;
      else if (position >= chunk.start + chunk.length) low = middle + 1;
      else return chunk;
    }
    return undefined;
  }

  /** Chunks with bytes that are not yet written, oldest first. */
  unwritten(): Chunk[] {
    let first = this.#chunks.length;
    while (first > 0 && !isWritten(this.#chunks[first - 1])) first -= 1;
    return this.#chunks.slice(first);
  }

  /** Forgets everything at or after the position. */
  dropFrom(position: number): void {
    for (let last = this.last; last && last.start >= position; last = this.last) {
      this.#chunks.pop();
      this.#bytes -= last.buffer.length;
    }
    const last = this.last;
    if (!last) return;
    last.length = Math.min(last.length, position - last.start);
    last.writtenLength = Math.min(last.writtenLength, last.length);
  }

  /** Fresh memory costs a page fault per 4 KiB: under load the chunks go round instead. */
  #buffer(sizeBytes: number): Buffer {
    const spare = this.#spare;
    if (spare?.length !== sizeBytes) return Buffer.allocUnsafeSlow(sizeBytes);
    this.#spare = undefined;
    return spare;
  }

  #evict(): void {
    while (this.#bytes > this.#bytesMax && this.#chunks.length > 1) {
      const oldest = this.#chunks[0];
      if (!isWritten(oldest)) return;
      this.#chunks.shift();
      if (!oldest) return;
      this.#bytes -= oldest.buffer.length;
      if (!oldest.isShared && oldest.buffer.length === CHUNK_BYTES) this.#spare = oldest.buffer;
    }
  }
}

/** A chunk that nothing was put into yet does not count as written. */
function isWritten(chunk: Chunk | undefined): boolean {
  return chunk !== undefined && chunk.length > 0 && chunk.writtenLength === chunk.length;
}
