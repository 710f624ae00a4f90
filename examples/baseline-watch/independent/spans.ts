/**
 * Spans of days, half open: from a day to the day before `until` (undefined: to this day). Support and Baseline are
 * found by joining and intersecting spans, where the example counts events one after the other.
 */
import { BROWSERS, type FeatureData } from './compatData.js';

export interface Span {
  from: string;
  until: string | undefined;
}

/** When the browser had the feature without flag, prefix, other name or gaps. */
export function supportSpans(data: FeatureData, browser: string): Span[] {
  const joined: Span[] = [];
  const periods = data.periods.filter((one) => one.plain && one.browser === browser && one.from !== undefined);
  for (const { from, until } of periods.map(toSpan).sort((a, b) => (a.from < b.from ? -1 : 1))) {
    const last = joined.at(-1);
    if (!last || (last.until !== undefined && last.until < from)) joined.push({ from, until });
    else if (last.until !== undefined && (until === undefined || until > last.until)) last.until = until;
  }
  return joined;
}

/** When all core browsers had it. */
export function baselineSpans(data: FeatureData): Span[] {
  let common: Span[] = [{ from: '0000-00-00', until: undefined }];
  for (const browser of BROWSERS) {
    const mine = supportSpans(data, browser);
    common = common.flatMap((one) => mine.flatMap((other) => intersect(one, other)));
  }
  return common;
}

/** Is there a span that covers the last moment before this day begins? Without a day: is there an open one? */
export function holds(spans: readonly Span[], day?: string): boolean {
  return spans.some(({ from, until }) =>
    day === undefined ? until === undefined : from < day && (until === undefined || until >= day),
  );
}

function intersect(a: Span, b: Span): Span[] {
  const [, from = a.from] = [a.from, b.from].sort();
  const until = a.until === undefined || (b.until !== undefined && b.until < a.until) ? b.until : a.until;
  return until === undefined || from < until ? [{ from, until }] : [];
}

function toSpan(period: { from: string | undefined; until: string | undefined }): Span {
  return { from: period.from ?? '', until: period.until };
}
