/** Puts the figures of the run beside the independent ones. */
import type { SqliteDatabase } from 'foldlog';
import type { Expected } from './independent/main.js';
import type { Mail } from './mailbox.js';
import type { OfficeReport } from './office.js';
import type { Replayed } from './replays.js';
import { compare, demand, type Figures, type Row } from './report.js';
import { baselineDates, eventFigures, supportFigures } from './supportProjection.js';

/** Of all deliveries to the newsletter, at least this share are to be repeats. */
const REPEATS_MIN = 0.05;

export interface Found {
  database: SqliteDatabase;
  replayed: Replayed;
  reports: readonly OfficeReport[];
  mails: readonly Mail[];
  /** Messages in the news topic, copies included. */
  newsStored: number;
  expected: Expected;
}

export function rowsOf(found: Found): Row[] {
  const { database, replayed, reports, expected } = found;
  const { streams: _streams, 'first day': _first, 'last day': _last, ...totals } = expected.events;
  return [
    ...compare('event log', eventFigures(database), expected.events),
    ...compare('Baseline today', supportFigures(database), expected.today),
    ...compare('replay, occurred to 2016-04-01', supportFigures(replayed.past), expected.past),
    ...compare('replay, stored since the crash', sinceCrashFigures(replayed.sinceCrash), expected.noted),
    ...reports.flatMap((report, index) => compare(`wallboard ${index + 1}`, report.totals, totals)),
    ...compare('engine desks', sumOf(reports.map(({ desks }) => desks)), expected.desks),
    ...newsletterRows(found),
    ...webFeaturesRows(database, expected),
  ];
}

/** What intake noted of: Baseline is not its to note. */
function sinceCrashFigures(database: SqliteDatabase): Figures {
  const { SupportAdded = 0, SupportRemoved = 0 } = eventFigures(database);
  const features = Object.entries(supportFigures(database)).filter(
    ([figure, count]) => figure.startsWith('features ') && count !== 0,
  );
  return { SupportAdded, SupportRemoved, ...Object.fromEntries(features) };
}

function newsletterRows({ mails, newsStored, reports, expected }: Found): Row[] {
  const events = new Set(mails.map(({ eventId }) => eventId)).size;
  const deliveries = newsStored + reports.reduce((sum, { refused }) => sum + refused, 0);
  const share = (deliveries - events) / deliveries;
  const reached = expected.events['BaselineReached'] ?? 0;
  return [
    ...compare(
      'newsletter',
      { mails: mails.length, 'events mailed': events },
      { mails: reached, 'events mailed': reached },
    ),
    demand(
      'newsletter',
      'deliveries that were repeats',
      percent(share),
      `at least ${percent(REPEATS_MIN)}`,
      share >= REPEATS_MIN,
    ),
  ];
}

/** How far our dates agree with those of web-features, and why the others do not. */
function webFeaturesRows(database: SqliteDatabase, { published }: Expected): Row[] {
  const dates = baselineDates(database);
  const reasons = new Map(published);
  const ours: Figures = { keys: published.length };
  const independent: Figures = { keys: published.length };
  const count = (figures: Figures, figure: string) => {
    figures[figure] = Number(figures[figure] ?? 0) + 1;
  };
  for (const [feature, { date, reason }] of published) {
    const agrees = dates.get(feature) === date;
    count(ours, agrees ? 'the date agrees' : `differs: ${reasons.get(feature)?.reason ?? 'unexplained'}`);
    count(independent, reason === undefined ? 'the date agrees' : `differs: ${reason}`);
  }
  for (const figures of [ours, independent]) {
    figures['share that agrees'] = percent(Number(figures['the date agrees'] ?? 0) / Math.max(1, published.length));
  }
  return compare('web-features 3.40.0', ours, independent);
}

function sumOf(all: readonly Figures[]): Figures {
  const total: Figures = {};
  for (const figures of all) {
    for (const [figure, value] of Object.entries(figures)) total[figure] = Number(total[figure] ?? 0) + Number(value);
  }
  return total;
}

const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
