/** What is done to a store while it lives, each step compared with the model at once. */
import { isFoldlogError } from '../../src/base/errors.js';
import type { GuardedAppend, GuardedOutcome, MessageStore, TopicKey, TurnPromises } from '../../src/store/index.js';
import type { FaultyFiles } from '../support/faultyFiles.js';
import { event, message } from '../support/storeMessages.js';
import * as checks from './storeChecks.js';
import { demand, same } from './storeChecks.js';
import type { ExpectedOutcome, ModelRecord, Token } from './storeModel.js';
import type { StoreSimulation } from './storeSimulation.js';

// "Aa" and "BB", "C#" and "Bb" have equal hashes.
export const STREAMS = ['Aa', 'BB', 'C#', 'Bb', 'lone'];
const PLAIN_TOPICS = ['Plain0', 'Plain1'];
const TOPICS_OF_EVENTS = ['Events', 'Events', 'Orders'];
const LIGHT_QUEUES = ['%LMQ%a', '%LMQ%b', '%LMQ%a,%LMQ%b'];
const TOKENS_MAX = 12;
const IDS_MAX = 40;

/** Append ids that were used in any life, with the position their makers knew. */
interface UsedId {
  appendId: string;
  topic: string;
  since: Token | undefined;
}

const usedIds = new WeakMap<StoreSimulation, UsedId[]>();

export class StoreSteps {
  readonly #run: StoreSimulation;
  readonly #store: MessageStore;
  readonly #ids: UsedId[];
  #hasFailed = false;
  readonly #files: FaultyFiles;

  constructor(run: StoreSimulation, store: MessageStore) {
    this.#run = run;
    this.#store = store;
    this.#files = run.disk.files;
    this.#ids = usedIds.get(run) ?? [];
    usedIds.set(run, this.#ids);
  }

  /** Answers that come after the end of this life reach nobody. */
  get #isAlive(): boolean {
    return this.#run.disk.files === this.#files && !this.#files.isDead;
  }

  async live(count: number): Promise<void> {
    const { disk } = this.#run;
    for (let step = 0; step < count && !disk.isDead; step += 1) {
      this.#run.steps += 1;
      try {
        await this.#step();
      } catch (error) {
        if (!this.#run.isRefusal(error)) throw error;
        this.#hasFailed = true;
      }
      if (this.#hasFailed && !disk.isDead) {
        await this.#refuses();
        return;
      }
    }
    if (!disk.isDead && this.#run.chance(0.5)) await this.#run.endTurns();
  }

  async #step(): Promise<void> {
    const run = this.#run;
    run.followRemovals(this.#store);
    const what = run.below(100);
    if (run.isRetaining && run.chance(0.1)) await this.#removeExpired();
    else if (what < 27 || (what < 55 && !run.mayStoreEvents)) this.#appendPlain();
    else if (what < 55) this.#appendGuarded();
    else if (what < 73) await run.endTurns();
    else if (what < 78) await this.#passTime(run.below(3000));
    else if (what < 81) await this.#passTime(12_000);
    else if (what < 83) run.clock.skewMillis += (run.below(3) - 1) * run.below(90_000_000);
    else if (what < 86) this.#syncLog();
    else if (what < 88) this.#holdSyncs();
    else if (what < 90) await this.#fillDisk();
    else if (what < 91) await this.#deleteTopic();
    else if (what < 98) this.#read();
    else await run.settle();
  }

  /** A store that is finished refuses everything, and says why. */
  async #refuses(): Promise<void> {
    this.#run.coverage.count('outcomes', 'STORE_FAILED');
    await this.#run.endTurns();
    for (const action of [
      () => this.#store.append([message({})]),
      () => this.#store.visibleEnd() && this.#store.readRecord(0),
    ]) {
      try {
        action();
      } catch (error) {
        if (this.#run.isRefusal(error)) continue;
        throw error;
      }
      if (!this.#run.disk.isDead) demand(false, 'a finished store refuses');
    }
  }

  async #passTime(millis: number): Promise<void> {
    this.#run.note(`${millis} ms pass`);
    this.#run.clock.advance(millis);
    // Upkeep works in slices between turns.
    for (let turn = 0; turn < 4; turn += 1) await this.#run.endTurns();
  }

  #syncLog(): void {
    const { model, coverage } = this.#run;
    const count = model.records.length;
    this.#run.note(`syncLog of ${count} records`);
    const last = model.records.at(-1);
    this.#store.syncLog().then(
      () => {
        if (!this.#isAlive) return;
        coverage.count('outcomes', 'syncLog');
        // A full disk may have taken the turn under way: then the log ends before what was last.
        if (last !== undefined && model.records[count - 1] !== last) return;
        model.durableCount = Math.max(model.durableCount, count);
      },
      () => {},
    );
  }

  /** Between its slices the store goes on; mostly it comes to its end. */
  async #removeExpired(): Promise<void> {
    const run = this.#run;
    run.clock.skewMillis += run.below(3) * 3_600_000;
    run.note('remove expired files');
    this.#store.deleteExpiredFiles().then(
      (count) => {
        if (this.#isAlive) run.coverage.count('retention', count > 0 ? 'asked for, done' : 'asked for, nothing to do');
      },
      () => {},
    );
    for (let turn = run.below(12); turn > 0 && !run.disk.isDead; turn -= 1) {
      await run.endTurns();
      run.clock.advance(1);
    }
    run.followRemovals(this.#store);
  }

  #holdSyncs(): void {
    const { disk } = this.#run;
    if (disk.isHoldingSyncs) disk.releaseSyncs();
    else disk.isHoldingSyncs = true;
    this.#run.note(disk.isHoldingSyncs ? 'syncs wait' : 'syncs go on');
  }

  async #fillDisk(): Promise<void> {
    const run = this.#run;
    const { disk } = run;
    if (!disk.isFull) {
      const room = run.below(6) * 512;
      run.note(`room for ${room} bytes`);
      disk.fill(room);
      return;
    }
    run.note('there is room again');
    await run.endTurns();
    disk.makeRoom();
    if (disk.isDead || disk.struck !== undefined || this.#hasFailed) return;
    this.#appendPlain();
    demand(this.#store.isWritable, 'with room the store is writable again');
    run.coverage.count('outcomes', 'writable again');
  }

  async #deleteTopic(): Promise<void> {
    const run = this.#run;
    const topic = run.pick([...PLAIN_TOPICS, 'Events', 'Orders']);
    run.note(`delete ${topic}`);
    const end = run.model.end;
    try {
      this.#store.deleteTopic(topic);
      run.coverage.count('outcomes', 'topic deleted');
      await run.settle();
      run.model.deleteTopic(topic);
    } catch (error) {
      const isRoom = isFoldlogError(error) && error.code === 'DISK_FULL';
      if (isRoom) return;
      run.model.doubtfulDeletes.set(topic, end);
      throw error;
    }
  }

  #read(): void {
    const run = this.#run;
    const { model } = run;
    const store = this.#store;
    const name = run.pick(model.keyNames().concat('Events#Aa'));
    const what = run.below(5);
    const [queue = ''] = run.pick([...model.queues()]) ?? [];
    const [topic = 'Events', queueId = '0'] = queue.split('/');
    if (what === 0) checks.checkKey(store, model, name, run.random);
    else if (what === 1) checks.checkQuery(store, model, name);
    else if (what === 2) checks.checkTimes(store, model, topic, Number(queueId), run.clock.now() - run.below(100_000));
    else if (what === 3) checks.checkQueue(store, model, [topic, Number(queueId)], run.below(8), true);
    else {
      const end = store.visibleEnd();
      demand(end.commitLogOffset <= model.end, 'the visible end', end.commitLogOffset, model.end);
      this.#keepToken({ end, isDead: false });
    }
    run.coverage.count('reads', ['by key', 'query', 'by time', 'queue', 'end'][what] ?? '');
  }

  #keepToken(token: Token): Token {
    const { tokens } = this.#run.model;
    tokens.push(token);
    if (tokens.length > TOKENS_MAX) tokens.splice(this.#run.below(tokens.length - 1), 1);
    return token;
  }

  #bodyBytes(): number {
    const run = this.#run;
    return run.below(12) === 0 ? 200 + run.below(700) : run.below(150);
  }

  #appendPlain(): void {
    const run = this.#run;
    const { model, coverage } = run;
    const count = run.below(5) === 0 ? 2 + run.below(3) : 1;
    const topic = run.pick(PLAIN_TOPICS);
    const queueId = run.below(2);
    const messages = Array.from({ length: count }, () => {
      run.serial += 1;
      const keys = run.below(2) === 0 ? [`k${run.below(4)}`] : ['Aa', 'BB'];
      const body = `${run.serial}:`.padEnd(Math.min(this.#bodyBytes(), 1200 / count), 'x');
      const light = run.hasLightQueues && run.chance(0.5) ? run.pick(LIGHT_QUEUES) : undefined;
      const further = light === undefined ? {} : { INNER_MULTI_DISPATCH: light };
      return message({ topic, queueId, body, properties: { KEYS: keys.join(' '), TAGS: 'tag', ...further } });
    });
    const next = model.queue(topic, queueId).length;
    const outcome = this.#store.append(messages);
    run.note(`append ${count} to ${topic}/${queueId}: ${outcome.status}`);
    coverage.count('outcomes', outcome.status === 'PUT_OK' && count > 1 ? 'PUT_OK of a batch' : outcome.status);
    if (outcome.status !== 'PUT_OK') {
      this.#demandNoRoom(outcome);
      return;
    }
    const lightNext = new Map<string, number>();
    const records = messages.map((one, index): ModelRecord => {
      const place = outcome.places[index];
      if (!place) throw new Error('a place is missing');
      demand(
        place.queueOffset === next + index,
        `the queue offset in ${topic}/${queueId}`,
        place.queueOffset,
        next + index,
      );
      return {
        ...{ ...place, topic, body: one.body.toString(), keys: one.properties['KEYS']?.split(' ') ?? [] },
        ...{ version: undefined, appendId: undefined, indexInAppend: 0, appendCount: 1 },
        light: this.#lightPlaces(one.properties['INNER_MULTI_DISPATCH'], lightNext),
        ...{ isWritten: false, isVisible: false, isDeleted: false, bytes: undefined },
      };
    });
    this.#follow(records, outcome.turn);
  }

  #lightPlaces(names: string | undefined, next: Map<string, number>): ModelRecord['light'] {
    return (names?.split(',') ?? []).map((topic) => {
      const queueOffset = next.get(topic) ?? this.#run.model.queue(topic, 0).length;
      next.set(topic, queueOffset + 1);
      return { topic, queueOffset };
    });
  }

  #demandNoRoom(outcome: { status: string; reason?: string }): void {
    const isRoom = outcome.status === 'SERVICE_NOT_AVAILABLE' && outcome.reason?.includes('no room');
    demand(isRoom === true && this.#run.disk.isFull, 'why an append is refused', outcome);
  }

  #appendGuarded(): void {
    const run = this.#run;
    const { model } = run;
    const repeated = run.chance(0.15) && this.#ids.length > 0 ? run.pick(this.#ids) : undefined;
    const topic = repeated?.topic ?? run.pick(TOPICS_OF_EVENTS);
    run.serial += 1;
    const now: Token = { end: this.#store.visibleEnd(), isDead: false };
    const appendId = repeated?.appendId ?? `a${run.serial}`;
    const since = repeated ? repeated.since : run.chance(0.5) ? this.#keepToken(now) : undefined;
    if (!repeated) {
      this.#ids.push({ appendId, topic, since });
      if (this.#ids.length > IDS_MAX) this.#ids.shift();
    }
    const count = run.pick([1, 1, 1, 2, 3, 4]);
    const events = Array.from({ length: count }, (_, index) => {
      const stream = run.pick(STREAMS);
      const more = run.chance(0.3) ? ['all'] : run.chance(0.2) ? [run.pick(STREAMS)] : [];
      const body = `${appendId}/${index}`.padEnd(Math.min(this.#bodyBytes(), 800 / count), 'y');
      return event([stream, ...more.filter((key) => key !== stream)], body, topic, run.below(2));
    });
    const end = run.chance(0.5) ? this.#conditionToken(now) : undefined;
    const append: GuardedAppend = {
      appendId,
      events,
      expectedVersions: this.#expectedVersions(topic, events[0]?.keys[0] ?? ''),
      ...(since ? { appendIdSince: since.end } : {}),
      ...(end ? { condition: { keys: this.#conditionKeys(topic), end: end.end } } : {}),
    };
    const wanted = model.expected({ append, since, end });
    const outcome = this.#store.appendGuarded(append);
    run.note(`guarded ${appendId} of ${count} to ${topic}: ${outcome.status}, wanted ${wanted.status}`);
    this.#compareGuarded(append, outcome, wanted, end);
  }

  /** Mostly the position that a reader has now; else one of before, of a dead end perhaps, or of a generation that never was. */
  #conditionToken(now: Token): Token {
    const run = this.#run;
    const what = run.below(10);
    if (what < 4) return this.#keepToken(now);
    if (what === 4) return { end: { ...now.end, generation: now.end.generation + 1 + run.below(3) }, isDead: true };
    return run.model.tokens.length > 0 ? run.pick(run.model.tokens) : now;
  }

  #conditionKeys(topic: string): TopicKey[] {
    const run = this.#run;
    return Array.from({ length: 1 + run.below(3) }, () => ({
      topic: run.chance(0.8) ? topic : run.pick(PLAIN_TOPICS),
      key: run.pick([...STREAMS, 'all', 'k1']),
    }));
  }

  #expectedVersions(topic: string, first: string): GuardedAppend['expectedVersions'] {
    const run = this.#run;
    return Array.from({ length: run.pick([0, 1, 1, 2]) }, (_, index) => {
      const stream = index === 0 ? first : run.pick(STREAMS);
      const head = run.model.head(topic, stream)?.version ?? 0;
      const right = head === 0 ? ('NO_STREAM' as const) : ('STREAM_EXISTS' as const);
      const wrong = head === 0 ? ('STREAM_EXISTS' as const) : ('NO_STREAM' as const);
      const expected = run.pick([
        head,
        head,
        head,
        head,
        head,
        'ANY' as const,
        right,
        right,
        wrong,
        head + 1,
        head - 1,
      ]);
      return { topic, stream, expected };
    });
  }

  #compareGuarded(
    append: GuardedAppend,
    outcome: GuardedOutcome,
    wanted: ExpectedOutcome,
    token: Token | undefined,
  ): void {
    const { coverage, model } = this.#run;
    const isStale = outcome.status === 'CONDITION_CONFLICT' && token?.isDead;
    coverage.count('outcomes', isStale ? 'CONDITION_CONFLICT of a dead end' : outcome.status);
    if (outcome.status === 'SERVICE_NOT_AVAILABLE') {
      demand(wanted.status === 'APPENDED', 'a guarded append', outcome, wanted);
      this.#demandNoRoom(outcome);
      return;
    }
    demand(outcome.status === wanted.status, 'a guarded append', outcome, wanted);
    if (outcome.status === 'APPENDED' && wanted.status === 'APPENDED') {
      if (token?.end.generation !== undefined && token.end.generation < outcome.generation) {
        coverage.count('outcomes', 'APPENDED on a token of an older generation');
      }
      same(
        'versions',
        outcome.places.map((place) => place.version),
        wanted.versions,
      );
      this.#follow(this.#recordsOf(append, outcome), outcome.turn);
    } else if (outcome.status === 'ALREADY_APPENDED' && wanted.status === 'ALREADY_APPENDED') {
      same(
        'places of before',
        outcome.places.flatMap((place) => [place.commitLogOffset, place.version, place.queueOffset]),
        wanted.records.flatMap((record) => [record.commitLogOffset, record.version, record.queueOffset]),
      );
      this.#restsOn(outcome.turn, wanted.records.at(-1)?.commitLogOffset ?? 0);
    } else if (outcome.status === 'VERSION_CONFLICT' && wanted.status === 'VERSION_CONFLICT') {
      same('a conflict', [outcome.stream, outcome.actual], [wanted.stream, wanted.actual]);
      this.#restsOn(outcome.turn, model.head(outcome.topic, outcome.stream)?.commitLogOffset ?? -1);
    } else if (outcome.status === 'CONDITION_CONFLICT' && wanted.status === 'CONDITION_CONFLICT') {
      same('a conflict', [outcome.key], [wanted.key]);
      if (wanted.restsOn !== undefined) this.#restsOn(outcome.turn, token?.end.commitLogOffset ?? 0);
    }
  }

  #recordsOf(append: GuardedAppend, outcome: Extract<GuardedOutcome, { status: 'APPENDED' | 'ALREADY_APPENDED' }>) {
    const { model } = this.#run;
    const offsets = new Map<number, number>();
    return append.events.map((one, index): ModelRecord => {
      const place = outcome.places[index];
      if (!place) throw new Error('a place is missing');
      const next = offsets.get(one.queueId) ?? model.queue(one.topic, one.queueId).length;
      demand(place.queueOffset === next, `the queue offset in ${one.topic}/${one.queueId}`, place.queueOffset, next);
      offsets.set(one.queueId, next + 1);
      return {
        ...{ ...place, topic: one.topic, body: one.body.toString(), keys: one.keys, appendId: append.appendId },
        ...{ indexInAppend: index, appendCount: append.events.length, light: [] },
        ...{ isWritten: false, isVisible: false, isDeleted: false, bytes: undefined },
      };
    });
  }

  /** New records: where they lie, and what becomes of them. */
  #follow(records: readonly ModelRecord[], turn: TurnPromises): void {
    const run = this.#run;
    const { model, coverage } = run;
    const segmentBytes = run.sizes.mappedFileSizeCommitLog;
    const [first] = records;
    if (!first) throw new Error('nothing was appended');
    let end = model.end;
    const hasRolled = Math.floor(first.commitLogOffset / segmentBytes) !== Math.floor(end / segmentBytes);
    if (hasRolled) end = first.commitLogOffset;
    demand(!hasRolled || first.commitLogOffset % segmentBytes === 0, 'a new segment begins', first.commitLogOffset);
    for (const record of records) {
      demand(record.commitLogOffset === end, 'the place of a record', record.commitLogOffset, end);
      end += record.sizeBytes;
    }
    model.push(records);
    turn.written.then(
      () => {
        if (this.#isAlive) for (const record of records) record.isWritten = true;
      },
      (error: unknown) => {
        if (this.#isAlive && isFoldlogError(error) && error.code === 'DISK_FULL') this.#abandoned(first);
      },
    );
    turn.visible.then(
      (answer) => {
        if (!this.#isAlive) return;
        coverage.count('answers', answer);
        if (answer !== 'VISIBLE') return;
        for (const record of records) record.isVisible = true;
      },
      (error: unknown) => {
        if (this.#isAlive) coverage.count('answers', isFoldlogError(error) ? error.code : 'another error');
        if (isFoldlogError(error) && error.code === 'STORE_FAILED') this.#hasFailed = true;
      },
    );
  }

  /** A full disk took the turn of this record and all after it: nothing of them is stored. */
  #abandoned(first: ModelRecord): void {
    const { model, disk } = this.#run;
    if (!model.records.includes(first)) return;
    demand(disk.isFull || model.records.length > 0, 'a turn is abandoned only without room');
    demand(!first.isWritten, 'what is abandoned was not answered');
    model.cutAt(first.commitLogOffset);
  }

  /** An answer that rests on a record leaves after the record is visible. */
  #restsOn(turn: TurnPromises, commitLogOffset: number): void {
    turn.visible.then(
      (answer) => {
        if (!this.#isAlive || answer !== 'VISIBLE') return;
        const end = this.#store.visibleEnd().commitLogOffset;
        if (end > commitLogOffset) return;
        this.#run.brokenPromise = `an answer rests on ${commitLogOffset}, visible is ${end}`;
      },
      () => {},
    );
  }
}
