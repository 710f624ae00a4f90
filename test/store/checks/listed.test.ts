// Every check has a test whose title begins with its number: `check 12: …`, `checks 3 and 4: …`, `check 5, differs from
// RocketMQ: …`. This test reads the titles of all tests and says which numbers are missing.
import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

const CHECKS = 74;
/** Checks without a test, and why. */
const WITHOUT_TEST: Readonly<Record<number, string>> = {
  72: 'a slave whose log equals the master byte by byte: there is no replication',
};

/** A text that begins with numbers of checks. */
const TITLE = /['"`]checks? (\d+(?:(?:, | and )\d+)*)\b/g;

function numbersIn(directory: string): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const entry of fs.readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.test.ts')) continue;
    const text = fs.readFileSync(path.join(entry.parentPath, entry.name), 'utf8');
    for (const [, numbers = ''] of text.matchAll(TITLE)) {
      for (const number of numbers.split(/, | and /).map(Number)) {
        found.set(number, [...(found.get(number) ?? []), entry.name]);
      }
    }
  }
  return found;
}

it('every check from 1 to 74 has a test, or a reason for having none', () => {
  const found = numbersIn(path.join(import.meta.dirname, '../..'));
  const all = Array.from({ length: CHECKS }, (_, index) => index + 1);
  expect(all.filter((number) => !found.has(number) && WITHOUT_TEST[number] === undefined)).toEqual([]);
  expect([...found.keys()].filter((number) => number < 1 || number > CHECKS)).toEqual([]);
  // A reason does not outlive its cause.
  expect(Object.keys(WITHOUT_TEST).filter((number) => found.has(Number(number)))).toEqual([]);
});
