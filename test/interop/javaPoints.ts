/**
 * Runs the programs of test/interop/java, made with rocketmq-client 5.5.0, against servers: they print one point a line
 * and ask for what only their starter can do (a server stopped, started) by a line that begins with @.
 *
 * The classes are kept in the cache beside the jars, under a name that is a hash of the sources: compiled once.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { PointServers } from './pointServers.js';
import { type Point, parsePoints } from './pointTable.js';
import { ROCKETMQ_SCRIPTS } from './realRocketMq.js';

const run = promisify(execFile);
const SOURCES = path.join(import.meta.dirname, 'java');
const CACHE = path.join(homedir(), '.cache', 'foldlog-interop');
/** Lines of the client's standard error that a failure shows. */
const LAST_LINES = 60;

/** Compiles the programs unless that was done before; returns the class path to run them with. */
export async function compileJavaPoints(): Promise<string> {
  const { stdout } = await run('bash', [path.join(ROCKETMQ_SCRIPTS, 'fetch-jars.sh')]);
  const jars = path.join(stdout.trim().split('\n').at(-1) ?? '', '*');
  const files = readdirSync(SOURCES)
    .filter((file) => file.endsWith('.java'))
    .sort();
  const hash = createHash('sha256').update(jars);
  for (const file of files) hash.update(file).update(readFileSync(path.join(SOURCES, file)));
  const classes = path.join(CACHE, `points-${hash.digest('hex').slice(0, 16)}`);
  if (!existsSync(classes)) {
    mkdirSync(CACHE, { recursive: true });
    // Compiled aside and renamed: what has the name is whole.
    const aside = mkdtempSync(path.join(CACHE, 'compiling-'));
    try {
      await run('javac', ['-nowarn', '-d', aside, '-cp', jars, ...files.map((file) => path.join(SOURCES, file))]);
      renameSync(aside, classes);
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
  }
  return `${classes}:${jars}`;
}

/** @param chosen regular expression of the names of points to run; default: all */
export async function runJavaPoints(classPath: string, servers: PointServers, chosen = '.*'): Promise<Point[]> {
  const home = mkdtempSync(path.join(tmpdir(), 'foldlog-java-'));
  const options = ['-Xms64m', '-Xmx384m', '-XX:TieredStopAtLevel=1', '-Xshare:auto', `-Duser.home=${home}`];
  const client = spawn(
    'java',
    [
      ...options,
      `-Drocketmq.client.localOffsetStoreDir=${home}/offsets`,
      // A rebalance that missed its moment is made up for soon.
      ...['-Drocketmq.client.rebalance.waitInterval=1000', '-cp', classPath, 'PointRun'],
      ...[servers.namesrvAddr, servers.broker.address, chosen],
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  try {
    const lines: string[] = [];
    const errors: string[] = [];
    client.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors.push(...text.split('\n'));
    });
    const closed = new Promise<number | null>((resolve) => client.once('close', resolve));
    for await (const line of createInterface({ input: client.stdout })) {
      if (line.startsWith('@')) {
        const command = line.slice(1);
        await obey(servers, command);
        client.stdin.write(`done ${command}\n`);
      } else {
        lines.push(line);
      }
    }
    const code = await closed;
    if (process.env['FOLDLOG_REPORTS'] !== undefined) process.stderr.write(`${errors.join('\n')}\n`);
    if (code !== 0) throw new Error(`the Java client ended with ${code}:\n${errors.slice(-LAST_LINES).join('\n')}`);
    return parsePoints(lines.join('\n'));
  } finally {
    client.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true });
  }
}

/** `stop broker`, `start namesrv-0` and so on. */
async function obey({ nameServers, broker }: PointServers, command: string): Promise<void> {
  const [what, name] = command.split(' ');
  const server = name === 'broker' ? broker : nameServers[Number(name?.replace('namesrv-', ''))];
  if (!server || (what !== 'start' && what !== 'stop')) throw new Error(`the Java client asked for ${command}`);
  await (what === 'start' ? server.start() : server.stop());
}
