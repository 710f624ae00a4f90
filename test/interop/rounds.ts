/**
 * One round of work on a broker, foldlog's or a real one, that leaves something of everything in the directory: queues,
 * batches, keys, tags, compressed bodies, retries, dead letters, offsets, a deleted topic, and what waits: delayed
 * messages, timer messages, a transaction that nobody ended. What waits for seconds is due when the next broker runs.
 */
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { Admin } from '../../src/client/admin.js';
import { Producer } from '../../src/client/producer.js';
import { PullConsumer } from '../../src/client/pullConsumer.js';
import { PushConsumer } from '../../src/client/pushConsumer.js';
import { type LocalTransactionState, TransactionProducer } from '../../src/client/transactionProducer.js';
import { queueOf } from './served.js';
import type { Running } from './site.js';

const HOUR = 3_600_000;
/** Level 2 is 5 s, level 18 is 2 h. */
const LEVEL_SOON = 2;
const LEVEL_LATE = 18;
const MILLIS_SOON = 5_000;
/** What is due is given so long; a pull waits 20 s. */
const OWED_MILLIS = 35_000;
export const READERS = 'Readers';
const WORKERS = 'Workers';
const TRANSACTORS = 'Transactors';

/** What a later broker owes: bodies that must appear in topics. */
export interface Owed {
  topic: string;
  body: string;
}

export interface Round {
  owed: Owed[];
  /** Bodies that wait for hours: delivered by nobody here. */
  late: Owed[];
  /** Offset of the group {@link READERS} in each queue of `Plain`. */
  offsets: number[];
}

export async function workRound({ session, brokerAddr }: Running, name: string): Promise<Round> {
  const admin = new Admin(session);
  const topics = { Plain: 2, Batches: 1, Delayed: 1, Timed: 1, Transacted: 1, Failing: 1, [`Gone-${name}`]: 1 };
  for (const [topic, queues] of Object.entries(topics)) {
    await admin.createTopic(topic, { readQueueNums: queues, writeQueueNums: queues });
  }
  const producer = new Producer({ session, group: 'Writers', sendMsgTimeoutMillis: 15_000 });
  const send = async (message: Parameters<Producer['send']>[0], queueId = 0) => {
    const result = await producer.send(message, { queue: queueOf(message.topic, queueId) });
    expect(result.status).toBe('SEND_OK');
  };

  // About 100 KiB: more than one segment of the small ones.
  for (let n = 0; n < 40; n += 1) {
    await send(
      {
        topic: 'Plain',
        body: `${name} plain ${n} ${randomBytes(1200).toString('hex')}`,
        tags: n % 2 ? 'odd' : 'even',
        keys: [`${name}-${n}`, `shared-${n % 4}`],
        properties: { round: name, 'with blank': 'grün = #1', empty: '-' },
        flag: n,
      },
      n % 2,
    );
  }
  // Bodies above 4 KiB travel and lie compressed.
  const big = `${name} big `.padEnd(20_000, 'all alike ');
  await send({ topic: 'Plain', body: big, keys: [`big-${name}`] });
  const batch = Array.from({ length: 5 }, (_, n) => ({
    topic: 'Batches',
    body: `${name} batch ${n}`,
    keys: [`b${n}`],
  }));
  expect((await producer.sendBatch(batch)).status).toBe('SEND_OK');

  const owed: Owed[] = [];
  const late: Owed[] = [];
  await send({ topic: 'Delayed', body: `${name} soon`, delayLevel: LEVEL_SOON, keys: ['soon'] });
  owed.push({ topic: 'Delayed', body: `${name} soon` });
  await send({ topic: 'Delayed', body: `${name} late`, delayLevel: LEVEL_LATE });
  late.push({ topic: 'Delayed', body: `${name} late` });
  await send({
    topic: 'Timed',
    body: `${name} soon`,
    deliverAtMillis: session.clock.now() + MILLIS_SOON,
    keys: ['soon'],
  });
  owed.push({ topic: 'Timed', body: `${name} soon` });
  // One within the wheel's window of two days, one that is stored again on the way.
  for (const hours of [5, 60]) {
    await send({
      topic: 'Timed',
      body: `${name} in ${hours} hours`,
      deliverAtMillis: session.clock.now() + hours * HOUR,
    });
    late.push({ topic: 'Timed', body: `${name} in ${hours} hours` });
  }

  const outcomes: Record<string, LocalTransactionState> = { commit: 'COMMIT_MESSAGE', rollback: 'ROLLBACK_MESSAGE' };
  const transactions = new TransactionProducer({
    session,
    group: TRANSACTORS,
    sendMsgTimeoutMillis: 15_000,
    listener: {
      executeLocalTransaction: (message) => outcomes[String(message.body).split(' ')[1] ?? ''] ?? 'UNKNOW',
      checkLocalTransaction: () => 'UNKNOW',
    },
  });
  for (const what of ['commit', 'rollback', 'open'])
    await transactions.send({ topic: 'Transacted', body: `${name} ${what}` });
  await transactions.close();
  owed.push({ topic: 'Transacted', body: `${name} open` });
  late.push({ topic: 'Transacted', body: `${name} rollback` });

  for (const what of ['again', 'hopeless']) await send({ topic: 'Failing', body: `${name} ${what}` });
  await failBoth(session, name);
  owed.push({ topic: `%RETRY%${WORKERS}`, body: `${name} again` });

  await admin.createSubscriptionGroup(READERS);
  const readers = new PullConsumer({ session, group: READERS });
  const offsets: number[] = [];
  for (const queueId of [0, 1]) {
    const queue = queueOf('Plain', queueId);
    const offset = (await readers.maxOffset(queue)) - 7;
    await session.brokerCalls.updateConsumerOffset(brokerAddr, READERS, queue, offset);
    expect(await readers.committedOffset(queue)).toBe(offset);
    offsets.push(offset);
  }

  await send({ topic: `Gone-${name}`, body: 'gone' });
  await admin.deleteTopic(`Gone-${name}`);
  await producer.close();
  return { owed, late, offsets };
}

/** A consumer that sends one message back for later and gives the other one up. */
async function failBoth(session: Running['session'], name: string): Promise<void> {
  const seen = new Set<string>();
  let isDone = () => {};
  const done = new Promise<void>((resolve) => {
    isDone = resolve;
  });
  const consumer = new PushConsumer(session, {
    group: WORKERS,
    subscriptions: [{ topic: 'Failing' }],
    from: 'CONSUME_FROM_FIRST_OFFSET',
    async listener([message]) {
      const body = String(message?.body);
      if (!body.startsWith(name)) return { status: 'SUCCESS' };
      seen.add(body);
      if (seen.size === 2) isDone();
      return body.endsWith('again')
        ? { status: 'RETRY_LATER', delayLevel: LEVEL_SOON }
        : { status: 'DEAD_LETTER', reason: 'hopeless' };
    },
  });
  await consumer.start();
  await done;
  await consumer.stop();
}

/** Waits until all of it is there; checks of open transactions are answered with a commit. */
export async function receiveOwed({ session }: Running, owed: readonly Owed[]): Promise<void> {
  const transactions = new TransactionProducer({
    session,
    group: TRANSACTORS,
    topics: ['Transacted'],
    listener: {
      executeLocalTransaction: () => 'UNKNOW',
      // After a kill the broker may ask once more about one that had ended.
      checkLocalTransaction: ({ body }) =>
        body.toString().endsWith('rollback') ? 'ROLLBACK_MESSAGE' : 'COMMIT_MESSAGE',
    },
  });
  const topics = new Set(owed.map(({ topic }) => topic));
  await Promise.all(
    [...topics].map(async (topic) => {
      const waited = new Set(owed.filter((each) => each.topic === topic).map(({ body }) => body));
      const puller = new PullConsumer({ session, group: 'Waiting' });
      const giveUpAt = session.clock.monotonic() + OWED_MILLIS;
      for (let offset = await puller.minOffset(queueOf(topic, 0)); waited.size > 0; ) {
        if (session.clock.monotonic() > giveUpAt) throw new Error(`${topic} never got ${[...waited].join(', ')}`);
        const pulled = await puller.pullBlocking(queueOf(topic, 0), '*', offset, 32);
        for (const { body } of pulled.messages) waited.delete(body.toString());
        offset = pulled.nextBeginOffset;
      }
    }),
  );
  await transactions.close();
}

/** A message that a broker acknowledged. */
export interface Acknowledged {
  topic: string;
  queueId: number;
  queueOffset: number;
  body: string;
}

export interface Load {
  acknowledged: Acknowledged[];
  /** Resolves when so many were acknowledged. */
  reached(count: number): Promise<void>;
  /** Resolves when the broker is gone and nothing is under way. */
  over: Promise<unknown>;
}

const LOAD_SENDERS = 8;

/** Sends as fast as it goes until the broker is gone. */
export async function startLoad({ session }: Running, name: string): Promise<Load> {
  await new Admin(session).createTopic('Load', { readQueueNums: 2, writeQueueNums: 2 });
  const producer = new Producer({ session, group: 'Load', retryTimesWhenSendFailed: 0 });
  const acknowledged: Acknowledged[] = [];
  const looks = new Set<() => void>();
  let count = 0;
  const send = async (): Promise<void> => {
    for (;;) {
      count += 1;
      const body = `${name} load ${count}`;
      const queueId = count % 2;
      const { status, queueOffset } = await producer.send({ topic: 'Load', body }, { queue: queueOf('Load', queueId) });
      if (status === 'SEND_OK') acknowledged.push({ topic: 'Load', queueId, queueOffset, body });
      for (const look of looks) look();
    }
  };
  const over = Promise.allSettled(Array.from({ length: LOAD_SENDERS }, send));
  const reached = (wanted: number) =>
    new Promise<void>((resolve, reject) => {
      void over.then((ends) => reject(new Error(`no send went through any more: ${JSON.stringify(ends)}`)));
      const look = () => {
        if (acknowledged.length < wanted) return;
        looks.delete(look);
        resolve();
      };
      looks.add(look);
      look();
    });
  return { acknowledged, reached, over };
}
