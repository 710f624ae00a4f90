// Streams whose keys share very few index slots, so that chains grow long and are kept by hash: every head, condition
// and read must be as if the chains were walked, over several index files and after a restart.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { MessageStore } from '../../src/store/index.js';
import { randomFrom } from '../support/faultyFiles.js';
import { event } from '../support/storeMessages.js';

const STREAMS = 700;
const APPENDS = 4_000;

/** "Aa" and "BB" have equal hashes, so streams come in groups of one hash. */
const nameOf = (stream: number) => `${stream >> 2}${stream & 1 ? 'Aa' : 'BB'}${stream & 2 ? 'Aa' : 'BB'}`;

it.each([
  { name: 'one slot, one file', maxHashSlotNum: 1, maxIndexNum: 100_000 },
  { name: 'one slot, several files', maxHashSlotNum: 1, maxIndexNum: 3_000 },
  { name: 'seven slots, several files', maxHashSlotNum: 7, maxIndexNum: 5_000 },
])('long chains answer like short ones: $name', async ({ name: _, ...sizes }) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-chains-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const random = randomFrom(sizes.maxIndexNum);
  const below = (end: number) => Math.floor(random() * end);
  const model = new Map<string, number[]>();
  let store = await MessageStore.open({ directory, ...sizes });
  for (let step = 0; step < APPENDS; step += 1) {
    const stream = nameOf(below(STREAMS));
    const positions = model.get(stream) ?? [];
    const isStale = below(10) === 0 && positions.length > 0;
    const expected = positions.length - (isStale ? 1 : 0);
    const outcome = store.appendGuarded({
      appendId: `a${step}`,
      events: [event([stream], `${step}`)],
      expectedVersions: [{ topic: 'Events', stream, expected }],
    });
    if (isStale) expect(outcome).toMatchObject({ status: 'VERSION_CONFLICT', actual: positions.length });
    else if (outcome.status !== 'APPENDED') throw new Error(JSON.stringify({ ...outcome, turn: undefined }));
    else model.set(stream, [...positions, outcome.places[0]!.commitLogOffset]);
    if (step % 100 === 0 && 'turn' in outcome) await outcome.turn.visible;
    if (step === APPENDS / 2) {
      await store.close();
      store = await MessageStore.open({ directory, ...sizes });
    }
  }
  await store.syncLog();
  for (let stream = 0; stream < STREAMS; stream += 1) {
    const key = nameOf(stream);
    const keys = [{ topic: 'Events', key }];
    const { records } = store.readByKeys({ keys, direction: 'forwards', maxCount: 1_000, maxBytes: 1 << 30 });
    expect(records.map((bytes) => decodeRecord(bytes).commitLogOffset)).toEqual(model.get(key) ?? []);
    // RocketMQ's query knows hashes only: the newest of all streams of the group, and of time only what is asked.
    const group = [0, 1, 2, 3].flatMap((member) => model.get(nameOf((stream & ~3) | member)) ?? []);
    const queried = store.queryByKey('Events', key, 32, 0, Number.MAX_SAFE_INTEGER);
    const newest = group.sort((one, other) => one - other).slice(-32);
    expect(queried.map((bytes) => decodeRecord(bytes).commitLogOffset)).toEqual(newest);
    expect(store.queryByKey('Events', key, 32, 0, 1)).toEqual([]);
  }
  await store.close();
});
