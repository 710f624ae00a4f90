/**
 * Text of Java properties files (`broker.conf`, `namesrv.conf`, the bodies of the configuration requests): read with
 * the line number of each key, so that an error can name the place, and written as `key=value` lines.
 * The grammar is `dot-properties`'; Java's `Properties.load` reads the same.
 */
import { type Node, type Pair, parseLines, stringify } from 'dot-properties';

export interface Property {
  key: string;
  value: string;
  /** Line of the key, from 1. */
  line: number;
}

/** The pairs of a properties text, in order; a key that stands twice comes twice. Blanks at a value's end are cut. */
export function parseProperties(text: string): Property[] {
  const properties: Property[] = [];
  let line = 1;
  let counted = 0;
  for (const node of parseLines(text, true)) {
    if (!isPair(node)) continue;
    const start = node.range?.[0] ?? counted;
    for (; counted < start; counted++) if (isLineEnd(text, counted)) line++;
    properties.push({ key: node.key, value: node.value.trimEnd(), line });
  }
  return properties;
}

/** `key=value` lines in the given order, non-Latin-1 characters escaped, as Java writes and reads them. */
export function writeProperties(pairs: Iterable<readonly [string, string | number | boolean]>): string {
  const lines = Array.from(pairs, ([key, value]) => [key, String(value)]);
  if (lines.length === 0) return '';
  return `${stringify(lines, { keySep: '=', lineWidth: null, newline: '\n' })}\n`;
}

/**
 * The text with other values: each key that stands in it has its new value where it stood, the others are added at the
 * end. Comments and order stay.
 */
export function replaceProperties(text: string, values: ReadonlyMap<string, string>): string {
  const missing = new Map(values);
  let replaced = '';
  let at = 0;
  for (const node of parseLines(text, true)) {
    const [start, , , end] = node.range ?? [];
    const value = isPair(node) ? values.get(node.key) : undefined;
    if (!isPair(node) || value === undefined || start === undefined || end === undefined) continue;
    missing.delete(node.key);
    replaced += text.slice(at, start) + writeProperties([[node.key, value]]).trimEnd();
    at = end;
  }
  replaced += text.slice(at);
  const isWhole = replaced === '' || replaced.endsWith('\n');
  return replaced + (isWhole || missing.size === 0 ? '' : '\n') + writeProperties(missing);
}

function isPair(node: Node): node is Pair {
  return node.type === 'PAIR';
}

// A carriage return counts unless a line feed follows, which then counts for both.
function isLineEnd(text: string, at: number): boolean {
  return text[at] === '\n' || (text[at] === '\r' && text[at + 1] !== '\n');
}
