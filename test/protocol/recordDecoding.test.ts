/**
 * What decoding keeps from the records before (names of properties, the topic, hosts as text) never shows in a record.
 * Method: sequences of records whose names, topics and hosts resemble each other, against a reader that keeps nothing.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostAddress } from '../../src/protocol/message.js';
import { decodeProperties } from '../../src/protocol/messageProperties.js';
import { decodeRecords, encodeRecord, packHost, recordSize } from '../../src/protocol/messageRecord.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 500);

/** Each item on its own: with a name and a value, the last of equal names. */
function propertiesOf(text: string): [string, string][] {
  const properties = new Map<string, string>();
  for (const item of text.split('\u0002')) {
    const nameEnd = item.indexOf('\u0001');
    if (nameEnd > 0 && nameEnd + 1 < item.length) properties.set(item.slice(0, nameEnd), item.slice(nameEnd + 1));
  }
  return [...properties].sort();
}

const decoded = (text: string) => Object.entries(decodeProperties(text)).sort();

/** Of equal length, beginnings of each other, and names that mean something to objects. */
const FEW = ['KEYS', 'TAGS', 'KEY', 'KEYSX', 'K', '__proto__', 'constructor', 'é', 'e'];
const name = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...FEW) },
  fc.stringMatching(/^[a-zé_]{1,6}$/),
  fc.nat({ max: 200 }).map((number) => `name-${number}`),
);
const value = fc.oneof(fc.constantFrom('', 'a', 'KEYS', 'TAGS\u0001', '\u0001', 'ö'), fc.string({ maxLength: 5 }));
const item = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(name, value).map(([left, right]) => `${left}\u0001${right}\u0002`) },
  // What damaged or foreign texts hold.
  fc.constantFrom('', '\u0002', 'KEYS\u0002', '\u0001a\u0002', '\u0001\u0002', 'KEYS\u0001', 'KEYS'),
);
const text = fc.array(item, { maxLength: 8 }).map((items) => items.join(''));
/** More items than names are kept. */
const longText = fc.array(item, { minLength: 60, maxLength: 90 }).map((items) => items.join(''));

const word = fc.oneof(fc.constantFrom('127.0.0.1', '1.0.0.127', '255.255.255.255', '0.0.0.0', '128.0.0.0'), fc.ipV4());
const v6 = fc.constantFrom('fe80:0:0:0:0:0:0:1', '2001:db8:0:0:0:0:0:7');
const host = fc.record({ host: fc.oneof({ weight: 5, arbitrary: word }, v6), port: fc.constantFrom(0, 80, 10911) });
const topic = fc.oneof(
  fc.constantFrom('orders', 'orderz', 'Orders', 'order', 'o', 'é', 'ab', 'x'.repeat(200)),
  fc.stringMatching(/^[a-z]{1,5}$/),
);
const record = fc.record({
  topic,
  bornHost: host,
  storeHost: host,
  properties: text,
  body: fc.constantFrom('', 'body'),
});

interface RecordParts {
  topic: string;
  bornHost: HostAddress;
  storeHost: HostAddress;
  properties: string;
  body: string;
}

function bytesOf({ topic, bornHost, storeHost, properties, body }: RecordParts, at: number): Buffer {
  const fields = {
    topic,
    properties,
    body: Buffer.from(body),
    bornHost: packHost(bornHost),
    storeHost: packHost(storeHost),
    queueId: 0,
    queueOffset: at,
    commitLogOffset: at,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1,
    storeTimestamp: 2,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
  };
  const bytes = Buffer.alloc(recordSize(fields));
  encodeRecord(bytes, 0, fields);
  return bytes;
}

describe('records that are read one after the other', () => {
  it('have their own topics, hosts and properties', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 12 }), (records) => {
        const encoded = records.map((one, at) => bytesOf(one, at));
        const source = Buffer.concat(encoded);
        const read = decodeRecords(source);
        // What was read does not change with the buffer it was read from.
        source.fill(0x41);
        decodeRecords(Buffer.concat(encoded.toReversed()));
        const shown = read.map(({ topic, bornHost, storeHost, properties }) => ({
          topic,
          bornHost,
          storeHost,
          properties: Object.entries(properties).sort(),
        }));
        const expected = records.map(({ topic, bornHost, storeHost, properties }) => ({
          topic,
          bornHost,
          storeHost,
          properties: propertiesOf(properties),
        }));
        expect(shown).toEqual(expected);
      }),
      { numRuns: RUNS },
    );
  });

  it('have the properties that their text has, whatever stood in the texts before', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 5, arbitrary: text }, longText), { maxLength: 10 }), (texts) => {
        expect(texts.map(decoded)).toEqual(texts.map(propertiesOf));
      }),
      { numRuns: RUNS },
    );
  });

  it('have their own hosts when there are more than are kept', () => {
    const hosts = Array.from({ length: 3_000 }, (_, at) => ({ host: `10.${at >> 8}.${at & 255}.1`, port: at }));
    const read = [...hosts, ...hosts].map((one) => {
      const bytes = bytesOf({ topic: 't', bornHost: one, storeHost: one, properties: '', body: '' }, 0);
      return decodeRecords(bytes)[0]?.bornHost;
    });
    expect(read).toEqual([...hosts, ...hosts]);
  });

  it('have their own topics when the buffer of the one before is used again', () => {
    const address = { host: '127.0.0.1', port: 1 };
    const rest = { bornHost: address, storeHost: address, properties: '', body: '' };
    const buffer = bytesOf({ topic: 'ab', ...rest }, 0);
    expect(decodeRecords(buffer)[0]?.topic).toBe('ab');
    bytesOf({ topic: 'cd', ...rest }, 0).copy(buffer);
    expect(decodeRecords(buffer)[0]?.topic).toBe('cd');
  });
});
