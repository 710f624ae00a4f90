/**
 * The JSON of RocketMQ's bodies and files. Apache's writer (fastjson 1) leaves integer map keys unquoted, `{0:"a"}`,
 * and writes maps keyed by objects as `{{"brokerName":"b"}:1}`. Its readers take both forms; so does this one.
 *
 * Values: JSON's own, and a `Map` wherever keys are data. On writing, number keys of a Map are unquoted in the fastjson
 * dialect and quoted in the standard one, object keys are written as objects in both (there is no other form), string
 * keys are quoted. Members are sorted, undefined and null left out, no blanks: as Apache writes.
 */
import { FoldlogError } from '../base/errors.js';

/** A map that was keyed by objects is parsed into a Map; any other object into a plain one. */
export type LooseJson = unknown;

const DEPTH_MAX = 100;

/** Parses either dialect. Throws FRAME_INVALID with the position. */
export function parseLooseJson(text: string): LooseJson {
  try {
    return JSON.parse(text);
  } catch {
    return new LooseParser(text).parse();
  }
}

/** What a string may end with, or goes on behind: one expression for all of it would overflow on millions of escapes. */
const QUOTE_OR_ESCAPE = /["\\]/g;
/** A bare word: a number, `true`, `null`, or an unquoted key. */
const WORD = /[^\s{}[\],:"]+/y;
const BLANK = /\s*/y;

class LooseParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): unknown {
    const value = this.#value(0);
    this.#skipBlanks();
    if (this.#at < this.#text.length) throw this.#invalid('text behind the value');
    return value;
  }

  #value(depth: number): unknown {
    this.#skipBlanks();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return this.#string();
    return this.#literal();
  }

  #object(depth: number): Record<string, unknown> | Map<unknown, unknown> {
    this.#enter(depth);
    const members: [string, unknown][] = [];
    const pairs = new Map<unknown, unknown>();
    for (let isFirst = true; !this.#takes('}'); isFirst = false) {
      if (!isFirst) this.#expect(',');
      this.#skipBlanks();
      const first = this.#text[this.#at];
      const key = first === '{' ? this.#object(depth + 1) : first === '"' ? this.#string() : this.#word();
      this.#expect(':');
      const value = this.#value(depth + 1);
      if (typeof key === 'string') members.push([key, value]);
      else pairs.set(key, value);
    }
    if (pairs.size === 0) return Object.fromEntries(members);
    if (members.length > 0) throw this.#invalid('a map with both texts and objects as keys');
    return pairs;
  }

  #array(depth: number): unknown[] {
    this.#enter(depth);
    const values: unknown[] = [];
    while (!this.#takes(']')) {
      if (values.length > 0) this.#expect(',');
      values.push(this.#value(depth + 1));
    }
    return values;
  }

  /** Takes the opening bracket; keys that are objects count as levels too. */
  #enter(depth: number): void {
    if (depth > DEPTH_MAX) throw this.#invalid(`more than ${DEPTH_MAX} levels`);
    this.#at += 1;
  }

  #string(): string {
    const start = this.#at;
    let at = start + 1;
    for (;;) {
      QUOTE_OR_ESCAPE.lastIndex = at;
      const found = QUOTE_OR_ESCAPE.exec(this.#text);
      if (found === null) throw this.#invalid('a closing quote is missing');
      if (found[0] === '"') {
        this.#at = found.index + 1;
        return this.#parsed(start, this.#text.slice(start, this.#at)) as string;
      }
      at = found.index + 2;
    }
  }

  #word(): string {
    return this.#match(WORD, 'a key');
  }

  #literal(): unknown {
    const start = this.#at;
    return this.#parsed(start, this.#match(WORD, 'a value'));
  }

  /** A string or bare word by JSON's own rules. */
  #parsed(start: number, text: string): unknown {
    try {
      return JSON.parse(text);
    } catch {
      this.#at = start;
      throw this.#invalid(`no value: ${text.slice(0, 20)}`);
    }
  }

  #match(pattern: RegExp, wanted: string): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) throw this.#invalid(`${wanted} is missing`);
    this.#at += found.length;
    return found;
  }

  #skipBlanks(): void {
    BLANK.lastIndex = this.#at;
    BLANK.test(this.#text);
    this.#at = BLANK.lastIndex;
  }

  #takes(character: string): boolean {
    this.#skipBlanks();
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #expect(character: string): void {
    if (!this.#takes(character)) throw this.#invalid(`${character} is missing`);
  }

  #invalid(reason: string): FoldlogError {
    return new FoldlogError('FRAME_INVALID', `not JSON at character ${this.#at}: ${reason}`, { offset: this.#at });
  }
}

export type JsonDialect = 'standard' | 'fastjson';

/** Compact text in the dialect. The standard one also escapes everything outside ASCII, as Apache's does. */
export function writeLooseJson(value: LooseJson, dialect: JsonDialect): string {
  const text = write(value, dialect, 0) ?? 'null';
  return dialect === 'standard' ? text.replace(NOT_ASCII, escapeUnit) : text;
}

export const writeStandardJson = (value: LooseJson): string => writeLooseJson(value, 'standard');
export const writeFastJson = (value: LooseJson): string => writeLooseJson(value, 'fastjson');

// biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range as a whole
const NOT_ASCII = /[^\x00-\x7f]/g;

const escapeUnit = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

function write(value: unknown, dialect: JsonDialect, depth: number): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object') return JSON.stringify(value);
  if (depth > DEPTH_MAX)
    throw new FoldlogError('FRAME_INVALID', `JSON of more than ${DEPTH_MAX} levels is not written`);
  if (Array.isArray(value)) return `[${value.map((item) => write(item, dialect, depth + 1) ?? 'null').join(',')}]`;
  if (value instanceof Set) return write([...value], dialect, depth);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return writeEntries(entries.sort(byKey), dialect, depth + 1);
}

function writeEntries(entries: [unknown, unknown][], dialect: JsonDialect, depth: number): string {
  const parts: string[] = [];
  for (const [key, value] of entries) {
    const text = write(value, dialect, depth);
    if (text !== undefined) parts.push(`${writeKey(key, dialect, depth)}:${text}`);
  }
  return `{${parts.join(',')}}`;
}

function writeKey(key: unknown, dialect: JsonDialect, depth: number): string {
  if (typeof key === 'number') return dialect === 'fastjson' ? String(key) : `"${key}"`;
  return write(key, dialect, depth) ?? '""';
}

function byKey([left]: [unknown, unknown], [right]: [unknown, unknown]): number {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  if (typeof left !== 'string' || typeof right !== 'string') return 0;
  return left < right ? -1 : left > right ? 1 : 0;
}
