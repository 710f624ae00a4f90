/** Events for the tests of projections and replays, and messages that hold them as a broker would deliver them. */
import { IsInt, Min } from 'class-validator';
import type { ReceivedMessage } from '../../src/client/clientTypes.js';
import { Event } from '../../src/decorators/event.js';
import { EventCodec } from '../../src/eventstore/eventCodec.js';
import { EVENT_PROPERTY, PROPERTY } from '../../src/protocol/messageProperties.js';

@Event({ type: 'Deposited', version: 1 })
export class Deposited {
  @IsInt()
  @Min(1)
  cents!: number;
}

@Event({ type: 'Closed', version: 1 })
export class Closed {
  @IsInt()
  at!: number;
}

export const codec = new EventCodec([Deposited, Closed]);

export const QUEUE = { topic: 'accounts', brokerName: 'broker-a', queueId: 2 };

export interface MessageInput {
  queueOffset: number;
  type?: string;
  body?: string;
  msgId?: string;
}

/** One record every 1000 bytes. */
export function messageOf({ queueOffset, type = 'Deposited', body, msgId }: MessageInput): ReceivedMessage {
  const id = msgId ?? `event-${queueOffset}`;
  const host = { host: '127.0.0.1', port: 10911 };
  return {
    topic: QUEUE.topic,
    originalTopic: QUEUE.topic,
    brokerName: QUEUE.brokerName,
    queueId: QUEUE.queueId,
    queueOffset,
    commitLogOffset: queueOffset * 1000,
    sizeBytes: 1000,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1_767_225_600_000,
    bornHost: host,
    storeTimestamp: 1_767_225_600_000 + queueOffset,
    storeHost: host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    bodyCrc: 0,
    body: Buffer.from(body ?? `{"cents":${queueOffset + 1}}`),
    properties: {
      [PROPERTY.TAGS]: type,
      [PROPERTY.KEYS]: 'account:7',
      [PROPERTY.UNIQ_KEY]: id,
      [EVENT_PROPERTY.STREAM_VERSION]: String(queueOffset + 1),
      [EVENT_PROPERTY.SCHEMA_VERSION]: '1',
      [EVENT_PROPERTY.OCCURRED_AT]: '1767225600000',
    },
    msgId: id,
    offsetMsgId: id,
    tags: type,
    keys: ['account:7'],
  };
}

export const messages = (from: number, end: number): ReceivedMessage[] =>
  Array.from({ length: Math.max(0, end - from) }, (_, at) => messageOf({ queueOffset: from + at }));
