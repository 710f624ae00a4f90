// Runs store and timer on a file system that forgets, from a seed: messages with delivery times, recalls, time that
// passes; then a clean stop, a kill or a loss of power at a random moment, also in the middle of a delivery or a save;
// then the same again. What must hold:
// - every message that was answered, and is still in the timer's topic after a loss of power, is delivered;
// - none before its time, whatever the clock does between two lives;
// - none twice as long as the broker stops cleanly;
// - none whose recall was answered and is still in the log.
// TIMER_RUNS seeds after TIMER_FROM (default 0), or one with TIMER_SEED.
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.js';
import { DelayLevels } from '../../../src/broker/delay/delayLevels.js';
import { TimerRules } from '../../../src/broker/delay/timerRules.js';
import { Timers } from '../../../src/broker/delay/timers.js';
import { MessageIntake } from '../../../src/broker/messageIntake.js';
import { defaultBrokerConfig } from '../../../src/config/brokerConfig.js';
import type { StoredMessage } from '../../../src/protocol/message.js';
import { PROPERTY } from '../../../src/protocol/messageProperties.js';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import { TIMER_TOPIC } from '../../../src/protocol/names.js';
import { MessageStore } from '../../../src/store/messageStore.js';
import { FaultyFiles, randomFrom } from '../../support/faultyFiles.js';
import { ManualClock } from '../../support/manualClock.js';
import { message } from '../../support/storeMessages.js';

const RUNS = Number(process.env.TIMER_RUNS ?? 60);
const FROM = Number(process.env.TIMER_FROM ?? 0);
const ONE_SEED = process.env.TIMER_SEED;
const LIVES = 4;
const DIRECTORY = '/data/store';
const noLock = async () => ({ release: async () => {} });

interface Accepted {
  id: string;
  deliverMillis: number;
  outMillis: number;
  isAnswered: boolean;
  isRecallAnswered: boolean;
}

class Run {
  readonly #random: () => number;
  readonly #isSync: boolean;
  readonly #hasCrashes: boolean;
  readonly accepted: Accepted[] = [];
  files = new FaultyFiles();
  clock = new ManualClock(1_800_000_000_123);
  endings: string[] = [];
  #life: { store: MessageStore; intake: MessageIntake; timers: Timers } | undefined;
  #serial = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    this.#isSync = this.#random() < 0.5;
    this.#hasCrashes = this.#random() < 0.8;
  }

  get isExact(): boolean {
    return !this.#hasCrashes;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  async open(): Promise<void> {
    const { files, clock } = this;
    const config = defaultBrokerConfig({
      storePathRootDir: DIRECTORY,
      mappedFileSizeTimerLog: 1024,
      timerRollWindowSlot: 100,
      timerMaxDelaySec: 400,
    });
    const store = await MessageStore.open({
      directory: DIRECTORY,
      files,
      clock,
      lockDirectory: noLock,
      flushDiskType: this.#isSync ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
      // Rarely: the timer has to see to it that the log is synced before its own files.
      flushIntervalCommitLogMillis: 60_000,
      mappedFileSizeCommitLog: 16_384,
      mappedFileSizeConsumeQueue: 2000,
      maxHashSlotNum: 50,
      maxIndexNum: 2000,
    });
    const timerRules = new TimerRules({ config, clock, countAt: () => 0 });
    const eventTopics = { refusalOf: () => undefined };
    const intake = new MessageIntake({ store, eventTopics, delayLevels: new DelayLevels('1s'), timerRules });
    const timers = new Timers({ config, store, intake, files, clock, logger: silentLogger, slotCount: 1280 });
    timers.open();
    store.onArrival(({ topic }) => {
      if (topic === TIMER_TOPIC) timers.onArrival();
    });
    timers.start();
    this.#life = { store, intake, timers };
  }

  async settle(turns = 25): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  async #step(): Promise<void> {
    const life = this.#life;
    if (!life) return;
    const choice = this.#random();
    if (choice < 0.5) this.#send(life.intake);
    else if (choice < 0.6) this.#recall(life.intake, life.timers);
    else this.clock.advance(this.#random() < 0.5 ? this.#below(3000) : this.#below(40_000));
    if (this.#random() < 0.8) await this.settle(this.#below(25));
  }

  #send(intake: MessageIntake): void {
    const id = `m${++this.#serial}`;
    const delay = this.#random() < 0.5 ? 1 + this.#below(5000) : 1 + this.#below(400_000);
    const deliverMillis = this.clock.now() + delay;
    const properties = { TIMER_DELAY_MS: String(delay), UNIQ_KEY: id };
    const outcome = intake.put(message({ topic: 'T', body: id, properties }));
    if (outcome.status !== 'PUT_OK') return;
    const outMillis = outcome.timerOutMillis ?? 0;
    const sent: Accepted = { id, deliverMillis, outMillis, isAnswered: false, isRecallAnswered: false };
    this.accepted.push(sent);
    outcome.turn.visible.then(
      (visible) => {
        sent.isAnswered = visible === 'VISIBLE';
      },
      () => {},
    );
  }

  #recall(intake: MessageIntake, timers: Timers): void {
    const now = this.clock.now();
    // A clock that was put back lets a message be recalled that was delivered before.
    const delivered = new Set(this.messages('T').map(({ body }) => body.toString()));
    const waiting = this.accepted.filter(
      ({ id, isAnswered, outMillis }) => isAnswered && outMillis + 1 > now && !delivered.has(id),
    );
    const chosen = waiting[this.#below(waiting.length)];
    if (!chosen) return;
    const properties = {
      TIMER_DEL_UNIQKEY: chosen.id,
      UNIQ_KEY: chosen.id,
      TIMER_DELIVER_MS: String(chosen.outMillis + 1),
    };
    const outcome = intake.put(message({ topic: 'T', body: `recall ${chosen.id}`, properties }));
    if (outcome.status !== 'PUT_OK') return;
    outcome.turn.visible.then(
      (visible) => {
        chosen.isRecallAnswered ||= visible === 'VISIBLE' && !timers.isOver(chosen.outMillis);
      },
      () => {},
    );
  }

  async live(): Promise<void> {
    await this.open();
    const steps = 5 + this.#below(25);
    for (let step = 0; step < steps; step += 1) await this.#step();
    const ending = this.#hasCrashes ? (['stop', 'kill', 'crash', 'crash'][this.#below(4)] ?? 'stop') : 'stop';
    this.endings.push(ending);
    if (ending === 'stop') {
      await this.stop();
    } else {
      const { files } = this;
      this.files = ending === 'kill' ? files.kill() : files.crash(this.#random);
      await this.#abandon();
    }
    // Downtime, longer than the wheel reaches at times; now and then the clock was put back.
    const now = this.clock.now();
    const chance = this.#random();
    if (chance < 0.15) this.clock = new ManualClock(now - this.#below(120_000));
    else this.clock = new ManualClock(now + (chance < 0.6 ? this.#below(20_000) : this.#below(3_000_000)));
  }

  /** The old instance is dead: whatever it tries fails, and nobody waits for it. */
  async #abandon(): Promise<void> {
    await this.settle();
    await this.#life?.timers.stop().catch(() => {});
    await this.#life?.store.close().catch(() => {});
    this.#life = undefined;
  }

  async stop(): Promise<void> {
    const life = this.#life;
    await life?.timers.stop();
    await life?.store.close();
    this.#life = undefined;
  }

  /** Lets everything fall due. */
  async finish(): Promise<void> {
    await this.open();
    await this.settle();
    const end = Math.max(0, ...this.accepted.map(({ deliverMillis }) => deliverMillis)) + 20_000;
    while (this.clock.now() < end) {
      this.clock.advance(10_000);
      await this.settle(6);
    }
    await this.settle();
  }

  messages(topic: string): StoredMessage[] {
    const found: StoredMessage[] = [];
    for (let at = 0; ; ) {
      const read = this.#life?.store.readQueue(topic, 0, at, 100, 1_000_000);
      if (!read || read.records.length === 0) return found;
      found.push(...read.records.map((record) => decodeRecord(record)));
      at = read.nextBeginOffset;
    }
  }
}

async function simulate(seed: number): Promise<{ delivered: number; recalled: number; endings: string[] }> {
  const run = new Run(seed);
  for (let life = 0; life < LIVES; life += 1) await run.live();
  await run.finish();
  const facts = `seed ${seed}, ${run.endings.join(' ')}`;
  const waited = new Set(run.messages(TIMER_TOPIC).map(({ body }) => body.toString()));
  const times = new Map<string, number[]>();
  for (const { body, storeTimestamp, properties } of run.messages('T')) {
    const id = body.toString();
    times.set(id, [...(times.get(id) ?? []), storeTimestamp]);
    expect(properties[PROPERTY.REAL_TOPIC], facts).toBe('T');
  }
  let recalled = 0;
  for (const { id, isAnswered, isRecallAnswered, deliverMillis } of run.accepted) {
    const delivered = times.get(id) ?? [];
    for (const at of delivered)
      expect(at, `${facts}: ${id} comes before its time`).toBeGreaterThanOrEqual(deliverMillis);
    if (run.isExact) expect(delivered.length, `${facts}: ${id} comes twice`).toBeLessThanOrEqual(1);
    if (isRecallAnswered && waited.has(`recall ${id}`)) {
      recalled += 1;
      expect(delivered, `${facts}: ${id} was recalled`).toEqual([]);
    } else if (isAnswered && waited.has(id) && !isRecallAnswered && !waited.has(`recall ${id}`)) {
      expect(delivered.length, `${facts}: ${id} is lost`).toBeGreaterThanOrEqual(1);
    }
  }
  expect(
    [...times.keys()].filter((id) => id.startsWith('recall')),
    facts,
  ).toEqual([]);
  await run.stop();
  return { delivered: times.size, recalled, endings: run.endings };
}

describe('timer messages over stops, kills and losses of power', () => {
  it(
    ONE_SEED === undefined ? `hold their promises, ${RUNS} seeds` : `hold their promises, seed ${ONE_SEED}`,
    async () => {
      if (ONE_SEED !== undefined) {
        await simulate(Number(ONE_SEED));
        return;
      }
      const total = { delivered: 0, recalled: 0, endings: new Map<string, number>() };
      for (let seed = FROM; seed < FROM + RUNS; seed += 1) {
        const { delivered, recalled, endings } = await simulate(seed);
        total.delivered += delivered;
        total.recalled += recalled;
        for (const ending of endings) total.endings.set(ending, (total.endings.get(ending) ?? 0) + 1);
      }
      if (RUNS < 20) return;
      expect(total.delivered).toBeGreaterThan(RUNS);
      expect(total.recalled).toBeGreaterThan(0);
      expect([...total.endings.keys()].sort()).toEqual(['crash', 'kill', 'stop']);
    },
    30_000 + RUNS * 1000,
  );
});
