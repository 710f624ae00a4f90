/** Any chunking of a stream gives the same frames; bounds hold before memory is spent. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameDecoder } from '../../src/remoting/frameDecoder.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);
const MAX = 1024;

function framed(content: Uint8Array): Buffer {
  const frame = Buffer.alloc(4 + content.length);
  frame.writeInt32BE(content.length, 0);
  frame.set(content, 4);
  return frame;
}

function pushAll(chunks: readonly Buffer[], maxFrameBytes = MAX): string[] {
  const decoder = new FrameDecoder(maxFrameBytes);
  const frames: string[] = [];
  for (const chunk of chunks) decoder.push(chunk, (frame) => frames.push(frame.toString('hex')));
  return frames;
}

describe('FrameDecoder', () => {
  it('gives the same frames whatever the chunks', () => {
    const contents = fc.array(fc.uint8Array({ minLength: 4, maxLength: 100 }));
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 });
    fc.assert(
      fc.property(contents, cuts, (all, sizes) => {
        const stream = Buffer.concat(all.map(framed));
        const chunks: Buffer[] = [];
        for (let at = 0, index = 0; at < stream.length; index += 1) {
          const size = sizes[index % sizes.length] ?? 1;
          // A socket reuses nothing, but a view must not depend on the bytes around it.
          chunks.push(Buffer.from(stream.subarray(at, at + size)));
          at += size;
        }
        const expected = all.map((content) => Buffer.from(content).toString('hex'));
        expect(pushAll(chunks)).toEqual(expected);
        expect(pushAll([stream])).toEqual(expected);
      }),
      { numRuns: runs },
    );
  });

  it('takes a stream byte by byte', () => {
    const stream = Buffer.concat([framed(Buffer.from('first')), framed(Buffer.from('second'))]);
    expect(pushAll([...stream].map((byte) => Buffer.from([byte])))).toHaveLength(2);
  });

  it('does not touch a frame that it handed out', () => {
    const decoder = new FrameDecoder(MAX);
    const frames: Buffer[] = [];
    const stream = Buffer.concat([framed(Buffer.from('aaaaa')), framed(Buffer.from('bbbbb'))]);
    for (const byte of stream) decoder.push(Buffer.from([byte]), (frame) => frames.push(frame));
    expect(frames.map(String)).toEqual(['aaaaa', 'bbbbb']);
  });

  it('takes the longest frame and refuses the next longer one as soon as its length is there', () => {
    expect(pushAll([framed(Buffer.alloc(MAX - 4))])).toHaveLength(1);
    const decoder = new FrameDecoder(MAX);
    const length = Buffer.alloc(4);
    length.writeInt32BE(MAX - 3, 0);
    decoder.push(length.subarray(0, 3), () => {});
    expect(() => decoder.push(length.subarray(3), () => {})).toThrow(
      expect.objectContaining({ code: 'FRAME_INVALID' }),
    );
  });

  it.each([-1, 0, 3, 0x7fffffff])('refuses the length %i', (length) => {
    const bytes = Buffer.alloc(8);
    bytes.writeInt32BE(length, 0);
    expect(() => pushAll([bytes])).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
  });

  it('refuses what another protocol sends', () => {
    expect(() => pushAll([Buffer.from('GET / HTTP/1.1\r\n\r\n')], 16 * 1024 * 1024)).toThrow(/announces/);
  });

  it('hands out the frames before a bad length', () => {
    const frames: Buffer[] = [];
    const stream = Buffer.concat([framed(Buffer.from('good')), Buffer.from('ffffffff00', 'hex')]);
    expect(() => new FrameDecoder(MAX).push(stream, (frame) => frames.push(frame))).toThrow();
    expect(frames.map(String)).toEqual(['good']);
  });

  it('holds no more than the bytes that came, however long a frame is announced', () => {
    const decoder = new FrameDecoder(16 * 1024 * 1024);
    const length = Buffer.alloc(4);
    length.writeInt32BE(16 * 1024 * 1024 - 4, 0);
    decoder.push(length, () => {});
    for (let count = 0; count < 1000; count += 1) decoder.push(Buffer.alloc(1), () => {});
    expect(decoder.pendingBytes).toBe(1004);
  });
});
