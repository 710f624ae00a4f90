/**
 * One run: a store on a simulated disk and clock lives several lives, each ended by a clean stop, a kill, a power loss, a
 * failing device or another program, at a change of the disk that the seed draws; after each the directory is opened
 * again and compared with the model. A run goes on until it did {@link STEPS_MIN} steps over {@link SEGMENTS_MIN}
 * segments. Everything is drawn from the seed: the same seed is the same run.
 */
import { isFoldlogError, messageOf } from '../../src/base/errors.js';
import { isSystemError, nameOf, parentOf } from '../../src/base/files.js';
import type { FlushDiskType } from '../../src/store/index.js';
import { MessageStore, verifyStore } from '../../src/store/index.js';
import { Marks, readSyncedMark } from '../../src/store/recovery/marks.js';
import type { EndFacts, StartFacts } from '../../src/store/recovery/recoveryTables.js';
import { END_TABLE, endRow, START_TABLE, startRow } from '../../src/store/recovery/recoveryTables.js';
import { FaultyFiles, randomFrom } from '../support/faultyFiles.js';
import { ManualClock } from '../support/manualClock.js';
import { AIMS } from './aims.js';
import type { Coverage } from './coverage.js';
import { HEALINGS, INDEX_BUILT_ANEW, RETENTION_LEAVES } from './healings.js';
import { interfere } from './interference.js';
import { type ArmedFault, DIRECTORY, SimulatedDisk } from './simulatedDisk.js';
import * as checks from './storeChecks.js';
import { demand } from './storeChecks.js';
import { EVENT_TOPICS, isKept, type ModelRecord, StoreModel } from './storeModel.js';
import { STREAMS, StoreSteps } from './storeSteps.js';

export const STEPS_MIN = 60;
export const SEGMENTS_MIN = 3;
const LIVES_MAX = 60;
const OPENINGS_MAX = 6;
const ROUNDS_MAX = 2_000;
/** Share of the closed directories that are verified, the last one of each run apart, and of what no life changed lately. */
const VERIFY_CHANCE = 0.3;
const RECHECK_CHANCE = 0.2;
/** Where logs lose their front, the first steps append no events, which would keep it. */
const STEPS_WITHOUT_EVENTS = 40;
const RESERVED_MILLIS = 3_600_000;

export interface SimulatedSizes {
  mappedFileSizeCommitLog: number;
  mappedFileSizeConsumeQueue: number;
  maxHashSlotNum: number;
  maxIndexNum: number;
}

/** How many records an opening must find: promises of a process that was killed hold until the machine loses power. */
interface MustStay {
  afterKill: number;
  afterPowerLoss: number;
}

/** A clock that the machine's owner sets forwards and back between its ticks. */
export class SkewedClock extends ManualClock {
  skewMillis = 0;

  override now(): number {
    return super.now() + this.skewMillis;
  }
}

const noLock = async () => ({ release: async () => {} });

export class StoreSimulation {
  readonly random: () => number;
  readonly coverage: Coverage;
  readonly flushDiskType: FlushDiskType;
  readonly sizes: SimulatedSizes;
  /** Are old log files removed, and are messages in light queues? */
  readonly isRetaining: boolean;
  readonly hasLightQueues: boolean;
  readonly disk: SimulatedDisk;
  readonly model = new StoreModel();
  clock = new SkewedClock();
  /** What was done, for the report of a failure. */
  readonly history: string[] = [];
  steps = 0;
  serial = 0;
  #ends: (() => void)[] = [];
  #skewMillis = 0;
  #generation = 0;
  /** Did another program write here since the last start of ours that was done? */
  #wasChanged = true;
  /** Is the store open? Only then is the oldest log file removed by retention. */
  #isServing = false;
  /** Does the durable mark, as the last opening found it, name index files? */
  #isIndexMarked = false;
  /** The log begins no later than here. */
  #removedUpTo = 0;
  /** So many records were compared by the last start. */
  #comparedCount = 0;

  constructor(seed: number, coverage: Coverage) {
    this.random = randomFrom(seed);
    this.coverage = coverage;
    this.flushDiskType = this.chance(0.55) ? 'SYNC_FLUSH' : 'ASYNC_FLUSH';
    this.sizes = {
      mappedFileSizeCommitLog: this.pick([2048, 4096]),
      mappedFileSizeConsumeQueue: 20 * this.pick([3, 5, 11]),
      maxHashSlotNum: this.pick([7, 130, 257]),
      maxIndexNum: this.pick([8, 20, 45]),
    };
    this.isRetaining = this.chance(0.3);
    this.hasLightQueues = this.chance(0.3);
    const files = new FaultyFiles({ blockBytes: this.pick([512, 1024]), mustSyncDirectories: true });
    // The directory in which the store makes its own was there before.
    files.makeDirectory(parentOf(DIRECTORY));
    files.syncDirectory(parentOf(parentOf(DIRECTORY)));
    this.disk = new SimulatedDisk(files, this.random, coverage);
    this.disk.now = () => this.clock.now();
    this.disk.onOldestRemoved = (file) => {
      if (!this.#isServing) return;
      try {
        this.#watchRemoval(file);
      } catch (error) {
        // Thrown here it would look like a disk that refuses.
        this.brokenPromise ??= messageOf(error);
      }
    };
    this.note(`${this.flushDiskType} ${JSON.stringify(this.sizes)}${this.isRetaining ? ', files are removed' : ''}`);
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<Value>(from: readonly Value[]): Value {
    return from[this.below(from.length)] as Value;
  }

  get mayStoreEvents(): boolean {
    return !this.isRetaining || this.steps >= STEPS_WITHOUT_EVENTS;
  }

  note(what: string): void {
    this.history.push(what);
    if (this.history.length > 60) this.history.shift();
  }

  async run(): Promise<void> {
    let store = await this.#openAgain({ afterKill: 0, afterPowerLoss: 0 });
    for (let life = 0; ; life += 1) {
      demand(life < LIVES_MAX, 'a run comes to its end');
      const isLast =
        this.steps >= STEPS_MIN && this.model.end > (SEGMENTS_MIN - 1) * this.sizes.mappedFileSizeCommitLog;
      // Without faults now and then, so that logs grow.
      const faults = life > 12 ? 0.3 : 1;
      const ending = isLast ? 'CLOSE' : this.#drawEnding(faults);
      const steps = new StoreSteps(this, store);
      if (ending === 'DIE') this.disk.arm(...this.#faultsAt(0.3, AIMS.LIFE, 'DIE'), this.#faultAfter(140, 'DIE'));
      if (ending === 'EIO') this.#armFailure();
      await steps.live(isLast ? 0 : 10 + this.below(60));
      const mustStay = await this.#end(store, ending, isLast);
      const wasClosed = mustStay === undefined;
      if (isLast && ending === 'CLOSE') {
        this.coverage.count('runs', this.flushDiskType);
        return;
      }
      const isChanged = await interfere(this, wasClosed);
      const all = this.model.records.length;
      store = await this.#openAgain(mustStay ?? { afterKill: all, afterPowerLoss: all }, isChanged);
    }
  }

  #drawEnding(faults: number): 'CLOSE' | 'DIE' | 'DIE_BETWEEN' | 'EIO' {
    const what = this.random();
    if (what > faults) return 'CLOSE';
    if (what < 0.5 * faults) return 'DIE';
    if (what < 0.62 * faults) return 'DIE_BETWEEN';
    return what < 0.78 * faults ? 'EIO' : 'CLOSE';
  }

  #armFailure(): void {
    const isSync = this.chance(0.5);
    const after = isSync ? this.below(12) : this.below(60);
    const any: ArmedFault = { after, kind: 'EIO', concerns: (point) => !isSync || point.startsWith('sync ') };
    const atStop = this.#faultsAt(0.3, AIMS.STOP, 'EIO');
    if (atStop.length > 0) this.disk.arm(...atStop);
    else this.disk.arm(...this.#faultsAt(0.4, AIMS.LIFE, 'EIO'), any);
  }

  #faultAfter(limit: number, kind: ArmedFault['kind']): ArmedFault {
    return { after: this.below(limit), kind, concerns: () => true };
  }

  /** One fault or, mostly, none. */
  #faultsAt(probability: number, aims: readonly string[], kind: ArmedFault['kind']): ArmedFault[] {
    if (!this.chance(probability)) return [];
    const aim = this.pick(aims);
    return [{ after: this.chance(0.7) ? 0 : 1, kind, concerns: (point) => point === aim }];
  }

  /** Ends a life; returns what the next one must find, undefined after a clean stop: everything. */
  async #end(store: MessageStore, ending: string, isLast: boolean): Promise<MustStay | undefined> {
    const { disk } = this;
    if (ending !== 'DIE_BETWEEN' && !disk.isDead) {
      // Also in the middle of a stop.
      if (ending === 'DIE') {
        const [aimed = this.#faultAfter(25, 'DIE')] = this.#faultsAt(0.5, AIMS.STOP, 'DIE');
        disk.arm(aimed);
      }
      if (disk.isFull && this.chance(0.7)) disk.makeRoom();
      if (await this.#close(store, isLast)) return undefined;
    }
    this.#isServing = false;
    const { commitLogOffset: visibleEnd } = store.visibleEnd();
    const hadFailure = disk.struck?.startsWith('EIO') === true;
    const how = this.chance(0.5) ? 'KILL' : 'POWER_LOSS';
    const dropsStranded = how === 'KILL' && hadFailure && this.chance(0.5);
    // The wait is over for whoever waited: nothing after this moment is an answer.
    const afterPowerLoss = this.model.mustStay('POWER_LOSS', this.flushDiskType, visibleEnd);
    const isDropped = dropsStranded || how === 'POWER_LOSS';
    const afterKill = isDropped ? afterPowerLoss : this.model.mustStay('KILL', this.flushDiskType, visibleEnd);
    this.note(`${how}${dropsStranded ? ' without failed pages' : ''}${disk.struck ? ` after ${disk.struck}` : ''}`);
    disk.end(how, dropsStranded);
    this.model.start = this.#firstSegment();
    await this.settle();
    return { afterKill, afterPowerLoss };
  }

  /** True when the store stopped cleanly. */
  async #close(store: MessageStore, isWhole: boolean): Promise<boolean> {
    const { disk } = this;
    disk.releaseSyncs();
    this.note('close');
    const wasWritable = store.isWritable;
    let outcome: 'UNDER_WAY' | 'CLOSED' | Error = 'UNDER_WAY';
    store.close().then(
      () => {
        outcome = 'CLOSED';
      },
      (error: Error) => {
        outcome = error;
      },
    );
    for (let rounds = 0; outcome === 'UNDER_WAY'; rounds += 1) {
      demand(rounds < ROUNDS_MAX, 'a stop comes to its end');
      await this.endTurns();
    }
    if (disk.isDead) return false;
    demand(this.clock.pendingCount === 0, 'no timer runs after a stop', this.clock.pendingCount, 0);
    if (disk.struck || disk.isFull || !wasWritable) {
      const hasAbort = disk.files.stat(`${DIRECTORY}/abort`) !== undefined;
      this.coverage.count('stops', hasAbort ? 'without the clean end' : 'clean');
      if (hasAbort) return false;
    } else if ((outcome as unknown) !== 'CLOSED') throw outcome;
    else this.coverage.count('stops', 'clean');
    this.#isServing = false;
    this.model.start = this.#firstSegment();
    if (isWhole || this.chance(VERIFY_CHANCE)) this.#verify();
    disk.end(this.chance(0.5) ? 'KILL' : 'POWER_LOSS');
    return true;
  }

  #verify(): void {
    const { files } = this.disk;
    const report = verifyStore(DIRECTORY, { files, maxHashSlotNum: this.sizes.maxHashSlotNum });
    checks.same(
      'problems of a closed store',
      report.problems.map((one) => JSON.stringify(one)),
      [],
    );
    const wanted = this.model.present().length;
    demand(report.recordCount === wanted, 'records of a closed store', report.recordCount, wanted);
  }

  /** Opens, through further deaths in the middle of recovery if the seed wants them, and compares with the model. */
  async #openAgain({ afterKill, afterPowerLoss }: MustStay, isChanged = false): Promise<MessageStore> {
    const { disk } = this;
    let mustStay = afterKill;
    this.#wasChanged ||= isChanged;
    for (let opening = 0; ; opening += 1) {
      demand(opening < OPENINGS_MAX, 'a store opens');
      if (opening < OPENINGS_MAX - 2 && this.chance(0.35)) {
        const kind = this.chance(0.7) ? 'DIE' : 'EIO';
        const [aimed = this.#faultAfter(30, kind)] = this.#faultsAt(0.45, AIMS.OPENING, kind);
        disk.arm(aimed);
      } else if (opening < OPENINGS_MAX - 2 && this.chance(0.08)) disk.fill(this.below(4) * 512);
      const claimed = this.#claimed();
      const isClean = !isChanged && disk.files.stat(`${DIRECTORY}/abort`) === undefined;
      try {
        const store = await this.open();
        // Only what was met during the opening counts as such.
        disk.arm();
        disk.makeRoom();
        this.coverage.count('openings', 'done');
        // What an opening that was interrupted left between two of our marks looks foreign.
        const isTrusted = store.startKind !== 'UNKNOWN' || this.#wasChanged || opening > 0;
        demand(isTrusted, 'a start after our own end trusts our marks', store.startKind);
        this.#compare(store, mustStay, claimed, isClean);
        this.#isServing = true;
        this.#wasChanged = false;
        return store;
      } catch (error) {
        const isExpected = disk.isDead || disk.struck !== undefined || (disk.isFull && isSystemError(error, 'ENOSPC'));
        if (!isExpected) throw error;
        this.coverage.count('openings', disk.isDead ? 'interrupted' : 'failed');
        const how = this.chance(0.5) ? 'KILL' : 'POWER_LOSS';
        this.note(`${disk.struck ?? 'a full disk'} while opening, then ${how}`);
        const dropsStranded = how === 'KILL' && !disk.isDead && this.chance(0.5);
        disk.end(how, dropsStranded);
        if (how === 'POWER_LOSS' || dropsStranded) mustStay = Math.min(mustStay, afterPowerLoss);
      }
    }
  }

  open(): Promise<MessageStore> {
    this.#skewMillis += this.chance(0.3) ? (this.below(2) * 2 - 1) * this.below(7_200_000) : this.below(100_000);
    this.clock = new SkewedClock(Date.parse('2026-03-01T12:00:00Z'));
    this.clock.skewMillis = this.#skewMillis;
    this.#ends = [];
    return MessageStore.open({
      ...this.sizes,
      directory: DIRECTORY,
      files: this.disk.files,
      clock: this.clock,
      logger: {
        debug: (fields) => this.#hear(fields),
        info: () => {},
        warn: (fields, message) => this.#hearHealing(fields, message),
        error: (fields, message) => this.#hearHealing(fields, message),
      },
      keepsTopic: isKept,
      multiDispatch: this.hasLightQueues,
      retention: {
        deleteWhen: this.isRetaining ? '04' : '',
        fileReservedTimeHours: RESERVED_MILLIS / 3_600_000,
        deleteCommitLogFilesIntervalMillis: 0,
      },
      lockDirectory: noLock,
      atEndOfTurn: (action) => void this.#ends.push(action),
      flushDiskType: this.flushDiskType,
      tailCacheBytes: 8192,
      indexCacheBytes: 65_536,
      openFilesMax: 8,
    });
  }

  /** Recovery tells which rows of its tables it met. */
  #hear(fields: object): void {
    if ('lastWriter' in fields) {
      const row = (START_TABLE as readonly unknown[]).indexOf(startRow(fields as StartFacts));
      this.coverage.count('start rows', `${row + 1}`);
    }
    if ('indexFrom' in fields) {
      const isRestored = fields.indexFrom !== undefined;
      const isFound = isRestored ? 'goes on from its mark' : this.#isIndexMarked ? 'not as marked' : 'without a mark';
      this.coverage.count('index at start', isFound);
    }
    if ('decision' in fields) {
      const facts = fields as unknown as EndFacts;
      const row = (END_TABLE as readonly unknown[]).indexOf(endRow(facts));
      this.coverage.count('end rows', `${row + 1}`);
      this.coverage.count('log ends', `${facts.found} ${facts.position}`);
    }
  }

  /** What the marks on disk promise: the log reaches at least so far. Also looks whether they know the index. */
  #claimed(): number {
    const { files } = this.disk;
    const marks = new Marks(files, DIRECTORY);
    const synced = readSyncedMark(files, marks.fileOf('synced'));
    const derived = marks.read('derived');
    this.#isIndexMarked = derived?.index !== undefined;
    return Math.max(synced?.position ?? 0, derived?.queuesPosition ?? 0, derived?.index?.position ?? 0);
  }

  #compare(store: MessageStore, mustStay: number, claimed: number, isClean: boolean): void {
    const { model } = this;
    const { commitLogOffset: end, generation } = store.visibleEnd();
    this.note(`opened: generation ${generation}, log end ${end} of ${model.end}, ${mustStay} records must be there`);
    demand(end >= claimed || this.isForeignEnd, 'the marks claim no more than is there', end, claimed);
    this.#followStart(store);
    model.voidTokensBeyond(end);
    const kept = model.records.filter((record) => record.commitLogOffset < end).length;
    demand(kept >= mustStay, 'records that must be there', kept, mustStay);
    const before = this.#generation;
    const isKept = isClean && before > 0;
    if (isKept) demand(generation === before, 'a clean start keeps the generation', generation, before);
    else demand(generation > before, 'another start begins a generation', generation, before);
    model.cutAt(end, end);
    const last = model.records.at(-1);
    const isWhole = !last || last.indexInAppend === last.appendCount - 1;
    demand(isWhole, 'an append is there whole or not at all', last?.indexInAppend, last?.appendCount);
    for (const record of model.records) {
      record.isWritten = true;
      record.isVisible = true;
    }
    // Whatever is served after a start is on the device.
    model.durableCount = model.records.length;
    this.#settleDeletes(store);
    this.#compareRecords(store);
    this.#generation = generation;
    this.isForeignEnd = false;
  }

  /** All queues; of log and index what the last life changed, and some of the rest. */
  #compareRecords(store: MessageStore): void {
    const { model } = this;
    const firstNew = Math.min(this.#comparedCount, model.records.length);
    const isDue = (at: number) => at >= firstNew || this.chance(RECHECK_CHANCE);
    checks.checkLog(store, model, isDue);
    checks.checkQueues(store, model);
    const changed = new Set(
      model.records.slice(firstNew).flatMap(({ topic, keys }) => keys.map((key) => `${topic}#${key}`)),
    );
    const isNameDue = (name: string) => changed.has(name) || this.chance(RECHECK_CHANCE);
    for (const name of model.keyNames()) if (isNameDue(name)) checks.checkKey(store, model, name, this.random);
    for (const topic of EVENT_TOPICS) {
      const due = STREAMS.filter((stream) => isNameDue(`${topic}#${stream}`));
      checks.checkHeads(store, model, topic, due);
    }
    checks.checkAppendIds(store, model, isDue);
    this.#comparedCount = model.records.length;
  }

  #firstSegment(): number {
    return Number(this.disk.files.list(`${DIRECTORY}/commitlog`)[0] ?? 0);
  }

  /** Retention removes a file: one that expired, whose records nobody needs and no start will look for. */
  #watchRemoval(file: string): void {
    const start = Number(nameOf(file));
    const end = start + this.sizes.mappedFileSizeCommitLog;
    const ageMillis = this.clock.now() - (this.disk.files.stat(file)?.modifiedMillis ?? 0);
    demand(this.isRetaining && ageMillis >= RESERVED_MILLIS, 'the age of a removed file', ageMillis, RESERVED_MILLIS);
    const kept = this.model.records.find(
      ({ commitLogOffset, topic, isDeleted }) => commitLogOffset < end && isKept(topic) && !isDeleted,
    );
    demand(kept === undefined, 'a removed file holds no events', kept?.commitLogOffset, end);
    const { files } = this.disk;
    const marks = new Marks(files, DIRECTORY);
    const durable = marks.read('derived')?.queuesPosition ?? 0;
    const synced = readSyncedMark(files, marks.fileOf('synced'))?.last?.commitLogOffset ?? 0;
    demand(Math.min(durable, synced) >= end, 'the marks are beyond a removed file', [durable, synced], end);
    this.coverage.count('retention', 'log file removed');
    this.#removedUpTo = Math.max(this.#removedUpTo, end);
  }

  /** Takes over where the log begins. A removal that was the last change before a power loss may be undone. */
  #followStart(store: MessageStore): void {
    const { model } = this;
    const start = store.minCommitLogOffset();
    const segmentBytes = this.sizes.mappedFileSizeCommitLog;
    const isRight = start === this.#removedUpTo || start === Math.max(0, this.#removedUpTo - segmentBytes);
    demand(isRight, 'the start of the log', start, this.#removedUpTo);
    if (start < this.#removedUpTo) this.coverage.count('retention', 'removal undone');
    model.start = start;
    this.#removedUpTo = start;
  }

  /** Retention works between steps. */
  followRemovals(store: MessageStore): void {
    if (this.isRetaining && !this.disk.isDead) this.model.start = store.minCommitLogOffset();
  }

  /** What is derived from the log is right after an end of ours: nothing has to heal, at start or when it is read. */
  #hearHealing(fields: object, message: string): void {
    if (!HEALINGS.includes(message)) return;
    this.coverage.count('healings', message);
    this.note(`${message} ${JSON.stringify(fields)}`);
    // Until there is a mark, the index is compared with the whole log.
    if (message === INDEX_BUILT_ANEW && !this.#isIndexMarked) return;
    // Queues follow the log's start a moment later; where that fell on the start of a file, a start cannot tell whether
    // files before it were lost. The index file that the mark names may have gone as well.
    if (this.isRetaining && RETENTION_LEAVES.includes(message)) return;
    if (!this.#wasChanged) this.brokenPromise ??= `after our own end: ${message} ${JSON.stringify(fields)}`;
  }

  /** What a callback saw that must not be. */
  brokenPromise: string | undefined;
  /** Was another program's end of the log lower than ours? */
  isForeignEnd = false;

  /** A deletion that a failure interrupted is done or not done, as a whole. */
  #settleDeletes(store: MessageStore): void {
    for (const [topic, before] of this.model.doubtfulDeletes) {
      const isInDoubt = (record: ModelRecord) =>
        record.topic === topic && !record.isDeleted && record.commitLogOffset < before;
      const one = this.model.records.findLast(isInDoubt);
      if (!one) continue;
      const key = one.keys[0] ?? '';
      const request = {
        keys: [{ topic, key }],
        direction: 'backwards',
        until: before,
        maxCount: 1,
        maxBytes: 1,
      } as const;
      const [found] = store.readByKeys(request).records;
      const isRemoved = one.commitLogOffset < this.model.start;
      const isThere = isRemoved
        ? store.queueRange(topic, one.queueId).maxOffset > 0
        : found !== undefined && Number(found.readBigInt64BE(28)) === one.commitLogOffset;
      this.coverage.count('interrupted deletions', isThere ? 'not done' : 'done');
      if (!isThere) this.model.deleteTopic(topic, before);
    }
    this.model.doubtfulDeletes.clear();
  }

  /** Lets promises settle. */
  async settle(): Promise<void> {
    for (let count = 0; count < 16; count += 1) await Promise.resolve();
    if (this.brokenPromise) throw new Error(this.brokenPromise);
  }

  async endTurns(): Promise<void> {
    for (const action of this.#ends.splice(0)) action();
    await this.settle();
  }

  /** Is this how a finished store, or one whose process died, refuses? */
  isRefusal(error: unknown): boolean {
    return this.disk.isDead || (isFoldlogError(error) && error.code === 'STORE_FAILED');
  }
}
