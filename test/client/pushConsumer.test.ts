/** Push consumers against foldlog's own broker, over TCP and without sockets. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Admin } from '../../src/client/admin.js';
import type {
  ConsumeOutcome,
  OffsetStore,
  PushConsumerOptions,
  ReceivedMessage,
} from '../../src/client/clientTypes.js';
import { queueKey } from '../../src/client/messageQueues.js';
import { Producer } from '../../src/client/producer.js';
import { PullConsumer } from '../../src/client/pullConsumer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import type { Session } from '../../src/client/session.js';
import { SYS_FLAG } from '../../src/protocol/message.js';
import { type Reach, TestCluster } from './support/cluster.js';
import { Collector, eventually } from './support/collector.js';

const SUCCESS: ConsumeOutcome = { status: 'SUCCESS' };
const bodies = (messages: readonly ReceivedMessage[]) => messages.map(({ body }) => body.toString());

describe.each<Reach>(['local', 'tcp'])('push consumer over %s', (reach) => {
  let cluster: TestCluster;
  let session: Session;
  let producer: Producer;
  let admin: Admin;
  let names = 0;

  beforeAll(async () => {
    cluster = await TestCluster.start(reach);
    session = await cluster.session();
    producer = new Producer({ session });
    admin = new Admin(session);
  });
  afterAll(() => cluster.stop());

  /** A topic of its own for each test, with messages `0`, `1`, … */
  async function topicWith(count: number, queues = 1): Promise<string> {
    names += 1;
    const topic = `T${names}`;
    await admin.createTopic(topic, { readQueueNums: queues, writeQueueNums: queues });
    await sendTo(topic, count);
    return topic;
  }

  async function sendTo(topic: string, count: number, from = 0): Promise<void> {
    for (let number = from; number < from + count; number += 1) {
      await producer.send({ topic, body: String(number), tags: number % 2 === 0 ? 'even' : 'odd' });
    }
  }

  function consumer(
    topic: string,
    options: Partial<PushConsumerOptions> & Pick<PushConsumerOptions, 'listener'>,
    on: Session = session,
  ): PushConsumer {
    return new PushConsumer(on, {
      group: `G-${topic}`,
      subscriptions: [{ topic }],
      from: 'CONSUME_FROM_FIRST_OFFSET',
      ...options,
    });
  }

  /** A listener that takes everything. */
  function taking(received: Collector<ReceivedMessage>): PushConsumerOptions['listener'] {
    return async (messages) => {
      received.add(...messages);
      return SUCCESS;
    };
  }

  async function deadLetters(group: string): Promise<ReceivedMessage[]> {
    const pull = new PullConsumer({ session, group: 'DLQ-READER' });
    const found: ReceivedMessage[] = [];
    if (!(await session.routes.refresh(`%DLQ%${group}`))) return found;
    for (const queue of await pull.fetchQueues(`%DLQ%${group}`)) {
      found.push(...(await pull.pull(queue, '*', 0, 32)).messages);
    }
    return found;
  }

  it('gets every message of all queues once, and new ones as they come', async () => {
    const topic = await topicWith(20, 4);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, { listener: taking(received) });
    await subject.start();
    expect(subject.assignedQueues().filter((queue) => queue.topic === topic)).toHaveLength(4);
    await received.atLeast(20);
    await sendTo(topic, 5, 20);
    await received.atLeast(25);
    expect(
      bodies(received.items)
        .map(Number)
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 25 }, (_, i) => i));
  });

  it('goes on after a restart where it stopped', async () => {
    const topic = await topicWith(5);
    const first = new Collector<ReceivedMessage>();
    const before = consumer(topic, { listener: taking(first) });
    await before.start();
    await first.atLeast(5);
    await before.stop();
    await sendTo(topic, 3, 5);
    const second = new Collector<ReceivedMessage>();
    await using after = consumer(topic, { listener: taking(second) });
    await after.start();
    await second.atLeast(3);
    expect(bodies(second.items)).toEqual(['5', '6', '7']);
  });

  it('CONSUME_FROM_LAST_OFFSET leaves out what was there before, also on a young topic', async () => {
    const topic = await topicWith(5);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, { from: 'CONSUME_FROM_LAST_OFFSET', listener: taking(received) });
    await subject.start();
    await sendTo(topic, 1, 5);
    await received.atLeast(1);
    expect(bodies(received.items)).toEqual(['5']);
  });

  it('CONSUME_FROM_LAST_OFFSET is decided once: what comes while the group is away is kept', async () => {
    const topic = await topicWith(2);
    const idle = consumer(topic, { from: 'CONSUME_FROM_LAST_OFFSET', listener: async () => SUCCESS });
    await idle.start();
    await idle.stop();
    await sendTo(topic, 2, 2);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, { from: 'CONSUME_FROM_LAST_OFFSET', listener: taking(received) });
    await subject.start();
    await received.atLeast(2);
    expect(bodies(received.items)).toEqual(['2', '3']);
  });

  it('a topic that appears after the start is consumed from its first message', async () => {
    names += 1;
    const topic = `Later${names}`;
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, { from: 'CONSUME_FROM_LAST_OFFSET', listener: taking(received) });
    await subject.start();
    await sendTo(topic, 3);
    await received.atLeast(3);
    expect(bodies(received.items).sort()).toEqual(['0', '1', '2']);
  });

  it('CONSUME_FROM_TIMESTAMP begins at the time', async () => {
    const topic = await topicWith(3);
    const pull = new PullConsumer({ session, group: 'TIMES' });
    const [queue] = await pull.fetchQueues(topic);
    const last = (await pull.pull(queue!, '*', 2, 1)).messages[0]!;
    // The next millisecond must have begun, or the new messages would not be told apart by time.
    await eventually(() => Date.now() > last.storeTimestamp);
    await sendTo(topic, 2, 3);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, {
      from: 'CONSUME_FROM_TIMESTAMP',
      fromTimestamp: last.storeTimestamp + 1,
      listener: taking(received),
    });
    await subject.start();
    await received.atLeast(2);
    expect(bodies(received.items)).toEqual(['3', '4']);
  });

  it('filters by tag, and the offset passes what is not for it', async () => {
    const topic = await topicWith(11);
    const received = new Collector<ReceivedMessage>();
    const subject = consumer(topic, { subscriptions: [{ topic, expression: 'odd' }], listener: taking(received) });
    await subject.start();
    await received.atLeast(5);
    await subject.stop();
    expect(bodies(received.items)).toEqual(['1', '3', '5', '7', '9']);
    const pull = new PullConsumer({ session, group: `G-${topic}` });
    const [queue] = await pull.fetchQueues(topic);
    expect(await pull.committedOffset(queue!)).toBe(11);
  });

  it('filters by SQL, and a text that does not compile stops the start', async () => {
    const topic = await topicWith(0);
    for (const price of ['1', '5', '9']) await producer.send({ topic, body: price, properties: { price } });
    const received = new Collector<ReceivedMessage>();
    const sql = (expression: string) => [{ topic, expression, expressionType: 'SQL92' as const }];
    await using subject = consumer(topic, { subscriptions: sql('price > 3'), listener: taking(received) });
    await subject.start();
    await received.atLeast(2);
    expect(bodies(received.items)).toEqual(['5', '9']);
    const bad = consumer(topic, { group: 'G-bad', subscriptions: sql('price >'), listener: taking(received) });
    await expect(bad.start()).rejects.toMatchObject({ code: 'BROKER_REFUSED', responseCode: 23 });
  });

  it('a failed message comes again later, with its original topic', async () => {
    const topic = await topicWith(3);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, {
      async listener(messages) {
        received.add(...messages);
        const fails = messages[0]?.body.toString() === '1' && messages[0].reconsumeTimes === 0;
        return fails ? { status: 'RETRY_LATER', delayLevel: 1 } : SUCCESS;
      },
    });
    await subject.start();
    await received.atLeast(4);
    const again = received.items[3]!;
    expect(again).toMatchObject({ topic: `%RETRY%G-${topic}`, originalTopic: topic, reconsumeTimes: 1 });
    expect(again.body.toString()).toBe('1');
    expect(again.msgId).toBe(received.items.find(({ body }) => body.toString() === '1')?.msgId);
  });

  it('a listener that throws counts as failed; after the last attempt the message is a dead letter', async () => {
    const topic = await topicWith(1);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, {
      maxReconsumeTimes: 0,
      async listener(messages) {
        received.add(...messages);
        throw new Error('broken');
      },
    });
    await subject.start();
    await received.atLeast(1);
    await eventually(async () => (await deadLetters(`G-${topic}`)).length === 1);
    expect(received.items).toHaveLength(1);
  });

  it('DEAD_LETTER goes there at once, with the reason', async () => {
    const topic = await topicWith(2);
    const received = new Collector<ReceivedMessage>();
    const subject = consumer(topic, {
      async listener(messages) {
        received.add(...messages);
        return messages[0]?.body.toString() === '0' ? { status: 'DEAD_LETTER', reason: 'no good' } : SUCCESS;
      },
    });
    await subject.start();
    await received.atLeast(2);
    await subject.stop();
    const [dead, ...more] = await deadLetters(`G-${topic}`);
    expect(more).toEqual([]);
    expect(dead?.body.toString()).toBe('0');
    expect(dead?.properties).toMatchObject({ FL_REASON: 'no good', RETRY_TOPIC: topic });
    expect(dead?.msgId).toBe(received.items.find(({ body }) => body.toString() === '0')?.msgId);
  });

  it('a body that cannot be decompressed is a dead letter and never reaches the listener', async () => {
    const topic = await topicWith(0);
    const [queue] = await new PullConsumer({ session, group: 'X' }).fetchQueues(topic);
    const header = {
      producerGroup: 'P',
      topic,
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: 4,
      queueId: queue!.queueId,
      sysFlag: SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_LZ4,
      bornTimestamp: 1,
      flag: 0,
    };
    await session.brokerCalls.send(cluster.brokerAddr, header, Buffer.from('lz4 bytes'));
    await sendTo(topic, 1);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, { consumeMessageBatchMaxSize: 8, listener: taking(received) });
    await subject.start();
    await received.atLeast(1);
    await eventually(async () => (await deadLetters(`G-${topic}`)).length === 1);
    expect(bodies(received.items)).toEqual(['0']);
    const [dead] = await deadLetters(`G-${topic}`);
    expect(dead?.properties['FL_REASON']).toMatch(/LZ4/);
    expect(dead?.body.toString()).toBe('lz4 bytes');
    expect(dead?.defect).toBeDefined();
  });

  it.each(['concurrent', 'ordered'] as const)(
    'HOLD gives the same message again and is no attempt (%s)',
    async (mode) => {
      const topic = await topicWith(2);
      const received = new Collector<ReceivedMessage & { seenTimes: number }>();
      let holds = 2;
      await using subject = consumer(topic, {
        mode,
        async listener(messages) {
          received.add(...messages.map((message) => ({ ...message, seenTimes: message.reconsumeTimes })));
          if (messages[0]?.body.toString() !== '0' || holds === 0) return SUCCESS;
          holds -= 1;
          return { status: 'HOLD', suspendMillis: 20 };
        },
      });
      await subject.start();
      await received.atLeast(4);
      const zeros = received.items.filter(({ body }) => body.toString() === '0');
      expect(zeros.map(({ seenTimes }) => seenTimes)).toEqual([0, 0, 0]);
      if (mode === 'ordered') expect(bodies(received.items)).toEqual(['0', '0', '0', '1']);
    },
  );

  it('ordered: a failure holds its queue, nothing overtakes', async () => {
    const topic = await topicWith(20);
    const received = new Collector<string>();
    // Kept for the end: what a listener throws is an outcome, not a failed test.
    const seen: { running: number; reconsumeTimes: number; pauseMillis: number }[] = [];
    let running = 0;
    let failures = 0;
    let failedAt: number | undefined;
    await using subject = consumer(topic, {
      mode: 'ordered',
      consumeMessageBatchMaxSize: 3,
      // Several pulls, so that messages come while a batch runs.
      pullBatchSize: 4,
      async listener(messages) {
        running += 1;
        const pauseMillis = failedAt === undefined ? 0 : performance.now() - failedAt;
        if (failedAt !== undefined) seen.push({ running, reconsumeTimes: messages[0]!.reconsumeTimes, pauseMillis });
        failedAt = undefined;
        // Long enough for the next pulls to be answered.
        for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        if (running > 1) seen.push({ running, reconsumeTimes: -1, pauseMillis });
        running -= 1;
        if (messages.some(({ body }) => body.toString() === '7') && failures < 3) {
          failures += 1;
          failedAt = performance.now();
          return { status: 'RETRY_LATER', suspendMillis: 40 };
        }
        received.add(...bodies(messages));
        return SUCCESS;
      },
    });
    await subject.start();
    await received.atLeast(20);
    expect(received.items).toEqual(Array.from({ length: 20 }, (_, number) => String(number)));
    expect(seen.map((each) => each.running)).toEqual([1, 1, 1]);
    expect(seen.map((each) => each.reconsumeTimes)).toEqual([1, 2, 3]);
    // A millisecond less: timers and this clock round differently.
    for (const { pauseMillis } of seen) expect(pauseMillis).toBeGreaterThan(39);
  });

  it('ordered: after the last attempt the message is a dead letter and the queue goes on', async () => {
    const topic = await topicWith(3);
    const received = new Collector<string>();
    await using subject = consumer(topic, {
      mode: 'ordered',
      maxReconsumeTimes: 1,
      suspendCurrentQueueTimeMillis: 10,
      async listener(messages) {
        received.add(...bodies(messages));
        return messages[0]?.body.toString() === '1' ? { status: 'RETRY_LATER' } : SUCCESS;
      },
    });
    await subject.start();
    await received.atLeast(4);
    expect(received.items).toEqual(['0', '1', '1', '2']);
    expect(bodies(await deadLetters(`G-${topic}`))).toEqual(['1']);
  });

  it.each(['concurrent', 'ordered'] as const)(
    'two members share the queues, one takes over from the other (%s)',
    async (mode) => {
      const topic = await topicWith(8, 4);
      const received = new Collector<string>();
      const listener: PushConsumerOptions['listener'] = async (messages) => {
        received.add(...bodies(messages));
        return SUCCESS;
      };
      const other = await cluster.session();
      const first = consumer(topic, { mode, listener });
      const second = consumer(topic, { mode, listener }, other);
      const share = (subject: PushConsumer) =>
        subject
          .assignedQueues()
          .filter((queue) => queue.topic === topic)
          .map(queueKey);
      await first.start();
      await received.atLeast(8);
      await second.start();
      await eventually(() => share(first).length === 2 && share(second).length === 2);
      expect(new Set([...share(first), ...share(second)]).size).toBe(4);
      await sendTo(topic, 8, 8);
      await received.until((items) => new Set(items).size === 16);
      await second.stop();
      await eventually(() => share(first).length === 4);
      await sendTo(topic, 8, 16);
      await received.until((items) => new Set(items).size === 24);
      await first.stop();
      // Handing over in peace costs no duplicates.
      expect(received.items).toHaveLength(24);
      await other.close();
    },
  );

  it('BROADCASTING: each gets everything, and goes on from its own file', async () => {
    const topic = await topicWith(3, 2);
    const localOffsetDirectory = `${cluster.directory}/offsets`;
    const sessions = [await cluster.session({ instanceName: 'one' }), await cluster.session({ instanceName: 'two' })];
    const seen = sessions.map(() => new Collector<ReceivedMessage>());
    const start = async (index: number) => {
      const options = { model: 'BROADCASTING' as const, localOffsetDirectory, listener: taking(seen[index]!) };
      const subject = consumer(topic, options, sessions[index]!);
      await subject.start();
      return subject;
    };
    const both = [await start(0), await start(1)];
    for (const collector of seen) await collector.atLeast(3);
    await both[0]!.stop();
    await sendTo(topic, 2, 3);
    await seen[1]!.atLeast(5);
    await using again = await start(0);
    await seen[0]!.atLeast(5);
    expect(bodies(seen[0]!.items).sort()).toEqual(['0', '1', '2', '3', '4']);
    expect(again.assignedQueues()).toHaveLength(2);
    await both[1]!.stop();
  });

  it('BROADCASTING: a message that fails is skipped', async () => {
    const topic = await topicWith(3);
    const received = new Collector<string>();
    await using subject = consumer(topic, {
      model: 'BROADCASTING',
      localOffsetDirectory: `${cluster.directory}/offsets`,
      async listener(messages) {
        received.add(...bodies(messages));
        if (messages[0]?.body.toString() === '0') return { status: 'RETRY_LATER' };
        return messages[0]?.body.toString() === '1' ? { status: 'DEAD_LETTER', reason: 'x' } : SUCCESS;
      },
    });
    await subject.start();
    await received.atLeast(3);
    expect(received.items).toHaveLength(3);
    expect(await deadLetters(`G-${topic}`)).toEqual([]);
  });

  it('an offset store of the application decides where to begin, and is told the progress', async () => {
    const topic = await topicWith(5);
    const received = new Collector<ReceivedMessage>();
    const updates: number[] = [];
    let persists = 0;
    const offsetStore: OffsetStore = {
      load: async (queue) => (queue.topic === topic ? 3 : undefined),
      update: (queue, offset) => void (queue.topic === topic && updates.push(offset)),
      persist: async () => {
        persists += 1;
      },
      forget: () => {},
    };
    const subject = consumer(topic, { offsetStore, listener: taking(received) });
    await subject.start();
    await received.atLeast(2);
    await subject.stop();
    expect(bodies(received.items)).toEqual(['3', '4']);
    expect(updates.at(-1)).toBe(5);
    expect(persists).toBeGreaterThan(0);
    const pull = new PullConsumer({ session, group: `G-${topic}` });
    expect(await pull.committedOffset((await pull.fetchQueues(topic))[0]!)).toBeUndefined();
  });

  it('suspended it gives out nothing, resumed it goes on', async () => {
    const topic = await topicWith(1);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, { listener: taking(received) });
    subject.suspend();
    await subject.start();
    await sendTo(topic, 2, 1);
    expect(received.items).toEqual([]);
    subject.resume();
    await received.atLeast(3);
  });

  it('a full process queue pauses pulling and loses nothing', async () => {
    const topic = await topicWith(60);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, {
      pullThresholdForQueue: 5,
      pullBatchSize: 8,
      consumeConcurrency: 2,
      listener: taking(received),
    });
    await subject.start();
    await received.atLeast(60);
    expect(new Set(bodies(received.items)).size).toBe(60);
  });

  it('with a pull interval, what comes during the pause is fetched together', async () => {
    const topic = await topicWith(1);
    const received = new Collector<ReceivedMessage>();
    const batches: number[] = [];
    const pausing = consumer(topic, {
      pullIntervalMillis: 500,
      consumeMessageBatchMaxSize: 32,
      async listener(messages) {
        batches.push(messages.length);
        received.add(...messages);
        return SUCCESS;
      },
    });
    await pausing.start();
    await received.atLeast(1);
    await sendTo(topic, 20, 1);
    await received.atLeast(21);
    await pausing.stop();
    expect(batches[0]).toBe(1);
    // Without the pause each message would be woken for by itself.
    expect(batches.length).toBeLessThan(10);
  });

  it('an administrator moves the group while it runs', async () => {
    const topic = await topicWith(4);
    const received = new Collector<ReceivedMessage>();
    await using subject = consumer(topic, { listener: taking(received) });
    await subject.start();
    await received.atLeast(4);
    const moved = await admin.resetOffset(`G-${topic}`, topic, 0);
    expect(moved.map(([, offset]) => offset)).toEqual([0]);
    await sendTo(topic, 1, 4);
    await received.until((items) => items.length >= 9);
    expect(bodies(received.items.slice(4))).toEqual(['0', '1', '2', '3', '4']);
  });

  it('stop waits for a running listener and records what it settled', async () => {
    const topic = await topicWith(1);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const entered = new Collector<boolean>();
    const subject = consumer(topic, {
      async listener(_, { signal }) {
        entered.add(signal.aborted);
        await held;
        entered.add(signal.aborted);
        return SUCCESS;
      },
    });
    await subject.start();
    await entered.atLeast(1);
    const stopping = subject.stop();
    release();
    await stopping;
    expect(entered.items).toEqual([false, true]);
    const pull = new PullConsumer({ session, group: `G-${topic}` });
    expect(await pull.committedOffset((await pull.fetchQueues(topic))[0]!)).toBe(1);
  });

  it('a group may join a session once', async () => {
    const topic = await topicWith(0);
    await using subject = consumer(topic, { listener: async () => SUCCESS });
    await subject.start();
    await expect(consumer(topic, { listener: async () => SUCCESS }).start()).rejects.toThrow(
      /has a consumer in session/,
    );
  });

  it.each([
    ['no topic', { subscriptions: [] }, /subscribes to nothing/],
    ['a topic twice', { subscriptions: [{ topic: 'A' }, { topic: 'A' }] }, /twice/],
    ['a bad group', { group: 'a b' }, /group "a b"/],
    ['a batch of 0', { consumeMessageBatchMaxSize: 0 }, /consumeMessageBatchMaxSize is 0/],
  ])('refuses %s before anything runs', (_, options, text) => {
    expect(() => consumer('T', { listener: async () => SUCCESS, ...options })).toThrow(text);
  });

  it('consumption goes on after the broker was away', async () => {
    const topic = await topicWith(4, 2);
    const concurrent = new Collector<string>();
    const ordered = new Collector<string>();
    const into =
      (collector: Collector<string>): PushConsumerOptions['listener'] =>
      async (messages) => {
        collector.add(...bodies(messages));
        return SUCCESS;
      };
    await using one = consumer(topic, { listener: into(concurrent) });
    await using two = consumer(topic, { group: `O-${topic}`, mode: 'ordered', listener: into(ordered) });
    await one.start();
    await two.start();
    await concurrent.atLeast(4);
    await ordered.atLeast(4);
    await cluster.stopBroker();
    await cluster.startBroker();
    const backAt = Date.now();
    await sendTo(topic, 4, 4);
    for (const collector of [concurrent, ordered]) {
      await collector.until((items) => new Set(items).size === 8);
    }
    expect(Date.now() - backAt).toBeLessThan(3000);
  });
});
