/**
 * Values on their way into and out of SQLite. libsql aborts the process on a boolean, cuts a string at a NUL
 * character and binds every number as a floating-point one, so values are converted and checked here first.
 *
 * in:  null, undefined -> NULL; boolean -> 0 or 1; safe integers -> INTEGER; other numbers -> REAL; bigint -> INTEGER;
 *      Date -> its milliseconds; Uint8Array -> BLOB; string -> TEXT.
 * out: NULL -> null; INTEGER and REAL -> number; TEXT -> string; BLOB -> Buffer.
 */
import { OptionsError } from '../base/errors.js';
import { excerptOf } from './sqlText.js';

export type SqlParameter = string | number | bigint | boolean | Uint8Array | Date | null | undefined;

type Bound = string | number | bigint | Buffer | null;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

export function bindParameters(sql: string, parameters: readonly SqlParameter[]): Bound[] {
  const bound: Bound[] = new Array(parameters.length);
  for (let at = 0; at < parameters.length; at++) bound[at] = bind(sql, at, parameters[at]);
  return bound;
}

function bind(sql: string, at: number, value: SqlParameter): Bound {
  const refuse = (why: string): never => {
    throw new OptionsError(`parameter ${at + 1} ${why}: ${excerptOf(sql)}`);
  };
  switch (typeof value) {
    case 'string':
      return value.includes('\0')
        ? refuse('holds a NUL character, at which text would be cut off; store it as bytes')
        : value;
    case 'number':
      if (Number.isNaN(value)) return refuse('is NaN');
      return Number.isSafeInteger(value) ? BigInt(value) : value;
    case 'bigint':
      return value < INT64_MIN || value > INT64_MAX ? refuse('does not fit into 64 bits') : value;
    case 'boolean':
      return value ? 1n : 0n;
    case 'undefined':
      return null;
    case 'object':
      if (value === null) return null;
      if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      if (value instanceof Date) {
        return Number.isNaN(value.getTime()) ? refuse('is an invalid Date') : BigInt(value.getTime());
      }
      break;
  }
  return refuse(`is a ${typeof value}; give text, a number, a boolean, a Date, bytes or null`);
}

/** Makes Buffers of the row's ArrayBuffers, in place. */
export function convertRow<T>(row: T): T {
  const columns = row as Record<string, unknown>;
  for (const name in columns) {
    const value = columns[name];
    if (value instanceof ArrayBuffer) columns[name] = Buffer.from(value);
  }
  return row;
}
