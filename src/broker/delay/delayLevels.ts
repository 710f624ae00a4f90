/**
 * The delay levels of this broker, and what a message with one becomes on its way into the log: a message of
 * SCHEDULE_TOPIC_XXXX in queue level - 1 that remembers its real topic and queue. Upstream: `ScheduleMessageService`,
 * `HookUtils.handleScheduleMessage`.
 */
import { OptionsError } from '../../base/errors.js';
import { parseDelayLevels } from '../../config/delayLevels.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import { SCHEDULE_TOPIC } from '../../protocol/names.js';
import type { MessageToStore } from '../../store/storeTypes.js';
import { joinProperties } from '../propertiesText.js';

export class DelayLevels {
  /** Milliseconds of level n at index n - 1. */
  readonly millis: readonly number[];

  /** @param text `messageDelayLevel`, for instance `1s 5s 10s` */
  constructor(text: string) {
    const millis = parseDelayLevels(text);
    if (!millis) throw new OptionsError(`messageDelayLevel=${text} is not a list of delays such as "1s 5s 2h"`);
    this.millis = millis;
  }

  get max(): number {
    return this.millis.length;
  }

  /** Milliseconds of a level; above the last one, the last one's. */
  millisOf(level: number): number {
    return this.millis[Math.min(level, this.max) - 1] ?? 0;
  }

  /** The level of a DELAY property; 0: none. Undefined when it is not a number. Levels above the last are the last. */
  parse(text: string): number | undefined {
    if (!/^[+-]?\d{1,9}$/.test(text)) return undefined;
    return Math.max(0, Math.min(Number(text), this.max));
  }
}

/** Is delivered through SCHEDULE_TOPIC_XXXX: what lies in the log until the level's time has passed. */
export function scheduled(message: MessageToStore, level: number): MessageToStore {
  const {
    [PROPERTY.TIMER_DELIVER_MS]: _deliver,
    [PROPERTY.TIMER_DELAY_SEC]: _seconds,
    [PROPERTY.TIMER_DELAY_MS]: _millis,
    ...rest
  } = message.properties;
  const properties = {
    ...rest,
    [PROPERTY.DELAY]: String(level),
    [PROPERTY.REAL_TOPIC]: message.topic,
    [PROPERTY.REAL_QID]: String(message.queueId),
  };
  return {
    ...message,
    topic: SCHEDULE_TOPIC,
    queueId: level - 1,
    properties,
    propertiesText: joinProperties(properties),
  };
}
