// When answers leave and what readers see: ASYNC_FLUSH, SYNC_FLUSH with group commit, waits that run out, a full disk,
// a disk that fails. On files in memory whose syncs the test holds, delays or breaks.
import { describe, expect, it } from 'vitest';
import type { MessageToStore, TurnPromises } from '../../src/store/index.js';
import { MessageStore, type MessageStoreOptions, verifyStore } from '../../src/store/index.js';
import { FaultyFiles } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';
import { event, message } from '../support/storeMessages.js';

const LOG = '/commitlog/';

/** A store whose turns end when the test says so, and whose log syncs wait for the test when held. */
class Bench {
  readonly files: FaultyFiles;
  readonly clock = new ManualClock();
  readonly #ends: (() => void)[] = [];
  #held: (() => void)[] = [];
  isHolding = false;
  logSyncs = 0;
  fails: string | undefined;

  constructor(files = new FaultyFiles()) {
    this.files = files;
    files.beforeSync = (file) => {
      if (!file.includes(LOG)) return undefined;
      this.logSyncs += 1;
      if (this.fails) throw Object.assign(new Error(this.fails), { code: this.fails });
      return this.isHolding ? new Promise<void>((resolve) => void this.#held.push(resolve)) : undefined;
    };
  }

  open(more: Partial<MessageStoreOptions> = {}): Promise<MessageStore> {
    return MessageStore.open({
      directory: '/data/store',
      files: this.files,
      clock: this.clock,
      lockDirectory: async () => ({ release: async () => {} }),
      atEndOfTurn: (action) => void this.#ends.push(action),
      mappedFileSizeCommitLog: 65_536,
      mappedFileSizeConsumeQueue: 2000,
      maxHashSlotNum: 11,
      maxIndexNum: 100,
      ...more,
    });
  }

  async endTurn(): Promise<void> {
    for (const action of this.#ends.splice(0)) action();
    await settle();
  }

  async release(): Promise<void> {
    for (const resolve of this.#held.splice(0)) resolve();
    await settle();
  }

  async close(store: MessageStore): Promise<void> {
    this.isHolding = false;
    await this.release();
    let isClosed = false;
    const closing = store.close().finally(() => {
      isClosed = true;
    });
    while (!isClosed) await this.endTurn();
    await closing;
  }
}

async function settle(): Promise<void> {
  for (let count = 0; count < 30; count += 1) await Promise.resolve();
}

function put(store: MessageStore, ...messages: MessageToStore[]): TurnPromises {
  const outcome = store.append(messages.length > 0 ? messages : [message({})]);
  if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
  return outcome.turn;
}

/** What became of a promise so far. */
function watched(promise: Promise<unknown>): { state: string } {
  const seen = { state: 'waiting' };
  promise.then(
    (value) => {
      seen.state = String(value);
    },
    (error: { code: string }) => {
      seen.state = error.code;
    },
  );
  return seen;
}

const bodyCount = (store: MessageStore) => store.queueRange('Plain', 0).maxOffset;

describe('ASYNC_FLUSH', () => {
  it('answers after the write, and syncs by the clock', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const before = bench.logSyncs;
    const { written, visible } = put(store);
    await bench.endTurn();
    await written;
    expect(await visible).toBe('VISIBLE');
    expect([bodyCount(store), bench.logSyncs]).toEqual([1, before]);
    bench.clock.advance(500);
    await settle();
    expect(bench.logSyncs).toBe(before + 1);
    bench.clock.advance(5_000);
    await settle();
    expect(bench.logSyncs).toBe(before + 1);
    await bench.close(store);
    expect(bench.clock.pendingCount).toBe(0);
  });

  it('syncLog resolves when everything appended before it is synced, also what is not written yet', async () => {
    const bench = new Bench();
    const store = await bench.open();
    bench.isHolding = true;
    put(store);
    const synced = watched(store.syncLog());
    await settle();
    expect([synced.state, bodyCount(store)]).toEqual(['waiting', 1]);
    await bench.release();
    expect(synced.state).toBe('undefined');
    await bench.close(store);
  });
});

describe('SYNC_FLUSH', () => {
  /** Syncs that take as long as said, by the clock; those on another thread wait for the test when it holds them. */
  async function paced(): Promise<{ bench: Bench; store: MessageStore; put(millis: number): Promise<string> }> {
    const bench = new Bench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH' });
    const { beforeSync } = bench.files;
    let lasts = 0;
    bench.files.beforeSync = (file) => {
      if (file.includes(LOG)) bench.clock.advance(lasts);
      return beforeSync?.(file);
    };
    const putOne = async (millis: number): Promise<string> => {
      lasts = millis;
      const seen = watched(put(store).visible);
      await bench.endTurn();
      return seen.state;
    };
    return { bench, store, put: putOne };
  }

  it('waits in place for a sync after short ones, and on another thread after a long one', async () => {
    const { bench, store, put } = await paced();
    for (let count = 0; count < 8; count += 1) expect(await put(0.3)).toBe('VISIBLE');
    bench.isHolding = true;
    // In place there is nothing that the test could hold.
    expect(await put(0.3)).toBe('VISIBLE');
    expect(await put(5)).toBe('VISIBLE');
    for (let count = 0; count < 8; count += 1) {
      expect(await put(0.3)).toBe('waiting');
      await bench.release();
    }
    expect(await put(0.3)).toBe('VISIBLE');
    expect(bodyCount(store)).toBe(19);
    await bench.close(store);
  });

  it('a sync in place that fails finishes the store', async () => {
    const { bench, store, put } = await paced();
    for (let count = 0; count < 8; count += 1) await put(0.3);
    bench.fails = 'EIO';
    expect(await put(0.3)).toBe('STORE_FAILED');
    expect(() => store.append([message({})])).toThrow('the store is finished');
    await store.close().catch(() => {});
  });

  it('check 59: nothing is visible before its sync; one sync serves all turns that wait', async () => {
    const bench = new Bench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH' });
    bench.isHolding = true;
    const first = watched(put(store).visible);
    await bench.endTurn();
    const before = bench.logSyncs;
    const others = [];
    for (let turn = 0; turn < 5; turn += 1) {
      for (let count = 0; count < 10; count += 1) others.push(watched(put(store).visible));
      await bench.endTurn();
    }
    expect([first.state, bodyCount(store), store.visibleEnd().commitLogOffset]).toEqual(['waiting', 0, 0]);
    await bench.release();
    expect([first.state, bodyCount(store)]).toEqual(['VISIBLE', 1]);
    expect(others.every(({ state }) => state === 'waiting')).toBe(true);
    await bench.release();
    expect(others.every(({ state }) => state === 'VISIBLE')).toBe(true);
    expect([bodyCount(store), bench.logSyncs - before]).toEqual([51, 1]);
    await bench.close(store);
  });

  it('written comes first, so that WAIT=false need not wait', async () => {
    const bench = new Bench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH' });
    bench.isHolding = true;
    const turn = put(store);
    const visible = watched(turn.visible);
    await bench.endTurn();
    await turn.written;
    expect(visible.state).toBe('waiting');
    await bench.close(store);
    expect(visible.state).toBe('VISIBLE');
  });

  it('check 61: a stuck disk is FLUSH_DISK_TIMEOUT, and the record becomes visible later', async () => {
    const bench = new Bench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH', syncFlushTimeoutMillis: 1000 });
    bench.isHolding = true;
    const first = watched(put(store).visible);
    await bench.endTurn();
    bench.clock.advance(600);
    const second = watched(put(store).visible);
    await bench.endTurn();
    bench.clock.advance(400);
    await settle();
    expect([first.state, second.state]).toEqual(['FLUSH_DISK_TIMEOUT', 'waiting']);
    bench.clock.advance(600);
    await settle();
    expect([second.state, bodyCount(store)]).toEqual(['FLUSH_DISK_TIMEOUT', 0]);
    await bench.release();
    await bench.release();
    expect(bodyCount(store)).toBe(2);
    await bench.close(store);
  });

  it('an append whose answer is out is on the device', async () => {
    const bench = new Bench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH' });
    const turn = put(store, message({ body: 'kept' }));
    await bench.endTurn();
    expect(await turn.visible).toBe('VISIBLE');
    put(store, message({ body: 'lost' }));
    const after = new Bench(bench.files.crash(() => 0));
    const again = await after.open();
    expect(bodyCount(again)).toBe(1);
    await after.close(again);
  });
});

describe('a full disk', () => {
  it('check 58: the turn fails, nothing of it is stored, and writing goes on when there is room', async () => {
    const bench = new Bench();
    const store = await bench.open();
    const keyed = (body: string) => message({ body, properties: { KEYS: 'k' } });
    put(store, keyed('one'));
    await bench.endTurn();
    const end = store.visibleEnd();
    const guarded = (appendId: string) => {
      const expectedVersions = [{ topic: 'Events', stream: 's', expected: 'NO_STREAM' as const }];
      return store.appendGuarded({ appendId, events: [event(['s'])], expectedVersions });
    };
    bench.files.roomBytes = 4096;
    const large = put(store, keyed('y'.repeat(20_000)));
    expect(guarded('g1').status).toBe('APPENDED');
    // This conflict rests on a record that will not be stored: its answer fails with it.
    const conflict = guarded('g2');
    expect(conflict.status).toBe('VERSION_CONFLICT');
    await bench.endTurn();
    await expect(large.visible).rejects.toMatchObject({ code: 'DISK_FULL' });
    if ('turn' in conflict) await expect(conflict.turn.visible).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect([store.visibleEnd(), store.isWritable]).toEqual([end, false]);
    expect(store.append([message({})])).toMatchObject({ status: 'SERVICE_NOT_AVAILABLE' });
    const keys = [{ topic: 'Plain', key: 'k' }];
    expect(store.readByKeys({ keys, direction: 'forwards', maxCount: 9, maxBytes: 1e6 }).records).toHaveLength(1);
    bench.files.roomBytes = Number.POSITIVE_INFINITY;
    put(store, keyed('two'));
    // The stream is empty again, and the id was never used.
    expect(guarded('g1')).toMatchObject({ status: 'APPENDED', places: [{ version: 1 }] });
    await bench.endTurn();
    expect([bodyCount(store), store.isWritable]).toEqual([2, true]);
    await bench.close(store);
    expect(verifyStore('/data/store', { files: bench.files, maxHashSlotNum: 11 }).problems).toEqual([]);
    const after = new Bench(bench.files.kill());
    const again = await after.open();
    expect([bodyCount(again), again.visibleEnd().generation]).toEqual([2, 1]);
    await after.close(again);
  });

  it('SYNC_FLUSH meets it ahead of the end, before a record is accepted', async () => {
    const bench = new Bench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH', mappedFileSizeCommitLog: 8 * 1024 * 1024 });
    bench.files.roomBytes = 16_384;
    const turn = put(store);
    await bench.endTurn();
    expect(await turn.visible).toBe('VISIBLE');
    expect(store.isWritable).toBe(false);
    expect(store.append([message({})])).toMatchObject({ status: 'SERVICE_NOT_AVAILABLE' });
    expect(bodyCount(store)).toBe(1);
    bench.files.roomBytes = Number.POSITIVE_INFINITY;
    const next = put(store);
    await bench.endTurn();
    expect(await next.visible).toBe('VISIBLE');
    await bench.close(store);
  });
});

describe('a disk that fails', () => {
  it('a failed sync finishes the store: it refuses everything, and is opened anew', async () => {
    const bench = new Bench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH' });
    bench.fails = 'EIO';
    const turn = put(store);
    await bench.endTurn();
    await expect(turn.visible).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(store.isWritable).toBe(false);
    expect(() => store.append([message({})])).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
    expect(() => store.readQueue('Plain', 0, 0, 1, 1)).toThrow(/finished/);
    await expect(store.syncLog()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await store.close();
    bench.fails = undefined;
    expect(bench.clock.pendingCount).toBe(0);
    const after = new Bench(bench.files.kill());
    const again = await after.open();
    // Whether the record is there was unknown; it was written, so here it is.
    expect([bodyCount(again), again.visibleEnd().generation]).toEqual([1, 2]);
    await after.close(again);
  });

  it('a failed write finishes it as well', async () => {
    const bench = new Bench();
    const store = await bench.open();
    put(store);
    await bench.endTurn();
    const turn = put(store);
    const alive = bench.files.kill();
    await bench.endTurn();
    await expect(turn.written).rejects.toMatchObject({ code: 'STORE_FAILED' });
    const after = new Bench(alive);
    const again = await after.open();
    expect(bodyCount(again)).toBe(1);
    await after.close(again);
  });
});

describe('the zeros ahead of the end', () => {
  it('finish the store when the device refuses them, as any failed write does; what was answered stands', async () => {
    const bench = new Bench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH' });
    bench.files.onChange = (operation, file, length) =>
      operation === 'write' && file.includes(LOG) && length > 4096 ? { kind: 'FAIL', code: 'EIO' } : undefined;
    const turn = put(store);
    await bench.endTurn();
    expect(await turn.visible).toBe('VISIBLE');
    expect(() => store.append([message({})])).toThrow('the store is finished: filling the commit log ahead failed');
    expect(store.isWritable).toBe(false);
  });
});

describe('what lies beyond the end', () => {
  it('check 51, differs from RocketMQ: a dead record does not come back behind a new one of equal size', async () => {
    const bench = new Bench();
    const store = await bench.open();
    for (const body of ['one', 'two', 'old']) put(store, message({ body }));
    await bench.endTurn();
    const killed = bench.files.kill();
    // The middle record is damaged: the log ends there, the third one lies beyond the end.
    const log = '/data/store/commitlog/00000000000000000000';
    const size = store.readRecord(0)!.length;
    killed.open(log, 'r+').write(Buffer.from('X'), 0, 1, size + 89);
    const after = new Bench(killed);
    const again = await after.open();
    expect(bodyCount(again)).toBe(1);
    put(again, message({ body: 'new' }));
    await after.endTurn();
    const last = new Bench(after.files.kill());
    const finally_ = await last.open();
    expect(bodyCount(finally_)).toBe(2);
    await last.close(finally_);
  });
});
