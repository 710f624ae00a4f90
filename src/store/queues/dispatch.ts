/**
 * What each appended record means to the parts derived from the log, worked out once when it is appended (or met by
 * recovery) and handed on when it becomes visible: its consume queue entry, and the news for listeners. Upstream:
 * `ReputMessageService`, which parses the log a second time; here only recovery does.
 */
import type { CommitLogOffset, TimestampMillis } from '../../base/flavours.js';
import type { Logger } from '../../base/logger.js';
import { tagsCodeOf } from '../../protocol/javaHash.js';
import { SYS_FLAG } from '../../protocol/message.js';
import type { MessageProperties } from '../../protocol/messageProperties.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import type { Arrival } from '../storeTypes.js';
import type { ConsumeQueues, DispatchEntry } from './consumeQueues.js';

const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';

const MINUTE = 60_000;
/** RocketMQ's messageDelayLevel: 1s 5s 10s 30s 1m 2m … 10m 20m 30m 1h 2h. */
export const DEFAULT_DELAY_LEVELS: readonly number[] = [
  ...[1, 5, 10, 30].map((seconds) => seconds * 1000),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 60, 120].map((minutes) => minutes * MINUTE),
];

/** Prepared and rolled back messages take no queue offset and appear in no consume queue. */
export function isQueued(sysFlag: number): boolean {
  const transaction = sysFlag & SYS_FLAG.TRANSACTION_MASK;
  return transaction === 0 || transaction === SYS_FLAG.TRANSACTION_COMMIT;
}

/** The tagsCode of a record: the hash of its tag; for a delayed message the time at which it is due. */
export function entryTagsCode(
  topic: string,
  properties: MessageProperties,
  storeTimestamp: TimestampMillis,
  delayLevels: readonly number[],
): number {
  const delay = properties[PROPERTY.DELAY];
  if (topic === SCHEDULE_TOPIC && delay !== undefined) {
    const level = Math.min(Number.parseInt(delay, 10), delayLevels.length);
    if (level > 0) return storeTimestamp + (delayLevels[level - 1] ?? 0);
  }
  return tagsCodeOf(properties[PROPERTY.TAGS]);
}

export class Dispatch {
  readonly #queues: ConsumeQueues;
  readonly #logger: Logger;
  #listeners: readonly ((arrival: Arrival) => void)[] = [];
  #lastRecord: { commitLogOffset: CommitLogOffset; storeTimestamp: TimestampMillis } | undefined;

  constructor(parts: { queues: ConsumeQueues; logger: Logger }) {
    this.#queues = parts.queues;
    this.#logger = parts.logger;
  }

  /** The newest record handed to the queues since the start, for the checkpoint. */
  get lastRecord(): { commitLogOffset: CommitLogOffset; storeTimestamp: TimestampMillis } | undefined {
    return this.#lastRecord;
  }

  listen(listener: (arrival: Arrival) => void): () => void {
    this.#listeners = [...this.#listeners, listener];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
    };
  }

  /** Records that have become visible, in order. */
  arrive(entries: readonly DispatchEntry[]): void {
    for (const entry of entries) this.#queues.put(entry);
    this.#lastRecord = entries.at(-1) ?? this.#lastRecord;
    for (const listener of this.#listeners) {
      for (const entry of entries) {
        try {
          listener(entry);
        } catch (error) {
          this.#logger.error({ err: error, topic: entry.topic, queueId: entry.queueId }, 'an arrival listener threw');
        }
      }
    }
  }
}
