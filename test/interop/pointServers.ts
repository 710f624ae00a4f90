/**
 * What clients of other languages are pointed at: two name servers and one broker, all Apache RocketMQ 5.5.0 or all
 * foldlog, with the same keys of broker.conf, on free ports under one temporary directory. Each can be stopped and started
 * again at its old address while clients go on.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { type BrokerConfig, readBrokerConfig } from '../../src/config/brokerConfig.js';
import { startBroker } from '../../src/embedded/startBroker.js';
import { startNameServer } from '../../src/embedded/startNameServer.js';
import { freePorts, ROCKETMQ_SCRIPTS } from './realRocketMq.js';

const run = promisify(execFile);

/** A server that can go and come back, at one address. */
export interface PointServer {
  readonly address: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PointServers {
  /** Two. */
  nameServers: PointServer[];
  broker: PointServer;
  namesrvAddr: string;
  /** Stops what runs and removes the directory. */
  remove(): Promise<void>;
}

/** Keys that hold for both brokers: what comes late by default comes soon, what is off by default is on. */
export const POINT_KEYS: Readonly<Partial<BrokerConfig>> = {
  enablePropertyFilter: true,
  recallMessageEnable: true,
  traceTopicEnable: true,
  messageDelayLevel: '1s 3s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 2s',
  transactionTimeOut: 1000,
  transactionCheckInterval: 1000,
  transactionOpBatchInterval: 200,
  flushConsumerOffsetInterval: 1000,
  registerNameServerPeriod: 10_000,
  // Slow is not busy: a request that waited for its turn is answered.
  brokerFastFailureEnable: false,
  mappedFileSizeCommitLog: 64 * 1024 * 1024,
};

/** Small: the servers are there to be asked, not to be measured. */
const HEAPS = {
  NAMESRV_HEAP: '-Xms32m -Xmx96m -XX:TieredStopAtLevel=1 -Xshare:auto',
  BROKER_HEAP: '-Xms64m -Xmx384m -XX:TieredStopAtLevel=1 -Xshare:auto',
};

/** Starts all three. */
export async function startPointServers(kind: 'Apache RocketMQ' | 'foldlog'): Promise<PointServers> {
  const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-points-'));
  const ports = [await freePorts([0]), await freePorts([0])];
  const brokerPort = await freePorts([0, -2, 1]);
  const namesrvAddr = ports.map((port) => `127.0.0.1:${port}`).join(';');
  const make = kind === 'foldlog' ? foldlogServers : apacheServers;
  const { nameServers, broker } = make({ directory, ports, brokerPort, namesrvAddr });
  const servers = [...nameServers, broker];
  const remove = async () => {
    for (const server of servers.toReversed()) await server.stop().catch(() => {});
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await Promise.all(nameServers.map((server) => server.start()));
    await broker.start();
  } catch (thrown) {
    await remove();
    throw thrown;
  }
  return { nameServers, broker, namesrvAddr, remove };
}

interface Places {
  directory: string;
  ports: number[];
  brokerPort: number;
  namesrvAddr: string;
}

type Servers = Pick<PointServers, 'nameServers' | 'broker'>;

function apacheServers({ directory, ports, brokerPort, namesrvAddr }: Places): Servers {
  const keys = Object.entries(POINT_KEYS).map(([key, value]) => `${key}=${value}`);
  // A misspelt key would have no effect on this side, and nobody would say so.
  readBrokerConfig({ file: 'points', text: keys.join('\n') });
  // up.sh takes ; for the end of a key: the Java properties file may spell it as an escape.
  keys.push(`namesrvAddr=${namesrvAddr.replaceAll(';', '\\u003b')}`);
  const env = { ...process.env, ...HEAPS, BROKER_PROPS: keys.join('\n') };
  const server = (only: 'namesrv' | 'broker', name: string, namesrvPort: number, port: number): PointServer => {
    const home = path.join(directory, name);
    const script = (file: string, ...words: string[]) =>
      run('bash', [path.join(ROCKETMQ_SCRIPTS, file), home, ...words], { env: { ...env, ONLY: only } });
    return {
      address: `127.0.0.1:${port}`,
      start: async () => void (await script('up.sh', String(namesrvPort), String(brokerPort))),
      stop: async () => void (await script('down.sh')),
    };
  };
  return {
    nameServers: ports.map((port, index) => server('namesrv', `namesrv-${index}`, port, port)),
    broker: server('broker', 'broker', ports[0] ?? 0, brokerPort),
  };
}

function foldlogServers({ directory, ports, brokerPort, namesrvAddr }: Places): Servers {
  return {
    nameServers: ports.map((port, index) => {
      const kvConfigPath = path.join(directory, `namesrv-${index}`, 'kvConfig.json');
      return inProcess(port, () => startNameServer({ config: { listenPort: port, kvConfigPath } }));
    }),
    broker: inProcess(brokerPort, () =>
      startBroker({
        store: path.join(directory, 'store'),
        namesrvAddr,
        config: { ...POINT_KEYS, listenPort: brokerPort },
      }),
    ),
  };
}

function inProcess(port: number, start: () => Promise<{ stop(): Promise<void> }>): PointServer {
  let running: { stop(): Promise<void> } | undefined;
  return {
    address: `127.0.0.1:${port}`,
    async start() {
      running = await start();
    },
    async stop() {
      await running?.stop();
      running = undefined;
    },
  };
}
