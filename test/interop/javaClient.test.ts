/**
 * The Java client 5.5.0 cannot tell foldlog from Apache RocketMQ: programs of our own (test/interop/java) do the same
 * against both, point by point, and what they observe is compared. The table goes to the output and, as java-client.md,
 * to the folder that FOLDLOG_REPORTS names. FOLDLOG_POINTS chooses points by a regular expression.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { compileJavaPoints, runJavaPoints } from './javaPoints.js';
import { startPointServers } from './pointServers.js';
import { comparePoints, type Point, reportPoints } from './pointTable.js';
import { whyNoJava } from './realRocketMq.js';

/** Points that may differ, and why; docs/compatibility.md says so too. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'pull with SQL92 that cannot be compiled': 'it is refused, not answered unfiltered',
  'offset beyond the end of a queue': 'a commit of it is refused, for the group would pass over messages',
  'form in which ROCKETMQ headers are answered': 'in that form; clients understand either',
  'broker configuration, names of the keys': 'keys of what is not in this version are not listed',
  'broker configuration, value that is not one': 'it is refused, not passed over',
  'configuration of the name server, names of the keys': 'keys of what is not in this version are not listed',
  'system topics': 'topics of consumption by POP and of acting masters are not made',
};

it('the Java client observes the same of foldlog as of Apache RocketMQ', { timeout: 600_000 }, async (context) => {
  const reason = whyNoJava();
  if (reason) context.skip(reason);
  const classPath = await compileJavaPoints();
  const chosen = process.env['FOLDLOG_POINTS'];
  const observe = async (kind: 'Apache RocketMQ' | 'foldlog'): Promise<Point[]> => {
    const servers = await startPointServers(kind);
    try {
      return await runJavaPoints(classPath, servers, chosen);
    } finally {
      await servers.remove();
    }
  };
  // One after the other: side by side they would slow each other down until times tell nothing.
  const real = await observe('Apache RocketMQ');
  const foldlog = await observe('foldlog');
  const comparison = comparePoints(real, foldlog, chosen === undefined ? EXCEPTIONS : onlyOf(EXCEPTIONS, real));
  reportPoints('java-client', comparison);
  expect(comparison.problems).toEqual([]);
});

it('docs/compatibility.md names every point of the Java client that differs', () => {
  const page = readFileSync(path.join(import.meta.dirname, '../../docs/compatibility.md'), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith('| Java,')) ?? '';
  expect([...row.matchAll(/`([^`]+)`:/g)].map(([, name]) => name).sort()).toEqual(Object.keys(EXCEPTIONS).sort());
});

function onlyOf(exceptions: typeof EXCEPTIONS, points: readonly Point[]): Record<string, string> {
  const names = new Set(points.map(({ name }) => name));
  return Object.fromEntries(Object.entries(exceptions).filter(([name]) => names.has(name)));
}
