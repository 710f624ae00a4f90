/** The test kit is not bound to a test runner: the same under node:test, in a process of its own. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const SUBJECT = path.join(root, 'test/support/nodeTestSubject.ts');

/** Without what vitest tells its own workers. */
function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_TEST|TEST|NODE_OPTIONS)/.test(name));
  return { ...Object.fromEntries(own), ...more };
}

const run = (env: NodeJS.ProcessEnv) =>
  promisify(execFile)(process.execPath, ['--import', 'tsx', '--test', '--test-reporter=tap', SUBJECT], {
    cwd: root,
    env,
  });

describe('under node:test', () => {
  it('passes, and the process ends by itself', async () => {
    const { stdout } = await run(environment());
    expect(stdout).toMatch(/# pass 4\n# fail 0/);
  });

  it('a failure tells the seed', async () => {
    const failed = (await run(environment({ FOLDLOG_FAIL: '1' })).catch((error: unknown) => error)) as {
      stdout: string;
    };
    expect(failed.stdout).toMatch(/the sum is wrong[\s\S]*\(deliver: seed 4711 repeats these faults\)/);
    expect(failed.stdout).toMatch(/# pass 4\n# fail 1/);
  });
});
