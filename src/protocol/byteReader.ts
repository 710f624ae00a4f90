/**
 * Reads big-endian fields of a request body in order, every read checked against the end: a body is whatever a peer
 * chose to send. All failures are FRAME_INVALID and name the part and the byte. Writers size their buffer first and
 * use Node's own methods.
 */
import { readInt64Loose } from '../base/bytes.js';
import { FoldlogError } from '../base/errors.js';

export class ByteReader {
  readonly #source: Buffer;
  readonly #what: string;
  #at = 0;

  /** @param what how errors call the body, for instance `body of APPEND_EVENTS` */
  constructor(source: Buffer, what: string) {
    this.#source = source;
    this.#what = what;
  }

  get position(): number {
    return this.#at;
  }

  get bytesLeft(): number {
    return this.#source.length - this.#at;
  }

  int8(part: string): number {
    return this.#source.readInt8(this.#take(1, part));
  }

  int16(part: string): number {
    return this.#source.readInt16BE(this.#take(2, part));
  }

  int32(part: string): number {
    return this.#source.readInt32BE(this.#take(4, part));
  }

  /** A 64-bit integer that must be a safe one. */
  int64(part: string): number {
    const value = readInt64Loose(this.#source, this.#take(8, part));
    if (!Number.isSafeInteger(value)) throw this.invalid(part, 'is outside the safe integer range');
    return value;
  }

  /** A view of the next `length` bytes, not a copy. */
  bytes(length: number, part: string): Buffer {
    const start = this.#take(length, part);
    return this.#source.subarray(start, start + length);
  }

  skip(length: number, part: string): void {
    this.#take(length, part);
  }

  text(length: number, part: string): string {
    const start = this.#take(length, part);
    return this.#source.toString('utf8', start, start + length);
  }

  /** Text behind a 16-bit length. */
  shortText(part: string): string {
    return this.text(this.int16(part), part);
  }

  /** A 16-bit count of things that take at least one byte each. */
  count(part: string): number {
    const count = this.int16(part);
    if (count < 0 || count > this.bytesLeft) throw this.invalid(part, `cannot be ${count}`);
    return count;
  }

  end(): void {
    if (this.bytesLeft !== 0) throw this.invalid('end', `has ${this.bytesLeft} bytes behind it`);
  }

  invalid(part: string, reason: string): FoldlogError {
    return new FoldlogError('FRAME_INVALID', `${this.#what}: ${part} at byte ${this.#at} ${reason}`, { part });
  }

  #take(length: number, part: string): number {
    if (length < 0 || length > this.bytesLeft) {
      throw this.invalid(part, `needs ${length} bytes, ${this.bytesLeft} are left`);
    }
    const start = this.#at;
    this.#at += length;
    return start;
  }
}

/** Writes `text` behind a 16-bit length; returns the position after it. The caller has checked the length. */
export function writeShortText(target: Buffer, text: string, at: number): number {
  const bytes = target.write(text, at + 2);
  target.writeInt16BE(bytes, at);
  return at + 2 + bytes;
}

/** Size of {@link writeShortText}'s output. Throws FRAME_INVALID for a text over 32,767 bytes. */
export function shortTextBytes(text: string, part: string): number {
  const bytes = Buffer.byteLength(text);
  if (bytes > 32767) {
    throw new FoldlogError('FRAME_INVALID', `${part} has ${bytes} bytes, at most 32767 fit`, { part });
  }
  return 2 + bytes;
}
