import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Broker } from '../../src/broker/broker.js';
import { defaultBrokerConfig } from '../../src/config/brokerConfig.js';
import { defaultNamesrvConfig } from '../../src/config/namesrvConfig.js';
import { NameServer } from '../../src/namesrv/nameServer.js';
import { decodeTopicConfigTable } from '../../src/protocol/bodies.js';
import { queryConsumerOffsetHeader, updateConsumerOffsetHeader } from '../../src/protocol/headers/messaging.js';
import { parseLooseJson } from '../../src/protocol/looseJson.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import { RemotingClient } from '../../src/remoting/remotingClient.js';
import { RawClient } from '../support/rawClient.js';
import {
  appendEvents,
  bodiesOf,
  messagesOf,
  pull,
  SMALL_FILES,
  send,
  startTestBroker,
  temporaryDirectory,
} from '../support/testBroker.js';

const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

const commit = (client: RawClient, commitOffset: number) =>
  client.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, {
    consumerGroup: 'CG',
    topic: 'T',
    queueId: 0,
    commitOffset,
  });

const committed = async (client: RawClient) =>
  (
    await client.call(REQUEST_CODE.QUERY_CONSUMER_OFFSET, queryConsumerOffsetHeader, {
      consumerGroup: 'CG',
      topic: 'T',
      queueId: 0,
      setZeroIfNotFound: false,
    })
  ).extFields['offset'];

describe('a broker', () => {
  it('keeps messages, topics, groups and offsets over a restart', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    const one = first.client();
    for (const body of ['a', 'b', 'c']) await send(one, { topic: 'T', body });
    await commit(one, 2);
    const topics = decodeTopicConfigTable((await one.callRaw(REQUEST_CODE.GET_ALL_TOPIC_CONFIG)).body);
    await first.stop();
    const second = await startTestBroker({ directory, clock: first.clock });
    const two = second.client();
    expect(decodeTopicConfigTable((await two.callRaw(REQUEST_CODE.GET_ALL_TOPIC_CONFIG)).body)).toEqual(topics);
    expect(bodiesOf(await pull(two, { topic: 'T' }))).toEqual(['a', 'b', 'c']);
    expect(await committed(two)).toBe('2');
    expect((await send(two, { topic: 'T', body: 'd' })).extFields['queueOffset']).toBe('3');
  });

  it('keeps what it acknowledged when it is killed: messages, marks, and offsets of no more than five seconds ago', async () => {
    const { directory, client, clock } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b', 'c']) await send(one, { topic: 'T', body });
    await appendEvents(one, { events: [{ keys: ['s-1'] }, { keys: ['s-1'] }] });
    await commit(one, 2);
    clock.advance(5000);
    await expect.poll(() => readdirSync(path.join(directory, 'config'))).toContain('consumerOffset.json');
    await commit(one, 3);
    await send(one, { topic: 'T', body: 'd' });
    // What a kill leaves: the files as they lie there.
    const killed = temporaryDirectory();
    cpSync(directory, killed, { recursive: true });
    const second = await startTestBroker({ directory: killed });
    const two = second.client();
    expect(bodiesOf(await pull(two, { topic: 'T' }))).toEqual(['a', 'b', 'c', 'd']);
    expect(await committed(two)).toBe('2');
    expect((await send(two, { topic: 'Events' })).code).toBe(RESPONSE_CODE.NO_PERMISSION);
    const next = await appendEvents(two, { events: [{ keys: ['s-1'] }] });
    expect(next.extFields['versions']).toBe('3');
  });

  it('registers with a name server in the same process before it is ready', async () => {
    const nameServer = await NameServer.start({
      config: defaultNamesrvConfig({ kvConfigPath: path.join(temporaryDirectory(), 'kvConfig.json') }),
      listen: false,
    });
    onTestFinished(() => nameServer.stop());
    const endpoints = new Map([['names:9876', nameServer.table]]);
    let isHeld = false;
    let release = () => {};
    const transport = new LocalTransport({ endpoints });
    const { client } = await startTestBroker({
      transport: {
        async invoke(address, request, timeoutMillis) {
          if (isHeld) await new Promise<void>((resolve) => (release = resolve));
          return transport.invoke(address, request, timeoutMillis);
        },
        notify: (address, request) => transport.notify(address, request),
        isConnected: (address) => transport.isConnected(address),
        close: () => transport.close(),
      },
      config: { namesrvAddr: 'names:9876' },
    });
    const names = new LocalTransport({ endpoints });
    onTestFinished(() => names.close());
    const route = async (topic: string) => {
      const request = requestCommand(REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC, { topic });
      return (await names.invoke('names:9876', request, 3000)).code;
    };
    expect(await route('TBW102')).toBe(RESPONSE_CODE.SUCCESS);
    expect(await route('New')).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
    // The first send to a topic is answered when its route is known.
    isHeld = true;
    let isAnswered = false;
    const sent = send(client(), { topic: 'New' }).then((response) => {
      isAnswered = true;
      return response;
    });
    await settle();
    expect(isAnswered).toBe(false);
    isHeld = false;
    release();
    expect((await sent).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(await route('New')).toBe(RESPONSE_CODE.SUCCESS);
    await appendEvents(client(), { events: [{ keys: ['s-1'] }] });
    expect(await route('Events')).toBe(RESPONSE_CODE.SUCCESS);
  });

  it('has the topics of a fresh RocketMQ', async () => {
    const { directory } = await startTestBroker();
    const { topicConfigTable } = parseLooseJson(
      readFileSync(path.join(directory, 'config', 'topics.json'), 'utf8'),
    ) as { topicConfigTable: Record<string, { readQueueNums: number; perm: number }> };
    const shapes = Object.entries(topicConfigTable).map(
      ([name, { readQueueNums, perm }]) => `${name} ${readQueueNums}/${perm}`,
    );
    expect(shapes).toEqual(
      expect.arrayContaining([
        'SELF_TEST_TOPIC 1/6',
        'TBW102 8/7',
        'BenchmarkTest 1024/6',
        'DefaultCluster 16/7',
        'broker-a 1/7',
        'OFFSET_MOVED_EVENT 1/6',
        'SCHEDULE_TOPIC_XXXX 18/6',
        'RMQ_SYS_TRANS_HALF_TOPIC 1/6',
        'RMQ_SYS_TRANS_OP_HALF_TOPIC 1/6',
        'DefaultCluster_REPLY_TOPIC 1/6',
      ]),
    );
  });

  it('saves offsets every five seconds, and reads them as RocketMQ writes them', async () => {
    const { directory, client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    await commit(one, 1);
    const file = path.join(directory, 'config', 'consumerOffset.json');
    expect(() => readFileSync(file)).toThrow();
    clock.advance(5000);
    await expect.poll(() => readdirSync(path.dirname(file))).toContain('consumerOffset.json');
    expect(readFileSync(file, 'utf8')).toContain('\t"offsetTable":{\n\t\t"T@CG":{\n\t\t\t0:1\n\t\t}\n\t}');
  });

  it('corrects recorded offsets that lie beyond their queues', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    await send(first.client(), { topic: 'T' });
    await first.stop();
    writeFileSync(
      path.join(directory, 'config', 'consumerOffset.json'),
      '{"offsetTable":{"T@CG":{0:500},"Gone@CG":{"3":7}}}',
    );
    const second = await startTestBroker({ directory });
    expect(await committed(second.client())).toBe('1');
  });

  it('refuses to start on a table that cannot be read, and releases the directory', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    await send(first.client(), { topic: 'T' });
    await first.stop();
    for (const name of ['topics.json', 'topics.json.bak']) writeFileSync(path.join(directory, 'config', name), '{');
    await expect(startTestBroker({ directory })).rejects.toThrow(/neither .*topics.json nor its .bak can be read/);
    writeFileSync(path.join(directory, 'config', 'topics.json.bak'), '{}');
    await startTestBroker({ directory });
  });

  it('leaves no timer behind', async () => {
    const { client, clock, stop } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', props: { DELAY: '5' } });
    void pull(one, { topic: 'T', queueOffset: 0, sysFlag: 6 }).catch(() => {});
    await settle();
    await stop();
    await settle();
    expect(clock.pendingCount).toBe(0);
  });

  it('stops once, however often it is asked', async () => {
    const { broker } = await startTestBroker();
    const stopping = broker.stop();
    expect(broker.stop()).toBe(stopping);
    await stopping;
  });

  it('refuses a store that another one uses', async () => {
    const { directory } = await startTestBroker();
    await expect(startTestBroker({ directory })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
  });

  it('needs an IP address to announce', async () => {
    await expect(startTestBroker({ config: { brokerIP1: 'my-host' } })).rejects.toThrow(
      /brokerIP1=my-host is not an IP address/,
    );
  });
});

describe('over TCP', () => {
  const options = (directory: string, listenPort = 0) => ({
    config: defaultBrokerConfig({ storePathRootDir: directory, ...SMALL_FILES, listenPort }),
  });

  it('serves on any free port and names it in its records', async () => {
    const broker = await Broker.start(options(temporaryDirectory()));
    onTestFinished(() => broker.stop());
    expect(broker.address.port).toBeGreaterThan(0);
    const client = new RawClient(`127.0.0.1:${broker.address.port}`, (table) => new RemotingClient({ table }));
    onTestFinished(() => client.close());
    const sent = await Promise.all(Array.from({ length: 300 }, (_, n) => send(client, { topic: 'T', body: `${n}` })));
    expect(sent.every(({ code }) => code === 0)).toBe(true);
    const [message] = messagesOf(await pull(client, { topic: 'T' }));
    expect(message?.storeHost).toEqual(broker.address);
    expect(message?.bornHost.host).toBe('127.0.0.1');
    const held = pull(client, { topic: 'T', queueOffset: 300, sysFlag: 6 });
    await send(client, { topic: 'T', body: 'last' });
    expect(bodiesOf(await held)).toEqual(['last']);
  });

  it('says that a port is taken and leaves the store free', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const directory = temporaryDirectory();
    await expect(Broker.start(options(directory, port))).rejects.toMatchObject({ code: 'PORT_TAKEN' });
    const broker = await Broker.start(options(directory));
    await broker.stop();
  });
});
