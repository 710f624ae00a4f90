import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { deleteTopicInBrokerHeader } from '../../../src/protocol/headers/admin.js';
import { recallMessageHeader, sendMessageResponseHeader } from '../../../src/protocol/headers/messaging.js';
import type { StoredMessage } from '../../../src/protocol/message.js';
import { PROPERTY } from '../../../src/protocol/messageProperties.js';
import { decodeRecallHandle, encodeRecallHandle } from '../../../src/protocol/recallHandle.js';
import type { RemotingCommand } from '../../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import { ManualClock } from '../../support/manualClock.js';
import type { RawClient } from '../../support/rawClient.js';
import {
  appendEvents,
  messagesOf,
  pull,
  recordingLogger,
  send,
  startTestBroker,
  temporaryDirectory,
} from '../../support/testBroker.js';

/** Turns of the event loop, until everything that the clock set off is done. */
const settle = async () => {
  for (let turn = 0; turn < 60; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

const all = async (client: RawClient, topic: string, queueId = 0): Promise<StoredMessage[]> => {
  await settle();
  return messagesOf(await pull(client, { topic, queueId }));
};

const bodies = async (client: RawClient, topic: string): Promise<string[]> =>
  (await all(client, topic)).map(({ body }) => body.toString());

/** Moves the clock in steps, letting the broker work after each. */
async function pass(clock: ManualClock, millis: number, stepMillis = 1000): Promise<void> {
  for (let left = millis; left > 0; left -= stepMillis) {
    clock.advance(Math.min(left, stepMillis));
    await settle();
  }
}

const recall = (client: RawClient, topic: string, recallHandle: string): Promise<RemotingCommand> =>
  client.call(REQUEST_CODE.RECALL_MESSAGE, recallMessageHeader, { producerGroup: 'PG', topic, recallHandle });

const handleOf = (response: RemotingCommand): string =>
  sendMessageResponseHeader.decode(response.extFields).recallHandle ?? '';

const DAY = 86_400_000;

describe('a message with a delivery time', () => {
  it('check 70: a timer of 3 s comes between 3 and 5 s after sending, and its slot is a whole second', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const sentAt = clock.now();
    const props = { TIMER_DELAY_MS: '3000', TAGS: 'A', KEYS: 'k', UNIQ_KEY: 'U1' };
    expect(await send(one, { topic: 'T', queueId: 2, body: 'later', props })).toMatchObject({ code: 0 });
    await pass(clock, 2900, 100);
    expect(await all(one, 'T', 2)).toEqual([]);
    await pass(clock, 2000, 100);
    const [message] = await all(one, 'T', 2);
    expect(message).toMatchObject({ topic: 'T', queueId: 2 });
    expect(message?.body.toString()).toBe('later');
    const due = (message?.storeTimestamp ?? 0) - sentAt;
    expect(due).toBeGreaterThanOrEqual(3000);
    expect(due).toBeLessThanOrEqual(5000);
    const { properties } = message as StoredMessage;
    expect(properties).toMatchObject({ ...props, REAL_TOPIC: 'T', REAL_QID: '2' });
    const out = Number(properties[PROPERTY.TIMER_OUT_MS]);
    expect(out % 1000).toBe(0);
    expect(out).toBeLessThan(sentAt + 3000);
    expect(Number(properties[PROPERTY.TIMER_ENQUEUE_MS]) % 1000).toBe(0);
    expect(Number(properties[PROPERTY.TIMER_DEQUEUE_MS])).toBe(message?.storeTimestamp);
    await pass(clock, 60_000, 10_000);
    expect(await all(one, 'T', 2)).toHaveLength(1);
  });

  it.each([
    ['TIMER_DELAY_SEC', '7', 7000],
    ['TIMER_DELAY_MS', '6500', 6500],
    ['TIMER_DELIVER_MS', undefined, 12_345],
  ])('comes within a second after its time and never before: %s', async (name, value, millis) => {
    for (const offset of [0, 1, 500, 999]) {
      const manual = new ManualClock(1_800_000_000_000 + offset);
      const { client, stop } = await startTestBroker({ clock: manual });
      const one = client();
      const due = manual.now() + millis;
      await send(one, { topic: 'T', props: { [name]: value ?? String(due) } });
      await pass(manual, millis - 1, 250);
      expect(await all(one, 'T')).toEqual([]);
      await pass(manual, 1001, 250);
      const [message] = await all(one, 'T');
      expect(message?.storeTimestamp).toBeGreaterThanOrEqual(due);
      expect(message?.storeTimestamp).toBeLessThanOrEqual(due + 1000);
      await stop();
    }
  });

  it('comes in the order of times, and of sending within one', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    for (const [body, seconds] of [
      ['c1', 9],
      ['a1', 3],
      ['b1', 6],
      ['a2', 3],
      ['c2', 9],
      ['a3', 3],
    ] as const) {
      await send(one, { topic: 'T', body, props: { TIMER_DELAY_SEC: String(seconds) } });
    }
    await pass(clock, 12_000);
    expect(await bodies(one, 'T')).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'c2']);
  });

  it('is stored at once when its time has passed', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', body: 'now', props: { TIMER_DELIVER_MS: String(clock.now()) } });
    const response = await send(one, { topic: 'T', body: 'past', props: { TIMER_DELAY_MS: '-5' } });
    expect(handleOf(response)).toBe('');
    expect(await bodies(one, 'T')).toEqual(['now', 'past']);
  });

  it.each([
    [{ TIMER_DELAY_SEC: 'soon' }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'not a whole number'],
    [{ TIMER_DELAY_MS: '1.5' }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'not a whole number'],
    [{ TIMER_DELIVER_MS: '99999999999999999999' }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'not a whole number'],
    [{ TIMER_DELAY_SEC: '259201' }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'timerMaxDelaySec=259200'],
    [{ TIMER_DELAY_SEC: '0', TIMER_DEL_UNIQKEY: 'U' }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'recall'],
    [{ TIMER_DELAY_SEC: '9', LONG: 'x'.repeat(32_500) }, RESPONSE_CODE.MESSAGE_ILLEGAL, 'no room'],
  ])('is refused with its reason: %#', async (props, code, reason) => {
    const { client } = await startTestBroker();
    const response = await send(client(), { topic: 'T', props: props as unknown as Record<string, string> });
    expect(response).toMatchObject({ code, remark: expect.stringContaining(reason) });
  });

  it('is refused while timerWheelEnable is off, and above the limit of its slot', async () => {
    const off = await startTestBroker({ config: { timerWheelEnable: false } });
    const props = { TIMER_DELAY_SEC: '9' };
    expect(await send(off.client(), { topic: 'T', props })).toMatchObject({
      code: RESPONSE_CODE.SYSTEM_ERROR,
      remark: expect.stringContaining('timerWheelEnable=false'),
    });
    const full = await startTestBroker({ config: { timerCongestNumEachSlot: 1 } });
    const one = full.client();
    const codes: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      codes.push((await send(one, { topic: 'T', props })).code);
      await settle();
    }
    expect(codes).toEqual([RESPONSE_CODE.SUCCESS, RESPONSE_CODE.SUCCESS, RESPONSE_CODE.SYSTEM_ERROR]);
  });

  it('loses its delivery time to a delay level', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', body: 'level', props: { DELAY: '1', TIMER_DELAY_SEC: '100' } });
    await pass(clock, 1000);
    expect(await bodies(one, 'T')).toEqual(['level']);
  });

  it('cannot be written into the topic of the timer by a producer', async () => {
    const { client } = await startTestBroker();
    const response = await send(client(), {
      topic: 'rmq_sys_wheel_timer',
      props: { TIMER_OUT_MS: '1', REAL_TOPIC: 'T' },
    });
    expect(response.code).toBe(RESPONSE_CODE.NO_PERMISSION);
  });

  it('is refused for an event topic, and keeps a topic from becoming one while it waits', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    expect((await appendEvents(one, { events: [{ keys: ['s-1'] }] })).code).toBe(0);
    const refusal = await send(one, { topic: 'Events', props: { TIMER_DELAY_SEC: '5' } });
    expect(refusal.code).toBe(RESPONSE_CODE.NO_PERMISSION);
    await send(one, { topic: 'Later', props: { TIMER_DELAY_SEC: '5' } });
    await settle();
    const deletion = await one.call(REQUEST_CODE.DELETE_TOPIC_IN_BROKER, deleteTopicInBrokerHeader, { topic: 'Later' });
    expect(deletion.code).toBe(0);
    const append = () => appendEvents(one, { events: [{ topic: 'Later', keys: ['s-1'] }] });
    expect((await append()).remark).toContain('messages of an earlier one are left');
    expect((await appendEvents(one, { events: [{ topic: 'Other', keys: ['s-1'] }] })).code).toBe(0);
    // Delivered, it is there, and the topic is not empty any more.
    await pass(clock, 7000);
    expect((await append()).remark).toContain('messages of an earlier one are left');
  });

  it('of three days is rolled on its way, and comes at its time', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const due = clock.now() + 3 * DAY;
    await send(one, { topic: 'T', body: 'far', props: { TIMER_DELAY_SEC: String(3 * 86_400) } });
    await settle();
    await pass(clock, 3 * DAY - 1000, 600_000);
    expect(await all(one, 'T')).toEqual([]);
    await pass(clock, 2000, 500);
    const [message] = await all(one, 'T');
    expect(message?.storeTimestamp).toBeGreaterThanOrEqual(due);
    expect(message?.storeTimestamp).toBeLessThanOrEqual(due + 1000);
    expect(message?.properties[PROPERTY.TIMER_ROLL_TIMES]).toBe('1');
  });

  it('costs no timer when nothing waits, no tick while it waits, and no file before the first', async () => {
    const { client, clock, directory } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', body: 'plain' });
    await pass(clock, 20_000);
    const idle = clock.pendingCount;
    expect(existsSync(path.join(directory, 'timerwheel'))).toBe(false);
    expect(existsSync(path.join(directory, 'timerlog'))).toBe(false);
    await send(one, { topic: 'T', props: { TIMER_DELAY_SEC: '7200' } });
    await pass(clock, 20_000);
    expect(clock.pendingCount).toBe(idle + 1);
    await pass(clock, 7200_000, 60_000);
    await pass(clock, 20_000);
    expect(await all(one, 'T')).toHaveLength(2);
    expect(clock.pendingCount).toBe(idle);
  });

  it('survives a clean stop, comes once, and at once when its time passed meanwhile', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    const one = first.client();
    for (const seconds of [2, 30, 3000, 200_000]) {
      await send(one, { topic: 'T', body: `${seconds}`, props: { TIMER_DELAY_SEC: String(seconds) } });
    }
    await pass(first.clock, 4000);
    await first.stop();
    const check = readFileSync(path.join(directory, 'config', 'timercheck'));
    expect(check).toHaveLength(4096);
    expect(JSON.parse(readFileSync(path.join(directory, 'config', 'timermetrics'), 'utf8'))).toMatchObject({
      timingCount: { T: { count: 3 } },
    });
    const logger = recordingLogger();
    const second = await startTestBroker({ directory, clock: first.clock, logger });
    const two = second.client();
    expect(await bodies(two, 'T')).toEqual(['2']);
    await pass(second.clock, 30_000);
    expect(await bodies(two, 'T')).toEqual(['2', '30']);
    await second.stop();
    // Longer than the wheel reaches: what is overdue is in the files all the same.
    second.clock.advance(40 * DAY);
    const third = await startTestBroker({ directory, clock: second.clock });
    await pass(third.clock, 2000, 500);
    expect(await bodies(third.client(), 'T')).toEqual(['2', '30', '3000', '200000']);
    expect(logger.lines.filter((line) => line.startsWith('error'))).toEqual([]);
  });
});

describe('recall', () => {
  const enabled = { recallMessageEnable: true };

  it('takes back a message that waits, and no other', async () => {
    const { client, clock } = await startTestBroker({ config: enabled });
    const one = client();
    const props = { TIMER_DELAY_SEC: '10' };
    await send(one, { topic: 'T', body: 'stays', props });
    const response = await send(one, { topic: 'T', body: 'goes', props: { ...props, UNIQ_KEY: 'U-2' } });
    const handle = handleOf(response);
    expect(decodeRecallHandle(handle)).toMatchObject({ topic: 'T', uniqueKey: 'U-2' });
    expect(decodeRecallHandle(handle).deliverMillis % 1000).toBe(1);
    await pass(clock, 3000);
    expect(await recall(one, 'T', handle)).toMatchObject({
      code: 0,
      extFields: { msgId: 'U-2', MSG_REGION: 'DefaultRegion' },
    });
    await pass(clock, 10_000);
    expect(await bodies(one, 'T')).toEqual(['stays']);
  });

  it('takes back a message of three days after it was rolled, and over a restart', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory, config: enabled });
    const props = { TIMER_DELAY_SEC: String(3 * 86_400 - 10), UNIQ_KEY: 'U-3' };
    const handle = handleOf(await send(first.client(), { topic: 'T', body: 'goes', props }));
    await pass(first.clock, 2.2 * DAY, 600_000);
    expect(await recall(first.client(), 'T', handle)).toMatchObject({ code: 0 });
    await first.stop();
    first.clock.advance(DAY);
    const second = await startTestBroker({ directory, clock: first.clock, config: enabled });
    await pass(second.clock, 5000);
    expect(await all(second.client(), 'T')).toEqual([]);
  });

  it('by topic and key, where the broker is set so', async () => {
    const { client, clock } = await startTestBroker({ config: { ...enabled, appendTopicForTimerDeleteKey: true } });
    const one = client();
    const handle = handleOf(await send(one, { topic: 'T', props: { TIMER_DELAY_SEC: '5', UNIQ_KEY: 'U' } }));
    expect(await recall(one, 'T', handle)).toMatchObject({ code: 0 });
    await pass(clock, 8000);
    expect(await all(one, 'T')).toEqual([]);
  });

  it('is refused with its reason', async () => {
    const off = await startTestBroker();
    expect(await recall(off.client(), 'T', 'x')).toMatchObject({
      code: RESPONSE_CODE.NO_PERMISSION,
      remark: 'recall failed, operation is forbidden',
    });
    const { client, clock } = await startTestBroker({ config: { ...enabled, brokerName: 'b' } });
    const one = client();
    const handle = handleOf(await send(one, { topic: 'T', props: { TIMER_DELAY_SEC: '5', UNIQ_KEY: 'U' } }));
    await send(one, { topic: 'T2' });
    const foreign = encodeRecallHandle({ ...decodeRecallHandle(handle), brokerName: 'other' });
    const far = encodeRecallHandle({ ...decodeRecallHandle(handle), deliverMillis: clock.now() + 4 * DAY });
    // RecallMessageProcessor names the region in a refusal too.
    expect(await recall(one, 'Missing', handle)).toMatchObject({
      code: RESPONSE_CODE.TOPIC_NOT_EXIST,
      extFields: { MSG_REGION: 'DefaultRegion' },
    });
    for (const [topic, wrong] of [
      ['T', 'no handle'],
      ['T2', handle],
      ['T', foreign],
      ['T', far],
    ] as const) {
      expect((await recall(one, topic, wrong)).code).toBe(RESPONSE_CODE.ILLEGAL_OPERATION);
    }
    await pass(clock, 8000);
    expect((await recall(one, 'T', handle)).code).toBe(RESPONSE_CODE.ILLEGAL_OPERATION);
    expect(await all(one, 'T')).toHaveLength(1);
  });
});
