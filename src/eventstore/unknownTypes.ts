/**
 * Events that are met and that no class here reads: they are kept in the log, left out of what is folded, and counted
 * here by type. Each type is one warning, a little after the first was met, so that it can say how many there are.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { Logger } from '../base/logger.js';
import { EVENT_PROPERTY } from '../protocol/messageProperties.js';
import type { UnknownEvent } from './eventCodec.js';

/** An event type that no class of the application has. */
export interface UnknownEventType {
  type: string;
  /** How often one was met since the start; an event that is read twice counts twice. */
  count: number;
  /** Where the first one was met. */
  topic: string;
  brokerName: string;
  commitLogOffset: number;
  eventId: string;
}

/** Types beyond these are counted as one, named `…`. */
const TYPES_MAX = 1_000;
const REST = '…';
const WARN_AFTER_MILLIS = 2_000;

export class UnknownTypes {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #met = new Map<string, UnknownEventType>();
  readonly #toWarn = new Set<string>();
  #timer: Timer | undefined;

  constructor(parts: { clock: Clock; logger: Logger }) {
    this.#clock = parts.clock;
    this.#logger = parts.logger;
  }

  /** Counts the message, unless it is no event at all. */
  met(message: UnknownEvent): void {
    const { properties } = message;
    const isEvent =
      properties[EVENT_PROPERTY.SCHEMA_VERSION] !== undefined ||
      properties[EVENT_PROPERTY.STREAM_VERSION] !== undefined;
    if (!isEvent) return;
    const tag = message.tags ?? '';
    const type = this.#met.has(tag) || this.#met.size < TYPES_MAX ? tag : REST;
    const known = this.#met.get(type);
    if (known) {
      known.count++;
      return;
    }
    const { originalTopic: topic, brokerName, commitLogOffset, msgId: eventId } = message;
    this.#met.set(type, { type, count: 1, topic, brokerName, commitLogOffset, eventId });
    this.#toWarn.add(type);
    this.#timer ??= this.#clock.after(WARN_AFTER_MILLIS, () => this.#warn());
  }

  /** All types met so far, in the order of their first event. */
  list(): UnknownEventType[] {
    return [...this.#met.values()].map((one) => ({ ...one }));
  }

  /** Says what was not said yet. */
  close(): void {
    this.#warn();
  }

  #warn(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const type of this.#toWarn) {
      this.#logger.warn(
        { ...this.#met.get(type) },
        'events of a type that no class here has are left out: list its class in `events`, or an upcaster to another one',
      );
    }
    this.#toWarn.clear();
  }
}
