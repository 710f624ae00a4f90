// Light queues (%LMQ%) at the broker: all of them are there unasked, and where offsets of their groups are kept.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  getMaxOffsetHeader,
  queryConsumerOffsetHeader,
  updateConsumerOffsetHeader,
} from '../../src/protocol/headers/messaging.js';
import { parseLooseJson } from '../../src/protocol/looseJson.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import type { RawClient } from '../support/rawClient.js';
import { send, startTestBroker, temporaryDirectory } from '../support/testBroker.js';

const config = { enableLmq: true, enableMultiDispatch: true };
const LIGHT = '%LMQ%inbox';
const LIGHT_GROUP = '%LMQ%readers';

const queue = (topic: string, consumerGroup: string) => ({ consumerGroup, topic, queueId: 0 });

const commit = (client: RawClient, topic: string, group: string, commitOffset: number) =>
  client.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, {
    ...queue(topic, group),
    commitOffset,
  });

const committed = async (client: RawClient, topic: string, group: string) => {
  const header = { ...queue(topic, group), setZeroIfNotFound: false };
  const { extFields } = await client.call(REQUEST_CODE.QUERY_CONSUMER_OFFSET, queryConsumerOffsetHeader, header);
  return extFields['offset'];
};

const sendLight = (client: RawClient) => send(client, { topic: 'T', props: { INNER_MULTI_DISPATCH: LIGHT } });

const configFile = (directory: string, name: string) => path.join(directory, 'config', name);

describe('a light queue', () => {
  it('is there without being created, has one queue, and is not among the topics', async () => {
    const { client, directory, stop } = await startTestBroker({ config });
    const one = client();
    for (let n = 0; n < 3; n += 1) await sendLight(one);
    const header = { topic: LIGHT, queueId: 0 };
    const { extFields } = await one.call(REQUEST_CODE.GET_MAX_OFFSET, getMaxOffsetHeader, header);
    expect(extFields).toMatchObject({ offset: '3' });
    expect((await commit(one, LIGHT, LIGHT_GROUP, 2)).code).toBe(RESPONSE_CODE.SUCCESS);
    const second = { ...queue(LIGHT, LIGHT_GROUP), queueId: 1, commitOffset: 0 };
    const refused = await one.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, second);
    expect(refused.code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    await stop();
    expect(readFileSync(configFile(directory, 'topics.json'), 'utf8')).not.toContain(LIGHT);
  });

  it('is not there without enableLmq', async () => {
    const { client } = await startTestBroker();
    expect((await commit(client(), LIGHT, LIGHT_GROUP, 0)).code).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
  });
});

describe('with enableLmq', () => {
  it('all offsets are kept in lmqConsumerOffset.json, and come back', async () => {
    const { client, directory, stop } = await startTestBroker({ config });
    const one = client();
    for (let n = 0; n < 3; n += 1) await sendLight(one);
    await commit(one, LIGHT, LIGHT_GROUP, 2);
    await commit(one, 'T', 'CG', 1);
    await stop();
    expect(existsSync(configFile(directory, 'consumerOffset.json'))).toBe(false);
    const text = readFileSync(configFile(directory, 'lmqConsumerOffset.json'), 'utf8');
    expect(parseLooseJson(text)).toMatchObject({
      lmqOffsetTable: { [`${LIGHT}@${LIGHT_GROUP}`]: 2 },
      offsetTable: { 'T@CG': { 0: 1 } },
    });

    const again = (await startTestBroker({ directory, config })).client();
    expect(await committed(again, LIGHT, LIGHT_GROUP)).toBe('2');
    expect(await committed(again, 'T', 'CG')).toBe('1');
  });

  it('what a broker of Apache RocketMQ wrote there is read', async () => {
    const directory = temporaryDirectory();
    const before = await startTestBroker({ directory, config });
    for (let n = 0; n < 3; n += 1) await sendLight(before.client());
    await before.stop();
    mkdirSync(path.join(directory, 'config'), { recursive: true });
    const text = `{
\t"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1},
\t"groupTopicMap":{},
\t"lmqOffsetTable":{"${LIGHT}@${LIGHT_GROUP}":1},
\t"offsetTable":{"T@CG":{0:2}
\t},
\t"pullOffsetTable":{}
}`;
    writeFileSync(configFile(directory, 'lmqConsumerOffset.json'), text);
    const again = (await startTestBroker({ directory, config })).client();
    expect(await committed(again, LIGHT, LIGHT_GROUP)).toBe('1');
    expect(await committed(again, 'T', 'CG')).toBe('2');
  });
});

it('without enableLmq a group whose name looks so is kept with the others', async () => {
  const { client, directory, stop } = await startTestBroker();
  const one = client();
  await send(one, { topic: 'T' });
  await commit(one, 'T', LIGHT_GROUP, 1);
  await stop();
  expect(existsSync(configFile(directory, 'lmqConsumerOffset.json'))).toBe(false);
  expect(parseLooseJson(readFileSync(configFile(directory, 'consumerOffset.json'), 'utf8'))).toMatchObject({
    offsetTable: { [`T@${LIGHT_GROUP}`]: { 0: 1 } },
  });
});
