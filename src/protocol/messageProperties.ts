/**
 * Message properties: their names and their text form, which is the same on the wire and on disk.
 *
 *     properties = { name 0x01 value 0x02 }
 *
 * The last 0x02 may be missing (clients before 4.9). An item counts only with a non-empty name and value; of equal
 * names the last wins. Upstream: `MessageDecoder.messageProperties2String` and `string2messageProperties`.
 */
import { OptionsError } from '../base/errors.js';

/** The property names that RocketMQ gives a meaning. Users may not set any of them as their own property. */
export const PROPERTY = {
  KEYS: 'KEYS',
  TAGS: 'TAGS',
  WAIT: 'WAIT',
  DELAY: 'DELAY',
  UNIQ_KEY: 'UNIQ_KEY',
  RETRY_TOPIC: 'RETRY_TOPIC',
  REAL_TOPIC: 'REAL_TOPIC',
  REAL_QID: 'REAL_QID',
  TRAN_MSG: 'TRAN_MSG',
  PGROUP: 'PGROUP',
  ORIGIN_MESSAGE_ID: 'ORIGIN_MESSAGE_ID',
  RECONSUME_TIME: 'RECONSUME_TIME',
  MAX_RECONSUME_TIMES: 'MAX_RECONSUME_TIMES',
  MSG_REGION: 'MSG_REGION',
  TRACE_ON: 'TRACE_ON',
  CLUSTER: 'CLUSTER',
  INSTANCE_ID: 'INSTANCE_ID',
  SHARDING_KEY: '__SHARDINGKEY',
  TRANSACTION_CHECK_TIMES: 'TRANSACTION_CHECK_TIMES',
  CHECK_IMMUNITY_TIME_IN_SECONDS: 'CHECK_IMMUNITY_TIME_IN_SECONDS',
  TRAN_PREPARED_QUEUE_OFFSET: 'TRAN_PREPARED_QUEUE_OFFSET',
  TRANSACTION_ID: '__transactionId__',
  CORRELATION_ID: 'CORRELATION_ID',
  REPLY_TO_CLIENT: 'REPLY_TO_CLIENT',
  TTL: 'TTL',
  MSG_TYPE: 'MSG_TYPE',
  ARRIVE_TIME: 'ARRIVE_TIME',
  PUSH_REPLY_TIME: 'PUSH_REPLY_TIME',
  INNER_MULTI_DISPATCH: 'INNER_MULTI_DISPATCH',
  INNER_MULTI_QUEUE_OFFSET: 'INNER_MULTI_QUEUE_OFFSET',
  INNER_NUM: 'INNER_NUM',
  INNER_BASE: 'INNER_BASE',
  TIMER_DELAY_SEC: 'TIMER_DELAY_SEC',
  TIMER_DELAY_MS: 'TIMER_DELAY_MS',
  TIMER_DELIVER_MS: 'TIMER_DELIVER_MS',
  TIMER_OUT_MS: 'TIMER_OUT_MS',
  TIMER_ENQUEUE_MS: 'TIMER_ENQUEUE_MS',
  TIMER_DEQUEUE_MS: 'TIMER_DEQUEUE_MS',
  TIMER_ROLL_TIMES: 'TIMER_ROLL_TIMES',
  TIMER_DEL_UNIQKEY: 'TIMER_DEL_UNIQKEY',
  TIMER_DELAY_LEVEL: 'TIMER_DELAY_LEVEL',
  TIMER_ROLL_LABEL: 'TIMER_ROLL_LABEL',
  POP_CK: 'POP_CK',
  POP_CK_OFFSET: 'POP_CK_OFFSET',
  FIRST_POP_TIME: '1ST_POP_TIME',
  DLQ_ORIGIN_TOPIC: 'DLQ_ORIGIN_TOPIC',
  DLQ_ORIGIN_MESSAGE_ID: 'DLQ_ORIGIN_MESSAGE_ID',
  DUP_INFO: 'DUP_INFO',
  BORN_HOST: '__BORNHOST',
  BORN_TIMESTAMP: 'BORN_TIMESTAMP',
  CRC32: '__CRC32#',
  TRACE_CONTEXT: 'TRACE_CONTEXT',
  EXTEND_UNIQ_INFO: 'EXTEND_UNIQ_INFO',
  BUYER_ID: 'BUYER_ID',
  TRANSFER_FLAG: 'TRANSFER_FLAG',
  CORRECTION_FLAG: 'CORRECTION_FLAG',
  MQ2_FLAG: 'MQ2_FLAG',
  REDIRECT: 'REDIRECT',
  PROPERTY_FORWARD_QUEUE_ID: 'PROPERTY_FORWARD_QUEUE_ID',
  MIN_OFFSET: 'MIN_OFFSET',
  MAX_OFFSET: 'MAX_OFFSET',
  CONSUME_START_TIME: 'CONSUME_START_TIME',
  ORIGIN_GROUP: 'ORIGIN_GROUP',
  TRANS_OFFSET: 'TRANS_OFFSET',
  SYS_MSG_PRIORITY: '_SYS_MSG_PRIORITY_',
  LITE_TOPIC: '__LITE_TOPIC',
} as const;

/**
 * The properties that foldlog gives an event. To an Apache broker or client they are ordinary user properties.
 *
 * - STREAM_VERSION: number of the event in the stream named by its first key, decimal, given by the broker.
 * - APPEND_ID: id of the append that stored it.
 * - APPEND_INDEX: `<index>/<count>` of the record in its append; recovery cuts an incomplete append off the tail.
 * - REMOVED and LOST_KEYS stand in records that a repair of the log wrote (store/log/removedRecord.ts).
 * - the others are the event's metadata.
 */
export const EVENT_PROPERTY = {
  STREAM_VERSION: 'FL_VERSION',
  APPEND_ID: 'FL_APPEND',
  APPEND_INDEX: 'FL_INDEX',
  SCHEMA_VERSION: 'FL_SCHEMA',
  OCCURRED_AT: 'FL_OCCURRED',
  CORRELATION_ID: 'FL_CORRELATION',
  CAUSATION_ID: 'FL_CAUSATION',
  ACTOR: 'FL_ACTOR',
  DEAD_LETTER_REASON: 'FL_REASON',
  REMOVED: 'FL_REMOVED',
  LOST_KEYS: 'FL_LOST',
} as const;

const RESERVED: ReadonlySet<string> = new Set([...Object.values(PROPERTY), ...Object.values(EVENT_PROPERTY)]);

/** True for names that RocketMQ or foldlog set themselves. */
export function isReservedProperty(name: string): boolean {
  return RESERVED.has(name);
}

/** The longest properties text, in bytes, that a record can hold (a signed 16-bit length). */
export const PROPERTIES_MAX_BYTES = 32767;

export type MessageProperties = Readonly<Record<string, string>>;

const NAME_END = '\u0001';
const ITEM_END = '\u0002';
const NAME_END_CODE = NAME_END.charCodeAt(0);

/** `name 0x01 value 0x02 …`. Undefined and empty values are left out. Throws OptionsError for 0x01 or 0x02 inside. */
export function encodeProperties(properties: Readonly<Record<string, string | undefined>>): string {
  let text = '';
  for (const name in properties) {
    const value = properties[name];
    if (value === undefined || value === '') continue;
    if (holdsSeparator(name)) throw separatorInside(name);
    text += encodeProperty(name, value);
  }
  return text;
}

/** One property of a name that needs no look: '' without a value. Throws OptionsError for 0x01 or 0x02 inside. */
export function encodeProperty(name: string, value: string | undefined): string {
  if (value === undefined || value === '') return '';
  if (holdsSeparator(value)) throw separatorInside(name);
  return name + NAME_END + value + ITEM_END;
}

function separatorInside(name: string): OptionsError {
  return new OptionsError(`property ${JSON.stringify(name)} holds the character 0x01 or 0x02: remove it`, { name });
}

function holdsSeparator(text: string): boolean {
  return text.includes(NAME_END) || text.includes(ITEM_END);
}

/**
 * Names in the order of the text before: messages that are read together mostly have the same ones, and to compare with a
 * name that is known costs half of what it costs to cut out and look up a new one.
 */
const namesBefore: string[] = [];
const NAMES_KEPT_MAX = 64;

/** Reads the text form. Items without name, separator or value are ignored, as RocketMQ does. */
export function decodeProperties(text: string): Record<string, string> {
  const properties: Record<string, string> = {};
  let start = 0;
  let item = 0;
  while (start < text.length) {
    let end = text.indexOf(ITEM_END, start);
    if (end < 0) end = text.length;
    let name = namesBefore[item];
    let nameEnd = start + (name?.length ?? 0);
    if (name === undefined || text.charCodeAt(nameEnd) !== NAME_END_CODE || !text.startsWith(name, start)) {
      nameEnd = text.indexOf(NAME_END, start);
      name = undefined;
    }
    if (nameEnd > start && nameEnd + 1 < end) {
      if (name === undefined) {
        name = text.slice(start, nameEnd);
        if (item < NAMES_KEPT_MAX) namesBefore[item] = name;
      }
      item += 1;
      const value = text.slice(nameEnd + 1, end);
      // Plain assignment of "__proto__" would not create a property.
      if (name === '__proto__')
        Object.defineProperty(properties, name, { value, enumerable: true, configurable: true, writable: true });
      else properties[name] = value;
    }
    start = end + 1;
  }
  return properties;
}

/** One property of the text form, without decoding the others: what {@link decodeProperties} has under this name. */
export function propertyIn(text: string, name: string): string | undefined {
  let value: string | undefined;
  const start = name + NAME_END;
  for (let at = text.indexOf(start); at >= 0; at = text.indexOf(start, at + start.length)) {
    if (at > 0 && text[at - 1] !== ITEM_END) continue;
    const end = text.indexOf(ITEM_END, at);
    const found = text.slice(at + start.length, end < 0 ? text.length : end);
    // The last one counts, and one without a value is none.
    if (found !== '') value = found;
  }
  return value;
}

/** The keys of a message: see {@link splitKeys}. */
export function keysOf(properties: MessageProperties): string[] {
  return splitKeys(properties[PROPERTY.KEYS]);
}

/** The parts of a KEYS property: separated by single blanks, empty parts skipped. */
export function splitKeys(keys: string | undefined): string[] {
  if (!keys) return [];
  // Most messages have one; splitting costs several times as much.
  return keys.includes(' ') ? keys.split(' ').filter((key) => key !== '') : [keys];
}
