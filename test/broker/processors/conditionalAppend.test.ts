import { describe, expect, it } from 'vitest';
import type { AppendEventsOutcome, ReadByKeyRequest } from '../../../src/protocol/headers/events.js';
import {
  decodeAppendEventsOutcome,
  decodeReadByKeyResponse,
  encodeReadByKeyRequest,
} from '../../../src/protocol/headers/events.js';
import { javaHash } from '../../../src/protocol/javaHash.js';
import { decodeRecords } from '../../../src/protocol/messageRecord.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { RawClient } from '../../support/rawClient.js';
import type { EventLike } from '../../support/testBroker.js';
import { appendEvents, messagesOf, pull, send, startTestBroker, temporaryDirectory } from '../../support/testBroker.js';

const outcomeOf = async (...args: Parameters<typeof appendEvents>): Promise<AppendEventsOutcome> =>
  decodeAppendEventsOutcome(await appendEvents(...args));

async function read(client: RawClient, request: Partial<ReadByKeyRequest>) {
  const { extFields, body } = encodeReadByKeyRequest({
    keys: [{ topic: 'Events', key: 's-1' }],
    direction: 'forwards',
    maxCount: 100,
    maxBytes: 1_000_000,
    ...request,
  });
  const response = decodeReadByKeyResponse(await client.callRaw(REQUEST_CODE.READ_BY_KEY, extFields, body));
  return { ...response, bodies: decodeRecords(response.records).map((message) => message.body.toString()) };
}

describe('APPEND_EVENTS', () => {
  it('numbers the events of a stream and stores them side by side in one queue', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const first = await outcomeOf(one, {
      events: [
        { keys: ['s-1'], body: 'a' },
        { keys: ['s-1', 'tag-9'], body: 'b', props: { FL_SCHEMA: '1' } },
      ],
      expectedVersions: [{ topic: 'Events', stream: 's-1', expected: 'NO_STREAM' }],
    });
    const queueId = (javaHash('s-1') & 0x7fffffff) % 8;
    expect(first).toMatchObject({
      status: 'APPENDED',
      places: [
        { version: 1, queueId, queueOffset: 0 },
        { version: 2, queueId, queueOffset: 1 },
      ],
    });
    const messages = messagesOf(await pull(one, { topic: 'Events', queueId }));
    expect(
      messages.map(({ body, properties }) => [
        body.toString(),
        properties['KEYS'],
        properties['FL_VERSION'],
        properties['FL_INDEX'],
      ]),
    ).toEqual([
      ['a', 's-1', '1', '0/2'],
      ['b', 's-1 tag-9', '2', '1/2'],
    ]);
    expect(messages[1]?.properties['FL_SCHEMA']).toBe('1');
    expect(first.status === 'APPENDED' && first.storeTimestamp).toBe(messages[0]?.storeTimestamp);
  });

  it('refuses the loser of a race and says where the stream is', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const expectedVersions = [{ topic: 'Events', stream: 's-1', expected: 0 }];
    const outcomes = await Promise.all(
      Array.from({ length: 5 }, () => outcomeOf(one, { events: [{ keys: ['s-1'] }], expectedVersions })),
    );
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['APPENDED', ...Array(4).fill('VERSION_CONFLICT')]);
    expect(outcomes.find(({ status }) => status === 'VERSION_CONFLICT')).toEqual({
      status: 'VERSION_CONFLICT',
      topic: 'Events',
      stream: 's-1',
      expected: 0,
      actual: 1,
    });
  });

  it('answers a repeated append id with the original places, whatever else it says', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    const request = {
      appendId: 'command-7',
      events: [{ keys: ['s-1'] as [string] }],
      expectedVersions: [{ topic: 'Events', stream: 's-1', expected: 0 as const }],
    };
    const original = await outcomeOf(first.client(), request);
    expect(original.status).toBe('APPENDED');
    expect(await outcomeOf(first.client(), request)).toEqual({ ...original, status: 'ALREADY_APPENDED' });
    await first.stop();
    const second = await startTestBroker({ directory });
    const repeated = await outcomeOf(second.client(), request);
    expect(repeated).toMatchObject({
      status: 'ALREADY_APPENDED',
      places: original.status === 'APPENDED' && original.places,
    });
  });

  it('holds a condition: nothing new under any key since it was read', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await appendEvents(one, { events: [{ keys: ['s-1', 'seat-4'] }] });
    const keys = [{ topic: 'Events', key: 'seat-4' }];
    const { end } = await read(one, { keys });
    const reserve = { condition: { keys, end }, events: [{ keys: ['s-2', 'seat-4'] as [string, string] }] };
    expect((await outcomeOf(one, reserve)).status).toBe('APPENDED');
    expect(await outcomeOf(one, reserve)).toEqual({ status: 'CONDITION_CONFLICT', topic: 'Events', key: 'seat-4' });
  });

  const refusals: [EventLike, number, string][] = [
    [{ keys: [''] as [string] }, RESPONSE_CODE.INVALID_PARAMETER, 'is empty'],
    [{ keys: ['a b'] as [string] }, RESPONSE_CODE.INVALID_PARAMETER, 'holds a blank'],
    [{ keys: ['s', 'a\u0001'] as [string, string] }, RESPONSE_CODE.INVALID_PARAMETER, 'separator'],
    [{ keys: ['s'] as [string], props: { DELAY: '1' } }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'property DELAY'],
    [{ keys: ['s'] as [string], props: { TRAN_MSG: 'true' } }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'property TRAN_MSG'],
    [{ keys: ['s'] as [string], body: 'x'.repeat(5_000_000) }, RESPONSE_CODE.MESSAGE_ILLEGAL, ''],
    [{ keys: ['s'] as [string], topic: 'Plain' }, RESPONSE_CODE.NO_PERMISSION, 'topic Plain is not an event topic'],
    [{ keys: ['s'] as [string], topic: 'a b' }, RESPONSE_CODE.NO_PERMISSION, 'illegal characters'],
  ];

  it('refuses the whole append for one event that cannot be stored', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'Plain' });
    for (const [event, code, remark] of refusals) {
      const response = await appendEvents(one, { events: [{ keys: ['s'] }, event] });
      expect(response.code, remark).toBe(code);
      expect(response.remark).toContain(remark);
    }
    expect((await read(one, { keys: [{ topic: 'Events', key: 's' }] })).bodies).toEqual([]);
  });

  it('refuses append ids that could not be found again', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const appendId of ['', 'a b', 'a\u0001', 'x'.repeat(256)]) {
      const response = await appendEvents(one, { appendId, events: [{ keys: ['s'] }] });
      expect(response.code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    }
  });

  it('refuses bytes that are no request', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const extFields = { appendId: 'a', bornTimestamp: '1' };
    for (const body of [Buffer.alloc(0), Buffer.from('ff', 'hex'), Buffer.alloc(40, 0x7f)]) {
      const response = await one.callRaw(REQUEST_CODE.APPEND_EVENTS, extFields, body);
      expect(response.code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
    }
    expect((await one.callRaw(REQUEST_CODE.APPEND_EVENTS, {})).code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
  });

  it('names the topic when it is unknown and may not be made', async () => {
    const { client } = await startTestBroker({ config: { autoCreateTopicEnable: false } });
    const response = await appendEvents(client(), { events: [{ keys: ['s'] }] });
    expect(response).toMatchObject({
      code: RESPONSE_CODE.TOPIC_NOT_EXIST,
      remark: 'topic[Events] not exist, apply first please!',
    });
  });
});

describe('READ_BY_KEY', () => {
  it('pages through a stream both ways, and names the end of what it read', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b', 'c', 'd', 'e']) await appendEvents(one, { events: [{ keys: ['s-1'], body }] });
    await appendEvents(one, { events: [{ keys: ['s-2'], body: 'other' }] });
    const first = await read(one, { maxCount: 2 });
    expect(first.bodies).toEqual(['a', 'b']);
    const second = await read(one, { maxCount: 2, from: first.next, until: first.end.commitLogOffset });
    expect(second.bodies).toEqual(['c', 'd']);
    const third = await read(one, { maxCount: 2, from: second.next, until: first.end.commitLogOffset });
    expect(third).toMatchObject({ bodies: ['e'], next: undefined });
    const back = await read(one, { direction: 'backwards', maxCount: 3 });
    expect(back.bodies).toEqual(['e', 'd', 'c']);
    expect((await read(one, { direction: 'backwards', until: back.next })).bodies).toEqual(['b', 'a']);
  });

  it('never claims to have read what is not stored yet', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await appendEvents(one, { events: [{ keys: ['s-1'] }] });
    const honest = await read(one, {});
    const greedy = await read(one, { until: 1e12 });
    expect(greedy.end).toEqual(honest.end);
  });

  it('bounds what is asked for', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (const body of ['a', 'b']) await appendEvents(one, { events: [{ keys: ['s-1'], body }] });
    expect((await read(one, { maxCount: -5 })).bodies).toEqual(['a']);
    expect((await read(one, { maxCount: 2_000_000_000, maxBytes: 2_000_000_000, from: -9 })).bodies).toEqual([
      'a',
      'b',
    ]);
    const none = encodeReadByKeyRequest({ keys: [], direction: 'forwards', maxCount: 1, maxBytes: 1 });
    expect((await one.callRaw(REQUEST_CODE.READ_BY_KEY, none.extFields, none.body)).code).toBe(
      RESPONSE_CODE.INVALID_PARAMETER,
    );
  });
});
