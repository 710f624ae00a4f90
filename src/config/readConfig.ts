/**
 * From a properties text and a table of keys to typed values. An unknown key or a wrong value is an OptionsError that
 * names file, line and what is allowed; a key without meaning here gives one warning line. Nothing is guessed.
 */
import { OptionsError } from '../base/errors.js';
import { type ConfigOf, type ConfigTable, type ConfigValue, defaultsOf } from './configRows.js';
import { nearestWord } from './nearest.js';
import { parseProperties, writeProperties } from './properties.js';

/** A configuration file that was read; `file` is how messages call it. */
export interface ConfigFile {
  file: string;
  text: string;
}

export interface ConfigReading<Config> {
  config: Config;
  /** Keys that the file sets, so that defaults which depend on each other can tell. */
  given: ReadonlySet<string>;
  /** One line each, for the log. */
  warnings: string[];
}

/** An unset key has its default; of a key that stands twice the last one counts, as in Java. */
export function readConfig<Table extends ConfigTable>(
  table: Table,
  source: ConfigFile | undefined,
): ConfigReading<ConfigOf<Table>> {
  const values: Record<string, ConfigValue> = defaultsOf(table);
  const given = new Set<string>();
  const warnings: string[] = [];
  for (const { key, value, line } of source ? parseProperties(source.text) : []) {
    const place = `${source?.file}:${line}`;
    const row = Object.hasOwn(table, key) ? table[key] : undefined;
    if (!row) throw unknownKey(table, key, place);
    const parsed: ConfigValue | undefined = row.parse(value.trim());
    if (parsed === undefined) {
      throw new OptionsError(`${place}: ${key}=${value} is not allowed: it must be ${row.allowed}`, { key, value });
    }
    const refusal = row.refusal?.(parsed);
    if (refusal) throw new OptionsError(`${place}: ${key}=${value} is refused: ${refusal}`, { key, value });
    if (row.honoured === 'accepted') warnings.push(`${place}: ${key} has no effect: ${row.meaning}`);
    values[key] = parsed;
    given.add(key);
  }
  return { config: values as ConfigOf<Table>, given, warnings };
}

function unknownKey(table: ConfigTable, key: string, place: string): OptionsError {
  const nearest = nearestWord(key, Object.keys(table));
  return new OptionsError(`${place}: unknown key ${key}; the nearest known key is ${nearest}`, { key, nearest });
}

/** Values that a program gives instead of a file are held to the same rules. */
export function checkValues(table: ConfigTable, values: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const row = Object.hasOwn(table, key) ? table[key] : undefined;
    if (!row) throw unknownKey(table, key, 'configuration');
    if (typeof value !== typeof row.default || row.parse(String(value)) === undefined) {
      throw new OptionsError(`${key}=${String(value)} is not allowed: it must be ${row.allowed}`, { key, value });
    }
    const refusal = row.refusal?.(value);
    if (refusal) throw new OptionsError(`${key}=${String(value)} is refused: ${refusal}`, { key, value });
  }
}

/** The whole configuration as properties text, keys sorted: the body of the GET_..._CONFIG responses. */
export function printConfig(config: Readonly<Record<string, ConfigValue>>): string {
  return writeProperties(Object.entries(config).sort(([left], [right]) => (left < right ? -1 : 1)));
}
