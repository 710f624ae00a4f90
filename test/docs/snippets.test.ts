/**
 * Every ```ts block of README.md and docs/ is code that works: it is type-checked with the project's own options
 * against the built faces, and run by plain node, one process per page, in a project that has foldlog as a dependency.
 * How blocks are written stands in CONTRIBUTING.md.
 */
import { type ExecFileException, execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createPostgresDatabase } from '../support/postgresServer.js';
import { startRedisServer } from '../support/redisServer.js';
import { defectsOf, hasSignatures, hasSnippets, moduleOf, printsOf } from './pageModule.js';

const root = path.resolve(import.meta.dirname, '../..');
const RUN_MILLIS = 20_000;
const TSC_MILLIS = 120_000;

const docs = readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`)
  .sort();
const textOf = new Map(['README.md', ...docs].map((page) => [page, readFileSync(path.join(root, page), 'utf8')]));

/** A page that shows that mistakes are found, and named by their lines. */
const WRONG = 'wrong.md';
const WRONG_TEXT = `# Wrong
\`\`\`ts
const seats: number = 'twelve';
console.log(seats); // => twelve
\`\`\`
Between them, in a list:
- \`\`\`sh
  ls
  \`\`\`
   \`\`\`ts signature
   declare function sell(seats: number): void;
   sell(seats, 'ann');
   \`\`\`
<!--
\`\`\`ts
throw new Error('sold out');
\`\`\`
-->
`;

interface Outcome {
  stdout: string;
  stderr: string;
  /** 0, or how it ended otherwise. */
  ended: number | string;
}

/** `<directory>/app` is a user's project; what it depends on besides foldlog is found one level up. */
const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-snippets-'));
const app = path.join(directory, 'app');
/** What the compiler says, by page: `line 12: TS2322: …`. */
const errorsOf = new Map<string, Set<string>>();

beforeAll(async () => {
  mkdirSync(path.join(app, 'node_modules'), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(directory, 'node_modules'));
  symlinkSync(root, path.join(app, 'node_modules/foldlog'));
  writeFileSync(path.join(app, 'package.json'), JSON.stringify({ type: 'module' }));
  const compilerOptions = { noEmit: false, declaration: false, rootDir: '.', outDir: 'out', moduleDetection: 'force' };
  const config = { extends: path.join(root, 'tsconfig.json'), compilerOptions, include: ['run', 'all'] };
  writeFileSync(path.join(app, 'tsconfig.json'), JSON.stringify(config));
  for (const [page, text] of [...textOf, [WRONG, WRONG_TEXT] as const]) {
    writeModule('run', page, text);
    if (hasSignatures(text)) writeModule('all', page, text);
  }
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  const { stdout, stderr, ended } = await runNode([tsc, '-p', '.', '--pretty', 'false'], app, TSC_MILLIS);
  for (const line of stdout.split('\n').filter((one) => /^\S/.test(one))) {
    const [, page, at, what] = /^(?:run|all)\/(.+)\.ts\((\d+),\d+\): error (.*)$/.exec(line) ?? [];
    if (page === undefined) throw new Error(`the compiler ended with ${ended}:\n${stdout}${stderr}`);
    const errors = errorsOf.get(page) ?? new Set<string>();
    errorsOf.set(page, errors.add(`line ${at}: ${what}`));
  }
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function writeModule(which: 'all' | 'run', page: string, text: string): void {
  const file = path.join(app, which, `${page}.ts`);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, moduleOf(text, which));
}

function runNode(parameters: readonly string[], cwd: string, timeout: number, more = {}): Promise<Outcome> {
  const env = { ...process.env, NO_COLOR: '1', ...more };
  return new Promise((resolve) => {
    const ended = (error: ExecFileException | null) => {
      if (!error) return 0;
      return error.killed ? `not within ${timeout} ms: does it stop what it starts?` : (error.code ?? error.message);
    };
    execFile(process.execPath, parameters, { cwd, env, timeout, killSignal: 'SIGKILL' }, (error, stdout, stderr) =>
      resolve({ stdout, stderr, ended: ended(error) }),
    );
  });
}

/** Runs a page in an empty directory, with the servers that its text names. */
async function runPage(page: string, text: string): Promise<Outcome> {
  const code = moduleOf(text, 'run');
  const env: Record<string, string> = {};
  if (code.includes('DATABASE_URL')) {
    const database = await createPostgresDatabase();
    onTestFinished(() => database.drop());
    env['DATABASE_URL'] = database.url;
  }
  if (code.includes('REDIS_URL')) {
    const redis = await startRedisServer();
    onTestFinished(() => redis.stop());
    env['REDIS_URL'] = redis.url;
  }
  const cwd = mkdtempSync(path.join(directory, 'run-'));
  return runNode(['--enable-source-maps', path.join(app, 'out/run', `${page}.js`)], cwd, RUN_MILLIS, env);
}

/** Those of the lines that were not printed, or not in this order. */
function missingIn(printed: readonly string[], expected: readonly string[]): string[] {
  let at = 0;
  return expected.filter((line) => {
    const found = printed.indexOf(line, at);
    if (found >= 0) at = found + 1;
    return found < 0;
  });
}

describe.each([...textOf].filter(([, text]) => hasSnippets(text)))('%s', (page, text) => {
  it('has blocks that are type-checked', () => {
    expect(defectsOf(text)).toEqual([]);
    expect([...(errorsOf.get(page) ?? [])], 'built faces: npm run build after a change of src').toEqual([]);
  });

  it('has blocks that run and print what they say', { timeout: 300_000 }, async () => {
    const { stdout, stderr, ended } = await runPage(page, text);
    expect({ ended, stderr }, stdout).toEqual({ ended: 0, stderr: '' });
    expect(missingIn(stdout.split('\n'), printsOf(text)), stdout).toEqual([]);
  });
});

describe('a page with mistakes', () => {
  it('is told so by line', async () => {
    expect([...(errorsOf.get(WRONG) ?? [])].map((error) => error.slice(0, 15))).toEqual([
      'line 3: TS2322:',
      'line 12: TS2554',
    ]);
    const { ended, stdout, stderr } = await runPage(WRONG, WRONG_TEXT);
    expect(ended).toBe(1);
    expect(stderr).toMatch(/Error: sold out[\s\S]*wrong\.md\.ts:16/);
    expect(missingIn(stdout.split('\n'), [...printsOf(WRONG_TEXT), 'thirteen'])).toEqual(['thirteen']);
  });

  it('breaks the convention', () => {
    const fenced = (info: string, code: string) => `\`\`\`${info}\n${code}\n\`\`\`\n`;
    expect(defectsOf(fenced('ts', 'first();\n// …\nlast(); /* ... */'))).toHaveLength(2);
    expect(defectsOf(fenced('ts later', 'first();'))).toEqual(['line 1: later is not known behind ts']);
    expect(defectsOf(fenced('js', 'first();'))).toEqual(['line 1: js is not checked: write it as ts']);
    expect(defectsOf(fenced('sh', 'ls …') + fenced('ts signature', 'f(...all); // as before …'))).toEqual([]);
    expect(() => hasSnippets('```ts\nfirst();\n')).toThrow('line 1 does not end');
  });
});
