// Ends of a process at moments that once left a store that did not open, or opened with less than it had promised.
import { describe, expect, it } from 'vitest';
import { recordShapeAt } from '../../src/protocol/messageRecord.js';
import { message } from '../support/storeMessages.js';
import { CrashBench, DIRECTORY, foundKeys, keyed, put, SEGMENT_BYTES } from './crashBench.js';

const SYNC = { flushDiskType: 'SYNC_FLUSH' } as const;
const segment = (start: number) => `${DIRECTORY}/commitlog/${String(start).padStart(20, '0')}`;

describe('a loss of power', () => {
  it('right after the first answers leaves them in a directory that the store made', async () => {
    const bench = new CrashBench();
    const store = await bench.open(SYNC);
    const { visible } = put(store, ...keyed(3));
    await bench.endTurn();
    expect(await visible).toBe('VISIBLE');
    bench.losePower();
    const again = await bench.open(SYNC);
    expect([again.startKind, foundKeys(again, 3)]).toEqual(['OWN_CRASH', 3]);
  });

  it('after a start that was killed before its `abort` was durable finds that our run crashed', async () => {
    const bench = new CrashBench();
    const store = await bench.open(SYNC);
    put(store, ...keyed(1));
    await bench.endTurn();
    await bench.close(store);
    bench.kill();
    bench.files.onChange = (operation, file) =>
      operation === 'syncDirectory' && file === DIRECTORY && bench.exists('abort') ? { kind: 'DIE' } : undefined;
    await expect(bench.open(SYNC)).rejects.toThrow('EIO');
    bench.kill();
    const again = await bench.open(SYNC);
    put(again, ...keyed(2, 1));
    await bench.endTurn();
    bench.losePower();
    const last = await bench.open(SYNC);
    expect([last.startKind, foundKeys(last, 3)]).toEqual(['OWN_CRASH', 3]);
  });
});

describe('a file that has its name and not yet its length', () => {
  for (const part of ['/commitlog/', '/consumequeue/Plain/', '/index/']) {
    it(`is made whole: ${part}`, async () => {
      const bench = new CrashBench();
      const store = await bench.open(SYNC);
      put(store, ...keyed(2));
      await bench.endTurn();
      bench.files.onChange = (operation, file) =>
        operation === 'truncate' && file.includes(part) ? { kind: 'DIE' } : undefined;
      let isDead = false;
      for (let round = 0; round < 40 && !isDead; round += 1) {
        try {
          put(store, ...keyed(3, 100 + 3 * round));
          await bench.pass(1000);
        } catch {
          isDead = true;
        }
        isDead ||= bench.files.isDead;
      }
      expect(isDead).toBe(true);
      bench.kill();
      const again = await bench.open(SYNC);
      expect(foundKeys(again, 2)).toBe(2);
      put(again, ...keyed(30, 1000));
      await bench.endTurn();
      await bench.close(again);
    });
  }

  it('is made whole when a loss of power left part of its length', async () => {
    const bench = new CrashBench();
    const store = await bench.open();
    put(store, ...keyed(2));
    await bench.endTurn();
    await bench.pass(1000);
    bench.kill();
    for (const [name, sizeBytes] of [
      [segment(0), 1024],
      [`${DIRECTORY}/consumequeue/Plain/0/${'0'.repeat(20)}`, 60],
    ] as const) {
      const file = bench.files.open(name, 'r+');
      file.truncate(sizeBytes);
      file.syncNow();
    }
    const again = await bench.open();
    expect([foundKeys(again, 2), again.queueRange('Plain', 0).maxOffset]).toEqual([2, 2]);
    put(again, ...keyed(30, 2));
    await bench.endTurn();
    expect(foundKeys(again, 32)).toBe(32);
  });
});

describe('records at the end of the log', () => {
  it('count when only the empty length of their properties lies in a sector of its own', async () => {
    const bench = new CrashBench();
    const store = await bench.open();
    // Without properties: 91 bytes beside body and topic, the last two of them at the start of the second sector.
    put(store, message({ topic: 'T', body: 'x'.repeat(514 - 92) }));
    await bench.endTurn();
    bench.kill();
    const bytes = bench.files.readFile(segment(0));
    expect(recordShapeAt(bytes, 0, bytes.length)).toMatchObject({ kind: 'message', sizeBytes: 514 });
    const again = await bench.open();
    expect([again.queueRange('T', 0).maxOffset, bench.lines]).toEqual([1, []]);
  });

  it('a segment that begins at the end stays when a full disk takes the first turn in it', async () => {
    const bench = new CrashBench();
    const store = await bench.open();
    put(store, message({ body: 'x'.repeat(3000) }));
    put(store, message({ body: 'y'.repeat(3000) }));
    await bench.endTurn();
    bench.kill();
    // The second record never reached the device; its segment and the blank record before it did.
    const file = bench.files.open(segment(SEGMENT_BYTES), 'r+');
    file.write(Buffer.alloc(SEGMENT_BYTES), 0, SEGMENT_BYTES, 0);
    file.syncNow();
    const again = await bench.open();
    expect(again.visibleEnd().commitLogOffset).toBe(SEGMENT_BYTES);
    bench.fail('write', '/commitlog/', 'ENOSPC', 1);
    const { visible } = put(again);
    await bench.endTurn();
    await expect(visible).rejects.toMatchObject({ code: 'DISK_FULL' });
    bench.kill();
    const last = await bench.open();
    expect([last.queueRange('Plain', 0).maxOffset, last.visibleEnd().commitLogOffset]).toEqual([1, SEGMENT_BYTES]);
  });
});

describe('an index file that a full disk left half made', () => {
  it('does not keep the next start from going on at its mark', async () => {
    const bench = new CrashBench();
    const store = await bench.open();
    put(store, ...keyed(10));
    await bench.endTurn();
    bench.fail('create', 'foldlog/index-', 'ENOSPC', 1);
    expect(store.append(keyed(15, 10))).toMatchObject({ status: 'SERVICE_NOT_AVAILABLE' });
    await bench.pass(1000);
    put(store, ...keyed(15, 10));
    await bench.endTurn();
    await bench.pass(11_000);
    bench.kill();
    const again = await bench.open();
    expect([again.startKind, foundKeys(again, 25), bench.lines]).toEqual(['OWN_CRASH', 25, []]);
    expect(bench.facts).toContainEqual(expect.objectContaining({ indexFrom: again.visibleEnd().commitLogOffset }));
  });
});

describe('checks whose index file is gone', () => {
  it('go with the next start after a crash, and the index goes on at its mark', async () => {
    const bench = new CrashBench();
    const store = await bench.open();
    put(store, ...keyed(10));
    await bench.endTurn();
    await bench.pass(11_000);
    bench.files.writeFile(`${DIRECTORY}/foldlog/index-20200101000000000.crc`, 'left over');
    bench.kill();
    const again = await bench.open();
    expect([foundKeys(again, 10), bench.exists('foldlog/index-20200101000000000.crc')]).toEqual([10, false]);
    expect(bench.facts).toContainEqual(expect.objectContaining({ indexFrom: again.visibleEnd().commitLogOffset }));
  });
});
