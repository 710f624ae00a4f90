/**
 * A process of its own: prints, as one JSON object, what every figure must be.
 *
 *     node --import tsx examples/baseline-watch/independent/main.ts [--sample N] [--day 2016-04-01] [--notes FILE]
 */
import { parseArgs } from 'node:util';
import { readFeatures, sampleOf } from './compatData.js';
import { deskFigures, eventFigures, type Figures, supportFigures } from './expected.js';
import { notedFigures } from './noted.js';
import { type Published, readPublished } from './webFeatures.js';

export interface Expected {
  events: Figures;
  today: Figures;
  past: Figures;
  desks: Figures;
  noted: Figures;
  /** feature, date published by web-features, reason. */
  published: [feature: string, Published][];
}

const { values } = parseArgs({
  options: {
    sample: { type: 'string', default: '1' },
    day: { type: 'string', default: '2016-04-01' },
    notes: { type: 'string' },
  },
});
const all = readFeatures();
const features = sampleOf(all, Number(values.sample));
const expected: Expected = {
  events: eventFigures(features.values()),
  today: supportFigures(features.values()),
  past: supportFigures(features.values(), values.day),
  desks: deskFigures(features.values()),
  noted: values.notes ? notedFigures(values.notes) : {},
  published: [...readPublished(features, all)],
};
process.stdout.write(JSON.stringify(expected));
