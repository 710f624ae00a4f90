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

/** Writes a safe integer as a signed big-endian 64-bit integer; returns the position after it. */
export function writeInt64(target: Buffer, value: number, at: number): number {
  target.writeInt32BE(Math.floor(value / TWO_POW_32), at);
  // `>>> 0` takes the low 32 bits of any safe integer in two's complement, negative ones included.
  return target.writeUInt32BE(value >>> 0, at + 4);
}
