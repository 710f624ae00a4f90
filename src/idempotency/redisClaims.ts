/**
 * Claims in Redis, for guards that several processes and machines share. Three keys per guarded message in one hash
 * slot, `foldlog:{group:key}:n|lease|done`; every step is one Lua script and one round trip (`redisScripts.ts`).
 *
 * A server that cannot be reached, does not answer in time or refuses (loading, out of memory, read-only) is
 * GUARD_UNAVAILABLE: nothing is known then, and the same step may be repeated. What Redis forgets, the guard forgets:
 * it should run with `appendonly yes` and `maxmemory-policy noeviction`, which is looked at once and warned about.
 */
import type { Cluster, Redis } from 'ioredis';
import { assert } from '../base/assert.js';
import { type Clock, systemClock } from '../base/clock.js';
import { FoldlogError, LifecycleError, messageOf, OptionsError } from '../base/errors.js';
import { type Logger, silentLogger } from '../base/logger.js';
import {
  type ClaimOutcome,
  type Claims,
  type ClaimToken,
  COUNTER_TTL_MILLIS,
  type StepOutcome,
} from './idempotencyTypes.js';
import { CLAIM, COMPLETE, RELEASE, RENEW, type RedisScript, redisKeysOf } from './redisScripts.js';

export interface RedisClaimsOptions {
  /** An instance of ioredis, also of a cluster. It stays the caller's: closing the claims does not close it. */
  redis: Redis | Cluster;
  /** Without braces. Default `foldlog:`. */
  keyPrefix?: string;
  /** How long a step may take before the guard counts as unavailable. Default 2000. */
  timeoutMillis?: number;
  /** How long the count of begins is remembered. Default 24 hours. */
  counterTtlMillis?: number;
  clock?: Clock;
  logger?: Logger;
}

/** Steps that may wait for an answer. */
const IN_FLIGHT_MAX = 10_000;
/** Longest pause between two tries to connect again. */
const RECONNECT_MILLIS_MAX = 1_000;

export class RedisClaims implements Claims {
  readonly #redis: Redis | Cluster;
  readonly #keyPrefix: string;
  readonly #timeoutMillis: number;
  readonly #counterTtlMillis: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #isOwned: boolean;
  #ready: Promise<void> | undefined;
  #inFlight = 0;
  #isClosed = false;

  constructor(options: RedisClaimsOptions, isOwned = false) {
    this.#redis = options.redis;
    this.#keyPrefix = options.keyPrefix ?? 'foldlog:';
    if (/[{}]/.test(this.#keyPrefix)) {
      throw new OptionsError(
        `keyPrefix of the claims in redis: ${this.#keyPrefix} holds braces, which are for the key that decides the hash slot`,
      );
    }
    this.#timeoutMillis = options.timeoutMillis ?? 2_000;
    this.#counterTtlMillis = options.counterTtlMillis ?? COUNTER_TTL_MILLIS;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#isOwned = isOwned;
  }

  /** Connects to `redis://…` or `rediss://…`. Rejects with GUARD_UNAVAILABLE when no server answers there in time. */
  static async connect(url: string, options: Omit<RedisClaimsOptions, 'redis'> = {}): Promise<RedisClaims> {
    const address = addressOf(url);
    const { Redis } = await import('ioredis');
    const redis = new Redis(url, {
      lazyConnect: true,
      // While it is away, steps fail at once and the message is held, instead of piling up here.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      connectTimeout: options.timeoutMillis ?? 2_000,
      retryStrategy: (tries) => Math.min(50 * tries, RECONNECT_MILLIS_MAX),
    });
    const logger = options.logger ?? silentLogger;
    let isReported = false;
    redis.on('error', (error) => {
      if (!isReported) logger.warn({ redis: address, error: messageOf(error) }, 'redis is away, trying again');
      isReported = true;
    });
    redis.on('ready', () => {
      if (isReported) logger.info({ redis: address }, 'redis is back');
      isReported = false;
    });
    const claims = new RedisClaims({ ...options, redis }, true);
    try {
      await claims.#whenReady();
      await claims.#warnAboutServer(address);
    } catch (thrown) {
      await claims.close();
      throw unavailable(`cannot reach redis at ${address}: is it running?`, thrown);
    }
    return claims;
  }

  async claim(key: string, owner: string, leaseMillis: number): Promise<ClaimOutcome> {
    assert(/^\S+$/.test(owner), 'the owner of a claim holds no blanks');
    const answer = await this.#run(CLAIM, key, [owner, leaseMillis, this.#counterTtlFor(leaseMillis)]);
    assert(Array.isArray(answer), 'the claim script answers a status and a value');
    const [status, value] = answer as [string, string];
    switch (status) {
      case 'claimed':
        return { status, token: { n: Number(value), owner } };
      case 'busy':
        return { status, leaseLeftMillis: Number(value) };
      default:
        return { status: 'duplicate', result: resultOf(value) };
    }
  }

  async renew(key: string, token: ClaimToken, leaseMillis: number): Promise<StepOutcome> {
    const parameters = [token.n, token.owner, leaseMillis, this.#counterTtlFor(leaseMillis)];
    return outcomeOf(await this.#run(RENEW, key, parameters));
  }

  async complete(key: string, token: ClaimToken, ttlMillis: number, result?: string): Promise<StepOutcome> {
    const signed = result === undefined ? '-' : `+${result}`;
    return outcomeOf(await this.#run(COMPLETE, key, [token.n, token.owner, ttlMillis, signed]));
  }

  async release(key: string, token: ClaimToken): Promise<StepOutcome> {
    return outcomeOf(await this.#run(RELEASE, key, [token.n, token.owner]));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#isOwned) this.#redis.disconnect();
  }

  #counterTtlFor(leaseMillis: number): number {
    return Math.max(this.#counterTtlMillis, 2 * leaseMillis);
  }

  async #run(script: RedisScript, key: string, parameters: readonly (string | number)[]): Promise<unknown> {
    if (this.#isClosed) throw new LifecycleError('the claims are closed');
    if (this.#inFlight >= IN_FLIGHT_MAX) throw unavailable(`more than ${IN_FLIGHT_MAX} steps wait for redis`);
    this.#inFlight++;
    try {
      await this.#whenReady();
      return await this.#inTime(this.#evaluate(script, key, parameters));
    } catch (thrown) {
      if (thrown instanceof FoldlogError) throw thrown;
      const what = messageOf(thrown);
      const hint = /^(MOVED|ASK) /.test(what) ? '; this is a node of a cluster: give a Cluster of ioredis instead' : '';
      throw unavailable(`redis did not run a step of the idempotency guard: ${what}${hint}`, thrown);
    } finally {
      this.#inFlight--;
    }
  }

  async #evaluate(script: RedisScript, key: string, parameters: readonly (string | number)[]): Promise<unknown> {
    const all = [...redisKeysOf(this.#keyPrefix, key), ...parameters];
    try {
      return await this.#redis.evalsha(script.sha1, 3, ...all);
    } catch (thrown) {
      // A server that was restarted or failed over does not know the script yet.
      if (!messageOf(thrown).startsWith('NOSCRIPT')) throw thrown;
      return await this.#redis.eval(script.lua, 3, ...all);
    }
  }

  /** Waits for a connection as long as a step may take. All steps of an outage share one wait. */
  #whenReady(): Promise<void> {
    if (this.#redis.status === 'ready') return Promise.resolve();
    this.#ready ??= this.#becomeReady().finally(() => {
      this.#ready = undefined;
    });
    return this.#ready;
  }

  async #becomeReady(): Promise<void> {
    const redis = this.#redis;
    if (redis.status === 'end') throw unavailable('the connection to redis is closed');
    // Errors are reported by the `error` event; whether it worked is known by `ready`.
    if (redis.status === 'wait') redis.connect().catch(() => {});
    let settle: () => void = () => {};
    try {
      await this.#inTime(
        new Promise<void>((resolve, reject) => {
          const ended = () => reject(unavailable('the connection to redis is closed'));
          settle = () => {
            redis.off('ready', resolve);
            redis.off('end', ended);
          };
          redis.on('ready', resolve);
          redis.on('end', ended);
        }),
      );
    } finally {
      settle();
    }
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const timer = this.#clock.after(
        this.#timeoutMillis,
        () => reject(unavailable(`no answer from redis within ${this.#timeoutMillis} ms`)),
        { keepAlive: true },
      );
      answer.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  /** What is lost with these settings is said once, at start. A server that hides them is taken at its word. */
  async #warnAboutServer(address: string): Promise<void> {
    const setting = async (name: string): Promise<string | undefined> => {
      try {
        const answer = (await this.#inTime(this.#redis.config('GET', name) as Promise<unknown>)) as string[];
        return answer[1];
      } catch (thrown) {
        this.#logger.debug(
          { redis: address, setting: name, error: messageOf(thrown) },
          'redis does not tell a setting',
        );
        return undefined;
      }
    };
    const policy = await setting('maxmemory-policy');
    if (policy !== undefined && policy !== 'noeviction') {
      this.#logger.warn(
        { redis: address, policy },
        'redis may evict records of the idempotency guard, after which effects run again: set maxmemory-policy noeviction',
      );
    }
    if ((await setting('appendonly')) === 'no') {
      this.#logger.warn(
        { redis: address },
        'redis forgets records of the idempotency guard when it restarts, after which effects run again: set appendonly yes',
      );
    }
  }
}

/** `host:port` for messages: the url may hold a password. */
function addressOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '') {
    throw new OptionsError('redis: give a url such as redis://localhost:6379');
  }
  return `${parsed.hostname}:${parsed.port || '6379'}`;
}

/** The result in a done record: `<n> <owner> -` or `<n> <owner> +<result>`. */
function resultOf(done: string): string | undefined {
  const signed = done.slice(done.indexOf(' ', done.indexOf(' ') + 1) + 1);
  return signed.startsWith('+') ? signed.slice(1) : undefined;
}

function outcomeOf(answer: unknown): StepOutcome {
  assert(answer === 'ok' || answer === 'lost', 'a step of the guard answers ok or lost');
  return answer;
}

function unavailable(message: string, cause?: unknown): FoldlogError {
  return new FoldlogError('GUARD_UNAVAILABLE', message, { cause, retriable: true });
}
