/**
 * `foldlog up` as a user runs it: it serves a client in another process, and what it acknowledged is there after kill -9.
 * `foldlog shutdown` stops it gracefully, with the exit codes of the documentation.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { Session } from '../../src/client/session.js';
import { type FoldlogProcess, foldlog } from '../support/foldlogProcess.js';

let store: string;
const running: FoldlogProcess[] = [];

const up = async (...args: string[]) => {
  const started = foldlog(['up', '--store', store, '--namesrv-port', '0', '--broker-port', '0', ...args]);
  running.push(started);
  return { process: started, ...(await started.ready) };
};

beforeEach(() => {
  store = mkdtempSync(path.join(tmpdir(), 'foldlog-up-'));
});

afterEach(async () => {
  for (const each of running.splice(0)) {
    each.kill('SIGKILL');
    await each.exited;
  }
  rmSync(store, { recursive: true, force: true });
});

describe('foldlog up', () => {
  it('delivers all that was acknowledged after kill -9 and a new start', async () => {
    const first = await up();
    expect(first.line).toMatch(/^ready namesrv=127\.0\.0\.1:\d+ broker=127\.0\.0\.1:\d+$/);
    const acknowledged: string[] = [];
    {
      await using session = await Session.open({ namesrvAddr: first.namesrv, requestTimeoutMillis: 1000 });
      const producer = new Producer({ session });
      let killed = false;
      let next = 0;
      const sender = async () => {
        while (!killed) {
          const body = `message-${next++}`;
          try {
            await producer.send({ topic: 'Crash', body });
            acknowledged.push(body);
          } catch {
            return; // Unknown: it may or may not be stored.
          }
          if (acknowledged.length === 3000) {
            first.process.kill('SIGKILL');
            killed = true;
          }
        }
      };
      await Promise.all(Array.from({ length: 16 }, sender));
      await first.process.exited;
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(3000);

    const second = await up();
    await using session = await Session.open({ namesrvAddr: second.namesrv });
    const missing = new Set(acknowledged);
    await new Promise<void>((resolve, reject) => {
      const consumer = new PushConsumer(session, {
        group: 'crash-check',
        subscriptions: [{ topic: 'Crash' }],
        from: 'CONSUME_FROM_FIRST_OFFSET',
        consumeMessageBatchMaxSize: 32,
        async listener(messages) {
          for (const message of messages) missing.delete(message.body.toString());
          if (missing.size === 0) consumer.stop().then(resolve, reject);
          return { status: 'SUCCESS' };
        },
      });
      consumer.start().catch(reject);
    });
    expect(missing.size).toBe(0);
  });

  it('is stopped by shutdown, half by half, within ten seconds', async () => {
    const { process: server } = await up();
    const started = performance.now();
    const broker = foldlog(['shutdown', 'broker', '--store', store]);
    expect(await broker.exited).toBe(0);
    expect(server.child.exitCode).toBeNull();
    const namesrv = foldlog(['shutdown', 'namesrv', '--store', store]);
    expect(await namesrv.exited).toBe(0);
    expect(await server.exited).toBe(0);
    expect(performance.now() - started).toBeLessThan(10_000);

    const again = foldlog(['shutdown', 'broker', '--store', store]);
    expect(await again.exited).toBe(1);
    expect(again.stderr().trim().split('\n')).toHaveLength(1);
  });

  it('refuses a directory that another process uses, and a port that is taken, in one line each', async () => {
    const { broker } = await up();
    const locked = foldlog(['up', '--store', store, '--namesrv-port', '0', '--broker-port', '0']);
    expect(await locked.exited).toBe(1);
    expect(locked.stderr()).toContain(store);
    expect(locked.stderr().trim().split('\n')).toHaveLength(1);

    const other = mkdtempSync(path.join(tmpdir(), 'foldlog-up-'));
    try {
      const port = broker.split(':')[1] ?? '';
      const taken = foldlog(['up', '--store', other, '--namesrv-port', '0', '--broker-port', port]);
      expect(await taken.exited).toBe(1);
      expect(taken.stderr()).toContain(port);
      expect(taken.stderr().trim().split('\n')).toHaveLength(1);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it('flushes and leaves no abort file on SIGTERM, exit code 0', async () => {
    const { process: server } = await up();
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    const { process: again } = await up();
    expect(again.stderr()).not.toMatch(/unclean|abort/i);
  });
});
