import { describe, expect, it } from 'vitest';
import { encodeBatchBody } from '../../../src/protocol/batchBody.js';
import { encodeLockBatchBody } from '../../../src/protocol/bodies.js';
import { updateAndCreateTopicHeader } from '../../../src/protocol/headers/admin.js';
import {
  emptyHeader,
  sendMessageHeader,
  sendMessageV2Header,
  toSendMessageV2,
} from '../../../src/protocol/headers/messaging.js';
import { decodeOffsetMsgId } from '../../../src/protocol/messageId.js';
import { encodeProperties } from '../../../src/protocol/messageProperties.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { Sending } from '../../support/testBroker.js';
import { bodiesOf, messagesOf, pull, send, sendHeader, startTestBroker } from '../../support/testBroker.js';

describe('SEND_MESSAGE', () => {
  it.each([
    [REQUEST_CODE.SEND_MESSAGE, sendMessageHeader.encode(sendHeader({ topic: 'T', queueId: 1, props: { TAGS: 'A' } }))],
    [
      REQUEST_CODE.SEND_MESSAGE_V2,
      sendMessageV2Header.encode(toSendMessageV2(sendHeader({ topic: 'T', queueId: 1, props: { TAGS: 'A' } }))),
    ],
  ])('%i stores the message and says where', async (code, extFields) => {
    const { broker, client } = await startTestBroker();
    const one = client();
    const response = await one.callRaw(code, extFields, Buffer.from('hi'));
    expect(response.code).toBe(RESPONSE_CODE.SUCCESS);
    expect(response.extFields).toMatchObject({
      queueId: '1',
      queueOffset: '0',
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
    });
    const { msgId = '', transactionId = '' } = response.extFields;
    const place = decodeOffsetMsgId(msgId);
    expect(place?.host).toEqual(broker.address);
    const [message] = messagesOf(await pull(one, { topic: 'T', queueId: 1 }));
    expect(message).toMatchObject({
      topic: 'T',
      queueId: 1,
      queueOffset: 0,
      commitLogOffset: place?.commitLogOffset,
      bornTimestamp: 1_700_000_000_000,
      storeHost: broker.address,
    });
    expect(message?.body.toString()).toBe('hi');
    expect(message?.properties).toEqual({
      TAGS: 'A',
      UNIQ_KEY: transactionId,
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
      CLUSTER: 'DefaultCluster',
    });
  });

  it("keeps the producer's UNIQ_KEY, strips POP_CK, and reads properties without the last separator", async () => {
    const { client } = await startTestBroker();
    const one = client();
    const extFields = sendMessageV2Header.encode(toSendMessageV2(sendHeader({ topic: 'T' })));
    extFields['i'] = 'UNIQ_KEY\u0001U1\u0002KEYS\u0001k1 k2';
    const response = await one.callRaw(REQUEST_CODE.SEND_MESSAGE_V2, extFields, Buffer.from('x'));
    expect(response.extFields['transactionId']).toBe('U1');
    await send(one, { topic: 'T', props: { POP_CK: '1 2 3', CLUSTER: 'mine', KEYS: 'k3' } });
    const [first, second] = messagesOf(await pull(one, { topic: 'T' }));
    expect(first?.properties).toMatchObject({ UNIQ_KEY: 'U1', KEYS: 'k1 k2', CLUSTER: 'DefaultCluster' });
    expect(second?.properties).toMatchObject({ KEYS: 'k3', CLUSTER: 'DefaultCluster' });
    expect(second?.properties).not.toHaveProperty('POP_CK');
  });

  it('makes an unknown topic after its template', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'New' });
    expect((await send(one, { topic: 'New', queueId: 3 })).code).toBe(RESPONSE_CODE.SUCCESS);
    const beyond = await send(one, { topic: 'New', queueId: 4 });
    expect(beyond.code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect(beyond.remark).toMatch(
      /^request queueId\[4\] is illegal, TopicConfig \[topicName=New.* Producer: 127.0.0.1:\d+$/,
    );
  });

  const refusals: [Sending, number, string][] = [
    [{ topic: '' }, RESPONSE_CODE.INVALID_PARAMETER, 'The specified topic is blank.'],
    [{ topic: 'a b' }, RESPONSE_CODE.INVALID_PARAMETER, 'contains illegal characters'],
    [{ topic: 'x'.repeat(128) }, RESPONSE_CODE.INVALID_PARAMETER, 'longer than topic max length 127'],
    [{ topic: 'SCHEDULE_TOPIC_XXXX' }, RESPONSE_CODE.NO_PERMISSION, 'topic[SCHEDULE_TOPIC_XXXX] is forbidden'],
    [{ topic: 'T', defaultTopic: 'Nobody' }, RESPONSE_CODE.TOPIC_NOT_EXIST, 'topic[T] not exist, apply first please!'],
    [{ topic: 'T', body: '' }, RESPONSE_CODE.SYSTEM_ERROR, 'no body'],
    [{ topic: 'T', body: Buffer.alloc(5 * 1024 * 1024) }, RESPONSE_CODE.MESSAGE_ILLEGAL, ''],
    [{ topic: 'T', props: { K: 'v'.repeat(32_767) } }, RESPONSE_CODE.MESSAGE_ILLEGAL, ''],
    [{ topic: 'T', props: { TRAN_MSG: 'true' } }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'names its producer group in PGROUP'],
    [{ topic: 'T', sysFlag: 4 }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'no consumer would ever see the message'],
    [{ topic: 'T', props: { TIMER_DELAY_SEC: 'soon' } }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'timer message refused'],
    [{ topic: 'T', props: { TIMER_DELIVER_MS: '9'.repeat(15) } }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'timerMaxDelaySec'],
    [{ topic: 'T', props: { DELAY: 'soon' } }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'delay level "soon" is not a number'],
  ];

  it('refuses what cannot be stored or done, and stores nothing of it', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const [sending, code, remark] of refusals) {
      const response = await send(one, sending);
      expect(response, remark).toMatchObject({ code, extFields: { MSG_REGION: 'DefaultRegion', TRACE_ON: 'true' } });
      expect(response.remark).toContain(remark);
    }
    expect((await pull(one, { topic: 'T' })).body).toHaveLength(0);
  });

  it('refuses a header that lacks a field or holds no number, naming it', async () => {
    const { client } = await startTestBroker();
    const extFields = sendMessageV2Header.encode(toSendMessageV2(sendHeader({ topic: 'T' })));
    const { e: _queueId, ...without } = extFields;
    const missing = await client().callRaw(REQUEST_CODE.SEND_MESSAGE_V2, without, Buffer.from('x'));
    expect(missing).toMatchObject({ code: RESPONSE_CODE.SYSTEM_ERROR, remark: 'header field e is missing' });
    const wrong = await client().callRaw(REQUEST_CODE.SEND_MESSAGE_V2, { ...extFields, e: 'one' }, Buffer.from('x'));
    expect(wrong).toMatchObject({ code: RESPONSE_CODE.SYSTEM_ERROR });
    expect(wrong.remark).toContain('header field e');
  });

  it('answers 17 when topics are not made unasked, but makes retry topics', async () => {
    const { client } = await startTestBroker({ config: { autoCreateTopicEnable: false } });
    const one = client();
    expect((await send(one, { topic: 'T' })).code).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
    expect((await send(one, { topic: '%RETRY%CG' })).code).toBe(RESPONSE_CODE.SUCCESS);
  });

  it('picks a queue below 0 itself', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const queues = new Set<string | undefined>();
    for (let n = 0; n < 64; n += 1) queues.add((await send(one, { topic: 'T', queueId: -1 })).extFields['queueId']);
    expect([...queues].sort()).toEqual(['0', '1', '2', '3']);
  });

  it('stores one-way sends and those that do not wait', async () => {
    const { client } = await startTestBroker({ config: { flushDiskType: 'SYNC_FLUSH' } });
    const one = client();
    const header = toSendMessageV2(sendHeader({ topic: 'T' }));
    await one.oneway(REQUEST_CODE.SEND_MESSAGE_V2, sendMessageV2Header, header, Buffer.from('oneway'));
    expect((await send(one, { topic: 'T', body: 'fast', props: { WAIT: 'false' } })).code).toBe(RESPONSE_CODE.SUCCESS);
    expect((await send(one, { topic: 'T', body: 'safe' })).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['oneway', 'fast', 'safe']);
  });

  it('orders concurrent sends by arrival, densely', async () => {
    const { client } = await startTestBroker();
    const [one, two] = [client(), client()];
    const responses = await Promise.all(
      Array.from({ length: 100 }, (_, n) => send(n % 2 ? one : two, { topic: 'T', body: String(n) })),
    );
    const offsets = responses.map(({ extFields }) => Number(extFields['queueOffset'])).sort((a, b) => a - b);
    expect(offsets).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });
});

describe('SEND_BATCH_MESSAGE', () => {
  const batchOf = (...messages: { body: string; props?: Record<string, string> }[]) =>
    encodeBatchBody(
      messages.map(({ body, props = {} }) => ({
        flag: 7,
        body: Buffer.from(body),
        propertiesText: encodeProperties(props),
      })),
    );

  it('stores the messages side by side with their own properties', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const response = await one.call(
      REQUEST_CODE.SEND_BATCH_MESSAGE,
      sendMessageV2Header,
      toSendMessageV2(sendHeader({ topic: 'T', queueId: 2, batch: true, props: { UNIQ_KEY: 'B', WAIT: 'true' } })),
      batchOf({ body: 'a', props: { UNIQ_KEY: 'U1', KEYS: 'k' } }, { body: 'b', props: { UNIQ_KEY: 'U2' } }),
    );
    expect(response).toMatchObject({ code: 0, extFields: { queueId: '2', queueOffset: '0', transactionId: 'B' } });
    const messages = messagesOf(await pull(one, { topic: 'T', queueId: 2 }));
    expect(messages.map(({ properties, flag, queueOffset }) => ({ properties, flag, queueOffset }))).toEqual([
      { properties: { UNIQ_KEY: 'U1', KEYS: 'k' }, flag: 7, queueOffset: 0 },
      { properties: { UNIQ_KEY: 'U2' }, flag: 7, queueOffset: 1 },
    ]);
    const ids = (response.extFields['msgId'] ?? '').split(',').map((id) => decodeOffsetMsgId(id)?.commitLogOffset);
    expect(ids).toEqual(messages.map(({ commitLogOffset }) => commitLogOffset));
    expect(messages[1]?.commitLogOffset).toBe((messages[0]?.commitLogOffset ?? 0) + (messages[0]?.sizeBytes ?? 0));
  });

  const refusals: [string, Buffer, number][] = [
    ['%RETRY%CG', batchOf({ body: 'a' }), RESPONSE_CODE.MESSAGE_ILLEGAL],
    ['T', Buffer.from('not a batch'), RESPONSE_CODE.SYSTEM_ERROR],
    ['T', batchOf({ body: 'a', props: { DELAY: '3' } }), RESPONSE_CODE.MESSAGE_ILLEGAL],
    ['T', batchOf({ body: 'a' }, { body: 'b', props: { TRAN_MSG: 'true' } }), RESPONSE_CODE.MESSAGE_ILLEGAL],
    ['T', batchOf({ body: 'a'.repeat(3_000_000) }, { body: 'b'.repeat(3_000_000) }), RESPONSE_CODE.MESSAGE_ILLEGAL],
  ];

  it('refuses what cannot be one, as a whole', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const [topic, body, code] of refusals) {
      const header = toSendMessageV2(sendHeader({ topic, batch: true }));
      const response = await one.call(REQUEST_CODE.SEND_BATCH_MESSAGE, sendMessageV2Header, header, body);
      expect(response.code, response.remark).toBe(code);
      expect((await pull(one, { topic })).body).toHaveLength(0);
    }
  });
});

describe('a send to a retry topic', () => {
  const dead = (client: Parameters<typeof pull>[0]) => pull(client, { topic: '%DLQ%CG' }).then(messagesOf);

  it('stays there while attempts are left', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: '%RETRY%CG', reconsumeTimes: 16, body: 'again' });
    expect(bodiesOf(await pull(one, { topic: '%RETRY%CG' }))).toEqual(['again']);
    expect(await dead(one)).toEqual([]);
  });

  it('goes to the dead letters of the group when they are used up, at once and with its reasons', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const props = { FL_REASON: 'bad', DELAY: '3', RETRY_TOPIC: 'T', ORIGIN_MESSAGE_ID: 'M' };
    const response = await send(one, { topic: '%RETRY%CG', reconsumeTimes: 17, props });
    expect(response).toMatchObject({ code: 0, extFields: { queueId: '0' } });
    const [letter] = await dead(one);
    expect(letter?.properties).toMatchObject({ ...props, DELAY: '-1' });
  });

  it('counts the attempts that the header allows, for clients that can say so', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: '%RETRY%CG', reconsumeTimes: 3, maxReconsumeTimes: 2, body: 'new' });
    await send(client({ version: 120 }), { topic: '%RETRY%CG', reconsumeTimes: 3, maxReconsumeTimes: 2, body: 'old' });
    expect((await dead(one)).map(({ body }) => body.toString())).toEqual(['new']);
    expect(bodiesOf(await pull(one, { topic: '%RETRY%CG' }))).toEqual(['old']);
  });

  it('is a dead letter while the group consumes in order', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const mqSet = [{ topic: 'T', brokerName: 'broker-a', queueId: 0 }];
    const body = encodeLockBatchBody({ consumerGroup: 'CG', clientId: 'c', mqSet, onlyThisBroker: false });
    await one.call(REQUEST_CODE.LOCK_BATCH_MQ, emptyHeader, {}, body);
    await send(one, { topic: '%RETRY%CG', reconsumeTimes: 1 });
    expect(await dead(one)).toHaveLength(1);
  });
});

it("a topic that is only readable still takes a direct send, as upstream's does", async () => {
  const { client } = await startTestBroker();
  const one = client();
  const create = { defaultTopic: 'TBW102', readQueueNums: 1, writeQueueNums: 1, topicFilterType: 'SINGLE_TAG' };
  await one.call(REQUEST_CODE.UPDATE_AND_CREATE_TOPIC, updateAndCreateTopicHeader, { topic: 'R', perm: 4, ...create });
  expect((await send(one, { topic: 'R' })).code).toBe(RESPONSE_CODE.SUCCESS);
});
