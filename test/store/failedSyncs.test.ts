// What a sync that failed leaves: pages that programs see and no later sync writes, and news that reaches only one of
// two callers. Nothing that is served afterwards may rest on such a page, and no mark may cover it.
import { describe, expect, it } from 'vitest';
import { CrashBench, foundKeys, keyed, put } from './crashBench.js';

const SYNC = { flushDiskType: 'SYNC_FLUSH' } as const;

/** Enough is stored in each for a sector that recovery does not write to for another reason. */
describe('after a failed sync, what the next start finds in memory is written once more:', () => {
  it('records of the log', async () => {
    const bench = new CrashBench();
    const store = await bench.open(SYNC);
    bench.fail('sync', '/commitlog/', 'EIO');
    const { visible } = put(store, ...keyed(12));
    await bench.endTurn();
    await expect(visible).rejects.toMatchObject({ code: 'STORE_FAILED' });
    bench.kill();
    const again = await bench.open(SYNC);
    expect(foundKeys(again, 12)).toBe(12);
    bench.losePower();
    const last = await bench.open(SYNC);
    expect([foundKeys(last, 12), last.queueRange('Plain', 0).maxOffset]).toEqual([12, 12]);
  });

  it('entries of queues', async () => {
    const bench = new CrashBench();
    const sizes = { mappedFileSizeConsumeQueue: 2000 };
    const store = await bench.open(sizes);
    for (let first = 0; first < 60; first += 10) put(store, ...keyed(10, first));
    await bench.endTurn();
    bench.fail('sync', '/consumequeue/', 'EIO');
    await expect(bench.close(store)).rejects.toThrow('EIO');
    bench.kill();
    await bench.close(await bench.open(sizes));
    bench.losePower();
    const last = await bench.open(sizes);
    for (let offset = 0; offset < 60; offset += 1) {
      expect(last.readQueue('Plain', 0, offset, 1, 1 << 20)).toMatchObject({ status: 'FOUND' });
    }
    expect([last.startKind, bench.lines]).toEqual(['CLEAN', []]);
  });

  it('entries of the index', async () => {
    const bench = new CrashBench();
    const sizes = { maxIndexNum: 60 };
    const store = await bench.open(sizes);
    for (let first = 0; first < 50; first += 10) put(store, ...keyed(10, first));
    await bench.endTurn();
    bench.fail('sync', '/index/', 'EIO');
    await expect(bench.close(store)).rejects.toThrow('EIO');
    bench.kill();
    await bench.close(await bench.open(sizes));
    bench.losePower();
    const last = await bench.open(sizes);
    expect(foundKeys(last, 50)).toBe(50);
    expect([last.startKind, bench.lines]).toEqual(['CLEAN', []]);
  });
});

describe('a failure that somebody else was told of', () => {
  it('keeps a sync of the log that was under way from being answered', async () => {
    const bench = new CrashBench();
    const store = await bench.open(SYNC);
    put(store, ...keyed(2));
    await bench.endTurn();
    bench.isHoldingLog = true;
    const { visible } = put(store, ...keyed(1, 2));
    await bench.endTurn();
    const synced = store.syncLog();
    synced.catch(() => {});
    bench.fail('sync', 'foldlog/synced', 'EIO');
    await bench.pass(1000);
    await bench.release();
    await expect(visible).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(synced).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(() => store.readRecord(0)).toThrow('the store is finished');
  });

  it('in the last round keeps the stop from looking clean', async () => {
    const bench = new CrashBench();
    const store = await bench.open();
    put(store, ...keyed(5));
    await bench.endTurn();
    await store.syncLog();
    put(store, ...keyed(1, 5));
    await bench.endTurn();
    // The round waits for the log, the stop for the round.
    bench.isHoldingLog = true;
    await bench.pass(11_000);
    const closing = bench.close(store);
    closing.catch(() => {});
    bench.fail('sync', '/consumequeue/', 'EIO', 1);
    await bench.release();
    await expect(closing).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect([bench.exists('abort'), bench.exists('foldlog/end.json')]).toEqual([true, false]);
    bench.losePower();
    const last = await bench.open();
    expect([last.startKind, last.queueRange('Plain', 0).maxOffset]).toEqual(['OWN_CRASH', 6]);
  });

  it('while an append finished an index file is not forgotten, though the next sync succeeds', async () => {
    const bench = new CrashBench();
    const store = await bench.open({ maxIndexNum: 5 });
    bench.fail('sync', '/index/', 'EIO', 1);
    put(store, ...keyed(20));
    await bench.endTurn();
    expect(store.isWritable).toBe(true);
    await bench.pass(11_000);
    expect([store.isWritable, bench.exists('foldlog/derived.json')]).toEqual([false, false]);
  });
});
