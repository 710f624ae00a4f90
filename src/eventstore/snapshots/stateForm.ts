/**
 * How one kind of state becomes the text of a snapshot and comes back: by default its fields as JSON, else through the
 * `toSnapshot` and `fromSnapshot` that its author gives. What cannot come back equal is refused, and the initial state
 * is tried at once, so that most of that is found at the start.
 */
import { messageOf, OptionsError } from '../../base/errors.js';
import { type AggregateClass, AggregateRoot, aggregateAccess, newAggregate } from '../aggregate.js';
import type { Decider } from '../decider.js';
import { fieldsOf, stateOf, stateText } from './stateText.js';

export interface StateForm<S> {
  /** Of whose state it is, for messages. */
  name: string;
  /** Equal for states that have the same form. */
  signature: string;
  /** Throws OptionsError, naming the field, for a state that would not come back equal. */
  toText(state: S): string;
  /** Throws when the text does not fit. */
  fromText(text: string, id: string): S;
}

/** Methods that an aggregate may have instead of the default form: `toSnapshot` gives plain values. */
interface SnapshotMethods {
  toSnapshot(): unknown;
  fromSnapshot(snapshot: unknown): void;
}

/** @throws OptionsError for a class with private fields, or one whose new instances cannot be stored */
export function aggregateForm<A extends AggregateRoot>(aggregateClass: AggregateClass<A>): StateForm<A> {
  const { name } = aggregateClass;
  const what = `aggregate ${name}`;
  const hasMethods = givenTogether(aggregateClass.prototype, what);
  if (!hasMethods) assertNoPrivateFields(aggregateClass, what);
  const access = aggregateAccess();
  const initialFields = () => Object.keys(newAggregate(aggregateClass, 'initial'));
  const form: StateForm<A> = {
    name,
    // A field that the class has and an old snapshot has not would keep its initial value instead of being folded.
    signature: hasMethods ? 'own' : initialFields().sort().join(','),
    toText(aggregate) {
      const state = hasMethods ? (aggregate as unknown as SnapshotMethods).toSnapshot() : fieldsOf(aggregate, what);
      return `${aggregate.version} ${stateText(state, what)}`;
    },
    fromText(text, id) {
      const split = text.indexOf(' ');
      const state = stateOf(text.slice(split + 1));
      const aggregate = newAggregate(aggregateClass, id);
      if (hasMethods) (aggregate as unknown as SnapshotMethods).fromSnapshot(state);
      else restoreFields(aggregate, state as Record<string, unknown>);
      access.commit(aggregate, Number(text.slice(0, split)));
      return aggregate;
    },
  };
  form.toText(newAggregate(aggregateClass, 'initial'));
  return form;
}

/** @throws OptionsError when the initial state cannot be stored */
export function deciderForm<Command, State>(functions: Decider<Command, State>, name: string): StateForm<State> {
  const what = name;
  const hasFunctions = givenTogether(functions, what);
  const initial: unknown = functions.initialState();
  const isObject = typeof initial === 'object' && initial !== null && !Array.isArray(initial);
  const form: StateForm<State> = {
    name,
    signature: !hasFunctions && isObject ? Object.keys(initial).sort().join(',') : 'own',
    toText: (state) => stateText(functions.toSnapshot ? functions.toSnapshot(state) : state, what),
    fromText(text) {
      const state = stateOf(text);
      return functions.fromSnapshot ? functions.fromSnapshot(state) : (state as State);
    },
  };
  form.toText(functions.initialState());
  return form;
}

/** True with both, false with neither. */
function givenTogether(holder: object, what: string): boolean {
  const [to, from] = ['toSnapshot', 'fromSnapshot'].map((name) => typeof Reflect.get(holder, name) === 'function');
  if (to !== from) {
    const [has, lacks] = to ? ['toSnapshot', 'fromSnapshot'] : ['fromSnapshot', 'toSnapshot'];
    throw new OptionsError(`${what} has ${has} but no ${lacks}: snapshots need both`);
  }
  return to ?? false;
}

function restoreFields(aggregate: object, fields: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(fields)) {
    // Defined, not assigned: a field wins over an accessor of the same name, as it did when it was stored.
    Object.defineProperty(aggregate, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

const COMMENTS = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
/** `this.#name`, `other?.#name`, `#name in other`: a private name that is used. */
const PRIVATE_NAME = /\.\s*(#[\p{ID_Start}$_][\p{ID_Continue}$]*)|(#[\p{ID_Start}$_][\p{ID_Continue}$]*)\s+in\b/u;

/** Nobody outside of a class sees its private fields, so only its own source tells of them. */
function assertNoPrivateFields(aggregateClass: AggregateClass, what: string): void {
  for (
    let at: unknown = aggregateClass;
    typeof at === 'function' && at !== AggregateRoot && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    const found = PRIVATE_NAME.exec(sourceOf(at).replace(COMMENTS, ''));
    if (!found) continue;
    throw new OptionsError(
      `a snapshot of ${what} is not possible: nobody else can read its private field ${found[1] ?? found[2]}; give the class toSnapshot() and fromSnapshot()`,
      { class: aggregateClass.name },
    );
  }
}

function sourceOf(target: object): string {
  try {
    return Function.prototype.toString.call(target);
  } catch (cause) {
    throw new OptionsError(`the source of a class cannot be read: ${messageOf(cause)}`, { cause });
  }
}
