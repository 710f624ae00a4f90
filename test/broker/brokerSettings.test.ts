/** UPDATE_BROKER_CONFIG and GET_BROKER_CONFIG: what counts at once, what waits, what is refused, and the file. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { diskFiles, type Files } from '../../src/base/files.js';
import { LIVE_KEYS } from '../../src/broker/brokerSettings.js';
import { Producer } from '../../src/client/producer.js';
import { defaultBrokerConfig } from '../../src/config/brokerConfig.js';
import { replaceProperties } from '../../src/config/properties.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import { RemotingClient } from '../../src/remoting/remotingClient.js';
import { TestCluster } from '../client/support/cluster.js';
import type { RawClient } from '../support/rawClient.js';
import {
  pull,
  recordingLogger,
  send,
  startTestBroker,
  type TestBrokerOptions,
  temporaryDirectory,
} from '../support/testBroker.js';

const update = (client: RawClient, text: string) =>
  client.callRaw(REQUEST_CODE.UPDATE_BROKER_CONFIG, {}, Buffer.from(text));

const configOf = async (client: RawClient) => {
  const response = await client.callRaw(REQUEST_CODE.GET_BROKER_CONFIG);
  expect(JSON.parse(response.extFields['version'] ?? '')).toMatchObject({ counter: expect.any(Number) });
  return new Map(
    response.body
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
};

async function withFile(text: string, options: TestBrokerOptions = {}) {
  const configFile = path.join(temporaryDirectory(), 'broker.conf');
  writeFileSync(configFile, text);
  const started = await startTestBroker({ ...options, configFile });
  const read = (suffix = '') => readFileSync(configFile + suffix, 'utf8');
  return { ...started, one: started.client(), configFile, read };
}

describe('a change', () => {
  it('of a key that is read at each use counts at once', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    expect((await pull(one, { topic: 'T' })).code).toBe(0);
    expect((await update(one, 'brokerPermission=2\nlitePullMessageEnable = false\n')).code).toBe(0);
    expect(await pull(one, { topic: 'T' })).toMatchObject({ code: RESPONSE_CODE.NO_PERMISSION });
    expect((await configOf(one)).get('brokerPermission')).toBe('2');
    await update(one, 'brokerPermission=6');
    expect((await pull(one, { topic: 'T' })).code).toBe(0);
    await update(one, 'autoCreateTopicEnable=false\nautoCreateSubscriptionGroup=false\nenablePropertyFilter=false');
    expect((await send(one, { topic: 'New' })).code).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
    expect((await pull(one, { topic: 'T', consumerGroup: 'NEW' })).code).toBe(
      RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST,
    );
    const sql = { topic: 'T', subscription: 'a = 1', expressionType: 'SQL92' };
    expect((await pull(one, sql)).code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
  });

  it('of any other key waits for the next start, and is shown', async () => {
    const config = { maxHeldPulls: 7 };
    const { client } = await startTestBroker({ config });
    const one = client();
    expect((await update(one, 'maxHeldPulls=9')).code).toBe(0);
    expect((await configOf(one)).get('maxHeldPulls')).toBe('9');
    // The one who started the broker keeps his own.
    expect(config.maxHeldPulls).toBe(7);
  });

  it('is taken as a whole or not at all', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const cases: [string, number, string][] = [
      ['brokerPermission=9', RESPONSE_CODE.INVALID_PARAMETER, 'brokerPermission=9 is not allowed'],
      ['brokerPermission=2\nfileReservedTime=soon', RESPONSE_CODE.INVALID_PARAMETER, 'fileReservedTime=soon'],
      ['brokerRole=SLAVE', RESPONSE_CODE.INVALID_PARAMETER, 'replication is not available'],
      ['brokerPermission=2\nconfigBlackList=', RESPONSE_CODE.NO_PERMISSION, 'Can not update config in black list.'],
      ['rocketmqHome=/tmp', RESPONSE_CODE.NO_PERMISSION, 'black list'],
    ];
    for (const [text, code, remark] of cases) {
      const response = await update(one, text);
      expect(response, text).toMatchObject({ code, remark: expect.stringContaining(remark) });
      expect(response.remark).not.toContain('\n');
    }
    expect((await configOf(one)).get('brokerPermission')).toBe('6');
  });

  it('of an unknown key is passed over, with a log line; an empty one changes nothing', async () => {
    const logger = recordingLogger();
    const { client } = await startTestBroker({ logger });
    const one = client();
    expect((await update(one, 'noSuchKey=1\nconstructor=2\nlongPollingEnable=false')).code).toBe(0);
    expect((await update(one, '')).code).toBe(0);
    const config = await configOf(one);
    expect([config.has('noSuchKey'), config.get('longPollingEnable')]).toEqual([false, 'false']);
    expect(logger.lines.filter((line) => line.includes('is not known'))).toHaveLength(2);
  });

  it('of the permission is in the routes when it is answered', async () => {
    const cluster = await TestCluster.start('tcp');
    const tool = new RemotingClient();
    try {
      const session = await cluster.session();
      await new Producer({ session }).send({ topic: 'T', body: 'x' });
      const request = requestCommand(REQUEST_CODE.UPDATE_BROKER_CONFIG, {}, Buffer.from('brokerPermission=4'));
      expect((await tool.invoke(cluster.brokerAddr, request, 5000)).code).toBe(0);
      const route = await session.routes.refresh('T');
      expect([route?.publishQueues.length, route?.subscribeQueues.length]).toEqual([0, 4]);
    } finally {
      await tool.close();
      await cluster.stop();
    }
  });

  it('names only keys that there are', () => {
    const known = defaultBrokerConfig();
    expect(LIVE_KEYS.filter((key) => !(key in known))).toEqual([]);
  });
});

describe('the configuration file', () => {
  const TEXT = '# ours\nbrokerPermission = 6\n\n! more\nfileReservedTime=48\nmessageDelayLevel=1s \\\n  5s\n';

  it('is changed in place, with the one before beside it', async () => {
    const { one, read } = await withFile(TEXT);
    await update(one, 'fileReservedTime=24\nmaxHeldPulls=9\nnoSuchKey=1');
    expect(read()).toBe(
      '# ours\nbrokerPermission = 6\n\n! more\nfileReservedTime=24\nmessageDelayLevel=1s \\\n  5s\nmaxHeldPulls=9\n',
    );
    expect(read('.bak')).toBe(TEXT);
    await update(one, 'brokerPermission=4');
    expect(read()).toContain('# ours\nbrokerPermission=4\n\n');
    expect(read('.bak')).toContain('fileReservedTime=24');
  });

  it('is left alone by a change that is refused, or that the next start would refuse', async () => {
    const { one, read, configFile } = await withFile(TEXT);
    expect((await update(one, 'fileReservedTime=x')).code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect(await update(one, 'storePathCommitLog=/elsewhere')).toMatchObject({
      code: RESPONSE_CODE.INVALID_PARAMETER,
      remark: expect.stringContaining('the commit log lies in commitlog under the store'),
    });
    expect(read()).toBe(TEXT);
    expect(existsSync(`${configFile}.bak`)).toBe(false);
  });

  it('that cannot be written refuses the change', async () => {
    let isFull = true;
    const files: Files = {
      ...diskFiles,
      writeFile(file, content) {
        if (isFull && file.endsWith('.conf.tmp')) throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
        diskFiles.writeFile(file, content);
      },
    };
    const { one, read } = await withFile(TEXT, { files });
    expect((await update(one, 'brokerPermission=4')).code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
    expect([read(), (await configOf(one)).get('brokerPermission')]).toEqual([TEXT, '6']);
    isFull = false;
    expect((await update(one, 'brokerPermission=4')).code).toBe(0);
  });
});

describe('replaced properties', () => {
  it.each([
    ['', 'a=1\n'],
    ['a=0', 'a=1'],
    ['b=2', 'b=2\na=1\n'],
    ['a : 0\na=3\n# a=4\n', 'a=1\na=1\n# a=4\n'],
    ['  a\\\n  0\nb=2\n', '  a\\\n  0\nb=2\na=1\n'],
  ])('%j becomes %j', (text, expected) => {
    expect(replaceProperties(text, new Map([['a', '1']]))).toBe(expected);
  });
});
