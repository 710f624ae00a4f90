/**
 * The consumer groups of this broker: `config/subscriptionGroup.json`. A group is made when its first member appears,
 * unless auto-creation is off. Upstream: `SubscriptionGroupManager`.
 */
import type { Clock } from '../base/clock.js';
import { FoldlogError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { DataVersion, SubscriptionGroupConfig, SubscriptionGroupTable } from '../protocol/bodies.js';
import { readDataVersion, readSubscriptionGroupConfig, subscriptionGroupConfigOf } from '../protocol/bodies.js';
import { JsonReader } from '../protocol/jsonReader.js';
import { BUILT_IN_GROUPS, groupDefect, isSystemGroup } from '../protocol/names.js';
import type { PersistedTable } from './persistedTable.js';
import { nextDataVersion } from './topics.js';

/** Groups that clients can make by merely naming them stop here. */
const AUTO_CREATED_MAX = 100_000;

export interface SubscriptionGroupsParts {
  autoCreateSubscriptionGroup: boolean;
  table: PersistedTable;
  clock: Clock;
  logger: Logger;
}

export class SubscriptionGroups {
  readonly #autoCreate: boolean;
  readonly #table: PersistedTable;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #groups: Map<string, SubscriptionGroupConfig>;
  /** Kept as it was read: group to forbidden topics, set by a tool of RocketMQ. */
  readonly #forbiddenTable: unknown;
  #version: DataVersion;

  constructor({ autoCreateSubscriptionGroup, table, clock, logger }: SubscriptionGroupsParts) {
    this.#autoCreate = autoCreateSubscriptionGroup;
    this.#table = table;
    this.#clock = clock;
    this.#logger = logger;
    const loaded = table.load((value) => {
      const from = new JsonReader(value, 'subscriptionGroup.json');
      return {
        version: from.read('dataVersion', readDataVersion, { stateVersion: 0, timestamp: 0, counter: 0 }),
        groups: from.table('subscriptionGroupTable', readSubscriptionGroupConfig),
        forbiddenTable: from.read<unknown>('forbiddenTable', (table) => table, {}),
      };
    });
    this.#groups = loaded?.groups ?? new Map();
    this.#forbiddenTable = loaded?.forbiddenTable ?? {};
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
    if (!this.#autoCreate && !isSystemGroup(group)) return undefined;
    if (groupDefect(group) !== undefined || this.#groups.size >= AUTO_CREATED_MAX) return undefined;
    return this.put(subscriptionGroupConfigOf(group));
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
    this.#save(rest);
    this.#groups.delete(group);
    this.#logger.info({ group }, 'consumer group deleted');
  }

  snapshot(): SubscriptionGroupTable {
    return { dataVersion: this.#version, subscriptionGroupTable: new Map(this.#groups) };
  }

  #apply(changed: readonly SubscriptionGroupConfig[]): void {
    const all = new Map(this.#groups);
    for (const group of changed) all.set(group.groupName, group);
    this.#save(all);
    for (const group of changed) this.#groups.set(group.groupName, group);
  }

  #save(subscriptionGroupTable: ReadonlyMap<string, SubscriptionGroupConfig>): void {
    const dataVersion = nextDataVersion(this.#version, this.#clock.now());
    try {
      this.#table.save({ dataVersion, forbiddenTable: this.#forbiddenTable, subscriptionGroupTable });
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
