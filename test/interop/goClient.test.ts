/**
 * RocketMQ's Go client cannot tell foldlog from Apache RocketMQ: a program of our own (test/interop/go) does the same
 * against both, point by point, and what it observes is compared. The table goes to the output and, as go-client.md, to
 * the folder that FOLDLOG_REPORTS names. FOLDLOG_POINTS chooses points by a regular expression.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { buildGoPoints, runGoPoints } from './goPoints.js';
import { startPointServers } from './pointServers.js';
import { comparePoints, type Point, reportPoints } from './pointTable.js';
import { whyNoJava } from './realRocketMq.js';

/** Points that may differ, and why; docs/compatibility.md says so too. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'admin.systemTopics': 'topics of consumption by POP, of acting masters and of RocksDB are not made',
  'filter.uncompilable': 'a pull whose own SQL does not compile is refused, not answered unfiltered',
  'pull.fewBytes': 'the bytes that a pull asks for are kept',
  remarks: 'texts for people: those of foldlog tell which limit was met',
};

it('the Go client observes the same of foldlog as of Apache RocketMQ', { timeout: 420_000 }, async (context) => {
  const reason = whyNoJava();
  if (reason) context.skip(reason);
  const built = await buildGoPoints();
  if ('missing' in built) return context.skip(built.missing);
  const chosen = process.env['FOLDLOG_POINTS'];
  const observe = async (kind: 'Apache RocketMQ' | 'foldlog'): Promise<Point[]> => {
    const servers = await startPointServers(kind);
    try {
      return await runGoPoints(built.program, servers, chosen);
    } finally {
      await servers.remove();
    }
  };
  // One after the other: side by side they would slow each other down until times tell nothing.
  const real = await observe('Apache RocketMQ');
  const foldlog = await observe('foldlog');
  const comparison =
    chosen === undefined
      ? comparePoints(real, foldlog, EXCEPTIONS)
      : comparePoints(withoutRemarks(real), withoutRemarks(foldlog), onlyOf(EXCEPTIONS, real));
  reportPoints('go-client', comparison);
  expect(comparison.problems).toEqual([]);
});

it('docs/compatibility.md names the version of the Go client and every point that differs', () => {
  const page = readFileSync(path.join(import.meta.dirname, '../../docs/compatibility.md'), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith('| Go,')) ?? '';
  const module = readFileSync(path.join(import.meta.dirname, 'go/go.mod'), 'utf8');
  const version = /rocketmq-client-go\/v2 (\S+)/.exec(module)?.[1];
  expect(row).toContain(`rocketmq-client-go/v2\` ${version} |`);
  expect([...row.matchAll(/`([a-z]+\.?[A-Za-z]*)`:/g)].map(([, name]) => name)).toEqual(Object.keys(EXCEPTIONS));
});

/** The remarks of a few points are no sample of the texts that differ. */
const withoutRemarks = (points: readonly Point[]) => points.filter(({ name }) => name !== 'remarks');

function onlyOf(exceptions: typeof EXCEPTIONS, points: readonly Point[]): Record<string, string> {
  const names = new Set(withoutRemarks(points).map(({ name }) => name));
  return Object.fromEntries(Object.entries(exceptions).filter(([name]) => names.has(name)));
}
