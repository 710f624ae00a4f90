// The answer to a send, read straight: whatever its header is, it reads as the table of the header's fields reads it.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { storedSendOf } from '../../src/client/sendAnswer.js';
import { sendMessageResponseHeader } from '../../src/protocol/headers/messaging.js';
import { requestCommand, responseCommand } from '../../src/protocol/remotingCommand.js';

const REQUEST = requestCommand(310);
const NUMBERS = ['0', '-0', '7', '+7', '007', '-1', '2147483647', '2147483648', '9007199254740991', '9007199254740993'];
const number = fc.constantFrom(...NUMBERS, '9223372036854775807', '', ' 1', '1.0', '1e3', 'x', undefined);

it('a header of any kind reads as its table reads it', () => {
  const fields = fc.record({
    msgId: fc.constantFrom('7F00000100002A9F0000000000000000', undefined),
    queueId: number,
    queueOffset: number,
    recallHandle: fc.constantFrom('handle', undefined),
    transactionId: fc.constantFrom('id', undefined),
  });
  fc.assert(
    fc.property(fields, (given) => {
      const defined = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined);
      const extFields = Object.fromEntries(defined);
      const response = responseCommand(REQUEST, { code: 0, extFields });
      let expected: object | undefined;
      try {
        const { msgId, queueId, queueOffset, recallHandle } = sendMessageResponseHeader.decode(extFields);
        expected = { status: 'SEND_OK', msgId, queueId, queueOffset, recallHandle };
      } catch (thrown) {
        expect(() => storedSendOf('SEND_OK', response)).toThrow((thrown as Error).message);
        return;
      }
      expect(storedSendOf('SEND_OK', response)).toMatchObject(expected);
    }),
    { numRuns: 500 },
  );
});
