/** The input: statements of `@mdn/browser-compat-data` as intake wants them, in order of date. */
import { createReadStream, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { Identifier, SimpleSupportStatement } from '@mdn/browser-compat-data/types';
import { type Browser, CORE_BROWSERS } from './browsers.js';

export interface Statement {
  /** As in `css.properties.accent-color`. */
  feature: string;
  type: 'SupportAdded' | 'SupportRemoved';
  date: string;
  browser: Browser;
  version: string;
  number: number;
  flag?: string | undefined;
  prefix?: string | undefined;
  alternativeName?: string | undefined;
  partial: boolean;
}

type Releases = Record<Browser, { releases: Record<string, { release_date?: string }> }>;

/**
 * Every `version_added` and `version_removed` of a core browser that names a release with a date: by date, on one day
 * what was added before what was removed, so that a statement which replaces another leaves no gap.
 *
 * @param every 1 for all features; n takes every n-th by name
 */
export function readStatements(every: number): Statement[] {
  const file = createRequire(import.meta.url).resolve('@mdn/browser-compat-data');
  const { browsers, __meta, ...areas } = JSON.parse(readFileSync(file, 'utf8'));
  const features = [...walk(areas as Record<string, Identifier>, '')].sort(([a], [b]) => compare(a, b));
  return features
    .filter((_, index) => index % every === 0)
    .flatMap(([feature, identifier]) => [...statementsOf(feature, identifier, browsers as Releases)])
    .sort((a, b) => compare(a.date, b.date) || compare(a.type, b.type) || compare(a.feature, b.feature));
}

function* walk(parent: Record<string, Identifier>, path: string): Generator<[string, Identifier]> {
  for (const [name, child] of Object.entries(parent)) {
    if (name === '__compat' || typeof child !== 'object') continue;
    const feature = path ? `${path}.${name}` : name;
    if (child.__compat) yield [feature, child];
    yield* walk(child as Record<string, Identifier>, feature);
  }
}

function* statementsOf(feature: string, { __compat }: Identifier, browsers: Releases): Generator<Statement> {
  for (const browser of CORE_BROWSERS) {
    const list = [__compat?.support[browser] ?? []].flat() as SimpleSupportStatement[];
    for (const [number, one] of list.entries()) {
      const { version_added: added, version_removed: removed } = one;
      for (const [type, version] of [['SupportAdded', added] as const, ['SupportRemoved', removed] as const]) {
        if (typeof version !== 'string') continue;
        const date = browsers[browser].releases[version.replace('≤', '')]?.release_date;
        if (!date) continue;
        yield {
          ...{ feature, type, date, browser, version, number },
          flag: one.flags?.[0]?.name,
          prefix: one.prefix,
          alternativeName: one.alternative_name,
          partial: one.partial_implementation === true,
        };
      }
    }
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The statements that `extract.ts` wrote, one by one. */
export async function* linesOf(file: string): AsyncGenerator<Statement> {
  for await (const line of createInterface(createReadStream(file))) yield JSON.parse(line) as Statement;
}
