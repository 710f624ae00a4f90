/**
 * Adds up what the steps of .ci/run reported. Plain JavaScript, because it must also run when `npm ci` failed.
 *
 *     node scripts/steps.mjs record NAME STATUS   notes the exit status of a step
 *     node scripts/steps.mjs summary              prints skipped and failed tests with reasons, then `N passed, N failed`
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const directory = process.env.FOLDLOG_REPORTS ?? '.ci/reports';
const [verb, name, status] = process.argv.slice(2);

if (verb === 'record') {
  const report = path.join(directory, `${name}.json`);
  const counts = existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : { passed: 0, failed: 0, skipped: [], failures: [] };
  const failedQuietly = status !== '0' && counts.failed === 0;
  const passedQuietly = status === '0' && counts.passed === 0 && counts.skipped.length === 0;
  writeFileSync(
    report,
    JSON.stringify({
      ...counts,
      passed: counts.passed + (passedQuietly ? 1 : 0),
      failed: counts.failed + (failedQuietly ? 1 : 0),
      failures: [...counts.failures, ...(failedQuietly ? [{ name, reason: `ended with exit status ${status}` }] : [])],
    }),
  );
} else {
  let passed = 0;
  let failed = 0;
  const skipped = [];
  const failures = [];
  // Tables of comparisons lie there as well.
  for (const file of readdirSync(directory)
    .filter((each) => each.endsWith('.json'))
    .sort()) {
    const counts = JSON.parse(readFileSync(path.join(directory, file), 'utf8'));
    passed += counts.passed;
    failed += counts.failed;
    skipped.push(...counts.skipped);
    failures.push(...counts.failures);
  }
  for (const test of skipped) console.log(`skipped: ${test.name}: ${test.reason}`);
  for (const test of failures) console.log(`failed: ${test.name}: ${test.reason}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
