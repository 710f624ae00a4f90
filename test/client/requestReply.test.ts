/** Requests of producers and the replies of consumers, over TCP and without sockets. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../src/client/clientTypes.js';
import { Producer } from '../../src/client/producer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { Replies } from '../../src/client/replies.js';
import type { Session } from '../../src/client/session.js';
import { replyMessageHeader } from '../../src/protocol/headers/messaging.js';
import { requestCommand } from '../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { LocalTransport } from '../../src/remoting/localLink.js';
import type { ProcessorTable } from '../../src/remoting/processorTable.js';
import { ManualClock } from '../support/manualClock.js';
import { type Reach, TestCluster } from './support/cluster.js';
import { Collector } from './support/collector.js';
import { receivedMessage } from './support/messages.js';

describe.each<Reach>(['local', 'tcp'])('request and reply over %s', (reach) => {
  let cluster: TestCluster;
  let asking: Session;
  let answering: Session;
  let asker: Producer;
  let answerer: Producer;
  const requests = new Collector<ReceivedMessage>();

  beforeAll(async () => {
    cluster = await TestCluster.start(reach);
    asking = await cluster.session();
    answering = await cluster.session();
    asker = new Producer({ session: asking, group: 'ASK' });
    answerer = new Producer({ session: answering, group: 'ANSWER' });
    await asker.send({ topic: 'Asked', body: 'no request' });
    const consumer = new PushConsumer(answering, {
      group: 'G',
      subscriptions: [{ topic: 'Asked' }],
      from: 'CONSUME_FROM_FIRST_OFFSET',
      async listener([message]) {
        if (!message) return { status: 'SUCCESS' };
        requests.add(message);
        const text = message.body.toString();
        if (text.startsWith('?')) {
          const body = text.startsWith('?long') ? 'long '.repeat(2000) : `answer to ${text}`;
          await answerer.reply(message, { body, tags: 'A', properties: { who: 'G' }, flag: 3 });
        }
        return { status: 'SUCCESS' };
      },
    });
    await consumer.start();
    await requests.atLeast(1);
  });
  afterAll(() => cluster.stop());

  it('gives each requester its own reply', async () => {
    const bodies = ['?one', '?two', '?three'];
    const replies = await Promise.all(bodies.map((body) => asker.request({ topic: 'Asked', body }, 10_000)));
    expect(replies.map(({ body }) => body.toString())).toEqual(bodies.map((body) => `answer to ${body}`));
    const [first] = replies;
    expect(first).toMatchObject({ topic: 'DefaultCluster_REPLY_TOPIC', tags: 'A', flag: 3 });
    expect(first?.properties).toMatchObject({ who: 'G', MSG_TYPE: 'reply', REPLY_TO_CLIENT: asking.clientId });
    expect(Number(first?.properties['ARRIVE_TIME'])).toBeGreaterThan(0);
    expect(first?.storeHost.port).toBe(Number(cluster.brokerAddr.split(':')[1]));
  });

  it('a long reply is decompressed on the way', async () => {
    const reply = await asker.request({ topic: 'Asked', body: '?long' }, 10_000, { shardingKey: 'k' });
    expect(reply.body.toString()).toBe('long '.repeat(2000));
  });

  it('without a reply ends in REQUEST_TIMEOUT, and the consumer saw it', async () => {
    const before = requests.items.length;
    await expect(asker.request({ topic: 'Asked', body: 'silent' }, 300)).rejects.toMatchObject({
      code: 'REQUEST_TIMEOUT',
      mayHaveBeenExecuted: true,
    });
    await requests.atLeast(before + 1);
    expect(requests.items.at(-1)?.properties).toMatchObject({ TTL: '300', REPLY_TO_CLIENT: asking.clientId });
  });

  it('a reply to what is no request, or to a requester that left, is refused', async () => {
    const plain = requests.items[0];
    await expect(answerer.reply(plain!, { body: 'x' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    const session = await cluster.session();
    const leaving = new Producer({ session, group: 'LEAVING' });
    const before = requests.items.length;
    const failing = expect(leaving.request({ topic: 'Asked', body: 'left' }, 10_000)).rejects.toMatchObject({
      code: 'CONNECTION_CLOSED',
    });
    const [request] = (await requests.atLeast(before + 1)).slice(before);
    await session.close();
    await failing;
    // Until the broker hears that the connection is closed, the reply finds nobody there in another way.
    const late = () => answerer.reply(request!, { body: 'too late' }).catch((thrown: unknown) => thrown);
    await expect.poll(late).toMatchObject({ code: 'BROKER_REFUSED', message: expect.stringContaining('not found') });
  });

  it('a send that fails fails the request at once', async () => {
    const request = asker.request({ topic: 'TBW102', body: 'x', keys: ['k k'] }, 10_000);
    await expect(request).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await asker.close();
    await expect(asker.request({ topic: 'Asked', body: '?' })).rejects.toMatchObject({ code: 'LIFECYCLE' });
    await expect(asker.reply(requests.items[0]!, { body: 'x' })).rejects.toMatchObject({ code: 'LIFECYCLE' });
  });
});

describe('after its broker was started anew', () => {
  it('a producer is known again by its second request at the latest', async () => {
    const cluster = await TestCluster.start('tcp');
    try {
      const session = await cluster.session();
      const producer = new Producer({ session, group: 'P' });
      await producer.send({ topic: 'T', body: 'first' });
      const consumer = new PushConsumer(await cluster.session(), {
        group: 'G',
        subscriptions: [{ topic: 'T' }],
        async listener([message]) {
          // A requester that is not known is tried again by asking anew, not by replying again.
          if (message) await producer.reply(message, { body: 'yes' }).catch(() => {});
          return { status: 'SUCCESS' };
        },
      });
      await consumer.start();
      expect((await producer.request({ topic: 'T', body: '1' }, 10_000)).body.toString()).toBe('yes');
      await cluster.stopBroker();
      await cluster.startBroker();
      let answered = false;
      for (let attempt = 0; attempt < 10 && !answered; attempt += 1) {
        answered = await producer.request({ topic: 'T', body: '2' }, 1500).then(
          () => true,
          () => false,
        );
      }
      expect(answered).toBe(true);
    } finally {
      await cluster.stop();
    }
  }, 30_000);
});

describe('the replies that are waited for', () => {
  const replyTo = (correlationId: string) => receivedMessage(0, { properties: { CORRELATION_ID: correlationId } });

  it('are delivered once, time out by the clock, and end with the session', async () => {
    const clock = new ManualClock();
    const replies = new Replies({ clock });
    const one = replies.expect('one', 'T', 1000);
    const two = replies.expect('two', 'T', 1000);
    const three = replies.expect('three', 'T', 5000);
    expect(replies.deliver(replyTo('one'))).toBe(true);
    expect(replies.deliver(replyTo('one'))).toBe(false);
    expect(replies.deliver(receivedMessage(0))).toBe(false);
    clock.advance(1000);
    replies.close();
    await expect(one).resolves.toMatchObject({ properties: { CORRELATION_ID: 'one' } });
    await expect(two).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
    await expect(three).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
  });

  it('are bounded', async () => {
    const replies = new Replies({ clock: new ManualClock() });
    const all = Array.from({ length: 65_536 }, (_, index) => replies.expect(String(index), 'T', 1000));
    await expect(replies.expect('more', 'T', 1000)).rejects.toMatchObject({ code: 'TOO_BUSY' });
    replies.forget('0');
    const again = replies.expect('more', 'T', 1000);
    replies.deliver(replyTo('more'));
    await again;
    replies.close();
    expect((await Promise.allSettled(all.slice(1))).every(({ status }) => status === 'rejected')).toBe(true);
  });
});

describe('a pushed reply', () => {
  it('is taken whether or not somebody waits, with the addresses as Java writes them', async () => {
    const cluster = await TestCluster.start('local');
    let table: ProcessorTable | undefined;
    try {
      await cluster.session({
        transport: (own) => {
          table = own;
          return new LocalTransport({ endpoints: new Map() });
        },
      });
      const transport = new LocalTransport({ endpoints: new Map([['client:1', table!]]) });
      const extFields = replyMessageHeader.encode({
        producerGroup: 'P',
        topic: 'R',
        defaultTopic: 'TBW102',
        defaultTopicQueueNums: 4,
        queueId: 0,
        sysFlag: 0,
        bornTimestamp: 0,
        flag: 0,
        bornHost: 'host/10.0.0.1:1',
        storeHost: '/10.0.0.2:10911',
        storeTimestamp: 0,
      });
      const push = requestCommand(REQUEST_CODE.PUSH_REPLY_MESSAGE_TO_CLIENT, extFields, Buffer.from('late'));
      expect((await transport.invoke('client:1', push, 5000)).code).toBe(0);
      const torn = requestCommand(REQUEST_CODE.PUSH_REPLY_MESSAGE_TO_CLIENT, {}, Buffer.from('x'));
      expect((await transport.invoke('client:1', torn, 5000)).code).toBe(1);
      await transport.close();
    } finally {
      await cluster.stop();
    }
  });
});
