/** The whole life of a message that a consumer cannot handle: retry levels 3 to 18, then the dead letters. */
import { describe, expect, it } from 'vitest';
import { encodeSubscriptionGroupConfig, subscriptionGroupConfigOf } from '../../../src/protocol/bodies.js';
import { consumerSendMsgBackHeader, emptyHeader } from '../../../src/protocol/headers/messaging.js';
import type { StoredMessage } from '../../../src/protocol/message.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { ManualClock } from '../../support/manualClock.js';
import type { RawClient } from '../../support/rawClient.js';
import { messagesOf, pull, send, startTestBroker } from '../../support/testBroker.js';

const RETRY_SECONDS = [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

const sendBack = (
  client: RawClient,
  offset: number,
  changes: { delayLevel?: number; group?: string; max?: number } = {},
) =>
  client.call(REQUEST_CODE.CONSUMER_SEND_MSG_BACK, consumerSendMsgBackHeader, {
    offset,
    group: changes.group ?? 'CG',
    delayLevel: changes.delayLevel ?? 0,
    maxReconsumeTimes: changes.max,
  });

const all = (client: RawClient, topic: string) => pull(client, { topic, queueOffset: 0 }).then(messagesOf);

/** Moves time on until the topic has this many messages; returns the newest. */
async function delivered(client: RawClient, clock: ManualClock, topic: string, count: number, millis: number) {
  await clock.advanceInSteps(millis, Math.max(1000, millis / 20));
  for (let turn = 0; turn < 200; turn += 1) {
    const messages = await all(client, topic);
    if (messages.length >= count) return messages.at(-1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return undefined;
}

describe('CONSUMER_SEND_MSG_BACK', () => {
  it('brings a message back later and later, and in the end to the dead letters', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', body: 'hard', props: { KEYS: 'k', mine: 'x' } });
    const [original] = await all(one, 'T');
    let message = original as StoredMessage;
    for (const [times, seconds] of RETRY_SECONDS.entries()) {
      expect((await sendBack(one, message.commitLogOffset)).code).toBe(RESPONSE_CODE.SUCCESS);
      clock.advance(seconds * 1000 - 1);
      expect(await all(one, '%RETRY%CG')).toHaveLength(times);
      message = (await delivered(one, clock, '%RETRY%CG', times + 1, 1000)) as StoredMessage;
      expect(message).toMatchObject({
        topic: '%RETRY%CG',
        reconsumeTimes: times + 1,
        bornTimestamp: original?.bornTimestamp,
      });
      expect(message.body.toString()).toBe('hard');
      expect(message.properties).toMatchObject({
        KEYS: 'k',
        mine: 'x',
        RETRY_TOPIC: 'T',
        UNIQ_KEY: original?.properties['UNIQ_KEY'],
      });
      expect(
        message.properties['ORIGIN_MESSAGE_ID']?.endsWith(original?.commitLogOffset.toString(16).toUpperCase() ?? '?'),
      ).toBe(true);
    }
    await sendBack(one, message.commitLogOffset);
    const [letter] = await all(one, '%DLQ%CG');
    expect(letter).toMatchObject({ reconsumeTimes: 17 });
    expect(letter?.body.toString()).toBe('hard');
    expect(letter?.properties).toMatchObject({ RETRY_TOPIC: 'T', DELAY: '0' });
  }, 60_000);

  it('goes to the dead letters at once when the consumer says so, or allows no more', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    const [message] = await all(one, 'T');
    await sendBack(one, message?.commitLogOffset ?? -1, { delayLevel: -1 });
    await sendBack(one, message?.commitLogOffset ?? -1, { max: 0 });
    expect(await all(one, '%DLQ%CG')).toHaveLength(2);
  });

  it('waits as long as the consumer asks', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    const [message] = await all(one, 'T');
    await sendBack(one, message?.commitLogOffset ?? -1, { delayLevel: 1 });
    expect(await delivered(one, clock, '%RETRY%CG', 1, 1000)).toMatchObject({ reconsumeTimes: 1 });
  });

  it('of a group without retry queues drops the message', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const config = encodeSubscriptionGroupConfig(subscriptionGroupConfigOf('CG', { retryQueueNums: 0 }));
    await one.call(REQUEST_CODE.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, emptyHeader, {}, config);
    expect((await sendBack(one, 0)).code).toBe(RESPONSE_CODE.SUCCESS);
    expect((await pull(one, { topic: '%RETRY%CG' })).code).toBe(RESPONSE_CODE.TOPIC_NOT_EXIST);
  });

  const refusals: [number, string, number, string][] = [
    [999_999, 'CG', RESPONSE_CODE.SYSTEM_ERROR, 'look message by offset failed, 999999'],
    [-1, 'CG', RESPONSE_CODE.SYSTEM_ERROR, 'look message by offset failed, -1'],
    [7, 'CG', RESPONSE_CODE.SYSTEM_ERROR, 'look message by offset failed, 7'],
    [0, 'no group', RESPONSE_CODE.SUBSCRIPTION_GROUP_NOT_EXIST, 'no group'],
  ];

  it('is refused for a place where no message begins, and for no group', async () => {
    const { client } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T' });
    for (const [offset, group, code, remark] of refusals) {
      const response = await sendBack(one, offset, { group });
      expect(response.code, remark).toBe(code);
      expect(response.remark).toContain(remark);
    }
  });
});
