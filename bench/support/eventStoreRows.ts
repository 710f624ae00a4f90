/**
 * The kinds of work by which event stores are compared, and the ratios that are to be reached, foldlog : emmett.
 * `--rows` names them by the beginning of their ids; `rebuild` and `count` stand in `bench/eventStore.ts`.
 */
import type { AppendWork, LoadWork } from './comparedStore.js';

/** Bounds of ratios: rates at least, CPU time at most. */
export interface RatioTargets {
  rate: number;
  cpu?: number;
}

export interface EventStoreRow {
  id: string;
  title: string;
  work: Omit<AppendWork, 'prefix'> | LoadWork;
  /** Compared with the bare group commit of so many records, too. */
  groupOf?: number;
  sqlite?: RatioTargets;
  postgresql?: RatioTargets;
}

const APPEND_CPU = 1 / 8;
const STREAMS = 16;

const append = (inFlight: number, eventsEach: number) =>
  ({ kind: 'append', streams: STREAMS, inFlight, eventsEach }) as const;

const folded = (hasSnapshot: boolean, events: number): LoadWork => ({
  kind: 'load',
  stream: hasSnapshot ? 'kept' : 'plain',
  events,
  isFolded: true,
  hasSnapshot,
});

export function eventStoreRows(isQuick: boolean): EventStoreRow[] {
  const many = isQuick ? 2_000 : 10_000;
  const manyText = many.toLocaleString('en-US');
  return [
    {
      id: 'append-1',
      title: 'append one event with expected version, 1 in flight',
      work: append(1, 1),
      groupOf: 1,
      sqlite: { rate: 6, cpu: APPEND_CPU },
      postgresql: { rate: 3, cpu: APPEND_CPU },
    },
    {
      id: 'append-16',
      title: 'the same, 16 in flight, 16 streams',
      work: append(16, 1),
      groupOf: 16,
      sqlite: { rate: 35, cpu: APPEND_CPU },
      postgresql: { rate: 6, cpu: APPEND_CPU },
    },
    {
      id: 'append-ten',
      title: 'append ten events, 1 in flight',
      work: append(1, 10),
      sqlite: { rate: 5, cpu: APPEND_CPU },
      postgresql: { rate: 3, cpu: APPEND_CPU },
    },
    {
      id: 'load-100',
      title: 'load a stream of 100 events',
      work: { kind: 'load', stream: 'hundred', events: 100, isFolded: false, hasSnapshot: false },
      sqlite: { rate: 4, cpu: 1 / 4 },
      postgresql: { rate: 2.5, cpu: 1 / 2 },
    },
    { id: 'load-many', title: `fold a stream of ${manyText} events`, work: folded(false, many) },
    { id: 'load-snapshot', title: 'the same, where there is one, from a snapshot', work: folded(true, many) },
  ];
}

export const REBUILD_TARGET: RatioTargets = { rate: 5 };
/** Events a second that a projection sees which only counts them. */
export const COUNT_TARGET = 150_000;
/** Of the bare group commit at that depth: enough, where a ratio is missed. */
export const GROUP_SHARE = 0.6;
