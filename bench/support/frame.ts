/**
 * The frame of every benchmark: arguments, rounds, medians, a table for people or JSON for machines.
 *
 * A figure is the median of its rounds, with the best round beside it: on a machine that others use, too, the best
 * round and the CPU time per operation (user and system, of the whole process) say more than the median rate.
 * Rounds of figures that are to be compared take turns, so that a slow minute of the machine meets them all.
 */
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { TemporaryDirectories } from './temporary.js';

export interface Work<Prepared> {
  name: string;
  /** Operations of one round. */
  count: number;
  /** Bytes that one operation moves, where that means something. */
  bytesPerOperation?: number;
  /** What a round needs, made before its time begins. */
  prepare?: (count: number) => Prepared | Promise<Prepared>;
  run: (prepared: Prepared, count: number) => void | Promise<void>;
  /** Ran once, after the last round. */
  end?: () => void | Promise<void>;
  remark?: string | (() => string);
}

export interface Figure {
  name: string;
  rounds: number;
  countPerRound: number;
  perSecond: number;
  bestPerSecond: number;
  microsPerOperation: number;
  cpuMicrosPerOperation: number;
  /** Of the round that took least. */
  bestCpuMicrosPerOperation: number;
  mebibytesPerSecond?: number;
  remark?: string;
}

export interface Fact {
  name: string;
  value: number;
  unit: string;
  remark?: string;
}

export interface Target {
  text: string;
  reached: string;
  isMet: boolean;
}

interface Options {
  json: boolean;
  quick: boolean;
  rounds: number;
  dir: string | undefined;
}

/** Runs a benchmark as the program: prints what it found, removes its directories, also when it is interrupted. */
export async function question(title: string, body: (bench: Bench) => Promise<void>): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      dir: { type: 'string' },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 3 : 7));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds is ${values.rounds}: give a whole number from 1`);
  const bench = new Bench(title, { json: values.json, quick: values.quick, rounds, dir: values.dir });
  try {
    await body(bench);
  } finally {
    bench.directories.removeAll();
  }
  bench.print();
}

export class Bench {
  readonly title: string;
  readonly directories: TemporaryDirectories;
  readonly #options: Options;
  readonly #figures: Figure[] = [];
  readonly #facts: Fact[] = [];
  readonly #targets: Target[] = [];

  constructor(title: string, options: Options) {
    this.title = title;
    this.#options = options;
    this.directories = new TemporaryDirectories(options.dir);
  }

  /** Operations of a round: a tenth of them with --quick. */
  scaled(count: number): number {
    return this.#options.quick ? Math.max(1, Math.round(count / 10)) : count;
  }

  get isQuick(): boolean {
    return this.#options.quick;
  }

  /** Measures one kind of work. */
  async measure<Prepared>(work: Work<Prepared>): Promise<Figure> {
    const [figure] = await this.compare([work as Work<unknown>]);
    if (!figure) throw new Error('one kind of work has one figure');
    return figure;
  }

  /** Measures several kinds of work in alternating rounds, after a round of each to warm up. */
  async compare(works: readonly Work<unknown>[]): Promise<Figure[]> {
    const rounds: Round[][] = works.map(() => []);
    for (let round = -1; round < this.#options.rounds; round += 1) {
      for (const [index, work] of works.entries()) {
        this.#progress(`${work.name}, ${round < 0 ? 'warm-up' : `round ${round + 1} of ${this.#options.rounds}`}`);
        const measured = await oneRound(work);
        if (round >= 0) rounds[index]?.push(measured);
      }
    }
    const figures: Figure[] = [];
    for (const [index, work] of works.entries()) {
      await work.end?.();
      figures.push(figureOf(work, rounds[index] ?? []));
    }
    this.#figures.push(...figures);
    return figures;
  }

  fact(name: string, value: number, unit: string, remark?: string): void {
    this.#facts.push({ name, value, unit, ...(remark !== undefined && { remark }) });
  }

  target(text: string, reached: string, isMet: boolean): void {
    this.#targets.push({ text, reached, isMet });
  }

  print(): void {
    this.#progress('');
    const { title } = this;
    const machine = { node: process.version, platform: process.platform, arch: process.arch };
    if (this.#options.json) {
      const found = { title, machine, figures: this.#figures, facts: this.#facts, targets: this.#targets };
      process.stdout.write(`${JSON.stringify(found)}\n`);
      return;
    }
    process.stdout.write(`${title}\n${tableOf(this.#figures, this.#facts, this.#targets)}\n`);
  }

  /** One line on a terminal that the next one replaces. */
  #progress(text: string): void {
    if (!process.stderr.isTTY) return;
    process.stderr.write(`\r\u001b[K${text}`);
  }
}

interface Round {
  millis: number;
  cpuMicros: number;
}

async function oneRound(work: Work<unknown>): Promise<Round> {
  const prepared = await work.prepare?.(work.count);
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work.run(prepared, work.count);
  const millis = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { millis, cpuMicros: user + system };
}

function figureOf(work: Work<unknown>, rounds: readonly Round[]): Figure {
  const { name, count, bytesPerOperation } = work;
  const millis = median(rounds.map((round) => round.millis));
  const best = Math.min(...rounds.map((round) => round.millis));
  const remark = typeof work.remark === 'function' ? work.remark() : work.remark;
  const perSecond = (count / millis) * 1000;
  return {
    name,
    rounds: rounds.length,
    countPerRound: count,
    perSecond,
    bestPerSecond: (count / best) * 1000,
    microsPerOperation: (millis * 1000) / count,
    cpuMicrosPerOperation: median(rounds.map((round) => round.cpuMicros)) / count,
    bestCpuMicrosPerOperation: Math.min(...rounds.map((round) => round.cpuMicros)) / count,
    ...(bytesPerOperation !== undefined && { mebibytesPerSecond: (perSecond * bytesPerOperation) / 1024 / 1024 }),
    ...(remark !== undefined && { remark }),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

function tableOf(figures: readonly Figure[], facts: readonly Fact[], targets: readonly Target[]): string {
  const parts: string[] = [];
  if (figures.length > 0) {
    const head = ['', 'per second', 'best', 'us each', 'CPU us each', 'best', 'MiB/s', ''];
    const table = plainTable(head, ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'left']);
    for (const figure of figures) {
      table.push([
        figure.name,
        number(figure.perSecond),
        number(figure.bestPerSecond),
        number(figure.microsPerOperation),
        number(figure.cpuMicrosPerOperation),
        number(figure.bestCpuMicrosPerOperation),
        figure.mebibytesPerSecond === undefined ? '' : number(figure.mebibytesPerSecond),
        figure.remark ?? '',
      ]);
    }
    parts.push(table.toString());
  }
  if (facts.length > 0) {
    const table = plainTable(['', '', '', ''], ['left', 'right', 'left', 'left']);
    for (const { name, value, unit, remark } of facts) table.push([name, number(value), unit, remark ?? '']);
    parts.push(table.toString());
  }
  for (const { text, reached, isMet } of targets) parts.push(`${isMet ? 'reached' : 'MISSED '}  ${text}: ${reached}`);
  return parts.join('\n');
}

function plainTable(head: string[], colAligns: ('left' | 'right')[]): InstanceType<typeof Table> {
  return new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
}

/** Three digits that count, thousands apart. */
export function number(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
