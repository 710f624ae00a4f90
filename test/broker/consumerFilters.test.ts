/** Expressions of groups: what pulls are told of them, what stands in consumerFilter.json, and when it goes. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLooseJson } from '../../src/protocol/looseJson.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import type { RawClient } from '../support/rawClient.js';
import { bodiesOf, heartbeat, pull, send, startTestBroker, type TestBroker } from '../support/testBroker.js';

const DAY = 86_400_000;

async function withMessages(started: TestBroker): Promise<RawClient> {
  const one = started.client();
  for (const price of ['1', '2', '3']) await send(one, { topic: 'T', body: price, props: { price } });
  return one;
}

/** A pull of a member: by what its group subscribes. */
const pullAs = (client: RawClient, subVersion: number, topic = 'T') => pull(client, { topic, sysFlag: 0, subVersion });

interface FilterFile {
  filterDataByTopic: Record<string, { topic: string; groupFilterData: Record<string, Record<string, unknown>> }>;
}

function fileOf({ directory }: TestBroker): FilterFile | undefined {
  const file = path.join(directory, 'config', 'consumerFilter.json');
  return existsSync(file) ? (parseLooseJson(readFileSync(file, 'utf8')) as FilterFile) : undefined;
}

const savedFor = (started: TestBroker, topic = 'T') => fileOf(started)?.filterDataByTopic[topic]?.groupFilterData['CG'];

/** After the next save. */
async function saved(started: TestBroker, topic = 'T') {
  await started.clock.advanceInSteps(10_000, 5000);
  return savedFor(started, topic);
}

describe('the expression of a group', () => {
  it('serves its pulls by version: not there 27, older 28, and the last good one stays', async () => {
    const started = await startTestBroker();
    const one = await withMessages(started);
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price >' } }, subVersion: 1 });
    expect(await pullAs(one, 1)).toMatchObject({
      code: RESPONSE_CODE.FILTER_DATA_NOT_EXIST,
      remark: expect.stringContaining("The broker's consumer filter data is not exist!"),
    });
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price > 1' } }, subVersion: 2 });
    expect(bodiesOf(await pullAs(one, 2))).toEqual(['2', '3']);
    expect((await pullAs(one, 3)).code).toBe(RESPONSE_CODE.SUBSCRIPTION_NOT_LATEST);
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price <' } }, subVersion: 3 });
    expect((await pullAs(one, 3)).code).toBe(RESPONSE_CODE.FILTER_DATA_NOT_LATEST);
    expect(bodiesOf(await pullAs(one, 2))).toEqual(['2', '3']);
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price = 3' } }, subVersion: 4 });
    expect(bodiesOf(await pullAs(one, 4))).toEqual(['3']);
  });

  it('is not set back by a member that has not heard of the newer one', async () => {
    const started = await startTestBroker();
    const one = await withMessages(started);
    const other = started.client();
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price = 3' } }, subVersion: 5 });
    await heartbeat(other, { group: 'CG', topics: { T: { sql: 'price = 1' } }, subVersion: 4 });
    expect(bodiesOf(await pullAs(one, 5))).toEqual(['3']);
    // The same expression again, with a newer version.
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price = 3' } }, subVersion: 6 });
    expect(bodiesOf(await pullAs(one, 6))).toEqual(['3']);
  });
});

describe('consumerFilter.json', () => {
  it('holds expressions, not tags, in the form of RocketMQ', async () => {
    const started = await startTestBroker();
    const one = await withMessages(started);
    await heartbeat(one, { group: 'TAGS', topics: { T: 'A' }, subVersion: 1 });
    await started.clock.advanceInSteps(10_000, 5000);
    expect(fileOf(started)).toBeUndefined();
    const now = started.clock.now();
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price = 3' }, U: '*' }, subVersion: 7 });
    await started.clock.advanceInSteps(10_000, 5000);
    await expect
      .poll(() => fileOf(started))
      .toEqual({
        filterDataByTopic: {
          T: {
            topic: 'T',
            groupFilterData: {
              CG: {
                consumerGroup: 'CG',
                topic: 'T',
                expression: 'price = 3',
                expressionType: 'SQL92',
                clientVersion: 7,
                bornTime: now,
                deadTime: 0,
              },
            },
          },
        },
      });
  });

  it('is read at the next start; a heartbeat brings its entries back to life', async () => {
    const first = await startTestBroker();
    const one = await withMessages(first);
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price = 3' } }, subVersion: 7 });
    await first.stop();
    const { directory, clock } = first;
    const second = await startTestBroker({ directory, clock });
    const two = second.client();
    expect((await pullAs(two, 7)).code).toBe(RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST);
    await heartbeat(two, { group: 'CG', topics: { T: { sql: 'price = 3' } }, subVersion: 7 });
    expect(bodiesOf(await pullAs(two, 7))).toEqual(['3']);
    // The client goes silent, then its group has been gone for a day.
    await clock.advanceInSteps(130_000, 10_000);
    await clock.advanceInSteps(DAY, DAY / 8);
    await expect.poll(() => saved(second)).toBeUndefined();
    await second.stop();
    // A file of RocketMQ: with Bloom filter data, and an expression that nobody can compile.
    const groupFilterData = (expression: string) => ({
      CG: {
        bloomFilterData: { bitNum: 3, bitPos: [1, 2] },
        bornTime: 1,
        clientVersion: 7,
        consumerGroup: 'CG',
        deadTime: 0,
        expression,
        expressionType: 'SQL92',
        topic: 'T',
      },
    });
    const file = path.join(directory, 'config', 'consumerFilter.json');
    for (const expression of ['price = 3', 'price =']) {
      const filterDataByTopic = { T: { topic: 'T', groupFilterData: groupFilterData(expression) } };
      writeFileSync(file, JSON.stringify({ filterDataByTopic }));
      const third = await startTestBroker({ directory, clock });
      const three = third.client();
      // A defect in the heartbeat leaves what the file said.
      await heartbeat(three, { group: 'CG', topics: { T: { sql: 'price >' } }, subVersion: 7 });
      const pulled = await pullAs(three, 7);
      expect(pulled.code).toBe(expression === 'price =' ? RESPONSE_CODE.FILTER_DATA_NOT_EXIST : 0);
      await third.stop();
    }
  });

  it('loses a group that has been gone for a day', async () => {
    const started = await startTestBroker();
    const one = await withMessages(started);
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price = 3' }, U: { sql: 'a = 1' } }, subVersion: 1 });
    // One topic is not subscribed any more, then the group goes.
    await heartbeat(one, { group: 'CG', topics: { T: { sql: 'price = 3' } }, subVersion: 2 });
    await expect.poll(async () => Number((await saved(started, 'U'))?.['deadTime'])).toBeGreaterThan(0);
    expect(savedFor(started)?.['deadTime']).toBe(0);
    await one.callRaw(REQUEST_CODE.UNREGISTER_CLIENT, { clientID: '10.0.0.1@1', consumerGroup: 'CG' });
    await expect.poll(async () => Number((await saved(started))?.['deadTime'])).toBeGreaterThan(0);
    await started.clock.advanceInSteps(DAY - 60_000, DAY / 8);
    expect(await saved(started)).toBeDefined();
    await started.clock.advanceInSteps(60_000, 10_000);
    await expect.poll(() => saved(started)).toBeUndefined();
    expect(fileOf(started)).toEqual({ filterDataByTopic: {} });
  });
});

describe('filterSupportRetry', () => {
  it.each([true, false])(
    '%s: what comes again passes the expression of its own topic, or everything',
    async (given) => {
      const started = await startTestBroker({ config: { filterSupportRetry: given } });
      const one = await withMessages(started);
      const topics = { T: { sql: 'price = 3' }, '%RETRY%CG': '*' };
      await heartbeat(one, { group: 'CG', topics, subVersion: 1 });
      for (const price of ['1', '3']) {
        await send(one, { topic: '%RETRY%CG', body: price, props: { price, RETRY_TOPIC: 'T' } });
      }
      await send(one, { topic: '%RETRY%CG', body: 'other', props: { RETRY_TOPIC: 'Other' } });
      const pulled = await pullAs(one, 1, '%RETRY%CG');
      expect(bodiesOf(pulled)).toEqual(given ? ['3', 'other'] : ['1', '3', 'other']);
    },
  );
});
