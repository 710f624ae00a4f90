/** Request-reply: a reply is handed to the connection of its requester, and stored beside that. */
import { describe, expect, it } from 'vitest';
import type { BrokerConfig } from '../../../src/config/brokerConfig.js';
import type { ReplyMessageHeader } from '../../../src/protocol/headers/messaging.js';
import {
  replyMessageHeader,
  sendMessageHeader,
  sendMessageV2Header,
  toSendMessageV2,
} from '../../../src/protocol/headers/messaging.js';
import { decodeProperties } from '../../../src/protocol/messageProperties.js';
import type { ResponseFields } from '../../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import { processor } from '../../../src/remoting/processor.js';
import type { RawClient } from '../../support/rawClient.js';
import {
  heartbeat,
  messagesOf,
  pull,
  type Sending,
  sendHeader,
  startTestBroker,
  type TestBroker,
} from '../../support/testBroker.js';

const REPLY_TOPIC = 'DefaultCluster_REPLY_TOPIC';
const PROPS = { MSG_TYPE: 'reply', CORRELATION_ID: 'c-1', REPLY_TO_CLIENT: 'asker', TTL: '3000', UNIQ_KEY: 'U1' };

const brokerOverTcp = (config: Partial<BrokerConfig> = {}) =>
  startTestBroker({ listen: true, config: { listenPort: 0, ...config } });

interface Pushed {
  header: ReplyMessageHeader;
  body: string;
}

/** A client that asked, and is known to the broker. */
async function requester(
  { client }: TestBroker,
  answer: () => ResponseFields | Promise<ResponseFields> = () => ({ code: 0 }),
): Promise<{ raw: RawClient; pushed: Pushed[] }> {
  const pushed: Pushed[] = [];
  const raw = client({
    rows: [
      processor({
        code: REQUEST_CODE.PUSH_REPLY_MESSAGE_TO_CLIENT,
        header: replyMessageHeader,
        lane: 'all',
        handle({ header, body }) {
          pushed.push({ header, body: body.toString() });
          return answer();
        },
      }),
    ],
  });
  await heartbeat(raw, { clientId: 'asker', group: 'ignored', producers: ['PG'] });
  return { raw, pushed };
}

function sendReply(client: RawClient, changes: Partial<Sending> = {}, body = 'answer') {
  const header = sendHeader({ topic: REPLY_TOPIC, props: PROPS, ...changes });
  return client.call(
    REQUEST_CODE.SEND_REPLY_MESSAGE_V2,
    sendMessageV2Header,
    toSendMessageV2(header),
    Buffer.from(body),
  );
}

const storedReplies = async (client: RawClient) => messagesOf(await pull(client, { topic: REPLY_TOPIC }));

describe('a reply', () => {
  it('is handed to its requester as it was sent, with the time of that, region and trace, and stored', async () => {
    const started = await brokerOverTcp();
    const { pushed } = await requester(started);
    const replier = started.client();
    const props = { ...PROPS, TRACE_ON: 'false' };
    const response = await sendReply(replier, { flag: 7, bornTimestamp: 1234, sysFlag: 0x300, props });
    expect(response).toMatchObject({
      code: RESPONSE_CODE.SUCCESS,
      extFields: { queueId: '0', queueOffset: '0', MSG_REGION: 'DefaultRegion', TRACE_ON: 'true' },
    });
    const { host, port } = started.broker.address;
    expect(pushed).toEqual([
      {
        body: 'answer',
        header: expect.objectContaining({
          producerGroup: 'PG',
          topic: REPLY_TOPIC,
          queueId: 0,
          flag: 7,
          sysFlag: 0x300,
          bornTimestamp: 1234,
          bornHost: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
          storeHost: `${host}:${port}`,
          storeTimestamp: started.clock.now(),
        }),
      },
    ]);
    expect(decodeProperties(pushed[0]?.header.properties ?? '')).toEqual({
      ...PROPS,
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
      PUSH_REPLY_TIME: String(started.clock.now()),
    });
    const [stored] = await storedReplies(replier);
    expect(stored).toMatchObject({
      topic: REPLY_TOPIC,
      flag: 7,
      properties: { ...PROPS, MSG_REGION: 'DefaultRegion', TRACE_ON: 'true' },
    });
    expect(stored?.body.toString()).toBe('answer');
  });

  it('comes with long header names, too, and to any queue', async () => {
    const started = await brokerOverTcp();
    const { pushed } = await requester(started);
    const header = sendHeader({ topic: REPLY_TOPIC, props: PROPS, queueId: -1 });
    const replier = started.client();
    const response = await replier.call(REQUEST_CODE.SEND_REPLY_MESSAGE, sendMessageHeader, header, Buffer.from('old'));
    expect(response).toMatchObject({ code: RESPONSE_CODE.SUCCESS, extFields: { queueId: '0' } });
    expect(pushed.map(({ body }) => body)).toEqual(['old']);
  });

  it('to a requester that is not there is refused, and stored all the same', async () => {
    const started = await brokerOverTcp();
    const replier = started.client();
    const unknown = await sendReply(replier);
    expect(unknown).toMatchObject({
      code: RESPONSE_CODE.SYSTEM_ERROR,
      remark: 'push reply message fail, channel of <asker> not found.',
      extFields: { queueOffset: '0' },
    });
    expect(unknown.extFields['msgId']).toHaveLength(32);
    const nobody = await sendReply(replier, { props: { MSG_TYPE: 'reply' } });
    expect(nobody).toMatchObject({
      code: RESPONSE_CODE.SYSTEM_ERROR,
      remark: 'reply message properties[REPLY_TO_CLIENT] is null',
    });
    expect(await storedReplies(replier)).toHaveLength(2);
    const { raw } = await requester(started);
    await raw.close();
    await expect.poll(async () => (await sendReply(replier)).remark).toContain('not found');
  });

  it('that its requester refuses, or is silent about for ten seconds, is refused', async () => {
    const started = await brokerOverTcp();
    const replier = started.client();
    let answer: () => ResponseFields | Promise<ResponseFields> = () => ({ code: 3, remark: 'not supported' });
    const { pushed } = await requester(started, () => answer());
    expect(await sendReply(replier)).toMatchObject({
      code: RESPONSE_CODE.SYSTEM_ERROR,
      remark: expect.stringContaining('it answered 3 not supported'),
    });
    answer = () => new Promise(() => {});
    const silent = sendReply(replier);
    await expect.poll(() => pushed.length).toBe(2);
    await started.clock.advanceInSteps(10_200, 100);
    expect(await silent).toMatchObject({
      code: RESPONSE_CODE.SYSTEM_ERROR,
      remark: expect.stringContaining('within 10000 ms'),
    });
  });

  it('is not stored when storeReplyMessageEnable is off', async () => {
    const started = await brokerOverTcp({ storeReplyMessageEnable: false });
    const { pushed } = await requester(started);
    const replier = started.client();
    // Java's client reads the three fields of any send.
    expect(await sendReply(replier)).toMatchObject({
      code: RESPONSE_CODE.SUCCESS,
      extFields: { msgId: '0', queueId: '0', queueOffset: '0' },
    });
    expect(pushed).toHaveLength(1);
    expect(await storedReplies(replier)).toEqual([]);
  });

  it('is checked like a send: body, topic, queue', async () => {
    const started = await brokerOverTcp();
    const { pushed } = await requester(started);
    const replier = started.client();
    expect(await sendReply(replier, {}, '')).toMatchObject({ code: RESPONSE_CODE.SYSTEM_ERROR });
    expect(await sendReply(replier, { queueId: 9 })).toMatchObject({ code: RESPONSE_CODE.INVALID_PARAMETER });
    expect(await sendReply(replier, { topic: 'SCHEDULE_TOPIC_XXXX' })).toMatchObject({
      code: RESPONSE_CODE.NO_PERMISSION,
      extFields: { MSG_REGION: 'DefaultRegion' },
    });
    expect(pushed).toEqual([]);
  });

  it('follows its requester to the newest connection, and is handed to nobody after that one left', async () => {
    const started = await brokerOverTcp();
    const first = await requester(started);
    const second = await requester(started);
    const replier = started.client();
    await sendReply(replier);
    expect([first.pushed.length, second.pushed.length]).toEqual([0, 1]);
    await first.raw.close();
    await sendReply(replier);
    expect(second.pushed).toHaveLength(2);
    await second.raw.callRaw(REQUEST_CODE.UNREGISTER_CLIENT, { clientID: 'asker', producerGroup: 'PG' });
    expect((await sendReply(replier)).remark).toContain('not found');
  });
});
