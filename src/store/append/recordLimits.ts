/**
 * What is not taken into the log, and why: checked before anything is touched (upstream: `MessageExtEncoder#encode`,
 * `HookUtils#checkBeforePutMessage`). Differs from RocketMQ: a record that no segment can hold is refused, instead of
 * being acknowledged and lost.
 */
import { SYS_FLAG } from '../../protocol/message.js';
import { PROPERTIES_MAX_BYTES, PROPERTY } from '../../protocol/messageProperties.js';
import { recordSizeOf } from '../../protocol/messageRecord.js';
import type { AppendRefusal, MessageToStore } from '../storeTypes.js';

const TOPIC_MAX_BYTES = 127;
const RETRY_TOPIC_MAX_BYTES = 255;
const RETRY_PREFIX = '%RETRY%';
/** What a record may have beyond the largest body. */
const RECORD_OVERHEAD_BYTES = 64 * 1024;

export interface RecordLimits {
  maxMessageSize: number;
  /** Bytes that a segment takes at most. */
  appendBytesMax: number;
}

const illegal = (reason: string): AppendRefusal => ({ status: 'MESSAGE_ILLEGAL', reason });

/** Size of the record in bytes, or why it is refused. */
export function sizeOrRefusal(
  message: MessageToStore,
  storeHostBytes: number,
  limits: RecordLimits,
): number | AppendRefusal {
  const { topic, body } = message;
  const topicBytes = Buffer.byteLength(topic);
  const topicBytesMax = topic.startsWith(RETRY_PREFIX) ? RETRY_TOPIC_MAX_BYTES : TOPIC_MAX_BYTES;
  if (topicBytes === 0 || topicBytes > topicBytesMax) {
    return illegal(`the topic has ${topicBytes} bytes; 1 to ${topicBytesMax} are allowed`);
  }
  // Topics are directory names.
  if (topic.includes('/') || topic.includes('\u0000') || topic === '.' || topic === '..') {
    return illegal(`the topic ${JSON.stringify(topic)} is not a name`);
  }
  if (!Number.isInteger(message.queueId) || message.queueId < 0 || message.queueId > 0x7fffffff) {
    return illegal(`queue id ${message.queueId} is not a number from 0`);
  }
  if (message.sysFlag & (SYS_FLAG.INNER_BATCH | SYS_FLAG.NEED_UNWRAP)) {
    return illegal('batches stored as one record need a topic with queue.type=BatchCQ, which this store has not');
  }
  const propertiesBytes = Buffer.byteLength(message.propertiesText);
  if (propertiesBytes > PROPERTIES_MAX_BYTES) {
    return {
      status: 'PROPERTIES_SIZE_EXCEEDED',
      reason: `the properties have ${propertiesBytes} bytes; at most ${PROPERTIES_MAX_BYTES} are allowed`,
    };
  }
  if (body.length > limits.maxMessageSize) {
    return illegal(`the body has ${body.length} bytes; maxMessageSize is ${limits.maxMessageSize}`);
  }
  const hostsBytes = message.bornHost.length + (message.storeHost?.length ?? storeHostBytes);
  const sizeBytes = recordSizeOf(hostsBytes, body.length, topicBytes, propertiesBytes);
  if (sizeBytes > limits.maxMessageSize + RECORD_OVERHEAD_BYTES) {
    return illegal(`the record has ${sizeBytes} bytes; maxMessageSize is ${limits.maxMessageSize}`);
  }
  return sizeBytes;
}

/** Of a message in light queues the whole record counts (upstream: `CommitLog#asyncPutMessage`); undefined when it fits. */
export function lightRefusal(sizeBytes: number, limits: RecordLimits): AppendRefusal | undefined {
  if (sizeBytes <= limits.maxMessageSize) return undefined;
  return illegal(
    `the record is in %LMQ% queues and has ${sizeBytes} bytes; maxMessageSize is ${limits.maxMessageSize}`,
  );
}

/** Why these messages cannot be stored as one batch; undefined when they can. */
export function batchRefusal(messages: readonly MessageToStore[]): AppendRefusal | undefined {
  const [first] = messages;
  if (!first) return illegal('there is no message to store');
  if (messages.length === 1) return undefined;
  for (const message of messages) {
    if (message.topic !== first.topic || message.queueId !== first.queueId) {
      return illegal('the messages of a batch have one topic and one queue');
    }
    if (message.sysFlag & SYS_FLAG.TRANSACTION_MASK) return illegal('the messages of a batch are not transactional');
    if (Number(message.properties[PROPERTY.DELAY] ?? 0) > 0) return illegal('the messages of a batch are not delayed');
  }
  return undefined;
}

/** Why records of this size in all cannot lie next to each other; undefined when they can. */
export function segmentRefusal(sizeBytes: number, limits: RecordLimits): AppendRefusal | undefined {
  if (sizeBytes <= limits.appendBytesMax) return undefined;
  return illegal(`${sizeBytes} bytes do not fit into one commit log segment, which takes ${limits.appendBytesMax}`);
}
