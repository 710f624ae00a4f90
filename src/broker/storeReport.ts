/**
 * What the broker says of its store once, after its start: that event topics hold retention back, and how many records
 * of event topics another program wrote. Such a record has no version in its stream; it was not checked against
 * anything. Loads skip it, and it conflicts like any other.
 *
 * They are counted only when another program may have been here: the start found the store in an unknown state, and it
 * was ours before. The queues are read in slices between turns, up to where the log ended at the start.
 */
import { isFoldlogError, messageOf } from '../base/errors.js';
import type { CommitLogOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import { EVENT_PROPERTY } from '../protocol/messageProperties.js';
import { decodeRecord } from '../protocol/messageRecord.js';
import type { MessageStore } from '../store/messageStore.js';
import type { EventTopics } from './eventTopics.js';

const RECORDS_PER_SLICE = 64;
const BYTES_PER_SLICE = 256 * 1024;
/** Topics that the warning names. */
const NAMED_MAX = 10;

export interface StoreReportParts {
  store: Pick<MessageStore, 'keptFrom' | 'queueRange' | 'queues' | 'readQueue' | 'startKind' | 'visibleEnd'>;
  eventTopics: Pick<EventTopics, 'keeps'>;
  logger: Logger;
}

export class StoreReport {
  readonly #store: StoreReportParts['store'];
  readonly #eventTopics: Pick<EventTopics, 'keeps'>;
  readonly #logger: Logger;
  #isStopped = false;
  #counting: Promise<void> = Promise.resolve();

  constructor({ store, eventTopics, logger }: StoreReportParts) {
    this.#store = store;
    this.#eventTopics = eventTopics;
    this.#logger = logger;
  }

  start(): void {
    const keptFrom = this.#store.keptFrom();
    if (keptFrom !== undefined) {
      this.#logger.info(
        { keptFrom },
        'event topics hold retention back: nothing is removed from their first record on, and plain topics in this store are kept as long',
      );
    }
    // The first generation begins with any store that is new to us.
    const wasOurs = this.#store.visibleEnd().generation > 1;
    if (keptFrom !== undefined && wasOurs && this.#store.startKind === 'UNKNOWN') this.#counting = this.#count();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#counting;
  }

  async #count(): Promise<void> {
    const end = this.#store.visibleEnd().commitLogOffset;
    const counts = new Map<string, number>();
    try {
      for (const [topic, queueIds] of this.#store.queues()) {
        if (!this.#eventTopics.keeps(topic)) continue;
        for (const queueId of queueIds) {
          const count = await this.#countQueue(topic, queueId, end);
          if (count > 0) counts.set(topic, (counts.get(topic) ?? 0) + count);
        }
      }
    } catch (error) {
      // The store is finished or closed: whoever uses it says so.
      if (!isFoldlogError(error)) throw error;
      this.#logger.warn({ reason: messageOf(error) }, 'counting the records without a version was given up');
      return;
    }
    const count = [...counts.values()].reduce((sum, one) => sum + one, 0);
    if (count === 0 || this.#isStopped) return;
    this.#logger.warn(
      { count, topics: Object.fromEntries([...counts].slice(0, NAMED_MAX)) },
      'event topics hold records without a version, which another program wrote: loads skip them, and they conflict like any other',
    );
  }

  async #countQueue(topic: string, queueId: number, end: CommitLogOffset): Promise<number> {
    let count = 0;
    for (let offset = this.#store.queueRange(topic, queueId).minOffset; !this.#isStopped; ) {
      const read = this.#store.readQueue(topic, queueId, offset, RECORDS_PER_SLICE, BYTES_PER_SLICE);
      for (const record of read.records) {
        const { commitLogOffset, properties } = decodeRecord(record, 0, { verifyCrc: false });
        if (commitLogOffset >= end) return count;
        if (properties[EVENT_PROPERTY.STREAM_VERSION] === undefined) count += 1;
      }
      if (read.nextBeginOffset <= offset) return count;
      offset = read.nextBeginOffset;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return count;
  }
}
