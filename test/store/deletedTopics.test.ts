// A deleted topic is known by where the log ended at that moment: records before it are gone, later ones are not. So the
// note must name a position that stays what it is: not one of a turn that is abandoned, nor one behind a shorter log.
import { describe, expect, it } from 'vitest';
import { message } from '../support/storeMessages.js';
import { CrashBench, DIRECTORY, put } from './crashBench.js';

const one = () => message({ topic: 'A' });

describe('a topic that is deleted', () => {
  it('while a turn is under way that a full disk then takes: what is stored in its place is there', async () => {
    const bench = new CrashBench();
    const store = await bench.open();
    const { visible } = put(store, one(), one());
    bench.fail('write', '/commitlog/', 'ENOSPC', 1);
    store.deleteTopic('A');
    await bench.endTurn();
    await expect(visible).rejects.toMatchObject({ code: 'DISK_FULL' });
    put(store, one());
    await bench.endTurn();
    expect(store.queueRange('A', 0)).toEqual({ minOffset: 0, maxOffset: 1 });
    bench.kill();
    expect((await bench.open()).queueRange('A', 0)).toEqual({ minOffset: 0, maxOffset: 1 });
  });

  it('begins at 0 again, also when a full disk takes a later turn while one of it waits for its sync', async () => {
    const bench = new CrashBench();
    const store = await bench.open({ flushDiskType: 'SYNC_FLUSH' });
    put(store, message({}));
    await bench.endTurn();
    bench.isHoldingLog = true;
    put(store, one(), one());
    await bench.endTurn();
    store.deleteTopic('A');
    bench.fail('write', '/commitlog/', 'ENOSPC', 1);
    put(store, message({}));
    await bench.endTurn();
    const outcome = store.append([one()]);
    expect(outcome).toMatchObject({ status: 'PUT_OK', places: [{ queueOffset: 0 }] });
    await bench.endTurn();
    await bench.release();
    expect(store.queueRange('A', 0)).toEqual({ minOffset: 0, maxOffset: 1 });
  });

  it('after its first files were removed, by a deletion that the disk interrupts: it begins at 0 again', async () => {
    const bench = new CrashBench();
    const retention = { deleteWhen: '', fileReservedTimeHours: 1, deleteCommitLogFilesIntervalMillis: 0 };
    const store = await bench.open({ retention });
    for (let count = 0; count < 40; count += 1) put(store, message({ topic: 'A', body: 'x'.repeat(300) }));
    await bench.endTurn();
    bench.clock.advance(3 * 3_600_000);
    const removed = store.deleteExpiredFiles();
    await bench.pass(5000);
    expect(await removed).toBeGreaterThan(2);
    expect(bench.files.list(`${DIRECTORY}/consumequeue/A/0`)[0]).not.toBe('0'.repeat(20));
    bench.fail('remove', '/consumequeue/A/', 'EIO');
    expect(() => store.deleteTopic('A')).toThrow('deleting a topic');
    bench.kill();
    const again = await bench.open({ retention });
    expect(again.queueRange('A', 0)).toEqual({ minOffset: 0, maxOffset: 0 });
    expect(again.append([one()])).toMatchObject({ status: 'PUT_OK', places: [{ queueOffset: 0 }] });
  });

  it('behind the end that a loss of power left: what is stored before that position is there', async () => {
    const bench = new CrashBench();
    const store = await bench.open();
    put(store, one(), one());
    await bench.endTurn();
    store.deleteTopic('A');
    bench.losePower();
    const again = await bench.open();
    expect(again.visibleEnd().commitLogOffset).toBe(0);
    put(again, one());
    await bench.endTurn();
    expect(again.queueRange('A', 0)).toEqual({ minOffset: 0, maxOffset: 1 });
    bench.kill();
    expect((await bench.open()).queueRange('A', 0)).toEqual({ minOffset: 0, maxOffset: 1 });
  });
});
