/**
 * Batches as large as SQLite gets them: one transaction, and what it leaves behind when an event in the middle fails or
 * the commit itself is refused (a foreign key that is looked at only then).
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import type { ProjectionContext, ProjectionDefinition } from '../../src/projections/projection.js';
import { checkpointsIn } from '../../src/projections/projectionCheckpoints.js';
import { ProjectionQueue } from '../../src/projections/projectionQueue.js';
import { codec, type Deposited, messages, QUEUE } from './events.js';

const COUNT = 1_000;
const signal = new AbortController().signal;

describe('a batch of 1,000 events on SQLite', () => {
  let database: SqliteDatabase;
  /** Runs for every event, before it is written. */
  let before: (offset: number, db: SqliteDatabase) => void;

  beforeEach(() => {
    database = SqliteDatabase.open(':memory:');
    before = () => {};
  });
  afterEach(() => database.close());

  const definition: ProjectionDefinition = {
    name: 'large',
    version: 1,
    topics: [QUEUE.topic],
    handlers: new Map([
      [
        'Deposited',
        (_event: Deposited, { db, queueOffset }: ProjectionContext) => {
          before(queueOffset, db);
          db.run('INSERT INTO seen VALUES (?)', queueOffset);
        },
      ],
    ]),
    initialise: (db) =>
      db.exec(`PRAGMA foreign_keys = ON;
        CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE seen (queue_offset INTEGER)`),
  };

  async function openQueue(): Promise<ProjectionQueue> {
    const checkpoints = checkpointsIn(database, definition);
    await checkpoints.prepare(0);
    const checkpoint = await checkpoints.load(QUEUE);
    const parts = { queue: QUEUE, definition, codec, checkpoints, generation: 1, startOffset: 0 };
    return new ProjectionQueue({ ...parts, checkpoint });
  }

  const seen = () => database.get('SELECT count(*) AS n, count(DISTINCT queue_offset) AS different FROM seen');
  const committed = () => database.get<{ n: number }>('SELECT next_offset AS n FROM foldlog_checkpoints')?.n;
  const orphan = (db: SqliteDatabase) => db.run('INSERT INTO child VALUES (7)');

  it('is one transaction', async () => {
    let first = true;
    before = (offset, db) => {
      // Nothing of it stands alone: with the one below it refused, all of it goes.
      if (offset === COUNT - 1 && first) orphan(db);
    };
    const queue = await openQueue();
    const refused = await queue.apply(messages(0, COUNT), signal);
    expect(refused).toMatchObject({ settled: 0, problem: { code: 'DATABASE_FAILED' } });
    expect(seen()).toEqual({ n: 0, different: 0 });
    expect(committed()).toBeUndefined();
    expect(queue.nextOffset).toBe(0);
    first = false;
    expect(await queue.apply(messages(0, COUNT), signal)).toEqual({ settled: COUNT });
    expect(seen()).toEqual({ n: COUNT, different: COUNT });
    expect(committed()).toBe(COUNT);
  });

  it.each([0, 1, 500, 999])('leaves what comes before event %i applied when that one fails', async (failing) => {
    let isBroken = true;
    before = (offset) => {
      if (offset === failing && isBroken) throw new Error('poison');
    };
    const queue = await openQueue();
    const held = await queue.apply(messages(0, COUNT), signal);
    expect(held).toMatchObject({
      settled: failing,
      problem: { code: 'HANDLER_FAILED', message: expect.stringContaining(`on event event-${failing} `) },
    });
    expect(seen()).toEqual({ n: failing, different: failing });
    expect(committed() ?? 0).toBe(failing);
    isBroken = false;
    // Another process goes on from what is committed, and gets all of it again.
    expect(await (await openQueue()).apply(messages(0, COUNT), signal)).toEqual({ settled: COUNT });
    expect(seen()).toEqual({ n: COUNT, different: COUNT });
  });

  it('that fails, and whose shorter part is refused as well, leaves nothing and comes again', async () => {
    let isBroken = true;
    before = (offset, db) => {
      if (!isBroken) return;
      if (offset === 300) orphan(db);
      if (offset === 500) throw new Error('poison');
    };
    const queue = await openQueue();
    expect(await queue.apply(messages(0, COUNT), signal)).toMatchObject({ settled: 0 });
    expect(seen()).toEqual({ n: 0, different: 0 });
    expect(committed()).toBeUndefined();
    isBroken = false;
    expect(await queue.apply(messages(0, COUNT), signal)).toEqual({ settled: COUNT });
    expect(seen()).toEqual({ n: COUNT, different: COUNT });
  });
});
