/**
 * How far each projection has come, per queue, in the same database as its state:
 *
 *   foldlog_checkpoints  (projection, version, broker_name, topic, queue_id) -> next_offset, generation, and the last
 *                        applied record by commit log offset and message id
 *   foldlog_projections  (projection, version) whose tables were made
 *
 * Invariant: a checkpoint moves by compare-and-set inside the transaction that writes the state, so each event counts
 * exactly once, and an instance that lost its queue cannot write. The last record tells whether the log that is
 * consumed is still the one that was consumed: a log that lost its end and grew again has another there.
 */
import { FoldlogError } from '../base/errors.js';
import type { CommitLogOffset, QueueOffset } from '../base/flavours.js';
import type { SqliteDatabase } from '../database/sqliteDatabase.js';
import type { MessageQueue } from '../protocol/message.js';
import type { ProjectionDefinition } from './projection.js';

export interface Checkpoint {
  /** Of the queue's next event to apply. */
  nextOffset: QueueOffset;
  /** Of the log that the last event was read from. */
  generation: number;
  /** Place and id of the last record passed; undefined at the start of a queue. */
  commitLogOffset: CommitLogOffset | undefined;
  msgId: string | undefined;
}

type CheckpointRow = {
  nextOffset: number;
  generation: number;
  commitLogOffset: number | null;
  msgId: string | null;
};

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

export class ProjectionCheckpoints {
  readonly #database: SqliteDatabase;
  readonly #definition: ProjectionDefinition;

  constructor(database: SqliteDatabase, definition: ProjectionDefinition) {
    this.#database = database;
    this.#definition = definition;
  }

  /** Makes foldlog's tables, and the projection's own once. */
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

  /** What is committed; undefined before the first event of the queue. */
  load(queue: MessageQueue, database = this.#database): Checkpoint | undefined {
    const row = database.get<CheckpointRow>(LOAD, ...this.#keyOf(queue));
    if (!row) return undefined;
    return { ...row, commitLogOffset: row.commitLogOffset ?? undefined, msgId: row.msgId ?? undefined };
  }

  /** Called within the transaction that writes the state. Throws {@link CheckpointMoved} when somebody else moved it. */
  move(database: SqliteDatabase, queue: MessageQueue, from: Checkpoint | undefined, to: Checkpoint): void {
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

/** Another instance applied these events: read the checkpoint again and go on from there. */
export class CheckpointMoved extends FoldlogError {
  constructor({ topic, brokerName, queueId }: MessageQueue, expected: QueueOffset) {
    super(
      'CONDITION_FAILED',
      `another instance moved the checkpoint of queue ${queueId} of ${topic} on ${brokerName} from ${expected}`,
      { topic, brokerName, queueId, expected, retriable: true },
    );
  }
}
