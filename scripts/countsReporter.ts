/** A vitest reporter that leaves the counts, and each skipped test with its reason, for `.ci/run`. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export class CountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const directory = process.env['FOLDLOG_REPORTS'];
    const step = process.env['FOLDLOG_STEP'];
    if (!directory || !step) return;
    let passed = 0;
    let failed = unhandledErrors.length;
    const skipped: { name: string; reason: string }[] = [];
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      if (module.state() === 'failed' && !tests.some((test) => test.result().state === 'failed')) failed += 1;
      for (const test of tests) {
        const result = test.result();
        if (result.state === 'passed') passed += 1;
        else if (result.state === 'failed') failed += 1;
        else skipped.push({ name: test.fullName, reason: reasonOf(test) });
      }
    }
    writeFileSync(path.join(directory, `${step}.json`), JSON.stringify({ passed, failed, skipped }));
  }
}

function reasonOf(test: TestCase): string {
  const result = test.result();
  return (result.state === 'skipped' && result.note) || 'no reason given';
}
