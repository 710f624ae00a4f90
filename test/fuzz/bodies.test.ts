/** The bodies of requests and answers: JSON in both dialects, registrations deflated and not, foldlog's own appends. */
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { filterOf } from '../../src/broker/subscriptionFilter.js';
import * as bodies from '../../src/protocol/bodies.js';
import {
  decodeAppendEventsRequest,
  decodeReadByKeyRequest,
  encodeAppendEventsRequest,
} from '../../src/protocol/headers/events.js';
import {
  decodeReadEventsRequest,
  encodeReadEventsRequest,
  readEventsHeader,
} from '../../src/protocol/headers/readEvents.js';
import { parseLooseJson, writeLooseJson } from '../../src/protocol/looseJson.js';
import { buildSubscription } from '../../src/protocol/subscription.js';
import { declared, fuzz, mutated, mutatedText, printSeed } from './fuzzing.js';

const INVALID = ['FRAME_INVALID'];
printSeed();

const queue = { topic: 'T', brokerName: 'broker-a', queueId: 3 };
const heartbeat = bodies.encodeHeartbeatData({
  clientID: '10.0.0.1@1',
  producerDataSet: [{ groupName: 'PG' }],
  consumerDataSet: [
    {
      groupName: 'CG',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
      subscriptionDataSet: [buildSubscription('T', 'a || b', 'TAG', 7), buildSubscription('U', 'x > 5', 'SQL92', 8)],
      unitMode: false,
    },
  ],
  heartbeatFingerprint: 0,
  withoutSub: false,
});
const registration: bodies.RegisterBrokerBody = {
  dataVersion: { stateVersion: 0, timestamp: 1, counter: 2 },
  topicConfigTable: new Map(
    ['T', 'U'].map((name) => [name, bodies.topicConfigOf(name, { attributes: { '+k': 'v' } })]),
  ),
  filterServerList: ['10.0.0.1:1'],
};
const route: bodies.TopicRouteData = {
  queueDatas: [{ brokerName: 'broker-a', readQueueNums: 4, writeQueueNums: 4, perm: 6, topicSysFlag: 0 }],
  brokerDatas: [
    { cluster: 'C', brokerName: 'broker-a', brokerAddrs: new Map([[0, '10.0.0.1:1']]), enableActingMaster: false },
  ],
  filterServerTable: new Map(),
};

/** What JSON is made of, and what it should not be made of. */
const WORDS = [
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '"',
  '\\',
  '\\u12',
  'null',
  'true',
  '0',
  '-1',
  '1e999',
  '1.5',
  '99999999999999999999',
  '""',
  '"\u0000"',
  '{}',
  '[]',
  '{{"a":1}:2}',
  '{0:"a"}',
  '"topic":',
  '"__proto__":',
  '"constructor":',
  '[[',
  '{"a":',
  ' \n',
];

/** Each decoder with bodies that it takes, and how many FUZZ_RUNS it gets. */
const DECODERS: readonly [
  name: string,
  weight: number,
  samples: readonly Buffer[],
  decode: (body: Buffer) => unknown,
][] = [
  ['heartbeats', 30, [heartbeat], bodies.decodeHeartbeatData],
  [
    'client configurations',
    10,
    [
      bodies.encodeCheckClientBody({
        clientId: 'c',
        group: 'G',
        subscriptionData: buildSubscription('T', 'a', 'TAG', 1),
      }),
    ],
    (body) => filterOf(bodies.decodeCheckClientBody(body).subscriptionData),
  ],
  [
    'lock requests',
    12,
    [bodies.encodeLockBatchBody({ consumerGroup: 'G', clientId: 'c', mqSet: [queue], onlyThisBroker: false })],
    bodies.decodeLockBatchBody,
  ],
  [
    'lock answers',
    3,
    [bodies.encodeLockBatchResponseBody({ lockOKMQSet: [queue] })],
    bodies.decodeLockBatchResponseBody,
  ],
  ['offset tables', 12, [bodies.encodeResetOffsetBody({ offsetTable: [[queue, 17]] })], bodies.decodeResetOffsetBody],
  [
    'consumer statuses',
    3,
    [bodies.encodeConsumerStatusesBody({ consumerTable: new Map([['c', [[queue, 17]]]]) })],
    bodies.decodeConsumerStatusesBody,
  ],
  [
    'topic statistics',
    3,
    [
      bodies.encodeTopicStatsBody({
        offsetTable: [[queue, { minOffset: 0, maxOffset: 5, lastUpdateTimestamp: 1 }]],
        topicPutTps: 0.5,
      }),
    ],
    bodies.decodeTopicStatsBody,
  ],
  [
    'registrations',
    25,
    [bodies.encodeRegisterBrokerBody(registration)],
    (body) => bodies.decodeRegisterBrokerBody(body, { compressed: false }),
  ],
  [
    'routes',
    8,
    [bodies.encodeTopicRouteData(route, 'standard'), bodies.encodeTopicRouteData(route, 'fastjson')],
    bodies.decodeTopicRouteData,
  ],
  [
    'cluster tables',
    4,
    [
      bodies.encodeClusterInfo({
        brokerAddrTable: new Map([['broker-a', route.brokerDatas[0]!]]),
        clusterAddrTable: new Map([['C', ['broker-a']]]),
      }),
    ],
    bodies.decodeClusterInfo,
  ],
  ['versions', 4, [bodies.encodeDataVersion(registration.dataVersion)], bodies.decodeDataVersion],
  ['topic configurations', 5, [bodies.encodeTopicConfig(bodies.topicConfigOf('T'))], bodies.decodeTopicConfig],
  [
    'group configurations',
    5,
    [bodies.encodeSubscriptionGroupConfig(bodies.subscriptionGroupConfigOf('G'))],
    (body) => bodies.encodeSubscriptionGroupConfig(bodies.decodeSubscriptionGroupConfig(body)),
  ],
  ['lists of topics', 3, [bodies.encodeTopicList({ topicList: ['T', 'U'] })], bodies.decodeTopicList],
];

describe.each(DECODERS)('%s', (_, weight, samples, decode) => {
  const texts = samples.map(String);
  const text = mutatedText(texts, WORDS).map((text) => Buffer.from(text));
  fuzz('decode or are FRAME_INVALID', weight, fc.oneof(text, text, mutated(samples)), (body) => {
    declared(INVALID, () => decode(body));
  });
});

describe('compressed registrations', () => {
  const deflated = bodies.encodeCompressedRegistration(registration);
  const int32 = (value: number) => Buffer.from(new Int32Array([value]).buffer).swap32();
  const part = (text: string) => Buffer.concat([int32(Buffer.byteLength(text)), Buffer.from(text)]);
  const plain = Buffer.concat([
    part('{"counter":2,"stateVersion":0,"timestamp":1}'),
    int32(2),
    part('T 4 4 6 SINGLE_TAG {"+k":"v"}'),
    part('U 8 8 6 SINGLE_TAG'),
    part('["10.0.0.1:1"]'),
    int32(0),
  ]);
  const decode = (body: Buffer) => declared(INVALID, () => bodies.decodeRegisterBrokerBody(body, { compressed: true }));

  fuzz('inflate and decode or are FRAME_INVALID', 8, mutated([deflated]), decode);
  fuzz('decode when inflated or are FRAME_INVALID', 8, mutated([plain]), (bytes) => {
    const table = decode(deflateSync(bytes, { level: 1 }))?.topicConfigTable;
    if (table) expect(table.size * 4).toBeLessThanOrEqual(bytes.length);
  });
});

describe('appends and reads by key', () => {
  const header = { appendId: 'a', appendIdSince: undefined, appendIdGeneration: undefined, bornTimestamp: 1 };
  const { body } = encodeAppendEventsRequest({
    ...header,
    expectedVersions: [{ topic: 'T', stream: 's', expected: 'NO_STREAM' }],
    condition: { keys: [{ topic: 'T', key: 'k' }], end: { commitLogOffset: 5, generation: 1 } },
    events: [{ topic: 'T', keys: ['s', 'k'], body: Buffer.from('{}'), propertiesText: 'KEYS\u0001s k\u0002' }],
  });
  const keyList = Buffer.from('000200015400016b0001550001 6b'.replaceAll(' ', ''), 'hex');

  fuzz('are whole or FRAME_INVALID', 15, mutated([body]), (bytes) => {
    const request = declared(INVALID, () => decodeAppendEventsRequest(header, bytes));
    if (request === undefined) return;
    expect(request.events.length).toBeGreaterThan(0);
    for (const { keys } of request.events) expect(keys.length).toBeGreaterThan(0);
  });
  fuzz('have all their keys or are FRAME_INVALID', 5, mutated([keyList]), (bytes) => {
    const page = { from: undefined, until: undefined, direction: 'forwards', maxCount: 1, maxBytes: 1 };
    const request = declared(INVALID, () => decodeReadByKeyRequest(page, bytes));
    if (request) expect(request.keys.length * 4 + 2).toBeLessThanOrEqual(bytes.length);
  });
  const namesOnly = encodeReadEventsRequest({
    topics: ['T', 'U', 'a longer topic'],
    keys: [
      { topic: 'T', key: 'k' },
      { topic: 'U', key: 'ü' },
    ],
    ...{ direction: 'backwards', maxCount: 1, maxBytes: 1 },
  });
  fuzz('have all their topics and keys or are FRAME_INVALID', 5, mutated([namesOnly.body, keyList]), (bytes) => {
    const header = readEventsHeader.decode(namesOnly.extFields);
    const request = declared(INVALID, () => decodeReadEventsRequest(header, bytes));
    if (!request) return;
    const { topics, keys } = request;
    expect(topics.length * 2 + keys.length * 4 + 4).toBeLessThanOrEqual(bytes.length);
  });
});

describe('loose JSON', () => {
  const texts = [
    '{0:"a",1:"b"}',
    '{{"brokerName":"b","queueId":0,"topic":"T"}:17}',
    '[1,-2.5e3,"\\u00fc\\n",null,true]',
    '{"a":{"b":[{}]}}',
  ];
  fuzz('is a value or FRAME_INVALID, and what is written is read alike', 15, mutatedText(texts, WORDS), (text) => {
    const value = declared(INVALID, () => ({ parsed: parseLooseJson(text) }));
    if (value === undefined) return;
    const written = declared(INVALID, () => writeLooseJson(value.parsed, 'fastjson'));
    if (written === undefined) return;
    // A number beyond all bounds is written as null, and that is left out the second time.
    const again = writeLooseJson(parseLooseJson(written), 'fastjson');
    expect(writeLooseJson(parseLooseJson(again), 'fastjson')).toBe(again);
  });

  fuzz('agrees with JSON wherever that is a value', 10, fc.json({ maxDepth: 4 }), (text) => {
    // A blank in front of an unquoted word: the loose parser must go through all of it and find the same.
    const { it } = parseLooseJson(`{it:${text},loose:[]}`) as { it: unknown };
    expect(it).toEqual(JSON.parse(text));
  });

  fuzz(
    'of any depth and length is a value or FRAME_INVALID',
    0.1,
    fc.tuple(fc.constantFrom('[', '{"a":', '{a:', '{', '\\n', '"a",'), fc.integer({ min: 1, max: 400_000 })),
    ([word, count]) => {
      for (const text of [
        word.repeat(count),
        `"${word.repeat(count)}`,
        `{a:"${'\\n'.repeat(count)}"}`,
        `{"clientID":${'['.repeat(count)}${']'.repeat(count)}}`,
      ]) {
        declared(INVALID, () => parseLooseJson(text));
        declared(INVALID, () => bodies.decodeHeartbeatData(Buffer.from(text)));
      }
    },
  );
});
