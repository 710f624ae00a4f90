/**
 * Two and three name servers, a broker and clients, each reached over TCP: name servers are stopped and started again
 * on their ports while a producer sends and a consumer consumes. Nothing that clients do may fail for it. The broker's
 * clock is moved by hand: it looks for lost name servers every two seconds.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Admin } from '../../src/client/admin.js';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { Session } from '../../src/client/session.js';
import { startBroker } from '../../src/embedded/startBroker.js';
import { startNameServer } from '../../src/embedded/startNameServer.js';
import type { NameServer } from '../../src/namesrv/nameServer.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { ManualClock } from '../support/manualClock.js';
import { NamesrvClient } from '../support/namesrvClient.js';
import { SMALL_FILES, temporaryDirectory } from '../support/testBroker.js';

/** A name server that can be stopped and started again: same port, same files, nothing in memory. */
class RestartableNameServer {
  readonly #home = temporaryDirectory();
  #running: NameServer | undefined;
  #port = 0;

  async start(): Promise<void> {
    const config = { listenPort: this.#port, kvConfigPath: `${this.#home}/kvConfig.json` };
    this.#running = await startNameServer({ config });
    this.#port = this.#running.address?.port ?? 0;
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
    this.#running = undefined;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Asks this name server alone, over a connection of its own. */
  async ask<T>(question: (client: NamesrvClient) => Promise<T>): Promise<T> {
    if (!this.#running) throw new Error('the name server is stopped');
    const client = NamesrvClient.connect(this.#running);
    try {
      return await question(client);
    } finally {
      await client.close();
    }
  }

  knows(topic: string): Promise<boolean> {
    return this.ask(async (client) => (await client.route(topic)) !== undefined);
  }
}

async function nameServers(count: number): Promise<RestartableNameServer[]> {
  const started = Array.from({ length: count }, () => new RestartableNameServer());
  for (const each of started) {
    onTestFinished(() => each.stop());
    await each.start();
  }
  return started;
}

const addressesOf = (servers: readonly RestartableNameServer[]) => servers.map(({ address }) => address).join(';');

async function brokerAt(namesrvAddr: string): Promise<ManualClock> {
  const clock = new ManualClock(Date.now());
  const broker = await startBroker({
    store: temporaryDirectory(),
    namesrvAddr,
    config: { ...SMALL_FILES, listenPort: 0 },
    clock,
  });
  onTestFinished(() => broker.stop());
  return clock;
}

async function sessionAt(namesrvAddr: string, requestTimeoutMillis = 3000): Promise<Session> {
  // Routes are asked for all the time, so that every name server that is down is noticed.
  const session = await Session.open({ namesrvAddr, requestTimeoutMillis, pollNameServerIntervalMillis: 20 });
  onTestFinished(() => session.close());
  return session;
}

/** Moves the broker's clock on until the condition holds. */
async function untilHolds(clock: ManualClock, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let turn = 0; !(await holds()); turn += 1) {
    if (turn % 50 === 0) clock.advance(2000);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Sends and consumes without a pause until it is stopped; then everything that was sent has been consumed. */
async function traffic(session: Session) {
  const producer = new Producer({ session });
  const sent = new Set<string>();
  const consumed = new Set<string>();
  let isOn = true;
  await producer.send({ topic: 'Traffic', body: 'first' });
  sent.add('first');
  const consumer = new PushConsumer(session, {
    group: 'TrafficGroup',
    subscriptions: [{ topic: 'Traffic' }],
    from: 'CONSUME_FROM_FIRST_OFFSET',
    listener: async (messages) => {
      for (const { body } of messages) consumed.add(body.toString());
      return { status: 'SUCCESS' };
    },
  });
  await consumer.start();
  const sending = (async () => {
    for (let next = 0; isOn; next += 1) {
      await producer.send({ topic: 'Traffic', body: `message-${next}` });
      sent.add(`message-${next}`);
    }
  })();
  // A send that fails fails the test where it waits for more.
  const more = async (count: number) => {
    const wanted = sent.size + count;
    while (sent.size < wanted) {
      await Promise.race([sending, new Promise((resolve) => setImmediate(resolve))]);
    }
  };
  const stop = async () => {
    isOn = false;
    await sending;
    while (consumed.size < sent.size) await new Promise((resolve) => setImmediate(resolve));
    expect(consumed).toEqual(sent);
  };
  return { more, stop };
}

describe('several name servers', () => {
  it('serve producers and consumers while one of two is down, comes back, and the other goes', async () => {
    const servers = await nameServers(2);
    const [first, second] = servers as [RestartableNameServer, RestartableNameServer];
    const clock = await brokerAt(addressesOf(servers));
    await untilHolds(clock, async () => (await first.knows('TBW102')) && (await second.knows('TBW102')));
    const session = await sessionAt(addressesOf(servers));
    const producer = new Producer({ session });
    const { more, stop } = await traffic(session);
    await more(20);

    await first.stop();
    await more(50);
    // A topic that nobody has heard of is created, and found, with one name server.
    await producer.send({ topic: 'BornWithoutFirst', body: 'x' });
    expect(await second.knows('BornWithoutFirst')).toBe(true);

    await first.start();
    await untilHolds(clock, () => first.knows('BornWithoutFirst'));
    expect(await first.knows('Traffic')).toBe(true);

    await second.stop();
    await more(50);
    await producer.send({ topic: 'BornWithoutSecond', body: 'x' });
    expect(await first.knows('BornWithoutSecond')).toBe(true);
    await stop();
  });

  it('are replaced one after the other, three of them, and keep their KV configuration', async () => {
    const servers = await nameServers(3);
    const clock = await brokerAt(addressesOf(servers));
    const session = await sessionAt(addressesOf(servers));
    const admin = new Admin(session);
    await admin.putKvConfig('ORDER_TOPIC_CONFIG', 'Ordered', 'broker-a:4');
    const { more, stop } = await traffic(session);
    for (const [index, server] of servers.entries()) {
      await untilHolds(clock, async () => {
        for (const each of servers) if (!(await each.knows('Traffic'))) return false;
        return true;
      });
      await server.stop();
      await more(20);
      await new Producer({ session }).send({ topic: `Round${index}`, body: 'x' });
      await server.start();
      const fields = { namespace: 'ORDER_TOPIC_CONFIG', key: 'Ordered' };
      const kept = await server.ask((client) => client.request(REQUEST_CODE.GET_KV_CONFIG, fields));
      expect(kept.extFields).toEqual({ value: 'broker-a:4' });
      await untilHolds(clock, () => server.knows(`Round${index}`));
    }
    await stop();
  });

  it('do not all have to be there when the broker and its clients start', async () => {
    const servers = await nameServers(3);
    const [first, second, third] = servers as [RestartableNameServer, RestartableNameServer, RestartableNameServer];
    await first.stop();
    await third.stop();
    const clock = await brokerAt(addressesOf(servers));
    const session = await sessionAt(addressesOf(servers));
    const { more, stop } = await traffic(session);
    await more(10);
    expect(await second.knows('Traffic')).toBe(true);
    await first.start();
    await third.start();
    await untilHolds(clock, async () => (await first.knows('Traffic')) && (await third.knows('Traffic')));
    await second.stop();
    await more(10);
    await stop();
  });

  it('lose a broker when it stops, all of them', async () => {
    const servers = await nameServers(2);
    const broker = await startBroker({
      store: temporaryDirectory(),
      namesrvAddr: addressesOf(servers),
      config: { ...SMALL_FILES, listenPort: 0 },
    });
    for (const server of servers) while (!(await server.knows('TBW102'))) await Promise.resolve();
    await broker.stop();
    for (const server of servers) expect(await server.knows('TBW102')).toBe(false);
  });

  it('include one that takes connections and never answers: clients and broker go to the others', async () => {
    const [server] = (await nameServers(1)) as [RestartableNameServer];
    const stuck = await startStuckServer();
    await brokerAt(`${stuck.address};${server.address}`);
    // The broker has been taken by the one that answers.
    expect(await server.knows('TBW102')).toBe(true);
    for (const namesrvAddr of [`${stuck.address};${server.address}`, `${server.address};${stuck.address}`]) {
      const session = await sessionAt(namesrvAddr, 200);
      const { status } = await new Producer({ session }).send({ topic: 'Patient', body: 'x' });
      expect(status).toBe('SEND_OK');
    }
    // The broker's clock stands: without this it would wait for its registration for ever when it stops.
    await stuck.close();
  });
});

async function startStuckServer(): Promise<{ address: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.resume().on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(close);
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}
