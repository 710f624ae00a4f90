/** The databases that projections run on, with what the tests of all of them need: SQL is written with `?`. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { type AppDatabase, openDatabase } from '../../src/database/appDatabase.js';
import { createPostgresDatabase, type TestDatabase } from '../support/postgresServer.js';

type Value = string | number;

export interface ProjectionSubject {
  kind: AppDatabase['kind'];
  /** Of tests that the machine's disk and the way to a server slow down. */
  slowness: number;
  /** An empty database, and a way to open it again. */
  create(): Promise<{ database: AppDatabase; again(): Promise<AppDatabase>; remove(): Promise<void> }>;
}

let server: Promise<TestDatabase> | undefined;
afterAll(async () => (await server)?.drop());

export const SUBJECTS: readonly ProjectionSubject[] = [
  {
    kind: 'sqlite',
    slowness: 1,
    async create() {
      const directory = mkdtempSync(path.join(tmpdir(), 'foldlog-projection-'));
      const again = () => openDatabase(path.join(directory, 'app.db'));
      const database = await again();
      const remove = async () => {
        await database.close();
        rmSync(directory, { recursive: true, force: true });
      };
      return { database, again, remove };
    },
  },
  {
    kind: 'postgres',
    slowness: 10,
    async create() {
      server ??= createPostgresDatabase();
      const url = new URL((await server).url);
      const schema = `s${randomUUID().replaceAll('-', '')}`;
      url.searchParams.set('options', `-csearch_path=${schema}`);
      const again = () => openDatabase(url.href);
      const database = await again();
      await database.exec(`CREATE SCHEMA ${schema}`);
      return { database, again, remove: () => database.close() };
    },
  },
];

/** Without a promise on SQLite. */
export function write(database: AppDatabase, sql: string, ...values: Value[]): void | Promise<void> {
  if (database.kind === 'postgres') return database.run(numbered(sql), ...values).then(() => {});
  database.run(sql, ...values);
}

export async function rowsOf<T>(database: AppDatabase, sql: string, ...values: Value[]): Promise<T[]> {
  return database.kind === 'postgres' ? database.all<T>(numbered(sql), ...values) : database.all<T>(sql, ...values);
}

function numbered(sql: string): string {
  let count = 0;
  return sql.replaceAll('?', () => `$${++count}`);
}
