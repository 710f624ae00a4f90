/** Who runs from a directory: found by a file, believed only when the process is the one that wrote it. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskFiles } from '../../src/base/files.js';
import { startMarkOf } from '../../src/cli/processIdentity.js';
import { RunFiles } from '../../src/cli/runFiles.js';

let home: string;
let runFiles: RunFiles;
const file = () => path.join(home, 'foldlog/run/broker.json');
const change = (changes: object) =>
  writeFileSync(file(), JSON.stringify({ ...JSON.parse(readFileSync(file(), 'utf8')), ...changes }));

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'foldlog-run-'));
  runFiles = new RunFiles({ home, files: diskFiles });
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

describe('RunFiles', () => {
  it('finds this process while its file is there', () => {
    expect(runFiles.find('broker')).toEqual({ status: 'NOTHING_RUNS' });
    runFiles.write('broker', '127.0.0.1:1');
    expect(runFiles.find('broker')).toMatchObject({
      status: 'RUNS',
      running: { role: 'broker', pid: process.pid, address: '127.0.0.1:1' },
    });
    expect(runFiles.find('namesrv')).toEqual({ status: 'NOTHING_RUNS' });
    runFiles.remove('broker');
    expect(runFiles.find('broker')).toEqual({ status: 'NOTHING_RUNS' });
  });

  it('does not believe a file whose process id now belongs to another process', () => {
    runFiles.write('broker', 'a:1');
    change({ startMark: '1' });
    expect(runFiles.find('broker').status).toBe('NOTHING_RUNS');
    change({ startMark: '' });
    expect(runFiles.find('broker').status).toBe('NOTHING_RUNS');
  });

  it('does not judge processes of another host', () => {
    runFiles.write('broker', 'a:1');
    change({ hostname: 'elsewhere' });
    expect(runFiles.find('broker').status).toBe('ON_ANOTHER_HOST');
  });

  it.each(['', '{', 'null', '7', '{"pid":"1"}', '{"pid":-1}', '{"pid":1.5}'])('takes %j for nobody', (content) => {
    mkdirSync(path.dirname(file()), { recursive: true });
    writeFileSync(file(), content);
    expect(runFiles.find('broker')).toEqual({ status: 'NOTHING_RUNS' });
  });

  it('hands over a request to stop once, and forgets old ones at a new start', () => {
    runFiles.write('broker', 'a:1');
    expect(runFiles.takeStopRequest('broker')).toBe(false);
    runFiles.requestStop('broker');
    expect(runFiles.takeStopRequest('namesrv')).toBe(false);
    expect(runFiles.takeStopRequest('broker')).toBe(true);
    expect(runFiles.takeStopRequest('broker')).toBe(false);
    runFiles.requestStop('broker');
    runFiles.write('broker', 'a:1');
    expect(runFiles.takeStopRequest('broker')).toBe(false);
  });
});

describe('startMarkOf', () => {
  it('is the same for one process and gone with it, also before its parent has collected it', async () => {
    // The shell leaves a child behind that has ended and that nobody waits for.
    const parent = spawn('sh', ['-c', 'sleep 0.01 & echo $!; exec sleep 100'], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      const zombie = Number(
        await new Promise<string>((resolve) => parent.stdout.once('data', (text) => resolve(String(text)))),
      );
      while (startMarkOf(zombie, diskFiles) !== undefined) await new Promise((resolve) => setImmediate(resolve));
      const mark = startMarkOf(parent.pid!, diskFiles);
      expect(mark).toMatch(/\d/);
      expect(startMarkOf(parent.pid!, diskFiles)).toBe(mark);
    } finally {
      parent.kill('SIGKILL');
    }
    await new Promise((resolve) => parent.once('exit', resolve));
    expect(startMarkOf(parent.pid!, diskFiles)).toBeUndefined();
  });
});
