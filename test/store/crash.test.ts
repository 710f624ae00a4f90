// Runs the store on a file system that forgets, from a seed: random appends, then the process is killed or the machine
// loses power at a random moment, then the directory is opened again. What must hold (invariants I1-I5):
// - what was answered is there: after a kill everything written, after a power loss everything synced;
// - the log is a prefix of what was appended, unchanged; an append is there whole or not at all;
// - queues are dense and point at their records; every key finds exactly its records, versions are dense per stream;
// - an append that was answered is "already appended" when it is repeated, at the same places.
// SIM_RUNS seeds after SIM_FROM (default 0), or one with SIM_SEED.
import { describe, expect, it } from 'vitest';
import { decodeRecord } from '../../src/protocol/messageRecord.js';
import type { FlushDiskType, GuardedOutcome } from '../../src/store/index.js';
import { MessageStore, verifyStore } from '../../src/store/index.js';
import { FaultyFiles, randomFrom } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';
import { event, message } from '../support/storeMessages.js';

const RUNS = Number(process.env.SIM_RUNS ?? 300);
const TIMEOUT_MILLIS = 30_000 + RUNS * 200;
const ONE_SEED = process.env.SIM_SEED;
const LIVES = 4;
const DIRECTORY = '/data/store';
// "Aa" and "BB", "C#" and "Bb" have equal hashes.
const STREAMS = ['Aa', 'BB', 'C#', 'Bb', 'lone'];

const noLock = async () => ({ release: async () => {} });

interface Appended {
  commitLogOffset: number;
  topic: string;
  body: string;
  keys: string[];
  version: number | undefined;
  appendId: string | undefined;
  isWritten: boolean;
  isVisible: boolean;
}

class Run {
  readonly #random: () => number;
  readonly #flushDiskType: FlushDiskType;
  files = new FaultyFiles();
  clock = new ManualClock();
  /** Everything in the log, in order. */
  log: Appended[] = [];
  /** Log end up to which a syncLog was answered. */
  syncedEnd = 0;
  #ends: (() => void)[] = [];
  #serial = 0;
  store: MessageStore | undefined;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    this.#flushDiskType = this.#random() < 0.5 ? 'SYNC_FLUSH' : 'ASYNC_FLUSH';
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  async open(): Promise<MessageStore> {
    this.clock = new ManualClock();
    this.clock.advance(this.#below(10_000_000));
    this.#ends = [];
    this.store = await MessageStore.open({
      directory: DIRECTORY,
      files: this.files,
      clock: this.clock,
      lockDirectory: noLock,
      atEndOfTurn: (action) => void this.#ends.push(action),
      flushDiskType: this.#flushDiskType,
      mappedFileSizeCommitLog: 4096,
      mappedFileSizeConsumeQueue: 200,
      maxHashSlotNum: 7,
      maxIndexNum: 20,
      tailCacheBytes: 8192,
      openFilesMax: 8,
    });
    return this.store;
  }

  async #settle(): Promise<void> {
    for (let count = 0; count < 20; count += 1) await Promise.resolve();
  }

  async #endTurns(): Promise<void> {
    for (const action of this.#ends.splice(0)) action();
    await this.#settle();
  }

  async close(store: MessageStore): Promise<void> {
    let isClosed = false;
    const closing = store.close().finally(() => {
      isClosed = true;
    });
    while (!isClosed) await this.#endTurns();
    await closing;
  }

  async live(store: MessageStore): Promise<void> {
    for (let step = 5 + this.#below(40); step > 0; step -= 1) {
      const what = this.#below(100);
      if (what < 30) this.#appendPlain(store);
      else if (what < 65) this.#appendGuarded(store);
      else if (what < 85) await this.#endTurns();
      else if (what < 92) {
        this.clock.advance(this.#below(3000));
        await this.#endTurns();
      } else if (what < 94) {
        this.clock.advance(12_000);
        for (let count = 0; count < 5; count += 1) await this.#endTurns();
      } else if (what < 97) {
        const end = this.log.at(-1);
        await store.syncLog();
        this.syncedEnd = Math.max(this.syncedEnd, end ? end.commitLogOffset + 1 : 0);
      } else await this.#settle();
    }
  }

  #appendPlain(store: MessageStore): void {
    const count = this.#below(5) === 0 ? 3 : 1;
    const topic = `Plain${this.#below(3)}`;
    const queueId = this.#below(2);
    const messages = Array.from({ length: count }, () => {
      this.#serial += 1;
      const keys = this.#below(2) === 0 ? [`k${this.#below(4)}`] : ['Aa', 'BB'];
      const body = `${this.#serial}:`.padEnd(this.#below(20) === 0 ? 900 : this.#below(200), 'x');
      return message({ topic, queueId, body, properties: { KEYS: keys.join(' '), TAGS: 'tag' } });
    });
    const outcome = store.append(messages);
    if (outcome.status !== 'PUT_OK') throw new Error(outcome.reason);
    this.#follow(
      messages.map((one, index) => ({
        commitLogOffset: outcome.places[index]!.commitLogOffset,
        topic,
        body: one.body.toString(),
        keys: one.properties.KEYS!.split(' '),
        version: undefined,
        appendId: undefined,
        isWritten: false,
        isVisible: false,
      })),
      outcome.turn,
    );
  }

  #appendGuarded(store: MessageStore): void {
    const count = 1 + this.#below(3);
    this.#serial += 1;
    const appendId = `a${this.#serial}`;
    const events = Array.from({ length: count }, (_, index) => {
      const stream = STREAMS[this.#below(STREAMS.length)]!;
      const more = this.#below(3) === 0 ? ['all'] : [];
      return event([stream, ...more], `${appendId}/${index}`.padEnd(this.#below(150), 'y'));
    });
    const stream = events[0]!.keys[0];
    const head = this.log.findLast((one) => one.keys[0] === stream && one.version !== undefined)?.version ?? 0;
    const expected = this.#below(4) === 0 ? head + 1 : head;
    const outcome = store.appendGuarded({
      appendId,
      events,
      expectedVersions: [{ topic: 'Events', stream, expected }],
    });
    if (expected !== head) {
      expect(outcome).toMatchObject({ status: 'VERSION_CONFLICT', actual: head });
      return;
    }
    if (outcome.status !== 'APPENDED') throw new Error(JSON.stringify(outcome));
    this.#follow(
      events.map((one, index) => ({
        commitLogOffset: outcome.places[index]!.commitLogOffset,
        topic: 'Events',
        body: one.body.toString(),
        keys: [...one.keys],
        version: outcome.places[index]!.version,
        appendId,
        isWritten: false,
        isVisible: false,
      })),
      outcome.turn,
    );
  }

  #follow(appended: Appended[], turn: { written: Promise<void>; visible: Promise<string> }): void {
    this.log.push(...appended);
    const mark = (field: 'isWritten' | 'isVisible') => () => {
      for (const one of appended) one[field] = true;
    };
    void turn.written.then(mark('isWritten'));
    void turn.visible.then(mark('isVisible'));
  }

  /** The process or the machine goes; returns how many records of the log must still be there. */
  async die(): Promise<number> {
    const isKill = this.#below(2) === 0;
    const mustStay = this.log.findLastIndex((one) => {
      if (isKill) return one.isWritten;
      return this.#flushDiskType === 'SYNC_FLUSH' ? one.isVisible : one.commitLogOffset < this.syncedEnd;
    });
    this.files = isKill ? this.files.kill() : this.files.crash(this.#random);
    await this.#settle();
    return mustStay + 1;
  }

  check(store: MessageStore, mustStay: number): void {
    const end = store.visibleEnd().commitLogOffset;
    const kept = this.log.filter((one) => one.commitLogOffset < end);
    expect(kept.length).toBeGreaterThanOrEqual(mustStay);
    // An append is there whole or not at all.
    const cut = this.log[kept.length];
    if (cut?.appendId) expect(kept.at(-1)?.appendId).not.toBe(cut.appendId);
    this.log = kept;
    this.syncedEnd = Math.min(this.syncedEnd, end);
    for (const one of kept) {
      const bytes = store.readRecord(one.commitLogOffset);
      if (!bytes) throw new Error(`the record at ${one.commitLogOffset} is not there`);
      const record = decodeRecord(bytes);
      same([record.topic, record.body.toString()], [one.topic, one.body]);
      one.isWritten = true;
      one.isVisible = true;
    }
    this.#checkQueues(store);
    this.#checkKeys(store);
  }

  #checkQueues(store: MessageStore): void {
    let count = 0;
    for (const [topic, queueIds] of store.queues()) {
      for (const queueId of queueIds) {
        const { minOffset, maxOffset } = store.queueRange(topic, queueId);
        expect(minOffset).toBe(0);
        for (let offset = 0; offset < maxOffset; ) {
          const read = store.readQueue(topic, queueId, offset, 100, 1 << 20);
          expect(read.status).toBe('FOUND');
          for (const bytes of read.records) {
            const record = decodeRecord(bytes);
            same([record.topic, record.queueId, record.queueOffset], [topic, queueId, offset]);
            offset += 1;
            count += 1;
          }
        }
      }
    }
    expect(count).toBe(this.log.length);
  }

  #checkKeys(store: MessageStore): void {
    const names = new Set(this.log.flatMap((one) => one.keys.map((key) => `${one.topic}/${key}`)));
    for (const name of names) {
      const [topic = '', key = ''] = name.split('/');
      const found = store.readByKeys({
        keys: [{ topic, key }],
        direction: 'forwards',
        maxCount: 10_000,
        maxBytes: 1 << 30,
      });
      const wanted = this.log.filter((one) => one.topic === topic && one.keys.includes(key));
      same(
        found.records.map((bytes) => decodeRecord(bytes).commitLogOffset),
        wanted.map((one) => one.commitLogOffset),
      );
    }
    for (const stream of STREAMS) {
      const versions = this.log.filter((one) => one.version && one.keys[0] === stream).map((one) => one.version);
      same(
        versions,
        versions.map((_, index) => index + 1),
      );
    }
  }

  checkRepeats(store: MessageStore): void {
    for (const appendId of new Set(this.log.flatMap((one) => one.appendId ?? []))) {
      const of = this.log.filter((one) => one.appendId === appendId);
      const outcome: GuardedOutcome = store.appendGuarded({
        appendId,
        events: of.map((one) => event(one.keys, 'repeated')),
        expectedVersions: [{ topic: 'Events', stream: 'never', expected: 'STREAM_EXISTS' }],
      });
      if (outcome.status !== 'ALREADY_APPENDED') throw new Error(`${appendId}: ${JSON.stringify(outcome)}`);
      same(
        outcome.places.map(({ commitLogOffset, version }) => [commitLogOffset, version]),
        of.map((one) => [one.commitLogOffset, one.version]),
      );
    }
  }

  get random(): () => number {
    return this.#random;
  }
}

/** The runner's own comparison costs more than the store. */
function same(found: readonly unknown[], wanted: readonly unknown[]): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) expect(found).toEqual(wanted);
}

async function simulate(seed: number): Promise<void> {
  const run = new Run(seed);
  let store = await run.open();
  for (let life = 0; life < LIVES; life += 1) {
    await run.live(store);
    if (run.random() < 0.2) {
      await run.close(store);
      expect(verifyStore(DIRECTORY, { files: run.files, maxHashSlotNum: 7 }).problems).toEqual([]);
      run.files = run.random() < 0.5 ? run.files.kill() : run.files.crash(run.random);
      const { generation } = store.visibleEnd();
      const all = run.log.length;
      store = await run.open();
      expect(store.visibleEnd().generation).toBe(generation);
      run.check(store, all);
    } else {
      const mustStay = await run.die();
      // Recovery itself may be interrupted as well: what it did so far is lost in part.
      if (run.random() < 0.3) {
        await run.open();
        run.files = run.random() < 0.5 ? run.files.kill() : run.files.crash(run.random);
      }
      store = await run.open();
      run.check(store, mustStay);
    }
    run.checkRepeats(store);
  }
}

describe('a store that is killed or loses power at random', () => {
  const seeds =
    ONE_SEED === undefined
      ? Array.from({ length: RUNS }, (_, index) => index + 1 + Number(process.env.SIM_FROM ?? 0))
      : [Number(ONE_SEED)];

  it(
    `keeps its promises (${seeds.length} seeds)`,
    async () => {
      for (const seed of seeds) {
        try {
          await simulate(seed);
        } catch (error) {
          throw new Error(`SIM_SEED=${seed} repeats this`, { cause: error });
        }
      }
    },
    TIMEOUT_MILLIS,
  );
});
