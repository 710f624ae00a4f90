/**
 * foldlog's client against a real Apache RocketMQ, and the same cases against foldlog's own broker as the control: producer,
 * push consumer (both modes), filters, retry, offsets that survive a restart of the consumer, pull by queue and by time.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Admin } from '../../src/client/admin.js';
import type { PushConsumerOptions, ReceivedMessage } from '../../src/client/clientTypes.js';
import { Producer } from '../../src/client/producer.js';
import { PullConsumer } from '../../src/client/pullConsumer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { Session } from '../../src/client/session.js';
import { startEmbedded } from '../../src/embedded/index.js';
import { startRealRocketMq, whyNoJava } from './realRocketMq.js';

interface Subject {
  namesrvAddr: string;
  stop(): Promise<void>;
}

const subjects: Record<string, () => Promise<Subject>> = {
  'Apache RocketMQ 5.5.0': () => startRealRocketMq(),
  foldlog: async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-interop-'));
    const embedded = await startEmbedded({ store: directory, listen: true, namesrvPort: 0, brokerPort: 0 });
    return {
      namesrvAddr: embedded.namesrvAddr,
      async stop() {
        await embedded.stop();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  },
};

for (const [name, start] of Object.entries(subjects)) {
  describe(`client against ${name}`, () => {
    const reason = name === 'foldlog' ? undefined : whyNoJava();
    let subject: Subject;
    let session: Session;

    beforeAll(async () => {
      if (reason) return;
      subject = await start();
      session = await Session.open({ namesrvAddr: subject.namesrvAddr });
    });

    afterAll(async () => {
      await session?.close();
      await subject?.stop();
    });

    const check = (title: string, body: () => Promise<void>) =>
      it(title, async (context) => {
        if (reason) context.skip(reason);
        await body();
      });

    const freshTopic = async () => {
      const topic = `Topic-${randomUUID().slice(0, 8)}`;
      await new Admin(session).createTopic(topic, { readQueueNums: 4, writeQueueNums: 4 });
      return topic;
    };

    /** Runs a consumer until `enough` of what it received. */
    const consumeUntil = async (
      options: Omit<PushConsumerOptions, 'listener'>,
      enough: (received: readonly ReceivedMessage[]) => boolean,
      decide: (message: ReceivedMessage) => 'SUCCESS' | 'RETRY_LATER' = () => 'SUCCESS',
    ) => {
      const received: ReceivedMessage[] = [];
      let done = () => {};
      const complete = new Promise<void>((resolve) => {
        done = resolve;
      });
      const consumer = new PushConsumer(session, {
        ...options,
        async listener(messages) {
          received.push(...messages);
          if (enough(received)) done();
          const failed = messages.some((message) => decide(message) === 'RETRY_LATER');
          return failed ? { status: 'RETRY_LATER', delayLevel: 1, suspendMillis: 10 } : { status: 'SUCCESS' };
        },
      });
      await consumer.start();
      await complete;
      await consumer.stop();
      return received;
    };

    check('delivers every message once to a clustering group, and goes on from its offset', async () => {
      const topic = await freshTopic();
      const group = `G-${randomUUID().slice(0, 8)}`;
      const producer = new Producer({ session });
      const send = async (from: number, to: number) => {
        for (let n = from; n < to; n += 1) {
          const result = await producer.send({
            topic,
            body: `body-${n}`,
            tags: n % 2 ? 'odd' : 'even',
            keys: [`key-${n}`],
          });
          expect(result.status).toBe('SEND_OK');
        }
      };
      await send(0, 100);
      const subscription = { group, subscriptions: [{ topic }], from: 'CONSUME_FROM_FIRST_OFFSET' as const };
      const first = await consumeUntil(subscription, (received) => received.length >= 100);
      expect(new Set(first.map((message) => message.body.toString())).size).toBe(100);
      await send(100, 120);
      const second = await consumeUntil(subscription, (received) => received.length >= 20);
      expect(second.map((message) => message.body.toString()).sort()).toEqual(
        Array.from({ length: 20 }, (_, n) => `body-${100 + n}`).sort(),
      );
      expect(second[0]).toMatchObject({ originalTopic: topic, reconsumeTimes: 0 });
    });

    check('filters by tag and by SQL92', async () => {
      const topic = await freshTopic();
      const producer = new Producer({ session });
      for (let n = 0; n < 20; n += 1) {
        await producer.send({
          topic,
          body: String(n),
          tags: n % 2 ? 'odd' : 'even',
          properties: { status: String(n % 5) },
        });
      }
      const from = 'CONSUME_FROM_FIRST_OFFSET' as const;
      const tagged = await consumeUntil(
        { group: `G-${randomUUID().slice(0, 8)}`, from, subscriptions: [{ topic, expression: 'odd || none' }] },
        (received) => received.length >= 10,
      );
      expect(tagged.every((message) => message.tags === 'odd')).toBe(true);
      const bySql = await consumeUntil(
        {
          group: `G-${randomUUID().slice(0, 8)}`,
          from,
          subscriptions: [{ topic, expression: "status = 1 AND TAGS = 'even'", expressionType: 'SQL92' }],
        },
        (received) => received.length >= 2,
      );
      expect(bySql.map((message) => Number(message.body.toString())).sort((a, b) => a - b)).toEqual([6, 16]);
    });

    check('brings a failed message back with a higher reconsumeTimes', async () => {
      const topic = await freshTopic();
      await new Producer({ session }).send({ topic, body: 'again' });
      const received = await consumeUntil(
        { group: `G-${randomUUID().slice(0, 8)}`, subscriptions: [{ topic }], from: 'CONSUME_FROM_FIRST_OFFSET' },
        (all) => all.length >= 2,
        (message) => (message.reconsumeTimes === 0 ? 'RETRY_LATER' : 'SUCCESS'),
      );
      expect(received.map((message) => message.reconsumeTimes)).toEqual([0, 1]);
      expect(received[1]).toMatchObject({ originalTopic: topic });
      expect(received[1]?.body.toString()).toBe('again');
    });

    check('keeps order per queue for an ordered consumer, across a failure', async () => {
      const topic = await freshTopic();
      const producer = new Producer({ session });
      for (let n = 0; n < 30; n += 1) await producer.send({ topic, body: String(n) }, { shardingKey: 'one' });
      let failed = false;
      const received = await consumeUntil(
        {
          group: `G-${randomUUID().slice(0, 8)}`,
          subscriptions: [{ topic }],
          from: 'CONSUME_FROM_FIRST_OFFSET',
          mode: 'ordered',
        },
        (all) => all.filter((message) => message.body.toString() === '29').length === 1,
        (message) => {
          if (message.body.toString() !== '10' || failed) return 'SUCCESS';
          failed = true;
          return 'RETRY_LATER';
        },
      );
      const bodies = received.map((message) => Number(message.body.toString()));
      expect(bodies).toEqual([...Array(11).keys(), ...Array.from({ length: 20 }, (_, n) => n + 10)]);
    });

    check('sends a batch, pulls by queue and finds offsets by time', async () => {
      const topic = await freshTopic();
      const producer = new Producer({ session });
      const batch = await producer.sendBatch(Array.from({ length: 5 }, (_, n) => ({ topic, body: `b${n}` })));
      expect(batch.status).toBe('SEND_OK');
      const puller = new PullConsumer({ session, group: `G-${randomUUID().slice(0, 8)}` });
      const { queue } = batch;
      const pulled = await puller.pull(queue, {}, batch.queueOffset, 32);
      expect(pulled.messages.map((message) => message.body.toString())).toEqual(['b0', 'b1', 'b2', 'b3', 'b4']);
      expect(await puller.maxOffset(queue)).toBe(5);
      const storedAt = pulled.messages[0]?.storeTimestamp ?? 0;
      expect(await puller.offsetByTimestamp(queue, storedAt)).toBe(0);
      expect(await puller.offsetByTimestamp(queue, storedAt + 60_000)).toBe(5);
    });
  });
}
