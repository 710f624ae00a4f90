/**
 * Cuts SQL92 filter text into tokens, one at a time: the parser may stop before the end, and what it never looks at
 * is never an error (`status = 1 or` fails, `status + !` does not). Upstream: the token part of `SelectorParser.jj`.
 */
import { OptionsError } from '../base/errors.js';

export type TokenKind = 'keyword' | 'identifier' | 'long' | 'double' | 'string' | 'symbol' | 'end';

export interface Token {
  kind: TokenKind;
  /** Keywords in upper case; strings without quotes and with '' resolved; numbers as written. */
  text: string;
  /** Index of its first character. */
  position: number;
}

const KEYWORDS: ReadonlySet<string> = new Set([
  'OR',
  'AND',
  'NOT',
  'IS',
  'NULL',
  'BETWEEN',
  'IN',
  'CONTAINS',
  'STARTSWITH',
  'ENDSWITH',
  'TRUE',
  'FALSE',
]);

/** Longest text that is compiled, in characters: heartbeats and pulls carry whatever a peer sends. */
const TEXT_MAX = 65_536;

const BLANK = /(?:\s+|--[^\r\n]*|\/\*[\s\S]*?\*\/)*/y;
const DOUBLE = /(?:\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)/y;
const LONG = /\d+[lL]?/y;
const STRING = /'[^']*(?:''[^']*)*'/y;
const WORD = /[a-zA-Z_$][a-zA-Z0-9_$]*/y;
const SYMBOL = /<>|<=|>=|[=<>(),+-]/y;

export class SqlTokens {
  readonly #text: string;
  #at = 0;
  #next: Token | undefined;

  constructor(text: string) {
    if (text.length > TEXT_MAX) {
      throw new OptionsError(
        `SQL filter of ${text.length} characters does not compile: at most ${TEXT_MAX} are taken`,
        {
          position: TEXT_MAX,
        },
      );
    }
    this.#text = text;
  }

  /** The token that {@link take} would return. */
  peek(): Token {
    this.#next ??= this.#read();
    return this.#next;
  }

  take(): Token {
    const token = this.peek();
    this.#next = undefined;
    return token;
  }

  /** Is the next token this keyword or symbol? */
  sees(text: string): boolean {
    const next = this.peek();
    return next.text === text && (next.kind === 'keyword' || next.kind === 'symbol');
  }

  /** Takes the keyword or symbol if it is next. */
  takes(text: string): boolean {
    const isNext = this.sees(text);
    if (isNext) this.take();
    return isNext;
  }

  expect(text: string): void {
    if (!this.takes(text)) throw this.unexpected(text);
  }

  expectString(): string {
    if (this.peek().kind !== 'string') throw this.unexpected("a text in '…'");
    return this.take().text;
  }

  unexpected(wanted: string): OptionsError {
    const { kind, text, position } = this.peek();
    return this.error(
      position,
      kind === 'end' ? `ends where ${wanted} must be` : `${wanted} must be here, not ${text}`,
    );
  }

  error(position: number, reason: string): OptionsError {
    return new OptionsError(
      `SQL filter ${JSON.stringify(this.#text)} does not compile at character ${position}: ${reason}`,
      { expression: this.#text, position },
    );
  }

  #read(): Token {
    this.#match(BLANK);
    const position = this.#at;
    if (position >= this.#text.length) return { kind: 'end', text: '', position };
    let text = this.#match(DOUBLE);
    if (text !== undefined) return { kind: 'double', text, position };
    text = this.#match(LONG);
    if (text !== undefined) return { kind: 'long', text, position };
    text = this.#match(STRING);
    if (text !== undefined) return { kind: 'string', text: text.slice(1, -1).replaceAll("''", "'"), position };
    text = this.#match(WORD);
    if (text !== undefined) {
      const upper = text.toUpperCase();
      return KEYWORDS.has(upper) ? { kind: 'keyword', text: upper, position } : { kind: 'identifier', text, position };
    }
    text = this.#match(SYMBOL);
    if (text !== undefined) return { kind: 'symbol', text, position };
    throw this.error(position, `${JSON.stringify(this.#text[position])} belongs to no word, number or operator`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
