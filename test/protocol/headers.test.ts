/** The header tables as a whole: names are the wire's, round trips, and what a missing or wrong field says. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as admin from '../../src/protocol/headers/admin.js';
import * as events from '../../src/protocol/headers/events.js';
import * as group from '../../src/protocol/headers/group.js';
import type { HeaderTable } from '../../src/protocol/headers/headerFields.js';
import * as messaging from '../../src/protocol/headers/messaging.js';
import * as namesrv from '../../src/protocol/headers/namesrv.js';
import * as reads from '../../src/protocol/headers/readEvents.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 200);

type AnyTable = HeaderTable<
  Record<string, { kind: 'string' | 'int' | 'long' | 'rank' | 'boolean'; required: boolean }>
>;

const tables = Object.entries({ ...messaging, ...group, ...admin, ...namesrv, ...events, ...reads }).filter(
  (entry): entry is [string, AnyTable] => typeof entry[1] === 'object' && 'decode' in entry[1],
);

const VALUES = {
  string: fc.string(),
  int: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  long: fc.maxSafeInteger(),
  rank: fc.maxSafeInteger(),
  boolean: fc.boolean(),
};

describe.each(tables)('%s', (_, table) => {
  const fields = Object.entries(table.fields);

  it('gives back what was encoded, with or without the optional fields', () => {
    const header = fc.record(
      Object.fromEntries(
        fields.map(([name, { kind, required }]) => [
          name,
          required ? VALUES[kind] : fc.option(VALUES[kind] as fc.Arbitrary<unknown>, { nil: undefined }),
        ]),
      ),
    );
    fc.assert(
      fc.property(header, (value) => {
        const extFields = table.encode(value as never);
        for (const text of Object.values(extFields)) expect(typeof text).toBe('string');
        expect(table.decode(extFields)).toEqual(value);
      }),
      { numRuns: Math.max(10, runs / 10) },
    );
  });

  it('names the required field that is missing', () => {
    const required = fields.filter(([, { required }]) => required);
    for (const [name] of required) {
      const extFields = Object.fromEntries(required.filter(([other]) => other !== name).map(([other]) => [other, '1']));
      expect(() => table.decode(extFields)).toThrow(
        expect.objectContaining({ code: 'FRAME_INVALID', message: `header field ${name} is missing` }),
      );
    }
  });
});

describe('SEND_MESSAGE_V2', () => {
  // Observed from a Java 5.5.0 producer.
  const observed = {
    a: 'PG1',
    b: 'SpecT1',
    c: 'TBW102',
    d: '4',
    e: '0',
    f: '0',
    g: '1795424402000',
    h: '0',
    i: 'KEYS\u0001k1 k2\u0002UNIQ_KEY\u0001FD00\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002',
    j: '0',
    k: 'false',
    m: 'false',
    n: 'spec-a',
  };

  it('has a common form with the long names', () => {
    const common = messaging.fromSendMessageV2(messaging.sendMessageV2Header.decode(observed));
    expect(common).toEqual({
      producerGroup: 'PG1',
      topic: 'SpecT1',
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: 4,
      queueId: 0,
      sysFlag: 0,
      bornTimestamp: 1795424402000,
      flag: 0,
      properties: observed.i,
      reconsumeTimes: 0,
      unitMode: false,
      maxReconsumeTimes: undefined,
      batch: false,
      bname: 'spec-a',
    });
    expect(messaging.sendMessageV2Header.encode(messaging.toSendMessageV2(common))).toEqual(observed);
    expect(messaging.sendMessageHeader.decode(messaging.sendMessageHeader.encode(common))).toEqual(common);
  });
});

describe('numbers', () => {
  it('of a pull may be the limits of a long', () => {
    const header = messaging.queryMessageHeader.decode({
      topic: 'T',
      key: 'k',
      maxNum: '32',
      beginTimestamp: '0',
      endTimestamp: '9223372036854775807',
    });
    expect(header.endTimestamp).toBe(2 ** 63);
  });

  it('of a subscription may be nanoseconds, and keep their order', () => {
    const pull = (subVersion: string) =>
      messaging.pullMessageHeader.decode({
        consumerGroup: 'CG',
        topic: 'T',
        queueId: '0',
        queueOffset: '0',
        maxMsgNums: '1',
        sysFlag: '0',
        commitOffset: '0',
        suspendTimeoutMillis: '0',
        subVersion,
      }).subVersion;
    expect(pull('1795463845711556306')).toBe(JSON.parse('1795463845711556306'));
    expect(pull('1795463845711556306')).toBeLessThan(pull('1795463845811556306'));
    expect(() => pull('99999999999999999999')).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
  });

  it.each(['', 'x', '1.5', '1e3', '2147483648', ' 1'])('%j is no int', (queueId) => {
    expect(() => messaging.getMinOffsetHeader.decode({ topic: 'T', queueId })).toThrow(
      expect.objectContaining({ code: 'FRAME_INVALID' }),
    );
  });
});
