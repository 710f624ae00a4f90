/** The written-out decoding of the hottest header must agree with the table it replaces, for good and bad headers. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fastSendHeader } from '../../../src/broker/processors/sendHeader.js';
import { fromSendMessageV2, sendMessageV2Header, toSendMessageV2 } from '../../../src/protocol/headers/messaging.js';
import { sendHeader } from '../../support/testBroker.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);

const outcomeOf = (decode: () => unknown) => {
  try {
    return { value: decode() };
  } catch (thrown) {
    return { error: (thrown as Error).message };
  }
};

const number = fc.oneof(
  fc.integer().map(String),
  fc.maxSafeInteger().map(String),
  fc.constantFrom('0', '-0', '+5', '007', '', ' 1', '1e3', '0x10', '1.5', '9223372036854775807', '2147483648', 'x'),
);
const text = fc.string();
const flag = fc.constantFrom('true', 'TRUE', 'false', '', 'yes');

describe('fast send header', () => {
  it('decodes what a producer sends', () => {
    const header = sendHeader({ topic: 'T', queueId: -1, reconsumeTimes: 3, batch: true, props: { KEYS: 'k' } });
    const extFields = sendMessageV2Header.encode(toSendMessageV2(header));
    expect(fastSendHeader.decode(extFields)).toEqual(header);
  });

  it('accepts and refuses exactly what the table does', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            a: text,
            b: text,
            c: text,
            d: number,
            e: number,
            f: number,
            g: number,
            h: number,
            i: text,
            j: number,
            k: flag,
            l: number,
            m: flag,
            n: text,
          },
          { requiredKeys: [] },
        ),
        (fields) => {
          const extFields = JSON.parse(JSON.stringify(fields)) as Record<string, string>;
          expect(outcomeOf(() => fastSendHeader.decode(extFields))).toEqual(
            outcomeOf(() => fromSendMessageV2(sendMessageV2Header.decode(extFields))),
          );
        },
      ),
      { numRuns: RUNS },
    );
  });
});
