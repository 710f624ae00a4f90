/**
 * What a transactional message is at each step of its life. A half message lies in RMQ_SYS_TRANS_HALF_TOPIC, queue 0,
 * and remembers where it goes; it is copied to the end of that queue each time its producer is asked; committed it
 * becomes a message of its real topic; given up it goes to TRANS_CHECK_MAX_TIME_TOPIC. All of this is pure.
 *
 * Half messages are stored with transaction type none, so that they have a queue and offsets; only a committed message
 * has a type, and names the half's place. Upstream: `TransactionalMessageBridge`, `EndTransactionProcessor`.
 */
import { type StoredMessage, SYS_FLAG } from '../../protocol/message.js';
import { type MessageProperties, PROPERTIES_MAX_BYTES, PROPERTY } from '../../protocol/messageProperties.js';
import { encodeRecord, recordSize } from '../../protocol/messageRecord.js';
import { isDeadLetterTopic, isRetryTopic, TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC } from '../../protocol/names.js';
import type { MessageToStore, StoredPlace } from '../../store/storeTypes.js';
import { appendProperty, joinProperties, withoutProperty } from '../propertiesText.js';
import { storedAgain } from '../storedAgain.js';

/** The only queue of the half topic and of the op topic. */
export const TRANSACTION_QUEUE_ID = 0;
const HALF_PLACE = { topic: TRANS_HALF_TOPIC, queueId: TRANSACTION_QUEUE_ID };

/** Properties of a half message grow when it is copied: check count, first offset. Kept free from the beginning. */
const GROWTH_MAX_BYTES = 256;

/** Does this message begin a transaction? A redelivery keeps TRAN_MSG in its text, but is committed. */
export function isHalf({ topic, properties, reconsumeTimes }: MessageToStore): boolean {
  if (properties[PROPERTY.TRAN_MSG]?.toLowerCase() !== 'true') return false;
  if (reconsumeTimes === 0) return true;
  const isDelayed = Number(properties[PROPERTY.DELAY] ?? 0) > 0;
  return !isDelayed && !isRetryTopic(topic) && !isDeadLetterTopic(topic);
}

/** What lies in the log until the transaction ends. Undefined: its properties leave no room for the copies of it. */
export function prepared(message: MessageToStore): MessageToStore | undefined {
  const {
    [PROPERTY.TRANSACTION_ID]: _transactionId,
    [PROPERTY.TRANSACTION_CHECK_TIMES]: _checkTimes,
    [PROPERTY.TRAN_PREPARED_QUEUE_OFFSET]: _preparedOffset,
    [PROPERTY.REAL_TOPIC]: _realTopic,
    [PROPERTY.REAL_QID]: _realQueueId,
    ...own
  } = message.properties;
  const uniqKey = own[PROPERTY.UNIQ_KEY];
  const half = halfOf(
    { ...message, sysFlag: message.sysFlag & ~SYS_FLAG.TRANSACTION_MASK },
    { ...own, ...(uniqKey !== undefined && { [PROPERTY.TRANSACTION_ID]: uniqKey }) },
    { topic: message.topic, queueId: message.queueId },
  );
  return Buffer.byteLength(half.propertiesText) > PROPERTIES_MAX_BYTES - GROWTH_MAX_BYTES ? undefined : half;
}

/** Where a half message goes when it is committed; undefined for a record that no broker prepared. */
export function realPlaceOf({ properties }: StoredMessage): { topic: string; queueId: number } | undefined {
  const topic = properties[PROPERTY.REAL_TOPIC];
  const queueId = Number(properties[PROPERTY.REAL_QID]);
  return topic !== undefined && Number.isInteger(queueId) && queueId >= 0 ? { topic, queueId } : undefined;
}

/** Is it one of the copies that were put back, not the message as it was prepared? */
export function isCopy({ properties }: StoredMessage): boolean {
  return (
    properties[PROPERTY.TRANSACTION_CHECK_TIMES] !== undefined ||
    properties[PROPERTY.TRAN_PREPARED_QUEUE_OFFSET] !== undefined
  );
}

/** The copy at the end of the half queue that takes the place of this one. */
export function putBack(
  half: StoredMessage,
  real: { topic: string; queueId: number },
  changes: { checkTimes?: number; preparedQueueOffset?: number },
): MessageToStore {
  const { [PROPERTY.REAL_TOPIC]: _realTopic, [PROPERTY.REAL_QID]: _realQueueId, ...own } = half.properties;
  const { checkTimes, preparedQueueOffset } = changes;
  const properties = {
    ...own,
    ...(checkTimes !== undefined && { [PROPERTY.TRANSACTION_CHECK_TIMES]: String(checkTimes) }),
    ...(preparedQueueOffset !== undefined && { [PROPERTY.TRAN_PREPARED_QUEUE_OFFSET]: String(preparedQueueOffset) }),
  };
  return storedAgain(half, HALF_PLACE, withRealPlace(properties, real));
}

/** The message that consumers get. */
export function committed(half: StoredMessage, real: { topic: string; queueId: number }): MessageToStore {
  const { [PROPERTY.REAL_TOPIC]: _realTopic, [PROPERTY.REAL_QID]: _realQueueId, ...properties } = half.properties;
  return {
    ...storedAgain(half, real, properties),
    sysFlag: (half.sysFlag & ~SYS_FLAG.TRANSACTION_MASK) | SYS_FLAG.TRANSACTION_COMMIT,
    preparedTransactionOffset: half.commitLogOffset,
  };
}

/** What is kept for people of a transaction that nobody ended. */
export function givenUp(half: StoredMessage): MessageToStore {
  return storedAgain(half, { topic: TRANS_CHECK_MAX_TIME_TOPIC, queueId: 0 }, half.properties);
}

/**
 * The record that a producer is shown when it is asked: the stored copy as a message of its real topic and queue. Its
 * WAIT is in no stored copy; upstream shows it.
 */
export function shownToProducer(
  copy: MessageToStore,
  { commitLogOffset, queueOffset, storeTimestamp }: StoredPlace,
  real: { topic: string; queueId: number },
  storeHost: Buffer,
): Buffer {
  const record = {
    ...copy,
    ...real,
    commitLogOffset,
    queueOffset,
    storeTimestamp,
    storeHost: copy.storeHost ?? storeHost,
    properties: appendProperty(withoutProperty(copy.propertiesText, PROPERTY.WAIT), PROPERTY.WAIT, 'false'),
  };
  const bytes = Buffer.alloc(recordSize(record));
  encodeRecord(bytes, 0, record);
  return bytes;
}

function halfOf(
  message: MessageToStore,
  own: MessageProperties,
  real: { topic: string; queueId: number },
): MessageToStore {
  const properties = withRealPlace(own, real);
  return { ...message, ...HALF_PLACE, properties, propertiesText: joinProperties(properties) };
}

const withRealPlace = (own: MessageProperties, real: { topic: string; queueId: number }): MessageProperties => ({
  ...own,
  [PROPERTY.REAL_TOPIC]: real.topic,
  [PROPERTY.REAL_QID]: String(real.queueId),
});
