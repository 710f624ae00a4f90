/**
 * The guards under random deliveries, through the steps that a message really takes: `HandlerPipeline.consume`, the
 * guard, its claims or transaction, the store. What stands around them is a log in a few lines that delivers each
 * message until it is settled, to several processes, also twice at a time and again after it was settled.
 *
 * A process dies before its claim, after it, in mid effect, after the effect, or after the effect was recorded: nothing
 * of it happens from then on (its calls to the store never return, its timers never run), and its message is
 * delivered to another one. Effects take up to three leases. Redis and PostgreSQL themselves go away and come back:
 * killed, stopped, or silent for longer than a step may take.
 *
 * What must hold: no effect that was recorded done begins again; every message ends settled with its effect done; a
 * message is given back only when its handler threw, so none can become a dead letter because the guard was busy or
 * away. In transactions moreover: what the effects wrote counts exactly once.
 */
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, it } from 'vitest';
import { type Clock, systemClock, type Timer } from '../../src/base/clock.js';
import { silentLogger } from '../../src/base/logger.js';
import type { ConsumeOutcome, ReceivedMessage } from '../../src/client/clientTypes.js';
import type { AppDatabase } from '../../src/database/appDatabase.js';
import { PostgresDatabase } from '../../src/database/postgresDatabase.js';
import { SqliteDatabase } from '../../src/database/sqliteDatabase.js';
import { consumerFactsOf } from '../../src/decorators/handlerMetadata.js';
import { EventCodec } from '../../src/eventstore/eventCodec.js';
import { EmbeddedClaims } from '../../src/idempotency/embeddedClaims.js';
import { IdempotencyGuard } from '../../src/idempotency/idempotencyGuard.js';
import type { Claims } from '../../src/idempotency/idempotencyTypes.js';
import { MemoryClaims } from '../../src/idempotency/memoryClaims.js';
import { PostgresClaims } from '../../src/idempotency/postgresClaims.js';
import { RedisClaims } from '../../src/idempotency/redisClaims.js';
import { TransactionGuard } from '../../src/idempotency/transactionGuard.js';
import { Consumer, Idempotent, type MessageContext, On } from '../../src/index.js';
import { HandlerPipeline } from '../../src/runtime/handlerPipeline.js';
import { ManualClock } from '../support/manualClock.js';
import { OrderShipped } from '../support/orders.js';
import { startPostgresServer } from '../support/postgresServer.js';
import { isExternalRedis, startRedisServer } from '../support/redisServer.js';

const FUZZ_RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);
/** Deliveries of one message at most: beyond, it is stuck. */
const DELIVERIES_MAX = 400;

const DEATHS = ['before claim', 'after claim', 'mid effect', 'after effect', 'after done'] as const;
type Death = (typeof DEATHS)[number];

/** What one delivery meets. */
interface Fate {
  death: Death | undefined;
  throws: boolean;
  /** In thirds of a lease. */
  effectTakes: number;
}

interface Plan {
  /** One list per message: what its first deliveries meet; those that follow meet nothing. */
  messages: Fate[][];
  /** Which messages are delivered twice at a time, and which again when they are settled. */
  twice: boolean[];
  again: boolean[];
  /** After how many settled deliveries the store goes away: the first time before there is any, so that it always does. */
  outages: number[];
}

function plans({ messages, effectTakesMax }: { messages: number; effectTakesMax: number }): fc.Arbitrary<Plan> {
  const death = fc.option(fc.constantFrom(...DEATHS), { nil: undefined, freq: 2 });
  const throws = fc.nat(4).map((one) => one === 0);
  const fate = fc.record({ death, throws, effectTakes: fc.nat(effectTakesMax) });
  return fc.record({
    messages: fc.array(fc.array(fate, { maxLength: 4 }), { minLength: 1, maxLength: messages }),
    twice: fc.array(fc.boolean(), { minLength: messages, maxLength: messages }),
    again: fc.array(fc.boolean(), { minLength: messages, maxLength: messages }),
    outages: fc.array(fc.nat(messages - 1), { maxLength: 2 }).map((later) => [0, ...later]),
  });
}

const NEVER = new Promise<never>(() => {});

/** Thrown in a transaction to end it as the death of its process would: rolled back, and nobody hears of it. */
class Died extends Error {}

/** One process, for one delivery: when it dies, nothing that it asks for is answered and no timer of it runs. */
class Process {
  isDead = false;
  readonly #timers = new Set<Timer>();
  readonly clock: Clock;
  #die: () => void = () => {};
  readonly death = new Promise<void>((resolve) => {
    this.#die = resolve;
  });

  constructor(clock: Clock) {
    const kept = (timer: Timer): Timer => {
      this.#timers.add(timer);
      return timer;
    };
    this.clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (millis, action, options) => kept(clock.after(millis, action, options)),
      every: (millis, action) => kept(clock.every(millis, action)),
    };
  }

  die(): void {
    this.isDead = true;
    this.end();
    this.#die();
  }

  end(): void {
    for (const timer of this.#timers) timer.cancel();
  }
}

/** The way of a process to the claims, on which it may die; notes what was recorded done. */
class Line implements Claims {
  constructor(
    private readonly inner: Claims,
    private readonly process: Process,
    private readonly death: Death | undefined,
    private readonly recorded: (key: string) => void,
  ) {}

  async #through<T>(step: () => Promise<T>, then: (answer: T) => void = () => {}): Promise<T> {
    if (this.process.isDead) return NEVER;
    const answer = await step();
    then(answer);
    return this.process.isDead ? NEVER : answer;
  }

  claim: Claims['claim'] = (...given) => {
    if (this.death === 'before claim') this.process.die();
    return this.#through(
      () => this.inner.claim(...given),
      ({ status }) => {
        if (this.death === 'after claim' && status === 'claimed') this.process.die();
      },
    );
  };
  complete: Claims['complete'] = (...given) => {
    if (this.death === 'after effect') this.process.die();
    return this.#through(
      () => this.inner.complete(...given),
      (outcome) => {
        if (outcome === 'ok') this.recorded(given[0]);
        if (this.death === 'after done') this.process.die();
      },
    );
  };
  renew: Claims['renew'] = (...given) => this.#through(() => this.inner.renew(...given));
  release: Claims['release'] = (...given) => this.#through(() => this.inner.release(...given));
  close = async () => {};
}

/** A guarded handler's world. */
interface World {
  clock: Clock;
  leaseMillis: number;
  /** Lets the virtual clock run; real time needs nothing. */
  turn: () => Promise<void>;
  claims?: Claims;
  database?: AppDatabase;
  /** Takes the store away for a while. */
  outage?: () => Promise<void>;
}

@Consumer('news', { group: 'leased' })
class Leased {
  run: (context: MessageContext) => Promise<void> = async () => {};
  @On(OrderShipped) shipped(_shipped: OrderShipped, context: MessageContext): Promise<void> {
    return this.run(context);
  }
}

@Consumer('news', { group: 'transactional' })
class Transactional {
  run: (context: MessageContext<AppDatabase>) => Promise<void> = async () => {};
  @On(OrderShipped)
  @Idempotent({ transaction: true })
  shipped(_shipped: OrderShipped, context: MessageContext<SqliteDatabase>): Promise<void> {
    return this.run(context);
  }
}

const codec = new EventCodec([OrderShipped]);
let worlds = 0;

function messageOf(msgId: string, reconsumeTimes: number): ReceivedMessage {
  const host = { host: '127.0.0.1', port: 1 };
  return {
    ...{ topic: 'news', originalTopic: 'news', brokerName: 'b', queueId: 0, queueOffset: 0, commitLogOffset: 0 },
    ...{ sizeBytes: 100, flag: 0, sysFlag: 0, bornTimestamp: 1, bornHost: host, storeTimestamp: 1, storeHost: host },
    ...{ preparedTransactionOffset: 0, bodyCrc: 0, body: Buffer.from('{"carrier":"dhl"}'), properties: {} },
    ...{ msgId, offsetMsgId: msgId, tags: 'OrderShipped', keys: [], reconsumeTimes },
  };
}

/** Runs the plan; rejects when something does not hold. */
async function perform(plan: Plan, world: World): Promise<void> {
  const prefix = `world-${++worlds}-`;
  /** Known to be recorded done. The store may know it earlier, when its answer was lost. */
  const recorded = new Set<string>();
  /** Whose effect came to its end at least once. */
  const ended = new Set<string>();
  const begins = new Map<string, number>();
  let settled = 0;
  let pending = plan.messages.length;
  const problems: string[] = [];

  const deliver = async (id: string, fate: Fate | undefined, reconsumeTimes: number) => {
    const process = new Process(world.clock);
    const wait = async () => {
      for (let thirds = fate?.effectTakes ?? 0; thirds > 0; thirds--) {
        await new Promise<void>(
          (resolve) => void world.clock.after(world.leaseMillis / 3, resolve, { keepAlive: true }),
        );
      }
    };
    let hasThrown = false;
    const effect = async (die: () => Promise<unknown>, write: () => unknown) => {
      if (recorded.has(id)) problems.push(`${id} was recorded done and begins again`);
      begins.set(id, (begins.get(id) ?? 0) + 1);
      await write();
      await wait();
      if (fate?.death === 'mid effect') await die();
      if (fate?.throws) {
        hasThrown = true;
        throw new Error('the handler fails');
      }
      ended.add(id);
    };
    const pipeline = world.claims
      ? leasedPipeline(world, process, fate, effect, (key) => recorded.add(key.slice(key.indexOf(':') + 1)))
      : transactionalPipeline(world, process, fate, effect, id);
    const { signal } = new AbortController();
    const queue = { topic: 'news', brokerName: 'b', queueId: 0 };
    const consumed = pipeline.consume([messageOf(id, reconsumeTimes)], { queue, signal });
    const outcome = await Promise.race([consumed, process.death.then(() => undefined)]);
    process.end();
    if (process.isDead) return undefined;
    return { outcome, hasThrown };
  };

  const untilSettled = async (id: string, fates: Fate[]) => {
    let reconsumeTimes = 0;
    for (let deliveries = 0; deliveries < DELIVERIES_MAX; deliveries++) {
      // What does not hold is said at once: it may keep others from ever being settled.
      if (problems.length > 0) return;
      const answer = await deliver(id, fates[deliveries], reconsumeTimes);
      if (!answer) continue;
      const { outcome, hasThrown } = answer as { outcome: ConsumeOutcome; hasThrown: boolean };
      if (outcome.status === 'SUCCESS') {
        if (!ended.has(id)) problems.push(`${id} was settled and its effect never came to its end`);
        recorded.add(id);
        settled++;
        return;
      }
      if (outcome.status === 'DEAD_LETTER') problems.push(`${id} became a dead letter: ${outcome.reason}`);
      if (outcome.status === 'RETRY_LATER') {
        reconsumeTimes++;
        if (!hasThrown) problems.push(`${id} was given back although its handler did not throw`);
      }
      const millis = outcome.status === 'HOLD' ? outcome.suspendMillis : 1;
      await new Promise<void>((resolve) => void world.clock.after(millis, resolve, { keepAlive: true }));
    }
    problems.push(`${id} is not settled after ${DELIVERIES_MAX} deliveries`);
  };

  const messages = plan.messages.map(async (fates, at) => {
    const id = `${prefix}${at}`;
    const half = Math.ceil(fates.length / 2);
    const copies = plan.twice[at] ? [fates.slice(0, half), fates.slice(half)] : [fates];
    await Promise.all(copies.map((some) => untilSettled(id, some)));
    if (plan.again[at]) await untilSettled(id, []);
    pending--;
  });
  const outages = world.outage && runOutages(plan, world.outage, () => ({ settled, isOver: pending === 0 }));
  let isOver = false;
  const everything = async () => {
    await Promise.all([...messages, outages]);
    // Once more, with the store there: all of them are done.
    await Promise.all(plan.messages.map((_, at) => untilSettled(`${prefix}${at}`, [])));
  };
  const all = everything().finally(() => {
    isOver = true;
  });
  while (!isOver) await world.turn();
  await all;
  expect(problems).toEqual([]);
  expect(begins.size).toBe(plan.messages.length);
  if (world.database) await expectOnce(world.database, prefix, plan.messages.length);
}

async function runOutages(
  plan: Plan,
  outage: () => Promise<void>,
  now: () => { settled: number; isOver: boolean },
): Promise<void> {
  for (const at of [...plan.outages].sort((left, right) => left - right)) {
    while (now().settled < at && !now().isOver) await new Promise((resolve) => setTimeout(resolve, 2));
    if (now().isOver) return;
    await outage();
  }
}

type Effect = (die: () => Promise<unknown>, write: () => unknown) => Promise<void>;

function leasedPipeline(
  world: World,
  process: Process,
  fate: Fate | undefined,
  effect: Effect,
  recorded: (key: string) => void,
): HandlerPipeline {
  const { leaseMillis } = world;
  const { clock } = process;
  const claims = new Line(world.claims as Claims, process, fate?.death, recorded);
  const guard = new IdempotencyGuard({ claims, clock, leaseMillis });
  const handler = new Leased();
  handler.run = () =>
    effect(
      async () => {
        process.die();
        await NEVER;
      },
      () => {},
    );
  return pipelineOf(Leased, handler, { guard, transactions: undefined });
}

function transactionalPipeline(
  { database, clock }: World,
  process: Process,
  fate: Fate | undefined,
  effect: Effect,
  id: string,
): HandlerPipeline {
  const handler = new Transactional();
  const die = async () => {
    process.die();
    throw new Died();
  };
  handler.run = async ({ db }) => {
    if (fate?.death === 'after claim') await die();
    await effect(die, () =>
      db.kind === 'sqlite'
        ? db.run('INSERT INTO effects VALUES (?)', id)
        : db.run('INSERT INTO effects VALUES ($1)', id),
    );
    if (fate?.death === 'after effect') await die();
  };
  const transactions = new TransactionGuard({ database: database as AppDatabase, clock });
  const run = transactions.run.bind(transactions) as TransactionGuard['run'];
  transactions.run = async (...given) => {
    if (fate?.death === 'before claim') process.die();
    if (process.isDead) return NEVER;
    const outcome = await run(...given);
    if (fate?.death === 'after done') process.die();
    return process.isDead ? NEVER : outcome;
  };
  return pipelineOf(Transactional, handler, { guard: undefined, transactions });
}

function pipelineOf(
  handlerClass: new () => object,
  handler: object,
  guards: { guard: IdempotencyGuard | undefined; transactions: TransactionGuard | undefined },
): HandlerPipeline {
  const facts = consumerFactsOf(handlerClass);
  return new HandlerPipeline({ facts, handler, codec, guards, generationOf: () => 1, logger: silentLogger });
}

async function expectOnce(database: AppDatabase, prefix: string, count: number): Promise<void> {
  const sql = `SELECT id, count(*) AS n FROM effects WHERE id LIKE '${prefix}%' GROUP BY id`;
  const rows = (await database.all(sql)) as { id: string; n: number }[];
  expect(rows.filter(({ n }) => n !== 1)).toEqual([]);
  expect(rows).toHaveLength(count);
}

/** Virtual time goes on whenever everything waits for it. */
function virtual(leaseMillis: number) {
  const clock = new ManualClock();
  const turn = async () => {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(clock.nextDelayMillis ?? 0);
  };
  return { clock, leaseMillis, turn };
}

const realTime = (leaseMillis: number) => ({
  clock: systemClock,
  leaseMillis,
  turn: () => new Promise<void>((resolve) => setTimeout(resolve, 5)),
});

const closes: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closes.reverse()) await close();
});

const MANY = plans({ messages: 5, effectTakesMax: 9 });

describe('in virtual time', () => {
  it('claims in memory', async () => {
    await fc.assert(
      fc.asyncProperty(MANY, async (plan) => {
        const world = virtual(30_000);
        await perform(plan, { ...world, claims: new MemoryClaims({ clock: world.clock }) });
      }),
      { numRuns: Math.ceil(FUZZ_RUNS / 2) },
    );
  });

  it('claims in SQLite', async () => {
    const database = SqliteDatabase.open(':memory:');
    closes.push(() => database.close());
    await fc.assert(
      fc.asyncProperty(MANY, async (plan) => {
        const world = virtual(30_000);
        await perform(plan, { ...world, claims: new EmbeddedClaims({ database, clock: world.clock }) });
      }),
      { numRuns: Math.ceil(FUZZ_RUNS / 2) },
    );
  });

  it('transactions of SQLite', async () => {
    const database = SqliteDatabase.open(':memory:');
    closes.push(() => database.close());
    database.exec('CREATE TABLE effects (id TEXT)');
    await fc.assert(
      fc.asyncProperty(MANY, (plan) => perform(plan, { ...virtual(30_000), database })),
      { numRuns: Math.ceil(FUZZ_RUNS / 2) },
    );
  });
});

describe('in real time, on servers that are killed and come back', () => {
  // A failing plan is shown as it is: a smaller one may need other moments.
  const FEW = { numRuns: Math.ceil(FUZZ_RUNS / 100), endOnFailure: true };
  const SERVER_PLANS = plans({ messages: 20, effectTakesMax: 4 });

  it('claims in Redis with appendfsync always', async () => {
    const server = await startRedisServer();
    closes.push(() => server.stop());
    const claims = await RedisClaims.connect(server.url, { keyPrefix: server.keyPrefix, timeoutMillis: 150 });
    closes.push(() => claims.close());
    const killed = async () => {
      await server.kill();
      await new Promise((resolve) => setTimeout(resolve, 50));
      await server.restart();
    };
    const stopped = async () => {
      await commanded(server.url, (redis) => redis.shutdown());
      await killed();
    };
    // What is asked meanwhile is given up here and done there, later.
    const silent = () => commanded(server.url, (redis) => redis.client('PAUSE', 250, 'ALL'));
    const kinds = isExternalRedis() ? [killed] : [killed, silent, stopped];
    let outages = 0;
    const outage = async () => kinds[outages++ % kinds.length]?.();
    await fc.assert(
      fc.asyncProperty(SERVER_PLANS, (plan) => perform(plan, { ...realTime(300), claims, outage })),
      FEW,
    );
    expect(outages).toBeGreaterThan(0);
  });

  it('claims in PostgreSQL, and transactions', async () => {
    const server = await startPostgresServer();
    closes.push(() => server.stop());
    const database = await PostgresDatabase.connect(server.url, { connectionsMax: 10 });
    closes.push(() => database.close());
    await database.exec('CREATE TABLE effects (id TEXT)');
    let outages = 0;
    const outage = async () => {
      outages++;
      await server.kill();
      await server.restart();
    };
    const claims = new PostgresClaims({ database, timeoutMillis: 300 });
    await fc.assert(
      fc.asyncProperty(SERVER_PLANS, SERVER_PLANS, async (leased, transactional) => {
        await perform(leased, { ...realTime(600), claims, outage });
        await perform(transactional, { ...realTime(100), database, outage });
      }),
      FEW,
    );
    expect(outages).toBeGreaterThan(0);
    await claims.close();
  });
});

/** By a connection of its own, which the command may cost. */
async function commanded(url: string, command: (redis: Redis) => Promise<unknown>): Promise<void> {
  const redis = new Redis(url, { retryStrategy: () => null });
  redis.on('error', () => {});
  await command(redis).catch(() => {});
  redis.disconnect();
}
