import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/client/clientTypes.js';
import { compressBody, decompressBody } from '../../src/client/compression.js';
import { prepare, prepareBatch } from '../../src/client/outgoing.js';
import { decodeBatchBody } from '../../src/protocol/batchBody.js';
import { SYS_FLAG } from '../../src/protocol/message.js';
import { decodeProperties } from '../../src/protocol/messageProperties.js';

let count = 0;
const nextKey = () => `K${++count}`;
const message = (changes: Partial<Message> = {}): Message => ({ topic: 'T', body: 'x', ...changes });

describe('outgoing message', () => {
  it('carries the delivery time that it is given', () => {
    const propertiesOf = (changes: Partial<Message>) =>
      decodeProperties(prepare(message(changes), nextKey).propertiesText);
    expect(propertiesOf({ delayMillis: 1500 })).toMatchObject({ TIMER_DELAY_MS: '1500' });
    expect(propertiesOf({ deliverAtMillis: 1_800_000_000_000 })).toMatchObject({ TIMER_DELIVER_MS: '1800000000000' });
    expect(() => prepareBatch([message({ delayMillis: 1 })], nextKey)).toThrow(/send it alone/);
  });

  it('carries keys, tags, delay, and a unique key that a repeat keeps', () => {
    const outgoing = prepare(
      message({ keys: ['k1', 'k2'], tags: 'A', delayLevel: 3, properties: { color: 'red' }, flag: 7 }),
      nextKey,
      'shard',
    );
    expect(decodeProperties(outgoing.propertiesText)).toEqual({
      KEYS: 'k1 k2',
      TAGS: 'A',
      DELAY: '3',
      WAIT: 'true',
      UNIQ_KEY: outgoing.uniqueKey,
      __SHARDINGKEY: 'shard',
      color: 'red',
    });
    expect(outgoing.flag).toBe(7);
    expect(prepare(message({ uniqueKey: 'mine' }), nextKey).uniqueKey).toBe('mine');
  });

  it.each([
    ['an empty body', { body: '' }, /empty body/],
    ['a level and a delay', { delayLevel: 1, delayMillis: 5 }, /more than one/],
    ['a delay and a time', { delayMillis: 5, deliverAtMillis: 5 }, /more than one/],
    ['a delay that is no number', { delayMillis: Number.NaN }, /delayMillis/],
    ['a negative time', { deliverAtMillis: -1 }, /deliverAtMillis/],
    ['a body over 4 MiB', { body: Buffer.alloc(4 * 1024 * 1024 + 1) }, /4194304/],
    ['a key with a blank', { keys: ['a b'] }, /blank/],
    ['a reserved property', { properties: { KEYS: 'x' } }, /reserved/],
    ['a separator in a property', { properties: { a: 'x\u0001y' } }, /0x01/],
    ['a blank property', { properties: { a: ' ' } }, /blank/],
    ['delay level 19', { delayLevel: 19 }, /delayLevel 19/],
    ['a topic with a slash', { topic: 'a/b' }, /illegal/],
    ['a forbidden topic', { topic: 'SCHEDULE_TOPIC_XXXX' }, /forbidden/],
    ['properties over 32 KiB', { properties: { a: 'x'.repeat(33_000) } }, /32767/],
  ])('refuses %s before anything is sent', (_, changes, text) => {
    expect(() => prepare(message(changes), nextKey)).toThrow(text);
  });

  it('compresses from 4096 bytes on, with the flag that says zlib', () => {
    const body = Buffer.alloc(4096, 'a');
    const outgoing = prepare(message({ body }), nextKey);
    expect(outgoing.sysFlag).toBe(SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_ZLIB);
    expect(inflateSync(outgoing.body)).toEqual(body);
    expect(outgoing.body.subarray(0, 2).toString('hex')).toBe('785e');
    expect(prepare(message({ body: body.subarray(1) }), nextKey).sysFlag).toBe(0);
  });
});

describe('outgoing batch', () => {
  it('holds each message with a unique key of its own', () => {
    const outgoing = prepareBatch([message({ body: 'a', tags: 'A' }), message({ body: 'b' })], nextKey);
    const parts = decodeBatchBody(outgoing.body);
    expect(parts.map(({ body }) => body.toString())).toEqual(['a', 'b']);
    expect(outgoing.uniqueKey).toBe(
      parts.map(({ propertiesText }) => decodeProperties(propertiesText)['UNIQ_KEY']).join(','),
    );
  });

  it.each([
    ['nothing', [], /empty/],
    ['two topics', [message(), message({ topic: 'U' })], /topics T and U/],
    ['a delayed message', [message({ delayLevel: 1 })], /delayLevel/],
    ['two kinds of waiting', [message(), message({ waitStoreOk: false })], /waitStoreOk/],
    ['a retry topic', [message({ topic: '%RETRY%G' })], /retry topic/],
  ])('refuses %s', (_, messages, text) => {
    expect(() => prepareBatch(messages, nextKey)).toThrow(text);
  });
});

describe('compression', () => {
  it('gives back what went in', () => {
    const body = Buffer.from('hello '.repeat(1000));
    const { body: compressed, sysFlag } = compressBody(body);
    expect(decompressBody(compressed, sysFlag)).toEqual(body);
    // Clients before the algorithm bits mean zlib.
    expect(decompressBody(compressed, SYS_FLAG.COMPRESSED)).toEqual(body);
  });

  it.each([
    ['LZ4', SYS_FLAG.COMPRESSION_LZ4],
    ['ZSTD', SYS_FLAG.COMPRESSION_ZSTD],
  ])('says clearly that %s cannot be read', (name, flag) => {
    expect(() => decompressBody(Buffer.from('x'), SYS_FLAG.COMPRESSED | flag)).toThrow(new RegExp(name));
  });

  it('reports a body that is no zlib stream', () => {
    expect(() => decompressBody(Buffer.from('nonsense'), SYS_FLAG.COMPRESSED)).toThrow(/does not decompress/);
  });
});
