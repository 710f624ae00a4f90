import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLooseJson } from '../../../src/protocol/looseJson.js';
import type { StoredMessage } from '../../../src/protocol/message.js';
import type { RawClient } from '../../support/rawClient.js';
import { messagesOf, pull, send, startTestBroker, temporaryDirectory } from '../../support/testBroker.js';

const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

const all = async (client: RawClient, topic: string, queueId = 0): Promise<StoredMessage[]> => {
  await settle();
  return messagesOf(await pull(client, { topic, queueId }));
};

describe('a delayed message', () => {
  it('comes when its level has passed, with what RocketMQ leaves in its properties', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const bornAt = clock.now();
    const response = await send(one, { topic: 'T', queueId: 2, body: 'later', props: { DELAY: '2', TAGS: 'A' } });
    expect(response).toMatchObject({ code: 0, extFields: { queueId: '2', queueOffset: '0' } });
    clock.advance(4999);
    expect(await all(one, 'T', 2)).toEqual([]);
    clock.advance(1);
    const [message] = await all(one, 'T', 2);
    expect(message).toMatchObject({ topic: 'T', queueId: 2, queueOffset: 0, storeTimestamp: bornAt + 5000 });
    expect(message?.body.toString()).toBe('later');
    expect(message?.properties).toMatchObject({ DELAY: '2', REAL_TOPIC: 'T', REAL_QID: '2', TAGS: 'A' });
    clock.advance(60_000);
    expect(await all(one, 'T', 2)).toHaveLength(1);
  });

  it('is found by its tag, and above the last level waits for the last', async () => {
    const { client, clock } = await startTestBroker({ config: { messageDelayLevel: '1s 1m' } });
    const one = client();
    await send(one, { topic: 'T', props: { DELAY: '99', TAGS: 'A' } });
    clock.advance(60_000);
    await settle();
    expect(messagesOf(await pull(one, { topic: 'T', subscription: 'A' }))).toHaveLength(1);
  });

  it('does not wait for others of a longer level, nor do many of one level', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', body: 'slow', props: { DELAY: '3' } });
    await Promise.all(
      Array.from({ length: 200 }, (_, n) => send(one, { topic: 'T', body: `${n}`, props: { DELAY: '1' } })),
    );
    clock.advance(1000);
    await settle();
    expect((await pull(one, { topic: 'T' })).extFields['maxOffset']).toBe('200');
    clock.advance(9000);
    await settle();
    expect((await pull(one, { topic: 'T' })).extFields['maxOffset']).toBe('201');
  });

  it('comes in time when the clock goes back, and soon when it goes forward', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', props: { DELAY: '18' } });
    // Two hours: the level looks at the clock again at least once a minute.
    await clock.advanceInSteps(2 * 3600_000, 60_000);
    expect(await all(one, 'T')).toHaveLength(1);
  });

  it('survives a restart, and is delivered once when the broker stopped cleanly', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    await send(first.client(), { topic: 'T', body: 'early', props: { DELAY: '1' } });
    await send(first.client(), { topic: 'T', body: 'late', props: { DELAY: '4' } });
    first.clock.advance(1000);
    await settle();
    await first.stop();
    const table = parseLooseJson(readFileSync(path.join(directory, 'config', 'delayOffset.json'), 'utf8'));
    expect(table).toMatchObject({ offsetTable: { 1: 1, 4: 0 } });
    const second = await startTestBroker({ directory, clock: first.clock });
    const one = second.client();
    second.clock.advance(30_000);
    expect((await all(one, 'T')).map(({ body }) => body.toString())).toEqual(['early', 'late']);
  });

  it('is delivered at once after a restart when its time passed meanwhile', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    await send(first.client(), { topic: 'T', props: { DELAY: '4' } });
    await first.stop();
    first.clock.advance(3600_000);
    const second = await startTestBroker({ directory, clock: first.clock });
    expect(await all(second.client(), 'T')).toHaveLength(1);
  });

  it('costs one timer per level, and none when nothing waits', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await send(one, { topic: 'T', queueId: 1 });
    await clock.advanceInSteps(20_000, 1000);
    const idle = clock.pendingCount;
    await send(one, { topic: 'T', props: { DELAY: '18' } });
    await clock.advanceInSteps(20_000, 1000);
    expect(clock.pendingCount).toBe(idle + 1);
    await send(one, { topic: 'T', props: { DELAY: '18' } });
    await send(one, { topic: 'T', props: { DELAY: '17' } });
    await clock.advanceInSteps(20_000, 1000);
    expect(clock.pendingCount).toBe(idle + 2);
    await clock.advanceInSteps(7200_000, 60_000);
    await clock.advanceInSteps(20_000, 1000);
    expect(await all(one, 'T')).toHaveLength(3);
    expect(clock.pendingCount).toBe(idle);
  });
});
