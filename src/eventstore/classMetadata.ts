/**
 * What decorators write about a class and what the rest reads back: one record per class under a `Symbol.for` key of
 * Reflect metadata, so that two copies of the package in one process understand each other. Nothing here or in the
 * decorators depends on `design:paramtypes`, which some compilers never write.
 */
import 'reflect-metadata';

/** Any class, whatever its constructor takes. */
// biome-ignore lint/suspicious/noExplicitAny: a constructor of any arguments, as class decorators get it
export type AnyClass<T extends object = object> = abstract new (...args: any[]) => T;

/** A place for one kind of metadata. */
export interface MetadataKey<T> {
  readonly symbol: symbol;
  /** Only for the compiler: ties the key to what lies under it. */
  readonly value?: T;
}

/** @param name `foldlog:event`: equal names are the same place in every copy of the package */
export function metadataKey<T>(name: string): MetadataKey<T> {
  return { symbol: Symbol.for(name) };
}

/** What was written on the class itself or the nearest class that it extends. */
export function readMetadata<T>(key: MetadataKey<T>, target: AnyClass): T | undefined {
  return Reflect.getMetadata(key.symbol, target);
}

/** What was written on this very class. */
export function readOwnMetadata<T>(key: MetadataKey<T>, target: AnyClass): T | undefined {
  return Reflect.getOwnMetadata(key.symbol, target);
}

export function writeMetadata<T>(key: MetadataKey<T>, value: T, target: AnyClass): void {
  Reflect.defineMetadata(key.symbol, value, target);
}

/** Adds to a list of member declarations; the lists of base classes stay as they are. */
export function addMemberMetadata<T>(key: MetadataKey<readonly T[]>, entry: T, target: AnyClass): void {
  writeMetadata(key, [...(readOwnMetadata(key, target) ?? []), entry], target);
}

/** The lists of the class and of those it extends, base classes first. */
export function readMemberMetadata<T>(key: MetadataKey<readonly T[]>, target: AnyClass): T[] {
  const lists: (readonly T[])[] = [];
  for (
    let at: unknown = target;
    typeof at === 'function' && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    lists.unshift(readOwnMetadata(key, at as AnyClass) ?? []);
  }
  return lists.flat();
}

/** The class that a member decorator was applied in. Static members are given their class, others its prototype. */
export function classOfMember(target: object): AnyClass {
  return (typeof target === 'function' ? target : target.constructor) as AnyClass;
}
