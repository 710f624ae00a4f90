/** Moving a group: by the broker itself, on line and off line, and through its members. */
import { describe, expect, it } from 'vitest';
import type { BrokerConfig } from '../../../src/config/brokerConfig.js';
import { decodeResetOffsetBody } from '../../../src/protocol/bodies.js';
import { resetConsumerClientOffsetHeader } from '../../../src/protocol/headers/group.js';
import { parseLooseJson } from '../../../src/protocol/looseJson.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import { processor } from '../../../src/remoting/processor.js';
import type { RawClient } from '../../support/rawClient.js';
import { heartbeat, pull, send, startTestBroker } from '../../support/testBroker.js';

const reset = (client: RawClient, fields: Record<string, string> = {}) =>
  client.callRaw(REQUEST_CODE.INVOKE_BROKER_TO_RESET_OFFSET, {
    topic: 'T',
    group: 'CG',
    timestamp: '-1',
    isForce: 'true',
    ...fields,
  });

const commit = (client: RawClient, commitOffset: number) =>
  client.callRaw(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, {
    consumerGroup: 'CG',
    topic: 'T',
    queueId: '0',
    commitOffset: String(commitOffset),
  });

const recorded = async (client: RawClient, queueId = 0) => {
  const response = await client.callRaw(REQUEST_CODE.QUERY_CONSUMER_OFFSET, {
    consumerGroup: 'CG',
    topic: 'T',
    queueId: String(queueId),
  });
  return response.code === 0 ? Number(response.extFields['offset']) : response.code;
};

async function brokerWithThree(config: Partial<BrokerConfig> = {}) {
  const started = await startTestBroker({ listen: true, config: { listenPort: 0, ...config } });
  const one = started.client();
  for (const body of ['0', '1', '2']) await send(one, { topic: 'T', body });
  await heartbeat(one, { group: 'CG', topics: { T: '*' } });
  return { ...started, one };
}

describe('a reset by the broker', () => {
  it('of a group that is away counts at once, for queries and commits, until its next pull took it', async () => {
    const { one } = await brokerWithThree();
    await commit(one, 3);
    expect(decodeResetOffsetBody((await reset(one, { queueId: '0', offset: '1' })).body).offsetTable).toEqual([
      [{ topic: 'T', brokerName: 'broker-a', queueId: 0 }, 1],
    ]);
    expect(await recorded(one)).toBe(1);
    // A client that knows nothing yet goes on committing: that does not count.
    expect(await commit(one, 3)).toMatchObject({ code: 0, remark: 'Offset has been previously reset' });
    expect(await recorded(one)).toBe(1);
    const moved = await pull(one, { topic: 'T', queueOffset: 3, sysFlag: 5, commitOffset: 3 });
    expect(moved).toMatchObject({
      code: RESPONSE_CODE.PULL_OFFSET_MOVED,
      remark: 'OFFSET_RESET',
      extFields: { nextBeginOffset: '1', minOffset: '0', maxOffset: '3' },
    });
    expect(await recorded(one)).toBe(1);
    expect((await pull(one, { topic: 'T', queueOffset: 1 })).code).toBe(0);
    expect(await commit(one, 2)).toMatchObject({ code: 0, remark: undefined });
    expect(await recorded(one)).toBe(2);
  });

  it('answers a pull that waits', async () => {
    const { one } = await brokerWithThree();
    const waiting = pull(one, { topic: 'T', queueOffset: 3, sysFlag: 6, suspendTimeoutMillis: 15_000 });
    await reset(one, { timestamp: '0' });
    expect(await waiting).toMatchObject({
      code: RESPONSE_CODE.PULL_OFFSET_MOVED,
      extFields: { nextBeginOffset: '0' },
    });
  });

  it('needs the topic, the group, a queue of it and an offset in it', async () => {
    const { one } = await brokerWithThree();
    const cases: [Record<string, string>, number][] = [
      [{ topic: 'Unknown' }, RESPONSE_CODE.TOPIC_NOT_EXIST],
      [{ group: 'Unknown' }, RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST],
      [{ queueId: '9' }, RESPONSE_CODE.INVALID_PARAMETER],
      [{ queueId: '0', offset: '4' }, RESPONSE_CODE.SYSTEM_ERROR],
    ];
    for (const [fields, code] of cases) expect((await reset(one, fields)).code).toBe(code);
    expect((await reset(one)).code).toBe(0);
    expect([await recorded(one, 0), await recorded(one, 1)]).toEqual([3, 0]);
  });
});

describe('a reset by the members', () => {
  const byMembers = { useServerSideResetOffset: false };

  async function broker() {
    const { one, client, clock } = await brokerWithThree(byMembers);
    for (const queueId of ['0', '1', '2', '3']) {
      const fields = { consumerGroup: 'CG', topic: 'T', queueId, commitOffset: queueId === '0' ? '2' : '0' };
      await one.callRaw(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, fields);
    }
    return { one, client, clock };
  }

  it('tells each of them where to go on, and records nothing itself', async () => {
    const { client, one } = await broker();
    const told: { header: unknown; body: unknown; flag: number }[] = [];
    const member = () =>
      client({
        rows: [
          processor({
            code: REQUEST_CODE.RESET_CONSUMER_CLIENT_OFFSET,
            header: resetConsumerClientOffsetHeader,
            lane: 'all',
            handle({ header, body, command }) {
              told.push({ header, body: parseLooseJson(body.toString()), flag: command.flag });
              return { code: 0 };
            },
          }),
        ],
      });
    const java = member();
    await one.close();
    await expect.poll(async () => (await reset(java)).code).toBe(RESPONSE_CODE.CONSUMER_NOT_ONLINE);
    await heartbeat(java, { clientId: 'c1', group: 'CG', topics: { T: '*' } });
    expect(decodeResetOffsetBody((await reset(java)).body).offsetTable.map(([, offset]) => offset)).toEqual([
      3, 0, 0, 0,
    ]);
    await expect.poll(() => told.length).toBe(1);
    expect(told[0]).toMatchObject({ flag: 2, header: { topic: 'T', group: 'CG', timestamp: -1, isForce: true } });
    expect(told[0]?.body).toMatchObject({ offsetTable: expect.any(Map) });
    expect(await recorded(java)).toBe(2);
    // Without force a group only goes back.
    const kept = decodeResetOffsetBody((await reset(java, { isForce: 'false' })).body);
    expect(kept.offsetTable[0]?.[1]).toBe(2);
    expect((await pull(java, { topic: 'T', queueOffset: 2 })).code).toBe(0);
  });

  it('reaches clients in C++ as a list', async () => {
    const { client, one } = await broker();
    const bodies: string[] = [];
    const cpp = client({
      language: 'CPP',
      rows: [
        processor({
          code: REQUEST_CODE.RESET_CONSUMER_CLIENT_OFFSET,
          header: resetConsumerClientOffsetHeader,
          lane: 'all',
          handle({ body }) {
            bodies.push(body.toString());
            return { code: 0 };
          },
        }),
      ],
    });
    await heartbeat(cpp, { clientId: 'c1', group: 'CG', topics: { T: '*' } });
    await one.close();
    await expect.poll(async () => (await reset(cpp, { timestamp: '0' })).code).toBe(0);
    await expect.poll(() => bodies.length).toBeGreaterThan(0);
    expect(JSON.parse(bodies[0] ?? '')).toEqual({
      offsetTable: [0, 1, 2, 3].map((queueId) => ({ brokerName: 'broker-a', offset: 0, queueId, topic: 'T' })),
    });
  });

  it('is refused for a group without offsets and for old clients', async () => {
    const { client } = await broker();
    const tool = client();
    expect(await reset(tool, { group: 'New' })).toMatchObject({
      code: 1,
      remark: 'THe consumer group <New> not exist',
    });
    await heartbeat(client({ version: 27 }), { clientId: 'old', group: 'CG', topics: { T: '*' } });
    expect(await reset(tool)).toMatchObject({ code: 1, remark: expect.stringContaining('version=27') });
  });
});
