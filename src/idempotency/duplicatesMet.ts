/**
 * What the guards met of duplicates in this process: deliveries that were dropped because their effect had been done.
 * Counted by group; of the keys met last it is kept where each copy lay, so that one sees whether a message was
 * delivered again (one place, several times) or stored again (several places). Every list here is bounded.
 *
 * Each group has a line in the log for its first duplicate, then at most one a minute with how many there were.
 */
import { type Clock, systemClock, type Timer } from '../base/clock.js';
import type { QueueOffset } from '../base/flavours.js';
import { type Logger, silentLogger } from '../base/logger.js';

/** Where a delivered message lies in the log. */
export interface CopyPlace {
  topic: string;
  brokerName: string;
  queueId: number;
  queueOffset: QueueOffset;
}

/** A place from which the effect was delivered again. */
export interface DuplicateCopy extends CopyPlace {
  /** How often it was delivered from there and dropped. */
  count: number;
}

/** The duplicates of one effect. */
export interface DuplicateKey {
  /** As the guard has it: the event id, or `method/key`; cut after 256 characters. */
  key: string;
  count: number;
  firstAt: Date;
  lastAt: Date;
  /** The first ten places. None for effects that no message caused. */
  copies: DuplicateCopy[];
}

/** The duplicates that a group met since the application was started. */
export interface DuplicatesOfGroup {
  group: string;
  count: number;
  /** The 100 keys met last, the last one first. */
  keys: DuplicateKey[];
}

const KEYS_MAX = 100;
const COPIES_MAX = 10;
const KEY_LENGTH_MAX = 256;
/** Groups beyond these are counted as one, named `…`. */
const GROUPS_MAX = 200;
const REST = '…';
const LOG_PERIOD_MILLIS = 60_000;

interface MetGroup {
  count: number;
  /** In the order of their last duplicate. */
  keys: Map<string, DuplicateKey>;
  /** Not in the log yet. */
  unsaid: number;
  timer: Timer | undefined;
}

export class DuplicatesMet {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #groups = new Map<string, MetGroup>();

  constructor({ clock = systemClock, logger = silentLogger }: { clock?: Clock; logger?: Logger } = {}) {
    this.#clock = clock;
    this.#logger = logger;
  }

  met(named: string, key: string, place: CopyPlace | undefined): void {
    const group = this.#groups.has(named) || this.#groups.size < GROUPS_MAX ? named : REST;
    let met = this.#groups.get(group);
    if (!met) {
      met = { count: 0, keys: new Map(), unsaid: 0, timer: undefined };
      this.#groups.set(group, met);
    }
    met.count++;
    met.unsaid++;
    this.#note(met, key.length <= KEY_LENGTH_MAX ? key : `${key.slice(0, KEY_LENGTH_MAX)}…`, place);
    if (!met.timer) this.#say(group, met);
  }

  /** How many the group met. */
  countOf(group: string): number {
    return this.#groups.get(group)?.count ?? 0;
  }

  list(): DuplicatesOfGroup[] {
    return [...this.#groups].map(([group, { count, keys }]) => ({
      group,
      count,
      keys: [...keys.values()].reverse().map((one) => ({
        ...one,
        firstAt: new Date(one.firstAt),
        lastAt: new Date(one.lastAt),
        copies: one.copies.map((copy) => ({ ...copy })),
      })),
    }));
  }

  /** Says what was not said yet. */
  close(): void {
    for (const [group, met] of this.#groups) {
      met.timer?.cancel();
      if (met.unsaid > 0) this.#log(group, met);
    }
  }

  #note(met: MetGroup, key: string, place: CopyPlace | undefined): void {
    const now = this.#clock.now();
    let known = met.keys.get(key);
    // To the end: the last one met is the last to be dropped.
    if (known) met.keys.delete(key);
    else known = { key, count: 0, firstAt: new Date(now), lastAt: new Date(now), copies: [] };
    met.keys.set(key, known);
    known.count++;
    known.lastAt = new Date(now);
    if (place) addCopy(known.copies, place);
    if (met.keys.size <= KEYS_MAX) return;
    const [oldest] = met.keys.keys();
    if (oldest !== undefined) met.keys.delete(oldest);
  }

  #say(group: string, met: MetGroup): void {
    this.#log(group, met);
    met.timer = this.#clock.after(LOG_PERIOD_MILLIS, () => {
      met.timer = undefined;
      if (met.unsaid > 0) this.#say(group, met);
    });
  }

  #log(group: string, met: MetGroup): void {
    const last = [...met.keys.values()].at(-1);
    const { topic, brokerName, queueId, queueOffset } = last?.copies.at(-1) ?? {};
    this.#logger.info(
      { group, duplicates: met.unsaid, total: met.count, key: last?.key, topic, brokerName, queueId, queueOffset },
      'duplicates were dropped: their effects had been done before',
    );
    met.unsaid = 0;
  }
}

function addCopy(copies: DuplicateCopy[], place: CopyPlace): void {
  const { topic, brokerName, queueId, queueOffset } = place;
  const known = copies.find(
    (one) =>
      one.queueOffset === queueOffset &&
      one.queueId === queueId &&
      one.topic === topic &&
      one.brokerName === brokerName,
  );
  if (known) known.count++;
  else if (copies.length < COPIES_MAX) copies.push({ topic, brokerName, queueId, queueOffset, count: 1 });
}
