/**
 * Many connections, topics and groups at once on one broker in a process of its own: all are served, and its memory
 * stays within bounds. A tenth of what `bench/scaleClients.ts` measures.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { foldlog } from '../support/foldlogProcess.js';
import { ManyClients, processUse } from '../support/manyClients.js';

const MIB = 1024 * 1024;

it('100 connections, 100 topics and 20 groups at once are all served in less than 400 MiB', async () => {
  const store = mkdtempSync(path.join(tmpdir(), 'foldlog-many-'));
  const server = foldlog(['up', '--store', store, '--namesrv-port', '0', '--broker-port', '0']);
  onTestFinished(async () => {
    server.kill('SIGKILL');
    await server.exited;
    rmSync(store, { recursive: true, force: true });
  });
  const { broker } = await server.ready;
  const clients = new ManyClients({ address: broker, connections: 100, topics: 100, groups: 20 });
  onTestFinished(() => clients.close());
  await clients.join();
  await clients.checkGroups();
  for (let round = 0; round < 5; round += 1) await clients.sendAndPull(1024);
  await clients.sendToWaiting();
  const used = processUse(server.child.pid!);
  if (used) expect(used.peakResidentBytes).toBeLessThan(400 * MIB);
});
