/** Who supports what, which features are Baseline since when, and what the log held: tables to ask. */
import { On, Projection, type ProjectionContext, type SqliteDatabase } from 'foldlog';
import { type Browser, CORE_BROWSERS, ENGINE_OF, type Engine, PULL_INTERVAL_MILLIS, TOPIC } from './browsers.js';
import { BaselineLost, BaselineReached, dayOf, isPlain, SupportAdded, SupportRemoved } from './events.js';

type Context = ProjectionContext<SqliteDatabase>;

@Projection({ name: 'support', version: 1, topics: [TOPIC], pullIntervalMillis: PULL_INTERVAL_MILLIS })
export class SupportProjection {
  initialise(db: SqliteDatabase): void {
    db.exec(`
      CREATE TABLE support (
        feature TEXT, browser TEXT,
        added INTEGER, removed INTEGER, -- events
        open INTEGER,                   -- plain statements that hold
        since TEXT,                     -- day of the first plain statement
        first_day TEXT, last_day TEXT,  -- of any event
        PRIMARY KEY (feature, browser)
      ) WITHOUT ROWID;
      CREATE TABLE baseline (
        feature TEXT PRIMARY KEY,
        reached INTEGER, lost INTEGER,  -- events
        since TEXT                      -- NULL while it is not in Baseline
      ) WITHOUT ROWID;
    `);
  }

  @On(SupportAdded) added(event: SupportAdded, { db, stream, occurredAt }: Context): void {
    const day = dayOf(occurredAt);
    const plain = isPlain(event);
    db.run(COUNT_SUPPORT, stream, event.browser, 1, 0, plain ? 1 : 0, plain ? day : null, day, day);
  }

  @On(SupportRemoved) removed(event: SupportRemoved, { db, stream, occurredAt }: Context): void {
    const day = dayOf(occurredAt);
    db.run(COUNT_SUPPORT, stream, event.browser, 0, 1, isPlain(event) ? -1 : 0, null, day, day);
  }

  @On(BaselineReached) reached(event: BaselineReached, { db, stream }: Context): void {
    db.run(COUNT_BASELINE, stream, 1, 0, event.date);
  }

  @On(BaselineLost) lost(_event: BaselineLost, { db, stream }: Context): void {
    db.run(COUNT_BASELINE, stream, 0, 1, null);
  }
}

const COUNT_SUPPORT = `
  INSERT INTO support VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    added = added + excluded.added, removed = removed + excluded.removed, open = open + excluded.open,
    since = coalesce(since, excluded.since), last_day = excluded.last_day`;

const COUNT_BASELINE = `
  INSERT INTO baseline VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    reached = reached + excluded.reached, lost = lost + excluded.lost, since = excluded.since`;

/** The projection's figures, by the names that the report uses. */
export type Figures = Record<string, number | string>;

/** How many events the projection has seen, by type and browser, in how many streams and of which days. */
export function eventFigures(db: SqliteDatabase): Figures {
  const figures: Figures = { SupportAdded: 0, SupportRemoved: 0 };
  const browsers = db.all<{ browser: string; added: number; removed: number }>(
    'SELECT browser, sum(added) AS added, sum(removed) AS removed FROM support GROUP BY browser',
  );
  for (const { browser, added, removed } of browsers) {
    figures['SupportAdded'] = Number(figures['SupportAdded']) + added;
    figures['SupportRemoved'] = Number(figures['SupportRemoved']) + removed;
    if (added > 0) figures[`SupportAdded ${browser}`] = added;
    if (removed > 0) figures[`SupportRemoved ${browser}`] = removed;
  }
  const [news] = db.all<{ reached: number; lost: number }>(
    'SELECT coalesce(sum(reached), 0) AS reached, coalesce(sum(lost), 0) AS lost FROM baseline',
  );
  const [span] = db.all<{ streams: number; first: string; last: string }>(
    `SELECT count(DISTINCT feature) AS streams, coalesce(min(first_day), '') AS first, coalesce(max(last_day), '') AS last
     FROM support`,
  );
  return {
    ...figures,
    BaselineReached: news?.reached ?? 0,
    BaselineLost: news?.lost ?? 0,
    streams: span?.streams ?? 0,
    'first day': span?.first ?? '',
    'last day': span?.last ?? '',
  };
}

/** Features by browser, Baseline by year, and how long the last engine kept the first waiting. */
export function supportFigures(db: SqliteDatabase): Figures {
  const figures: Figures = { 'in Baseline': 0 };
  for (const browser of CORE_BROWSERS) {
    const sql = 'SELECT count(*) AS count FROM support WHERE browser = ? AND open > 0';
    figures[`features ${browser}`] = db.get<{ count: number }>(sql, browser)?.count ?? 0;
  }
  const years = db.all<{ year: string; count: number }>(
    'SELECT substr(since, 1, 4) AS year, count(*) AS count FROM baseline WHERE since IS NOT NULL GROUP BY year',
  );
  for (const { year, count } of years) {
    figures['in Baseline'] = Number(figures['in Baseline']) + count;
    figures[`Baseline of ${year}`] = count;
  }
  const waits = waitsBetweenEngines(db);
  figures['first to last engine, median days'] = waits[Math.floor((waits.length - 1) / 2)] ?? 0;
  figures['first to last engine, most days'] = waits.at(-1) ?? 0;
  return figures;
}

/** Days from the first engine to the last, for each feature in Baseline, in order of size. */
function waitsBetweenEngines(db: SqliteDatabase): number[] {
  const firsts = new Map<string, Map<Engine, number>>();
  const rows = db.all<{ feature: string; browser: Browser; since: string }>(
    `SELECT support.feature, browser, support.since FROM support JOIN baseline USING (feature)
     WHERE support.since IS NOT NULL AND baseline.since IS NOT NULL`,
  );
  for (const { feature, browser, since } of rows) {
    const engines = firsts.get(feature) ?? new Map<Engine, number>();
    firsts.set(feature, engines);
    const engine = ENGINE_OF[browser];
    engines.set(engine, Math.min(engines.get(engine) ?? Number.POSITIVE_INFINITY, Date.parse(since)));
  }
  const waits = [...firsts.values()].map((engines) => Math.max(...engines.values()) - Math.min(...engines.values()));
  return waits.map((millis) => millis / DAY_MILLIS).sort((a, b) => a - b);
}

const DAY_MILLIS = 86_400_000;

/** Since when each feature is in Baseline. */
export function baselineDates(db: SqliteDatabase): Map<string, string> {
  const rows = db.all<{ feature: string; since: string }>(
    'SELECT feature, since FROM baseline WHERE since IS NOT NULL',
  );
  return new Map(rows.map(({ feature, since }) => [feature.slice(feature.indexOf(':') + 1), since]));
}
