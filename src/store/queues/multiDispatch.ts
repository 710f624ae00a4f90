/**
 * Light queues: a message may be in further queues beside its own, whose names it carries (upstream:
 * `MultiDispatchUtils`, `ConsumeQueue#multiDispatchLmqQueue`). They share the record: only the queue entry is new.
 *
 *     INNER_MULTI_DISPATCH       `%LMQ%a,%LMQ%b`   given by the sender
 *     INNER_MULTI_QUEUE_OFFSET   `0,7`             added at append: the offset in each; empty for a name without %LMQ%
 *
 * A light queue is `consumequeue/%LMQ%a/0`. Names that are no file name are skipped; different counts skip all.
 * Differs from RocketMQ: an empty offset at the end counts, so that one name without %LMQ% does not lose the others.
 */
import type { QueueOffset } from '../../base/flavours.js';
import type { MessageProperties } from '../../protocol/messageProperties.js';
import { PROPERTY } from '../../protocol/messageProperties.js';
import {
  isDeadLetterTopic,
  isRetryTopic,
  LMQ_PREFIX,
  SCHEDULE_TOPIC,
  SYSTEM_TOPIC_PREFIX,
} from '../../protocol/names.js';

/** Of every light queue. */
export const LIGHT_QUEUE_ID = 0;
const FILE_NAME_MAX_BYTES = 255;

export interface LightPlace {
  topic: string;
  queueOffset: QueueOffset;
}

/** May messages of this topic be in light queues? */
export function feedsLightQueues(topic: string): boolean {
  return !(
    isRetryTopic(topic) ||
    isDeadLetterTopic(topic) ||
    topic.startsWith(SYSTEM_TOPIC_PREFIX) ||
    topic === SCHEDULE_TOPIC
  );
}

/** The names in INNER_MULTI_DISPATCH, in order, whatever they are. */
export function furtherNames(properties: MessageProperties): readonly string[] {
  return properties[PROPERTY.INNER_MULTI_DISPATCH]?.split(',') ?? [];
}

/** Is it the name of a light queue? It becomes the name of a directory. */
export function isLightQueue(name: string): boolean {
  const isName = name.length > LMQ_PREFIX.length && name.startsWith(LMQ_PREFIX) && !/[/\0]/.test(name);
  return isName && Buffer.byteLength(name) <= FILE_NAME_MAX_BYTES;
}

/** The light queues that a stored record is in, and its place in each. */
export function lightPlacesOf(topic: string, properties: MessageProperties): readonly LightPlace[] {
  const offsets = properties[PROPERTY.INNER_MULTI_QUEUE_OFFSET]?.split(',');
  if (!offsets || !feedsLightQueues(topic)) return [];
  const names = furtherNames(properties);
  if (names.length !== offsets.length) return [];
  return names.flatMap((name, index) => {
    const text = offsets[index] ?? '';
    const queueOffset = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    return queueOffset === undefined || !isLightQueue(name) ? [] : [{ topic: name, queueOffset }];
  });
}
