/** READ_EVENTS at the broker: pages and their bounds, what is refused, and reads that are held. */
import { describe, expect, it } from 'vitest';
import {
  decodeReadEventsResponse,
  encodeReadEventsRequest,
  type ReadEventsRequest,
} from '../../../src/protocol/headers/readEvents.js';
import { decodeRecords } from '../../../src/protocol/messageRecord.js';
import type { RemotingCommand } from '../../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { RawClient } from '../../support/rawClient.js';
import { appendEvents, send, startTestBroker, type TestBroker } from '../../support/testBroker.js';

function read(client: RawClient, request: Partial<ReadEventsRequest> = {}): Promise<RemotingCommand> {
  const { extFields, body } = encodeReadEventsRequest({
    ...{ topics: [], keys: [], direction: 'forwards', maxCount: 100, maxBytes: 1 << 20 },
    ...request,
  });
  return client.callRaw(REQUEST_CODE.READ_EVENTS, extFields, body);
}

function pageOf(response: RemotingCommand) {
  const { end, next, records } = decodeReadEventsResponse(response);
  return { end, next, bodies: decodeRecords(records).map(({ body }) => body.toString()) };
}

const append = (client: RawClient, topic: string, stream: string, body: string) =>
  appendEvents(client, { events: [{ topic, keys: [stream, `all-of-${topic}`], body }] });

/** Is the answer there? Whatever was sent before has been handled then. */
async function isSettled(client: RawClient, promise: Promise<unknown>): Promise<boolean> {
  let isDone = false;
  promise.then(
    () => {
      isDone = true;
    },
    () => {
      isDone = true;
    },
  );
  await read(client, { maxCount: 1 });
  await new Promise((resolve) => setImmediate(resolve));
  return isDone;
}

async function advance({ clock }: TestBroker, millis: number): Promise<void> {
  clock.advance(millis);
  await new Promise((resolve) => setImmediate(resolve));
}

describe('READ_EVENTS', () => {
  it('reads topics, all event topics, or keys in the order of the log, page by page, both ways', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (let index = 0; index < 12; index += 1) {
      await append(one, `T${index % 3}`, `s-${index % 2}`, `{"n":${index}}`);
      await send(one, { topic: 'Plain', body: 'x' });
    }
    const numbers = (...list: number[]) => list.map((n) => `{"n":${n}}`);
    const all = pageOf(await read(one));
    expect(all).toMatchObject({ next: undefined, bodies: numbers(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) });
    const some = { topics: ['T2', 'T0'], maxCount: 3 };
    const first = pageOf(await read(one, some));
    expect(first.bodies).toEqual(numbers(0, 2, 3));
    const second = pageOf(await read(one, { ...some, from: first.next, known: first.end }));
    expect(second.bodies).toEqual(numbers(5, 6, 8));
    const back = pageOf(await read(one, { ...some, direction: 'backwards' }));
    expect(back.bodies).toEqual(numbers(11, 9, 8));
    expect(pageOf(await read(one, { ...some, direction: 'backwards', until: back.next })).bodies).toEqual(
      numbers(6, 5, 3),
    );
    const keys = [{ topic: 'T1', key: 's-0' }];
    expect(pageOf(await read(one, { keys })).bodies).toEqual(numbers(4, 10));
    // At least one record, whatever its size, and none beyond the bytes after it.
    expect(pageOf(await read(one, { maxBytes: 1 })).bodies).toEqual(numbers(0));
  });

  it('finds the place that belongs to a time', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const times: number[] = [];
    for (let index = 0; index < 5; index += 1) {
      times.push(clock.now());
      await append(one, 'T', 's', `{"n":${index}}`);
      clock.advance(1000);
    }
    const bodies = async (request: Partial<ReadEventsRequest>) => pageOf(await read(one, request)).bodies.join('');
    expect(await bodies({ fromTime: times[3]! })).toBe('{"n":3}{"n":4}');
    expect(await bodies({ fromTime: times[3]! - 500, untilTime: times[3]! + 500 })).toBe('{"n":3}');
    expect(await bodies({ untilTime: times[1]!, direction: 'backwards' })).toBe('{"n":1}{"n":0}');
    expect(await bodies({ fromTime: times[4]! + 1 })).toBe('');
  });

  it('refuses what it cannot read, and a log that is not the one that is known', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await append(one, 'T', 's', '{}');
    await send(one, { topic: 'Plain', body: 'x' });
    const { end } = pageOf(await read(one));
    const code = async (request: Partial<ReadEventsRequest>) => (await read(one, request)).code;
    expect(await code({ topics: ['Absent'] })).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
    expect(await code({ topics: ['Plain'] })).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect(await code({ keys: [{ topic: 'Plain', key: 'k' }] })).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect(await code({ keys: [{ topic: 'T', key: 's' }], fromTime: 1 })).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect(await code({ topics: Array.from({ length: 1001 }, () => 'T') })).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect(await code({ known: end })).toBe(RESPONSE_CODE.SUCCESS);
    expect(await code({ known: { ...end, commitLogOffset: end.commitLogOffset + 1 } })).toBe(
      RESPONSE_CODE.POSITION_LOST,
    );
    expect(await code({ known: { ...end, generation: end.generation + 1 } })).toBe(RESPONSE_CODE.POSITION_LOST);
  });

  it('answers bounds that cross each other with nothing', async () => {
    const { client } = await startTestBroker();
    const one = client();
    for (let index = 0; index < 3; index += 1) await append(one, 'T', 's', '{}');
    const keys = [{ topic: 'T', key: 's' }];
    for (const direction of ['forwards', 'backwards'] as const) {
      expect(pageOf(await read(one, { from: 1000, until: 0, direction })).bodies).toEqual([]);
      expect(pageOf(await read(one, { keys, from: 1000, until: 0, direction })).bodies).toEqual([]);
    }
  });
});

describe('a held read', () => {
  const HELD = { holdMillis: 10_000 };

  it('is answered by the next event of its topics or keys, and by no other', async () => {
    const { client } = await startTestBroker();
    const [one, other] = [client(), client()];
    await append(one, 'T', 's', '{"n":0}');
    await append(one, 'U', 's', '{"n":0}');
    const { end } = pageOf(await read(one));
    const from = end.commitLogOffset;
    const reads = {
      topic: read(one, { ...HELD, topics: ['T'], from, known: end }),
      key: read(one, { ...HELD, keys: [{ topic: 'T', key: 'wanted' }], from, known: end }),
      all: read(one, { ...HELD, from, known: end }),
    };
    await send(other, { topic: 'Plain', body: 'x' });
    expect(await isSettled(other, Promise.race(Object.values(reads)))).toBe(false);
    await append(other, 'U', 's', '{"n":1}');
    expect(pageOf(await reads.all)).toMatchObject({ bodies: ['{"n":1}'], next: undefined });
    expect(await isSettled(other, reads.topic)).toBe(false);
    await append(other, 'T', 's', '{"n":2}');
    expect(pageOf(await reads.topic).bodies).toEqual(['{"n":2}']);
    expect(await isSettled(other, reads.key)).toBe(false);
    await append(other, 'T', 'wanted', '{"n":3}');
    expect(pageOf(await reads.key).bodies).toEqual(['{"n":3}']);
  });

  it('is answered with nothing when its time is up, or the broker stops', async () => {
    const broker = await startTestBroker();
    const one = broker.client();
    await append(one, 'T', 's', '{}');
    const { end } = pageOf(await read(one));
    const held = read(one, { ...HELD, from: end.commitLogOffset });
    expect(await isSettled(one, held)).toBe(false);
    await advance(broker, 9_000);
    expect(await isSettled(one, held)).toBe(false);
    await advance(broker, 2_000);
    expect(pageOf(await held)).toEqual({ end, next: undefined, bodies: [] });
    const last = read(one, { ...HELD, from: end.commitLogOffset });
    expect(await isSettled(one, last)).toBe(false);
    const stopping = broker.broker.stop();
    expect(pageOf(await last)).toEqual({ end, next: undefined, bodies: [] });
    await stopping;
  });

  it('waits no longer than a minute, whatever it asks for', async () => {
    const broker = await startTestBroker();
    const one = broker.client();
    await append(one, 'T', 's', '{}');
    const { end } = pageOf(await read(one));
    const held = read(one, { holdMillis: 2 ** 31 - 1, from: end.commitLogOffset });
    expect(await isSettled(one, held)).toBe(false);
    for (let second = 0; second < 58; second += 1) await advance(broker, 1_000);
    expect(await isSettled(one, held)).toBe(false);
    for (let second = 0; second < 4; second += 1) await advance(broker, 1_000);
    expect(await isSettled(one, held)).toBe(true);
  });

  it('is not held over the bounds, nor backwards or up to a position', async () => {
    const { client } = await startTestBroker({ config: { maxHeldPulls: 2 } });
    const one = client();
    await append(one, 'T', 's', '{}');
    const from = pageOf(await read(one)).end.commitLogOffset;
    const held = [read(one, { ...HELD, from }), read(one, { ...HELD, from })];
    expect(await isSettled(one, Promise.race(held))).toBe(false);
    expect(pageOf(await read(one, { ...HELD, from })).bodies).toEqual([]);
    await append(one, 'T', 's', '{}');
    expect((await Promise.all(held)).map((response) => pageOf(response).bodies)).toEqual([['{}'], ['{}']]);
    const { commitLogOffset: end } = pageOf(await read(one)).end;
    expect(pageOf(await read(one, { ...HELD, from: end, until: end })).bodies).toEqual([]);
    expect(pageOf(await read(one, { ...HELD, until: 0, direction: 'backwards' })).bodies).toEqual([]);
  });

  it('gives its place back when its connection is lost', async () => {
    const { client } = await startTestBroker({ config: { maxHeldPulls: 1 } });
    const [one, gone] = [client(), client()];
    await append(one, 'T', 's', '{}');
    const from = pageOf(await read(one)).end.commitLogOffset;
    const lost = read(gone, { ...HELD, from });
    expect(await isSettled(one, lost)).toBe(false);
    await gone.close();
    await expect(lost).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
    await new Promise((resolve) => setImmediate(resolve));
    const held = read(one, { ...HELD, from });
    expect(await isSettled(one, held)).toBe(false);
    await append(one, 'T', 's', '{"n":1}');
    expect(pageOf(await held).bodies).toEqual(['{"n":1}']);
  });
});
