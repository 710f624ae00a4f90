/**
 * Every figure of the final table, straight from the package. Figures are named; the example's own figures carry the same
 * names, and a name that only one side has is a difference too.
 *
 * "Today" is the end of the log: all releases that the package gives a date, planned ones included, so that the figures
 * do not depend on the day of the run. A moment in the past counts what lies before that day, as a replay up to 00:00 does.
 */
import { BROWSERS, type FeatureData } from './compatData.js';
import { baselineSpans, holds, supportSpans } from './spans.js';

export type Figures = Record<string, number | string>;

const ENGINES: Record<string, string[]> = {
  Blink: ['chrome', 'chrome_android', 'edge'],
  Gecko: ['firefox', 'firefox_android'],
  WebKit: ['safari', 'safari_ios'],
};

/** What each engine's desk looks at: these browsers, from this version on. */
const DESKS: Record<string, { browsers: string[]; since: number }> = {
  Blink: { browsers: ['chrome', 'edge'], since: 120 },
  Gecko: { browsers: ['firefox'], since: 120 },
  WebKit: { browsers: ['safari', 'safari_ios'], since: 17 },
};

const DAY_MILLIS = 86_400_000;

/** Dated events by type and browser, and in how many streams. */
export function eventFigures(features: Iterable<FeatureData>): Figures {
  const figures: Figures = { streams: 0, SupportAdded: 0, SupportRemoved: 0, BaselineReached: 0, BaselineLost: 0 };
  const days: string[] = [];
  for (const data of features) {
    if (data.periods.length > 0) count(figures, 'streams');
    for (const { browser, from, until } of data.periods) {
      if (from) count(figures, 'SupportAdded', `SupportAdded ${browser}`);
      if (until) count(figures, 'SupportRemoved', `SupportRemoved ${browser}`);
      days.push(...[from, until].filter((day) => day !== undefined));
    }
    for (const { until } of baselineSpans(data)) {
      count(figures, 'BaselineReached');
      if (until) count(figures, 'BaselineLost');
    }
  }
  days.sort();
  return { ...figures, 'first day': days[0] ?? '', 'last day': days.at(-1) ?? '' };
}

/** What the support projection says at the end of the log, or of what lies before a day. */
export function supportFigures(features: Iterable<FeatureData>, day?: string): Figures {
  const figures: Figures = { 'in Baseline': 0 };
  for (const browser of BROWSERS) figures[`features ${browser}`] = 0;
  const spread: number[] = [];
  for (const data of features) {
    for (const browser of BROWSERS) {
      if (holds(supportSpans(data, browser), day)) count(figures, `features ${browser}`);
    }
    const current = baselineSpans(data).find((span) => holds([span], day));
    if (!current) continue;
    count(figures, 'in Baseline', `Baseline of ${current.from.slice(0, 4)}`);
    spread.push(daysBetweenEngines(data));
  }
  spread.sort((a, b) => a - b);
  figures['first to last engine, median days'] = spread[Math.floor((spread.length - 1) / 2)] ?? 0;
  figures['first to last engine, most days'] = spread.at(-1) ?? 0;
  return figures;
}

/** What the engine desks get through their filters. */
export function deskFigures(features: Iterable<FeatureData>): Figures {
  const figures: Figures = {};
  for (const engine of Object.keys(DESKS)) {
    figures[`${engine} added`] = 0;
    figures[`${engine} removed`] = 0;
  }
  const isRecent = (version: string | undefined, since: number) =>
    version !== undefined && Math.floor(Number.parseFloat(version.replace('≤', ''))) >= since;
  for (const { periods } of features) {
    for (const [engine, { browsers, since }] of Object.entries(DESKS)) {
      for (const { browser, addedIn, removedIn } of periods) {
        if (!browsers.includes(browser)) continue;
        if (isRecent(addedIn, since)) count(figures, `${engine} added`);
        if (isRecent(removedIn, since)) count(figures, `${engine} removed`);
      }
    }
  }
  return figures;
}

/** Days from the first browser engine that had the feature to the last one that got it. */
function daysBetweenEngines(data: FeatureData): number {
  const firsts = Object.values(ENGINES).map((browsers) => {
    const days = browsers.flatMap((browser) => supportSpans(data, browser).map((span) => span.from));
    return Date.parse(days.sort()[0] ?? '');
  });
  return (Math.max(...firsts) - Math.min(...firsts)) / DAY_MILLIS;
}

function count(figures: Figures, ...names: string[]): void {
  for (const name of names) figures[name] = Number(figures[name] ?? 0) + 1;
}
