/**
 * A store on files in memory whose turns end and whose clock moves when the test says so, for tests of what crashes and
 * failing disks leave: faults strike at named changes, a process is killed or the machine loses power, and the next
 * opening finds what is left.
 */
import type { MessageToStore, TurnPromises } from '../../src/store/index.js';
import { MessageStore, type MessageStoreOptions } from '../../src/store/index.js';
import { type Fault, FaultyFiles } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';
import { message } from '../support/storeMessages.js';

export const DIRECTORY = '/data/store';
export const SEGMENT_BYTES = 4096;

/** Nothing that was not synced is left. */
export const NOTHING = (): number => 0;

export class CrashBench {
  files: FaultyFiles;
  clock = new ManualClock();
  /** What the store said above debug. */
  lines: string[] = [];
  /** What it said of itself for whoever looks closely. */
  facts: object[] = [];
  #ends: (() => void)[] = [];
  #held: (() => void)[] = [];
  /** Syncs of the commit log wait for {@link release}. */
  isHoldingLog = false;

  constructor() {
    this.files = new FaultyFiles({ blockBytes: 512, mustSyncDirectories: true });
    this.files.makeDirectory('/data');
    this.files.syncDirectory('/');
    this.#attach();
  }

  open(more: Partial<MessageStoreOptions> = {}): Promise<MessageStore> {
    this.#ends = [];
    const tell = (_: object, line: string) => void this.lines.push(line);
    return MessageStore.open({
      directory: DIRECTORY,
      files: this.files,
      clock: this.clock,
      logger: { debug: (fields) => void this.facts.push(fields), info: () => {}, warn: tell, error: tell },
      lockDirectory: async () => ({ release: async () => {} }),
      atEndOfTurn: (action) => void this.#ends.push(action),
      mappedFileSizeCommitLog: SEGMENT_BYTES,
      mappedFileSizeConsumeQueue: 200,
      maxHashSlotNum: 11,
      maxIndexNum: 20,
      ...more,
    });
  }

  /** Fails changes of this kind whose file's path holds `part`: all of them, or the first `times`. */
  fail(operation: string, part: string, code: 'EIO' | 'ENOSPC', times = Number.POSITIVE_INFINITY): void {
    this.#strike(operation, part, { kind: 'FAIL', code }, times);
  }

  /** The change is the last thing that the process does not get done. */
  dieAt(operation: string, part: string): void {
    this.#strike(operation, part, { kind: 'DIE' }, 1);
  }

  failNothing(): void {
    this.files.onChange = () => undefined;
  }

  /** The process is gone; the next one finds what is in memory. `dropsFailed`: without the pages that failed syncs left. */
  kill(dropsFailed = false): void {
    this.#take(this.files.kill(dropsFailed));
  }

  losePower(random: () => number = NOTHING): void {
    this.#take(this.files.crash(random));
  }

  exists(name: string): boolean {
    return this.files.stat(`${DIRECTORY}/${name}`) !== undefined;
  }

  async endTurn(): Promise<void> {
    for (const action of this.#ends.splice(0)) action();
    await settle();
  }

  /** In steps of a second, each round of upkeep running to its end or to a sync that is held. */
  async pass(millis: number): Promise<void> {
    for (let left = millis; left > 0; left -= 1000) {
      this.clock.advance(Math.min(left, 1000));
      for (let turn = 0; turn < 6; turn += 1) await this.endTurn();
    }
  }

  async release(): Promise<void> {
    this.isHoldingLog = false;
    for (const go of this.#held.splice(0)) go();
    await settle();
  }

  /** Stops the store; rejects with what its stop throws. */
  async close(store: MessageStore): Promise<void> {
    let isOver = false;
    const closing = store.close().finally(() => {
      isOver = true;
    });
    closing.catch(() => {});
    while (!isOver) await this.endTurn();
    await closing;
  }

  #strike(operation: string, part: string, fault: Fault, times: number): void {
    let left = times;
    this.files.onChange = (found, file) => {
      if (found !== operation || !file.includes(part) || left <= 0) return undefined;
      left -= 1;
      return fault;
    };
  }

  #take(files: FaultyFiles): void {
    this.files = files;
    this.clock = new ManualClock(this.clock.now());
    this.lines = [];
    this.facts = [];
    this.#held = [];
    this.isHoldingLog = false;
    this.#attach();
  }

  #attach(): void {
    this.files.now = () => this.clock.now();
    this.files.beforeSync = (file) => {
      if (!this.isHoldingLog || !file.includes('/commitlog/')) return undefined;
      return new Promise<void>((resolve) => void this.#held.push(resolve));
    };
  }
}

export async function settle(): Promise<void> {
  for (let count = 0; count < 30; count += 1) await Promise.resolve();
}

/** Appends messages that must be taken; their turn. */
export function put(store: MessageStore, ...messages: MessageToStore[]): TurnPromises {
  const outcome = store.append(messages.length > 0 ? messages : [message({})]);
  if (outcome.status !== 'PUT_OK') throw new Error(`${outcome.status}: ${outcome.reason}`);
  outcome.turn.written.catch(() => {});
  outcome.turn.visible.catch(() => {});
  return outcome.turn;
}

/** Messages with a key each: `k-0` … */
export function keyed(count: number, first = 0): MessageToStore[] {
  return Array.from({ length: count }, (_, at) =>
    message({ body: `body ${first + at}`, properties: { KEYS: `k-${first + at}` } }),
  );
}

/** How many of the keys `k-0` … are found, each with its record. */
export function foundKeys(store: MessageStore, count: number): number {
  const isFound = (key: string) =>
    store.readByKeys({ keys: [{ topic: 'Plain', key }], direction: 'forwards', maxCount: 9, maxBytes: 1 << 20 }).records
      .length === 1;
  return Array.from({ length: count }, (_, at) => `k-${at}`).filter(isFound).length;
}
