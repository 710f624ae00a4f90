// Queues of a broker with enableConsumeQueueExt: the tagsCode of an entry is an address, and what lies there counts.
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { tagsCodeOf } from '../../src/protocol/javaHash.js';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { MessageStore } from '../../src/store/index.js';
import { expandStore, sizesOf } from '../support/goldenStore.js';
import { message } from '../support/storeMessages.js';

const directories: string[] = [];
const opened: MessageStore[] = [];

async function openCopy(damage: (directory: string) => void = () => {}) {
  const directory = expandStore('crc-ext-bcq');
  directories.push(directory);
  damage(directory);
  const store = await MessageStore.open({ directory, ...sizesOf('crc-ext-bcq') });
  opened.push(store);
  return store;
}

const EXT = 'consumequeue_ext/FixTopicC/0/00000000000000000000';

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const directory of directories.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
});

/** Tags of all messages whose entry the hash filter lets pass. */
function tagsPassing(store: MessageStore, tag: string): string[] {
  const code = tagsCodeOf(tag);
  const found: string[] = [];
  for (let offset = 0; offset < store.queueRange('FixTopicC', 0).maxOffset; ) {
    const read = store.readQueue('FixTopicC', 0, offset, 100, 1 << 20, { matchesTagsCode: (other) => other === code });
    found.push(...read.records.map((bytes) => decodeRecord(bytes).properties.TAGS ?? ''));
    offset = read.nextBeginOffset;
  }
  return found;
}

describe('a queue with an extension', () => {
  it('is filtered by the tags codes that its addresses lead to', async () => {
    const store = await openCopy();
    for (const tag of ['T0', 'T1', 'T2', 'T3']) expect(tagsPassing(store, tag)).toEqual(Array(10).fill(tag));
    expect(tagsPassing(store, 'TagV6')).toEqual(['TagV6']);
    expect(tagsPassing(store, 'none')).toEqual([]);
  });

  it('lets an entry pass whose unit is missing: the client filters', async () => {
    const all = 42;
    const without = await openCopy((directory) =>
      fs.rmSync(path.join(directory, 'consumequeue_ext'), { recursive: true }),
    );
    expect(tagsPassing(without, 'T0')).toHaveLength(all);
    const cut = await openCopy((directory) => fs.truncateSync(path.join(directory, EXT), 0));
    expect(tagsPassing(cut, 'T0')).toHaveLength(all);
    const zero = await openCopy((directory) => fs.writeFileSync(path.join(directory, EXT), Buffer.alloc(4096)));
    expect(tagsPassing(zero, 'T0')).toHaveLength(all);
  });

  it('keeps its addresses through recovery, and takes entries with plain tags codes behind them', async () => {
    const store = await openCopy();
    store.append([message({ topic: 'FixTopicC', properties: { TAGS: 'T0' } })]);
    await store.syncLog();
    expect(tagsPassing(store, 'T0')).toHaveLength(11);
    expect(store.queueRange('FixTopicC', 0).maxOffset).toBe(43);
    await store.close();
    const again = await MessageStore.open({ directory: directories[0]!, ...sizesOf('crc-ext-bcq') });
    opened.push(again);
    expect(tagsPassing(again, 'T1')).toEqual(Array(10).fill('T1'));
  });

  it('loses its extension with its topic', async () => {
    const store = await openCopy();
    store.deleteTopic('FixTopicC');
    expect(fs.existsSync(path.join(directories[0]!, 'consumequeue_ext/FixTopicC'))).toBe(false);
  });
});
