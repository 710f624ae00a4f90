/** Several topics at once (18). */
import { describe, expect, it } from 'vitest';
import type { TopicConfig } from '../../../src/protocol/bodies.js';
import { decodeTopicConfig, encodeTopicConfigList, topicConfigOf } from '../../../src/protocol/bodies.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { RawClient } from '../../support/rawClient.js';
import { startTestBroker } from '../../support/testBroker.js';

const put = (client: RawClient, ...topics: TopicConfig[]) =>
  client.callRaw(REQUEST_CODE.UPDATE_AND_CREATE_TOPIC_LIST, {}, encodeTopicConfigList(topics));

const known = async (client: RawClient, topic: string) => {
  const response = await client.callRaw(REQUEST_CODE.GET_TOPIC_CONFIG, { topic });
  return response.code === 0 ? decodeTopicConfig(response.body) : undefined;
};

describe('a list of topics', () => {
  it('is made and changed, attributes as in files of RocketMQ or plain', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const queues = { readQueueNums: 2, writeQueueNums: 2 };
    const attributes = { '+message.type': 'FIFO' };
    expect((await put(one, topicConfigOf('A', queues), topicConfigOf('B', { ...queues, attributes }))).code).toBe(0);
    expect(await known(one, 'A')).toMatchObject({ ...queues, attributes: {} });
    expect(await known(one, 'B')).toMatchObject({ attributes: { 'message.type': 'FIFO' } });
    await put(one, topicConfigOf('A', { attributes: { 'message.type': 'DELAY' } }));
    expect(await known(one, 'A')).toMatchObject({ readQueueNums: 16, attributes: { 'message.type': 'DELAY' } });
    await put(one, topicConfigOf('B', { ...queues, attributes: { '-message.type': '' } }));
    expect((await known(one, 'B'))?.attributes).toEqual({});
    expect((await put(one)).code).toBe(0);
  });

  it('is refused as a whole for one topic that cannot be', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const wrong of [topicConfigOf('TBW102'), topicConfigOf('a b'), topicConfigOf('C', { perm: 99 })]) {
      expect((await put(one, topicConfigOf('Good'), wrong)).code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    }
    expect(await known(one, 'Good')).toBeUndefined();
  });
});
