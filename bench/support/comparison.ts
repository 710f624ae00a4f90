/**
 * What pairs of samples say: a figure of each side is the median of its samples, a ratio the median of the pairwise
 * ratios, and a target is met by that ratio. Printed as one table: a line per measure, a group of lines per kind of work.
 */
import Table from 'cli-table3';
import type { Sample } from './benchClient.js';
import type { RowTargets } from './brokerRows.js';
import { median, number } from './frame.js';

export interface Line {
  work: string;
  measure: string;
  unit: string;
  foldlog: number;
  apache: number | undefined;
  /** foldlog : Apache RocketMQ. */
  ratio: number | undefined;
  target?: string;
  isMet?: boolean;
  remark?: string;
}

export interface Pair {
  foldlog: Sample;
  apache: Sample;
}

const CORES = 2;
/** The JSON form has all of it. */
const REMARK_MAX = 70;

const perSecond = (sample: Sample): number => (sample.count / sample.millis) * 1000;
const serverMicros = (sample: Sample): number => (sample.serverCpuMillis * 1000) / sample.count;
const clientMicros = (sample: Sample): number => (sample.clientCpuMillis * 1000) / sample.count;
const busyCores = (sample: Sample): number => (sample.serverCpuMillis + sample.clientCpuMillis) / sample.millis;

export function linesOf(work: string, pairs: readonly Pair[], targets: RowTargets): Line[] {
  const line = (measure: string, unit: string, of: (sample: Sample) => number): Line => ({
    work,
    measure,
    unit,
    foldlog: median(pairs.map(({ foldlog }) => of(foldlog))),
    apache: median(pairs.map(({ apache }) => of(apache))),
    ratio: median(pairs.map(({ foldlog, apache }) => of(foldlog) / of(apache))),
  });
  const rate = line('rate', '/s', perSecond);
  const serverCpu = atMost(line('server CPU', 'us each', serverMicros), targets.serverCpu);
  const clientCpu = line('client CPU', 'us each', clientMicros);
  const lines = [targets.rate === undefined ? rate : rateLine(rate, targets.rate, clientCpu), serverCpu, clientCpu];
  if (pairs.every(({ foldlog }) => foldlog.p99Millis >= 0)) {
    const p99 = line('p99', 'ms', (sample) => sample.p99Millis);
    lines.push(line('p50', 'ms', (sample) => sample.p50Millis));
    lines.push(targets.p99 === undefined ? p99 : atMost(p99, targets.p99));
  }
  const failed = line('failed', '', (sample) => sample.failed);
  lines.push(line('cores busy', 'server + client', busyCores));
  if (failed.foldlog > 0 || (failed.apache ?? 0) > 0 || targets.rate === undefined) {
    const sum = (of: (pair: Pair) => Sample) => pairs.reduce((total, pair) => total + of(pair).failed, 0);
    const foldlog = sum((pair) => pair.foldlog);
    const first = pairs.map(({ foldlog, apache }) => foldlog.firstError ?? apache.firstError).find((error) => error);
    lines.push({
      ...failed,
      foldlog,
      apache: sum((pair) => pair.apache),
      ratio: undefined,
      target: 'none',
      isMet: foldlog === 0,
      ...(first !== undefined && { remark: first }),
    });
  }
  return lines;
}

/** A rate that the client alone would need more cores for than there are, says so. */
function rateLine(rate: Line, target: number, clientCpu: Line): Line {
  const isMet = (rate.ratio ?? 0) >= target;
  const coresWanted = (target * (rate.apache ?? 0) * clientCpu.foldlog) / 1e6;
  return {
    ...rate,
    target: `>= ${target}`,
    isMet,
    ...(!isMet && {
      remark: `at the target the client alone needs ${number(coresWanted)} of ${CORES} cores`,
    }),
  };
}

export function atMost(line: Line, target: number): Line {
  const text = target < 1 ? `<= 1/${Math.round(1 / target)}` : `<= ${number(target)}`;
  return { ...line, target: text, isMet: (line.ratio ?? line.foldlog) <= target };
}

/**
 * Server CPU of foldlog against that of a server that does nothing, in the same run. `target` is the most times that it
 * may take; without one the line says what this machine asks for a request at least.
 */
export function limitLine(
  work: string,
  pairs: readonly { foldlog: Sample; bare: Sample }[],
  target: number | undefined,
): Line {
  const ratio = median(pairs.map(({ foldlog, bare }) => serverMicros(foldlog) / serverMicros(bare)));
  const bare = median(pairs.map((pair) => serverMicros(pair.bare)));
  const rate = median(pairs.map((pair) => perSecond(pair.bare)));
  return {
    work,
    measure: 'server CPU : bare server',
    unit: 'us each',
    foldlog: median(pairs.map(({ foldlog }) => serverMicros(foldlog))),
    apache: undefined,
    ratio,
    ...(target !== undefined && { target: `<= ${target}`, isMet: ratio <= target }),
    remark: `bare server ${number(bare)} us, ${number(rate)}/s`,
  };
}

/** A kind of work that could not be measured to its end. */
export function failureLine(work: string, thrown: unknown): Line {
  const remark = thrown instanceof Error ? thrown.message : String(thrown);
  return { work, measure: 'not measured', unit: '', foldlog: 0, apache: undefined, ratio: undefined, remark };
}

export function comparisonTable(lines: readonly Line[]): string {
  const table = new Table({
    head: ['', '', 'foldlog', 'Apache', 'ratio', 'target', '', ''],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'left', 'left'],
    style: { head: [], border: [], compact: true },
  });
  let before = '';
  for (const { work, measure, unit, foldlog, apache, ratio, target, isMet, remark } of lines) {
    table.push([
      work === before ? '' : work,
      unit === '' ? measure : `${measure}, ${unit}`,
      number(foldlog),
      apache === undefined ? '' : number(apache),
      ratio === undefined ? '' : ratio.toFixed(ratio < 0.1 ? 3 : 2),
      target ?? '',
      isMet === undefined ? '' : isMet ? 'met' : 'NOT MET',
      remark === undefined || remark.length <= REMARK_MAX ? (remark ?? '') : `${remark.slice(0, REMARK_MAX)} …`,
    ]);
    before = work;
  }
  return table.toString();
}
