/** What senders and appenders are told when the disk is slow, full or broken; nothing acknowledged may be missing. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RESPONSE_CODE } from '../../src/protocol/responseCodes.js';
import { appendEvents, bodiesOf, pull, send, startTestBroker, temporaryDirectory } from '../support/testBroker.js';
import { troubledFiles } from '../support/troubledFiles.js';

const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('a sync that takes too long', () => {
  it('is FLUSH_DISK_TIMEOUT: the place is known, the message is not readable yet', async () => {
    const files = troubledFiles();
    const { client, clock } = await startTestBroker({ files, config: { flushDiskType: 'SYNC_FLUSH' } });
    const one = client();
    await send(one, { topic: 'T', body: 'before' });
    await appendEvents(one, { events: [{ keys: ['s-1'] }] });
    files.isSlow = true;
    const sent = send(one, { topic: 'T', body: 'slow' });
    const appended = appendEvents(one, { appendId: 'slow', events: [{ keys: ['s-1'] }] });
    await settle();
    clock.advance(5001);
    expect(await sent).toMatchObject({ code: RESPONSE_CODE.FLUSH_DISK_TIMEOUT, extFields: { queueOffset: '1' } });
    const unknown = await appended;
    expect(unknown.code).toBe(RESPONSE_CODE.FLUSH_DISK_TIMEOUT);
    expect(unknown.remark).toContain('repeat with the same append id');
    expect(bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['before']);
    files.release();
    await expect.poll(async () => bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['before', 'slow']);
    const repeated = await appendEvents(one, { appendId: 'slow', events: [{ keys: ['s-1'] }] });
    expect(repeated).toMatchObject({ code: 0, extFields: { status: 'ALREADY_APPENDED', versions: '2' } });
  });
});

describe('offset files', () => {
  it('wait for the sync of what they rest on', async () => {
    const files = troubledFiles();
    const { client, clock, directory } = await startTestBroker({ files });
    const one = client();
    await send(one, { topic: 'T' });
    await send(one, { topic: 'T', props: { DELAY: '1' } });
    files.isSlow = true;
    await pull(one, { topic: 'T', sysFlag: 5, commitOffset: 1 });
    await clock.advanceInSteps(20_000, 1000);
    await settle();
    const saved = () => readdirSync(path.join(directory, 'config')).filter((name) => /Offset\.json$/.test(name));
    expect(saved()).toEqual([]);
    files.release();
    await expect.poll(saved).toEqual(['consumerOffset.json', 'delayOffset.json']);
  });
});

describe('a full disk', () => {
  it('is SERVICE_NOT_AVAILABLE for everybody of the turn, until there is room', async () => {
    const files = troubledFiles();
    const directory = temporaryDirectory();
    const first = await startTestBroker({ files, directory });
    const one = first.client();
    await send(one, { topic: 'T', body: 'before' });
    await appendEvents(one, { events: [{ keys: ['s-1'] }] });
    files.writeError = 'ENOSPC';
    const refused = await Promise.all([
      send(one, { topic: 'T', body: 'lost' }),
      send(one, { topic: 'T', body: 'lost', props: { WAIT: 'false' } }),
      appendEvents(one, { events: [{ keys: ['s-1'] }] }),
    ]);
    for (const { code, remark } of refused) {
      expect(code).toBe(RESPONSE_CODE.SERVICE_NOT_AVAILABLE);
      expect(remark).toBeTruthy();
    }
    expect(bodiesOf(await pull(one, { topic: 'T' }))).toEqual(['before']);
    files.writeError = undefined;
    // Room is looked for from time to time.
    await first.clock.advanceInSteps(20_000, 1000);
    expect(await send(one, { topic: 'T', body: 'after' })).toMatchObject({ code: 0, extFields: { queueOffset: '1' } });
    expect(await appendEvents(one, { events: [{ keys: ['s-1'] }] })).toMatchObject({
      code: 0,
      extFields: { versions: '2' },
    });
    await first.stop();
    const second = await startTestBroker({ directory });
    expect(bodiesOf(await pull(second.client(), { topic: 'T' }))).toEqual(['before', 'after']);
  });
});

describe('a device that fails a sync', () => {
  it('finishes the store: everything is refused from then on, and the broker stays up to say so', async () => {
    const files = troubledFiles();
    const { client, clock } = await startTestBroker({ files, config: { flushDiskType: 'SYNC_FLUSH' } });
    const one = client();
    await send(one, { topic: 'T', body: 'before', props: { DELAY: '1' } });
    const held = pull(one, { topic: 'T', sysFlag: 6 });
    files.syncError = 'EIO';
    const failed = await send(one, { topic: 'T', body: 'unknown' });
    expect(failed.code).toBe(RESPONSE_CODE.SERVICE_NOT_AVAILABLE);
    files.syncError = undefined;
    expect((await send(one, { topic: 'T' })).code).toBe(RESPONSE_CODE.SERVICE_NOT_AVAILABLE);
    expect((await appendEvents(one, { events: [{ keys: ['s-1'] }] })).code).not.toBe(RESPONSE_CODE.SUCCESS);
    const pulled = await pull(one, { topic: 'T' });
    expect(pulled.code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
    expect(pulled.remark).toContain('the store is finished');
    // The delayed message falls due, the held pull ends, offsets are saved: none of that may throw.
    await clock.advanceInSteps(30_000, 1000);
    expect((await held).code).toBe(RESPONSE_CODE.SYSTEM_ERROR);
  });
});
