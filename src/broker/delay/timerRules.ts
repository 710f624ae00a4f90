/**
 * Arbitrary delivery times: what a message asks for with TIMER_DELAY_SEC, TIMER_DELAY_MS or TIMER_DELIVER_MS, and what it
 * becomes on its way into the log: a message of rmq_sys_wheel_timer that remembers its real topic and queue. Upstream:
 * `HookUtils.handleTimerMessage`.
 *
 * TIMER_OUT_MS is the slot of the wheel: the last whole unit of the precision before the time that was asked for. The
 * slot is read when it is over, so that a message comes within one unit after its time and never before.
 */
import type { Clock } from '../../base/clock.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { BrokerConfig } from '../../config/brokerConfig.js';
import { type MessageProperties, PROPERTIES_MAX_BYTES, PROPERTY } from '../../protocol/messageProperties.js';
import { TIMER_TOPIC } from '../../protocol/names.js';
import { RESPONSE_CODE } from '../../protocol/responseCodes.js';
import type { MessageToStore } from '../../store/storeTypes.js';
import { joinProperties } from '../propertiesText.js';

/** What TIMER_ENQUEUE_MS, TIMER_DEQUEUE_MS and TIMER_ROLL_TIMES add at most when a message is rolled or delivered. */
const LATER_BYTES = 160;

export type TimerDecision =
  | { status: 'NOW' }
  | { status: 'WAITS'; message: MessageToStore; outMillis: TimestampMillis }
  | { status: 'REFUSED'; code: number; remark: string };

export interface TimerRulesParts {
  config: Pick<BrokerConfig, 'timerWheelEnable' | 'timerPrecisionMs' | 'timerMaxDelaySec' | 'timerCongestNumEachSlot'>;
  clock: Clock;
  /** Messages that wait in the slot of a time. */
  countAt: (outMillis: TimestampMillis) => number;
}

/** Does the message ask for a delivery time? One that has TIMER_OUT_MS was delivered at its time already. */
export function asksForTime(properties: MessageProperties): boolean {
  if (properties[PROPERTY.TIMER_OUT_MS] !== undefined) return false;
  return (
    properties[PROPERTY.TIMER_DELAY_SEC] !== undefined ||
    properties[PROPERTY.TIMER_DELAY_MS] !== undefined ||
    properties[PROPERTY.TIMER_DELIVER_MS] !== undefined
  );
}

export class TimerRules {
  readonly #config: TimerRulesParts['config'];
  readonly #clock: Clock;
  readonly #countAt: TimerRulesParts['countAt'];

  constructor({ config, clock, countAt }: TimerRulesParts) {
    this.#config = config;
    this.#clock = clock;
    this.#countAt = countAt;
  }

  decide(message: MessageToStore): TimerDecision {
    const { properties } = message;
    if (!asksForTime(properties)) return { status: 'NOW' };
    const { timerWheelEnable, timerPrecisionMs, timerMaxDelaySec, timerCongestNumEachSlot } = this.#config;
    if (!timerWheelEnable) {
      return refused(RESPONSE_CODE.SYSTEM_ERROR, 'delivery times are off at this broker: timerWheelEnable=false');
    }
    const now = this.#clock.now();
    const asked = deliverAt(properties, now);
    if (asked === undefined) {
      return illegal('TIMER_DELAY_SEC, TIMER_DELAY_MS or TIMER_DELIVER_MS is not a whole number');
    }
    if (asked <= now) {
      if (properties[PROPERTY.TIMER_DEL_UNIQKEY] === undefined) return { status: 'NOW' };
      return illegal('a recall must come before the delivery time of the message');
    }
    if (asked - now > timerMaxDelaySec * 1000) {
      return illegal(`the delivery time is ${asked - now} ms ahead, more than timerMaxDelaySec=${timerMaxDelaySec} s`);
    }
    const floor = Math.floor(asked / timerPrecisionMs) * timerPrecisionMs;
    const outMillis = floor === asked ? floor - timerPrecisionMs : floor;
    if (this.#countAt(outMillis) > timerCongestNumEachSlot) {
      const remark = `more than timerCongestNumEachSlot=${timerCongestNumEachSlot} messages wait for this time: choose another`;
      return refused(RESPONSE_CODE.SYSTEM_ERROR, remark);
    }
    const waits = waiting(message, outMillis);
    if (Buffer.byteLength(waits.propertiesText) + LATER_BYTES > PROPERTIES_MAX_BYTES) {
      return illegal(
        `its properties leave no room for those of the delivery: at most ${PROPERTIES_MAX_BYTES - LATER_BYTES} bytes`,
      );
    }
    return { status: 'WAITS', message: waits, outMillis };
  }
}

const refused = (code: number, remark: string): TimerDecision => ({
  status: 'REFUSED',
  code,
  remark: `timer message refused: ${remark}`,
});
const illegal = (remark: string): TimerDecision => refused(RESPONSE_CODE.MESSAGE_ILLEGAL, remark);

/** The first of the three properties counts, in this order. Undefined when it is not a number. */
function deliverAt(properties: MessageProperties, now: TimestampMillis): TimestampMillis | undefined {
  const seconds = properties[PROPERTY.TIMER_DELAY_SEC];
  if (seconds !== undefined) return sum(now, seconds, 1000);
  const millis = properties[PROPERTY.TIMER_DELAY_MS];
  if (millis !== undefined) return sum(now, millis, 1);
  return sum(0, properties[PROPERTY.TIMER_DELIVER_MS] ?? '', 1);
}

function sum(base: number, text: string, unit: number): number | undefined {
  const value = /^[+-]?\d{1,16}$/.test(text) ? base + Number(text) * unit : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

function waiting(message: MessageToStore, outMillis: TimestampMillis): MessageToStore {
  const properties = {
    ...message.properties,
    [PROPERTY.TIMER_OUT_MS]: String(outMillis),
    [PROPERTY.REAL_TOPIC]: message.topic,
    [PROPERTY.REAL_QID]: String(message.queueId),
  };
  return { ...message, topic: TIMER_TOPIC, queueId: 0, properties, propertiesText: joinProperties(properties) };
}
