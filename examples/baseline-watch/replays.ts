/** The same projection, fresh, over a part of the log: the web as it was one day, and what came after the crash. */
import { join } from 'node:path';
import { type Foldlog, type HandlerClass, SqliteDatabase } from 'foldlog';

export interface Replayed {
  /** What had happened before the day began. */
  past: SqliteDatabase;
  /** What the broker stored since its crash. */
  sinceCrash: SqliteDatabase;
}

export interface ReplayOptions {
  day: string;
  crashedAt: Date;
  directory: string;
}

export async function replays(
  app: Foldlog,
  projection: HandlerClass,
  { day, crashedAt, directory }: ReplayOptions,
): Promise<Replayed> {
  const past = SqliteDatabase.open(join(directory, 'past.db'));
  await app.replay({ projection, database: past, by: 'occurred', to: day });
  const sinceCrash = SqliteDatabase.open(join(directory, 'since-crash.db'));
  await app.replay({ projection, database: sinceCrash, by: 'stored', from: crashedAt });
  return { past, sinceCrash };
}
