// The store against a model, on a simulated disk and clock, run by run from seeds: two processes share the seeds.
// SIM_RUNS runs (10,000 in .ci/run, 200 elsewhere) after SIM_FROM, or the one run of SIM_SEED. What was met is printed as a table;
// nothing that a store can meet may be missing in a full set of runs.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Coverage, type CoverageCounts, coverageTable, missing } from './coverage.js';
import { runSeed } from './runSeeds.js';

/** `.ci/run` names where reports go. */
const RUNS = Number(process.env['SIM_RUNS'] ?? (process.env['FOLDLOG_REPORTS'] ? 10_000 : 200));
const FROM = Number(process.env['SIM_FROM'] ?? 0);
const ONE_SEED = process.env['SIM_SEED'];
const SHARDS = 2;
/** Below this many runs chance alone leaves gaps. */
const FULL_RUNS = 10_000;
const TIMEOUT_MILLIS = 60_000 + RUNS * 200;

interface ShardReport {
  counts: CoverageCounts;
  failure?: string;
}

function runShard(from: number, to: number): Promise<ShardReport> {
  const shard = path.join(import.meta.dirname, 'shard.ts');
  // Runs leave many small buffers behind: a large nursery saves collections.
  const flags = ['--max-semi-space-size=64', '--import', 'tsx'];
  const child = spawn(process.execPath, [...flags, shard, String(from), String(to)], {
    cwd: path.resolve(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const line = stdout.trim().split('\n').at(-1) ?? '';
      if (code === 0 && line.startsWith('{')) resolve(JSON.parse(line) as ShardReport);
      else reject(new Error(`the runs from ${from} to ${to} ended with ${code}: ${stderr}`));
    });
  });
}

describe('a store that is killed, loses power, meets failing and full disks, at every change of the disk', () => {
  if (ONE_SEED !== undefined) {
    it(`keeps its promises in run ${ONE_SEED}`, () => runSeed(Number(ONE_SEED), new Coverage()));
    return;
  }

  it(
    `keeps its promises in ${RUNS} runs`,
    async () => {
      const perShard = Math.ceil(RUNS / SHARDS);
      const reports = await Promise.all(
        Array.from({ length: SHARDS }, (_, index) => {
          const from = FROM + index * perShard + 1;
          return runShard(from, Math.min(FROM + RUNS, from + perShard - 1));
        }),
      );
      for (const { failure } of reports) if (failure) throw new Error(failure);
      const coverage = new Coverage();
      for (const { counts } of reports) coverage.add(counts);
      console.info(coverageTable(coverage));
      if (RUNS >= FULL_RUNS) expect(missing(coverage)).toEqual([]);
    },
    TIMEOUT_MILLIS,
  );
});
