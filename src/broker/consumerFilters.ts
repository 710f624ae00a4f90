/**
 * Expressions by which groups filter, other than by tag: `config/consumerFilter.json`. One entry per group and topic, as
 * the heartbeats of the group's members say; it serves pulls. An expression that does not compile changes nothing: the
 * entry, and with it the version that pulls compare, stays the last good one. When a group has gone, or no longer
 * subscribes the topic, its entry is dead; a day later (filterDataCleanTimeSpan) it is removed. Upstream:
 * `ConsumerFilterManager`, `ConsumerFilterData`.
 *
 * Differs from RocketMQ: no Bloom filter data is computed or written, since every message is looked at.
 */
import type { Clock } from '../base/clock.js';
import type { TimestampMillis } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import { JsonReader } from '../protocol/jsonReader.js';
import { writeFastJson } from '../protocol/looseJson.js';
import { isTagType } from '../protocol/subscription.js';
import type { MessageStore } from '../store/messageStore.js';
import type { Subscription } from './connectedClients.js';
import type { PersistedTable } from './persistedTable.js';
import { ProgressFile } from './progressFile.js';
import type { SubscriptionFilter } from './subscriptionFilter.js';
import { filterOfText } from './subscriptionFilter.js';

/** Over it further expressions are not kept, and their pulls answered FILTER_DATA_NOT_EXIST. */
const ENTRIES_MAX = 100_000;

interface Entry {
  consumerGroup: string;
  topic: string;
  expression: string;
  expressionType: string;
  /** subVersion of the subscription. */
  clientVersion: number;
  bornTime: TimestampMillis;
  /** 0: alive. */
  deadTime: TimestampMillis;
}

interface Kept extends Entry {
  filter: SubscriptionFilter;
}

export interface ConsumerFiltersParts {
  table: PersistedTable;
  store: Pick<MessageStore, 'syncLog'>;
  clock: Clock;
  logger: Logger;
  /** How long a dead entry is kept. */
  cleanTimeSpanMillis: number;
}

export class ConsumerFilters {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #cleanTimeSpanMillis: number;
  readonly #file: ProgressFile;
  /** By group, then topic. */
  readonly #groups = new Map<string, Map<string, Kept>>();
  #count = 0;

  /** Loads the table. Nobody has sent a heartbeat yet: all entries are dead until then. */
  constructor({ table, store, clock, logger, cleanTimeSpanMillis }: ConsumerFiltersParts) {
    this.#clock = clock;
    this.#logger = logger;
    this.#cleanTimeSpanMillis = cleanTimeSpanMillis;
    this.#file = new ProgressFile({ table, store, logger, name: 'consumer filters', snapshot: () => this.#snapshot() });
    for (const entry of table.load(readEntries) ?? []) {
      const filter = filterOfText(entry.topic, entry.expression, entry.expressionType);
      if (filter.defect !== undefined) continue;
      this.#keep({ ...entry, filter, deadTime: entry.deadTime > 0 ? entry.deadTime : clock.now() });
    }
  }

  /** The expression that the group filters a topic by; undefined when it has none that works. */
  find(group: string, topic: string): { clientVersion: number; filter: SubscriptionFilter } | undefined {
    return this.#groups.get(group)?.get(topic);
  }

  /** The entry as JSON, for people; undefined when there is none. */
  textOf(group: string, topic: string): string | undefined {
    const known = this.#groups.get(group)?.get(topic);
    if (!known) return undefined;
    const { filter: _filter, ...entry } = known;
    return writeFastJson(entry);
  }

  /** A member's heartbeat: these are all subscriptions of the group. */
  subscribed(group: string, subscriptions: ReadonlyMap<string, Subscription>): void {
    for (const subscription of subscriptions.values()) {
      if (!isTagType(subscription.data.expressionType)) this.#register(group, subscription);
    }
    for (const entry of this.#groups.get(group)?.values() ?? []) {
      const data = subscriptions.get(entry.topic)?.data;
      if (!data || isTagType(data.expressionType)) this.#bury(entry);
    }
  }

  /** The last member left. */
  left(group: string): void {
    for (const entry of this.#groups.get(group)?.values() ?? []) this.#bury(entry);
  }

  /** Removes what is dead for long, and replaces the file when something changed. */
  flush(): Promise<void> {
    const oldest = this.#clock.now() - this.#cleanTimeSpanMillis;
    for (const [group, topics] of this.#groups) {
      for (const { topic, deadTime } of topics.values()) {
        if (deadTime === 0 || deadTime > oldest) continue;
        topics.delete(topic);
        this.#count -= 1;
        this.#file.changed();
      }
      if (topics.size === 0) this.#groups.delete(group);
    }
    return this.#file.flush();
  }

  #register(group: string, { data, filter }: Subscription): void {
    const { topic, subString: expression, expressionType, subVersion: clientVersion } = data;
    const known = this.#groups.get(group)?.get(topic);
    if (filter.defect !== undefined) return;
    const isSame = known?.expression === expression && known.expressionType === expressionType;
    if (known && isSame) {
      if (known.deadTime === 0 && known.clientVersion >= clientVersion) return;
      known.deadTime = 0;
      known.clientVersion = Math.max(known.clientVersion, clientVersion);
      this.#file.changed();
      return;
    }
    // A member that was not told of the newer expression yet.
    if (known && known.deadTime === 0 && known.clientVersion >= clientVersion) return;
    if (!known && this.#count >= ENTRIES_MAX) {
      this.#logger.warn({ group, topic }, `more than ${ENTRIES_MAX} filter expressions: this one is not kept`);
      return;
    }
    const bornTime = this.#clock.now();
    this.#keep({
      consumerGroup: group,
      topic,
      expression,
      expressionType,
      clientVersion,
      bornTime,
      deadTime: 0,
      filter,
    });
    this.#file.changed();
  }

  #keep(entry: Kept): void {
    let topics = this.#groups.get(entry.consumerGroup);
    if (!topics) {
      topics = new Map();
      this.#groups.set(entry.consumerGroup, topics);
    }
    if (!topics.has(entry.topic)) this.#count += 1;
    topics.set(entry.topic, entry);
  }

  #bury(entry: Entry): void {
    if (entry.deadTime > 0) return;
    entry.deadTime = this.#clock.now();
    this.#file.changed();
  }

  #snapshot(): object {
    const filterDataByTopic = new Map<string, { topic: string; groupFilterData: Map<string, Entry> }>();
    for (const topics of this.#groups.values()) {
      for (const { filter: _filter, ...entry } of topics.values()) {
        const { topic, consumerGroup } = entry;
        const groups = filterDataByTopic.get(topic) ?? { topic, groupFilterData: new Map<string, Entry>() };
        groups.groupFilterData.set(consumerGroup, entry);
        filterDataByTopic.set(topic, groups);
      }
    }
    return { filterDataByTopic };
  }
}

function readEntries(value: unknown): Entry[] {
  const from = new JsonReader(value, 'consumerFilter.json');
  const topics = from.table('filterDataByTopic', (ofTopic, where) =>
    new JsonReader(ofTopic, where).table('groupFilterData', readEntry),
  );
  return [...topics.values()].flatMap((groups) => [...groups.values()]);
}

function readEntry(value: unknown, where: string): Entry {
  const from = new JsonReader(value, where);
  return {
    consumerGroup: from.text('consumerGroup'),
    topic: from.text('topic'),
    expression: from.text('expression', ''),
    expressionType: from.text('expressionType', 'SQL92'),
    clientVersion: from.whole('clientVersion', 0),
    bornTime: from.whole('bornTime', 0),
    deadTime: from.whole('deadTime', 0),
  };
}
