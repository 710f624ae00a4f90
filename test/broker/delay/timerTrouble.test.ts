// The timer in trouble: a disk without room, a failing sync, a clock that is set, a directory of another broker.
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StoredMessage } from '../../../src/protocol/message.js';
import { expandStore } from '../../support/goldenStore.js';
import { ManualClock } from '../../support/manualClock.js';
import type { RawClient } from '../../support/rawClient.js';
import {
  messagesOf,
  pull,
  recordingLogger,
  send,
  startTestBroker,
  temporaryDirectory,
} from '../../support/testBroker.js';
import { troubledFiles } from '../../support/troubledFiles.js';

const settle = async () => {
  for (let turn = 0; turn < 60; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** Real syncs take real time: turns of the event loop until the condition holds, and no clock. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let round = 0; round < 3000; round += 1) {
    if (await condition()) return;
    await settle();
  }
  throw new Error('the condition did not come true');
}

async function pass(clock: ManualClock, millis: number, stepMillis = 1000): Promise<void> {
  for (let left = millis; left > 0; left -= stepMillis) {
    clock.advance(Math.min(left, stepMillis));
    await settle();
  }
}

const all = async (client: RawClient, topic: string, queueId = 0): Promise<StoredMessage[]> => {
  await settle();
  return messagesOf(await pull(client, { topic, queueId }));
};

const bodies = async (client: RawClient, topic: string): Promise<string[]> =>
  (await all(client, topic)).map(({ body }) => body.toString());

describe('the timer', () => {
  it('drops nothing while the disk has no room, and delivers once when there is some', async () => {
    const files = troubledFiles();
    const logger = recordingLogger();
    const { client, clock } = await startTestBroker({ files, logger });
    const one = client();
    for (let n = 0; n < 5; n += 1) {
      await send(one, { topic: 'T', body: `${n}`, props: { TIMER_DELAY_SEC: '3' } });
    }
    await settle();
    files.writeError = 'ENOSPC';
    await pass(clock, 30_000);
    expect(await bodies(one, 'T')).toEqual([]);
    files.writeError = undefined;
    await pass(clock, 30_000);
    expect(await bodies(one, 'T')).toEqual(['0', '1', '2', '3', '4']);
    expect(logger.lines.filter((line) => line.includes('timer messages cannot be delivered'))).toHaveLength(1);
  });

  it('goes on when its own files have no room, and loses nothing by it', async () => {
    const files = troubledFiles();
    let isFull = false;
    const { open } = files;
    files.open = (file, mode) => {
      const opened = open(file, mode);
      if (!file.includes('timerlog')) return opened;
      const write: typeof opened.write = (...args) => {
        if (isFull) throw Object.assign(new Error('ENOSPC: made by the test'), { code: 'ENOSPC' });
        opened.write(...args);
      };
      return {
        path: opened.path,
        size: () => opened.size(),
        read: (...args) => opened.read(...args),
        write,
        truncate: (size) => opened.truncate(size),
        sync: () => opened.sync(),
        syncNow: () => opened.syncNow(),
        close: () => opened.close(),
      };
    };
    const { client, clock } = await startTestBroker({ files });
    const one = client();
    await send(one, { topic: 'T', body: 'before', props: { TIMER_DELAY_SEC: '5' } });
    await settle();
    isFull = true;
    await send(one, { topic: 'T', body: 'meanwhile', props: { TIMER_DELAY_SEC: '5' } });
    await pass(clock, 3000);
    isFull = false;
    await pass(clock, 10_000);
    expect(await bodies(one, 'T')).toEqual(['before', 'meanwhile']);
  });

  it('keeps its checkpoint after a failed sync of its files, and delivers again after a restart', async () => {
    const files = troubledFiles();
    const { open } = files;
    let isBroken = false;
    files.open = (file, mode) => {
      const opened = open(file, mode);
      if (!/timer(log|wheel|check)/.test(file)) return opened;
      return {
        path: opened.path,
        size: () => opened.size(),
        read: (...args) => opened.read(...args),
        write: (...args) => opened.write(...args),
        truncate: (size) => opened.truncate(size),
        async sync() {
          if (isBroken) throw Object.assign(new Error('EIO: made by the test'), { code: 'EIO' });
          await opened.sync();
        },
        syncNow: () => opened.syncNow(),
        close: () => opened.close(),
      };
    };
    const directory = temporaryDirectory();
    const logger = recordingLogger();
    const first = await startTestBroker({ directory, files, logger });
    const one = first.client();
    await send(one, { topic: 'T', body: 'a', props: { TIMER_DELAY_SEC: '5' } });
    await pass(first.clock, 2000);
    const file = path.join(directory, 'config', 'timercheck');
    await until(() => fs.existsSync(file) && fs.readFileSync(file).readInt32BE(52) > 0);
    const check = fs.readFileSync(file);
    isBroken = true;
    await send(one, { topic: 'T', body: 'b', props: { TIMER_DELAY_SEC: '600' } });
    await pass(first.clock, 20_000);
    await until(async () => (await bodies(one, 'T')).length > 0);
    await until(() => logger.lines.some((line) => line.includes('files of the timer cannot be saved')));
    expect(await bodies(one, 'T')).toEqual(['a']);
    await first.stop();
    expect(fs.readFileSync(path.join(directory, 'config', 'timercheck')).equals(check)).toBe(true);
    expect(logger.lines.filter((line) => line.includes('files of the timer cannot be saved'))).toHaveLength(1);
    const second = await startTestBroker({ directory, clock: first.clock });
    await pass(second.clock, 600_000, 60_000);
    expect(await bodies(second.client(), 'T')).toEqual(['a', 'a', 'b']);
  });

  it.each([false, true])(
    'delivers nothing before its time when the clock goes back, restarted %s',
    async (isRestarted) => {
      const directory = temporaryDirectory();
      const start = 1_800_000_000_000;
      const clock = new ManualClock(start);
      // The same timers, another time of day.
      let shift = 0;
      const now = clock.now.bind(clock);
      clock.now = () => now() + shift;
      const first = await startTestBroker({ directory, clock });
      const one = first.client();
      await send(one, { topic: 'T', body: 'first', props: { TIMER_DELAY_SEC: '5' } });
      await pass(clock, 10_000);
      expect(await bodies(one, 'T')).toEqual(['first']);
      if (isRestarted) await first.stop();
      shift = -3600_000;
      const second = isRestarted ? await startTestBroker({ directory, clock }) : first;
      const two = second.client();
      const due = clock.now() + 20_000;
      await send(two, { topic: 'T', body: 'second', props: { TIMER_DELAY_SEC: '20' } });
      await pass(clock, 19_000);
      expect(await bodies(two, 'T')).toEqual(['first']);
      await pass(clock, 2000);
      await until(async () => (await bodies(two, 'T')).length > 1);
      const messages = await all(two, 'T');
      expect(messages.map(({ body }) => body.toString())).toEqual(['first', 'second']);
      expect(messages[1]?.storeTimestamp).toBeGreaterThanOrEqual(due);
      // The hour comes again, the message does not.
      await pass(clock, 3700_000, 60_000);
      expect(await bodies(two, 'T')).toEqual(['first', 'second']);
    },
  );

  it('notices within a minute that the clock was put forward', async () => {
    const clock = new ManualClock(1_800_000_000_000);
    let shift = 0;
    const now = clock.now.bind(clock);
    clock.now = () => now() + shift;
    const { client } = await startTestBroker({ clock });
    const one = client();
    await send(one, { topic: 'T', body: 'x', props: { TIMER_DELAY_SEC: '86400' } });
    await pass(clock, 2000);
    shift = 86_400_000;
    await pass(clock, 61_000, 10_000);
    expect(await bodies(one, 'T')).toEqual(['x']);
  });

  it('goes on with what a real broker left waiting, at its times', async () => {
    const directory = expandStore('default');
    try {
      const golden = path.join(import.meta.dirname, '../../golden/timer');
      for (const [from, to] of [
        ['timerlog.sparse.json', 'timerlog/00000000000000000000'],
        ['timerwheel.sparse.json', 'timerwheel'],
      ] as const) {
        const { fullSize, segments } = JSON.parse(fs.readFileSync(path.join(golden, from), 'utf8'));
        fs.mkdirSync(path.dirname(path.join(directory, to)), { recursive: true });
        const descriptor = fs.openSync(path.join(directory, to), 'w');
        fs.ftruncateSync(descriptor, fullSize);
        for (const { offset, hex } of segments) {
          const bytes = Buffer.from(hex, 'hex');
          fs.writeSync(descriptor, bytes, 0, bytes.length, offset);
        }
        fs.closeSync(descriptor);
      }
      fs.mkdirSync(path.join(directory, 'config'), { recursive: true });
      fs.copyFileSync(path.join(golden, 'timercheck'), path.join(directory, 'config', 'timercheck'));
      const clock = new ManualClock(1_795_425_300_000);
      const sizes = {
        mappedFileSizeCommitLog: 1_073_741_824,
        mappedFileSizeConsumeQueue: 6_000_000,
        maxHashSlotNum: 5_000_000,
        maxIndexNum: 20_000_000,
      };
      const { client, stop } = await startTestBroker({ directory, clock, config: sizes });
      const one = client();
      const timers = async (queueId: number) =>
        (await all(one, 'FixTopic', queueId))
          .map(({ body }) => body.toString())
          .filter((body) => body.startsWith('timer'));
      // Delivered by the real broker.
      expect(await timers(0)).toEqual(['timer-3s']);
      await pass(clock, 5900, 500);
      expect(await timers(0)).toEqual(['timer-3s']);
      await pass(clock, 600, 100);
      expect(await timers(0)).toEqual(['timer-3s', 'timer-600s']);
      expect(await timers(1)).toEqual([]);
      await pass(clock, 100_000, 5000);
      expect(await timers(1)).toEqual(['timer-deliver']);
      await stop();
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  });
});
