/** `foldlog events check` and `foldlog state` on stores that an older version of the application wrote. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runFoldlog } from '../../src/cli/runCommand.js';
import { Event, event, Foldlog, type FoldlogOptions, silentLogger } from '../../src/index.js';
import { CliProcess } from '../support/cliProcess.js';
import { FakeTerminal } from '../support/fakeTerminal.js';
import app from './apps/shop.js';

const APPS = path.join(import.meta.dirname, 'apps');
const SHOP = path.join(APPS, 'shop.ts');

@Event({ type: 'OrderPlaced', version: 1 })
class FirstPlaced {
  customer!: string;
  euros!: number;
}
@Event({ type: 'OrderGone', version: 3 })
class Gone {}

let directory: string;
let store: string;
let terminal: FakeTerminal;
const run = (...words: string[]) => runFoldlog(words, terminal);
const check = (...words: string[]) => run('events', 'check', '--app', SHOP, '--store', store, ...words);
const state = (...words: string[]) => run('state', ...words, '--app', SHOP, '--store', store);

type Stored = [stream: string, event: object, occurredAt?: Date];

/** Writes the store as the application was when these classes were its own. Resolves with times between the appends. */
async function write(events: readonly Stored[], options: Partial<FoldlogOptions> = {}): Promise<Date[]> {
  await using writer = await Foldlog.start({
    ...{ store, config: app.config!, handlers: [], events: [FirstPlaced, Gone], logger: silentLogger },
    ...options,
  });
  const times: Date[] = [];
  for (const [stream, one, occurredAt] of events) {
    const given = occurredAt ? { event: one, occurredAt } : { event: one };
    await writer.eventStore.append({ topic: 'orders', stream }, [given]);
    const before = Date.now();
    while (Date.now() <= before) await new Promise((resolve) => setImmediate(resolve));
    times.push(new Date(before));
  }
  return times;
}
const first = (customer: string, euros: number) => event(FirstPlaced, { customer, euros });

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'foldlog-events-'));
  store = path.join(directory, 'store');
  terminal = new FakeTerminal();
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('foldlog events check', () => {
  it('exits 0 when everything decodes, upcasts and validates', async () => {
    await write([
      ['order:1', first('ann', 12)],
      ['order:2', first('bob', 3)],
    ]);
    expect(await check()).toBe(0);
    expect(terminal.errLines).toEqual([]);
    expect(terminal.outLines.map((line) => line.split(/\s{2,}/))).toEqual([
      ['topic', 'type', 'version', 'read as', 'events', 'ok', 'invalid', 'unknown', 'lost'],
      ['orders', 'OrderPlaced', '1', 'OrderPlaced', '2', '2', '0', '0', '0'],
      ['2 events in orders: all can be read'],
    ]);
  });

  it('exits 1 and names the first event of each kind that cannot be read', async () => {
    await write([
      ['order:1', first('ann', 12)],
      ['order:1', first('ann', 0)],
      ['order:1', first('ann', -1)],
      ['order:1', event(Gone, {})],
    ]);
    expect(await check()).toBe(1);
    const table = terminal.outLines.map((line) => line.split(/\s{2,}/));
    expect(table).toContainEqual(['orders', 'OrderPlaced', '1', 'OrderPlaced', '3', '1', '2', '0', '0']);
    expect(table).toContainEqual(['orders', 'OrderGone', '3', '-', '1', '0', '0', '1', '0']);
    const bad = terminal.outLines.filter((line) => line.startsWith('first bad'));
    expect(bad).toEqual([
      expect.stringMatching(
        /^first bad OrderGone version 3: event \S+ at offset 3 of queue \d of orders on broker-a: no class has this type$/,
      ),
      expect.stringMatching(
        /^first bad OrderPlaced version 1: event \S+ at offset 1 of queue \d .*: cents: cents must not be less than 1$/,
      ),
    ]);
    expect(terminal.errLines).toEqual([
      expect.stringMatching(/^foldlog: of 4 events 2 are invalid, 1 of an unknown type, 0 lost: add an upcaster/),
    ]);
  });

  it('--allow-unknown accepts a type, and only that', async () => {
    await write([['order:1', event(Gone, {})]]);
    expect(await check('--allow-unknown', 'Other')).toBe(1);
    expect(await check('--allow-unknown', 'Other', 'OrderGone')).toBe(0);
  });

  it('--json prints one object for machines', async () => {
    await write([['order:1', event(Gone, {})]]);
    expect(await check('--json')).toBe(1);
    expect(terminal.outLines).toHaveLength(1);
    const report = JSON.parse(terminal.outLines[0]!) as object;
    expect(report).toMatchObject({
      ...{ ok: false, topics: ['orders'], events: 1 },
      types: [{ topic: 'orders', type: 'OrderGone', version: 3, count: 1, unknown: 1, isBad: true }],
    });
  });

  it('--topic looks at these topics only; one that is not there is one line', async () => {
    await write([['order:1', first('ann', 12)]]);
    expect(await check('--topic', 'orders')).toBe(0);
    expect(await check('--topic', 'orders', 'none')).toBe(1);
    expect(terminal.errLines).toEqual(['foldlog: no route to topic none: create it, or start the broker that has it']);
  });

  it('shows a bar on a terminal and takes it away', async () => {
    await write([['order:1', first('ann', 12)]]);
    const shown: string[] = [];
    terminal.progress = (text) => void shown.push(text);
    expect(await check()).toBe(0);
    expect(shown).toEqual(['============================== 1 of 1 events checked', '']);
  });

  it('reads through a running broker', async () => {
    await write([['order:1', first('ann', 12)]]);
    await using running = await Foldlog.start({
      ...{ store, config: app.config!, handlers: [], logger: silentLogger },
      ...{ listen: true, namesrvPort: 0, brokerPort: 0 },
    });
    expect(await run('events', 'check', '--app', SHOP, '-n', running.namesrvAddr)).toBe(0);
    expect(terminal.outLines.at(-1)).toBe('1 events in orders: all can be read');
  });

  it('of a store without event topics has nothing to say against it', async () => {
    await write([]);
    expect(await check()).toBe(0);
    expect(terminal.outLines).toEqual(['no event topic']);
  });
});

describe('foldlog state', () => {
  it('prints the state with version and position', async () => {
    await write([
      ['order:1', first('ann', 12)],
      ['order:1', first('bob', 3)],
    ]);
    expect(await state('order:1')).toBe(0);
    expect(JSON.parse(terminal.outLines.join('\n'))).toMatchObject({
      ...{ stream: 'order:1', topic: 'orders', version: 2, position: { queueOffset: 1, brokerName: 'broker-a' } },
      state: { cents: 1_500, customers: { ann: 1_200, bob: 300 } },
    });
  });

  it('as of a moment: stored, or occurred', async () => {
    const [early, late] = [new Date('2016-01-01T00:00:00Z'), new Date('2020-01-01T00:00:00Z')];
    const [one] = (await write([
      ['order:1', first('ann', 12), late],
      ['order:1', first('bob', 3), early],
    ])) as [Date];
    const centsAt = async (...words: string[]) => {
      terminal = new FakeTerminal();
      expect(await state('order:1', ...words)).toBe(0);
      return (JSON.parse(terminal.outLines.join('\n')) as { state: { cents: number } }).state.cents;
    };
    expect(await centsAt('--at', one.toISOString())).toBe(1_200);
    expect(await centsAt('--at', String(one.getTime()))).toBe(1_200);
    expect(await centsAt('--at', '2016-01-01', '--by', 'occurred')).toBe(300);
    expect(await centsAt('--at', '2021-01-01', '--by', 'occurred')).toBe(1_500);
    terminal = new FakeTerminal();
    expect(await state('order:1', '--at', '2015-01-01')).toBe(1);
    expect(terminal.errLines).toEqual([
      'foldlog: stream order:1 of topic orders has no events stored until 2015-01-01T00:00:00.000Z',
    ]);
  });

  it('of a stream that is not there is one line, and makes no topic', async () => {
    await write([]);
    expect(await state('order:1')).toBe(1);
    expect(terminal.errLines).toEqual(['foldlog: stream order:1 of topic orders has no events']);
    terminal = new FakeTerminal();
    expect(await check()).toBe(0);
    expect(terminal.outLines).toEqual(['no event topic']);
  });

  it.each([
    [['order'], 'order: a stream is named as KIND:ID, for instance order:42'],
    [['cart:1'], 'no aggregate of the application has streams cart:…; it has order:…'],
    [['order:1', '--topic', 'other'], 'no aggregate of the application has streams order:…'],
    [['order:1', '--at', 'yesterday'], '--at yesterday: must be an ISO time'],
    [['order:1', '--by', 'occurred'], '--by says which time --at means: give --at'],
    [['order:1', '--at', '2020-01-01', '--by', 'sent'], '--by sent: must be stored or occurred'],
  ])('%j is wrong usage', async (words, reason) => {
    await write([]);
    expect(await state(...words)).toBe(2);
    expect(terminal.errLines.join()).toContain(reason);
  });
});

describe('--app', () => {
  it.each([
    ['missing.ts', 'missing.ts: no such file'],
    ['noApp.ts', 'noApp.ts: its default export is not what Foldlog.start takes'],
    ['broken.ts', 'broken.ts cannot be imported: no settings in the environment'],
  ])('%s is one clear line', async (file, reason) => {
    expect(await run('events', 'check', '--app', path.join(APPS, file), '--store', store)).toBe(1);
    expect(terminal.errLines).toHaveLength(1);
    expect(terminal.errLines[0]).toContain(reason);
  });

  it('is needed, and so is a place of the log', async () => {
    expect(await run('events', 'check')).toBe(2);
    expect(terminal.errLines.join()).toContain("required option '--app <file>' not specified");
    expect(await check('-n', '127.0.0.1:1')).toBe(2);
    expect(terminal.errLines.at(-1)).toContain('give either --store or -n, not both');
  });

  it('a directory without a store is not made one', async () => {
    expect(await check()).toBe(1);
    expect(terminal.errLines).toEqual([`foldlog: ${store} holds no store: there is no directory commitlog in it`]);
    expect(existsSync(store)).toBe(false);
    terminal = new FakeTerminal();
    expect(await run('events', 'check', '--app', SHOP)).toBe(1);
    expect(terminal.errLines[0]).toContain('/nowhere/foldlog holds no store');
  });

  it('a store that a process uses is not opened', async () => {
    await using _running = await Foldlog.start({ store, config: app.config!, handlers: [], logger: silentLogger });
    expect(await check()).toBe(1);
    expect(terminal.errLines).toHaveLength(1);
    expect(terminal.errLines[0]).toMatch(/uses|locked|in use/);
  });

  it('runs TypeScript in a process that has tsx, and ends by itself', async () => {
    await write([['order:1', first('ann', 12)]]);
    const child = new CliProcess(['state', 'order:1', '--app', SHOP, '--store', store]);
    expect([await child.exited, child.stderr]).toEqual([0, '']);
    expect(JSON.parse(child.stdout)).toMatchObject({ version: 1, state: { cents: 1_200 } });
  });
});
