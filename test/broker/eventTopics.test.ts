/** Only guarded appends write to an event topic: every other way in is tried here. */
import { describe, expect, it } from 'vitest';
import { encodeBatchBody } from '../../src/protocol/batchBody.js';
import { decodeTopicConfig } from '../../src/protocol/bodies.js';
import { updateAndCreateTopicHeader } from '../../src/protocol/headers/admin.js';
import {
  consumerSendMsgBackHeader,
  sendMessageHeader,
  sendMessageV2Header,
  toSendMessageV2,
} from '../../src/protocol/headers/messaging.js';
import { javaHash } from '../../src/protocol/javaHash.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import type { RawClient } from '../support/rawClient.js';
import {
  appendEvents,
  messagesOf,
  pull,
  send,
  sendHeader,
  startTestBroker,
  temporaryDirectory,
} from '../support/testBroker.js';

const create = (
  client: RawClient,
  topic: string,
  changes: { attributes?: string; queues?: number; perm?: number } = {},
) =>
  client.call(REQUEST_CODE.UPDATE_AND_CREATE_TOPIC, updateAndCreateTopicHeader, {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: changes.queues ?? 4,
    writeQueueNums: changes.queues ?? 4,
    perm: changes.perm ?? 6,
    topicFilterType: 'SINGLE_TAG',
    attributes: changes.attributes,
  });

const MARK = { attributes: '+foldlog.events=true' };

const attributesOf = async (client: RawClient, topic: string) =>
  decodeTopicConfig((await client.callRaw(REQUEST_CODE.GET_TOPIC_CONFIG, { topic })).body).attributes;

const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('an event topic', () => {
  it('is marked when it is made, with its queues, for good', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    const one = first.client();
    expect((await create(one, 'Events', MARK)).code).toBe(RESPONSE_CODE.SUCCESS);
    const marks = { 'foldlog.events': 'true', 'foldlog.queues': '4' };
    expect(await attributesOf(one, 'Events')).toEqual(marks);
    expect((await create(one, 'Events')).code).toBe(RESPONSE_CODE.SUCCESS);
    expect((await create(one, 'Events', { attributes: '-foldlog.events' })).code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
    expect((await create(one, 'Events', { attributes: '+foldlog.events=false' })).code).toBe(
      RESPONSE_CODE.SYSTEM_ERROR,
    );
    const grown = await create(one, 'Events', { queues: 8 });
    expect(grown.code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect(grown.remark).toContain('keeps its 4 queues');
    await first.stop();
    const second = await startTestBroker({ directory });
    expect(await attributesOf(second.client(), 'Events')).toEqual(marks);
  });

  it('may be made of a topic that is there, while it is empty', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await create(one, 'Empty');
    expect((await create(one, 'Empty', MARK)).code).toBe(RESPONSE_CODE.SUCCESS);
    await create(one, 'Used');
    await send(one, { topic: 'Used' });
    expect(await create(one, 'Used', MARK)).toMatchObject({
      code: RESPONSE_CODE.NO_PERMISSION,
      remark: 'topic Used cannot become an event topic: it holds messages already, use another topic',
    });
    expect(await attributesOf(one, 'Used')).toEqual({});
  });

  it('cannot be made while a message for it is on its way', async () => {
    const { client } = await startTestBroker({ config: { flushDiskType: 'SYNC_FLUSH' } });
    const one = client();
    await create(one, 'Delayed');
    await send(one, { topic: 'Delayed', props: { DELAY: '5' } });
    expect((await create(one, 'Delayed', MARK)).remark).toContain('a delayed message waits for it');
    await create(one, 'Race');
    const [sent, marked, late] = await Promise.all([
      send(one, { topic: 'Race' }),
      create(one, 'Race', MARK),
      send(one, { topic: 'Race' }),
    ]);
    expect(sent.code).toBe(RESPONSE_CODE.SUCCESS);
    expect(marked.code).toBe(RESPONSE_CODE.NO_PERMISSION);
    expect(late.code).toBe(RESPONSE_CODE.NO_PERMISSION);
    expect((await send(one, { topic: 'Race' })).code).toBe(RESPONSE_CODE.SUCCESS);
  });

  it('cannot be one of the system, nor one that holds copies', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const topic of ['%RETRY%CG', '%DLQ%CG', 'SCHEDULE_TOPIC_XXXX', 'TBW102']) {
      expect((await create(one, topic, MARK)).code).not.toBe(RESPONSE_CODE.SUCCESS);
      const appended = await appendEvents(one, { events: [{ topic, keys: ['s-1'] }] });
      expect([RESPONSE_CODE.NO_PERMISSION, RESPONSE_CODE.TOPIC_NOT_EXIST]).toContain(appended.code);
    }
  });

  it('is not deleted while it holds events', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await appendEvents(one, { events: [{ keys: ['s-1'] }] });
    expect((await one.callRaw(REQUEST_CODE.DELETE_TOPIC_IN_BROKER, { topic: 'Events' })).code).toBe(
      RESPONSE_CODE.NO_PERMISSION,
    );
    await create(one, 'Empty', MARK);
    expect((await one.callRaw(REQUEST_CODE.DELETE_TOPIC_IN_BROKER, { topic: 'Empty' })).code).toBe(
      RESPONSE_CODE.SUCCESS,
    );
  });

  it('refuses every send that is not guarded', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await appendEvents(one, { events: [{ keys: ['s-1'], body: 'event' }] });
    const queueId = (javaHash('s-1') & 0x7fffffff) % 8;
    const header = sendHeader({ topic: 'Events', queueId });
    const v2 = toSendMessageV2(header);
    const batch = encodeBatchBody([{ flag: 0, body: Buffer.from('x'), propertiesText: '' }]);
    const refused = [
      await one.call(REQUEST_CODE.SEND_MESSAGE, sendMessageHeader, header, Buffer.from('x')),
      await one.call(REQUEST_CODE.SEND_MESSAGE_V2, sendMessageV2Header, v2, Buffer.from('x')),
      await one.call(REQUEST_CODE.SEND_BATCH_MESSAGE, sendMessageV2Header, { ...v2, m: true }, batch),
      await one.call(REQUEST_CODE.SEND_MESSAGE_V2, sendMessageV2Header, { ...v2, m: true }, batch),
      await send(one, { topic: 'Events', queueId, props: { DELAY: '1' } }),
      await send(one, { topic: 'Events', queueId, props: { TRAN_MSG: 'true' } }),
      await send(one, { topic: 'Events', queueId, props: { WAIT: 'false' } }),
      await send(one, { topic: 'Events', queueId, reconsumeTimes: 3 }),
    ];
    for (const response of refused) {
      expect(response.code).toBe(RESPONSE_CODE.NO_PERMISSION);
      expect(response.remark).toContain('topic Events is an event topic');
    }
    await one.oneway(REQUEST_CODE.SEND_MESSAGE_V2, sendMessageV2Header, v2, Buffer.from('x'));
    // A producer that pretends: REAL_TOPIC of its own, through a delay level.
    await send(one, { topic: 'Plain', props: { DELAY: '1', REAL_TOPIC: 'Events', REAL_QID: String(queueId) } });
    clock.advance(60_000);
    await settle();
    expect(messagesOf(await pull(one, { topic: 'Events', queueId }))).toHaveLength(1);
    expect(messagesOf(await pull(one, { topic: 'Plain' }))).toHaveLength(1);
  });

  it('lets a consumer send an event back: to the retry topic, then the dead letters, never the topic', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await appendEvents(one, { events: [{ keys: ['s-1'], body: 'event' }] });
    const queueId = (javaHash('s-1') & 0x7fffffff) % 8;
    const [event] = messagesOf(await pull(one, { topic: 'Events', queueId }));
    const back = { offset: event?.commitLogOffset ?? -1, group: 'CG' };
    await one.call(REQUEST_CODE.CONSUMER_SEND_MSG_BACK, consumerSendMsgBackHeader, { ...back, delayLevel: 1 });
    await one.call(REQUEST_CODE.CONSUMER_SEND_MSG_BACK, consumerSendMsgBackHeader, { ...back, delayLevel: -1 });
    clock.advance(1000);
    await settle();
    for (const topic of ['%RETRY%CG', '%DLQ%CG']) {
      const [copy] = messagesOf(await pull(one, { topic }));
      expect(copy?.properties).toMatchObject({ RETRY_TOPIC: 'Events', FL_VERSION: '1', KEYS: 's-1' });
      // Recovery would take the copy for a part of an append that was cut short.
      expect(copy?.properties).not.toHaveProperty('FL_INDEX');
    }
    expect(messagesOf(await pull(one, { topic: 'Events', queueId }))).toHaveLength(1);
  });
});
