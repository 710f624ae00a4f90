/** The broker's side of registration, against the real name server. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { BrokerIdentity } from '../../src/broker/brokerIdentity.js';
import { Registration } from '../../src/broker/registration.js';
import { type BrokerConfig, defaultBrokerConfig } from '../../src/config/brokerConfig.js';
import { defaultNamesrvConfig, type NamesrvConfig } from '../../src/config/namesrvConfig.js';
import { NameServer } from '../../src/namesrv/nameServer.js';
import type { TopicConfig } from '../../src/protocol/bodies.js';
import { decodeTopicRouteData, topicConfigOf } from '../../src/protocol/bodies.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import type { ProcessorTable } from '../../src/remoting/processorTable.js';
import { ManualClock } from '../support/manualClock.js';
import { recordingLogger, temporaryDirectory } from '../support/testBroker.js';

async function nameServer(clock: ManualClock, changes: Partial<NamesrvConfig> = {}): Promise<NameServer> {
  const server = await NameServer.start({
    config: defaultNamesrvConfig({ kvConfigPath: `${temporaryDirectory()}/kvConfig.json`, ...changes }),
    listen: false,
    clock,
  });
  onTestFinished(() => server.stop());
  return server;
}

function registration(
  endpoints: Map<string, ProcessorTable>,
  clock: ManualClock,
  nameServers: string[],
  changes: Partial<BrokerConfig> = {},
) {
  const logger = recordingLogger();
  const topics = new Map<string, TopicConfig>([
    ['T', topicConfigOf('T')],
    ['U', topicConfigOf('U')],
  ]);
  let counter = 0;
  const identity = new BrokerIdentity({ clusterName: 'C', brokerName: 'b', host: '127.0.0.1' });
  identity.listensOn(10911);
  const ordered: string[] = [];
  const transport = new LocalTransport({ endpoints, clock });
  const registered = new Registration({
    identity,
    nameServers,
    transport,
    topics: {
      snapshot: () => ({
        dataVersion: { stateVersion: 0, timestamp: 1, counter },
        topicConfigTable: new Map(topics),
      }),
      markOrdered: (names) => void ordered.push(...names),
    },
    config: defaultBrokerConfig({ registerBrokerTimeoutMills: 5000, ...changes }),
    clock,
    logger,
  });
  onTestFinished(() => registered.stop());
  const put = (topic: TopicConfig) => {
    counter += 1;
    topics.set(topic.topicName, topic);
    return registered.announce([topic]);
  };
  /** As if a change could not be announced. */
  const changeUntold = () => {
    counter += 1;
  };
  return { registered, logger, put, ordered, changeUntold, transport };
}

/** Notes the topic as an ordered one: whoever registers in full is told. */
async function noteOrdered(server: NameServer, key: string): Promise<void> {
  const transport = new LocalTransport({ endpoints: new Map([['n:1', server.table]]) });
  onTestFinished(() => transport.close());
  const fields = { namespace: 'ORDER_TOPIC_CONFIG', key, value: 'b:4' };
  await transport.invoke('n:1', requestCommand(REQUEST_CODE.PUT_KV_CONFIG, fields), 3000);
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

  it('sends several changed topics with all the others, so that a name server which takes them for the whole is right', async () => {
    const clock = new ManualClock();
    const a = await nameServer(clock, { deleteTopicWithBrokerRegistration: true });
    const endpoints = new Map([['a:1', a.table]]);
    const { registered, put } = registration(endpoints, clock, ['a:1']);
    await registered.start({ isRequired: true });
    const route = routes(endpoints);
    // The first goes alone; the others come while it is under way and share the next registration.
    await Promise.all(['One', 'Two', 'Three'].map((name) => put(topicConfigOf(name))));
    for (const topic of ['One', 'Two', 'Three', 'T', 'U']) expect(await route('a:1', topic)).toBeDefined();
  });

  it('with compressedRegister deflates what it sends', async () => {
    const clock = new ManualClock();
    const a = await nameServer(clock);
    const endpoints = new Map([['a:1', a.table]]);
    const { registered, put } = registration(endpoints, clock, ['a:1'], { compressedRegister: true });
    await registered.start({ isRequired: true });
    const route = routes(endpoints);
    expect(await route('a:1', 'T')).toMatchObject({ readQueueNums: 16, writeQueueNums: 16, perm: 6 });
    await put(topicConfigOf('Typed', { readQueueNums: 2, perm: 4, attributes: { 'message.type': 'FIFO' } }));
    expect(await route('a:1', 'Typed')).toMatchObject({ readQueueNums: 2, writeQueueNums: 16, perm: 4 });
  });

  it('without forceRegister asks first, and registers only what has changed', async () => {
    const clock = new ManualClock();
    const a = await nameServer(clock);
    const endpoints = new Map([['a:1', a.table]]);
    const { registered, ordered, changeUntold } = registration(endpoints, clock, ['a:1'], { forceRegister: false });
    await registered.start({ isRequired: true });
    await noteOrdered(a, 'T');
    clock.advance(30_000);
    await settle();
    expect(ordered).toEqual([]);
    changeUntold();
    clock.advance(30_000);
    await settle();
    expect(ordered).toEqual(['T']);
    // The question is a sign of life: the broker stays though it no longer registers.
    await clock.advanceInSteps(300_000, 5000);
    await settle();
    expect(ordered).toEqual(['T']);
    expect(await routes(endpoints)('a:1', 'T')).toBeDefined();
  });

  it('with forceRegister, the default, registers every period', async () => {
    const clock = new ManualClock();
    const a = await nameServer(clock);
    const { registered, ordered } = registration(new Map([['a:1', a.table]]), clock, ['a:1']);
    await registered.start({ isRequired: true });
    await noteOrdered(a, 'T');
    clock.advance(30_000);
    await settle();
    expect(ordered).toEqual(['T']);
  });

  it('with enableSingleTopicRegister tells of each changed topic by itself', async () => {
    const clock = new ManualClock();
    const a = await nameServer(clock, { deleteTopicWithBrokerRegistration: true });
    const endpoints = new Map([['a:1', a.table]]);
    const { registered, put, ordered } = registration(endpoints, clock, ['a:1'], {
      enableSingleTopicRegister: true,
      brokerPermission: 4,
    });
    await registered.start({ isRequired: true });
    await noteOrdered(a, 'T');
    await Promise.all(['One', 'Two', 'Three'].map((name) => put(topicConfigOf(name, { readQueueNums: 3 }))));
    const route = routes(endpoints);
    for (const topic of ['One', 'Two', 'Three']) {
      expect(await route('a:1', topic)).toMatchObject({ readQueueNums: 3, perm: 4 });
    }
    expect(await route('a:1', 'T')).toBeDefined();
    // A registration would have been answered with the ordered topics.
    expect(ordered).toEqual([]);
  });

  it('registers in full, not just the changed topic, when the connection was lost before a change', async () => {
    const clock = new ManualClock();
    const endpoints = new Map([['a:1', (await nameServer(clock)).table]]);
    const { registered, put, transport } = registration(endpoints, clock, ['a:1'], { enableSingleTopicRegister: true });
    await registered.start({ isRequired: true });
    endpoints.set('a:1', (await nameServer(clock)).table);
    transport.disconnect('a:1');
    await put(topicConfigOf('New'));
    await settle();
    expect(await routes(endpoints)('a:1', 'T')).toBeDefined();
    expect(await routes(endpoints)('a:1', 'New')).toBeDefined();
  });

  it('without name servers does nothing', async () => {
    const clock = new ManualClock();
    const { registered } = registration(new Map(), clock, []);
    await registered.start({ isRequired: true });
    await registered.announce([topicConfigOf('T')]);
    expect(clock.pendingCount).toBe(0);
  });
});
