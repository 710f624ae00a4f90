/**
 * The history of the web platform, event-sourced: `npm start`, or
 *
 *     npm start -- [--keep] [--every N]
 *
 * --keep leaves the store behind and prints commands to try; --every N takes every N-th feature, for a quick look.
 */
import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { baselineWatch, DEFAULT_OPTIONS } from './baselineWatch.js';
import { show } from './outcome.js';

const { values } = parseArgs({
  options: { keep: { type: 'boolean', default: false }, every: { type: 'string', default: '1' } },
});
const every = Number(values.every);
if (!Number.isSafeInteger(every) || every < 1) {
  console.error(`--every ${values.every} must be an integer from 1`);
  process.exit(2);
}
// The children are ended by the exit handler of those who started them.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
try {
  process.exitCode = show(await baselineWatch({ ...DEFAULT_OPTIONS, keep: values.keep, every }), values.keep);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
