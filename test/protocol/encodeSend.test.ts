// The header of a send is written out by hand for speed: it must be what the table of its fields makes.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeSendMessageV2, sendMessageV2Header, toSendMessageV2 } from '../../src/protocol/headers/messaging.js';

const int = fc.integer();
const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });

it('a send header written out is the one that the table makes', () => {
  const header = fc.record({
    producerGroup: fc.string(),
    topic: fc.string(),
    defaultTopic: fc.string(),
    defaultTopicQueueNums: int,
    queueId: int,
    sysFlag: int,
    bornTimestamp: fc.maxSafeNat(),
    flag: int,
    properties: maybe(fc.string()),
    reconsumeTimes: maybe(int),
    unitMode: maybe(fc.boolean()),
    maxReconsumeTimes: maybe(int),
    batch: maybe(fc.boolean()),
    bname: maybe(fc.string()),
  });
  fc.assert(
    fc.property(header, (given) => {
      expect(encodeSendMessageV2(given)).toEqual(sendMessageV2Header.encode(toSendMessageV2(given)));
    }),
  );
});
