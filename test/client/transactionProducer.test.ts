/** A producer of transactional messages against foldlog's own broker: what it tells, and what it is asked. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../src/client/clientTypes.js';
import { PullConsumer } from '../../src/client/pullConsumer.js';
import type { Session } from '../../src/client/session.js';
import {
  type LocalTransactionState,
  type TransactionListener,
  TransactionProducer,
} from '../../src/client/transactionProducer.js';
import { type Reach, TestCluster } from './support/cluster.js';

describe.each<Reach>(['local', 'tcp'])('a transaction producer over %s', (reach) => {
  let cluster: TestCluster;
  let session: Session;
  let pull: PullConsumer;
  const producers: TransactionProducer[] = [];

  beforeAll(async () => {
    // Short times of the machine's clock: the producer is asked at once.
    cluster = await TestCluster.start(reach, { transactionCheckInterval: 20, transactionTimeOut: 1 });
    session = await cluster.session();
    pull = new PullConsumer({ session, group: 'PULL' });
  });
  afterEach(async () => {
    await Promise.all(producers.splice(0).map((producer) => producer.close()));
  });
  afterAll(() => cluster.stop());

  const open = (
    group: string,
    listener: Partial<TransactionListener>,
    own: Session = session,
    topics: string[] = [],
  ) => {
    const producer = new TransactionProducer({
      session: own,
      group,
      topics,
      listener: {
        executeLocalTransaction: () => 'UNKNOW',
        checkLocalTransaction: () => 'UNKNOW',
        ...listener,
      },
    });
    producers.push(producer);
    return producer;
  };

  const bodies = async (topic: string): Promise<string[]> => {
    const found: string[] = [];
    for (const queue of await pull.fetchQueues(topic)) {
      const page = await pull.pull(queue, '*', 0, 32);
      found.push(...page.messages.map(({ body }) => body.toString()));
    }
    return found.sort();
  };

  it('tells the broker what the local transaction said', async () => {
    const seen: unknown[] = [];
    const states: Record<string, LocalTransactionState> = { yes: 'COMMIT_MESSAGE', no: 'ROLLBACK_MESSAGE' };
    const producer = open(`TG1-${reach}`, {
      executeLocalTransaction(message, { transactionId, argument }) {
        seen.push([message.body, transactionId, argument]);
        return states[String(message.body)] ?? 'UNKNOW';
      },
    });
    const yes = await producer.send({ topic: 'Told', body: 'yes', tags: 'A', uniqueKey: 'K1' }, { argument: 7 });
    expect(yes).toMatchObject({
      status: 'SEND_OK',
      msgId: 'K1',
      transactionId: 'K1',
      localTransactionState: 'COMMIT_MESSAGE',
      outcome: 'COMMITTED',
    });
    const no = await producer.send({ topic: 'Told', body: 'no' });
    expect(no).toMatchObject({ localTransactionState: 'ROLLBACK_MESSAGE', outcome: 'ROLLED_BACK' });
    expect(seen).toEqual([
      ['yes', 'K1', 7],
      ['no', no.transactionId, undefined],
    ]);
    expect(await bodies('Told')).toEqual(['yes']);
  });

  it('is asked until it knows, and what threw is unknown', async () => {
    const checked: ReceivedMessage[] = [];
    const failure = new Error('database is away');
    const producer = open(`TG2-${reach}`, {
      executeLocalTransaction: () => Promise.reject(failure),
      checkLocalTransaction(message) {
        checked.push(message);
        if (checked.length === 1) throw failure;
        return checked.length === 2 ? 'UNKNOW' : 'COMMIT_MESSAGE';
      },
    });
    const body = 'x'.repeat(5000);
    const sent = await producer.send({ topic: 'Asked', body, keys: ['order-1'], properties: { a: 'b' } });
    expect(sent).toMatchObject({ localTransactionState: 'UNKNOW', outcome: 'UNKNOWN', localError: failure });
    await expect.poll(() => bodies('Asked'), { timeout: 5000 }).toEqual([body]);
    expect(checked).toHaveLength(3);
    expect(checked[0]).toMatchObject({
      topic: 'Asked',
      originalTopic: 'Asked',
      msgId: sent.transactionId,
      keys: ['order-1'],
      queueId: sent.queue.queueId,
      brokerName: sent.queue.brokerName,
    });
    expect(checked[0]?.properties).toMatchObject({ a: 'b', TRANSACTION_CHECK_TIMES: '1' });
    expect(checked[0]?.body.toString()).toBe(body);
  });

  it('another process of the group is asked when the sender is gone', async () => {
    const group = `TG3-${reach}`;
    const gone = await cluster.session();
    const first = open(group, {}, gone);
    await first.send({ topic: 'Left', body: 'behind' });
    await gone.close();
    const other = await cluster.session();
    open(group, { checkLocalTransaction: () => 'COMMIT_MESSAGE' }, other, ['Left']);
    await expect.poll(() => bodies('Left'), { timeout: 5000 }).toEqual(['behind']);
  });

  it('sends nothing after it was closed, and a session has one of a group', async () => {
    const group = `TG4-${reach}`;
    const producer = open(group, {});
    expect(() => open(group, {})).toThrow(/has a transaction producer in session/);
    await producer.close();
    await expect(producer.send({ topic: 'T', body: 'x' })).rejects.toMatchObject({ code: 'LIFECYCLE' });
    await open(group, {}).close();
    expect(() => open('bad group', {})).toThrow(/cannot be used/);
    expect(() => open('bad group', {})).toThrow(/cannot be used/);
  });

  it('runs no local transaction for a message that was not stored', async () => {
    let isRun = false;
    const producer = open(`TG5-${reach}`, {
      executeLocalTransaction() {
        isRun = true;
        return 'COMMIT_MESSAGE';
      },
    });
    await expect(producer.send({ topic: 'T', body: '' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await expect(producer.send({ topic: 'T', body: 'x', properties: { TRAN_MSG: 'true' } })).rejects.toThrow(
      /reserved/,
    );
    expect(isRun).toBe(false);
  });
});
