/** A vitest reporter that leaves the counts, and each failed or skipped test with its reason, for `.ci/run`. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export class CountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const directory = process.env['FOLDLOG_REPORTS'];
    const step = process.env['FOLDLOG_STEP'];
    if (!directory || !step) return;
    let passed = 0;
    const failures = unhandledErrors.map((error) => ({ name: 'outside of any test', reason: firstLineOf(error) }));
    const skipped: NamedReason[] = [];
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      if (module.state() === 'failed' && !tests.some((test) => test.result().state === 'failed')) {
        failures.push({ name: module.relativeModuleId, reason: firstLineOf(module.errors()[0]) });
      }
      for (const test of tests) {
        const result = test.result();
        if (result.state === 'passed') passed += 1;
        else if (result.state === 'failed') {
          const name = `${module.relativeModuleId} > ${test.fullName}`;
          failures.push({ name, reason: firstLineOf(result.errors[0]) });
        } else skipped.push({ name: test.fullName, reason: reasonOf(test) });
      }
    }
    const report = { passed, failed: failures.length, skipped, failures };
    writeFileSync(path.join(directory, `${step}.json`), JSON.stringify(report));
  }
}

interface NamedReason {
  readonly name: string;
  readonly reason: string;
}

function firstLineOf(error: unknown): string {
  const message = (error as { message?: string } | undefined)?.message ?? String(error);
  return message.split('\n', 1)[0] ?? '';
}

function reasonOf(test: TestCase): string {
  const result = test.result();
  return (result.state === 'skipped' && result.note) || 'no reason given';
}
