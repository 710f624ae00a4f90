/** The README's example is the file examples/quickstart.ts, word for word, and it prints what its comments say. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const source = readFileSync(path.join(root, 'examples/quickstart.ts'), 'utf8');

describe('the quickstart', () => {
  it('stands in the README as it is', () => {
    const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
    expect(readme).toContain(`\`\`\`ts\n${source}\`\`\``);
  });

  it('gives a receipt for each deposit and the total', async () => {
    const store = mkdtempSync(path.join(tmpdir(), 'quickstart-'));
    onTestFinished(() => rmSync(store, { recursive: true, force: true }));
    const options = { cwd: root, env: { ...process.env, NO_COLOR: '1' } };
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', 'examples/quickstart.ts', store],
      options,
    );
    expect(stderr).toBe('');
    expect(stdout.split('\n').filter((line) => line.startsWith('receipt'))).toEqual([
      'receipt: 1250 cents by ann to account:42',
      'receipt: 250 cents by ann to account:42',
    ]);
    expect(stdout).toContain("[ { who: 'ann', cents: 1500 } ]");
  }, 30_000);
});
