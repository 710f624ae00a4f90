/**
 * What is remembered of streams between commands: a bounded cache, least recently used first out. A view is a guess
 * about the log; every append proves it through the expected version and through a condition that carries the log's
 * generation, so a view of a log tail that a crash took away conflicts instead of passing.
 *
 * Short streams keep their events, so that a state that a failed command has spoiled is folded again without a read;
 * long ones keep the state only.
 */
import type { StreamVersion, TimestampMillis } from '../base/flavours.js';
import type { EventLogPosition } from '../protocol/headers/events.js';
import type { EventPosition } from './eventTypes.js';
import type { SnapshotMark } from './snapshots/snapshotOptions.js';

/** Streams with more events are folded again from the log when their state was spoiled. */
export const HISTORY_MAX_EVENTS = 256;

export interface SeenEvent {
  /** Undefined when no class here has its type: it does not change the state. */
  event: object | undefined;
  eventId: string;
}

/** What is known of a stream's newest event besides its position. */
export interface NewestEvent {
  /** Empty for a stream without events, as the times are 0. */
  eventId: string;
  storedAt: TimestampMillis;
  /** The latest store time of all events: a clock may have been set back in between. */
  storedUntil: TimestampMillis;
}

/** One stream as it was when it was last read or appended to. */
export interface StreamView<S> {
  /** Undefined after a command changed it without its events being stored. */
  state: S | undefined;
  version: StreamVersion;
  /** Of the newest event; of an empty stream one that everything has reached. */
  position: EventPosition;
  newest: NewestEvent;
  /** The newest snapshot that is known of the stream. */
  snapshot: SnapshotMark;
  /** Everything before this place of the log is known. */
  end: EventLogPosition;
  /** All events from version 1 on; undefined for a stream that is too long, or that began from a snapshot. */
  history: SeenEvent[] | undefined;
}

export interface ViewBounds {
  /** Streams remembered. Default 10,000. */
  streams?: number;
  /** Events remembered in all of them together. Default 100,000. */
  events?: number;
}

export class StreamViews<S> {
  readonly #views = new Map<string, StreamView<S>>();
  readonly #streamsMax: number;
  readonly #eventsMax: number;
  #events = 0;

  constructor({ streams = 10_000, events = 100_000 }: ViewBounds = {}) {
    this.#streamsMax = streams;
    this.#eventsMax = events;
  }

  values(): Iterable<StreamView<S>> {
    return this.#views.values();
  }

  get size(): number {
    return this.#views.size;
  }

  peek(stream: string): StreamView<S> | undefined {
    return this.#views.get(stream);
  }

  /** Hands the view out: nobody else gets it until it is put back. */
  take(stream: string): StreamView<S> | undefined {
    const view = this.#views.get(stream);
    if (view) this.#remove(stream, view);
    return view;
  }

  put(stream: string, view: StreamView<S>): void {
    const before = this.#views.get(stream);
    if (before) this.#remove(stream, before);
    // Without state and history nothing is left to start from.
    if (view.state === undefined && !view.history) return;
    this.#views.set(stream, view);
    this.#events += view.history?.length ?? 0;
    for (const [oldest, old] of this.#views) {
      if (this.#views.size <= this.#streamsMax && this.#events <= this.#eventsMax) break;
      this.#remove(oldest, old);
    }
  }

  #remove(stream: string, view: StreamView<S>): void {
    this.#views.delete(stream);
    this.#events -= view.history?.length ?? 0;
  }
}
