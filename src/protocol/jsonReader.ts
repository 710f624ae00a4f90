/**
 * Reads one parsed JSON object member by member and checks each: bodies and configuration files come from other
 * programs. Clients leave members out (Go) or write numbers as text, so a reader takes a default where upstream's
 * class has one and coerces as fastjson does. Failures are FRAME_INVALID and name the member.
 */
import { FoldlogError } from '../base/errors.js';
import { parseLooseJson } from './looseJson.js';

export type ReadValue<T> = (value: unknown, where: string) => T;

export class JsonReader {
  readonly #members: object;
  readonly #where: string;

  /** @param where how errors call the object, for instance `heartbeat` or `topicConfigTable.T` */
  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(where, 'an object', value);
    this.#members = value;
    this.#where = where;
  }

  /** Parses a body in either JSON dialect. */
  static ofBody(body: Buffer | string, where: string): JsonReader {
    return new JsonReader(parseLooseJson(body.toString()), where);
  }

  has(name: string): boolean {
    return this.#member(name) !== undefined;
  }

  /** Without a fallback the member is required. */
  text(name: string, fallback?: string): string {
    return this.#read(name, readText, fallback);
  }

  whole(name: string, fallback?: number): number {
    return this.#read(name, readWhole, fallback);
  }

  flag(name: string, fallback?: boolean): boolean {
    return this.#read(name, readFlag, fallback);
  }

  number(name: string, fallback?: number): number {
    return this.#read(name, readNumber, fallback);
  }

  optionalText(name: string): string | undefined {
    return this.has(name) ? this.text(name) : undefined;
  }

  /** Any member through a reader of its own; without a fallback it is required. */
  read<T>(name: string, readValue: ReadValue<T>, fallback?: T): T {
    return this.#read(name, readValue, fallback);
  }

  /** An absent list is an empty one. */
  list<T>(name: string, readItem: ReadValue<T>): T[] {
    const value = this.#member(name);
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw invalid(`${this.#where}.${name}`, 'a list', value);
    return value.map((item, index) => readItem(item, `${this.#where}.${name}[${index}]`));
  }

  /** A map with text keys. An absent one is empty; items that are null are left out. */
  table<T>(name: string, readItem: ReadValue<T>): Map<string, T> {
    const table = new Map<string, T>();
    for (const [key, value] of this.#entries(name)) {
      if (typeof key !== 'string') throw invalid(`${this.#where}.${name}`, 'a map with text keys', key);
      if (value !== null) table.set(key, readItem(value, `${this.#where}.${name}.${key}`));
    }
    return table;
  }

  /** A map with whole numbers as keys. */
  numberTable<T>(name: string, readItem: ReadValue<T>): Map<number, T> {
    const table = new Map<number, T>();
    for (const [key, value] of this.#entries(name)) {
      table.set(readWhole(key, `key of ${this.#where}.${name}`), readItem(value, `${this.#where}.${name}.${key}`));
    }
    return table;
  }

  /** A map keyed by objects, as a list of pairs. */
  pairs<K, V>(name: string, readKey: ReadValue<K>, readItem: ReadValue<V>): [K, V][] {
    const where = `${this.#where}.${name}`;
    return this.#entries(name).map(([key, value]) => [readKey(key, `key of ${where}`), readItem(value, where)]);
  }

  #entries(name: string): [unknown, unknown][] {
    const value = this.#member(name);
    if (value === undefined) return [];
    if (value instanceof Map) return [...value];
    if (typeof value !== 'object' || Array.isArray(value)) throw invalid(`${this.#where}.${name}`, 'a map', value);
    return Object.entries(value as object);
  }

  #read<T>(name: string, readValue: ReadValue<T>, fallback: T | undefined): T {
    const value = this.#member(name);
    if (value !== undefined) return readValue(value, `${this.#where}.${name}`);
    if (fallback === undefined) throw new FoldlogError('FRAME_INVALID', `${this.#where}.${name} is missing`, { name });
    return fallback;
  }

  /** Own members only; null counts as absent. */
  #member(name: string): unknown {
    if (this.#members instanceof Map || !Object.hasOwn(this.#members, name)) return undefined;
    return (this.#members as Record<string, unknown>)[name] ?? undefined;
  }
}

export function readText(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw invalid(where, 'text', value);
}

export function readNumber(value: unknown, where: string): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) throw invalid(where, 'a number', value);
  return number;
}

export function readWhole(value: unknown, where: string): number {
  const number = readNumber(value, where);
  if (!Number.isInteger(number)) throw invalid(where, 'a whole number', value);
  return number;
}

export function readFlag(value: unknown, where: string): boolean {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return value.toLowerCase() === 'true';
  throw invalid(where, 'true or false', value);
}

function invalid(where: string, wanted: string, found: unknown): FoldlogError {
  // Not as JSON when it is a list or an object: it is whatever a peer sent, as deep and as long as a frame allows.
  const shown = Array.isArray(found)
    ? 'a list'
    : typeof found === 'object' && found !== null
      ? 'an object'
      : (JSON.stringify(found) ?? String(found)).slice(0, 60);
  return new FoldlogError('FRAME_INVALID', `${where} must be ${wanted}, it is ${shown}`, { where });
}
