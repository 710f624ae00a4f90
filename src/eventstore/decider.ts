/**
 * Deciders: the same commands and events as with aggregates, as three plain functions over a state that is never
 * changed in place. Executed by the same loop (`streamExecution.ts`).
 */
import { OptionsError } from '../base/errors.js';
import { assertTopic } from '../protocol/names.js';
import { toEventToAppend } from './event.js';
import type { EventReader } from './eventReader.js';
import type { EventStore } from './eventStore.js';
import type { EventToAppend } from './eventTypes.js';
import { type SnapshotOptions, SnapshotRules } from './snapshots/snapshotOptions.js';
import type { SnapshotParts } from './snapshots/snapshotParts.js';
import { deciderForm } from './snapshots/stateForm.js';
import { StreamSnapshots } from './snapshots/streamSnapshots.js';
import { type ExecuteOptions, type ExecuteResult, type LoadOptions, StreamExecution } from './streamExecution.js';
import type { ViewBounds } from './streamViews.js';

/** Three functions that make a stream's behaviour. */
export interface Decider<Command, State> {
  /** The state of an empty stream. */
  initialState(): State;
  /** The events that the command makes; none for "nothing to do". Throwing refuses. Without side effects. */
  decide(command: Command, state: State): readonly (object | EventToAppend)[];
  /** The state after the event. Returns a new state and leaves the old one as it is. */
  evolve(state: State, event: object): State;
  /** With snapshots, for a state that JSON would change: plain values that stand for it … */
  toSnapshot?(state: State): unknown;
  /** … and the state that they stand for. */
  fromSnapshot?(snapshot: unknown): State;
}

/**
 * Declares a decider; only for the compiler's sake a function.
 *
 * @example const light = decider({ initialState: () => ({ isOn: false }),
 *   decide: (command: 'switch', state) => [event(Switched, { isOn: !state.isOn })],
 *   evolve: (state, event) => (event instanceof Switched ? { isOn: event.isOn } : state) });
 */
export function decider<Command, State>(functions: Decider<Command, State>): Decider<Command, State> {
  return functions;
}

export interface DeciderStreamOptions {
  /** The event topic that holds the streams. */
  topic: string;
  /** First part of the stream key: `light` makes `light:<id>`. */
  stream: string;
  /** Keeps the state from time to time, so that long streams are loaded quickly. Default: no snapshots. */
  snapshot?: DeciderSnapshotOptions;
}

export interface DeciderSnapshotOptions extends SnapshotOptions {
  /** Tells apart the snapshots of several deciders of the same streams. Default `main`. */
  name?: string;
}

/** Of a decider's snapshots. */
export const DECIDER_NAME_DEFAULT = 'main';

/** Commands on the streams of one decider. */
export class DeciderStore<Command, State> {
  readonly #decider: Decider<Command, State>;
  readonly #execution: StreamExecution<State>;

  constructor(parts: {
    decider: Decider<Command, State>;
    options: DeciderStreamOptions;
    store: EventStore;
    reader: EventReader;
    snapshots: SnapshotParts;
    cache?: ViewBounds;
  }) {
    const { decider: functions, options, snapshots: snapshotParts, ...rest } = parts;
    const { topic, stream, snapshot } = options;
    assertTopic(topic);
    if (stream === '' || stream.includes(':')) {
      throw new OptionsError(`stream ${JSON.stringify(stream)} of a decider must not be empty or hold a colon`, {
        stream,
      });
    }
    this.#decider = functions;
    const snapshots =
      snapshot &&
      new StreamSnapshots({
        topic,
        prefix: stream,
        rules: new SnapshotRules(snapshot, `decider of streams ${stream}:…`),
        form: deciderForm(functions, `decider:${snapshot.name ?? DECIDER_NAME_DEFAULT}`),
        ...snapshotParts,
      });
    this.#execution = new StreamExecution({
      ...rest,
      topic,
      stream,
      snapshots,
      folding: {
        isMutable: false,
        initial: () => functions.initialState(),
        fold: (state, event) => functions.evolve(state, event),
        committed: (state, events) => events.reduce<State>((before, event) => functions.evolve(before, event), state),
      },
    });
  }

  /** The state as the log has it now, or had it `at` a moment. */
  load(id: string, options?: LoadOptions): Promise<State> {
    return this.#execution.load(id, options);
  }

  /** Decides on the command and appends its events; decided again when somebody else appended first. */
  execute(id: string, command: Command, options?: ExecuteOptions): Promise<ExecuteResult> {
    return this.#execution.execute(
      id,
      (state) => decidedBy(this.#decider, command, state).map((given) => toEventToAppend(given)),
      options,
    );
  }

  /** Reads the whole stream and keeps the state as its snapshot. False when it has no events. */
  takeSnapshot(id: string): Promise<boolean> {
    return this.#execution.takeSnapshot(id);
  }

  /** Drops the snapshot of one stream, or of all of this decider; they are taken again in time. How many there were. */
  dropSnapshots(id?: string): Promise<number> {
    return this.#execution.dropSnapshots(id);
  }
}

/** What the functions decide. A list that they forgot to return is no "nothing to do". */
export function decidedBy<Command, State>(functions: Decider<Command, State>, command: Command, state: State) {
  const decided = functions.decide(command, state);
  if (Array.isArray(decided)) return decided as readonly (object | EventToAppend)[];
  throw new OptionsError(
    'decide of a decider must return a list of events, [] for none; it decides at once, without a promise',
  );
}
