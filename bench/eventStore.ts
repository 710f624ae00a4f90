/**
 * How does foldlog's event store compare with emmett's on SQLite and on PostgreSQL: the same work, as durable (SYNC_FLUSH,
 * synchronous=FULL, synchronous_commit=on), on the same disk, in one run?
 *
 * Each side is a process of its own; whoever is not asked has nothing to do. Samples take turns after a warm-up of each
 * kind of work; a ratio is the median of the pairwise ratios. Beside each rate stands the CPU time of an operation, that of
 * the PostgreSQL server included: on a machine that others use, too, it is the steadier witness.
 *
 * Wants `npm run build`, `npm ci --prefix bench/emmett` and PostgreSQL's programs (initdb, postgres), else foldlog is measured alone, or
 * beside SQLite.
 */
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { type PostgresServer, startPostgresServer } from '../test/support/postgresServer.js';
import type { AppendWork, LoadWork, Sample } from './support/comparedStore.js';
import {
  COUNT_TARGET,
  type EventStoreRow,
  eventStoreRows,
  GROUP_SHARE,
  type RatioTargets,
  REBUILD_TARGET,
} from './support/eventStoreRows.js';
import { median, number } from './support/frame.js';
import { bareGroupCommit } from './support/machine.js';
import type { SideName } from './support/storeSide.js';
import { StoreSide } from './support/storeSides.js';
import { TemporaryDirectories } from './support/temporary.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    /** Ids of rows, or how they begin, separated by commas; also `rebuild` and `count`. */
    rows: { type: 'string' },
    /** Sides, separated by commas. */
    sides: { type: 'string', default: 'foldlog,sqlite,postgresql' },
    pairs: { type: 'string' },
    dir: { type: 'string' },
  },
});
const pairCount = Number(values.pairs ?? (values.quick ? 2 : 5));
if (!Number.isInteger(pairCount) || pairCount < 1)
  throw new Error(`--pairs is ${values.pairs}: give a whole number from 1`);
const SAMPLE_MILLIS = values.quick ? 1_000 : 5_000;
const WARM_UP_MILLIS = values.quick ? 1_000 : 15_000;
const LOG_EVENTS = values.quick ? 200_000 : 1_000_000;
/** A stored event of this benchmark, with its properties. */
const RECORD_BYTES = 400;
const GROUPS = values.quick ? 200 : 1_000;

const TITLES: Readonly<Record<SideName, string>> = {
  foldlog: 'foldlog',
  sqlite: 'emmett, SQLite',
  postgresql: 'emmett, PostgreSQL',
};
const PEERS = ['sqlite', 'postgresql'] as const;
type Peer = (typeof PEERS)[number];

interface Line {
  work: string;
  measure: string;
  side: SideName | 'bare group commit';
  value: number;
  unit: string;
  /** foldlog : this. */
  ratio?: number;
  target?: string;
  isMet?: boolean;
}

type Round = Partial<Record<SideName, Sample>>;

const perSecond = ({ count, millis }: Sample): number => (count / millis) * 1000;
const cpuMicros = ({ count, cpuMillis }: Sample): number => (cpuMillis * 1000) / count;

const wantedRows = values.rows?.split(',') ?? [''];
const isWanted = (id: string): boolean => wantedRows.some((beginning) => id.startsWith(beginning));
const directories = new TemporaryDirectories(values.dir);
const home = directories.make();
const lines: Line[] = [];
const rounds: Record<string, Round[]> = {};
let server: PostgresServer | undefined;
try {
  const sides = await startSides();
  let serial = 0;
  for (const row of eventStoreRows(values.quick).filter(({ id }) => isWanted(id)))
    await compare(sides, row, () => ++serial);
  if (isWanted('rebuild') || isWanted('count')) await onLog(sides);
  for (const side of sides) await side.close();
} finally {
  await server?.stop();
  directories.removeAll();
}
print();

async function startSides(): Promise<StoreSide[]> {
  const names = values.sides.split(',') as SideName[];
  const sides: StoreSide[] = [];
  for (const name of names) {
    if (!(name in TITLES)) throw new Error(`--sides: ${name} is none of ${Object.keys(TITLES).join(', ')}`);
    if (name !== 'foldlog' && !existsSync(path.join(import.meta.dirname, 'emmett/node_modules'))) {
      process.stderr.write(`${TITLES[name]} is left out: npm ci --prefix bench/emmett installs it\n`);
      continue;
    }
    progress(`starting ${TITLES[name]}`);
    const directory = path.join(home, name);
    mkdirSync(directory);
    if (name === 'postgresql')
      server = await startPostgresServer({ durable: true, settings: { shared_buffers: '128MB' } });
    sides.push(await StoreSide.start(name, directory, name === 'postgresql' ? server?.url : undefined));
  }
  return sides;
}

async function compare(sides: readonly StoreSide[], row: EventStoreRow, nextSerial: () => number): Promise<void> {
  const { id, title, work: rowWork, groupOf } = row;
  const workOf = (): AppendWork | LoadWork =>
    rowWork.kind === 'append' ? { ...rowWork, prefix: `order-${nextSerial()}` } : rowWork;
  for (const side of sides) {
    progress(`${title}: ${TITLES[side.name]} warms up`);
    if (rowWork.kind === 'load') await side.ask({ does: 'fill', work: rowWork });
    await side.sample({ does: 'sample', work: workOf(), millis: WARM_UP_MILLIS });
  }
  const bare: number[] = [];
  const found = await roundsOf(title, sides, async (side) => {
    if (side.name === 'foldlog' && groupOf !== undefined) bare.push(await groupCommitsPerSecond(groupOf));
    return side.sample({ does: 'sample', work: workOf(), millis: SAMPLE_MILLIS });
  });
  rounds[id] = found;
  const limit = bare.length > 0 ? median(bare) : undefined;
  addLines(title, found, { sqlite: row.sqlite, postgresql: row.postgresql }, limit);
}

/** What only needs the log of many events: it is made once. */
async function onLog(sides: readonly StoreSide[]): Promise<void> {
  const events = LOG_EVENTS;
  const eventsText = events.toLocaleString('en-US');
  const wanted = isWanted('rebuild') ? sides : sides.filter(({ name }) => name === 'foldlog');
  for (const side of wanted) {
    progress(`${TITLES[side.name]}: ${eventsText} events are appended`);
    await side.ask({ does: 'fillLog', events });
  }
  if (isWanted('rebuild')) {
    const title = `rebuild a projection over ${eventsText} events`;
    const found = await roundsOf(title, sides, (side) => side.sample({ does: 'rebuild', events }));
    rounds['rebuild'] = found;
    addLines(title, found, { sqlite: REBUILD_TARGET, postgresql: REBUILD_TARGET });
  }
  const foldlog = sides.find(({ name }) => name === 'foldlog');
  if (!isWanted('count') || !foldlog) return;
  const title = `a projection that only counts, ${eventsText} events`;
  const found = await roundsOf(title, [foldlog], (side) => side.sample({ does: 'count', events }));
  rounds['count'] = found;
  addLines(title, found, {});
  const rate = lines.findLast(({ work, measure }) => work === title && measure === 'rate');
  if (rate) Object.assign(rate, { target: `>= ${number(COUNT_TARGET)}`, isMet: rate.value >= COUNT_TARGET });
}

async function roundsOf(
  title: string,
  sides: readonly StoreSide[],
  sample: (side: StoreSide) => Promise<Sample>,
): Promise<Round[]> {
  const found: Round[] = [];
  for (let index = 0; index < pairCount; index += 1) {
    const round: Round = {};
    // None is always the first.
    for (const side of index % 2 === 0 ? sides : sides.toReversed()) {
      progress(`${title}: ${TITLES[side.name]}, round ${index + 1} of ${pairCount}`);
      try {
        round[side.name] = await sample(side);
      } catch (thrown) {
        // The other sides and rows are worth their time all the same.
        process.stderr.write(`${title}: ${thrown instanceof Error ? thrown.message : thrown}\n`);
        process.exitCode = 1;
      }
    }
    found.push(round);
  }
  return found;
}

function addLines(
  work: string,
  found: readonly Round[],
  targets: Partial<Record<Peer, RatioTargets | undefined>>,
  groupCommits?: number,
): void {
  for (const [measure, unit, of] of [
    ['rate', '/s', perSecond],
    ['CPU', 'us each', cpuMicros],
  ] as const) {
    const own = valuesOf(found, 'foldlog', of);
    if (own.length > 0) lines.push({ work, measure, unit, side: 'foldlog', value: median(own) });
    if (measure === 'rate' && groupCommits !== undefined && own.length > 0) {
      const ratio = median(own) / groupCommits;
      lines.push({ work, measure, unit, side: 'bare group commit', value: groupCommits, ratio });
    }
    for (const side of PEERS) {
      const its = valuesOf(found, side, of);
      if (its.length === 0) continue;
      const line: Line = { work, measure, unit, side, value: median(its) };
      const ratios = found.flatMap(({ foldlog, [side]: other }) => (foldlog && other ? [of(foldlog) / of(other)] : []));
      if (ratios.length > 0) line.ratio = median(ratios);
      const { rate, cpu } = targets[side] ?? {};
      const { ratio = Number.NaN } = line;
      if (measure === 'rate' && rate !== undefined) {
        const isNearLimit =
          side === 'postgresql' && groupCommits !== undefined && median(own) >= GROUP_SHARE * groupCommits;
        line.target = `>= ${rate}`;
        line.isMet = ratio >= rate || isNearLimit;
      }
      if (measure === 'CPU' && cpu !== undefined) {
        line.target = `<= 1/${Math.round(1 / cpu)}`;
        line.isMet = ratio <= cpu;
      }
      lines.push(line);
    }
  }
}

function valuesOf(found: readonly Round[], side: SideName, of: (sample: Sample) => number): number[] {
  return found.flatMap((round) => {
    const sample = round[side];
    return sample ? [of(sample)] : [];
  });
}

/** Records a second that one fdatasync for so many of them allows. */
async function groupCommitsPerSecond(inFlight: number): Promise<number> {
  const count = GROUPS * inFlight;
  const work = bareGroupCommit(home, RECORD_BYTES, inFlight, count);
  const startedAt = performance.now();
  await work.run(undefined, count);
  const millis = performance.now() - startedAt;
  await work.end?.();
  return (count / millis) * 1000;
}

/** One line on a terminal that the next one replaces. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

function print(): void {
  progress('');
  const title = `foldlog and emmett, ${pairCount} rounds${values.quick ? ', --quick: to see that it runs, not to measure' : ''}`;
  if (values.json) {
    const machine = { node: process.version, platform: process.platform, arch: process.arch };
    process.stdout.write(
      `${JSON.stringify({ title, machine, isQuick: values.quick, pairs: pairCount, lines, rounds })}\n`,
    );
    return;
  }
  const table = new Table({
    head: ['', '', '', '', 'ratio', 'target', ''],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  });
  let before = '';
  for (const { work, measure, unit, side, value, ratio, target, isMet } of lines) {
    table.push([
      work === before ? '' : work,
      `${measure}, ${unit}`,
      side === 'bare group commit' ? side : TITLES[side],
      number(value),
      ratio === undefined ? '' : ratio.toFixed(ratio < 0.1 ? 3 : 2),
      target ?? '',
      isMet === undefined ? '' : isMet ? 'met' : 'NOT MET',
    ]);
    before = work;
  }
  process.stdout.write(`${title}\n${table.toString()}\n`);
}
