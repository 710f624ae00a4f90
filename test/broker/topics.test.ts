// Many topics made at once share few saves, and each counts as made only once it is saved.
import { expect, it } from 'vitest';
import { silentLogger } from '../../src/base/logger.js';
import { PersistedTable } from '../../src/broker/persistedTable.js';
import { Topics } from '../../src/broker/topics.js';
import { defaultBrokerConfig } from '../../src/config/brokerConfig.js';
import { topicConfigOf } from '../../src/protocol/bodies.js';
import { parseLooseJson } from '../../src/protocol/looseJson.js';
import { FaultyFiles, type FileOperation } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';

const FILE = '/store/config/topics.json';

interface Saved {
  dataVersion: { counter: number };
  topicConfigTable: Record<string, { writeQueueNums: number }>;
}

function broker(files = new FaultyFiles()) {
  const announced: string[] = [];
  const topics = new Topics({
    config: defaultBrokerConfig({ storePathRootDir: '/store' }),
    delayLevelCount: 18,
    table: new PersistedTable({ file: FILE, files, logger: silentLogger }),
    clock: new ManualClock(),
    logger: silentLogger,
    announce: async (changed) => void announced.push(...changed.map(({ topicName }) => topicName)),
  });
  return { files, topics, announced };
}

/** What is left of the file after a power loss. */
function afterPowerLoss(files: FaultyFiles): Saved {
  const left = files.crash(() => 0);
  return parseLooseJson(left.readFile(FILE).toString()) as Saved;
}

const plain = (name: string, queues = 4) => topicConfigOf(name, { readQueueNums: queues, writeQueueNums: queues });

it('a thousand topics made at once cost two saves; each is durable when it is settled', async () => {
  const { files, topics, announced } = broker();
  const before = topics.dataVersion.counter;
  const names = Array.from({ length: 1_000 }, (_, index) => `Topic-${index}`);
  for (const name of names) expect(topics.forSend(name, 'TBW102', 4)?.topicName).toBe(name);
  await Promise.all(names.map((name) => topics.settled(name)));
  expect(topics.settled('Topic-0')).toBeUndefined();
  expect(announced).toEqual(expect.arrayContaining(names));
  expect(topics.dataVersion.counter).toBe(before + 2);
  const { dataVersion, topicConfigTable } = afterPowerLoss(files);
  expect(dataVersion.counter).toBe(before + 2);
  expect(Object.keys(topicConfigTable)).toEqual(expect.arrayContaining(names));
});

it('a topic is not settled before its save is on the device', async () => {
  const { files, topics } = broker();
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  files.beforeSync = (file) => (file.endsWith('topics.json.tmp') ? held : undefined);
  topics.create(plain('Slow'));
  expect(topics.get('Slow')?.writeQueueNums).toBe(4);
  let isSettled = false;
  const settled = topics.settled('Slow')?.then(() => {
    isSettled = true;
  });
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(isSettled).toBe(false);
  release();
  await settled;
  expect(afterPowerLoss(files).topicConfigTable).toHaveProperty('Slow');
});

it.each(['sync', 'rename'] as const)(
  'a failed %s takes back what it was to save, and nothing else',
  async (failing) => {
    const { files, topics, announced } = broker();
    topics.put(plain('Kept'));
    const failOnce = (operation: FileOperation) => {
      if (operation !== failing) return undefined;
      files.onChange = () => undefined;
      return { kind: 'FAIL', code: 'EIO' } as const;
    };
    files.onChange = failOnce;
    topics.create(plain('Failed'));
    topics.create(plain('Later'));
    const failed = topics.settled('Failed');
    const later = topics.settled('Later');
    await expect(failed).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await later;
    expect(['Kept', 'Failed', 'Later'].map((name) => topics.get(name) !== undefined)).toEqual([true, false, true]);
    expect(topics.settled('Failed')).toBeUndefined();
    expect(announced).not.toContain('Failed');
    // It can be made again.
    topics.create(plain('Failed', 2));
    await topics.settled('Failed');
    const { topicConfigTable } = afterPowerLoss(files);
    expect(topicConfigTable).toMatchObject({ Kept: {}, Failed: { writeQueueNums: 2 }, Later: {} });
  },
);

it('a change that is saved while topics are being saved is not undone by them', async () => {
  const { files, topics } = broker();
  topics.create(plain('First'));
  topics.create(plain('Second'));
  const settled = [topics.settled('First'), topics.settled('Second')];
  topics.put(plain('First', 8));
  const now = parseLooseJson(files.readFile(FILE).toString()) as Saved;
  expect(now.topicConfigTable).toMatchObject({
    First: { writeQueueNums: 8 },
    Second: { writeQueueNums: 4 },
  });
  topics.delete('Second');
  await Promise.all(settled);
  await topics.saved();
  const { dataVersion, topicConfigTable } = afterPowerLoss(files);
  expect(topicConfigTable).toMatchObject({ First: { writeQueueNums: 8 } });
  expect(topicConfigTable).not.toHaveProperty('Second');
  expect(dataVersion.counter).toBe(topics.dataVersion.counter);
});
