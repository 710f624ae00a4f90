/** Routes against a name server made of a table of answers, behind the real processor table and local link. */
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/logger.js';
import { NameServers, parseNamesrvAddr } from '../../src/client/nameServers.js';
import { Requests } from '../../src/client/requests.js';
import { queuesOf, Routes } from '../../src/client/routes.js';
import { encodeTopicRouteData, type TopicRouteData } from '../../src/protocol/bodies.js';
import { getRouteInfoByTopicHeader } from '../../src/protocol/headers/namesrv.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import { ManualClock } from '../support/manualClock.js';

const broker = (brokerName: string, addresses: [number, string][]) => ({
  cluster: 'C',
  brokerName,
  brokerAddrs: new Map(addresses),
  enableActingMaster: false,
});
const queueData = (brokerName: string, count: number, perm = 6) => ({
  brokerName,
  readQueueNums: count,
  writeQueueNums: count,
  perm,
  topicSysFlag: 0,
});
const route = (changes: Partial<TopicRouteData> = {}): TopicRouteData => ({
  queueDatas: [queueData('b', 1), queueData('a', 2)],
  brokerDatas: [
    broker('a', [[0, 'a:1']]),
    broker('b', [
      [0, 'b:1'],
      [1, 'b:2'],
    ]),
  ],
  filterServerTable: new Map(),
  ...changes,
});

function nameServer(routes: Map<string, TopicRouteData>) {
  const asked: string[] = [];
  const table = new ProcessorTable({
    lanes: { route: { maxInFlight: 100 } },
    rows: [
      processor({
        code: REQUEST_CODE.GET_ROUTEINFO_BY_TOPIC,
        header: getRouteInfoByTopicHeader,
        lane: 'route',
        handle({ header }) {
          asked.push(header.topic);
          const found = routes.get(header.topic);
          return found ? { code: 0, body: encodeTopicRouteData(found, 'standard') } : { code: 17, remark: 'none' };
        },
      }),
    ],
  });
  return { asked, table };
}

function routesOver(routes: Map<string, TopicRouteData>) {
  const { asked, table } = nameServer(routes);
  const endpoints = new Map([['ns:1', table]]);
  const requests = new Requests({ transport: new LocalTransport({ endpoints }), timeoutMillis: 1000 });
  const nameServers = new NameServers({ requests, addresses: ['ns:1'] });
  const clock = new ManualClock();
  return { asked, clock, endpoints, subject: new Routes({ nameServers, clock, logger: silentLogger }) };
}

const shown = (queues: readonly { brokerName: string; queueId: number }[]) =>
  queues.map(({ brokerName, queueId }) => `${brokerName}${queueId}`).join(' ');

describe('queues of a route', () => {
  it('are sorted by broker name and numbered', () => {
    const { publishQueues, subscribeQueues } = queuesOf('T', route());
    expect(shown(publishQueues)).toBe('a0 a1 b0');
    expect(shown(subscribeQueues)).toBe('a0 a1 b0');
  });

  it('follow the permission: 4 reads, 2 writes', () => {
    const { publishQueues, subscribeQueues } = queuesOf(
      'T',
      route({ queueDatas: [queueData('a', 2, 4), queueData('b', 1, 2)] }),
    );
    expect(shown(publishQueues)).toBe('b0');
    expect(shown(subscribeQueues)).toBe('a0 a1');
  });

  it('leave out what has no master when sending, not when consuming', () => {
    const { publishQueues, subscribeQueues } = queuesOf(
      'T',
      route({ brokerDatas: [broker('a', [[1, 'a:2']]), broker('b', [[0, 'b:1']])] }),
    );
    expect(shown(publishQueues)).toBe('b0');
    expect(shown(subscribeQueues)).toBe('a0 a1 b0');
  });

  it('of an order topic are those that the name server fixed', () => {
    expect(shown(queuesOf('T', route({ orderTopicConf: 'b:2;a:1' })).publishQueues)).toBe('b0 b1 a0');
  });
});

describe('routes', () => {
  it('asks once for requests at the same time, and not again for what it knows', async () => {
    const { subject, asked } = routesOver(new Map([['T', route()]]));
    await Promise.all([subject.get('T'), subject.get('T'), subject.publishQueues('T')]);
    await subject.get('T');
    expect(asked).toEqual(['T']);
  });

  it('keeps a route that the name server lost', async () => {
    const known = new Map([['T', route()]]);
    const { subject } = routesOver(known);
    await subject.get('T');
    known.clear();
    expect(shown((await subject.refresh('T'))?.publishQueues ?? [])).toBe('a0 a1 b0');
    expect(subject.masterAddress('a')).toBe('a:1');
  });

  it('follows a broker to another address', async () => {
    const known = new Map([['T', route()]]);
    const { subject } = routesOver(known);
    await subject.get('T');
    known.set('T', route({ brokerDatas: [broker('a', [[0, 'a:9']])] }));
    await subject.refresh('T');
    expect(subject.masterAddress('a')).toBe('a:9');
  });

  it('gives an unknown topic the queues of the template, at most 4 per broker, and does not keep them', async () => {
    const { subject } = routesOver(new Map([['TBW102', route({ queueDatas: [queueData('a', 8, 7)] })]]));
    expect(shown(await subject.publishQueues('New'))).toBe('a0 a1 a2 a3');
    expect(subject.peek('New')).toBeUndefined();
  });

  it('without a template an unknown topic is an error that names it', async () => {
    const { subject } = routesOver(new Map());
    await expect(subject.publishQueues('New')).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
      details: { topic: 'New' },
    });
  });

  it('after a failure asks again, but not twice within a second', async () => {
    const { subject, asked, clock } = routesOver(new Map([['T', route()]]));
    await subject.get('T');
    await subject.refreshSoon('T');
    expect(asked).toHaveLength(1);
    clock.advance(1000);
    await subject.refreshSoon('T');
    expect(asked).toHaveLength(2);
  });

  it('addresses: the wanted broker, else the next, else any', async () => {
    const { subject } = routesOver(new Map([['T', route()]]));
    await subject.get('T');
    expect(subject.subscribeAddress('b', 0)).toEqual({ address: 'b:1', brokerId: 0 });
    expect(subject.subscribeAddress('b', 1)).toEqual({ address: 'b:2', brokerId: 1 });
    expect(subject.subscribeAddress('b', 7)).toEqual({ address: 'b:1', brokerId: 0 });
    expect(subject.subscribeAddress('c', 0)).toBeUndefined();
    expect(subject.brokerAddresses({ mastersOnly: true }).sort()).toEqual(['a:1', 'b:1']);
    expect(subject.brokerAddresses({ mastersOnly: false }).sort()).toEqual(['a:1', 'b:1', 'b:2']);
  });
});

describe('name servers', () => {
  it('stays with the one that answers and leaves one that does not', async () => {
    const { table, asked } = nameServer(new Map([['T', route()]]));
    const requests = new Requests({
      transport: new LocalTransport({ endpoints: new Map([['up:1', table]]) }),
      timeoutMillis: 1000,
    });
    const subject = new NameServers({ requests, addresses: ['down:1', 'up:1', 'down:2'] });
    for (let time = 0; time < 5; time += 1) expect(await subject.route('T')).toBeDefined();
    expect(asked).toHaveLength(5);
  });

  it('says which addresses were tried when none answers', async () => {
    const requests = new Requests({ transport: new LocalTransport({ endpoints: new Map() }), timeoutMillis: 1000 });
    const subject = new NameServers({ requests, addresses: ['down:1', 'down:2'] });
    await expect(subject.route('T')).rejects.toThrow(/down:1;down:2/);
  });

  it('reads addresses as users write them', () => {
    expect(parseNamesrvAddr('a:1; b:2;')).toEqual(['a:1', 'b:2']);
    expect(parseNamesrvAddr('http://a:1')).toEqual(['a:1']);
    expect(() => parseNamesrvAddr('')).toThrow(/empty/);
    expect(() => parseNamesrvAddr('a')).toThrow(/host:port/);
  });
});
