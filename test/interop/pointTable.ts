/**
 * What clients of other languages observe, point by point, of a real Apache RocketMQ (the control) and of foldlog. A client
 * program prints one JSON line for each point; the observed value is normalised by the program (no ids, times, ports), so
 * that equal behaviour gives equal text. A point that differs fails unless it is named as an exception, and an exception
 * that no longer differs fails too: the list can only tell the truth.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** One line of a client program. */
export interface Point {
  name: string;
  /** False: the program could not carry the point out, or saw what no broker may do; `observed` tells what. */
  ok: boolean;
  /** Any JSON value, compared as canonical text. */
  observed: unknown;
}

export interface PointRow {
  name: string;
  real: string;
  foldlog: string;
  same: 'yes' | 'no' | 'exception';
}

export interface PointComparison {
  rows: PointRow[];
  /** Empty when every point is the same or a named exception. */
  problems: string[];
  /** `point | real | foldlog | same`, as a Markdown table. */
  text: string;
}

const MISSING = '(no such point)';

/** Reads the JSON lines of a program; lines that do not begin with `{` are its log and are left alone. */
export function parsePoints(output: string): Point[] {
  const points: Point[] = [];
  for (const line of output.split('\n')) {
    if (!line.startsWith('{')) continue;
    const { name, ok, observed } = JSON.parse(line) as Partial<Point>;
    if (typeof name !== 'string' || typeof ok !== 'boolean') throw new Error(`not a point: ${line}`);
    if (points.some((point) => point.name === name)) throw new Error(`point ${name} was printed twice`);
    points.push({ name, ok, observed });
  }
  return points;
}

/**
 * Compares point by point, in the order of the control.
 * @param exceptions name of a point that may differ, and why
 */
export function comparePoints(
  real: readonly Point[],
  foldlog: readonly Point[],
  exceptions: Readonly<Record<string, string>> = {},
): PointComparison {
  const [ofReal, ofFoldlog] = [byName(real), byName(foldlog)];
  const rows: PointRow[] = [];
  const problems: string[] = [];
  for (const name of new Set([...ofReal.keys(), ...ofFoldlog.keys()])) {
    const row = { name, real: ofReal.get(name) ?? MISSING, foldlog: ofFoldlog.get(name) ?? MISSING };
    const isSame = row.real === row.foldlog;
    const isException = Object.hasOwn(exceptions, name);
    rows.push({ ...row, same: isSame ? 'yes' : isException ? 'exception' : 'no' });
    if (!isSame && !isException) problems.push(`${name}: real ${row.real}, foldlog ${row.foldlog}`);
    if (isSame && isException) problems.push(`${name} is named as an exception, but is the same`);
  }
  for (const { name, ok, observed } of real) {
    if (!ok) problems.push(`${name} failed against the control: ${canonical(observed)}`);
  }
  for (const name of Object.keys(exceptions)) {
    if (!ofReal.has(name) && !ofFoldlog.has(name)) problems.push(`the exception ${name} names no point`);
  }
  return { rows, problems, text: markdownTable(rows) };
}

/** Prints the table, and writes it to `<name>.md` in the folder that FOLDLOG_REPORTS names. */
export function reportPoints(name: string, comparison: PointComparison): void {
  process.stdout.write(`${comparison.text}\n`);
  const folder = process.env['FOLDLOG_REPORTS'];
  if (folder === undefined || folder === '') return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, `${name}.md`), `${comparison.text}\n`);
}

function byName(points: readonly Point[]): Map<string, string> {
  return new Map(points.map(({ name, ok, observed }) => [name, `${ok ? '' : 'FAILED '}${canonical(observed)}`]));
}

/** JSON with sorted keys: the order of a hash map is no behaviour. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, of]) => `${JSON.stringify(key)}:${canonical(of)}`).join(',')}}`;
}

function markdownTable(rows: readonly PointRow[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const lines = rows.map(({ name, real, foldlog, same }) => {
    const ofFoldlog = real === foldlog ? '=' : cell(foldlog);
    return `| ${cell(name)} | ${cell(real)} | ${ofFoldlog} | ${same} |`;
  });
  const sameCount = rows.filter(({ same }) => same === 'yes').length;
  return [
    '| point | real | foldlog | same |',
    '| --- | --- | --- | --- |',
    ...lines,
    '',
    `${sameCount} of ${rows.length} the same.`,
  ].join('\n');
}
