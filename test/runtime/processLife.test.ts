/** An application without a socket keeps its process alive until it is stopped, and no longer. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');

it('waits for an event as long as it takes, and ends by itself after stop()', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', path.join(root, 'test/support/waitingApp.ts')],
    { cwd: root, timeout: 60_000 },
  );
  expect(stdout).toBe('OrderPlaced\nstopped\n');
}, 70_000);
