/**
 * The same inputs against a real broker and a real name server over TCP. Every connection is answered or cut, another
 * one is served all the while, and the process holds no more afterwards than before.
 */
import { connect } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defaultNamesrvConfig } from '../../src/config/namesrvConfig.js';
import { NameServer } from '../../src/namesrv/nameServer.js';
import { decodeFrame, encodeFrame, MAX_FRAME_BYTES } from '../../src/protocol/frame.js';
import * as adminHeaders from '../../src/protocol/headers/admin.js';
import * as eventHeaders from '../../src/protocol/headers/events.js';
import * as groupHeaders from '../../src/protocol/headers/group.js';
import type { HeaderTable } from '../../src/protocol/headers/headerFields.js';
import * as messagingHeaders from '../../src/protocol/headers/messaging.js';
import * as namesrvHeaders from '../../src/protocol/headers/namesrv.js';
import * as readHeaders from '../../src/protocol/headers/readEvents.js';
import { type RemotingCommand, requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { FrameDecoder } from '../../src/remoting/frameDecoder.js';
import { NamesrvClient } from '../support/namesrvClient.js';
import { bodiesOf, pull, recordingLogger, send, startTestBroker, temporaryDirectory } from '../support/testBroker.js';
import { cases, expectGrowthBelow, mutated, printSeed, SEED, TEST_TIMEOUT_MILLIS, usedBytes } from './fuzzing.js';

/** Connections that are under way at the same time. */
const AT_ONCE = 16;
const HELD_MAX_BYTES = 64 * 1024 * 1024;
printSeed();

/** Every header field that there is, with its kind. One request carries them all: each handler finds its own. */
const FIELDS = new Map(
  [adminHeaders, eventHeaders, groupHeaders, messagingHeaders, namesrvHeaders, readHeaders]
    .flatMap((module) => Object.values(module) as unknown[])
    .filter((value): value is HeaderTable<never> => typeof value === 'object' && value !== null && 'fields' in value)
    .flatMap(({ fields }) => Object.entries(fields as Record<string, { kind: string }>)),
);
const VALUES: Record<string, fc.Arbitrary<string>> = {
  string: fc.constantFrom(
    'T',
    'T',
    'T',
    'CG',
    'CG',
    'broker-a',
    '127.0.0.1:10911',
    '%RETRY%CG',
    'TBW102',
    '*',
    '',
    'ü',
    'a || b',
    'x'.repeat(300),
    '1',
    'SQL92',
    'a > 1',
  ),
  int: fc.constantFrom(
    '0',
    '0',
    '0',
    '1',
    '1',
    '2',
    '4',
    '6',
    '16',
    '32',
    '-1',
    '2147483647',
    '-2147483648',
    '65536',
    'x',
  ),
  long: fc.constantFrom(
    '0',
    '0',
    '1',
    '1',
    '5',
    '-1',
    '1700000000000',
    '9223372036854775807',
    '-9223372036854775808',
    '9007199254740991',
    '',
  ),
  rank: fc.constantFrom('0', '1', '1795463845711556306', '-9223372036854775808', '99999999999999999999', 'x'),
  boolean: fc.constantFrom('true', 'false', 'x'),
};
/** Now and then a field is missing. */
const allFields = fc
  .tuple(...[...FIELDS].map(([name, { kind }]) => VALUES[kind]!.map((value) => [name, value] as const)), fc.nat(60))
  .map((parts) => {
    const missing = parts.at(-1) as number;
    const entries = parts.slice(0, -1) as (readonly [string, string])[];
    return Object.fromEntries(entries.filter((_, index) => index !== missing));
  });
const BODIES = [
  '',
  'body',
  '{}',
  '[]',
  '{"clientID":"c","consumerDataSet":[{"groupName":"CG","subscriptionDataSet":[{"topic":"T","subString":"*"}]}],"producerDataSet":[{"groupName":"PG"}]}',
  '{"consumerGroup":"CG","clientId":"c","mqSet":[{"topic":"T","brokerName":"broker-a","queueId":0}]}',
  '{"offsetTable":{{"topic":"T","brokerName":"broker-a","queueId":0}:5}}',
  '{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":{"topicName":"T"}}},"filterServerList":[]}',
  '{"groupName":"CG","retryQueueNums":2147483647}',
  '{"topicName":"T","readQueueNums":2147483647,"writeQueueNums":-1,"perm":6}',
  '{"a":{"b":[1,2,{"c":null}]}}',
].map((text) => Buffer.from(text));

/** A request of any of these codes, or bytes that once were one. */
function wireBytes(codes: readonly number[]): fc.Arbitrary<Buffer> {
  const request = fc.tuple(
    fc.constantFrom(...codes),
    allFields,
    fc.oneof(fc.constantFrom(...BODIES), mutated(BODIES)),
    fc.constantFrom('JSON', 'ROCKETMQ'),
    fc.constantFrom(0, 0, 0, 2),
  );
  const frame = request.map(([code, extFields, body, serializeType, flag]) =>
    encodeFrame({ ...requestCommand(code, extFields, body), serializeType: serializeType as 'JSON', flag }),
  );
  const bytes = fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some));
  return fc.oneof(
    { weight: 6, arbitrary: frame },
    { weight: 2, arbitrary: frame.chain((whole) => mutated([whole])) },
    { weight: 1, arbitrary: bytes },
  );
}

/** Sends the bytes and closes; resolves with what came back when the server has closed too. */
function exchange({ host, port }: { host: string; port: number }, bytes: Buffer): Promise<RemotingCommand[]> {
  return new Promise((resolve) => {
    const answers: RemotingCommand[] = [];
    const decoder = new FrameDecoder(MAX_FRAME_BYTES);
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.on('data', (chunk) => decoder.push(chunk, (frame) => answers.push(decodeFrame(frame))));
    // A server that cuts the connection may do so while bytes are on their way.
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.once('close', () => resolve(answers));
    socket.once('connect', () => socket.write(bytes, () => setImmediate(() => socket.end())));
  });
}

async function attack(
  address: { host: string; port: number },
  codes: readonly number[],
  count: number,
  isServed: () => Promise<void>,
): Promise<number> {
  const inputs = fc.sample(wireBytes(codes), { seed: SEED, numRuns: count });
  let answered = 0;
  const batch = async (start: number) => {
    const all = await Promise.all(inputs.slice(start, start + AT_ONCE).map((bytes) => exchange(address, bytes)));
    for (const answers of all) {
      answered += answers.filter(({ flag }) => flag === 1).length;
      // Requests that the server sends to its client, like the news of a group, are none of ours.
      expect(answers.every(({ code }) => Number.isInteger(code))).toBe(true);
    }
    await isServed();
  };
  const first = Math.min(count, AT_ONCE * 4);
  for (let start = 0; start < first; start += AT_ONCE) await batch(start);
  const before = usedBytes();
  for (let start = first; start < count; start += AT_ONCE) await batch(start);
  await expectGrowthBelow(HELD_MAX_BYTES, before);
  return answered;
}

/** Stay out: they set the broker's own rules, which the other client depends on. */
const RULES: readonly number[] = [REQUEST_CODE.UPDATE_BROKER_CONFIG, REQUEST_CODE.UPDATE_NAMESRV_CONFIG];
const UNKNOWN = [9999, -1, 32767];

describe('over the wire', () => {
  it(
    'a broker answers or cuts off whatever comes, and serves its other clients',
    async () => {
      const logger = recordingLogger();
      const { broker, client } = await startTestBroker({ listen: true, logger, config: { listenPort: 0 } });
      const other = client();
      let turn = 0;
      const codes = [...broker.table.codes.filter((code) => !RULES.includes(code)), ...UNKNOWN];
      const answered = await attack(broker.address, codes, cases(4), async () => {
        turn += 1;
        const topic = `Other${turn % 50}`;
        const sent = await send(other, { topic, body: `turn-${turn}` });
        expect(sent).toMatchObject({ code: 0 });
        const found = await pull(other, {
          topic,
          consumerGroup: 'OtherGroup',
          queueOffset: Number(sent.extFields['queueOffset']),
          sysFlag: 4,
        });
        expect(bodiesOf(found)).toEqual([`turn-${turn}`]);
      });
      expect(answered).toBeGreaterThan(0);
      // Nothing of what a client can send is a defect of ours.
      expect(logger.lines.filter((line) => line.startsWith('error'))).toEqual([]);
    },
    TEST_TIMEOUT_MILLIS,
  );

  it(
    'a name server answers or cuts off whatever comes, and serves its other clients',
    async () => {
      const logger = recordingLogger();
      const directory = temporaryDirectory();
      const nameServer = await NameServer.start({
        config: defaultNamesrvConfig({
          listenPort: 0,
          kvConfigPath: `${directory}/kvConfig.json`,
          configStorePath: `${directory}/namesrv.properties`,
        }),
        logger,
      });
      onTestFinished(() => nameServer.stop());
      const other = NamesrvClient.connect(nameServer);
      onTestFinished(() => other.close());
      let turn = 0;
      const codes = [...nameServer.table.codes.filter((code) => !RULES.includes(code)), ...UNKNOWN];
      const answered = await attack(nameServer.address!, codes, cases(3), async () => {
        turn += 1;
        const registered = await other.register({
          brokerName: 'other',
          brokerAddr: '10.9.9.9:10911',
          topics: [{ topicName: 'Other' }, { topicName: 'Another' }],
          version: turn,
        });
        expect(registered).toMatchObject({ code: 0 });
        expect((await other.route('Other'))?.brokerDatas.map(({ brokerName }) => brokerName)).toEqual(['other']);
      });
      expect(answered).toBeGreaterThan(0);
      expect(logger.lines.filter((line) => line.startsWith('error'))).toEqual([]);
    },
    TEST_TIMEOUT_MILLIS,
  );
});
