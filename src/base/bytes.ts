/**
 * Big-endian 64-bit integers as safe JavaScript numbers. RocketMQ's longs are signed; every one that foldlog meets
 * (offsets, timestamps) fits into 53 bits, which is checked here once. tagsCode is the exception: a ConsumeQueueExt
 * address lies near the 64-bit minimum, so tags codes are read by `readInt64Loose`.
 */
import { FoldlogError } from './errors.js';

const TWO_POW_32 = 0x1_0000_0000;

/** Reads a signed big-endian 64-bit integer; throws CORRUPTION when it is not a safe integer. */
export function readInt64(source: Buffer, at: number): number {
  const value = source.readInt32BE(at) * TWO_POW_32 + source.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) {
    throw new FoldlogError('CORRUPTION', `64-bit value at byte ${at} is outside the safe integer range`, {
      offset: at,
    });
  }
  return value;
}

/** Like {@link readInt64}, but a value outside the safe range comes back rounded instead of throwing. */
export function readInt64Loose(source: Buffer, at: number): number {
  return source.readInt32BE(at) * TWO_POW_32 + source.readUInt32BE(at + 4);
}

/**
 * Writes a safe integer as a signed big-endian 64-bit integer; returns the position after it. Byte by byte: Buffer's own
 * 32-bit writes take eight times as long, and each record, index entry and queue entry has several of these.
 */
export function writeInt64(target: Buffer, value: number, at: number): number {
  if (at < 0 || at + 8 > target.length) throw new RangeError(`8 bytes at ${at} do not fit into ${target.length}`);
  const high = Math.floor(value / TWO_POW_32);
  // Bit operations take the low 32 bits of any safe integer in two's complement, negative ones included.
  const low = value | 0;
  target[at] = high >>> 24;
  target[at + 1] = high >>> 16;
  target[at + 2] = high >>> 8;
  target[at + 3] = high;
  target[at + 4] = low >>> 24;
  target[at + 5] = low >>> 16;
  target[at + 6] = low >>> 8;
  target[at + 7] = low;
  return at + 8;
}

/** Texts up to this length are written character by character: a call into native code costs more. */
const SHORT_TEXT_CHARACTERS = 32;

/** Writes a text as UTF-8; returns its length in bytes. */
export function writeText(target: Buffer, text: string, at: number): number {
  const { length } = text;
  if (length > SHORT_TEXT_CHARACTERS || at + length > target.length) return target.write(text, at);
  for (let index = 0; index < length; index += 1) {
    const character = text.charCodeAt(index);
    if (character > 0x7f) return target.write(text, at);
    target[at + index] = character;
  }
  return length;
}

/** All parts as one: a view where they lie next to each other already, else a copy. `sizeBytes` is their sum. */
export function joined(parts: readonly Buffer[], sizeBytes: number): Buffer {
  const [first] = parts;
  if (first === undefined) return Buffer.alloc(0);
  let end = first.byteOffset;
  for (const part of parts) {
    if (part.buffer !== first.buffer || part.byteOffset !== end) return Buffer.concat(parts, sizeBytes);
    end += part.length;
  }
  return parts.length === 1 ? first : Buffer.from(first.buffer, first.byteOffset, sizeBytes);
}
