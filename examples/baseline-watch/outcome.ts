/** Prints how the run ended. */
import { join } from 'node:path';
import type { Outcome } from './baselineWatch.js';
import { NEWS_TOPIC, TOPIC } from './browsers.js';
import { renderDifferences, renderTable } from './report.js';

/** Gives the exit code: 0 when all rows are equal, else 1. */
export function show({ rows, directory, seconds, peakMiB }: Outcome, isKept: boolean): number {
  const differences = renderDifferences(rows);
  console.log(renderTable(rows));
  console.log(`${rows.length} rows, ${differences.length} differ`);
  for (const difference of differences) console.log(`DIFFERS: ${difference}`);
  console.log(
    `${seconds.toFixed(1)} s, peak memory of all processes ${peakMiB === undefined ? 'unknown' : `${peakMiB} MiB`}`,
  );
  if (isKept) {
    const store = join(directory, 'store');
    console.log(`\nThe store is in ${store}. To look around:`);
    for (const command of commandsToTry(store)) console.log(`  ${command}`);
  }
  return differences.length === 0 ? 0 : 1;
}

const commandsToTry = (store: string) => [
  `npx foldlog store verify ${store}`,
  `npx foldlog up --store ${store}    # then, in another terminal:`,
  `npx mqadmin topicRoute -n 127.0.0.1:9876 -t ${TOPIC}`,
  `npx mqadmin queryMsgByKey -n 127.0.0.1:9876 -t ${TOPIC} -k feature:css.properties.accent-color`,
  `npx mqadmin consumerProgress -n 127.0.0.1:9876 -g newsletter    # of topic ${NEWS_TOPIC}`,
];
