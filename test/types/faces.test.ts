/**
 * The public faces: what each exports is a list that a reviewer sees change, and importing one does nothing.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const { exports: subpaths } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { default: string }>;
};
const faces = Object.entries(subpaths).flatMap(([subpath, target]) =>
  typeof target === 'string' ? [] : [{ subpath, built: target.default, source: sourceOf(target.default) }],
);
const listed = JSON.parse(readFileSync(path.join(import.meta.dirname, 'faces.json'), 'utf8')) as Record<
  string,
  string[]
>;

function sourceOf(built: string): string {
  return built.replace('./dist/', 'src/').replace(/\.js$/, '.ts');
}

/** Every name of the `export { … } from` statements. */
function exportedBy(source: string): string[] {
  const text = readFileSync(path.join(root, source), 'utf8');
  return [...text.matchAll(/export (?:type )?\{([^}]*)\}/g)]
    .flatMap(([, names = '']) => names.split(','))
    .map((name) => name.replace(/\btype\b/, '').trim())
    .filter((name) => name !== '')
    .sort();
}

/** Imports the built face in a process of its own. */
async function importAlone(built: string): Promise<{ open: string[] }> {
  const script = `
    const before = process.getActiveResourcesInfo().length;
    await import(${JSON.stringify(path.join(root, built))});
    await new Promise((resolve) => setImmediate(resolve));
    process.stdout.write(JSON.stringify({ open: process.getActiveResourcesInfo().slice(before) }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  return JSON.parse(stdout) as { open: string[] };
}

describe.each(faces)('$subpath', ({ subpath, built, source }) => {
  it('exports what the list says', () => {
    expect(exportedBy(source)).toEqual(listed[subpath]);
  });

  it('opens no socket, file or timer when it is imported', async () => {
    // The process's own standard streams count as open once somebody has looked at them.
    expect((await importAlone(built)).open.filter((name) => !/PipeWrap|TTYWrap/.test(name))).toEqual([]);
  });
});
