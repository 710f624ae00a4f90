/**
 * What a configuration is made of: one row per key with its default, what is allowed, and whether it has an effect.
 * A table of rows gives the type of the configuration, its defaults, the reading of a file and its printing.
 * Values are written as RocketMQ writes them: whole numbers, `true`/`false`, plain text.
 */

/** 'yes': takes effect. 'accepted': RocketMQ has the key, here it means nothing; setting it gives one warning line. */
export type Honoured = 'yes' | 'accepted';

export type ConfigValue = string | number | boolean;

export interface ConfigRow<Value extends ConfigValue = ConfigValue> {
  readonly default: Value;
  readonly honoured: Honoured;
  /** What it sets, with the unit; for accepted keys: why it means nothing here. */
  readonly meaning: string;
  /** What may stand there, as an error message says it. */
  readonly allowed: string;
  /** Undefined when the text is not allowed. */
  parse(text: string): Value | undefined;
  /** Values that are well formed but would promise what is not kept: the reason why they are refused. */
  refusal?(value: Value): string | undefined;
}

// A table holds rows of several value types; the type of each is kept by the table's own type.
// biome-ignore lint/suspicious/noExplicitAny: bound of a generic over rows of different value types
export type ConfigTable = Readonly<Record<string, ConfigRow<any>>>;

/** The values of a table: `ConfigOf<typeof BROKER_KEYS>`. */
export type ConfigOf<Table extends ConfigTable> = {
  [Key in keyof Table]: Table[Key] extends ConfigRow<infer Value> ? Value : never;
};

export interface WholeOptions {
  min?: number;
  max?: number;
  honoured?: Honoured;
}

const INT_MAX = 2 ** 31 - 1;

/** A whole number within bounds (default 0 to 2^31 - 1, both inclusive). */
export function whole(standard: number, meaning: string, options: WholeOptions = {}): ConfigRow<number> {
  const { min = 0, max = INT_MAX, honoured = 'yes' } = options;
  return {
    default: standard,
    honoured,
    meaning,
    allowed: `a whole number from ${min} to ${max}`,
    parse(text) {
      if (!/^[+-]?\d+$/.test(text)) return undefined;
      const value = Number(text);
      return value >= min && value <= max ? value : undefined;
    },
  };
}

/** `true` or `false`, in any case. */
export function flag(standard: boolean, meaning: string, options: { honoured?: Honoured } = {}): ConfigRow<boolean> {
  return {
    default: standard,
    honoured: options.honoured ?? 'yes',
    meaning,
    allowed: 'true or false',
    parse: (text) => ({ true: true, false: false })[text.toLowerCase()],
  };
}

/** A switch that must not be thrown: RocketMQ would then do what this version does not. */
export function unavailable(meaning: string, refusal: string): ConfigRow<boolean> {
  return { ...flag(false, meaning), allowed: 'false', refusal: (value) => (value ? refusal : undefined) };
}

export interface TextOptions {
  honoured?: Honoured;
  /** What may stand there, in words, with the test for it. Without: any text. */
  allowed?: string;
  test?: (text: string) => boolean;
}

/** Text, as it stands. */
export function text(standard: string, meaning: string, options: TextOptions = {}): ConfigRow<string> {
  const { honoured = 'yes', allowed = 'text', test = () => true } = options;
  return { default: standard, honoured, meaning, allowed, parse: (value) => (test(value) ? value : undefined) };
}

/** One of a few words. */
export function choice<const Words extends readonly string[]>(
  words: Words,
  standard: Words[number],
  meaning: string,
  refusal?: (value: Words[number]) => string | undefined,
): ConfigRow<Words[number]> {
  return {
    default: standard,
    honoured: 'yes',
    meaning,
    allowed: words.join(' or '),
    parse: (value) => words.find((word) => word === value),
    ...(refusal && { refusal }),
  };
}

/** Rows of keys that mean nothing here, from their defaults: `{ key: default }` with the one reason for all. */
export function accepted<const Defaults extends Readonly<Record<string, ConfigValue>>>(
  reason: string,
  defaults: Defaults,
): { [Key in keyof Defaults]: ConfigRow<Widened<Defaults[Key]>> } {
  const honoured = 'accepted';
  const rows = Object.entries(defaults).map(([key, standard]) => {
    if (typeof standard === 'boolean') return [key, flag(standard, reason, { honoured })];
    if (typeof standard === 'string') return [key, text(standard, reason, { honoured })];
    const bounds = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };
    return [key, { ...whole(standard, reason, { honoured, ...bounds }), allowed: 'a whole number' }];
  });
  return Object.fromEntries(rows);
}

type Widened<Value> = Value extends boolean ? boolean : Value extends number ? number : string;

/** The defaults of a table. */
export function defaultsOf<Table extends ConfigTable>(table: Table): ConfigOf<Table> {
  return Object.fromEntries(Object.entries(table).map(([key, row]) => [key, row.default])) as ConfigOf<Table>;
}
