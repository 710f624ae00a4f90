/** Which kind of checkpoints a projection keeps: that of the database it writes to. */
import type { AppDatabase } from '../database/appDatabase.js';
import type { ProjectionCheckpoints } from './checkpoint.js';
import { PostgresCheckpoints } from './postgresCheckpoints.js';
import type { ProjectionDefinition } from './projection.js';
import { SqliteCheckpoints } from './sqliteCheckpoints.js';

export function checkpointsIn(database: AppDatabase, definition: ProjectionDefinition): ProjectionCheckpoints {
  return database.kind === 'sqlite'
    ? new SqliteCheckpoints(database, definition)
    : new PostgresCheckpoints(database, definition);
}
