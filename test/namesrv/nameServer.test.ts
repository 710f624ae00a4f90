/** Every request of the name server, over TCP and within the process; time stands still and is moved. */
import { deflateSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultNamesrvConfig, type NamesrvConfig } from '../../src/config/namesrvConfig.js';
import { NameServer } from '../../src/namesrv/nameServer.js';
import { emptyHeader } from '../../src/protocol/headers/messaging.js';
import { REQUEST_CODE as CODE } from '../../src/protocol/requestCodes.js';
import { processor } from '../../src/remoting/processor.js';
import { ProcessorTable } from '../../src/remoting/processorTable.js';
import { ManualClock } from '../support/manualClock.js';
import { NamesrvClient } from '../support/namesrvClient.js';

describe.each(['TCP', 'local'] as const)('name server over %s', (kind) => {
  let clock: ManualClock;
  let nameServer: NameServer;
  let clients: NamesrvClient[];
  let client: NamesrvClient;

  const connect = (table?: ProcessorTable) => {
    const connected = NamesrvClient.connect(nameServer, table);
    clients.push(connected);
    return connected;
  };

  const start = async (changes: Partial<NamesrvConfig> = {}) => {
    await stop();
    clock = new ManualClock();
    const config = defaultNamesrvConfig({ listenPort: 0, ...changes });
    nameServer = await NameServer.start({ config, clock, listen: kind === 'TCP' });
    clients = [];
    client = connect();
  };

  const stop = async () => {
    for (const each of clients ?? []) await each.close();
    await nameServer?.stop();
  };

  /** Waits until the route of the topic is, or is no longer, there: closing a connection takes a few turns. */
  const untilRoute = async (topic: string, isThere: boolean) => {
    while (((await client.route(topic)) !== undefined) !== isThere)
      await new Promise((resolve) => setImmediate(resolve));
  };

  beforeEach(() => start());
  afterEach(stop);

  describe('registration', () => {
    it('makes a route of every topic; slaves add an address and learn their master', async () => {
      const master = await client.register({
        topics: [{ topicName: 'T', readQueueNums: 4, writeQueueNums: 3, perm: 6 }, { topicName: 'U' }],
      });
      expect(master).toMatchObject({ code: 0, extFields: {} });
      const slave = await connect().register({ brokerId: 1, brokerAddr: '127.0.0.1:10921' });
      expect(slave.extFields).toEqual({ masterAddr: '127.0.0.1:10911', haServerAddr: '127.0.0.1:10912' });
      expect(await client.route('T')).toEqual({
        brokerDatas: [
          {
            brokerAddrs: new Map([
              [0, '127.0.0.1:10911'],
              [1, '127.0.0.1:10921'],
            ]),
            brokerName: 'broker-a',
            cluster: 'C',
            enableActingMaster: false,
            zoneName: undefined,
          },
        ],
        filterServerTable: new Map(),
        orderTopicConf: undefined,
        queueDatas: [{ brokerName: 'broker-a', perm: 6, readQueueNums: 4, topicSysFlag: 0, writeQueueNums: 3 }],
      });
    });

    it("answers 17 with upstream's words for a topic that nobody holds", async () => {
      const response = await client.request(CODE.GET_ROUTEINFO_BY_TOPIC, { topic: 'X' });
      expect(response.code).toBe(17);
      expect(response.remark).toMatch(/^No topic route info in name server for the topic: X\nSee https:/);
      expect(response.body).toHaveLength(0);
    });

    it('adds topics of an incremental registration, changes them with the version, and removes none', async () => {
      await client.register();
      await client.register({ topics: [{ topicName: 'New', readQueueNums: 2 }], version: 2 });
      expect(await client.route('T')).toBeDefined();
      expect((await client.route('New'))?.queueDatas[0]?.readQueueNums).toBe(2);
      // The same version is not looked at again, except for topics that are missing.
      await client.register({ topics: [{ topicName: 'New', readQueueNums: 5 }, { topicName: 'Other' }], version: 2 });
      expect((await client.route('New'))?.queueDatas[0]?.readQueueNums).toBe(2);
      expect(await client.route('Other')).toBeDefined();
      await client.register({ topics: [{ topicName: 'New', readQueueNums: 5 }], version: 3 });
      expect((await client.route('New'))?.queueDatas[0]?.readQueueNums).toBe(5);
    });

    it('removes topics that a full registration no longer names, when configured so', async () => {
      await start({ deleteTopicWithBrokerRegistration: true });
      await client.register();
      await client.register({ topics: [{ topicName: 'New' }], version: 2 });
      expect(await client.route('T')).toBeDefined();
      await client.register({ topics: [{ topicName: 'New' }, { topicName: 'U' }], version: 3 });
      expect(await client.route('T')).toBeUndefined();
    });

    it('refuses an incremental registration of a broker that it does not know, and changes nothing', async () => {
      const response = await client.register({ topics: [{ topicName: 'T' }] });
      expect(response).toMatchObject({ code: 1, remark: 'register broker failed' });
      expect(await client.text(CODE.GET_BROKER_CLUSTER_INFO)).toBe('{"brokerAddrTable":{},"clusterAddrTable":{}}');
    });

    it('refuses a body whose checksum is wrong, and takes 0 as unchecked', async () => {
      const wrong = await client.register({ fields: { bodyCrc32: '7' } });
      expect(wrong).toMatchObject({ code: 1, remark: 'crc32 not match' });
      expect(await client.route('T')).toBeUndefined();
      expect((await client.register({ fields: { bodyCrc32: '0' } })).code).toBe(0);
    });

    it('reads the compressed form', async () => {
      const part = (text: string) => {
        const bytes = Buffer.from(text);
        const length = Buffer.alloc(4);
        length.writeInt32BE(bytes.length);
        return Buffer.concat([length, bytes]);
      };
      const count = Buffer.alloc(4);
      count.writeInt32BE(2);
      const body = deflateSync(
        Buffer.concat([
          part('{"counter":1,"stateVersion":0,"timestamp":5}'),
          count,
          part('T 4 3 6 SINGLE_TAG'),
          part('U 1 1 4 SINGLE_TAG {"message.type":"NORMAL"}'),
          part('[]'),
        ]),
      );
      expect((await client.register({ body, fields: { compressed: 'true' } })).code).toBe(0);
      expect((await client.route('T'))?.queueDatas[0]).toMatchObject({ readQueueNums: 4, writeQueueNums: 3, perm: 6 });
      expect((await client.route('U'))?.queueDatas[0]).toMatchObject({ readQueueNums: 1, perm: 4 });
    });

    it.each([
      ['a header field that is missing', { brokerName: undefined as unknown as string }, undefined],
      ['a body that is not JSON', {}, Buffer.from('nonsense')],
      ['a compressed body that does not inflate', { compressed: 'true' }, Buffer.from('nonsense')],
    ])('answers 1 for %s and goes on', async (_name, fields, body) => {
      const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
      const missing = 'brokerName' in fields;
      const response = missing
        ? await client.request(CODE.REGISTER_BROKER, { brokerAddr: 'a:1', clusterName: 'C', brokerId: '0' })
        : await client.register({ fields: { ...given, bodyCrc32: '0' }, ...(body && { body }) });
      expect(response.code).toBe(1);
      expect(response.remark).not.toBe('');
      expect((await client.register()).code).toBe(0);
    });

    it('takes a slave that became master under its new id', async () => {
      await client.register();
      const slave = connect();
      await slave.register({ brokerId: 1, brokerAddr: '127.0.0.1:2' });
      await client.request(CODE.UNREGISTER_BROKER, {
        brokerName: 'broker-a',
        brokerAddr: '127.0.0.1:10911',
        clusterName: 'C',
        brokerId: '0',
      });
      await slave.register({ brokerId: 0, brokerAddr: '127.0.0.1:2', version: 2 });
      expect((await client.route('T'))?.brokerDatas[0]?.brokerAddrs).toEqual(new Map([[0, '127.0.0.1:2']]));
    });

    it('ignores an address that comes back for an id with an older state version', async () => {
      await client.register({ stateVersion: 5 });
      expect((await connect().register({ stateVersion: 4, brokerAddr: '127.0.0.1:9' })).code).toBe(0);
      expect((await client.route('T'))?.brokerDatas[0]?.brokerAddrs.get(0)).toBe('127.0.0.1:10911');
      await connect().register({ stateVersion: 6, brokerAddr: '127.0.0.1:9' });
      expect((await client.route('T'))?.brokerDatas[0]?.brokerAddrs.get(0)).toBe('127.0.0.1:9');
    });

    it('answers with the order configuration when there is one', async () => {
      expect((await client.register()).body).toHaveLength(0);
      await client.request(CODE.PUT_KV_CONFIG, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T', value: 'broker-a:4' });
      expect((await client.register()).body.toString()).toBe('{"table":{"T":"broker-a:4"}}');
      await start({ returnOrderTopicConfigToBroker: false });
      await client.request(CODE.PUT_KV_CONFIG, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T', value: 'broker-a:4' });
      expect((await client.register()).body).toHaveLength(0);
    });
  });

  describe('leaving', () => {
    const identity = { brokerName: 'broker-a', brokerAddr: '127.0.0.1:10911', clusterName: 'C', brokerId: '0' };

    it('takes the last address of a group out of every topic', async () => {
      await client.register();
      await connect().register({
        brokerName: 'broker-b',
        brokerAddr: '127.0.0.1:3',
        topics: [{ topicName: 'T' }, { topicName: 'B' }],
      });
      expect((await client.request(CODE.UNREGISTER_BROKER, identity)).code).toBe(0);
      expect((await client.route('T'))?.queueDatas.map(({ brokerName }) => brokerName)).toEqual(['broker-b']);
      expect(await client.route('U')).toBeUndefined();
      expect(await client.text(CODE.GET_BROKER_CLUSTER_INFO)).toContain('"clusterAddrTable":{"C":["broker-b"]}');
    });

    it('leaves a group alone whose id has another address', async () => {
      await client.register();
      await client.request(CODE.UNREGISTER_BROKER, { ...identity, brokerAddr: '127.0.0.1:7' });
      expect(await client.route('T')).toBeDefined();
    });

    it('drops a broker when its connection closes, and only the one that registered on it', async () => {
      await client.register();
      const other = connect();
      await other.register({
        brokerName: 'broker-b',
        brokerAddr: '127.0.0.1:3',
        topics: [{ topicName: 'B' }, { topicName: 'B2' }],
      });
      await other.close();
      await untilRoute('B', false);
      expect(await client.route('T')).toBeDefined();
    });

    it('keeps a broker that has registered again on another connection', async () => {
      const first = connect();
      await first.register();
      await client.register();
      await first.close();
      for (let turn = 0; turn < 5; turn++) expect(await client.route('T')).toBeDefined();
    });

    it('drops a broker that is silent for longer than its time-out; heartbeats and version queries count', async () => {
      await client.register({ fields: { heartbeatTimeoutMillis: '20000' } });
      await clock.advanceInSteps(15_000, 5000);
      await client.request(CODE.BROKER_HEARTBEAT, identity);
      await clock.advanceInSteps(15_000, 5000);
      await client.request(CODE.QUERY_DATA_VERSION, identity, '{"counter":1,"stateVersion":0,"timestamp":1}');
      await clock.advanceInSteps(20_000, 5000);
      expect(await client.route('T')).toBeDefined();
      const observer = connect();
      clock.advance(5000);
      expect(await observer.route('T')).toBeUndefined();
    });

    it('looks for silent brokers every scanNotActiveBrokerInterval', async () => {
      await start({ scanNotActiveBrokerInterval: 30_000 });
      await client.register({ fields: { heartbeatTimeoutMillis: '1000' } });
      const observer = connect();
      clock.advance(29_999);
      expect(await observer.route('T')).toBeDefined();
      clock.advance(1);
      expect(await observer.route('T')).toBeUndefined();
    });

    // A link inside the process is no connection that may hang: only the broker's own time-out ends its registration.
    it(`${kind === 'TCP' ? 'closes' : 'keeps'} a connection that is silent for serverChannelMaxIdleTimeSeconds`, async () => {
      await start({ serverChannelMaxIdleTimeSeconds: 3 });
      await client.register();
      const observer = connect();
      if (kind !== 'TCP') await clock.advanceInSteps(60_000, 1000);
      // The broker says nothing, the observer asks all the time.
      else while (await observer.route('T')) clock.advance(1000);
      expect((await observer.route('T')) === undefined).toBe(kind === 'TCP');
    });

    it('lets a broker that says nothing about it be silent for 120 s', async () => {
      await client.register();
      for (let passed = 0; passed < 120_000; passed += 30_000) {
        clock.advance(30_000);
        expect(await client.route('T')).toBeDefined();
      }
      clock.advance(5000);
      expect(await connect().route('T')).toBeUndefined();
    });
  });

  it('tells whether a data version changed, and which one is stored', async () => {
    const identity = { brokerName: 'broker-a', brokerAddr: '127.0.0.1:10911', clusterName: 'C', brokerId: '0' };
    const query = (counter: number) =>
      client.request(CODE.QUERY_DATA_VERSION, identity, `{"counter":${counter},"stateVersion":0,"timestamp":1}`);
    expect(await query(1)).toMatchObject({ code: 0, extFields: { changed: 'true' }, body: Buffer.alloc(0) });
    await client.register({ version: 1 });
    expect((await query(1)).extFields).toEqual({ changed: 'false' });
    const changed = await query(2);
    expect(changed.extFields).toEqual({ changed: 'true' });
    expect(changed.body.toString()).toBe('{"counter":1,"stateVersion":0,"timestamp":1}');
  });

  describe('JSON dialects', () => {
    const route = (version: number, fields = {}) =>
      client.text(CODE.GET_ROUTEINFO_BY_TOPIC, { topic: 'T', ...fields }, '', { version });

    beforeEach(() => client.register());

    it('quotes the broker ids of a route for requesters that can read it', async () => {
      expect(await route(401)).toContain('"brokerAddrs":{"0":"127.0.0.1:10911"}');
      expect(await route(513)).toContain('"brokerAddrs":{"0":"127.0.0.1:10911"}');
      expect(await route(317, { acceptStandardJsonOnly: 'true' })).toContain('"brokerAddrs":{"0":');
    });

    it('does not for older ones: the Go client cuts the map up by hand', async () => {
      expect(await route(400)).toContain('"brokerAddrs":{0:"127.0.0.1:10911"}');
      expect(await route(317)).toBe(
        '{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"broker-a","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":16,"topicSysFlag":0,"writeQueueNums":16}]}',
      );
    });

    it('never does in cluster and member lists', async () => {
      expect(await client.text(CODE.GET_BROKER_CLUSTER_INFO, {}, '', { version: 513 })).toBe(
        '{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"broker-a","cluster":"C","enableActingMaster":false}},"clusterAddrTable":{"C":["broker-a"]}}',
      );
      const group = { clusterName: 'C', brokerName: 'broker-a' };
      expect(await client.text(CODE.GET_BROKER_MEMBER_GROUP, group)).toBe(
        '{"brokerMemberGroup":{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"broker-a","cluster":"C"}}',
      );
      expect(await client.text(CODE.GET_BROKER_MEMBER_GROUP, { ...group, brokerName: 'x' })).toBe(
        '{"brokerMemberGroup":{"brokerAddrs":{},"brokerName":"x","cluster":"C"}}',
      );
    });
  });

  describe('routes under special configuration', () => {
    it('adds the order configuration', async () => {
      await start({ orderMessageEnable: true });
      await client.register();
      expect((await client.route('T'))?.orderTopicConf).toBeUndefined();
      await client.request(CODE.PUT_KV_CONFIG, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T', value: 'broker-a:4' });
      expect((await client.route('T'))?.orderTopicConf).toBe('broker-a:4');
    });

    it('answers no routes until it has waited for brokers', async () => {
      await start({ needWaitForService: true, waitSecondsForService: 45 });
      await client.register();
      expect(await client.text(CODE.GET_ROUTEINFO_BY_TOPIC, { topic: 'T' })).toBe('1 name server not ready');
      clock.advance(45_000);
      expect(await client.route('T')).toBeDefined();
    });

    it('presents the lowest slave as master of a group that lost it', async () => {
      await start({ supportActingMaster: true });
      const acting = { enableActingMaster: 'true' };
      await client.register({ fields: acting });
      const slave = { brokerId: 1, brokerAddr: '127.0.0.1:2', fields: acting };
      await connect().register(slave);
      await connect().register({ ...slave, brokerId: 2, brokerAddr: '127.0.0.1:3' });
      const identity = { brokerName: 'broker-a', brokerAddr: '127.0.0.1:10911', clusterName: 'C', brokerId: '0' };
      await client.request(CODE.UNREGISTER_BROKER, identity);
      const route = await client.route('T');
      expect(route?.queueDatas[0]?.perm).toBe(4);
      expect(route?.brokerDatas[0]?.brokerAddrs).toEqual(
        new Map([
          [0, '127.0.0.1:2'],
          [2, '127.0.0.1:3'],
        ]),
      );
    });

    it('keeps to the zone that is asked for, except for groups without master', async () => {
      const zone = (name: string) => ({ __ZONE_NAME: name });
      await client.register({ fields: zone('east') });
      await connect().register({ brokerName: 'b', brokerAddr: '127.0.0.1:2', fields: zone('west') });
      await connect().register({
        brokerName: 'c',
        brokerAddr: '127.0.0.1:3',
        brokerId: 1,
        fields: { ...zone('west'), enableActingMaster: 'true' },
      });
      const names = async (fields: Record<string, string>) =>
        (await client.route('T', fields))?.brokerDatas.map(({ brokerName }) => brokerName);
      expect(await names({})).toEqual(['broker-a', 'b', 'c']);
      expect(await names({ __ZONE_MODE: 'true', __ZONE_NAME: 'EAST' })).toEqual(['broker-a', 'c']);
      expect(await names({ __ZONE_NAME: 'east' })).toEqual(['broker-a', 'b', 'c']);
    });

    it('tells the members of a group when its lowest id changes', async () => {
      await start({ notifyMinBrokerIdChanged: true });
      const told: Record<string, string>[] = [];
      const code = CODE.NOTIFY_MIN_BROKER_ID_CHANGE;
      const row = processor({
        code,
        header: emptyHeader,
        lane: 'all',
        handle({ command }) {
          told.push(command.extFields);
          return { code: 0 };
        },
      });
      const slave = connect(new ProcessorTable({ rows: [row], lanes: { all: { maxInFlight: 10 } } }));
      await slave.register({ brokerId: 1, brokerAddr: '127.0.0.1:2' });
      await client.register();
      while (told.length === 0) await slave.route('T');
      expect(told).toEqual([
        { minBrokerId: '0', brokerName: 'broker-a', minBrokerAddr: '127.0.0.1:10911', haBrokerAddr: '127.0.0.1:10912' },
      ]);
    });
  });

  it('takes brokers that expire together out of every topic, and tells the others of their groups', async () => {
    await start({ notifyMinBrokerIdChanged: true });
    const told: Record<string, string>[] = [];
    const row = processor({
      code: CODE.NOTIFY_MIN_BROKER_ID_CHANGE,
      header: emptyHeader,
      lane: 'all',
      handle({ command }) {
        told.push(command.extFields);
        return { code: 0 };
      },
    });
    const short = { heartbeatTimeoutMillis: '1000', enableActingMaster: 'true' };
    const slave = connect(new ProcessorTable({ rows: [row], lanes: { all: { maxInFlight: 10 } } }));
    await connect().register({ fields: short });
    await slave.register({ brokerId: 1, brokerAddr: '127.0.0.1:2', fields: { enableActingMaster: 'true' } });
    await connect().register({ brokerName: 'b', brokerAddr: '127.0.0.1:3', fields: short });
    clock.advance(5000);
    const route = await slave.route('T');
    expect(route?.brokerDatas.map(({ brokerName }) => brokerName)).toEqual(['broker-a']);
    expect(route?.queueDatas).toMatchObject([{ brokerName: 'broker-a', perm: 4 }]);
    while (told.length === 0) await slave.route('T');
    expect(told).toEqual([
      {
        minBrokerId: '1',
        brokerName: 'broker-a',
        minBrokerAddr: '127.0.0.1:2',
        offlineBrokerAddr: '127.0.0.1:10911',
        haBrokerAddr: '127.0.0.1:10912',
      },
    ]);
  });

  it('wipes and gives back the write permission of a broker until it registers with a new version', async () => {
    await client.register({
      topics: [
        { topicName: 'TBW102', perm: 7 },
        { topicName: 'T', perm: 6 },
      ],
    });
    const perm = async (topic: string) => (await client.route(topic))?.queueDatas[0]?.perm;
    const wiped = await client.request(CODE.WIPE_WRITE_PERM_OF_BROKER, { brokerName: 'broker-a' });
    expect(wiped.extFields).toEqual({ wipeTopicCount: '2' });
    expect([await perm('TBW102'), await perm('T')]).toEqual([5, 4]);
    await client.register({
      topics: [
        { topicName: 'TBW102', perm: 7 },
        { topicName: 'T', perm: 6 },
      ],
    });
    expect(await perm('T')).toBe(4);
    const added = await client.request(CODE.ADD_WRITE_PERM_OF_BROKER, { brokerName: 'broker-a' });
    expect(added.extFields).toEqual({ addTopicCount: '2' });
    expect([await perm('TBW102'), await perm('T')]).toEqual([6, 6]);
    await client.register({
      topics: [
        { topicName: 'TBW102', perm: 7 },
        { topicName: 'T', perm: 6 },
      ],
      version: 2,
    });
    expect(await perm('TBW102')).toBe(7);
    const unknown = await client.request(CODE.WIPE_WRITE_PERM_OF_BROKER, { brokerName: 'x' });
    expect(unknown).toMatchObject({ code: 0, extFields: { wipeTopicCount: '0' } });
  });

  it('lists topics: all, of a cluster, of the system, by unit', async () => {
    await client.register({
      topics: [
        { topicName: 'T' },
        { topicName: 'Unit', topicSysFlag: 1 },
        { topicName: 'Sub', topicSysFlag: 2 },
        { topicName: 'Both', topicSysFlag: 3 },
      ],
    });
    await connect().register({
      brokerName: 'b',
      clusterName: 'D',
      brokerAddr: '127.0.0.1:2',
      topics: [{ topicName: 'T' }, { topicName: 'OnlyD' }],
    });
    expect(await client.text(CODE.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).toBe(
      '{"topicList":["Both","Sub","T","Unit","OnlyD"]}',
    );
    expect(await client.text(CODE.GET_TOPICS_BY_CLUSTER, { cluster: 'D' })).toBe('{"topicList":["T","OnlyD"]}');
    expect(await client.text(CODE.GET_TOPICS_BY_CLUSTER, { cluster: 'x' })).toBe('{"topicList":[]}');
    expect(await client.text(CODE.GET_SYSTEM_TOPIC_LIST_FROM_NS)).toBe(
      '{"brokerAddr":"127.0.0.1:10911","topicList":["C","broker-a","D","b"]}',
    );
    expect(await client.text(CODE.GET_UNIT_TOPIC_LIST)).toBe('{"topicList":["Both","Unit"]}');
    expect(await client.text(CODE.GET_HAS_UNIT_SUB_TOPIC_LIST)).toBe('{"topicList":["Both","Sub"]}');
    expect(await client.text(CODE.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST)).toBe('{"topicList":["Sub"]}');
  });

  it('answers lists that are switched off with 1 disable', async () => {
    await start({ enableAllTopicList: false, enableTopicList: false });
    expect(await client.text(CODE.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).toBe('1 disable');
    expect(await client.text(CODE.GET_TOPICS_BY_CLUSTER, { cluster: 'C' })).toBe('1 disable');
    expect(await client.text(CODE.GET_UNIT_TOPIC_LIST)).toBe('1 disable');
  });

  it('deletes a topic altogether or of one cluster', async () => {
    await client.register();
    await connect().register({ brokerName: 'b', clusterName: 'D', brokerAddr: '127.0.0.1:2' });
    await client.request(CODE.DELETE_TOPIC_IN_NAMESRV, { topic: 'T', clusterName: 'D' });
    expect((await client.route('T'))?.queueDatas.map(({ brokerName }) => brokerName)).toEqual(['broker-a']);
    await client.request(CODE.DELETE_TOPIC_IN_NAMESRV, { topic: 'T', clusterName: 'C' });
    expect(await client.route('T')).toBeUndefined();
    await client.request(CODE.DELETE_TOPIC_IN_NAMESRV, { topic: 'U' });
    expect(await client.route('U')).toBeUndefined();
  });

  it('registers a topic for the brokers that are there, in either JSON dialect', async () => {
    await client.register();
    const queue = (brokerName: string) =>
      `{"brokerName":"${brokerName}","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":2}`;
    const route = (names: string[]) =>
      `{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:1"},"brokerName":"x","cluster":"C"}],"queueDatas":[${names.map(queue).join(',')}]}`;
    const register = (topic: string, names: string[]) =>
      client.request(CODE.REGISTER_TOPIC_IN_NAMESRV, { topic }, route(names));
    expect((await register('N', ['broker-a', 'nobody'])).code).toBe(0);
    expect(await client.route('N')).toBeUndefined();
    await register('N', ['broker-a']);
    expect((await client.route('N'))?.queueDatas).toHaveLength(1);
    // On a topic that is there, what stands before the unknown broker counts.
    await connect().register({ brokerName: 'b', brokerAddr: '127.0.0.1:2' });
    await register('N', ['b', 'nobody']);
    expect((await client.route('N'))?.queueDatas.map(({ brokerName }) => brokerName)).toEqual(['broker-a', 'b']);
  });

  it('keeps key-value configuration', async () => {
    const put = (namespace: string, key: string, value: string) =>
      client.text(CODE.PUT_KV_CONFIG, { namespace, key, value });
    expect(await client.text(CODE.GET_KV_CONFIG, { namespace: 'N', key: 'k' })).toBe(
      '22 No config item, Namespace: N Key: k',
    );
    expect(await client.text(CODE.GET_KVLIST_BY_NAMESPACE, { namespace: 'N' })).toBe('22 No config item, Namespace: N');
    expect(await client.text(CODE.PUT_KV_CONFIG, { key: 'k' })).toBe('1 namespace or key is null');
    await put('N', 'k', 'v');
    await put('N', '0', 'zero');
    expect((await client.request(CODE.GET_KV_CONFIG, { namespace: 'N', key: 'k' })).extFields).toEqual({ value: 'v' });
    expect(await client.text(CODE.GET_KVLIST_BY_NAMESPACE, { namespace: 'N' })).toBe('{"table":{"0":"zero","k":"v"}}');
    for (const key of ['k', '0', 'never']) {
      expect((await client.request(CODE.DELETE_KV_CONFIG, { namespace: 'N', key })).code).toBe(0);
    }
    expect(await client.text(CODE.GET_KVLIST_BY_NAMESPACE, { namespace: 'N' })).toBe('{"table":{}}');
  });

  it('shows its configuration and takes changes, except of black-listed keys', async () => {
    const config = () => client.text(CODE.GET_NAMESRV_CONFIG);
    expect(await config()).toContain('\norderMessageEnable=false\n');
    const update = (text: string) => client.text(CODE.UPDATE_NAMESRV_CONFIG, {}, text);
    expect(await update('orderMessageEnable=true\nenableTopicList = false')).toBe('');
    expect(await config()).toContain('\norderMessageEnable=true\n');
    expect(await client.text(CODE.GET_UNIT_TOPIC_LIST)).toBe('1 disable');
    for (const key of ['configBlackList', 'configStorePath', 'kvConfigPath', 'rocketmqHome']) {
      expect(await update(`enableTopicList=true\n${key}=/x`)).toBe('16 Can not update config in black list.');
    }
    expect(await update('orderMessageEnable=maybe')).toMatch(/^1 orderMessageEnable=maybe is not allowed/);
    expect(await update('noSuchKey=1')).toMatch(/^1 unknown key noSuchKey; the nearest known key is/);
    expect(await config()).toContain('\nenableTopicList=false\n');
  });

  it('answers other requests with 3, and one-way requests not at all', async () => {
    expect(await client.text(999)).toBe('3  request type 999 not supported');
  });

  it('leaves no timer behind', async () => {
    await client.register();
    await stop();
    // The sockets' own close events come a few turns after the server's.
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(clock.pendingCount).toBe(0);
  });
});
