/**
 * Makes stream views from the log and brings them up to date. Reading starts where the view ends; a broker that has
 * begun a new generation since may have lost a tail that the view knows, so then everything is read again.
 *
 * A stream that is not remembered is read from its snapshot on, if there is one and the log still holds its event;
 * else from its beginning. Which of the two makes no difference to the view's state.
 */
import { InvariantError } from '../base/errors.js';
import type { StreamVersion, TimestampMillis } from '../base/flavours.js';
import type { EventLogPosition } from '../protocol/headers/events.js';
import { streamGap } from './eventOrder.js';
import { type EventReader, type KeyRecord, positionOf } from './eventReader.js';
import type { EventPosition, StreamName } from './eventTypes.js';
import type { StreamSnapshots } from './snapshots/streamSnapshots.js';
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

/** A moment, and which time of an event it means. */
export interface Moment {
  atMillis: TimestampMillis;
  by: 'stored' | 'occurred';
}

/** A state, and the last event in it. */
export interface StateAsOf<S> {
  state: S;
  /** 0 when no event is in it. */
  version: StreamVersion;
  position: EventPosition | undefined;
}

export class StreamViewLoader<S> {
  readonly #reader: EventReader;
  readonly #folding: Folding<S>;
  readonly #snapshots: StreamSnapshots<S> | undefined;

  constructor(parts: { reader: EventReader; folding: Folding<S>; snapshots?: StreamSnapshots<S> | undefined }) {
    this.#reader = parts.reader;
    this.#folding = parts.folding;
    this.#snapshots = parts.snapshots;
  }

  /** The stream as it is now. */
  async load(of: StreamIdentity): Promise<StreamView<S>> {
    const snapshot = await this.#snapshots?.find(of, Number.POSITIVE_INFINITY);
    if (!snapshot) return this.loadWhole(of);
    let view: StreamView<S> | undefined;
    for await (const page of this.#reader.streamPages(of, { from: snapshot.commitLogOffset })) {
      const { records, end } = page;
      if (!view) {
        const [first] = records;
        const state = await this.#snapshots?.restore(snapshot, of.id, first);
        if (state === undefined || !first) return this.loadWhole(of);
        const { eventId, storedAt, storedUntil, streamVersion: version } = snapshot;
        const newest = { eventId, storedAt, storedUntil };
        const mark = { version, storedAt };
        view = { state, version, position: positionOf(first), newest, snapshot: mark, end, history: undefined };
      }
      for (const record of records) this.#add(of, view, record);
    }
    return view ?? this.loadWhole(of);
  }

  /** The same without a look at the snapshot. */
  async loadWhole(of: StreamIdentity): Promise<StreamView<S>> {
    let view: StreamView<S> | undefined;
    for await (const { records, end, brokerName } of this.#reader.streamPages(of)) {
      view ??= emptyView(this.#folding.initial(of.id), brokerName, end);
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

  /** The state with the events that were stored, or happened, at the moment or before. */
  async loadAsOf(of: StreamIdentity, moment: Moment): Promise<StateAsOf<S>> {
    const { atMillis, by } = moment;
    // A snapshot knows of its events until when they were stored, not when they happened.
    const snapshot = by === 'stored' ? await this.#snapshots?.find(of, atMillis) : undefined;
    if (snapshot) {
      let found: StateAsOf<S> | undefined;
      for await (const { records } of this.#reader.streamPages(of, { from: snapshot.commitLogOffset })) {
        if (!found) {
          const [first] = records;
          const state = await this.#snapshots?.restore(snapshot, of.id, first);
          if (state === undefined || !first) break;
          found = { state, version: first.version, position: positionOf(first) };
        }
        for (const record of records) if (record.version > snapshot.streamVersion) this.#addAsOf(found, record, moment);
      }
      if (found) return found;
    }
    const found: StateAsOf<S> = { state: this.#folding.initial(of.id), version: 0, position: undefined };
    for await (const { records } of this.#reader.streamPages(of)) {
      for (const record of records) this.#addAsOf(found, record, moment);
    }
    return found;
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
    const { msgId: eventId, storeTimestamp: storedAt } = record.message;
    remember(view, { event, eventId, storedAt }, record.version, positionOf(record));
  }

  #addAsOf(found: StateAsOf<S>, record: KeyRecord, { atMillis, by }: Moment): void {
    if (by === 'stored' && record.message.storeTimestamp > atMillis) return;
    const recorded = this.#reader.decodeOrThrow(record);
    if (!recorded || (by === 'occurred' && recorded.occurredAt.getTime() > atMillis)) return;
    found.state = this.#folding.fold(found.state, recorded.event, record.version);
    found.version = record.version;
    found.position = positionOf(record);
  }
}

/** Notes one more event of the stream. */
export function remember<S>(
  view: StreamView<S>,
  { event, eventId, storedAt }: { event: object | undefined; eventId: string; storedAt: TimestampMillis },
  version: StreamVersion,
  position: EventPosition,
): void {
  view.version = version;
  view.position = position;
  view.newest = { eventId, storedAt, storedUntil: Math.max(view.newest.storedUntil, storedAt) };
  // The time of snapshots counts from the first event.
  if (version === 1) view.snapshot = { version: 0, storedAt };
  if (view.history) {
    if (view.history.length >= HISTORY_MAX_EVENTS) view.history = undefined;
    else view.history.push({ event, eventId });
  }
}

function emptyView<S>(state: S, brokerName: string, end: EventLogPosition): StreamView<S> {
  return {
    state,
    version: 0,
    // The position of a stream without events: everything has reached it.
    position: { commitLogOffset: 0, generation: end.generation, brokerName, queueId: 0, queueOffset: -1 },
    newest: { eventId: '', storedAt: 0, storedUntil: 0 },
    snapshot: { version: 0, storedAt: 0 },
    end,
    history: [],
  };
}
