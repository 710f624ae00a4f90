/**
 * Where consumption of a newly assigned queue begins: at the recorded offset, or, when nothing is recorded, where the
 * consumer was told to begin. Upstream: `RebalancePushImpl.computePullFromWhere`.
 *
 * Differs from RocketMQ: the broker is asked not to guess offset 0 for a young queue, which would turn
 * CONSUME_FROM_LAST_OFFSET and CONSUME_FROM_TIMESTAMP into "from the first". What that guess is for is kept: a queue
 * that appears while the consumer runs begins at its first message, since all of them were sent after the start.
 */
import type { QueueOffset, TimestampMillis } from '../base/flavours.js';
import type { MessageQueue } from '../protocol/message.js';
import { isRetryTopic } from '../protocol/names.js';
import type { ConsumeFromWhere, OffsetStore } from './clientTypes.js';

export interface StartOffsetParts {
  offsetStore: OffsetStore;
  from: ConsumeFromWhere;
  fromTimestamp: TimestampMillis;
  /** Did the queue exist when the consumer started? */
  existedAtStart(queue: MessageQueue): boolean;
  maxOffset(queue: MessageQueue): Promise<QueueOffset>;
  offsetByTimestamp(queue: MessageQueue, timestamp: TimestampMillis): Promise<QueueOffset>;
}

/** Rejects when it cannot be told now; the queue is then left for the next round. */
export async function startOffset(parts: StartOffsetParts, queue: MessageQueue): Promise<QueueOffset> {
  return (await parts.offsetStore.load(queue)) ?? (await firstStart(parts, queue));
}

async function firstStart(parts: StartOffsetParts, queue: MessageQueue): Promise<QueueOffset> {
  const isRetry = isRetryTopic(queue.topic);
  switch (parts.from) {
    case 'CONSUME_FROM_FIRST_OFFSET':
      return 0;
    case 'CONSUME_FROM_LAST_OFFSET':
      return isRetry || !parts.existedAtStart(queue) ? 0 : parts.maxOffset(queue);
    case 'CONSUME_FROM_TIMESTAMP':
      // A message in the retry topic belongs to the group, whatever its time. Differs from RocketMQ, which starts there
      // at the end and so forgets what failed before the first commit.
      return isRetry ? 0 : parts.offsetByTimestamp(queue, parts.fromTimestamp);
  }
}
