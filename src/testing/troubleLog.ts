/**
 * The logger of an application under test: passes every line on, and remembers the last warning or error of each group,
 * consumer or projection, so that a test that gives up waiting can say why. Nothing else reads the lines; a test that
 * hands in no logger sees no others.
 */
import type { Logger } from '../base/logger.js';

/** Groups are the application's own; the bound is for what else may call itself one. */
const GROUPS_MAX = 1_000;

export class TroubleLog implements Logger {
  readonly #next: Logger;
  readonly #last = new Map<string, string>();

  constructor(next: Logger) {
    this.#next = next;
  }

  /** The last warning or error of the group. */
  of(group: string): string | undefined {
    return this.#last.get(group);
  }

  debug(fields: object, message: string): void {
    this.#next.debug(fields, message);
  }

  info(fields: object, message: string): void {
    this.#next.info(fields, message);
  }

  warn(fields: object, message: string): void {
    this.#remember(fields, message);
    this.#next.warn(fields, message);
  }

  error(fields: object, message: string): void {
    this.#remember(fields, message);
    this.#next.error(fields, message);
  }

  #remember(fields: object, message: string): void {
    const { group, reason } = fields as { group?: unknown; reason?: unknown };
    if (typeof group !== 'string') return;
    if (!this.#last.has(group) && this.#last.size >= GROUPS_MAX) return;
    this.#last.set(group, reason === undefined ? message : `${message}: ${String(reason)}`);
  }
}
