/**
 * Sees to it that a topic exists and is an event topic before streams are written to it or read from it. A broker marks
 * a topic (attribute `foldlog.events`) only while it is empty and refuses unguarded messages from then on.
 */
import { type Clock, delay } from '../base/clock.js';
import { BrokerError, FoldlogError, OptionsError } from '../base/errors.js';
import type { Session } from '../client/session.js';
import { type TopicConfig, topicConfigOf } from '../protocol/bodies.js';
import { assertTopic, MASTER_ID } from '../protocol/names.js';
import { type Insistence, isPassing } from './insistence.js';

export const EVENTS_ATTRIBUTE = 'foldlog.events';
/** Streams of a topic are spread over so many queues, for good. */
export const EVENT_TOPIC_QUEUES_DEFAULT = 8;
/** How long a new topic may take to appear at the name server. */
const APPEAR_MILLIS = 10_000;
const LOOK_AGAIN_MILLIS = 20;

export type TopicKind = 'EVENT_TOPIC' | 'PLAIN_TOPIC' | 'ABSENT';

export class EventTopics {
  readonly #session: Session;
  readonly #clock: Clock;
  readonly #insistence: Insistence;
  readonly #queues: number;
  /** Topics known, or being made, to be event topics. */
  readonly #prepared = new Map<string, Promise<void>>();

  constructor(parts: { session: Session; clock: Clock; insistence: Insistence; queues?: number }) {
    this.#session = parts.session;
    this.#clock = parts.clock;
    this.#insistence = parts.insistence;
    this.#queues = parts.queues ?? EVENT_TOPIC_QUEUES_DEFAULT;
  }

  /** What the topic is now. Rejects when the brokers that have it cannot be asked, or none is registered. */
  async kindOf(topic: string): Promise<TopicKind> {
    const found = await this.#find(topic);
    if (!found) {
      // A name server knows only what registered with it: without any broker, absence says nothing about the topic.
      await this.#anyMaster();
      return 'ABSENT';
    }
    return isEventTopic(found.config) ? 'EVENT_TOPIC' : 'PLAIN_TOPIC';
  }

  /** Is there anything to read? Does not make the topic. */
  async exists(topic: string): Promise<boolean> {
    if (this.#prepared.has(topic)) return true;
    return (await this.#insistence.insist(`finding topic ${topic}`, () => this.kindOf(topic))) !== 'ABSENT';
  }

  /** Makes the topic, or marks an empty one. Throws OptionsError for a topic that holds other messages. */
  prepare(topic: string): Promise<void> {
    const known = this.#prepared.get(topic);
    if (known) return known;
    const preparing = this.#insistence.insist(`making event topic ${topic}`, () => this.#prepare(topic));
    this.#prepared.set(topic, preparing);
    preparing.catch(() => this.#prepared.delete(topic));
    return preparing;
  }

  async #prepare(topic: string): Promise<void> {
    assertTopic(topic);
    const found = await this.#find(topic);
    if (found && isEventTopic(found.config)) return;
    const address = found?.address ?? (await this.#anyMaster());
    const config = found?.config ?? topicConfigOf(topic, { readQueueNums: this.#queues, writeQueueNums: this.#queues });
    const attributes = { ...config.attributes, [EVENTS_ATTRIBUTE]: 'true' };
    try {
      await this.#session.adminCalls.createTopic(address, { ...config, attributes });
    } catch (thrown) {
      // Somebody else may have been first.
      const now = await this.#find(topic).catch(() => undefined);
      if (now && isEventTopic(now.config)) return;
      if (thrown instanceof BrokerError && !isPassing(thrown)) {
        const refused = `topic ${topic} cannot become an event topic: `;
        const reason = thrown.remark || thrown.message;
        throw new OptionsError(reason.startsWith(refused) ? reason : `${refused}${reason}`, { topic, cause: thrown });
      }
      throw thrown;
    }
    await this.#appear(topic);
  }

  async #appear(topic: string): Promise<void> {
    const giveUpAt = this.#clock.monotonic() + APPEAR_MILLIS;
    while (!(await this.#session.routes.refresh(topic))) {
      if (this.#clock.monotonic() >= giveUpAt) {
        throw new FoldlogError('TOPIC_NOT_FOUND', `topic ${topic} was made but no name server announces it`, { topic });
      }
      await delay(this.#clock, LOOK_AGAIN_MILLIS);
    }
  }

  async #find(topic: string): Promise<{ address: string; config: TopicConfig } | undefined> {
    const { routes, adminCalls } = this.#session;
    if (!(await routes.get(topic))) return undefined;
    let cause: unknown;
    for (const brokerName of routes.brokersOf(topic)) {
      const address = routes.masterAddress(brokerName);
      if (address === undefined) continue;
      try {
        const config = await adminCalls.topicConfig(address, topic);
        if (config) return { address, config };
      } catch (thrown) {
        cause = thrown;
      }
    }
    if (cause !== undefined) throw cause;
    return undefined;
  }

  /** Where a new event topic is made: on the first master by name, for it must lie on one broker. */
  async #anyMaster(): Promise<string> {
    const { brokerAddrTable } = await this.#session.nameServers.clusterInfo();
    for (const brokerName of [...brokerAddrTable.keys()].sort()) {
      const address = brokerAddrTable.get(brokerName)?.brokerAddrs.get(MASTER_ID);
      if (address !== undefined) return address;
    }
    throw new FoldlogError('TOPIC_NOT_FOUND', 'no broker is registered at the name server: start one', {
      retriable: true,
    });
  }
}

const isEventTopic = ({ attributes }: TopicConfig) => attributes[EVENTS_ATTRIBUTE] === 'true';
