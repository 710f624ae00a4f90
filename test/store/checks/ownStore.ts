/** A store of every kind of record, written by foldlog: small files, so that log, queues and index roll several times. */
import { onTestFinished } from 'vitest';

import { packHost } from '../../../src/protocol/messageRecord.js';
import { MessageStore, type MessageToStore } from '../../../src/store/index.js';
import { ManualClock } from '../../support/manualClock.js';
import { message } from '../../support/storeMessages.js';
import { emptyDirectory, stored } from './fixStore.js';

export const OWN_SIZES = {
  mappedFileSizeCommitLog: 4096,
  mappedFileSizeConsumeQueue: 400,
  maxHashSlotNum: 101,
  maxIndexNum: 60,
} as const;

const V6 = packHost({ host: 'fd00::17', port: 65535 });

/** Message n of the store; what it carries goes by its number. */
function numbered(n: number): MessageToStore {
  const topic = n % 23 === 0 ? `%RETRY%${'group'.repeat(25)}` : n % 17 === 0 ? 'SCHEDULE_TOPIC_XXXX' : 'Mixed';
  const made = message({
    topic,
    queueId: n % 3,
    body: 'x'.repeat((n * 37) % 300),
    sysFlag: n % 13 === 0 ? 4 : n % 29 === 0 ? 12 : n % 11 === 0 ? 8 : 0,
    properties: {
      UNIQ_KEY: `unique-${n}`,
      ...(n % 2 === 0 && { TAGS: n % 4 === 0 ? 'TagA' : '标签' }),
      ...(n % 3 === 0 && { KEYS: `key${n % 7}  second${n}` }),
      ...(topic.startsWith('SCHEDULE') && { DELAY: String(1 + (n % 20)) }),
    },
  });
  return { ...made, ...(n % 5 === 0 && { bornHost: V6 }), ...(n % 7 === 0 && { storeHost: V6 }) };
}

/** Writes the store, a batch of three now and then, and leaves it open. Every message comes 70 ms after the one before. */
export async function writeOwnStore(directory: string): Promise<{ store: MessageStore; clock: ManualClock }> {
  const clock = new ManualClock();
  const store = await MessageStore.open({ directory, ...OWN_SIZES, clock });
  for (let n = 1; n <= 150; n += 1) {
    clock.advance(70);
    if (n % 10 !== 0) await stored(store, numbered(n));
    else await stored(store, ...[0, 1, 2].map((part) => message({ topic: 'Batch', body: `${n}-${part}` })));
  }
  return { store, clock };
}

/** The same, gone with the test. */
export async function ownStore(): Promise<{ directory: string; store: MessageStore; clock: ManualClock }> {
  const directory = emptyDirectory();
  const { store, clock } = await writeOwnStore(directory);
  onTestFinished(() => store.close());
  return { directory, store, clock };
}
