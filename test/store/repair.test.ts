// Damages stores and repairs them. What must hold after each repair: the check finds nothing; the store opens; every
// record outside the damage lies where it lay, in its queue at its offset, under its keys; what was removed is kept byte
// for byte; a second repair does nothing; no stream is numbered again.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import { isRemovedMessage } from '../../src/protocol/removedMessage.js';
import { type RepairOptions, repairStore } from '../../src/store/offline/repair.js';
import { verifyStore } from '../../src/store/offline/verify.js';
import {
  DIRECTORY,
  expectBytes,
  expectKept,
  fillStore,
  freshFiles,
  type Kept,
  noLock,
  openStore,
  overwrite,
  SIZES,
  segmentFile,
} from '../support/damagedStore.js';
import { type FaultyFiles, randomFrom } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';
import { event } from '../support/storeMessages.js';

const SEGMENT = SIZES.mappedFileSizeCommitLog;

function repair(files: FaultyFiles, more: RepairOptions = {}) {
  return repairStore(DIRECTORY, { files, lockDirectory: noLock, clock: new ManualClock(), ...more });
}
const verify = (files: FaultyFiles) => verifyStore(DIRECTORY, { files });

interface Filled {
  files: FaultyFiles;
  records: readonly Kept[];
}

async function filled(seed: number, count: number): Promise<Filled> {
  const files = freshFiles();
  return { files, records: await fillStore(files, seed, count) };
}

/** The store that most tests damage is filled once: each gets a copy. */
let usual: Promise<Filled> | undefined;

async function usualStore(): Promise<Filled> {
  usual ??= filled(7, 60);
  const { files, records } = await usual;
  return { files: files.kill(), records };
}

const overlaps = (from: number, to: number) => (record: Kept) =>
  record.commitLogOffset < to && record.commitLogOffset + record.bytes.length > from;

/** The bytes that repairs kept of [from, to) of the log. */
function keptBytes(files: FaultyFiles, from: number, to: number): Buffer {
  const found = Buffer.alloc(to - from);
  let count = 0;
  for (const [name, bytes] of files.contents()) {
    const match = /foldlog\/removed-1\/commitlog\/(\d{20})$/.exec(name);
    if (!match) continue;
    const start = Number(match[1]);
    for (let at = 0; at < bytes.length; at += 1) {
      if (start + at < from || start + at >= to) continue;
      found[start + at - from] = bytes[at]!;
      count += 1;
    }
  }
  expect(count).toBe(to - from);
  return found;
}

function logBytes(files: FaultyFiles, from: number, to: number): Buffer {
  const all: Buffer[] = [];
  for (let at = from; at < to; ) {
    const end = Math.min(to, at - (at % SEGMENT) + SEGMENT);
    const content = files.contents().get(segmentFile(at)) ?? Buffer.alloc(0);
    all.push(content.subarray(at % SEGMENT, (at % SEGMENT) + end - at));
    at = end;
  }
  return Buffer.concat(all);
}

/** Repairs, and holds the result against everything that must be true of it. */
async function expectRepaired(files: FaultyFiles, records: readonly Kept[], isLost: (record: Kept) => boolean) {
  const report = await repair(files);
  expect(report.refusals).toEqual([]);
  expect(report.status).toBe('REPAIRED');
  expect(report.after.problems).toEqual([]);
  expect((await repair(files)).status).toBe('CLEAN');
  const store = await openStore(files);
  const { lost } = expectKept(store, records, isLost);
  for (const { topic, queueId, queueOffset, commitLogOffset } of lost) {
    // Its offset is passed over, and belongs to nobody else.
    const read = store.readQueue(topic, queueId, queueOffset, 1, 1 << 20);
    expect([commitLogOffset, read.status, read.nextBeginOffset]).toEqual([
      commitLogOffset,
      'MESSAGE_WAS_REMOVING',
      queueOffset + 1,
    ]);
  }
  await store.close();
  return { report, lost };
}

const clean = (files: FaultyFiles) => files;
const killed = (files: FaultyFiles) => files.kill();

/** Stops that a store may have had before the damage. */
const STOPS: [string, (files: FaultyFiles) => Promise<FaultyFiles>][] = [
  ['a clean stop', async (files) => clean(files)],
  [
    'kill -9',
    async (files) => {
      await openStore(files);
      return killed(files);
    },
  ],
  [
    'a loss of power',
    async (files) => {
      const store = await openStore(files);
      await store.syncLog();
      return files.crash(randomFrom(3));
    },
  ],
];

describe.each(STOPS)('after %s', (_, stop) => {
  const middle = (records: readonly Kept[]) =>
    records.find(({ commitLogOffset, bytes }) => commitLogOffset > SEGMENT + 500 && bytes.length > 300)!;

  it.each([
    ['a bit flip in a body', (at: number) => [at + 100, Buffer.from([0xff])] as const],
    ['a bit flip in a size', (at: number) => [at + 2, Buffer.from([0x77])] as const],
    ['a bit flip in a magic', (at: number) => [at + 5, Buffer.from([0x00])] as const],
    ['a record that says it lies elsewhere', (at: number) => [at + 33, Buffer.from([0x13])] as const],
    ['a sector of zeros', (at: number) => [at - (at % 512) + 512, Buffer.alloc(512)] as const],
    ['a record of zeros', (at: number) => [at, Buffer.alloc(400)] as const],
  ])('%s', async (_name, damage) => {
    const { files: before, records } = await usualStore();
    const files = await stop(before);
    const [at, bytes] = damage(middle(records).commitLogOffset);
    overwrite(files, at, bytes);
    const isLost = overlaps(at, at + bytes.length);
    const first = records.find(isLost)!;
    const was = logBytes(files, first.commitLogOffset, first.commitLogOffset + first.bytes.length);
    const found = verify(files);
    expect(found.holes[0]).toMatchObject({ from: first.commitLogOffset });
    const { lost } = await expectRepaired(files, records, isLost);
    expect(lost.length).toBeGreaterThan(0);
    expectBytes(keptBytes(files, first.commitLogOffset, first.commitLogOffset + first.bytes.length), was);
    // Each lost message is named by its queue offset.
    for (const { topic, queueId, queueOffset } of lost) {
      const isNamed = found.holes.some(({ queues }) =>
        queues.some(
          (range) =>
            range.topic === topic &&
            range.queueId === queueId &&
            range.from <= queueOffset &&
            range.last >= queueOffset,
        ),
      );
      expect([topic, queueId, queueOffset, isNamed]).toEqual([topic, queueId, queueOffset, true]);
    }
  });

  it('a missing segment in the middle', async () => {
    const { files: before, records } = await usualStore();
    const files = await stop(before);
    files.remove(segmentFile(SEGMENT));
    files.syncDirectory(`${DIRECTORY}/commitlog`);
    await expect(openStore(files)).rejects.toMatchObject({ code: 'CORRUPTION' });
    const { lost } = await expectRepaired(files, records, overlaps(SEGMENT, 2 * SEGMENT));
    expect(lost.length).toBeGreaterThan(3);
  });

  it('a missing last segment', async () => {
    const { files: before, records } = await usualStore();
    const files = await stop(before);
    const { commitLogOffset } = records.at(-1)!;
    const start = commitLogOffset - (commitLogOffset % SEGMENT);
    for (const name of files.list(`${DIRECTORY}/commitlog`)) {
      if (Number(name) >= start) files.remove(`${DIRECTORY}/commitlog/${name}`);
    }
    files.syncDirectory(`${DIRECTORY}/commitlog`);
    await expect(openStore(files)).rejects.toMatchObject({ code: 'CORRUPTION' });
    await expectRepaired(files, records, overlaps(start, start + SEGMENT));
  });

  it('a last record that was synced and is damaged keeps its position and its queue offset', async () => {
    const { files: before, records } = await usualStore();
    const files = await stop(before);
    const last = records.at(-1)!;
    overwrite(files, last.commitLogOffset, Buffer.alloc(last.bytes.length));
    const { lost } = await expectRepaired(files, records, overlaps(last.commitLogOffset, last.commitLogOffset + 1));
    expect(lost).toEqual([last]);
    const store = await openStore(files);
    expect(store.visibleEnd().commitLogOffset).toBe(last.commitLogOffset + last.bytes.length);
    await store.close();
  });

  it('without queues and index: offsets that the records around tell stay in their places', async () => {
    const { files: before, records } = await usualStore();
    const files = await stop(before);
    const { commitLogOffset } = middle(records);
    overwrite(files, commitLogOffset, Buffer.alloc(700, 0x55));
    const isLost = overlaps(commitLogOffset, commitLogOffset + 700);
    for (const name of ['consumequeue', 'index']) files.removeDirectory(`${DIRECTORY}/${name}`);
    files.syncDirectory(DIRECTORY);
    const { report, lost } = await expectRepaired(files, records, isLost);
    expect(report.holes[0]).toMatchObject({ mode: 'PACKED', droppedOffsetCount: 0, messageCount: lost.length });
  });

  it.each([
    ['queue entries', `${DIRECTORY}/consumequeue/Plain0/0`, Buffer.alloc(60, 0x11), 20],
    ['index entries', `${DIRECTORY}/index`, Buffer.alloc(60, 0x11), 40 + 28 + 40],
  ])('damaged %s are rebuilt, nothing is lost', async (_name, directory, bytes, at) => {
    const { files: before, records } = await usualStore();
    const files = await stop(before);
    const file = files.open(`${directory}/${files.list(directory)[0]}`, 'r+');
    file.write(bytes, 0, bytes.length, at);
    file.close();
    const found = verify(files);
    expect(found.problems.length).toBeGreaterThan(0);
    for (const { kind, problem } of found.problems) {
      expect([kind, problem]).toEqual(['DERIVED', expect.stringContaining('nothing is lost')]);
    }
    await expectRepaired(files, records, () => false);
  });

  it.each(['generations.json', 'deleted.json', 'synced'])(
    'an unreadable mark %s is kept and made anew',
    async (name) => {
      const { files: before, records } = await usualStore();
      const files = await stop(before);
      files.writeFile(`${DIRECTORY}/foldlog/${name}`, Buffer.alloc(1024, 0x7b));
      expect(verify(files).problems).toMatchObject([{ kind: 'DAMAGE', file: `foldlog/${name}` }]);
      await expectRepaired(files, records, () => false);
      expect(files.contents().get(`${DIRECTORY}/foldlog/removed-1/foldlog/${name}`)).toEqual(Buffer.alloc(1024, 0x7b));
    },
  );
});

describe('what a repair tells and refuses', () => {
  it('a start that looks at damage names file, byte and command, and changes nothing', async () => {
    const { files, records } = await usualStore();
    await openStore(files);
    const after = files.kill();
    after.remove(`${DIRECTORY}/foldlog/derived.json`);
    // Plain messages: of an append that is not whole the start names the first record.
    const isPlain = ({ version }: Kept) => version === undefined;
    const { commitLogOffset } = records.find(
      (record, index) => record.commitLogOffset > SEGMENT && isPlain(record) && isPlain(records[index - 1]!),
    )!;
    overwrite(after, commitLogOffset + 4, Buffer.from([0]));
    const before = after.contents();
    await expect(openStore(after)).rejects.toMatchObject({
      code: 'CORRUPTION',
      message: expect.stringMatching(
        `damaged at byte ${commitLogOffset % SEGMENT} of ${segmentFile(commitLogOffset)} .*foldlog store verify ${DIRECTORY} .*--repair`,
      ),
    });
    expect(after.contents()).toEqual(before);
  });

  it('a torn tail that was never synced is no damage, and no business of a repair', async () => {
    const { files, records } = await usualStore();
    const store = await openStore(files);
    const outcome = store.append([]);
    expect(outcome.status).toBe('MESSAGE_ILLEGAL');
    const end = store.visibleEnd().commitLogOffset;
    const after = files.kill();
    overwrite(after, end, Buffer.from('torn'));
    const found = verify(after);
    expect(found.problems).toEqual([]);
    expect(found.tail).toMatchObject({ position: end, sizeBytes: 4 });
    expect((await repair(after)).status).toBe('CLEAN');
    expectKept(await openStore(after), records, () => false);
  });

  it('a missing first segment is a log that begins later', async () => {
    const { files, records } = await usualStore();
    files.remove(segmentFile(0));
    const found = verify(files);
    expect([found.minCommitLogOffset, found.holes]).toEqual([SEGMENT, []]);
    expectKept(await openStore(files), records, ({ commitLogOffset }) => commitLogOffset < SEGMENT);
  });

  it('refuses a store of other sizes and changes nothing', async () => {
    const { files } = await usualStore();
    const before = files.contents();
    const report = await repair(files, { mappedFileSizeCommitLog: 8192 });
    expect(report.status).toBe('LEFT');
    expect(report.refusals[0]).toContain('mappedFileSizeCommitLog is 8192');
    expect(files.contents()).toEqual(before);
  });

  it('a segment that is cut short gets its size back, one that is too long loses what is kept', async () => {
    const { files, records } = await usualStore();
    const short = files.open(segmentFile(SEGMENT), 'r+');
    short.truncate(3000);
    const long = files.open(segmentFile(2 * SEGMENT), 'r+');
    long.write(Buffer.from('too much'), 0, 8, SEGMENT);
    await expectRepaired(files, records, overlaps(SEGMENT + 3000, 2 * SEGMENT));
    const kept = files
      .contents()
      .get(`${DIRECTORY}/foldlog/removed-1/commitlog/${segmentFile(2 * SEGMENT).slice(-20)}.end-4096`);
    expect(kept?.toString()).toBe('too much');
  });

  it('configuration: a readable .bak is enough, both unreadable go aside, topics.json is left to a person', async () => {
    const { files } = await usualStore();
    const config = `${DIRECTORY}/config`;
    files.makeDirectory(config);
    files.writeFile(`${config}/consumerFilter.json`, '{"a":');
    files.writeFile(`${config}/consumerFilter.json.bak`, '{1:2}');
    const found = verify(files);
    expect(found.problems).toEqual([]);
    expect(found.notices).toContain('config/consumerFilter.json is not readable: a start takes its .bak');
    files.writeFile(`${config}/consumerOffset.json`, '{"a":');
    files.writeFile(`${config}/consumerOffset.json.bak`, 'x');
    expect((await repair(files)).status).toBe('REPAIRED');
    expect(files.contents().get(`${DIRECTORY}/foldlog/removed-1/config/consumerOffset.json`)?.toString()).toBe('{"a":');
    files.writeFile(`${config}/topics.json`, 'no');
    const report = await repair(files);
    expect([report.status, report.refusals]).toEqual(['LEFT', [expect.stringContaining('restore it from a copy')]]);
    expect(files.contents().get(`${config}/topics.json`)?.toString()).toBe('no');
  });
});

describe('guarded streams with lost events', () => {
  /** Three events of one stream, and others before and after. */
  async function streams() {
    const files = freshFiles();
    const store = await openStore(files);
    const place = new Map<string, { commitLogOffset: number; sizeBytes: number }>();
    for (const [stream, count] of [
      ['Order:1', 3],
      ['Order:2', 1],
      ['Order:3', 1],
    ] as const) {
      for (let version = 1; version <= count; version += 1) {
        const outcome = store.appendGuarded({
          appendId: `${stream}-${version}`,
          events: [event([stream], 'x'.repeat(150))],
          expectedVersions: [{ topic: 'Events', stream, expected: version - 1 }],
        });
        if (outcome.status !== 'APPENDED') throw new Error(outcome.status);
        await outcome.turn.visible;
        place.set(`${stream}/${version}`, outcome.places[0]!);
      }
    }
    const token = store.visibleEnd();
    await store.close();
    return { files, place, token };
  }

  const append = (stream: string, expected: 'ANY' | 'NO_STREAM' | number) => ({
    appendId: `new-${stream}`,
    events: [event([stream])],
    expectedVersions: [{ topic: 'Events', stream, expected }],
  });
  const readAll = (stream: string) =>
    ({
      keys: [{ topic: 'Events', key: stream }],
      direction: 'forwards',
      maxCount: 10,
      maxBytes: 1 << 20,
    }) as const;

  it('a version whose text is whole keeps its number: the stream goes on after it, and a reader learns of it', async () => {
    const { files, place } = await streams();
    const lost = place.get('Order:1/3')!;
    // A byte of the body.
    overwrite(files, lost.commitLogOffset + 95, Buffer.from([0]));
    expect(verify(files).holes[0]?.streams).toEqual([{ topic: 'Events', stream: 'Order:1', from: 3, last: 3 }]);
    await repair(files);
    const store = await openStore(files);
    const found = store.readByKeys(readAll('Order:1')).records.map((record) => decodeRecord(record));
    expect(found.map(isRemovedMessage)).toEqual([false, false, true]);
    expect(store.appendGuarded(append('Order:1', 3))).toMatchObject({ status: 'APPENDED', places: [{ version: 4 }] });
    // The append that was lost is still known.
    const again = { ...append('Order:1', 2), appendId: 'Order:1-3' };
    expect(store.appendGuarded(again)).toMatchObject({ status: 'ALREADY_APPENDED', places: [{ version: 3 }] });
    await store.close();
  });

  it.each(['Order:1/3', 'Order:2/1'])(
    '%s destroyed as the newest: its stream takes no more, others do',
    async (name) => {
      const { files, place, token } = await streams();
      const { commitLogOffset, sizeBytes } = place.get(name)!;
      const [stream = ''] = name.split('/');
      overwrite(files, commitLogOffset, Buffer.alloc(sizeBytes));
      await repair(files);
      const store = await openStore(files);
      for (const expected of ['ANY', 'NO_STREAM', 2] as const) {
        expect(store.appendGuarded(append(stream, expected))).toMatchObject({
          status: 'MESSAGE_ILLEGAL',
          reason: expect.stringContaining(`stream ${stream} of topic Events has a gap`),
        });
      }
      expect(store.appendGuarded(append('Order:3', 1))).toMatchObject({ status: 'APPENDED', places: [{ version: 2 }] });
      expect(store.appendGuarded(append('Order:9', 'NO_STREAM'))).toMatchObject({ status: 'APPENDED' });
      const read = store.readByKeys(readAll(stream)).records.map((record) => decodeRecord(record));
      expect(read.some(isRemovedMessage)).toBe(true);
      // Positions beyond the damage are void.
      const late = {
        ...append('Order:8', 'ANY'),
        condition: { keys: [{ topic: 'Events', key: 'Order:7' }], end: token },
      };
      expect(store.appendGuarded(late)).toMatchObject({ status: 'CONDITION_CONFLICT' });
      await store.close();
    },
  );

  it('a version in the middle: the numbers go on, and the gap is there to be seen', async () => {
    const { files, place } = await streams();
    const { commitLogOffset, sizeBytes } = place.get('Order:1/2')!;
    overwrite(files, commitLogOffset, Buffer.alloc(sizeBytes, 0x33));
    expect(verify(files).holes[0]?.streams).toEqual([{ topic: 'Events', stream: 'Order:1', from: 2, last: 2 }]);
    await repair(files);
    const store = await openStore(files);
    expect(store.appendGuarded(append('Order:1', 3))).toMatchObject({ status: 'APPENDED', places: [{ version: 4 }] });
    await store.close();
  });
});

describe('a repair that is interrupted', () => {
  /** A copy of the files, all of it durable. */
  function copyOf(contents: ReadonlyMap<string, Buffer>): FaultyFiles {
    const files = freshFiles();
    for (const [name, bytes] of contents) {
      files.makeDirectory(name.slice(0, name.lastIndexOf('/')));
      files.writeFile(name, bytes);
      files.syncDirectory(name.slice(0, name.lastIndexOf('/')));
    }
    return files;
  }

  it('at any change, by a loss of power or a kill, is finished by the next one', async () => {
    const { files, records } = await filled(11, 16);
    const first = records[4]!;
    const second = records[9]!;
    overwrite(files, first.commitLogOffset + 4, Buffer.alloc(40, 0x99));
    overwrite(files, second.commitLogOffset + second.bytes.length - 8, Buffer.alloc(300));
    const isLost = (record: Kept) =>
      overlaps(first.commitLogOffset + 4, first.commitLogOffset + 44)(record) ||
      overlaps(
        second.commitLogOffset + second.bytes.length - 8,
        second.commitLogOffset + second.bytes.length + 292,
      )(record);
    const damaged = files.contents();
    const was = damaged.get(segmentFile(0));
    const { holes } = verify(copyOf(damaged));
    expect(holes).toHaveLength(2);
    let changeCount = 0;
    const whole = copyOf(damaged);
    let ownCount = 0;
    whole.onChange = (operation, file) => {
      changeCount += 1;
      if (operation === 'remove' && file.includes('/removed-1/')) ownCount = changeCount + 2;
      return undefined;
    };
    expect((await repair(whole, SIZES)).status).toBe('REPAIRED');
    expect(ownCount).toBeGreaterThan(20);
    // After its own changes comes an ordinary start, which has crash tests of its own.
    for (let last = 1; last <= changeCount; last += last < ownCount ? 1 : 25) {
      const dying = copyOf(damaged);
      let count = 0;
      dying.onChange = () => {
        count += 1;
        return count === last ? { kind: 'DIE' } : undefined;
      };
      await repair(dying, SIZES).catch(() => {});
      const after = last % 2 === 0 ? dying.crash(randomFrom(last)) : dying.kill();
      const isUnfinished = [...after.contents().keys()].some((name) => name.endsWith('/plan.json'));
      if (isUnfinished) {
        const refused = await openStore(after).catch((error: Error) => error);
        expect(refused).toMatchObject({ message: expect.stringContaining('was interrupted') });
      }
      const { status, after: found } = await repair(after, SIZES);
      expect([last, found.problems]).toEqual([last, []]);
      expect([last, status]).toEqual([last, expect.stringMatching(/REPAIRED|CLEAN/)]);
      const contents = after.contents();
      const keptCopies = [...contents].filter(([name]) => /removed-\d+\/commitlog\/\d{20}$/.test(name));
      for (const { from, to } of holes) {
        const kept = keptCopies.find(([name]) => Number(name.slice(-20)) === from)?.[1];
        expect([last, kept]).toEqual([last, was?.subarray(from, to)]);
      }
      const store = await openStore(after);
      expectKept(store, records, isLost);
      await store.close();
    }
  }, 120_000);
});

describe('random damage', () => {
  it('is named, repaired, kept, and leaves everything else as it was', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1000 }),
        fc.array(
          fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 1, max: 1500 }), fc.nat(255)),
          {
            minLength: 1,
            maxLength: 4,
          },
        ),
        async (seed, damages) => {
          const { files, records } = await filled(seed, 30);
          const end = records.at(-1)!.commitLogOffset + records.at(-1)!.bytes.length;
          const wounds = damages.map(([where, size, byte]) => {
            const from = Math.floor(where * end);
            return { from, to: Math.min(end, from + size), byte };
          });
          for (const { from, to, byte } of wounds) overwrite(files, from, Buffer.alloc(to - from, byte));
          const isTouched = (record: Kept) => {
            const now = logBytes(files, record.commitLogOffset, record.commitLogOffset + record.bytes.length);
            return !now.equals(record.bytes);
          };
          const touched = new Set(records.filter(isTouched));
          const damaged = files.contents();
          const found = verify(files);
          // What no check of a record covers (its born time, say) can change unseen: that is the format's.
          const isLost = (record: Kept) =>
            found.holes.some(({ from, to }) => record.commitLogOffset >= from && record.commitLogOffset < to);
          for (const record of records) if (isLost(record)) expect(touched.has(record)).toBe(true);
          const unseen = [...touched].filter((record) => !isLost(record));
          if (found.problemCount === 0) return;
          const report = await repair(files);
          expect(report.status).toBe('REPAIRED');
          expect((await repair(files)).status).toBe('CLEAN');
          const store = await openStore(files);
          expectKept(store, records, (record) => isLost(record) || unseen.includes(record));
          await store.close();
          for (const { from, to } of found.holes) {
            const was = Buffer.alloc(to - from);
            for (let at = from; at < to; at += 1) was[at - from] = damaged.get(segmentFile(at))![at % SEGMENT]!;
            expectBytes(keptBytes(files, from, to), was);
          }
        },
      ),
      { numRuns: Number(process.env['FUZZ_RUNS'] ?? 15) },
    );
  }, 120_000);
});
