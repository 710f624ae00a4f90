/**
 * A message of rmq_sys_wheel_timer as the timer reads it: when it is due, for whom, whether it recalls another; and what
 * it becomes when it is delivered or rolled. Upstream: `TimerMessageStore#convertMessage`.
 */
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { StoredMessage } from '../../protocol/message.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { decodeRecord } from '../../protocol/messageRecord.js';
import { TIMER_TOPIC, TRANS_HALF_TOPIC } from '../../protocol/names.js';
import type { MessageStore } from '../../store/messageStore.js';
import type { MessageToStore } from '../../store/storeTypes.js';
import type { WaitingMessage } from '../../store/timer/timerRecovery.js';
import { storedAgain } from '../storedAgain.js';

/** What upstream writes when a message never was in the wheel. */
export const NEVER_IN_WHEEL = '9223372036854775807';

export interface TimerMessage {
  message: StoredMessage;
  outMillis: TimestampMillis;
  realTopic: string;
  realQueueId: number;
  uniqueKey: string | undefined;
  /** The message that this one recalls: its unique key, or topic and key together. */
  recalledKey: string | undefined;
}

/** Undefined when the message has no time or no real topic: nobody can deliver it. */
export function timerMessageOf(message: StoredMessage): TimerMessage | undefined {
  const { properties } = message;
  const realTopic = properties[PROPERTY.REAL_TOPIC];
  const out = properties[PROPERTY.TIMER_OUT_MS];
  if (realTopic === undefined || out === undefined || !/^\d{1,15}$/.test(out)) return undefined;
  if (realTopic === TRANS_HALF_TOPIC || realTopic === TIMER_TOPIC) return undefined;
  const queueId = Number(properties[PROPERTY.REAL_QID]);
  return {
    message,
    outMillis: Number(out),
    realTopic,
    realQueueId: Number.isInteger(queueId) && queueId >= 0 ? queueId : 0,
    uniqueKey: properties[PROPERTY.UNIQ_KEY],
    recalledKey: properties[PROPERTY.TIMER_DEL_UNIQKEY],
  };
}

/** What a broker with appendTopicForTimerDeleteKey compares. */
export const topicAndKey = (topic: string, uniqueKey: string): string => `${topic}+${uniqueKey}`;

/** The message under its real topic, at its time. As upstream's, its text keeps what delayed it. */
export function delivered(
  { message, realTopic, realQueueId }: TimerMessage,
  enqueuedAt: string,
  now: number,
): MessageToStore {
  const place = { topic: realTopic, queueId: realQueueId };
  return storedAgain(message, place, { ...message.properties, ...times(enqueuedAt, now) });
}

/** The message for another round: its time lay further ahead than the wheel reaches. */
export function rolled({ message }: TimerMessage, enqueuedAt: string, now: number): MessageToStore {
  const rounds = Number(message.properties[PROPERTY.TIMER_ROLL_TIMES] ?? 0);
  return storedAgain(message, message, {
    ...message.properties,
    ...times(enqueuedAt, now),
    [PROPERTY.TIMER_ROLL_TIMES]: String((Number.isInteger(rounds) ? rounds : 0) + 1),
  });
}

const times = (enqueuedAt: string, now: number) => ({
  [PROPERTY.TIMER_ENQUEUE_MS]: enqueuedAt,
  [PROPERTY.TIMER_DEQUEUE_MS]: String(now),
});

/** The message of the timer's topic at a position; what the timer files ask when they are opened. */
export function waitingMessageAt(
  store: Pick<MessageStore, 'readRecord' | 'minCommitLogOffset'>,
  commitLogOffset: CommitLogOffset,
): WaitingMessage | undefined {
  if (commitLogOffset < store.minCommitLogOffset()) return 'EXPIRED';
  const record = store.readRecord(commitLogOffset);
  const message = record && decodeRecord(record, 0, { verifyCrc: false });
  return message?.topic === TIMER_TOPIC ? message : undefined;
}
