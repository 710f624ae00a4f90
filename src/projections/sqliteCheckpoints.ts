/**
 * Checkpoints of a projection in the embedded SQLite:
 *
 *   foldlog_checkpoints  (projection, version, broker_name, topic, queue_id) -> next_offset, generation, and the last
 *                        applied record by commit log offset and message id
 *   foldlog_projections  (projection, version) whose tables were made
 *
 * State that is written without a promise is one short synchronous transaction with its checkpoint.
 */
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
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
            projection TEXT NOT NULL, version INTEGER NOT NULL, broker_name TEXT NOT NULL, topic TEXT NOT NULL,
            queue_id INTEGER NOT NULL, next_offset INTEGER NOT NULL, generation INTEGER NOT NULL,
            commit_log_offset INTEGER, msg_id TEXT,
            PRIMARY KEY (projection, version, broker_name, topic, queue_id)
          ) WITHOUT ROWID;
          CREATE TABLE foldlog_projections (
            projection TEXT NOT NULL, version INTEGER NOT NULL, initialised_at INTEGER NOT NULL,
            PRIMARY KEY (projection, version)
          ) WITHOUT ROWID;`,
  },
];

const ONE_QUEUE = 'projection = ? AND version = ? AND broker_name = ? AND topic = ? AND queue_id = ?';
const LOAD = `SELECT next_offset AS nextOffset, generation, commit_log_offset AS commitLogOffset, msg_id AS msgId
              FROM foldlog_checkpoints WHERE ${ONE_QUEUE}`;
const MOVE = `UPDATE foldlog_checkpoints SET next_offset = ?, generation = ?, commit_log_offset = ?, msg_id = ?
              WHERE ${ONE_QUEUE} AND next_offset = ?`;
const INSERT = 'INSERT OR IGNORE INTO foldlog_checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)';

export class SqliteCheckpoints implements ProjectionCheckpoints {
  readonly #database: SqliteDatabase;
  readonly #definition: ProjectionDefinition;

  constructor(database: SqliteDatabase, definition: ProjectionDefinition) {
    this.#database = database;
    this.#definition = definition;
  }

  async prepare(now: number): Promise<void> {
    await this.#database.migrate(MIGRATIONS);
    const { name, version } = this.#definition;
    await this.#database.transaction(async (database) => {
      const known = database.get(
        'SELECT 1 FROM foldlog_projections WHERE projection = ? AND version = ?',
        name,
        version,
      );
      if (known) return;
      await this.#definition.initialise?.(database);
      database.run('INSERT INTO foldlog_projections VALUES (?, ?, ?)', name, version, now);
    });
  }

  load(queue: MessageQueue): Checkpoint | undefined {
    return checkpointOf(this.#database.get<CheckpointRow>(LOAD, ...this.#keyOf(queue)));
  }

  advance(move: Move, write: (database: SqliteDatabase) => void | Promise<void>): Promise<void> {
    return this.#database.transaction((database) => {
      this.#move(database, move);
      return write(database);
    });
  }

  #move(database: SqliteDatabase, { queue, from, to }: Move): void {
    const key = this.#keyOf(queue);
    const { nextOffset, generation, commitLogOffset, msgId } = to;
    const { changes } = from
      ? database.run(MOVE, nextOffset, generation, commitLogOffset, msgId, ...key, from.nextOffset)
      : database.run(INSERT, ...key, nextOffset, generation, commitLogOffset, msgId);
    if (changes !== 1) throw new CheckpointMoved(queue, from?.nextOffset ?? 0);
  }

  #keyOf({ brokerName, topic, queueId }: MessageQueue): [string, number, string, string, number] {
    return [this.#definition.name, this.#definition.version, brokerName, topic, queueId];
  }
}
