/**
 * Builds and runs the program of test/interop/go, made with RocketMQ's Go client, against servers: it prints one point a
 * line. Its binary is kept in the cache beside the Java jars, under a name that is a hash of the sources, so that Go and the
 * network are needed once.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { PointServers } from './pointServers.js';
import { type Point, parsePoints } from './pointTable.js';

const run = promisify(execFile);
const SOURCES = path.join(import.meta.dirname, 'go');
const CACHE = path.join(homedir(), '.cache', 'foldlog-interop');
/** In the order of preference; the second is where the archive of go.dev is unpacked. */
const COMMANDS = ['go', '/usr/local/go/bin/go'];
const FETCH_LIMIT_MILLIS = 120_000;
const BUILD_LIMIT_MILLIS = 180_000;
const RUN_LIMIT_MILLIS = 150_000;
/** Lines of the client's standard error that a failure shows. */
const LAST_LINES = 60;

/** The program, or why it cannot be had here. A program that does not compile is an error. */
export async function buildGoPoints(): Promise<{ program: string } | { missing: string }> {
  const files = readdirSync(SOURCES)
    .filter((file) => /\.go$|^go\.(mod|sum)$/.test(file))
    .sort();
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(path.join(SOURCES, file)));
  const program = path.join(CACHE, `go-points-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(program)) return { program };
  const go = await findGo();
  if (go === undefined) return { missing: 'go is not installed: the Go client is built with Go 1.22 or later' };
  const options = {
    cwd: SOURCES,
    env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' },
  };
  try {
    await run(go, ['mod', 'download'], { ...options, timeout: FETCH_LIMIT_MILLIS });
  } catch (thrown) {
    const { stderr = '', killed } = thrown as { stderr?: string; killed?: boolean };
    const why = killed ? `not in ${FETCH_LIMIT_MILLIS / 1000} s` : stderr.trim().split('\n').at(-1);
    return { missing: `the modules of the Go client cannot be had: ${why}` };
  }
  mkdirSync(CACHE, { recursive: true });
  // Built aside and renamed: what has the name is whole.
  const aside = mkdtempSync(path.join(CACHE, 'building-'));
  try {
    const built = path.join(aside, 'program');
    await run(go, ['build', '-o', built, '.'], { ...options, timeout: BUILD_LIMIT_MILLIS });
    renameSync(built, program);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
  return { program };
}

async function findGo(): Promise<string | undefined> {
  for (const command of COMMANDS) {
    const found = await run(command, ['version']).then(
      () => true,
      () => false,
    );
    if (found) return command;
  }
  return undefined;
}

/** @param chosen regular expression of the names of points to run; default: all */
export async function runGoPoints(program: string, servers: PointServers, chosen = '.'): Promise<Point[]> {
  const home = mkdtempSync(path.join(tmpdir(), 'foldlog-go-'));
  const words = ['-timed', '-namesrv', servers.namesrvAddr, '-broker', servers.broker.address, '-only', chosen];
  const env = {
    ...process.env,
    ROCKETMQ_GO_LOG_LEVEL: 'error',
    // The offsets of broadcasting consumers.
    'rocketmq.client.localOffsetStoreDir': home,
  };
  const client = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env, timeout: RUN_LIMIT_MILLIS });
  try {
    let [output, errors] = ['', ''];
    client.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    client.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      client.once('error', reject);
      client.once('close', resolve);
    });
    if (code !== 0) {
      const last = errors.split('\n').slice(-LAST_LINES).join('\n');
      throw new Error(`the Go client ended with ${code ?? 'a signal'}:\n${last}`);
    }
    return parsePoints(output);
  } finally {
    client.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true });
  }
}
