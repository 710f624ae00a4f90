/** `foldlog store verify` and `dump` on directories that Apache RocketMQ wrote, and on what is none. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskFiles } from '../../src/base/files.js';
import { runFoldlog } from '../../src/cli/runCommand.js';
import { RunFiles } from '../../src/cli/runFiles.js';
import { CliProcess } from '../support/cliProcess.js';
import { FakeTerminal } from '../support/fakeTerminal.js';
import { expandStore, expectedOf, fingerprint, goldenStores } from '../support/goldenStore.js';

const NAME = 'default';
let directory: string;
let terminal: FakeTerminal;
const run = (...words: string[]) => runFoldlog(['store', ...words], terminal);
const objects = () => terminal.outLines.map((line) => JSON.parse(line) as Record<string, unknown>);

beforeEach(() => {
  terminal = new FakeTerminal();
  directory = expandStore(NAME);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('foldlog store verify', () => {
  it('counts what Apache wrote, finds nothing wrong, exits 0 and changes nothing', async () => {
    const before = fingerprint(directory);
    expect(await run('verify', directory)).toBe(0);
    const { recordCount, logicalEnd } = goldenStores()[NAME]!;
    expect(terminal.outLines[0]).toBe(`commit log 0 to ${logicalEnd}: ${recordCount} records`);
    expect(terminal.outLines.at(-1)).toBe('no problem found');
    expect(fingerprint(directory)).toEqual(before);
  });

  it('names file and place of damage and exits 1 with one line on stderr', async () => {
    const file = path.join('commitlog', '0'.repeat(20));
    const opened = diskFiles.open(path.join(directory, file), 'r+');
    // The body's checksum in the first record: size 4, magic 4, checksum 4.
    opened.write(Buffer.from([1, 2, 3, 4]), 0, 4, 8);
    opened.close();
    expect(await run('verify', directory)).toBe(1);
    expect(terminal.outLines.some((line) => line.startsWith(`problem in ${file} at `))).toBe(true);
    expect(terminal.errLines).toHaveLength(1);
    expect(terminal.errLines[0]).toMatch(/\d+ problems? found/);
  });

  it('repairs on request, says what it did, keeps what it removed, and has nothing to do the second time', async () => {
    const small = expandStore('small-recovered');
    try {
      const file = path.join(small, 'commitlog', '16384'.padStart(20, '0'));
      const opened = diskFiles.open(file, 'r+');
      // The magic of the record at log position 20124.
      opened.write(Buffer.alloc(4), 0, 4, 20124 - 16384 + 4);
      opened.close();
      const conf = path.join(small, 'b.conf');
      const sizes = Object.entries(goldenStores()['small-recovered']!.nonDefaultConfig);
      writeFileSync(conf, sizes.map(([key, value]) => `${key}=${value}\n`).join(''));
      const words = ['store', 'verify', small, '-c', conf];
      const checked = new CliProcess(words);
      expect(await checked.exited).toBe(1);
      expect(checked.stdout).toContain('lost at log position 20124: queue FixTopic 1: queue offsets 27 to 27');
      expect(checked.errors).toHaveLength(1);
      expect(checked.errors[0]).toContain(`foldlog store verify ${small} --repair`);
      const repaired = new CliProcess([...words, '--repair']);
      expect([await repaired.exited, repaired.stderr]).toEqual([0, '']);
      expect(repaired.stdout).toContain('1 lost messages are replaced in their places');
      expect(repaired.stdout).toContain(`what was removed is kept in ${small}/foldlog/removed-1`);
      expect(repaired.stdout.trimEnd().split('\n').at(-1)).toBe('repaired: the store opens, no problem is left');
      const again = new CliProcess([...words, '--repair']);
      expect([await again.exited, again.stderr]).toEqual([0, '']);
      expect(again.stdout).toContain('no problem found, nothing was changed');
      expect(await run('verify', small, '-c', conf)).toBe(0);
      expect(terminal.outLines).toContain('queue FixTopic 1: 0 to 80');
    } finally {
      rmSync(small, { recursive: true, force: true });
    }
  });

  it('shows how far it is on a terminal, and takes that away', async () => {
    const shown: string[] = [];
    terminal.progress = (text) => void shown.push(text);
    expect(await run('verify', directory)).toBe(0);
    expect(shown.at(-1)).toBe('');
  });

  it('refuses what is no store, and a store that a broker writes', async () => {
    expect(await run('verify', path.join(directory, 'index'))).toBe(1);
    expect(terminal.errLines.pop()).toContain('holds no store: there is no directory commitlog in it');
    new RunFiles({ home: directory, files: diskFiles }).write('broker', '127.0.0.1:1');
    expect(await run('verify', directory)).toBe(1);
    expect(terminal.errLines.pop()).toContain(`a broker (process ${process.pid}) runs from ${directory}`);
  });
});

describe('foldlog store dump', () => {
  it('prints every record of the commit log in order', async () => {
    expect(await run('dump', directory)).toBe(0);
    const expected = expectedOf(NAME).records.map(({ physicalOffset, at }) => physicalOffset ?? at);
    expect(objects().map(({ commitLogOffset }) => commitLogOffset)).toEqual(expected);
  });

  it('keeps to a topic and a limit', async () => {
    expect(await run('dump', directory, '--topic', 'FixTopic', '--limit', '2')).toBe(0);
    expect(objects().map(({ topic }) => topic)).toEqual(['FixTopic', 'FixTopic']);
  });

  it('prints entries of queues and index, and the checkpoint', async () => {
    expect(await run('dump', directory, '--part', 'consumequeue', '--topic', 'FixTopic')).toBe(0);
    expect(objects()[0]).toMatchObject({ topic: 'FixTopic', queueOffset: 0 });
    terminal.outLines.length = 0;
    const slots = goldenStores()[NAME]!.nonDefaultConfig['maxHashSlotNum'];
    const conf = path.join(directory, 'b.conf');
    writeFileSync(conf, slots === undefined ? '' : `maxHashSlotNum=${slots}\n`);
    expect(await run('dump', directory, '--part', 'index', '-c', conf)).toBe(0);
    expect(objects()[0]).toHaveProperty('header.indexCount');
    expect(objects()[1]).toMatchObject({ number: 1 });
    terminal.outLines.length = 0;
    expect(await run('dump', directory, '--part', 'checkpoint')).toBe(0);
    expect(objects()).toHaveLength(1);
    expect(objects()[0]).toHaveProperty('physicMsgTimestamp');
  });

  it('prints what the timer keeps', async () => {
    const golden = path.join(import.meta.dirname, '../golden/timer');
    mkdirSync(path.join(directory, 'timerlog'));
    mkdirSync(path.join(directory, 'config'), { recursive: true });
    for (const [from, to] of [
      ['timerlog.sparse.json', 'timerlog/00000000000000000000'],
      ['timerwheel.sparse.json', 'timerwheel'],
    ] as const) {
      const { fullSize, segments } = JSON.parse(readFileSync(path.join(golden, from), 'utf8'));
      const bytes = Buffer.alloc(fullSize);
      for (const { offset, hex } of segments) Buffer.from(hex, 'hex').copy(bytes, offset);
      writeFileSync(path.join(directory, to), bytes);
    }
    copyFileSync(path.join(golden, 'timercheck'), path.join(directory, 'config', 'timercheck'));
    expect(await run('dump', directory, '--part', 'timerlog')).toBe(0);
    expect(objects()).toHaveLength(3);
    expect(objects()[1]).toMatchObject({ position: 52, slotTime: 1_795_425_305_000, commitLogOffset: 3703 });
    terminal.outLines.length = 0;
    expect(await run('dump', directory, '--part', 'timerwheel')).toBe(0);
    expect(objects()).toHaveLength(3);
    expect(objects()[0]).toMatchObject({ time: 1_795_424_708_000, lastPos: 0, num: 1 });
    terminal.outLines.length = 0;
    expect(await run('dump', directory, '--part', 'timercheck')).toBe(0);
    expect(objects()).toMatchObject([{ lastTimerLogFlushPos: 156, lastTimerQueueOffset: 3 }]);
  });

  it('refuses parts and limits that there are not', async () => {
    expect(await run('dump', directory, '--part', 'soul')).toBe(2);
    expect(terminal.errLines.pop()).toContain('must be one of commitlog, consumequeue, index, checkpoint');
    expect(await run('dump', directory, '--limit', 'few')).toBe(2);
  });
});
