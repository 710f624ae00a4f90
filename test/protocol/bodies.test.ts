/** Bodies as Apache RocketMQ 5.5.0 and its clients send them, round trips, defaults, and members of a wrong shape. */
import { crc32, deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import * as bodies from '../../src/protocol/bodies.js';

const body = (text: string) => Buffer.from(text);

describe('heartbeat', () => {
  // Observed from a Java 5.5.0 client.
  const OBSERVED =
    '{"clientID":"192.0.2.2@19687#112586503","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"CG1","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[2598919],"expressionType":"TAG","subString":"TagA","subVersion":1795424402000,"tagsSet":["TagA"],"topic":"SpecT1"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"CLIENT_INNER_PRODUCER"},{"groupName":"PG1"}],"withoutSub":false}';

  it('is read and written as the Java client writes it', () => {
    const heartbeat = bodies.decodeHeartbeatData(body(OBSERVED));
    expect(heartbeat.clientID).toBe('192.0.2.2@19687#112586503');
    expect(heartbeat.consumerDataSet[0]?.subscriptionDataSet[0]?.codeSet).toEqual([2598919]);
    expect(heartbeat.producerDataSet.map(({ groupName }) => groupName)).toEqual(['CLIENT_INNER_PRODUCER', 'PG1']);
    expect(bodies.encodeHeartbeatData(heartbeat).toString()).toBe(OBSERVED);
  });

  it('of a client that leaves members out gets the defaults', () => {
    expect(
      bodies.decodeHeartbeatData(
        body('{"clientID":"c","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{"topic":"T"}]}]}'),
      ),
    ).toEqual({
      clientID: 'c',
      producerDataSet: [],
      consumerDataSet: [
        {
          groupName: 'G',
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
          subscriptionDataSet: [
            {
              topic: 'T',
              subString: '*',
              tagsSet: [],
              codeSet: [],
              subVersion: 0,
              expressionType: 'TAG',
              classFilterMode: false,
            },
          ],
          unitMode: false,
        },
      ],
      heartbeatFingerprint: 0,
      withoutSub: false,
    });
  });

  it.each([
    ['{}', 'heartbeat.clientID'],
    ['{"clientID":null}', 'heartbeat.clientID'],
    ['{"clientID":{}}', 'heartbeat.clientID'],
    ['{"clientID":"c","consumerDataSet":{}}', 'heartbeat.consumerDataSet'],
    ['{"clientID":"c","consumerDataSet":[5]}', 'heartbeat.consumerDataSet[0]'],
    [
      '{"clientID":"c","consumerDataSet":[{"subscriptionDataSet":[{"topic":"T","codeSet":["x"]}]}]}',
      'heartbeat.consumerDataSet[0].subscriptionDataSet[0].codeSet[0]',
    ],
    ['[]', 'heartbeat'],
    ['', 'not JSON'],
  ])('%s is refused, naming the member', (text, member) => {
    expect(() => bodies.decodeHeartbeatData(body(text))).toThrow(
      expect.objectContaining({ code: 'FRAME_INVALID', message: expect.stringContaining(`${member} `) }),
    );
  });
});

describe('route', () => {
  const STANDARD =
    '{"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:40911"},"brokerName":"spec-a","cluster":"SpecCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"spec-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}';
  const FASTJSON = STANDARD.replace('{"0":', '{0:');

  it('is read in both dialects and written in the one asked for', () => {
    const route = bodies.decodeTopicRouteData(body(STANDARD));
    expect(bodies.decodeTopicRouteData(body(FASTJSON))).toEqual(route);
    expect(route.brokerDatas[0]?.brokerAddrs.get(0)).toBe('127.0.0.1:40911');
    expect(bodies.encodeTopicRouteData(route, 'standard').toString()).toBe(STANDARD);
    expect(bodies.encodeTopicRouteData(route, 'fastjson').toString()).toBe(FASTJSON);
  });

  it('takes a filter server table with empty entries', () => {
    const route = bodies.decodeTopicRouteData(body('{"filterServerTable":{"a:1":null,"b:2":["x"]}}'));
    expect([...route.filterServerTable]).toEqual([['b:2', ['x']]]);
  });

  it('of the whole cluster always has unquoted ids', () => {
    const text =
      '{"brokerAddrTable":{"spec-a":{"brokerAddrs":{0:"127.0.0.1:40911"},"brokerName":"spec-a","cluster":"SpecCluster","enableActingMaster":false}},"clusterAddrTable":{"SpecCluster":["spec-a"]}}';
    expect(bodies.encodeClusterInfo(bodies.decodeClusterInfo(body(text))).toString()).toBe(text);
  });

  it('of a member group is wrapped', () => {
    const text = '{"brokerMemberGroup":{"brokerAddrs":{0:"a:1"},"brokerName":"spec-a","cluster":"C"}}';
    expect(bodies.encodeBrokerMemberGroup(bodies.decodeBrokerMemberGroup(body(text))).toString()).toBe(text);
  });
});

describe('registration', () => {
  const table: bodies.RegisterBrokerBody = {
    dataVersion: { counter: 3, stateVersion: 0, timestamp: 1795424934520 },
    topicConfigTable: new Map([
      ['TBW102', bodies.topicConfigOf('TBW102', { readQueueNums: 8, writeQueueNums: 8, perm: 7 })],
      ['orders', bodies.topicConfigOf('orders', { attributes: { 'queue.type': 'SimpleCQ' } })],
    ]),
    filterServerList: [],
  };

  it('is read back', () => {
    const encoded = bodies.encodeRegisterBrokerBody(table);
    expect(bodies.decodeRegisterBrokerBody(encoded, { compressed: false })).toEqual(table);
    expect(encoded.toString()).toContain('"topicQueueMappingDetailMap":{}');
    expect(crc32(encoded)).toBeGreaterThan(0);
  });

  it('in the compressed form is read too, attributes with blanks included', () => {
    const part = (text: string) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeInt32BE(bytes.length);
      return Buffer.concat([length, bytes]);
    };
    const count = (value: number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32BE(value);
      return bytes;
    };
    const plain = Buffer.concat([
      part('{"counter":3,"stateVersion":0,"timestamp":1795424934520}'),
      count(2),
      part('TBW102 8 8 7 SINGLE_TAG'),
      part('orders 16 16 6 SINGLE_TAG {"queue.type": "SimpleCQ"}'),
      part('[]'),
      count(0),
    ]);
    expect(bodies.decodeRegisterBrokerBody(deflateSync(plain, { level: 9 }), { compressed: true })).toEqual(table);
    expect(() => bodies.decodeRegisterBrokerBody(plain, { compressed: true })).toThrow(/does not inflate/);
    expect(() => bodies.decodeRegisterBrokerBody(deflateSync(plain.subarray(0, 100)), { compressed: true })).toThrow(
      expect.objectContaining({ code: 'FRAME_INVALID' }),
    );
  });

  it('without a body registers nothing', () => {
    expect(bodies.decodeRegisterBrokerBody(Buffer.alloc(0), { compressed: false }).topicConfigTable.size).toBe(0);
  });

  it('compares data versions in all three parts', () => {
    const { dataVersion } = table;
    expect(bodies.isSameDataVersion(dataVersion, { ...dataVersion })).toBe(true);
    for (const change of [{ counter: 4 }, { stateVersion: 1 }, { timestamp: 1 }]) {
      expect(bodies.isSameDataVersion(dataVersion, { ...dataVersion, ...change })).toBe(false);
    }
  });
});

describe('maps keyed by a queue', () => {
  const queue = { topic: 'T', brokerName: 'b', queueId: 0 };
  const KEY = '{"brokerName":"b","queueId":0,"topic":"T"}';

  it('are written with objects as keys, as mqadmin parses them', () => {
    expect(bodies.encodeResetOffsetBody({ offsetTable: [[queue, 2]] }).toString()).toBe(`{"offsetTable":{${KEY}:2}}`);
    const stats = { offsetTable: [[queue, { minOffset: 0, maxOffset: 2, lastUpdateTimestamp: 5 }]], topicPutTps: 0 };
    expect(bodies.encodeTopicStatsBody(stats as bodies.TopicStatsBody).toString()).toBe(
      `{"offsetTable":{${KEY}:{"lastUpdateTimestamp":5,"maxOffset":2,"minOffset":0}},"topicPutTps":0}`,
    );
  });

  it('are read back', () => {
    const reset: bodies.ResetOffsetBody = { offsetTable: [[queue, 2]] };
    expect(bodies.decodeResetOffsetBody(bodies.encodeResetOffsetBody(reset))).toEqual(reset);
    const status: bodies.ConsumerStatusBody = { messageQueueTable: [[queue, 7]] };
    expect(bodies.decodeConsumerStatusBody(bodies.encodeConsumerStatusBody(status))).toEqual(status);
    const consume: bodies.ConsumeStatsBody = {
      consumeTps: 0.5,
      offsetTable: [[queue, { brokerOffset: 5, consumerOffset: 3, pullOffset: 4, lastTimestamp: 9 }]],
    };
    expect(bodies.decodeConsumeStatsBody(bodies.encodeConsumeStatsBody(consume))).toEqual(consume);
    expect(bodies.decodeResetOffsetBody(body('{"offsetTable":{}}'))).toEqual({ offsetTable: [] });
  });
});

describe('the others', () => {
  it('come back as they were', () => {
    const lock: bodies.LockBatchBody = {
      consumerGroup: 'G',
      clientId: 'c',
      mqSet: [{ topic: 'T', brokerName: 'b', queueId: 1 }],
      onlyThisBroker: false,
    };
    expect(bodies.decodeLockBatchBody(bodies.encodeLockBatchBody(lock))).toEqual(lock);
    const locked = { lockOKMQSet: lock.mqSet };
    expect(bodies.decodeLockBatchResponseBody(bodies.encodeLockBatchResponseBody(locked))).toEqual(locked);
    const list = { consumerIdList: ['a', 'b'] };
    expect(bodies.decodeConsumerList(bodies.encodeConsumerList(list))).toEqual(list);
    const topics = { topicList: ['a'], brokerAddr: 'b:1' };
    expect(bodies.decodeTopicList(bodies.encodeTopicList(topics))).toEqual(topics);
    const table = { table: new Map([['k', 'v']]) };
    expect(bodies.encodeKVTable(table).toString()).toBe('{"table":{"k":"v"}}');
    expect(bodies.decodeKVTable(bodies.encodeKVTable(table))).toEqual(table);
    const topic = bodies.topicConfigOf('T', { order: true });
    expect(bodies.decodeTopicConfig(bodies.encodeTopicConfig(topic))).toEqual(topic);
    const check: bodies.CheckClientBody = {
      clientId: 'c',
      group: 'G',
      subscriptionData: bodies.readSubscriptionData({ topic: 'T', subString: 'a > 1', expressionType: 'SQL92' }, 's'),
    };
    expect(bodies.decodeCheckClientBody(bodies.encodeCheckClientBody(check))).toEqual(check);
  });

  it('have upstream’s defaults for a group', () => {
    expect(bodies.encodeSubscriptionGroupConfig(bodies.subscriptionGroupConfigOf('G')).toString()).toBe(
      '{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"G","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}',
    );
    expect(bodies.decodeSubscriptionGroupConfig(body('{"groupName":"G","retryMaxTimes":"3"}'))).toEqual(
      bodies.subscriptionGroupConfigOf('G', { retryMaxTimes: 3 }),
    );
  });

  it('refuse a retry policy so deep that no file could keep it', () => {
    const deep = `{"groupName":"G","groupRetryPolicy":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    expect(() => bodies.decodeSubscriptionGroupConfig(body(deep))).toThrow(/levels/);
  });

  it('keep names that JavaScript has a meaning for', () => {
    const table = new Map([['__proto__', bodies.topicConfigOf('__proto__')]]);
    const encoded = bodies.encodeTopicConfigTable({
      dataVersion: { counter: 0, stateVersion: 0, timestamp: 0 },
      topicConfigTable: table,
    });
    expect(bodies.decodeTopicConfigTable(encoded).topicConfigTable).toEqual(table);
  });
});
