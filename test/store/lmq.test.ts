// Light queues (%LMQ%): fed at append when asked for, and rebuilt from what the records say of themselves.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { MessageStore, type MessageStoreOptions } from '../../src/store/index.js';
import { expandStore } from '../support/goldenStore.js';
import { message } from '../support/storeMessages.js';

const SIZES = {
  mappedFileSizeCommitLog: 65_536,
  mappedFileSizeConsumeQueue: 400,
  maxHashSlotNum: 101,
  maxIndexNum: 400,
};
const directories: string[] = [];
const opened: MessageStore[] = [];

function newDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-lmq-'));
  directories.push(directory);
  return directory;
}

async function open(directory: string, more: Partial<MessageStoreOptions> = {}) {
  const store = await MessageStore.open({ directory, ...SIZES, multiDispatch: true, ...more });
  opened.push(store);
  return store;
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const directory of directories.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
});

const to = (names: string, more: Parameters<typeof message>[0] = {}) =>
  message({ body: 'x', ...more, properties: { ...more.properties, INNER_MULTI_DISPATCH: names } });

async function appended(store: MessageStore, ...messages: ReturnType<typeof message>[]) {
  const outcome = store.append(messages);
  if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
  await outcome.turn.visible;
  return outcome.places;
}

/** Positions of a light queue's records, read as a consumer does. */
function positions(store: MessageStore, name: string): number[] {
  const { minOffset } = store.queueRange(name, 0);
  const read = store.readQueue(name, 0, minOffset, 1000, 1 << 20);
  return read.records.map((bytes) => decodeRecord(bytes).commitLogOffset);
}

const offsetsOf = (store: MessageStore, commitLogOffset: number) =>
  decodeRecord(store.readRecord(commitLogOffset)!).properties.INNER_MULTI_QUEUE_OFFSET;

describe('the store of a broker with enableLmq and enableMultiDispatch', () => {
  const file = (directory: string, name: string) => path.join(directory, 'consumequeue', name, '0', '0'.repeat(20));

  it.each([
    [
      'both missing',
      (directory: string) =>
        ['alpha', 'beta'].map((name) => path.dirname(path.dirname(file(directory, `%LMQ%${name}`)))),
    ],
    ['one missing', (directory: string) => [path.dirname(path.dirname(file(directory, '%LMQ%alpha')))]],
  ])('has its light queues back byte for byte: %s', async (_, lost) => {
    const directory = expandStore('lmq');
    const whole = expandStore('lmq');
    directories.push(directory, whole);
    for (const directoryLost of lost(directory)) fs.rmSync(directoryLost, { recursive: true });
    const store = await MessageStore.open({ directory });
    opened.push(store);
    expect(positions(store, '%LMQ%alpha')).toEqual([4401, 4727]);
    expect(positions(store, '%LMQ%beta')).toEqual([4401]);
    await store.close();
    for (const name of ['%LMQ%alpha', '%LMQ%beta']) {
      expect(fs.readFileSync(file(directory, name)).equals(fs.readFileSync(file(whole, name)))).toBe(true);
    }
  });

  it.each([
    ['short', Buffer.alloc(20), 20],
    ['wrong', Buffer.from([0, 0, 0, 0, 0, 0, 0, 9]), 0],
  ])('sets a light queue right that is %s', async (_, bytes, at) => {
    const directory = expandStore('lmq');
    directories.push(directory);
    const descriptor = fs.openSync(file(directory, '%LMQ%alpha'), 'r+');
    fs.writeSync(descriptor, bytes, 0, bytes.length, at);
    fs.closeSync(descriptor);
    const store = await MessageStore.open({ directory });
    opened.push(store);
    expect(positions(store, '%LMQ%alpha')).toEqual([4401, 4727]);
  });

  it('is gone on with: the next message takes the next offset in each', async () => {
    const directory = expandStore('lmq');
    directories.push(directory);
    const store = await MessageStore.open({ directory, multiDispatch: true });
    opened.push(store);
    const [place] = await appended(store, to('%LMQ%beta,%LMQ%alpha', { topic: 'FixTopic' }));
    expect(offsetsOf(store, place!.commitLogOffset)).toBe('1,2');
    expect(positions(store, '%LMQ%alpha')).toEqual([4401, 4727, place!.commitLogOffset]);
  });
});

describe('an append', () => {
  it('gives the offset in each light queue, dense, beside that in its own queue', async () => {
    const store = await open(newDirectory());
    const [first] = await appended(store, to('%LMQ%a,%LMQ%b', { properties: { TAGS: 'T' } }));
    const [second] = await appended(store, to('%LMQ%b'));
    expect([first!.queueOffset, second!.queueOffset]).toEqual([0, 1]);
    expect(offsetsOf(store, first!.commitLogOffset)).toBe('0,0');
    expect(offsetsOf(store, second!.commitLogOffset)).toBe('1');
    expect(positions(store, '%LMQ%a')).toEqual([first!.commitLogOffset]);
    expect(positions(store, '%LMQ%b')).toEqual([first!.commitLogOffset, second!.commitLogOffset]);
    const tagged = store.readQueue('%LMQ%b', 0, 0, 10, 1 << 20, { matchesTagsCode: (code) => code === 84 });
    expect(tagged.records).toHaveLength(1);
    expect(store.offsetByTime('%LMQ%b', 0, 0, 'LOWER')).toBe(0);
    expect(store.storeTimeAt('%LMQ%b', 0, 1)).toBeGreaterThan(0);
  });

  it('of a batch counts within the batch, and tells the listeners of every queue', async () => {
    const store = await open(newDirectory());
    const arrivals: string[] = [];
    store.onArrival(({ topic, queueOffset }) => void arrivals.push(`${topic}@${queueOffset}`));
    const places = await appended(store, to('%LMQ%a'), to('%LMQ%a,%LMQ%b'), to('%LMQ%a'));
    expect(places.map((place) => offsetsOf(store, place.commitLogOffset))).toEqual(['0', '1,0', '2']);
    expect(arrivals).toEqual(['Plain@0', '%LMQ%a@0', 'Plain@1', '%LMQ%a@1', '%LMQ%b@0', 'Plain@2', '%LMQ%a@2']);
  });

  it.each([
    ['a name without %LMQ% has no offset', 'Plain', '%LMQ%a,other', '0,', ['%LMQ%a']],
    ['a name that is a path is skipped', 'Plain', '%LMQ%../x,%LMQ%a', ',0', ['%LMQ%a']],
    ['a name too long for a file is skipped', 'Plain', `%LMQ%${'n'.repeat(260)},%LMQ%a`, ',0', ['%LMQ%a']],
    ['a name given twice counts once', 'Plain', '%LMQ%a,%LMQ%a', '0,', ['%LMQ%a']],
    ['no name at all', 'Plain', '%LMQ%', undefined, []],
    ['a retry topic feeds none', '%RETRY%g', '%LMQ%a', undefined, []],
    ['a dead-letter topic feeds none', '%DLQ%g', '%LMQ%a', undefined, []],
    ['a half message feeds none', 'RMQ_SYS_TRANS_HALF_TOPIC', '%LMQ%a', undefined, []],
    ['a delayed message feeds none before its time', 'SCHEDULE_TOPIC_XXXX', '%LMQ%a', undefined, []],
  ])('%s', async (_, topic, names, offsets, queues) => {
    const directory = newDirectory();
    const store = await open(directory);
    const [place] = await appended(store, to(names, { topic }));
    expect(offsetsOf(store, place!.commitLogOffset)).toBe(offsets);
    const light = [...store.queues().keys()].filter((name) => name.startsWith('%LMQ%'));
    expect(light).toEqual(queues);
    await store.close();
    // What the record says is what the queues are rebuilt from.
    fs.rmSync(path.join(directory, 'consumequeue'), { recursive: true });
    const again = await open(directory);
    expect([...again.queues().keys()].filter((name) => name.startsWith('%LMQ%'))).toEqual(queues);
  });

  it('is refused when the whole record of a light message is larger than maxMessageSize', async () => {
    const store = await open(newDirectory(), { maxMessageSize: 1000 });
    expect(store.append([to('%LMQ%a', { body: Buffer.alloc(990) })])).toMatchObject({ status: 'MESSAGE_ILLEGAL' });
    expect(store.append([message({ body: Buffer.alloc(990) })])).toMatchObject({ status: 'PUT_OK' });
    expect(store.queueRange('%LMQ%a', 0)).toEqual({ minOffset: 0, maxOffset: 0 });
  });

  it('leaves the property without effect when light queues are off, and takes out offsets that a sender made up', async () => {
    const directory = newDirectory();
    const store = await open(directory, { multiDispatch: false });
    const made = to('%LMQ%a', { properties: { INNER_MULTI_QUEUE_OFFSET: '7', color: 'red' } });
    const [place] = await appended(store, made);
    const { properties } = decodeRecord(store.readRecord(place!.commitLogOffset)!);
    expect(properties).toEqual({ INNER_MULTI_DISPATCH: '%LMQ%a', color: 'red' });
    expect([...store.queues().keys()]).toEqual(['Plain']);
    await store.close();
    fs.rmSync(path.join(directory, 'consumequeue'), { recursive: true });
    expect([...(await open(directory)).queues().keys()]).toEqual(['Plain']);
  });
});

describe('light queues after a restart', () => {
  it.each([
    [
      'all queues are gone',
      (directory: string) => fs.rmSync(path.join(directory, 'consumequeue'), { recursive: true }),
    ],
    ['one is gone', (directory: string) => fs.rmSync(path.join(directory, 'consumequeue/%LMQ%a'), { recursive: true })],
    [
      'a file in the middle is gone',
      (directory: string) => fs.rmSync(path.join(directory, 'consumequeue/%LMQ%a/0', String(400).padStart(20, '0'))),
    ],
    [
      'entries in the middle are zero',
      (directory: string) => {
        const descriptor = fs.openSync(path.join(directory, 'consumequeue/%LMQ%a/0', '0'.repeat(20)), 'r+');
        fs.writeSync(descriptor, Buffer.alloc(200), 0, 200, 100);
        fs.closeSync(descriptor);
      },
    ],
  ])('are whole and go on when %s', async (_, damage) => {
    const directory = newDirectory();
    const store = await open(directory);
    const expected: number[] = [];
    for (let number = 0; number < 50; number += 1) {
      const [place] = await appended(store, number % 2 ? to('%LMQ%b') : to('%LMQ%a,%LMQ%b', { queueId: number % 3 }));
      if (number % 2 === 0) expected.push(place!.commitLogOffset);
    }
    await store.close();
    damage(directory);
    const again = await open(directory);
    const found: number[] = [];
    for (let offset = 0; offset < 25; ) {
      const read = again.readQueue('%LMQ%a', 0, offset, 100, 1 << 20);
      found.push(...read.records.map((bytes) => decodeRecord(bytes).commitLogOffset));
      offset = read.nextBeginOffset;
    }
    expect(found).toEqual(expected);
    const [place] = await appended(again, to('%LMQ%a'));
    expect(offsetsOf(again, place!.commitLogOffset)).toBe('25');
  });
});
