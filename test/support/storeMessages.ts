/** Messages and events for store tests. */
import { encodeProperties } from '../../src/protocol/messageProperties.js';
import { packHost } from '../../src/protocol/messageRecord.js';
import type { EventToStore, MessageToStore } from '../../src/store/index.js';

const HOST = packHost({ host: '10.1.2.3', port: 4321 });

export function message(fields: {
  topic?: string;
  queueId?: number;
  body?: string | Buffer;
  properties?: Record<string, string>;
  sysFlag?: number;
}): MessageToStore {
  const properties = fields.properties ?? {};
  return {
    topic: fields.topic ?? 'Plain',
    queueId: fields.queueId ?? 0,
    flag: 0,
    sysFlag: fields.sysFlag ?? 0,
    bornTimestamp: 1_700_000_000_000,
    bornHost: HOST,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from(fields.body ?? 'body'),
    properties,
    propertiesText: encodeProperties(properties),
  };
}

export function event(keys: readonly string[], body = 'event', topic = 'Events', queueId = 0): EventToStore {
  const { propertiesText: _, ...rest } = message({ topic, queueId, body, properties: { TAGS: 'Happened' } });
  return { ...rest, keys: keys as [string, ...string[]] };
}
