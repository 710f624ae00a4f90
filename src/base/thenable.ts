/** A promise, also of another realm, or what is awaited like one: the query of a query builder, for example. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
