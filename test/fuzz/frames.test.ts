/** The frame decoder and both header codecs: any bytes, any chunks, valid frames with a few bytes changed. */
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.js';
import { decodeHeader, encodeHeader } from '../../src/protocol/headerCodec.js';
import { emptyHeader, pullMessageHeader, sendMessageV2Header } from '../../src/protocol/headers/messaging.js';
import { registerBrokerHeader } from '../../src/protocol/headers/namesrv.js';
import { type RemotingCommand, requestCommand, type SerializeType } from '../../src/protocol/remotingCommand.js';
import { FrameDecoder } from '../../src/remoting/frameDecoder.js';
import { remotingCommand } from '../protocol/arbitraries.js';
import { declared, fuzz, mutated, mutatedText, printSeed } from './fuzzing.js';

const MAX_FRAME_BYTES = 4096;
const INVALID = ['FRAME_INVALID'];
printSeed();

const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const samples = (['JSON', 'ROCKETMQ'] as SerializeType[]).flatMap((serializeType) =>
  [
    requestCommand(11, { topic: 'T', consumerGroup: 'G', queueId: '0', queueOffset: '17', subscription: 'a || b' }),
    { ...requestCommand(34, {}, Buffer.from('{"clientID":"c"}')), remark: 'ü "quoted" \u0001' },
    { ...requestCommand(0, { nextBeginOffset: '3' }), flag: 1, language: 'JAVA' },
  ].map((command): RemotingCommand => ({ ...command, serializeType })),
);
const frames = samples.map(encodeFrame);

/** Pieces of a stream as a socket would hand them over. */
function inChunks(stream: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, index = 0; at < stream.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push(Buffer.from(stream.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}

/** All frames up to the first that is invalid, and whether there was one. */
function framesOf(chunks: readonly Buffer[]): { frames: Buffer[]; isCut: boolean; pendingBytes: number } {
  const decoder = new FrameDecoder(MAX_FRAME_BYTES);
  const found: Buffer[] = [];
  for (const chunk of chunks) {
    const isDone = declared(INVALID, () => {
      decoder.push(chunk, (frame) => found.push(Buffer.from(frame)));
      return true;
    });
    if (!isDone) return { frames: found, isCut: true, pendingBytes: 0 };
  }
  return { frames: found, isCut: false, pendingBytes: decoder.pendingBytes };
}

const stream = fc.oneof(
  anyBytes,
  fc
    .array(fc.oneof(mutated(frames), fc.constantFrom(...frames), anyBytes), { maxLength: 4 })
    .map((parts) => Buffer.concat(parts)),
);
const chunkSizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 6 });

describe('frames', () => {
  fuzz(
    'come out alike whatever the chunks, and take no more memory than came',
    30,
    fc.tuple(stream, chunkSizes),
    ([bytes, sizes]) => {
      const whole = framesOf([bytes]);
      const cut = framesOf(inChunks(bytes, sizes));
      expect(cut.isCut).toBe(whole.isCut);
      expect(cut.frames.map(String)).toEqual(whole.frames.map(String));
      // At least a length and a header word each: steps are bounded by the bytes.
      expect(whole.frames.length * 8).toBeLessThanOrEqual(bytes.length);
      expect(whole.pendingBytes).toBeLessThanOrEqual(bytes.length);
    },
  );

  fuzz(
    'decode to a command or FRAME_INVALID',
    35,
    fc.oneof(anyBytes, mutated(frames.map((frame) => frame.subarray(4)))),
    (bytes) => {
      const command = declared(INVALID, () => decodeFrame(bytes));
      if (command === undefined) return;
      for (const number of [command.code, command.opaque, command.flag, command.version]) {
        expect(number).toBe(number | 0);
      }
      for (const value of Object.values(command.extFields)) expect(typeof value).toBe('string');
      // What was read can be answered: to a peer that is a response in the same form.
      const again = decodeFrame(encodeFrame({ ...command, extFields: { ...command.extFields } }).subarray(4));
      expect(again.opaque).toBe(command.opaque);
      // A header table finds its fields or says which one is wrong.
      for (const table of [pullMessageHeader, sendMessageV2Header, registerBrokerHeader, emptyHeader]) {
        declared(INVALID, () => table.decode(command.extFields));
      }
    },
  );

  fuzz('survive the way there and back, in both forms', 15, remotingCommand(), (command) => {
    const back = decodeFrame(encodeFrame(command).subarray(4));
    const language = command.serializeType === 'JSON' ? command.language : back.language;
    expect({ ...back, body: String(back.body) }).toEqual({ ...command, language, body: String(command.body) });
  });
});

const jsonHeaders = samples.map((command) => encodeHeader({ ...command, serializeType: 'JSON' }).toString());
const words = [
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '"',
  '\\',
  'null',
  'true',
  '-1',
  '1e999',
  '0.5',
  '99999999999999999999',
  '""',
  '"code":',
  '"extFields":{',
  '"extFields":[',
  '"__proto__":',
  '"opaque":"7"',
  '"flag":',
  '{"a":{"b":[1]}}',
  '\\u0000',
  '\\ud800',
];

describe('headers', () => {
  fuzz('in JSON decode or are FRAME_INVALID', 25, mutatedText(jsonHeaders, words), (text) => {
    const header = declared(INVALID, () => decodeHeader(Buffer.from(text), 'JSON'));
    if (header === undefined) return;
    for (const value of Object.values(header.extFields)) expect(typeof value).toBe('string');
    const again = decodeHeader(encodeHeader(header), 'JSON');
    expect(again.code).toBe(header.code);
    expect(Object.keys(again.extFields).sort()).toEqual(Object.keys(header.extFields).sort());
  });

  fuzz(
    'in the binary form decode or are FRAME_INVALID',
    25,
    mutated(samples.map((command) => encodeHeader({ ...command, serializeType: 'ROCKETMQ' }))),
    (bytes) => {
      const header = declared(INVALID, () => decodeHeader(bytes, 'ROCKETMQ'));
      if (header) expect(decodeHeader(encodeHeader(header), 'ROCKETMQ').extFields).toEqual(header.extFields);
    },
  );

  fuzz(
    'of any depth are read or refused',
    0.1,
    fc.tuple(fc.constantFrom('[', '{"a":'), fc.integer({ min: 1, max: 200_000 })),
    ([open, depth]) => {
      const close = open === '[' ? ']' : '}';
      const text = `{"code":1,"extFields":{"a":${open.repeat(depth)}1${close.repeat(depth)}}}`;
      declared(INVALID, () => decodeHeader(Buffer.from(text), 'JSON'));
    },
  );
});
