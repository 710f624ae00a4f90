/**
 * Values of SQL92 filters and how they compare. A property is always text; against a literal it is parsed as the
 * literal's type, and text that does not parse is an error (`price < 3` fails for "2.5": write 3.0). An error means no
 * match, whatever else the expression says. Upstream: `ComparisonExpression.compare`.
 */

/** bigint is Java's Long, number its Double; null is "unknown". */
export type SqlValue = string | boolean | bigint | number | null;

/** A property that does not parse as the literal it is compared with. */
export class SqlValueError extends Error {}

/** Below 0, 0 or above 0; undefined when values of these types never compare (a boolean with a number). */
export function compareValues(left: Exclude<SqlValue, null>, right: Exclude<SqlValue, null>): number | undefined {
  if (typeof left === 'string') {
    switch (typeof right) {
      case 'string':
        return left < right ? -1 : left > right ? 1 : 0;
      case 'boolean':
        return Number(left.toLowerCase() === 'true') - Number(right);
      case 'bigint':
        return compareNumbers(longOf(left), right);
      default:
        return compareNumbers(doubleOf(left), right);
    }
  }
  if (typeof right === 'string') {
    const reverse = compareValues(right, left);
    return reverse === undefined ? undefined : -reverse;
  }
  if (typeof left === 'boolean' || typeof right === 'boolean') {
    return typeof left === typeof right ? Number(left) - Number(right) : undefined;
  }
  return compareNumbers(left, right);
}

/** Java's order: NaN equals itself and is above everything. A mixed comparison of bigint and number is exact. */
function compareNumbers(left: bigint | number, right: bigint | number): number {
  if (left < right) return -1;
  if (left > right) return 1;
  return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
}

const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;
const SAFE_DIGITS = 15;

/** `Long.valueOf`: no blanks, no fraction, 64 bits. */
function longOf(text: string): bigint | number {
  if (!/^[+-]?\d+$/.test(text)) throw new SqlValueError(`not a whole number: ${text}`);
  if (text.length <= SAFE_DIGITS) return Number(text);
  const value = parseLong(text);
  if (value === undefined) throw new SqlValueError(`not within 64 bits: ${text}`);
  return value;
}

/** Undefined outside 64 bits. `text` is digits with an optional sign. */
export function parseLong(text: string): bigint | undefined {
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return value < LONG_MIN || value > LONG_MAX ? undefined : value;
}

// Each part can match in one way only: a long run of digits before a letter costs one pass, not one per digit.
const DOUBLE = /^\s*([+-]?(?:NaN|Infinity|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?))[fFdD]?\s*$/;

/** `Double.valueOf`, hexadecimal floats apart. */
function doubleOf(text: string): number {
  const match = DOUBLE.exec(text);
  if (match === null) throw new SqlValueError(`not a number: ${text}`);
  return Number(match[1]);
}
