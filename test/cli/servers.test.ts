/** The server commands as processes: the ready line, signals, shutdown, and what stands in their way. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Admin } from '../../src/client/admin.js';
import { Producer } from '../../src/client/producer.js';
import { Session } from '../../src/client/session.js';
import { startEmbedded } from '../../src/embedded/embedded.js';
import { CliProcess } from '../support/cliProcess.js';

let home: string;
let running: CliProcess[];

const start = (words: readonly string[], options?: ConstructorParameters<typeof CliProcess>[1]) => {
  const started = new CliProcess(words, options);
  running.push(started);
  return started;
};
const namesrv = (...words: string[]) => start(['namesrv', '-p', '0', '--store', home, ...words]);
const up = (...words: string[]) =>
  start(['up', '--namesrv-port', '0', '--broker-port', '0', '--store', home, ...words]);
const runDirectory = () => readdirSync(path.join(home, 'foldlog/run'));

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'foldlog-serve-'));
  running = [];
});
afterEach(async () => {
  for (const each of running) {
    each.kill('SIGKILL');
    await each.exited;
  }
  rmSync(home, { recursive: true, force: true });
});

describe('foldlog namesrv', () => {
  it('prints one ready line, is found by shutdown, and exits 0', async () => {
    const server = namesrv();
    const [, port] = await server.out(/^ready namesrv=127\.0\.0\.1:(\d+)\n$/);
    expect(JSON.parse(readFileSync(path.join(home, 'foldlog/run/namesrv.json'), 'utf8'))).toMatchObject({
      role: 'namesrv',
      pid: server.child.pid,
      address: `127.0.0.1:${port}`,
    });
    const shutdown = start(['namesrv', '--store', home], { bin: 'mqshutdown' });
    expect(await shutdown.exited).toBe(0);
    expect(shutdown.stdout).toBe(
      [
        `The mqnamesrv(${server.child.pid}) is running...`,
        `Send shutdown request to mqnamesrv(${server.child.pid}) OK`,
        `The mqnamesrv(${server.child.pid}) has stopped\n`,
      ].join('\n'),
    );
    expect(await server.exited).toBe(0);
    expect(runDirectory()).toEqual([]);
  });

  it('refuses a second one from the same directory, and a port that is taken, with one line each', async () => {
    const server = start(['-p', '0', '--store', home], { bin: 'mqnamesrv' });
    const [, port = ''] = await server.out(/ready namesrv=127\.0\.0\.1:(\d+)/);
    const second = namesrv();
    const other = mkdtempSync(path.join(tmpdir(), 'foldlog-serve-'));
    const taken = start(['namesrv', '-p', port, '--store', other]);
    expect(await second.exited).toBe(1);
    expect(second.errors).toHaveLength(1);
    expect(second.errors[0]).toContain(
      `a name server (process ${server.child.pid}, 127.0.0.1:${port}) already runs from ${home}`,
    );
    expect(await taken.exited).toBe(1);
    expect(taken.errors).toEqual([
      `foldlog: port ${port} on 127.0.0.1 is taken: stop what listens there or choose another port`,
    ]);
    rmSync(other, { recursive: true, force: true });
    server.kill('SIGINT');
    expect(await server.exited).toBe(0);
  });

  it('is not mistaken for another process after it was killed', async () => {
    const first = namesrv();
    await first.out(/ready/);
    first.kill('SIGKILL');
    expect(await first.exited).toBe('SIGKILL');
    const file = path.join(home, 'foldlog/run/namesrv.json');
    // The id of a process that lives, as if it had been given out again.
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), pid: process.pid }));
    const shutdown = start(['shutdown', 'namesrv', '--store', home]);
    expect(await shutdown.exited).toBe(1);
    expect(shutdown.errors).toEqual([`foldlog: no mqnamesrv running from ${home}`]);
    await namesrv().out(/ready/);
  });
});

describe('foldlog up', () => {
  it('prints where both listen once they serve, and stops half by half', async () => {
    const server = up('--verbose');
    const [, namesrvAddr = '', brokerAddr] = await server.out(
      /^ready namesrv=(127\.0\.0\.1:\d+) broker=(127\.0\.0\.1:\d+)\n$/,
    );
    await using session = await Session.open({ namesrvAddr });
    await new Producer({ session }).send({ topic: 'T', body: 'hello' });
    expect(runDirectory()).toEqual(['broker.json', 'namesrv.json']);

    const broker = start(['shutdown', 'broker', '--store', home]);
    expect(await broker.exited).toBe(0);
    expect(runDirectory()).toEqual(['namesrv.json']);
    expect((await new Admin(session).clusterInfo()).brokerAddrTable.size).toBe(0);
    expect(server.child.exitCode).toBeNull();
    const again = start(['shutdown', 'broker', '--store', home]);
    expect(await again.exited).toBe(1);
    expect(again.errors).toEqual([`foldlog: no mqbroker running from ${home}`]);

    const namesrvHalf = start(['shutdown', 'namesrv', '--store', home]);
    expect(await namesrvHalf.exited).toBe(0);
    expect(await server.exited).toBe(0);
    expect(brokerAddr).not.toBe(namesrvAddr);
    // Nothing was left open that would have kept the process.
    expect(server.stderr).not.toContain('left open');
    expect(existsSync(path.join(home, 'abort'))).toBe(false);
  });

  it('takes broker.conf and flags over it, warns of keys without effect, and logs JSON when asked', async () => {
    const file = path.join(home, 'my.conf');
    writeFileSync(file, 'brokerName=other\nlistenPort=1\nsendMessageThreadPoolNums=4\n');
    const server = up('-c', file, '--log-json');
    const [, namesrvAddr = ''] = await server.out(/namesrv=(\S+) broker=127\.0\.0\.1:\d{2,}\n/);
    await using session = await Session.open({ namesrvAddr });
    expect([...(await new Admin(session).clusterInfo()).brokerAddrTable.keys()]).toEqual(['other']);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    const lines = server.errors.map((line) => JSON.parse(line) as { level: string; msg: string });
    expect(lines.find(({ level }) => level === 'warn')?.msg).toBe(
      `${file}:3: sendMessageThreadPoolNums has no effect: one event loop does the work of the thread pools`,
    );
    expect(lines.at(-1)).toMatchObject({ level: 'info', msg: 'stopped' });
  });

  it('refuses a directory that is in use and a port that is taken, with one line and nothing else', async () => {
    const server = up();
    const [, , brokerPort = ''] = await server.out(/namesrv=(\S+) broker=127\.0\.0\.1:(\d+)/);
    const second = up();
    const other = mkdtempSync(path.join(tmpdir(), 'foldlog-serve-'));
    const taken = start(['up', '--namesrv-port', '0', '--broker-port', brokerPort, '--store', other]);
    expect(await second.exited).toBe(1);
    expect(second.errors).toHaveLength(1);
    expect(second.errors[0]).toContain(home);
    expect(await taken.exited).toBe(1);
    expect(taken.errors).toEqual([
      `foldlog: port ${brokerPort} on 127.0.0.1 is taken: stop what listens there or choose another port`,
    ]);
    rmSync(other, { recursive: true, force: true });
  });

  it('tells of a store that an embedded broker holds, which leaves no run file', async () => {
    await using embedded = await startEmbedded({ store: home });
    const refused = up();
    expect(await refused.exited).toBe(1);
    expect(refused.errors).toHaveLength(1);
    expect(refused.errors[0]).toContain(home);
    expect(embedded.namesrvAddr).not.toBe('');
  });
});

describe('foldlog broker', () => {
  it('registers with the name server of -n or NAMESRV_ADDR and is stopped by mqshutdown', async () => {
    const nameServer = namesrv();
    const [, namesrvAddr = ''] = await nameServer.out(/ready namesrv=(\S+)/);
    const broker = start(['-p', '0', '--store', home], { bin: 'mqbroker', env: { NAMESRV_ADDR: namesrvAddr } });
    const [, brokerAddr = ''] = await broker.out(/^ready broker=(\S+)\n$/);
    await using session = await Session.open({ namesrvAddr });
    expect((await new Admin(session).clusterInfo()).brokerAddrTable.get('broker-a')?.brokerAddrs).toEqual(
      new Map([[0, brokerAddr]]),
    );
    const shutdown = start(['broker', '--store', home], { bin: 'mqshutdown' });
    expect(await shutdown.exited).toBe(0);
    expect(await broker.exited).toBe(0);
    expect(nameServer.child.exitCode).toBeNull();
  });

  it('says in one line that no name server is in reach', async () => {
    const conf = path.join(home, 'b.conf');
    writeFileSync(conf, 'registerBrokerTimeoutMills=300\n');
    const broker = start(['broker', '-n', '127.0.0.1:1', '-p', '0', '--store', home, '-c', conf]);
    expect(await broker.exited).toBe(1);
    expect(broker.errors).toHaveLength(1);
    expect(broker.errors[0]).toContain('127.0.0.1:1');
  });
});
