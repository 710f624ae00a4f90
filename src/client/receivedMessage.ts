/**
 * A stored record as the consumer's application sees it: ids, tags and keys read out, the body decompressed, the
 * original topic of a retried message found. Upstream: `MessageDecoder.decode`, `MessageClientExt`,
 * `DefaultMQPushConsumerImpl.resetRetryAndNamespace`.
 */
import { FoldlogError } from '../base/errors.js';
import { type StoredMessage, SYS_FLAG } from '../protocol/message.js';
import { offsetMsgIdOf } from '../protocol/messageId.js';
import { keysOf, PROPERTY } from '../protocol/messageProperties.js';
import { retryTopicOf } from '../protocol/names.js';
import type { ReceivedMessage } from './clientTypes.js';
import { decompressBody } from './compression.js';

/** @param group of the consumer: a message of its retry topic shows the topic that it came from */
export function receive(record: StoredMessage, brokerName: string, group?: string): ReceivedMessage {
  const { properties, topic, storeHost, commitLogOffset } = record;
  const offsetMsgId = offsetMsgIdOf(storeHost, commitLogOffset);
  const isRetried = group !== undefined && topic === retryTopicOf(group);
  const message: ReceivedMessage = {
    // Field by field: spreading costs several times as much, and every consumed message passes here.
    topic,
    queueId: record.queueId,
    queueOffset: record.queueOffset,
    commitLogOffset,
    sizeBytes: record.sizeBytes,
    flag: record.flag,
    sysFlag: record.sysFlag,
    bornTimestamp: record.bornTimestamp,
    bornHost: record.bornHost,
    storeTimestamp: record.storeTimestamp,
    storeHost,
    reconsumeTimes: record.reconsumeTimes,
    preparedTransactionOffset: record.preparedTransactionOffset,
    bodyCrc: record.bodyCrc,
    body: record.body,
    properties,
    brokerName,
    msgId: properties[PROPERTY.UNIQ_KEY] ?? offsetMsgId,
    offsetMsgId,
    originalTopic: (isRetried ? properties[PROPERTY.RETRY_TOPIC] : undefined) ?? topic,
    tags: properties[PROPERTY.TAGS],
    keys: keysOf(properties),
  };
  if ((record.sysFlag & SYS_FLAG.COMPRESSED) === 0) return message;
  try {
    message.body = decompressBody(record.body, record.sysFlag);
    message.sysFlag &= ~SYS_FLAG.COMPRESSED;
  } catch (thrown) {
    if (!(thrown instanceof FoldlogError)) throw thrown;
    message.defect = thrown;
  }
  return message;
}
