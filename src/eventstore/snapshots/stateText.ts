/**
 * States as texts: JSON beside the places of members that are undefined, which JSON has no word for. A value that would
 * come back as something else is refused by the name of its field: dates, maps, instances of classes, functions,
 * NaN and -0, sparse lists, and an object that is reached twice, which would come back as two.
 *
 *     [ state, [ path of an undefined member, … ] ]     path = list of names and indexes
 */
import { OptionsError } from '../../base/errors.js';

type Path = readonly (string | number)[];

/** Nested deeper is refused: reading it back must not run out of stack. */
const DEPTH_MAX = 200;

/** Throws OptionsError naming the field that would not come back equal. `what` says whose state it is. */
export function stateText(state: unknown, what: string): string {
  const absent: Path[] = [];
  const seen = new Map<object, Path>();
  const visit = (value: unknown, path: Path): void => {
    const defect = defectOf(value, path, seen);
    if (defect !== undefined) {
      throw new OptionsError(
        `a snapshot of ${what} is not possible: ${nameOf(path)} ${defect}; store plain values in it, or give toSnapshot and fromSnapshot`,
        { field: nameOf(path) },
      );
    }
    if (value === undefined) absent.push(path);
    if (typeof value !== 'object' || value === null) return;
    seen.set(value, path);
    if (Array.isArray(value)) value.forEach((member, index) => visit(member, [...path, index]));
    else for (const [name, member] of Object.entries(value)) visit(member, [...path, name]);
  };
  visit(state, []);
  return JSON.stringify([state ?? null, absent]);
}

/** The reverse. A new value each time. */
export function stateOf(text: string): unknown {
  const [state, absent] = JSON.parse(text) as [unknown, Path[]];
  for (const path of absent) {
    const last = path.at(-1);
    if (last === undefined) return undefined;
    let holder = state;
    for (const step of path.slice(0, -1)) holder = (holder as Record<string | number, unknown>)[step];
    (holder as Record<string | number, unknown>)[last] = undefined;
  }
  return state;
}

function defectOf(value: unknown, path: Path, seen: ReadonlyMap<object, Path>): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return undefined;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? undefined : `is ${Object.is(value, -0) ? '-0' : value}`;
    case 'object':
      return value === null ? undefined : objectDefect(value, path, seen);
    default:
      return `is a ${typeof value}`;
  }
}

function objectDefect(value: object, path: Path, seen: ReadonlyMap<object, Path>): string | undefined {
  if (path.length > DEPTH_MAX) return `is nested deeper than ${DEPTH_MAX} levels`;
  const first = seen.get(value);
  if (first) return `is the same object as ${nameOf(first)}`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) return `is a list of class ${classOf(value)}`;
    // Its indexes and `length`: fewer is a hole, more a member besides.
    return Reflect.ownKeys(value).length === value.length + 1 && Object.keys(value).length === value.length
      ? undefined
      : 'is a list with holes or with members besides its elements';
  }
  if (prototype !== Object.prototype) return `is an object of class ${classOf(value)}`;
  return membersDefect(value);
}

/** What is wrong with the members as such, whatever they hold. */
function membersDefect(value: object): string | undefined {
  for (const name of Reflect.ownKeys(value)) {
    const member = Reflect.getOwnPropertyDescriptor(value, name);
    const isPlain = member !== undefined && 'value' in member && member.enumerable;
    if (typeof name === 'symbol' || name === '__proto__' || !isPlain) {
      return `has a member ${String(name)} that is not an ordinary field`;
    }
  }
  return undefined;
}

/**
 * The own fields of an instance as a plain object. Throws OptionsError for a field that is not an ordinary one, such as
 * an accessor.
 */
export function fieldsOf(instance: object, what: string): Record<string, unknown> {
  const defect = membersDefect(instance);
  if (defect !== undefined) {
    throw new OptionsError(`a snapshot of ${what} is not possible: it ${defect}; give it toSnapshot and fromSnapshot`);
  }
  return { ...instance };
}

const classOf = (value: object) => value.constructor?.name || 'no name';

/** `lines[2].due`; of the state itself, `the state`. */
function nameOf(path: Path): string {
  if (path.length === 0) return 'the state';
  return path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
    '',
  );
}
