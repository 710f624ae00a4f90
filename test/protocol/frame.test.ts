/** Frames captured from Apache RocketMQ 5.5.0, round trips of both header forms, and bytes that are no frame. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FoldlogError } from '../../src/base/errors.js';
import { decodeFrame, encodeFrame, encodeFrameParts, MAX_FRAME_BYTES } from '../../src/protocol/frame.js';
import { encodeJsonHeader, writeJsonHeader } from '../../src/protocol/headerCodec.js';
import type { RemotingCommand } from '../../src/protocol/remotingCommand.js';
import { command, remotingCommand } from './arbitraries.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const unframed = (frame: Buffer) => {
  expect(frame.readInt32BE(0)).toBe(frame.length - 4);
  return frame.subarray(4);
};

const ROUTE_REQUEST = command({
  code: 105,
  language: 'JAVA',
  version: 513,
  opaque: 7,
  extFields: { topic: 'TopicA' },
});

describe('frames of Apache RocketMQ 5.5.0', () => {
  const JSON_HEADER =
    '{"code":105,"extFields":{"topic":"TopicA"},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":513}';
  const JSON_FRAME = Buffer.concat([hex('00000084 00000080'), Buffer.from(JSON_HEADER)]);
  const BINARY_FRAME = hex(`0000002a 01000026  0069 00 0201 00000007 00000000 00000000 00000011
    0005 746f706963 00000006 546f70696341`);

  it('writes and reads the JSON route request byte for byte', () => {
    expect(encodeFrame(ROUTE_REQUEST)).toEqual(JSON_FRAME);
    expect(decodeFrame(unframed(JSON_FRAME))).toEqual(ROUTE_REQUEST);
  });

  it('writes and reads the binary route request byte for byte', () => {
    const binary: RemotingCommand = { ...ROUTE_REQUEST, serializeType: 'ROCKETMQ' };
    expect(encodeFrame(binary)).toEqual(BINARY_FRAME);
    expect(decodeFrame(unframed(BINARY_FRAME))).toEqual(binary);
  });

  it('writes and reads a binary response with a remark', () => {
    const frame = hex('0000001b 01000017 0011 00 0201 00000007 00000001 00000002 6e6f 00000000');
    const response = command({
      code: 17,
      language: 'JAVA',
      version: 513,
      opaque: 7,
      flag: 1,
      remark: 'no',
      serializeType: 'ROCKETMQ',
    });
    expect(decodeFrame(unframed(frame))).toEqual(response);
    expect(encodeFrame(response)).toEqual(frame);
  });
});

describe('JSON headers', () => {
  const decoded = (header: string) => {
    const bytes = Buffer.from(header);
    const frame = Buffer.alloc(4 + bytes.length);
    frame.writeInt32BE(bytes.length, 0);
    bytes.copy(frame, 4);
    return decodeFrame(frame);
  };

  it('are taken in any order, with unknown and without optional members', () => {
    const { body, ...header } = decoded(
      ' {"opaque":-5, "suspended":false, "language":"FOO", "code":34, "x":{"y":[1]}, "flag":2} ',
    );
    expect(body).toHaveLength(0);
    expect(header).toEqual({
      code: 34,
      language: 'FOO',
      version: 0,
      opaque: -5,
      flag: 2,
      remark: undefined,
      extFields: {},
      serializeType: 'JSON',
    });
  });

  it('coerce numbers and booleans in extFields, as clients other than Java send them', () => {
    const { extFields } = decoded(
      '{"code":11,"extFields":{"queueId":3,"unitMode":true,"name":"n","none":null,"limit":9223372036854775807}}',
    );
    expect(extFields).toEqual({ queueId: '3', unitMode: 'true', name: 'n', limit: '9223372036854775807' });
  });

  it('keep a field called __proto__ as a field', () => {
    const { extFields } = decoded('{"code":1,"extFields":{"__proto__":5,"a":"b"}}');
    expect(Object.getPrototypeOf(extFields)).toBe(Object.prototype);
    expect(Object.entries(extFields)).toEqual([
      ['__proto__', '5'],
      ['a', 'b'],
    ]);
  });

  it.each([
    '',
    'x',
    '[]',
    'null',
    '5',
    '{"code":1.5}',
    '{"code":4294967296}',
    '{"code":"x"}',
    '{"code":1,"extFields":[]}',
    '{"code":1,"extFields":"x"}',
    '{"code":1',
  ])('%j is refused', (header) => {
    expect(() => decoded(header)).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
  });
});

describe('a JSON header written in place', () => {
  /** What was written, or undefined. Nothing may stand before `at` or behind the end. */
  function written(sent: RemotingCommand, roomBytes: number, at = 5): string | undefined {
    const target = Buffer.alloc(at + roomBytes, 0xee);
    const end = writeJsonHeader(target, at, sent);
    expect(target.subarray(0, at).every((byte) => byte === 0xee)).toBe(true);
    if (end < 0) return undefined;
    expect(target.subarray(end).every((byte) => byte === 0xee)).toBe(true);
    return target.toString('utf8', at, end);
  }
  const plain = fc.stringMatching(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,30}$/);
  const plainCommand = fc
    .tuple(remotingCommand('JSON'), fc.dictionary(plain, plain), fc.option(plain, { nil: undefined }))
    .map(([sent, extFields, remark]) => ({ ...sent, extFields, remark }));

  it('is the text that is otherwise joined, when no character needs an escape', () => {
    fc.assert(
      fc.property(plainCommand, (sent) => {
        const text = encodeJsonHeader(sent);
        expect(written(sent, text.length + 10)).toBe(text);
        expect(written(sent, text.length)).toBe(text);
      }),
      { numRuns: runs },
    );
  });

  it('is left to the other way when it does not fit, whatever is missing', () => {
    const sent = command({ code: 10, language: 'JAVA', extFields: { topic: 'T', queueId: '3' }, remark: 'r', flag: 1 });
    const text = encodeJsonHeader(sent);
    for (let roomBytes = 0; roomBytes < text.length; roomBytes += 1) expect(written(sent, roomBytes)).toBe(undefined);
  });

  it.each(['"', '\\', '\u0001', '\u007f', 'é', '\ud83d\ude00', '\ud800'])(
    'is left to the other way when a name, value, remark or language holds %j',
    (character) => {
      const text = `a${character}b`;
      for (const parts of [
        { extFields: { [text]: 'v' } },
        { extFields: { n: text } },
        { remark: text },
        { language: text },
      ]) {
        const sent = command(parts);
        expect(written(sent, 1000)).toBe(undefined);
        const frame = encodeFrame(sent);
        expect(frame.toString('utf8', 8)).toBe(Buffer.from(encodeJsonHeader(sent)).toString());
      }
    },
  );

  it('leaves out fields without a value', () => {
    const extFields = { a: undefined, b: '2', c: undefined } as unknown as Record<string, string>;
    expect(written(command({ extFields }), 1000)).toBe(encodeJsonHeader(command({ extFields })));
    const none = { a: undefined } as unknown as Record<string, string>;
    expect(written(command({ extFields: none }), 1000)).toBe(encodeJsonHeader(command({ extFields: none })));
  });
});

describe('frames', () => {
  it('come back as they were, in both header forms', () => {
    fc.assert(
      fc.property(remotingCommand(), (sent) => {
        expect(decodeFrame(unframed(encodeFrame(sent)))).toEqual(sent);
      }),
      { numRuns: runs },
    );
  });

  it('have the same bytes in parts, and a body that is large goes out as it is', () => {
    const bodies = fc.oneof(fc.nat(5000), fc.constantFrom(4095, 4096, 100_000)).map((size) => Buffer.alloc(size, 7));
    fc.assert(
      fc.property(remotingCommand(), bodies, (other, body) => {
        const given = { ...other, body };
        const parts = encodeFrameParts(given);
        expect(Buffer.concat(parts)).toEqual(encodeFrame(given));
        expect(parts.at(-1) === body).toBe(body.length >= 4096);
      }),
      { numRuns: runs },
    );
  });

  it('do not keep a large buffer in memory for a small piece of it', () => {
    const body = Buffer.alloc(1024 * 1024).subarray(0, 8192);
    expect(encodeFrameParts(command({ body }))).toHaveLength(1);
  });

  it('carry a code beyond 16 bits as JSON, since the binary header would cut it', () => {
    const pop = command({ code: 200050, serializeType: 'ROCKETMQ' });
    expect(decodeFrame(unframed(encodeFrame(pop)))).toEqual({ ...pop, serializeType: 'JSON' });
  });

  it('answer random bytes with a command or FRAME_INVALID', () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      // A plausible start, so that the header itself is reached.
      fc
        .tuple(fc.constantFrom(0, 1), fc.nat(60), fc.uint8Array())
        .map(([type, length, rest]) => Uint8Array.from([type, 0, 0, length, ...rest])),
      // A valid binary frame with a few bytes changed.
      fc
        .tuple(remotingCommand('ROCKETMQ'), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
        .map(([sent, changes]) => {
          const frame = unframed(encodeFrame(sent));
          for (const [at, byte] of changes) frame[at % frame.length] = byte;
          return frame;
        }),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        try {
          decodeFrame(Buffer.from(input));
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(FoldlogError);
          expect((thrown as FoldlogError).code).toBe('FRAME_INVALID');
        }
      }),
      { numRuns: runs * 5 },
    );
  });

  it('are refused when a peer would refuse them', () => {
    const overhead = encodeFrame(command({})).length;
    expect(() => encodeFrame(command({ body: Buffer.alloc(MAX_FRAME_BYTES - overhead) }))).not.toThrow();
    expect(() => encodeFrame(command({ body: Buffer.alloc(MAX_FRAME_BYTES - overhead + 1) }))).toThrow(/too long/);
  });

  it.each([
    ['no header word', '000000'],
    ['a header longer than the frame', '00000005 7b7d'],
    ['an unknown header type', '02000002 7b7d'],
    ['a type of the top bit', 'ff000002 7b7d'],
  ])('with %s are refused', (_, bytes) => {
    expect(() => decodeFrame(hex(bytes))).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
  });
});
