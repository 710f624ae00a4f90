/**
 * Checkpoints of a projection in PostgreSQL; the tables are those of `sqliteCheckpoints.ts`.
 *
 * Queues write at the same time here, each in a transaction of its own. Where two meet in a circle, or as the level of
 * isolation has it, the server undoes one of them: its batch begins anew at once, which is no failure of a handler.
 * A connection that goes while a batch commits leaves open whether it did: the next compare-and-set finds out.
 */
import type { PostgresDatabase } from '../database/postgresDatabase.js';
import { isLostToAnother } from '../database/postgresErrors.js';
import type { MessageQueue } from '../protocol/message.js';
import {
  type Checkpoint,
  CheckpointMoved,
  type CheckpointRow,
  checkpointOf,
  type Move,
  type ProjectionCheckpoints,
} from './checkpoint.js';
import type { ProjectionDefinition } from './projection.js';

const MIGRATIONS = [
  {
    name: 'foldlog-projections-1',
    sql: `CREATE TABLE foldlog_checkpoints (
            projection TEXT NOT NULL, version BIGINT NOT NULL, broker_name TEXT NOT NULL, topic TEXT NOT NULL,
            queue_id INTEGER NOT NULL, next_offset BIGINT NOT NULL, generation BIGINT NOT NULL,
            commit_log_offset BIGINT, msg_id TEXT,
            PRIMARY KEY (projection, version, broker_name, topic, queue_id)
          );
          CREATE TABLE foldlog_projections (
            projection TEXT NOT NULL, version BIGINT NOT NULL, initialised_at TIMESTAMPTZ NOT NULL,
            PRIMARY KEY (projection, version)
          );`,
  },
];

const ONE_QUEUE = 'projection = $1 AND version = $2 AND broker_name = $3 AND topic = $4 AND queue_id = $5';
const LOAD = `SELECT next_offset AS "nextOffset", generation, commit_log_offset AS "commitLogOffset", msg_id AS "msgId"
              FROM foldlog_checkpoints WHERE ${ONE_QUEUE}`;
const MOVE = `UPDATE foldlog_checkpoints SET next_offset = $6, generation = $7, commit_log_offset = $8, msg_id = $9
              WHERE ${ONE_QUEUE} AND next_offset = $10`;
const INSERT = 'INSERT INTO foldlog_checkpoints VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING';

/** Times that a batch is begun before its conflict with others is reported. */
const TRIES_MAX = 10;

export class PostgresCheckpoints implements ProjectionCheckpoints {
  readonly #database: PostgresDatabase;
  readonly #definition: ProjectionDefinition;

  constructor(database: PostgresDatabase, definition: ProjectionDefinition) {
    this.#database = database;
    this.#definition = definition;
  }

  async prepare(now: number): Promise<void> {
    await this.#database.migrate(MIGRATIONS);
    const { name, version } = this.#definition;
    await this.#database.transaction(async (database) => {
      // The row first: an instance that starts at the same time waits here for the outcome of this one.
      const { changes } = await database.run(
        'INSERT INTO foldlog_projections VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
        name,
        version,
        new Date(now),
      );
      if (changes === 1) await this.#definition.initialise?.(database);
    });
  }

  async load(queue: MessageQueue): Promise<Checkpoint | undefined> {
    return checkpointOf(await this.#database.get<CheckpointRow>(LOAD, ...this.#keyOf(queue)));
  }

  async advance(move: Move, write: (database: PostgresDatabase) => void | Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#database.transaction(async (database) => {
          await this.#move(database, move);
          await write(database);
        });
      } catch (thrown) {
        if (attempt >= TRIES_MAX || !isLostToAnother(thrown)) throw thrown;
      }
    }
  }

  async #move(database: PostgresDatabase, { queue, from, to }: Move): Promise<void> {
    const { nextOffset, generation, commitLogOffset, msgId } = to;
    const values = [...this.#keyOf(queue), nextOffset, generation, commitLogOffset, msgId];
    const { changes } = from
      ? await database.run(MOVE, ...values, from.nextOffset)
      : await database.run(INSERT, ...values);
    if (changes !== 1) throw new CheckpointMoved(queue, from?.nextOffset ?? 0);
  }

  #keyOf({ brokerName, topic, queueId }: MessageQueue): [string, number, string, string, number] {
    return [this.#definition.name, this.#definition.version, brokerName, topic, queueId];
  }
}
