import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import type { RecordedEvent } from '../../src/eventstore/eventTypes.js';
import type { ProjectionContext, ProjectionDefinition } from '../../src/projections/projection.js';
import { ProjectionRunner } from '../../src/projections/projectionRunner.js';
import { type ReplayContext, type ReplayOptions, type ReplayReport, replay } from '../../src/replay/replay.js';
import { codec, type Deposited } from '../projections/events.js';
import { TestLog } from '../projections/testLog.js';

const RUNS = Math.ceil(Number(process.env['FUZZ_RUNS'] ?? 200) / 10);
const day = (number: number) => new Date(Date.UTC(2016, 0, number));

let log: TestLog;
/** Everything in the log, in its order. */
let all: RecordedEvent[];
let collected: { recorded: RecordedEvent; context: ReplayContext }[] = [];

function collect(options: Partial<ReplayOptions> = {}): Promise<ReplayReport> {
  collected = [];
  return replay({
    session: log.session,
    codec,
    topics: [log.topic],
    onEvent: (recorded, context) => void collected.push({ recorded, context }),
    ...options,
  });
}

const ids = (events: readonly RecordedEvent[]) => events.map(({ eventId }) => eventId);
const collectedIds = () => ids(collected.map(({ recorded }) => recorded));
const sorted = (list: readonly string[]) => [...list].sort();

/** The store's clock has moved on, so that a later event is told apart by its store time. */
async function nextMillisecond(): Promise<void> {
  const now = Date.now();
  while (Date.now() === now) await new Promise((resolve) => setImmediate(resolve));
}

beforeAll(async () => {
  log = await TestLog.start();
  // Events of 30 days, stored in another order than they occurred, in six streams.
  for (let at = 0; at < 60; at++) {
    await log.deposit(`account-${at % 6}`, [at + 1, 100], day(((at * 17) % 30) + 1));
    await nextMillisecond();
  }
  await log.close('account-0');
  await collect();
  all = collected.map(({ recorded }) => recorded);
});
afterAll(() => log.stop());

describe('a replay', () => {
  it('of everything hands on each event once, in the order of the log', async () => {
    const report = await collect();
    expect(report).toMatchObject({ read: 121, applied: 121, skipped: 0 });
    const places = collected.map(({ recorded }) => recorded.position.commitLogOffset);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(new Set(collectedIds()).size).toBe(121);
    const looked = report.perQueue.reduce((sum, { fromOffset, toOffset }) => sum + toOffset - fromOffset, 0);
    expect(looked).toBe(121);
  });

  it('says in the context that it is one, and which', async () => {
    const report = await collect({ replayId: 'march' });
    expect(report.replayId).toBe('march');
    expect(collected.every(({ context }) => context.isReplay && context.replayId === 'march')).toBe(true);
    expect((await collect()).replayId).not.toBe((await collect()).replayId);
  });

  it('by stored time takes what was stored from the first moment on and before the last', async () => {
    // Whole appends share a millisecond or not; borders are store times of events and moments between.
    const border = fc.nat(all.length - 1).chain((at) => fc.integer({ min: -1, max: 1 }).map((by) => ({ at, by })));
    const momentOf = ({ at, by }: { at: number; by: number }) => new Date(all[at]!.storedAt.getTime() + by);
    await fc.assert(
      fc.asyncProperty(border, border, async (one, other) => {
        const [from, to] = [momentOf(one), momentOf(other)].sort((a, b) => a.getTime() - b.getTime());
        await collect({ from: from!, to: to!, by: 'stored' });
        const expected = all.filter(({ storedAt }) => storedAt >= from! && storedAt < to!);
        expect(collectedIds()).toEqual(ids(expected));
      }),
      { numRuns: RUNS },
    );
  });

  it('by stored time looks only at the range of each queue', async () => {
    const from = all[100]!.storedAt;
    const report = await collect({ from });
    const expected = all.filter(({ storedAt }) => storedAt >= from);
    expect(report.read).toBe(expected.length);
    expect(collectedIds()).toEqual(ids(expected));
    const { storedAt } = all.at(-1)!;
    expect(await collect({ from: new Date(storedAt.getTime() + 60_000) })).toMatchObject({ read: 0, applied: 0 });
  });

  it('by occurred time reads everything and takes what occurred then, wherever it is stored', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 32 }), fc.nat(32), async (first, length) => {
        const [from, to] = [day(first), day(first + length)];
        const report = await collect({ from, to, by: 'occurred' });
        const expected = all.filter(({ occurredAt }) => occurredAt >= from && occurredAt < to);
        expect(collectedIds()).toEqual(ids(expected));
        expect(report).toMatchObject({ read: 121, applied: expected.length, skipped: 121 - expected.length });
      }),
      { numRuns: RUNS },
    );
  });

  it('takes a tag filter or an SQL filter', async () => {
    expect(await collect({ filter: 'Closed' })).toMatchObject({ applied: 1 });
    expect(collected.map(({ recorded }) => recorded.type)).toEqual(['Closed']);
    const version = { expression: 'FL_VERSION <= 2', expressionType: 'SQL92' } as const;
    await collect({ filter: version });
    expect(sorted(collectedIds())).toEqual(sorted(ids(all.filter((one) => one.version <= 2))));
  });

  it('as a dry run counts the same and hands on nothing', async () => {
    const { replayId: _real, ...real } = await collect({ from: day(3), to: day(9), by: 'occurred' });
    const dry = await collect({ from: day(3), to: day(9), by: 'occurred', dryRun: true });
    expect(collected).toEqual([]);
    const { replayId: _dry, ...counts } = dry;
    expect(counts).toEqual(real);
    const without = await replay({ session: log.session, codec, topics: [log.topic], dryRun: true });
    expect(without.applied).toBe(121);
  });

  it('reports its progress up to the whole', async () => {
    const seen: { passed: number; total: number; applied: number }[] = [];
    await collect({ onProgress: (progress) => void seen.push(progress) });
    expect(seen.at(-1)).toEqual({ passed: 121, total: 121, applied: 121 });
  });

  it('ends with the signal', async () => {
    const abort = new AbortController();
    let count = 0;
    const stopped = collect({
      signal: abort.signal,
      onEvent: () => {
        if (++count === 5) abort.abort(new Error('enough'));
      },
    });
    await expect(stopped).rejects.toThrow('enough');
    expect(count).toBe(5);
  });

  it('ends with the place of an event whose handler fails', async () => {
    const failing = collect({
      onEvent: ({ eventId }) => {
        if (eventId === all[7]!.eventId) throw new Error('no');
      },
    });
    await expect(failing).rejects.toMatchObject({
      code: 'HANDLER_FAILED',
      message: expect.stringMatching(/on event .* at offset \d+ of queue \d of accounts on .*: no$/),
    });
  });

  it.each([
    [{ topics: [] }, /topics is empty/],
    [{ by: 'sideways' as never }, /'stored' or 'occurred', not "sideways"/],
    [{ from: new Date('nonsense') }, /from is not a valid date/],
    [{ from: day(2), to: day(1) }, /is after/],
    [{ pageSize: 0 }, /pageSize 0/],
    [{ batchSize: 1.5 }, /batchSize 1.5/],
  ])('refuses %j', async (options, message) => {
    await expect(collect(options)).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('of a topic that does not exist says so', async () => {
    await expect(collect({ topics: ['nowhere'] })).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
  });
});

describe('a replay into a projection', () => {
  const definition: ProjectionDefinition = {
    name: 'balances',
    version: 1,
    topics: ['accounts'],
    handlers: new Map([
      [
        'Deposited',
        ({ cents }: Deposited, { db, stream, isReplay }: ProjectionContext) => {
          db.run('INSERT INTO balances VALUES (?, ?, ?)', stream, cents, isReplay);
        },
      ],
    ]),
    initialise: (db) => db.exec('CREATE TABLE balances (stream TEXT, cents INTEGER, is_replay INTEGER)'),
  };
  const rows = (database: SqliteDatabase) =>
    database.get('SELECT count(*) AS count, sum(cents) AS cents, max(is_replay) AS replayed FROM balances');

  it('fills a fresh database, and leaves the live projection and its progress alone', async () => {
    const live = SqliteDatabase.open(':memory:');
    const runner = new ProjectionRunner({ session: log.session, codec, database: live, definition });
    await runner.start();
    for (const { type, position } of all) if (type === 'Deposited') await runner.waitFor(position);
    const before = { rows: rows(live), lag: await runner.lag() };

    const fresh = SqliteDatabase.open(':memory:');
    const until = day(11);
    const options = { session: log.session, codec, topics: [log.topic], by: 'occurred', to: until } as const;
    const report = await replay({ ...options, projection: { definition, database: fresh } });
    const expected = all.filter(({ type, occurredAt }) => type === 'Deposited' && occurredAt < until);
    const cents = expected.reduce((sum, { event }) => sum + (event as Deposited).cents, 0);
    expect(report.applied).toBe(expected.length);
    expect(rows(fresh)).toEqual({ count: expected.length, cents, replayed: 1 });
    expect({ rows: rows(live), lag: await runner.lag() }).toEqual(before);
    expect(before.rows).toMatchObject({ count: 120, replayed: 0 });

    await runner.stop();
    await Promise.all([live.close(), fresh.close()]);
  });

  it('gives the same state as the live projection', async () => {
    const one = SqliteDatabase.open(':memory:');
    await replay({ session: log.session, codec, topics: [log.topic], projection: { definition, database: one } });
    const cents = all.reduce((sum, { event }) => sum + ((event as Partial<Deposited>).cents ?? 0), 0);
    expect(rows(one)).toEqual({ count: 120, cents, replayed: 1 });
    await one.close();
  });

  it('rolls back the batch whose handler fails', async () => {
    const database = SqliteDatabase.open(':memory:');
    const failing: ProjectionDefinition = {
      ...definition,
      handlers: new Map([
        [
          'Deposited',
          async ({ cents }: Deposited, { db }: ProjectionContext) => {
            db.run('INSERT INTO balances VALUES (?, ?, ?)', 'x', cents, true);
            await Promise.resolve();
            if (cents === 60) throw new Error('sixty');
          },
        ],
      ]),
    };
    const options = { session: log.session, codec, topics: [log.topic] };
    await expect(replay({ ...options, projection: { definition: failing, database } })).rejects.toMatchObject({
      code: 'HANDLER_FAILED',
      message: expect.stringMatching(/sixty$/),
    });
    expect(rows(database)).toMatchObject({ count: 0 });
    await database.close();
  });
});

describe('a replay while the broker restarts', () => {
  it('waits for it and hands on everything once', async () => {
    // Pages of two, so that most of the log is read after the restart; the broker stays away until a read has failed.
    let count = 0;
    let waits = 0;
    let stopped = Promise.resolve();
    let restarted: Promise<void> | undefined;
    const debug = (_fields: object, message: string) => {
      if (message !== 'replay waits for a queue') return;
      waits++;
      restarted ??= stopped.then(() => log.cluster.startBroker());
    };
    await collect({
      pageSize: 2,
      batchSize: 1,
      logger: { debug, info: () => {}, warn: () => {}, error: () => {} },
      onEvent: async (recorded, context) => {
        collected.push({ recorded, context });
        if (++count > 1) return;
        stopped = log.cluster.stopBroker();
        await stopped;
      },
    });
    await restarted;
    expect(collectedIds()).toEqual(ids(all));
    expect(waits).toBeGreaterThan(0);
  });
});
