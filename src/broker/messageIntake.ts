/**
 * The last gate before the store for everything but guarded appends: sends of every kind, send-backs, committed
 * transactions and delayed messages that fall due. Here, judged by the real topic, unguarded messages for event topics
 * are refused, and half and delayed messages change their topic.
 * Upstream: `HookUtils`, `SendMessageProcessor`.
 */
import { isFoldlogError, messageOf } from '../base/errors.js';
import type { TimestampMillis } from '../base/flavours.js';
import { SYS_FLAG } from '../protocol/message.js';
import { EVENT_PROPERTY, PROPERTY } from '../protocol/messageProperties.js';
import { TIMER_TOPIC } from '../protocol/names.js';
import type { ResponseFields } from '../protocol/remotingCommand.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { MessageStore } from '../store/messageStore.js';
import type { AppendOutcome, AppendRefusal, MessageToStore, TurnPromises } from '../store/storeTypes.js';
import type { DelayLevels } from './delay/delayLevels.js';
import { scheduled } from './delay/delayLevels.js';
import { asksForTime, type TimerRules } from './delay/timerRules.js';
import type { EventTopics } from './eventTopics.js';
import { withoutProperty } from './propertiesText.js';
import { isHalf, prepared } from './transactions/halfMessages.js';

const { APPEND_INDEX } = EVENT_PROPERTY;

/** Not stored; the code and remark of the answer. */
export interface IntakeRefusal {
  status: 'REFUSED';
  code: number;
  remark: string;
}

/** `timerOutMillis`: the message waits for this time, by which it can be recalled. */
export type IntakeOutcome =
  | (Extract<AppendOutcome, { status: 'PUT_OK' }> & { timerOutMillis?: TimestampMillis })
  | IntakeRefusal;

export interface MessageIntakeParts {
  store: Pick<MessageStore, 'append'>;
  eventTopics: Pick<EventTopics, 'refusalOf'>;
  delayLevels: DelayLevels;
  timerRules: Pick<TimerRules, 'decide'>;
  /** Refuse half messages. Default false. */
  rejectTransactionMessage?: boolean;
}

export class MessageIntake {
  readonly #store: Pick<MessageStore, 'append'>;
  readonly #eventTopics: Pick<EventTopics, 'refusalOf'>;
  readonly #delayLevels: DelayLevels;
  readonly #timerRules: Pick<TimerRules, 'decide'>;
  readonly #rejectTransactionMessage: boolean;

  constructor(parts: MessageIntakeParts) {
    const { store, eventTopics, delayLevels, timerRules, rejectTransactionMessage = false } = parts;
    this.#timerRules = timerRules;
    this.#rejectTransactionMessage = rejectTransactionMessage;
    this.#store = store;
    this.#eventTopics = eventTopics;
    this.#delayLevels = delayLevels;
  }

  /** Stores a message, now, through its delay level, or as a half message until its transaction ends. */
  put(message: MessageToStore): IntakeOutcome {
    const defect = this.#eventTopics.refusalOf(message.topic);
    if (defect !== undefined) return refusal(RESPONSE_CODE.NO_PERMISSION, defect);
    if (message.topic === TIMER_TOPIC) return TIMER_TOPIC_REFUSAL;
    if (isHalf(message)) return this.#prepare(message);
    if (isInvisible(message)) return INVISIBLE_REFUSAL;
    return this.#place(message);
  }

  /** Stores the message of a transaction that is committed, now or through its delay. */
  putCommitted(message: MessageToStore): IntakeOutcome {
    const defect = this.#eventTopics.refusalOf(message.topic);
    if (defect !== undefined) return refusal(RESPONSE_CODE.NO_PERMISSION, defect);
    return this.#place(message);
  }

  /** Now, or where it waits for its time. */
  #place(message: MessageToStore): IntakeOutcome {
    const delay = message.properties[PROPERTY.DELAY];
    if (delay !== undefined) {
      const level = this.#delayLevels.parse(delay);
      if (level === undefined) {
        return refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, `delay level ${JSON.stringify(delay)} is not a number`);
      }
      if (level > 0) return this.#append([scheduled(message, level)]);
    }
    const timed = this.#timerRules.decide(message);
    if (timed.status === 'REFUSED') return refusal(timed.code, timed.remark);
    if (timed.status === 'NOW') return this.#append([message]);
    const outcome = this.#append([timed.message]);
    return outcome.status === 'PUT_OK' ? { ...outcome, timerOutMillis: timed.outMillis } : outcome;
  }

  /** Stores the messages of one batch, all of one topic and queue, as a contiguous whole. */
  putBatch(messages: readonly MessageToStore[]): IntakeOutcome {
    const [first] = messages;
    if (!first) return refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, 'the batch holds no message');
    const defect = this.#eventTopics.refusalOf(first.topic);
    if (defect !== undefined) return refusal(RESPONSE_CODE.NO_PERMISSION, defect);
    if (first.topic === TIMER_TOPIC) return TIMER_TOPIC_REFUSAL;
    for (const message of messages) {
      if (isHalf(message) || isInvisible(message)) return BATCHED_TRANSACTION_REFUSAL;
      if (hasTimer(message) || this.#isDelayed(message)) {
        return refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, 'a message of a batch cannot be delayed: send it alone');
      }
    }
    return this.#append(messages);
  }

  /** Stores a delayed message whose time has come, under its real topic. Its DELAY text is not read again. */
  putDue(message: MessageToStore): IntakeOutcome {
    const defect = this.#eventTopics.refusalOf(message.topic);
    if (defect !== undefined) return refusal(RESPONSE_CODE.NO_PERMISSION, defect);
    return this.#append([message]);
  }

  /** Stores a half message. What would keep its commit out of the log is refused now. */
  #prepare(message: MessageToStore): IntakeOutcome {
    if (this.#rejectTransactionMessage) return TRANSACTION_REFUSAL;
    const { [PROPERTY.PGROUP]: group, [PROPERTY.DELAY]: delay } = message.properties;
    if (group === undefined) {
      return refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, 'a transactional message names its producer group in PGROUP');
    }
    if (delay !== undefined && this.#delayLevels.parse(delay) === undefined) {
      return refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, `delay level ${JSON.stringify(delay)} is not a number`);
    }
    // The time of a relative delay counts from the commit.
    const timed = this.#timerRules.decide(message);
    if (timed.status === 'REFUSED') return refusal(timed.code, timed.remark);
    const half = prepared(message);
    return half ? this.#append([half]) : HALF_SIZE_REFUSAL;
  }

  #isDelayed(message: MessageToStore): boolean {
    const delay = message.properties[PROPERTY.DELAY];
    return delay !== undefined && this.#delayLevels.parse(delay) !== 0;
  }

  #append(messages: readonly MessageToStore[]): IntakeOutcome {
    const stored = messages.some(isCopyOfEvent) ? messages.map(withoutAppendIndex) : messages;
    const outcome = refusedWhenUnavailable(() => this.#store.append(stored));
    if (outcome.status === 'PUT_OK') return outcome;
    const code =
      outcome.status === 'SERVICE_NOT_AVAILABLE' ? RESPONSE_CODE.SERVICE_NOT_AVAILABLE : RESPONSE_CODE.MESSAGE_ILLEGAL;
    return refusal(code, outcome.reason);
  }
}

const refusal = (code: number, remark: string): IntakeRefusal => ({ status: 'REFUSED', code, remark });

const TRANSACTION_REFUSAL = refusal(
  RESPONSE_CODE.NO_PERMISSION,
  'sending transactional messages is forbidden by rejectTransactionMessage',
);

const BATCHED_TRANSACTION_REFUSAL = refusal(
  RESPONSE_CODE.MESSAGE_ILLEGAL,
  'a message of a batch cannot be transactional: send it alone',
);

const HALF_SIZE_REFUSAL = refusal(
  RESPONSE_CODE.MESSAGE_ILLEGAL,
  'the properties of the transactional message are too long: its copies need 256 bytes more',
);

const INVISIBLE_REFUSAL = refusal(
  RESPONSE_CODE.MESSAGE_ILLEGAL,
  'sysFlag says prepared or rolled back, TRAN_MSG does not say true: no consumer would ever see the message',
);

/** Differs from RocketMQ: what stands in this topic was put there by the broker, so that it can be delivered. */
const TIMER_TOPIC_REFUSAL = refusal(
  RESPONSE_CODE.NO_PERMISSION,
  `Sending message to topic[${TIMER_TOPIC}] is forbidden.`,
);

/** Of these transaction types no record is put into a queue. */
const isInvisible = ({ sysFlag }: MessageToStore): boolean => (sysFlag & SYS_FLAG.TRANSACTION_PREPARED) !== 0;

/**
 * A copy of an event (sent back, forwarded) keeps its properties but for the place in its append: recovery would take
 * the copy for a part of an append that was cut short.
 */
const isCopyOfEvent = ({ properties }: MessageToStore): boolean => properties[APPEND_INDEX] !== undefined;

function withoutAppendIndex(message: MessageToStore): MessageToStore {
  const { [APPEND_INDEX]: _index, ...properties } = message.properties;
  return { ...message, properties, propertiesText: withoutProperty(message.propertiesText, APPEND_INDEX) };
}

const hasTimer = ({ properties }: MessageToStore): boolean => asksForTime(properties);

/** What the store throws when it is finished or the disk is full, as a refusal: nothing was stored. */
export function refusedWhenUnavailable<Outcome>(append: () => Outcome): Outcome | AppendRefusal {
  try {
    return append();
  } catch (thrown) {
    if (!isFoldlogError(thrown) || (thrown.code !== 'STORE_FAILED' && thrown.code !== 'DISK_FULL')) throw thrown;
    return { status: 'SERVICE_NOT_AVAILABLE', reason: thrown.message };
  }
}

/** The response when the wait for a turn ended without the message being readable. */
export function failedTurnResponse(thrown: unknown): ResponseFields {
  return { code: RESPONSE_CODE.SERVICE_NOT_AVAILABLE, remark: messageOf(thrown) };
}

/** Code and remark of a message that is in the log, once its turn is visible. */
export async function visibleResponse(turn: TurnPromises): Promise<ResponseFields> {
  try {
    const outcome = await turn.visible;
    return outcome === 'VISIBLE' ? { code: RESPONSE_CODE.SUCCESS } : { code: RESPONSE_CODE.FLUSH_DISK_TIMEOUT };
  } catch (thrown) {
    return failedTurnResponse(thrown);
  }
}
