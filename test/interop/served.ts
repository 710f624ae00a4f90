/**
 * What a broker serves of its directory, read over the wire: every record of every queue byte by byte, the bounds of the
 * queues, key queries, searches by time, consumer offsets. Two such readings are compared to show that nothing of what
 * one broker served is gone or changed at the next.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import type { MessageQueue, StoredMessage } from '../../src/protocol/message.js';
import { keysOf, PROPERTY } from '../../src/protocol/messageProperties.js';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { BENCHMARK_TOPIC, isSystemTopic } from '../../src/protocol/names.js';
import type { Running } from './site.js';

const PULL_SYS_FLAG_SUBSCRIPTION = 4;
export const BATCH_QUEUES = 'BatchCQ';
const READER = 'Readers-of-all';
const BROKER_NAME = 'broker-a';

export interface ServedRecord {
  bytes: Buffer;
  message: StoredMessage;
}

export interface ServedQueue {
  minOffset: number;
  maxOffset: number;
  /** By queue offset. */
  records: Map<number, ServedRecord>;
}

/** Queues by `topic/queueId`. */
export type Served = Map<string, ServedQueue>;

export const queueOf = (topic: string, queueId: number): MessageQueue => ({ topic, brokerName: BROKER_NAME, queueId });

/** Topics and queues of the directory that hold anything, as the names on disk say. */
export function queuesOnDisk(store: string): [topic: string, queueId: number][] {
  const root = path.join(store, 'consumequeue');
  if (!existsSync(root)) return [];
  return readdirSync(root).flatMap((topic) =>
    readdirSync(path.join(root, topic))
      .filter((name) => readdirSync(path.join(root, topic, name)).length > 0)
      .map((name): [string, number] => [topic, Number(name)]),
  );
}

export async function readServed(running: Running, store: string): Promise<Served> {
  const { session, brokerAddr } = running;
  const served: Served = new Map();
  // What lies on the disk of topics that no broker knows is what is left of deleted ones: nobody is served from it.
  for (const [topic, { attributes }] of await session.adminCalls.topicConfigs(brokerAddr)) {
    // The one has 1,024 queues and nothing in them; the others' entries stand for several messages each.
    if (topic === BENCHMARK_TOPIC || attributes['queue.type'] === BATCH_QUEUES) continue;
    const { offsetTable } = await session.adminCalls.topicStats(brokerAddr, topic);
    for (const [{ queueId }, { maxOffset }] of offsetTable) {
      if (maxOffset > 0) served.set(`${topic}/${queueId}`, await readQueue(running, topic, queueId));
    }
  }
  const light = new Set(queuesOnDisk(store).flatMap(([topic]) => (isLight(topic) ? [topic] : [])));
  for (const { properties } of messagesIn(served)) {
    if (properties[PROPERTY.INNER_MULTI_QUEUE_OFFSET] === undefined) continue;
    for (const topic of properties[PROPERTY.INNER_MULTI_DISPATCH]?.split(',') ?? [])
      if (isLight(topic)) light.add(topic);
  }
  for (const topic of light) served.set(`${topic}/0`, await readQueue(running, topic, 0));
  return served;
}

/** @param subscription tags of the records that are wanted */
export async function readQueue(
  { session, brokerAddr }: Running,
  topic: string,
  queueId: number,
  subscription = '*',
): Promise<ServedQueue> {
  const queue = queueOf(topic, queueId);
  const minOffset = await session.brokerCalls.minOffset(brokerAddr, queue);
  const maxOffset = await session.brokerCalls.maxOffset(brokerAddr, queue);
  const records = new Map<number, ServedRecord>();
  for (let offset = minOffset; offset < maxOffset; ) {
    const header = {
      consumerGroup: READER,
      topic,
      queueId,
      queueOffset: offset,
      maxMsgNums: 32,
      sysFlag: PULL_SYS_FLAG_SUBSCRIPTION,
      commitOffset: 0,
      suspendTimeoutMillis: 0,
      subscription,
      subVersion: 0,
      expressionType: 'TAG',
      bname: BROKER_NAME,
    };
    const answer = await session.brokerCalls.pull(brokerAddr, header, 15_000);
    if (answer.status === 'FOUND') {
      for (const bytes of recordsIn(answer.records)) {
        const message = decodeRecord(bytes);
        // It came while the queue was read.
        if (!isLight(topic) && message.queueOffset >= maxOffset) continue;
        records.set(isLight(topic) ? offset + records.size : message.queueOffset, { bytes, message });
      }
    }
    if (answer.nextBeginOffset <= offset) throw new Error(`${topic}/${queueId} ends at ${offset}: ${answer.status}`);
    offset = answer.nextBeginOffset;
  }
  return { minOffset, maxOffset, records };
}

const isLight = (topic: string) => topic.startsWith('%LMQ%');

function* recordsIn(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readInt32BE(at);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** Every queue is dense: an offset between its bounds without a record is a message that nobody gets. */
export function expectWhole(served: Served): void {
  for (const [name, { minOffset, maxOffset, records }] of served) {
    expect([name, [...records.keys()].sort((a, b) => a - b)]).toEqual([
      name,
      Array.from({ length: maxOffset - minOffset }, (_, n) => minOffset + n),
    ]);
  }
}

/** Everything that was served before is served now: same queues, offsets, bytes. */
export function expectServes(now: Served, before: Served): void {
  for (const [name, queue] of before) {
    const same = now.get(name);
    if (queue.maxOffset === 0) continue;
    expect([name, same?.minOffset]).toEqual([name, queue.minOffset]);
    expect([name, (same?.maxOffset ?? 0) >= queue.maxOffset]).toEqual([name, true]);
    for (const [offset, { bytes }] of queue.records) {
      const found = same?.records.get(offset)?.bytes;
      expect([name, offset, found?.toString('hex')]).toEqual([name, offset, bytes.toString('hex')]);
    }
  }
}

export const boundsOf = (served: Served): Record<string, [number, number]> =>
  Object.fromEntries([...served].map(([name, { minOffset, maxOffset }]) => [name, [minOffset, maxOffset]]));

/** Messages of applications, that is not of system topics. */
export function* messagesIn(served: Served): Generator<StoredMessage> {
  for (const [name, { records }] of served) {
    const topic = name.slice(0, name.lastIndexOf('/'));
    if (isSystemTopic(topic) || isLight(topic)) continue;
    for (const { message } of records.values()) yield message;
  }
}

export const bodiesIn = (served: Served, topic: string): string[] =>
  [...served]
    .filter(([name]) => name.slice(0, name.lastIndexOf('/')) === topic)
    .flatMap(([, { records }]) => [...records.values()].map(({ message }) => message.body.toString()));

/** Each message that a query by one of its keys does not return; keys with too many messages are left out. */
export async function missedByKey({ session, brokerAddr }: Running, served: Served): Promise<string[]> {
  const byKey = new Map<string, { topic: string; key: string; offsets: number[] }>();
  for (const { topic, properties, commitLogOffset } of messagesIn(served)) {
    const uniqueKey = properties[PROPERTY.UNIQ_KEY];
    for (const key of [...keysOf(properties), ...(uniqueKey === undefined ? [] : [uniqueKey])]) {
      const name = `${topic}#${key}`;
      const entry = byKey.get(name) ?? { topic, key, offsets: [] };
      entry.offsets.push(commitLogOffset);
      byKey.set(name, entry);
    }
  }
  const missed: string[] = [];
  for (const { topic, key, offsets } of byKey.values()) {
    if (offsets.length > 32) continue;
    const header = { topic, key, maxNum: 64, beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER };
    const found = await session.brokerCalls.queryMessage(brokerAddr, header, 15_000);
    const at = new Set(found.map(({ commitLogOffset }) => commitLogOffset));
    missed.push(...offsets.filter((offset) => !at.has(offset)).map((offset) => `${topic}#${key} at ${offset}`));
  }
  return missed;
}

/** Who asks for a tag is given the messages with it by the broker, and no others. */
export async function expectFoundByTag(running: Running, served: Served): Promise<void> {
  for (const [name, { records, maxOffset }] of served) {
    const at = name.lastIndexOf('/');
    const [topic, queueId] = [name.slice(0, at), Number(name.slice(at + 1))];
    if (isSystemTopic(topic) || isLight(topic)) continue;
    const tagged = [...records].flatMap(([offset, { message }]) => {
      const tag = message.properties[PROPERTY.TAGS];
      return tag === undefined ? [] : [{ offset, tag }];
    });
    for (const wanted of new Set(tagged.map(({ tag }) => tag))) {
      const found = [...(await readQueue(running, topic, queueId, wanted)).records.keys()];
      const expected = tagged.flatMap(({ offset, tag }) => (tag === wanted ? [offset] : []));
      expect([name, wanted, found.filter((offset) => offset < maxOffset)]).toEqual([name, wanted, expected]);
    }
  }
}

/** A search by the store time of each message finds the first message of its queue that is as old or younger. */
export async function expectFoundByTime({ session, brokerAddr }: Running, served: Served): Promise<void> {
  for (const [name, { records, maxOffset }] of served) {
    const at = name.lastIndexOf('/');
    const queue = queueOf(name.slice(0, at), Number(name.slice(at + 1)));
    if (isSystemTopic(queue.topic) || isLight(queue.topic) || records.size === 0) continue;
    const times = [...records].map(([offset, { message }]) => ({ offset, time: message.storeTimestamp }));
    const wanted = new Set(times.map(({ time }) => time));
    for (const time of wanted) {
      const expected = times.find((each) => each.time >= time)?.offset;
      const found = await session.brokerCalls.offsetByTimestamp(brokerAddr, queue, time);
      expect([name, time, found]).toEqual([name, time, expected]);
    }
    const last = Math.max(...wanted);
    expect(await session.brokerCalls.offsetByTimestamp(brokerAddr, queue, last + 1)).toBe(maxOffset);
  }
}
