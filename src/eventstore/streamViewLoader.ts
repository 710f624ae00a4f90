/**
 * Makes stream views from the log and brings them up to date. Reading starts where the view ends; a broker that has
 * begun a new generation since may have lost a tail that the view knows, so then everything is read again.
 */
import { InvariantError } from '../base/errors.js';
import type { StreamVersion } from '../base/flavours.js';
import { type EventReader, type KeyRecord, positionOf, streamGap } from './eventReader.js';
import type { EventPosition, StreamName } from './eventTypes.js';
import { HISTORY_MAX_EVENTS, type StreamView } from './streamViews.js';

/** How a kind of state is made from events. */
export interface Folding<S> {
  /** The state of an empty stream. */
  initial(id: string): S;
  /** Folds a stored event in. May change and return the same state. */
  fold(state: S, event: object, version: StreamVersion): S;
  /** The decision on `state` is stored, up to this version. */
  committed(state: S, events: readonly object[], version: StreamVersion): S;
  /** True when deciding or folding changes the state object itself, so that a failed decision spoils it. */
  isMutable: boolean;
}

export interface StreamIdentity extends StreamName {
  /** What the state is made for: the part of the key after the colon. */
  id: string;
}

export class StreamViewLoader<S> {
  readonly #reader: EventReader;
  readonly #folding: Folding<S>;

  constructor(parts: { reader: EventReader; folding: Folding<S> }) {
    this.#reader = parts.reader;
    this.#folding = parts.folding;
  }

  /** The whole stream. */
  async load(of: StreamIdentity): Promise<StreamView<S>> {
    let view: StreamView<S> | undefined;
    for await (const { records, end, brokerName } of this.#reader.streamPages(of)) {
      view ??= {
        state: this.#folding.initial(of.id),
        version: 0,
        position: nowhere(brokerName, end.generation),
        end,
        history: [],
      };
      for (const record of records) this.#add(of, view, record);
    }
    if (!view) throw new InvariantError(`defect in foldlog: reading stream ${of.stream} gave no page`);
    return view;
  }

  /** Adds what is new in the log. The view may be changed or replaced: go on with the one returned. */
  async refresh(of: StreamIdentity, view: StreamView<S>): Promise<StreamView<S>> {
    // Spoiled and too long to fold again from memory.
    if (view.state === undefined && !view.history) return this.load(of);
    for await (const { records, end } of this.#reader.streamPages(of, { from: view.end.commitLogOffset })) {
      if (end.generation !== view.end.generation) return this.load(of);
      for (const record of records) this.#add(of, view, record);
      view.end = end;
    }
    return view;
  }

  /** The view's state, folded again if it was spoiled. Undefined when that needs a read. */
  stateOf(of: StreamIdentity, view: StreamView<S>): S | undefined {
    if (view.state === undefined && view.history) {
      let state = this.#folding.initial(of.id);
      view.history.forEach(({ event }, index) => {
        if (event) state = this.#folding.fold(state, event, index + 1);
      });
      view.state = state;
    }
    return view.state;
  }

  #add(of: StreamIdentity, view: StreamView<S>, record: KeyRecord): void {
    // A page may begin with what an append of ours has told already.
    if (record.version <= view.version) return;
    if (record.version > view.version + 1) throw streamGap(of, view.version, record.version);
    const event = this.#reader.decodeOrThrow(record)?.event;
    if (event && view.state !== undefined) view.state = this.#folding.fold(view.state, event, record.version);
    remember(view, { event, eventId: record.message.msgId }, record.version, positionOf(record));
  }
}

/** Notes one more event of the stream. */
export function remember<S>(
  view: StreamView<S>,
  seen: { event: object | undefined; eventId: string },
  version: StreamVersion,
  position: EventPosition,
): void {
  view.version = version;
  view.position = position;
  if (view.history) {
    if (view.history.length >= HISTORY_MAX_EVENTS) view.history = undefined;
    else view.history.push(seen);
  }
}

/** The position of a stream without events: everything has reached it. */
function nowhere(brokerName: string, generation: number): EventPosition {
  return { commitLogOffset: 0, generation, brokerName, queueId: 0, queueOffset: -1 };
}
