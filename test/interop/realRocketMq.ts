/**
 * A real Apache RocketMQ 5.5.0 for tests: resolved from Maven Central by scripts/rocketmq/fetch-jars.sh, started on free
 * ports under a temporary directory. Where Java or Maven is missing the suite is skipped with that reason; where both are
 * present a failure to start is a failure.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const ROCKETMQ_SCRIPTS = path.resolve(import.meta.dirname, '../../scripts/rocketmq');

/** Why the suite cannot run here, or undefined when it can. */
export function whyNoJava(): string | undefined {
  for (const command of ['java', 'mvn']) {
    if (spawnSync(command, ['-version'], { stdio: 'ignore' }).status !== 0) {
      return `${command} is not installed: a real Apache RocketMQ needs Java 17 and Maven`;
    }
  }
  return undefined;
}

export interface RealRocketMq {
  namesrvAddr: string;
  brokerAddr: string;
  directory: string;
  stop(signal?: 'TERM' | 'KILL'): Promise<void>;
}

export interface RealRocketMqOptions {
  /** Where its store, logs and configuration go. Default: a temporary directory, removed on stop. */
  directory?: string;
  /** Further lines of broker.conf. */
  brokerProperties?: Record<string, string>;
}

/** Starts name server and broker and waits until the route can be resolved. */
export async function startRealRocketMq(options: RealRocketMqOptions = {}): Promise<RealRocketMq> {
  const directory = options.directory ?? mkdtempSync(path.join(tmpdir(), 'foldlog-rocketmq-'));
  const [namesrvPort, brokerPort] = [await freePorts([0]), await freePorts([0, -2, 1])];
  const properties = Object.entries(options.brokerProperties ?? {}).map(([key, value]) => `${key}=${value}`);
  await run('bash', [path.join(ROCKETMQ_SCRIPTS, 'up.sh'), directory, String(namesrvPort), String(brokerPort)], {
    env: {
      ...process.env,
      BROKER_HEAP: '-Xms256m -Xmx768m',
      BROKER_PROPS: properties.join('\n'),
    },
  });
  return {
    namesrvAddr: `127.0.0.1:${namesrvPort}`,
    brokerAddr: `127.0.0.1:${brokerPort}`,
    directory,
    async stop(signal = 'TERM') {
      await run('bash', [path.join(ROCKETMQ_SCRIPTS, 'down.sh'), directory, signal]);
      if (!options.directory) rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A port P such that P + each offset was free a moment ago. */
export async function freePorts(offsets: readonly number[]): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = await listenBriefly(0);
    if (port === undefined || port > 60_000) continue;
    const taken = await Promise.all(offsets.map((offset) => (offset === 0 ? port : listenBriefly(port + offset))));
    if (taken.every((each) => each !== undefined)) return port;
  }
  throw new Error('no free ports found');
}

function listenBriefly(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
    });
  });
}
