/** Questions that the broker hands on to the client of a consumer, over TCP. */
import { describe, expect, it } from 'vitest';
import { decodeConsumerStatusesBody, encodeConsumerStatusBody } from '../../../src/protocol/bodies.js';
import {
  consumeMessageDirectlyHeader,
  getConsumerRunningInfoHeader,
  getConsumerStatusFromClientHeader,
} from '../../../src/protocol/headers/group.js';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import type { ResponseFields } from '../../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { ProcessorRow, Request } from '../../../src/remoting/processor.js';
import { heartbeat, send, startTestBroker } from '../../support/testBroker.js';

type Answer = (request: Request<Record<string, unknown>>) => ResponseFields | Promise<ResponseFields>;

const row = (code: number, answer: Answer): ProcessorRow => {
  const header =
    code === REQUEST_CODE.CONSUME_MESSAGE_DIRECTLY
      ? consumeMessageDirectlyHeader
      : code === REQUEST_CODE.GET_CONSUMER_RUNNING_INFO
        ? getConsumerRunningInfoHeader
        : getConsumerStatusFromClientHeader;
  return { code, header, lane: 'all', handle: answer };
};

const brokerOverTcp = () => startTestBroker({ listen: true, config: { listenPort: 0 } });
const { GET_CONSUMER_RUNNING_INFO, CONSUME_MESSAGE_DIRECTLY, GET_CONSUMER_STATUS_FROM_CLIENT } = REQUEST_CODE;

describe('running info (307)', () => {
  it('is what the client answers, whatever it answers', async () => {
    const { client } = await brokerOverTcp();
    let answer: ResponseFields = { code: 0, remark: 'fine', body: Buffer.from('{"jstack":""}') };
    const asked: Record<string, unknown>[] = [];
    const member = client({
      rows: [
        row(GET_CONSUMER_RUNNING_INFO, ({ header, command }) => {
          asked.push({ ...header, language: command.language });
          return answer;
        }),
      ],
    });
    await heartbeat(member, { clientId: 'c1', group: 'G', topics: { T: '*' } });
    const tool = client();
    const ask = () =>
      tool.callRaw(GET_CONSUMER_RUNNING_INFO, { consumerGroup: 'G', clientId: 'c1', jstackEnable: 'true' });
    const told = await ask();
    expect([told.code, told.remark, told.body.toString()]).toEqual([0, 'fine', '{"jstack":""}']);
    expect(asked).toEqual([{ consumerGroup: 'G', clientId: 'c1', jstackEnable: true, language: 'JAVA' }]);
    answer = { code: 1, remark: 'The Consumer Group <G> not exist in this consumer' };
    expect(await ask()).toMatchObject(answer);
  });

  it('of who is not there, or is too old, is refused', async () => {
    const { client } = await brokerOverTcp();
    const tool = client();
    const ask = (clientId: string) => tool.callRaw(GET_CONSUMER_RUNNING_INFO, { consumerGroup: 'G', clientId });
    expect(await ask('c1')).toMatchObject({ code: 1, remark: 'The Consumer <G> <c1> not online' });
    const old = client({ version: 61 });
    await heartbeat(old, { clientId: 'old', group: 'G', topics: { T: '*' } });
    expect(await ask('c1')).toMatchObject({ code: 1, remark: 'The Consumer <G> <c1> not online' });
    expect(await ask('old')).toMatchObject({ code: 1, remark: expect.stringContaining('Version <61> too low') });
  });

  it('is CONSUME_MSG_TIMEOUT after ten seconds, and a failure when the client leaves', async () => {
    const { client, clock } = await brokerOverTcp();
    let asked = 0;
    const member = client({
      rows: [
        row(GET_CONSUMER_RUNNING_INFO, () => {
          asked += 1;
          return new Promise(() => {});
        }),
      ],
    });
    await heartbeat(member, { clientId: 'c1', group: 'G', topics: { T: '*' } });
    const tool = client();
    const fields = { consumerGroup: 'G', clientId: 'c1' };
    const silent = tool.callRaw(GET_CONSUMER_RUNNING_INFO, fields);
    await expect.poll(() => asked).toBe(1);
    await clock.advanceInSteps(10_200, 100);
    expect(await silent).toMatchObject({
      code: RESPONSE_CODE.CONSUME_MSG_TIMEOUT,
      remark: expect.stringContaining('consumer <G> <c1> Timeout'),
    });
    const left = tool.callRaw(GET_CONSUMER_RUNNING_INFO, fields);
    await expect.poll(() => asked).toBe(2);
    await member.close();
    expect(await left).toMatchObject({ code: 1, remark: expect.stringContaining('invoke consumer <G> <c1>') });
  });
});

describe('direct consumption (309)', () => {
  it('brings the record to the client, and its result back', async () => {
    const { client } = await brokerOverTcp();
    const tool = client();
    const sent = await send(tool, { topic: 'T', body: 'try me', queueId: 2 });
    const tried: unknown[] = [];
    const member = client({
      rows: [
        row(CONSUME_MESSAGE_DIRECTLY, ({ header, body }) => {
          tried.push({ ...header, body: decodeRecord(body).body.toString() });
          return { code: 0, body: Buffer.from('{"consumeResult":"CR_SUCCESS"}') };
        }),
      ],
    });
    await heartbeat(member, { clientId: 'c1', group: 'G', topics: { T: '*' } });
    const msgId = sent.extFields['msgId'] ?? '';
    const ask = (fields: Record<string, string>) =>
      tool.callRaw(CONSUME_MESSAGE_DIRECTLY, { consumerGroup: 'G', clientId: 'c1', msgId, topic: 'T', ...fields });
    expect((await ask({})).body.toString()).toContain('CR_SUCCESS');
    expect(tried).toEqual([
      {
        consumerGroup: 'G',
        clientId: 'c1',
        msgId,
        topic: 'T',
        brokerName: 'broker-a',
        topicSysFlag: 0,
        groupSysFlag: 0,
        body: 'try me',
      },
    ]);
    const nowhere = `${msgId.slice(0, 16)}00000000000FFFFF`;
    for (const wrong of ['no id', nowhere]) {
      expect(await ask({ msgId: wrong })).toMatchObject({
        code: 1,
        remark: `can not find message by the id, ${wrong}`,
      });
    }
    expect(await ask({ clientId: 'c2' })).toMatchObject({ code: 1, remark: 'The Consumer <G> <c2> not online' });
  });
});

describe('the offsets that members hold (223)', () => {
  const status = (queueId: number, offset: number): Answer => {
    const messageQueueTable: Parameters<typeof encodeConsumerStatusBody>[0]['messageQueueTable'] = [
      [{ topic: 'T', brokerName: 'broker-a', queueId }, offset],
    ];
    return () => ({ code: 0, body: encodeConsumerStatusBody({ messageQueueTable }) });
  };

  it('are asked of all members, or of one; who does not answer is left out', async () => {
    const { client, clock } = await brokerOverTcp();
    const answers: [string, Answer][] = [
      ['c1', status(0, 5)],
      ['c2', status(1, 7)],
      ['c3', () => ({ code: 1, remark: 'no' })],
    ];
    for (const [clientId, answer] of answers) {
      const member = client({ rows: [row(GET_CONSUMER_STATUS_FROM_CLIENT, answer)] });
      await heartbeat(member, { clientId, group: 'G', topics: { T: '*' } });
    }
    const tool = client();
    const ask = async (fields: Record<string, string> = {}) => {
      const response = await tool.callRaw(REQUEST_CODE.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, {
        topic: 'T',
        group: 'G',
        ...fields,
      });
      expect(response.code).toBe(0);
      return [...decodeConsumerStatusesBody(response.body).consumerTable];
    };
    const queue = (queueId: number) => ({ topic: 'T', brokerName: 'broker-a', queueId });
    expect(await ask()).toEqual([
      ['c1', [[queue(0), 5]]],
      ['c2', [[queue(1), 7]]],
    ]);
    expect(await ask({ clientAddr: 'c2' })).toEqual([['c2', [[queue(1), 7]]]]);
    expect(await ask({ clientAddr: 'other' })).toEqual([]);
    let isAsked = false;
    const silent = client({
      rows: [
        row(GET_CONSUMER_STATUS_FROM_CLIENT, () => {
          isAsked = true;
          return new Promise(() => {});
        }),
      ],
    });
    await heartbeat(silent, { clientId: 'c4', group: 'G', topics: { T: '*' } });
    const all = ask();
    await expect.poll(() => isAsked).toBe(true);
    await clock.advanceInSteps(5200, 100);
    expect((await all).map(([clientId]) => clientId)).toEqual(['c1', 'c2']);
  });

  it('of nobody, or of clients that are too old, are refused', async () => {
    const { client } = await brokerOverTcp();
    const tool = client();
    const ask = () => tool.callRaw(REQUEST_CODE.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: 'T', group: 'G' });
    expect(await ask()).toMatchObject({ code: 1, remark: expect.stringContaining('No Any Consumer online') });
    await heartbeat(client({ version: 27 }), { clientId: 'old', group: 'G', topics: { T: '*' } });
    expect(await ask()).toMatchObject({ code: 1, remark: expect.stringContaining('version=27') });
  });
});
