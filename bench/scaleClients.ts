/**
 * What do 1,000 connections cost a broker, idle and all at once with 1,000 topics and 200 consumer groups? The broker is
 * the built `foldlog up` in a process of its own (`npm run build` first); its memory and CPU time are what Linux says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { foldlog } from '../test/support/foldlogProcess.js';
import { ManyClients, processUse } from '../test/support/manyClients.js';
import { number, question } from './support/frame.js';

const CONNECTIONS = 1_000;
const TOPICS = 1_000;
const GROUPS = 200;
const ROUNDS = 20;
const BODY_BYTES = 1024;
const IDLE_MILLIS = 15_000;
const MIB = 1024 * 1024;

await question('many clients', async (bench) => {
  const server = foldlog(['up', '--store', bench.directories.make(), '--namesrv-port', '0', '--broker-port', '0']);
  try {
    const { broker } = await server.ready;
    const use = () => {
      const used = processUse(server.child.pid ?? 0);
      if (!used) throw new Error('memory and CPU time of another process are read from /proc: run this on Linux');
      return used;
    };
    bench.fact('broker and name server alone', use().residentBytes / MIB, 'MiB');
    const connections = bench.scaled(CONNECTIONS);
    const clients = new ManyClients({
      address: broker,
      connections,
      topics: bench.scaled(TOPICS),
      groups: bench.scaled(GROUPS),
    });
    const started = performance.now();
    await clients.join();
    bench.fact(`${connections} clients connect and join`, performance.now() - started, 'ms');
    await clients.checkGroups();

    await sleep(5_000);
    const before = use();
    await sleep(IDLE_MILLIS);
    const idle = use();
    const idlePercent = ((idle.cpuMillis - before.cpuMillis) / IDLE_MILLIS) * 100;
    bench.fact(
      `${connections} idle connections`,
      idle.residentBytes / MIB,
      'MiB',
      `${number(idlePercent)} % of a core`,
    );

    const created = performance.now();
    await clients.sendAndPull(BODY_BYTES);
    const warm = use();
    bench.fact(
      'first message of each topic',
      performance.now() - created,
      'ms',
      `${number((warm.cpuMillis - idle.cpuMillis) / 1000)} s CPU`,
    );

    const loaded = performance.now();
    for (let round = 0; round < ROUNDS; round += 1) await clients.sendAndPull(BODY_BYTES);
    await clients.sendToWaiting();
    const seconds = (performance.now() - loaded) / 1000;
    const after = use();
    bench.fact(
      'send and pull, all at once',
      (connections * ROUNDS) / seconds,
      '/s',
      `${number((after.cpuMillis - warm.cpuMillis) / 1000)} s CPU`,
    );
    bench.fact('largest memory', after.peakResidentBytes / MIB, 'MiB');
    await clients.close();

    const idleMebibytes = idle.residentBytes / MIB;
    const peakMebibytes = after.peakResidentBytes / MIB;
    bench.target('1,000 idle connections: less than 200 MiB', `${number(idleMebibytes)} MiB`, idleMebibytes < 200);
    bench.target('and less than 2 % of a core', `${number(idlePercent)} %`, idlePercent < 2);
    bench.target('at work: less than 1,024 MiB', `${number(peakMebibytes)} MiB`, peakMebibytes < 1024);
  } finally {
    server.kill('SIGKILL');
    await server.exited;
  }
});
