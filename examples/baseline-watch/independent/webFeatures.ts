/**
 * Compares Baseline dates with those that the web-features project publishes for the same keys
 * (`status.by_compat_key`), and gives every difference one reason:
 *
 * - a parent is not in Baseline, or was later: web-features lets a part (`css.properties.x.value`) be in Baseline no
 *   earlier than the whole (`css.properties.x`); here each feature stands for itself;
 * - discouraged: web-features withholds Baseline from features that it advises against;
 * - other data: web-features was built from another version of browser-compat-data, or before the release came out.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { FeatureData } from './compatData.js';
import { baselineSpans } from './spans.js';

interface KeyStatus {
  baseline_low_date?: string;
  support: Record<string, string>;
}

interface WebFeature {
  discouraged?: unknown;
  status?: { by_compat_key?: Record<string, KeyStatus> };
}

export type Reason =
  | 'parent not in Baseline, or later'
  | 'discouraged'
  | 'other data or before the release'
  | 'unexplained';

export interface Published {
  date: string | undefined;
  /** Why the plain fold over the statements differs; undefined when it agrees. */
  reason: Reason | undefined;
}

/** What web-features says of those of the sample that it knows; `features` holds all, for the parents. */
export function readPublished(
  sample: ReadonlyMap<string, FeatureData>,
  features: ReadonlyMap<string, FeatureData>,
): Map<string, Published> {
  const file = createRequire(import.meta.url).resolve('web-features/data.json');
  const { features: published } = JSON.parse(readFileSync(file, 'utf8')) as { features: Record<string, WebFeature> };
  const dates = new Map<string, string | undefined>();
  const dateOf = (feature: string) => {
    const data = features.get(feature);
    if (data && !dates.has(feature)) dates.set(feature, baselineSpans(data).find((span) => !span.until)?.from);
    return dates.get(feature);
  };
  const result = new Map<string, Published>();
  for (const one of Object.values(published)) {
    for (const [key, status] of Object.entries(one.status?.by_compat_key ?? {})) {
      const data = sample.get(key);
      if (!data) continue;
      const date = status.baseline_low_date?.replace('≤', '');
      const reason = date === dateOf(key) ? undefined : explain(data, status, one, features, dateOf);
      result.set(key, { date, reason });
    }
  }
  return result;
}

function explain(
  data: FeatureData,
  status: KeyStatus,
  owner: WebFeature,
  features: ReadonlyMap<string, FeatureData>,
  dateOf: (feature: string) => string | undefined,
): Reason {
  if (owner.discouraged) return 'discouraged';
  const words = data.feature.split('.');
  const parents = words.map((_, index) => words.slice(0, index).join('.')).filter((name) => features.has(name));
  const chain = [data.feature, ...parents].map(dateOf);
  const whole = chain.some((date) => date === undefined)
    ? undefined
    : chain.reduce((a, b) => (String(a) > String(b) ? a : b));
  if (whole === status.baseline_low_date?.replace('≤', '')) return 'parent not in Baseline, or later';
  const isOtherData = [...data.plainVersions].some(
    ([browser, versions]) => !versions.includes(status.support[browser]),
  );
  return isOtherData || Object.keys(status.support).some((browser) => !data.plainVersions.has(browser))
    ? 'other data or before the release'
    : 'unexplained';
}
