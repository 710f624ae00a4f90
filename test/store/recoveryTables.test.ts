// Walks every combination of facts and demands exactly one row of the recovery tables for each.
import { describe, expect, it } from 'vitest';
import type { EndFacts, StartFacts } from '../../src/store/recovery/recoveryTables.js';
import { END_TABLE, endRow, START_TABLE, startRow } from '../../src/store/recovery/recoveryTables.js';

const starts: StartFacts[] = [true, false].flatMap((hasAbort) =>
  (['US', 'OTHER'] as const).flatMap((lastWriter) =>
    (['HOLDS', 'VOID'] as const).map((syncedMark) => ({ hasAbort, lastWriter, syncedMark })),
  ),
);

const FOUND: readonly EndFacts['found'][] = [
  'ZERO',
  'TORN',
  'MISPLACED',
  'BLANK_WITHOUT_SUCCESSOR',
  'END_OF_FILES',
  'GAP',
  'INCOMPLETE_APPEND',
];
const ends: EndFacts[] = FOUND.flatMap((found) =>
  (['BELOW_MARK', 'ABOVE_MARK'] as const).map((position) => ({ found, position })),
);

describe('the recovery tables', () => {
  it('have exactly one row for each way in which a store may be found', () => {
    for (const facts of starts) {
      const rows = START_TABLE.filter(
        (row) =>
          row.hasAbort.includes(facts.hasAbort) &&
          row.lastWriter.includes(facts.lastWriter) &&
          row.syncedMark.includes(facts.syncedMark),
      );
      expect([facts, rows.length]).toEqual([facts, 1]);
      expect(startRow(facts)).toBe(rows[0]);
    }
  });

  it('believe nothing that another program may have changed', () => {
    for (const facts of starts) {
      if (facts.lastWriter === 'OTHER' || (facts.hasAbort && facts.syncedMark === 'VOID')) {
        expect(startRow(facts)?.start).toBe('UNKNOWN');
      }
      if (facts.hasAbort) expect(startRow(facts)?.start).not.toBe('CLEAN');
    }
  });

  it('have exactly one row for each way in which a log may end', () => {
    for (const facts of ends) {
      const rows = END_TABLE.filter((row) => row.found.includes(facts.found) && row.position.includes(facts.position));
      expect([facts, rows.length]).toEqual([facts, 1]);
      expect(endRow(facts)).toBe(rows[0]);
    }
  });

  it('never cut below the synced mark', () => {
    for (const facts of ends) if (facts.position === 'BELOW_MARK') expect(endRow(facts)?.decision).toBe('REFUSE');
  });
});
