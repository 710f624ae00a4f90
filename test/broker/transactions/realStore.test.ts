// What a real RocketMQ 5.5.0 wrote of transactions (test/golden/store/default): our records have the same bytes, and a
// broker goes on where the other one stopped.
import { closeSync, mkdirSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { committed, putBack, realPlaceOf } from '../../../src/broker/transactions/halfMessages.js';
import { decodeOps, encodeOps } from '../../../src/broker/transactions/opMessages.js';
import type { StoredMessage } from '../../../src/protocol/message.js';
import { decodeRecord, encodeRecord } from '../../../src/protocol/messageRecord.js';
import { RESPONSE_CODE } from '../../../src/protocol/responseCodes.js';
import type { MessageToStore } from '../../../src/store/index.js';
import { expandStore, expectedOf } from '../../support/goldenStore.js';
import { ManualClock } from '../../support/manualClock.js';
import { send, startTestBroker } from '../../support/testBroker.js';
import { all, COMMIT, end, HALF, type Half, joinGroup, OP, settle, textsOf } from './transactionClient.js';

const REAL_SIZES = {
  mappedFileSizeCommitLog: 1_073_741_824,
  mappedFileSizeConsumeQueue: 6_000_000,
  maxHashSlotNum: 5_000_000,
  maxIndexNum: 20_000_000,
};

function realStore(name = 'default'): string {
  const directory = expandStore(name);
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function bytesAt(directory: string, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const file = openSync(path.join(directory, 'commitlog', '00000000000000000000'), 'r');
  readSync(file, bytes, 0, length, at);
  closeSync(file);
  return bytes;
}

/** The record that the store would write for the message at the other's place and time. */
function recordAt(message: MessageToStore, place: StoredMessage): Buffer {
  const bytes = Buffer.alloc(place.sizeBytes);
  const { queueOffset, commitLogOffset, storeTimestamp } = place;
  const storeHost = message.storeHost!;
  const fields = { ...message, queueOffset, commitLogOffset, storeTimestamp, storeHost };
  expect(encodeRecord(bytes, 0, { ...fields, properties: message.propertiesText })).toBe(place.sizeBytes);
  return bytes;
}

const records = expectedOf('default').records.filter(({ type }) => type === 'message');
const halves = records.filter(({ topic }) => topic === HALF);

describe('records of transactions', () => {
  const directory = expandStore('default');
  const read = ({ at, totalSize }: { at: number; totalSize: number }) => bytesAt(directory, at, totalSize);
  const message = (record: { at: number; totalSize: number }) => decodeRecord(read(record));

  it('a committed message has the bytes that RocketMQ wrote', () => {
    const [half] = halves;
    const real = records.find(({ preparedTransactionOffset }) => preparedTransactionOffset === half!.at)!;
    const ours = committed(message(half!), realPlaceOf(message(half!))!);
    expect(recordAt(ours, message(real)).equals(read(real))).toBe(true);
  });

  it('so has each copy that is put back', () => {
    const copies = halves.filter(({ properties }) => 'TRANSACTION_CHECK_TIMES' in properties);
    expect(copies).toHaveLength(4);
    let half = message(halves[2]!);
    for (const [index, copy] of copies.entries()) {
      const ours = putBack(half, realPlaceOf(half)!, { checkTimes: index + 1 });
      expect(recordAt(ours, message(copy)).equals(read(copy))).toBe(true);
      half = message(copy);
    }
    rmSync(directory, { recursive: true, force: true });
  });

  it('notes of ended transactions are read in both forms and written in the newer', () => {
    const op = records.find(({ topic }) => topic === OP)!;
    expect(encodeOps([0, 1]).toString()).toBe(op.bodyText);
    expect(decodeOps(Buffer.from('0,1,'))).toEqual([0, 1]);
    expect(decodeOps(Buffer.from('12345'))).toEqual([12345]);
    expect(decodeOps(Buffer.from(',x,-1,7,,99999999999999999999,'))).toEqual([7]);
  });
});

describe('a broker on a directory of a real one', () => {
  const open = async (directory: string) => {
    // Some time after the newest record.
    const clock = new ManualClock(Math.max(...records.map(({ storeTimestamp }) => storeTimestamp)) + 60_000);
    const started = await startTestBroker({ directory, clock, config: { ...REAL_SIZES, brokerName: 'fix' } });
    const producer = await joinGroup(started, 'FixTxProducer');
    const one = started.client();
    // The fixture has no topics.json: the topic is made again.
    await send(one, { topic: 'FixTopic', queueId: 0 });
    return { ...started, one, producer };
  };

  const recordProgress = (directory: string, offsetTable: string) => {
    mkdirSync(path.join(directory, 'config'), { recursive: true });
    writeFileSync(
      path.join(directory, 'config', 'consumerOffset.json'),
      `{"dataVersion":{"counter":0,"stateVersion":0,"timestamp":1795424605443},"offsetTable":${offsetTable}}`,
    );
  };

  const halfOf = ({ at, queueOffset, properties }: (typeof halves)[number]): Half => ({
    commitLogOffset: at,
    queueOffset,
    transactionId: properties['UNIQ_KEY']!,
    group: 'FixTxProducer',
  });

  it.each(['default', 'default-running'])(
    '%s: asks about the one transaction that is open, from the progress on',
    async (name) => {
      const directory = realStore(name);
      recordProgress(directory, `{"${HALF}@CID_RMQ_SYS_TRANS":{0:5},"${OP}@CID_RMQ_SYS_TRANS":{0:1}}`);
      const { one, clock, producer } = await open(directory);
      clock.advance(30_000);
      await settle();
      expect(producer.questions.map(({ message }) => message.body.toString())).toEqual(['tx-UNKNOW']);
      const before = Number(producer.questions[0]!.message.properties['TRANSACTION_CHECK_TIMES']);
      expect(before).toBe(name === 'default' ? 5 : 4);
      const count = (await all(one, 'FixTopic', 1)).length;
      expect((await end(one, producer.questions[0]!.half, COMMIT, { fromTransactionCheck: true })).code).toBe(0);
      const messages = await all(one, 'FixTopic', 1);
      expect(messages).toHaveLength(count + 1);
      expect(messages.at(-1)?.body.toString()).toBe('tx-UNKNOW');
    },
  );

  it('without its progress finds from the log which have ended', async () => {
    const { one, clock, producer } = await open(realStore());
    clock.advance(30_000);
    await settle();
    expect(producer.questions).toHaveLength(1);
    expect(await all(one, HALF)).toHaveLength(halves.length + 1);
    clock.advance(3000);
    const noted = textsOf(await all(one, OP));
    expect(noted[0]).toBe('0,1,');
    const count = (await all(one, 'FixTopic', 1)).length;
    expect(count).toBe(8);
    // Ends of a time before are known: the commit is repeated, the rolled back one stays so.
    expect((await end(one, halfOf(halves[0]!), COMMIT)).code).toBe(0);
    const rolledBack = await end(one, halfOf(halves[1]!), COMMIT);
    expect(rolledBack.code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
    expect(rolledBack.remark).toContain('rolled back already');
    expect(await all(one, 'FixTopic', 1)).toHaveLength(count);
  });
});
