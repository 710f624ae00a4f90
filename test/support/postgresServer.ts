/**
 * A real PostgreSQL for tests. Which one, in this order:
 *
 * 1. `POSTGRES_URL`, if set: a user who may create databases. Tests use databases of their own there, which they drop.
 *    Going away and coming back is played by a TCP relay in front of it, which is cut.
 * 2. `initdb` and `postgres` from PATH or where distributions put them, on a free port of 127.0.0.1, with a random
 *    password and a directory of its own. They refuse to run as root: then as user `postgres` or `nobody`.
 * 3. As root on Debian or Ubuntu it is installed with apt-get, which is said first (`FOLDLOG_NO_INSTALL=1`: not).
 * 4. Otherwise an error that says how to get one.
 *
 * Test files share one server per run of vitest: the first that asks starts it, and a watcher beside it ends it and
 * removes its directory when vitest has ended, however it ended.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { relayTo } from './relay.js';

/** A database that is the caller's alone. */
export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

export interface PostgresServer {
  /** A database on it. */
  readonly url: string;
  /** Goes away at once, as by a crash. */
  kill(): Promise<void>;
  /** Comes back at the same address, with what was committed. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const USER = 'foldlog';
const START_TRIES = 5;
const START_MILLIS = 120_000;
const DROP_MILLIS = 10_000;
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '32MB',
  log_min_messages: 'warning',
};
/** What is committed is lost with the machine, not with the server: as much as tests need, and faster. */
const WITHOUT_SYNC = { fsync: 'off', full_page_writes: 'off' };

/** True when the tests run against a PostgreSQL that they did not start. */
export const isExternalPostgres = () => Boolean(process.env['POSTGRES_URL']);

/** A fresh database on the server that the test files of this run share. */
export async function createPostgresDatabase(): Promise<TestDatabase> {
  return createDatabase(process.env['POSTGRES_URL'] || (await sharedServer()));
}

/**
 * A server of the caller's own, to be killed and restarted. `durable`: what it committed survives the machine, too.
 * `settings` of postgresql.conf have no meaning where the server is not started here.
 */
export async function startPostgresServer(
  options: { durable?: boolean; settings?: Readonly<Record<string, string>> } = {},
): Promise<PostgresServer> {
  const external = process.env['POSTGRES_URL'];
  return external ? behindRelay(external) : startOwn({ ...(options.durable ? {} : WITHOUT_SYNC), ...options.settings });
}

/** Ends the connections to a database that a test uses, as an operator would. Returns how many. */
export async function terminateConnections(url: string): Promise<number> {
  const { rowCount } = await asked(
    url,
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  );
  return rowCount ?? 0;
}

async function createDatabase(serverUrl: string): Promise<TestDatabase> {
  const name = `foldlog_test_${randomUUID().replaceAll('-', '')}`;
  await asked(serverUrl, `CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    async drop() {
      await terminateConnections(url.href);
      // Those of a server of our own go with it. Dropping waits for every process of the server, also busy ones.
      if (!isExternalPostgres()) return;
      await asked(serverUrl, `DROP DATABASE IF EXISTS ${name}`, DROP_MILLIS).catch((thrown: unknown) => {
        console.log(`database ${name} could not be dropped and is left behind: ${thrown}`);
      });
    },
  };
}

async function asked(url: string, sql: string, timeoutMillis = START_MILLIS): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url, statement_timeout: timeoutMillis });
  client.on('error', () => {});
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

/** The url of the shared server; the first process of the run that asks starts it, others wait for it. */
async function sharedServer(): Promise<string> {
  // Test files run in children of vitest's process, which lives as long as the run.
  const run = process.ppid;
  const directory = path.join(tmpdir(), `foldlog-postgres-run-${run}`);
  const answer = path.join(directory, 'answer.json');
  try {
    mkdirSync(directory, { mode: 0o755 });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    return until(() => (existsSync(answer) ? said(readFileSync(answer, 'utf8')) : undefined));
  }
  try {
    const cluster = initialise(directory);
    const port = await startedOn((port) => startWatched(cluster, port, run, directory));
    const url = urlOf(cluster, port);
    writeWhole(answer, JSON.stringify({ url }));
    return url;
  } catch (thrown) {
    writeWhole(answer, JSON.stringify({ error: String(thrown) }));
    throw thrown;
  }
}

function said(text: string): string {
  const { url, error } = JSON.parse(text) as { url?: string; error?: string };
  if (url === undefined) throw new Error(error);
  return url;
}

function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** The watcher is the server's parent: when the run has ended it stops the server and removes the directory. */
const WATCH = `
run=$1 directory=$2; shift 2
"$@" </dev/null >"$directory/log" 2>&1 &
server=$!
while kill -0 "$run" 2>/dev/null && kill -0 "$server" 2>/dev/null; do sleep 0.5; done
kill -INT "$(head -n 1 "$directory/data/postmaster.pid")" 2>/dev/null
wait "$server"
if ! kill -0 "$run" 2>/dev/null; then rm -rf "$directory"; fi`;

async function startWatched(cluster: Cluster, port: number, run: number, directory: string): Promise<void> {
  const { command, parameters } = serverCommand(cluster, port, WITHOUT_SYNC);
  const as = cluster.identity ? ['setpriv', ...setprivOf(cluster.identity)] : [];
  const watcher = spawn('sh', ['-c', WATCH, 'sh', String(run), directory, ...as, command, ...parameters], {
    detached: true,
    stdio: 'ignore',
  });
  const log = () => readFileSync(path.join(directory, 'log'), 'utf8');
  await answers(urlOf(cluster, port), watcher, log);
  watcher.unref();
}

/** Starts a server of one's own, which ends with this process at the latest. */
async function startOwn(settings: Record<string, string>): Promise<PostgresServer> {
  const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-postgres-'));
  chmodSync(directory, 0o755);
  const cluster = initialise(directory);
  let child: ChildProcess | undefined;
  const launch = async (port: number) => {
    const { command, parameters } = serverCommand(cluster, port, settings);
    const started = spawn(command, parameters, { stdio: ['ignore', 'ignore', 'pipe'], ...cluster.identity });
    let output = '';
    started.stderr?.on('data', (part) => {
      output = `${output}${part}`.slice(-10_000);
    });
    child = started;
    await answers(urlOf(cluster, port), started, () => output);
  };
  // Immediate shutdown: everything is dropped, and the next start recovers from the log.
  const signal = () => child?.exitCode === null && child.signalCode === null && child.kill('SIGQUIT');
  const kill = async () => {
    const gone = new Promise((resolve) => child?.once('exit', resolve));
    if (signal()) await gone;
  };
  process.on('exit', signal);
  const port = await startedOn(launch);
  const { url } = await createDatabase(urlOf(cluster, port));
  return {
    url,
    kill,
    restart: () => launch(port),
    async stop() {
      await kill();
      process.off('exit', signal);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function behindRelay(external: string): Promise<PostgresServer> {
  const database = await createDatabase(external);
  const url = new URL(database.url);
  const relay = await relayTo(url.hostname, Number(url.port || 5432));
  url.hostname = '127.0.0.1';
  url.port = String(relay.port);
  return {
    url: url.href,
    kill: relay.cut,
    restart: relay.restore,
    async stop() {
      await relay.cut();
      await database.drop();
    },
  };
}

interface Identity {
  uid: number;
  gid: number;
}

interface Cluster {
  programs: string;
  data: string;
  password: string;
  /** Who the server runs as, when that is not who runs the tests. */
  identity: Identity | undefined;
}

function initialise(directory: string): Cluster {
  const programs = findOrInstall();
  const identity = identityOf();
  const data = path.join(directory, 'data');
  const password = randomUUID();
  const passwordFile = path.join(directory, 'password');
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (identity) for (const file of [data, passwordFile]) chownSync(file, identity.uid, identity.gid);
  const parameters = ['-D', data, '-U', USER, '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8'];
  const made = spawnSync(path.join(programs, 'initdb'), [...parameters, '--locale=C', '--no-sync'], {
    ...identity,
    cwd: '/',
    encoding: 'utf8',
  });
  rmSync(passwordFile);
  if (made.status !== 0) throw new Error(`initdb failed: ${made.error ?? ''}\n${made.stdout}\n${made.stderr}`);
  return { programs, data, password, identity };
}

function serverCommand({ programs, data }: Cluster, port: number, more: Record<string, string>) {
  const settings = Object.entries({ ...SETTINGS, ...more, port: String(port) });
  const parameters = ['-D', data, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  return { command: path.join(programs, 'postgres'), parameters };
}

const urlOf = ({ password }: Cluster, port: number) => `postgres://${USER}:${password}@127.0.0.1:${port}/postgres`;

/** root may not run the server. */
function identityOf(): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((what) => spawnSync('id', [what, name], { encoding: 'utf8' }));
    if (uid?.status === 0 && gid?.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody');
}

const setprivOf = ({ uid, gid }: Identity) => [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];

/** Somebody else may take a port between choosing it and listening on it. */
async function startedOn(start: (port: number) => Promise<void>): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      await start(port);
      return port;
    } catch (thrown) {
      if (attempt === START_TRIES) throw thrown;
    }
  }
}

/** Resolves when the server takes connections; rejects with its output when it ends before. */
async function answers(url: string, child: ChildProcess, output: () => string): Promise<void> {
  let hasEnded = false;
  child.once('exit', () => {
    hasEnded = true;
  });
  await until(async () => {
    if (hasEnded) throw new Error(`PostgreSQL did not start:\n${output()}`);
    return asked(url, 'SELECT 1').catch(() => undefined);
  });
}

async function until<T>(ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const giveUpAt = performance.now() + START_MILLIS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > giveUpAt) throw new Error(`PostgreSQL did not start within ${START_MILLIS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function findOrInstall(): string {
  const found = findPrograms();
  if (found) return found;
  const how =
    'install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql) or set POSTGRES_URL';
  const canInstall = process.getuid?.() === 0 && existsSync('/etc/debian_version');
  if (!canInstall || process.env['FOLDLOG_NO_INSTALL'] === '1') {
    throw new Error(`these tests need a PostgreSQL server, and initdb and postgres are not to be found: ${how}`);
  }
  console.log('PostgreSQL is not to be found: installing it with apt-get (FOLDLOG_NO_INSTALL=1 turns this off)');
  // One test process installs, others wait at the lock and find it installed. RUNLEVEL=1: no service is started.
  const install = 'apt-get install -y --no-install-recommends postgresql';
  const script = `ls /usr/lib/postgresql/*/bin/initdb || ${install} || { apt-get update && ${install}; }`;
  const lock = path.join(tmpdir(), 'foldlog-postgres-install.lock');
  const { status, stdout, stderr } = spawnSync('flock', [lock, 'sh', '-c', script], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    encoding: 'utf8',
  });
  const installed = findPrograms();
  if (status !== 0 || !installed) throw new Error(`apt-get could not install it: ${how}\n${stdout}\n${stderr}`);
  return installed;
}

/** The directory with both programs; of several versions the newest. */
function findPrograms(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  for (const [parent, pattern, below] of [
    ['/usr/lib/postgresql', /^\d+$/, 'bin'],
    ['/usr', /^pgsql-\d+$/, 'bin'],
    ['/opt/homebrew/opt', /^postgresql(@\d+)?$/, 'bin'],
    ['/usr/local/opt', /^postgresql(@\d+)?$/, 'bin'],
  ] as const) {
    const versions = existsSync(parent) ? readdirSync(parent).filter((name) => pattern.test(name)) : [];
    versions.sort((one, other) => Number(other.match(/\d+/)?.[0] ?? 0) - Number(one.match(/\d+/)?.[0] ?? 0));
    folders.push(...versions.map((version) => path.join(parent, version, below)));
  }
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(path.join(folder, name))));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
