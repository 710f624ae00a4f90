/**
 * What intake notes of the broker that was started again after the crash: which statements it answered as appended.
 * Independent code folds the notes; the replay by stored time must come to the same.
 *
 * A start that follows a crash begins a new generation, and each answer says to which its event belongs.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { ExecuteResult } from 'foldlog';
import { isPlain } from './events.js';
import type { Statement } from './statements.js';

const LINES_AT_ONCE = 1_000;

export class Notes {
  readonly #name: string;
  readonly #file: number;
  #lines: string[] = [];
  /** Answers to repeats: they name the place of the first try, which the broker before the crash may have stored. */
  readonly #repeats: { line: string; commitLogOffset: number }[] = [];
  #firstGeneration: number | undefined;
  /** Where the restarted broker began to write. */
  #begin = Number.POSITIVE_INFINITY;

  constructor(file: string) {
    this.#name = file;
    this.#file = openSync(file, 'w');
  }

  take(statement: Statement, { position, alreadyAppended }: ExecuteResult): void {
    const { generation, commitLogOffset } = position;
    this.#firstGeneration ??= generation;
    if (generation === this.#firstGeneration) return;
    const { feature, browser, type } = statement;
    const line = `${JSON.stringify({ feature, browser, type, plain: isPlain(statement) })}\n`;
    if (alreadyAppended) {
      this.#repeats.push({ line, commitLogOffset });
      return;
    }
    this.#begin = Math.min(this.#begin, commitLogOffset);
    this.#lines.push(line);
    if (this.#lines.length >= LINES_AT_ONCE) this.#write();
  }

  /** The name of the file, complete. */
  close(): string {
    for (const { line, commitLogOffset } of this.#repeats) if (commitLogOffset >= this.#begin) this.#lines.push(line);
    this.#write();
    closeSync(this.#file);
    return this.#name;
  }

  #write(): void {
    writeSync(this.#file, this.#lines.join(''));
    this.#lines = [];
  }
}
