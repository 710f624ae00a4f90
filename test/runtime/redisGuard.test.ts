/** The guard in Redis, with Redis going away in mid-run: messages wait, none is lost, none runs twice. */
import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { ConsumeFromWhere, Consumer, type MessageContext, On } from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';
import { OrderShipped } from '../support/orders.js';
import { startRedisServer } from '../support/redisServer.js';

async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error('what was waited for did not happen');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

it('messages are held while Redis is away, and run once when it is back', async () => {
  const redis = await startRedisServer();
  const handled: string[] = [];
  const attempts: number[] = [];
  // A group of its own: the Redis may serve other tests too.
  @Consumer('news', { group: `mail-${randomUUID()}`, from: ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET })
  class Mail {
    @On(OrderShipped) shipped(_shipped: OrderShipped, { eventId, reconsumeTimes }: MessageContext): void {
      handled.push(eventId);
      attempts.push(reconsumeTimes);
    }
  }
  try {
    await using app = await TestApp.start({ handlers: [Mail], redis: redis.url });
    const send = (uniqueKey: string) =>
      app.producer.send({ topic: 'news', tags: 'OrderShipped', body: '{"carrier":"dhl"}', uniqueKey });
    await send('a');
    await send('a');
    await until(() => handled.length >= 1);
    await app.settled();
    expect(handled).toEqual(['a']);
    await redis.kill();
    await send('b');
    await send('a');
    // Not handled, not settled: they wait for as long as Redis is away.
    expect((await app.foldlog.lag())[0]?.behind).toBeGreaterThan(0);
    await redis.restart();
    await until(() => handled.length >= 2);
    await app.settled({ timeoutMillis: 20_000 });
    expect(handled).toEqual(['a', 'b']);
    expect(attempts).toEqual([0, 0]);
  } finally {
    await redis.stop();
  }
});

it('a Redis that does not answer at the start is an error that says so', async () => {
  @Consumer('news', { group: 'mail' })
  class Mail {
    @On(OrderShipped) shipped(): void {}
  }
  const start = TestApp.start({ handlers: [Mail], redis: 'redis://127.0.0.1:1' });
  await expect(start).rejects.toMatchObject({ code: 'GUARD_UNAVAILABLE' });
});
