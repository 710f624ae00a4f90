/** The command line without a process: usage, configuration errors, exit codes, one line each. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commandTable.js';
import { runFoldlog } from '../../src/cli/runCommand.js';
import { FakeTerminal } from '../support/fakeTerminal.js';

let terminal: FakeTerminal;
let directory: string;
const run = (...words: string[]) => runFoldlog(words, terminal);
const conf = (text: string) => {
  const file = path.join(directory, 'broker.conf');
  writeFileSync(file, text);
  return file;
};

beforeEach(() => {
  terminal = new FakeTerminal();
  directory = mkdtempSync(path.join(tmpdir(), 'foldlog-cli-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('the command table', () => {
  it('names each command once and loads all of them', async () => {
    expect(new Set(COMMANDS.map(({ name }) => name)).size).toBe(COMMANDS.length);
    for (const row of COMMANDS) expect(typeof (await row.load()).run).toBe('function');
  });
});

describe('usage', () => {
  it('lists every command on --help and exits 0', async () => {
    expect(await run('--help')).toBe(0);
    for (const { name } of COMMANDS) expect(terminal.outLines.join('\n')).toContain(`  ${name.split(' ')[0]} `);
    expect(terminal.errLines).toEqual([]);
  });

  it.each([
    [['foo'], "unknown command 'foo'"],
    [['namsrv'], 'Did you mean namesrv?'],
    [['up', '--namesrv-port', 'x'], 'A port is a number from 0 to 65535.'],
    [['up', '--broker-port', '65536'], 'A port is a number from 0 to 65535.'],
    [['up', '--no-such'], "unknown option '--no-such'"],
    [['up', 'extra'], 'too many arguments'],
    [['shutdown'], "missing required argument 'role'"],
    [['shutdown', 'proxy'], 'Allowed choices are broker, namesrv.'],
    [['broker', '--store', '/nowhere'], 'a broker needs a name server: give -n HOST:PORT or set NAMESRV_ADDR'],
  ])('%j exits 2 and says why', async (words, reason) => {
    expect(await run(...words)).toBe(2);
    expect(terminal.errLines.join(' ')).toContain(reason);
  });

  it('without a command shows the help and exits 2', async () => {
    expect(await run()).toBe(2);
    expect(terminal.errLines.join('\n')).toContain('Usage: foldlog');
  });
});

describe('configuration files', () => {
  it.each([['up'], ['broker', '-n', 'a:1']])(
    '%s: a file that is not there is one line and exit 1',
    async (...words) => {
      expect(await run(...words, '-c', '/no/such/file')).toBe(1);
      expect(terminal.errLines).toEqual([
        'foldlog: cannot read the configuration: /no/such/file: no such file or directory',
      ]);
    },
  );

  it('a directory as file is named', async () => {
    expect(await run('up', '-c', directory)).toBe(1);
    expect(terminal.errLines[0]).toContain(`${directory}: is a directory`);
  });

  it('an unknown key is one line with file, line and nearest key', async () => {
    const file = conf('# a comment\nflushDiskTyp=SYNC_FLUSH\n');
    expect(await run('up', '-c', file, '--store', directory)).toBe(1);
    expect(terminal.errLines).toEqual([
      `foldlog: ${file}:2: unknown key flushDiskTyp; the nearest known key is flushDiskType`,
    ]);
  });

  it('brokerRole=SLAVE is one line', async () => {
    expect(await run('up', '-c', conf('brokerRole=SLAVE'), '--store', directory)).toBe(1);
    expect(terminal.errLines).toHaveLength(1);
    expect(terminal.errLines[0]).toContain('replication is not available');
  });

  it('of a name server too', async () => {
    expect(await run('namesrv', '-c', conf('listenPort=-1'))).toBe(1);
    expect(terminal.errLines[0]).toMatch(/broker\.conf:1: listenPort=-1 is not allowed/);
  });
});

describe('shutdown', () => {
  it.each(['broker', 'namesrv'])('exits 1 with one line when no %s runs', async (role) => {
    expect(await run('shutdown', role, '--store', directory)).toBe(1);
    expect(terminal.errLines).toEqual([`foldlog: no mq${role} running from ${directory}`]);
  });
});
