/**
 * The log of a command: lines on stderr, for people or (`--log-json`) for machines. What is not an error is held back
 * until the command has started, so that a start that fails says one thing: why.
 */
import { isFoldlogError, messageOf } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { Terminal } from './terminal.js';

type Level = 'debug' | 'info' | 'warn' | 'error';

export interface LogOptions {
  /** One JSON object a line. */
  json: boolean;
  /** Debug lines and stack traces too, and nothing is held back. */
  verbose: boolean;
}

/** Lines that are held back; more are dropped, oldest first. */
const HELD_MAX = 1000;

export class LogLines implements Logger {
  readonly #terminal: Terminal;
  readonly #options: LogOptions;
  #held: string[] | undefined = [];

  constructor(terminal: Terminal, options: LogOptions) {
    this.#terminal = terminal;
    this.#options = options;
  }

  debug(fields: object, message: string): void {
    if (this.#options.verbose) this.#terminal.err(this.#line('debug', fields, message));
  }

  info(fields: object, message: string): void {
    this.#writeOrHold(this.#line('info', fields, message));
  }

  warn(fields: object, message: string): void {
    this.#writeOrHold(this.#line('warn', fields, message));
  }

  error(fields: object, message: string): void {
    this.#terminal.err(this.#line('error', fields, message));
  }

  /** The command has started: writes what was held back. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const line of held) this.#terminal.err(line);
  }

  #writeOrHold(line: string): void {
    if (!this.#held || this.#options.verbose) this.#terminal.err(line);
    else if (this.#held.push(line) > HELD_MAX) this.#held.shift();
  }

  #line(level: Level, fields: object, message: string): string {
    const time = new Date(this.#terminal.clock.now()).toISOString();
    if (this.#options.json) {
      return JSON.stringify({ time, level, msg: message, ...fields }, (_key, value) => this.#plain(value));
    }
    const facts = Object.entries(fields).map(([name, value]) => `${name}=${this.#text(value)}`);
    return [time, level.toUpperCase().padEnd(5), message.replaceAll('\n', ' '), ...facts].join(' ');
  }

  #text(value: unknown): string {
    const plain = this.#plain(value);
    return typeof plain === 'string' && /^[^\s"]+$/.test(plain) ? plain : (JSON.stringify(plain) ?? 'undefined');
  }

  #plain(value: unknown): unknown {
    if (value instanceof Error) {
      if (this.#options.verbose) return value.stack;
      return isFoldlogError(value) ? `${value.code}: ${value.message}` : messageOf(value);
    }
    return typeof value === 'bigint' ? String(value) : value;
  }
}
