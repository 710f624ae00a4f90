/**
 * A process of its own: writes the statements to a file, one JSON line each. The package takes ten times the memory of
 * what intake wants from it, and gives it back when this process ends.
 *
 *     node --import tsx examples/baseline-watch/extract.ts FILE [EVERY]
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { readStatements } from './statements.js';

const LINES_AT_ONCE = 5_000;

const [file = '', every = '1'] = process.argv.slice(2);
const statements = readStatements(Number(every));
const output = openSync(file, 'w');
for (let from = 0; from < statements.length; from += LINES_AT_ONCE) {
  const lines = statements.slice(from, from + LINES_AT_ONCE).map((statement) => `${JSON.stringify(statement)}\n`);
  writeSync(output, lines.join(''));
}
closeSync(output);
process.send?.(statements.length);
