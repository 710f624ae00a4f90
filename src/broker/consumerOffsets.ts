/**
 * How far each group has come in each queue: `config/consumerOffset.json`, key `topic@group`. Upstream:
 * `ConsumerOffsetManager`. A broker with enableLmq keeps all of it in `config/lmqConsumerOffset.json` instead, where
 * groups of light queues (`%LMQ%…`) have one number each in `lmqOffsetTable` (`LmqConsumerOffsetManager`).
 *
 * Invariant: no recorded offset lies beyond what may be lost. Commits beyond the visible end of a queue are refused,
 * what was recorded is clamped to the queues at start, and the file is replaced only after the log is synced up to
 * everything that the offsets rest on.
 */
import type { Clock } from '../base/clock.js';
import type { QueueOffset } from '../base/flavours.js';
import type { Logger } from '../base/logger.js';
import type { DataVersion } from '../protocol/bodies.js';
import { readDataVersion } from '../protocol/bodies.js';
import { JsonReader, readWhole } from '../protocol/jsonReader.js';
import { writeFastJson } from '../protocol/looseJson.js';
import { LMQ_PREFIX } from '../protocol/names.js';
import type { MessageStore } from '../store/messageStore.js';
import type { PersistedTable } from './persistedTable.js';
import { ProgressFile } from './progressFile.js';
import { nextDataVersion } from './topics.js';

type QueueOffsets = Map<number, QueueOffset>;

export type CommitOutcome =
  | { status: 'COMMITTED' }
  /** A reset is waiting for the group to fetch it: the commit does not count. */
  | { status: 'RESET_PENDING'; offset: QueueOffset }
  | { status: 'BEYOND_END'; maxOffset: QueueOffset };

export interface ConsumerOffsetsParts {
  table: PersistedTable;
  store: Pick<MessageStore, 'queueRange' | 'syncLog'>;
  clock: Clock;
  logger: Logger;
  /** Commits after which the version of the table rises. */
  versionStep: number;
  /** Has the file a table of its own for groups of light queues? Default false. */
  enableLmq?: boolean;
}

/** Name of the file in `config/`. */
export const consumerOffsetFile = (enableLmq: boolean): string =>
  enableLmq ? 'lmqConsumerOffset.json' : 'consumerOffset.json';

/** The one queue that a light queue is. */
const LIGHT_QUEUE_ID = 0;

export class ConsumerOffsets {
  readonly #file: ProgressFile;
  readonly #store: Pick<MessageStore, 'queueRange' | 'syncLog'>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #versionStep: number;
  readonly #enableLmq: boolean;
  readonly #offsets = new Map<string, QueueOffsets>();
  /** Where the last pull ended; reported by tools, never read back. */
  readonly #pullOffsets = new Map<string, QueueOffsets>();
  /** Set by an operator, handed to the consumer at its next pull. Upstream: `resetOffsetTable`. */
  readonly #resets = new Map<string, QueueOffsets>();
  #version: DataVersion;
  #commits = 0;

  constructor({ table, store, clock, logger, versionStep, enableLmq = false }: ConsumerOffsetsParts) {
    this.#file = new ProgressFile({ table, store, logger, name: 'consumer offsets', snapshot: () => this.#snapshot() });
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
    this.#versionStep = versionStep;
    this.#enableLmq = enableLmq;
    const loaded = table.load((value) => {
      const from = new JsonReader(value, consumerOffsetFile(enableLmq));
      return {
        version: from.read('dataVersion', readDataVersion, { stateVersion: 0, timestamp: 0, counter: 0 }),
        offsets: from.table('offsetTable', (queues, where) =>
          new JsonReader({ queues }, where).numberTable('queues', readWhole),
        ),
        lightOffsets: enableLmq ? from.table('lmqOffsetTable', readWhole) : undefined,
      };
    });
    this.#version = loaded?.version ?? { stateVersion: 0, timestamp: clock.now(), counter: 0 };
    if (!loaded) return;
    const light = [...(loaded.lightOffsets ?? [])].map(([key, offset]): [string, QueueOffsets] => [
      key,
      new Map([[LIGHT_QUEUE_ID, offset]]),
    ]);
    this.#adopt(new Map([...loaded.offsets, ...light]));
  }

  /** The next offset that the group will consume; undefined when it has none. A waiting reset counts first. */
  query(group: string, topic: string, queueId: number): QueueOffset | undefined {
    const key = keyOf(topic, group);
    if (this.#resets.size > 0) {
      const reset = this.#resets.get(key)?.get(queueId);
      if (reset !== undefined) return reset;
    }
    return this.#offsets.get(key)?.get(queueId);
  }

  /** Records what a consumer reports. Offsets may go backwards. */
  commit(group: string, topic: string, queueId: number, offset: QueueOffset): CommitOutcome {
    const key = keyOf(topic, group);
    if (this.#resets.size > 0) {
      const reset = this.#resets.get(key)?.get(queueId);
      if (reset !== undefined) return { status: 'RESET_PENDING', offset: reset };
    }
    const queues = this.#offsets.get(key);
    if (queues?.get(queueId) === offset) return { status: 'COMMITTED' };
    const { maxOffset } = this.#store.queueRange(topic, queueId);
    if (offset > maxOffset) return { status: 'BEYOND_END', maxOffset };
    if (queues) queues.set(queueId, offset);
    else this.#offsets.set(key, new Map([[queueId, offset]]));
    this.#countCommit();
    return { status: 'COMMITTED' };
  }

  recordPull(group: string, topic: string, queueId: number, nextBeginOffset: QueueOffset): void {
    const key = keyOf(topic, group);
    const queues = this.#pullOffsets.get(key);
    if (queues) queues.set(queueId, nextBeginOffset);
    else this.#pullOffsets.set(key, new Map([[queueId, nextBeginOffset]]));
  }

  pullOffset(group: string, topic: string, queueId: number): QueueOffset | undefined {
    return this.#pullOffsets.get(keyOf(topic, group))?.get(queueId);
  }

  /** Overwrites the offset and keeps the reset until the group's next pull of the queue. */
  reset(group: string, topic: string, queueId: number, offset: QueueOffset): void {
    const key = keyOf(topic, group);
    upsert(this.#offsets, key).set(queueId, offset);
    upsert(this.#resets, key).set(queueId, offset);
    this.#countCommit();
  }

  /** The waiting reset of a queue, which is thereby handed out; undefined when there is none. */
  takeReset(group: string, topic: string, queueId: number): QueueOffset | undefined {
    if (this.#resets.size === 0) return undefined;
    const key = keyOf(topic, group);
    const queues = this.#resets.get(key);
    const offset = queues?.get(queueId);
    if (!queues || offset === undefined) return undefined;
    queues.delete(queueId);
    if (queues.size === 0) this.#resets.delete(key);
    return offset;
  }

  /** Topics in which the group has an offset. */
  topicsOf(group: string): string[] {
    const suffix = `@${group}`;
    return [...this.#offsets.keys()].filter((key) => key.endsWith(suffix)).map((key) => key.slice(0, -suffix.length));
  }

  /** Groups that have an offset in the topic. */
  groupsOf(topic: string): string[] {
    const prefix = `${topic}@`;
    return [...this.#offsets.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  }

  removeTopic(topic: string): void {
    this.#removeKeys((key) => key.startsWith(`${topic}@`));
  }

  removeGroup(group: string): void {
    this.#removeKeys((key) => key.endsWith(`@${group}`));
  }

  /** The file's text on one line: the answer of GET_ALL_CONSUMER_OFFSET. */
  text(): string {
    return writeFastJson(this.#snapshot());
  }

  /** Replaces the file when something changed. A failure is logged and tried again at the next call. */
  flush(): Promise<void> {
    return this.#file.flush();
  }

  #snapshot(): object {
    const groupTopicMap = new Map<string, string[]>();
    const offsetTable = new Map<string, QueueOffsets>();
    const lmqOffsetTable = new Map<string, QueueOffset>();
    for (const [key, queues] of this.#offsets) {
      const at = key.lastIndexOf('@');
      const group = key.slice(at + 1);
      const lightOffset = this.#enableLmq && group.startsWith(LMQ_PREFIX) ? queues.get(LIGHT_QUEUE_ID) : undefined;
      if (lightOffset !== undefined) {
        lmqOffsetTable.set(key, lightOffset);
        continue;
      }
      const topics = groupTopicMap.get(group);
      if (topics) topics.push(key.slice(0, at));
      else groupTopicMap.set(group, [key.slice(0, at)]);
      offsetTable.set(key, new Map(queues));
    }
    const pullOffsetTable = new Map([...this.#pullOffsets].map(([key, queues]) => [key, new Map(queues)]));
    const light = this.#enableLmq ? { lmqOffsetTable } : {};
    return { dataVersion: this.#version, groupTopicMap, ...light, offsetTable, pullOffsetTable };
  }

  #adopt(loaded: ReadonlyMap<string, ReadonlyMap<number, number>>): void {
    for (const [key, queues] of loaded) {
      const topic = key.slice(0, key.lastIndexOf('@'));
      const clamped: QueueOffsets = new Map();
      for (const [queueId, offset] of queues) {
        const { minOffset, maxOffset } = this.#store.queueRange(topic, queueId);
        const kept = Math.min(Math.max(offset, minOffset), maxOffset);
        if (kept !== offset) {
          this.#file.changed();
          this.#logger.warn(
            { key, queueId, offset, kept },
            'recorded consumer offset lies outside its queue: corrected',
          );
        }
        clamped.set(queueId, kept);
      }
      this.#offsets.set(key, clamped);
    }
  }

  #removeKeys(isMeant: (key: string) => boolean): void {
    for (const table of [this.#offsets, this.#pullOffsets, this.#resets]) {
      for (const key of [...table.keys()]) if (isMeant(key)) table.delete(key);
    }
    this.#countCommit();
  }

  #countCommit(): void {
    this.#file.changed();
    this.#commits += 1;
    if (this.#commits % this.#versionStep === 0) this.#version = nextDataVersion(this.#version, this.#clock.now());
  }
}

const keyOf = (topic: string, group: string) => `${topic}@${group}`;

function upsert(table: Map<string, QueueOffsets>, key: string): QueueOffsets {
  let queues = table.get(key);
  if (!queues) {
    queues = new Map();
    table.set(key, queues);
  }
  return queues;
}
