/**
 * Turns what an application gives into what is sent: checks it, makes its properties, compresses its body. Everything
 * that can be refused is refused here, before any byte leaves. Upstream: `Validators`, `DefaultMQProducerImpl.sendKernelImpl`.
 */
import { OptionsError } from '../base/errors.js';
import type { TimestampMillis } from '../base/flavours.js';
import { encodeBatchBody } from '../protocol/batchBody.js';
import { SYS_FLAG } from '../protocol/message.js';
import {
  encodeProperties,
  encodeProperty,
  isReservedProperty,
  PROPERTIES_MAX_BYTES,
  PROPERTY,
} from '../protocol/messageProperties.js';
import { assertTopic, isForbiddenToSend, isRetryTopic } from '../protocol/names.js';
import type { Message } from './clientTypes.js';
import { compressBody } from './compression.js';

/** Upstream: `maxMessageSize`. */
export const MESSAGE_MAX_BYTES = 4 * 1024 * 1024;
const DELAY_LEVEL_MAX = 18;
const NO_KEYS: readonly string[] = [];
const NO_PROPERTIES: readonly [string, string][] = [];
const WAITS = encodeProperty(PROPERTY.WAIT, 'true');
const WAITS_NOT = encodeProperty(PROPERTY.WAIT, 'false');

/** A message ready to be sent, the same at each attempt. */
export interface Outgoing {
  topic: string;
  uniqueKey: string;
  body: Buffer;
  propertiesText: string;
  sysFlag: number;
  flag: number;
  isBatch: boolean;
  /** Of a half message: the same at each attempt, so that a broker that stored two of them knows them for one. */
  bornTimestamp?: TimestampMillis;
}

/** Marks a half message; set by `transactionProducer.ts` alone. */
export const HALF = Symbol('half message');

export interface HalfMessage extends Message {
  [HALF]: { group: string; bornTimestamp: TimestampMillis };
}

/** Marks a request or a reply: properties that are reserved otherwise; set by `producer.ts` alone. */
export const CORRELATION = Symbol('correlation');

export interface CorrelatedMessage extends Message {
  [CORRELATION]: Readonly<Record<string, string>>;
}

/** @param nextUniqueKey called when the message has no unique key of its own */
export function prepare(
  message: Message | HalfMessage | CorrelatedMessage,
  nextUniqueKey: () => string,
  shardingKey?: string,
): Outgoing {
  const uniqueKey = message.uniqueKey ?? nextUniqueKey();
  const correlation = CORRELATION in message ? encodeProperties(message[CORRELATION]) : '';
  const propertiesText = propertiesOf(message, uniqueKey, shardingKey) + correlation;
  const { body, sysFlag } = compressBody(bodyOf(message));
  const plain = {
    topic: message.topic,
    uniqueKey,
    body,
    propertiesText,
    sysFlag,
    flag: message.flag ?? 0,
    isBatch: false,
  };
  if (!(HALF in message)) return plain;
  const { group, bornTimestamp } = message[HALF];
  return {
    ...plain,
    propertiesText: propertiesText + encodeProperties({ [PROPERTY.TRAN_MSG]: 'true', [PROPERTY.PGROUP]: group }),
    sysFlag: sysFlag | SYS_FLAG.TRANSACTION_PREPARED,
    bornTimestamp,
  };
}

/** Several messages of one topic in one request; the broker stores them in order in one queue. */
export function prepareBatch(messages: readonly Message[], nextUniqueKey: () => string): Outgoing {
  const [first] = messages;
  if (!first) throw new OptionsError('a batch is empty: give at least one message');
  const waits = first.waitStoreOk ?? true;
  for (const message of messages) {
    if (message.topic !== first.topic) {
      throw new OptionsError(`a batch holds topics ${first.topic} and ${message.topic}: send one batch per topic`);
    }
    if ((message.waitStoreOk ?? true) !== waits) throw new OptionsError('messages of a batch differ in waitStoreOk');
    const { delayLevel, delayMillis, deliverAtMillis } = message;
    if (delayLevel || delayMillis !== undefined || deliverAtMillis !== undefined) {
      throw new OptionsError('a message of a batch has a delayLevel, delayMillis or deliverAtMillis: send it alone');
    }
  }
  if (isRetryTopic(first.topic)) throw new OptionsError(`a batch cannot be sent to retry topic ${first.topic}`);
  const uniqueKeys: string[] = [];
  const body = encodeBatchBody(
    messages.map((message) => {
      const uniqueKey = message.uniqueKey ?? nextUniqueKey();
      uniqueKeys.push(uniqueKey);
      return {
        flag: message.flag ?? 0,
        body: bodyOf(message),
        propertiesText: propertiesOf(message, uniqueKey, undefined),
      };
    }),
  );
  if (body.length > MESSAGE_MAX_BYTES) {
    throw new OptionsError(`a batch of ${body.length} bytes is over the limit of ${MESSAGE_MAX_BYTES}: send several`);
  }
  const propertiesText = encodeProperties({ [PROPERTY.UNIQ_KEY]: nextUniqueKey(), [PROPERTY.WAIT]: String(waits) });
  return {
    topic: first.topic,
    uniqueKey: uniqueKeys.join(','),
    body,
    propertiesText,
    sysFlag: 0,
    flag: 0,
    isBatch: true,
  };
}

function bodyOf({ body, topic }: Message): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  if (bytes.length === 0)
    throw new OptionsError(`a message to ${topic} has an empty body: give at least one byte`, { topic });
  if (bytes.length > MESSAGE_MAX_BYTES) {
    throw new OptionsError(
      `a message to ${topic} has a body of ${bytes.length} bytes, at most ${MESSAGE_MAX_BYTES} are allowed`,
      { topic },
    );
  }
  return bytes;
}

function propertiesOf(message: Message, uniqueKey: string, shardingKey: string | undefined): string {
  const { topic, tags, keys = NO_KEYS, properties, delayLevel = 0, waitStoreOk = true } = message;
  assertTopic(topic);
  if (isForbiddenToSend(topic)) throw new OptionsError(`sending to topic ${topic} is forbidden`, { topic });
  for (const key of keys) {
    if (key === '' || key.includes(' ')) {
      throw new OptionsError(`key ${JSON.stringify(key)} is empty or holds a blank: keys are separated by blanks`, {
        key,
      });
    }
  }
  for (const [name, value] of properties ? Object.entries(properties) : NO_PROPERTIES) {
    if (isReservedProperty(name)) throw new OptionsError(`property ${name} is reserved: choose another name`, { name });
    if (name.trim() === '' || value.trim() === '') {
      throw new OptionsError(`property ${JSON.stringify(name)} has a blank name or value`, { name });
    }
  }
  if (!Number.isInteger(delayLevel) || delayLevel < 0 || delayLevel > DELAY_LEVEL_MAX) {
    throw new OptionsError(`delayLevel ${delayLevel} is not 0 to ${DELAY_LEVEL_MAX}`, { delayLevel });
  }
  const { delayMillis, deliverAtMillis } = message;
  if (delayMillis !== undefined || deliverAtMillis !== undefined) checkTime(message);
  let text =
    (properties ? encodeProperties(properties) : '') +
    encodeProperty(PROPERTY.KEYS, keys.join(' ')) +
    encodeProperty(PROPERTY.UNIQ_KEY, uniqueKey) +
    (waitStoreOk ? WAITS : WAITS_NOT) +
    encodeProperty(PROPERTY.TAGS, tags);
  if (delayLevel > 0) text += encodeProperty(PROPERTY.DELAY, String(delayLevel));
  if (delayMillis !== undefined) text += encodeProperty(PROPERTY.TIMER_DELAY_MS, String(delayMillis));
  if (deliverAtMillis !== undefined) text += encodeProperty(PROPERTY.TIMER_DELIVER_MS, String(deliverAtMillis));
  text += encodeProperty(PROPERTY.SHARDING_KEY, shardingKey);
  if (text.length * 3 > PROPERTIES_MAX_BYTES && Buffer.byteLength(text) > PROPERTIES_MAX_BYTES) {
    throw new OptionsError(`properties of a message to ${topic} take more than ${PROPERTIES_MAX_BYTES} bytes`, {
      topic,
    });
  }
  return text;
}

/** One delivery time at most: the broker would let a level win over a time, and a delay over an hour. */
function checkTime({ delayLevel = 0, delayMillis, deliverAtMillis }: Message): void {
  if (delayLevel > 0 || (delayMillis !== undefined && deliverAtMillis !== undefined)) {
    throw new OptionsError('a message has more than one of delayLevel, delayMillis and deliverAtMillis: give one', {
      delayLevel,
      delayMillis,
      deliverAtMillis,
    });
  }
  const name = delayMillis === undefined ? 'deliverAtMillis' : 'delayMillis';
  const millis = delayMillis ?? deliverAtMillis ?? 0;
  if (!Number.isSafeInteger(millis) || millis < 0) {
    throw new OptionsError(`${name} ${millis} is not a whole number from 0: give milliseconds`, { [name]: millis });
  }
}
