/** Messages as consumers get them, made up for tests of single parts. */
import type { ReceivedMessage } from '../../../src/client/clientTypes.js';

export function receivedMessage(queueOffset: number, changes: Partial<ReceivedMessage> = {}): ReceivedMessage {
  return {
    topic: 'T',
    originalTopic: 'T',
    brokerName: 'broker-a',
    queueId: 0,
    queueOffset,
    commitLogOffset: queueOffset * 100,
    sizeBytes: 100,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 0,
    bornHost: { host: '127.0.0.1', port: 1 },
    storeTimestamp: 0,
    storeHost: { host: '127.0.0.1', port: 2 },
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    bodyCrc: 0,
    body: Buffer.from('body'),
    properties: {},
    msgId: `m${queueOffset}`,
    offsetMsgId: `o${queueOffset}`,
    tags: undefined,
    keys: [],
    ...changes,
  };
}
