// A name server that knows of no broker yet, as after a restart of both: whoever reads or writes then waits for the broker
// instead of taking a stream for empty, or giving up.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { event, Foldlog, silentLogger } from '../../src/index.js';
import { TestCluster } from '../client/support/cluster.js';
import { OrderPlaced } from '../support/orders.js';

const NAME = { topic: 'orders', stream: 'order:1' };
const placed = () => event(OrderPlaced, { customer: 'c', cents: 1 });

let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.start('tcp');
});

afterEach(async () => {
  await cluster.stop();
});

const start = (repeatForMillis?: number) =>
  Foldlog.start({
    namesrv: cluster.namesrvAddr,
    database: ':memory:',
    handlers: [],
    events: [OrderPlaced],
    logger: silentLogger,
    ...(repeatForMillis !== undefined && { repeatForMillis }),
  });

/** What the stream of the work does until its broker is back. */
async function meanwhile<T>(work: () => Promise<T>): Promise<T> {
  await cluster.stopBroker();
  const result = work();
  let isOver = false;
  result.finally(() => (isOver = true)).catch(() => {});
  // Time to be told by the name server, in earnest, that there is no such topic.
  await expect(fetchRoute()).resolves.toBeUndefined();
  expect(isOver).toBe(false);
  await cluster.startBroker();
  return result;
}

async function fetchRoute(): Promise<unknown> {
  const session = await cluster.session();
  return session.routes.get(NAME.topic);
}

describe('without a broker', () => {
  it('a read waits for it', async () => {
    {
      await using first = await start();
      await first.eventStore.append(NAME, [placed(), placed()]);
    }
    await using app = await start();
    const versions = await meanwhile(async () => {
      const read: number[] = [];
      for await (const { version } of app.eventStore.readStream(NAME)) read.push(version);
      return read;
    });
    expect(versions).toEqual([1, 2]);
  });

  it('the first append waits for it', async () => {
    await using app = await start();
    const result = await meanwhile(() => app.eventStore.append(NAME, [placed()]));
    expect(result.version).toBe(1);
  });

  it('both give up when the time is up', async () => {
    await using app = await start(300);
    await cluster.stopBroker();
    await expect(app.eventStore.append(NAME, [placed()])).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    await expect(app.eventStore.readStream(NAME).next()).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
  });
});
