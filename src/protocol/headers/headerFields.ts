/**
 * Custom headers as tables: one row per field with its type, from which both directions follow. On the wire all
 * values are text in `extFields`: decimal numbers, `true`/`false` in any case.
 */
import { FoldlogError } from '../../base/errors.js';

type FieldKind = 'string' | 'int' | 'long' | 'rank' | 'boolean';

interface Field<Kind extends FieldKind = FieldKind, Required extends boolean = boolean> {
  kind: Kind;
  required: Required;
}

interface KindValue {
  string: string;
  int: number;
  long: number;
  /** 64 bits that are compared and never calculated with: beyond 2^53 they arrive rounded, all in the same way. */
  rank: number;
  boolean: boolean;
}

/** A required field of each kind; `optional.*` for the others. */
export const field = {
  string: { kind: 'string', required: true },
  int: { kind: 'int', required: true },
  long: { kind: 'long', required: true },
  rank: { kind: 'rank', required: true },
  boolean: { kind: 'boolean', required: true },
} as const;

export const optional = {
  string: { kind: 'string', required: false },
  int: { kind: 'int', required: false },
  long: { kind: 'long', required: false },
  rank: { kind: 'rank', required: false },
  boolean: { kind: 'boolean', required: false },
} as const;

type Fields = Readonly<Record<string, Field>>;

/** The values of a header: required fields always there, optional ones possibly undefined. */
export type HeaderOf<Table extends Fields> = {
  [Name in keyof Table]: Table[Name]['required'] extends true
    ? KindValue[Table[Name]['kind']]
    : KindValue[Table[Name]['kind']] | undefined;
};

/** What a caller gives: optional fields may be left out. */
export type HeaderInput<Table extends Fields> = {
  [Name in keyof Table as Table[Name]['required'] extends true ? Name : never]: KindValue[Table[Name]['kind']];
} & {
  [Name in keyof Table as Table[Name]['required'] extends true ? never : Name]?:
    | KindValue[Table[Name]['kind']]
    | undefined;
};

export interface HeaderTable<Table extends Fields> {
  readonly fields: Table;
  /** Throws FRAME_INVALID naming the field that is missing or does not parse. */
  decode(extFields: Readonly<Record<string, string>>): HeaderOf<Table>;
  encode(header: HeaderInput<Table>): Record<string, string>;
}

/** `defineHeader({ topic: field.string, queueId: field.int, bname: optional.string })` */
export function defineHeader<const Table extends Fields>(fields: Table): HeaderTable<Table> {
  const rows = Object.entries(fields);
  return {
    fields,
    decode(extFields) {
      const header: Record<string, unknown> = {};
      for (const [name, { kind, required }] of rows) {
        const text = extFields[name];
        if (text === undefined) {
          if (required) throw new FoldlogError('FRAME_INVALID', `header field ${name} is missing`, { field: name });
          header[name] = undefined;
        } else header[name] = decodeField(name, kind, text);
      }
      return header as HeaderOf<Table>;
    },
    encode(header) {
      const extFields: Record<string, string> = {};
      for (const [name] of rows) {
        const value = (header as Record<string, string | number | boolean | undefined>)[name];
        if (value !== undefined) extFields[name] = String(value);
      }
      return extFields;
    },
  };
}

const INT_MIN = -(2 ** 31);
const INT_MAX = 2 ** 31 - 1;
const LONG_MAX = 2 ** 63;

function decodeField(name: string, kind: FieldKind, text: string): string | number | boolean {
  if (kind === 'string') return text;
  if (kind === 'boolean') return text.toLowerCase() === 'true';
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !isInRange(kind, text, value)) {
    throw new FoldlogError(
      'FRAME_INVALID',
      `header field ${name} is not a whole number in range: ${JSON.stringify(text)}`,
      { field: name },
    );
  }
  return value;
}

function isInRange(kind: 'int' | 'long' | 'rank', text: string, value: number): boolean {
  if (kind === 'int') return value >= INT_MIN && value <= INT_MAX;
  return kind === 'rank' ? Math.abs(value) <= LONG_MAX : isLong(text, value);
}

// Long.MAX_VALUE and Long.MIN_VALUE are sent as "no limit"; they arrive rounded, which serves.
function isLong(text: string, value: number): boolean {
  return Number.isSafeInteger(value) || text === '9223372036854775807' || text === '-9223372036854775808';
}
