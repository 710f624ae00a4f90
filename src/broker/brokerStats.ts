/**
 * The named statistics that tools ask for (VIEW_BROKER_STATS_DATA): messages and bytes put per topic, got and sent back
 * per topic and group, how far groups are behind, and the broker as a whole. Keys are `topic`, `topic@group` and the
 * cluster's name. Each name keeps a bounded number of keys: when it is full, keys that were not counted for a day make
 * room; when there are none, further keys are not counted. Upstream: `BrokerStatsManager`.
 */
import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/logger.js';
import type { StatsFigures, StatsWindow } from './statsItem.js';
import { StatsItem } from './statsItem.js';

/** Sums and averages: of the last two, `avgpt` is the average of what each answer to a pull left behind. */
export const STATS_NAMES = [
  'TOPIC_PUT_NUMS',
  'TOPIC_PUT_SIZE',
  'GROUP_GET_NUMS',
  'GROUP_GET_SIZE',
  'SNDBCK_PUT_NUMS',
  'BROKER_PUT_NUMS',
  'BROKER_GET_NUMS',
  'GROUP_GET_FALL_SIZE',
  'GROUP_GET_FALL_TIME',
] as const;
export type StatsName = (typeof STATS_NAMES)[number];

const KEYS_MAX = 10_000;
const IDLE_MILLIS = 86_400_000;
const LOOK_MILLIS = 600_000;

/** What the answer to a pull held. */
export interface Served {
  group: string;
  topic: string;
  count: number;
  sizeBytes: number;
  /** Bytes of the log, and milliseconds, between the last message served and the log's end. */
  behindBytes: number;
  behindMillis: number;
}

export interface BrokerStatsParts {
  clusterName: string;
  clock: Clock;
  logger: Logger;
}

export class BrokerStats {
  readonly #clusterName: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #tables = Object.fromEntries(STATS_NAMES.map((name) => [name, new Map()])) as Record<
    StatsName,
    Map<string, StatsItem>
  >;
  /** When idle keys were last looked for. */
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor({ clusterName, clock, logger }: BrokerStatsParts) {
    this.#clusterName = clusterName;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** A message was stored. */
  put(topic: string, sizeBytes: number): void {
    const now = this.#clock.now();
    this.#add('TOPIC_PUT_NUMS', topic, 1, now);
    this.#add('TOPIC_PUT_SIZE', topic, sizeBytes, now);
    this.#add('BROKER_PUT_NUMS', this.#clusterName, 1, now);
  }

  served({ group, topic, count, sizeBytes, behindBytes, behindMillis }: Served): void {
    const key = keyOf(topic, group);
    const now = this.#clock.now();
    this.#add('GROUP_GET_NUMS', key, count, now);
    this.#add('GROUP_GET_SIZE', key, sizeBytes, now);
    this.#add('BROKER_GET_NUMS', this.#clusterName, count, now);
    this.#add('GROUP_GET_FALL_SIZE', key, behindBytes, now);
    this.#add('GROUP_GET_FALL_TIME', key, behindMillis, now);
  }

  /** A group gave a message back. */
  sentBack(topic: string, group: string): void {
    this.#add('SNDBCK_PUT_NUMS', keyOf(topic, group), 1, this.#clock.now());
  }

  /** Undefined: there is no such name, or nothing was counted for the key. */
  figures(name: string, key: string): Record<StatsWindow, StatsFigures> | undefined {
    const item = isStatsName(name) ? this.#tables[name].get(key) : undefined;
    if (!item) return undefined;
    const now = this.#clock.now();
    return {
      statsMinute: item.figures('statsMinute', now),
      statsHour: item.figures('statsHour', now),
      statsDay: item.figures('statsDay', now),
    };
  }

  /** Messages per second that are put into a topic, over the last minute. */
  topicPutTps(topic: string): number {
    return this.figures('TOPIC_PUT_NUMS', topic)?.statsMinute.tps ?? 0;
  }

  /** Messages per second that a group gets from a topic, over the last minute. */
  groupGetTps(topic: string, group: string): number {
    return this.figures('GROUP_GET_NUMS', keyOf(topic, group))?.statsMinute.tps ?? 0;
  }

  #add(name: StatsName, key: string, value: number, now: number): void {
    const table = this.#tables[name];
    let item = table.get(key);
    if (!item) {
      if (table.size >= KEYS_MAX) this.#makeRoom(now);
      if (table.size >= KEYS_MAX) return;
      item = new StatsItem(now);
      table.set(key, item);
    }
    item.add(now, value);
  }

  /** Looks for idle keys now and then only: it costs as much as there are keys. */
  #makeRoom(now: number): void {
    if (now - this.#lookedAt < LOOK_MILLIS) return;
    this.#lookedAt = now;
    for (const table of Object.values(this.#tables)) {
      for (const [key, item] of table) if (now - item.countedAt > IDLE_MILLIS) table.delete(key);
    }
    this.#logger.warn(
      {},
      `${KEYS_MAX} keys of one statistic are counted: further ones are left out while they are in use`,
    );
  }
}

const isStatsName = (name: string): name is StatsName => (STATS_NAMES as readonly string[]).includes(name);

const keyOf = (topic: string, group: string): string => `${topic}@${group}`;
