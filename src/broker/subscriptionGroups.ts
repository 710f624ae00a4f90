/**
 * The consumer groups of this broker and the topics that they may not read: `config/subscriptionGroup.json`. A group is
 * made when its first member appears, unless auto-creation is off. Upstream: `SubscriptionGroupManager`.
 */
import type { Clock } from '../base/clock.js';
import { FoldlogError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { BrokerConfig } from '../config/brokerConfig.js';
import type { DataVersion, SubscriptionGroupConfig, SubscriptionGroupTable } from '../protocol/bodies.js';
import {
  readDataVersion,
  readForbiddenTopics,
  readSubscriptionGroupConfig,
  subscriptionGroupConfigOf,
} from '../protocol/bodies.js';
import { JsonReader } from '../protocol/jsonReader.js';
import { BUILT_IN_GROUPS, groupDefect, isSystemGroup } from '../protocol/names.js';
import type { PersistedTable } from './persistedTable.js';
import { nextDataVersion } from './topics.js';

/** Groups that clients can make by merely naming them stop here. */
const AUTO_CREATED_MAX = 100_000;
/** Bit of a forbidden topic's mask. Upstream: `PermName.INDEX_PERM_READ`. */
const FORBIDDEN_READ = 1 << 2;

type ForbiddenTable = ReadonlyMap<string, ReadonlyMap<string, number>>;

export interface SubscriptionGroupsParts {
  config: Pick<BrokerConfig, 'autoCreateSubscriptionGroup'>;
  table: PersistedTable;
  clock: Clock;
  logger: Logger;
}

export class SubscriptionGroups {
  readonly #config: Pick<BrokerConfig, 'autoCreateSubscriptionGroup'>;
  readonly #table: PersistedTable;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #groups: Map<string, SubscriptionGroupConfig>;
  /** Group to topic to mask; other bits than {@link FORBIDDEN_READ} are kept as they were read. */
  #forbiddenTable: ForbiddenTable;
  #version: DataVersion;

  constructor({ config, table, clock, logger }: SubscriptionGroupsParts) {
    this.#config = config;
    this.#table = table;
    this.#clock = clock;
    this.#logger = logger;
    const loaded = table.load((value) => {
      const from = new JsonReader(value, 'subscriptionGroup.json');
      return {
        version: from.read('dataVersion', readDataVersion, { stateVersion: 0, timestamp: 0, counter: 0 }),
        groups: from.table('subscriptionGroupTable', readSubscriptionGroupConfig),
        forbiddenTable: from.table('forbiddenTable', readForbiddenTopics),
      };
    });
    this.#groups = loaded?.groups ?? new Map();
    this.#forbiddenTable = loaded?.forbiddenTable ?? new Map();
    this.#version = loaded?.version ?? { stateVersion: 0, timestamp: clock.now(), counter: 0 };
    const missing = BUILT_IN_GROUPS.filter((group) => !this.#groups.has(group));
    if (missing.length > 0) this.#apply(missing.map((group) => subscriptionGroupConfigOf(group)));
  }

  get(group: string): SubscriptionGroupConfig | undefined {
    return this.#groups.get(group);
  }

  /** The group, made with the defaults when it is new. Undefined: it is not there and may not be made. */
  find(group: string): SubscriptionGroupConfig | undefined {
    const known = this.#groups.get(group);
    if (known) return known;
    if (!this.#config.autoCreateSubscriptionGroup && !isSystemGroup(group)) return undefined;
    if (groupDefect(group) !== undefined || this.#groups.size >= AUTO_CREATED_MAX) return undefined;
    return this.put(subscriptionGroupConfigOf(group));
  }

  /** Creates or replaces several groups with one save. */
  putAll(configs: readonly SubscriptionGroupConfig[]): void {
    this.#apply(configs);
    this.#logger.info({ groups: configs.map(({ groupName }) => groupName) }, 'consumer groups created or changed');
  }

  /** Creates or replaces a group; saved when this returns. */
  put(config: SubscriptionGroupConfig): SubscriptionGroupConfig {
    const isNew = !this.#groups.has(config.groupName);
    this.#apply([config]);
    this.#logger.info({ group: config.groupName }, isNew ? 'consumer group created' : 'consumer group changed');
    return config;
  }

  delete(group: string): void {
    if (!this.#groups.has(group)) return;
    const rest = new Map(this.#groups);
    rest.delete(group);
    const forbiddenTable = new Map(this.#forbiddenTable);
    forbiddenTable.delete(group);
    this.#save(rest, forbiddenTable);
    this.#groups.delete(group);
    this.#forbiddenTable = forbiddenTable;
    this.#logger.info({ group }, 'consumer group deleted');
  }

  /** May the group not read the topic? */
  isForbidden(group: string, topic: string): boolean {
    return ((this.#forbiddenTable.get(group)?.get(topic) ?? 0) & FORBIDDEN_READ) !== 0;
  }

  /** Forbids the group to read the topic, or allows it again; saved when this returns. */
  setForbidden(group: string, topic: string, isForbidden: boolean): void {
    if (this.isForbidden(group, topic) === isForbidden) return;
    const topics = new Map(this.#forbiddenTable.get(group));
    const mask = (topics.get(topic) ?? 0) ^ FORBIDDEN_READ;
    if (mask === 0) topics.delete(topic);
    else topics.set(topic, mask);
    const forbiddenTable = new Map(this.#forbiddenTable);
    if (topics.size === 0) forbiddenTable.delete(group);
    else forbiddenTable.set(group, topics);
    this.#save(this.#groups, forbiddenTable);
    this.#forbiddenTable = forbiddenTable;
    this.#logger.info({ group, topic, isForbidden }, 'what a consumer group may read changed');
  }

  snapshot(): SubscriptionGroupTable {
    return {
      dataVersion: this.#version,
      subscriptionGroupTable: new Map(this.#groups),
      forbiddenTable: new Map([...this.#forbiddenTable].map(([group, topics]) => [group, new Map(topics)])),
    };
  }

  #apply(changed: readonly SubscriptionGroupConfig[]): void {
    const all = new Map(this.#groups);
    for (const group of changed) all.set(group.groupName, group);
    this.#save(all, this.#forbiddenTable);
    for (const group of changed) this.#groups.set(group.groupName, group);
  }

  #save(subscriptionGroupTable: ReadonlyMap<string, SubscriptionGroupConfig>, forbiddenTable: ForbiddenTable): void {
    const dataVersion = nextDataVersion(this.#version, this.#clock.now());
    try {
      this.#table.save({ dataVersion, forbiddenTable, subscriptionGroupTable });
    } catch (cause) {
      throw new FoldlogError(
        'STORE_FAILED',
        'subscriptionGroup.json cannot be written: the change did not take effect',
        {
          cause,
        },
      );
    }
    this.#version = dataVersion;
  }
}
