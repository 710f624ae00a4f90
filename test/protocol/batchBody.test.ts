import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBatchBody, encodeBatchBody } from '../../src/protocol/batchBody.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

const GOLDEN = hex('00000025 00000000 00000000 00000000 00000001 78 000e 4b455953016b02 54414753014102');
const MESSAGE = { flag: 0, body: Buffer.from('x'), propertiesText: 'KEYS\u0001k\u0002TAGS\u0001A\u0002' };

describe('batch body', () => {
  it('is the one that the Java client sends', () => {
    expect(encodeBatchBody([MESSAGE])).toEqual(GOLDEN);
    expect(decodeBatchBody(GOLDEN)).toEqual([MESSAGE]);
  });

  it('comes back as it was', () => {
    const message = fc.record({
      flag: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      body: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
      propertiesText: fc.string({ unit: 'grapheme', maxLength: 50 }),
    });
    fc.assert(
      fc.property(fc.array(message, { minLength: 1 }), (messages) => {
        expect(decodeBatchBody(encodeBatchBody(messages))).toEqual(messages);
      }),
      { numRuns: runs },
    );
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a cut message', GOLDEN.subarray(0, -1)],
    ['a wrong total size', Buffer.concat([hex('00000026'), GOLDEN.subarray(4)])],
    ['a body beyond the end', Buffer.concat([GOLDEN.subarray(0, 16), hex('7fffffff'), GOLDEN.subarray(20)])],
    ['a negative body length', Buffer.concat([GOLDEN.subarray(0, 16), hex('ffffffff'), GOLDEN.subarray(20)])],
    ['bytes behind the last', Buffer.concat([GOLDEN, Buffer.from([0])])],
  ])('with %s is refused', (_, bytes) => {
    expect(() => decodeBatchBody(bytes)).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
  });

  it('refuses properties that no record holds', () => {
    expect(() => encodeBatchBody([{ ...MESSAGE, propertiesText: 'x'.repeat(32768) }])).toThrow(/32768 bytes/);
  });
});
