/**
 * What the log holds of one transaction, found by the message's unique key: the half message and its copies, the
 * committed message, the copy that was given up. Asked only where memory does not tell: after a start, and once a half
 * message was put back. A message is of the same transaction when unique key, producer group, born time, size and CRC
 * of the body are equal; the copies keep all of them, and so does a half message whose sending was repeated.
 *
 * Differs from RocketMQ, which keeps no such account and stores a second committed message when a commit is repeated.
 */
import type { CommitLogOffset, QueueOffset } from '../../base/flavours.js';
import { type StoredMessage, SYS_FLAG } from '../../protocol/message.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { SCHEDULE_TOPIC, TIMER_TOPIC, TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC } from '../../protocol/names.js';
import type { MessageStore } from '../../store/messageStore.js';

const PAGE_COUNT = 64;
const PAGE_BYTES = 1024 * 1024;
/** Records looked at; a half message that is never answered has some dozens of copies. */
const LOOKED_AT_MAX = 10_000;

export interface TransactionTrace {
  /** Queue offsets of the half message and its copies, ascending. */
  copies: QueueOffset[];
  isCommitted: boolean;
  isGivenUp: boolean;
}

/** Equal for all messages of one transaction. Without a unique key a half message is known by its place alone. */
export function transactionIdOf(half: StoredMessage): string {
  const { [PROPERTY.UNIQ_KEY]: uniqKey, [PROPERTY.PGROUP]: group } = half.properties;
  if (uniqKey === undefined) return `@${half.commitLogOffset}`;
  return [uniqKey, group, half.bornTimestamp, half.body.length, half.bodyCrc].join('\u0001');
}

/** Undefined when the message has no unique key: nothing is found then. */
export function traceOf(
  store: Pick<MessageStore, 'readByKeys'>,
  half: StoredMessage,
  realTopic: string,
): TransactionTrace | undefined {
  const key = half.properties[PROPERTY.UNIQ_KEY];
  if (key === undefined) return undefined;
  const id = transactionIdOf(half);
  // A committed message with a delay waits in one of the two before it reaches its topic.
  const topics = new Set([TRANS_HALF_TOPIC, realTopic, SCHEDULE_TOPIC, TIMER_TOPIC, TRANS_CHECK_MAX_TIME_TOPIC]);
  const keys = [...topics].map((topic) => ({ topic, key }));
  const trace: TransactionTrace = { copies: [], isCommitted: false, isGivenUp: false };
  let from: CommitLogOffset | undefined = 0;
  for (let lookedAt = 0; from !== undefined && lookedAt < LOOKED_AT_MAX; ) {
    const page = store.readByKeys({
      keys,
      uniqKeysToo: true,
      from,
      direction: 'forwards',
      maxCount: PAGE_COUNT,
      maxBytes: PAGE_BYTES,
    });
    for (const record of page.records) {
      const message = decodeRecord(record, 0, { verifyCrc: false });
      if (transactionIdOf(message) !== id) continue;
      if (message.topic === TRANS_HALF_TOPIC) trace.copies.push(message.queueOffset);
      else if (message.topic === TRANS_CHECK_MAX_TIME_TOPIC) trace.isGivenUp = true;
      else if ((message.sysFlag & SYS_FLAG.TRANSACTION_MASK) === SYS_FLAG.TRANSACTION_COMMIT) trace.isCommitted = true;
    }
    lookedAt += page.records.length;
    from = page.next;
  }
  return trace;
}
