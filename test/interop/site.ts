/**
 * One store directory that foldlog's broker and a real Apache RocketMQ 5.5.0 run on in turn, never both. Both are given
 * the same keys of broker.conf (file sizes above all) and are found through a name server of foldlog's that stays.
 * Whatever was started here is ended by `remove`, each by its own process id.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, vi } from 'vitest';
import type { Logger } from '../../src/base/logger.js';
import { Admin } from '../../src/client/admin.js';
import { Session } from '../../src/client/session.js';
import { type BrokerConfig, readBrokerConfig } from '../../src/config/brokerConfig.js';
import { startBroker } from '../../src/embedded/startBroker.js';
import { startNameServer } from '../../src/embedded/startNameServer.js';
import type { NameServer } from '../../src/namesrv/nameServer.js';
import { CliProcess } from '../support/cliProcess.js';
import { freePorts, ROCKETMQ_SCRIPTS } from './realRocketMq.js';

const run = promisify(execFile);

/** Keys of broker.conf that hold for both. */
export type SharedKeys = Readonly<Partial<BrokerConfig>>;

/** Files so small that a few dozen messages fill several. */
export const SMALL_FILES: SharedKeys = {
  mappedFileSizeCommitLog: 64 * 1024,
  mappedFileSizeConsumeQueue: 2000,
  maxHashSlotNum: 101,
  maxIndexNum: 500,
  mappedFileSizeTimerLog: 5200,
};
/** Transactions are checked and offsets saved soon. */
export const PROMPT: SharedKeys = {
  transactionTimeOut: 1000,
  transactionCheckInterval: 1000,
  // A round may last longer than 15 checks that come so fast.
  transactionCheckMax: 1000,
  transactionOpBatchInterval: 200,
  flushConsumerOffsetInterval: 500,
  flushDelayOffsetInterval: 500,
  registerNameServerPeriod: 10_000,
};
/** A broker under test holds next to nothing, and is there to be started and ended. */
const HEAP = '-Xms64m -Xmx384m -XX:TieredStopAtLevel=1 -Xshare:auto';

/** What up.sh exits with. */
const PORT_TAKEN = 3;

/** A broker that runs on the directory, and a client of it. */
export interface Running {
  kind: 'foldlog' | 'Apache RocketMQ';
  session: Session;
  brokerAddr: string;
  /** What foldlog's broker said, level first. */
  lines: string[];
  /** Stops cleanly. */
  stop(): Promise<void>;
  /** As if the process had died. Not offered by a broker of this process. */
  kill(): Promise<void>;
}

export class Site {
  readonly directory: string;
  readonly store: string;
  readonly #nameServer: NameServer;
  readonly #nameServerLines: string[];
  readonly #keys: SharedKeys;
  readonly #ends: (() => Promise<void>)[] = [];

  private constructor(parts: { directory: string; nameServer: NameServer; lines: string[]; keys: SharedKeys }) {
    this.directory = parts.directory;
    this.store = path.join(parts.directory, 'store');
    this.#nameServer = parts.nameServer;
    this.#nameServerLines = parts.lines;
    this.#keys = parts.keys;
  }

  /** @param store a directory that becomes the site's store */
  static async open(keys: SharedKeys, store?: string): Promise<Site> {
    const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-site-'));
    if (store !== undefined) renameSync(store, path.join(directory, 'store'));
    const lines: string[] = [];
    const nameServer = await startNameServer({ config: { listenPort: 0 }, logger: loggerTo(lines) });
    return new Site({ directory, nameServer, lines, keys });
  }

  get namesrvAddr(): string {
    return `127.0.0.1:${this.#nameServer.address?.port}`;
  }

  /** Where an application goes on the broker that runs now. */
  async #runningOf(kind: Running['kind'], brokerAddr: string, lines: string[], end: Ending): Promise<Running> {
    const session = await Session.open({ namesrvAddr: this.namesrvAddr, requestTimeoutMillis: 15_000 });
    // A broker says that it runs before the name server has all of its topics.
    const isKnown = async () =>
      expect([
        ...(await new Admin(session).clusterInfo()).brokerAddrTable.get('broker-a')!.brokerAddrs.values(),
      ]).toEqual([brokerAddr]);
    await vi.waitFor(isKnown, { timeout: 60_000, interval: 100 }).catch((thrown: unknown) => {
      const said = this.#nameServerLines.slice(-20).join('\n');
      throw new Error(`the name server does not know ${kind} at ${brokerAddr}; it said\n${said}`, { cause: thrown });
    });
    let ended: Promise<void> | undefined;
    const endOnce = (how: 'stop' | 'kill') => {
      // A kill comes while requests are under way.
      ended ??= (
        how === 'stop' ? session.close().finally(() => end(how)) : end(how).finally(() => session.close())
      ).then(() => {});
      return ended;
    };
    this.#ends.push(() => endOnce('kill'));
    return { kind, session, brokerAddr, lines, stop: () => endOnce('stop'), kill: () => endOnce('kill') };
  }

  /** In this process; `kill` stops it. */
  async foldlog(more: SharedKeys = {}): Promise<Running> {
    const lines: string[] = [];
    const broker = await startBroker({
      store: this.store,
      namesrvAddr: this.namesrvAddr,
      config: { ...this.#keys, ...more, listenPort: 0 },
      logger: loggerTo(lines),
    });
    const address = `${broker.address.host}:${broker.address.port}`;
    return this.#runningOf('foldlog', address, lines, () => broker.stop());
  }

  /** `foldlog broker` in a process of its own, which can be killed. */
  async foldlogProcess(): Promise<Running> {
    const child = this.startCommand();
    this.#ends.push(async () => {
      child.kill('SIGKILL');
      await child.exited;
    });
    const ready = await child.out(/ready .*broker=(\S+)/);
    return this.#runningOf('foldlog', ready[1] ?? '', [], async (how) => {
      child.kill(how === 'kill' ? 'SIGKILL' : 'SIGTERM');
      await child.exited;
    });
  }

  startCommand(): CliProcess {
    const file = path.join(this.directory, 'foldlog.conf');
    writeFileSync(file, this.confLines().join('\n'));
    return new CliProcess(['broker', '-n', this.namesrvAddr, '--store', this.store, '-p', '0', '-c', file]);
  }

  confLines(): string[] {
    const lines = Object.entries(this.#keys).map(([key, value]) => `${key}=${value}`);
    // A misspelt key would have no effect on the other side, and nobody would say so.
    readBrokerConfig({ file: 'site', text: lines.join('\n') });
    return lines;
  }

  /** Waits until less than {@link APACHE_MAX} others run. */
  async apache(): Promise<Running> {
    const leave = await takeTurn();
    const down = (how: 'stop' | 'kill') =>
      run('bash', [path.join(ROCKETMQ_SCRIPTS, 'down.sh'), this.directory, how === 'kill' ? 'KILL' : 'TERM']);
    this.#ends.push(async () => void (await down('kill')));
    try {
      const port = await this.#up();
      return await this.#runningOf('Apache RocketMQ', `127.0.0.1:${port}`, [], async (how) => {
        await down(how).finally(leave);
        // A clean stop that was cut short would make the next start an unclean one, unseen.
        if (how === 'stop' && existsSync(path.join(this.store, 'abort'))) {
          throw new Error('the broker did not stop cleanly');
        }
      });
    } catch (thrown) {
      leave();
      throw thrown;
    }
  }

  /** Starts the broker; returns its port. */
  async #up(): Promise<number> {
    mkdirSync(this.store, { recursive: true });
    const namesrvPort = String(this.#nameServer.address?.port);
    const env = { ...process.env, ONLY: 'broker', BROKER_HEAP: HEAP, BROKER_PROPS: this.confLines().join('\n') };
    for (let attempt = 1; ; attempt += 1) {
      // RocketMQ does not know port 0; it takes the two neighbours too.
      const port = await freePorts([0, -2, 1]);
      try {
        const script = path.join(ROCKETMQ_SCRIPTS, 'up.sh');
        await run('bash', [script, this.directory, namesrvPort, String(port)], { env });
        return port;
      } catch (thrown) {
        // Somebody took the port in between.
        if (attempt === 3 || (thrown as { code?: number }).code !== PORT_TAKEN) throw thrown;
      }
    }
  }

  /** Ends what still runs and removes everything. */
  async remove(): Promise<void> {
    for (const end of this.#ends.reverse()) await end().catch(() => {});
    await this.#nameServer.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Notes what is logged, level first. */
function loggerTo(lines: string[]): Logger {
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const APACHE_MAX = 2;
let apacheCount = 0;
const waiting: (() => void)[] = [];

async function takeTurn(): Promise<() => void> {
  if (apacheCount >= APACHE_MAX) await new Promise<void>((resolve) => waiting.push(resolve));
  apacheCount += 1;
  let isLeft = false;
  return () => {
    if (isLeft) return;
    isLeft = true;
    apacheCount -= 1;
    waiting.shift()?.();
  };
}

type Ending = (how: 'stop' | 'kill') => Promise<unknown>;
