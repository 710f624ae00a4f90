/** Lists of groups (225), and what a group may read (353). */
import { describe, expect, it } from 'vitest';
import {
  decodeSubscriptionGroupConfig,
  decodeSubscriptionGroupTable,
  encodeSubscriptionGroupList,
  subscriptionGroupConfigOf,
} from '../../../src/protocol/bodies.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { RawClient } from '../../support/rawClient.js';
import { heartbeat, pull, send, startTestBroker } from '../../support/testBroker.js';

const forbid = async (client: RawClient, fields: Record<string, string>) => {
  const response = await client.callRaw(REQUEST_CODE.UPDATE_AND_GET_GROUP_FORBIDDEN, {
    group: 'CG',
    topic: 'T',
    ...fields,
  });
  return response.code === 0 ? JSON.parse(response.body.toString()) : response.code;
};

const tableOf = async (client: RawClient) =>
  decodeSubscriptionGroupTable((await client.callRaw(REQUEST_CODE.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)).body);

describe('several groups at once (225)', () => {
  it('are made and changed with one version of the table', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const before = await tableOf(one);
    const list = ['A', 'B'].map((name) => subscriptionGroupConfigOf(name, { retryMaxTimes: 3 }));
    const code = REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST;
    expect((await one.callRaw(code, {}, encodeSubscriptionGroupList(list))).code).toBe(0);
    const after = await tableOf(one);
    expect(after.dataVersion.counter).toBe(before.dataVersion.counter + 1);
    const config = await one.callRaw(REQUEST_CODE.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'B' });
    expect(decodeSubscriptionGroupConfig(config.body).retryMaxTimes).toBe(3);
    expect((await one.callRaw(code, {}, Buffer.from('{}'))).code).toBe(0);
  });

  it('are refused together when one has an impossible name', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const list = ['Good', 'not good'].map((name) => subscriptionGroupConfigOf(name));
    const response = await one.callRaw(
      REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
      {},
      encodeSubscriptionGroupList(list),
    );
    expect(response.code).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect((await tableOf(one)).subscriptionGroupTable.has('Good')).toBe(false);
  });
});

describe('what a group may read (353)', () => {
  it('is told, forbidden and allowed again, and pulls obey', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    await heartbeat(one, { group: 'CG', topics: { T: '*' } });
    const pulled = () => pull(one, { topic: 'T', sysFlag: 0, subVersion: 1 });
    expect(await forbid(one, {})).toEqual({ group: 'CG', topic: 'T', readable: true });
    expect((await pulled()).code).toBe(0);
    expect(await forbid(one, { readable: 'false' })).toEqual({ group: 'CG', topic: 'T', readable: false });
    expect(await pulled()).toMatchObject({ code: RESPONSE_CODE.NO_PERMISSION, extFields: { forbiddenType: '5' } });
    expect([...((await tableOf(one)).forbiddenTable ?? [])]).toEqual([['CG', new Map([['T', 4]])]]);
    expect(await forbid(one, {})).toMatchObject({ readable: false });
    expect(await forbid(one, { readable: 'true' })).toMatchObject({ readable: true });
    expect((await pulled()).code).toBe(0);
  });

  it('outlives a restart, and goes with its group', async () => {
    const first = await startTestBroker();
    await forbid(first.client(), { readable: 'false' });
    await first.stop();
    const second = await startTestBroker({ directory: first.directory });
    const one = second.client();
    expect(await forbid(one, {})).toMatchObject({ readable: false });
    await one.callRaw(REQUEST_CODE.DELETE_SUBSCRIPTIONGROUP, { groupName: 'CG' });
    expect(await forbid(one, {})).toMatchObject({ readable: true });
  });

  it('needs a topic that can be and a group', async () => {
    const { client } = await startTestBroker({ config: { autoCreateSubscriptionGroup: false } });
    const one = client();
    expect(await forbid(one, { topic: 'a b' })).toBe(RESPONSE_CODE.INVALID_PARAMETER);
    expect(await forbid(one, {})).toBe(RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST);
  });
});
