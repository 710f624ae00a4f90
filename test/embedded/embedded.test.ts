/** Name server and broker in one process: without a socket, with sockets, half by half, and what stands in the way. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Admin } from '../../src/client/admin.js';
import { Producer } from '../../src/client/producer.js';
import { PullConsumer } from '../../src/client/pullConsumer.js';
import { Session } from '../../src/client/session.js';
import {
  type Embedded,
  type StartEmbeddedOptions,
  startBroker,
  startEmbedded,
  startNameServer,
} from '../../src/embedded/index.js';

let directory: string;
let started: Embedded[];

const small = { mappedFileSizeCommitLog: 1024 * 1024, maxHashSlotNum: 1000, maxIndexNum: 4000 };
const start = async (options: Partial<StartEmbeddedOptions> = {}) => {
  const embedded = await startEmbedded({ store: path.join(directory, 'store'), config: small, ...options });
  started.push(embedded);
  return embedded;
};
const sessionOf = (embedded: Embedded) =>
  Session.open({ namesrvAddr: embedded.namesrvAddr, transport: (table) => embedded.connect(table) });

/** Sends one message and pulls it back. */
async function roundTrip(session: Session, topic: string): Promise<string> {
  const producer = new Producer({ session });
  const { queue, queueOffset } = await producer.send({ topic, body: 'hello', keys: ['k'] });
  const consumer = new PullConsumer({ session, group: 'G' });
  const result = await consumer.pull(queue, '*', queueOffset, 32);
  return result.messages.map(({ body }) => body.toString()).join();
}

/** TCP servers and sockets that this process holds, after those that were closed have gone. */
const openHandles = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  return process.getActiveResourcesInfo().filter((name) => /TCP/.test(name)).length;
};

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'foldlog-embedded-'));
  started = [];
});
afterEach(async () => {
  for (const each of started) await each.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('startEmbedded', () => {
  it('serves clients of its process without a socket', async () => {
    const before = await openHandles();
    const embedded = await start();
    await using session = await sessionOf(embedded);
    expect(await roundTrip(session, 'T')).toBe('hello');
    expect((await new Admin(session).queryMessages('T', 'k')).map(({ body }) => body.toString())).toEqual(['hello']);
    expect(await openHandles()).toBe(before);
  });

  it('serves other processes when it listens, and its own without a socket all the same', async () => {
    const embedded = await start({ listen: true, namesrvPort: 0, brokerPort: 0 });
    expect(embedded.namesrvAddr).toMatch(/^127\.0\.0\.1:\d+$/);
    await using remote = await Session.open({ namesrvAddr: embedded.namesrvAddr });
    expect(await roundTrip(remote, 'Remote')).toBe('hello');
    await using local = await sessionOf(embedded);
    expect(await roundTrip(local, 'Local')).toBe('hello');
  });

  it('reaches servers that are not its own over TCP', async () => {
    const other = await start({ listen: true, namesrvPort: 0, brokerPort: 0, store: path.join(directory, 'other') });
    const embedded = await start();
    await using session = await Session.open({
      namesrvAddr: other.namesrvAddr,
      transport: (table) => embedded.connect(table),
    });
    expect(await roundTrip(session, 'T')).toBe('hello');
  });

  it('keeps messages and the KV configuration over a restart', async () => {
    const first = await start();
    {
      await using session = await sessionOf(first);
      await new Producer({ session }).send({ topic: 'T', body: 'kept', keys: ['k'] });
      await new Admin(session).putKvConfig('N', 'k', 'v');
    }
    await first.stop();
    await using session = await sessionOf(await start());
    expect((await new Admin(session).queryMessages('T', 'k')).map(({ body }) => body.toString())).toEqual(['kept']);
    expect(await new Admin(session).getKvConfig('N', 'k')).toBe('v');
  });

  it('stops half by half: the name server outlives the broker and loses its route', async () => {
    const embedded = await start({ listen: true, namesrvPort: 0, brokerPort: 0 });
    await using session = await sessionOf(embedded);
    const admin = new Admin(session);
    expect((await admin.clusterInfo()).brokerAddrTable.size).toBe(1);
    await embedded.stopBroker();
    expect((await admin.clusterInfo()).brokerAddrTable.size).toBe(0);
    await embedded.stopNameServer();
    await expect(admin.clusterInfo()).rejects.toThrow();
  });

  it('leaves no socket open after stop, and a second stop changes nothing', async () => {
    const before = await openHandles();
    const embedded = await start({ listen: true, namesrvPort: 0, brokerPort: 0 });
    expect(await openHandles()).toBeGreaterThan(before);
    await embedded.stop();
    await embedded.stop();
    expect(await openHandles()).toBe(before);
  });

  it('refuses a directory that is in use, and leaves the user alone', async () => {
    const first = await start();
    await expect(start()).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await using session = await sessionOf(first);
    expect(await roundTrip(session, 'T')).toBe('hello');
  });

  it('closes what it had opened when a port is taken', async () => {
    const taken = await new Promise<Server>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
    });
    try {
      const { port } = taken.address() as { port: number };
      const ports = { listen: true, namesrvPort: 0, brokerPort: port };
      await expect(start(ports)).rejects.toMatchObject({
        code: 'PORT_TAKEN',
        message: expect.stringContaining(String(port)),
      });
      // The directory is free again.
      await start();
    } finally {
      taken.close();
    }
  });

  it('refuses a configuration that is wrong before anything is opened', async () => {
    await expect(startEmbedded({ store: directory, config: { brokerRole: 'SLAVE' } })).rejects.toThrow('replication');
    await expect(startEmbedded({ store: directory, config: { listenPort: -1 } })).rejects.toThrow('listenPort=-1');
  });
});

describe('startNameServer and startBroker', () => {
  it('run apart and find each other over TCP', async () => {
    await using nameServer = await startNameServer({ config: { listenPort: 0 } });
    const namesrvAddr = `127.0.0.1:${nameServer.address?.port}`;
    const store = path.join(directory, 'store');
    await using broker = await startBroker({ store, namesrvAddr, config: { ...small, listenPort: 0 } });
    expect(broker.address.port).toBeGreaterThan(0);
    await using session = await Session.open({ namesrvAddr });
    expect(await roundTrip(session, 'T')).toBe('hello');
  });

  it('a broker without any name server in reach fails with one clear error and frees its store', async () => {
    const store = path.join(directory, 'store');
    const config = { ...small, listenPort: 0, registerBrokerTimeoutMills: 300 };
    await expect(startBroker({ store, namesrvAddr: '127.0.0.1:1', config })).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('127.0.0.1:1'),
    });
    await start();
  });
});
