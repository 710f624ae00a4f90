/** What a session shares, and that nothing is left of it after closing. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { Session } from '../../src/client/session.js';
import { ManualClock } from '../support/manualClock.js';
import { TestCluster } from './support/cluster.js';

const root = path.resolve(import.meta.dirname, '../..');

/** Files of src/ that a file loads when it is imported; `import type` loads nothing. */
function loadedFrom(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = fs.readFileSync(file, 'utf8');
  for (const [, clause = '', target = ''] of text.matchAll(
    /^(?:import|export)\s+([^'"]*?\s*from\s+)?'(\.[^']+)';/gms,
  )) {
    if (/^type\b/.test(clause.trim())) continue;
    loadedFrom(path.resolve(path.dirname(file), target.replace(/\.js$/, '.ts')), seen);
  }
  return seen;
}

describe('the face of foldlog/client', () => {
  it('loads no store, broker or name server', () => {
    const loaded = [...loadedFrom(path.join(root, 'src/client/index.ts'))].map((file) => path.relative(root, file));
    expect(loaded.length).toBeGreaterThan(30);
    const rooms = new Set(loaded.map((file) => file.split('/')[1]));
    expect([...rooms].sort()).toEqual(['base', 'client', 'filter', 'protocol', 'remoting']);
  });
});

describe('session', () => {
  it('has a client id of address and instance name, unique unless one is given', async () => {
    const open = (instanceName?: string) =>
      Session.open({ namesrvAddr: '127.0.0.1:1', ...(instanceName ? { instanceName } : {}) });
    const sessions = [await open(), await open(), await open('bc')];
    const ids = sessions.map(({ clientId }) => clientId);
    expect(new Set(ids).size).toBe(3);
    expect(ids[0]).toMatch(new RegExp(`^[0-9a-f.:]+@${process.pid}#\\d+$`));
    expect(ids[2]).toMatch(/@bc$/);
    for (const session of sessions) await session.close();
  });

  it('refuses a wrong name server address at once', async () => {
    await expect(Session.open({ namesrvAddr: 'nonsense' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it('says so when no name server answers', async () => {
    const session = await Session.open({ namesrvAddr: '127.0.0.1:1' });
    await expect(new Producer({ session }).send({ topic: 'T', body: 'x' })).rejects.toThrow(/no name server answers/);
    await session.close();
  });

  it('I8: after closing no timer is left, and brokers have forgotten the client', async () => {
    const cluster = await TestCluster.start('local');
    try {
      const clock = new ManualClock(Date.now());
      const session = await cluster.session({ clock });
      const producer = new Producer({ session, group: 'P' });
      await producer.send({ topic: 'T', body: 'x' });
      for (const mode of ['concurrent', 'ordered'] as const) {
        const listener = async () => ({ status: 'SUCCESS' }) as const;
        await new PushConsumer(session, {
          group: `G-${mode}`,
          mode,
          subscriptions: [{ topic: 'T' }],
          listener,
        }).start();
      }
      expect(clock.pendingCount).toBeGreaterThan(3);
      await session.close();
      expect(clock.pendingCount).toBe(0);
      const watcher = await cluster.session();
      await watcher.routes.refresh('T');
      expect(await watcher.brokerCalls.consumerIds(cluster.brokerAddr, 'G-concurrent')).toEqual([]);
      expect(() => new Producer({ session })).toThrow(/closed/);
    } finally {
      await cluster.stop();
    }
  });

  it('closing twice is closing once', async () => {
    const session = await Session.open({ namesrvAddr: '127.0.0.1:1' });
    expect(session.close()).toBe(session.close());
    await session.close();
  });
});
