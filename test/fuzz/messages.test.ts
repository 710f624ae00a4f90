/** Message records, properties, batches and ids: bytes that Apache RocketMQ wrote, with a few of them changed. */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { decodeOps } from '../../src/broker/transactions/opMessages.js';
import { decodeBatchBody, encodeBatchBody } from '../../src/protocol/batchBody.js';
import { decodeOffsetMsgId } from '../../src/protocol/messageId.js';
import { decodeProperties, encodeProperties, keysOf } from '../../src/protocol/messageProperties.js';
import { bodyCrcOf, decodeRecord, decodeRecords, recordShapeAt } from '../../src/protocol/messageRecord.js';
import { decodeRecallHandle, encodeRecallHandle } from '../../src/protocol/recallHandle.js';
import { expandStore, expectedOf } from '../support/goldenStore.js';
import { declared, fuzz, mutated, mutatedText, printSeed } from './fuzzing.js';

const CORRUPTION = ['CORRUPTION'];
const INVALID = ['FRAME_INVALID'];
printSeed();

/** The first records of each golden commit log. */
const records = ['default', 'v2-ipv6', 'lmq', 'crc-ext-bcq'].flatMap((name) => {
  const directory = expandStore(name);
  try {
    const log = readFileSync(path.join(directory, 'commitlog', '00000000000000000000'));
    return expectedOf(name)
      .records.filter(
        ({ type, totalSize, at }) => type === 'message' && totalSize < 2000 && at + totalSize <= log.length,
      )
      .slice(0, 12)
      .map(({ at, totalSize }) => Buffer.from(log.subarray(at, at + totalSize)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
const propertyTexts = records.map((record) => encodeProperties(decodeRecord(record).properties));

describe('message records', () => {
  fuzz('decode to what their bytes say, or are CORRUPTION', 40, mutated(records), (bytes) => {
    const message = declared(CORRUPTION, () => decodeRecord(bytes));
    if (message === undefined) return;
    expect(message.sizeBytes).toBeLessThanOrEqual(bytes.length);
    expect(message.bodyCrc).toBe(bodyCrcOf(message.body));
    expect(recordShapeAt(bytes, 0, bytes.length)).toEqual({ kind: 'message', sizeBytes: message.sizeBytes });
  });

  fuzz(
    'back to back end with the bytes',
    10,
    fc.array(fc.oneof(fc.constantFrom(...records), mutated(records)), { maxLength: 4 }),
    (parts) => {
      const bytes = Buffer.concat(parts);
      const messages = declared(CORRUPTION, () => decodeRecords(bytes, { verifyCrc: false }));
      if (messages) expect(messages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(bytes.length);
    },
  );

  fuzz('out of any bytes are none', 15, fc.uint8Array({ maxLength: 200 }), (bytes) => {
    declared(CORRUPTION, () => decodeRecord(Buffer.from(bytes)));
  });
});

describe('properties', () => {
  const words = ['\u0001', '\u0002', '\u0001\u0002', 'KEYS\u0001', 'a\u0001b\u0002', '__proto__\u0001x\u0002', ' ', ''];
  fuzz('decode whatever they are', 20, mutatedText(propertyTexts, words), (text) => {
    const properties = decodeProperties(text);
    for (const [name, value] of Object.entries(properties)) {
      expect(name).not.toBe('');
      expect(value).not.toBe('');
    }
    expect(Object.getPrototypeOf(properties)).toBe(Object.prototype);
    expect(keysOf(properties)).not.toContain('');
    // A name cannot hold a separator, a value may hold the first one: then there is no text for it.
    const again = declared(['OPTIONS_INVALID'], () => encodeProperties(properties));
    if (again !== undefined) expect(decodeProperties(again)).toEqual(properties);
  });
});

describe('batches', () => {
  const batches = [1, 2, 5].map((count) =>
    encodeBatchBody(
      Array.from({ length: count }, (_, index) => ({
        flag: index,
        body: Buffer.from('body'.repeat(index)),
        propertiesText: 'A\u0001b\u0002',
      })),
    ),
  );
  fuzz(
    'decode to whole messages or are FRAME_INVALID',
    30,
    fc.oneof(
      mutated(batches),
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    ),
    (bytes) => {
      const messages = declared(INVALID, () => decodeBatchBody(bytes));
      if (messages === undefined) return;
      expect(
        messages.reduce(
          (sum, { body, propertiesText }) => sum + 22 + body.length + Buffer.byteLength(propertiesText),
          0,
        ),
      ).toBeGreaterThanOrEqual(bytes.length);
      expect(messages.length * 22).toBeLessThanOrEqual(bytes.length);
    },
  );
});

describe('ids and handles', () => {
  const handle = encodeRecallHandle({
    topic: 'T',
    brokerName: 'broker-a',
    deliverMillis: 1_700_000_000_001,
    uniqueKey: '7F0000011A2B',
  });
  fuzz(
    'of messages are read or not',
    5,
    mutatedText(
      ['7F00000100002A9F0000000000001234', 'FE80000000000000000000000000000100002A9F0000000000001234'],
      ['0', 'F', 'g', '-', '+'],
    ),
    (text) => {
      const id = decodeOffsetMsgId(text);
      if (id) expect(Number.isSafeInteger(id.commitLogOffset)).toBe(true);
    },
  );

  fuzz('for recalls are read or FRAME_INVALID', 5, mutatedText([handle], ['A', '=', '-', '_', ' ', '/']), (text) => {
    const recall = declared(INVALID, () => decodeRecallHandle(text));
    if (recall) expect(Number.isSafeInteger(recall.deliverMillis)).toBe(true);
  });

  fuzz(
    'of half messages that are done are offsets',
    5,
    mutatedText(['1,2,3,', '9007199254740991'], [',', '-', '1', ' ', 'e9', '.']),
    (text) => {
      for (const offset of declared([...INVALID, ...CORRUPTION], () => decodeOps(Buffer.from(text))) ?? []) {
        expect(Number.isSafeInteger(offset)).toBe(true);
      }
    },
  );
});
