/** A running projection as the application sees it: its database, and how to wait for it. */
import { OptionsError } from '../base/errors.js';
import type { AppDatabase } from '../database/appDatabase.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import type { EventPosition } from '../eventstore/eventTypes.js';
import type { ProjectionRunner } from '../projections/projectionRunner.js';

export interface WaitOptions {
  /** Default 10,000. */
  timeoutMillis?: number;
  signal?: AbortSignal;
}

const WAIT_MILLIS_DEFAULT = 10_000;

/** `app.projection(OrderSummary)`. `Database` is the application's: see its `database`. */
export class ProjectionHandle<Database extends AppDatabase = SqliteDatabase> {
  readonly #runner: ProjectionRunner;
  /** What the projection writes to. Read from it as you like. */
  readonly database: Database;

  constructor(parts: { runner: ProjectionRunner; database: Database }) {
    this.#runner = parts.runner;
    this.database = parts.database;
  }

  /**
   * Resolves when the projection has applied the event at this position, as `execute` and `append` return it.
   *
   * @throws FoldlogError REQUEST_TIMEOUT when that takes longer than `timeoutMillis`
   */
  async waitFor(position: EventPosition, options: WaitOptions = {}): Promise<void> {
    if (typeof position?.queueOffset !== 'number') {
      throw new OptionsError('waitFor needs a position, as execute, append and reads give it');
    }
    // Of a stream without events: there is nothing to wait for.
    if (position.queueOffset < 0) return;
    await this.#runner.waitFor(position, { timeoutMillis: WAIT_MILLIS_DEFAULT, ...options });
  }
}
