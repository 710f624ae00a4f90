/**
 * Topics that hold events. The mark is a topic attribute, `foldlog.events=true`, given only while the topic is empty
 * and never taken back; beside it stands the fixed number of queues, `foldlog.queues`, over which streams are spread.
 * Only guarded appends may write to such a topic: an unguarded message would break the numbering of its stream.
 * To an Apache broker both are attributes that it keeps and ignores.
 */
import { FoldlogError } from '../base/errors.js';
import type { BrokerConfig } from '../config/brokerConfig.js';
import type { TopicConfig } from '../protocol/bodies.js';
import { topicConfigOf } from '../protocol/bodies.js';
import { javaHash } from '../protocol/javaHash.js';
import { isDeadLetterTopic, isRetryTopic, PERM, topicDefect } from '../protocol/names.js';
import type { MessageStore } from '../store/messageStore.js';
import type { Topics } from './topics.js';

export const EVENTS_ATTRIBUTE = 'foldlog.events';
export const EVENT_QUEUES_ATTRIBUTE = 'foldlog.queues';
/** Queues of an event topic that is made by its first append. */
export const EVENT_QUEUES_DEFAULT = 8;

export const isEventTopic = (config: TopicConfig): boolean => config.attributes[EVENTS_ATTRIBUTE] === 'true';

/** The queues that events of the topic are spread over: recorded when it was marked. */
export function eventQueuesOf(config: TopicConfig): number {
  const recorded = Number(config.attributes[EVENT_QUEUES_ATTRIBUTE]);
  return Number.isInteger(recorded) && recorded > 0 ? recorded : config.writeQueueNums;
}

/** One stream, one queue, one order. */
export const queueOfStream = (config: TopicConfig, stream: string): number =>
  (javaHash(stream) & 0x7fffffff) % eventQueuesOf(config);

export type EventTopicOutcome =
  | { status: 'EVENT_TOPIC'; config: TopicConfig }
  | { status: 'UNKNOWN' }
  | { status: 'REFUSED'; reason: string };

export interface EventTopicsParts {
  topics: Topics;
  store: Pick<MessageStore, 'queueRange' | 'queues' | 'syncLog'>;
  config: Pick<BrokerConfig, 'autoCreateTopicEnable'>;
  /** Does a delayed message, or one whose transaction has not ended, wait for this topic? Undefined: too many wait to tell. */
  isDelayedFor: (topic: string) => boolean | undefined;
}

export class EventTopics {
  readonly #topics: Topics;
  readonly #store: Pick<MessageStore, 'queueRange' | 'queues' | 'syncLog'>;
  readonly #config: Pick<BrokerConfig, 'autoCreateTopicEnable'>;
  readonly #isDelayedFor: (topic: string) => boolean | undefined;
  /** Topics that are being marked: nothing unguarded enters while it is found out whether they are empty. */
  readonly #marking = new Set<string>();

  constructor({ topics, store, config, isDelayedFor }: EventTopicsParts) {
    this.#topics = topics;
    this.#store = store;
    this.#config = config;
    this.#isDelayedFor = isDelayedFor;
  }

  /** Why an unguarded message may not enter the topic; undefined when it may. */
  refusalOf(topic: string): string | undefined {
    const config = this.#topics.get(topic);
    if (this.#marking.size > 0 && this.#marking.has(topic)) return `topic ${topic} is being made an event topic`;
    if (!config || !isEventTopic(config)) return undefined;
    return `topic ${topic} is an event topic: only guarded appends may write to it, append events instead of sending`;
  }

  /** The topic for a guarded append, made when it is new and may be made. */
  forAppend(topic: string): EventTopicOutcome {
    const config = this.#topics.get(topic);
    if (!config) return this.#create(topic);
    if (isEventTopic(config)) return { status: 'EVENT_TOPIC', config };
    return {
      status: 'REFUSED',
      reason: `topic ${topic} is not an event topic: create it with the attribute +${EVENTS_ATTRIBUTE}=true`,
    };
  }

  /** The configuration with the mark. Throws LIFECYCLE with the reason when the topic cannot be marked. */
  async mark(wanted: TopicConfig): Promise<TopicConfig> {
    const { topicName } = wanted;
    if (isRetryTopic(topicName) || isDeadLetterTopic(topicName)) {
      throw refused(topicName, 'retry and dead-letter topics hold copies');
    }
    if (this.#marking.has(topicName)) throw refused(topicName, 'it is being made one already');
    this.#marking.add(topicName);
    try {
      // Whatever was accepted before now is readable afterwards, and nothing unguarded is accepted meanwhile.
      await this.#store.syncLog();
      const holdsMessages = (this.#store.queues().get(topicName) ?? []).some(
        (queueId) => this.#store.queueRange(topicName, queueId).maxOffset > 0,
      );
      if (holdsMessages) throw refused(topicName, 'it holds messages already, use another topic');
      const isDelayed = this.#isDelayedFor(topicName);
      if (isDelayed === undefined)
        throw refused(topicName, 'too many delayed messages wait to tell whether one is for it');
      if (isDelayed) throw refused(topicName, 'a delayed message waits for it, or one whose transaction has not ended');
      return this.#topics.put(marked(wanted));
    } finally {
      this.#marking.delete(topicName);
    }
  }

  /** Is nothing of this topic ever removed from the log? */
  keeps(topic: string): boolean {
    const config = this.#topics.get(topic);
    return config !== undefined && isEventTopic(config);
  }

  /** Does the topic hold anything, also what is not readable yet? */
  isEmpty(topic: string): boolean {
    return (this.#store.queues().get(topic) ?? []).every((id) => this.#store.queueRange(topic, id).maxOffset === 0);
  }

  #create(topic: string): EventTopicOutcome {
    if (!this.#config.autoCreateTopicEnable || this.#topics.isSystem(topic)) return { status: 'UNKNOWN' };
    const defect = topicDefect(topic);
    if (defect !== undefined) return { status: 'REFUSED', reason: defect };
    if (isRetryTopic(topic) || isDeadLetterTopic(topic)) {
      return {
        status: 'REFUSED',
        reason: `topic ${topic} cannot hold events: retry and dead-letter topics hold copies`,
      };
    }
    // A delayed message for a topic that does not exist was accepted before the topic was deleted.
    if (!this.isEmpty(topic) || this.#isDelayedFor(topic) !== false) {
      return {
        status: 'REFUSED',
        reason: `topic ${topic} cannot become an event topic: messages of an earlier one are left`,
      };
    }
    const config = topicConfigOf(topic, {
      readQueueNums: EVENT_QUEUES_DEFAULT,
      writeQueueNums: EVENT_QUEUES_DEFAULT,
      perm: PERM.READ | PERM.WRITE,
    });
    return { status: 'EVENT_TOPIC', config: this.#topics.put(marked(config)) };
  }
}

const marked = (config: TopicConfig): TopicConfig => ({
  ...config,
  attributes: {
    ...config.attributes,
    [EVENTS_ATTRIBUTE]: 'true',
    [EVENT_QUEUES_ATTRIBUTE]: String(config.writeQueueNums),
  },
});

function refused(topic: string, reason: string): FoldlogError {
  return new FoldlogError('LIFECYCLE', `topic ${topic} cannot become an event topic: ${reason}`, { topic });
}
