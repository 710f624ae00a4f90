/**
 * A store directory on its way from broker to broker. Every visit first shows that all of before is served (records byte by
 * byte, keys, times, offsets, what waited is delivered), then adds a round of work of its own, and at its end that the log
 * below its old end and the configuration are as they were.
 */
import { expect, vi } from 'vitest';
import { PullConsumer } from '../../src/client/pullConsumer.js';
import { verifyStore } from '../../src/store/index.js';
import {
  expectConfigKept,
  expectLogKept,
  expectUntouched,
  readConfig,
  readFiles,
  readLog,
  savedOffsets,
  sizesOf,
} from './directoryFiles.js';
import { type EventsSeen, workOnEvents } from './eventRounds.js';
import { type Acknowledged, type Owed, READERS, receiveOwed, startLoad, workRound } from './rounds.js';
import {
  bodiesIn,
  expectFoundByTag,
  expectFoundByTime,
  expectServes,
  expectWhole,
  missedByKey,
  queueOf,
  readServed,
  type Served,
} from './served.js';
import type { Running, SharedKeys, Site } from './site.js';

/** Acknowledged sends after which a broker under load is killed. */
const LOAD_MIN = 300;
/** Files of `config/` that foldlog leaves to RocketMQ. */
const APACHE_ONLY = ['consumerOrderInfo.json', 'transactionMetrics'];

export class Journey {
  readonly site: Site;
  readonly #keys: SharedKeys;
  #served: Served = new Map();
  #events: EventsSeen | undefined;
  #owed: Owed[] = [];
  readonly #late: Owed[] = [];
  readonly #acknowledged: Acknowledged[] = [];
  /** Offset of the group in each queue of `Plain`. */
  #offsets: number[] = [];

  constructor(site: Site, keys: SharedKeys) {
    this.site = site;
    this.#keys = keys;
  }

  /** Everything that was served at the end of the last visit. */
  get served(): Served {
    return this.#served;
  }

  /**
   * @param end KILL: kill -9 under load
   * @param also further work on the broker that runs
   */
  async visit(
    name: string,
    run: () => Promise<Running>,
    end: 'STOP' | 'KILL',
    also: (running: Running) => Promise<void> = async () => {},
  ): Promise<void> {
    const { store } = this.site;
    const [log, config, ours] = [readLog(store, this.#keys), readConfig(store), readFiles(store, 'foldlog')];
    const running = await run();
    await this.#expectServed(running);
    await receiveOwed(running, this.#owed);
    if (running.kind === 'foldlog') this.#events = await workOnEvents(running, name, this.#events);
    const round = await workRound(running, name);
    await also(running);
    this.#owed = round.owed;
    this.#late.push(...round.late);
    this.#offsets = round.offsets;
    this.#served = await readServed(running, store);
    expectWhole(this.#served);
    for (const { topic, body } of this.#late) expect(bodiesIn(this.#served, topic)).not.toContain(body);
    await (end === 'STOP' ? running.stop() : this.#killUnderLoad(running, name));
    expectLogKept(readLog(store, this.#keys), log);
    const after = readConfig(store);
    expectConfigKept(after, config);
    if (running.kind === 'foldlog') expectUntouched(after.others, config.others, APACHE_ONLY);
    else expectUntouched(readFiles(store, 'foldlog'), ours);
  }

  /** The end of the way: all of before is served, what waited is delivered, and nobody adds anything. */
  async arrive(run: () => Promise<Running>): Promise<void> {
    const running = await run();
    await this.#expectServed(running);
    await receiveOwed(running, this.#owed);
  }

  /** `foldlog store verify` finds no damage, and nothing else but what the last broker leaves on purpose. */
  expectVerified(left: RegExp | undefined): void {
    const { problems } = verifyStore(this.site.store, sizesOf(this.#keys));
    expect(problems.filter(({ kind, file }) => kind === 'DAMAGE' || !left?.test(file))).toEqual([]);
  }

  async #killUnderLoad(running: Running, name: string): Promise<void> {
    // Offsets are saved every so often; what was saved outlives the kill.
    const { store } = this.site;
    const isSaved = () => expect(savedOffsets(store, 'Plain', READERS)).toEqual({ ...this.#offsets });
    await vi.waitFor(isSaved, { timeout: 30_000, interval: 50 });
    const load = await startLoad(running, name);
    await load.reached(LOAD_MIN);
    await running.kill();
    await load.over;
    this.#acknowledged.push(...load.acknowledged);
  }

  async #expectServed(running: Running): Promise<void> {
    const now = await readServed(running, this.site.store);
    expectServes(now, this.#served);
    expectWhole(now);
    await expectFoundByTime(running, now);
    await expectFoundByTag(running, now);
    expect(await missedByKey(running, now)).toEqual([]);
    for (const { topic, queueId, queueOffset, body } of this.#acknowledged) {
      expect(now.get(`${topic}/${queueId}`)?.records.get(queueOffset)?.message.body.toString()).toBe(body);
    }
    const readers = new PullConsumer({ session: running.session, group: READERS });
    for (const [queueId, offset] of this.#offsets.entries()) {
      expect(await readers.committedOffset(queueOf('Plain', queueId))).toBe(offset);
    }
  }
}
