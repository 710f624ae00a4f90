/**
 * The topics of this broker: `config/topics.json`. Each change is saved before it takes effect, raises the data
 * version, and is announced to the name servers. Only a plain topic that is new is there at once: those that are created
 * while a save is under way share the next, and whoever answers for one waits for {@link Topics.settled}. Upstream:
 * `TopicConfigManager`.
 *
 * A topic that a producer names for the first time is made after its template (TBW102 unless it says otherwise);
 * retry and dead-letter topics are made when they are first needed, whatever auto-creation says.
 */
import type { Clock } from '../base/clock.js';
import { FoldlogError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { DataVersion, TopicConfig, TopicConfigTable } from '../protocol/bodies.js';
import { readTopicConfigTable, topicConfigOf } from '../protocol/bodies.js';
import {
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  isInherited,
  isSystemTopic,
  LMQ_PREFIX,
  PERM,
  systemTopics,
  topicDefect,
} from '../protocol/names.js';
import { builtInTopics, type TopicsConfig } from './builtInTopics.js';
import type { PersistedTable } from './persistedTable.js';
import { SharedSave } from './sharedSave.js';

/** Topics that clients can make by merely naming them stop here. */
const AUTO_CREATED_MAX = 100_000;

export interface TopicsParts {
  config: TopicsConfig;
  /** Levels of SCHEDULE_TOPIC_XXXX: one queue each. */
  delayLevelCount: number;
  table: PersistedTable;
  clock: Clock;
  logger: Logger;
  /** Tells the name servers; resolves when they know, or cannot be told for now. */
  announce: (topics: readonly TopicConfig[]) => Promise<void>;
}

export class Topics {
  readonly #config: TopicsConfig;
  readonly #table: PersistedTable;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #announce: (topics: readonly TopicConfig[]) => Promise<void>;
  readonly #system: ReadonlySet<string>;
  readonly #topics: Map<string, TopicConfig>;
  readonly #saves = new SharedSave(() => this.#saveCreated());
  /** Topics that were created and are not saved or not announced yet. */
  readonly #unsettled = new Map<string, Promise<void>>();
  #version: DataVersion;
  #announcement: Promise<void> | undefined;

  /** Loads the table and adds the system's topics. Throws when neither the file nor its `.bak` can be read. */
  constructor({ config, delayLevelCount, table, clock, logger, announce }: TopicsParts) {
    this.#config = config;
    this.#table = table;
    this.#clock = clock;
    this.#logger = logger;
    this.#announce = announce;
    const loaded = table.load((value) => readTopicConfigTable(value, 'topics.json'));
    this.#topics = new Map(loaded?.topicConfigTable);
    this.#version = loaded?.dataVersion ?? { stateVersion: 0, timestamp: clock.now(), counter: 0 };
    const builtIn = builtInTopics(config, delayLevelCount);
    this.#system = new Set([...systemTopics(), ...builtIn.map(({ topicName }) => topicName)]);
    const missing = builtIn.filter((topic) => !this.#isSettled(topic));
    if (missing.length > 0) this.#apply(missing);
  }

  /** Every light queue is there, one queue each and none of them recorded. Upstream: `LmqTopicConfigManager`. */
  get(topic: string): TopicConfig | undefined {
    const known = this.#topics.get(topic);
    if (known || !this.#config.enableLmq || !topic.startsWith(LMQ_PREFIX)) return known;
    return topicConfigOf(topic, { readQueueNums: 1, writeQueueNums: 1 });
  }

  all(): Iterable<TopicConfig> {
    return this.#topics.values();
  }

  get dataVersion(): DataVersion {
    return this.#version;
  }

  /** Names that nobody may create, change or delete: the fixed ones and those of this broker and cluster. */
  isSystem(topic: string): boolean {
    return this.#system.has(topic) || isSystemTopic(topic);
  }

  systemTopics(): readonly string[] {
    return [...this.#system];
  }

  /** Settles when the name servers know of all changes so far; undefined when they do. */
  get announcement(): Promise<void> | undefined {
    return this.#announcement;
  }

  /**
   * Settles when the topic is saved and the name servers know of it; rejects when it could not be saved, and then the topic
   * is gone. Undefined when that is so already.
   */
  settled(topic: string): Promise<void> | undefined {
    return this.#unsettled.get(topic) ?? this.#announcement;
  }

  /** Settles when no topic waits to be saved. Never rejects. */
  saved(): Promise<void> {
    return this.#saves.idle();
  }

  /** All topics, as a slave or a name server asks for them. */
  snapshot(): TopicConfigTable {
    return { dataVersion: this.#version, topicConfigTable: new Map(this.#topics) };
  }

  /** The topic, made after its template when it is new. Undefined: it is not there and may not be made. */
  forSend(topic: string, templateName: string, wantedQueues: number): TopicConfig | undefined {
    const known = this.#topics.get(topic);
    if (known) return known;
    const template = this.#topics.get(templateName);
    if (!template || !isInherited(template.perm) || !this.#mayCreate(topic)) return undefined;
    if (templateName === AUTO_CREATE_TOPIC_KEY_TOPIC && !this.#config.autoCreateTopicEnable) return undefined;
    // Differs from RocketMQ, which makes a topic without queues for a producer that asks for none.
    const queueNums = Math.max(1, Math.min(wantedQueues, template.writeQueueNums));
    return this.create(
      topicConfigOf(topic, {
        readQueueNums: queueNums,
        writeQueueNums: queueNums,
        perm: template.perm & ~PERM.INHERIT,
        topicFilterType: template.topicFilterType,
      }),
    );
  }

  /** A retry or dead-letter topic. Undefined: it cannot be made. */
  derived(topic: string, queueNums: number, changes: { order?: boolean } = {}): TopicConfig | undefined {
    const known = this.#topics.get(topic);
    if (known) return known;
    if (!this.#mayCreate(topic)) return undefined;
    const config = { readQueueNums: queueNums, writeQueueNums: queueNums, perm: PERM.READ | PERM.WRITE, ...changes };
    return this.put(topicConfigOf(topic, config));
  }

  /**
   * Creates a topic, or replaces it as {@link put} does. A new one is there when this returns: what rests on it is
   * answered after {@link settled}.
   */
  create(config: TopicConfig): TopicConfig {
    const { topicName } = config;
    if (this.#topics.has(topicName)) return this.put(config);
    this.#topics.set(topicName, config);
    const settled = this.#settle(config).finally(() => {
      if (this.#unsettled.get(topicName) === settled) this.#unsettled.delete(topicName);
    });
    // Whoever answers for it hears of a failure; nobody has to.
    settled.catch(() => {});
    this.#unsettled.set(topicName, settled);
    return config;
  }

  /** Creates or replaces a topic; saved when this returns. */
  put(config: TopicConfig): TopicConfig {
    const known = this.#topics.get(config.topicName);
    if (known && isSameTopic(known, config)) return known;
    this.#apply([config]);
    this.#logger.info({ topic: config.topicName, config }, known ? 'topic changed' : 'topic created');
    return config;
  }

  delete(topic: string): void {
    if (!this.#topics.has(topic)) return;
    const rest = new Map(this.#topics);
    rest.delete(topic);
    this.#save(rest);
    this.#topics.delete(topic);
    this.#logger.info({ topic }, 'topic deleted');
    this.#announceSoon([]);
  }

  /** Marks topics as ordered that the name server's configuration names; others keep their mark, as upstream does. */
  markOrdered(names: Iterable<string>): void {
    const changed: TopicConfig[] = [];
    for (const name of names) {
      const topic = this.#topics.get(name);
      if (topic && !topic.order) changed.push({ ...topic, order: true });
    }
    if (changed.length > 0) this.#apply(changed);
  }

  /** What name servers are told of all topics has changed: without a new version they would not look at it. */
  raiseVersion(): void {
    this.#save(this.#topics);
  }

  #mayCreate(topic: string): boolean {
    return topicDefect(topic) === undefined && this.#topics.size < AUTO_CREATED_MAX;
  }

  /** Does a built-in topic stand as the configuration wants it? One with more queues stays so. */
  #isSettled(builtIn: TopicConfig): boolean {
    const known = this.#topics.get(builtIn.topicName);
    return known !== undefined && known.readQueueNums >= builtIn.readQueueNums && known.perm === builtIn.perm;
  }

  #apply(changed: readonly TopicConfig[]): void {
    const all = new Map(this.#topics);
    for (const topic of changed) all.set(topic.topicName, topic);
    this.#save(all);
    for (const topic of changed) this.#topics.set(topic.topicName, topic);
    this.#announceSoon(changed);
  }

  async #settle(config: TopicConfig): Promise<void> {
    const { topicName } = config;
    try {
      await this.#saves.join();
    } catch (thrown) {
      // Only what is still as it was created: a change after it was saved on its own.
      if (this.#topics.get(topicName) === config) this.#topics.delete(topicName);
      throw thrown;
    }
    this.#logger.info({ topic: topicName, config }, 'topic created');
    await this.#announce([config]);
  }

  async #saveCreated(): Promise<void> {
    // Another change may be saved, under a higher version, while this one is under way.
    this.#version = nextDataVersion(this.#version, this.#clock.now());
    try {
      await this.#table.saveDurably({ dataVersion: this.#version, topicConfigTable: this.#topics });
    } catch (cause) {
      throw notSaved(cause);
    }
  }

  #save(topicConfigTable: ReadonlyMap<string, TopicConfig>): void {
    const version = nextDataVersion(this.#version, this.#clock.now());
    try {
      this.#table.save({ dataVersion: version, topicConfigTable });
    } catch (cause) {
      throw notSaved(cause);
    }
    this.#version = version;
  }

  #announceSoon(changed: readonly TopicConfig[]): void {
    if (changed.length === 0) return;
    const previous = this.#announcement;
    const announcement = Promise.all([previous, this.#announce(changed)]).then(() => {
      if (this.#announcement === announcement) this.#announcement = undefined;
    });
    this.#announcement = announcement;
  }
}

function notSaved(cause: unknown): FoldlogError {
  return new FoldlogError('STORE_FAILED', 'topics.json cannot be written: the change did not take effect', { cause });
}

/** The version after a change. */
export function nextDataVersion(version: DataVersion, now: number): DataVersion {
  return { stateVersion: version.stateVersion, timestamp: now, counter: version.counter + 1 };
}

function isSameTopic(left: TopicConfig, right: TopicConfig): boolean {
  const names = Object.keys(left.attributes);
  return (
    left.readQueueNums === right.readQueueNums &&
    left.writeQueueNums === right.writeQueueNums &&
    left.perm === right.perm &&
    left.topicFilterType === right.topicFilterType &&
    left.topicSysFlag === right.topicSysFlag &&
    left.order === right.order &&
    names.length === Object.keys(right.attributes).length &&
    names.every((name) => left.attributes[name] === right.attributes[name])
  );
}
