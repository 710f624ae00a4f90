/**
 * Cuts a byte stream into frames, whatever chunks it comes in. A frame that lies whole in one chunk is a view into it;
 * one that does not is assembled in a buffer that doubles, so neither many tiny chunks nor a length that is announced
 * and never sent cost more memory than the bytes that came. Upstream: `NettyDecoder`.
 */
import { FoldlogError } from '../base/errors.js';

const LENGTH_BYTES = 4;
const ASSEMBLY_MIN_BYTES = 1024;

export class FrameDecoder {
  /** Of a whole frame, length word included. */
  readonly #maxFrameBytes: number;
  /** The start of a frame whose end has not come; `#assembled` bytes of it are filled. */
  #assembly = Buffer.alloc(0);
  #assembled = 0;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes of the frame under way. */
  get pendingBytes(): number {
    return this.#assembled;
  }

  /**
   * Calls back with each frame that is complete, without its length word. Throws FRAME_INVALID for a length outside
   * the bounds, after the frames before it; the stream is useless then.
   */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let at = this.#assembled > 0 ? this.#complete(chunk, onFrame) : 0;
    while (chunk.length - at >= LENGTH_BYTES) {
      const end = at + LENGTH_BYTES + this.#lengthAt(chunk, at);
      if (end > chunk.length) break;
      onFrame(chunk.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    if (at < chunk.length) this.#take(chunk, at, chunk.length);
  }

  /** Goes on with the frame under way; returns how much of the chunk it took. */
  #complete(chunk: Buffer, onFrame: (frame: Buffer) => void): number {
    let at = 0;
    if (this.#assembled < LENGTH_BYTES) {
      at = Math.min(LENGTH_BYTES - this.#assembled, chunk.length);
      this.#take(chunk, 0, at);
      if (this.#assembled < LENGTH_BYTES) return at;
    }
    const wanted = LENGTH_BYTES + this.#lengthAt(this.#assembly, 0) - this.#assembled;
    const taken = Math.min(wanted, chunk.length - at);
    this.#take(chunk, at, at + taken);
    if (taken === wanted) {
      const frame = this.#assembly.subarray(LENGTH_BYTES, this.#assembled);
      // The frame keeps the buffer; the next one starts a new one.
      this.#assembly = Buffer.alloc(0);
      this.#assembled = 0;
      onFrame(frame);
    }
    return at + taken;
  }

  #take(chunk: Buffer, start: number, end: number): void {
    const size = this.#assembled + end - start;
    if (size > this.#assembly.length) {
      const grown = Buffer.allocUnsafe(Math.max(ASSEMBLY_MIN_BYTES, size, this.#assembly.length * 2));
      this.#assembly.copy(grown, 0, 0, this.#assembled);
      this.#assembly = grown;
    }
    chunk.copy(this.#assembly, this.#assembled, start, end);
    this.#assembled = size;
  }

  #lengthAt(source: Buffer, at: number): number {
    const length = source.readInt32BE(at);
    if (length < LENGTH_BYTES || length + LENGTH_BYTES > this.#maxFrameBytes) {
      throw new FoldlogError(
        'FRAME_INVALID',
        `a frame announces ${length} bytes, between ${LENGTH_BYTES} and ${this.#maxFrameBytes - LENGTH_BYTES} are taken`,
        { length },
      );
    }
    return length;
  }
}
