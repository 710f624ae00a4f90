// Runs transactions on a file system that forgets, from a seed: half messages, ends, repeated and contrary ends, checks;
// then the process is killed or the machine loses power at a random moment, and the directory is opened again. What must
// hold: a message is never delivered twice, whatever is repeated; what was answered stays so (after a power loss: under
// SYNC_FLUSH); and once producers have answered, every message is there exactly as its producer decided.
// TRANSACTION_RUNS seeds after SIM_FROM (default 0), or one with SIM_SEED.
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.js';
import { BrokerIdentity } from '../../../src/broker/brokerIdentity.js';
import { ConnectedClients } from '../../../src/broker/connectedClients.js';
import { ConsumerOffsets } from '../../../src/broker/consumerOffsets.js';
import { DelayLevels } from '../../../src/broker/delay/delayLevels.js';
import { TimerRules } from '../../../src/broker/delay/timerRules.js';
import { EventTopics } from '../../../src/broker/eventTopics.js';
import { MessageIntake } from '../../../src/broker/messageIntake.js';
import { PersistedTable } from '../../../src/broker/persistedTable.js';
import { endTransactionRows } from '../../../src/broker/processors/endTransaction.js';
import { Topics } from '../../../src/broker/topics.js';
import { Transactions } from '../../../src/broker/transactions/transactions.js';
import { defaultBrokerConfig } from '../../../src/config/brokerConfig.js';
import { checkTransactionStateHeader } from '../../../src/protocol/headers/messaging.js';
import { PROPERTY } from '../../../src/protocol/messageProperties.js';
import { decodeRecord } from '../../../src/protocol/messageRecord.js';
import { requestCommand } from '../../../src/protocol/remotingCommand.js';
import { REQUEST_CODE } from '../../../src/protocol/requestCodes.js';
import type { Peer, ProcessorRow } from '../../../src/remoting/processor.js';
import { MessageStore } from '../../../src/store/messageStore.js';
import { FaultyFiles, randomFrom } from '../../support/faultyFiles.js';
import { ManualClock } from '../../support/manualClock.js';
import { message } from '../../support/storeMessages.js';
import { COMMIT, HALF, ROLLBACK, settle } from './transactionClient.js';

const RUNS = Number(process.env.TRANSACTION_RUNS ?? 12);
const FROM = Number(process.env.SIM_FROM ?? 0);
const ONE_SEED = process.env.SIM_SEED;
const LIVES = 5;
const DIRECTORY = '/data/store';
const GROUP = 'TG';
const TOPIC = 'T';
const ROUND_MILLIS = 30_000;

const noLock = async () => ({ release: async () => {} });

/** How often each thing was met over all runs: none may be 0. */
const met = { kill: 0, powerLoss: 0, cleanStop: 0, commit: 0, rollback: 0, contrary: 0, asked: 0 };

interface Model {
  key: string;
  decision: typeof COMMIT | typeof ROLLBACK;
  place: { commitLogOffset: number; queueOffset: number };
  /** The half message was answered. */
  isPrepared: boolean;
  /** The end was answered with success. */
  isEnded: boolean;
}

interface Question {
  key: string;
  place: { commitLogOffset: number; queueOffset: number };
}

interface Opened {
  intake: MessageIntake;
  offsets: ConsumerOffsets;
  store: MessageStore;
  transactions: Transactions;
  forget: () => void;
  row: ProcessorRow;
}

class Run {
  readonly random: () => number;
  readonly flushDiskType: 'SYNC_FLUSH' | 'ASYNC_FLUSH';
  readonly transactions: Model[] = [];
  files = new FaultyFiles();
  clock = new ManualClock();
  /** Power was lost while nothing promised that answers survive it: the model only knows upper bounds then. */
  mayHaveForgotten = false;
  #questions: Question[] = [];
  #parts: Opened | undefined;

  constructor(seed: number) {
    this.random = randomFrom(seed);
    this.flushDiskType = this.random() < 0.6 ? 'SYNC_FLUSH' : 'ASYNC_FLUSH';
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  async open(): Promise<void> {
    const { files } = this;
    // Time goes on over restarts.
    const clock = new ManualClock(this.clock.now() + 1000);
    this.clock = clock;
    this.#questions = [];
    const logger = silentLogger;
    const config = defaultBrokerConfig({
      storePathRootDir: DIRECTORY,
      transactionCheckMax: 1000,
      transactionOpMsgMaxSize: 12,
    });
    const store = await MessageStore.open({
      directory: DIRECTORY,
      files,
      clock,
      lockDirectory: noLock,
      flushDiskType: this.flushDiskType,
      mappedFileSizeCommitLog: 64 * 1024,
      mappedFileSizeConsumeQueue: 20 * 50,
      maxHashSlotNum: 50,
      maxIndexNum: 200,
    });
    const tableOf = (name: string) => new PersistedTable({ file: `${DIRECTORY}/config/${name}`, files, logger });
    const announce = () => Promise.resolve();
    const topics = new Topics({ config, delayLevelCount: 18, table: tableOf('topics.json'), clock, logger, announce });
    const offsets = new ConsumerOffsets({
      table: tableOf('consumerOffset.json'),
      store,
      clock,
      logger,
      versionStep: 500,
    });
    const eventTopics = new EventTopics({
      topics,
      store,
      config: { autoCreateTopicEnable: true },
      isDelayedFor: () => false,
    });
    const intake = new MessageIntake({
      store,
      eventTopics,
      delayLevels: new DelayLevels(config.messageDelayLevel),
      timerRules: new TimerRules({ config, clock, countAt: () => 0 }),
    });
    const clients = new ConnectedClients({ clock, logger, isNotified: () => false, channelExpiredMillis: 120_000 });
    clients.registerProducer(GROUP, { clientId: 'c', language: 'JAVA', version: 0 }, this.#peer());
    const identity = new BrokerIdentity({ clusterName: 'C', brokerName: 'b', host: '127.0.0.1' });
    identity.listensOn(10911);
    const parts = { config, store, intake, offsets, topics, clients, identity, clock, logger };
    const transactions = new Transactions(parts);
    await transactions.load();
    const forget = store.onArrival(({ topic }) => {
      if (topic === HALF) transactions.onArrival();
    });
    transactions.start();
    const [row] = endTransactionRows({ store, transactionEnds: transactions.ends, clock, config });
    this.#parts = { intake, offsets, store, transactions, forget, row: row! };
  }

  /** A producer of the group as the broker sees it. */
  #peer(): Peer {
    return {
      id: 'producer',
      address: { host: '127.0.0.1', port: 1 },
      packedHost: Buffer.alloc(8),
      isOpen: true,
      invoke: () => Promise.reject(new Error('nothing is asked and waited for')),
      notify: (command) => {
        const header = checkTransactionStateHeader.decode(command.extFields);
        const { commitLogOffset, tranStateTableOffset: queueOffset } = header;
        const key = decodeRecord(command.body).properties[PROPERTY.UNIQ_KEY]!;
        met.asked += 1;
        this.#questions.push({ key, place: { commitLogOffset, queueOffset } });
      },
      onClose: () => () => {},
      close: () => {},
    };
  }

  async prepare(): Promise<void> {
    const { intake } = this.#parts!;
    const key = `key-${this.transactions.length}`;
    const properties = { UNIQ_KEY: key, TRAN_MSG: 'true', PGROUP: GROUP, KEYS: 'k' };
    const half = { ...message({ topic: TOPIC, body: key, properties, sysFlag: 4 }), bornTimestamp: this.clock.now() };
    const outcome = intake.put(half);
    if (outcome.status !== 'PUT_OK') throw new Error(outcome.remark);
    const [place] = outcome.places;
    const decision = this.random() < 0.6 ? COMMIT : ROLLBACK;
    const model: Model = { key, decision, place: place!, isPrepared: false, isEnded: false };
    this.transactions.push(model);
    await outcome.turn.visible;
    model.isPrepared = true;
  }

  async end(model: Model, place: Question['place'], end: number, isAsked = false): Promise<void> {
    const { row } = this.#parts!;
    const extFields = {
      producerGroup: GROUP,
      tranStateTableOffset: String(place.queueOffset),
      commitLogOffset: String(place.commitLogOffset),
      commitOrRollback: String(end),
      fromTransactionCheck: String(isAsked),
      msgId: model.key,
      transactionId: model.key,
    };
    const command = requestCommand(REQUEST_CODE.END_TRANSACTION, extFields);
    const header = row.header.decode(extFields);
    const { code } = await row.handle({ header, command, body: Buffer.alloc(0), peer: this.#peer() });
    if (code !== 0) return;
    if (end === model.decision) {
      if (end === COMMIT) met.commit += 1;
      else met.rollback += 1;
      model.isEnded = true;
    } else if (!this.mayHaveForgotten) {
      throw new Error(`${model.key}: an end against the decision was accepted`);
    }
  }

  /** Answers what was asked; contrary answers only where the first end was answered already. */
  answer(): Promise<void>[] {
    return this.#questions.splice(0).map(({ key, place }) => {
      const model = this.transactions.find((one) => one.key === key)!;
      return this.end(model, place, model.decision, true);
    });
  }

  async step(): Promise<Promise<void> | undefined> {
    const what = this.below(100);
    const open = this.transactions.filter(({ isPrepared }) => isPrepared);
    const some = open[this.below(Math.max(1, open.length))];
    if (what < 30) return this.prepare();
    if (what < 60 && some) return this.end(some, some.place, some.decision);
    if (what < 68 && some?.isEnded && !this.mayHaveForgotten) {
      met.contrary += 1;
      return this.end(some, some.place, some.decision === COMMIT ? ROLLBACK : COMMIT);
    }
    if (what < 78) return void (await settle(1 + this.below(4)));
    if (what < 84) return void this.clock.advance(3000);
    if (what < 92) {
      this.clock.advance(ROUND_MILLIS);
      return void (await settle(this.below(8)));
    }
    if (what < 96) return Promise.all(this.answer()).then(() => {});
    return this.#parts!.offsets.flush();
  }

  async live(): Promise<void> {
    const under: Promise<void>[] = [];
    for (let left = 10 + this.below(40); left > 0; left -= 1) {
      const pending = this.step();
      under.push(pending.then((inner) => inner).catch((thrown: Error) => this.#expected(thrown)));
      if (this.random() < 0.5) await settle(1);
    }
    const how = this.below(3);
    if (how === 0) {
      met.cleanStop += 1;
      await Promise.all(under);
      await this.stop();
    } else if (how === 1) {
      met.kill += 1;
      this.files = this.files.kill();
    } else {
      met.powerLoss += 1;
      this.files = this.files.crash(this.random);
      if (this.flushDiskType === 'ASYNC_FLUSH') this.mayHaveForgotten = true;
    }
    // Whatever is still under way belongs to a process that is gone.
    this.#isGone = true;
    await settle(3);
    this.#isGone = false;
    if (this.#failure) throw this.#failure;
  }

  #isGone = false;
  #failure: Error | undefined;

  #expected(thrown: Error): void {
    if (thrown.message.includes('against the decision')) this.#failure ??= thrown;
    else if (!this.#isGone) this.#failure ??= thrown;
  }

  async stop(): Promise<void> {
    const { transactions, offsets, store, forget } = this.#parts!;
    forget();
    await transactions.stop();
    await offsets.flush();
    await offsets.flush();
    await store.close();
    expect(this.clock.pendingCount).toBe(0);
  }

  delivered(): string[] {
    const { store } = this.#parts!;
    const keys: string[] = [];
    for (let at = 0; ; ) {
      const read = store.readQueue(TOPIC, 0, at, 64, 1 << 20);
      if (read.records.length === 0) return keys;
      keys.push(...read.records.map((record) => decodeRecord(record).properties[PROPERTY.UNIQ_KEY]!));
      at = read.nextBeginOffset;
    }
  }

  check(): void {
    const delivered = this.delivered();
    expect(delivered, 'delivered once').toEqual([...new Set(delivered)]);
    for (const { key, decision, isEnded } of this.transactions) {
      if (decision === ROLLBACK) expect(delivered, `${key} was rolled back`).not.toContain(key);
      else if (isEnded && !this.mayHaveForgotten) expect(delivered, `${key} was committed`).toContain(key);
    }
  }

  /** Producers answer until nothing is open. */
  async drain(): Promise<void> {
    const { store, offsets } = this.#parts!;
    for (let rounds = 0; rounds < 6; rounds += 1) {
      this.clock.advance(ROUND_MILLIS);
      await settle(60);
      await Promise.all(this.answer());
    }
    this.clock.advance(ROUND_MILLIS);
    await settle(30);
    expect(this.#questions).toEqual([]);
    expect(offsets.query('CID_RMQ_SYS_TRANS', HALF, 0) ?? 0).toBe(store.queueRange(HALF, 0).maxOffset);
    const delivered = this.delivered();
    for (const { key, decision, isPrepared } of this.transactions) {
      if (decision === COMMIT && isPrepared && !this.mayHaveForgotten) expect(delivered, key).toContain(key);
    }
  }
}

async function run(seed: number): Promise<void> {
  const one = new Run(seed);
  for (let life = 0; life < LIVES; life += 1) {
    await one.open();
    one.check();
    await one.live();
  }
  await one.open();
  one.check();
  await one.drain();
  one.check();
  await one.stop();
}

describe('transactions that are interrupted anywhere', () => {
  const seeds = ONE_SEED === undefined ? Array.from({ length: RUNS }, (_, at) => FROM + at) : [Number(ONE_SEED)];

  it(`end as their producers decided, once (${seeds.length} seeds)`, { timeout: 30_000 + RUNS * 2000 }, async () => {
    for (const seed of seeds) {
      await run(seed).catch((thrown: unknown) => {
        throw new Error(`SIM_SEED=${seed}: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
      });
    }
    if (seeds.length > 5) expect(Object.entries(met).filter(([, count]) => count === 0)).toEqual([]);
  });
});
