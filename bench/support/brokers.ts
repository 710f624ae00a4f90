/**
 * The brokers that are compared, each with its name server, as processes of their own on a directory of their own:
 * foldlog (the built `foldlog up`), Apache RocketMQ 5.5.0 (scripts/rocketmq/up.sh) and a server that only parses and
 * answers (`bareServer.ts`). Whoever is not measured is stopped by SIGSTOP: an idle Apache broker takes CPU time as well.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePorts, ROCKETMQ_SCRIPTS } from '../../test/interop/realRocketMq.js';
import { processUse } from '../../test/support/manyClients.js';

const run = promisify(execFile);
const BUILT = path.resolve(import.meta.dirname, '../../dist/cli/main.js');
const BARE = path.resolve(import.meta.dirname, 'bareServer.ts');

/** Of what a process logs, the end is kept, in case that it does not start. */
const SAID_MAX = 4096;
/** Of 100 ms. */
const BOOT_TRIES = 1200;

export type BrokerKind = 'foldlog' | 'Apache RocketMQ' | 'bare server';
export type FlushKind = 'ASYNC_FLUSH' | 'SYNC_FLUSH';

export interface BrokerOptions {
  flush: FlushKind;
  /** Empty or absent; store, configuration and logs go there. */
  directory: string;
  /** Resolve as soon as the processes run instead of when they serve. Default false. */
  isHasty?: boolean;
  /** The command line of foldlog. Default: the built one. */
  main?: string | undefined;
}

/** Processes that were started and not ended yet. */
const running = new Set<number>();
/** Where `up.sh` is at work: what it has started by then stands in its pid files. */
const starting = new Set<string>();
process.once('exit', () => {
  for (const pid of running) killNow(pid);
  for (const directory of starting) for (const pid of apachePids(directory)) killNow(pid);
});

export class RunningBroker {
  readonly kind: BrokerKind;
  readonly nameServer: string;
  readonly pids: readonly number[];

  private constructor(kind: BrokerKind, nameServer: string, pids: readonly number[]) {
    this.kind = kind;
    this.nameServer = nameServer;
    this.pids = pids;
    for (const pid of pids) running.add(pid);
  }

  static async start(kind: BrokerKind, options: BrokerOptions): Promise<RunningBroker> {
    if (kind === 'Apache RocketMQ') return RunningBroker.#startApache(options);
    const { directory, flush, isHasty = false, main = BUILT } = options;
    if (kind === 'bare server') return RunningBroker.#startNode(kind, ['--import', 'tsx', BARE], false);
    mkdirSync(directory, { recursive: true });
    const file = path.join(directory, 'broker.conf');
    writeFileSync(file, `flushDiskType=${flush}\n`);
    // A hasty one cannot say where it listens.
    const [namesrvPort, brokerPort] = isHasty ? [await freePorts([0]), await freePorts([0])] : [0, 0];
    const ports = ['--namesrv-port', String(namesrvPort), '--broker-port', String(brokerPort)];
    const args = [main, 'up', '--store', path.join(directory, 'store'), '--config', file, ...ports];
    return RunningBroker.#startNode(kind, args, isHasty, `127.0.0.1:${namesrvPort}`);
  }

  static async #startNode(kind: BrokerKind, args: string[], isHasty: boolean, at = ''): Promise<RunningBroker> {
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    const { pid } = child;
    if (pid === undefined) throw new Error(`${kind} could not be started`);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-SAID_MAX);
    });
    running.add(pid);
    child.once('close', () => running.delete(pid));
    if (isHasty) return new RunningBroker(kind, at, [pid]);
    for await (const line of createInterface({ input: child.stdout })) {
      const nameServer = /^ready.*namesrv=(\S+)/.exec(line)?.[1];
      if (nameServer !== undefined) return new RunningBroker(kind, nameServer, [pid]);
    }
    throw new Error(`${kind} ended before it was ready: ${said}`);
  }

  static async #startApache({ directory, flush, isHasty = false }: BrokerOptions): Promise<RunningBroker> {
    const [namesrvPort, brokerPort] = [await freePorts([0]), await freePorts([0, -2, 1])];
    const script = [path.join(ROCKETMQ_SCRIPTS, 'up.sh'), directory, String(namesrvPort), String(brokerPort)];
    const environment = { ...process.env, FLUSH: flush.replace('_FLUSH', ''), NOWAIT: '1' };
    const finished = run('bash', script, { env: environment });
    const { pid: scriptPid } = finished.child;
    if (scriptPid !== undefined) running.add(scriptPid);
    starting.add(directory);
    await finished;
    const broker = new RunningBroker('Apache RocketMQ', `127.0.0.1:${namesrvPort}`, apachePids(directory));
    if (scriptPid !== undefined) running.delete(scriptPid);
    starting.delete(directory);
    if (!isHasty) await broker.#booted(path.join(directory, 'logs', 'broker.out'));
    return broker;
  }

  /** The broker says so once it is registered. */
  async #booted(log: string): Promise<void> {
    for (let tries = 0; tries < BOOT_TRIES; tries += 1) {
      if (existsSync(log) && readFileSync(log, 'utf8').includes('boot success')) return;
      if (!this.pids.every(isThere)) break;
      await sleep(100);
    }
    throw new Error(`${this.kind} did not start: ${readFileSync(log, 'utf8').slice(-SAID_MAX)}`);
  }

  pause(): void {
    for (const pid of this.pids) process.kill(pid, 'SIGSTOP');
  }

  resume(): void {
    for (const pid of this.pids) process.kill(pid, 'SIGCONT');
  }

  /** Of all its processes together. */
  use(): { residentMebibytes: number; cpuMillis: number } {
    let [residentMebibytes, cpuMillis] = [0, 0];
    for (const pid of this.pids) {
      const used = processUse(pid);
      if (!used) throw new Error('memory and CPU time of other processes are read from /proc: run this on Linux');
      residentMebibytes += used.residentBytes / 1024 / 1024;
      cpuMillis += used.cpuMillis;
    }
    return { residentMebibytes, cpuMillis };
  }

  /** Since its first process was started, to 10 ms. */
  ageMillis(): number {
    const [upSeconds] = readFileSync('/proc/uptime', 'utf8').split(' ');
    return Math.max(...this.pids.map((pid) => Number(upSeconds) * 1000 - startedAtMillis(pid)));
  }

  /** Ends it for good; what it wrote is of no use any more. Resolves when its processes are gone. */
  async kill(): Promise<void> {
    for (const pid of this.pids) killNow(pid);
    for (let tries = 0; tries < 1000 && this.pids.some(isThere); tries += 1) {
      await sleep(10);
    }
  }
}

function apachePids(directory: string): number[] {
  const files = ['broker', 'namesrv'].map((name) => path.join(directory, `${name}.pid`));
  return files.filter((file) => existsSync(file)).map((file) => Number(readFileSync(file, 'utf8')));
}

/** After the boot, in 1/100 s: the 22nd field of stat. */
function startedAtMillis(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) * 10;
}

function isThere(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return false;
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
  running.delete(pid);
}
