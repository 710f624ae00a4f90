import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joined, readInt64, readInt64Loose, writeInt64, writeText } from '../../src/base/bytes.js';

describe('64-bit integers', () => {
  it('come back as they were written, as a bigint reader sees them', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const bytes = Buffer.alloc(10);
        expect(writeInt64(bytes, value, 1)).toBe(9);
        expect(readInt64(bytes, 1)).toBe(value);
        expect(bytes.readBigInt64BE(1)).toBe(BigInt(value));
      }),
    );
  });

  it('outside the safe range are refused, or rounded when asked for', () => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(-(2n ** 63n));
    expect(() => readInt64(bytes, 0)).toThrow(/safe integer/);
    expect(readInt64Loose(bytes, 0)).toBe(-(2 ** 63));
  });
});

it('a text is written as UTF-8, short or long, and nothing beyond it changes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
      const wanted = Buffer.from(text);
      const bytes = Buffer.alloc(400, 0xee);
      expect(writeText(bytes, text, 3)).toBe(wanted.length);
      expect(bytes.subarray(3, 3 + wanted.length).equals(wanted)).toBe(true);
      expect(bytes[2]).toBe(0xee);
      expect(bytes[3 + wanted.length]).toBe(0xee);
    }),
  );
});

it('a 64-bit integer that does not fit is refused, and nothing is written', () => {
  const bytes = Buffer.alloc(8);
  expect(() => writeInt64(bytes, -1, 1)).toThrow(RangeError);
  expect(bytes.equals(Buffer.alloc(8))).toBe(true);
});

describe('joined', () => {
  it('is all parts one after the other, whatever they are views of, and a view where they lie so', () => {
    const source = Buffer.from(Array.from({ length: 64 }, (_, index) => index));
    const piece = fc.tuple(fc.nat(60), fc.nat(4)).map(([at, size]) => source.subarray(at, at + size));
    const run = fc.array(fc.nat(4), { maxLength: 8 }).map((sizes) => {
      let at = 3;
      return sizes.map((size) => {
        at += size;
        return source.subarray(at - size, at);
      });
    });
    fc.assert(
      fc.property(fc.oneof(fc.array(piece), run), (parts) => {
        const size = parts.reduce((sum, part) => sum + part.length, 0);
        expect(joined(parts, size)).toEqual(Buffer.concat(parts));
      }),
    );
    const [first, second] = [source.subarray(1, 5), source.subarray(5, 20)];
    expect(joined([first, second], 19).buffer).toBe(source.buffer);
    expect(joined([], 0)).toHaveLength(0);
  });
});
