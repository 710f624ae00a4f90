/** What event stores are compared by: the same work on each, and what a sample of it took. */

export interface AppendWork {
  kind: 'append';
  /** Streams are called by this and a number, so that each sample has its own. */
  prefix: string;
  streams: number;
  /** Callers that each wait for their answer; each has streams of its own. */
  inFlight: number;
  eventsEach: number;
}

export interface LoadWork {
  kind: 'load';
  /** Filled before; see {@link ComparedStore.fill}. */
  stream: string;
  events: number;
  /** Folded into a state; else the events are read as a list. */
  isFolded: boolean;
  /** From a snapshot where the store has them. */
  hasSnapshot: boolean;
}

/** A store with the events of one kind of order in it. */
export interface ComparedStore {
  /** Does the work for so long; how often it was done. Each append expects the version that its stream has. */
  append(work: AppendWork, millis: number): Promise<number>;
  /** The same; each load begins at the log, not at what was remembered of the one before. */
  load(work: LoadWork, millis: number): Promise<number>;
  /** A stream of so many events, once. */
  fill(work: LoadWork): Promise<void>;
  /** A log of its own with so many events in streams of 100, once. */
  fillLog(events: number): Promise<void>;
  /** A sum per customer over the whole log, into a table that is made for it. */
  rebuild(events: number): Promise<void>;
  /** Process ids of servers that work for it. */
  readonly serverPids?: () => readonly number[];
  close(): Promise<void>;
}

export interface Sample {
  count: number;
  millis: number;
  /** User and system, of the process and of servers that work for it. */
  cpuMillis: number;
}

export const CUSTOMERS = 100;
export const LOG_STREAM_EVENTS = 100;

/** What an event says. */
export const fieldsOf = (serial: number) => ({
  customer: `c-${serial % CUSTOMERS}`,
  cents: 100 + (serial % 900),
  note: 'to be left with the neighbours',
});

/** Runs callers until the time is over; how often `once` was done. */
export async function forMillis(
  millis: number,
  callers: number,
  once: (caller: number, turn: number) => Promise<void>,
): Promise<number> {
  const end = performance.now() + millis;
  let count = 0;
  const call = async (caller: number) => {
    for (let turn = 0; performance.now() < end; turn += 1) {
      await once(caller, turn);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  return count;
}

/** The stream of a caller's turn: callers share none. */
export function streamOf({ prefix, streams, inFlight }: AppendWork, caller: number, turn: number): string {
  const own = Math.floor(streams / inFlight);
  return `${prefix}-${caller * own + (turn % own)}`;
}
