/**
 * Values on their way into and out of PostgreSQL, as text of the wire protocol. Two habits of pg are kept away from
 * callers here: moments are sent in the machine's time zone, and 64-bit integers come back as text.
 *
 * in:  null, undefined -> NULL; string, number, bigint, boolean -> their text; Date -> ISO text in UTC (for
 *      timestamptz); Uint8Array -> bytea; list -> array; any other object -> JSON.
 * out: smallint to bigint -> number, beyond 2^53 bigint; real, double precision -> number; numeric -> text, exact;
 *      boolean; text; bytea -> Buffer; json, jsonb -> what JSON.parse makes of it; timestamptz -> Date; date and
 *      timestamp without time zone -> text, because they are no moments; arrays of these -> lists.
 */
import type pg from 'pg';
import { messageOf, OptionsError } from '../base/errors.js';
import { excerptOf } from './sqlText.js';

/** A value for `$1`, `$2` …; see above what becomes of it. */
export type PostgresParameter = string | number | bigint | boolean | object | null | undefined;

/** What pg takes as it is. */
export type BoundValue = string | Buffer | readonly unknown[] | null;

/** Throws {@link OptionsError} naming the parameter that PostgreSQL has no text for. */
export function bindParameters(sql: string, parameters: readonly PostgresParameter[]): BoundValue[] {
  return parameters.map((value, at) => bind(value, (why) => refused(sql, at, why)));
}

function bind(value: PostgresParameter, refuse: (why: string) => OptionsError): BoundValue {
  switch (typeof value) {
    case 'string':
      if (value.includes('\0')) throw refuse('holds a NUL character, which text cannot; store it as bytea');
      return value;
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'undefined':
      return null;
    case 'object':
      return value === null ? null : bindObject(value, refuse);
  }
  throw refuse(`is a ${typeof value}; give text, a number, a boolean, a Date, bytes, a list, an object or null`);
}

function bindObject(value: object, refuse: (why: string) => OptionsError): BoundValue {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refuse('is an invalid Date');
    return value.toISOString();
  }
  if (Array.isArray(value)) return value.map((one: PostgresParameter) => bind(one, refuse));
  try {
    return JSON.stringify(value);
  } catch (thrown) {
    throw refuse(`cannot be written as JSON: ${messageOf(thrown)}`);
  }
}

function refused(sql: string, at: number, why: string): OptionsError {
  return new OptionsError(`parameter ${at + 1} ${why}: ${excerptOf(sql)}`);
}

const INT8 = 20;
const DATE = 1082;
const TIMESTAMP = 1114;
const TEXT_ARRAY = 1009;
const INT8_ARRAY = 1016;
const DATE_ARRAY = 1182;
const TIMESTAMP_ARRAY = 1115;

type Parse = (text: string) => unknown;

/** The parsers of one pool: pg's own, which are shared by the whole process, stay as they are. */
export function valueParsers(types: typeof pg.types): pg.CustomTypesConfig {
  const textArray = types.getTypeParser(TEXT_ARRAY as number, 'text') as Parse;
  const own = new Map<number, Parse>([
    [INT8, integerOf],
    [DATE, String],
    [TIMESTAMP, String],
    [INT8_ARRAY, (text) => eachOf(textArray(text), integerOf)],
    [DATE_ARRAY, textArray],
    [TIMESTAMP_ARRAY, textArray],
  ]);
  const getTypeParser = (oid: number, format?: 'text' | 'binary') =>
    (format === 'binary' ? undefined : own.get(oid)) ?? types.getTypeParser(oid, format as 'text');
  return { getTypeParser: getTypeParser as pg.CustomTypesConfig['getTypeParser'] };
}

function integerOf(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** Arrays may lie in arrays, and hold NULL. */
function eachOf(list: unknown, parse: (text: string) => unknown): unknown {
  if (Array.isArray(list)) return list.map((one) => eachOf(one, parse));
  return typeof list === 'string' ? parse(list) : list;
}
