/**
 * One JSON file of the store's `config` directory with its `.bak`: topics, groups, consumer and delay offsets.
 *
 * Text as RocketMQ writes it: tabs, `"member":value` without a blank, members in alphabetical order, integer map keys
 * unquoted; both forms are read. The previous content stays as `<file>.bak`. A file that is missing, empty or
 * unreadable is replaced by its `.bak`; without one the table is empty; an unreadable `.bak` stops the start.
 * Differs from RocketMQ (`ConfigManager`): the new text is written and synced beside the file and then renamed, so that
 * a crash leaves one of both versions whole, and an unreadable file is kept as `<file>.broken` instead of removed.
 */
import { FoldlogError, messageOf } from '../base/errors.js';
import type { Files } from '../base/files.js';
import { parentOf } from '../base/files.js';
import type { Logger } from '../base/logger.js';
import { parseLooseJson } from '../protocol/looseJson.js';

export interface PersistedTableParts {
  /** Path of the file; its directory is created when the first text is written. */
  file: string;
  files: Files;
  logger: Logger;
}

export class PersistedTable {
  readonly #file: string;
  readonly #files: Files;
  readonly #logger: Logger;
  /** Texts that {@link save} wrote: one that was under way meanwhile is older than the last of them. */
  #savedCount = 0;

  constructor({ file, files, logger }: PersistedTableParts) {
    this.#file = file;
    this.#files = files;
    this.#logger = logger;
  }

  /** What the file says, or its `.bak`; undefined when there is nothing. `decode` throws for what it cannot take. */
  load<Table>(decode: (value: unknown) => Table): Table | undefined {
    const main = this.#read(this.#file);
    if (main !== undefined) {
      try {
        return decode(parseLooseJson(main));
      } catch (thrown) {
        this.#logger.warn(
          { file: this.#file, reason: messageOf(thrown) },
          'configuration file is unreadable: kept as .broken, the previous one is used',
        );
        this.#files.rename(this.#file, `${this.#file}.broken`);
      }
    }
    return this.#loadUnfinished(decode) ?? this.#loadBackup(decode);
  }

  /** Replaces the file; durable when this returns. For changes that something rests on. */
  save(value: unknown): void {
    const unfinished = this.#unfinishedFile();
    this.#files.writeFile(unfinished, writePrettyJson(value));
    this.#replaceBy(unfinished);
    this.#files.syncDirectory(parentOf(this.#file));
    this.#savedCount += 1;
  }

  /** Replaces the file without waiting for the device in the same turn; durable when it resolves. One at a time. */
  async saveDurably(value: unknown): Promise<void> {
    await this.saveSoon(value);
    this.#files.syncDirectory(parentOf(this.#file));
  }

  /** Replaces the file without blocking for the device: after a power loss an older version may come back. One at a time. */
  async saveSoon(value: unknown): Promise<void> {
    const unfinished = this.#unfinishedFile();
    const savedBefore = this.#savedCount;
    const text = Buffer.from(writePrettyJson(value));
    const opened = this.#files.open(unfinished, 'w+');
    try {
      opened.write(text, 0, text.length, 0);
      await opened.sync();
    } finally {
      opened.close();
    }
    if (this.#savedCount === savedBefore) this.#replaceBy(unfinished);
  }

  #unfinishedFile(): string {
    this.#files.makeDirectory(parentOf(this.#file));
    return `${this.#file}.tmp`;
  }

  #replaceBy(unfinished: string): void {
    if (this.#files.stat(this.#file)) this.#files.rename(this.#file, `${this.#file}.bak`);
    this.#files.rename(unfinished, this.#file);
  }

  /** Text of the file; undefined when it is missing or empty. */
  #read(file: string): string | undefined {
    const stat = this.#files.stat(file);
    if (!stat || stat.sizeBytes === 0) return undefined;
    return this.#files.readFile(file).toString('utf8');
  }

  /** A crash between the two renames leaves the newest text, synced, beside the file. */
  #loadUnfinished<Table>(decode: (value: unknown) => Table): Table | undefined {
    const text = this.#read(`${this.#file}.tmp`);
    if (text === undefined) return undefined;
    try {
      return decode(parseLooseJson(text));
    } catch {
      // A crash while it was written: the .bak is whole.
      return undefined;
    }
  }

  #loadBackup<Table>(decode: (value: unknown) => Table): Table | undefined {
    const backup = `${this.#file}.bak`;
    const text = this.#read(backup);
    if (text === undefined) return undefined;
    try {
      return decode(parseLooseJson(text));
    } catch (thrown) {
      throw new FoldlogError(
        'CORRUPTION',
        `neither ${this.#file} nor its .bak can be read (${messageOf(thrown)}): repair or remove both`,
        { file: backup, cause: thrown },
      );
    }
  }
}

/** JSON with tabs; number keys of a Map are unquoted, members sorted, undefined and null left out. */
export function writePrettyJson(value: unknown): string {
  return write(value, '\n') ?? 'null';
}

function write(value: unknown, lineStart: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object') return JSON.stringify(value);
  const inner = `${lineStart}\t`;
  if (Array.isArray(value) || value instanceof Set) {
    const items = [...value].map((item) => inner + (write(item, inner) ?? 'null'));
    return items.length === 0 ? '[]' : `[${items.join(',')}${lineStart}]`;
  }
  const entries: [unknown, unknown][] = value instanceof Map ? [...value] : Object.entries(value);
  const members: string[] = [];
  for (const [key, member] of entries.sort(byKey)) {
    const text = write(member, inner);
    if (text !== undefined) members.push(`${inner}${typeof key === 'number' ? key : JSON.stringify(key)}:${text}`);
  }
  return members.length === 0 ? '{}' : `{${members.join(',')}${lineStart}}`;
}

function byKey([left]: [unknown, unknown], [right]: [unknown, unknown]): number {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  return String(left) < String(right) ? -1 : 1;
}
