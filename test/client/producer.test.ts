/** Producer and administration against foldlog's own broker, over TCP and without sockets. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Admin } from '../../src/client/admin.js';
import { Producer } from '../../src/client/producer.js';
import { PullConsumer } from '../../src/client/pullConsumer.js';
import type { Session } from '../../src/client/session.js';
import { type Reach, TestCluster } from './support/cluster.js';

describe.each<Reach>(['local', 'tcp'])('producer over %s', (reach) => {
  let cluster: TestCluster;
  let session: Session;
  let producer: Producer;
  let admin: Admin;
  let pull: PullConsumer;

  beforeAll(async () => {
    cluster = await TestCluster.start(reach, { recallMessageEnable: true });
    session = await cluster.session();
    producer = new Producer({ session, group: 'P' });
    admin = new Admin(session);
    pull = new PullConsumer({ session, group: 'PULL' });
  });
  afterAll(() => cluster.stop());

  it('goes round the queues of a topic', async () => {
    await admin.createTopic('Round', { readQueueNums: 4, writeQueueNums: 4 });
    const queueIds = new Set<number>();
    for (let count = 0; count < 4; count += 1) {
      const result = await producer.send({ topic: 'Round', body: `m${count}` });
      expect(result.status).toBe('SEND_OK');
      expect(result.queueOffset).toBe(0);
      queueIds.add(result.queue.queueId);
    }
    expect([...queueIds].sort()).toEqual([0, 1, 2, 3]);
  });

  it('a topic that does not exist is made by the first send', async () => {
    const { queue } = await producer.send({ topic: 'Fresh', body: 'first' });
    expect(queue.queueId).toBeLessThan(4);
    expect(await admin.topicConfig('Fresh')).toMatchObject({ readQueueNums: 4, writeQueueNums: 4, perm: 6 });
    expect(await pull.fetchQueues('Fresh')).toHaveLength(4);
  });

  it('sends for a later time, and takes back what waits', async () => {
    const now = { topic: 'Timed', body: 'now' };
    expect((await producer.send(now)).recallHandle).toBeUndefined();
    const sent = await producer.send({ topic: 'Timed', body: 'later', delayMillis: 3600_000 });
    const other = await producer.send({ topic: 'Timed', body: 'at', deliverAtMillis: Date.now() + 3600_000 });
    expect(other.recallHandle).not.toBe(sent.recallHandle);
    const handle = sent.recallHandle ?? '';
    expect(await producer.recall('Timed', handle)).toBe(sent.msgId);
    await expect(producer.recall('Round', handle)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await expect(producer.recall('Timed', 'no handle')).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it('finds a message by key, by unique key and by place', async () => {
    const sent = await producer.send({
      topic: 'Found',
      body: 'here',
      keys: ['k1', 'k2'],
      tags: 'A',
      properties: { a: 'b' },
    });
    expect((await admin.queryMessages('Found', 'k2')).map(({ msgId }) => msgId)).toEqual([sent.msgId]);
    expect(await admin.queryMessages('Found', 'other')).toEqual([]);
    for (const id of [sent.msgId, sent.offsetMsgId]) {
      const found = await admin.viewMessage('Found', id);
      expect(found?.body.toString()).toBe('here');
      expect(found).toMatchObject({ tags: 'A', keys: ['k1', 'k2'], offsetMsgId: sent.offsetMsgId, msgId: sent.msgId });
      expect(found?.properties).toMatchObject({ a: 'b' });
    }
    expect(await admin.viewMessage('Found', 'F'.repeat(32))).toBeUndefined();
  });

  it('compresses a long body on the way and gives it back whole', async () => {
    const body = Buffer.from('long '.repeat(2000));
    const { queue, queueOffset } = await producer.send({ topic: 'Long', body });
    const { messages } = await pull.pull(queue, '*', queueOffset, 1);
    expect(messages[0]?.sizeBytes).toBeLessThan(1000);
    expect(messages[0]?.body.equals(body)).toBe(true);
    expect(messages[0]?.sysFlag).toBe(0x300);
  });

  it('a batch lies in one queue, in order', async () => {
    const bodies = ['a', 'b', 'c'];
    const result = await producer.sendBatch(bodies.map((body) => ({ topic: 'Batch', body, keys: [`key-${body}`] })));
    expect(result.msgId.split(',')).toHaveLength(3);
    expect(result.offsetMsgId.split(',')).toHaveLength(3);
    const { messages } = await pull.pull(result.queue, '*', result.queueOffset, 32);
    expect(messages.map(({ body }) => body.toString())).toEqual(bodies);
    expect(messages.map(({ msgId }) => msgId)).toEqual(result.msgId.split(','));
    expect(await admin.queryMessages('Batch', 'key-b')).toHaveLength(1);
  });

  it('a sharding key keeps to one queue, a given queue is kept', async () => {
    await admin.createTopic('Shard', { readQueueNums: 8, writeQueueNums: 8 });
    const results = [];
    for (let count = 0; count < 5; count += 1) {
      results.push(await producer.send({ topic: 'Shard', body: `${count}` }, { shardingKey: 'order-7' }));
    }
    expect(new Set(results.map(({ queue }) => queue.queueId)).size).toBe(1);
    expect(results.map(({ queueOffset }) => queueOffset)).toEqual([0, 1, 2, 3, 4]);
    const queue = { topic: 'Shard', brokerName: results[0]!.queue.brokerName, queueId: 6 };
    expect((await producer.send({ topic: 'Shard', body: 'x' }, { queue })).queue).toEqual(queue);
  });

  it('one-way sends arrive without an answer', async () => {
    await admin.createTopic('Oneway', { readQueueNums: 1, writeQueueNums: 1 });
    await producer.sendOneway({ topic: 'Oneway', body: 'gone', keys: ['ow'] });
    // The connection keeps order: a send after it is answered after it was stored.
    await producer.send({ topic: 'Oneway', body: 'after' });
    expect(await admin.queryMessages('Oneway', 'ow')).toHaveLength(1);
  });

  it('an unknown topic that may not be sent to is an error at once', async () => {
    await expect(producer.send({ topic: 'SCHEDULE_TOPIC_XXXX', body: 'x' })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
    });
  });

  it('pulls by queue and offset, filtered by tag text', async () => {
    await admin.createTopic('Pull', { readQueueNums: 1, writeQueueNums: 1 });
    for (let count = 0; count < 6; count += 1) {
      await producer.send({ topic: 'Pull', body: `${count}`, tags: count % 2 === 0 ? 'even' : 'odd' });
    }
    const [queue] = await pull.fetchQueues('Pull');
    const even = await pull.pull(queue!, 'even || none', 0, 32);
    expect(even.status).toBe('FOUND');
    expect(even.messages.map(({ body }) => body.toString())).toEqual(['0', '2', '4']);
    expect(even).toMatchObject({ nextBeginOffset: 6, minOffset: 0, maxOffset: 6 });
    expect((await pull.pull(queue!, 'none', 0, 32)).status).toBe('NO_MATCHED_MSG');
    expect(await pull.pull(queue!, '*', 6, 32)).toMatchObject({ status: 'NO_NEW_MSG', messages: [] });
    expect(await pull.pull(queue!, '*', 99, 32)).toMatchObject({ status: 'OFFSET_ILLEGAL', nextBeginOffset: 6 });
    const sql = await pull.pull(queue!, { expression: "TAGS = 'odd'", expressionType: 'SQL92' }, 0, 32);
    expect(sql.messages.map(({ body }) => body.toString())).toEqual(['1', '3', '5']);
  });

  it('a blocking pull answers when a message comes', async () => {
    await admin.createTopic('Block', { readQueueNums: 1, writeQueueNums: 1 });
    await producer.send({ topic: 'Block', body: 'before' });
    const [queue] = await pull.fetchQueues('Block');
    const waiting = pull.pullBlocking(queue!, '*', 1, 32);
    await producer.send({ topic: 'Block', body: 'late' });
    expect((await waiting).messages.map(({ body }) => body.toString())).toEqual(['late']);
  });

  it('tells offsets: lowest, highest, by time, recorded', async () => {
    await admin.createTopic('Offsets', { readQueueNums: 1, writeQueueNums: 1 });
    await producer.send({ topic: 'Offsets', body: '0' });
    const [queue] = await pull.fetchQueues('Offsets');
    const { messages } = await pull.pull(queue!, '*', 0, 1);
    const { storeTimestamp } = messages[0]!;
    expect([await pull.minOffset(queue!), await pull.maxOffset(queue!)]).toEqual([0, 1]);
    expect(await pull.offsetByTimestamp(queue!, storeTimestamp)).toBe(0);
    expect(await pull.offsetByTimestamp(queue!, storeTimestamp + 60_000)).toBe(1);
    expect(await admin.earliestStoreTime(queue!)).toBe(storeTimestamp);
    expect(await pull.committedOffset(queue!)).toBeUndefined();
    await pull.commitOffset(queue!, 1);
    expect(await pull.committedOffset(queue!)).toBe(1);
  });

  it('keeps configuration at the name server', async () => {
    await admin.putKvConfig('NS', 'key', 'value');
    expect(await admin.getKvConfig('NS', 'key')).toBe('value');
    expect(await admin.listKvConfig('NS')).toEqual(new Map([['key', 'value']]));
    await admin.deleteKvConfig('NS', 'key');
    expect(await admin.getKvConfig('NS', 'key')).toBeUndefined();
    expect(await admin.listKvConfig('nowhere')).toEqual(new Map());
  });

  it('a deleted topic is gone from broker and name server', async () => {
    await admin.createTopic('Gone', {});
    expect(await admin.topics()).toContain('Gone');
    await admin.deleteTopic('Gone');
    expect(await admin.topicRoute('Gone')).toBeUndefined();
    expect(await admin.topicConfig('Gone')).toBeUndefined();
  });

  it('a send fails clearly while the broker is away, and works again when it is back', async () => {
    await producer.send({ topic: 'Away', body: 'before', uniqueKey: 'U1' });
    // The route of a topic that a send created is learnt by the next send.
    await producer.send({ topic: 'Away', body: 'before, too' });
    await cluster.stopBroker();
    const startedAt = Date.now();
    await expect(producer.send({ topic: 'Away', body: 'lost' })).rejects.toThrow(/send \[3\] times.*Away.*broker-a/s);
    expect(Date.now() - startedAt).toBeLessThan(3500);
    await cluster.startBroker();
    expect((await producer.send({ topic: 'Away', body: 'after' })).status).toBe('SEND_OK');
    expect((await admin.viewMessage('Away', 'U1'))?.body.toString()).toBe('before');
  });

  it('after closing, a producer says so', async () => {
    const own = new Producer({ session, group: 'Closed' });
    await own.close();
    await expect(own.send({ topic: 'T', body: 'x' })).rejects.toMatchObject({ code: 'LIFECYCLE' });
  });
});
