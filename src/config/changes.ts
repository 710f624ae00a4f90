/**
 * Changes of a running server's configuration, as the UPDATE_..._CONFIG requests carry them: a properties text whose
 * values are held to the rows of the server's table. Unlike a file, an error names no line: the sender has none.
 */
import { OptionsError } from '../base/errors.js';
import type { ConfigOf, ConfigTable, ConfigValue } from './configRows.js';
import { nearestWord } from './nearest.js';
import { parseProperties } from './properties.js';

export interface ConfigChange {
  key: string;
  value: string;
}

/** The pairs of the text, in order. */
export function readChanges(text: string): ConfigChange[] {
  return parseProperties(text).map(({ key, value }) => ({ key, value: value.trim() }));
}

/** The typed values of all changes. Throws OptionsError for the first one that is unknown or not allowed. */
export function checkChanges<Table extends ConfigTable>(
  table: Table,
  changes: readonly ConfigChange[],
): Partial<ConfigOf<Table>> {
  const values: Record<string, ConfigValue> = {};
  for (const { key, value } of changes) {
    const row = Object.hasOwn(table, key) ? table[key] : undefined;
    if (!row) {
      const nearest = nearestWord(key, Object.keys(table));
      throw new OptionsError(`unknown key ${key}; the nearest known key is ${nearest}`, { key, nearest });
    }
    const parsed: ConfigValue | undefined = row.parse(value);
    if (parsed === undefined)
      throw new OptionsError(`${key}=${value} is not allowed: it must be ${row.allowed}`, { key });
    const refusal = row.refusal?.(parsed);
    if (refusal) throw new OptionsError(`${key}=${value} is refused: ${refusal}`, { key });
    values[key] = parsed;
  }
  return values as Partial<ConfigOf<Table>>;
}
