/** What brokers take without work: to start, of memory, and of CPU time when idle. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchClient } from './benchClient.js';
import type { RunningBroker } from './brokers.js';
import { atMost, type Line } from './comparison.js';
import { median } from './frame.js';

export interface Started {
  wallMillis: number;
  cpuMillis: number;
}

export function startLines(pairs: readonly { foldlog: Started; apache: Started }[]): Line[] {
  const line = (measure: string, of: (started: Started) => number, target: number): Line =>
    atMost(
      {
        work: 'start to first acknowledged send',
        measure,
        unit: 'ms',
        foldlog: median(pairs.map((pair) => of(pair.foldlog))),
        apache: median(pairs.map((pair) => of(pair.apache))),
        ratio: median(pairs.map((pair) => of(pair.foldlog) / of(pair.apache))),
      },
      target,
    );
  return [
    line('wall', ({ wallMillis }) => wallMillis, 1 / 15),
    line('CPU, both servers', ({ cpuMillis }) => cpuMillis, 1 / 20),
  ];
}

interface Idle {
  mebibytes: number;
  corePercent: number;
}

/** Looks at both brokers for a while in which nobody asks them for anything; they take turns nowhere, both run. */
export class WhileIdle {
  readonly #foldlog: RunningBroker;
  readonly #apache: RunningBroker;
  readonly #seconds: number;
  readonly #progress: (text: string) => void;

  constructor(parts: {
    foldlog: RunningBroker;
    apache: RunningBroker;
    seconds: number;
    progress: (text: string) => void;
  }) {
    this.#foldlog = parts.foldlog;
    this.#apache = parts.apache;
    this.#seconds = parts.seconds;
    this.#progress = parts.progress;
  }

  async measure(): Promise<{ foldlog: Idle; apache: Idle }> {
    this.#progress('both brokers are idle');
    await sleep(5000);
    const [foldlog, apache] = [this.#foldlog.use(), this.#apache.use()];
    await sleep(this.#seconds * 1000);
    return {
      foldlog: this.#idle(this.#foldlog, foldlog.cpuMillis),
      apache: this.#idle(this.#apache, apache.cpuMillis),
    };
  }

  #idle(broker: RunningBroker, cpuMillisBefore: number): Idle {
    const { residentMebibytes, cpuMillis } = broker.use();
    return { mebibytes: residentMebibytes, corePercent: (cpuMillis - cpuMillisBefore) / (this.#seconds * 10) };
  }
}

const MEMORY = { idle: { mebibytes: 80, ratio: 1 / 8 }, worked: { mebibytes: 250, ratio: 1 / 10 } } as const;
const CORE_PERCENT = 1;

export function idleLines(work: string, found: { foldlog: Idle; apache: Idle }, hasWorked = false): Line[] {
  const { foldlog, apache } = found;
  const target = hasWorked ? MEMORY.worked : MEMORY.idle;
  const isIdle = work.includes('start');
  const memory: Line = {
    work,
    measure: 'memory',
    unit: 'MiB',
    foldlog: foldlog.mebibytes,
    apache: apache.mebibytes,
    ratio: foldlog.mebibytes / apache.mebibytes,
  };
  const isMet = foldlog.mebibytes <= target.mebibytes && foldlog.mebibytes / apache.mebibytes <= target.ratio;
  return [
    isIdle || hasWorked
      ? { ...memory, target: `<= ${target.mebibytes}, 1/${Math.round(1 / target.ratio)}`, isMet }
      : memory,
    {
      work,
      measure: 'CPU',
      unit: '% of a core',
      foldlog: foldlog.corePercent,
      apache: apache.corePercent,
      ratio: undefined,
      target: `<= ${CORE_PERCENT} %`,
      isMet: foldlog.corePercent <= CORE_PERCENT,
    },
  ];
}

/** Transactions leave work behind: half messages, their operations, and whoever looks at them. */
export async function transactOnAll(
  client: BenchClient,
  brokers: readonly RunningBroker[],
  count: number,
): Promise<void> {
  for (const { nameServer } of brokers) await client.ask('transact', { ns: nameServer, count });
}
