/**
 * The example as its users run it, on every 60th feature: exit 0 and no difference; with a projection broken on purpose,
 * exit 1 and the difference named. The independent code is checked on the whole package and against a day-by-day fold.
 * `BASELINE_WATCH_EVERY=1` takes all features.
 */
import { execFile } from 'node:child_process';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BROWSERS, type FeatureData, readFeatures } from '../../examples/baseline-watch/independent/compatData.js';
import { eventFigures } from '../../examples/baseline-watch/independent/expected.js';
import { baselineSpans, holds } from '../../examples/baseline-watch/independent/spans.js';
import { readPublished } from '../../examples/baseline-watch/independent/webFeatures.js';
import { Lanes } from '../../examples/baseline-watch/lanes.js';
import { readStatements } from '../../examples/baseline-watch/statements.js';

const root = path.resolve(import.meta.dirname, '../..');
const every = process.env['BASELINE_WATCH_EVERY'] ?? '60';
const RUN_MILLIS = 150_000;

function run(...words: string[]): Promise<{ code: number; output: string; errors: string }> {
  return new Promise((resolve) => {
    const options = { cwd: root, env: { ...process.env, NO_COLOR: '1' }, maxBuffer: 2 ** 24 };
    const child = execFile(process.execPath, ['--import', 'tsx', ...words], options, (_, output, errors) => {
      resolve({ code: child.exitCode ?? -1, output, errors });
    });
  });
}

describe('baseline-watch', () => {
  it(
    'ends with equal figures after a crash of the broker and one of the forwarder',
    async () => {
      const { code, output, errors } = await run('examples/baseline-watch/main.ts', '--every', every);
      expect(errors).toBe('');
      expect(output).toContain('broker killed with SIGKILL');
      expect(output.match(/forwarder ended by SIGKILL/g)).toHaveLength(1);
      expect(output).toMatch(/[1-9]\d+ rows, 0 differ/);
      expect(code).toBe(0);
    },
    RUN_MILLIS,
  );

  it(
    'shows the difference and exits with 1 when the projection is broken',
    async () => {
      const { code, output } = await run('test/e2e/brokenBaselineWatch.ts', every);
      expect(output).toMatch(/DIFFERS: event log, SupportRemoved edge: none here, \d+ independently/);
      expect(output).not.toContain('DIFFERS: wallboard');
      expect(code).toBe(1);
    },
    RUN_MILLIS,
  );

  it('refuses a wrong option with exit code 2', async () => {
    expect(await run('examples/baseline-watch/main.ts', '--every', 'some')).toMatchObject({ code: 2, output: '' });
  });
});

describe('the input', () => {
  it('holds 125,819 dated statements in 20,832 features, read alike by intake and by the independent code', () => {
    const features = readFeatures();
    const { SupportAdded, SupportRemoved, streams, ...rest } = eventFigures(features.values());
    expect(Number(SupportAdded) + Number(SupportRemoved)).toBe(125_819);
    expect(streams).toBe(20_832);
    expect(rest).toMatchObject({ 'first day': '2003-06-23', 'last day': '2026-11-24' });
    const published = [...readPublished(features, features).values()];
    expect(published).toHaveLength(15_388);
    expect(published.filter(({ reason }) => reason === undefined).length / 15_388).toBeCloseTo(0.96, 2);
    expect(published.filter(({ reason }) => reason === 'unexplained')).toEqual([]);

    const statements = readStatements(1);
    expect(statements).toHaveLength(125_819);
    expect(new Set(statements.map(({ feature }) => feature)).size).toBe(20_832);
    expect(statements.every(({ date }, index) => index === 0 || date >= (statements[index - 1]?.date ?? ''))).toBe(
      true,
    );
  }, 30_000);
});

describe('spans of days', () => {
  it('say the same as looking at each day', () => {
    const day = (n: number) => `2020-01-${String(n).padStart(2, '0')}`;
    const period = fc
      .record({
        browser: fc.constantFrom(...BROWSERS),
        from: fc.integer({ min: 1, max: 20 }),
        lasts: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
        plain: fc.boolean(),
      })
      .map(({ browser, from, lasts, plain }) => ({
        browser,
        plain,
        from: day(from),
        until: lasts === undefined ? undefined : day(from + lasts),
        addedIn: '1',
        removedIn: undefined,
      }));
    // Most browsers have it from the start, so that the interesting cases are not rare.
    const always = (browser: string) => ({
      browser,
      plain: true,
      from: day(1),
      until: undefined,
      addedIn: '1',
      removedIn: undefined,
    });
    fc.assert(
      fc.property(fc.array(period, { maxLength: 12 }), fc.subarray(BROWSERS, { minLength: 4 }), (periods, early) => {
        const data: FeatureData = {
          feature: 'a',
          periods: [...early.map(always), ...periods],
          plainVersions: new Map(),
        };
        const spans = baselineSpans(data);
        for (let n = 1; n <= 30; n++) {
          const works = BROWSERS.every((browser) =>
            data.periods.some(
              (one) =>
                one.plain &&
                one.browser === browser &&
                String(one.from) <= day(n) &&
                (!one.until || one.until > day(n)),
            ),
          );
          expect(holds(spans, day(n + 1))).toBe(works);
        }
      }),
      { numRuns: Number(process.env['FUZZ_RUNS'] ?? 200) },
    );
  });
});

describe('lanes', () => {
  it('keep the order of a key, run others meanwhile, and stay within their bound', async () => {
    const lanes = new Lanes(3);
    const order: string[] = [];
    const gates = new Map<string, () => void>();
    const job = (name: string) => async () => {
      await new Promise<void>((resolve) => gates.set(name, resolve));
      order.push(name);
    };
    await lanes.give('a', job('a1'));
    await lanes.give('a', job('a2'));
    await lanes.give('b', job('b1'));
    const fourth = lanes.give('c', job('c1'));
    await new Promise((resolve) => setImmediate(resolve));
    expect([...gates.keys()]).toEqual(['a1', 'b1']);
    gates.get('b1')?.();
    await fourth;
    gates.get('a1')?.();
    await new Promise((resolve) => setImmediate(resolve));
    gates.get('a2')?.();
    gates.get('c1')?.();
    await lanes.drain();
    expect(order).toEqual(['b1', 'a1', 'a2', 'c1']);
  });

  it('tell the first failure to whoever gives or drains', async () => {
    const lanes = new Lanes(2);
    await lanes.give('a', async () => {
      throw new Error('no such feature');
    });
    await expect(lanes.drain()).rejects.toThrow('no such feature');
    await expect(lanes.give('b', async () => {})).rejects.toThrow('no such feature');
  });
});
