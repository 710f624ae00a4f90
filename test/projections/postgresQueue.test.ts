/** What only PostgreSQL brings to a queue of a projection: other queues at the same time, connections that go. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PostgresDatabase } from '../../src/database/postgresDatabase.js';
import type { ProjectionDefinition, ProjectionHandler } from '../../src/projections/projection.js';
import { checkpointsIn } from '../../src/projections/projectionCheckpoints.js';
import { ProjectionQueue } from '../../src/projections/projectionQueue.js';
import { createPostgresDatabase, type TestDatabase, terminateConnections } from '../support/postgresServer.js';
import { codec, type Deposited, messages, QUEUE } from './events.js';

const signal = new AbortController().signal;

let target: TestDatabase;
let database: PostgresDatabase;

beforeEach(async () => {
  target = await createPostgresDatabase();
  database = await PostgresDatabase.connect(target.url);
}, 300_000);

afterEach(async () => {
  await database.close();
  await target.drop();
});

type Handle = ProjectionHandler<Deposited, PostgresDatabase>;

const insert: Handle = async (_event, { db, queueId, queueOffset }) => {
  await db.run('INSERT INTO seen VALUES ($1, $2)', queueId, queueOffset);
};

function define(handle: Handle): ProjectionDefinition {
  return {
    name: 'balance',
    version: 1,
    topics: [QUEUE.topic],
    handlers: new Map([['Deposited', handle]]),
    initialise: (db) =>
      db.exec(`CREATE TABLE seen (queue_id INTEGER, queue_offset INTEGER, PRIMARY KEY (queue_id, queue_offset));
               CREATE TABLE totals (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
               INSERT INTO totals VALUES ('a', 0), ('b', 0)`),
  };
}

async function openQueue(definition: ProjectionDefinition, queueId = QUEUE.queueId): Promise<ProjectionQueue> {
  const queue = { ...QUEUE, queueId };
  const checkpoints = checkpointsIn(database, definition);
  await checkpoints.prepare(0);
  const checkpoint = await checkpoints.load(queue);
  return new ProjectionQueue({ queue, definition, codec, checkpoints, generation: 1, checkpoint, startOffset: 0 });
}

const messagesOf = (queueId: number, from: number, end: number) =>
  messages(from, end).map((message) => ({ ...message, queueId }));

const seenOf = async (queueId: number) => {
  const sql = 'SELECT queue_offset AS o FROM seen WHERE queue_id = $1 ORDER BY 1';
  return (await database.all<{ o: number }>(sql, queueId)).map(({ o }) => o);
};
const offsets = (end: number) => Array.from({ length: end }, (_, at) => at);

describe('queues of a projection in PostgreSQL', () => {
  it('that start together make the tables once', async () => {
    let made = 0;
    const definition = define(insert);
    const counting: ProjectionDefinition = {
      ...definition,
      async initialise(db) {
        made++;
        await definition.initialise?.(db);
      },
    };
    await Promise.all([0, 1, 2, 3].map((queueId) => openQueue(counting, queueId)));
    expect(made).toBe(1);
  });

  it('that meet in a circle go on without a failure, each event counting once', async () => {
    let handled = 0;
    let bothHoldOne = () => {};
    const held = new Promise<void>((resolve) => {
      bothHoldOne = resolve;
    });
    const holders = new Set<number>();
    // Even queues add to a then b, odd ones to b then a; the first time each waits until the other holds its first.
    const handle: Handle = async (event, context) => {
      handled++;
      await insert(event, context);
      const [first = '', second = ''] = context.queueId % 2 ? ['b', 'a'] : ['a', 'b'];
      await context.db.run('UPDATE totals SET n = n + 1 WHERE name = $1', first);
      if (holders.add(context.queueId).size === 2) bothHoldOne();
      await held;
      await context.db.run('UPDATE totals SET n = n + 1 WHERE name = $1', second);
    };
    const definition = define(handle);
    const queues = await Promise.all([0, 1].map((queueId) => openQueue(definition, queueId)));
    const events = 40;
    for (let at = 0; at < events; at += 20) {
      const outcomes = await Promise.all(
        queues.map((queue, queueId) => queue.apply(messagesOf(queueId, at, at + 20), signal)),
      );
      expect(outcomes).toEqual([{ settled: 20 }, { settled: 20 }]);
    }
    expect(await database.all('SELECT * FROM totals ORDER BY name')).toEqual([
      { name: 'a', n: 2 * events },
      { name: 'b', n: 2 * events },
    ]);
    expect([await seenOf(0), await seenOf(1)]).toEqual([offsets(events), offsets(events)]);
    expect(handled).toBeGreaterThan(2 * events);
  });

  it('whose connection goes in a handler blame the database, not the handler, and go on', async () => {
    let isCut = false;
    const queue = await openQueue(
      define(async (event, context) => {
        if (context.queueOffset === 3 && !isCut) {
          isCut = true;
          const { pid } = (await context.db.get<{ pid: number }>('SELECT pg_backend_pid() AS pid'))!;
          await database.run('SELECT pg_terminate_backend($1)', pid);
        }
        await insert(event, context);
      }),
    );
    const { settled, problem } = await queue.apply(messages(0, 6), signal);
    expect({ settled, problem }).toMatchObject({ settled: 0, problem: { code: 'DATABASE_FAILED', retriable: true } });
    expect(await queue.apply(messages(0, 6), signal)).toEqual({ settled: 6 });
    expect(await seenOf(QUEUE.queueId)).toEqual(offsets(6));
  });

  it('whose connections go at any moment, in a commit too, apply each event once', async () => {
    const queues = await Promise.all([0, 1, 2].map((queueId) => openQueue(define(insert), queueId)));
    const end = 150;
    let isOver = false;
    let cuts = 0;
    const cutting = (async () => {
      while (!isOver) cuts += await terminateConnections(target.url);
    })();
    await Promise.all(
      queues.map(async (queue, queueId) => {
        while (queue.nextOffset < end) {
          const from = Math.max(0, queue.nextOffset - 2);
          await queue.apply(messagesOf(queueId, from, Math.min(end, from + 7)), signal);
        }
      }),
    );
    isOver = true;
    await cutting;
    expect(cuts).toBeGreaterThan(0);
    for (const queueId of [0, 1, 2]) expect(await seenOf(queueId)).toEqual(offsets(end));
  });
});
