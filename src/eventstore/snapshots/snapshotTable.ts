/**
 * Snapshots in the application's database, one row for a stream and kind of state: a newer one takes its place. Nothing
 * is decided here; whoever reads a snapshot proves it against the log.
 *
 *     foldlog_snapshots (topic, stream, kind, content, digest, taken_at)
 */
import { FoldlogError } from '../../base/errors.js';
import type { TimestampMillis } from '../../base/flavours.js';
import type { AppDatabase } from '../../database/appDatabase.js';
import { encodeKey } from '../eventKeys.js';
import type { SnapshotKey, SnapshotText } from './snapshot.js';

/** What is dropped: everything, or what lies in a topic, of a kind, in streams that begin so, or in one of them. */
export interface SnapshotScope {
  topic?: string;
  kind?: string;
  /** `order:` for all streams of that prefix. */
  prefix?: string;
  stream?: string;
}

const MIGRATION = {
  name: 'foldlog_snapshots-1',
  sql: `CREATE TABLE foldlog_snapshots (
  topic TEXT NOT NULL, stream TEXT NOT NULL, kind TEXT NOT NULL,
  content TEXT NOT NULL, digest TEXT NOT NULL, taken_at BIGINT NOT NULL,
  PRIMARY KEY (topic, stream, kind))`,
};
/** A server that takes longer is done without: reading the stream whole is the better answer. */
const PATIENCE_MILLIS = 3_000;
const SELECT = 'SELECT content, digest FROM foldlog_snapshots WHERE topic = ? AND stream = ? AND kind = ?';
const SAVE = `INSERT INTO foldlog_snapshots (topic, stream, kind, content, digest, taken_at) VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (topic, stream, kind)
  DO UPDATE SET content = excluded.content, digest = excluded.digest, taken_at = excluded.taken_at`;
const REMOVE = 'DELETE FROM foldlog_snapshots WHERE topic = ? AND stream = ? AND kind = ? AND digest = ?';

export class SnapshotTable {
  readonly #database: AppDatabase;

  private constructor(database: AppDatabase) {
    this.#database = database;
  }

  /** Makes the table if it is not there. */
  static async open(database: AppDatabase): Promise<SnapshotTable> {
    await database.migrate([MIGRATION]);
    return new SnapshotTable(database.kind === 'postgres' ? database.within(PATIENCE_MILLIS) : database);
  }

  async load({ topic, stream, kind }: SnapshotKey): Promise<SnapshotText | undefined> {
    const key = [topic, encodeKey(stream), kind];
    const row = await this.#database.get<Record<string, unknown>>(this.#sql(SELECT), ...key);
    if (!row) return undefined;
    const { content, digest } = row;
    if (typeof content !== 'string' || typeof digest !== 'string') {
      throw new FoldlogError('DATABASE_FAILED', 'table foldlog_snapshots holds something else than texts');
    }
    return { content, digest };
  }

  /** All in one transaction; each takes the place of the one before. */
  async save(snapshots: readonly (SnapshotKey & SnapshotText)[], now: TimestampMillis): Promise<void> {
    const rows = snapshots.map(
      ({ topic, stream, kind, content, digest }) => [topic, encodeKey(stream), kind, content, digest, now] as const,
    );
    const database = this.#database;
    const sql = this.#sql(SAVE);
    if (database.kind === 'sqlite') {
      await database.transaction((db) => {
        for (const row of rows) db.run(sql, ...row);
      });
    } else {
      await database.transaction(async (db) => {
        for (const row of rows) await db.run(sql, ...row);
      });
    }
  }

  /** Removes this very snapshot; one that another process has stored meanwhile stays. */
  async remove({ topic, stream, kind }: SnapshotKey, digest: string): Promise<void> {
    await this.#write(this.#sql(REMOVE), topic, encodeKey(stream), kind, digest);
  }

  /** How many were dropped. */
  async drop({ topic, kind, prefix, stream }: SnapshotScope): Promise<number> {
    const conditions: string[] = [];
    const values: string[] = [];
    const add = (condition: string, ...of: string[]) => {
      conditions.push(condition);
      values.push(...of);
    };
    if (topic !== undefined) add('topic = ?', topic);
    if (kind !== undefined) add('kind = ?', kind);
    if (stream !== undefined) add('stream = ?', encodeKey(stream));
    if (prefix !== undefined) {
      const encoded = encodeKey(prefix);
      add(`substr(stream, 1, ${encoded.length}) = ?`, encoded);
    }
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
    return this.#write(this.#sql(`DELETE FROM foldlog_snapshots${where}`), ...values);
  }

  /** In a transaction: SQLite refuses writes beside one that is under way. */
  async #write(sql: string, ...values: string[]): Promise<number> {
    const database = this.#database;
    const { changes } =
      database.kind === 'sqlite'
        ? await database.transaction((db) => db.run(sql, ...values))
        : await database.run(sql, ...values);
    return changes;
  }

  /** The statement in the database's dialect: PostgreSQL numbers its parameters. */
  #sql(text: string): string {
    if (this.#database.kind === 'sqlite') return text;
    let count = 0;
    return text.replaceAll('?', () => `$${++count}`);
  }
}
