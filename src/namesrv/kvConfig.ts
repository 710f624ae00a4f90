/**
 * The name server's key-value configuration (namespace -> key -> value), the only thing it keeps on disk:
 * `{"configTable":{"ORDER_TOPIC_CONFIG":{"TopicO":"broker-a:4"}}}`. Upstream: `KVConfigManager`.
 *
 * Every change rewrites the file before it is answered: the new text is written and synced beside it, the previous one
 * becomes `<file>.bak`, then the new one takes its place. A missing or unreadable file is replaced by its `.bak`;
 * an unreadable `.bak` stops the start. Without a file the table lives in memory.
 */
import { FoldlogError, messageOf } from '../base/errors.js';
import { type Files, parentOf } from '../base/files.js';
import type { Logger } from '../base/logger.js';
import { JsonReader, readText } from '../protocol/jsonReader.js';
import { parseLooseJson, writeFastJson } from '../protocol/looseJson.js';

/** Entries that the table holds; a put beyond is refused. */
export const KV_ENTRIES_MAX = 100_000;

type KvTable = Map<string, Map<string, string>>;

export interface KvConfigParts {
  /** Path of the file; empty: nothing is kept. */
  file: string;
  files: Files;
  logger: Logger;
}

export class KvConfig {
  readonly #parts: KvConfigParts;
  #table: KvTable;

  private constructor(parts: KvConfigParts, table: KvTable) {
    this.#parts = parts;
    this.#table = table;
  }

  /** Throws CORRUPTION when neither the file nor its `.bak` can be read although one is there. */
  static load(parts: KvConfigParts): KvConfig {
    return new KvConfig(parts, parts.file === '' ? new Map() : loadTable(parts));
  }

  get(namespace: string, key: string): string | undefined {
    return this.#table.get(namespace)?.get(key);
  }

  /** The whole namespace; undefined when it was never written to. */
  list(namespace: string): Map<string, string> | undefined {
    const entries = this.#table.get(namespace);
    return entries && new Map(entries);
  }

  put(namespace: string, key: string, value: string): void {
    const count = [...this.#table.values()].reduce((sum, entries) => sum + entries.size, 0);
    if (count >= KV_ENTRIES_MAX && this.get(namespace, key) === undefined) {
      throw new FoldlogError('TOO_BUSY', `the KV configuration holds ${KV_ENTRIES_MAX} entries already`);
    }
    this.#replace((table) => {
      const entries = table.get(namespace) ?? new Map<string, string>();
      table.set(namespace, entries.set(key, value));
    });
  }

  /** Like RocketMQ an emptied namespace stays. */
  delete(namespace: string, key: string): void {
    if (this.get(namespace, key) === undefined) return;
    this.#replace((table) => table.get(namespace)?.delete(key));
  }

  /** The change counts in memory only once it is on disk. */
  #replace(change: (table: KvTable) => void): void {
    const table: KvTable = new Map(Array.from(this.#table, ([namespace, entries]) => [namespace, new Map(entries)]));
    change(table);
    const { file, files } = this.#parts;
    if (file !== '') replaceFile(files, file, writeFastJson({ configTable: table }));
    this.#table = table;
  }
}

/** Replaces a small file so that a crash leaves the old or the new text whole; the old one stays as `.bak`. */
export function replaceFile(files: Files, file: string, text: string): void {
  const directory = parentOf(file);
  files.makeDirectory(directory);
  files.writeFile(`${file}.tmp`, text);
  if (files.stat(file)) files.rename(file, `${file}.bak`);
  files.rename(`${file}.tmp`, file);
  files.syncDirectory(directory);
}

function loadTable({ file, files, logger }: KvConfigParts): KvTable {
  const text = readIfThere(files, file);
  if (text !== undefined) {
    try {
      return decodeTable(text);
    } catch (thrown) {
      logger.warn({ file, reason: messageOf(thrown) }, 'KV configuration is unreadable, taking its .bak');
    }
  }
  const backup = readIfThere(files, `${file}.bak`);
  if (backup === undefined && text === undefined) return new Map();
  try {
    if (backup !== undefined) return decodeTable(backup);
  } catch (thrown) {
    logger.error({ file: `${file}.bak`, reason: messageOf(thrown) }, 'KV configuration backup is unreadable');
  }
  throw new FoldlogError('CORRUPTION', `KV configuration ${file} and its .bak cannot be read: repair or remove them`, {
    file,
  });
}

/** Undefined when the file is missing or empty. */
function readIfThere(files: Files, file: string): string | undefined {
  if (!files.stat(file)) return undefined;
  const text = files.readFile(file).toString();
  return text.trim() === '' ? undefined : text;
}

function decodeTable(text: string): KvTable {
  return new JsonReader(parseLooseJson(text), 'KV configuration').table('configTable', (value, where) =>
    new JsonReader({ entries: value }, where).table('entries', readText),
  );
}
