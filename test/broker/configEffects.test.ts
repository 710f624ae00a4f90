/**
 * Keys of broker.conf that set one thing, each seen to have its effect: the same steps with the key at two values.
 * Keys with rules of their own are tested where the rules are.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { diskFiles, type Files } from '../../src/base/files.js';
import { brokerLanes } from '../../src/broker/processors/table.js';
import type { BrokerConfig } from '../../src/config/brokerConfig.js';
import { defaultBrokerConfig, readBrokerConfig } from '../../src/config/brokerConfig.js';
import { decodeTopicConfig, decodeTopicConfigTable } from '../../src/protocol/bodies.js';
import { getAllTopicConfigHeader, getTopicConfigHeader } from '../../src/protocol/headers/admin.js';
import { getConsumerListByGroupHeader } from '../../src/protocol/headers/group.js';
import {
  emptyHeader,
  queryConsumerOffsetHeader,
  queryMessageHeader,
  updateConsumerOffsetHeader,
} from '../../src/protocol/headers/messaging.js';
import { parseLooseJson } from '../../src/protocol/looseJson.js';
import { encodeProperties } from '../../src/protocol/messageProperties.js';
import { REQUEST_CODE } from '../../src/protocol/requestCodes.js';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import type { RawClient } from '../support/rawClient.js';
import {
  bodiesOf,
  heartbeat,
  messagesOf,
  type Pulling,
  pull,
  send,
  startTestBroker,
  type TestBroker,
} from '../support/testBroker.js';
import { troubledFiles } from '../support/troubledFiles.js';
import { all, COMMIT, end, OP, prepared } from './transactions/transactionClient.js';

const settle = async () => {
  for (let turn = 0; turn < 40; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

async function withKeys(config: Partial<BrokerConfig>): Promise<TestBroker & { one: RawClient }> {
  const started = await startTestBroker({ config });
  return { ...started, one: started.client() };
}

/** Of the configuration directory; empty when it is not there. */
const fileOf = (directory: string, name: string): string => {
  try {
    return readFileSync(path.join(directory, 'config', name), 'utf8');
  } catch {
    return '';
  }
};

const commit = (client: RawClient, commitOffset: number) =>
  client.call(REQUEST_CODE.UPDATE_CONSUMER_OFFSET, updateConsumerOffsetHeader, {
    consumerGroup: 'G',
    topic: 'T',
    queueId: 0,
    commitOffset,
  });

describe('the store', () => {
  it('flushIntervalCommitLog is how often the log is synced under ASYNC_FLUSH', async () => {
    let syncs = 0;
    const files = {
      ...diskFiles,
      open: (...args: Parameters<typeof diskFiles.open>) => {
        const opened = diskFiles.open(...args);
        return {
          path: opened.path,
          size: () => opened.size(),
          read: (...read: Parameters<typeof opened.read>) => opened.read(...read),
          write: (...written: Parameters<typeof opened.write>) => opened.write(...written),
          truncate: (size: number) => opened.truncate(size),
          sync() {
            if (opened.path.includes('commitlog')) syncs += 1;
            return opened.sync();
          },
          syncNow: () => opened.syncNow(),
          close: () => opened.close(),
        };
      },
    };
    const { client, clock } = await startTestBroker({ files, config: { flushIntervalCommitLog: 40 } });
    const one = client();
    await settle();
    clock.advance(1000);
    await settle();
    syncs = 0;
    await send(one, { topic: 'T' });
    clock.advance(39);
    await settle();
    expect(syncs).toBe(0);
    clock.advance(1);
    await expect.poll(() => syncs).toBe(1);
  });

  it('syncFlushTimeout is how long a send waits for its sync', async () => {
    const files = troubledFiles();
    const config = { flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: 70 } as const;
    const { client, clock } = await startTestBroker({ files, config });
    const one = client();
    await send(one, { topic: 'T' });
    files.isSlow = true;
    const sent = send(one, { topic: 'T' });
    await settle();
    clock.advance(71);
    expect((await sent).code).toBe(RESPONSE_CODE.FLUSH_DISK_TIMEOUT);
    files.release();
  });

  it.each([
    [3, 3],
    [20, 8],
  ])('defaultQueryMaxNum %i bounds a query by unique key', async (defaultQueryMaxNum, found) => {
    const { one } = await withKeys({ defaultQueryMaxNum });
    for (let count = 0; count < 8; count += 1) await send(one, { topic: 'T', props: { UNIQ_KEY: 'K' } });
    const response = await one.call(REQUEST_CODE.QUERY_MESSAGE, queryMessageHeader, {
      topic: 'T',
      key: 'K',
      maxNum: 64,
      beginTimestamp: 0,
      endTimestamp: Number.MAX_SAFE_INTEGER,
      _UNIQUE_KEY_QUERY: 'true',
    });
    expect(messagesOf(response)).toHaveLength(found);
  });
});

describe('the index', () => {
  const FILES = 20;
  const ENTRIES = 100;

  it.each([
    [0, true],
    [67_108_864, false],
  ])('indexCacheBytes=%i: a second look-up reads the files again: %s', async (indexCacheBytes, isReadAgain) => {
    let reads = 0;
    const files: Files = {
      ...diskFiles,
      open(file, mode) {
        const opened = diskFiles.open(file, mode);
        if (!file.includes(`${path.sep}index${path.sep}`)) return opened;
        return {
          path: file,
          size: () => opened.size(),
          read(...args) {
            reads += 1;
            return opened.read(...args);
          },
          write: (...args) => opened.write(...args),
          truncate: (size) => opened.truncate(size),
          sync: () => opened.sync(),
          syncNow: () => opened.syncNow(),
          close: () => opened.close(),
        };
      },
    };
    // Each message has two entries; a look-up of the oldest key asks every file.
    const started = await startTestBroker({
      config: { indexCacheBytes, maxHashSlotNum: 1000, maxIndexNum: 100 },
      files,
    });
    const one = started.client();
    for (let n = 0; n < (FILES * ENTRIES) / 2; n += 1) {
      await send(one, { topic: 'T', body: 'x', properties: encodeProperties({ KEYS: `k${n}`, UNIQ_KEY: `u${n}` }) });
    }
    const found = async () => {
      const response = await one.call(REQUEST_CODE.QUERY_MESSAGE, queryMessageHeader, {
        topic: 'T',
        key: 'k7',
        maxNum: 1,
        beginTimestamp: 0,
        endTimestamp: Number.MAX_SAFE_INTEGER,
      });
      return messagesOf(response).length;
    };
    expect(await found()).toBe(1);
    reads = 0;
    expect(await found()).toBe(1);
    // Of the newest file something is read each time.
    expect(reads > FILES / 2).toBe(isReadAgain);
  });
});

describe('topics', () => {
  it.each([
    ['clusterTopicEnable', 'DefaultCluster'],
    ['brokerTopicEnable', 'broker-a'],
  ] as const)('%s lets topics be made after %s', async (key, topic) => {
    for (const isOn of [true, false]) {
      const { one } = await withKeys({ [key]: isOn });
      const config = await one.call(REQUEST_CODE.GET_TOPIC_CONFIG, getTopicConfigHeader, { topic });
      expect(decodeTopicConfig(config.body).perm).toBe(isOn ? 7 : 1);
    }
  });

  it('traceTopicEnable keeps a topic for traces, msgTraceTopicName names it', async () => {
    const topicsOf = async (config: Partial<BrokerConfig>) => {
      const { one } = await withKeys(config);
      const all = await one.call(REQUEST_CODE.GET_ALL_TOPIC_CONFIG, getAllTopicConfigHeader, {});
      return [...decodeTopicConfigTable(all.body).topicConfigTable.keys()];
    };
    expect(await topicsOf({})).not.toContain('RMQ_SYS_TRACE_TOPIC');
    expect(await topicsOf({ traceTopicEnable: true })).toContain('RMQ_SYS_TRACE_TOPIC');
    expect(await topicsOf({ traceTopicEnable: true, msgTraceTopicName: 'Traces' })).toContain('Traces');
  });

  it('traceOn and regionId are told to senders', async () => {
    const { one } = await withKeys({ traceOn: false, regionId: 'north' });
    expect((await send(one, { topic: 'T' })).extFields).toMatchObject({ TRACE_ON: 'false', MSG_REGION: 'north' });
    const { one: other } = await withKeys({});
    expect((await send(other, { topic: 'T' })).extFields).toMatchObject({
      TRACE_ON: 'true',
      MSG_REGION: 'DefaultRegion',
    });
  });
});

describe('pulls', () => {
  it('maxTransferCountOnMessageInMemory and maxTransferBytesOnMessageInMemory bound an answer', async () => {
    const answerOf = async (config: Partial<BrokerConfig>) => {
      const { one } = await withKeys(config);
      for (let count = 0; count < 5; count += 1) await send(one, { topic: 'T', body: 'x'.repeat(100) });
      return bodiesOf(await pull(one, { topic: 'T' })).length;
    };
    expect(await answerOf({})).toBe(5);
    expect(await answerOf({ maxTransferCountOnMessageInMemory: 2 })).toBe(2);
    expect(await answerOf({ maxTransferBytesOnMessageInMemory: 300 })).toBeLessThan(3);
  });

  it('maxTransferCountOnMessageInDisk and maxTransferBytesOnMessageInDisk bound it further for old messages', async () => {
    const answerOf = async (config: Partial<BrokerConfig>, pulling: Partial<Pulling> = {}) => {
      const { one } = await withKeys(config);
      for (let count = 0; count < 12; count += 1) await send(one, { topic: 'T', body: 'x'.repeat(100) });
      return bodiesOf(await pull(one, { topic: 'T', ...pulling })).length;
    };
    // The log's end is not old, however small the memory: with 0 percent all of it is.
    const old = { accessMessageInMemoryMaxRatio: 0 };
    expect(await answerOf({})).toBe(12);
    expect(await answerOf(old)).toBe(8);
    expect(await answerOf(old, { maxMsgNums: 3 })).toBe(3);
    expect(await answerOf({ ...old, maxTransferCountOnMessageInDisk: 10 })).toBe(10);
    expect(await answerOf({ ...old, maxTransferBytesOnMessageInDisk: 700 })).toBe(2);
    expect(await answerOf({ ...old, maxTransferBytesOnMessageInDisk: 1 })).toBe(1);
    expect(await answerOf({ maxTransferCountOnMessageInDisk: 2, maxTransferBytesOnMessageInDisk: 1 })).toBe(12);
  });

  it('shortPollingTimeMills is how long a pull is held without longPollingEnable', async () => {
    const { one, clock } = await withKeys({ longPollingEnable: false, shortPollingTimeMills: 200 });
    await send(one, { topic: 'T' });
    let isAnswered = false;
    const held = pull(one, { topic: 'T', queueOffset: 1, sysFlag: 6 }).then((response) => {
      isAnswered = true;
      return response;
    });
    await settle();
    clock.advance(100);
    await settle();
    expect(isAnswered).toBe(false);
    await clock.advanceInSteps(6000, 100);
    expect((await held).code).toBe(RESPONSE_CODE.PULL_NOT_FOUND);
  });

  it('rejectPullConsumerEnable refuses pulls of clients that send no heartbeat', async () => {
    const { one } = await withKeys({ rejectPullConsumerEnable: true });
    await send(one, { topic: 'T' });
    expect((await pull(one, { topic: 'T' })).code).toBe(RESPONSE_CODE.SUBSCRIPTION_NOT_EXIST);
    await heartbeat(one, { group: 'CG', topics: { T: '*' } });
    expect((await pull(one, { topic: 'T' })).code).toBe(0);
  });

  it.each([
    [40, 'the queue is young: nothing is recorded, and the group begins where the caller says'],
    [0, 'the queue is not young'],
  ])('accessMessageInMemoryMaxRatio %i: %s', async (accessMessageInMemoryMaxRatio) => {
    const { one } = await withKeys({ accessMessageInMemoryMaxRatio });
    await send(one, { topic: 'T' });
    await send(one, { topic: 'T' });
    const found = await one.call(REQUEST_CODE.QUERY_CONSUMER_OFFSET, queryConsumerOffsetHeader, {
      consumerGroup: 'New',
      topic: 'T',
      queueId: 0,
    });
    if (accessMessageInMemoryMaxRatio === 40) expect(found).toMatchObject({ code: 0, extFields: { offset: '0' } });
    else expect(found.code).toBe(RESPONSE_CODE.QUERY_NOT_FOUND);
  });
});

describe('progress', () => {
  it('flushConsumerOffsetInterval is how often consumer offsets are saved', async () => {
    const { one, clock, directory } = await withKeys({ flushConsumerOffsetInterval: 300 });
    await send(one, { topic: 'T' });
    await commit(one, 1);
    clock.advance(299);
    await settle();
    expect(fileOf(directory, 'consumerOffset.json')).not.toContain('T@G');
    clock.advance(1);
    await expect.poll(() => fileOf(directory, 'consumerOffset.json')).toContain('T@G');
  });

  it('flushDelayOffsetInterval is how often the progress of delay levels is saved', async () => {
    const { one, clock, directory } = await withKeys({ flushDelayOffsetInterval: 60_000, messageDelayLevel: '1s' });
    await send(one, { topic: 'T', props: { DELAY: '1' } });
    for (let passed = 0; passed < 30; passed += 1) {
      clock.advance(1000);
      await settle();
    }
    expect(bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['body']);
    expect(fileOf(directory, 'delayOffset.json')).not.toContain('1:1');
    clock.advance(30_000);
    await expect.poll(() => fileOf(directory, 'delayOffset.json')).toContain('1:1');
  });

  it('consumerOffsetUpdateVersionStep is how many commits raise the version of the offset table', async () => {
    const counterAfter = async (consumerOffsetUpdateVersionStep: number) => {
      const { one } = await withKeys({ consumerOffsetUpdateVersionStep });
      for (let sent = 0; sent < 4; sent += 1) await send(one, { topic: 'T' });
      for (let offset = 1; offset <= 4; offset += 1) await commit(one, offset);
      const { body } = await one.call(REQUEST_CODE.GET_ALL_CONSUMER_OFFSET, emptyHeader, {});
      return (parseLooseJson(body.toString()) as { dataVersion: { counter: number } }).dataVersion.counter;
    };
    const [each, every2nd] = [await counterAfter(1), await counterAfter(2)];
    expect(each - every2nd).toBe(2);
  });

  it('delayOffsetUpdateVersionStep is how many updates raise the version of the delay table', async () => {
    const counterAfter = async (delayOffsetUpdateVersionStep: number) => {
      const { one, clock } = await withKeys({ delayOffsetUpdateVersionStep, messageDelayLevel: '1s' });
      for (let sent = 0; sent < 4; sent += 1) {
        await send(one, { topic: 'T', props: { DELAY: '1' } });
        clock.advance(1500);
        await settle();
      }
      const { body } = await one.call(REQUEST_CODE.GET_ALL_DELAY_OFFSET, emptyHeader, {});
      return (parseLooseJson(body.toString()) as { dataVersion?: { counter: number } }).dataVersion?.counter ?? 0;
    };
    expect(await counterAfter(1)).toBeGreaterThan(await counterAfter(1000));
  });
});

describe('transactions', () => {
  it('transactionOpBatchInterval is how long ended ones wait to be noted together', async () => {
    const { one, clock } = await withKeys({ transactionOpBatchInterval: 500 });
    await end(one, await prepared(one, { bornTimestamp: clock.now() }), COMMIT);
    clock.advance(499);
    expect(await all(one, OP)).toEqual([]);
    clock.advance(1);
    expect(await all(one, OP)).toHaveLength(1);
  });
});

describe('messages with a delivery time', () => {
  it.each([
    [1000, 2000],
    [100, 2300],
  ])(
    'timerPrecisionMs %i: one that is asked for at 2350 ms comes at %i ms at the earliest',
    async (precision, earliest) => {
      const { one, clock } = await withKeys({ timerPrecisionMs: precision });
      const base = Math.ceil(clock.now() / 1000) * 1000;
      clock.advance(base - clock.now());
      await settle();
      await send(one, { topic: 'T', props: { TIMER_DELIVER_MS: String(base + 2350) } });
      let messages = messagesOf(await pull(one, { topic: 'T' }));
      while (messages.length === 0 && clock.now() < base + 10_000) {
        clock.advance(50);
        await settle();
        messages = messagesOf(await pull(one, { topic: 'T' }));
      }
      const came = (messages[0]?.storeTimestamp ?? 0) - base;
      expect(came).toBeGreaterThanOrEqual(earliest);
      expect(came).toBeLessThan(earliest + 2 * precision + 100);
    },
  );

  it('timerFlushIntervalMs is how often the files of the timer are saved', async () => {
    const savedAfter = async (timerFlushIntervalMs: number) => {
      const { one, clock, directory } = await withKeys({ timerFlushIntervalMs });
      const text = () => fileOf(directory, 'timercheck');
      await settle();
      const before = text();
      await send(one, { topic: 'T', props: { TIMER_DELAY_MS: '60000' } });
      return async () => {
        clock.advance(100);
        await settle();
        return text() !== before;
      };
    };
    // A save waits for the disk, not for the clock alone.
    await expect.poll(await savedAfter(200)).toBe(true);
    const isSaved = await savedAfter(60_000);
    for (let passed = 0; passed < 10_000; passed += 100) expect(await isSaved()).toBe(false);
  });
});

describe('clients', () => {
  const members = (client: RawClient) =>
    client.call(REQUEST_CODE.GET_CONSUMER_LIST_BY_GROUP, getConsumerListByGroupHeader, { consumerGroup: 'G' });

  it.each([
    [20_000, RESPONSE_CODE.SYSTEM_ERROR],
    [120_000, RESPONSE_CODE.SUCCESS],
  ])('channelExpiredTimeout %i: after 40 s of silence the member is asked for', async (channelExpiredTimeout, code) => {
    const { one, clock } = await withKeys({ channelExpiredTimeout });
    await heartbeat(one, { group: 'G', topics: { T: '*' } });
    for (let passed = 0; passed < 4; passed += 1) {
      clock.advance(10_000);
      await settle();
    }
    expect((await members(one)).code).toBe(code);
  });

  it.each([
    [60_000, false],
    [86_400_000, true],
  ])(
    'filterDataCleanTimeSpan %i: after 200 s the expression of a group that is gone is kept: %s',
    async (span, isKept) => {
      const { one, client, clock, directory } = await withKeys({ filterDataCleanTimeSpan: span });
      await send(one, { topic: 'T' });
      const member = client();
      await heartbeat(member, { group: 'CG', topics: { T: { sql: 'price > 1' } } });
      const saved = async () => {
        clock.advance(10_000);
        await settle();
        return fileOf(directory, 'consumerFilter.json');
      };
      await expect.poll(saved).toContain('price > 1');
      await member.close();
      for (let passed = 0; passed < 200_000; passed += 10_000) await saved();
      if (isKept) expect(await saved()).toContain('price > 1');
      else await expect.poll(saved).not.toContain('price > 1');
    },
  );

  it('serverChannelMaxIdleTimeSeconds is how long a connection may be silent', async () => {
    const { broker, clock } = await startTestBroker({
      listen: true,
      config: { listenPort: 0, serverChannelMaxIdleTimeSeconds: 2 },
    });
    const socket = connect(broker.address.port, broker.address.host);
    onTestFinished(() => void socket.destroy());
    let isClosed = false;
    socket.on('close', () => {
      isClosed = true;
    });
    socket.resume();
    await once(socket, 'connect');
    // The server sees the connection a turn or two later.
    while (!isClosed) {
      clock.advance(1000);
      await settle();
    }
    expect(isClosed).toBe(true);
  });

  it.each([
    ['litePullThreadPoolQueueCapacity', 'litePull'],
    ['replyThreadPoolQueueCapacity', 'reply'],
    ['queryThreadPoolQueueCapacity', 'query'],
    ['clientManagerThreadPoolQueueCapacity', 'client'],
    ['consumerManagerThreadPoolQueueCapacity', 'consumer'],
    ['heartbeatThreadPoolQueueCapacity', 'heartbeat'],
    ['adminBrokerThreadPoolQueueCapacity', 'admin'],
    ['loadBalanceThreadPoolQueueCapacity', 'loadBalance'],
  ] as const)('%s is the bound of the lane %s', (key, lane) => {
    const lanes = brokerLanes(defaultBrokerConfig({ [key]: 7 }));
    expect(lanes[lane]?.maxInFlight).toBe(7);
    expect(Object.values(lanes).filter(({ maxInFlight }) => maxInFlight === 7)).toHaveLength(1);
  });
});

describe('addresses', () => {
  it('brokerIP2 is brokerIP1 unless it is set', () => {
    const read = (text: string) => readBrokerConfig({ file: 'broker.conf', text }).config;
    expect(read('brokerIP1=10.0.0.1').brokerIP2).toBe('10.0.0.1');
    expect(read('brokerIP1=10.0.0.1\nbrokerIP2=10.0.0.2').brokerIP2).toBe('10.0.0.2');
  });
});
