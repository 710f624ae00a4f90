/**
 * Reads `@mdn/browser-compat-data` as periods of support: from which day to which day a browser had a feature, by which
 * statement. Nothing here or beside it imports the example or foldlog: these files say what the example's figures must be.
 *
 * The reading: a dated event is a `version_added` or `version_removed` of any statement of a core browser that names a
 * release with a date (`≤79` is taken as `79`; `false`, `preview` and releases without a date make none). Everything
 * below `__compat` counts: all areas, WebExtensions included, flagged, prefixed and partial statements too. Of version
 * 8.1.9 that makes 125,819 events in 20,832 features, 2003-06-23 to 2026-11-24.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export const BROWSERS = ['chrome', 'chrome_android', 'edge', 'firefox', 'firefox_android', 'safari', 'safari_ios'];

/** One statement with at least one dated end. */
export interface Period {
  browser: string;
  /** Day of `version_added`; undefined when that has no date. */
  from: string | undefined;
  /** Day of `version_removed`: from then on the statement no longer holds. */
  until: string | undefined;
  addedIn: string | undefined;
  removedIn: string | undefined;
  /** Works without a flag, a prefix, another name or gaps. */
  plain: boolean;
}

export interface FeatureData {
  feature: string;
  periods: Period[];
  /** Versions of the plain statements, dated or not, by browser. */
  plainVersions: Map<string, unknown[]>;
}

interface Statement {
  version_added?: unknown;
  version_removed?: unknown;
  flags?: unknown;
  prefix?: unknown;
  alternative_name?: unknown;
  partial_implementation?: unknown;
}

interface Releases {
  [version: string]: { release_date?: string };
}

/** Every feature of the package by name, in order of name; those without a dated event have no periods. */
export function readFeatures(): Map<string, FeatureData> {
  const file = createRequire(import.meta.url).resolve('@mdn/browser-compat-data');
  const root = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const releases = new Map(
    Object.entries(root['browsers'] as Record<string, { releases: Releases }>).map(([name, one]) => [
      name,
      one.releases,
    ]),
  );
  const found = new Map<string, Record<string, Statement | Statement[]>>();
  const open: [string, unknown][] = Object.entries(root).filter(([name]) => name !== 'browsers' && name !== '__meta');
  for (let next = open.pop(); next; next = open.pop()) {
    const [path, node] = next;
    for (const [name, child] of Object.entries(node as object)) {
      if (name === '__compat') found.set(path, (child as { support: Record<string, Statement> }).support);
      else if (typeof child === 'object' && child !== null) open.push([`${path}.${name}`, child]);
    }
  }
  const all = [...found].map(([feature, support]) => readFeature(feature, support, releases));
  return new Map(all.sort((a, b) => (a.feature < b.feature ? -1 : 1)).map((one) => [one.feature, one]));
}

/** Every n-th feature: a smaller job. */
export function sampleOf(features: ReadonlyMap<string, FeatureData>, n: number): Map<string, FeatureData> {
  return new Map([...features].filter((_, index) => index % n === 0));
}

function readFeature(
  feature: string,
  support: Record<string, Statement | Statement[]>,
  releases: Map<string, Releases>,
): FeatureData {
  const data: FeatureData = { feature, periods: [], plainVersions: new Map() };
  for (const browser of BROWSERS) {
    const dayOf = (version: unknown) =>
      typeof version === 'string' ? releases.get(browser)?.[version.replace('≤', '')]?.release_date : undefined;
    for (const statement of [support[browser] ?? []].flat()) {
      const plain = !(
        statement.flags ||
        statement.prefix ||
        statement.alternative_name ||
        statement.partial_implementation
      );
      if (plain) data.plainVersions.set(browser, [...(data.plainVersions.get(browser) ?? []), statement.version_added]);
      const from = dayOf(statement.version_added);
      const until = dayOf(statement.version_removed);
      if (!from && !until) continue;
      data.periods.push({
        browser,
        from,
        until,
        addedIn: from && String(statement.version_added),
        removedIn: until && String(statement.version_removed),
        plain,
      });
    }
  }
  return data;
}
