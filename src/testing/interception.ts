/**
 * Standing between a caller and a handler object without changing either: the methods named are called through
 * `around`, all else is the object's own. What is bound to a method's `this` is up to `around`.
 */
type AnyFunction = (...args: unknown[]) => unknown;

export interface InterceptedCall {
  method: AnyFunction;
  target: object;
  args: unknown[];
}

export function intercept(
  target: object,
  members: readonly string[],
  around: (call: InterceptedCall) => unknown,
): object {
  const called = new Set<string | symbol>(members);
  return new Proxy(target, {
    get(_target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const method = value as AnyFunction;
      // Bound: a class with #private fields refuses a proxy as `this`.
      if (!called.has(key)) return method.bind(target);
      return (...args: unknown[]) => around({ method, target, args });
    },
  });
}
