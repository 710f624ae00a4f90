/**
 * One queue of a replay: the range that is read, and its messages in order, a page ahead. A broker that restarts in
 * the middle is waited for; nothing of the range is skipped.
 */
import { type Clock, delay } from '../base/clock.js';
import { FoldlogError, isFoldlogError, messageOf } from '../base/errors.js';
import type { QueueOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import type { ReceivedMessage } from '../client/clientTypes.js';
import type { PullConsumer, PullFilter, PullResult } from '../client/pullConsumer.js';
import type { MessageQueue } from '../protocol/message.js';

/** How long a queue that does not answer is asked again. */
const PATIENCE_MILLIS = 30_000;
const PAUSE_MILLIS = 250;

export interface ReplayQueueParts {
  pull: PullConsumer;
  queue: MessageQueue;
  filter: PullFilter;
  fromOffset: QueueOffset;
  /** Exclusive. */
  toOffset: QueueOffset;
  /** Messages asked for at once; two pages of a queue are held at most. */
  pageSize: number;
  clock: Clock;
  logger: Logger;
  signal: AbortSignal;
}

export class ReplayQueue {
  readonly #parts: ReplayQueueParts;
  #page: readonly ReceivedMessage[] = [];
  #at = 0;
  /** Where the next page begins. */
  #next: QueueOffset;
  #coming: Promise<readonly ReceivedMessage[]> | undefined;

  constructor(parts: ReplayQueueParts) {
    this.#parts = parts;
    this.#next = parts.fromOffset;
  }

  get queue(): MessageQueue {
    return this.#parts.queue;
  }

  get fromOffset(): QueueOffset {
    return this.#parts.fromOffset;
  }

  get toOffset(): QueueOffset {
    return this.#parts.toOffset;
  }

  /** Up to which offset the range was looked at: what a filter holds back counts as well. */
  get passedOffset(): QueueOffset {
    return this.head?.queueOffset ?? Math.min(this.#next, this.toOffset);
  }

  /** The next message, if its page is here. */
  get head(): ReceivedMessage | undefined {
    return this.#page[this.#at];
  }

  take(): void {
    this.#at++;
  }

  /** Makes the next message available; false at the end of the range. */
  async fill(): Promise<boolean> {
    while (this.#at >= this.#page.length) {
      const coming = this.#coming ?? this.#nextPage();
      if (!coming) return false;
      this.#coming = undefined;
      this.#page = await coming;
      this.#at = 0;
      this.#coming = this.#nextPage();
      // Awaited when it is needed; a failure before that is not unhandled.
      this.#coming?.catch(() => {});
    }
    return true;
  }

  #nextPage(): Promise<readonly ReceivedMessage[]> | undefined {
    if (this.#next >= this.toOffset) return undefined;
    return this.#read();
  }

  async #read(): Promise<readonly ReceivedMessage[]> {
    const { clock, signal, queue, logger } = this.#parts;
    const { topic, brokerName, queueId } = queue;
    let lastProgress = clock.monotonic();
    for (;;) {
      signal.throwIfAborted();
      let reason: string;
      try {
        const before = this.#next;
        const messages = this.#take(await this.#pullPage());
        if (messages.length > 0 || this.#next >= this.toOffset) return messages;
        if (this.#next > before) {
          lastProgress = clock.monotonic();
          continue;
        }
        reason = 'the broker has nothing there';
      } catch (thrown) {
        if (!isFoldlogError(thrown) || !thrown.retriable) throw thrown;
        reason = messageOf(thrown);
      }
      if (clock.monotonic() - lastProgress >= PATIENCE_MILLIS) {
        const where = `offset ${this.#next} of queue ${queueId} of ${topic} on ${brokerName}`;
        throw new FoldlogError('REQUEST_TIMEOUT', `replay cannot go on at ${where}: ${reason}`, { ...queue });
      }
      logger.debug({ ...queue, offset: this.#next, reason }, 'replay waits for a queue');
      await delay(clock, PAUSE_MILLIS, signal);
    }
  }

  #pullPage(): Promise<PullResult> {
    const { pull, queue, filter, pageSize } = this.#parts;
    return pull.pull(queue, filter, this.#next, Math.min(pageSize, this.toOffset - this.#next));
  }

  #take({ status, nextBeginOffset, minOffset, messages }: PullResult): ReceivedMessage[] {
    if (status === 'OFFSET_ILLEGAL' && nextBeginOffset < this.#next) return [];
    // Retention may have removed the beginning of the range since it was fixed.
    this.#next = Math.max(this.#next, nextBeginOffset, Math.min(minOffset, this.toOffset));
    return messages.filter(({ queueOffset }) => queueOffset < this.toOffset);
  }
}
