/**
 * A subscription: the events of a selection from a place on, those that are there and those that come, each once and in
 * order. An async iterator: an event is fetched when it is asked for, and one page ahead, so a slow reader holds the log
 * back and not memory. It outlives restarts of the broker, and ends with `return()`, its signal or the application.
 *
 * An error ends it as well: POSITION_LOST when the log has lost what was read, CORRUPTION, EVENT_INVALID.
 */
import { sharedAbortController, unlessAborted } from '../base/abort.js';
import type { RecordPage } from './eventReader.js';
import type { RecordedEvent } from './eventTypes.js';

export interface EventSubscriptionParts {
  /** Pages from the place on; `start` resolves when the place is fixed. */
  open: (signal: AbortSignal) => { start: Promise<unknown>; pages: AsyncIterable<RecordPage> };
  /** The event of a record, or undefined when it is not wanted. */
  recordedOf: (record: RecordPage['records'][number]) => RecordedEvent | undefined;
  signal: AbortSignal | undefined;
  onEnd: (subscription: EventSubscription) => void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Events as they are stored. `for await (const recorded of subscription)`. */
export class EventSubscription implements AsyncIterableIterator<RecordedEvent, undefined, undefined> {
  /** Resolves when the place to begin at is fixed: what is stored from then on comes, also with `from: 'end'`. */
  readonly started: Promise<void>;
  readonly #closing = sharedAbortController();
  readonly #recordedOf: EventSubscriptionParts['recordedOf'];
  readonly #pages: AsyncIterator<RecordPage>;
  readonly #onEnd: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #stop = () => this.close();
  #page: RecordPage['records'] = [];
  #at = 0;
  #last: Promise<unknown> = Promise.resolve();
  /** Calls of `next` whose answer is not there yet. */
  #unanswered = 0;

  constructor({ open, recordedOf, signal, onEnd }: EventSubscriptionParts) {
    this.#recordedOf = recordedOf;
    this.#onEnd = () => onEnd(this);
    this.#signal = signal;
    const { start, pages } = open(this.#closing.signal);
    this.started = start.then(() => {});
    // Whoever reads meets the error too.
    this.started.catch(() => {});
    this.#pages = pages[Symbol.asyncIterator]();
    if (signal?.aborted) this.close();
    else signal?.addEventListener('abort', this.#stop, { once: true });
  }

  /** The next event, when it is there. Done after the end. */
  next(): Promise<IteratorResult<RecordedEvent, undefined>> {
    // Calls answer in their order: only one that none waits before begins at once.
    const isFirst = this.#unanswered === 0;
    this.#unanswered += 1;
    const next = isFirst ? this.#next() : this.#last.then(() => this.#next());
    if (this.#unanswered > 0) this.#last = next.catch(() => {});
    return next;
  }

  /** Ends the subscription; a `next` under way is done. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.close();
    await this.#last;
    return DONE;
  }

  /** Ends the subscription without waiting. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#page = [];
    this.#signal?.removeEventListener('abort', this.#stop);
    this.#onEnd();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #next(): Promise<IteratorResult<RecordedEvent, undefined>> {
    try {
      while (!this.#closing.signal.aborted) {
        const record = this.#page[this.#at];
        if (!record) {
          const following = await unlessAborted(this.#pages.next(), this.#closing.signal);
          if (!following || following.done) break;
          this.#page = following.value.records;
          this.#at = 0;
          continue;
        }
        this.#at += 1;
        const value = this.#recordedOf(record);
        if (value) return { done: false, value };
      }
    } catch (thrown) {
      const isClosed = this.#closing.signal.aborted;
      this.close();
      if (!isClosed) throw thrown;
    } finally {
      this.#unanswered -= 1;
    }
    this.close();
    return DONE;
  }
}
