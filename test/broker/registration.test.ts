/** The broker's side of registration, against the real name server. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { BrokerIdentity } from '../../src/broker/brokerIdentity.js';
import { Registration } from '../../src/broker/registration.js';
import { defaultBrokerConfig } from '../../src/config/brokerConfig.js';
import { defaultNamesrvConfig } from '../../src/config/namesrvConfig.js';
import { NameServer } from '../../src/namesrv/nameServer.js';
import type { TopicConfig } from '../../src/protocol/bodies.js';
import { decodeTopicRouteData, topicConfigOf } from '../../src/protocol/bodies.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import type { ProcessorTable } from '../../src/remoting/processorTable.js';
import { ManualClock } from '../support/manualClock.js';
import { recordingLogger, temporaryDirectory } from '../support/testBroker.js';

async function nameServer(clock: ManualClock): Promise<NameServer> {
  const server = await NameServer.start({
    config: defaultNamesrvConfig({ kvConfigPath: `${temporaryDirectory()}/kvConfig.json` }),
    listen: false,
    clock,
  });
  onTestFinished(() => server.stop());
  return server;
}

function registration(endpoints: Map<string, ProcessorTable>, clock: ManualClock, nameServers: string[]) {
  const logger = recordingLogger();
  const topics = new Map<string, TopicConfig>([
    ['T', topicConfigOf('T')],
    ['U', topicConfigOf('U')],
  ]);
  let counter = 0;
  const identity = new BrokerIdentity({ clusterName: 'C', brokerName: 'b', host: '127.0.0.1' });
  identity.listensOn(10911);
  const ordered: string[] = [];
  const registered = new Registration({
    identity,
    nameServers,
    transport: new LocalTransport({ endpoints, clock }),
    topics: {
      snapshot: () => ({
        dataVersion: { stateVersion: 0, timestamp: 1, counter },
        topicConfigTable: new Map(topics),
      }),
      markOrdered: (names) => void ordered.push(...names),
    },
    config: defaultBrokerConfig({ registerBrokerTimeoutMills: 5000 }),
    clock,
    logger,
  });
  onTestFinished(() => registered.stop());
  const put = (topic: TopicConfig) => {
    counter += 1;
    topics.set(topic.topicName, topic);
    return registered.announce([topic]);
  };
  return { registered, logger, put, ordered };
}

/** A client of the name server of its own. */
function routes(endpoints: Map<string, ProcessorTable>) {
  const transport = new LocalTransport({ endpoints });
  onTestFinished(() => transport.close());
  return async (address: string, topic: string) => {
    const response = await transport.invoke(
      address,
      requestCommand(REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC, { topic }),
      3000,
    );
    return response.code === 0 ? decodeTopicRouteData(response.body).queueDatas[0] : undefined;
  };
}

const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('registration', () => {
  it('tells every name server, changes at once, and unregisters at the end', async () => {
    const clock = new ManualClock();
    const [a, b] = [await nameServer(clock), await nameServer(clock)];
    const endpoints = new Map([
      ['a:1', a.table],
      ['b:1', b.table],
    ]);
    const { registered, put } = registration(endpoints, clock, ['a:1', 'b:1']);
    const route = routes(endpoints);
    await registered.start({ isRequired: true });
    await settle();
    expect(await route('a:1', 'T')).toMatchObject({ brokerName: 'b', readQueueNums: 16, perm: 6 });
    expect(await route('b:1', 'U')).toBeDefined();
    await put(topicConfigOf('New', { readQueueNums: 3 }));
    expect(await route('a:1', 'New')).toMatchObject({ readQueueNums: 3 });
    expect(await route('b:1', 'New')).toMatchObject({ readQueueNums: 3 });
    expect((await registered.routeOf('New'))?.queueDatas[0]?.readQueueNums).toBe(3);
    await registered.stop();
    await settle();
    expect(await route('a:1', 'T')).toBeUndefined();
    expect(await route('b:1', 'T')).toBeUndefined();
  });

  it('starts with one of two, and finds the other when it comes', async () => {
    const clock = new ManualClock();
    const b = await nameServer(clock);
    const endpoints = new Map([['b:1', b.table]]);
    const { registered, logger } = registration(endpoints, clock, ['a:1', 'b:1']);
    await registered.start({ isRequired: true });
    await settle();
    expect(logger.lines.filter((line) => line.includes('name server lost'))).toHaveLength(1);
    const a = await nameServer(clock);
    endpoints.set('a:1', a.table);
    clock.advance(2000);
    await settle();
    expect(await routes(endpoints)('a:1', 'T')).toBeDefined();
  });

  it('fails in one line when no name server answers in time', async () => {
    const clock = new ManualClock();
    const { registered } = registration(new Map(), clock, ['a:1', 'b:1']);
    const started = registered.start({ isRequired: true });
    const outcome = expect(started).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringMatching(
        /^no name server of a:1;b:1 took the broker within 5000 ms \(.+\): start one or correct namesrvAddr$/,
      ),
    });
    await clock.advanceInSteps(6000, 100);
    await outcome;
    await registered.stop();
    expect(clock.pendingCount).toBe(0);
  });

  it('registers again, in full, when a name server was replaced', async () => {
    const clock = new ManualClock();
    const endpoints = new Map([['a:1', (await nameServer(clock)).table]]);
    const { registered, put } = registration(endpoints, clock, ['a:1']);
    await registered.start({ isRequired: true });
    const replacement = await nameServer(clock);
    endpoints.set('a:1', replacement.table);
    const route = routes(endpoints);
    expect(await route('a:1', 'T')).toBeUndefined();
    await put(topicConfigOf('New'));
    clock.advance(30_000);
    await settle();
    expect(await route('a:1', 'T')).toBeDefined();
    expect(await route('a:1', 'U')).toBeDefined();
    expect(await route('a:1', 'New')).toBeDefined();
  });

  it('without name servers does nothing', async () => {
    const clock = new ManualClock();
    const { registered } = registration(new Map(), clock, []);
    await registered.start({ isRequired: true });
    await registered.announce([topicConfigOf('T')]);
    expect(clock.pendingCount).toBe(0);
  });
});
