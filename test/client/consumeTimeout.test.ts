/** A listener call that never ends loses its messages, and the queue's offset goes on. */
import { afterEach, expect, it } from 'vitest';
import type { ConsumeOutcome } from '../../src/client/clientTypes.js';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RemotingClient } from '../../src/remoting/remotingClient.js';
import { ManualClock } from '../support/manualClock.js';
import { TestCluster } from './support/cluster.js';

const closes: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

async function stuck(mode: 'concurrent' | 'ordered') {
  const cluster = await TestCluster.start('tcp');
  closes.push(() => cluster.stop());
  const tool = new RemotingClient();
  closes.push(() => tool.close());
  const clock = new ManualClock(Date.now());
  const session = await cluster.session({ clock });
  const producer = new Producer({ session: await cluster.session() });
  const { queue } = await producer.send({ topic: 'T', body: 'never ends' });
  await producer.send({ topic: 'T', body: 'fine' }, { queue });
  const calls: string[] = [];
  let end: (outcome: ConsumeOutcome) => void = () => {};
  const consumer = new PushConsumer(session, {
    group: 'G',
    subscriptions: [{ topic: 'T' }],
    from: 'CONSUME_FROM_FIRST_OFFSET',
    mode,
    consumeTimeoutMinute: 5,
    async listener([message]) {
      const text = message?.body.toString() ?? '';
      calls.push(text);
      if (text === 'fine') return { status: 'SUCCESS' };
      return new Promise((resolve) => {
        end = resolve;
      });
    },
  });
  await consumer.start();
  // The stop waits for calls under way by the clock that stands still.
  closes.push(async () => end({ status: 'SUCCESS' }));
  const sentBack = async () => {
    const fields = { statsName: 'SNDBCK_PUT_NUMS', statsKey: 'T@G' };
    const request = requestCommand(REQUEST_CODE.VIEW_BROKER_STATS_DATA, fields);
    const response = await tool.invoke(cluster.brokerAddr, request, 5000);
    return response.code === 0 ? JSON.parse(response.body.toString()).statsDay.sum : 0;
  };
  const nextOffset = () => consumer.progress().find((one) => one.queue.queueId === queue.queueId)?.nextOffset;
  return { clock, calls, sentBack, nextOffset, end: (outcome: ConsumeOutcome) => end(outcome) };
}

it('in concurrent mode: it is sent back once, whatever its listener says in the end', async () => {
  const { clock, calls, sentBack, nextOffset, end } = await stuck('concurrent');
  await expect.poll(() => calls).toEqual(['never ends', 'fine']);
  await clock.advanceInSteps(4 * 60_000, 10_000);
  expect([nextOffset(), await sentBack()]).toEqual([0, 0]);
  // Exactly up to the look: from here on the clock stands still, so that no request runs out of time.
  await clock.advanceInSteps(60_000, 10_000);
  await expect.poll(nextOffset).toBe(2);
  expect(await sentBack()).toBe(1);
  end({ status: 'RETRY_LATER' });
  await clock.advanceInSteps(10 * 60_000, 10_000);
  expect([nextOffset(), await sentBack()]).toEqual([2, 1]);
});

it('in ordered mode it holds its queue: nothing may overtake it', async () => {
  const { clock, calls, sentBack, nextOffset, end } = await stuck('ordered');
  await expect.poll(() => calls).toEqual(['never ends']);
  await clock.advanceInSteps(20 * 60_000, 10_000);
  expect([nextOffset(), await sentBack(), calls.length]).toEqual([0, 0, 1]);
  end({ status: 'SUCCESS' });
});
