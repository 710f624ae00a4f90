/** The table of snapshots and the background work on it, on both databases. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type AppDatabase, openDatabase } from '../../../src/database/appDatabase.js';
import { encodeSnapshot, type Snapshot } from '../../../src/eventstore/snapshots/snapshot.js';
import { SnapshotKeeper } from '../../../src/eventstore/snapshots/snapshotKeeper.js';
import { SnapshotTable } from '../../../src/eventstore/snapshots/snapshotTable.js';
import { Aggregate, AggregateRoot, Apply, Event, silentLogger } from '../../../src/index.js';
import { TestApp } from '../../../src/testing/index.js';
import { ManualClock } from '../../support/manualClock.js';
import { createPostgresDatabase } from '../../support/postgresServer.js';

const snapshot = (changes: Partial<Snapshot> = {}): Snapshot => ({
  ...{ topic: 'orders', stream: 'order:1', kind: 'Order', form: '1 cents', streamVersion: 3, eventId: 'e-0' },
  ...{ brokerName: 'broker-a', queueId: 1, queueOffset: 2, commitLogOffset: 300, storedAt: 5, storedUntil: 6 },
  state: '3 [{"cents":1},[]]',
  ...changes,
});
const row = (changes: Partial<Snapshot> = {}) => ({ ...snapshot(changes), ...encodeSnapshot(snapshot(changes)) });

@Event({ type: 'Counted' })
class Counted {}

@Aggregate({ topic: 'counters', stream: 'counter', snapshot: { every: 3 } })
class Counter extends AggregateRoot {
  counted = 0;
  count(): void {
    this.apply(Counted, {});
  }
  @Apply(Counted) protected onCounted(): void {
    this.counted += 1;
  }
}

const subjects = [
  {
    kind: 'sqlite',
    async create() {
      const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-snapshot-table-'));
      const url = path.join(directory, 'app.db');
      return { url, drop: async () => rmSync(directory, { recursive: true, force: true }) };
    },
  },
  { kind: 'postgres', create: createPostgresDatabase },
] as const;

describe.each(subjects)('on $kind', ({ create }) => {
  let place: { url: string; drop(): Promise<void> };
  let database: AppDatabase;
  let table: SnapshotTable;

  beforeAll(async () => {
    place = await create();
  });
  afterAll(() => place.drop());
  beforeEach(async () => {
    database = await openDatabase(place.url);
    table = await SnapshotTable.open(database);
    await table.drop({});
  });
  afterEach(() => database.close());

  it('gives back what was saved, the newest of a stream and kind', async () => {
    expect(await table.load(snapshot())).toBeUndefined();
    await table.save([row(), row({ kind: 'Other' }), row({ stream: 'order:2' })], 1);
    await table.save([row({ streamVersion: 9 })], 2);
    expect(await table.load(snapshot())).toEqual(encodeSnapshot(snapshot({ streamVersion: 9 })));
    expect(await table.load(snapshot({ kind: 'Other' }))).toEqual(encodeSnapshot(snapshot({ kind: 'Other' })));
  });

  it('takes any stream and any state', async () => {
    const odd = { stream: 'order:a b\u0000%\u{1F600}', state: '1 ["\\u0000\u{1F600}\'\\"?$1",[]]' };
    await table.save([row(odd)], 1);
    expect(await table.load(snapshot(odd))).toEqual(encodeSnapshot(snapshot(odd)));
    expect(await table.drop({ topic: 'orders', kind: 'Order', stream: odd.stream })).toBe(1);
  });

  it('removes one only as long as it is that very one', async () => {
    await table.save([row()], 1);
    const { digest } = row();
    await table.save([row({ streamVersion: 9 })], 2);
    await table.remove(snapshot(), digest);
    expect(await table.load(snapshot())).toBeDefined();
    await table.remove(snapshot(), row({ streamVersion: 9 }).digest);
    expect(await table.load(snapshot())).toBeUndefined();
  });

  it('drops by stream, prefix, kind and topic', async () => {
    const streams = ['order:1', 'order:11', 'orders:1', 'or%er:1'];
    await table.save([...streams.map((stream) => row({ stream })), row({ topic: 'x' }), row({ kind: 'Other' })], 1);
    expect(await table.drop({ topic: 'orders', kind: 'Order', stream: 'order:1' })).toBe(1);
    expect(await table.drop({ topic: 'orders', kind: 'Order', prefix: 'order:' })).toBe(1);
    expect(await table.drop({ topic: 'orders', kind: 'Order', prefix: 'or%' })).toBe(1);
    expect(await table.drop({})).toBe(3);
  });

  it('stores what was asked for in the background, the newest of each, and all of it before it is closed', async () => {
    const keeper = new SnapshotKeeper({
      database: async () => database,
      clock: new ManualClock(),
      logger: silentLogger,
    });
    let taken = 0;
    const take = (changes: Partial<Snapshot>) => () => {
      taken += 1;
      return snapshot(changes);
    };
    keeper.request('one', take({ streamVersion: 3 }));
    keeper.request('one', take({ streamVersion: 4 }));
    for (let index = 0; index < 1_200; index += 1) keeper.request(`n${index}`, take({ stream: `order:n${index}` }));
    keeper.request('none', () => undefined);
    expect(taken).toBe(0);
    await keeper.close();
    // Beyond the bound nothing is kept for later.
    expect(taken).toBe(1_000);
    keeper.request('late', take({ stream: 'order:late' }));
    await keeper.close();
    expect(taken).toBe(1_000);
    expect(await keeper.load(snapshot())).toEqual(snapshot({ streamVersion: 4 }));
    expect(await keeper.drop({ topic: 'orders' })).toBe(1_000);
  });
});

it('an application on PostgreSQL takes and uses them', async () => {
  const place = await createPostgresDatabase();
  try {
    await using app = await TestApp.start({ handlers: [Counter], database: place.url });
    for (let index = 0; index < 3; index += 1) await app.aggregate(Counter).execute('1', (one) => one.count());
    // A stop stores what was asked for.
    await app.restart();
    const key = { topic: 'counters', stream: 'counter:1', kind: 'Counter' };
    const database = await openDatabase(place.url);
    const table = await SnapshotTable.open(database);
    const stored = JSON.parse((await table.load(key))?.content ?? '{}') as Snapshot;
    expect(stored).toMatchObject({ ...key, streamVersion: 3, state: '3 [{"counted":3},[]]' });
    const forged = { ...stored, state: '3 [{"counted":30},[]]' };
    await table.save([{ ...forged, ...encodeSnapshot(forged) }], 1);
    expect((await app.aggregate(Counter).load('1')).counted).toBe(30);
    await app.aggregate(Counter).execute('1', (one) => one.count());
    expect((await app.aggregate(Counter).load('1')).counted).toBe(31);
    expect(await app.aggregate(Counter).dropSnapshots()).toBe(1);
    await database.close();
  } finally {
    await place.drop();
  }
});

it('a keeper whose database comes later says so once, and goes on', async () => {
  const database = await openDatabase(':memory:');
  const clock = new ManualClock();
  let isAway = true;
  let tries = 0;
  const warned: string[] = [];
  const keeper = new SnapshotKeeper({
    database: async () => {
      tries += 1;
      if (isAway) throw new Error('away');
      return database;
    },
    clock,
    logger: { ...silentLogger, warn: (_fields, message) => void warned.push(message) },
  });
  expect(await keeper.load(snapshot())).toBeUndefined();
  // Loads do not wait for it one by one.
  expect(await keeper.load(snapshot())).toBeUndefined();
  expect(tries).toBe(1);
  clock.advance(5_000);
  expect(await keeper.load(snapshot())).toBeUndefined();
  expect(tries).toBe(2);
  expect(warned).toEqual(['snapshots cannot be read, streams are read whole']);
  await expect(keeper.save(snapshot())).rejects.toThrow('away');
  isAway = false;
  await keeper.save(snapshot());
  clock.advance(5_000);
  expect(await keeper.load(snapshot())).toEqual(snapshot());
  await keeper.close();
  await database.close();
});
