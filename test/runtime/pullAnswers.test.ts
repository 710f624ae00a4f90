// How many messages an answer of the embedded broker holds: more than RocketMQ's 32, within the same bounds in bytes,
// and as the application's config says where it says something.
import { describe, expect, it } from 'vitest';
import { PullConsumer } from '../../src/client/pullConsumer.js';
import { TestApp, type TestAppOptions } from '../../src/testing/index.js';

async function lengthOfAnswer(bodyBytes: number, config: TestAppOptions['config'] = {}): Promise<number> {
  await using app = await TestApp.start({ handlers: [], storage: 'memory', config });
  const messages = Array.from({ length: 300 }, () => ({ topic: 'plain', body: Buffer.alloc(bodyBytes, 1) }));
  const { queue } = await app.producer.sendBatch(messages.slice(0, 100));
  await app.producer.sendBatch(messages.slice(100, 200), { queue });
  await app.producer.sendBatch(messages.slice(200), { queue });
  const pull = new PullConsumer({ session: app.foldlog.session, group: 'readers' });
  const { messages: pulled, nextBeginOffset } = await pull.pull(queue, '*', 0, 1_000);
  expect(nextBeginOffset).toBe(pulled.length);
  return pulled.length;
}

describe('an answer to a pull of 1,000', () => {
  it('holds 256', async () => {
    expect(await lengthOfAnswer(100)).toBe(256);
  });

  it('holds what the config says', async () => {
    expect(await lengthOfAnswer(100, { maxTransferCountOnMessageInMemory: 40 })).toBe(40);
  });

  it('stays within 256 KiB', async () => {
    const length = await lengthOfAnswer(4_000);
    expect(length).toBeGreaterThan(50);
    expect(length).toBeLessThanOrEqual(64);
  });
});
