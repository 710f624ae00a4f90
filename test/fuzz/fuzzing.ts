/**
 * Runs a decoder on very many inputs and holds it to four things: it throws nothing but its declared errors, no case
 * takes long, none hangs, and the heap does not grow. FUZZ_RUNS scales the number of cases (200 gives 100,000 over all
 * files of this folder); FUZZ_SEED repeats a run, and a failure prints its own seed and path as well.
 */
import { randomInt } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext, Script } from 'node:vm';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { FoldlogError } from '../../src/base/errors.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 200);
export const SEED = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));

/** No case may take longer. Seconds, for a machine that does other things at the same time. */
const CASE_MAX_MILLIS = 2000;
/** A test that takes longer hangs: it is interrupted, also in the midst of a loop or a regular expression. */
const HANG_MILLIS = 60_000 + RUNS * 300;
export const TEST_TIMEOUT_MILLIS = HANG_MILLIS + 30_000;
/** What a million cases may leave behind is what one case may: compiled code and caches of the engine. */
const HEAP_GROWTH_MAX_BYTES = 8 * 1024 * 1024;

/** Cases of a test: its weight times FUZZ_RUNS. */
export const cases = (weight: number): number => Math.max(5, Math.round(weight * RUNS));

/** Call once in a file. */
export function printSeed(): void {
  beforeAll(() => console.info(`fuzzing with FUZZ_RUNS=${RUNS} FUZZ_SEED=${SEED}`));
}

/** One test: `weight` times FUZZ_RUNS cases. */
export function fuzz<T>(name: string, weight: number, input: fc.Arbitrary<T>, run: (value: T) => void): void {
  it(
    name,
    async () => {
      const count = cases(weight);
      const first = Math.ceil(count / 4);
      check(input, run, { seed: SEED, numRuns: first });
      await new Promise((resolve) => setImmediate(resolve));
      const before = usedBytes();
      check(input, run, { seed: SEED + 1, numRuns: count - first });
      await expectGrowthBelow(HEAP_GROWTH_MAX_BYTES, before);
    },
    TEST_TIMEOUT_MILLIS,
  );
}

function check<T>(input: fc.Arbitrary<T>, run: (value: T) => void, options: { seed: number; numRuns: number }): void {
  let current: T | undefined;
  const property = fc.property(input, (value) => {
    current = value;
    const start = process.cpuUsage();
    run(value);
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1000).toBeLessThan(CASE_MAX_MILLIS);
  });
  try {
    interruptible(() => fc.assert(property, options));
  } catch (thrown) {
    if ((thrown as { code?: string }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw thrown;
    throw new Error(`hangs on ${fc.stringify(current)} (seed ${options.seed})`, { cause: thrown });
  }
}

/** Only a script has a time limit that the engine itself watches. */
function interruptible(run: () => void): void {
  const holder = globalThis as { fuzzedRun?: () => void };
  holder.fuzzedRun = run;
  try {
    new Script('globalThis.fuzzedRun()').runInThisContext({ timeout: HANG_MILLIS });
  } finally {
    delete holder.fuzzedRun;
  }
}

let collect: (() => void) | undefined;

/** What the process holds after a collection, buffers included. */
export function usedBytes(): number {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** What native code holds is given back in turns of its own, and what that held in a turn after. */
export async function expectGrowthBelow(maxBytes: number, before: number): Promise<void> {
  for (let turn = 0; turn < 10 && usedBytes() - before >= maxBytes; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(usedBytes() - before).toBeLessThan(maxBytes);
}

/** Runs; undefined when it threw one of the declared codes, fails the test for anything else. */
export function declared<T>(codes: readonly string[], run: () => T): T | undefined {
  try {
    return run();
  } catch (thrown) {
    if (thrown instanceof FoldlogError && codes.includes(thrown.code)) {
      // People read it, and it goes into the log and over the wire.
      expect(thrown.message).not.toBe('');
      return undefined;
    }
    throw thrown;
  }
}

// ---- mutations ----

interface Edit {
  kind: 'set' | 'int32' | 'int16' | 'cut' | 'repeat' | 'insert' | 'end';
  /** Share of the length, in millionths. */
  at: number;
  length: number;
  value: number;
  bytes: Uint8Array;
}

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom<Edit['kind']>('set', 'set', 'int32', 'int32', 'int16', 'cut', 'repeat', 'insert', 'end'),
  at: fc.nat(1_000_000),
  length: fc.integer({ min: 1, max: 40 }),
  value: fc.oneof(
    fc.integer({ min: -8, max: 40 }),
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    fc.constantFrom(2 ** 31 - 1, -(2 ** 31), 32767, 32768, 65535, 255, 127, 128),
  ),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
});

/** One of the samples with up to five edits; sometimes with none. */
export function mutated(samples: readonly Buffer[]): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.nat(samples.length - 1), fc.array(edit, { maxLength: 5 }))
    .map(([index, edits]) => edits.reduce(edited, samples[index] ?? Buffer.alloc(0)));
}

function edited(source: Buffer, { kind, at: share, length, value, bytes }: Edit): Buffer {
  if (source.length === 0) return Buffer.from(bytes);
  const at = Math.floor((share / 1_000_001) * source.length);
  const from = (start: number) => source.subarray(Math.min(start, source.length));
  switch (kind) {
    case 'cut':
      return Buffer.concat([source.subarray(0, at), from(at + length)]);
    case 'repeat':
      return Buffer.concat([source.subarray(0, at + length), from(at)]);
    case 'insert':
      return Buffer.concat([source.subarray(0, at), bytes, from(at)]);
    case 'end':
      return Buffer.from(source.subarray(0, at));
    default: {
      const target = Buffer.from(source);
      if (kind === 'int32' && at + 4 <= target.length) target.writeInt32BE(value | 0, at);
      else if (kind === 'int16' && at + 2 <= target.length) target.writeInt16BE((value << 16) >> 16, at);
      else target.writeUInt8(value & 0xff, at);
      return target;
    }
  }
}

interface TextEdit {
  at: number;
  length: number;
  put: string;
}

/** One of the samples with up to four stretches replaced by words of the language. */
export function mutatedText(samples: readonly string[], words: readonly string[]): fc.Arbitrary<string> {
  const put = fc.oneof(
    fc.constantFrom(...words),
    fc.constantFrom(...words),
    fc.string({ unit: 'binary', maxLength: 6 }),
    fc.tuple(fc.constantFrom(...words), fc.integer({ min: 2, max: 300 })).map(([word, count]) => word.repeat(count)),
  );
  const textEdit: fc.Arbitrary<TextEdit> = fc.record({ at: fc.nat(1_000_000), length: fc.nat(12), put });
  return fc.tuple(fc.nat(samples.length - 1), fc.array(textEdit, { maxLength: 4 })).map(([index, edits]) =>
    edits.reduce((text, { at: share, length, put: word }) => {
      const at = Math.floor((share / 1_000_001) * (text.length + 1));
      return text.slice(0, at) + word + text.slice(at + length);
    }, samples[index] ?? ''),
  );
}
