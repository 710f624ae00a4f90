/**
 * Upcasters: static methods that bring the fields of an old version of an event to the next one, so that every event in
 * the log is read as its class is today. The log is never changed. What a class declared is read here
 * (`decorators/upcast.ts` writes it), and joined into one path from each old version to the class that reads it.
 *
 * A path that cannot be right is an OptionsError when the application is put together: two upcasters from one version, a
 * gap between two, a circle, one that leads past its class. All versions of one stored type lead to one class, so that
 * a message's tag alone tells who handles it.
 */
import { InvariantError, messageOf, OptionsError } from '../base/errors.js';
import { type AnyClass, addMemberMetadata, metadataKey, readMemberMetadata, readOwnMetadata } from './classMetadata.js';
import { assertEventType, findEventFacts } from './eventClass.js';

export interface UpcastOptions {
  /** The type that the fields become. Default: that of the event class that the method stands in, else the same type. */
  to?: string;
  /** The version that the fields become. Default: the next one; of another type, version 1. */
  toVersion?: number;
}

/** As `@Upcast` leaves it. */
interface Upcaster extends UpcastOptions {
  type: string;
  fromVersion: number;
  member: string;
}

/** A version of a type's fields. */
interface TypeVersion {
  type: string;
  version: number;
}

interface UpcastStep {
  from: TypeVersion;
  to: TypeVersion;
  /** `OrderPlaced.fromVersion1`, for messages. */
  name: string;
  call(fields: object): unknown;
}

/** The steps from a stored version to the version of the class that reads it. */
export interface UpcastPath {
  /** Type of the class at its end. */
  type: string;
  steps: readonly UpcastStep[];
}

const UPCAST = metadataKey<readonly Upcaster[]>('foldlog:upcast');

export function markUpcaster(
  target: AnyClass,
  member: string,
  { type, fromVersion, to, toVersion }: { type: string; fromVersion: number } & UpcastOptions,
): void {
  const where = `@Upcast on ${target.name}.${member}`;
  for (const one of [type, ...(to === undefined ? [] : [to])]) assertEventType(one, where);
  for (const version of [fromVersion, ...(toVersion === undefined ? [] : [toVersion])]) {
    if (!Number.isSafeInteger(version) || version < 1) {
      throw new OptionsError(`${where}: version ${version} must be an integer from 1`, { class: target.name, member });
    }
  }
  const entry = { type, fromVersion, member, ...(to === undefined ? {} : { to }) };
  addMemberMetadata(UPCAST, toVersion === undefined ? entry : { ...entry, toVersion }, target);
}

/**
 * Joins the upcasters of the event classes and of classes that hold nothing else into paths, by stored type and version.
 *
 * @param versions of the event classes by type
 * @throws OptionsError naming the upcaster and what is wrong
 */
export function upcastPaths(
  eventClasses: readonly AnyClass[],
  upcasters: readonly AnyClass[],
): Map<string, Map<number, UpcastPath>> {
  const versions = new Map<string, number>();
  const steps = new Map<string, Map<number, UpcastStep>>();
  for (const eventClass of eventClasses) {
    const facts = findEventFacts(eventClass);
    if (facts) versions.set(facts.type, facts.version);
    // A class that extends an event class is not that event: only what stands in the class itself counts.
    for (const one of readOwnMetadata(UPCAST, eventClass) ?? []) addStep(steps, stepOf(eventClass, one, facts?.type));
  }
  for (const holder of new Set(upcasters)) {
    // Listed twice, as an event and as an upcaster, means the same.
    if (eventClasses.includes(holder)) continue;
    const declared = readMemberMetadata(UPCAST, holder);
    if (declared.length === 0) {
      throw new OptionsError(`${holder.name} among the upcasters has no static method marked with @Upcast`, {
        class: holder.name,
      });
    }
    for (const one of declared) addStep(steps, stepOf(holder, one, findEventFacts(holder)?.type));
  }
  return pathsOf(steps, versions);
}

function stepOf(target: AnyClass, upcaster: Upcaster, ownType: string | undefined): UpcastStep {
  const { type, fromVersion, member } = upcaster;
  const name = `${target.name}.${member}`;
  const toType = upcaster.to ?? ownType ?? type;
  const toVersion = upcaster.toVersion ?? (toType === type ? fromVersion + 1 : 1);
  if (toType === type && toVersion <= fromVersion) {
    throw new OptionsError(`upcaster ${name} leads from version ${fromVersion} of ${type} back to ${toVersion}`, {
      upcaster: name,
    });
  }
  return {
    name,
    from: { type, version: fromVersion },
    to: { type: toType, version: toVersion },
    call(fields) {
      const method: unknown = Reflect.get(target, member);
      if (typeof method !== 'function') throw new InvariantError(`defect in foldlog: ${name} is no method`);
      return method.call(target, fields);
    },
  };
}

function addStep(steps: Map<string, Map<number, UpcastStep>>, step: UpcastStep): void {
  const { type, version } = step.from;
  const ofType = steps.get(type) ?? new Map<number, UpcastStep>();
  const other = ofType.get(version);
  if (other) {
    throw new OptionsError(
      `${other.name} and ${step.name} both upcast version ${version} of event type ${type}: remove one`,
      { type, version },
    );
  }
  steps.set(type, ofType.set(version, step));
}

function pathsOf(
  steps: ReadonlyMap<string, ReadonlyMap<number, UpcastStep>>,
  versions: ReadonlyMap<string, number>,
): Map<string, Map<number, UpcastPath>> {
  const paths = new Map<string, Map<number, UpcastPath>>();
  for (const [type, ofType] of steps) {
    const found = new Map<number, UpcastPath>();
    for (const [version, step] of ofType) {
      const path = pathFrom(step, steps, versions);
      // Leads to a type that this application does not read.
      if (!path) continue;
      const other = [...found.values()].find((one) => one.type !== path.type);
      const end = other?.type ?? (versions.has(type) && path.type !== type ? type : undefined);
      if (end !== undefined) {
        throw new OptionsError(
          `events of type ${type} are read as ${end} and, by upcaster ${step.name}, as ${path.type}: all versions of a type become one type`,
          { type, upcaster: step.name },
        );
      }
      found.set(version, path);
    }
    if (found.size > 0) paths.set(type, found);
  }
  return paths;
}

function pathFrom(
  first: UpcastStep,
  steps: ReadonlyMap<string, ReadonlyMap<number, UpcastStep>>,
  versions: ReadonlyMap<string, number>,
): UpcastPath | undefined {
  const path: UpcastStep[] = [];
  for (let step = first; ; ) {
    if (path.includes(step)) {
      throw new OptionsError(`upcasters lead in a circle: ${[...path, step].map(({ name }) => name).join(' -> ')}`);
    }
    const { from } = step;
    const known = versions.get(from.type);
    if (known !== undefined && from.version >= known) {
      throw new OptionsError(
        `upcaster ${step.name} from version ${from.version} of ${from.type} never runs: its class is at version ${known}`,
        { upcaster: step.name },
      );
    }
    path.push(step);
    const { type, version } = step.to;
    const ofClass = versions.get(type);
    if (version === ofClass) return { type, steps: path };
    if (ofClass !== undefined && version > ofClass) {
      throw new OptionsError(
        `upcaster ${step.name} leads to version ${version} of ${type}, whose class is at version ${ofClass}`,
        { upcaster: step.name },
      );
    }
    const next = steps.get(type)?.get(version);
    if (!next) {
      const goesOn = [...(steps.get(type)?.keys() ?? [])].some((from) => from > version);
      if (ofClass === undefined && !goesOn) return undefined;
      throw new OptionsError(
        `upcaster ${step.name} leads to version ${version} of ${type} and none leads on from there: add @Upcast('${type}', ${version})`,
        { upcaster: step.name, type, version },
      );
    }
    step = next;
  }
}

/** Brings fields along the path. Throws an error that names the upcaster when one fails or gives no fields. */
export function upcast(fields: object, path: UpcastPath): object {
  let at = fields;
  for (const { name, from, call } of path.steps) {
    let given: unknown;
    try {
      given = call(at);
    } catch (cause) {
      throw new TypeError(`upcaster ${name} failed on version ${from.version} of ${from.type}: ${messageOf(cause)}`, {
        cause,
      });
    }
    const defect = fieldsDefect(given);
    if (defect !== undefined) throw new TypeError(`upcaster ${name} gave ${defect} instead of the event's fields`);
    at = given as object;
  }
  return at;
}

function fieldsDefect(given: unknown): string | undefined {
  if (typeof given !== 'object' || given === null) return String(given);
  if (Array.isArray(given)) return 'a list';
  if (typeof (given as { then?: unknown }).then === 'function') return 'a promise';
  return undefined;
}
