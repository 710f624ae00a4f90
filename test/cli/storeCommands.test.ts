/** `foldlog store verify` and `dump` on directories that Apache RocketMQ wrote, and on what is none. */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskFiles } from '../../src/base/files.js';
import { runFoldlog } from '../../src/cli/runCommand.js';
import { RunFiles } from '../../src/cli/runFiles.js';
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

  it('refuses parts and limits that there are not', async () => {
    expect(await run('dump', directory, '--part', 'soul')).toBe(2);
    expect(terminal.errLines.pop()).toContain('must be one of commitlog, consumequeue, index, checkpoint');
    expect(await run('dump', directory, '--limit', 'few')).toBe(2);
  });
});
