/**
 * Load, decide, append, and again when somebody else was first: the one loop under aggregates and deciders.
 *
 * - Commands on one stream run one after the other in this process; other processes are met by the expected version.
 * - The state starts from what is remembered (`streamViews.ts`). A command that refuses, or decides nothing, on a
 *   remembered state is asked again when the log has more, so nobody is refused by an old state.
 * - On a conflict only what is new is read. A command never sees a state that another run of it has changed.
 * - A command id makes the append id, so a repeat from whatever process finds the first run's events.
 */
import { createHash } from 'node:crypto';
import { ExpectedVersionError, isFoldlogError, OptionsError } from '../base/errors.js';
import type { StreamVersion } from '../base/flavours.js';
import { APPEND_ID_MAX_LENGTH } from '../protocol/headers/events.js';
import { encodeKey } from './eventKeys.js';
import type { EventReader } from './eventReader.js';
import type { EventStore } from './eventStore.js';
import type { ConditionalAppendResult, EventMetadata, EventPosition, EventToAppend } from './eventTypes.js';
import type { StreamSnapshots } from './snapshots/streamSnapshots.js';
import { type Folding, remember, type StreamIdentity, StreamViewLoader } from './streamViewLoader.js';
import { type StreamView, StreamViews, type ViewBounds } from './streamViews.js';

export interface ExecuteOptions {
  /** Makes the command repeatable: with the same id its events are stored once, from whatever process it comes. */
  commandId?: string;
  /** Refuse unless the stream is at this version when the command runs. Then nothing is decided again. */
  expectedVersion?: StreamVersion;
  /** How often the command is decided when others append first. Default 10. */
  attempts?: number;
  /** For every event of the command that does not have its own. */
  metadata?: EventMetadata;
}

export interface ExecuteResult {
  /** Of the stream after the command; of a repeat, after its first run. */
  version: StreamVersion;
  /** Of the last event; pass it to `waitFor` of a projection. */
  position: EventPosition;
  /** What the command stored; of a repeat, what its first run stored. */
  events: readonly object[];
  /** True when this command id had been executed before: nothing new was stored. */
  alreadyAppended: boolean;
}

export interface LoadOptions {
  /** The state as of this moment, events of exactly then included. Default: now. */
  at?: Date;
  /** Which time of an event `at` means: when it was stored (default) or when it happened. */
  by?: 'stored' | 'occurred';
}

/** Decides on a state: the events to append, none for "nothing to do". Throwing refuses. May run more than once. */
export type Decide<S> = (state: S) => readonly EventToAppend[] | Promise<readonly EventToAppend[]>;

const ATTEMPTS_DEFAULT = 10;

/**
 * The append id of a command: made of stream and command id, so that one command id may be used on two streams. One
 * that would be too long becomes a digest.
 */
export function appendIdOf(stream: string, commandId: string): string {
  if (commandId === '') throw new OptionsError('commandId must not be empty');
  if (stream.length + commandId.length <= APPEND_ID_MAX_LENGTH) {
    // The first slash ends the stream.
    const id = `${encodeKey(stream).replaceAll('/', '%2F')}/${encodeKey(commandId)}`;
    if (id.length <= APPEND_ID_MAX_LENGTH) return id;
  }
  return createHash('sha256')
    .update(JSON.stringify([stream, commandId]))
    .digest('hex');
}

export class StreamExecution<S> {
  readonly #store: EventStore;
  readonly #reader: EventReader;
  readonly #topic: string;
  readonly #prefix: string;
  readonly #folding: Folding<S>;
  readonly #loader: StreamViewLoader<S>;
  readonly #views: StreamViews<S>;
  readonly #snapshots: StreamSnapshots<S> | undefined;
  /** The end of the line of commands per stream. */
  readonly #lines = new Map<string, Promise<unknown>>();

  constructor(parts: {
    store: EventStore;
    reader: EventReader;
    topic: string;
    /** `order` of `order:42`. */
    stream: string;
    folding: Folding<S>;
    snapshots?: StreamSnapshots<S> | undefined;
    cache?: ViewBounds;
  }) {
    this.#store = parts.store;
    this.#reader = parts.reader;
    this.#topic = parts.topic;
    this.#prefix = parts.stream;
    this.#folding = parts.folding;
    this.#snapshots = parts.snapshots;
    this.#loader = new StreamViewLoader(parts);
    this.#views = new StreamViews(parts.cache);
  }

  /** A state of the caller's own: nothing that is done to it reaches the log or another caller. */
  async load(id: string, { at, by = 'stored' }: LoadOptions = {}): Promise<S> {
    const of = this.#identityOf(id);
    await this.#store.prepareTopic(of.topic);
    if (!at) {
      const known = this.#views.peek(of.stream);
      const copy = known?.history && { ...known, state: undefined, history: known.history.slice() };
      const view = copy ? await this.#loader.refresh(of, copy) : await this.#loader.load(of);
      return this.#loader.stateOf(of, view) ?? this.#folding.initial(id);
    }
    const atMillis = at.getTime();
    if (Number.isNaN(atMillis)) throw new OptionsError('at is not a valid date');
    return (await this.#loader.loadAsOf(of, { atMillis, by })).state;
  }

  /** Reads the stream whole and keeps its state. False for a stream without events. */
  async takeSnapshot(id: string): Promise<boolean> {
    const of = this.#identityOf(id);
    const snapshots = this.#snapshotsOrThrow();
    await this.#store.prepareTopic(of.topic);
    const view = await this.#loader.loadWhole(of);
    if (view.version === 0 || view.state === undefined) return false;
    await snapshots.store(of, view, view.state);
    const known = this.#views.peek(of.stream);
    if (known) known.snapshot = view.snapshot;
    return true;
  }

  /** Drops the snapshot of one stream, or of all. How many there were. */
  async dropSnapshots(id?: string): Promise<number> {
    const of = id === undefined ? undefined : this.#identityOf(id);
    const dropped = await this.#snapshotsOrThrow().drop(of?.stream);
    // What is remembered goes on; the next snapshot is due as if there had never been one.
    const views = of ? [this.#views.peek(of.stream)] : this.#views.values();
    for (const view of views) if (view) view.snapshot = { ...view.snapshot, version: 0 };
    return dropped;
  }

  #snapshotsOrThrow(): StreamSnapshots<S> {
    if (this.#snapshots) return this.#snapshots;
    throw new OptionsError(`streams ${this.#prefix}:… have no snapshots: declare snapshot: { every }`);
  }

  /**
   * @throws ExpectedVersionError when the race was lost too often, or `expectedVersion` does not hold; what the
   * command throws; FoldlogError OUTCOME_UNKNOWN
   */
  execute(id: string, decide: Decide<S>, options: ExecuteOptions = {}): Promise<ExecuteResult> {
    let of: StreamIdentity;
    try {
      of = this.#identityOf(id);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
    const run = () => this.#execute(of, decide, options);
    const before = this.#lines.get(of.stream);
    const result = before ? before.then(run, run) : run();
    this.#lines.set(of.stream, result);
    const leave = () => {
      if (this.#lines.get(of.stream) === result) this.#lines.delete(of.stream);
    };
    result.then(leave, leave);
    return result;
  }

  #identityOf(id: string): StreamIdentity {
    if (typeof id !== 'string' || id === '') {
      throw new OptionsError(`id ${JSON.stringify(id)} of stream ${this.#prefix}:… must be a text that is not empty`);
    }
    return { topic: this.#topic, stream: `${this.#prefix}:${id}`, id };
  }

  async #execute(of: StreamIdentity, decide: Decide<S>, options: ExecuteOptions): Promise<ExecuteResult> {
    const { expectedVersion, attempts = ATTEMPTS_DEFAULT, commandId } = options;
    const appendId = commandId === undefined ? undefined : appendIdOf(of.stream, commandId);
    await this.#store.prepareTopic(of.topic);
    let view = this.#views.take(of.stream);
    // True when the view was compared with the log in this call.
    let isFresh = view === undefined;
    view ??= await this.#loader.load(of);
    for (let attempt = 1; ; ) {
      if (appendId !== undefined && view.history?.some(({ eventId }) => isOfAppend(eventId, appendId))) {
        this.#views.put(of.stream, view);
        return this.#repeated(of, appendId);
      }
      if (expectedVersion !== undefined && view.version !== expectedVersion && isFresh) {
        this.#views.put(of.stream, view);
        const earlier = await this.#findEarlier(of, view, appendId);
        if (earlier) return earlier;
        throw new ExpectedVersionError(of.stream, expectedVersion, view.version);
      }
      const state = this.#loader.stateOf(of, view);
      if (state === undefined || (expectedVersion !== undefined && view.version !== expectedVersion)) {
        view = await this.#loader.refresh(of, view);
        isFresh = true;
        continue;
      }
      // From here until its events are stored, a mutable state is the command's alone.
      if (this.#folding.isMutable) view.state = undefined;
      let decided: readonly EventToAppend[];
      let refusal: { reason: unknown } | undefined;
      try {
        decided = await decide(state);
      } catch (reason) {
        decided = [];
        refusal = { reason };
      }
      if (decided.length === 0) {
        if (!refusal) view.state = state;
        if (!isFresh) {
          const { version, end } = view;
          view = await this.#loader.refresh(of, view);
          isFresh = true;
          if (view.version !== version || view.end.generation !== end.generation) continue;
        }
        this.#views.put(of.stream, view);
        const earlier = await this.#findEarlier(of, view, appendId);
        if (earlier) return earlier;
        if (refusal) throw refusal.reason;
        return { version: view.version, position: view.position, events: [], alreadyAppended: false };
      }
      try {
        return await this.#append(of, view, state, decided, { ...options, appendId });
      } catch (thrown) {
        const isConflict = thrown instanceof ExpectedVersionError;
        if (!isConflict && !(isFoldlogError(thrown) && thrown.code === 'CONDITION_FAILED')) throw thrown;
        if (attempt >= attempts) throw thrown;
        attempt += 1;
        // Without a newer version it was the generation, or an event of another stream that carries this one's key.
        view = isConflict ? await this.#loader.refresh(of, view) : await this.#loader.load(of);
        isFresh = true;
      }
    }
  }

  /** Appends what was decided on the view and brings the view up to date with it. */
  async #append(
    of: StreamIdentity,
    view: StreamView<S>,
    state: S,
    decided: readonly EventToAppend[],
    { appendId, metadata }: ExecuteOptions & { appendId: string | undefined },
  ): Promise<ExecuteResult> {
    const { topic, stream } = of;
    const expected = view.version === 0 ? 'NO_STREAM' : view.version;
    const events = decided.map(({ event }) => event);
    // Before the append: a state that cannot take its own events refuses the command instead of spoiling the stream.
    const next = this.#folding.committed(state, events, view.version + events.length);
    const result = await this.#store.appendGuarded(
      decided.map((one) => Object.assign({}, metadata, one, { topic, stream })),
      {
        appendId,
        expectedVersions: [{ topic, stream, expected }],
        // Holds the view's generation: a version that was lost in a crash and given out again is not the same version.
        condition: view.version === 0 ? undefined : { keys: [{ topic, key: stream }], end: view.end },
      },
    );
    if (result.alreadyAppended) return this.#repeated(of, appendId ?? '', result);
    const { storedAt } = result;
    result.versions.forEach((version, index) => {
      const position = result.positions[index];
      const eventId = result.eventIds[index] ?? '';
      if (position) remember(view, { event: events[index], eventId, storedAt }, version, position);
    });
    const { position } = result;
    view.state = next;
    // One byte past the last record's begin: the record itself is known, anything after it is not.
    view.end = { commitLogOffset: position.commitLogOffset + 1, generation: position.generation };
    this.#views.put(stream, view);
    this.#snapshots?.requestIfDue(of, view, () => this.#views.peek(stream));
    return { version: view.version, position, events, alreadyAppended: false };
  }

  /** Of a long stream the events' ids are not remembered, so the broker is asked whether the command ran before. */
  async #findEarlier(
    of: StreamIdentity,
    view: StreamView<S>,
    appendId: string | undefined,
  ): Promise<ExecuteResult | undefined> {
    if (appendId === undefined || view.history) return undefined;
    const found = await this.#store.findAppend(of, appendId);
    return found && this.#repeated(of, appendId, found);
  }

  /** The answer of a command's first run, read from the log. */
  async #repeated(of: StreamIdentity, appendId: string, found?: ConditionalAppendResult): Promise<ExecuteResult> {
    const result = found ?? (await this.#store.findAppend(of, appendId));
    const [first] = result?.positions ?? [];
    if (!result || !first) throw new OptionsError(`append ${appendId} of stream ${of.stream} is no longer in the log`);
    const { position, versions } = result;
    const range = { from: first.commitLogOffset, until: position.commitLogOffset + 1 };
    const events: object[] = [];
    for await (const { records } of this.#reader.streamPages(of, range)) {
      for (const record of records) {
        const recorded = this.#reader.decodeOrThrow(record);
        if (recorded && isOfAppend(recorded.eventId, appendId)) events.push(recorded.event);
      }
    }
    return { version: versions.at(-1) ?? 0, position, events, alreadyAppended: true };
  }
}

function isOfAppend(eventId: string, appendId: string): boolean {
  return eventId.startsWith(appendId) && /^-\d+$/.test(eventId.slice(appendId.length));
}
