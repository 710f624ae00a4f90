// Decodes every directory that Apache RocketMQ wrote and holds it against what another decoder read there.
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  dumpBatchConsumeQueue,
  dumpCheckpoint,
  dumpCommitLog,
  dumpConsumeQueue,
  dumpIndexEntries,
  dumpIndexFiles,
  dumpIndexHeader,
  dumpQueues,
} from '../../src/store/index.js';
import { expandStore, expectedOf, goldenStores, sizesOf } from '../support/goldenStore.js';

const address = (text: string) => {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
};

/** One spelling for all IPv6 addresses: eight groups without leading zeros. */
const spelled = (host: string) => {
  if (!host.includes(':')) return host;
  const [left = '', right] = host.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const tail = right === undefined ? [] : groups(right);
  const zeros = Array.from({ length: 8 - groups(left).length - tail.length }, () => '0');
  return [...groups(left), ...zeros, ...tail].map((group) => Number.parseInt(group, 16).toString(16)).join(':');
};

describe.each(Object.keys(goldenStores()))('the store %s of Apache RocketMQ 5.5.0', (name) => {
  const directory = expandStore(name);
  const expected = expectedOf(name);
  const sizes = sizesOf(name);
  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

  it('decodes to the expected records', () => {
    const found = [...dumpCommitLog(directory)];
    expect(found.map((record) => record.kind)).toEqual(expected.records.map((record) => record.type));
    for (const [index, record] of found.entries()) {
      const wanted = expected.records[index]!;
      if (record.kind === 'blank') {
        expect(record.sizeBytes).toBe(wanted.totalSize);
        continue;
      }
      if (record.kind !== 'message') throw new Error(record.reason);
      const { message } = record;
      expect(record.commitLogOffset).toBe(wanted.physicalOffset);
      expect(message).toMatchObject({
        topic: wanted.topic,
        queueId: wanted.queueId,
        queueOffset: wanted.queueOffset,
        commitLogOffset: wanted.physicalOffset,
        sizeBytes: wanted.totalSize,
        flag: wanted.flag,
        sysFlag: wanted.sysFlag,
        bornTimestamp: wanted.bornTimestamp,
        storeTimestamp: wanted.storeTimestamp,
        reconsumeTimes: wanted.reconsumeTimes,
        preparedTransactionOffset: wanted.preparedTransactionOffset,
        bodyCrc: wanted.bodyCrc,
        properties: wanted.properties,
      });
      expect(message.body.length).toBe(wanted.bodyLength);
      expect(spelled(message.bornHost.host)).toBe(spelled(address(wanted.bornHost).host));
      expect(message.bornHost.port).toBe(address(wanted.bornHost).port);
      expect(spelled(message.storeHost.host)).toBe(spelled(address(wanted.storeHost).host));
    }
  });

  it('ends in each file where expected', () => {
    const ends: Record<string, number> = {};
    for (const file of fs.readdirSync(path.join(directory, 'commitlog'))) ends[file] = 0;
    for (const record of dumpCommitLog(directory)) {
      const sizeBytes = record.kind === 'message' ? record.message.sizeBytes : 8;
      ends[record.file] = record.commitLogOffset - Number(record.file) + sizeBytes;
    }
    expect(ends).toEqual(expected.parseEndPerFile);
  });

  it('decodes to the expected queue entries', () => {
    let count = 0;
    for (const [file, entries] of Object.entries(expected.consumeQueues)) {
      const [kind, topic = '', queueId = ''] = file.split('/');
      count += 1;
      if (kind === 'batchconsumequeue') {
        const found = [...dumpBatchConsumeQueue(directory, topic, Number(queueId))];
        expect(found).toEqual(
          entries.map((entry) => ({
            queueOffset: entry.cqOffset,
            commitLogOffset: entry.phyOffset,
            sizeBytes: entry.size,
            tagsCode: entry.tagsCode,
            storeTimestamp: entry.storeTime,
            baseOffset: entry.msgBaseOffset,
            batchSize: entry.batchSize,
            compactedOffset: entry.compactedOffset,
          })),
        );
        continue;
      }
      expect([...dumpConsumeQueue(directory, topic, Number(queueId))]).toEqual(
        entries.map((entry) => ({
          queueOffset: entry.cqOffset,
          commitLogOffset: entry.phyOffset,
          sizeBytes: entry.size,
          tagsCode: entry.tagsCode,
        })),
      );
    }
    const simple = Object.keys(expected.consumeQueues).filter((file) => file.startsWith('consumequeue/'));
    const found = [...dumpQueues(directory)].flatMap(([topic, ids]) => ids.map((id) => `consumequeue/${topic}/${id}`));
    expect(found.sort()).toEqual(simple.map((file) => path.posix.dirname(file)).sort());
    expect(count).toBeGreaterThan(0);
  });

  it('decodes to the expected index headers and entries', () => {
    expect(dumpIndexFiles(directory)).toEqual(Object.keys(expected.indexes));
    for (const [file, { entries, ...header }] of Object.entries(expected.indexes)) {
      expect(dumpIndexHeader(directory, file)).toEqual(header);
      expect([...dumpIndexEntries(directory, file, sizes)]).toEqual(
        entries.map((entry) => ({
          number: entry.i,
          slot: entry.slot,
          keyHash: entry.keyHash,
          commitLogOffset: entry.phyOffset,
          timeDiffSeconds: entry.timeDiff,
          previous: entry.prev,
        })),
      );
    }
  });

  it('decodes to the expected checkpoint', () => {
    expect(dumpCheckpoint(directory)).toEqual(expected.checkpoint);
  });
});
