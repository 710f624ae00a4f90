/**
 * The handle by which a message that waits for its time is recalled: URL-safe Base64 of
 *
 *     v1 <topic> <brokerName> <time in ms> <unique key>
 *
 * separated by single blanks. The time is TIMER_OUT_MS + 1, which falls into the same slot of the wheel. Upstream:
 * `RecallMessageHandle`.
 */
import { FoldlogError } from '../base/errors.js';
import type { TimestampMillis } from '../base/flavours.js';

const VERSION = 'v1';

export interface RecallHandle {
  topic: string;
  brokerName: string;
  deliverMillis: TimestampMillis;
  uniqueKey: string;
}

export function encodeRecallHandle({ topic, brokerName, deliverMillis, uniqueKey }: RecallHandle): string {
  const bytes = Buffer.from([VERSION, topic, brokerName, deliverMillis, uniqueKey].join(' '));
  // With padding, as Java's URL encoder writes it.
  return bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** Throws FRAME_INVALID for a text that is no handle. */
export function decodeRecallHandle(text: string): RecallHandle {
  const isBase64 = /^[A-Za-z0-9_-]+={0,2}$/.test(text);
  const parts = isBase64 ? Buffer.from(text, 'base64url').toString().split(' ') : [];
  const [version, topic = '', brokerName = '', millis = '', uniqueKey = ''] = parts;
  if (parts.length !== 5 || version !== VERSION || !/^\d{1,15}$/.test(millis) || uniqueKey === '') {
    throw new FoldlogError(
      'FRAME_INVALID',
      `recall handle ${JSON.stringify(text.slice(0, 100))} is not one: take it from the send`,
    );
  }
  return { topic, brokerName, deliverMillis: Number(millis), uniqueKey };
}
