/**
 * Claims in the application's PostgreSQL, for guards that several processes and machines share. One row per key in
 * table `foldlog_claims`; the steps are the statements of `postgresSteps.ts`.
 *
 * Steps that are asked for in one turn of the event loop go together: one statement, one round trip for each kind of
 * step. Two steps on one key never share a statement: the second waits for the first. A statement that fell victim to
 * another, or whose connection went, is repeated: the same step by the same owner is given the same answer. A server
 * that does not answer in time, or refuses, is GUARD_UNAVAILABLE.
 */
import { assert } from '../base/assert.js';
import { type Clock, systemClock } from '../base/clock.js';
import { FoldlogError, isFoldlogError, LifecycleError, messageOf } from '../base/errors.js';
import { type Logger, silentLogger } from '../base/logger.js';
import type { PostgresDatabase } from '../database/postgresDatabase.js';
import { isLostToAnother } from '../database/postgresErrors.js';
import { databaseKeyOf } from './effectKey.js';
import {
  type ClaimOutcome,
  type Claims,
  type ClaimToken,
  COUNTER_TTL_MILLIS,
  type StepOutcome,
} from './idempotencyTypes.js';
import { CLAIM, CLAIM_MIGRATIONS, COMPLETE, RELEASE, RENEW, SWEEP } from './postgresSteps.js';

export interface PostgresClaimsOptions {
  /** It stays its owner's: closing the claims does not close it. */
  database: PostgresDatabase;
  /** How long a step may take before the guard counts as unavailable. Default 2000. */
  timeoutMillis?: number;
  /** How long the count of begins is remembered. Default 24 hours. */
  counterTtlMillis?: number;
  clock?: Clock;
  logger?: Logger;
}

/** Steps that may wait for their statement. */
const WAITING_MAX = 10_000;
/** Steps per statement. */
const BATCH_MAX = 500;
/** Statements under way at once; each takes a connection. */
const STATEMENTS_MAX = 4;
/** Times that a statement is sent whose connection goes; one that falls victim to others is sent as long as there is time. */
const TRIES_MAX = 3;
/** Forgotten rows are removed at most this often, and so many at a time. */
const SWEEP_PERIOD_MILLIS = 10_000;
const SWEEP_ROWS = 1_000;
/** Longest key that a row holds as it is: an index entry of PostgreSQL has 2,704 bytes, a character up to 3. */
const KEY_LENGTH_MAX = 800;

interface AnswerRow {
  key: string;
  n: number;
  owner: string;
  state: string;
  result: string | null;
  leftMillis: number;
}

type StatementText = typeof CLAIM | typeof RENEW | typeof COMPLETE | typeof RELEASE;

interface WaitingStep {
  statement: StatementText;
  /** Key of the row, then the statement's other parameters for it. */
  values: readonly [string, ...(string | number | null)[]];
  askedAt: number;
  /** Gets the row that answers; undefined: none did. */
  settle(row: AnswerRow | undefined): void;
  fail(error: unknown): void;
}

export class PostgresClaims implements Claims {
  readonly #database: PostgresDatabase;
  readonly #timeoutMillis: number;
  readonly #counterTtlMillis: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #running = new Set<Promise<void>>();
  /** Keys of the statements under way. */
  readonly #busyKeys = new Set<string>();
  #waiting: WaitingStep[] = [];
  #isScheduled = false;
  #prepared: Promise<void> | undefined;
  #sweeping: Promise<void> | undefined;
  #sweptAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: PostgresClaimsOptions) {
    this.#timeoutMillis = options.timeoutMillis ?? 2_000;
    this.#database = options.database.within(this.#timeoutMillis);
    this.#counterTtlMillis = options.counterTtlMillis ?? COUNTER_TTL_MILLIS;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
  }

  claim(key: string, owner: string, leaseMillis: number): Promise<ClaimOutcome> {
    const values = [owner, leaseMillis, this.#counterTtlFor(leaseMillis)] as const;
    return this.#step(CLAIM, key, values, (row) => {
      assert(row !== undefined, 'a claim answers for each of its keys');
      if (row.state === 'done') return { status: 'duplicate', result: resultOf(row.result) };
      if (row.owner === owner) return { status: 'claimed', token: { n: row.n, owner } };
      return { status: 'busy', leaseLeftMillis: Math.max(1, row.leftMillis) };
    });
  }

  renew(key: string, token: ClaimToken, leaseMillis: number): Promise<StepOutcome> {
    const values = [token.n, token.owner, leaseMillis, this.#counterTtlFor(leaseMillis)] as const;
    return this.#step(RENEW, key, values, outcomeOf);
  }

  complete(key: string, token: ClaimToken, ttlMillis: number, result?: string): Promise<StepOutcome> {
    // As JSON, which has no NUL characters: text of PostgreSQL cannot hold them.
    const stored = result === undefined ? null : JSON.stringify(result);
    return this.#step(COMPLETE, key, [token.n, token.owner, ttlMillis, stored], outcomeOf);
  }

  release(key: string, token: ClaimToken): Promise<StepOutcome> {
    return this.#step(RELEASE, key, [token.n, token.owner], outcomeOf);
  }

  /** Waits for the steps under way. The database stays open: it is its owner's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#waiting.length > 0 || this.#running.size > 0) {
      this.#send();
      await Promise.all(this.#running);
    }
    await this.#sweeping;
  }

  #counterTtlFor(leaseMillis: number): number {
    return Math.max(this.#counterTtlMillis, 2 * leaseMillis);
  }

  #step<Answer>(
    statement: StatementText,
    key: string,
    values: readonly (string | number | null)[],
    answerOf: (row: AnswerRow | undefined) => Answer,
  ): Promise<Answer> {
    if (this.#isClosed) return Promise.reject(new LifecycleError('the claims are closed'));
    if (this.#waiting.length >= WAITING_MAX) {
      return Promise.reject(unavailable(`more than ${WAITING_MAX} steps wait for the idempotency guard in PostgreSQL`));
    }
    return new Promise<Answer>((resolve, reject) => {
      const settle = (row: AnswerRow | undefined) => resolve(answerOf(row));
      const askedAt = this.#clock.monotonic();
      this.#waiting.push({
        statement,
        values: [databaseKeyOf(key, KEY_LENGTH_MAX), ...values],
        askedAt,
        settle,
        fail: reject,
      });
      if (this.#isScheduled) return;
      // At the end of the turn: everything that it asks for goes together.
      this.#isScheduled = true;
      setImmediate(() => {
        this.#isScheduled = false;
        this.#send();
      });
    });
  }

  /** Sends what waits: one statement for each kind of step, of keys that no statement under way has. */
  #send(): void {
    const giveUpBefore = this.#clock.monotonic() - this.#timeoutMillis;
    while (this.#waiting.length > 0 && this.#running.size < STATEMENTS_MAX) {
      const batch: WaitingStep[] = [];
      const later: WaitingStep[] = [];
      const statement = this.#waiting.find(({ values }) => !this.#busyKeys.has(values[0]))?.statement;
      if (statement === undefined) return;
      const passed = new Set<string>();
      for (const step of this.#waiting) {
        const [key] = step.values;
        if (step.askedAt < giveUpBefore) {
          step.fail(unavailable(`PostgreSQL did not come to a step of the guard within ${this.#timeoutMillis} ms`));
        } else if (
          step.statement !== statement ||
          batch.length >= BATCH_MAX ||
          this.#busyKeys.has(key) ||
          passed.has(key)
        ) {
          // Later ones of this key stay behind it.
          passed.add(key);
          later.push(step);
        } else {
          this.#busyKeys.add(key);
          batch.push(step);
        }
      }
      this.#waiting = later;
      if (batch.length > 0) this.#start(statement, batch);
    }
  }

  #start(statement: StatementText, batch: readonly WaitingStep[]): void {
    const running = this.#run(statement, batch).finally(() => {
      this.#running.delete(running);
      for (const { values } of batch) this.#busyKeys.delete(values[0]);
      this.#send();
    });
    this.#running.add(running);
  }

  async #run(statement: StatementText, batch: readonly WaitingStep[]): Promise<void> {
    const columns = (batch[0]?.values ?? []).map((_, at) => batch.map(({ values }) => values[at] ?? null));
    try {
      await this.#prepare();
      const rows = await this.#ask(statement, columns);
      const byKey = new Map(rows.map((row) => [row.key, row]));
      for (const step of batch) step.settle(byKey.get(step.values[0]));
      this.#sweepNowAndThen();
    } catch (thrown) {
      const error = unavailable(`the idempotency guard in PostgreSQL failed: ${messageOf(thrown)}`, thrown);
      for (const step of batch) step.fail(error);
    }
  }

  async #ask(statement: StatementText, columns: readonly unknown[][]): Promise<AnswerRow[]> {
    const giveUpAt = this.#clock.monotonic() + this.#timeoutMillis;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#database.all<AnswerRow>(statement, ...columns);
      } catch (thrown) {
        const isOver = this.#clock.monotonic() >= giveUpAt || !isFoldlogError(thrown) || !thrown.retriable;
        if (isOver || (attempt >= TRIES_MAX && !isLostToAnother(thrown))) throw thrown;
      }
    }
  }

  #prepare(): Promise<void> {
    this.#prepared ??= this.#database.migrate(CLAIM_MIGRATIONS).catch((thrown: unknown) => {
      this.#prepared = undefined;
      throw thrown;
    });
    return this.#prepared;
  }

  /** Beside the steps: no answer waits for it. */
  #sweepNowAndThen(): void {
    const now = this.#clock.monotonic();
    if (this.#sweeping || now - this.#sweptAt < SWEEP_PERIOD_MILLIS) return;
    const sweep = async () => {
      try {
        const { changes } = await this.#database.run(SWEEP, SWEEP_ROWS);
        // A full hand means that there is more: go on after the next step.
        if (changes < SWEEP_ROWS) this.#sweptAt = now;
      } catch (thrown) {
        this.#sweptAt = now;
        this.#logger.debug({ error: messageOf(thrown) }, 'forgotten claims could not be removed, tried again later');
      }
      this.#sweeping = undefined;
    };
    this.#sweeping = sweep();
  }
}

function resultOf(stored: string | null): string | undefined {
  return stored === null ? undefined : (JSON.parse(stored) as string);
}

function outcomeOf(row: AnswerRow | undefined): StepOutcome {
  return row ? 'ok' : 'lost';
}

function unavailable(message: string, cause?: unknown): FoldlogError {
  return new FoldlogError('GUARD_UNAVAILABLE', message, { cause, retriable: true });
}
