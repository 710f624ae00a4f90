/**
 * The last gate before the store for everything but guarded appends: sends of every kind, send-backs and delayed
 * messages that fall due. Here, judged by the real topic, unguarded messages for event topics are refused, delayed
 * messages change their topic, and what this version cannot do (transactions, timer delays) is refused.
 * Upstream: `HookUtils`, `SendMessageProcessor`.
 */
import { isFoldlogError, messageOf } from '../base/errors.js';
import { SYS_FLAG } from '../protocol/message.js';
import { EVENT_PROPERTY, PROPERTY } from '../protocol/messageProperties.js';
import type { ResponseFields } from '../protocol/remotingCommand.js';
import { RESPONSE_CODE } from '../protocol/responseCodes.js';
import type { MessageStore } from '../store/messageStore.js';
import type { AppendOutcome, AppendRefusal, MessageToStore, TurnPromises } from '../store/storeTypes.js';
import type { DelayLevels } from './delay/delayLevels.js';
import { scheduled } from './delay/delayLevels.js';
import type { EventTopics } from './eventTopics.js';
import { withoutProperty } from './propertiesText.js';

const { APPEND_INDEX } = EVENT_PROPERTY;

/** Not stored; the code and remark of the answer. */
export interface IntakeRefusal {
  status: 'REFUSED';
  code: number;
  remark: string;
}

export type IntakeOutcome = Extract<AppendOutcome, { status: 'PUT_OK' }> | IntakeRefusal;

export interface MessageIntakeParts {
  store: Pick<MessageStore, 'append'>;
  eventTopics: Pick<EventTopics, 'refusalOf'>;
  delayLevels: DelayLevels;
}

export class MessageIntake {
  readonly #store: Pick<MessageStore, 'append'>;
  readonly #eventTopics: Pick<EventTopics, 'refusalOf'>;
  readonly #delayLevels: DelayLevels;

  constructor({ store, eventTopics, delayLevels }: MessageIntakeParts) {
    this.#store = store;
    this.#eventTopics = eventTopics;
    this.#delayLevels = delayLevels;
  }

  /** Stores a message, now or through its delay level. */
  put(message: MessageToStore): IntakeOutcome {
    const { properties } = message;
    const defect = this.#eventTopics.refusalOf(message.topic);
    if (defect !== undefined) return refusal(RESPONSE_CODE.NO_PERMISSION, defect);
    if (isTransactional(message)) return TRANSACTION_REFUSAL;
    const delay = properties[PROPERTY.DELAY];
    if (delay !== undefined) {
      const level = this.#delayLevels.parse(delay);
      if (level === undefined) {
        return refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, `delay level ${JSON.stringify(delay)} is not a number`);
      }
      if (level > 0) return this.#append([scheduled(message, level)]);
    }
    if (hasTimer(message)) return TIMER_REFUSAL;
    return this.#append([message]);
  }

  /** Stores the messages of one batch, all of one topic and queue, as a contiguous whole. */
  putBatch(messages: readonly MessageToStore[]): IntakeOutcome {
    const [first] = messages;
    if (!first) return refusal(RESPONSE_CODE.MESSAGE_ILLEGAL, 'the batch holds no message');
    const defect = this.#eventTopics.refusalOf(first.topic);
    if (defect !== undefined) return refusal(RESPONSE_CODE.NO_PERMISSION, defect);
    for (const message of messages) {
      if (isTransactional(message)) return TRANSACTION_REFUSAL;
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
  'transactional messages are not available in this version: send the message without TRAN_MSG',
);

const TIMER_REFUSAL = refusal(
  RESPONSE_CODE.MESSAGE_ILLEGAL,
  'timer delays (TIMER_DELAY_SEC, TIMER_DELAY_MS, TIMER_DELIVER_MS) are not available in this version: use a delay level',
);

/**
 * A half message, or the end of one: neither is put into a queue, so it would never be seen. A redelivery keeps
 * TRAN_MSG in its text but is committed.
 */
function isTransactional({ properties, sysFlag, reconsumeTimes }: MessageToStore): boolean {
  if ((sysFlag & SYS_FLAG.TRANSACTION_PREPARED) !== 0) return true;
  return reconsumeTimes === 0 && properties[PROPERTY.TRAN_MSG] === 'true';
}

/**
 * A copy of an event (sent back, forwarded) keeps its properties but for the place in its append: recovery would take
 * the copy for a part of an append that was cut short.
 */
const isCopyOfEvent = ({ properties }: MessageToStore): boolean => properties[APPEND_INDEX] !== undefined;

function withoutAppendIndex(message: MessageToStore): MessageToStore {
  const { [APPEND_INDEX]: _index, ...properties } = message.properties;
  return { ...message, properties, propertiesText: withoutProperty(message.propertiesText, APPEND_INDEX) };
}

/** A redelivery may still carry what delayed its original. */
function hasTimer({ properties, reconsumeTimes }: MessageToStore): boolean {
  if (reconsumeTimes > 0) return false;
  return (
    properties[PROPERTY.TIMER_DELAY_SEC] !== undefined ||
    properties[PROPERTY.TIMER_DELAY_MS] !== undefined ||
    properties[PROPERTY.TIMER_DELIVER_MS] !== undefined ||
    properties[PROPERTY.TIMER_DEL_UNIQKEY] !== undefined
  );
}

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
