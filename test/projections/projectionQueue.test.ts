/** Every database that projections run on: what a queue guarantees does not depend on which it is. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../src/client/clientTypes.js';
import type { AppDatabase } from '../../src/database/appDatabase.js';
import type { ProjectionContext, ProjectionDefinition, ProjectionHandler } from '../../src/projections/projection.js';
import { checkpointsIn } from '../../src/projections/projectionCheckpoints.js';
import { ProjectionQueue } from '../../src/projections/projectionQueue.js';
import { Closed, codec, type Deposited, messageOf, messages, QUEUE } from './events.js';
import { rowsOf, SUBJECTS, write } from './subjects.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);
const signal = new AbortController().signal;

type Handle = ProjectionHandler<Deposited, AppDatabase>;

describe.each(SUBJECTS)('on $kind', (subject) => {
  let database: AppDatabase;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    ({ database, remove } = await subject.create());
  }, 300_000);
  afterEach(() => remove());

  const insert: Handle = (event, { db, queueOffset }) =>
    write(db, 'INSERT INTO seen (queue_offset, cents) VALUES (?, ?)', queueOffset, event.cents);

  function define(handle: Handle = insert, version = 1): ProjectionDefinition {
    return {
      name: 'balance',
      version,
      topics: [QUEUE.topic],
      handlers: new Map([['Deposited', handle]]),
      initialise: (db) => db.exec('CREATE TABLE IF NOT EXISTS seen (queue_offset INTEGER PRIMARY KEY, cents INTEGER)'),
    };
  }

  async function openQueue(definition = define(), generation = 1, startOffset = 0): Promise<ProjectionQueue> {
    const checkpoints = checkpointsIn(database, definition);
    await checkpoints.prepare(0);
    const checkpoint = await checkpoints.load(QUEUE);
    return new ProjectionQueue({ queue: QUEUE, definition, codec, checkpoints, generation, checkpoint, startOffset });
  }

  const seen = async (from = database) =>
    (await rowsOf<{ o: number }>(from, 'SELECT queue_offset AS o FROM seen ORDER BY 1')).map(({ o }) => o);
  const offsets = (end: number) => Array.from({ length: end }, (_, at) => at);
  const committed = async () =>
    (await rowsOf<{ n: number }>(database, 'SELECT next_offset AS n FROM foldlog_checkpoints'))[0]?.n;

  describe('a queue of a projection', () => {
    it('writes state and checkpoint together', async () => {
      const queue = await openQueue();
      expect(await queue.apply(messages(0, 5), signal)).toEqual({ settled: 5 });
      expect(await seen()).toEqual(offsets(5));
      expect(await rowsOf(database, 'SELECT * FROM foldlog_checkpoints')).toEqual([
        {
          projection: 'balance',
          version: 1,
          broker_name: 'broker-a',
          topic: 'accounts',
          queue_id: 2,
          next_offset: 5,
          generation: 1,
          commit_log_offset: 4000,
          msg_id: 'event-4',
        },
      ]);
    });

    it('tells its handlers everything about the event', async () => {
      let context: ProjectionContext<AppDatabase> | undefined;
      const queue = await openQueue(
        define((_event, given) => {
          context = given;
        }),
        3,
      );
      await queue.apply(messages(0, 1), signal);
      expect(context).toMatchObject({
        eventId: 'event-0',
        stream: 'account:7',
        version: 1,
        position: { commitLogOffset: 0, generation: 3, brokerName: 'broker-a', queueId: 2, queueOffset: 0 },
        topic: 'accounts',
        queueId: 2,
        queueOffset: 0,
        isReplay: false,
        replayId: undefined,
        occurredAt: new Date(1_767_225_600_000),
      });
    });

    it('passes over what it has applied, also after a restart', async () => {
      await (await openQueue()).apply(messages(0, 5), signal);
      const again = await openQueue();
      expect(await again.apply(messages(0, 4), signal)).toEqual({ settled: 4 });
      expect(await again.apply(messages(2, 8), signal)).toEqual({ settled: 6 });
      expect(await seen()).toEqual(offsets(8));
    });

    it('passes over types that it does not handle, readable or not', async () => {
      const queue = await openQueue();
      const mixed = [
        messageOf({ queueOffset: 0, type: 'Closed', body: '{"at":1}' }),
        messageOf({ queueOffset: 1, type: 'Closed', body: 'not JSON' }),
        messageOf({ queueOffset: 2, type: 'Unheard' }),
        messageOf({ queueOffset: 3 }),
      ];
      expect(await queue.apply(mixed, signal)).toEqual({ settled: 4 });
      expect(await seen()).toEqual([3]);
      expect(queue.nextOffset).toBe(4);
      expect(Closed.name).toBe('Closed');
    });

    it('stops at an event that cannot be read, with everything before it applied', async () => {
      const queue = await openQueue();
      const batch = [...messages(0, 3), messageOf({ queueOffset: 3, body: '{"cents":0}' }), ...messages(4, 6)];
      const { settled, problem } = await queue.apply(batch, signal);
      expect(settled).toBe(3);
      expect(problem).toMatchObject({ code: 'EVENT_INVALID', details: { queueOffset: 3, eventId: 'event-3' } });
      expect(problem?.message).toMatch(/event event-3 at offset 3 of queue 2 of accounts on broker-a.*cents/);
      expect(await seen()).toEqual(offsets(3));
      expect(await queue.apply(batch.slice(3), signal)).toMatchObject({ settled: 0 });
    });

    it.each(['throws', 'rejects'])(
      'rolls back what a handler that %s has written, and keeps what came before',
      async (how) => {
        let isBroken = true;
        const handle: Handle = (event, context) => {
          const written = insert(event, context);
          if (context.queueOffset !== 3 || !isBroken) return how === 'rejects' ? Promise.resolve(written) : written;
          if (how === 'rejects') return Promise.reject(new Error('no'));
          throw new Error('no');
        };
        const queue = await openQueue(define(handle));
        const { settled, problem } = await queue.apply(messages(0, 6), signal);
        expect(settled).toBe(3);
        expect(problem).toMatchObject({ code: 'HANDLER_FAILED', retriable: true });
        expect(problem?.message).toMatch(/handler of Deposited failed on event event-3 \(account:7 version 4, .*: no$/);
        expect(await seen()).toEqual(offsets(3));
        expect(await committed()).toBe(3);
        isBroken = false;
        expect(await queue.apply(messages(3, 6), signal)).toEqual({ settled: 3 });
        expect(await seen()).toEqual(offsets(6));
      },
    );

    it('a failure before the failing event leaves the shorter part', async () => {
      const broken = new Set([4]);
      const handle: Handle = (event, context) => {
        if (broken.has(context.queueOffset)) {
          broken.add(1);
          throw new Error('no');
        }
        return insert(event, context);
      };
      const queue = await openQueue(define(handle));
      expect(await queue.apply(messages(0, 6), signal)).toMatchObject({
        settled: 1,
        problem: { code: 'HANDLER_FAILED' },
      });
      expect(await seen()).toEqual([0]);
    });

    it('stops at a gap', async () => {
      const queue = await openQueue();
      await queue.apply(messages(0, 3), signal);
      const { settled, problem } = await queue.apply(messages(5, 7), signal);
      expect(settled).toBe(0);
      expect(problem?.message).toMatch(/offset 5 .* where offset 3 was expected: events are missing in between/);
      const within = [...messages(3, 4), ...messages(5, 6)];
      expect(await queue.apply(within, signal)).toMatchObject({ settled: 1, problem: { code: 'CORRUPTION' } });
      expect(await seen()).toEqual(offsets(4));
    });

    it('begins where the log still does when it has no checkpoint', async () => {
      const queue = await openQueue(define(), 1, 40);
      expect(await queue.apply(messages(41, 43), signal)).toMatchObject({
        settled: 0,
        problem: { code: 'CORRUPTION' },
      });
      expect(await queue.apply(messages(40, 43), signal)).toEqual({ settled: 3 });
      expect(queue.nextOffset).toBe(43);
    });

    it('stops when the log holds another record where its last one was', async () => {
      const queue = await openQueue();
      await queue.apply(messages(0, 5), signal);
      const regrown = [...messages(3, 4), messageOf({ queueOffset: 4, msgId: 'another' }), ...messages(5, 7)];
      const { settled, problem } = await queue.apply(regrown, signal);
      expect(settled).toBe(0);
      expect(problem).toMatchObject({ code: 'CORRUPTION' });
      expect(problem?.message).toMatch(/has applied event event-4 at offset 4 .* rebuild the projection/);
      expect(await seen()).toEqual(offsets(5));
    });

    it('a new version begins at the start, beside the progress of the old one', async () => {
      await (await openQueue()).apply(messages(0, 5), signal);
      const next = await openQueue(
        define(
          (event, context) => insert({ cents: event.cents }, { ...context, queueOffset: context.queueOffset + 100 }),
          2,
        ),
      );
      expect(next.nextOffset).toBe(0);
      await next.apply(messages(0, 2), signal);
      expect(await seen()).toEqual([0, 1, 2, 3, 4, 100, 101]);
    });

    it('makes its tables once per version', async () => {
      let made = 0;
      const definition = { ...define(), initialise: () => void made++ };
      await openQueue(definition);
      await openQueue(definition);
      expect(made).toBe(1);
      await openQueue({ ...definition, version: 2 });
      expect(made).toBe(2);
    });

    it('tables that could not be made are tried again', async () => {
      const definition = define();
      const failing = openQueue({
        ...definition,
        async initialise(db) {
          await db.exec('CREATE TABLE half (a INTEGER)');
          throw new Error('no');
        },
      });
      await expect(failing).rejects.toThrow('no');
      await expect(rowsOf(database, 'SELECT * FROM half')).rejects.toThrow(/half/);
      await openQueue(definition);
      expect(await seen()).toEqual([]);
    });
  });

  describe('an instance that lost its queue', () => {
    it('cannot write, runs no handler, and goes on where the other came to', async () => {
      let handled = 0;
      const counting: Handle = (event, context) => {
        handled++;
        return insert(event, context);
      };
      const old = await openQueue(define(counting));
      const other = await openQueue();
      await old.apply(messages(0, 2), signal);
      await other.apply(messages(0, 2), signal).then(({ problem }) => expect(problem?.code).toBe('CONDITION_FAILED'));
      await other.apply(messages(2, 6), signal);
      handled = 0;
      const { settled, problem } = await old.apply(messages(2, 4), signal);
      expect({ settled, code: problem?.code, handled }).toEqual({ settled: 0, code: 'CONDITION_FAILED', handled: 0 });
      expect(await old.apply(messages(2, 8), signal)).toEqual({ settled: 6 });
      expect(await seen()).toEqual(offsets(8));
    });

    it('whatever batches any number of instances get, each event counts exactly once', async () => {
      // Each step: an instance gets a batch that begins at or below what is committed; some handlers fail some times.
      const steps = fc.array(
        fc.record({
          instance: fc.nat(2),
          back: fc.nat(6),
          count: fc.integer({ min: 1, max: 8 }),
          failAt: fc.option(fc.nat(12), { nil: undefined }),
          isAsync: fc.boolean(),
          together: fc.boolean(),
        }),
        { maxLength: 25 },
      );
      let failAt: number | undefined;
      let isAsync = false;
      const handle: Handle = (event, context) => {
        if (context.queueOffset === failAt) throw new Error('no');
        // A repeated event would violate the primary key, a lost one would leave a gap.
        const written = insert(event, context);
        return isAsync ? Promise.resolve(written) : written;
      };
      const definition = define(handle);
      const checkpoints = checkpointsIn(database, definition);
      await checkpoints.prepare(0);
      await fc.assert(
        fc.asyncProperty(steps, async (plan) => {
          for (const table of ['seen', 'foldlog_checkpoints']) await write(database, `DELETE FROM ${table}`);
          const parts = { queue: QUEUE, definition, codec, checkpoints, generation: 1, startOffset: 0 };
          const instances = [0, 1, 2].map(() => new ProjectionQueue({ ...parts, checkpoint: undefined }));
          let running: Promise<unknown>[] = [];
          for (const step of plan) {
            const next = (await checkpoints.load(QUEUE))?.nextOffset ?? 0;
            const from = Math.max(0, next - step.back);
            failAt = step.failAt === undefined ? undefined : from + step.failAt;
            isAsync = step.isAsync;
            running.push(instances[step.instance]!.apply(messages(from, from + step.count), signal));
            if (step.together) continue;
            await Promise.all(running);
            running = [];
          }
          await Promise.all(running);
          const end = (await checkpoints.load(QUEUE))?.nextOffset ?? 0;
          expect(await seen()).toEqual(offsets(end));
        }),
        { numRuns: Math.ceil(RUNS / subject.slowness) },
      );
    });
  });

  describe('throughput', () => {
    it('of batches through an empty handler does not collapse (printed; target above 20,000 events a second)', async () => {
      const queue = await openQueue(define(() => {}));
      const batches: ReceivedMessage[][] = Array.from({ length: 100 }, (_, at) => messages(at * 256, (at + 1) * 256));
      const from = performance.now();
      for (const batch of batches) await queue.apply(batch, signal);
      const perSecond = 25_600 / ((performance.now() - from) / 1000);
      expect(queue.nextOffset).toBe(25_600);
      console.log(`projection queue on ${subject.kind}: ${Math.round(perSecond)} events/s`);
      expect(perSecond).toBeGreaterThan(10_000 / subject.slowness);
    });
  });
});
