/**
 * How does foldlog's broker compare with Apache RocketMQ 5.5.0 under the same Java client, on the same disk, in one run?
 *
 * Both brokers are there at once, on directories side by side; whoever is not measured is stopped. Samples alternate in
 * pairs after a warm-up of each kind of work on each side. Beside each rate stands the CPU time that servers and client
 * took for a message: on a machine that others use, too, it is the steadier witness.
 *
 * Wants Linux, Java 17 with javac, Maven, and `npm run build`.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BenchClient, type Sample } from './support/benchClient.js';
import { type BrokerRow, brokerRows } from './support/brokerRows.js';
import { type BrokerKind, type FlushKind, RunningBroker } from './support/brokers.js';
import { comparisonTable, failureLine, type Line, limitLine, linesOf, type Pair } from './support/comparison.js';
import { idleLines, startLines, transactOnAll, WhileIdle } from './support/resources.js';
import { TemporaryDirectories } from './support/temporary.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    /** Ids of rows, or how they begin, separated by commas; also `start` and `resources`. */
    rows: { type: 'string' },
    pairs: { type: 'string' },
    dir: { type: 'string' },
    /** The `main.js` of another build. */
    main: { type: 'string' },
  },
});
const pairCount = Number(values.pairs ?? (values.quick ? 2 : 5));
if (!Number.isInteger(pairCount) || pairCount < 1)
  throw new Error(`--pairs is ${values.pairs}: give a whole number from 1`);
const LEAD_SECONDS = values.quick ? 0.5 : 1;
const SAMPLE_SECONDS = values.quick ? 2 : 5;
/** Of each kind of work. The JVM of the broker needs it; the client runs through all of it. */
const WARM_UP_SECONDS: Readonly<Record<BrokerKind, number>> = values.quick
  ? { 'Apache RocketMQ': 3, foldlog: 1, 'bare server': 1 }
  : { 'Apache RocketMQ': 15, foldlog: 5, 'bare server': 5 };
const IDLE_SECONDS = values.quick ? 5 : 15;

const wanted = values.rows?.split(',') ?? [''];
const isWanted = (id: string): boolean => wanted.some((beginning) => id.startsWith(beginning));
const rows = brokerRows(values.quick).filter((row) => isWanted(row.id));

const directories = new TemporaryDirectories(values.dir);
const home = directories.make();
const lines: Line[] = [];
const samples: Record<string, Pair[]> = {};
try {
  const client = await BenchClient.start(directories.make());
  process.once('exit', () => client.kill());
  if (isWanted('start')) await measureStart(client);
  const wantsResources = isWanted('resources');
  for (const flush of ['ASYNC_FLUSH', 'SYNC_FLUSH'] as const) {
    const own = rows.filter((row) => row.flush === flush);
    const isIdleMeasured = wantsResources && flush === 'ASYNC_FLUSH';
    if (own.length > 0 || isIdleMeasured) await measure(client, flush, own, isIdleMeasured);
  }
  client.kill();
} finally {
  directories.removeAll();
}
print();

/** Both brokers with one kind of flush, and all work that wants it. */
async function measure(client: BenchClient, flush: FlushKind, own: BrokerRow[], withResources: boolean): Promise<void> {
  const start = (kind: BrokerKind, name: string) =>
    RunningBroker.start(kind, { flush, directory: path.join(home, flush, name), main: values.main });
  progress(`starting both brokers, ${flush}`);
  const apache = await start('Apache RocketMQ', 'apache');
  const foldlog = await start('foldlog', 'foldlog');
  const idle = new WhileIdle({ foldlog, apache, seconds: IDLE_SECONDS, progress });
  if (withResources) lines.push(...idleLines('idle after the start', await idle.measure()));
  for (const broker of [apache, foldlog]) broker.pause();
  const filled = new Set<string>();
  for (const row of own) {
    const { fill } = row;
    if (fill && !filled.has(fill.topic)) {
      filled.add(fill.topic);
      for (const broker of [apache, foldlog]) await fillTopic(client, broker, row);
    }
    const bare = row.hasLimit ? await start('bare server', 'bare') : undefined;
    bare?.pause();
    try {
      await compare(client, row, { foldlog, apache, bare });
    } catch (thrown) {
      // The other rows are worth their time all the same.
      lines.push(failureLine(row.title, thrown));
      for (const broker of [apache, foldlog, bare]) broker?.pause();
      process.exitCode = 1;
    }
    await bare?.kill();
  }
  for (const broker of [apache, foldlog]) broker.resume();
  if (withResources) {
    lines.push(...idleLines('idle after the work above', await idle.measure(), true));
    await transactOnAll(client, [apache, foldlog], values.quick ? 20 : 100);
    lines.push(...idleLines('idle after transactions', await idle.measure()));
  }
  for (const broker of [apache, foldlog]) {
    await client.ask('leave', { ns: broker.nameServer });
    await broker.kill();
    directories.remove(path.join(home, flush, broker === apache ? 'apache' : 'foldlog'));
  }
}

async function fillTopic(client: BenchClient, broker: RunningBroker, { fill }: BrokerRow): Promise<void> {
  if (!fill) return;
  progress(`${broker.kind}: ${fill.count} messages into ${fill.topic}`);
  broker.resume();
  await client.ask('fill', { ns: broker.nameServer, ...fill, body: 128 });
  // The index of the other broker is made in the background.
  await sleep(2000);
  broker.pause();
}

interface Compared {
  foldlog: RunningBroker;
  apache: RunningBroker;
  bare: RunningBroker | undefined;
}

async function compare(client: BenchClient, row: BrokerRow, { foldlog, apache, bare }: Compared): Promise<void> {
  for (const broker of [apache, foldlog, bare]) {
    if (!broker) continue;
    progress(`${row.title}: ${broker.kind} warms up`);
    await sampleOf(client, row, broker, WARM_UP_SECONDS[broker.kind]);
  }
  const pairs: Pair[] = [];
  const limits: { foldlog: Sample; bare: Sample }[] = [];
  for (let index = 0; index < pairCount; index += 1) {
    progress(`${row.title}: pair ${index + 1} of ${pairCount}`);
    // Neither is always the first.
    const first = index % 2 === 0 ? foldlog : apache;
    const one = await sampleOf(client, row, first);
    const other = await sampleOf(client, row, first === foldlog ? apache : foldlog);
    const pair = first === foldlog ? { foldlog: one, apache: other } : { foldlog: other, apache: one };
    pairs.push(pair);
    if (bare) limits.push({ foldlog: pair.foldlog, bare: await sampleOf(client, row, bare) });
  }
  samples[row.id] = pairs;
  lines.push(...linesOf(row.title, pairs, row.targets));
  if (bare) lines.push(limitLine(row.title, limits, row.limit));
}

async function sampleOf(
  client: BenchClient,
  row: BrokerRow,
  broker: RunningBroker,
  seconds = SAMPLE_SECONDS,
): Promise<Sample> {
  broker.resume();
  const time = row.hasOwnPace ? {} : { lead: LEAD_SECONDS, seconds };
  const about = { ns: broker.nameServer, pids: broker.pids.join(','), ...row.options, ...time };
  const sample = await client.ask(row.command, about);
  broker.pause();
  return sample;
}

async function measureStart(client: BenchClient): Promise<void> {
  // The first one warms the client up.
  const found = [];
  for (let index = -1; index < pairCount; index += 1) {
    progress(`start to first acknowledged send: ${index < 0 ? 'warm-up' : `pair ${index + 1} of ${pairCount}`}`);
    const pair = [];
    for (const kind of ['foldlog', 'Apache RocketMQ'] as const) {
      const directory = path.join(home, `start-${index}-${kind.slice(0, 6)}`);
      const broker = await RunningBroker.start(kind, {
        flush: 'ASYNC_FLUSH',
        directory,
        isHasty: true,
        main: values.main,
      });
      await client.ask('first', { ns: broker.nameServer });
      pair.push({ wallMillis: broker.ageMillis(), cpuMillis: broker.use().cpuMillis });
      await broker.kill();
      directories.remove(directory);
    }
    const [foldlog, apache] = pair;
    if (index >= 0 && foldlog && apache) found.push({ foldlog, apache });
  }
  lines.push(...startLines(found));
}

/** One line on a terminal that the next one replaces. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

function print(): void {
  progress('');
  const title = `foldlog and Apache RocketMQ 5.5.0, Java client, ${pairCount} pairs${values.quick ? ', --quick: to see that it runs, not to measure' : ''}`;
  if (values.json) {
    const machine = { node: process.version, platform: process.platform, arch: process.arch };
    const isQuick = values.quick;
    process.stdout.write(`${JSON.stringify({ title, machine, isQuick, pairs: pairCount, lines, samples })}\n`);
  } else process.stdout.write(`${title}\n${comparisonTable(lines)}\n`);
}
