/**
 * Snapshots of aggregates and deciders on a real log and database: taken in the background, used when they fit the log,
 * dropped when they do not, and never of any influence on what a load gives.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { IsInt, IsString } from 'class-validator';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeSnapshot, encodeSnapshot, type Snapshot } from '../../../src/eventstore/snapshots/snapshot.js';
import {
  Aggregate,
  AggregateRoot,
  Apply,
  decider,
  Event,
  event,
  Foldlog,
  type FoldlogOptions,
  OptionsError,
  SqliteDatabase,
  silentLogger,
} from '../../../src/index.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 12);

@Event({ type: 'Booked' })
class Booked {
  @IsInt() cents!: number;
  @IsString() text!: string;
}

@Aggregate({ topic: 'accounts', stream: 'account', snapshot: { every: 10 } })
class Account extends AggregateRoot {
  cents = 0;
  texts: string[] = [];
  last: string | undefined;

  book(cents: number, text = ''): void {
    this.apply(Booked, { cents, text });
  }

  refuse(): void {
    this.texts.push('spoiled');
    throw new RangeError('refused');
  }

  @Apply(Booked) protected booked({ cents, text }: Booked): void {
    this.cents += cents;
    if (text !== '') this.texts.push(text);
    this.last = text === '' ? undefined : text;
  }
}

let directory: string;
let database: SqliteDatabase;
let logged: { level: string; message: string }[];
let app: Foldlog;

const CONFIG = { mappedFileSizeCommitLog: 1024 * 1024, maxHashSlotNum: 1_000, maxIndexNum: 4_000 };
const keep = (level: string) => (_fields: object, message: string) => void logged.push({ level, message });
const logger = { ...silentLogger, info: keep('info'), warn: keep('warn'), error: keep('error') };

function start(options: Partial<FoldlogOptions> = {}): Promise<Foldlog> {
  const store = path.join(directory, 'store');
  const file = path.join(directory, 'app.db');
  return Foldlog.start({ store, database: file, handlers: [Account], config: CONFIG, logger, ...options });
}

async function restart(options: Partial<FoldlogOptions> = {}): Promise<void> {
  await app.stop();
  app = await start(options);
}

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'foldlog-snapshots-'));
  logged = [];
  app = await start();
  database = SqliteDatabase.open(path.join(directory, 'app.db'));
});
afterEach(async () => {
  await app.stop();
  await database.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Row {
  stream: string;
  kind: string;
  content: string;
  digest: string;
}
const rows = () => database.all<Row>('SELECT stream, kind, content, digest FROM foldlog_snapshots ORDER BY stream');
const snapshotOf = (row: Row) =>
  decodeSnapshot(row, { topic: 'accounts', stream: row.stream, kind: row.kind }) as Snapshot;
const write = (row: Row, { content, digest }: { content: string; digest: string }) =>
  database.run('UPDATE foldlog_snapshots SET content = ?, digest = ? WHERE stream = ?', content, digest, row.stream);

/** Changes the snapshot as nobody but its author could. What is loaded then tells whether it was used. */
function forge(stream: string, changes: Partial<Snapshot>): void {
  const row = rows().find((one) => one.stream === stream)!;
  write(row, encodeSnapshot({ ...snapshotOf(row), ...changes }));
}
const mark = (stream: string) => {
  const row = rows().find((one) => one.stream === stream)!;
  forge(stream, { state: snapshotOf(row).state.replace('"cents":', '"cents":1000000,"was":') });
};

async function book(id: string, count: number): Promise<void> {
  const accounts = app.aggregate(Account);
  for (let index = 0; index < count; index += 1) {
    await accounts.execute(id, (account) => account.book(1, `t${index}`));
    await turns();
  }
}

/** A snapshot that was asked for is taken in the next turn of the event loop, and stored in that turn. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until snapshots that were asked for are stored: closing does. */
async function untilStored(): Promise<void> {
  await restart();
}

async function settle(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('a snapshot', () => {
  it('is taken in the background when it is due, and takes the place of the one before', async () => {
    await book('1', 9);
    await untilStored();
    expect(rows()).toEqual([]);
    await book('1', 1);
    await untilStored();
    expect(rows().map(snapshotOf)).toMatchObject([{ stream: 'account:1', streamVersion: 10, kind: 'Account' }]);
    await book('1', 9);
    await untilStored();
    expect(rows().map(snapshotOf)).toMatchObject([{ streamVersion: 10 }]);
    await book('1', 1);
    await untilStored();
    expect(rows().map(snapshotOf)).toMatchObject([{ streamVersion: 20 }]);
  });

  it('is where a load and a command begin, and the events since are read', async () => {
    await book('1', 10);
    await untilStored();
    mark('account:1');
    await restart();
    expect((await app.aggregate(Account).load('1')).cents).toBe(1_000_000);
    await book('1', 3);
    await restart();
    const account = await app.aggregate(Account).load('1');
    expect([account.cents, account.version, account.last]).toEqual([1_000_003, 13, 't2']);
    const done = await app.aggregate(Account).execute('1', (one) => one.book(one.cents));
    expect(done.version).toBe(14);
    expect((await app.aggregate(Account).load('1')).cents).toBe(2_000_006);
  });

  it('counts from the one that was loaded, in another process too', async () => {
    await book('1', 12);
    await restart();
    await book('1', 7);
    await restart();
    expect(rows().map(snapshotOf)).toMatchObject([{ streamVersion: 10 }]);
    await book('1', 1);
    await restart();
    expect(rows().map(snapshotOf)).toMatchObject([{ streamVersion: 20 }]);
  });

  it('is never of a state that a refused command has spoiled', async () => {
    await book('1', 9);
    const accounts = app.aggregate(Account);
    await accounts.execute('1', (account) => account.book(1, 'tenth'));
    await expect(accounts.execute('1', (account) => account.refuse())).rejects.toThrow(RangeError);
    await restart();
    expect((await app.aggregate(Account).load('1')).texts).not.toContain('spoiled');
    await expect(app.aggregate(Account).execute('1', (account) => account.refuse())).rejects.toThrow(RangeError);
    expect((await app.aggregate(Account).load('1')).texts).toHaveLength(10);
  });

  it('does not hide that a command ran before it', async () => {
    const place = (account: Account) => account.book(5, 'once');
    const first = await app.aggregate(Account).execute('1', place, { commandId: 'c' });
    await book('1', 15);
    await restart();
    mark('account:1');
    const again = await app.aggregate(Account).execute('1', place, { commandId: 'c' });
    expect(again).toEqual({ ...first, alreadyAppended: true });
  });

  it('keeps undefined fields', async () => {
    await app.aggregate(Account).execute('1', (account) => {
      for (let index = 0; index < 10; index += 1) account.book(1);
    });
    await restart();
    expect(await app.aggregate(Account).load('1')).toStrictEqual(await whole('1'));
    expect(Object.keys(await app.aggregate(Account).load('1')).sort()).toEqual(['cents', 'last', 'texts']);
  });
});

/** The fold of all events, by an application without snapshots. */
async function whole(id: string): Promise<Account> {
  const folded = new Account();
  for await (const { event: one } of app.eventStore.readStream({ topic: 'accounts', stream: `account:${id}` })) {
    (folded as unknown as { booked(event: object): void }).booked(one);
  }
  return folded;
}

describe('a snapshot that does not fit', () => {
  beforeEach(async () => {
    await book('1', 12);
    await book('2', 11);
    await restart();
    mark('account:1');
  });

  const misfits: [what: string, changes: Partial<Snapshot>, reason: RegExp][] = [
    ['another event id', { eventId: 'other-0' }, /does not hold its event/],
    ['another version', { streamVersion: 9 }, /does not hold its event/],
    ['another place', { commitLogOffset: 0 }, /does not hold its event/],
    ['a place beyond the log', { commitLogOffset: 1e12 }, /does not hold its event/],
    ['another queue', { queueId: 99 }, /does not hold its event/],
    ['another queue offset', { queueOffset: 99 }, /does not hold its event/],
    ['another broker', { brokerName: 'broker-z' }, /does not hold its event/],
    ['another store time', { storedAt: 1 }, /does not hold its event/],
    ['a state that is no JSON', { state: '10 [' }, /its state cannot be read/],
  ];
  it.each(misfits)('because of %s is dropped, and the stream is read whole', async (_what, changes) => {
    forge('account:1', changes);
    const account = await app.aggregate(Account).load('1');
    expect([account.cents, account.version]).toEqual([12, 12]);
    expect(rows().map(({ stream }) => stream)).toEqual(['account:2']);
    expect(logged.map(({ message }) => message)).toContain('a snapshot is dropped, the stream is read whole');
  });

  it('because its bytes were changed is dropped', async () => {
    const row = rows()[0]!;
    write(row, { content: row.content.replace('1000000', '2000000'), digest: row.digest });
    expect((await app.aggregate(Account).load('1')).cents).toBe(12);
    expect(rows().map(({ stream }) => stream)).toEqual(['account:2']);
  });

  it('because it is another stream’s is dropped', async () => {
    const [one, two] = rows() as [Row, Row];
    write(two, one);
    expect((await app.aggregate(Account).load('2')).cents).toBe(11);
    write(one, two);
    expect((await app.aggregate(Account).load('1')).cents).toBe(12);
  });

  it('because it is of another version or of other fields is left alone', async () => {
    for (const form of ['2 cents,last,texts', '1 cents,last']) {
      forge('account:1', { form });
      expect((await app.aggregate(Account).load('1')).cents).toBe(12);
      expect(rows()).toHaveLength(2);
    }
  });

  it('is used as it is when nothing of that is the case', async () => {
    expect((await app.aggregate(Account).load('1')).cents).toBe(1_000_002);
  });
});

it('a log that lost its end and got another one in its place is folded as it is now, the same event ids or not', async () => {
  await book('1', 8);
  await app.stop();
  const [store, copy] = [path.join(directory, 'store'), path.join(directory, 'copy')];
  cpSync(store, copy, { recursive: true });
  app = await start();
  const accounts = app.aggregate(Account);
  await accounts.execute('1', (account) => account.book(100, 'lost'), { commandId: 'nine' });
  await accounts.execute('1', (account) => account.book(1_000), { commandId: 'ten' });
  await app.stop();
  const [row] = rows() as [Row];
  expect(snapshotOf(row)).toMatchObject({ streamVersion: 10 });
  rmSync(store, { recursive: true });
  cpSync(copy, store, { recursive: true });
  app = await start();
  const again = app.aggregate(Account);
  await again.execute('1', (account) => account.book(200, 'kept'), { commandId: 'nine' });
  const { position } = await again.execute('1', (account) => account.book(1_000), { commandId: 'ten' });
  await restart();
  // As far as ids and places go, the event of the first snapshot is there.
  const { eventId, queueOffset, commitLogOffset } = snapshotOf(rows()[0]!);
  expect(snapshotOf(row)).toMatchObject({ eventId, queueOffset, commitLogOffset });
  expect(position).toMatchObject({ queueOffset, commitLogOffset });
  write(row, row);
  const { cents, texts } = await app.aggregate(Account).load('1');
  expect([cents, texts.at(-1)]).toEqual([1_208, 'kept']);
});

describe('load at a moment', () => {
  it('begins from a snapshot whose events were all stored by then, and from no other', async () => {
    await book('1', 10);
    await untilStored();
    mark('account:1');
    const storedAt = snapshotOf(rows()[0]!).storedUntil;
    const at = async (millis: number, by?: 'occurred') =>
      (await app.aggregate(Account).load('1', { at: new Date(millis), ...(by ? { by } : {}) })).cents;
    expect(await at(storedAt)).toBe(1_000_000);
    expect(await at(storedAt - 1)).toBeLessThan(11);
    expect(await at(storedAt + 60_000, 'occurred')).toBe(10);
    // Its last event was stored early, but one before it late: the clock had been set back.
    forge('account:1', { storedUntil: storedAt + 1_000 });
    expect(await at(storedAt)).toBe(10);
    expect(await at(storedAt + 1_000)).toBe(1_000_000);
  });
});

describe('dropping and taking at will', () => {
  it('drops one, those of a class, all', async () => {
    for (const id of ['1', '2', '3', '11']) await book(id, 10);
    await untilStored();
    const accounts = app.aggregate(Account);
    expect(await accounts.dropSnapshots('1')).toBe(1);
    expect(rows().map(({ stream }) => stream)).toEqual(['account:11', 'account:2', 'account:3']);
    database.run("INSERT INTO foldlog_snapshots VALUES ('accounts', 'accounting:1', 'Account', 'x', 'y', 1)");
    expect(await accounts.dropSnapshots()).toBe(3);
    expect(await app.dropSnapshots()).toBe(1);
    expect(rows()).toEqual([]);
  });

  it('takes one now, from all events, whatever the old one says', async () => {
    await book('1', 11);
    await untilStored();
    mark('account:1');
    expect(await app.aggregate(Account).takeSnapshot('1')).toBe(true);
    expect(snapshotOf(rows()[0]!)).toMatchObject({ streamVersion: 11 });
    await restart();
    expect((await app.aggregate(Account).load('1')).cents).toBe(11);
    expect(await app.aggregate(Account).takeSnapshot('none')).toBe(false);
  });

  it('takes a new one in time after a drop', async () => {
    await book('1', 10);
    await settle(() => rows().length === 1);
    await app.aggregate(Account).dropSnapshots();
    await book('1', 1);
    await settle(() => rows().length === 1);
    expect(snapshotOf(rows()[0]!)).toMatchObject({ streamVersion: 11 });
  });
});

describe('a database that is away', () => {
  it('costs no command and no load', async () => {
    await book('1', 10);
    await settle(() => rows().length === 1);
    database.exec('DROP TABLE foldlog_snapshots');
    await book('1', 10);
    expect((await app.aggregate(Account).load('1')).cents).toBe(20);
    await app.stop();
    expect(logged.filter(({ level }) => level === 'warn')).toEqual([
      { level: 'warn', message: 'snapshots could not be stored' },
    ]);
  });
});

describe('what cannot be kept', () => {
  const starting = (handler: new () => AggregateRoot) =>
    start({ store: path.join(directory, 'other'), handlers: [handler] });

  it('is refused at the start when the class shows it', async () => {
    @Aggregate({ topic: 'x', snapshot: { every: 1 } })
    class WithMap extends AggregateRoot {
      lines = new Map<string, number>();
    }
    await expect(starting(WithMap)).rejects.toThrow(OptionsError);
    await expect(starting(WithMap)).rejects.toThrow(
      /aggregate WithMap is not possible: lines is an object of class Map; .* toSnapshot and fromSnapshot/,
    );
    @Aggregate({ topic: 'x', snapshot: { every: 1 } })
    class WithPrivate extends AggregateRoot {
      #lines = 0;
      add(): void {
        this.#lines += 1;
      }
    }
    await expect(starting(WithPrivate)).rejects.toThrow(/nobody else can read its private field #lines/);
    class Derived extends WithPrivate {}
    Aggregate({ topic: 'x', snapshot: { every: 1 } })(Derived);
    await expect(starting(Derived)).rejects.toThrow(/private field #lines/);
    @Aggregate({ topic: 'x', snapshot: { every: 1 } })
    class Half extends AggregateRoot {
      toSnapshot(): unknown {
        return {};
      }
    }
    await expect(starting(Half)).rejects.toThrow(/Half has toSnapshot but no fromSnapshot: snapshots need both/);
  });

  it('is taken through toSnapshot and fromSnapshot', async () => {
    @Aggregate({ topic: 'accounts', stream: 'private', snapshot: { every: 2, version: 3 } })
    class Private extends AggregateRoot {
      #texts = new Map<string, number>();
      add(text: string): void {
        this.apply(Booked, { cents: 1, text });
      }
      get texts(): [string, number][] {
        return [...this.#texts];
      }
      toSnapshot(): unknown {
        return { texts: [...this.#texts] };
      }
      fromSnapshot({ texts }: { texts: [string, number][] }): void {
        this.#texts = new Map(texts);
      }
      @Apply(Booked) protected booked({ text }: Booked): void {
        this.#texts.set(text, (this.#texts.get(text) ?? 0) + 1);
      }
    }
    await restart({ handlers: [Private] });
    const stored = app.aggregate(Private);
    for (const text of ['a', 'b', 'a']) {
      await stored.execute('1', (one) => one.add(text));
      await turns();
    }
    await restart({ handlers: [Private] });
    expect(rows().map(snapshotOf)).toMatchObject([{ kind: 'Private', streamVersion: 2, form: '3 own' }]);
    const loaded = await app.aggregate(Private).load('1');
    expect([loaded.texts, loaded.version]).toEqual([
      [
        ['a', 2],
        ['b', 1],
      ],
      3,
    ]);
  });

  it('is left out, with one line, when a state turns into it later', async () => {
    @Aggregate({ topic: 'accounts', stream: 'later', snapshot: { every: 2 } })
    class Later extends AggregateRoot {
      when: unknown;
      add(): void {
        this.apply(Booked, { cents: 1, text: '' });
      }
      @Apply(Booked) protected booked(): void {
        this.when = new Date(0);
      }
    }
    await restart({ handlers: [Later] });
    for (const id of ['1', '2']) {
      for (let index = 0; index < 5; index += 1) await app.aggregate(Later).execute(id, (one) => one.add());
    }
    await expect(app.aggregate(Later).takeSnapshot('1')).rejects.toThrow(/when is an object of class Date/);
    await restart({ handlers: [Later] });
    expect(rows()).toEqual([]);
    expect(logged.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      expect.stringMatching(
        /^snapshots are left out: a snapshot of aggregate Later is not possible: when is an object/,
      ),
    ]);
  });

  it('options that mean nothing are refused', () => {
    class Wrong extends AggregateRoot {}
    const declare = (snapshot: object) => () => Aggregate({ topic: 'x', snapshot })(Wrong);
    expect(declare({})).toThrow(/@Aggregate of class Wrong: snapshot needs every \(events\) or everyMillis/);
    expect(declare({ every: 0 })).toThrow(/every 0 of snapshot must be a whole number from 1/);
    expect(declare({ everyMillis: 1.5 })).toThrow(/everyMillis 1.5/);
    expect(declare({ every: 1, version: 0 })).toThrow(/version 0/);
  });

  it('a cluster without a database is refused', async () => {
    await expect(Foldlog.start({ namesrv: '127.0.0.1:1', handlers: [Account] })).rejects.toThrow(
      /database must be given/,
    );
  });
});

describe('deciders', () => {
  const counter = decider({
    initialState: () => ({ count: 0, texts: [] as string[] }),
    decide: (text: string) => [event(Booked, { cents: 1, text })],
    evolve: ({ count, texts }, one) =>
      one instanceof Booked ? { count: count + 1, texts: [...texts, one.text] } : { count, texts },
  });
  const options = { topic: 'accounts', stream: 'counter', snapshot: { every: 3 } };

  it('have snapshots too', async () => {
    for (const text of ['a', 'b', 'c', 'd']) {
      await app.decider(counter, options).execute('1', text);
      await turns();
    }
    await restart();
    expect(rows().map(snapshotOf)).toMatchObject([{ kind: 'decider:main', streamVersion: 3, form: '1 count,texts' }]);
    forge('counter:1', { state: '[{"count":70,"texts":[]},[]]' });
    expect(await app.decider(counter, options).load('1')).toEqual({ count: 71, texts: ['d'] });
    expect((await app.decider(counter, options).execute('1', 'e')).version).toBe(5);
    expect(await app.decider(counter, options).dropSnapshots('1')).toBe(1);
  });

  it('of the same streams need names of their own', () => {
    app.decider(counter, options);
    const other = { ...counter };
    expect(() => app.decider(other, options)).toThrow(/keep snapshots named main: give one another name/);
    const named = { ...options, snapshot: { every: 3, name: 'other' } };
    expect(() => app.decider(other, named)).not.toThrow();
    expect(() =>
      app.decider({ ...counter, initialState: () => new Date(0) as never }, { ...named, stream: 's' }),
    ).toThrow(/decider:other is not possible: the state is an object of class Date/);
  });
});

it('by time: when the newest event was stored long enough after the last one in a snapshot', async () => {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const { systemClock } = await import('../../../src/base/clock.js');
  const clock = { ...systemClock, now: () => now };
  @Aggregate({ topic: 'accounts', stream: 'timed', snapshot: { everyMillis: 60_000 } })
  class Timed extends AggregateRoot {
    count = 0;
    add(): void {
      this.apply(Booked, { cents: 1, text: '' });
    }
    @Apply(Booked) protected booked(): void {
      this.count += 1;
    }
  }
  const options = { handlers: [Timed], clock, store: path.join(directory, 'timed') };
  await restart(options);
  const add = async (millis: number) => {
    now += millis;
    await app.aggregate(Timed).execute('1', (one) => one.add());
    await restart(options);
    return rows().map((row) => snapshotOf(row).streamVersion);
  };
  expect(await add(0)).toEqual([]);
  expect(await add(59_999)).toEqual([]);
  expect(await add(1)).toEqual([3]);
  expect(await add(59_999)).toEqual([3]);
  expect(await add(1)).toEqual([5]);
});

it('random streams, snapshots and damage: a load is always the fold of all events', async () => {
  const ids = fc.constantFrom('1', '2', '3');
  const step = fc.oneof(
    fc.record({ kind: fc.constant('book' as const), id: ids, count: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ kind: fc.constant('append' as const), id: ids, count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('take' as const), id: ids }),
    fc.record({ kind: fc.constant('restart' as const) }),
    fc.record({ kind: fc.constantFrom('stale', 'foreign', 'damage', 'forge', 'drop'), at: fc.nat() }),
    fc.record({ kind: fc.constantFrom('load', 'asOf'), id: ids }),
  );
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      round += 1;
      const prefix = `${round}-`;
      const old: Row[] = [];
      const moments = new Map<string, { at: Date; texts: string[] }[]>();
      const model = new Map<string, string[]>();
      const textsOf = (id: string) => model.get(id) ?? model.set(id, []).get(id)!;
      const moment = async (id: string) => {
        // Its own millisecond, so that the moment says on which side each event is.
        const before = Date.now();
        while (Date.now() <= before) await new Promise((resolve) => setImmediate(resolve));
        const list = moments.get(id) ?? moments.set(id, []).get(id)!;
        list.push({ at: new Date(before), texts: [...textsOf(id)] });
      };
      for (const one of steps) {
        const accounts = app.aggregate(Account);
        const present = rows();
        if ('id' in one) {
          const id = prefix + one.id;
          const texts = textsOf(id);
          const add = () => texts[texts.push(`${id}/${texts.length}`) - 1]!;
          switch (one.kind) {
            case 'book':
              for (let index = 0; index < one.count; index += 1) {
                const text = add();
                await accounts.execute(id, (account) => account.book(1, text));
              }
              await moment(id);
              break;
            case 'append': {
              const events = Array.from({ length: one.count }, () => event(Booked, { cents: 1, text: add() }));
              await app.eventStore.append({ topic: 'accounts', stream: `account:${id}` }, events);
              await moment(id);
              break;
            }
            case 'take':
              await accounts.takeSnapshot(id);
              break;
            case 'load': {
              const account = await accounts.load(id);
              expect([account.texts, account.version, account.cents, account.last]).toEqual([
                texts,
                texts.length,
                texts.length,
                texts.at(-1),
              ]);
              break;
            }
            case 'asOf':
              for (const { at, texts: then } of moments.get(id) ?? []) {
                expect((await accounts.load(id, { at })).texts).toEqual(then);
              }
          }
          continue;
        }
        const row = 'at' in one ? present[one.at % Math.max(1, present.length)] : undefined;
        switch (one.kind) {
          case 'restart':
            await restart({ aggregateCache: { streams: 2 } });
            break;
          case 'drop':
            if (row) database.run('DELETE FROM foldlog_snapshots WHERE stream = ?', row.stream);
            break;
          case 'stale': {
            const earlier = old.find(({ stream }) => stream === row?.stream);
            if (row && earlier) write(row, earlier);
            break;
          }
          case 'foreign': {
            const other = present.at(-1);
            if (row && other) write(row, encodeSnapshot({ ...snapshotOf(other), stream: row.stream }));
            break;
          }
          case 'damage':
            if (row)
              write(row, {
                content: row.content.replace(/\d/, (digit) => String((Number(digit) + 1) % 10)),
                digest: row.digest,
              });
            break;
          case 'forge':
            // Of an event that is not there, with a state that is wrong.
            if (row) write(row, encodeSnapshot({ ...JSON.parse(row.content), eventId: 'none-0', state: '1 [{},[]]' }));
        }
        old.push(
          ...present.filter((each) =>
            decodeSnapshot(each, { topic: 'accounts', stream: each.stream, kind: each.kind }),
          ),
        );
      }
      await restart();
      for (const [id, texts] of model) expect((await app.aggregate(Account).load(id)).texts).toEqual(texts);
    }),
    { numRuns: RUNS },
  );
}, 120_000);
