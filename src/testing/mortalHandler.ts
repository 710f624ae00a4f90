/**
 * A handler object as its own methods see it in a process that may die: each call to what its fields hold (its
 * dependencies) is a step, and a step after which the process dies does not come back. So an `await` in the middle of a
 * handler is where it ends, as it would in a real process: what was called before has happened, what comes after has
 * not. Only native promises and plain calls are steps; objects that calls return are given as they are.
 *
 * The handler's `this` is a proxy then. A class with #private fields refuses that, so of such a class only the whole
 * run can be cut off, not its parts.
 */

/** Makes a call, or dies before or after it. */
export type Step = <T>(call: () => T) => T;

type AnyFunction = (...args: unknown[]) => unknown;

/** The object to call methods on; the handler itself when its class cannot be told apart step by step. */
export function mortalHandler(handler: object, step: Step): object {
  if (hasPrivateFields(handler)) return handler;
  const wrapped = new Map<object, object>();
  const wrap = (value: object) => {
    let made = wrapped.get(value);
    if (!made) {
      made = typeof value === 'function' ? steppingFunction(value as AnyFunction, step) : dependency(value, step);
      wrapped.set(value, made);
    }
    return made;
  };
  return new Proxy(handler, {
    get(target, key, receiver) {
      const value: unknown = Reflect.get(target, key, receiver);
      const isOwn = Object.hasOwn(target, key);
      // The class's own methods run on, with this proxy as their `this`.
      if (!isOwn || !isWrappable(value) || isFixed(target, key)) return value;
      return wrap(value);
    },
    set: (target, key, value) => step(() => Reflect.set(target, key, value)),
  });
}

/** The second argument of a handler: each call to its database, if it has one, is a step. */
export function mortalContext(context: object, step: Step): object {
  const { db } = context as { db?: unknown };
  return isWrappable(db) ? { ...context, db: dependency(db, step) } : context;
}

function dependency(target: object, step: Step): object {
  return new Proxy(target, {
    get(_target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function' || isFixed(target, key)) return value;
      return steppingFunction(value as AnyFunction, step, target);
    },
    set: (_target, key, value) => step(() => Reflect.set(target, key, value)),
  });
}

function steppingFunction(called: AnyFunction, step: Step, self?: object): AnyFunction {
  return new Proxy(called, {
    apply: (_called, given, args) => step(() => Reflect.apply(called, self ?? given, args)),
  });
}

/** Things with places inside that only the system reaches, and promises, are better left alone. */
function isWrappable(value: unknown): value is object {
  if (typeof value === 'function') return true;
  if (typeof value !== 'object' || value === null) return false;
  return !(value instanceof Promise || value instanceof EventTarget || ArrayBuffer.isView(value));
}

/** A proxy must give the very value of a field that can never change. */
function isFixed(target: object, key: string | symbol): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(target, key);
  return descriptor !== undefined && !descriptor.configurable && !descriptor.writable;
}

/** As written, or as compilers write them for older targets. */
const PRIVATE_FIELD = /[^\w'"`]#[\p{ID_Start}$_]|__classPrivateField|__privateGet|_classPrivateField/u;

function hasPrivateFields(handler: object): boolean {
  let prototype: unknown = Object.getPrototypeOf(handler);
  while (typeof prototype === 'object' && prototype !== null && prototype !== Object.prototype) {
    const { constructor: made } = prototype;
    if (typeof made === 'function' && PRIVATE_FIELD.test(Function.prototype.toString.call(made))) {
      return true;
    }
    prototype = Object.getPrototypeOf(prototype);
  }
  return false;
}
