/**
 * Gives messages their places in the light queues that they name (upstream: `MultiDispatch#wrapMultiDispatch`): the next
 * offset of each goes into INNER_MULTI_QUEUE_OFFSET before the record is measured and encoded. Nothing is taken yet: the
 * offsets count once the records are appended, in the same synchronous section.
 *
 * Only this store writes that property where it has a meaning: recovery believes it. What a sender put there is taken
 * out. Differs from RocketMQ: half messages feed no light queue before they are committed.
 */
import type { QueueOffset } from '../../base/flavours.js';
import { encodeProperties, PROPERTY } from '../../protocol/messageProperties.js';
import { isSystemTopic } from '../../protocol/names.js';
import { isQueued } from '../queues/dispatch.js';
import type { LightPlace } from '../queues/multiDispatch.js';
import { feedsLightQueues, furtherNames, isLightQueue, LIGHT_QUEUE_ID } from '../queues/multiDispatch.js';
import type { QueueOffsets } from '../queues/queueOffsets.js';
import type { MessageToStore } from '../storeTypes.js';

export interface PlacedMessages {
  messages: readonly MessageToStore[];
  /** Of each message; undefined when none is in a light queue. */
  places: readonly (readonly LightPlace[])[] | undefined;
}

export class LightPlaces {
  readonly #isEnabled: boolean;
  readonly #queueOffsets: QueueOffsets;

  constructor(parts: { isEnabled: boolean; queueOffsets: QueueOffsets }) {
    this.#isEnabled = parts.isEnabled;
    this.#queueOffsets = parts.queueOffsets;
  }

  /** The messages as they are to be stored. */
  place(messages: readonly MessageToStore[]): PlacedMessages {
    // Nearly all messages name no further queue.
    if (messages.every(({ properties }) => properties[PROPERTY.INNER_MULTI_DISPATCH] === undefined)) {
      return { messages, places: undefined };
    }
    const next = new Map<string, QueueOffset>();
    const take = (name: string): QueueOffset => {
      const offset = next.get(name) ?? this.#queueOffsets.next(name, LIGHT_QUEUE_ID);
      next.set(name, offset + 1);
      return offset;
    };
    const placed = messages.map((message) => this.#placeOne(message, take));
    return { messages: placed.map(({ message }) => message), places: placed.map(({ places }) => places) };
  }

  #placeOne(
    message: MessageToStore,
    take: (name: string) => QueueOffset,
  ): { message: MessageToStore; places: LightPlace[] } {
    const { topic, queueId, sysFlag, properties } = message;
    // It may be a message of a light queue itself: then it takes a place there as well.
    if (isLightQueue(topic) && queueId === LIGHT_QUEUE_ID && isQueued(sysFlag)) take(topic);
    if (!feedsLightQueues(topic)) return { message, places: [] };
    const places: LightPlace[] = [];
    const mayFeed = this.#isEnabled && !isSystemTopic(topic) && isQueued(sysFlag);
    const taken = new Set([topic]);
    const offsets = furtherNames(properties).map((name) => {
      if (!mayFeed || !isLightQueue(name) || taken.has(name)) return '';
      taken.add(name);
      const queueOffset = take(name);
      places.push({ topic: name, queueOffset });
      return String(queueOffset);
    });
    const isGiven = properties[PROPERTY.INNER_MULTI_QUEUE_OFFSET] !== undefined;
    if (places.length === 0 && !isGiven) return { message, places };
    const { [PROPERTY.INNER_MULTI_QUEUE_OFFSET]: _, ...others } = properties;
    const stored = places.length === 0 ? others : { ...others, [PROPERTY.INNER_MULTI_QUEUE_OFFSET]: offsets.join(',') };
    return { message: { ...message, properties: stored, propertiesText: encodeProperties(stored) }, places };
  }
}
