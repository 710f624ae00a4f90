// Flips bits in the index files of a store that was stopped, or killed, and asks: every key is found as before, a guarded
// append that must fail fails, and the files are set right.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { MessageStore, type MessageStoreOptions, verifyStore } from '../../src/store/index.js';
import { event, message } from '../support/storeMessages.js';

const SIZES = {
  mappedFileSizeCommitLog: 65_536,
  mappedFileSizeConsumeQueue: 2000,
  maxHashSlotNum: 1500,
  maxIndexNum: 700,
};
const ENTRIES_AT = 40 + SIZES.maxHashSlotNum * 4;
const noLock = async () => ({ release: async () => {} });
const STREAMS = 40;
const ROUNDS = 12;
const directories: string[] = [];
const opened: MessageStore[] = [];
let lines: string[] = [];

function newDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-checks-'));
  directories.push(directory);
  return directory;
}

async function open(directory: string, more: Partial<MessageStoreOptions> = {}): Promise<MessageStore> {
  const log = (_: object, line: string) => void lines.push(line);
  const logger = { debug: () => {}, info: log, warn: log, error: log };
  const store = await MessageStore.open({ directory, ...SIZES, logger, ...more });
  opened.push(store);
  return store;
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close().catch(() => {});
  for (const directory of directories.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
  lines = [];
});

/** 40 streams with 12 events each, plain messages in between: more than one index file, several blocks in each. */
async function fill(directory: string): Promise<MessageStore> {
  const store = await open(directory);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let stream = 0; stream < STREAMS; stream += 1) {
      const name = `s-${stream}`;
      const outcome = store.appendGuarded({
        appendId: `${name}-${round}`,
        events: [event([name, `all-${stream % 4}`])],
        expectedVersions: [{ topic: 'Events', stream: name, expected: round }],
      });
      expect(outcome.status).toBe('APPENDED');
      if (stream % 5 === 0) store.append([message({ properties: { KEYS: 'plain', TAGS: 'P' } })]);
    }
  }
  await store.syncLog();
  return store;
}

/** One store that was stopped and one that was killed: every test damages a copy of its own. */
const sources = { stopped: '', killed: '' };

beforeAll(async () => {
  const directory = newDirectory();
  const running = await fill(directory);
  sources.killed = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-checks-'));
  fs.cpSync(directory, sources.killed, { recursive: true });
  await running.close();
  sources.stopped = fs.mkdtempSync(path.join(os.tmpdir(), 'foldlog-checks-'));
  fs.cpSync(directory, sources.stopped, { recursive: true });
});

afterAll(() => {
  for (const directory of Object.values(sources)) fs.rmSync(directory, { recursive: true, force: true });
});

function copyOf(source: string): string {
  const directory = newDirectory();
  fs.cpSync(source, directory, { recursive: true });
  return directory;
}

/** Everything that rests on the index, compared with what was stored. */
function expectAllFound(store: MessageStore): void {
  // One comparison at the end: an assertion each would cost more than the look-ups.
  const found: unknown[] = [];
  const wanted: unknown[] = [];
  const allVersions = Array.from({ length: ROUNDS }, (_, round) => round + 1);
  for (let stream = 0; stream < STREAMS; stream += 1) {
    const name = `s-${stream}`;
    const { records } = store.readByKeys({
      keys: [{ topic: 'Events', key: name }],
      direction: 'forwards',
      maxCount: 100,
      maxBytes: 1 << 20,
    });
    const versions = records.map((bytes) => Number(decodeRecord(bytes).properties.FL_VERSION));
    const stale = store.appendGuarded({
      appendId: `stale-${name}`,
      events: [event([name])],
      expectedVersions: [{ topic: 'Events', stream: name, expected: ROUNDS - 1 }],
    });
    const again = store.appendGuarded({
      appendId: `${name}-3`,
      events: [event([name])],
      expectedVersions: [],
    });
    found.push([
      name,
      versions,
      [stale.status, 'actual' in stale && stale.actual],
      [again.status, 'places' in again && again.places.map(({ version }) => version)],
    ]);
    wanted.push([name, allVersions, ['VERSION_CONFLICT', ROUNDS], ['ALREADY_APPENDED', [4]]]);
  }
  expect(found).toEqual(wanted);
  expect(store.queryByKey('Plain', 'plain', 64, 0, 9_999_999_999_999)).toHaveLength(64);
}

const indexFiles = (directory: string) => fs.readdirSync(path.join(directory, 'index')).sort();
const indexFile = (directory: string, at: number) => path.join(directory, 'index', indexFiles(directory).at(at)!);
const checksOf = (directory: string, at: number) =>
  path.join(directory, 'foldlog', `index-${indexFiles(directory).at(at)!}.crc`);

function flip(file: string, at: number, mask = 0x01): void {
  const bytes = fs.readFileSync(file);
  bytes[at] = bytes[at]! ^ mask;
  fs.writeFileSync(file, bytes);
}

const entryAt = (number: number, field: number) => ENTRIES_AT + number * 20 + field;

/** The first byte from `from` on that is not zero: a slot in use. */
const usedSlot = (file: string) => {
  const bytes = fs.readFileSync(file);
  let at = 43;
  while (bytes[at] === 0) at += 4;
  return at;
};

const DAMAGE: [string, (directory: string, at: number) => void][] = [
  ['the hash of an entry', (directory, at) => flip(indexFile(directory, at), entryAt(50, 3))],
  ['the position of an entry', (directory, at) => flip(indexFile(directory, at), entryAt(60, 10))],
  ['the time of an entry', (directory, at) => flip(indexFile(directory, at), entryAt(60, 15))],
  ['the chain of an entry', (directory, at) => flip(indexFile(directory, at), entryAt(70, 19))],
  ['the first entry', (directory, at) => flip(indexFile(directory, at), entryAt(1, 2))],
  ['a slot in use', (directory, at) => flip(indexFile(directory, at), usedSlot(indexFile(directory, at)))],
  [
    'a slot that is zeroed',
    (directory, at) => {
      const file = indexFile(directory, at);
      const slot = usedSlot(file);
      flip(file, slot, fs.readFileSync(file)[slot]);
    },
  ],
  ['the last slot', (directory, at) => flip(indexFile(directory, at), ENTRIES_AT - 1, 0x10)],
  ['the end offset in the header', (directory, at) => flip(indexFile(directory, at), 30, 0x40)],
  ['a number in the header that cannot be', (directory, at) => flip(indexFile(directory, at), 16, 0x40)],
  ['the count in the header', (directory, at) => flip(indexFile(directory, at), 38)],
  ['the time in the header', (directory, at) => flip(indexFile(directory, at), 5)],
  [
    'all entries of two blocks',
    (directory, at) => {
      const descriptor = fs.openSync(indexFile(directory, at), 'r+');
      fs.writeSync(descriptor, Buffer.alloc(300 * 20, 0xee), 0, 300 * 20, entryAt(20, 0));
      fs.closeSync(descriptor);
    },
  ],
  [
    'everything',
    (directory, at) =>
      fs.writeFileSync(indexFile(directory, at), Buffer.alloc(fs.statSync(indexFile(directory, at)).size)),
  ],
  ['its length', (directory, at) => fs.truncateSync(indexFile(directory, at), 5000)],
  ['the file', (directory, at) => fs.rmSync(indexFile(directory, at))],
  ['a check', (directory, at) => flip(checksOf(directory, at), 24 + 2 * 4 + 3)],
  ['the check of the slots', (directory, at) => flip(checksOf(directory, at), 24 + 3)],
  ['the head of the checks', (directory, at) => flip(checksOf(directory, at), 9)],
  ['the file of the checks', (directory, at) => fs.rmSync(checksOf(directory, at))],
];

describe.each([
  ['the oldest', 0],
  ['the newest', -1],
])('%s index file', (_, at) => {
  it.each(DAMAGE)('after a clean stop, with damage to %s, hides nothing', async (_name, damage) => {
    const directory = copyOf(sources.stopped);
    expect(indexFiles(directory).length).toBeGreaterThan(2);
    damage(directory, at);
    const store = await open(directory);
    expectAllFound(store);
    expect(lines.filter((line) => /index/.test(line)).length).toBeLessThanOrEqual(1);
    await store.close();
    expect(verifyStore(directory, SIZES).problems).toEqual([]);
    // Set right for good: the next start finds nothing.
    lines = [];
    const again = await open(directory);
    expectAllFound(again);
    expect(lines.filter((line) => /index/.test(line))).toEqual([]);
  });

  it.each(DAMAGE)('after a kill, with damage to %s, hides nothing', async (_name, damage) => {
    const killed = copyOf(sources.killed);
    damage(killed, at);
    const store = await open(killed, { lockDirectory: noLock });
    expect(store.startKind).not.toBe('CLEAN');
    expectAllFound(store);
    await store.close();
    expect(verifyStore(killed, SIZES).problems).toEqual([]);
  });
});

describe('checks', () => {
  it('a stop and a start read no entry of a sound index, and change no file of it', async () => {
    const directory = copyOf(sources.stopped);
    const before = new Map(
      indexFiles(directory).map((name) => [name, fs.readFileSync(path.join(directory, 'index', name))]),
    );
    await (await open(directory)).close();
    for (const [name, bytes] of before) {
      expect(fs.readFileSync(path.join(directory, 'index', name)).equals(bytes)).toBe(true);
    }
  });

  it('go with their index file', async () => {
    const directory = copyOf(sources.stopped);
    const checks = fs.readdirSync(path.join(directory, 'foldlog')).filter((name) => name.endsWith('.crc'));
    expect(checks).toEqual(indexFiles(directory).map((name) => `index-${name}.crc`));
    fs.rmSync(path.join(directory, 'index'), { recursive: true });
    await (await open(directory)).close();
    const left = fs.readdirSync(path.join(directory, 'foldlog')).filter((name) => name.endsWith('.crc'));
    expect(left).toEqual(indexFiles(directory).map((name) => `index-${name}.crc`));
  });

  it('damage is met while the store runs, too, before an answer is given', async () => {
    const directory = copyOf(sources.stopped);
    const store = await open(directory);
    flip(indexFile(directory, 0), entryAt(50, 3));
    flip(indexFile(directory, 0), entryAt(250, 3));
    expectAllFound(store);
    expect(lines.filter((line) => line.includes('was damaged and was set right'))).toHaveLength(1);
  });

  it('a flipped bit anywhere in index and checks changes no answer', async () => {
    const source = sources.stopped;
    const files = [...indexFiles(source).map((name) => `index/${name}`)];
    files.push(...indexFiles(source).map((name) => `foldlog/index-${name}.crc`));
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.constantFrom(...files),
            fc.double({ min: 0, max: 0.999, noNaN: true }),
            fc.integer({ min: 0, max: 7 }),
          ),
          {
            minLength: 1,
            maxLength: 3,
          },
        ),
        async (flips) => {
          const directory = copyOf(source);
          for (const [file, where, bit] of flips) {
            const target = path.join(directory, file);
            flip(target, Math.floor(where * fs.statSync(target).size), 1 << bit);
          }
          const store = await open(directory);
          expectAllFound(store);
          await store.close();
          expect(verifyStore(directory, SIZES).problems).toEqual([]);
          fs.rmSync(directory, { recursive: true });
        },
      ),
      { numRuns: 25 },
    );
  });
});
