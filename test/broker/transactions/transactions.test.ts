import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLooseJson } from '../../../src/protocol/looseJson.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import {
  appendEvents,
  bodiesOf,
  pull,
  recordingLogger,
  startTestBroker,
  temporaryDirectory,
} from '../../support/testBroker.js';
import {
  all,
  COMMIT,
  end,
  GIVEN_UP,
  HALF,
  type Half,
  joinGroup,
  OP,
  prepare,
  prepared,
  ROLLBACK,
  settle,
  textsOf,
} from './transactionClient.js';

const ROUND = 30_000;
/** A message is young to the broker as to its producer. */
const born = (clock: { now(): number }) => ({ bornTimestamp: clock.now() });

/** One round of checks, and what follows from it. */
const round = async (clock: { advance(millis: number): void }, millis = ROUND) => {
  clock.advance(millis);
  await settle();
};

describe('a transactional message', () => {
  it('check 71: is never delivered as a half; a commit makes it one visible record that names its half', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const half = await prepared(one, {
      topic: 'T',
      queueId: 2,
      body: 'paid',
      flag: 7,
      props: { UNIQ_KEY: 'U1', TAGS: 'A', KEYS: 'k' },
      ...born(clock),
    });
    expect(await all(one, 'T', 2)).toEqual([]);
    const [stored] = await all(one, HALF);
    expect(stored).toMatchObject({ queueId: 0, queueOffset: 0, sysFlag: 0, flag: 7, preparedTransactionOffset: 0 });
    expect(stored?.properties).toMatchObject({
      __transactionId__: 'U1',
      REAL_TOPIC: 'T',
      REAL_QID: '2',
      TRAN_MSG: 'true',
      PGROUP: 'TG',
    });
    expect((await end(one, half, COMMIT)).code).toBe(RESPONSE_CODE.SUCCESS);
    const [message, ...others] = await all(one, 'T', 2);
    expect(others).toEqual([]);
    expect(message).toMatchObject({
      topic: 'T',
      queueId: 2,
      flag: 7,
      sysFlag: 8,
      preparedTransactionOffset: half.commitLogOffset,
      bornTimestamp: stored?.bornTimestamp,
      bornHost: stored?.bornHost,
    });
    expect(message?.properties).toMatchObject({ TRAN_MSG: 'true', PGROUP: 'TG', __transactionId__: 'U1', TAGS: 'A' });
    expect(message?.properties).not.toHaveProperty('REAL_TOPIC');
    expect(message?.properties).not.toHaveProperty('REAL_QID');
    clock.advance(3000);
    expect(textsOf(await all(one, OP))).toEqual(['0,']);
  });

  it('check 71: is not delivered after a rollback, whatever comes later', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const half = await prepared(one, born(clock));
    expect((await end(one, half, ROLLBACK)).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(textsOf(await all(one, OP))).toEqual(['0,']);
    const late = await end(one, half, COMMIT);
    expect(late).toMatchObject({ code: RESPONSE_CODE.SYSTEM_ERROR });
    expect(late.remark).toContain('rolled back already');
    await round(clock);
    expect((await end(one, half, COMMIT)).remark).toContain('rolled back already');
    expect((await end(one, half, ROLLBACK)).code).toBe(RESPONSE_CODE.SUCCESS);
    expect(await all(one, 'T')).toEqual([]);
    expect(await all(one, HALF)).toHaveLength(1);
  });

  it('check 71: without an answer is asked about every 30 s, each time as a new half', async () => {
    const started = await startTestBroker();
    const { client, clock } = started;
    const one = client();
    const producer = await joinGroup(started);
    await prepared(one, { props: { UNIQ_KEY: 'U' }, queueId: 3, ...born(clock) });
    for (let check = 1; check <= 3; check += 1) {
      await round(clock);
      const copies = await all(one, HALF);
      expect(copies).toHaveLength(check + 1);
      const last = copies.at(-1)!;
      expect(last.properties['TRANSACTION_CHECK_TIMES']).toBe(String(check));
      expect(producer.questions).toHaveLength(check);
      const { half, topic, brokerName, message } = producer.questions.at(-1)!;
      expect(half).toMatchObject({
        commitLogOffset: last.commitLogOffset,
        queueOffset: check,
        transactionId: 'U',
      });
      expect({ topic, brokerName }).toEqual({ topic: 'T', brokerName: 'broker-a' });
      expect(message).toMatchObject({
        topic: 'T',
        queueId: 3,
        queueOffset: check,
        commitLogOffset: last.commitLogOffset,
        bornTimestamp: last.bornTimestamp,
        storeTimestamp: last.storeTimestamp,
        body: last.body,
      });
      expect(message.properties).toEqual({ ...last.properties, WAIT: 'false' });
    }
    // The answer to the last question ends it, and the first half as well.
    const [first] = producer.questions;
    const { half } = producer.questions.at(-1)!;
    expect((await end(one, half, COMMIT, { fromTransactionCheck: true })).code).toBe(RESPONSE_CODE.SUCCESS);
    expect((await end(one, first!.half, COMMIT, { fromTransactionCheck: true })).code).toBe(RESPONSE_CODE.SUCCESS);
    await round(clock);
    expect(await all(one, HALF)).toHaveLength(4);
    const messages = await all(one, 'T', 3);
    expect(messages.map((message) => message.preparedTransactionOffset)).toEqual([half.commitLogOffset]);
  });

  it('check 71: a clean stop asks nobody any more: no copy is made of which the answer could not be heard', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    await prepared(first.client(), born(first.clock));
    await round(first.clock);
    await first.stop();
    const second = await startTestBroker({ directory, clock: first.clock });
    expect(await all(second.client(), HALF)).toHaveLength(2);
  });

  it('ends once: what is repeated is answered alike and stores nothing', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const half = await prepared(one, born(clock));
    const answers = await Promise.all([end(one, half, COMMIT), end(one, half, COMMIT), end(one, half, ROLLBACK)]);
    expect(answers.map(({ code }) => code)).toEqual([0, 0, RESPONSE_CODE.SYSTEM_ERROR]);
    expect(answers[2]?.remark).toContain('committed already');
    expect((await end(one, half, COMMIT)).code).toBe(0);
    expect(await all(one, 'T')).toHaveLength(1);
    const other = await prepared(one, born(clock));
    const mixed = await Promise.all([end(one, other, ROLLBACK), end(one, other, COMMIT), end(one, other, ROLLBACK)]);
    expect(mixed.map(({ code }) => code)).toEqual([0, RESPONSE_CODE.SYSTEM_ERROR, 0]);
    expect(await all(one, 'T')).toHaveLength(1);
  });

  it('that is committed after it was put back counts for the copy, too', async () => {
    const started = await startTestBroker();
    const { client, clock } = started;
    const one = client();
    const producer = await joinGroup(started);
    const halves = [
      await prepared(one, { body: 'a', ...born(clock) }),
      await prepared(one, { body: 'b', ...born(clock) }),
    ];
    await round(clock);
    expect(producer.questions).toHaveLength(2);
    expect((await end(one, halves[0]!, COMMIT)).code).toBe(0);
    expect((await end(one, halves[1]!, ROLLBACK)).code).toBe(0);
    // The answers to the questions cross: each agrees or is refused, and nothing is stored twice.
    const commits = await Promise.all(producer.questions.map(({ half }) => end(one, half, COMMIT)));
    expect(commits.map(({ code }) => code)).toEqual([0, RESPONSE_CODE.SYSTEM_ERROR]);
    await round(clock);
    await round(clock);
    expect(producer.questions).toHaveLength(2);
    expect(textsOf(await all(one, 'T'))).toEqual(['a']);
    expect(await all(one, HALF)).toHaveLength(4);
  });

  it('that is too young is left alone, and nothing after it is looked at', async () => {
    const started = await startTestBroker();
    const { client, clock } = started;
    const one = client();
    const producer = await joinGroup(started);
    await prepared(one, { body: 'old', ...born(clock) });
    clock.advance(25_000);
    await prepared(one, { body: 'young', ...born(clock) });
    await round(clock, 5000);
    expect(producer.questions.map(({ message }) => message.body.toString())).toEqual(['old']);
    await round(clock);
    expect(producer.questions.map(({ message }) => message.body.toString())).toEqual(['old', 'young', 'old']);
  });

  it('whose producer has a clock that runs ahead ages from when it was stored', async () => {
    const started = await startTestBroker();
    const { client, clock } = started;
    const producer = await joinGroup(started);
    clock.advance(1000);
    await prepared(client(), { bornTimestamp: clock.now() + 3600_000 });
    await round(clock);
    expect(producer.questions).toHaveLength(1);
  });

  it('waits for its own time before it is asked about, and that does not count as a check', async () => {
    const started = await startTestBroker({ config: { transactionCheckMax: 2 } });
    const { client, clock } = started;
    const one = client();
    const producer = await joinGroup(started);
    const sending = { props: { CHECK_IMMUNITY_TIME_IN_SECONDS: '100' }, ...born(clock) };
    const half = await prepared(one, sending);
    await prepared(one, { body: 'other', ...born(clock) });
    await round(clock);
    // It does not hold up the one after it.
    expect(producer.questions.map(({ message }) => message.body.toString())).toEqual(['other']);
    const copy = (await all(one, HALF)).find(({ properties }) => 'TRAN_PREPARED_QUEUE_OFFSET' in properties);
    expect(copy?.properties).toMatchObject({ TRAN_PREPARED_QUEUE_OFFSET: '0' });
    expect(copy?.properties).not.toHaveProperty('TRANSACTION_CHECK_TIMES');
    await round(clock);
    await round(clock);
    const asked = () => producer.questions.filter(({ message }) => message.body.toString() === 'body').length;
    expect(asked()).toBe(0);
    await round(clock);
    expect(asked()).toBe(1);
    const copies = await all(one, HALF);
    expect(copies.at(-1)?.properties).toMatchObject({
      TRAN_PREPARED_QUEUE_OFFSET: '0',
      TRANSACTION_CHECK_TIMES: '1',
    });
    // Past its time an end that was not asked for is refused, one that was asked for is not.
    expect((await end(one, half, COMMIT)).code).toBe(RESPONSE_CODE.ILLEGAL_OPERATION);
    const question = producer.questions.find(({ message }) => message.body.toString() === 'body')!;
    expect((await end(one, question.half, COMMIT, { fromTransactionCheck: true })).code).toBe(0);
    expect(textsOf(await all(one, 'T'))).toEqual(['body']);
  });

  it('that nobody ends is given up after so many checks, kept for people, and may still be committed', async () => {
    const logger = recordingLogger();
    const started = await startTestBroker({ config: { transactionCheckMax: 2 }, logger });
    const { client, clock } = started;
    const one = client();
    const half = await prepared(one, { body: 'lost', props: { UNIQ_KEY: 'U9' }, queueId: 1, ...born(clock) });
    for (let check = 0; check < 4; check += 1) await round(clock);
    const kept = await all(one, GIVEN_UP);
    expect(textsOf(kept)).toEqual(['lost']);
    expect(kept[0]?.properties).toMatchObject({ REAL_TOPIC: 'T', REAL_QID: '1', TRANSACTION_CHECK_TIMES: '2' });
    expect(await all(one, HALF)).toHaveLength(3);
    expect(logger.lines.some((line) => line.startsWith('warn a transaction is given up'))).toBe(true);
    expect(logger.lines.filter((line) => line.includes('no producer of the group is there'))).toHaveLength(2);
    expect((await end(one, half, COMMIT)).code).toBe(0);
    expect((await end(one, half, COMMIT)).code).toBe(0);
    expect(textsOf(await all(one, 'T', 1))).toEqual(['lost']);
  });

  it('that is older than fileReservedTime is given up without a question', async () => {
    const started = await startTestBroker({ config: { fileReservedTime: 1 } });
    const { client, clock } = started;
    const producer = await joinGroup(started);
    await prepared(client(), { bornTimestamp: clock.now() - 3600_001 });
    await round(clock);
    expect(producer.questions).toEqual([]);
    expect(await all(client(), GIVEN_UP)).toHaveLength(1);
  });

  it('asks the live producers of its group in turn, and no others', async () => {
    const started = await startTestBroker();
    const { client, clock } = started;
    const [first, second, other] = [await joinGroup(started), await joinGroup(started), await joinGroup(started, 'OG')];
    for (let count = 0; count < 4; count += 1) await prepared(client(), born(clock));
    await round(clock);
    expect([first, second, other].map(({ questions }) => questions.length)).toEqual([2, 2, 0]);
    await first.close();
    // The broker hears of it as of the end of a connection.
    await settle();
    await round(clock);
    expect([first, second, other].map(({ questions }) => questions.length)).toEqual([2, 6, 0]);
  });

  it('with a delay waits its delay after the commit', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const half = await prepared(one, { props: { DELAY: '2' }, ...born(clock) });
    clock.advance(5000);
    expect((await end(one, half, COMMIT)).code).toBe(0);
    expect((await end(one, half, COMMIT)).code).toBe(0);
    clock.advance(4999);
    expect(await all(one, 'T')).toEqual([]);
    clock.advance(1);
    expect(await all(one, 'T')).toHaveLength(1);
    expect((await end(one, half, COMMIT)).code).toBe(0);
    await round(clock);
    expect(await all(one, 'T')).toHaveLength(1);
  });

  it('with a delivery time waits for it after the commit', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const half = await prepared(one, { props: { TIMER_DELAY_SEC: '5' }, ...born(clock) });
    clock.advance(5000);
    expect((await end(one, half, COMMIT)).code).toBe(0);
    await clock.advanceInSteps(3000, 500);
    expect(await all(one, 'T')).toEqual([]);
    await clock.advanceInSteps(5000, 500);
    expect(await all(one, 'T')).toHaveLength(1);
    expect((await end(one, half, COMMIT)).code).toBe(0);
    await clock.advanceInSteps(60_000, 500);
    expect(await all(one, 'T')).toHaveLength(1);
  });

  it('is redelivered and becomes a dead letter like any other message once it is committed', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    const half = await prepared(one, born(clock));
    await end(one, half, COMMIT);
    const [message] = await all(one, 'T');
    // Old clients send it to the retry topic with all its properties.
    const props = { ...message!.properties, DELAY: '3' };
    expect((await prepare(one, { topic: '%RETRY%CG', reconsumeTimes: 1, props, sysFlag: 8 })).code).toBe(0);
    const used = { ...message!.properties };
    expect((await prepare(one, { topic: '%RETRY%CG', reconsumeTimes: 99, props: used, sysFlag: 8 })).code).toBe(0);
    clock.advance(10_000);
    expect(await all(one, '%RETRY%CG')).toHaveLength(1);
    expect(await all(one, '%DLQ%CG')).toHaveLength(1);
    expect(await all(one, HALF)).toHaveLength(1);
  });

  it('is refused where the broker is told to, with a delay that cannot be, and where its copies would have no room', async () => {
    const { client } = await startTestBroker();
    const one = client();
    const timed = await prepare(one, { props: { TIMER_DELAY_SEC: 'soon' } });
    expect(timed).toMatchObject({ code: RESPONSE_CODE.MESSAGE_ILLEGAL });
    expect((await prepare(one, { props: { DELAY: 'soon' } })).code).toBe(RESPONSE_CODE.MESSAGE_ILLEGAL);
    expect((await prepare(one, { props: { K: 'v'.repeat(32_400) } })).remark).toContain('256 bytes more');
    expect(await all(one, HALF)).toEqual([]);
    const rejecting = await startTestBroker({ config: { rejectTransactionMessage: true } });
    const refused = await prepare(rejecting.client());
    expect(refused).toMatchObject({ code: RESPONSE_CODE.NO_PERMISSION });
    expect(refused.remark).toContain('rejectTransactionMessage');
  });

  it('for an event topic is refused when it is prepared; a topic for which one waits cannot become an event topic', async () => {
    const { client, clock } = await startTestBroker();
    const one = client();
    await appendEvents(one, { events: [{ keys: ['s'] }] });
    const refused = await prepare(one, { topic: 'Events' });
    expect(refused).toMatchObject({ code: RESPONSE_CODE.NO_PERMISSION });
    expect(refused.remark).toContain('event topic');
    const half = await prepared(one, { topic: 'Later', ...born(clock) });
    const mark = () => one.callRaw(17, { topic: 'Later', attributes: '+foldlog.events=true', ...CREATE });
    expect((await mark()).remark).toContain('whose transaction has not ended');
    await end(one, half, ROLLBACK);
    expect((await mark()).code).toBe(RESPONSE_CODE.SUCCESS);
  });
});

const CREATE = {
  defaultTopic: 'TBW102',
  readQueueNums: '4',
  writeQueueNums: '4',
  perm: '6',
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: '0',
  order: 'false',
};

describe('the note of ended transactions', () => {
  it('is written after the interval for all commits together, at once when it is long, and at once for a rollback', async () => {
    const { client, clock } = await startTestBroker({ config: { transactionOpMsgMaxSize: 8 } });
    const one = client();
    const halves: Half[] = [];
    for (let count = 0; count < 12; count += 1) halves.push(await prepared(one, born(clock)));
    const commit = async (from: number, to: number) => {
      for (const half of halves.slice(from, to)) await end(one, half, COMMIT);
    };
    await commit(0, 3);
    clock.advance(2999);
    expect(await all(one, OP)).toEqual([]);
    clock.advance(1);
    const [note] = await all(one, OP);
    expect(note).toMatchObject({
      queueId: 0,
      sysFlag: 0,
      bornHost: note?.storeHost,
      properties: { TAGS: 'd', WAIT: 'true' },
    });
    expect(Object.keys(note?.properties ?? {})).toEqual(['WAIT', 'TAGS']);
    await commit(3, 8);
    expect(textsOf(await all(one, OP))).toEqual(['0,1,2,', '3,4,5,6,7,']);
    await commit(8, 9);
    await Promise.all([end(one, halves[9]!, ROLLBACK), end(one, halves[10]!, ROLLBACK)]);
    expect(textsOf(await all(one, OP))).toEqual(['0,1,2,', '3,4,5,6,7,', '8,9,10,']);
  });

  it('costs no timer while every transaction has ended, and a round makes the progress known', async () => {
    const directory = temporaryDirectory();
    const { client, clock, stop } = await startTestBroker({ directory });
    const one = client();
    await prepare(one, { topic: 'T', props: { TRAN_MSG: 'false' }, sysFlag: 0 });
    await clock.advanceInSteps(60_000, 1000);
    const idle = clock.pendingCount;
    const half = await prepared(one, born(clock));
    await settle();
    expect(clock.pendingCount).toBeGreaterThan(idle);
    await end(one, half, COMMIT);
    await clock.advanceInSteps(90_000, 1000);
    expect(clock.pendingCount).toBe(idle);
    await stop();
    expect(clock.pendingCount).toBe(0);
    const table = parseLooseJson(readFileSync(path.join(directory, 'config', 'consumerOffset.json'), 'utf8'));
    expect(table).toMatchObject({
      groupTopicMap: { CID_RMQ_SYS_TRANS: [HALF, OP] },
      offsetTable: { [`${HALF}@CID_RMQ_SYS_TRANS`]: { 0: 1 }, [`${OP}@CID_RMQ_SYS_TRANS`]: { 0: 1 } },
    });
    expect(bodiesOf(await pull((await startTestBroker({ directory, clock })).client(), { topic: 'T' }))).toHaveLength(
      2,
    );
  });
});

describe('transactions over a restart', () => {
  it('go on: what had ended stays ended, what had not is asked about', async () => {
    const directory = temporaryDirectory();
    const first = await startTestBroker({ directory });
    const one = first.client();
    const halves: Half[] = [];
    for (const body of ['a', 'b', 'c']) halves.push(await prepared(one, { body, ...born(first.clock) }));
    await end(one, halves[0]!, COMMIT);
    await end(one, halves[2]!, ROLLBACK);
    await first.stop();
    const second = await startTestBroker({ directory, clock: first.clock });
    const { clock } = second;
    const producer = await joinGroup(second);
    const two = second.client();
    await round(clock);
    await round(clock);
    expect(producer.questions.map(({ message }) => message.body.toString())).toEqual(['b', 'b']);
    expect((await end(two, halves[0]!, COMMIT)).code).toBe(0);
    expect((await end(two, halves[2]!, COMMIT)).remark).toContain('rolled back already');
    expect((await end(two, halves[0]!, ROLLBACK)).remark).toContain('committed already');
    expect((await end(two, halves[1]!, COMMIT)).code).toBe(0);
    expect(textsOf(await all(two, 'T'))).toEqual(['a', 'b']);
    await round(clock);
    await round(clock);
    expect(producer.questions).toHaveLength(2);
  });
});
