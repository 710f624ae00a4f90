/**
 * What recovery decides, as two tables. Every combination of facts meets exactly one row (a test walks them all).
 *
 * The first says how a store is opened, from three facts: is there an `abort` file, who wrote here last, and does the
 * synced-up-to mark hold. The second says what the end of the log means, from what lies there and whether it lies below
 * the mark: below it a bad record is damage and nothing is changed; above it, it is a tail that was never synced.
 */
import type { LogEndKind } from './logScan.js';

export interface StartFacts {
  hasAbort: boolean;
  /** US when our end mark matches the log, or `abort` is ours. */
  lastWriter: 'US' | 'OTHER';
  /** HOLDS when the record it names is there. */
  syncedMark: 'HOLDS' | 'VOID';
}

/**
 * CLEAN: nothing to do. OWN_CRASH: queues and index are right up to the durable mark. UNKNOWN: another program wrote
 * here, or the marks do not fit: everything derived is checked against the whole log.
 */
export type StartKind = 'CLEAN' | 'OWN_CRASH' | 'UNKNOWN';

type Row<Facts> = { readonly [Fact in keyof Facts]: readonly Facts[Fact][] };

export const START_TABLE: readonly (Row<StartFacts> & { start: StartKind })[] = [
  { hasAbort: [false], lastWriter: ['US'], syncedMark: ['HOLDS', 'VOID'], start: 'CLEAN' },
  { hasAbort: [false], lastWriter: ['OTHER'], syncedMark: ['HOLDS', 'VOID'], start: 'UNKNOWN' },
  { hasAbort: [true], lastWriter: ['US'], syncedMark: ['HOLDS'], start: 'OWN_CRASH' },
  { hasAbort: [true], lastWriter: ['US'], syncedMark: ['VOID'], start: 'UNKNOWN' },
  { hasAbort: [true], lastWriter: ['OTHER'], syncedMark: ['HOLDS', 'VOID'], start: 'UNKNOWN' },
];

export interface EndFacts {
  found: LogEndKind | 'INCOMPLETE_APPEND';
  position: 'BELOW_MARK' | 'ABOVE_MARK';
}

/** KEEP: the log ends here. CUT: it ends here, and what follows is kept aside. REFUSE: damage; nothing is changed. */
export type EndDecision = 'KEEP' | 'CUT' | 'REFUSE';

export const END_TABLE: readonly (Row<EndFacts> & { decision: EndDecision })[] = [
  { found: ['ZERO', 'BLANK_WITHOUT_SUCCESSOR', 'END_OF_FILES'], position: ['ABOVE_MARK'], decision: 'KEEP' },
  { found: ['TORN', 'MISPLACED', 'INCOMPLETE_APPEND'], position: ['ABOVE_MARK'], decision: 'CUT' },
  { found: ['GAP'], position: ['ABOVE_MARK', 'BELOW_MARK'], decision: 'REFUSE' },
  {
    found: ['ZERO', 'BLANK_WITHOUT_SUCCESSOR', 'END_OF_FILES', 'TORN', 'MISPLACED', 'INCOMPLETE_APPEND'],
    position: ['BELOW_MARK'],
    decision: 'REFUSE',
  },
];

/** The row that the facts meet. */
export function startRow(facts: StartFacts): (typeof START_TABLE)[number] | undefined {
  return START_TABLE.find(
    (row) =>
      row.hasAbort.includes(facts.hasAbort) &&
      row.lastWriter.includes(facts.lastWriter) &&
      row.syncedMark.includes(facts.syncedMark),
  );
}

export function endRow(facts: EndFacts): (typeof END_TABLE)[number] | undefined {
  return END_TABLE.find((row) => row.found.includes(facts.found) && row.position.includes(facts.position));
}
