/**
 * Counts what a simulation met: fault points, recovery rows, rollovers, outcomes. Counters are plain so that they pass
 * between processes. {@link REQUIRED} names what a full set of runs must have met; besides, every kind of change of the
 * disk that happened often must have been the last one of some process, and must have failed.
 */
import { START_TABLE } from '../../src/store/recovery/recoveryTables.js';
import { INDEX_BUILT_ANEW, QUEUES_REBUILT } from './healings.js';

export interface CoverageCounts {
  [group: string]: { [name: string]: number };
}

export class Coverage {
  readonly counts: CoverageCounts = {};

  count(group: string, name: string, times = 1): void {
    let names = this.counts[group];
    if (!names) {
      names = {};
      this.counts[group] = names;
    }
    names[name] = (names[name] ?? 0) + times;
  }

  add(other: CoverageCounts): void {
    for (const [group, names] of Object.entries(other)) {
      for (const [name, times] of Object.entries(names)) this.count(group, name, times);
    }
  }

  of(group: string, name: string): number {
    return this.counts[group]?.[name] ?? 0;
  }
}

/** A change of the disk that happened so often was the last of a process, and failed, at least once. */
const OFTEN = 1_000;
const FAULTS = ['last operation of a process', 'EIO'];

/**
 * The third row of the table of log ends, a gap between segments, is met before it is asked for: a missing segment is
 * refused when the files are listed (`damage`).
 */
export const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  runs: ['SYNC_FLUSH', 'ASYNC_FLUSH'],
  'end of a process': ['KILL', 'POWER_LOSS', 'killed, failed pages dropped'],
  openings: ['done', 'interrupted', 'failed'],
  stops: ['clean', 'without the clean end'],
  'start rows': START_TABLE.map((_, at) => `${at + 1}`),
  'end rows': ['1', '2', '4'],
  'log ends': [
    ...['ZERO', 'END_OF_FILES', 'BLANK_WITHOUT_SUCCESSOR'].map((kind) => `${kind} ABOVE_MARK`),
    ...['TORN', 'MISPLACED', 'INCOMPLETE_APPEND'].map((kind) => `${kind} ABOVE_MARK`),
    ...['ZERO', 'TORN', 'INCOMPLETE_APPEND'].map((kind) => `${kind} BELOW_MARK`),
  ],
  damage: ['flipped byte', 'missing segment', 'wrong place', 'zeros'],
  'other programs': [
    ...['appended, killed', 'appended, stopped', 'cut the log, killed', 'cut the log, stopped'],
    ...['torn', 'misplaced', 'odd'],
  ],
  rollovers: ['log', 'queue', 'index'],
  outcomes: [
    ...['PUT_OK', 'PUT_OK of a batch', 'SERVICE_NOT_AVAILABLE', 'APPENDED', 'ALREADY_APPENDED', 'VERSION_CONFLICT'],
    ...['CONDITION_CONFLICT', 'CONDITION_CONFLICT of a dead end', 'APPENDED on a token of an older generation'],
    ...['STORE_FAILED', 'syncLog', 'topic deleted', 'writable again'],
  ],
  answers: ['VISIBLE', 'FLUSH_DISK_TIMEOUT', 'DISK_FULL', 'STORE_FAILED'],
  'interrupted deletions': ['done', 'not done'],
  retention: ['asked for, done', 'asked for, nothing to do', 'log file removed', 'removal undone'],
  'index at start': ['goes on from its mark', 'not as marked', 'without a mark'],
  healings: [INDEX_BUILT_ANEW, QUEUES_REBUILT],
  reads: ['by key', 'query', 'by time', 'queue', 'end'],
  ENOSPC: [
    ...['create log', 'create queue', 'create index', 'create index checks', 'create deleted', 'create derived'],
    ...['create cut', 'create abort', 'create running', 'create generations', 'create checkpoint', 'create end'],
    ...['makeDirectory root', 'makeDirectory foldlog', 'makeDirectory log', 'makeDirectory queue'],
    ...['makeDirectory index', 'write log', 'write queue', 'write index', 'write index checks', 'write derived'],
    ...['write deleted', 'write abort', 'write running', 'write synced', 'write checkpoint', 'write generations'],
  ],
};

/** What a full set of runs has not met. */
export function missing(coverage: Coverage): string[] {
  const required = Object.entries(REQUIRED).flatMap(([group, names]) => names.map((name) => ({ group, name })));
  for (const [point, times] of Object.entries(coverage.counts['file operations'] ?? {})) {
    if (times >= OFTEN) required.push(...FAULTS.map((group) => ({ group, name: point })));
  }
  return required
    .filter(({ group, name }) => coverage.of(group, name) === 0)
    .map(({ group, name }) => `${group}: ${name}`);
}

const LINE_CHARACTERS = 118;

/** Every group with its counts, in lines. */
export function coverageTable(coverage: Coverage): string {
  const lines: string[] = [];
  for (const [group, names] of Object.entries(coverage.counts)) {
    lines.push(group);
    let line = ' ';
    for (const [name, times] of Object.entries(names).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const cell = ` ${name} ${times};`;
      if (line.length + cell.length > LINE_CHARACTERS) {
        lines.push(line);
        line = ' ';
      }
      line += cell;
    }
    lines.push(line);
  }
  return lines.join('\n');
}
