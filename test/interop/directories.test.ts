/**
 * Store directories go both ways: one that foldlog wrote is opened by a real Apache RocketMQ 5.5.0, one that it wrote by
 * foldlog, after clean stops and after kill -9 under load, and back again (journey.ts). Likewise every fixture store, a
 * store with light queues, and one that was repaired.
 *
 * Two real brokers run at a time at most. INTEROP_FULL=1 takes every fixture store instead of a choice, and both ways to
 * their ends: what one of them shows of each change of brokers, the other shows again on a directory of the other origin.
 */
import { closeSync, cpSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { Admin } from '../../src/client/admin.js';
import { Producer } from '../../src/client/producer.js';
import { encodeProperties } from '../../src/protocol/messageProperties.js';
import { isRemovedMessage } from '../../src/protocol/removedMessage.js';
import { verifyStore } from '../../src/store/index.js';
import { repairStore } from '../../src/store/offline/repair.js';
import { expandStore, goldenStores } from '../support/goldenStore.js';
import { readFiles, sizesOf } from './directoryFiles.js';
import { sendBetweenEvents } from './eventRounds.js';
import { Journey } from './journey.js';
import { whyNoJava } from './realRocketMq.js';
import {
  expectFoundByTag,
  expectFoundByTime,
  expectServes,
  expectWhole,
  messagesIn,
  missedByKey,
  queueOf,
  queuesOnDisk,
  readServed,
  type Served,
} from './served.js';
import { PROMPT, type Running, type SharedKeys, Site, SMALL_FILES } from './site.js';

const reason = whyNoJava();
const IS_FULL = process.env['INTEROP_FULL'] !== undefined;
const KEYS = { ...SMALL_FILES, ...PROMPT };

type OpenSite = (keys: SharedKeys, store?: string) => Promise<Site>;

/** Sites that the body opens are removed at its end. */
const check = (title: string, body: (open: OpenSite) => Promise<void>) =>
  it.concurrent(title, { timeout: 300_000 }, async (context) => {
    if (reason) context.skip(reason);
    const sites: Site[] = [];
    try {
      await body(async (keys, store) => {
        const site = await Site.open(keys, store);
        sites.push(site);
        return site;
      });
    } finally {
      for (const site of sites) await site.remove();
    }
  });

/** Queues of topics that were deleted at the real broker: it removes them, and the log says what was in them. */
const DELETED = /^consumequeue\/Gone-/;
/** A killed broker has not written the headers of its newest index file. */
const DELETED_OR_INDEX = /^consumequeue\/Gone-|^index/;

check(
  'check 73: a directory of foldlog goes to Apache RocketMQ and back, after clean stops and after kill -9 of both',
  async (open) => {
    const site = await open(KEYS);
    const journey = new Journey(site, KEYS);
    await journey.visit('a', () => site.foldlog(), 'STOP');
    journey.expectVerified(undefined);
    await journey.visit(
      'b',
      () => site.apache(),
      'STOP',
      async (running) => {
        await sendBetweenEvents(running);
        await expectRefused(site);
      },
    );
    journey.expectVerified(DELETED);
    await journey.visit('c', () => site.foldlogProcess(), 'KILL');
    journey.expectVerified(undefined);
    await journey.visit('d', () => site.apache(), 'KILL', sendBetweenEvents);
    journey.expectVerified(DELETED_OR_INDEX);
    await journey.visit('e', () => site.foldlog(), 'STOP');
    journey.expectVerified(undefined);
    if (IS_FULL) await journey.arrive(() => site.apache());
  },
);

/** While a real broker runs on the directory, foldlog takes no hand to it. */
async function expectRefused(site: Site): Promise<void> {
  const before = readFiles(site.store, 'foldlog');
  const command = site.startCommand();
  expect(await command.exited).toBe(1);
  expect(command.errors.at(-1)).toMatch(
    /the store in \S+ is in use by an Apache RocketMQ broker, process \d+: stop it first/,
  );
  expect(readFiles(site.store, 'foldlog')).toEqual(before);
}

check(
  'check 74: a directory of Apache RocketMQ goes to foldlog and back, after kill -9 and after a clean stop',
  async (open) => {
    const site = await open(KEYS);
    const journey = new Journey(site, KEYS);
    await journey.visit('a', () => site.apache(), 'KILL');
    journey.expectVerified(DELETED_OR_INDEX);
    await journey.visit('b', () => site.foldlog(), 'STOP');
    journey.expectVerified(undefined);
    if (IS_FULL) {
      await journey.visit('c', () => site.apache(), 'STOP', sendBetweenEvents);
      journey.expectVerified(DELETED);
      await journey.visit('d', () => site.foldlogProcess(), 'KILL');
      journey.expectVerified(undefined);
    }
    await journey.arrive(() => site.apache());
  },
);

const fixtures = Object.entries(goldenStores());
const chosen = ['default-running', 'small-crash'];
for (const [name, { nonDefaultConfig }] of fixtures) {
  // The one has a test of its own; a real broker starts on the other only with its topics.json, which is not there.
  if (name === 'lmq' || name === 'crc-ext-bcq' || (!IS_FULL && !chosen.includes(name))) continue;
  check(`check 74: fixture ${name} is served by foldlog, and with what it added by Apache RocketMQ`, async (open) => {
    const site = await open(nonDefaultConfig as SharedKeys, expandStore(name));
    const added = await onFoldlog(site, nonDefaultConfig as SharedKeys, addMessages);
    const running = await site.apache();
    await expectServedWhole(running, site, added);
    await addMessages(running);
  });
}

/** foldlog opens the directory, adds to it and stops; returns what it served last. */
async function onFoldlog(site: Site, keys: SharedKeys, add: (running: Running) => Promise<void>): Promise<Served> {
  const running = await site.foldlog();
  await knowTopics(running, site);
  await expectServedWhole(running, site, new Map());
  await add(running);
  const served = await readServed(running, site.store);
  await running.stop();
  expect(verifyStore(site.store, sizesOf(keys)).problems).toEqual([]);
  return served;
}

/** Fixtures without topics.json have queues whose topics no broker knows. */
async function knowTopics({ session, brokerAddr }: Running, site: Site): Promise<void> {
  const known = await session.adminCalls.topicConfigs(brokerAddr);
  for (const [topic, queueId] of queuesOnDisk(site.store)) {
    if (known.has(topic) || topic.startsWith('%LMQ%')) continue;
    const queues = Math.max(queueId + 1, 2);
    await new Admin(session).createTopic(topic, { readQueueNums: queues, writeQueueNums: queues });
  }
}

async function expectServedWhole(running: Running, site: Site, before: Served): Promise<void> {
  const served = await readServed(running, site.store);
  expect([...messagesIn(served)].length).toBeGreaterThan(0);
  expectServes(served, before);
  expectWhole(served);
  await expectFoundByTime(running, served);
  await expectFoundByTag(running, served);
  expect(await missedByKey(running, served)).toEqual([]);
}

async function addMessages({ session }: Running): Promise<void> {
  await new Admin(session).createTopic('Added', { readQueueNums: 1, writeQueueNums: 1 });
  const producer = new Producer({ session, group: 'Adders', sendMsgTimeoutMillis: 15_000 });
  for (let n = 0; n < 10; n += 1) {
    const { status } = await producer.send({ topic: 'Added', body: `added ${n}`, keys: [`added-${n}`], tags: 'added' });
    expect(status).toBe('SEND_OK');
  }
  await producer.close();
}

const lightKeys = { ...goldenStores()['lmq']?.nonDefaultConfig, ...PROMPT } as SharedKeys;
const LIGHT = '%LMQ%interop';
const LIGHT_GROUP = '%LMQ%readers';

/** A message into a light queue, and the offset of a group there. */
async function addLight({ session, brokerAddr }: Running): Promise<number> {
  await new Admin(session).createTopic('Added', { readQueueNums: 1, writeQueueNums: 1 });
  const properties = encodeProperties({ INNER_MULTI_DISPATCH: LIGHT, UNIQ_KEY: session.nextUniqueKey() });
  const header = { producerGroup: 'Adders', topic: 'Added', defaultTopic: 'TBW102', defaultTopicQueueNums: 4 };
  const rest = { queueId: 0, sysFlag: 0, bornTimestamp: session.clock.now(), flag: 0, reconsumeTimes: 0 };
  await session.brokerCalls.send(brokerAddr, { ...header, ...rest, properties }, Buffer.from('light'), 15_000);
  const end = await session.brokerCalls.maxOffset(brokerAddr, queueOf(LIGHT, 0));
  await session.brokerCalls.updateConsumerOffset(brokerAddr, LIGHT_GROUP, queueOf(LIGHT, 0), end);
  return end;
}

check('check 74: light queues keep their messages, and their groups their offsets, at both', async (open) => {
  const site = await open(lightKeys, expandStore('lmq'));
  let end = 0;
  const served = await onFoldlog(site, lightKeys, async (running) => {
    await addMessages(running);
    await addLight(running);
    end = await addLight(running);
  });
  expect(end).toBe(2);
  const apache = await site.apache();
  expect(served.get(`${LIGHT}/0`)?.maxOffset).toBe(2);
  await expectServedWhole(apache, site, served);
  const offsetAt = ({ session, brokerAddr }: Running) =>
    session.brokerCalls.consumerOffset(brokerAddr, LIGHT_GROUP, queueOf(LIGHT, 0));
  expect(await offsetAt(apache)).toBe(2);
  expect(await addLight(apache)).toBe(3);
  const there = await readServed(apache, site.store);
  await apache.stop();
  const back = await site.foldlog();
  await expectServedWhole(back, site, there);
  expect(await offsetAt(back)).toBe(3);
});

check('check 73: a directory that was repaired is served by Apache RocketMQ but for what was lost', async (open) => {
  const origin = await open(KEYS);
  const journey = new Journey(origin, KEYS);
  await journey.visit('a', () => origin.foldlog(), 'STOP');
  const copies = mkdtempSync(path.join(tmpdir(), 'foldlog-repaired-'));
  cpSync(origin.store, path.join(copies, 'store'), { recursive: true });
  const site = await open(KEYS, path.join(copies, 'store'));
  rmSync(copies, { recursive: true });
  const lost = [...messagesIn(journey.served)].filter(({ topic }) => topic === 'Plain')[5];
  if (!lost) throw new Error('no message to lose');
  damage(site.store, lost.commitLogOffset + 200);
  const report = await repairStore(site.store, sizesOf(KEYS));
  expect(report).toMatchObject({ status: 'REPAIRED', holes: [{ from: lost.commitLogOffset, messageCount: 1 }] });
  const running = await site.apache();
  const served = await readServed(running, site.store);
  const queue = `Plain/${lost.queueId}`;
  const stood = served.get(queue)?.records.get(lost.queueOffset)?.message;
  expect(stood && isRemovedMessage(stood)).toBe(true);
  journey.served.get(queue)?.records.delete(lost.queueOffset);
  expectServes(served, journey.served);
  expectWhole(served);
  expect(await missedByKey(running, journey.served)).toEqual([]);
});

/** Overwrites some bytes of the log, as a bad disk would. */
function damage(store: string, position: number): void {
  const names = readdirSync(path.join(store, 'commitlog')).sort();
  const name = names.findLast((each) => Number(each) <= position) ?? '';
  const file = openSync(path.join(store, 'commitlog', name), 'r+');
  writeSync(file, Buffer.alloc(16, 0xff), 0, 16, position - Number(name));
  closeSync(file);
}
