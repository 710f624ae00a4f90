/**
 * A real Redis for tests. Which one, in this order:
 *
 * 1. `REDIS_URL`, if set: tests use a key prefix of their own there and remove nothing of others. Going away and
 *    coming back is played by a TCP relay in front of it, which is cut.
 * 2. `redis-server` from PATH, started on a free port and in a directory of its own, killed and restarted at will.
 * 3. As root on Debian or Ubuntu it is installed with apt-get, which is said first (`FOLDLOG_NO_INSTALL=1`: not).
 * 4. Otherwise an error that says how to get one.
 *
 * A cluster of one server, with all slots, is always one that is started here.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface RedisServer {
  readonly url: string;
  /** For the keys of this test alone. */
  readonly keyPrefix: string;
  /** Goes away at once, as by SIGKILL. */
  kill(): Promise<void>;
  /** Comes back at the same address. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  /** Keep what was written over a restart. Default true. Of `REDIS_URL` it is as it is. */
  appendOnly?: boolean;
}

const START_TRIES = 5;
/** The nodes of a cluster talk on the port that is 10,000 higher. */
const CLUSTER_PORT_MAX = 55_535;

export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const url = process.env['REDIS_URL'];
  return url ? relayTo(url) : startOwn(options.appendOnly ?? true);
}

/** False when there is no `redis-server` to start a cluster with, and the tests use one from elsewhere otherwise. */
export const canStartRedisCluster = () => !isExternalRedis() || findOnPath() !== undefined;

/** A cluster of one server. */
export async function startRedisCluster(): Promise<RedisServer> {
  const settings = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'];
  return startOwn(true, settings, CLUSTER_PORT_MAX);
}

/** True when the tests run against a Redis that they did not start. */
export const isExternalRedis = () => Boolean(process.env['REDIS_URL']);

async function startOwn(appendOnly: boolean, settings: readonly string[] = [], portMax = 65_535): Promise<RedisServer> {
  const program = findOrInstall();
  const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-redis-'));
  let port = 0;
  let child: ChildProcess | undefined;
  const start = async () => {
    child = await launch(program, [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', ''],
      ...['--appendonly', appendOnly ? 'yes' : 'no', '--appendfsync', 'always'],
      ...settings,
    ]);
  };
  for (let attempt = 1; child === undefined; attempt++) {
    do port = await freePort();
    while (port > portMax);
    // Somebody else may take the port in between.
    await start().catch((error) => {
      if (attempt === START_TRIES) throw error;
    });
  }
  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child?.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    keyPrefix: `foldlog-test-${randomUUID()}:`,
    kill,
    restart: start,
    async stop() {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Resolves when the server accepts connections; rejects with its output when it ends before. */
function launch(program: string, parameters: readonly string[]): Promise<ChildProcess> {
  const child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        if (/ready to accept connections/i.test(line)) resolve(child);
      });
    }
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}:\n${said.join('\n')}`)));
  });
}

function findOrInstall(): string {
  const found = findOnPath();
  if (found) return found;
  const how = 'install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis) or set REDIS_URL';
  const canInstall = process.getuid?.() === 0 && existsSync('/etc/debian_version');
  if (!canInstall || process.env['FOLDLOG_NO_INSTALL'] === '1') {
    throw new Error(`these tests need a Redis server and redis-server is not on the PATH: ${how}`);
  }
  console.log('redis-server is not on the PATH: installing it with apt-get (FOLDLOG_NO_INSTALL=1 turns this off)');
  // One test process installs, others wait at the lock and find it installed. RUNLEVEL=1: no service is started.
  const install = 'apt-get install -y --no-install-recommends redis-server';
  const script = `command -v redis-server || ${install} || { apt-get update && ${install}; }`;
  const lock = path.join(tmpdir(), 'foldlog-redis-install.lock');
  const { status, stdout, stderr } = spawnSync('flock', [lock, 'sh', '-c', script], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    encoding: 'utf8',
  });
  const installed = findOnPath();
  if (status !== 0 || !installed)
    throw new Error(`apt-get could not install redis-server: ${how}\n${stdout}\n${stderr}`);
  return installed;
}

function findOnPath(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/bin', '/usr/local/bin'];
  return folders.map((folder) => path.join(folder, 'redis-server')).find((file) => existsSync(file));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A relay to the real server, which can be cut. */
async function relayTo(url: string): Promise<RedisServer> {
  const target = new URL(url);
  if (target.protocol !== 'redis:') throw new Error('REDIS_URL: the tests reach a redis:// server, without TLS');
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  const start = async () => {
    const listening = createServer((near) => {
      const far = connect(Number(target.port || 6379), target.hostname);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          sockets.delete(from);
          to.destroy();
        });
      }
    });
    await new Promise<void>((resolve, reject) => {
      listening.once('error', reject);
      listening.listen(port, '127.0.0.1', resolve);
    });
    port = (listening.address() as AddressInfo).port;
    server = listening;
  };
  const cut = async () => {
    const closed = new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    for (const socket of sockets) socket.destroy();
    await closed;
    server = undefined;
  };
  await start();
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String(port);
  return { url: through.href, keyPrefix: `foldlog-test-${randomUUID()}:`, kill: cut, restart: start, stop: cut };
}
