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
}

/** Commands on the streams of one decider. */
export class DeciderStore<Command, State> {
  readonly #decider: Decider<Command, State>;
  readonly #execution: StreamExecution<State>;

  constructor(parts: {
    decider: Decider<Command, State>;
    options: DeciderStreamOptions;
    store: EventStore;
    reader: EventReader;
    cache?: ViewBounds;
  }) {
    const { decider: functions, options, ...rest } = parts;
    const { topic, stream } = options;
    assertTopic(topic);
    if (stream === '' || stream.includes(':')) {
      throw new OptionsError(`stream ${JSON.stringify(stream)} of a decider must not be empty or hold a colon`, {
        stream,
      });
    }
    this.#decider = functions;
    this.#execution = new StreamExecution({
      ...rest,
      topic,
      stream,
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
      (state) => this.#decider.decide(command, state).map((given) => toEventToAppend(given)),
      options,
    );
  }
}
